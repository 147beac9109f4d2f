"""Calculations with stored numbers, exact where a decimal can be: what both SQLite and DuckDB are taught."""

from __future__ import annotations

import contextlib
import decimal
from collections.abc import Callable
from decimal import Decimal

from .cells import TYPES, Maltyped, store
from .decimals import pack, unpack

Work = Callable[[Decimal, Decimal], Decimal]

EXACT = decimal.Context(prec=1000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
"""For sums of any number of rows."""
ROUNDED = decimal.Context(prec=30)
"""For what may have no end of digits: quotients, roots, logarithms."""
_SINGLE = decimal.Context(prec=400, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


def number(stored: str) -> Decimal:
    """The number that a packed text holds."""
    return Decimal(unpack(stored))


def packed(value: Decimal) -> str | None:
    """The stored form of a number; None when it is none that is held (NaN, infinity, too many digits)."""
    return pack(f"{value:f}") if value.is_finite() else None


def calculated(work: Work) -> Callable[[str, str], str | None]:
    """`work` on two packed numbers; None where it has no result, as a division by nought has none."""

    def calculate(left: str, right: str) -> str | None:
        result = None
        with contextlib.suppress(decimal.DecimalException):
            result = work(number(left), number(right))
        return None if result is None else packed(result)

    return calculate


def logarithm(stored: str) -> str | None:
    """The natural logarithm of a packed number, to 30 digits; None for nought and below."""
    value = number(stored)
    return packed(ROUNDED.ln(value)) if value > 0 else None


def rounded(stored: str, places: str) -> str | None:
    """A packed number at `places` decimal places (below 0: tens, hundreds), half away from nought."""
    digits = number(places)
    if digits != digits.to_integral_value() or abs(digits) > 100:
        return None
    return _quantized(number(stored), int(digits), decimal.ROUND_HALF_UP)


def whole(stored: str, way: str) -> str | None:
    """The next whole number, down (`floor`) or up (`ceiling`)."""
    return _quantized(number(stored), 0, decimal.ROUND_FLOOR if way == "floor" else decimal.ROUND_CEILING)


def magnitude(stored: str) -> str | None:
    """A packed number without its sign."""
    return packed(abs(number(stored)))


def whole_number(stored: str) -> int | None:
    """A packed number as an integer that SQLite holds, its fraction cut off; None for one that is too large."""
    value = int(number(stored))
    return value if abs(value) < 2**62 else None


def converter(name: str) -> Callable[[str], str | None]:
    """A function from a text to its stored form as a column type, as text; None for one that it does not hold."""
    kind = TYPES[name]

    def keep(text: str) -> str | None:
        stored = None
        with contextlib.suppress(Maltyped):
            stored = store(kind, text)
        return None if stored is None else str(stored)

    return keep


def _quantized(value: Decimal, places: int, rounding: str) -> str | None:
    return packed(value.quantize(Decimal(1).scaleb(-places), rounding=rounding, context=EXACT))


ARITHMETIC: dict[str, Work] = {
    "num_add": _SINGLE.add,
    "num_subtract": _SINGLE.subtract,
    "num_multiply": _SINGLE.multiply,
    "num_divide": ROUNDED.divide,
    "num_remainder": _SINGLE.remainder,
    "num_power": ROUNDED.power,
}
"""Functions of two numbers, by the name that SQL calls them."""
