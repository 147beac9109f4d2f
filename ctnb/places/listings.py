"""
The files that a distant place lists: which of them a source takes, which are new, and each brought whole.

A file is known by its name, size, time of change and, where its place has one, version; by these a release
remembers which files it held.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol

from ctnb import digests
from ctnb.contracts.places import Take
from ctnb.errors import NothingNew, SourceFailed, SourceInvalid
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.folders import UNFINISHED
from ctnb.snapshots import CHUNK_BYTES, Snapshot, Writer

PAUSES_S = (0.1, 0.5, 2.0)
"""Seconds to wait before each try to go on after a break that brought less than `CHUNK_BYTES`."""
TRIES = 20
"""How often in all one file is begun or gone on with."""


@dataclass(frozen=True)
class Listed:
    """A file as its place shows it."""

    path: str
    """Where it lies at the place."""
    size: int | None = None
    """In bytes; None where the place does not say."""
    modified: str | None = None
    """When it was last changed: UTC, ISO 8601; None where the place does not say."""
    version: str | None = None
    """What changes with its bytes, such as an ETag. It may be a digest of them: kept keyed only."""

    @property
    def name(self) -> str:
        """Its name, without its folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Known:
    """A file as a release remembers it."""

    name: str
    size: int | None
    modified: str | None
    version: str | None
    """Keyed; None where the place has none."""


class Wanted(Protocol):
    """What the forms of distant files have in common."""

    @property
    def take(self) -> Take:
        """Which of several files."""

    @property
    def at_most_mb(self) -> int:
        """The largest file that is taken, in MB."""


class Session(Protocol):
    """
    A connection to a place with files.

    Every method raises SourceFailed when the connection breaks, SourceInvalid for what is not there or may not be
    read, UsageError for credentials that are refused.
    """

    where: str
    """The place as messages name it, e.g. its host."""
    resumes: bool
    """Whether `read` can start within a file."""

    def listed(self, folder: str, pattern: str) -> Sequence[Listed]:
        """The files directly in `folder` whose names `fits` the pattern, with sizes and times."""

    def look(self, path: str) -> Listed:
        """The file `path` as it is now."""

    def read(self, path: str, start: int) -> Iterator[bytes]:
        """The bytes of the file `path` from `start` on, in chunks."""

    def reopen(self) -> None:
        """Connect again after a break."""


def fetch(
    session: Session,
    path: str,
    wanted: Wanted,
    request: Request,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """
    The file `path`, or those that its last part chooses by * and ?, each in a snapshot.

    Raises NothingNew when there is none that the last release had not, SourceInvalid when a file is not there or
    too large, SourceFailed when one breaks off or changes while it is read.
    """
    folder, slash, name = path.rpartition("/")
    if "*" in name or "?" in name:
        found = session.listed(folder or slash, name)
    else:
        found = [session.look(path)]
    at = f"{session.where}/{folder.strip('/')}"
    known = _released(request.position) if request.position.get("at") == at else []
    seen = {one: _remembered(one, request.key) for one in found}
    chosen = _choose(seen, [] if request.again else known, wanted.take)
    if not chosen:
        raise _nothing(name, session.where, bool(found), bool(known))
    prefixes = [f"{request.prefix}-{number}" for number in range(1, len(chosen) + 1)]
    taken = [
        bring(session, one.path, wanted.at_most_mb, replace(request, prefix=prefix), sleep=sleep)
        for one, prefix in zip(chosen, prefixes if len(chosen) > 1 else [request.prefix], strict=True)
    ]
    earlier = [seen[one] for one in found if one not in chosen and _is_known(seen[one], known)]
    left = len(found) - len(chosen) - len(earlier)
    return Fetched(
        tuple(taken),
        position={
            "at": at,
            "files": [asdict(seen[one]) for one in chosen],
            "earlier": [asdict(one) for one in earlier],
        },
        modified=max((one.modified for one in chosen if one.modified), default=None),
        notes=(f"{left:,} of the files are not read, by take: {wanted.take}.",) if left else (),
    )


def fits(name: str, pattern: str) -> bool:
    """Whether a file of this name is meant by `pattern`, in any case; hidden and unfinished ones never are."""
    low = name.lower()
    if low.startswith((".", "~$")) or low.endswith(UNFINISHED):
        return False
    return fnmatchcase(low, pattern.lower().replace("[", "[[]"))


def broke(error: BaseException) -> str:
    """What became of a connection, in words that quote nobody."""
    if isinstance(error, socket.gaierror):
        return "is not known by this name"
    if isinstance(error, ConnectionRefusedError):
        return "takes no connection at this port"
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, ssl.SSLError):
        return "speaks another TLS than expected"
    if isinstance(error, ValueError):
        return "answered what cannot be understood"
    return "broke the connection off"


