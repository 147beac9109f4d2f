"""A file on this machine or a drive it sees."""

from __future__ import annotations

from ctnb import clock, snapshots
from ctnb.places.fetched import Fetched, Request


def fetch(path: str, request: Request, *, told: str | None = None) -> Fetched:
    """
    The file `path`, relative to the dataset's folder; or `told`, which a person named instead.

    Raises SourceInvalid when it lies outside the roots, is not there, is empty or changes while it is copied.
    """
    allowed = [request.folder.parent, *request.roots]
    found = snapshots.locate(path, request.folder, allowed, told=told)
    modified = clock.stamp_of(found.stat().st_mtime)
    taken = snapshots.take(found, request.work, told=told is not None, prefix=request.prefix)
    return Fetched((taken,), modified=modified)
