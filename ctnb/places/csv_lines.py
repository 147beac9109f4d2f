"""Values of JSON as cells of a snapshot in CSV, in which null and empty text are told apart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def line(texts: Iterable[str | None]) -> str:
    """One record: each cell in quotation marks, null as nothing at all."""
    quoted = ("" if text is None else '"' + text.replace('"', '""') + '"' for text in texts)
    return ",".join(quoted) + "\n"


def text(value: Any) -> str:
    """A value that is not null as text: a text as it is, a GeoJSON point as WKT, anything else compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value.get("type") == "Point":
        place = value.get("coordinates")
        if isinstance(place, list) and len(place) == 3 and place[2] in (0, 0.0):
            place = place[:2]
        if isinstance(place, list) and len(place) == 2 and all(type(one) in (int, float) for one in place):
            return point(*place)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def point(longitude: float, latitude: float) -> str:
    """A place in degrees as WKT, without exponents."""
    return f"POINT ({_degrees(longitude)} {_degrees(latitude)})"


def _degrees(number: float) -> str:
    shown = repr(number)
    return f"{number:.12f}".rstrip("0").rstrip(".") if "e" in shown else shown
