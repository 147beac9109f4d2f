"""
Profiles: what all cells of each column of a source look like, counted in DuckDB, never shown.

A sample only rules types out: what does not fit a thousand cells cannot fit them all. What is left is counted
over every row. Columns with few different values are counted once per value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ctnb.values import BLANKS, FALSE_WORDS, TRUE_WORDS, Kind, parse_sql, quote_text, shape

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

MOSTLY = 0.3
"""A type that more than this share of the cells does not fit is not spoken of."""

_SAMPLE = 2_000
_FEW = 100_000
_SHAPES_FROM = 5_000

_DAYS = ("MM/DD/YYYY", "DD/MM/YYYY", "MM/DD/YY", "DD/MM/YY", "MM-DD-YYYY", "DD-MM-YYYY", "MM.DD.YYYY", "DD.MM.YYYY",
         "MM-DD-YY", "DD-MM-YY", "YYYY/MM/DD", "YYYY.MM.DD", "YYYYMMDD", "DD-MMM-YYYY", "DD-MMM-YY", "DD MMM YYYY",
         "MMM DD, YYYY", "MMM DD YYYY")  # fmt: skip
_TIMES = ("hh:mm:ss AM", "hh:mm AM", "hh:mm:ss", "hh:mm", "hh:mm:ss.fff")
_CLOCKED = (
    "MM/DD/YYYY",
    "DD/MM/YYYY",
    "MM/DD/YY",
    "DD/MM/YY",
    "YYYY-MM-DD",
    "YYYY/MM/DD",
    "MM-DD-YYYY",
    "DD-MM-YYYY",
)
_ZULU = ("YYYY-MM-DDThh:mm:ssZ", "YYYY-MM-DDThh:mm:ss.fffZ", "YYYY-MM-DDThh:mm:ss.ffffffZ")
_MOMENTS = (*(f"{day} {time}" for day in _CLOCKED for time in _TIMES), *_ZULU)
DATES = (Kind("date"), *(Kind("date", 0, words) for words in _DAYS))
"""Every way of writing a date that is known, ISO 8601 first."""
TIMESTAMPS = (Kind("timestamp"), *(Kind("timestamp", 0, words) for words in _MOMENTS))
"""Every way of writing a moment that is known, ISO 8601 first."""
_GATES = {
    "amount": r"regexp_full_match(v, '\(?[-+]?\s*\$?\s*[-+]?[0-9.,]*[0-9][0-9.,]*(?:[eE][-+]?[0-9]+)?\s*%?\)?')",
    "date": "length(v) BETWEEN 6 AND 12 AND regexp_matches(v, '^[0-9].*[0-9]$|^[A-Za-z]{3} [0-9]')",
    "timestamp": "length(v) BETWEEN 11 AND 30 AND contains(v, ':') AND regexp_matches(v, '^[0-9]')",
    "url": "starts_with(v, 'http')",
    "point": "contains(v, '(')",
    "boolean": "length(v) <= 5",
}
"""Cheap tests; types behind one that a sample does not pass are not tried. Amounts are told apart by marks."""
_BEHIND = {
    "date": DATES, "timestamp": TIMESTAMPS, "url": (Kind("url"),), "point": (Kind("point"),),
    "boolean": (Kind("boolean"),),
}  # fmt: skip


@dataclass(frozen=True)
class Marks:
    """How the cells of a column that may hold numbers are written; counts of cells."""

    digits: int = 0
    """Digits alone."""
    leading_zeros: int = 0
    """Digits alone that begin with a zero and go on."""
    dollars: int = 0
    commas: int = 0
    percents: int = 0
    brackets: int = 0
    """A number in brackets, as book-keepers write a negative one."""
    powers: int = 0
    """Written with a power of ten, e.g. 1E+15."""
    damaged: int = 0
    """Written with a power of ten of at least 9: a spreadsheet's way of showing a long number."""
    decimals: int = 0
    """The most digits after a point."""
    shortest: int = 0
    longest: int = 0


@dataclass(frozen=True)
class Profile:
    """What all cells of one column look like."""

    position: int
    """Its place in the source, from 1."""
    header: str
    """Its header, as it stands."""
    rows: int
    filled: int
    """Cells that are not empty."""
    distinct: int
    """About how many different ones."""
    unique: bool
    """Whether every row has a cell and no two are equal."""
    longest: int
    """Characters of the longest cell."""
    mean_length: float
    null_words: Mapping[str, int] = field(default_factory=dict)
    """Cells that hold a word for nothing, by that word as it is written."""
    marks: Marks = Marks()
    true: int = 0
    """Cells that say true, yes ..., or 1."""
    false: int = 0
    widths: Mapping[int, int] = field(default_factory=dict)
    """Cells that are digits alone, by their length, of columns of digits."""
    nines: int = 0
    """Cells that are digits alone and begin with 9, of columns of digits."""
    misfits: Mapping[Kind, int] = field(default_factory=dict)
    """For each type worth speaking of, the cells that do not fit it; words for nothing do not count."""
    shapes: Mapping[str, int] = field(default_factory=dict)
    """Masked shapes of the cells that keep the column from the type that nearly fits, most frequent first."""

    @property
    def told(self) -> int:
        """Cells that hold something and not a word for nothing."""
        return self.filled - sum(self.null_words.values())

    @property
    def nearest(self) -> Kind | None:
        """The type that the fewest cells do not fit."""
        return min(self.misfits, key=lambda kind: self.misfits[kind]) if self.misfits else None


