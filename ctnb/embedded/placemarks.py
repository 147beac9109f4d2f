"""Rows with a geometry as KML, KMZ and GPX, for the downloads of both kinds of portal (OGC KML 2.2, GPX 1.1)."""

from __future__ import annotations

import itertools
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from .renderings import legal

Geometry = Mapping[str, Any]
"""As GeoJSON; its coordinates may be texts, so that no digit is lost."""
PIECE_BYTES = 2**18


@dataclass(frozen=True)
class Attribute:
    """A column beside the geometry."""

    name: str
    number: bool = False
    """Whether its texts are decimal numbers."""


Places = Iterable[tuple[Geometry | None, Sequence[str | None]]]
"""Of each row its geometry and the texts of its attributes."""


def kml(title: str, attributes: Sequence[Attribute], places: Places) -> Iterator[bytes]:
    """A document with a placemark for each row, its attributes as data of one schema."""
    fields = "".join(
        f'<SimpleField name={quoteattr(one.name)} type="{"double" if one.number else "string"}"/>'
        for one in attributes
    )
    yield (
        '<?xml version="1.0" encoding="utf-8"?>\n<kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f'<name>{escape(legal(title))}</name><Schema name="row" id="row">{fields}</Schema>\n'
    ).encode()
    for geometry, values in places:
        data = "".join(
            f"<SimpleData name={quoteattr(one.name)}>{escape(legal(value))}</SimpleData>"
            for one, value in zip(attributes, values, strict=True)
            if value is not None
        )
        shape = "" if geometry is None else _kml_shape(geometry["type"], geometry["coordinates"])
        yield (
            f'<Placemark><ExtendedData><SchemaData schemaUrl="#row">{data}</SchemaData></ExtendedData>{shape}'
            "</Placemark>\n"
        ).encode()
    yield b"</Document></kml>\n"


def _kml_shape(kind: str, coordinates: Any) -> str:
    if kind.startswith("Multi"):
        inner = "".join(_kml_shape(kind.removeprefix("Multi"), one) for one in coordinates)
        return f"<MultiGeometry>{inner}</MultiGeometry>"
    if kind == "Polygon":
        rings = (f"<LinearRing>{_kml_line(ring)}</LinearRing>" for ring in coordinates)
        words = itertools.chain(["outerBoundaryIs"], itertools.repeat("innerBoundaryIs"))
        parts = (f"<{word}>{ring}</{word}>" for word, ring in zip(words, rings, strict=False))
        return f"<Polygon>{''.join(parts)}</Polygon>"
    return f"<{kind}>{_kml_line([coordinates] if kind == 'Point' else coordinates)}</{kind}>"


def _kml_line(positions: Sequence[Sequence[Any]]) -> str:
    text = " ".join(f"{one[0]},{one[1]}" for one in positions)
    return f"<coordinates>{text}</coordinates>"


def kmz(title: str, attributes: Sequence[Attribute], places: Places) -> Iterator[bytes]:
    """The KML, zipped."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "doc.kmz"
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("doc.kml", "w") as inner,
        ):
            for piece in kml(title, attributes, places):
                inner.write(piece)
        yield from sent(file)


def gpx(title: str, attributes: Sequence[Attribute], places: Places) -> Iterator[bytes]:
    """Points as waypoints, lines and the rings of polygons as tracks; attributes as lines of the description."""
    head = '<gpx version="1.1" creator="open data portal" xmlns="http://www.topografix.com/GPX/1/1">'
    name = f"<metadata><name>{escape(legal(title))}</name></metadata>"
    yield f'<?xml version="1.0" encoding="utf-8"?>\n{head}{name}\n'.encode()
    with tempfile.SpooledTemporaryFile(PIECE_BYTES) as tracks:  # waypoints come before tracks
        for geometry, values in places:
            if geometry is None:
                continue
            pairs = zip(attributes, values, strict=True)
            said = "\n".join(f"{one.name}: {value}" for one, value in pairs if value is not None)
            points, lines = _gpx_parts(geometry)
            desc = f"<desc>{escape(legal(said))}</desc>"
            for point in points:
                yield f"<wpt {_gpx_place(point)}>{desc}</wpt>\n".encode()
            segments = "".join(
                f"<trkseg>{''.join(f'<trkpt {_gpx_place(one)}/>' for one in line)}</trkseg>" for line in lines
            )
            if segments:
                tracks.write(f"<trk>{desc}{segments}</trk>\n".encode())
        tracks.seek(0)
        while piece := tracks.read(PIECE_BYTES):
            yield piece
    yield b"</gpx>\n"


def _gpx_place(position: Sequence[Any]) -> str:
    return f'lat="{position[1]}" lon="{position[0]}"'


def _gpx_parts(geometry: Geometry) -> tuple[list[Any], list[Any]]:
    """The points and the lines of a geometry."""
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind in ("Point", "MultiPoint"):
        return ([coordinates] if kind == "Point" else list(coordinates)), []
    return [], line_parts(kind, coordinates)


def line_parts(kind: str, coordinates: Any) -> list[Any]:
    """The lines of a line, the rings of a polygon, of one or several."""
    if kind == "LineString":
        return [coordinates]
    if kind == "MultiPolygon":
        return [ring for polygon in coordinates for ring in polygon]
    return list(coordinates)


def sent(file: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces."""
    with file.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece
