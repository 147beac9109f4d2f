"""
The schedules of Opendatasoft: cron expressions in the time of Paris, at most one run a day.

They are kept and told, and not run by this portal. Source: the vendor's guide, "Specifying scheduling interval".
"""

from __future__ import annotations

import re

from .ods_answers import invalid

_BOUNDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(\*|\d{1,2}(?:-\d{1,2})?)(?:/(\d{1,2}))?", re.ASCII)


def checked_cron(given: object) -> str:
    """
    A cron expression of five fields that runs at most once a day.

    Raises OdsRefused (400): "By default, the minimum scheduling interval is one day".
    """
    if not isinstance(given, str):
        raise invalid(cron_schedule="This field is required.")
    fields = given.split()
    if len(fields) != len(_BOUNDS):
        raise invalid(cron_schedule="A cron expression has five fields: minute hour day month weekday.")
    counts = [_count(text, name, low, high) for text, (name, low, high) in zip(fields, _BOUNDS, strict=True)]
    if counts[0] * counts[1] != 1:
        raise invalid(
            cron_schedule="The minimum scheduling interval is one day: name one minute and one hour."
        )
    return " ".join(fields)


def _count(text: str, name: str, low: int, high: int) -> int:
    """How many times a field of a cron expression names."""
    named: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise invalid(cron_schedule=f"The field {name} of the cron expression is not readable.")
        first, _, last = match[1].partition("-")
        start, end = (low, high) if first == "*" else (int(first), int(last or first))
        if match[2] and first != "*" and not last:
            end = high
        step = int(match[2] or 1)
        if not low <= start <= end <= high or step < 1:
            raise invalid(cron_schedule=f"The field {name} of the cron expression is out of range.")
        named.update(range(start, end + 1, step))
    return len(named)
