"""
A folder that somebody puts files into: which are ready, which are new, and what becomes of them afterwards.

A file is known by its name, size and time of change; by these a release remembers which files it held.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from ctnb import clock
from ctnb.contracts.places import Folder
from ctnb.errors import NothingNew, SourceFailed, SourceInvalid
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.moves import move
from ctnb.snapshots import CHUNK_BYTES, Snapshot, Writer

DONE = ".done"
UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".tmp", DONE)
"""Endings of files that are still being written, or that a release has marked."""
FURNITURE = ("thumbs.db", "desktop.ini")
NOT_HERE = 0x1000 | 0x40000 | 0x400000
"""Windows' file attributes OFFLINE, RECALL_ON_OPEN and RECALL_ON_DATA_ACCESS (Microsoft, File Attribute Constants)."""
DATALESS = 0x40000000
"""macOS' file flag SF_DATALESS (sys/stat.h)."""
NET_IS_AWAY = (53, 64, 67, 1203, 1231, 1232)
"""Windows' codes for a share that cannot be reached; Python calls some of them `not found`."""

Outcome = Literal["released", "failed"]


@dataclass(frozen=True, order=True)
class Seen:
    """A file as it was seen; in the order of age, files of one age by name."""

    mtime_ns: int
    name: str
    size: int


def fetch(place: Folder, request: Request, *, sleep: Callable[[float], None] = time.sleep) -> Fetched:
    """
    The files of `place` that are ready and that `place.take` chooses, each copied once.

    Ready is a file that was not changed for `at_least_age_s` and has the same size and time in two looks
    `stable_s` apart. Unless `request.again`, what the last release held is not new. Where `request.moves`, what
    a killed run had left undone with released files is done first, and an empty file goes to quarantine.
    Raises NothingNew when no file is ready and new, SourceInvalid when there is no such folder or a file is
    empty, SourceFailed when a file vanishes, changes while it is copied or lies in a cloud only.
    """
    folder = _folder(place, request)
    undone = _finish_moves(place, request)
    seen = _look(folder, place, request)
    old = [one for one in seen if _age_s(one) >= place.at_least_age_s]
    if old:
        sleep(place.stable_s)
    still = set(_look(folder, place, request))
    ready = [one for one in old if one in still]
    waits = {
        f"changed less than {place.at_least_age_s:g} s ago": len(seen) - len(old),
        "still being written": len(old) - len(ready),
    }
    released = _released(request.position)
    wanted = _choose(place.take, ready, [] if request.again else released)
    if not wanted:
        raise _nothing_new(folder, place, {"not new": len(ready), **waits})
    waits[f"not read, by take: {place.take}"] = len(set(ready) - {*wanted, *released})
    taken = [
        _copy(folder / one.name, one, place, replace(request, prefix=prefix))
        for one, prefix in zip(wanted, _prefixes(request.prefix, len(wanted)), strict=True)
    ]
    return Fetched(
        tuple(taken),
        position={"files": [asdict(one) for one in wanted],
                  "earlier": [asdict(one) for one in released if one in still]},
        modified=clock.stamp_of(max(one.mtime_ns for one in wanted) / 1e9),
        notes=(*undone, *(_sentence(why, count) for why, count in waits.items() if count)),
    )  # fmt: skip


def settle(place: Folder, request: Request, position: Mapping[str, Any], outcome: Outcome) -> int:
    """
    Move the files of `position` that still lie in the folder; returns how many.

    `released` marks or archives them, as `place.afterwards` says; `failed` moves those into quarantine that no
    release held before. A file that changed since it was fetched is another file, and stays.
    Raises SourceFailed when one could not be moved, after all the others were tried.
    """
    folder = _folder(place, request)
    if outcome == "released":
        files = _released(position) if place.afterwards != "leave" else []
        target = _inside(folder, place.archive, request) if place.afterwards == "archive" else folder
    else:
        before = _files(position, "earlier")
        files = [one for one in _files(position, "files") if one not in before] if place.quarantine else []
        target = _inside(folder, place.quarantine or "", request)
    ending = DONE if outcome == "released" and place.afterwards == "mark" else ""
    moved, refused = 0, []
    for one in files:
        if _seen(folder / one.name) != one:
            continue
        try:
            move(folder / one.name, target / f"{one.name}{ending}")
            moved += 1
        except (OSError, SourceFailed):
            refused.append(one.name)
    if refused:
        raise SourceFailed(
            f"{len(refused)} of the source's files could not be moved to {target.name}/: {refused[0]}"
            f"{' and others' if len(refused) > 1 else ''}.",
            hint="Ask for the right to rename and delete in the folder; close the file where it is open.",
        )
    return moved


def _finish_moves(place: Folder, request: Request) -> list[str]:
    """Do what a killed run left undone with files that were released; they are not new either way."""
    if request.moves:
        try:
            settle(place, request, request.position, "released")
        except SourceFailed as error:
            return [error.what]
    return []


