"""The options of a portal's command line: one list, for `python -m ctnb.embedded` and every other door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PAIR = "--certificate and --key go together."


@dataclass(frozen=True)
class Flag:
    """One option, and the field of `server.Options` that it sets; one that is not given leaves its default."""

    name: str
    """As it is written, with its dashes."""
    field: str
    kind: Literal["yes", "text", "texts", "port", "whole", "seconds", "file"]
    """yes: it is given or not; texts: it may be given again; whole: a number from 0; file: one that is there."""
    help: str


FLAGS = (
    Flag("--host", "host", "text", "The address to listen on; 127.0.0.1 unless you know why not."),
    Flag("--port", "port", "port", "The port; 0 is any free one."),
    Flag("--name", "names", "texts", "A further host name to answer to; again for more. Needed off loopback."),
    Flag("--tls", "tls", "yes", "Speak https, with a certificate of the portal's own."),
    Flag("--certificate", "certificate", "file", "A PEM certificate to speak https with instead."),
    Flag("--key", "key", "file", "The PEM key of --certificate."),
    Flag("--cors", "cors", "yes", "Let pages of any site read what anybody may read."),
    Flag("--approval", "approval", "yes", "A revision needs a second publisher to be applied."),
    Flag("--faults", "faults", "yes", "Publishers may ask for faults at /_faults."),
    Flag("--fetch", "fetch", "yes", "Publishers may have URLs read; reaches what this machine reaches."),
    Flag("--body-limit", "body_limit", "whole", "Largest request body, in bytes (512 MiB)."),
    Flag("--upload-limit", "upload_limit", "whole", "Largest upload, in bytes (16 GiB)."),
    Flag("--chunk-bytes", "chunk_bytes", "whole", "How uploads are best cut, in bytes (4 MiB)."),
    Flag("--processing-s", "processing_s", "seconds", "How long an Opendatasoft publish takes, in seconds (0)."),
    Flag("--records-limit", "records_limit", "whole", "How many records an Opendatasoft dataset may hold."),
    Flag("--strict-push", "strict_push", "yes", "Refuse pushed fields that an Opendatasoft dataset does not have."),
)  # fmt: skip


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    The arguments of `server.serve` in the parsed `values` of FLAGS, by field; what was not given is left out.

    Raises ValueError when of --certificate and --key one is missing.
    """
    found = {flag.field: values.get(flag.field) for flag in FLAGS}
    if (found["certificate"] is None) != (found["key"] is None):
        raise ValueError(PAIR)
    found["names"] = tuple(found["names"]) if found["names"] else None
    return {name: value for name, value in found.items() if value is not None and value is not False}
