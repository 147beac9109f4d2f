"""
Attachments of an Opendatasoft dataset: each file by itself, the new one sent before the old one goes.

Protocol: the vendor's Automation API v1.0, `/datasets/<uid>/attachments/`, multipart with a part `file`.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from ctnb.clients.answers import understood
from ctnb.clients.opendatasoft import AUTOMATION, Opendatasoft
from ctnb.digests import of_bytes
from ctnb.portals import attaching
from ctnb.portals.attaching import FileChange
from ctnb.portals.interface import PortalFile
from ctnb.portals.journal import Journal


@understood
def attached(client: Opendatasoft, uid: str) -> tuple[PortalFile, ...]:
    """The files that are attached to the dataset. Raises PortalFailed."""
    listed = client.listed(f"/datasets/{uid}/attachments/")
    return tuple(PortalFile(str(one["filename"]), str(one["uid"])) for one in listed)


def digest(client: Opendatasoft, uid: str, file: PortalFile) -> str:
    """SHA-256 of a file's bytes; empty where the portal does not hand them out. Raises PortalFailed."""
    path = f"{AUTOMATION}/datasets/{uid}/attachments/{quote(file.id, safe='')}/download/"
    found = client.download(path, missing=True)
    return of_bytes(found[1]) if found else ""


@understood
def attach(
    client: Opendatasoft, uid: str, changes: Sequence[FileChange], token: str, journal: Journal
) -> None:
    """
    Send what `changes` say is to be sent, then take away what goes.

    A file whose answer was lost is there when the portal is looked at again, and is not sent twice. Raises
    RecordBroken, PortalFailed.
    """
    path = f"/datasets/{uid}/attachments/"
    for one in changes:
        if one.copy:
            made = client.ask("POST", path, files={"file": (one.name, one.copy.read(), one.copy.kind)})
            journal.note(token, attaching.SENT, name=one.name, id=str(made["uid"]), digest=one.copy.digest)
        for found in one.goes:
            client.ask("DELETE", f"{path}{quote(found, safe='')}/", missing=True)
