"""
ODSQL's now() and date_format().

Source: the vendor's ODSQL reference. Names of days and months are English.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import sqlite3
import zoneinfo
from typing import Any

from .ods_compiler import Compiler, Sql, Wrong
from .ods_odsql import Apply, Literal, Name, Node

_SET = ("year", "month", "day", "hour", "minute", "second", "microsecond")
_ADDED = ("weeks", "days", "hours", "minutes", "seconds", "microseconds")
_PIECE = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[?,.:/\- ]|(.)", re.S)


def register(connection: sqlite3.Connection) -> None:
    """Teach `connection` ods_format."""
    connection.create_function("ods_format", 3, formatted, deterministic=True)


def formatted(stored: str | None, form: str, zone: str) -> str | None:
    """A stored day or moment as `form` says, in the time of a zone."""
    if stored is None:
        return None
    moment = dt.datetime.fromisoformat(stored)
    if moment.tzinfo is not None:
        moment = moment.astimezone(zoneinfo.ZoneInfo(zone))
    made = []
    for match in _PIECE.finditer(form):
        if match[1] is not None:
            made.append(match[1].replace("''", "'") or "'")
        else:
            made.append(_symbols(moment).get(match[0], match[0]) if match[2] else match[0])
    return "".join(made)


def _symbols(moment: dt.datetime) -> dict[str, str]:
    week_year, week, weekday = moment.isocalendar()
    day_of_year = moment.timetuple().tm_yday
    year = f"{moment.year:04d}"
    name = calendar.day_name[weekday - 1]
    shown = {
        "yy": year[2:], "yyyy": year, "xx": f"{week_year % 100:02d}", "xxxx": f"{week_year:04d}", "w": str(week),
        "ww": f"{week:02d}", "e": str(weekday), "E": name[:3], "EEEE": name, "D": str(day_of_year),
        "DDD": f"{day_of_year:03d}", "MMMM": calendar.month_name[moment.month],
    }  # fmt: skip
    shown |= {"YY": shown["yy"], "YYYY": shown["yyyy"]}
    parts = {"M": moment.month, "d": moment.day, "H": moment.hour, "m": moment.minute, "s": moment.second}
    return (
        shown
        | {name: str(part) for name, part in parts.items()}
        | {name * 2: f"{part:02d}" for name, part in parts.items()}
    )


def compile_format(compiler: Compiler, node: Node) -> Sql:
    """The SQL of date_format(field, 'form'). Raises Wrong."""
    arguments = node.arguments if isinstance(node, Apply) else ()
    if len(arguments) != 2 or not isinstance(arguments[1], Literal) or arguments[1].kind != "text":
        raise Wrong("The function date_format takes a date and a text that says its form")
    field, form = compiler.compile(arguments[0]), arguments[1].value
    if field.kind not in ("date", "datetime"):
        raise Wrong("date_format takes a field of type date or datetime")
    for match in _PIECE.finditer(form):
        if match[3] or (match[2] and match[0] not in _symbols(dt.datetime(2000, 1, 1))):
            raise Wrong("date_format has a form that is not known; free text stands between single quotes")
    return Sql(f"ods_format({field.text}, ?, ?)", (*field.values, form, compiler.zone), "text")


def compile_now(compiler: Compiler, node: Node) -> Sql:
    """The SQL of now(): the moment of the request, its parts set (`day=1`) or moved (`days=-1`). Raises Wrong."""
    moment = dt.datetime.fromtimestamp(compiler.now, zoneinfo.ZoneInfo(compiler.zone))
    try:
        changed = _changed(moment, node).astimezone(dt.UTC)
    except Wrong:
        raise
    except (ValueError, OverflowError):
        raise Wrong("now() has a part that no date has") from None
    return compiler.literal(Literal("date", changed.isoformat()))


def _changed(moment: dt.datetime, node: Node) -> dt.datetime:
    for one in node.arguments if isinstance(node, Apply) else ():
        name, number = _part(one)
        if name in _SET:
            last = calendar.monthrange(moment.year, moment.month)[1]
            moment = moment.replace(**{name: min(number, last) if name == "day" else number})  # type: ignore[arg-type]
        elif name in _ADDED:
            moment += dt.timedelta(**{name: number})
        elif name in ("months", "years"):
            year, month = divmod(moment.month - 1 + number * (12 if name == "years" else 1), 12)
            year, month = moment.year + year, month + 1
            moment = moment.replace(
                year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1])
            )
        else:
            raise Wrong(f"now() takes no {name} here")
    return moment


def _part(one: Node) -> tuple[str, int]:
    if isinstance(one, Apply) and one.name == "=":
        name, number = one.arguments
        whole: Any = number.value if isinstance(number, Literal) and number.kind == "number" else ""
        if isinstance(name, Name) and re.fullmatch(r"-?\d{1,6}", whole, re.ASCII):
            return name.name.lower(), int(whole)
    raise Wrong("now() takes parts such as days=-1")


FUNCTIONS = {"date_format": compile_format, "now": compile_now}
