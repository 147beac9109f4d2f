"""The geometry that SoQL's functions ask about."""

from __future__ import annotations

import json

import pytest

from ctnb.embedded.spatial import (
    Position,
    Shape,
    convex_hull,
    intersects,
    metres_between,
    parse_wkt,
    read_shape,
    simplify,
    within,
    within_box,
    within_circle,
)

SQUARE = "POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0), (4 4, 6 4, 6 6, 4 6, 4 4))"
"""With a hole in the middle."""
TWO = "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 1, 0 0)), ((5 5, 6 5, 6 6, 5 6, 5 5)))"
NOTCH = "POLYGON ((0 0, 10 0, 10 10, 5 1, 0 10, 0 0))"


def shape(text: str) -> Shape:
    """The geometry of a well-known text."""
    parsed = parse_wkt(text)
    assert parsed is not None
    found = read_shape(parsed[1])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "kind", "coordinates"),
    [
        ("POINT (-72.5 41)", "point", [-72.5, 41]),
        ("point(1e2 +.5)", "point", [100, 0.5]),
        ("MULTIPOINT ((1 2), (3 4))", "multipoint", [[1, 2], [3, 4]]),
        ("MULTIPOINT (1 2, 3 4)", "multipoint", [[1, 2], [3, 4]]),
        ("LINESTRING(0 0,1 1)", "line", [[0, 0], [1, 1]]),
        ("MULTILINESTRING ((0 0, 1 1), (2 2, 3 3))", "multiline", [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]),
        ("POLYGON((0 0, 1 0, 1 1, 0 0))", "polygon", [[[0, 0], [1, 0], [1, 1], [0, 0]]]),
        ("MultiPolygon (((0 0, 1 0, 1 1, 0 0)))", "multipolygon", [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]),
        ("POINT Z", None, None),
        ("POINT (1)", None, None),
        ("POINT (1 2", None, None),
        ("POLYGON (0 0, 1 1)", None, None),
        ("CIRCLE (1 2)", None, None),
        ("", None, None),
    ],
)
def test_well_known_text_is_read(text: str, kind: str | None, coordinates: object) -> None:
    """All six types, in any spacing and case; what is none of them is None."""
    parsed = parse_wkt(text)
    if kind is None:
        assert parsed is None
    else:
        assert parsed is not None
        assert (kind, coordinates) == (parsed[0], json.loads(parsed[1])["coordinates"])


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        ((0, 0), (0, 0), 0),
        ((0, 0), (1, 0), 111319.491),
        ((0, 0), (0, 1), 110574.389),
        ((-72.6851, 41.7637), (-73.9857, 40.7484), 156676),
        ((0, 0), (180, 0), 20015114),
        ((0, -90), (0, 90), 20003931),
    ],
)
def test_distances_follow_the_ellipsoid(
    one: tuple[float, float], other: tuple[float, float], metres: float
) -> None:
    """A degree of longitude and of latitude, a drive across the state line, and the other side of the world."""
    found = metres_between(Position(*one, ""), Position(*other, ""))
    assert found == pytest.approx(metres, rel=2e-3)


def test_boxes_and_circles_hold_all_of_a_shape() -> None:
    """A line half outside is not within; edges count in."""
    line = shape("LINESTRING (0 0, 2 2)")
    assert within_box(line, 2, 0, 0, 2)
    assert not within_box(line, 1.9, 0, 0, 2)
    assert within_circle(line, 0, 0, 320_000)
    assert not within_circle(line, 0, 0, 300_000)


@pytest.mark.parametrize(
    ("inner", "area", "expected"),
    [
        ("POINT (1 1)", SQUARE, True),
        ("POINT (5 5)", SQUARE, False),
        ("POINT (0 5)", SQUARE, True),
        ("POINT (11 5)", SQUARE, False),
        ("POINT (5.5 5.5)", TWO, True),
        ("POINT (3 3)", TWO, False),
        ("LINESTRING (1 1, 3 3)", SQUARE, True),
        ("LINESTRING (1 5, 9 5)", SQUARE, False),
        ("LINESTRING (1 5, 9 5)", NOTCH, False),
        ("POLYGON ((1 1, 2 1, 2 2, 1 1))", SQUARE, True),
        ("POINT (1 1)", "LINESTRING (0 0, 2 2)", False),
    ],
)
def test_within_polygons(inner: str, area: str, expected: bool) -> None:
    """Holes are outside, edges inside; a line that leaves and comes back is not within."""
    assert within(shape(inner), shape(area)) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("POINT (1 1)", "POINT (1 1)", True),
        ("POINT (1 1)", "POINT (1 2)", False),
        ("POINT (1 1)", "LINESTRING (0 0, 2 2)", True),
        ("POINT (5 5)", SQUARE, False),
        ("LINESTRING (0 0, 2 2)", "LINESTRING (0 2, 2 0)", True),
        ("LINESTRING (0 0, 1 1)", "LINESTRING (3 3, 4 4)", False),
        ("POLYGON ((-1 -1, 11 -1, 11 11, -1 11, -1 -1))", TWO, True),
        (TWO, "POLYGON ((2 2, 3 2, 3 3, 2 2))", False),
        ("LINESTRING (-1 5, 11 5)", SQUARE, True),
    ],
)
def test_intersections(one: str, other: str, expected: bool) -> None:
    """In either order."""
    assert intersects(shape(one), shape(other)) is expected
    assert intersects(shape(other), shape(one)) is expected


def test_a_hull_keeps_the_digits_of_its_corners() -> None:
    """Inner places go; a hull without area is a line or a point."""
    hull = convex_hull(shape("MULTIPOINT (0.10 0, 4 0, 4 4.50, 0.10 4, 2 2, 3 1)"))
    assert hull == '{"type":"Polygon","coordinates":[[[0.10,0],[4,0],[4,4.50],[0.10,4],[0.10,0]]]}'
    assert (
        convex_hull(shape("LINESTRING (0 0, 1 1, 2 2)"))
        == '{"type":"LineString","coordinates":[[0,0],[2,2]]}'
    )
    assert convex_hull(shape("POINT (1 2)")) == '{"type":"Point","coordinates":[1,2]}'


def test_a_simpler_shape_has_fewer_places() -> None:
    """Places near the line go; a ring that collapses goes, or stays where the topology is to be kept."""
    line = shape("LINESTRING (0 0, 1 0.01, 2 0, 3 5)")
    assert simplify(line, 0.1, keep=False) == '{"type":"LineString","coordinates":[[0,0],[2,0],[3,5]]}'
    speck = shape("POLYGON ((0 0, 0.01 0, 0.01 0.01, 0 0))")
    assert simplify(speck, 1, keep=False) is None
    assert json.loads(simplify(speck, 1, keep=True) or "")["coordinates"][0][1] == [0.01, 0]
    both = shape(TWO)
    assert json.loads(simplify(both, 0.1, keep=False) or "")["type"] == "MultiPolygon"
    assert simplify(shape("POINT (1 2)"), 1, keep=False) == '{"type":"Point","coordinates":[1,2]}'


def test_a_location_without_a_place_is_nowhere() -> None:
    """An address alone has no coordinates."""
    assert read_shape('{"human_address":"x"}') is None
    found = read_shape('{"latitude":"41.5","longitude":"-72"}')
    assert found is not None
    assert [(p.x, p.y) for p in found.positions()] == [(-72.0, 41.5)]
