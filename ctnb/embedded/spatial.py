"""
What SoQL asks of geometries: distances, boxes, circles, polygons, hulls and simpler lines, in plain Python.

Coordinates are longitude and latitude in degrees (WGS 84) on a plane, as PostGIS treats `geometry`; only
distances follow the ellipsoid. What is given back keeps the digits that were stored.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_NAMES = {
    "Point": "point",
    "MultiPoint": "multipoint",
    "LineString": "line",
    "MultiLineString": "multiline",
    "Polygon": "polygon",
    "MultiPolygon": "multipolygon",
}
_DEPTHS = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
_WKT_TOKEN = re.compile(r"\s*([A-Za-z]+|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[(),])")
_MAJOR_M, _MINOR_M = 6378137.0, 6356752.314245
"""The half axes of WGS 84 in metres."""


@dataclass(frozen=True)
class Position:
    """One pair of coordinates, in degrees, and its JSON text as it was stored."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Shape:
    """A geometry: points, lines, and polygons as lists of rings, of which the first is the outer one."""

    type: str
    points: tuple[Position, ...] = ()
    lines: tuple[tuple[Position, ...], ...] = ()
    polygons: tuple[tuple[tuple[Position, ...], ...], ...] = ()

    def paths(self) -> Iterator[tuple[Position, ...]]:
        """Its lines and rings."""
        yield from self.lines
        for rings in self.polygons:
            yield from rings

    def positions(self) -> Iterator[Position]:
        """Every position in it."""
        yield from self.points
        for path in self.paths():
            yield from path


def read_shape(stored: str) -> Shape | None:
    """The geometry of a stored GeoJSON text or of a stored location; None for a location without a place."""
    value = json.loads(stored, parse_float=str, parse_int=str)
    if "type" not in value:
        pair = (value.get("longitude"), value.get("latitude"))
        return None if None in pair else Shape("Point", (_position(list(pair)),))
    return _shape(value["type"], value["coordinates"])


def parse_wkt(text: str) -> tuple[str, str] | None:
    """The type word (`point`, `multipolygon`...) and the GeoJSON text of a well-known text, or None."""
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _WKT_TOKEN.match(text, at)
        if match is None:
            return None
        tokens.append(match[1])
        at = match.end()
    name = next((known for known in _NAMES if tokens and known.lower() == tokens[0].lower()), None)
    if name is None:
        return None
    coordinates = _wkt_coordinates(tokens[1:], _DEPTHS[name])
    return None if coordinates is None else (_NAMES[name], _geojson(name, coordinates))


def _wkt_coordinates(tokens: list[str], depth: int) -> str | None:
    """The JSON of parentheses `depth` deep, whose innermost lists hold positions between commas."""
    text = " ".join(tokens)
    number = r"[-+.0-9eE]+"
    position = rf"{number} {number}(?: {number})?"
    forms = [rf"\( {position} \)", rf"\( {position}(?: , {position})* \)"]
    forms.append(rf"\( {forms[1]}(?: , {forms[1]})* \)")
    forms.append(rf"\( {forms[2]}(?: , {forms[2]})* \)")
    if depth == 1:  # the points of a MULTIPOINT may stand in parentheses of their own
        text = re.sub(rf"\( ({position}) \)(?= [,)])", r"\1", text)
    if not re.fullmatch(forms[depth], text):
        return None
    listed = re.sub(position, lambda match: f"[{','.join(map(_plain, match[0].split()))}]", text)
    if depth == 0:
        return listed[2:-2]
    return listed.replace("(", "[").replace(")", "]").replace(" ", "")


def _plain(number: str) -> str:
    """A number as JSON spells it."""
    number = number.lstrip("+")
    return json.dumps(float(number)) if not re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", number) else number


def _position(pair: list[str]) -> Position:
    return Position(float(pair[0]), float(pair[1]), f"[{','.join(pair)}]")


def _shape(name: str, value: Any) -> Shape:
    if name == "Point":
        return Shape(name, (_position(value),))
    if name == "MultiPoint":
        return Shape(name, tuple(map(_position, value)))
    if name == "LineString":
        return Shape(name, lines=(tuple(map(_position, value)),))
    if name == "MultiLineString":
        return Shape(name, lines=tuple(tuple(map(_position, line)) for line in value))
    polygons = [value] if name == "Polygon" else value
    return Shape(
        name, polygons=tuple(tuple(tuple(map(_position, ring)) for ring in rings) for rings in polygons)
    )


def _geojson(name: str, coordinates: str) -> str:
    return f'{{"type":"{name}","coordinates":{coordinates}}}'


def _listed(parts: Iterable[str]) -> str:
    return f"[{','.join(parts)}]"


def _path(path: Iterable[Position]) -> str:
    return _listed(position.text for position in path)