def not_there(path: str, where: str) -> SourceInvalid:
    """The error for a file or folder that a place does not have, or does not show."""
    return SourceInvalid(
        f"{path.rpartition('/')[2] or path} is not on {where}, or may not be read.",
        hint="Correct the path in dataset.yml, or ask the server's owner for read access.",
    )


def bring(
    session: Session,
    path: str,
    at_most_mb: int,
    request: Request,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Snapshot:
    """
    Copy the file `path` into a snapshot, going on where it broke off; its size must be what the place says.

    Raises SourceInvalid when it is empty or larger than `at_most_mb`, SourceFailed when it breaks off too often
    or changes meanwhile.
    """
    before = session.look(path)
    with Writer(request.work, before.name, request.prefix) as writer:
        failures, end = 0, "broken"
        for number in range(TRIES):
            if number:
                sleep(PAUSES_S[max(failures, 1) - 1])
            had = writer.size
            end = _go_on(session, before, writer, at_most_mb, request, again=number > 0)
            failures = 0 if writer.size - had >= CHUNK_BYTES else failures + 1
            if end != "broken" or failures > len(PAUSES_S):
                break
        if end == "whole":
            return writer.done()
        got = writer.size
    if end == "changed":
        raise SourceFailed(
            f"{before.name} changed on {session.where} while it was read.",
            hint="Try again when it is complete.",
        )
    size = f" of {before.size:,}" if before.size else ""
    raise SourceFailed(
        f"{before.name} broke off on {session.where} after {got:,}{size} bytes, and at each try to go on.",
        hint="Try again later; if it always ends there, ask the server's owner.",
    )


def _go_on(
    session: Session, before: Listed, writer: Writer, at_most_mb: int, request: Request, *, again: bool
) -> Literal["whole", "broken", "changed"]:
    """Write what is missing of a file, `again` after a break, and say how that ended."""
    try:
        if again:
            session.reopen()
            if session.look(before.path) != before:
                return "changed"
            if not session.resumes:
                writer.restart()
        _check_size(before, before.size or 0, at_most_mb)
        if before.size is None or writer.size < before.size:
            for chunk in session.read(before.path, writer.size):
                _check_size(before, writer.size + len(chunk), at_most_mb)
                if before.size is not None and writer.size + len(chunk) > before.size:
                    return "changed"
                writer.write(chunk)
                request.progress(Progress(before.name, writer.size, before.size))
        if session.look(before.path) != before:
            return "changed"
    except SourceFailed:
        return "broken"
    if before.size is None or writer.size == before.size:
        return "whole"
    return "broken" if writer.size < before.size else "changed"


def _check_size(listed: Listed, size: int, at_most_mb: int) -> None:
    if size > at_most_mb << 20:
        raise SourceInvalid(
            f"{listed.name} is larger than the {at_most_mb:,} MB that are taken at most.",
            hint="Is it the right file? Then raise at_most_mb: in dataset.yml.",
        )


def _choose(found: Mapping[Listed, Known], released: Sequence[Known], take: Take) -> list[Listed]:
    """Those that are taken, the oldest first; none where there is nothing new."""
    if len(found) > 1 and take in ("newest", "oldest") and not all(one.modified for one in found):
        raise SourceInvalid(
            f"{len(found):,} files fit, and the place does not say when they were changed.",
            hint="Name one of them in path: or url:, or take: all.",
        )
    ordered = sorted(found, key=lambda one: (one.modified or "", one.name))
    fresh = [one for one in ordered if not _is_known(found[one], released)]
    if take == "newest":
        return [one for one in ordered[-1:] if one in fresh]
    if take == "oldest":
        return fresh[:1]
    return ordered if take == "all" and fresh else fresh


def _nothing(name: str, where: str, fits: bool, known: bool) -> NothingNew | SourceInvalid:
    if fits:
        return NothingNew(f"Nothing new: {where} has no {name} that the last release had not.")
    if known:
        return NothingNew(f"Nothing new: no file {name} is on {where} any more.")
    return SourceInvalid(
        f"No file on {where} fits {name}.", hint="Correct the folder or the pattern in dataset.yml."
    )


def _remembered(one: Listed, key: bytes) -> Known:
    version = digests.keyed(digests.of_bytes(one.version.encode()), key) if one.version else None
    return Known(one.name, one.size, one.modified, version)


def _is_known(one: Known, released: Sequence[Known]) -> bool:
    """Whether a release held it; where its place does not tell when it was changed nobody knows."""
    return (one.modified or one.version) is not None and one in released


def _released(position: Mapping[str, Any]) -> list[Known]:
    """The files that the last release held, and those that one before it did."""
    said = [*position.get("files", ()), *position.get("earlier", ())]
    return [Known(one["name"], one["size"], one["modified"], one["version"]) for one in said]
