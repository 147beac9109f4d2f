"""What a run set aside or emptied: its counts from the record, its originals from the private work folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ctnb.errors import UsageError
from ctnb.reads import exports, lines, tellings
from ctnb.records import ReadFacts, RunRecord
from ctnb.settings import Project

Row = tuple[str, int, str, str, str]
"""File, row number, column, rule, and what became of it."""


@dataclass(frozen=True)
class Rejections:
    """What did not fit in one run."""

    run: str
    read: ReadFacts
    """What the record says of the reading."""
    path: Path | None
    """The private file with the originals; None when it is gone, or there never was one."""

    @property
    def counts(self) -> list[tuple[str, str, str, int, str]]:
        """Column, rule, what became of them, how many, and their share of the rows read."""
        whole = self.read.rows_read
        found = [(one.column, one.rule, "rows set aside", one.rows) for one in self.read.rejects]
        found += [(one.column, one.rule, "cells emptied", one.cells) for one in self.read.nulled]
        return [(*one, tellings.share(one[-1], whole)) for one in found]


def of_run(project: Project, record: RunRecord) -> Rejections:
    """What did not fit in the run of `record`. Raises UsageError when it did not read."""
    if record.read is None:
        raise UsageError(f"Run {record.run} did not read.", hint="See: ctnb runs show RUN")
    path = project.root / ".ctnb" / "work" / record.run / "read" / lines.REJECTS
    return Rejections(record.run, record.read, path if path.is_file() else None)


def rows(found: Rejections) -> list[Row]:
    """Each line of the private file, without a cell. Raises UsageError when the file is gone, RecordBroken."""
    return [(one.file, one.row, one.column, one.rule, one.done) for one in lines.load_lines(_path(found))]


def write(project: Project, found: Rejections, target: str) -> int:
    """
    Write the originals into the new CSV file `target`, and return how many records there are.

    Raises UsageError when they are gone, or `target` may not be written; see `exports.write_originals`.
    """
    return exports.write_originals(_path(found), Path(target), never_below=project.runs)


def _path(found: Rejections) -> Path:
    if found.path is None:
        why = "The originals are gone" if found.counts else "There are no originals: everything fitted"
        raise UsageError(f"{why} in run {found.run}.", hint="Run the dataset again to have them anew.")
    return found.path
