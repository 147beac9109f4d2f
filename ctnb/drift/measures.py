"""
The rows of a table against those of the last release: empty cells, new categories, shifted distributions.

Everything is counted in DuckDB, in which the tables are called `base` (the last release) and `data` (the one to
be published); what comes out is counts and numbers, never a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctnb.contracts.columns import NUMERIC, Column
from ctnb.values import quote_name

if TYPE_CHECKING:
    import duckdb

QUANTILES = tuple(tenth / 10 for tenth in range(1, 10))
CATEGORIES = 19
"""So many of the commonest categories have a bin of their own; all others share one."""

CATEGORICAL = frozenset(["text", "code", "boolean"])
CHANCE_Z = 3.090
"""The standard normal quantile of 0.999: one column in a thousand seems shifted by chance."""


@dataclass(frozen=True)
class Empty:
    """The empty cells of one column, then and now."""

    before: int
    rows_before: int
    now: int
    rows_now: int

    @property
    def points(self) -> float:
        """By how many percentage points their share moved; 0 where a table has no rows."""
        if not self.rows_before or not self.rows_now:
            return 0.0
        return 100 * (self.now / self.rows_now - self.before / self.rows_before)


@dataclass(frozen=True)
class Categories:
    """The categories of one column that the last release did not have."""

    new: int
    of: int
    """How many categories there are now."""
    rows: int
    """Rows in the new ones."""


@dataclass(frozen=True)
class Shift:
    """How otherwise the values of one column are spread."""

    index: float
    """The population stability index."""
    chance: float
    """What it may well come to by chance, for so many bins and cells."""
    before: tuple[int, ...]
    """Cells per bin in the last release."""
    now: tuple[int, ...]
    """Cells per bin in the table to be published."""


def empty_cells(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> dict[str, Empty]:
    """The empty cells of each of `columns`, which both tables have."""
    if not columns:
        return {}
    counts = ", ".join(f"count({quote_name(column.name)})" for column in columns)
    rows = [
        connection.execute(f"SELECT count(*), {counts} FROM {name}").fetchall()[0]
        for name in ("base", "data")
    ]
    return {
        column.name: Empty(rows[0][0] - rows[0][n], rows[0][0], rows[1][0] - rows[1][n], rows[1][0])
        for n, column in enumerate(columns, 1)
    }


def new_categories(connection: duckdb.DuckDBPyConnection, column: Column) -> Categories:
    """The categories of `column` that stand in `data` and not in `base`."""
    name = quote_name(column.name)
    row = connection.execute(
        f"SELECT count(*), count(*) FILTER (NOT known), coalesce(sum(cells) FILTER (NOT known), 0) FROM ("
        f"SELECT {name} IN (SELECT {name} FROM base WHERE {name} IS NOT NULL) AS known, count(*) AS cells "
        f"FROM data WHERE {name} IS NOT NULL GROUP BY {name})"
    ).fetchall()[0]
    return Categories(int(row[1]), int(row[0]), int(row[2]))


def shift(connection: duckdb.DuckDBPyConnection, column: Column) -> Shift | None:
    """
    The shift of `column` between `base` and `data`; None for a type whose values are not binned, or no cells.

    Numbers are binned by the deciles of `base`, texts by its commonest categories. Dates are not compared: they
    move with time.
    """
    if column.type in NUMERIC:
        bins = _by_deciles(connection, quote_name(column.name))
    elif column.type in CATEGORICAL:
        bins = _by_categories(connection, quote_name(column.name))
    else:
        return None
    before, now = ([bins[side].get(number, 0) for number in _numbers(bins)] for side in (0, 1))
    if not sum(before) or not sum(now):
        return None
    return Shift(stability_index(before, now), by_chance(before, now), tuple(before), tuple(now))


def stability_index(before: Sequence[int], now: Sequence[int]) -> float:
    """
    The population stability index of cells per bin: the sum over bins of (q - p) ln(q / p).

    p and q are the shares of a bin `before` and `now`, each count raised by one half so that an empty bin has a
    logarithm. N. Siddiqi, Credit Risk Scorecards (Wiley 2006), who calls 0.1 a small shift and 0.25 a large one;
    it is H. Jeffreys' symmetric divergence (Proc. R. Soc. A 186, 1946).
    """
    bins, then, there = len(before), sum(before), sum(now)
    shares = [
        ((one + 0.5) / (then + 0.5 * bins), (other + 0.5) / (there + 0.5 * bins))
        for one, other in zip(before, now, strict=True)
    ]
    return sum((q - p) * math.log(q / p) for p, q in shares)


def by_chance(before: Sequence[int], now: Sequence[int]) -> float:
    """
    What the index comes to in one of a thousand pairs of samples from the same distribution.

    It is near (1/N + 1/M) times a chi-squared of B - 1 degrees of freedom, for N and M cells in B bins (B. Yurdakul,
    Statistical Properties of Population Stability Index, Western Michigan University 2018); the quantile of that
    by E. Wilson and M. Hilferty's cube root (Proc. Natl. Acad. Sci. 17, 1931).
    """
    free = max(1, len(before) - 1)
    ninth = 2 / (9 * free)
    quantile = free * (1 - ninth + CHANCE_Z * math.sqrt(ninth)) ** 3
    return (1 / sum(before) + 1 / sum(now)) * quantile


Bins = tuple[dict[int, int], dict[int, int]]


def _numbers(bins: Bins) -> list[int]:
    return sorted({*bins[0], *bins[1]})


def _by_deciles(connection: duckdb.DuckDBPyConnection, name: str) -> Bins:
    edges = connection.execute(
        f"SELECT list_sort(list_distinct(quantile_disc(CAST({name} AS DOUBLE), {list(QUANTILES)}))) FROM base "
        f"WHERE {name} IS NOT NULL"
    ).fetchall()[0][0]
    above = " + ".join(f"(CAST({name} AS DOUBLE) > ?)::INTEGER" for _ in edges or ()) or "0"
    return _counted(connection, f"SELECT {above} AS bin FROM {{}} WHERE {name} IS NOT NULL", edges or [])


def _by_categories(connection: duckdb.DuckDBPyConnection, name: str) -> Bins:
    common = (
        f"SELECT {name} AS category, row_number() OVER (ORDER BY count(*) DESC, {name}) AS number FROM base "
        f"WHERE {name} IS NOT NULL GROUP BY {name} QUALIFY number <= {CATEGORIES}"
    )
    query = (
        f"SELECT coalesce(number, {CATEGORIES + 1}) AS bin FROM {{}} t LEFT JOIN ({common}) c "
        f"ON t.{name} = c.category WHERE t.{name} IS NOT NULL"
    )
    return _counted(connection, query, [])


def _counted(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[float]) -> Bins:
    sides = []
    for table in ("base", "data"):
        each = f"SELECT bin, count(*) FROM ({query.format(table)}) GROUP BY bin"
        sides.append(
            {int(n): int(cells) for n, cells in connection.execute(each, list(parameters)).fetchall()}
        )
    return sides[0], sides[1]
