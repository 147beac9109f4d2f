"""
One cell: what may be written into a column of each type, how it is stored, how it is rendered.

Types and renderings are the vendor's (data types of SODA 2.x). Stored forms sort as the values do.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring

from .answers import Written
from .decimals import pack, unpack
from .geometries import geometry_type, geometry_wkt, parse_location, show_location, store_geometry

Stored = str | int | None


class Maltyped(ValueError):
    """A value that the column's type does not hold. Never carries the value."""


@dataclass(frozen=True)
class CellType:
    """What a column's `dataTypeName` means."""

    name: str
    soda: str
    """The SoQL type that its values are computed with."""
    store: Callable[[object], Stored]
    """The stored form of a JSON value or a CSV text that is not blank. Raises Maltyped."""
    json: Callable[[Stored], str]
    """The JSON text of a stored value."""
    text: Callable[[Stored], str]
    """The CSV text of a stored value."""
    export: Callable[[Stored], str]
    """The text of the export file, with the dates that spreadsheets know."""

    @property
    def told(self) -> str:
        """The word in X-SODA2-Types: the SoQL type, except that old datasets have money, computed as a number."""
        return "money" if self.name == "money" else self.soda


def store(kind: CellType, value: object) -> Stored:
    """The stored form of a JSON value; null, and blank text in a column that is not text, are None."""
    if value is None or (value == "" and kind.store is not _store_text):
        return None
    return kind.store(value)


def json_type(value: object) -> str:
    """The JSON name of a value's type, for messages."""
    names = {bool: "boolean", int: "number", Written: "number", str: "text", list: "array", dict: "object"}
    return names.get(type(value), "null")


def cell_type(name: str) -> CellType | None:
    """The type called `name` (the vendor's other words included), or None."""
    return TYPES.get(_ALIASES.get(name, name))


def _store_text(value: object) -> Stored:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
        case Written():
            return value.text
    raise Maltyped


def _store_number(value: object) -> Stored:
    if isinstance(value, bool) or not isinstance(value, (str, int, Written)):
        raise Maltyped
    packed = pack(value.text if isinstance(value, Written) else str(value).strip())
    if packed is None:
        raise Maltyped
    return packed


_CHECKS = {"true": 1, "t": 1, "yes": 1, "1": 1, "false": 0, "f": 0, "no": 0, "0": 0}


def _store_checkbox(value: object) -> Stored:
    check = _CHECKS.get(str(value).strip().lower()) if isinstance(value, (bool, str, int)) else None
    if check is None:
        raise Maltyped
    return check


_US_DATE = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?(?: ([AP]M))?)?", re.I | re.A
)
_ISO_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?(Z|[+-]\d{2}:?\d{2})?", re.A
)


def _store_calendar_date(value: object) -> Stored:
    moment = _moment(value)
    if moment.tzinfo is not None:
        raise Maltyped
    return _iso(moment)


def _store_date(value: object) -> Stored:
    moment = _moment(value)
    if moment.tzinfo is None:
        raise Maltyped
    try:
        return _iso(moment.astimezone(dt.UTC).replace(tzinfo=None)) + "Z"
    except OverflowError:
        raise Maltyped from None


def _moment(value: object) -> dt.datetime:
    if not isinstance(value, str):
        raise Maltyped
    text = value.strip()
    if american := _US_DATE.fullmatch(text):
        return _american(american)
    if not _ISO_DATE.fullmatch(text):
        raise Maltyped
    moment = None
    with contextlib.suppress(ValueError):  # its text would quote the value
        moment = dt.datetime.fromisoformat(_six_digits(text))
    if moment is None:
        raise Maltyped
    return moment


def _six_digits(text: str) -> str:
    return re.sub(r"\.(\d+)", lambda digits: "." + digits[1].ljust(6, "0"), text)


def _american(parts: re.Match[str]) -> dt.datetime:
    month, day, year, hour, minute, second = (int(part or 0) for part in parts.groups()[:6])
    half = (parts[7] or "").upper()
    if half and not 1 <= hour <= 12:
        raise Maltyped
    hour = hour % 12 + (12 if half == "PM" else 0) if half else hour
    moment = None
    with contextlib.suppress(ValueError):  # its text would quote the value
        moment = dt.datetime(year, month, day, hour, minute, second)
    if moment is None:
        raise Maltyped
    return moment


def _iso(moment: dt.datetime) -> str:
    """To the millisecond, as the vendor prints it; microseconds that were written are kept."""
    return moment.isoformat(timespec="microseconds" if moment.microsecond % 1000 else "milliseconds")


_URL_TEXT = re.compile(r"(.*) \((\S+)\)", re.S)


def _store_url(value: object) -> Stored:
    if isinstance(value, str):
        described = _URL_TEXT.fullmatch(value.strip())
        value = {"description": described[1], "url": described[2]} if described else {"url": value.strip()}
    if not isinstance(value, dict) or not value.keys() <= {"url", "description"}:
        raise Maltyped
    kept = {key: value[key] for key in ("url", "description") if value.get(key) is not None}
    if not kept or not all(isinstance(part, str) for part in kept.values()):
        raise Maltyped
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def _url_text(stored: Stored) -> str:
    parts = json.loads(str(stored))
    url, description = parts.get("url", ""), parts.get("description")
    return f"{description} ({url})" if description else url


def _store_location(value: object) -> Stored:
    located = parse_location(value)
    if located is None:
        raise Maltyped
    return located


def _geometry(name: str) -> Callable[[object], Stored]:
    def keep(value: object) -> Stored:
        shape = store_geometry(value, geometry_type(name))
        if shape is None:
            raise Maltyped
        return shape

    return keep


def _quoted(stored: Stored) -> str:
    return encode_basestring(str(stored))


def _number_json(stored: Stored) -> str:
    return f'"{unpack(str(stored))}"'


def _number_text(stored: Stored) -> str:
    return unpack(str(stored))


def _check(stored: Stored) -> str:
    return "true" if stored else "false"


def _us_date(stored: Stored) -> str:
    text = str(stored)
    day = f"{text[5:7]}/{text[8:10]}/{text[:4]}"
    if text[11:19] == "00:00:00":
        return day
    hour = int(text[11:13])
    return f"{day} {(hour - 1) % 12 + 1:02d}{text[13:19]} {'AM' if hour < 12 else 'PM'}"


def _build() -> dict[str, CellType]:
    types = [
        CellType("checkbox", "boolean", _store_checkbox, _check, _check, _check),
        CellType("calendar_date", "floating_timestamp", _store_calendar_date, _quoted, str, _us_date),
        CellType("date", "fixed_timestamp", _store_date, _quoted, str, _us_date),
        CellType("url", "url", _store_url, str, _url_text, _url_text),
        CellType("location", "location", _store_location, str, show_location, show_location),
    ]
    types += [
        CellType(name, "text", _store_text, _quoted, str, str)
        for name in ("text", "html", "email", "phone", "photo")
    ]
    types += [
        CellType(name, "number", _store_number, _number_json, _number_text, _number_text)
        for name in ("number", "money", "percent")
    ]
    types += [
        CellType(name, name, _geometry(name), str, geometry_wkt, geometry_wkt)
        for name in ("point", "multipoint", "line", "multiline", "polygon", "multipolygon")
    ]
    return {kind.name: kind for kind in types}


TYPES = _build()
_ALIASES = {"floating_timestamp": "calendar_date", "fixed_timestamp": "date", "boolean": "checkbox"}
TEXT, NUMBER, CHECKBOX = TYPES["text"], TYPES["number"], TYPES["checkbox"]
FIXED = TYPES["date"]
