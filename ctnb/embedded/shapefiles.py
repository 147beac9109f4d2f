"""
Zipped shapefiles: the shapes of a .shp beside the records of a .dbf, without GDAL.

After the ESRI Shapefile Technical Description (July 1998) and the dBASE III file layout. Heights and measures are
left out. Coordinates have to be longitudes and latitudes, as GeoJSON has them: a projected file is refused.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools
import math
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .features import SIZE_LIMIT_BYTES, Feature, Unreadable

_NULL, _POINT, _LINE, _POLYGON, _MULTIPOINT = 0, 1, 3, 5, 8
_KNOWN_ELLIPSOIDS = ("WGS_1984", "WGS 84", "WGS84", "NORTH_AMERICAN_1983", "NAD83")
Position = tuple[float, float]


def read_shapefile(content: Path) -> list[Feature]:
    """
    The features of the one shapefile in a zip file, its records' fields as properties.

    Raises Unreadable: for what is no such file, for more than one shapefile, a projection, or a memo field.
    """
    held: dict[str, bytes] | None = None
    with contextlib.suppress(zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        held = _members(content)
    if held is None:
        raise Unreadable("The file is not a zip file that can be read")
    _check_projection(held.get("prj", b"").decode("latin-1"))
    features: list[Feature] | None = None
    with contextlib.suppress(struct.error, IndexError, ValueError):
        shapes = list(_shapes(held["shp"]))
        records = list(_records(held["dbf"], _encoding(held.get("cpg", b""))))
        if len(shapes) == len(records):
            pairs = zip(shapes, records, strict=True)
            features = [Feature(shape, record) for shape, record in pairs if record is not None]
    if features is None:
        raise Unreadable("The shapefile is broken off, or its records do not match its shapes")
    return features


def _members(content: Path) -> dict[str, bytes]:
    """The parts of the one shapefile, by the ends of their names."""
    with zipfile.ZipFile(content) as archive:
        infos = [one for one in archive.infolist() if not one.filename.startswith("__MACOSX")]
        shapes = [one.filename for one in infos if one.filename.lower().endswith(".shp")]
        if len(shapes) != 1:
            raise Unreadable(f"The zip file has {len(shapes)} shapefiles; one was expected")
        stem = shapes[0][:-4].lower()
        wanted = {
            one.filename.lower()[len(stem) + 1 :]: one
            for one in infos
            if one.filename.lower().startswith(stem + ".")
        }
        if "dbf" not in wanted:
            raise Unreadable("The shapefile has no .dbf beside its .shp")
        used = {end: one for end, one in wanted.items() if end in ("shp", "dbf", "prj", "cpg")}
        if sum(one.file_size for one in used.values()) > SIZE_LIMIT_BYTES:
            raise Unreadable(f"A shapefile has at most {SIZE_LIMIT_BYTES} bytes here")
        return {end: archive.read(one) for end, one in used.items()}


def _check_projection(text: str) -> None:
    if not text.strip():
        return
    plain = text.upper()
    if "PROJCS" in plain or "PROJCRS" in plain or not any(name in plain for name in _KNOWN_ELLIPSOIDS):
        message = "The shapefile is projected, or of another datum; export it as longitudes and latitudes"
        raise Unreadable(f"{message} (WGS 84)")


def _encoding(page: bytes) -> str:
    name = page.decode("ascii", "replace").strip() or "cp1252"
    name = f"cp{name}" if name.isdecimal() else name.removeprefix("ANSI ")
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise Unreadable("The .cpg of the shapefile names an unknown encoding") from None


def _shapes(data: bytes) -> Iterator[dict[str, Any] | None]:
    if struct.unpack_from(">i", data)[0] != 9994:
        raise ValueError
    at = 100
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at + 4)
        if at + 8 + 2 * size > len(data) or size < 2:
            raise ValueError
        yield _shape(data[at + 8 : at + 8 + 2 * size])
        at += 8 + 2 * size


def _shape(record: bytes) -> dict[str, Any] | None:
    """One shape as GeoJSON; the kinds with heights (10 more) and measures (20 more) begin as those without."""
    (kind,) = struct.unpack_from("<i", record)
    kind %= 10
    if kind == _NULL:
        return None
    if kind == _POINT:
        return {"type": "Point", "coordinates": list(_finite(struct.unpack_from("<2d", record, 4)))}
    if kind == _MULTIPOINT:
        (count,) = struct.unpack_from("<i", record, 36)
        return {"type": "MultiPoint", "coordinates": [list(one) for one in _points(record, 40, count)]}
    if kind not in (_LINE, _POLYGON):
        raise Unreadable("The shapefile has shapes of a kind that is no point, line or polygon")
    parts, count = struct.unpack_from("<2i", record, 36)
    starts = [*struct.unpack_from(f"<{parts}i", record, 44), count]
    points = _points(record, 44 + 4 * parts, count)
    rings = [points[start:end] for start, end in itertools.pairwise(starts)]
    if kind == _LINE:
        return {"type": "MultiLineString", "coordinates": [[list(one) for one in ring] for ring in rings]}
    nested = [[[list(one) for one in ring] for ring in polygon] for polygon in _polygons(rings)]
    return {"type": "MultiPolygon", "coordinates": nested}


def _points(record: bytes, at: int, count: int) -> list[Position]:
    found = struct.unpack_from(f"<{2 * count}d", record, at)
    return [_finite((found[n], found[n + 1])) for n in range(0, 2 * count, 2)]


def _finite(point: tuple[Any, ...]) -> Position:
    if not all(map(math.isfinite, point)):
        raise ValueError
    return (float(point[0]), float(point[1]))


def _polygons(rings: list[list[Position]]) -> list[list[list[Position]]]:
    """Rings that run clockwise are outer ones; each of the others is a hole of the outer ring around it."""
    outer = [[ring] for ring in rings if _area(ring) <= 0]
    for hole in (ring for ring in rings if _area(ring) > 0):
        around = next((polygon for polygon in outer if _within(hole[0], polygon[0])), None)
        if around is None:
            outer.append([hole])  # written the wrong way round, as some programs do
        else:
            around.append(hole)
    return outer


def _area(ring: list[Position]) -> float:
    """Twice the area, negative where the ring runs clockwise."""
    pairs = itertools.pairwise(ring)
    return sum(one[0] * two[1] - two[0] * one[1] for one, two in pairs)


def _within(point: Position, ring: list[Position]) -> bool:
    """Whether a ray from the point crosses the ring an odd number of times."""
    x, y = point
    inside = False
    for one, two in itertools.pairwise(ring):
        if (one[1] > y) != (two[1] > y) and x < one[0] + (y - one[1]) * (two[0] - one[0]) / (two[1] - one[1]):
            inside = not inside
    return inside


def _records(data: bytes, encoding: str) -> Iterator[dict[str, Any] | None]:
    """The records of a .dbf; None for one that is marked as deleted."""
    count, head, size = struct.unpack_from("<IHH", data, 4)
    fields: list[tuple[str, str, int]] = []
    at = 32
    while data[at] != 0x0D:
        name = data[at : at + 11].split(b"\0")[0].decode(encoding, "replace").strip()
        fields.append((name, chr(data[at + 11]), data[at + 16]))
        at += 32
    if any(kind not in "CNFLD" for _, kind, _ in fields):
        raise Unreadable("The shapefile has a field that is no text, number, date or yes and no")
    if head + count * size > len(data):
        raise ValueError
    for number in range(count):
        start = head + number * size
        if data[start : start + 1] == b"*":
            yield None
            continue
        record: dict[str, Any] = {}
        place = start + 1
        for name, kind, width in fields:
            record[name] = _cell(kind, data[place : place + width].decode(encoding, "replace"))
            place += width
        yield record


def _cell(kind: str, written: str) -> Any:
    text = written.strip("\0 ")
    if not text:
        return None
    if kind == "D":
        return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
    if kind == "L":
        return {"t": "true", "y": "true", "f": "false", "n": "false"}.get(text.lower())
    return None if kind in "NF" and set(text) == {"*"} else text
