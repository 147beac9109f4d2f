"""
Re-identification risk over the declared quasi-identifiers of a table of people.

A null is a value of its own: two blanks are alike, a blank and a value are not. Values count as they are
written ("White" and "WHITE" differ); that can only make classes smaller, never hide a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctnb.privacy.findings import Answer, Case, Finding, counted, listed
from ctnb.values import quote_name


@dataclass(frozen=True)
class Classes:
    """The equivalence classes of a table: rows alike in every quasi-identifier."""

    rows: int
    """Rows in all classes."""
    classes: int
    """How many there are."""
    k: int
    """Rows of the smallest; 0 for an empty table."""
    unique_rows: int
    """Rows alone in their class."""
    small_classes: int
    """Classes below the policy's smallest."""
    rows_in_small_classes: int


@dataclass(frozen=True)
class OneValue:
    """Classes whose rows all share one value of a sensitive column."""

    classes: int
    """All classes."""
    alike_classes: int
    """Classes with one distinct value, a null being a value of its own."""
    alike_rows: int
    """Rows in them."""
    rows: int


def classes(case: Case, quasi: Sequence[str]) -> Classes:
    """
    The sizes of the equivalence classes of the table over the columns `quasi`.

    Raises ArithmeticError when the classes do not hold every row of the table.
    """
    rows, number, k, unique, small, in_small = case.numbers(
        "SELECT sum(n), count(*), min(n), sum(n) FILTER (n = 1), count(*) FILTER (n < $1),"
        f" sum(n) FILTER (n < $1) FROM (SELECT count(*) AS n FROM data GROUP BY {_names(quasi)})",
        [case.policy.smallest_class],
    )
    _check_rows(case, rows)
    return Classes(rows, number, k, unique, small, in_small)


def one_value(case: Case, quasi: Sequence[str], sensitive: str) -> OneValue:
    """
    How many classes over `quasi` share one value of the column `sensitive`.

    Raises ArithmeticError when the classes do not hold every row of the table.
    """
    value = quote_name(sensitive)
    alike = f"count({value}) = 0 OR (count({value}) = count(*) AND min({value}) = max({value}))"
    found = OneValue(
        *case.numbers(
            "SELECT count(*), count(*) FILTER (alike), sum(n) FILTER (alike), sum(n) FROM"
            f" (SELECT count(*) AS n, {alike} AS alike FROM data GROUP BY {_names(quasi)})"
        )
    )
    _check_rows(case, found.rows)
    return found


def ask_small_class(case: Case) -> Answer:
    """Whether each class of people has at least the policy's smallest size."""
    quasi, skipped = case.with_role("quasi"), _not_asked(case)
    if skipped:
        return Answer(skipped=skipped)
    found = classes(case, quasi)
    if not found.small_classes:
        return Answer(examined=found.rows)
    return Answer((_small_class(case, quasi, found),), found.rows)


def ask_no_quasi(case: Case) -> Answer:
    """Whether a table of people declares quasi-identifiers."""
    if case.unit != "person":
        return Answer(skipped=_not_people(case))
    number = len(case.table.columns)
    if case.with_role("quasi"):
        return Answer(examined=number)
    text = f"One row is a person, and none of the {counted(number, 'column')} is a quasi-identifier."
    return Answer((case.finding("no-quasi", (), number, number, text),), number)


def ask_one_value(case: Case) -> Answer:
    """Whether classes of people share one value of a sensitive column."""
    quasi, sensitive, skipped = case.with_role("quasi"), case.with_role("sensitive"), _not_asked(case)
    if skipped or not sensitive:
        return Answer(skipped=skipped or "no column is sensitive")
    made = [_one_value(case, name, one_value(case, quasi, name)) for name in sensitive]
    return Answer(tuple(finding for finding in made if finding), case.table.rows * len(sensitive))


def _small_class(case: Case, quasi: Sequence[str], found: Classes) -> Finding:
    text = (
        f"Over {listed(quasi)} the smallest class has {counted(found.k, 'row')} (k = {found.k}); "
        f"{found.unique_rows:,} of {counted(found.rows, 'row')} are unique and "
        f"{found.rows_in_small_classes:,} stand in classes below {case.policy.smallest_class}."
    )
    return case.finding(
        "small-class", quasi, found.rows_in_small_classes, found.rows, text, k=found.k,
        unique_rows=found.unique_rows, rows_in_small_classes=found.rows_in_small_classes,
        small_classes=found.small_classes, classes=found.classes, smallest_class=case.policy.smallest_class,
    )  # fmt: skip


def _one_value(case: Case, name: str, found: OneValue) -> Finding | None:
    if not found.alike_classes:
        return None
    text = (
        f"In {found.alike_classes:,} of {found.classes:,} classes all rows share one value of "
        f"{name}: {found.alike_rows:,} of {counted(found.rows, 'row')}."
    )
    if found.classes == 1:
        text = f"All {counted(found.rows, 'row')} are one class, and share one value of {name}."
    return case.finding(
        "one-value", [name], found.alike_rows, found.rows, text,
        alike_classes=found.alike_classes, classes=found.classes, alike_rows=found.alike_rows,
    )  # fmt: skip


def _not_asked(case: Case) -> str:
    """Why class sizes are not asked about; empty when they are."""
    if case.unit != "person":
        return _not_people(case)
    if not case.with_role("quasi"):
        return "no column is a quasi-identifier"
    return "" if case.table.rows else "the table has no rows"


def _not_people(case: Case) -> str:
    return "the unit is not declared" if case.unit is None else f"one row is not a person (unit: {case.unit})"


def _check_rows(case: Case, rows: int) -> None:
    if rows != case.table.rows:
        raise ArithmeticError("the classes do not hold every row")


def _names(columns: Sequence[str]) -> str:
    return ", ".join(quote_name(name) for name in columns)