def profiles(connection: duckdb.DuckDBPyConnection, header: Sequence[str]) -> list[Profile]:
    """The profile of each column of the relation `numbered`, whose columns are c1, c2, ... under `header`."""
    return [
        _profile(connection, place, cell, overview)
        for (place, cell), overview in zip(
            enumerate(header, 1), _overviews(connection, len(header)), strict=True
        )
    ]


@dataclass(frozen=True)
class _Overview:
    rows: int
    filled: int
    distinct: int
    longest: int
    mean_length: float


def _overviews(connection: duckdb.DuckDBPyConnection, width: int) -> list[_Overview]:
    parts = []
    for place in range(1, width + 1):
        cell = _cell(place)
        parts.append(
            f"count({cell}), approx_count_distinct(c{place}), coalesce(max(length(c{place})), 0),"
            f" coalesce(avg(length(c{place})), 0)"
        )
    row = connection.execute(f"SELECT count(*), {', '.join(parts)} FROM numbered").fetchall()[0]
    return [_Overview(row[0], *row[1 + 4 * at : 5 + 4 * at]) for at in range(width)]


def _cell(place: int) -> str:
    """SQL for the cell of a column without the blanks around it, NULL when nothing is left."""
    return f"nullif(trim(c{place}, {quote_text(BLANKS)}), '')"


def _profile(connection: duckdb.DuckDBPyConnection, place: int, header: str, seen: _Overview) -> Profile:
    _make_cells(connection, place, seen)
    words = _null_words(connection)
    possible = _possible(connection)
    marks = _marks(connection) if "amount" in possible else Marks()
    kinds = [*_amounts(marks, "amount" in possible), *(kind for kind in possible if isinstance(kind, Kind))]
    misfits = _misfits(connection, kinds)
    told = seen.filled - sum(words.values())
    misfits = {kind: count for kind, count in misfits.items() if count <= MOSTLY * told}
    true, false = _truths(connection) if Kind("boolean") in misfits else (0, 0)
    widths, nines = _widths(connection) if marks.digits else ({}, 0)
    return Profile(
        place, header, seen.rows, seen.filled, seen.distinct, _unique(connection, place, seen),
        seen.longest, seen.mean_length, words, marks, true, false, widths, nines, misfits,
        _shapes(connection, misfits),
    )  # fmt: skip


def _make_cells(connection: duckdb.DuckDBPyConnection, place: int, seen: _Overview) -> None:
    """The relation `told`: v the cell without blanks around it, n how often, w whether it is a word for nothing."""
    connection.execute("DROP VIEW IF EXISTS told; DROP TABLE IF EXISTS counted")
    source = f"SELECT {_cell(place)} AS v, 1 AS n FROM numbered WHERE {_cell(place)} IS NOT NULL"
    if seen.rows > _FEW and seen.distinct < _FEW:
        connection.execute(f"CREATE TEMP TABLE counted AS SELECT v, sum(n) AS n FROM ({source}) GROUP BY v")
        source = "SELECT v, n FROM counted"
    listed = ", ".join(quote_text(word) for word in NULL_WORDS)
    short = max(map(len, NULL_WORDS))
    nothing = f"CASE WHEN length(v) <= {short} THEN lower(v) IN ({listed}) ELSE false END"
    connection.execute(f"CREATE TEMP VIEW told AS SELECT v, n, {nothing} AS nothing FROM ({source})")


