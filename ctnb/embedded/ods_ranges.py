"""
ODSQL's range(): groups of numbers and of moments, of one width or between bounds that are named.

Source: the vendor's ODSQL reference, "grouping functions". A group holds its lower bound and not its upper one; whole
numbers are shown from the first to the last, as live portals were seen to do. Months, quarters, weeks and years come
one at a time, weeks from Monday.
"""

from __future__ import annotations

import bisect
import datetime as dt
import json
import math
import re
import sqlite3
import zoneinfo
from collections.abc import Sequence
from typing import Any

from .ods_compiler import Compiler, Sql, Wrong
from .ods_odsql import Apply, Literal, Node, Star

KIND = "range "
"""What the type of a compiled range() begins with; behind it stands, as JSON, how a group is shown."""
_INTERVAL = re.compile(r"(\d{1,6})\s*(\w+)", re.ASCII)
_UNITS = {
    "ms": "milliseconds", "millisecond": "milliseconds", "s": "seconds", "second": "seconds", "minute": "minutes",
    "h": "hours", "hour": "hours", "d": "days", "day": "days", "w": "weeks", "week": "weeks", "M": "months",
    "month": "months", "q": "quarters", "quarter": "quarters", "y": "years", "year": "years",
}  # fmt: skip
_MONTHS = {"months": 1, "quarters": 3, "years": 12}


def register(connection: sqlite3.Connection) -> None:
    """Teach `connection` ods_step, ods_floor and ods_between."""
    connection.create_function("ods_step", 2, step, deterministic=True)
    connection.create_function("ods_floor", 4, floor, deterministic=True)
    connection.create_function("ods_between", 2, between, deterministic=True)


def step(value: float | None, width: float) -> float | None:
    """The lower bound of the group that a number is in."""
    if value is None:
        return None
    bound = math.floor(value / width) * width
    return int(bound) if isinstance(value, int) and isinstance(width, int) else bound


def floor(stored: str | None, count: int, unit: str, zone: str) -> str | None:
    """The first moment, in the zone, of the group that a stored day or moment is in: ISO 8601 with its offset."""
    if stored is None:
        return None
    where = zoneinfo.ZoneInfo(zone)
    moment = dt.datetime.fromisoformat(stored)
    moment = moment.replace(tzinfo=where) if moment.tzinfo is None else moment.astimezone(where)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit in _MONTHS:
        first = (day.month - 1) // _MONTHS[unit] * _MONTHS[unit] + 1
        return day.replace(month=first, day=1).isoformat()
    if unit == "weeks":
        return (day - dt.timedelta(days=day.weekday())).isoformat()
    start = dt.datetime(1970, 1, 1, tzinfo=where)
    plain, width = moment.replace(tzinfo=None) - start.replace(tzinfo=None), dt.timedelta(**{unit: count})
    return (start + plain // width * width).isoformat()


def between(value: Any, bounds: str) -> int | None:
    """Which of the groups between `bounds` (a JSON list, null at an end that is open) a value is in, from 0 on."""
    edges = json.loads(bounds)
    inner = [edge for edge in edges if edge is not None]
    if value is None:
        return None
    at = bisect.bisect_right(inner, value) - (edges[0] is not None)
    return at if 0 <= at < len(edges) - 1 else None


def compile_range(compiler: Compiler, node: Node) -> Sql:
    """The SQL of range(field, width) or range(field, bound, ...). Raises Wrong."""
    if not isinstance(node, Apply) or len(node.arguments) < 2:
        raise Wrong("The function range takes a field and a width, or bounds")
    first, *rest = node.arguments
    field = compiler.compile(first)
    if field.kind not in ("int", "double", "date", "datetime"):
        raise Wrong(f"range takes no field of type {field.kind}")
    if len(rest) > 1:
        return _bounded(compiler, field, rest)
    (width,) = rest
    if field.kind in ("int", "double"):
        return _stepped(field, width)
    count, unit = _interval(width)
    text = f"ods_floor({field.text}, ?, ?, ?)"
    shown = KIND + json.dumps({"every": [count, unit]})
    return Sql(text, (*field.values, count, unit, compiler.zone), shown)


def _stepped(field: Sql, width: Node) -> Sql:
    if not isinstance(width, Literal) or width.kind != "number" or float(width.value) <= 0:
        raise Wrong("The width of a range of numbers is a number above 0")
    whole = field.kind == "int" and width.value.isdecimal()
    size = int(width.value) if whole else float(width.value)
    shown = KIND + json.dumps({"width": size, "whole": whole})
    return Sql(f"ods_step({field.text}, ?)", (*field.values, size), shown)


def _interval(width: Node) -> tuple[int, str]:
    match = (
        _INTERVAL.fullmatch(width.value) if isinstance(width, Literal) and width.kind == "interval" else None
    )
    if match is None:
        raise Wrong("The width of a range of dates is an interval such as 1 day")
    count, word = int(match[1]), match[2]
    unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    if unit is None or count < 1:
        raise Wrong("The width of a range of dates is an interval such as 1 day")
    if count > 1 and (unit in _MONTHS or unit == "weeks"):
        raise Wrong("A range of weeks, months, quarters or years has one of them")
    return count, unit


def _bounded(compiler: Compiler, field: Sql, rest: Sequence[Node]) -> Sql:
    edges: list[Any] = []
    for number, one in enumerate(rest):
        if isinstance(one, Star) and number in (0, len(rest) - 1):
            edges.append(None)
        elif isinstance(one, Literal):
            (value,) = compiler.meeting(field, one).values
            edges.append(value)
        else:
            raise Wrong("The bounds of a range are numbers or dates, or * at an end")
    inner = [edge for edge in edges if edge is not None]
    if inner != sorted(inner) or not inner:
        raise Wrong("The bounds of a range ascend")
    text, bounds = f"ods_between({field.text}, ?)", json.dumps(edges)
    shown = KIND + json.dumps({"bounds": edges, "whole": field.kind == "int"})
    return Sql(text, (*field.values, bounds), shown)


def label(kind: str, stored: Any) -> str:
    """How a group is shown; `stored` is what the SQL of its range gave."""
    given = json.loads(kind.removeprefix(KIND))
    if "width" in given:
        return _span(stored, stored + given["width"], whole=given["whole"])
    if "every" in given:
        count, unit = given["every"]
        first = dt.datetime.fromisoformat(stored)
        return f"[{_moment(first)}, {_moment(_after(first, count, unit))}["
    low, high = given["bounds"][stored : stored + 2]
    return _span(low, high, whole=given["whole"])


def _span(low: Any, high: Any, *, whole: bool) -> str:
    start = "*" if low is None else _edge(low)
    if whole and (high is None or isinstance(high, int)):
        return f"[{start}, {'*' if high is None else high - 1}]"
    return f"[{start}, {'*' if high is None else _edge(high)}["


def _edge(value: Any) -> str:
    if isinstance(value, str) and len(value) > 10:
        return _moment(dt.datetime.fromisoformat(value))
    return str(value)


def _after(first: dt.datetime, count: int, unit: str) -> dt.datetime:
    if unit in _MONTHS:
        year, month = divmod(first.month - 1 + _MONTHS[unit], 12)
        return first.replace(year=first.year + year, month=month + 1)
    return first + dt.timedelta(**{unit: count})


def _moment(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


FUNCTIONS = {"range": compile_range}
