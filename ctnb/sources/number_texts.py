"""The text of a number that a file stores in binary: the shortest that means exactly this number."""

from __future__ import annotations

import math


def number_text(value: float, *, single: bool = False) -> str:
    """
    Decimal digits without exponent: 1.0 is 1, 0.1 is 0.1; nothing for what is no number.

    `single` is for numbers that were stored in 32 bits: 0.1 in 32 bits is 0.1 and not 0.10000000149011612.
    Shortest digits are those of David Gay's algorithm, as Python's repr has them.
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "-Infinity" if value < 0 else "Infinity"
    if value == int(value) and abs(value) < 1 << 53:
        return str(int(value))
    if single:
        import numpy as np

        return str(np.format_float_positional(np.float32(value), trim="-"))
    text = repr(float(value))
    return _positional(text) if "e" in text else text.removesuffix(".0")


def _positional(text: str) -> str:
    from decimal import Decimal

    return format(Decimal(text), "f")
