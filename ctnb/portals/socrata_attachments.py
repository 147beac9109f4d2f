"""
Attachments of a Socrata dataset: listed in its view's metadata, changed by a revision, all at once.

Protocol: `POST .../revision/<4x4>/<seq>/attachment` takes one file; a revision's `attachments` are the whole list,
and a later list takes the place of an earlier one. So the list is read, changed and written with everything in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ctnb.clients.answers import objects, understood
from ctnb.clients.dsmapi import Dsmapi, Revision
from ctnb.clients.exchanges import Exchange, said
from ctnb.portals import attaching
from ctnb.portals.interface import Attachments, PortalFile


def attached(exchange: Exchange, dataset_id: str) -> tuple[PortalFile, ...]:
    """The files that are attached to the dataset. Raises PortalFailed."""
    return tuple(map(_file, _entries(exchange, dataset_id)))


def digest(exchange: Exchange, dataset_id: str, file: PortalFile) -> str:
    """SHA-256 of a file's bytes; empty where the portal does not hand them out. Raises PortalFailed."""
    query = {"download": "true", "filename": file.name}
    found = exchange.digest(f"/api/views/{dataset_id}/files/{file.id}", query)
    return found or exchange.digest(f"/api/assets/{file.id}", {"download": "true"})


@dataclass(frozen=True)
class Filing:
    """Attachments on their way into a revision."""

    exchange: Exchange
    dataset_id: str
    files: Attachments

    @understood
    def put(
        self, dsmapi: Dsmapi, revision: Revision, arrived: Mapping[str, str], note: Callable[..., None]
    ) -> None:
        """
        Make the attachments of `revision` those that are to be there, and what others attached.

        `arrived` are ids, by digest, of files that an earlier attempt sent for it; `note` is told of each further
        one. Raises RecordBroken, PortalFailed.
        """
        entries = _entries(self.exchange, self.dataset_id)
        changes = attaching.difference(
            tuple(map(_file, entries)), self.files, lambda one: digest(self.exchange, self.dataset_id, one)
        )
        gone = {found for one in changes for found in one.goes}
        listed = [_listed(entry) for entry in entries if _file(entry).id not in gone]
        for copy in (one.copy for one in changes if one.copy):
            found = arrived.get(copy.digest)
            if not found:
                found = dsmapi.attach(revision, copy.name, copy.kind, copy.read())
                note(attaching.SENT, revision=revision.seq, name=copy.name, id=found, digest=copy.digest)
            listed.append({"name": copy.name, "filename": copy.name, "asset_id": found, "blob_id": None})
        dsmapi.set_attachments(revision, listed)


@understood
def _entries(exchange: Exchange, dataset_id: str) -> list[dict[str, Any]]:
    answer = exchange.get(f"/api/views/{dataset_id}.json")
    metadata = dict(said(answer) if answer is not None else {}).get("metadata") or {}
    return objects(metadata.get("attachments") or [])


def _file(entry: Mapping[str, Any]) -> PortalFile:
    found = entry.get("assetId") or entry.get("blobId") or ""
    return PortalFile(str(entry.get("filename") or entry.get("name") or ""), str(found))


def _listed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An attachment as a revision lists it."""
    return {
        "name": entry.get("name"), "filename": entry.get("filename"), "asset_id": entry.get("assetId"),
        "blob_id": entry.get("blobId"),
    }  # fmt: skip