def metres_between(one: Position, other: Position) -> float:
    """
    The length in metres of the shortest line over the ellipsoid of WGS 84.

    Vincenty's inverse formula (Survey Review 23, 1975); nearly opposite places, where it does not settle, are
    measured over a sphere.
    """
    if (one.x, one.y) == (other.x, other.y):
        return 0.0
    flattening = 1 - _MINOR_M / _MAJOR_M
    span = math.radians(other.x - one.x)
    u1 = math.atan((1 - flattening) * math.tan(math.radians(one.y)))
    u2 = math.atan((1 - flattening) * math.tan(math.radians(other.y)))
    angle = span
    for _ in range(100):
        sin_s = math.hypot(
            math.cos(u2) * math.sin(angle),
            math.cos(u1) * math.sin(u2) - math.sin(u1) * math.cos(u2) * math.cos(angle),
        )
        if sin_s == 0:
            return 0.0
        cos_s = math.sin(u1) * math.sin(u2) + math.cos(u1) * math.cos(u2) * math.cos(angle)
        sigma = math.atan2(sin_s, cos_s)
        sin_a = math.cos(u1) * math.cos(u2) * math.sin(angle) / sin_s
        cos2_a = 1 - sin_a**2
        cos_m = cos_s - 2 * math.sin(u1) * math.sin(u2) / cos2_a if cos2_a else 0.0
        c = flattening / 16 * cos2_a * (4 + flattening * (4 - 3 * cos2_a))
        inner = sigma + c * sin_s * (cos_m + c * cos_s * (2 * cos_m**2 - 1))
        before, angle = angle, span + (1 - c) * flattening * sin_a * inner
        if abs(angle - before) < 1e-12:
            return _vincenty_length(cos2_a, sigma, sin_s, cos_s, cos_m)
    return _over_a_sphere(one, other)


def _vincenty_length(cos2_a: float, sigma: float, sin_s: float, cos_s: float, cos_m: float) -> float:
    u = cos2_a * (_MAJOR_M**2 - _MINOR_M**2) / _MINOR_M**2
    a = 1 + u / 16384 * (4096 + u * (u * (320 - 175 * u) - 768))
    b = u / 1024 * (256 + u * (u * (74 - 47 * u) - 128))
    inner = cos_s * (2 * cos_m**2 - 1) - b / 6 * cos_m * (4 * sin_s**2 - 3) * (4 * cos_m**2 - 3)
    return _MINOR_M * a * (sigma - b * sin_s * (cos_m + b / 4 * inner))


def _over_a_sphere(one: Position, other: Position) -> float:
    lat1, lat2 = math.radians(one.y), math.radians(other.y)
    half = math.sin((lat2 - lat1) / 2) ** 2
    half += math.cos(lat1) * math.cos(lat2) * math.sin(math.radians(other.x - one.x) / 2) ** 2
    return 2 * (2 * _MAJOR_M + _MINOR_M) / 3 * math.asin(min(1.0, math.sqrt(half)))


def within_box(shape: Shape, north: float, west: float, south: float, east: float) -> bool:
    """Whether all of `shape` lies in the box, its edges counted in."""
    return all(south <= p.y <= north and west <= p.x <= east for p in shape.positions())


def within_circle(shape: Shape, latitude: float, longitude: float, radius_m: float) -> bool:
    """Whether all of `shape` lies within `radius_m` metres of a place."""
    centre = Position(longitude, latitude, "")
    return all(metres_between(centre, position) <= radius_m for position in shape.positions())


def within(shape: Shape, area: Shape) -> bool:
    """Whether all of `shape` lies inside the polygons of `area`, its edges counted in."""
    if not area.polygons or not all(_covers(area, position) for position in shape.positions()):
        return False
    edges = [edge for path in area.paths() for edge in _edges(path)]
    return not any(_crosses(*one, *edge) for path in shape.paths() for one in _edges(path) for edge in edges)


def intersects(one: Shape, other: Shape) -> bool:
    """Whether two geometries have a place in common."""
    for first, second in ((one, other), (other, one)):
        if second.polygons and any(_covers(second, position) for position in first.positions()):
            return True
        edges = [edge for path in second.paths() for edge in _edges(path)]
        if any(_on(*edge, point) for point in first.points for edge in edges):
            return True
    places = {(point.x, point.y) for point in one.points}
    if any((point.x, point.y) in places for point in other.points):
        return True
    mine = [edge for path in one.paths() for edge in _edges(path)]
    theirs = [edge for path in other.paths() for edge in _edges(path)]
    return any(_touches(*left, *right) for left in mine for right in theirs)


def _edges(path: tuple[Position, ...]) -> Iterator[tuple[Position, Position]]:
    return itertools.pairwise(path)


def _turn(a: Position, b: Position, c: Position) -> float:
    """Above 0 when c lies to the left of the line from a to b."""
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)


def _on(a: Position, b: Position, c: Position) -> bool:
    """Whether c lies on the edge from a to b."""
    inside = min(a.x, b.x) <= c.x <= max(a.x, b.x) and min(a.y, b.y) <= c.y <= max(a.y, b.y)
    return inside and _turn(a, b, c) == 0


