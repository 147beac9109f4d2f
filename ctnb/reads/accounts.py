"""What a reading gave: the table, the counts, and where every row went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ctnb.drift.headers import HeaderChange
from ctnb.places.fetching import Gathered
from ctnb.tables import Table


@dataclass(frozen=True)
class RejectCount:
    """How many rows one rule set aside because of one column."""

    column: str
    """The contract's name of the column, or of several; empty where the rule is about the whole record."""
    rule: str
    """The rule, e.g. type date, required."""
    rows: int
    """How many rows."""


@dataclass(frozen=True)
class NulledCount:
    """How many cells of one column became empty because of one rule, in rows that go on."""

    column: str
    """The contract's name of the column."""
    rule: str
    """The rule, e.g. type date."""
    cells: int
    """How many cells."""


@dataclass(frozen=True)
class ShapeCount:
    """How many cells of one column that break one rule have one masked shape."""

    column: str
    """The contract's name of the column."""
    rule: str
    """The rule."""
    shape: str
    """Digits as 9, letters as a and A; see `ctnb.values.shape`."""
    cells: int
    """How many cells: five or more."""


@dataclass(frozen=True)
class JoinCount:
    """How many rows found their key in one lookup."""

    name: str
    """What the contract calls the lookup."""
    matched: int
    """Rows with a match."""
    unmatched: int
    """Rows without."""


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
    nulled: int = 0
    """Those of the failed cells that became empty while their row goes on."""


@dataclass(frozen=True)
class Reading:
    """What reading a source gave."""

    table: Table
    gathered: Gathered
    """The files it was read from."""
    encoding: str
    """How the source's text was encoded; of several files each way once."""
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
    nulled: tuple[NulledCount, ...] = ()
    """Cells that became empty under the contract's policy, by column and rule; a cell may stand in several."""
    joins: tuple[JoinCount, ...] = ()
    """What became of each lookup."""
    shapes: tuple[ShapeCount, ...] = ()
    """What the commonest cells that failed look like, masked."""
    notes: tuple[str, ...] = ()
    """What a person should know of the source."""
    drift: tuple[HeaderChange, ...] = ()
    """How the source's header is not the contract's, and what became of that."""


def account_sentence(kept: int, rejected: int, left_out: Mapping[str, int]) -> str:
    """Where every row that was read went, as one line."""
    parts = [
        f"{kept:,} kept",
        f"{rejected:,} rejected",
        *(f"{rows:,} {rule}" for rule, rows in left_out.items()),
    ]
    return f"{kept + rejected + sum(left_out.values()):,} rows read = {' + '.join(parts)}"
