"""
Small cells of an aggregate: counts from 1 to the policy's `small_cell` (Connecticut: 5 or fewer; zeros stay).

Whether suppressed cells can be worked out from totals or other tables is not asked here: a finding says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from ctnb.contracts.columns import Column
from ctnb.privacy.findings import Answer, Case, Finding, counted
from ctnb.tables import SUPPRESSED
from ctnb.values import quote_name

_NUMBERS = ("integer", "number", "money", "percent")


@dataclass(frozen=True)
class Cells:
    """What stands in the count column of an aggregate."""

    rows: int
    small: int
    """Shown counts from just above 0 to the policy's small_cell, and negative ones: they count nobody."""
    zeros: int
    suppressed: int
    """Blank and marked."""
    bare: int
    """Marked, but not blank."""
    unmarked: int
    """Blank, but not marked."""


def cells(case: Case, count: str) -> Cells:
    """What stands in the column `count` of the table."""
    value, mark = quote_name(count), _mark(case, count)
    return Cells(
        *case.numbers(
            f"SELECT count(*), count(*) FILTER ({_small(value)}), count(*) FILTER ({value} = 0),"
            f" count(*) FILTER ({value} IS NULL AND {mark}), count(*) FILTER ({value} IS NOT NULL AND {mark}),"
            f" count(*) FILTER ({value} IS NULL AND NOT {mark}) FROM data",
            [case.policy.small_cell],
        )
    )


def ask_no_count(case: Case) -> Answer:
    """Whether an aggregate names a count column that is there and holds numbers."""
    if case.unit != "group":
        return Answer(skipped=_not_group(case))
    column, number = case.column(case.count_column), len(case.table.columns)
    if column is not None and column.type in _NUMBERS:
        return Answer(examined=number)
    what = (
        f"The count column {column.name} does not hold numbers"
        if column
        else "The contract names a count column that is not in the table"
        if case.count_column
        else "One row is a group, and no column is named that counts its people"
    )
    named = [column.name] if column else []
    return Answer((case.finding("no-count", named, 1, number, f"{what}."),), number)


def ask_small_cell(case: Case) -> Answer:
    """Whether counts from 1 to the policy's small_cell are shown."""
    if (count := _count(case)) is None:
        return Answer(skipped=_why_not(case))
    found, most = cells(case, count), case.policy.small_cell
    if not found.small:
        return Answer(examined=found.rows)
    text = (
        f"{count} shows {counted(found.small, 'cell')} of {found.rows:,} from 1 to {most}; "
        f"{counted(found.zeros, 'zero')} may stay."
    )
    finding = case.finding(
        "small-cell", [count], found.small, found.rows, text,
        small_cell=most, zeros=found.zeros, suppressed=found.suppressed,
    )  # fmt: skip
    return Answer((finding,), found.rows)


def ask_bare_suppressed(case: Case) -> Answer:
    """Whether a cell of any column is marked as suppressed and still shown."""
    marked = [column.name for column in case.table.columns if _flag(case, column.name)]
    if not marked:
        return Answer(skipped="no column has marks of suppression")
    made = [_bare(case, name) for name in marked]
    return Answer(tuple(finding for finding in made if finding), case.table.rows * len(marked))


def ask_unmarked_blank(case: Case) -> Answer:
    """Whether the count column has blanks that are not marked as suppressed."""
    if (count := _count(case)) is None:
        return Answer(skipped=_why_not(case))
    found = cells(case, count)
    if not found.unmarked:
        return Answer(examined=found.rows)
    text = f"{count} is blank in {found.unmarked:,} of {counted(found.rows, 'row')} without a mark."
    finding = case.finding("unmarked-blank", [count], found.unmarked, found.rows, text)
    return Answer((finding,), found.rows)


def ask_small_measure(case: Case) -> Answer:
    """Whether other whole-number measures of an aggregate have small cells."""
    if case.unit != "group":
        return Answer(skipped=_not_group(case))
    others = [column.name for column in _measures(case) if column.type == "integer"]
    if not others:
        return Answer(skipped="no other measure holds whole numbers")
    made = [_small_measure(case, name) for name in others]
    return Answer(tuple(finding for finding in made if finding), case.table.rows * len(others))