def _null_words(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    rows = connection.execute("SELECT v, sum(n) FROM told WHERE nothing GROUP BY v ORDER BY v").fetchall()
    return {word: int(count) for word, count in rows}


def _possible(connection: duckdb.DuckDBPyConnection) -> list[Kind | str]:
    """The types that a sample does not rule out, and `amount` where numbers are not ruled out."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE sample AS SELECT v FROM told WHERE NOT nothing LIMIT {_SAMPLE}"
    )
    gates = [
        gate
        for gate, passes in zip(_GATES, _shares(connection, list(_GATES.values())), strict=True)
        if passes
    ]
    kinds = [kind for gate in gates for kind in _BEHIND.get(gate, ())]
    tests = [f"{parse_sql(kind, 'v')} IS NOT NULL" for kind in kinds]
    passing = zip(kinds, _shares(connection, tests), strict=True)
    found: list[Kind | str] = [kind for kind, passes in passing if passes]
    return [*found, "amount"] if "amount" in gates else found


def _shares(connection: duckdb.DuckDBPyConnection, tests: Sequence[str]) -> list[bool]:
    """For each of `tests`, whether enough of the sample passes it that a type is still worth counting."""
    if not tests:
        return []
    counts = ", ".join(f"count(*) FILTER ({test})" for test in tests)
    total, *passing = connection.execute(f"SELECT count(*), {counts} FROM sample").fetchall()[0]
    return [count > 0 and count >= (1 - 2 * MOSTLY) * total for count in passing]


def _marks(connection: duckdb.DuckDBPyConnection) -> Marks:
    tests = (
        "regexp_full_match(v, '[0-9]+')", "regexp_full_match(v, '0[0-9]+')", "contains(v, '$')",
        "contains(v, ',')", "ends_with(v, '%')", "starts_with(v, '(') AND ends_with(v, ')')",
        "regexp_matches(v, '^[-+]?[0-9.]+[eE][-+]?[0-9]+$')",
        "regexp_matches(v, '^[0-9]([.][0-9]+)?[eE][+]?(09|[1-9][0-9])$')",
    )  # fmt: skip
    counts = ", ".join(f"sum(n) FILTER ({test})" for test in tests)
    decimals = r"length(regexp_extract(v, '[.]([0-9]+)\s*[)%]?$', 1))"
    row = connection.execute(
        f"SELECT {counts}, max(CASE WHEN contains(v, '.') THEN {decimals} ELSE 0 END), min(length(v)), max(length(v))"
        " FROM told WHERE NOT nothing"
    ).fetchall()[0]
    return Marks(*(int(count or 0) for count in row))


def _amounts(marks: Marks, possible: bool) -> list[Kind]:
    """The types of number that the marks allow, with the scale that was seen."""
    if not possible:
        return []
    scale = min(marks.decimals, 12)
    if marks.percents:
        return [Kind("percent", scale)]
    if marks.dollars or marks.brackets or (marks.commas and marks.decimals == 2):
        return [Kind("money", 2)]
    if marks.powers:
        return [Kind("number", max(scale, 6))]
    return [Kind("number", scale)] if marks.decimals else [Kind("integer")]


def _misfits(connection: duckdb.DuckDBPyConnection, kinds: Sequence[Kind]) -> dict[Kind, int]:
    """Of all cells, how many do not fit each of `kinds`."""
    if not kinds:
        return {}
    counts = ", ".join(f"sum(n) FILTER (({parse_sql(kind, 'v')}) IS NULL)" for kind in kinds)
    row = connection.execute(f"SELECT {counts} FROM told WHERE NOT nothing").fetchall()[0]
    return {kind: int(count or 0) for kind, count in zip(kinds, row, strict=True)}


def _truths(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    listed = [", ".join(quote_text(word) for word in words) for words in (TRUE_WORDS, FALSE_WORDS)]
    counts = ", ".join(f"sum(n) FILTER (lower(v) IN ({words}))" for words in listed)
    true, false = connection.execute(f"SELECT {counts} FROM told WHERE NOT nothing").fetchall()[0]
    return int(true or 0), int(false or 0)


def _widths(connection: duckdb.DuckDBPyConnection) -> tuple[dict[int, int], int]:
    rows = connection.execute(
        "SELECT length(v), sum(n), sum(n) FILTER (starts_with(v, '9')) FROM told"
        " WHERE regexp_full_match(v, '[0-9]+') GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return {int(width): int(count) for width, count, _ in rows}, sum(int(row[2] or 0) for row in rows)


def _unique(connection: duckdb.DuckDBPyConnection, place: int, seen: _Overview) -> bool:
    """Exactly; the estimate only spares the question where it cannot be."""
    if seen.filled < seen.rows or seen.rows < 2 or seen.distinct < 0.8 * seen.rows:
        return False
    row = connection.execute(f"SELECT count(DISTINCT {_cell(place)}) FROM numbered").fetchall()[0]
    return int(row[0]) == seen.rows


def _shapes(connection: duckdb.DuckDBPyConnection, misfits: Mapping[Kind, int]) -> dict[str, int]:
    """Shapes of the cells that do not fit the nearest type."""
    if not misfits or min(misfits.values()) == 0:
        return {}
    nearest = min(misfits, key=lambda kind: misfits[kind])
    rows = connection.execute(
        f"SELECT v, sum(n) FROM told WHERE NOT nothing AND ({parse_sql(nearest, 'v')}) IS NULL"
        f" GROUP BY v LIMIT {_SHAPES_FROM}"
    ).fetchall()
    found: Counter[str] = Counter()
    for text, count in rows:
        found[shape(text)] += int(count)
    return dict(found.most_common(3))
