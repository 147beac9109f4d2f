"""
Schedules of a portal that only knows Paris time, set in the agency's own zone.

Opendatasoft runs every schedule in Europe/Paris, as a cron expression. New York and Paris change their clocks on
different days, so that the same local time has another hour in Paris for some weeks of the year: these functions say
which expression holds on which day, and when it has to be written anew. They are pure; days and times are local.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ctnb.errors import SettingsInvalid, UsageError

PARIS = "Europe/Paris"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LAST_DAY = 27
"""The last day of a month that a schedule may name: a day later, in Paris, there is one in every month."""
_WORDS = re.compile(
    r"(?:(?P<daily>daily)|weekly (?P<weekday>[a-z]{3})|monthly (?P<day>\d{1,2})) (?P<hour>\d{1,2}):(?P<minute>\d\d)"
    r"|hourly(?: :(?P<past>\d\d))?"
)

Every = Literal["hour", "day", "week", "month"]


@dataclass(frozen=True)
class Schedule:
    """When a portal processes a dataset, in the agency's zone."""

    every: Every
    minute: int
    hour: int = 0
    """0 to 23; without meaning for one of every hour."""
    weekday: int = 0
    """0 is Monday; for one of every week."""
    day: int = 1
    """Of the month; for one of every month."""


@dataclass(frozen=True)
class Holds:
    """An expression, and the first day on which it holds."""

    since: dt.date
    cron: str
    """Minute, hour, day of month, month, day of week (0 is Sunday), in Paris time."""


def parse(words: str, *, hourly: bool = False) -> Schedule:
    """
    The schedule in `daily 06:30`, `weekly mon 06:30`, `monthly 1 06:30` or `hourly :15`.

    Raises UsageError for other words, and for less than a day unless `hourly` says that the portal's plan allows it.
    """
    found = _WORDS.fullmatch(words.strip().lower())
    if not found:
        raise UsageError(
            "That is not a schedule.",
            hint="Write daily 06:30, weekly mon 06:30, or monthly 1 06:30, in the agency's own time.",
        )
    said = found.groupdict()
    if said["hour"] is None:
        if not hourly:
            raise UsageError(
                "The portal processes a dataset at most once a day.",
                hint="Where its plan allows more, write hourly: true under the portal in ctnb.yml.",
            )
        return Schedule("hour", _minute(said["past"] or "00"))
    made = Schedule("day", _minute(said["minute"]), _within(int(said["hour"]), 23, "hour"))
    if said["weekday"]:
        if said["weekday"] not in WEEKDAYS:
            raise UsageError(
                "A week has no such day.", hint=f"Write one of {', '.join(WEEKDAYS)}: weekly mon 06:30"
            )
        return Schedule("week", made.minute, made.hour, WEEKDAYS.index(said["weekday"]))
    if said["day"]:
        day = int(said["day"])
        if not 1 <= day <= LAST_DAY:
            raise UsageError(
                f"A schedule names a day of the month from 1 to {LAST_DAY}.",
                hint="It may be a day later in Paris, and every month has to have it.",
            )
        return Schedule("month", made.minute, made.hour, day=day)
    return made


def zone(name: str) -> ZoneInfo:
    """The time zone `name`. Raises SettingsInvalid."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        pass
    raise SettingsInvalid("zone: of ctnb.yml is no time zone.", hint="Write one as America/New_York.")


def cron(schedule: Schedule, home: ZoneInfo, on: dt.date) -> str:
    """
    The expression in Paris time that runs at the schedule's local time of `on`, and of days with the same offsets.

    A local time that the clock change leaves out counts as if the clocks had not changed yet. Raises UsageError for
    a month's first day that is the day before in Paris.
    """
    if schedule.every == "hour":
        offset = dt.datetime.combine(on, dt.time(12), home).utcoffset() or dt.timedelta()
        return f"{(schedule.minute - offset.seconds // 60) % 60} * * * *"
    local = dt.datetime.combine(on, dt.time(schedule.hour, schedule.minute), home)
    there = local.astimezone(ZoneInfo(PARIS))
    shift = (there.date() - on).days
    if schedule.every == "day":
        return f"{there.minute} {there.hour} * * *"
    if schedule.every == "week":
        return f"{there.minute} {there.hour} * * {(schedule.weekday + shift + 1) % 7}"
    if schedule.day + shift < 1:
        raise UsageError(
            "That is the last day of the month before in Paris.", hint="Take the second of the month."
        )
    return f"{there.minute} {there.hour} {schedule.day + shift} * *"


def changes(schedule: Schedule, home: ZoneInfo, since: dt.date, days: int = 400) -> Iterator[Holds]:
    """The expressions that hold from `since` on, each with its first day, for so many `days`."""
    last = ""
    for ahead in range(days):
        on = since + dt.timedelta(ahead)
        if (now := cron(schedule, home, on)) != last:
            yield Holds(on, now)
            last = now


def next_change(schedule: Schedule, home: ZoneInfo, since: dt.date) -> dt.date | None:
    """The next day on which another expression holds than on `since`; None where the clocks never change."""
    found = list(changes(schedule, home, since))
    return found[1].since if len(found) > 1 else None


def _minute(text: str) -> int:
    return _within(int(text), 59, "minute")


def _within(number: int, most: int, what: str) -> int:
    if number > most:
        raise UsageError(f"There is no such {what}.", hint="Write the time as 06:30.")
    return number
