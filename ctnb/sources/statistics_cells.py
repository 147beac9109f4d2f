"""
What a cell of a statistics file is as text: numbers exact and short, dates in ISO 8601.

SPSS counts seconds from 14 October 1582, SAS days or seconds from 1 January 1960, Stata days, milliseconds,
weeks, months, quarters, half-years from there. Which of these a number is, its column's format says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from ctnb.sources.number_texts import number_text

Cell = str | float | None
Writer = Callable[[float], str]

_SPSS_ZERO = datetime(1582, 10, 14)
_SAS_ZERO = datetime(1960, 1, 1)
_DAY_S = 86_400
_FINEST = 5
"""Decimals of a second: a double that counts seconds from 1582 holds no more."""

_SPSS_DATES = r"(A|E|J|S)?DATE|QYR|MOYR|WKYR"
_SPSS_TIMESTAMPS = r"DATETIME|YMDHMS"
_SPSS_TIMES = r"D?TIME|MTIME"
_SAS_DATES = (
    r"DATE|DDMMYY[BCDNPS]?|MMDDYY[BCDNPS]?|YYMMDD[BCDNPS]?|[BE]8601D[AN]|IS8601D[AN]|WEEKDAT[EX]|WORDDAT[EX]|"
    r"JULDAY|JULIAN|MMYY[CDNPS]?|MONYY|YYMM[CDNPS]?|YYMON|YYQR?[CDNPS]?|YEAR|QTRR?|MONNAME|MONTH|DAY|DOWNAME|"
    r"NLDATE\w*|EURDF(DE|DD|DN|DWN|MN|MY|WDX|WKX)"
)
_SAS_TIMESTAMPS = (
    r"DATETIME|DATEAMPM|DTDATE|DTMONYY|DTWKDATX|DTYEAR|DTYYQC|MDYAMPM|[BE]8601D[TXZ]|IS8601D[TZ]|NLDATM\w*"
)
_SAS_TIMES = r"TIME|TIMEAMPM|TOD|HHMM|HOUR|MMSS|[BE]8601T[MXZ]|IS8601T[MZ]|NLTIME\w*"


def writer(kind: str, form: str, *, single: bool) -> Writer:
    """How the numbers of a column with the format `form` are written, in a file of `kind` (as in FORMATS)."""
    if kind == "dta":
        return _stata(form, single=single)
    name = re.sub(r"[\d.]+$", "", form.upper())
    dates, timestamps, times = (
        (_SPSS_DATES, _SPSS_TIMESTAMPS, _SPSS_TIMES)
        if kind in ("sav", "por")
        else (_SAS_DATES, _SAS_TIMESTAMPS, _SAS_TIMES)
    )
    zero = _SPSS_ZERO if kind in ("sav", "por") else _SAS_ZERO
    if re.fullmatch(dates, name):
        return partial(_date, zero, 1 if kind in ("sav", "por") else _DAY_S)
    if re.fullmatch(timestamps, name):
        return partial(_timestamp, zero, 1)
    return _time if re.fullmatch(times, name) else number_text


def _stata(form: str, *, single: bool) -> Writer:
    found = re.match(r"%-?(t[cCdwmqh]|d)", form)
    if found is None:
        return partial(number_text, single=single)
    periods = {"tw": 52, "tm": 12, "tq": 4, "th": 2}
    if found[1] in periods:
        return partial(_period, found[1][1], periods[found[1]])
    if found[1] in ("td", "d"):
        return partial(_date, _SAS_ZERO, _DAY_S)
    return partial(_timestamp, _SAS_ZERO, 0.001)


def _date(zero: datetime, unit_s: float, value: float) -> str:
    """A day; with its time where it has one, so that none is lost; the number itself beyond the calendar."""
    text = _timestamp(zero, unit_s, value)
    return text.removesuffix("T00:00:00")


def _timestamp(zero: datetime, unit_s: float, value: float) -> str:
    try:
        whole, rest = divmod(value * unit_s, 1)
        at = zero + timedelta(seconds=whole, microseconds=round(rest, _FINEST) * 1e6)
    except (OverflowError, ValueError):
        return number_text(value)
    return at.isoformat(timespec="microseconds" if at.microsecond else "seconds")


def _time(value: float) -> str:
    """Hours, minutes, seconds; hours may be more than 24, because some formats count how long something took."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    minutes, seconds = divmod(round(value, _FINEST), 60)
    hours, minutes = divmod(int(minutes), 60)
    rest = f"{seconds:08.5f}".rstrip("0").rstrip(".") if seconds % 1 else f"{int(seconds):02}"
    return f"{sign}{hours:02}:{minutes:02}:{rest}"


def _period(letter: str, in_year: int, value: float) -> str:
    """A month as ISO has it, e.g. 1960-01; a week, quarter or half-year as Stata does, e.g. 1960q1."""
    if value != int(value):
        return number_text(value)
    year, place = divmod(int(value), in_year)
    return f"{1960 + year:04}-{place + 1:02}" if letter == "m" else f"{1960 + year}{letter}{place + 1}"
