"""Where a dataset's records are pushed to on an Opendatasoft portal: `portal.yml`, beside the id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field

from ctnb import documents
from ctnb.errors import SettingsInvalid
from ctnb.secrets import SecretReference

FILE = "portal.yml"


class PushSource(documents.Form):
    """A realtime source, which somebody made on the portal's own pages."""

    push_url: str = Field(description="The push address that the portal shows, without its key.")
    push_key: SecretReference = Field(description="The key that stands in the address behind pushkey=.")


def push_source(folder: Path, portal: str) -> PushSource | None:
    """
    The push source of the dataset in `folder` on `portal`, None where portal.yml names none.

    Raises SettingsInvalid, also for a key that stands in the file itself.
    """
    entry = _entries(folder).get(portal)
    if not isinstance(entry, Mapping) or not {"push_url", "push_key"} & entry.keys():
        return None
    if "pushkey=" in str(entry.get("push_url", "")):
        raise SettingsInvalid(
            f"push_url: of {portal} in {FILE} holds the push key itself.",
            hint="Take ?pushkey=... out of it, and name a secret: push_key: {secret: NAME}. Then renew the key.",
        )
    told = {name: entry[name] for name in ("push_url", "push_key") if name in entry}
    return documents.parse(PushSource, told, f"{FILE}, {portal}", SettingsInvalid)


def references(folder: Path) -> Iterator[SecretReference]:
    """Every push key that the portal.yml in `folder` names; a part that cannot be used names none."""
    for portal in _entries(folder):
        try:
            found = push_source(folder, str(portal))
        except SettingsInvalid:  # said where the portal is used
            continue
        if found:
            yield found.push_key


def _entries(folder: Path) -> Mapping[str, object]:
    path = folder / FILE
    return documents.read(path, SettingsInvalid) if path.is_file() else {}
