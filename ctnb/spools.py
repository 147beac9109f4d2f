"""
Records on their way to a portal: batches on disk before anything is done with them, gone when the portal confirmed.

One file of JSON lines per batch, readable by its owner only, delivered in the order of their numbers, which are never
given twice. Beside a batch stands the run that began to deliver it, so that a kill in between is gone on with and not
begun again, and why it is held, where it is. `receipts.jsonl` says what became of each batch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb import clock, documents
from ctnb.locks import hold
from ctnb.settings import Project

ASIDE, DISCARDED = "refused", "discarded"
"""Folders of batches of which nothing fits the contract, and of those that somebody gave up."""
_LINES, _RECEIPTS, _LAST = "refused.lines", "receipts.jsonl", "last"


@dataclass(frozen=True)
class Began:
    """Who began to deliver a batch."""

    run: str
    base: str
    """The newest release then, to which the records were added; empty when that is not known."""


@dataclass(frozen=True)
class Batch:
    """Some records, on disk."""

    path: Path
    """Its JSON lines: a head, then the records."""

    @property
    def number(self) -> int:
        """Its place in the order of delivery."""
        return int(self.path.stem)

    @property
    def head(self) -> Mapping[str, Any]:
        """What is to be done with the records: action, portal, reason, since when."""
        with self.path.open(encoding="utf-8", newline="\n") as stream:
            return dict(json.loads(stream.readline()))

    def records(self) -> list[dict[str, Any]]:
        """The records."""
        text = self.path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n")[1:] if line]

    def count(self) -> int:
        """How many records it has."""
        with self.path.open("rb") as stream:
            return sum(1 for _ in stream) - 1

    @property
    def began(self) -> Began | None:
        """The run that began to deliver it."""
        path = self._beside("run")
        if not path.is_file():
            return None
        run, _, base = path.read_text(encoding="utf-8").partition(" ")
        return Began(run, base)

    def begun(self, run: str, base: str) -> None:
        """Write down which run delivers it on top of the release `base`, before it sends anything."""
        documents.write_text(self._beside("run"), f"{run} {base}", mode=0o600)

    @property
    def held(self) -> Mapping[str, Any]:
        """Why it was not confirmed when it was last tried; empty when it was not tried yet."""
        path = self._beside("held")
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def hold(self, facts: Mapping[str, Any]) -> None:
        """Write down why it was not confirmed."""
        documents.write_text(self._beside("held"), json.dumps(facts), mode=0o600)

    def remove(self) -> None:
        """The portal confirmed it: the records first, so that no note of a run stands beside another batch."""
        self.path.unlink(missing_ok=True)
        self._forget()

    def set_aside(self, folder: str = ASIDE) -> Path:
        """Keep it in `folder`, where it is never tried again; returns where it is."""
        place = self.path.parent / folder
        place.mkdir(mode=0o700, exist_ok=True)
        moved = self.path.replace(place / self.path.name)
        self._forget()
        return moved

    def _beside(self, kind: str) -> Path:
        return self.path.with_suffix(f".{kind}")

    def _forget(self) -> None:
        for kind in ("run", "held"):
            self._beside(kind).unlink(missing_ok=True)


def folder(project: Project, slug: str) -> Path:
    """Where the batches of a dataset lie."""
    return project.private_folder("spool", slug)


def waiting(project: Project, slug: str) -> list[Batch]:
    """The batches of a dataset that no portal has confirmed, in their order."""
    place = folder(project, slug)
    for note in (*place.glob("*.run"), *place.glob("*.held")):  # of a batch that was removed when a kill came
        if not note.with_suffix(".jsonl").exists():
            note.unlink(missing_ok=True)
    return [Batch(path) for path in sorted(place.glob("[0-9]*.jsonl"))]


def waiting_bytes(project: Project, slug: str) -> int:
    """Bytes of the batches that wait."""
    sizes = 0
    for batch in waiting(project, slug):
        try:
            sizes += batch.path.stat().st_size
        except FileNotFoundError:  # another push has just confirmed it
            continue
    return sizes


def kept(project: Project, slug: str, name: str) -> list[Batch]:
    """The batches that were set aside in the folder `name`."""
    return [Batch(path) for path in sorted((folder(project, slug) / name).glob("[0-9]*.jsonl"))]


def add(project: Project, slug: str, head: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> Batch:
    """Put a batch on disk behind the others, whoever else does so meanwhile; it is there when this returns."""
    place = folder(project, slug)
    lines = [json.dumps(one, ensure_ascii=False) for one in ({**head, "at": clock.stamp()}, *records)]
    with _numbering(project, slug):
        path = place / f"{_last(project, slug) + 1:08}.jsonl"
        documents.write_text(path, "\n".join(lines) + "\n", mode=0o600)
        documents.write_text(place / _LAST, path.stem, mode=0o600)
    return Batch(path)


@contextmanager
def _numbering(project: Project, slug: str) -> Iterator[None]:
    with hold(project.private_folder("locks") / f"spool-{slug}.lock"):
        yield


def _last(project: Project, slug: str) -> int:
    """The highest number that was ever given."""
    place = folder(project, slug)
    noted = place / _LAST
    numbers = [int(noted.read_text(encoding="utf-8"))] if noted.is_file() else []
    found = [
        *waiting(project, slug),
        *(one for name in (ASIDE, DISCARDED) for one in kept(project, slug, name)),
    ]
    return max([*numbers, *(one.number for one in found)], default=0)


def set_aside(project: Project, slug: str, refused: Sequence[Mapping[str, Any]]) -> None:
    """Keep lines that are no record of the contract, with their reasons; on disk when this returns."""
    _append(folder(project, slug) / _LINES, refused)


def refused_lines(project: Project, slug: str) -> tuple[Path, int]:
    """Where the lines that are no records are kept, and how many there are."""
    path = folder(project, slug) / _LINES
    if not path.is_file():
        return path, 0
    with path.open("rb") as stream:
        return path, sum(1 for _ in stream)


def note(project: Project, slug: str, receipt: Mapping[str, Any]) -> None:
    """Write down what became of a batch, before it is removed or set aside."""
    _append(folder(project, slug) / _RECEIPTS, [receipt])


def receipts(project: Project, slug: str) -> dict[int, dict[str, Any]]:
    """What became of each batch that waits no longer, by its number; a line that a kill tore is left out."""
    path, found = folder(project, slug) / _RECEIPTS, {}
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        try:
            told = json.loads(line)
            found[int(told["batch"])] = told
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _append(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add `lines` to a file that only its owner reads; on disk when this returns."""
    text = "".join(json.dumps(one) + "\n" for one in lines)
    if not text:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as stream:
        torn = stream.tell() and not _ends_a_line(path)
        stream.write((b"\n" if torn else b"") + text.encode())
        stream.flush()
        os.fsync(stream.fileno())


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
