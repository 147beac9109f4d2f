"""Points, lines, polygons and the older location: GeoJSON in, GeoJSON or well-known text out, digits kept."""

from __future__ import annotations

import json
import re
from typing import Any

from .answers import Written
from .decimals import pack, unpack

_DEPTHS = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
_NAMES = {"line": "LineString", "multiline": "MultiLineString", "multipoint": "MultiPoint"}
_POINT_TEXT = re.compile(r"POINT ?\( ?(\S+) (\S+?) ?\)", re.I)
_PAIR_TEXT = re.compile(r"\(\s*([^,\s]+)\s*,\s*([^,\s)]+)\s*\)")


def geometry_type(name: str) -> str:
    """The GeoJSON type of a column type."""
    return _NAMES.get(name, {"multipolygon": "MultiPolygon"}.get(name, name.capitalize()))


def store_geometry(value: object, expected: str) -> str | None:
    """The GeoJSON text of a geometry, its decimals as written, or None when it is not `expected`."""
    if isinstance(value, str) and expected == "Point":
        value = _point_object(value)
    if not isinstance(value, dict) or value.get("type") != expected:
        return None
    coordinates = _coordinates(value.get("coordinates"), _DEPTHS[expected])
    return None if coordinates is None else f'{{"type":"{expected}","coordinates":{coordinates}}}'


def geometry_wkt(stored: object) -> str:
    """Well-known text of a stored geometry."""
    shape = _read(str(stored))
    return f"{shape['type'].upper()} {_wkt(shape['coordinates'])}"


def parse_location(value: object) -> str | None:
    """The stored form of a location given as an object or as `(latitude, longitude)`, or None."""
    if isinstance(value, str):
        pair = _PAIR_TEXT.search(value)
        value = {"latitude": pair[1], "longitude": pair[2]} if pair else None
    if not isinstance(value, dict):
        return None
    parts: dict[str, str] = {}
    for key in ("latitude", "longitude"):
        if value.get(key) is not None:
            number = _number(value[key])
            if number is None:
                return None
            parts[key] = number
    address = value.get("human_address")
    if isinstance(address, (str, dict)):
        parts["human_address"] = address if isinstance(address, str) else json.dumps(address)
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":")) if parts else None


def show_location(stored: object) -> str:
    """A location as the vendor's CSV prints it: address, city, coordinates, a line each."""
    parts = json.loads(str(stored))
    lines = _address_lines(parts.get("human_address", ""))
    if "latitude" in parts and "longitude" in parts:
        lines.append(f"({parts['latitude']}, {parts['longitude']})")
    return "\n".join(lines)


def _address_lines(text: str) -> list[str]:
    try:
        address = json.loads(text) if text else {}
    except ValueError:
        return [text]
    if not isinstance(address, dict):
        return [text]
    place = f"{address.get('city') or ''}, {address.get('state') or ''} {address.get('zip') or ''}".strip(
        " ,"
    )
    return [line for line in (str(address.get("address") or ""), place) if line]


def _point_object(text: str) -> dict[str, Any] | None:
    if point := _POINT_TEXT.fullmatch(text.strip()):
        return {"type": "Point", "coordinates": [Written(point[1]), Written(point[2])]}
    if pair := _PAIR_TEXT.fullmatch(text.strip()):
        return {"type": "Point", "coordinates": [Written(pair[2]), Written(pair[1])]}
    return None


def _coordinates(value: object, depth: int) -> str | None:
    if not isinstance(value, list):
        return None
    if depth:
        parts = [_coordinates(part, depth - 1) for part in value]
    else:
        parts = [_number(part) for part in value] if 2 <= len(value) <= 3 else [None]
    return None if not parts or None in parts else "[" + ",".join(part for part in parts if part) + "]"


def _number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, str, Written)):
        return None
    packed = pack(value.text if isinstance(value, Written) else str(value).strip())
    return None if packed is None else unpack(packed)


def _read(stored: str) -> Any:
    return json.loads(stored, parse_float=str, parse_int=str)


def _wkt(value: Any) -> str:
    if isinstance(value[0], str):
        return f"({' '.join(value)})"
    if isinstance(value[0][0], str):
        return f"({', '.join(' '.join(part) for part in value)})"
    return f"({', '.join(_wkt(part) for part in value)})"
