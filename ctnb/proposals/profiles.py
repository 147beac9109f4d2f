"""
Profiles: what all cells of each column of a source look like, counted in DuckDB, never shown.

A sample only rules types out: what does not fit a thousand cells cannot fit them all. What is left is counted
over every row, two columns at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ctnb.proposals import cells
from ctnb.values import FALSE_WORDS, TRUE_WORDS, Kind, parse_sql, quote_text, shape

if TYPE_CHECKING:
    import duckdb

MOSTLY = 0.3
"""A type that more than this share of the cells does not fit is not spoken of."""

_SWAPPED = 0.6
_AT_ONCE = 2
_LONGEST_KEY = 64
_SHAPES_FROM = 5_000
_SURE = 0.8

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
_DATED = frozenset((*DATES, *TIMESTAMPS))
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
    nines: int = 0
    """Digits alone that begin with 9."""
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
    rows, distinct = cells.make_some_rows(connection, len(header))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        asked = [
            threads.submit(_profile, connection, at, told, rows, distinct[at - 1])
            for at, told in enumerate(header, 1)
        ]
        return [one.result() for one in asked]


def _profile(
    connection: duckdb.DuckDBPyConnection, place: int, header: str, rows: int, distinct: int
) -> Profile:
    with connection.cursor() as cursor:
        extent = cells.make_told(cursor, place, rows, distinct)
        words = cells.leave_out_words(cursor)
        told = extent.filled - sum(words.values())
        possible = _possible(cursor)
        marks = _marks(cursor, told) if "amount" in possible else Marks()
        kinds = [
            *_amounts(marks, "amount" in possible),
            *(kind for kind in possible if isinstance(kind, Kind)),
        ]
        counted = _misfits(cursor, [kind for kind in kinds if not _surely_fits(kind, marks, told)])
        misfits = _worth({kind: counted.get(kind, 0) for kind in kinds}, told)
        true, false = _truths(cursor) if Kind("boolean") in misfits else (0, 0)
        widths = _widths(cursor, marks, told)
        may_be = (
            extent.filled == rows > 1 and extent.distinct >= _SURE * rows and extent.longest <= _LONGEST_KEY
        )
        unique = may_be and cells.is_unique(cursor, rows)
        shapes = _shapes(cursor, misfits)
    return Profile(
        place, header, rows, extent.filled, extent.distinct, unique, extent.longest,
        extent.total / max(extent.filled, 1), words, marks, true, false, widths, misfits, shapes,
    )  # fmt: skip


def _worth(counted: Mapping[Kind, int], told: int) -> dict[Kind, int]:
    """The types worth speaking of: those that most cells fit, and beside a date the same with day and month swapped."""
    near = {kind: n for kind, n in counted.items() if n <= MOSTLY * told}
    if not any(kind in _DATED for kind in near):
        return near
    return {
        kind: n for kind, n in counted.items() if kind in near or (kind in _DATED and n <= _SWAPPED * told)
    }


def _surely_fits(kind: Kind, marks: Marks, told: int) -> bool:
    """Whether every cell is digits alone and few enough of them: whole numbers then, and nothing else to ask."""
    return kind.type == "integer" and marks.digits == told and marks.longest <= 18


def _possible(connection: duckdb.DuckDBPyConnection) -> list[Kind | str]:
    """The types that a sample does not rule out, and `amount` where numbers are not ruled out."""
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


def _marks(cursor: duckdb.DuckDBPyConnection, told: int) -> Marks:
    """How amounts are written; where all are digits alone nothing else is looked for."""
    digits, zeros, nines, shortest, longest = cells.numbers(
        cursor,
        "SELECT sum(n) FILTER (digits), sum(n) FILTER (digits AND starts_with(v, '0') AND strlen(v) > 1),"
        " sum(n) FILTER (digits AND starts_with(v, '9')), min(strlen(v)), max(strlen(v))"
        " FROM (SELECT v, n, regexp_full_match(v, '[0-9]+') AS digits FROM kept)",
    )
    alone = Marks(digits=digits, leading_zeros=zeros, nines=nines, shortest=shortest, longest=longest)
    return alone if digits == told else replace(alone, **_signs(cursor))


def _signs(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The marks besides digits."""
    power = "CASE WHEN contains(v, 'E') OR contains(v, 'e') THEN regexp_matches(v, {}) ELSE false END"
    tests = {
        "dollars": "contains(v, '$')",
        "commas": "contains(v, ',')",
        "percents": "ends_with(v, '%')",
        "brackets": "starts_with(v, '(') AND ends_with(v, ')')",
        "powers": power.format("'^[-+]?[0-9.]+[eE][-+]?[0-9]+$'"),
        "damaged": power.format("'^[0-9]([.][0-9]+)?[eE][+]?(09|[1-9][0-9])$'"),
    }
    counts = ", ".join(f"sum(n) FILTER ({test})" for test in tests.values())
    decimals = r"length(regexp_extract(v, '[.]([0-9]+)\s*[)%]?$', 1))"
    *found, most = cells.numbers(
        cursor,
        f"SELECT {counts}, max(CASE WHEN contains(v, '.') THEN {decimals} ELSE 0 END) FROM kept",
    )
    return {**dict(zip(tests, found, strict=True)), "decimals": most}


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
    row = connection.execute(f"SELECT {counts} FROM kept").fetchall()[0]
    return {kind: int(count or 0) for kind, count in zip(kinds, row, strict=True)}


def _truths(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    listed = [", ".join(quote_text(word) for word in words) for words in (TRUE_WORDS, FALSE_WORDS)]
    counts = ", ".join(f"sum(n) FILTER (lower(v) IN ({words}))" for words in listed)
    true, false = connection.execute(f"SELECT {counts} FROM kept").fetchall()[0]
    return int(true or 0), int(false or 0)


def _widths(cursor: duckdb.DuckDBPyConnection, marks: Marks, told: int) -> dict[int, int]:
    """Cells that are digits alone by their length."""
    if not marks.digits or (marks.digits == told and marks.shortest == marks.longest):
        return {marks.longest: marks.digits} if marks.digits else {}
    those = "" if marks.digits == told else " WHERE regexp_full_match(v, '[0-9]+')"
    rows = cursor.execute(f"SELECT strlen(v), sum(n) FROM kept{those} GROUP BY 1 ORDER BY 1").fetchall()
    return {int(width): int(count) for width, count in rows}


def _shapes(connection: duckdb.DuckDBPyConnection, misfits: Mapping[Kind, int]) -> dict[str, int]:
    """Shapes of the cells that do not fit the nearest type."""
    if not misfits or min(misfits.values()) == 0:
        return {}
    nearest = min(misfits, key=lambda kind: misfits[kind])
    rows = connection.execute(
        f"SELECT v, sum(n) FROM kept WHERE ({parse_sql(nearest, 'v')}) IS NULL"
        f" GROUP BY v LIMIT {_SHAPES_FROM}"
    ).fetchall()
    found: Counter[str] = Counter()
    for text, count in rows:
        found[shape(text)] += int(count)
    return dict(found.most_common(3))
