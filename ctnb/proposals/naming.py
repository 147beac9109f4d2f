"""Names of columns made from the headers of a source, and the headers that say a table is wide."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

LONGEST = 48
"""Characters of a proposed name; a contract allows 63, and a suffix must still fit."""

_SIGNS = {
    "%": " percent ", "#": " number ", "&": " and ", "+": " plus ", "$": " dollars ", "<": " under ", ">": " over ",
}  # fmt: skip
_RESERVED = frozenset(
    """
    all analyse analyze and any array as asc both case cast check collate column constraint create default
    deferrable desc describe distinct do else end except false fetch for foreign from group having in initially
    intersect into lambda lateral leading limit not null offset on only or order pivot placing primary qualify
    references returning select show some summarize symmetric table then to trailing true union unique unpivot
    using variadic when where window with data
    """.split()  # noqa: SIM905  # one word a line would be a page
)
"""Words that SQL keeps for itself, and `data`, the name of the table in a transform."""

_YEAR = re.compile(
    r"(?:fy|sfy|cy|ay|sy)?\s*'?(?:19|20)[0-9]{2}(?:\s*[-/]\s*(?:[0-9]{2}|(?:19|20)[0-9]{2}))?", re.I
)
_DAY = re.compile(
    r"[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:[0-9]{2}|[0-9]{4})|[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?|"
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-' /.]*(?:[0-9]{2}|[0-9]{4})",
    re.I,
)
_FEWEST_WIDE = 3


def names(headers: Sequence[str]) -> list[str]:
    """A name for each of `headers`: lower snake case, each once, none that SQL keeps for itself."""
    made: list[str] = []
    for place, header in enumerate(headers, 1):
        made.append(_free(_name(header) or f"column_{place}", made))
    return made


def positions(headers: Sequence[str]) -> list[int | None]:
    """The place from 1 of each header that is blank or stands more than once; None for the others."""
    seen = Counter(header.strip() for header in headers)
    return [
        place if not header.strip() or seen[header.strip()] > 1 else None
        for place, header in enumerate(headers, 1)
    ]


def wide(headers: Sequence[str], fewest: int = _FEWEST_WIDE) -> tuple[int, ...]:
    """The places from 1 of the headers that are years, months or days, where there are at least `fewest`."""
    places = [
        place
        for place, header in enumerate(headers, 1)
        if _YEAR.fullmatch(header.strip()) or _DAY.fullmatch(header.strip())
    ]
    return tuple(places) if len(places) >= fewest else ()


def _name(header: str) -> str:
    plain = "".join(_SIGNS.get(mark, mark) for mark in header)
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    plain = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", plain).replace("'", "")
    words = re.findall(r"[a-z0-9]+", plain.lower())
    name = _shortened(words)
    if name[:1].isdigit():
        name = f"y{name}" if re.fullmatch(r"(19|20)[0-9]{2}.*", name) else f"n{name}"
    return f"{name}_column" if name in _RESERVED else name


def _shortened(words: Sequence[str]) -> str:
    """As many whole words as fit."""
    kept = ""
    for word in words:
        longer = f"{kept}_{word}" if kept else word
        if len(longer) > LONGEST:
            break
        kept = longer
    return kept or "".join(words)[:LONGEST]


def _free(name: str, taken: Sequence[str]) -> str:
    """`name`, or with the first number that makes it new."""
    if name not in taken:
        return name
    number = next(n for n in range(2, len(taken) + 3) if f"{name}_{n}" not in taken)
    return f"{name}_{number}"
