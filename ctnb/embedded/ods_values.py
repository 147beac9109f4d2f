"""
The field types of Opendatasoft: what each makes of a value, with the traps that the real ones have.

Source: the vendor's "Defining a dataset schema". A decimal in an `int` loses its fraction; a day with slashes is
read day first; a datetime without a zone is UTC. Stored forms sort as the values do.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Stored = str | int | float | None
INT_BITS = 63


class Unfit(ValueError):
    """A value that the type does not hold. Never carries the value."""


@dataclass(frozen=True)
class FieldType:
    """What a field's `type` means."""

    name: str
    read: Callable[[Any], Stored]
    """The stored form of a JSON value or a CSV text that is not null. Raises Unfit."""
    affinity: str
    """The type of its column in the store."""
    limit: int
    """How many fields of the type a dataset may have."""


def read(kind: FieldType, value: Any) -> Stored:
    """The stored form of a value; null, and blank text in a field that is not text, are None. Raises Unfit."""
    if value is None or (kind.name != "text" and isinstance(value, str) and not value.strip()):
        return None
    return kind.read(value)


def _text(value: Any) -> Stored:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _int(value: Any) -> Stored:
    number = _number(value)
    if isinstance(number, float):
        number = int(number)  # the vendor casts: the fraction is lost without a word
    if abs(number) >> INT_BITS:
        raise Unfit
    return number


def _double(value: Any) -> Stored:
    return _finite(_number(value))


_WHOLE = re.compile(r"[+-]?\d{1,30}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)


def _number(value: Any) -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value if isinstance(value, int) else _finite(value)
    if not isinstance(value, str):
        raise Unfit
    text = value.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    if not _DECIMAL.fullmatch(text):
        raise Unfit
    return _finite(float(text))


def _finite(number: int | float) -> float:
    try:
        made = float(number)
    except OverflowError:
        made = math.inf
    if not math.isfinite(made):
        raise Unfit
    return made


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)


def _moment(value: Any) -> dt.datetime:
    """What a text says, in UTC. `03/04/2024` is 3 April: the vendor reads the day first."""
    if not isinstance(value, str):
        raise Unfit
    text, made = value.strip(), None
    with contextlib.suppress(ValueError, OverflowError):  # its text would quote the value
        if parts := _DAY_FIRST.fullmatch(text):
            day, month, year, hour, minute, second = (int(part or 0) for part in parts.groups())
            made = dt.datetime(year, month, day, hour, minute, second)
        elif _ISO.fullmatch(text):
            digits = re.sub(r"\.(\d+)", lambda found: "." + found[1].ljust(6, "0"), text)
            made = dt.datetime.fromisoformat(digits)
        if made is not None and made.tzinfo is not None:
            made = made.astimezone(dt.UTC).replace(tzinfo=None)
    if made is None:
        raise Unfit
    return made


def _date(value: Any) -> Stored:
    if isinstance(value, str) and _DAY.fullmatch(value):  # most are
        with contextlib.suppress(ValueError):
            return dt.date.fromisoformat(value).isoformat()
    return _moment(value).date().isoformat()


def _datetime(value: Any) -> Stored:
    moment = _moment(value)
    precise = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precise) + "+00:00"


def _point(value: Any) -> Stored:
    """`"<lat>,<lon>"`, a list of the two, an object with lat and lon, or a GeoJSON point."""
    if isinstance(value, str):
        value = value.split(",")
    elif isinstance(value, dict) and value.get("type") == "Point":
        value = list(value.get("coordinates") or [])[1::-1]
    elif isinstance(value, dict):
        value = [value.get("lat"), value.get("lon")]
    if not isinstance(value, list) or len(value) != 2:
        raise Unfit
    lat, lon = (_finite(_number(part)) for part in value)
    if abs(lat) > 90 or abs(lon) > 180:
        raise Unfit
    return json.dumps({"lon": lon, "lat": lat})


_SHAPES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}


