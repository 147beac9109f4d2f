"""
Records on their way to a portal: batches on disk before anything is done with them, gone when the portal confirmed.

One file of JSON lines per batch, readable by its owner only, delivered in the order of their numbers. Beside a batch
stands the run that began to deliver it, so that a kill in between is gone on with and not begun again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb import documents
from ctnb.settings import Project


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
        """What is to be done with the records: action, portal, reason, how many lines were refused before."""
        with self.path.open(encoding="utf-8") as stream:
            return dict(json.loads(stream.readline()))

    def records(self) -> list[dict[str, Any]]:
        """The records."""
        lines = self.path.read_text(encoding="utf-8").splitlines()[1:]
        return [json.loads(line) for line in lines]

    @property
    def run(self) -> str | None:
        """The run that began to deliver it."""
        path = self.path.with_suffix(".run")
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def begun(self, run: str) -> None:
        """Write down which run delivers it, before it sends anything."""
        documents.write_text(self.path.with_suffix(".run"), run, mode=0o600)

    def remove(self) -> None:
        """The portal confirmed it: the records first, so that no note of a run stands beside another batch."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".run").unlink(missing_ok=True)

    def set_aside(self) -> None:
        """None of it fits the contract: kept, and never tried again."""
        place = self.path.parent / "refused"
        place.mkdir(mode=0o700, exist_ok=True)
        self.path.replace(place / self.path.name)
        self.path.with_suffix(".run").unlink(missing_ok=True)


def folder(project: Project, slug: str) -> Path:
    """Where the batches of a dataset lie."""
    return project.private_folder("spool", slug)


def waiting(project: Project, slug: str) -> list[Batch]:
    """The batches of a dataset that no portal has confirmed, in their order."""
    place = folder(project, slug)
    for note in place.glob("*.run"):  # of a batch that was removed when a kill came
        if not note.with_suffix(".jsonl").exists():
            note.unlink()
    return [Batch(path) for path in sorted(place.glob("*.jsonl"))]


def add(project: Project, slug: str, head: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> Batch:
    """Put a batch on disk behind the others; it is there when this returns."""
    last = waiting(project, slug)
    refused = [Batch(path) for path in sorted((folder(project, slug) / "refused").glob("*.jsonl"))]
    number = max((one.number for one in (*last, *refused)), default=0) + 1
    path = folder(project, slug) / f"{number:08}.jsonl"
    lines = [json.dumps(one, ensure_ascii=False) for one in (head, *records)]
    documents.write_text(path, "\n".join(lines) + "\n", mode=0o600)
    return Batch(path)


def set_aside(project: Project, slug: str, refused: Sequence[Mapping[str, Any]]) -> None:
    """Keep lines that are no record of the contract, with their reasons; on disk when this returns."""
    if not refused:
        return
    path = folder(project, slug) / "refused.lines"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as stream:
        for one in refused:
            stream.write(json.dumps(one, ensure_ascii=False).encode("utf-8") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
