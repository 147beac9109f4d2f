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
_FIRST = 20_000
_LONGEST_KEY = 64
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
    """Whether every row has a cell, none is too long for a key, and no two are equal."""
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
    rows = int(connection.execute("SELECT count(*) FROM numbered").fetchall()[0][0])
    return [_profile(connection, place, cell, rows) for place, cell in enumerate(header, 1)]


def _profile(connection: duckdb.DuckDBPyConnection, place: int, header: str, rows: int) -> Profile:
    distinct = _make_cells(connection, place, rows)
    filled, longest, characters = _lengths(connection)
    words = _null_words(connection)
    possible = _possible(connection)
    marks = _marks(connection) if "amount" in possible else Marks()
    kinds = [*_amounts(marks, "amount" in possible), *(kind for kind in possible if isinstance(kind, Kind))]
    told = filled - sum(words.values())
    counted = _misfits(connection, [kind for kind in kinds if not _surely_fits(kind, marks, told)])
    misfits = {kind: n for kind in kinds if (n := counted.get(kind, 0)) <= MOSTLY * told}
    true, false = _truths(connection) if Kind("boolean") in misfits else (0, 0)
    widths, nines = _widths(connection) if marks.digits else ({}, 0)
    may_be = filled == rows > 1 and distinct >= 0.9 * rows and longest <= _LONGEST_KEY
    unique = may_be and _is_unique(connection, rows)
    return Profile(
        place, header, rows, filled, distinct, unique, longest, characters / max(filled, 1), words, marks,
        true, false, widths, nines, misfits, _shapes(connection, misfits),
    )  # fmt: skip


def _surely_fits(kind: Kind, marks: Marks, told: int) -> bool:
    """Whether every cell is digits alone and few enough of them: whole numbers then, and nothing else to ask."""
    return kind.type == "integer" and marks.digits == told and marks.longest <= 18


def _make_cells(connection: duckdb.DuckDBPyConnection, place: int, rows: int) -> int:
    """
    Make the relation `told`: v the cell without blanks around it, n how often, nothing whether it is a word for that.

    Returns about how many different cells there are. A column whose first cells repeat is counted once per value.
    """
    column, cell = f"c{place}", f"nullif(trim(c{place}, {quote_text(BLANKS)}), '')"
    connection.execute("DROP VIEW IF EXISTS told; DROP TABLE IF EXISTS counted")
    sample = f"SELECT {column} AS v FROM numbered WHERE {column} IS NOT NULL LIMIT {_FIRST}"
    first, different = _row(connection, f"SELECT count(*), count(DISTINCT v) FROM ({sample})")
    if rows > _FEW and different < 0.95 * first:
        connection.execute(
            f"CREATE TEMP TABLE counted AS SELECT {column}, count(*) AS n FROM numbered GROUP BY 1"
        )
        _make_told(connection, f"SELECT {cell} AS v, n FROM counted")
        return _row(connection, "SELECT count(*) FROM counted")[0]
    _make_told(
        connection, f"SELECT {cell if _has_blanks(connection, column) else column} AS v, 1 AS n FROM numbered"
    )
    return different if rows <= _FIRST else rows * different // max(first, 1)


def _make_told(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    listed = ", ".join(quote_text(word) for word in NULL_WORDS)
    nothing = f"CASE WHEN strlen(v) <= {max(map(len, NULL_WORDS))} THEN lower(v) IN ({listed}) ELSE false END"
    connection.execute(
        f"CREATE TEMP VIEW told AS SELECT v, n, {nothing} AS nothing FROM ({source}) WHERE v IS NOT NULL"
    )


def _has_blanks(connection: duckdb.DuckDBPyConnection, column: str) -> bool:
    """Whether a cell begins or ends with a blank; trimming costs more than asking."""
    ends = " OR ".join(f"ends_with({column}, {quote_text(mark)})" for mark in BLANKS)
    return _row(connection, f"SELECT count(*) FROM numbered WHERE {column} < '!' OR {ends}")[0] > 0


def _lengths(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """Cells, bytes of the longest, bytes of all."""
    filled, longest, characters = _row(
        connection, "SELECT sum(n), max(strlen(v)), sum(n * strlen(v)) FROM told"
    )
    return filled, longest, characters


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> list[int]:
    return [int(number or 0) for number in connection.execute(query).fetchall()[0]]


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
    power = "CASE WHEN contains(v, 'E') OR contains(v, 'e') THEN regexp_matches(v, {}) ELSE false END"
    tests = (
        "digits", "digits AND starts_with(v, '0') AND strlen(v) > 1", "contains(v, '$')", "contains(v, ',')",
        "ends_with(v, '%')", "starts_with(v, '(') AND ends_with(v, ')')",
        power.format("'^[-+]?[0-9.]+[eE][-+]?[0-9]+$'"),
        power.format("'^[0-9]([.][0-9]+)?[eE][+]?(09|[1-9][0-9])$'"),
    )  # fmt: skip
    counts = ", ".join(f"sum(n) FILTER ({test})" for test in tests)
    decimals = r"length(regexp_extract(v, '[.]([0-9]+)\s*[)%]?$', 1))"
    return Marks(
        *_row(
            connection,
            f"SELECT {counts}, max(CASE WHEN contains(v, '.') THEN {decimals} ELSE 0 END), min(strlen(v)),"
            " max(strlen(v)) FROM (SELECT v, n, regexp_full_match(v, '[0-9]+') AS digits FROM told WHERE NOT nothing)",
        )
    )


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
    """Cells that are digits alone by their length, and how many of them begin with 9."""
    rows = connection.execute(
        "SELECT strlen(v), sum(n), sum(n) FILTER (starts_with(v, '9')) FROM told"
        " WHERE regexp_full_match(v, '[0-9]+') GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return {int(width): int(count) for width, count, _ in rows}, sum(int(row[2] or 0) for row in rows)


def _is_unique(connection: duckdb.DuckDBPyConnection, rows: int) -> bool:
    """
    Whether all cells differ: where all 64-bit hashes do, the cells do, and hashes are quicker to compare.

    Equal cells have equal hashes, so one part in 64 of the hashes mostly tells already that some do not differ.
    """
    hashes = "SELECT hash(v) AS h FROM told"
    some, different = _row(connection, f"SELECT count(*), count(DISTINCT h) FROM ({hashes}) WHERE h % 64 = 0")
    return some == different and _row(connection, f"SELECT count(DISTINCT h) FROM ({hashes})")[0] == rows


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
