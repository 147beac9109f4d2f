"""
The cells of one column as the relation `told`, in a cursor of its own so that two columns are looked at at once.

Columns with few different cells are counted once per value; the others are looked at cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctnb.values import BLANKS, quote_text

if TYPE_CHECKING:
    import duckdb

NULL_WORDS = (
    "na",
    "n/a",
    "#n/a",
    "nan",
    "null",
    "none",
    "nil",
    "-",
    "--",
    "---",
    ".",
    "..",
    "...",
    "?",
    "(null)",
)
"""What people write into an empty cell, in lower case. An asterisk is no such word: it hides a count."""

SOME_ROWS = "some_rows"
"""The table of rows spread over the source, the same each time: types are ruled out and roles looked for in it."""

_FEW_ROWS = 100_000
_FEW_VALUES = 0.25
_SOME, _SAMPLE = 20_000, 2_000
_FEWEST = 1_000
_PART = 4_000_000


@dataclass(frozen=True)
class Extent:
    """How many cells of a column there are, and how long."""

    filled: int
    """Cells that are not empty."""
    distinct: int
    """About how many different ones."""
    longest: int
    """Bytes of the longest."""
    total: int
    """Bytes of all."""


def make_some_rows(connection: duckdb.DuckDBPyConnection, width: int) -> tuple[int, list[int]]:
    """
    Make `SOME_ROWS` of the relation `numbered`, which has `width` columns c1, c2, ...

    Returns how many rows there are, and of each column about how many different cells, exactly below 100,000 rows.
    """
    rows = numbers(connection, "SELECT count(*) FROM numbered")[0]
    count = "count(DISTINCT {})" if rows <= _FEW_ROWS else "approx_count_distinct({})"
    names = [f"c{place}" for place in range(1, width + 1)]
    distinct = numbers(connection, f"SELECT {', '.join(count.format(name) for name in names)} FROM numbered")
    most = max(distinct)
    telling = names[distinct.index(most)] if most >= _FEW_VALUES * rows else ", ".join(names)
    step = rows // _SOME
    _keep_rows(connection, f"hash({telling}) % {step} = 0" if step > 1 else "true")
    if step > 1 and numbers(connection, f"SELECT count(*) FROM {SOME_ROWS}")[0] < _FEWEST:
        _keep_rows(connection, f"_row % {step} = 0")  # so few different rows that hashes may leave out all
    return rows, distinct


def _keep_rows(connection: duckdb.DuckDBPyConnection, test: str) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE {SOME_ROWS} AS SELECT * FROM numbered WHERE {test}")


def make_told(cursor: duckdb.DuckDBPyConnection, place: int, rows: int, distinct: int) -> Extent:
    """
    Make the relation `told` of column `place` of `numbered`: v a cell without blanks around it, n how often.

    Also `sample`, with some of the cells. `distinct` is about how many different ones there are.
    """
    column, cell = f"c{place}", f"nullif(trim(c{place}, {quote_text(BLANKS)}), '')"
    cursor.execute("DROP VIEW IF EXISTS told; DROP TABLE IF EXISTS counted")
    if rows > _SAMPLE and distinct < _FEW_VALUES * rows:
        once = f"SELECT {column}, count(*) AS n FROM numbered GROUP BY 1"
        cursor.execute(f"CREATE TEMP TABLE counted AS SELECT {cell} AS v, n FROM ({once})")
        _make_view(cursor, "told", "counted", "v IS NOT NULL")
        different, *extent = numbers(
            cursor, "SELECT count(*), sum(n), max(strlen(v)), sum(n * strlen(v)) FROM told"
        )
        _make_sample(cursor, "told", different // _SAMPLE)
    else:
        blanks = numbers(cursor, f"SELECT count(*) FROM numbered WHERE {_has_blank(column)}")[0]
        text = cell if blanks else column
        _make_view(cursor, "told", f"(SELECT {text} AS v, 1 AS n FROM numbered)", "v IS NOT NULL")
        different = distinct
        extent = numbers(cursor, "SELECT count(*), max(strlen(v)), sum(strlen(v)) FROM told")
        _make_sample(cursor, f"(SELECT {cell} AS v FROM {SOME_ROWS})", min(rows, _SOME) // _SAMPLE)
    return Extent(extent[0], different, extent[1], extent[2])


def leave_out_words(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The words for an empty cell in `told`, with how often; makes the relation `kept`, `told` without them."""
    listed = ", ".join(quote_text(word) for word in NULL_WORDS)
    test = (  # looking closely is dear, and most short cells are numbers
        f"CASE WHEN strlen(v) <= {max(map(len, NULL_WORDS))} AND NOT v BETWEEN '0' AND ':'"
        f" THEN lower(v) IN ({listed}) ELSE false END"
    )
    rows = cursor.execute(f"SELECT v, sum(n) FROM told WHERE {test} GROUP BY v ORDER BY v").fetchall()
    _make_view(cursor, "kept", "told", f"NOT ({test})" if rows else "true")
    cursor.execute(f"DELETE FROM sample WHERE {test}")
    return {word: int(count) for word, count in rows}


def numbers(cursor: duckdb.DuckDBPyConnection, query: str) -> list[int]:
    """The first row of what `query` gives, as whole numbers; 0 for NULL."""
    return [int(number or 0) for number in cursor.execute(query).fetchall()[0]]


def is_unique(cursor: duckdb.DuckDBPyConnection, rows: int) -> bool:
    """
    Whether all cells of `told` differ: where all 64-bit hashes do, the cells do.

    Equal cells have equal hashes, so one part in 64 of the hashes mostly tells already that some do not differ.
    """
    some, different = numbers(
        cursor, "SELECT count(*), count(DISTINCT h) FROM (SELECT hash(v) AS h FROM told) WHERE h % 64 = 0"
    )
    parts = max(1, -(-rows // _PART))
    return some == different and not any(_repeats(cursor, part, parts) for part in range(parts))


def _repeats(cursor: duckdb.DuckDBPyConnection, part: int, parts: int) -> bool:
    """Whether two hashes of one part are equal. Sorting them is quicker than counting different ones."""
    import numpy as np

    query = f"SELECT h FROM (SELECT hash(v) AS h FROM told) WHERE h % {parts} = {part}"
    hashes = np.sort(cursor.execute(query).fetchnumpy()["h"])
    return bool((hashes[1:] == hashes[:-1]).any())


def _make_view(cursor: duckdb.DuckDBPyConnection, name: str, source: str, test: str) -> None:
    cursor.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT v, n FROM {source} WHERE {test}")


def _has_blank(column: str) -> str:
    """SQL for whether a cell begins or ends with a blank; trimming costs more than asking."""
    return " OR ".join([f"{column} < '!'", *(f"ends_with({column}, {quote_text(mark)})" for mark in BLANKS)])


def _make_sample(cursor: duckdb.DuckDBPyConnection, source: str, step: int) -> None:
    """Some cells of `source`, by their hashes."""
    some = f" AND hash(v, 1) % {step} = 0" if step > 1 else ""
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE sample AS SELECT v FROM {source} WHERE v IS NOT NULL{some}")