def _shape(value: Any) -> Stored:
    """A GeoJSON geometry or feature, kept as a feature. A collection of features is not allowed."""
    if isinstance(value, str):
        text, value = value, None
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(text)
    if isinstance(value, dict) and value.get("type") == "Feature":
        value = value.get("geometry")
    if not isinstance(value, dict) or value.get("type") not in _SHAPES or not _numeric(value):
        raise Unfit
    return json.dumps({"type": "Feature", "geometry": value, "properties": {}}, separators=(",", ":"))


def _numeric(shape: dict[str, Any]) -> bool:
    def deep(part: Any, depth: int) -> bool:
        if isinstance(part, list) and depth < 5:
            return bool(part) and all(deep(one, depth + 1) for one in part)
        return isinstance(part, (int, float)) and not isinstance(part, bool)

    return isinstance(shape.get("coordinates"), list) and deep(shape["coordinates"], 0)


def _file(value: Any) -> Stored:
    """A file stays an object here; `file_content` opens it, and a record keeps its digest."""
    file_content(value)
    return json.dumps(value)


def file_content(value: Any) -> tuple[bytes, str]:
    """The bytes and the MIME type of `{"content": BASE64, "content-type": TYPE}`. Raises Unfit."""
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise Unfit
    kind, body = value.get("content-type"), None
    with contextlib.suppress(binascii.Error, ValueError):
        body = base64.b64decode(value["content"], validate=True)
    if body is None or not isinstance(kind, str) or not re.fullmatch(r"[\w.+-]+/[\w.+-]+", kind, re.ASCII):
        raise Unfit
    return body, kind


TYPES = {
    kind.name: kind
    for kind in (
        FieldType("text", _text, "TEXT", 150),
        FieldType("int", _int, "INTEGER", 100),
        FieldType("double", _double, "REAL", 150),
        FieldType("date", _date, "TEXT", 100),
        FieldType("datetime", _datetime, "TEXT", 100),
        FieldType("geo_point_2d", _point, "TEXT", 50),
        FieldType("geo_shape", _shape, "TEXT", 50),
        FieldType("file", _file, "TEXT", 50),
    )
}
_AS_JSON = ("geo_point_2d", "geo_shape", "file")


def show(kind: str, stored: Stored, *, separator: str = "") -> Any:
    """A stored value as explore's JSON shows it; `separator` cuts a text of many values."""
    if stored is None:
        return None
    if kind in _AS_JSON:
        return json.loads(str(stored))
    if kind == "text" and separator:
        return [part for part in str(stored).split(separator) if part]
    return stored


def guess(values: list[Any]) -> str:
    """The type of a field from the values seen; a number that starts with 0, as a ZIP may, makes it text."""
    seen = [value for value in values if value is not None and value != ""]
    if not seen:
        return "text"
    for name, test in _GUESSES:
        if all(test(value) for value in seen):
            return name
    return "text"


def _fits(name: str) -> Callable[[Any], bool]:
    def test(value: Any) -> bool:
        try:
            TYPES[name].read(value)
        except Unfit:
            return False
        return True

    return test


def _whole(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"-?(0|[1-9]\d{0,17})", value.strip(), re.ASCII) is not None
    return isinstance(value, int) and not isinstance(value, bool) and _fits("int")(value)


def _decimal(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"-?(0|[1-9]\d{0,17})(\.\d+)?", value.strip(), re.ASCII) is not None
    return _fits("double")(value)


def _day(value: Any) -> bool:
    return isinstance(value, str) and len(value.strip()) <= 10 and _fits("date")(value)


_GUESSES: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("file", lambda value: isinstance(value, dict) and _fits("file")(value)),
    ("geo_shape", lambda value: isinstance(value, dict) and _fits("geo_shape")(value)),
    ("geo_point_2d", lambda value: isinstance(value, dict) and _fits("geo_point_2d")(value)),
    ("int", _whole),
    ("double", _decimal),
    ("date", _day),
    ("datetime", _fits("datetime")),
)
