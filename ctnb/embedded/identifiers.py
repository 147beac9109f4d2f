"""The ids a portal gives: 4x4 for views, row-xxxx~xxxx~xxxx for rows, and secrets."""

from __future__ import annotations

import re
import secrets

ALPHABET = "23456789abcdefghijkmnpqrstuvwxyz"
"""32 characters in ASCII order, so that ids made of them sort like the numbers they hold."""

_PAIRS = [one + two for one in ALPHABET for two in ALPHABET]
VIEW_ID = re.compile(r"[2-9a-z]{4}-[2-9a-z]{4}")
ROW_ID = re.compile(r"row-[2-9a-z]{4}~[2-9a-z]{4}~[2-9a-z]{4}")


def new_view_id() -> str:
    """A random 4x4."""
    return f"{_letters(4)}-{_letters(4)}"


def new_row_id(sid: int) -> str:
    """The public id of row `sid`: it sorts as `sid` does, so that pages by :id never overlap."""
    number = (sid << 20) | secrets.randbits(20)
    first, middle, last = number >> 40, number >> 20 & 0xFFFFF, number & 0xFFFFF
    return f"row-{_four(first)}~{_four(middle)}~{_four(last)}"


def _four(number: int) -> str:
    return _PAIRS[number >> 10] + _PAIRS[number & 1023]


def new_secret(letters: int = 40) -> str:
    """A random secret; 40 letters hold 200 bits."""
    return _letters(letters)


def _letters(count: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(count))
