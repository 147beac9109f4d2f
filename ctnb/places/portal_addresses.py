"""The part of a portal's address that all kinds of portals have: scheme and host."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from ctnb.errors import ContractInvalid

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", re.IGNORECASE)


def of_url(text: str, domain: str | None, kind: str, examples: str) -> tuple[str, SplitResult]:
    """
    The portal's address without a path, and the parts of the address `text` of a dataset on it.

    `kind` is the portal's, `examples` what to write instead. Raises ContractInvalid where `text` is no address of
    a web page, has a user in it, or is on another host than `domain`; it does not quote it.
    """
    place = urlsplit(text)
    if place.scheme not in ("https", "http") or not _HOST.fullmatch(place.netloc):
        raise ContractInvalid(
            f"The address of the {kind} dataset is not one of a web page, or has a user in it.", hint=examples
        )
    if domain and domain.rpartition("://")[2].lower() != place.netloc.lower():
        raise ContractInvalid(
            "The source names two portals: in dataset's address, and under domain:.", hint="Take domain: out."
        )
    return f"{place.scheme}://{place.netloc.lower()}", place


def of_domain(domain: str | None, kind: str, examples: str) -> str:
    """The address, without a path, of the portal on the host `domain`, by TLS unless it says http://."""
    if not domain:
        raise ContractInvalid(f"The source's {kind} dataset has no portal.", hint=f"Add domain:. {examples}")
    scheme, _, host = domain.rpartition("://")
    if scheme not in ("", "https", "http") or not _HOST.fullmatch(host):
        raise ContractInvalid(
            "The source's domain: is not the name of a host.",
            hint="Write it without a path, e.g. data.ct.gov.",
        )
    return f"{scheme or 'https'}://{host.lower()}"