def ask_measure_beside(case: Case) -> Answer:
    """Whether another measure is shown where the count is suppressed."""
    if (count := _count(case)) is None:
        return Answer(skipped=_why_not(case))
    others = [column.name for column in _measures(case)]
    suppressed = cells(case, count).suppressed
    if not others or not suppressed:
        return Answer(skipped="no cell is suppressed" if others else "there is no other measure")
    made = [_beside(case, count, name, suppressed) for name in others]
    return Answer(tuple(finding for finding in made if finding), suppressed * len(others))


def ask_complementary(case: Case) -> Answer:
    """Whether cells are suppressed: nobody has yet checked that they cannot be worked out."""
    if (count := _count(case)) is None:
        return Answer(skipped=_why_not(case))
    found = cells(case, count)
    if not found.suppressed:
        return Answer(examined=found.rows)
    text = (
        f"{count} has {counted(found.suppressed, 'suppressed cell')} of {found.rows:,}; "
        "complementary suppression was not checked."
    )
    finding = case.finding(
        "complementary-unchecked", [count], found.suppressed, found.rows, text, zeros=found.zeros
    )
    return Answer((finding,), found.rows)


def _bare(case: Case, name: str) -> Finding | None:
    value, mark = quote_name(name), _mark(case, name)
    bare, marked = case.numbers(
        f"SELECT count(*) FILTER ({mark} AND {value} IS NOT NULL), count(*) FILTER ({mark}) FROM data"
    )
    if not bare:
        return None
    text = f"{name} still shows {bare:,} of {counted(marked, 'cell')} marked as suppressed."
    return case.finding("bare-suppressed", [name], bare, marked, text)


def _small_measure(case: Case, name: str) -> Finding | None:
    small, rows = case.numbers(
        f"SELECT count(*) FILTER ({_small(quote_name(name))}), count(*) FROM data", [case.policy.small_cell]
    )
    if not small:
        return None
    text = f"{name} shows {counted(small, 'cell')} of {rows:,} from 1 to {case.policy.small_cell}."
    return case.finding("small-measure", [name], small, rows, text, small_cell=case.policy.small_cell)


def _beside(case: Case, count: str, name: str, suppressed: int) -> Finding | None:
    (shown,) = case.numbers(
        f"SELECT count(*) FROM data WHERE {quote_name(count)} IS NULL AND {_mark(case, count)}"
        f" AND {quote_name(name)} IS NOT NULL"
    )
    if not shown:
        return None
    text = f"{name} is shown beside {shown:,} of {counted(suppressed, 'suppressed cell')} of {count}."
    return case.finding("measure-beside-suppressed", [name, count], shown, suppressed, text)


def _measures(case: Case) -> list[Column]:
    """The measures other than the count column."""
    return [c for c in case.table.columns if c.role == "measure" and c.name != case.count_column]


def _count(case: Case) -> str | None:
    """The name of the count column of an aggregate, where there is one to ask about."""
    column = case.column(case.count_column) if case.unit == "group" else None
    return column.name if column and column.type in _NUMBERS else None


def _why_not(case: Case) -> str:
    return _not_group(case) if case.unit != "group" else "no column counts people: see no-count"


def _not_group(case: Case) -> str:
    return "the unit is not declared" if case.unit is None else f"one row is not a group (unit: {case.unit})"


def _small(value: str) -> str:
    return f"{value} < 0 OR ({value} > 0 AND {value} <= $1)"


def _flag(case: Case, name: str) -> bool:
    column = case.column(name + SUPPRESSED)
    return column is not None and column.type == "boolean"


def _mark(case: Case, name: str) -> str:
    """SQL that is true where the cell of column `name` is marked as suppressed, and never null."""
    return f"coalesce({quote_name(name + SUPPRESSED)}, false)" if _flag(case, name) else "false"