def _crosses(a: Position, b: Position, c: Position, d: Position) -> bool:
    """Whether two edges cross in a place that is an end of neither."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _touches(a: Position, b: Position, c: Position, d: Position) -> bool:
    return _crosses(a, b, c, d) or _on(a, b, c) or _on(a, b, d) or _on(c, d, a) or _on(c, d, b)


def _covers(area: Shape, position: Position) -> bool:
    return any(_inside(rings, position) for rings in area.polygons)


def _inside(rings: tuple[tuple[Position, ...], ...], position: Position) -> bool:
    """By the even-odd rule over all rings; a place on an edge is inside."""
    inside = False
    for ring in rings:
        for a, b in _edges(ring):
            if _on(a, b, position):
                return True
            between = (a.y > position.y) != (b.y > position.y)
            if between and position.x < (b.x - a.x) * (position.y - a.y) / (b.y - a.y) + a.x:
                inside = not inside
    return inside


def convex_hull(shape: Shape) -> str | None:
    """The smallest convex polygon around `shape` as GeoJSON; a line or a point when it has no area."""
    places = sorted({(p.x, p.y): p for p in shape.positions()}.values(), key=lambda p: (p.x, p.y))
    if len(places) < 3:
        return _flat(places)
    ring = _half_hull(places) + _half_hull(places[::-1])
    return _flat(places) if len(ring) < 3 else _geojson("Polygon", _listed([_path([*ring, ring[0]])]))


def _flat(places: list[Position]) -> str | None:
    if len(places) < 2:
        return _geojson("Point", places[0].text) if places else None
    return _geojson("LineString", _path([places[0], places[-1]]))


def _half_hull(places: list[Position]) -> list[Position]:
    """Andrew's monotone chain, without its last place (Information Processing Letters 9, 1979)."""
    hull: list[Position] = []
    for place in places:
        while len(hull) >= 2 and _turn(hull[-2], hull[-1], place) <= 0:
            hull.pop()
        hull.append(place)
    return hull[:-1]


def box_around(west: Position, south: Position, east: Position, north: Position) -> str:
    """The box with these sides as a GeoJSON multipolygon; each side is the place that reaches furthest."""
    left, right = (place.text[1:].split(",")[0] for place in (west, east))
    below, above = (place.text[1:-1].split(",")[1] for place in (south, north))
    corners = [(left, below), (left, above), (right, above), (right, below), (left, below)]
    ring = _listed(_listed(corner) for corner in corners)
    return _geojson("MultiPolygon", _listed([_listed([ring])]))


def multipoint(positions: Iterable[Position]) -> str:
    """A GeoJSON multipoint."""
    return _geojson("MultiPoint", _path(positions))


def simplify(shape: Shape, tolerance: float, *, keep: bool) -> str | None:
    """
    `shape` with fewer positions, none further than `tolerance` degrees away (Douglas and Peucker), as GeoJSON.

    A ring that collapses goes, and None is left of a shape without any other; with `keep` it stays as it was.
    """

    def ring(path: tuple[Position, ...]) -> tuple[Position, ...] | None:
        fewer = _fewer(path, tolerance)
        return fewer if len(fewer) > 3 else path if keep else None

    if shape.points:
        return _written(shape, shape.points, (), ())
    lines = tuple(_fewer(line, tolerance) for line in shape.lines)
    polygons = []
    for rings in shape.polygons:
        kept = [ring(one) for one in rings]
        if kept and kept[0] is not None:
            polygons.append(tuple(one for one in kept if one is not None))
    return _written(shape, (), lines, tuple(polygons)) if lines or polygons else None


def _written(
    shape: Shape,
    points: tuple[Position, ...],
    lines: tuple[tuple[Position, ...], ...],
    polygons: tuple[tuple[tuple[Position, ...], ...], ...],
) -> str:
    parts = [p.text for p in points] or [_path(line) for line in lines]
    parts = parts or [_listed(map(_path, rings)) for rings in polygons]
    single = shape.type in ("Point", "LineString", "Polygon")
    return _geojson(shape.type, parts[0] if single else _listed(parts))


def _fewer(path: tuple[Position, ...], tolerance: float) -> tuple[Position, ...]:
    kept = {0, len(path) - 1}
    spans = [(0, len(path) - 1)]
    while spans:
        first, last = spans.pop()
        far, at = 0.0, None
        for number in range(first + 1, last):
            away = _away(path[number], path[first], path[last])
            if away > far:
                far, at = away, number
        if at is not None and far > tolerance:
            kept.add(at)
            spans += [(first, at), (at, last)]
    return tuple(path[number] for number in sorted(kept))


def _away(p: Position, a: Position, b: Position) -> float:
    """Degrees from p to the edge from a to b."""
    width, height = b.x - a.x, b.y - a.y
    length = width**2 + height**2
    along = ((p.x - a.x) * width + (p.y - a.y) * height) / length if length else 0.0
    along = min(1.0, max(0.0, along))
    return math.hypot(p.x - a.x - along * width, p.y - a.y - along * height)
