"""What a reading gave: the table, the counts, and where every row went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ctnb.places.fetching import Gathered
from ctnb.tables import Table


@dataclass(frozen=True)
class RejectCount:
    """How many rows one rule set aside because of one column."""

    column: str
    """The contract's name of the column; empty where the whole record does not fit."""
    rule: str
    """The rule, e.g. type date, required."""
    rows: int
    """How many rows."""


@dataclass(frozen=True)
class ColumnCount:
    """What became of the cells of one column, over all rows whose width fits."""

    name: str
    type: str
    converted: int
    """Cells with a value of the contract's type."""
    empty: int
    """Empty cells."""
    failed: int
    """Cells that could not be typed or break a constraint."""


@dataclass(frozen=True)
class Reading:
    """What reading a source gave."""

    table: Table
    gathered: Gathered
    """The files it was read from."""
    encoding: str
    """How the source's text was encoded."""
    rows_read: int
    """Records in the source, the header not counted."""
    rows_rejected: int
    """Records set aside; each counts once however many rules it breaks."""
    rejects: tuple[RejectCount, ...]
    """Why, by column and rule; a row may stand in several."""
    left_out: Mapping[str, int]
    """Records left out by a named rule of the kind of source, by rule."""
    columns: tuple[ColumnCount, ...]
    """What became of each column's cells."""
    rejects_path: Path | None
    """The private file with the originals; None when there are none."""


def account_sentence(kept: int, rejected: int, left_out: Mapping[str, int]) -> str:
    """Where every row that was read went, as one line."""
    parts = [
        f"{kept:,} kept",
        f"{rejected:,} rejected",
        *(f"{rows:,} {rule}" for rule, rows in left_out.items()),
    ]
    return f"{kept + rejected + sum(left_out.values()):,} rows read = {' + '.join(parts)}"