def _folder(place: Folder, request: Request) -> Path:
    """The folder, and that everything it names may be used. Raises SourceInvalid, SourceFailed."""
    found = (request.folder / place.path).resolve()
    _allowed(found, request)
    for name in (place.archive, place.quarantine):
        if name is not None and _inside(found, name, request) == found:
            raise SourceInvalid(
                "The folder's archive: or quarantine: is the folder itself.", hint="Name another."
            )
    try:
        there = stat.S_ISDIR(found.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        there = False
        away = getattr(error, "winerror", None) in NET_IS_AWAY
    except OSError:
        there, away = False, True
    else:
        away = False
    if there:
        return found
    kind = SourceFailed if away else SourceInvalid
    raise kind(
        f"The folder {found.name} {'cannot be reached' if away else 'is not there'}.",
        hint=f"Expected at {request.folder / place.path}. Is the drive connected? Else correct source: folder: path:.",
    )


def _inside(folder: Path, name: str, request: Request) -> Path:
    found = (folder / name).resolve()
    _allowed(found, request)
    return found


def _lies_inside(found: Path, request: Request) -> bool:
    return any(found.is_relative_to(root.resolve()) for root in (request.folder.parent, *request.roots))


def _check_link(path: Path, request: Request) -> None:
    if not _lies_inside(path.resolve(), request):
        raise SourceInvalid(
            f"{path.name} in the source's folder is a link that leads out of the folders this project may read.",
            hint="Ask who put it there; take it away, or add where it leads to roots: in ctnb.yml.",
        )


def _allowed(found: Path, request: Request) -> None:
    if not _lies_inside(found, request):
        raise SourceInvalid(
            "The source's folder in dataset.yml lies outside the folders that this project may read.",
            hint="Add it to roots: in ctnb.yml.",
        )


def _look(folder: Path, place: Folder, request: Request) -> list[Seen]:
    """The files that `place.pattern` names, the oldest first. Raises SourceFailed, SourceInvalid."""
    pattern = place.pattern.lower().replace("[", "[[]")
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.lower()
                if fnmatchcase(name, pattern) and not _never(name) and (one := _seen(folder / entry.name)):
                    if entry.is_symlink():
                        _check_link(folder / entry.name, request)
                    found.append(one)
    except OSError as error:
        raise SourceFailed(
            f"The folder {folder.name} could not be listed: {error.strerror}.",
            hint="Ask for read access, or try again when the drive is connected.",
        ) from None
    return sorted(found)


def _never(name: str) -> bool:
    """Whether a file of this name, in small letters, is never a source: hidden, unfinished, or an Office lock."""
    return name.startswith((".", "~$")) or name.endswith(UNFINISHED) or name in FURNITURE


def _seen(path: Path) -> Seen | None:
    """The file at `path` as it is now; None when there is none, or a hidden one."""
    try:
        now = path.stat()
    except OSError:
        return None
    hidden = getattr(now, "st_file_attributes", 0) & 0x2  # FILE_ATTRIBUTE_HIDDEN
    if hidden or not stat.S_ISREG(now.st_mode):
        return None
    return Seen(now.st_mtime_ns, path.name, now.st_size)


def in_cloud_only(now: os.stat_result) -> bool:
    """Whether a file is a placeholder whose content lies in a cloud, as OneDrive and iCloud make them."""
    windows, mac = getattr(now, "st_file_attributes", 0), getattr(now, "st_flags", 0)
    return bool(windows & NOT_HERE or mac & DATALESS)


def _age_s(one: Seen) -> float:
    return clock.now().timestamp() - one.mtime_ns / 1e9


def _choose(take: str, ready: Sequence[Seen], released: Sequence[Seen]) -> list[Seen]:
    """Which of the files that are `ready`, the oldest first, when `released` ones are not new."""
    new = [one for one in ready if one not in released]
    if take == "newest":  # an older one never follows a newer one, though that was archived
        return [one for one in new if one > max(released, default=one) or not released][-1:]
    if take == "oldest":
        return new[:1]
    if take == "all":
        return list(ready) if new else []
    return new


def _nothing_new(folder: Path, place: Folder, why: Mapping[str, int]) -> NothingNew:
    counted = ", ".join(f"{count} {reason}" for reason, count in why.items() if count)
    return NothingNew(
        f"The folder {folder.name} has no new file: {counted or 'none fits ' + place.pattern}.",
        hint="The next run looks again." if counted else "Correct source: folder: pattern: if one should.",
    )


def _copy(path: Path, one: Seen, place: Folder, request: Request) -> Snapshot:
    why = "changed while it was read"
    try:
        if in_cloud_only(path.stat()):
            why = "lies in the cloud only"
        else:
            with path.open("rb") as reader, Writer(request.work, one.name, request.prefix) as writer:
                while chunk := reader.read(CHUNK_BYTES):
                    writer.write(chunk)
                    request.progress(Progress(one.name, writer.size, one.size))
                if _seen(path) == one and writer.size == one.size:
                    return writer.done()
    except FileNotFoundError:
        why = "vanished before it was read"
    except OSError as error:
        why = f"could not be read: {error.strerror}"
    except SourceInvalid:
        _quarantine(place, request, one)
        raise
    raise SourceFailed(
        f"The source {one.name} {why}.",
        hint="Try again when it is complete, on this machine and open nowhere else.",
    )


def _quarantine(place: Folder, request: Request, one: Seen) -> None:
    """An empty file cannot be read at all: it must not stand in the way of the next one."""
    if request.moves:
        with suppress(SourceFailed):
            settle(place, request, {"files": [asdict(one)]}, "failed")


def _prefixes(prefix: str, count: int) -> list[str]:
    return [prefix] if count == 1 else [f"{prefix}-{number}" for number in range(1, count + 1)]


def _sentence(why: str, count: int) -> str:
    return f"{count} {'files' if count > 1 else 'file'} in the folder: {why}."


def _released(position: Mapping[str, Any]) -> list[Seen]:
    """Every file of a release's position, each once."""
    return sorted({*_files(position, "files"), *_files(position, "earlier")})


def _files(position: Mapping[str, Any], part: str) -> list[Seen]:
    return [Seen(**one) for one in position.get(part, ())]
