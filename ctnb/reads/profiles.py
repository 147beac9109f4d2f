"""What became of the cells of each column, and what those that failed look like, masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctnb.contracts.columns import Column
from ctnb.reads.accounts import ColumnCount, ShapeCount
from ctnb.reads.checks import Check
from ctnb.values import quote_name, shape

if TYPE_CHECKING:
    import duckdb

SHAPE_CELLS = 5
"""A shape is told where so many cells have it: one that a single cell has may say whose it is."""
SHAPES = 3
"""How many shapes of one column and rule are told."""
MASKED_FORMS = 500
"""How many of the commonest masked texts are looked at for them."""


def profile(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], checks: Sequence[Check]
) -> tuple[ColumnCount, ...]:
    """The counts of each column over the tables `typed` and `failing`."""
    filled = ", ".join(f"count({quote_name('r_' + column.name)})" for column in columns)
    total, *there = connection.execute(f"SELECT count(*), {filled} FROM typed").fetchall()[0]
    parts = [part for column in columns for part in _failures(column, checks)]
    _, *found = connection.execute(f"SELECT count(*), {', '.join(parts)} FROM failing").fetchall()[0]
    made = []
    for place, column in enumerate(columns):
        failed, with_text, nulled = found[3 * place : 3 * place + 3]
        made.append(
            ColumnCount(
                column.name, column.type, there[place] - with_text, total - there[place], failed, nulled
            )
        )
    return tuple(made)


def shapes(connection: duckdb.DuckDBPyConnection, checks: Sequence[Check]) -> tuple[ShapeCount, ...]:
    """For each rule over one cell the commonest shapes of the cells that break it, as far as they are common."""
    made: list[ShapeCount] = []
    for place, check in enumerate(checks):
        if not check.cell or check.rule == "required":
            continue
        found: Counter[str] = Counter()
        for text, cells in connection.execute(_masked(check.column, place)).fetchall():
            found[shape(text)] += cells
        common = sorted(((-cells, told) for told, cells in found.items() if cells >= SHAPE_CELLS))[:SHAPES]
        made += [ShapeCount(check.column, check.rule, told, -cells) for cells, told in common]
    return tuple(made)


def _failures(column: Column, checks: Sequence[Check]) -> list[str]:
    """SQL over `failing`: cells of `column` that fail, those of them with a text, and those that became empty."""
    mine = [
        (f"f{n}", check.nulls) for n, check in enumerate(checks) if check.cell and check.column == column.name
    ]
    if not mine:
        return ["0", "0", "0"]
    any_of = " OR ".join(flag for flag, _ in mine)
    nulls = " OR ".join(flag for flag, nulled in mine if nulled) or "false"
    empty = quote_name("e_" + column.name)
    tests = (any_of, f"({any_of}) AND NOT {empty}", f"({nulls}) AND NOT _bad")
    return [f"count(*) FILTER (WHERE {test})" for test in tests]


def _masked(name: str, place: int) -> str:
    """A query for the masked texts of the cells of column `name` that break check `place`, with their counts."""
    text = f"substr({quote_name('r_' + name)}, 1, 64)"
    for letters, mark in (("[A-ZÀ-Þ]", "A"), ("[a-zà-ÿ]", "a"), (r"\d", "9")):
        text = f"regexp_replace({text}, '{letters}', '{mark}', 'g')"
    return (
        f"SELECT {text} AS masked, count(*) FROM typed JOIN failing USING (_file, _row) "
        f"WHERE f{place} AND masked IS NOT NULL GROUP BY masked ORDER BY count(*) DESC, masked LIMIT {MASKED_FORMS}"
    )
