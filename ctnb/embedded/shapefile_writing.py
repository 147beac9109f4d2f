"""
Rows with a geometry as zipped shapefiles, without GDAL.

After the ESRI Shapefile Technical Description (July 1998) and the dBASE III file layout.
"""

from __future__ import annotations

import itertools
import json
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from .placemarks import Attribute, Geometry, Places, gpx, kml, kmz, line_parts, sent

NAME_LETTERS, TEXT_BYTES = 10, 254
"""What the format of a shapefile's records has room for: a longer name or text is cut."""
_NUMBER = re.compile(r"-?\d{1,20}(?:\.(\d{1,15}))?", re.ASCII)
_WGS_84 = (
    'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
)
_SHAPES = {
    "Point": 1, "LineString": 3, "MultiLineString": 3, "Polygon": 5, "MultiPolygon": 5, "MultiPoint": 8,
}  # fmt: skip
_WORDS = {1: "points", 3: "lines", 5: "polygons", 8: "multipoints"}


def shapefile(title: str, attributes: Sequence[Attribute], places: Places) -> Iterator[bytes]:
    """
    A zip with one shapefile for each kind of shape among the rows: points, several points, lines, polygons.

    Rows without a geometry are null shapes of the first. Coordinates are WGS 84, texts UTF-8. The format cuts
    names at NAME_LETTERS and texts at TEXT_BYTES.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = _Kept(folder / "rows", attributes, places)
        file = folder / "shapes.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for shape in kept.shapes or [1]:
                stem = title if len(kept.shapes) < 2 else f"{title}_{_WORDS[shape]}"
                _write_shapes(folder, kept, shape)
                for end in ("shp", "shx", "dbf"):
                    archive.write(folder / end, f"{stem}.{end}")
                archive.writestr(f"{stem}.prj", _WGS_84)
                archive.writestr(f"{stem}.cpg", "UTF-8")
        yield from sent(file)


class _Kept:
    """The rows in a file, read twice: what their texts need is known when they are written."""

    def __init__(self, file: Path, attributes: Sequence[Attribute], places: Places) -> None:
        self.file = file
        self.widths = [1] * len(attributes)
        self.decimals: list[int | None] = [0 if one.number else None for one in attributes]
        """How many decimals a number needs; None for a text."""
        found: dict[int, None] = {}
        with file.open("w", encoding="utf-8") as out:
            for geometry, values in places:
                if geometry is not None:
                    found[_SHAPES[geometry["type"]]] = None
                for at, value in enumerate(values):
                    self._measure(at, value)
                out.write(json.dumps([geometry, list(values)]) + "\n")
        self.shapes = list(found)
        self.names = _short_names(attributes)

    def _measure(self, at: int, value: str | None) -> None:
        if value is None:
            return
        match = None if self.decimals[at] is None else _NUMBER.fullmatch(value)
        if match is None:
            self.decimals[at] = None
        else:
            self.decimals[at] = max(self.decimals[at] or 0, len(match[1] or ""))
        self.widths[at] = max(self.widths[at], min(len(value.encode("utf-8", "replace")), TEXT_BYTES))

    def rows(self, shape: int) -> Iterator[tuple[Geometry | None, list[str | None]]]:
        """Those of a kind of shape; those without a geometry are of the first kind."""
        first = not self.shapes or shape == self.shapes[0]
        with self.file.open(encoding="utf-8") as lines:
            for line in lines:
                geometry, values = json.loads(line)
                if first if geometry is None else _SHAPES[geometry["type"]] == shape:
                    yield geometry, values

    def fields(self) -> list[tuple[bytes, bytes, int, int]]:
        """Name, type, length and decimals of each attribute."""
        made = []
        for name, width, decimals in zip(self.names, self.widths, self.decimals, strict=True):
            length = width + decimals + 1 if decimals else width
            made.append((name, b"C" if decimals is None else b"N", min(length, TEXT_BYTES), decimals or 0))
        return made


def _short_names(attributes: Sequence[Attribute]) -> list[bytes]:
    """Names of at most NAME_LETTERS bytes, none twice in any case."""
    made: list[bytes] = []
    for one in attributes:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", one.name)
        name, number = plain[:NAME_LETTERS], 1
        while any(name.upper() == other.decode().upper() for other in made):
            end = f"_{number}"
            name, number = plain[: NAME_LETTERS - len(end)] + end, number + 1
        made.append(name.encode())
    return made


def _write_shapes(folder: Path, kept: _Kept, shape: int) -> None:
    fields, count = kept.fields(), 0
    box = _Box()
    with (
        (folder / "shp").open("wb") as shp,
        (folder / "shx").open("wb") as shx,
        (folder / "dbf").open("wb") as dbf,
    ):
        for stream in (shp, shx):
            stream.write(bytes(100))
        _dbf_head(dbf, fields, 0)
        for geometry, values in kept.rows(shape):
            content = struct.pack("<i", 0) if geometry is None else _record(shape, geometry, box)
            count += 1
            shx.write(struct.pack(">2i", shp.tell() // 2, len(content) // 2))
            shp.write(struct.pack(">2i", count, len(content) // 2) + content)
            dbf.write(b" " + b"".join(_dbf_cell(one, text) for one, text in zip(fields, values, strict=True)))
        dbf.write(b"\x1a")
        for stream in (shp, shx):
            size = stream.tell() // 2
            stream.seek(0)
            stream.write(struct.pack(">7i", 9994, 0, 0, 0, 0, 0, size) + struct.pack("<2i", 1000, shape))
            stream.write(struct.pack("<8d", *box.corners, 0, 0, 0, 0))
        dbf.seek(0)
        _dbf_head(dbf, fields, count)


class _Box:
    """The box of every position seen."""

    def __init__(self) -> None:
        self.corners: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
        self.empty = True

    def hold(self, positions: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
        """The box of `positions`, which this one holds from now on too."""
        across, up = [one[0] for one in positions], [one[1] for one in positions]
        own = (min(across), min(up), max(across), max(up)) if positions else (0.0, 0.0, 0.0, 0.0)
        if positions:
            known = own if self.empty else self.corners
            low = (min(known[0], own[0]), min(known[1], own[1]))
            self.corners = (*low, max(known[2], own[2]), max(known[3], own[3]))
            self.empty = False
        return own


def _record(shape: int, geometry: Geometry, box: _Box) -> bytes:
    """One shape as the content of a record."""
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if shape == 1:
        (position,) = _positions([coordinates])
        box.hold([position])
        return struct.pack("<i2d", 1, *position)
    if shape == 8:
        positions = _positions(coordinates)
        return struct.pack("<i4di", 8, *box.hold(positions), len(positions)) + _packed(positions)
    lines = (
        _rings(kind, coordinates)
        if shape == 5
        else [_positions(one) for one in line_parts(kind, coordinates)]
    )
    positions = [position for line in lines for position in line]
    starts = list(itertools.accumulate((len(line) for line in lines[:-1]), initial=0))[: len(lines)]
    head = struct.pack("<i4d2i", shape, *box.hold(positions), len(lines), len(positions))
    return head + struct.pack(f"<{len(lines)}i", *starts) + _packed(positions)


def _rings(kind: str, coordinates: Any) -> list[list[tuple[float, float]]]:
    """The rings of polygons as a shapefile has them: outer ones clockwise, holes the other way round."""
    polygons = [coordinates] if kind == "Polygon" else coordinates
    made = []
    for polygon in polygons:
        for number, ring in enumerate(polygon):
            positions = _positions(ring)
            turn = sum(one[0] * two[1] - two[0] * one[1] for one, two in itertools.pairwise(positions))
            made.append(positions[::-1] if (turn > 0) == (number == 0) else positions)
    return made


def _positions(listed: Iterable[Sequence[Any]]) -> list[tuple[float, float]]:
    return [(float(one[0]), float(one[1])) for one in listed]


def _packed(positions: Sequence[tuple[float, float]]) -> bytes:
    return struct.pack(f"<{2 * len(positions)}d", *itertools.chain.from_iterable(positions))


def _dbf_head(stream: IO[bytes], fields: Sequence[tuple[bytes, bytes, int, int]], count: int) -> None:
    size = 1 + sum(length for _, _, length, _ in fields)
    stream.write(struct.pack("<4BIHH20x", 3, 95, 7, 26, count, 33 + 32 * len(fields), size))
    for name, kind, length, decimals in fields:
        stream.write(struct.pack("<11sc4xBB14x", name, kind, length, decimals))
    stream.write(b"\r")


def _dbf_cell(field: tuple[bytes, bytes, int, int], text: str | None) -> bytes:
    _, kind, length, decimals = field
    if text is None:
        return b" " * length
    if kind == b"N":
        whole, _, part = text.partition(".")
        return (f"{whole}.{part:<0{decimals}}" if decimals else whole).encode().rjust(length)
    return text.encode("utf-8", "replace")[:length].decode("utf-8", "ignore").encode().ljust(length)


Writer = Callable[[str, Sequence[Attribute], Places], Iterator[bytes]]
WRITERS: dict[str, tuple[Writer, str]] = {
    "kml": (kml, "application/vnd.google-earth.kml+xml"),
    "kmz": (kmz, "application/vnd.google-earth.kmz"),
    "gpx": (gpx, "application/gpx+xml"),
    "shp": (shapefile, "application/zip"),
}
"""Of each format how it is made and its Content-Type."""
