"""
Decimal numbers as text that sorts and compares as the numbers do.

SQLite has no decimals, and a double changes digits. A number is stored as one text: sign, exponent, digits.
    2 501 15      1.5 x 10^1 = 15          1      zero          0 498 84~   -15, every digit taken from 9
It comes back normalised: no exponent, no zeros at the end of a fraction (17288925.00 reads 17288925).
"""

from __future__ import annotations

import re

EXPONENT_LIMIT = 400
DIGITS_LIMIT = 400
_WRITTEN = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?", re.ASCII)
_NINES = str.maketrans("0123456789", "9876543210")


def pack(text: str) -> str | None:
    """The stored form of a number's text, or None when it is no number we hold (400 digits at most)."""
    if text.isdecimal() and text.isascii() and text[0] != "0" and len(text) < 20:
        return f"2{len(text) + 499}{text.rstrip('0')}"  # most numbers are small and whole
    match = _WRITTEN.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    whole, fraction = match[2], match[3] or ""
    digits = (whole + fraction).lstrip("0")
    exponent = int(match[4] or 0) - len(fraction) + len(digits) - 1
    digits = digits.rstrip("0")
    if not digits:
        return "1"
    if abs(exponent) > EXPONENT_LIMIT or len(digits) > DIGITS_LIMIT:
        return None
    body = f"{exponent + 500:03d}{digits}"
    return "0" + body.translate(_NINES) + "~" if match[1] == "-" else "2" + body


def unpack(stored: str) -> str:
    """The plain decimal text of a stored number."""
    if stored == "1":
        return "0"
    negative = stored[0] == "0"
    body = stored[1:-1].translate(_NINES) if negative else stored[1:]
    return ("-" if negative else "") + _plain(int(body[:3]) - 500, body[3:])


def _plain(exponent: int, digits: str) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
