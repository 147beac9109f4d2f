"""GDAL, by pyogrio, reads what the embedded portal exports: GeoJSON, KML, KMZ, GPX and zipped shapefiles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ods_fixture import EXPLORE, Ods, realtime
from portal_fixture import Running, running_portal

pytestmark = pytest.mark.servers

SQUARE = [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]], [[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]]]
SHAPES = {
    "point": [
        {"type": "Point", "coordinates": [-72.123456789012, 41.5]},
        {"type": "Point", "coordinates": [0, 0]},
    ],
    "multipoint": [{"type": "MultiPoint", "coordinates": [[-72, 41], [-73, 42]]}],
    "line": [{"type": "LineString", "coordinates": [[-72, 41], [-73, 42], [-73, 43]]}],
    "multiline": [
        {"type": "MultiLineString", "coordinates": [[[-72, 41], [-73, 42]], [[1, 2], [3, 4], [5, 6]]]}
    ],
    "polygon": [{"type": "Polygon", "coordinates": SQUARE}],
    "multipolygon": [
        {"type": "MultiPolygon", "coordinates": [SQUARE, [[[20, 20], [30, 20], [30, 30], [20, 20]]]]}
    ],
}
REMARK = 'Süd & "West" <b>,\n' + "x" * 300


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def towns(portal: Running) -> Ods:
    """Three places of the other dialect, one without a point, and a shape that some have."""
    bootstrap = {"town": "a", "people": 1, "spot": {"lat": 1.0, "lon": 1.0}}
    made = realtime(portal, bootstrap, "town", dataset_id="towns")
    rows: list[dict[str, Any]] = [
        {"town": "Derby", "people": 12325, "spot": "41.32,-73.08"},
        {"town": "Ansonia", "people": -3, "spot": "41.34,-73.07"},
        {"town": "Söüth"},
    ]
    assert made.push(rows).status_code == 200
    return made


def read(path: Path, content: bytes, layer: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """The features of a file as GDAL reads them, each with its geometry as well-known binary, and the kind."""
    from pyogrio.raw import read_arrow

    path.write_bytes(content)
    found, table = read_arrow(f"/vsizip/{path}" if path.suffix == ".zip" else path, layer=layer)
    return table.to_pylist(), str(found["geometry_type"])


def shape(feature: dict[str, Any]) -> Any:
    """The geometry of a feature as GeoJSON says it, from its well-known binary."""
    name = next(name for name in ("wkb_geometry", "geometry", "geom") if name in feature)
    return None if feature[name] is None else parsed(bytes(feature[name]))[0]


def parsed(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Nested lists of the coordinates in well-known binary, heights left out, and where it ends."""
    import struct

    order = "<" if data[at] else ">"
    (kind,) = struct.unpack_from(f"{order}I", data, at + 1)
    high, kind, at = (
        kind >= 1000 or bool(kind & 0x80000000),
        kind & 0xFF if kind < 1000 else kind % 1000,
        at + 5,
    )
    size = 3 if high else 2

    def position() -> list[float]:
        nonlocal at
        one = struct.unpack_from(f"{order}{size}d", data, at)
        at += 8 * size
        return list(one[:2])

    def count() -> int:
        nonlocal at
        (number,) = struct.unpack_from(f"{order}I", data, at)
        at += 4
        return int(number)

    if kind == 1:
        return position(), at
    if kind == 2:
        return [position() for _ in range(count())], at
    if kind == 3:
        return [[position() for _ in range(count())] for _ in range(count())], at
    parts = []
    for _ in range(count()):
        part, at = parsed(data, at)
        parts.append(part)
    return parts, at


def rings(coordinates: Any) -> Any:
    """Coordinates with each ring of a polygon as the set of its corners: a shapefile turns rings round."""
    if isinstance(coordinates[0], (int, float)):
        return tuple(map(float, coordinates))
    if isinstance(coordinates[0][0], (int, float)):
        return frozenset(tuple(map(float, one)) for one in coordinates)
    return [rings(one) for one in coordinates]


