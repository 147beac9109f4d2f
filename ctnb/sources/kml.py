"""
KML 2.2 (OGC 07-147r2): each Placemark is a record; its point, name, description and extended data are columns.

It is read with expat, a piece at a time, and a document type is refused: so nothing is expanded, and no other file
or address is opened. Links to other files are not followed, and are counted. Coordinates are always WGS 84.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from ctnb.errors import SourceInvalid
from ctnb.sources.geometries import Points
from ctnb.sources.opened import Asked
from ctnb.sources.parts import Key, Parted, PartsWriter

DEPTH_LIMIT = 100
TEXT_LIMIT = 16 << 20
"""Characters of the longest text, and of all cells of one record."""

_CHUNK_BYTES = 1 << 20
_COLUMNS = {
    "name": "name", "description": "description", "address": "address", "phoneNumber": "phone number",
    "Snippet": "snippet", "snippet": "snippet", "when": "when", "begin": "begin", "end": "end",
}  # fmt: skip
"""Elements of a Placemark that are columns; styles and views are not."""
_OTHERS = {
    "LineString": "line", "LinearRing": "line", "Polygon": "polygon", "MultiGeometry": "collection",
    "Track": "track", "MultiTrack": "track", "Model": "model",
}  # fmt: skip
_OVERLAYS = ("GroundOverlay", "PhotoOverlay", "ScreenOverlay")


class _RefusedError(Exception):
    """What is refused while parsing, told as a sentence; expat's handlers cannot stop otherwise."""


@dataclass
class _Placemarks:
    """What the parser has seen so far."""

    writer: PartsWriter
    points: Points = field(default_factory=Points)
    left: Counter[str] = field(default_factory=Counter)
    """Elements that hold rows elsewhere, or none."""
    rows: int = 0
    path: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    cells: dict[Key, str | None] | None = None
    text: list[str] = field(default_factory=list)
    length: int = 0
    key: str = ""
    geometry: int | None = None
    """How deep the outermost geometry of the record stands."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        name = name.rpartition(":")[2]
        if not self.path and name != "kml":
            raise _RefusedError("it is no KML: its outermost element is another")
        if len(self.path) >= DEPTH_LIMIT:
            raise _RefusedError(f"it is nested deeper than {DEPTH_LIMIT}")
        self.path.append(name)
        self.text = []
        if name == "Placemark":
            self._begin()
        elif name == "Folder":
            self.folders.append("")
        elif name == "NetworkLink" or name in _OVERLAYS:
            self.left["links to other files" if name == "NetworkLink" else "overlays"] += 1
        elif name in ("Data", "SimpleData"):
            self.key = attributes.get("name", "")
        elif self.cells is not None and self.geometry is None and name in (*_OTHERS, "Point"):
            self.geometry = len(self.path)
            if name != "Point":
                self.points.others[_OTHERS[name]] += 1

    def end(self, name: str) -> None:
        """An element ends."""
        name = name.rpartition(":")[2]
        text = "".join(self.text).strip()
        self.text = []
        self.path.pop()
        above = self.path[-1] if self.path else ""
        if self.cells is not None:
            self._fill(name, above, text)
        elif name == "name" and above == "Folder" and self.folders:
            self.folders[-1] = text
        if name == "Folder" and self.folders:
            self.folders.pop()
        if name == "Placemark" and self.cells is not None:
            self._finish()
        if self.geometry is not None and len(self.path) < self.geometry:
            self.geometry = None

    def data(self, text: str) -> None:
        """Characters inside an element."""
        if self.cells is None and not (self.path and self.path[-1] == "name"):
            return
        self.length += len(text)
        if self.length > TEXT_LIMIT:
            raise _RefusedError(f"one of its records is larger than {TEXT_LIMIT >> 20} MB")
        self.text.append(text)

    def _begin(self) -> None:
        if self.cells is not None:
            raise _RefusedError("a Placemark stands inside another")
        self.cells, self.geometry, self.length = {}, None, 0
        folder = " / ".join(filter(None, self.folders))
        if folder:
            self.cells["feature", "folder"] = folder

    def _fill(self, name: str, above: str, text: str) -> None:
        assert self.cells is not None  # noqa: S101  # asked before the call
        if name == "SimpleData" or (name == "value" and above == "Data"):
            self.cells[self.key] = text
        elif name in _COLUMNS and above in ("Placemark", "TimeStamp", "TimeSpan"):
            self.cells["feature", _COLUMNS[name]] = text
        elif name == "coordinates" and above == "Point" and self.geometry == len(self.path):
            self.cells["feature", "geometry"] = self._point(text)

    def _point(self, text: str) -> str | None:
        try:
            return self.points.point([float(part) for part in text.split(",")])
        except ValueError:
            return text  # no coordinates: a cell that no type but text takes

    def _finish(self) -> None:
        assert self.cells is not None  # noqa: S101  # asked before the call
        self.rows += 1
        self.writer.add(self.rows, self.cells, self.length)
        self.cells, self.length = None, 0


def opened_kml(path: Path, asked: Asked) -> Parted:
    """The KML file `path`. Raises SourceInvalid when it is none, is damaged or has a document type."""
    if asked.layer is not None:
        raise SourceInvalid(
            "dataset.yml names a layer, and KML has none: its folders are a column.",
            hint="Take source: layer: out of dataset.yml.",
        )
    seen = _Placemarks(PartsWriter(path))
    try:
        _parse(path, seen)
    finally:
        seen.writer.close()
    if not seen.writer.places:
        raise SourceInvalid(
            f"The source's placemarks, {seen.rows:,} in number, have nothing to read."
            if seen.rows
            else "The source holds no placemarks.",
            hint="Check the export that wrote it; a link to another file is not followed.",
        )
    left = tuple(f"Left out: {what}, {count:,}." for what, count in seen.left.items())
    return Parted(seen.writer.header, "", tuple(seen.writer.parts), [], (*seen.points.notes(), *left))


def _parse(path: Path, seen: _Placemarks) -> None:
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = seen.start, seen.end
    parser.CharacterDataHandler = seen.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.buffer_text = True
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
        return
    except _RefusedError as error:
        what = str(error)
    except (expat.ExpatError, LookupError, ValueError):
        what = "it is no well-formed XML"
    raise SourceInvalid(
        f"The source cannot be read as KML: {what} (line {parser.CurrentLineNumber:,}).",
        hint="Export it anew; a .kmz is a zip archive with the KML in it.",
    )


def _refuse_doctype(*_: object) -> None:
    raise _RefusedError("it has a document type, which could make it open other files")
