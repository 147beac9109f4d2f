"""The one clock. Nothing else in ctnb asks the system for the time of day."""

from __future__ import annotations

import datetime as dt
import os

_fixed: dt.datetime | None = None


def now() -> dt.datetime:
    """The time in UTC, aware, to the microsecond; the time set with `fix`, or by CTNB_NOW, if any."""
    if _fixed is not None:
        return _fixed
    told = os.environ.get("CTNB_NOW")
    if told:
        return parse(told)
    return dt.datetime.now(dt.UTC)


def fix(moment: dt.datetime | None) -> None:
    """Stand still at `moment` (aware), or go on with the system's clock when None. For tests."""
    global _fixed
    _fixed = moment


def stamp(moment: dt.datetime | None = None) -> str:
    """A time as the record writes it: ISO 8601, UTC, whole microseconds, ending in Z."""
    moment = moment or now()
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> dt.datetime:
    """The aware time that `stamp` wrote. Raises ValueError when it is not one."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(dt.UTC)


def stamp_of(seconds: float) -> str:
    """The stamp of a time given in `seconds` since 1970, as file systems give it."""
    return stamp(dt.datetime.fromtimestamp(seconds, dt.UTC))
