"""What a reading tells a person in the executed notebook: names, counts and masked shapes, never a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ctnb.reads.accounts import Reading

Told = tuple[str, Sequence[str], Sequence[Sequence[object]]]
"""A title, a header and rows."""


def columns_told(reading: Reading) -> Iterator[Told]:
    """What became of the cells of each column, of each lookup, and what there is to know of the source."""
    rows = [
        [one.name, one.type, one.converted, one.empty, one.failed, one.nulled, _why(reading, one.name)]
        for one in reading.columns
    ]
    yield (
        "Cells by column",
        ["column", "type", "converted", "empty", "failed", "emptied", "failed by rule"],
        rows,
    )
    if reading.joins:
        yield (
            "Lookups",
            ["lookup", "rows with a match", "without"],
            [[one.name, one.matched, one.unmatched] for one in reading.joins],
        )
    if reading.notes:
        yield "To know of the source", [""], [[note] for note in reading.notes]


def rejects_told(reading: Reading, project: Path) -> Iterator[Told]:
    """How many rows go on and how many not, why, and where in `project` the originals lie."""
    whole = reading.rows_read
    rows = [
        [one.column or "(the record)", one.rule, "rows set aside", one.rows, share(one.rows, whole)]
        for one in reading.rejects
    ]
    rows += [
        [one.column, one.rule, "cells emptied", one.cells, share(one.cells, whole)] for one in reading.nulled
    ]
    left = sum(reading.left_out.values())
    beside = f", {left:,} left out by a named rule" if left else ""
    title = f"{reading.rows_rejected:,} rows rejected{beside}; {reading.table.rows:,} rows go on"
    yield title, ["column", "rule", "what became of them", "count", "share"], rows
    if reading.rejects_path:
        place = _below(reading.rejects_path, project)
        yield f"The originals are private and lie in {place}", [], []


def share(part: int, whole: int) -> str:
    """`part` of `whole` as a percentage."""
    return f"{part / whole:.2%}" if whole else ""


def _why(reading: Reading, column: str) -> str:
    """The rules that cells of `column` break, with the commonest masked shapes."""
    counts: dict[str, int] = {}
    for rejected in reading.rejects:
        if rejected.column == column:
            counts[rejected.rule] = rejected.rows
    for nulled in reading.nulled:
        if nulled.column == column:
            counts[nulled.rule] = counts.get(nulled.rule, 0) + nulled.cells
    parts = []
    for rule, count in counts.items():
        mine = [one for one in reading.shapes if (one.column, one.rule) == (column, rule)]
        like = ", ".join(f"{one.shape!r} {one.cells:,}" for one in mine)
        parts.append(f"{rule} {count:,}{f' (like {like})' if like else ''}")
    return "; ".join(parts)


def _below(path: Path, project: Path) -> str:
    """`path` as seen from the project, so that no name of a person's folder is told."""
    try:
        return path.resolve().relative_to(project.resolve()).as_posix()
    except ValueError:
        return path.name