@pytest.mark.parametrize("form", ["GeoJSON", "KML", "KMZ", "Shapefile"])
@pytest.mark.parametrize("kind", SHAPES)
def test_every_shape_comes_back_from_every_export(
    portal: Running, tmp_path: Path, kind: str, form: str
) -> None:
    """Coordinates to the last digit, holes among them; texts, numbers, and a row without a place."""
    columns = ("count_of_people", "number"), ("remark", "text"), ("place", kind), ("day", "calendar_date")
    uid = portal.create(*columns, public=True)
    rows = [
        {"count_of_people": "-12.50", "remark": REMARK, "place": one, "day": "2024-03-04"}
        for one in SHAPES[kind]
    ]
    assert portal.ask("POST", f"/resource/{uid}.json", json=[*rows, {"remark": "nowhere"}]).status_code == 200
    answer = portal.ask(
        "GET", f"/api/geospatial/{uid}", signed=False, params={"method": "export", "format": form}
    )
    assert answer.status_code == 200, answer.text
    ending = {"GeoJSON": "geojson", "Shapefile": "zip"}.get(form, form.lower())
    assert f'attachment; filename="{uid}.{ending}"' == answer.headers["Content-Disposition"]
    found, _ = read(tmp_path / f"places.{ending}", answer.content)
    assert len(rows) + 1 == len(found)
    for feature, given in zip(found, rows, strict=False):
        back, sent = shape(feature), given["place"]["coordinates"]  # type: ignore[index]  # a geometry is a dict
        if form == "Shapefile" and kind == "multipoint":
            assert sorted(sent) == sorted(back)
        elif form == "Shapefile" and kind in ("line", "multiline", "polygon", "multipolygon"):
            assert rings(sent) in (rings(back), rings([back]), *([rings(back[0])] if len(back) == 1 else []))
        else:
            assert rings(sent) == rings(back)
        people = feature["count_of_p" if form == "Shapefile" else "count_of_people"]
        assert -12.5 == float(people)
        expected = REMARK.encode()[:254].decode() if form == "Shapefile" else REMARK
        assert expected == feature["remark"]
        assert "2024-03-04" in str(feature["day"])
    assert (None, "nowhere") == (shape(found[-1]), found[-1]["remark"])


def test_rows_as_geojson_are_features(portal: Running, tmp_path: Path) -> None:
    """/resource/<id>.geojson with a query, as geopandas reads an address."""
    uid = portal.create(("n", "number"), ("place", "point"), public=True)
    rows = [{"n": at, "place": {"type": "Point", "coordinates": [-72 - at, 41]}} for at in range(3)]
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    answer = portal.ask(
        "GET", f"/resource/{uid}.geojson", signed=False, params={"$where": "n > 0", "$order": "n"}
    )
    found, kind = read(tmp_path / "rows.geojson", answer.content)
    assert ([[-73.0, 41.0], [-74.0, 41.0]], "Point") == ([shape(one) for one in found], kind)


@pytest.mark.parametrize(
    ("form", "ending"), [("geojson", "geojson"), ("kml", "kml"), ("shp", "zip"), ("gpx", "gpx")]
)
def test_explore_exports_places(portal: Running, towns: Ods, tmp_path: Path, form: str, ending: str) -> None:
    """Points with their fields, in the order asked for; GPX knows only what is somewhere."""
    address = f"{EXPLORE}/{towns.dataset_id}/exports/{form}"
    answer = portal.ask("GET", address, signed=False, params={"order_by": "town"})
    assert f'attachment; filename="towns.{ending}"' == answer.headers["Content-Disposition"]
    layer = "waypoints" if form == "gpx" else None
    found, _ = read(tmp_path / f"towns.{ending}", answer.content, layer)
    assert [[-73.07, 41.34], [-73.08, 41.32]] == [shape(one) for one in found[:2]]
    if form == "gpx":
        assert ["town: Ansonia\npeople: -3", "town: Derby\npeople: 12325"] == [one["desc"] for one in found]
        return
    assert [("Ansonia", -3), ("Derby", 12325), ("Söüth", None)] == [
        (one["town"], None if one["people"] is None else int(one["people"])) for one in found
    ]
    assert shape(found[2]) is None


def test_a_shapefile_for_each_kind_of_shape(portal: Running, tmp_path: Path) -> None:
    """Points and polygons in one field become two shapefiles in one zip."""
    from pyogrio import list_layers

    made = realtime(portal, {"name": "a", "area": SHAPES["point"][0]}, "name", published=False)
    made.type("area", "geo_shape")
    made.publish()
    rows = [{"name": kind, "area": SHAPES[kind][0]} for kind in ("point", "polygon", "multipolygon")]
    assert made.push(rows).status_code == 200
    path = tmp_path / "areas.zip"
    path.write_bytes(portal.ask("GET", f"{EXPLORE}/{made.dataset_id}/exports/shp").content)
    layers = sorted(name for name, _ in list_layers(f"/vsizip/{path}"))
    assert [f"{made.dataset_id}_points", f"{made.dataset_id}_polygons"] == layers
    found, _ = read(path, path.read_bytes(), layers[1])
    assert ["polygon", "multipolygon"] == [one["name"] for one in found]
    assert json.dumps(SQUARE[1][0]) == json.dumps([int(part) for part in shape(found[0])[1][0]])
