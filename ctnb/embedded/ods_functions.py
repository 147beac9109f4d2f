"""What explore teaches SQLite: words of texts, hours of places, distances and areas on the earth."""

from __future__ import annotations

import datetime as dt
import functools
import json
import math
import re
import sqlite3
import unicodedata
import zlib
import zoneinfo
from typing import Any

EARTH_M = 6_371_008.8
"""The mean radius of the earth, in metres (IUGG)."""


def register(connection: sqlite3.Connection) -> None:
    """Teach `connection` ods_words, ods_prefix, ods_local, ods_distance, ods_inside and ods_median."""
    connection.create_function("ods_words", 2, has_words, deterministic=True)
    connection.create_function("ods_prefix", 2, starts_with, deterministic=True)
    connection.create_function("ods_local", 2, local, deterministic=True)
    connection.create_function("ods_distance", 3, distance_m, deterministic=True)
    connection.create_function("ods_inside", 2, inside, deterministic=True)
    connection.create_function("ods_bbox", 5, in_box, deterministic=True)
    connection.create_function("ods_random", 2, shuffled, deterministic=True)
    connection.create_aggregate("ods_median", 1, _Median)  # type: ignore[arg-type]  # typeshed asks int of finalize
    connection.create_aggregate("ods_percentile", 2, _Percentile)  # type: ignore[arg-type]  # as above


@functools.lru_cache(maxsize=1000)
def plain(text: str) -> str:
    """A text without case and accents, as searches compare it."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).lower()


def has_words(text: str | None, wanted: str) -> bool:
    """Whether every word of `wanted` is one of `text`; a last `*` stands for any ending."""
    if text is None:
        return False
    words = set(re.findall(r"\w+", plain(text)))
    for one in re.findall(r"\w+\*?", plain(wanted)):
        if one[-1] == "*":
            if not any(word.startswith(one[:-1]) for word in words):
                return False
        elif one not in words:
            return False
    return True


def starts_with(text: str | None, wanted: str) -> bool:
    """Whether `text` starts with `wanted`, case counting."""
    return text is not None and text.startswith(wanted)


def local(stored: str | None, zone: str) -> str | None:
    """A stored datetime in the time of a zone: ISO text with its offset."""
    if stored is None:
        return None
    moment = dt.datetime.fromisoformat(stored)
    precise = "milliseconds" if moment.microsecond else "seconds"
    try:
        return moment.astimezone(zoneinfo.ZoneInfo(zone)).isoformat(timespec=precise)
    except OverflowError:  # the first or the last day of the calendar
        return stored


def distance_m(stored: str | None, longitude: float, latitude: float) -> float | None:
    """Metres from a stored point to another, on a sphere (haversine)."""
    if stored is None:
        return None
    point = json.loads(stored)
    first, second = math.radians(point["lat"]), math.radians(latitude)
    across = math.radians(longitude - point["lon"])
    half = math.sin((second - first) / 2) ** 2
    half += math.cos(first) * math.cos(second) * math.sin(across / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))


def inside(stored: str | None, rings: str) -> bool:
    """Whether a stored point lies in a polygon: a JSON list of rings, the first its outline, the others holes."""
    if stored is None:
        return False
    point = json.loads(stored)
    return sum(_crosses(ring, point["lon"], point["lat"]) for ring in json.loads(rings)) % 2 == 1


def _crosses(ring: list[list[float]], x: float, y: float) -> bool:
    """Whether a point is in a ring: a ray to the east crosses it an odd number of times."""
    odd = False
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            odd = not odd
    return odd


def in_box(stored: str | None, lat1: float, lon1: float, lat2: float, lon2: float) -> bool:
    """Whether a stored point lies in the box of two corners, degrees."""
    if stored is None:
        return False
    point = json.loads(stored)
    inside_lat = min(lat1, lat2) <= float(point["lat"]) <= max(lat1, lat2)
    return inside_lat and min(lon1, lon2) <= float(point["lon"]) <= max(lon1, lon2)


def shuffled(text: str, seed: int) -> int:
    """A number that a record has in one order at random, the same for the same seed."""
    return zlib.crc32(f"{seed} {text} {seed}".encode("utf-8", "replace"))


class _Percentile:
    """Between the two nearest values, in proportion."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.share = 0.0

    def step(self, value: Any, share: float) -> None:
        self.share = share
        if value is not None:
            self.values.append(value)

    def finalize(self) -> float | None:
        if not self.values:
            return None
        ordered = sorted(self.values)
        place = (len(ordered) - 1) * self.share / 100
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


class _Median:
    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, value: Any) -> None:
        if value is not None:
            self.values.append(value)

    def finalize(self) -> float | None:
        if not self.values:
            return None
        ordered, middle = sorted(self.values), len(self.values) // 2
        if len(ordered) % 2:
            return float(ordered[middle])
        return (ordered[middle - 1] + ordered[middle]) / 2
