"""Guessing which column that is gone stands under another name now: by how alike the names are, and by place."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

ALIKE = 0.75
"""From this score on two names are taken for one column."""

IN_PLACE = 0.15
"""What it adds to the score when the new name stands between the same neighbours."""


def guesses(
    old: Sequence[str], new: Sequence[str], kept: Mapping[int, int], spare: Sequence[int]
) -> dict[int, int]:
    """
    For places of `old` that are gone, the place of `new` where the column may stand now: each at most once.

    `kept` are the places of `old` with theirs in `new`; `spare` are the places of `new` that belong to nothing.
    The score of a pair is the ratio of its names by Ratcliff and Obershelp's gestalt pattern matching (Dr. Dobb's
    Journal, July 1988; `difflib`), letters' case and marks aside, plus `IN_PLACE` between the same neighbours.
    """
    scored = []
    for gone in (place for place in range(len(old)) if place not in kept):
        for place in spare:
            score = _ratio(old[gone], new[place]) + IN_PLACE * _fits(gone, place, kept)
            if score >= ALIKE:
                scored.append((-score, gone, place))
    found: dict[int, int] = {}
    for _, gone, place in sorted(scored):
        if gone not in found and place not in found.values():
            found[gone] = place
    return found


def _ratio(one: str, other: str) -> float:
    first, second = ("".join(mark for mark in text.casefold() if mark.isalnum()) for text in (one, other))
    return difflib.SequenceMatcher(None, first, second, autojunk=False).ratio() if first and second else 0.0


def _fits(gone: int, place: int, kept: Mapping[int, int]) -> bool:
    """Whether `place` lies between where the nearest kept neighbours of `gone` stand now."""
    before = max((one for one in kept if one < gone), default=None)
    after = min((one for one in kept if one > gone), default=None)
    low = -1 if before is None else kept[before]
    return low < place and (after is None or place < kept[after])
