"""
Where a table lies on a sheet: its header among titles, and the totals and footnotes below it.

Sheets are made for people: titles stand above the header, headers span columns, notes stand below. What is
recognised is left out by a named rule and counted; what is not recognised stays a row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Row = Sequence[str | None]

HEADER_SHARE = 0.6
"""A header fills at least this share of the columns that the fullest row near it fills."""
JOINT = " / "
"""Between the parts of a header of two rows."""

_TOTAL = re.compile(r"(grand |sub-?)?totals?\s*:?", re.IGNORECASE)
_NOTE = re.compile(
    r"[*†‡]|\([0-9a-z]\)|(foot)?notes?\b|sources?\s*:|(data )?as of\b|prepared (by|on)\b|disclaimer\b|n/?a\s*[=:]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class HeaderPlace:
    """The rows of a header, 0-based, both included."""

    first: int
    last: int


def find_header(rows: Sequence[Row]) -> HeaderPlace | None:
    """
    The header among the first `rows` of a sheet; None when all are blank.

    It is the first row nearly as full as the fullest one with something right below it; where nothing has,
    the last one. A row of group titles directly above joins it, and so does the row below when it stands under
    its blank cells.
    """
    counts = [len(_filled(row)) for row in rows]
    fullest = max(counts, default=0)
    if not fullest:
        return None
    full = [place for place, count in enumerate(counts) if count >= HEADER_SHARE * fullest]
    first = last = next((place for place in full if any(counts[place + 1 : place + 2])), full[-1])
    if first and _is_group(rows[first - 1], rows[first]):
        return HeaderPlace(first - 1, last)
    if last + 1 < len(rows) and _goes_on(rows[last], rows[last + 1]):
        last += 1
    return HeaderPlace(first, last)


def join_header(rows: Sequence[Row]) -> tuple[str, ...]:
    """
    The header that one row or two rows make, e.g. `Deaths / 2019`.

    A cell of the upper row counts for the blank cells right of it, unless nothing stands below it: then it
    is the header of its own column alone.
    """
    if len(rows) == 1:
        return tuple(_text(cell) for cell in rows[0])
    made, group = [], ""
    for upper, lower in zip(map(_text, rows[0]), map(_text, rows[-1]), strict=True):
        if upper:
            group = upper if lower else ""
        made.append(JOINT.join(part for part in (upper or (group if lower else ""), lower) if part))
    return tuple(made)


def find_footer(rows: Sequence[tuple[int, Row]], width: int) -> Mapping[int, str]:
    """
    Which of the last `rows` of a table `width` columns wide are no data: row number to `footnotes` or `totals`.

    `rows` are numbered and without blank ones, so that a gap shows where a blank row stands.
    """
    found: dict[int, str] = {}
    place = len(rows) - 1
    while place > 0 and _is_footnote(rows[place][1], width, apart=_is_apart(rows, place)):
        found[rows[place][0]] = "footnotes"
        place -= 1
    while place > 0 and _is_total(rows[place][1]):
        found[rows[place][0]] = "totals"
        place -= 1
    return found


def listed(numbers: Sequence[int], what: str = "row") -> str:
    """`numbers`, which ascend, as people write them: row 3; rows 1 to 4, 7 and 9; beyond eight groups how many."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    texts = [f"{one[0]} to {one[-1]}" if len(one) > 2 else ", ".join(map(str, one)) for one in groups[:8]]
    more = len(numbers) - sum(len(one) for one in groups[:8])
    texts += [f"{more:,} more"] if more else []
    head, _, last = ", ".join(texts).rpartition(", ")
    joined = f"{head} and {last}" if head else last
    return f"{what}{'s' if len(numbers) > 1 else ''} {joined}"


def _is_group(upper: Row, lower: Row) -> bool:
    """Whether `upper` holds titles of groups of columns: over filled cells, at least one over several."""
    above, below = _filled(upper), _filled(lower)
    if not above or (len(above) == 1 and above[0] <= below[0]):
        return False  # a lone cell on the left is a title
    spans = any(place + 1 in below and place + 1 not in above for place in above)
    return spans and set(above) <= set(range(below[0], below[-1] + 1))


def _goes_on(header: Row, following: Row) -> bool:
    """Whether `following` is the second row of a header: blank below its first cell, filled below blank ones."""
    above, below = _filled(header), _filled(following)
    blanks = set(range(above[0], len(header))) - set(above)
    under = set(below) & blanks
    return (
        bool(under) and above[0] not in below and all(place - 1 in below or place in below for place in under)
    )


def _is_footnote(row: Row, width: int, *, apart: bool) -> bool:
    places = _filled(row)
    marked = bool(_NOTE.match(_text(row[places[0]])))
    if width == 1:
        return marked and apart
    if len(places) == 1:
        return marked or apart
    return marked and apart and len(places) == 2 and width > 2


def _is_apart(rows: Sequence[tuple[int, Row]], place: int) -> bool:
    """Whether a blank row stands between this row and the table; notes may follow one another."""
    while place > 0:
        if rows[place][0] - rows[place - 1][0] > 1:
            return True
        if len(_filled(rows[place - 1][1])) > 2:
            return False
        place -= 1
    return False


def _is_total(row: Row) -> bool:
    return bool(_TOTAL.fullmatch(_text(row[_filled(row)[0]])))


def _filled(row: Row) -> list[int]:
    return [place for place, cell in enumerate(row) if _text(cell)]


def _text(cell: str | None) -> str:
    return " ".join((cell or "").split())
