"""Files of places: GeoJSON, KML and zipped shapefiles as one list of features, all of one type of geometry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

SIZE_LIMIT_BYTES = 256 * 2**20
GEOJSON = ("application/vnd.geo+json", "application/geo+json")
KML = ("application/vnd.google-earth.kml+xml",)
SHAPEFILE = ("application/zip", "application/x-zip-compressed")
PLACES = (*GEOJSON, *KML, *SHAPEFILE)
_SINGLE = {"Point": "MultiPoint", "LineString": "MultiLineString", "Polygon": "MultiPolygon"}


class Unreadable(Exception):
    """A file of places that cannot be read; never quotes it."""


@dataclass(frozen=True)
class Feature:
    """One place."""

    geometry: dict[str, Any] | None
    """As GeoJSON; None for a place without one."""
    properties: dict[str, Any] = field(repr=False)


def read_features(content: Path, content_type: str) -> tuple[str, list[Feature]]:
    """
    The type of geometry of every feature of a file, and the features.

    Where some have one shape and others several of the same kind, all are given as several. Raises Unreadable
    for a file that is not as it is said to be, is too large, or mixes points, lines and polygons.
    """
    from .shapefiles import read_shapefile

    if content.stat().st_size > SIZE_LIMIT_BYTES:
        raise Unreadable(f"A file of places has at most {SIZE_LIMIT_BYTES} bytes here")
    readers = {**dict.fromkeys(GEOJSON, _geojson), **dict.fromkeys(KML, _kml)}
    features = readers.get(content_type, read_shapefile)(content)
    kinds = {feature.geometry["type"] for feature in features if feature.geometry}
    if len(kinds) > 1:
        kinds = {_SINGLE.get(kind, kind) for kind in kinds}
        features = [_several(feature, kinds) for feature in features]
    if len(kinds) != 1 or not kinds <= {*_SINGLE, *_SINGLE.values()}:
        raise Unreadable("The features of a file have one type of geometry: points, lines or polygons")
    return kinds.pop(), features


def _several(feature: Feature, kinds: set[str]) -> Feature:
    shape = feature.geometry
    if shape is None or shape["type"] in kinds:
        return feature
    grown = {"type": _SINGLE.get(shape["type"], ""), "coordinates": [shape.get("coordinates")]}
    return Feature(grown, feature.properties)


def _geojson(content: Path) -> list[Feature]:
    try:
        whole = json.loads(content.read_bytes())
        features = [(one["geometry"], one.get("properties") or {}) for one in whole["features"]]
        if not all(shape is None or isinstance(shape.get("type"), str) for shape, _ in features):
            raise TypeError
        return [Feature(shape, dict(rest)) for shape, rest in features]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # the cause may quote the file
    raise Unreadable("The file is not a GeoJSON feature collection")


def _kml(content: Path) -> list[Feature]:
    """The placemarks of a KML file (OGC 07-147r2): name, description and extended data as properties."""
    features: list[Feature] | None = None
    try:
        root = _tree(content)
        if _tag(root) == "kml":
            features = [_placemark(one) for one in root.iter() if _tag(one) == "Placemark"]
    except (expat.ExpatError, ValueError, AssertionError):
        pass  # the cause may quote the file
    if features is None:
        raise Unreadable("The file is not a KML file that can be read")
    return features


def _tree(content: Path) -> ElementTree.Element:
    """The elements of an XML file; one with a document type, which may declare entities, is refused."""
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate(namespace_separator="}")

    def refuse(*declared: object) -> None:
        raise Unreadable("The file has a document type, which this portal does not read")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    with content.open("rb") as source:
        parser.ParseFile(source)
    return builder.close()


def _placemark(placemark: Any) -> Feature:
    properties: dict[str, Any] = {}
    shapes: list[dict[str, Any]] = []
    for part in placemark:
        if _tag(part) in ("name", "description"):
            properties[_tag(part)] = _text(part)
        elif _tag(part) == "ExtendedData":
            properties.update(_extended(part))
        else:
            shapes.extend(_kml_shapes(part))
    if len(shapes) <= 1:
        return Feature(shapes[0] if shapes else None, properties)
    (kind, *others) = {shape["type"] for shape in shapes}
    if others:
        raise Unreadable("A placemark of the file mixes points, lines and polygons")
    return Feature({"type": _SINGLE[kind], "coordinates": [one["coordinates"] for one in shapes]}, properties)


def _extended(data: Any) -> Iterator[tuple[str, str | None]]:
    for one in data.iter():
        if _tag(one) == "Data":
            value = next((part for part in one if _tag(part) == "value"), None)
            yield str(one.get("name", "")), None if value is None else _text(value)
        elif _tag(one) == "SimpleData":
            yield str(one.get("name", "")), _text(one)


def _kml_shapes(part: Any) -> Iterator[dict[str, Any]]:
    kind = _tag(part)
    if kind == "MultiGeometry":
        for one in part:
            yield from _kml_shapes(one)
    elif kind == "Point":
        yield {"type": "Point", "coordinates": _positions(part)[0]}
    elif kind in ("LineString", "LinearRing"):
        yield {"type": "LineString", "coordinates": _positions(part)}
    elif kind == "Polygon":
        edges = [one for one in part if _tag(one) in ("outerBoundaryIs", "innerBoundaryIs")]
        edges.sort(key=lambda edge: _tag(edge) != "outerBoundaryIs")
        yield {"type": "Polygon", "coordinates": [_positions(edge) for edge in edges]}


def _positions(part: Any) -> list[list[str]]:
    """The longitudes and latitudes below an element, as they were written; heights are left out."""
    written = next((one.text for one in part.iter() if _tag(one) == "coordinates"), None) or ""
    found = [position.split(",")[:2] for position in written.split()]
    if not found or any(len(position) != 2 for position in found):
        raise ValueError
    return found


def _text(part: Any) -> str | None:
    return "".join(part.itertext()).strip() or None


def _tag(part: Any) -> str:
    return str(part.tag).rpartition("}")[2]
