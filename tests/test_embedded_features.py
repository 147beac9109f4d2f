"""Files of places that the embedded portal reads: KML, zipped shapefiles written by GDAL, GeoJSON of two forms."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from draft_calls import applied, open_revision, output_of, upload
from portal_fixture import Running, running_portal

from ctnb.embedded.features import Unreadable, read_features

ZIP, KML, GEOJSON = "application/zip", "application/vnd.google-earth.kml+xml", "application/vnd.geo+json"
NAMESPACE = 'xmlns="http://www.opengis.net/kml/2.2"'
SQUARE = [[0.0, 0.0], [0.0, 9.0], [9.0, 9.0], [9.0, 0.0], [0.0, 0.0]]
HOLE = [[2.0, 2.0], [3.0, 2.0], [3.0, 3.0], [2.0, 2.0]]
OTHER = [[20.0, 20.0], [20.0, 21.0], [21.0, 21.0], [20.0, 20.0]]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


def read(folder: Path, content: str | bytes, content_type: str) -> tuple[str, list[Any]]:
    """The type of geometry of a file, and its features as (geometry, properties)."""
    path = folder / "content"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    kind, features = read_features(path, content_type)
    return kind, [(feature.geometry, feature.properties) for feature in features]


def kml(*placemarks: str) -> str:
    """A KML file of these placemarks."""
    inner = "".join(f"<Placemark>{one}</Placemark>" for one in placemarks)
    return f'<?xml version="1.0"?><kml {NAMESPACE}><Document><Folder>{inner}</Folder></Document></kml>'


def shapefile(folder: Path, kind: str, shapes: list[Any], crs: str = "EPSG:4326", **fields: Any) -> bytes:
    """A zipped shapefile as GDAL writes it; a shape is GeoJSON, None for no shape."""
    pyogrio = pytest.importorskip("pyogrio", reason="the shapefiles are written by GDAL")
    lines = [{"type": "Feature", "geometry": shape, "properties": {}} for shape in shapes]
    (folder / "given.json").write_text(json.dumps({"type": "FeatureCollection", "features": lines}))
    _, _, geometry, _ = pyogrio.raw.read(folder / "given.json")
    target = folder / "made"
    target.mkdir()
    names, values = list(fields), [np.array(one, dtype=object) for one in fields.values()]
    options = {"geometry_type": kind, "crs": crs, "driver": "ESRI Shapefile", "encoding": "UTF-8"}
    pyogrio.raw.write(target / "Places.shp", geometry, values, names, **options)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for part in sorted(target.iterdir()):
            archive.write(part, f"folder/{part.name}")
    return held.getvalue()


def test_points_of_a_kml_file(tmp_path: Path) -> None:
    """Coordinates as they were written, names, descriptions, both forms of extended data; heights go."""
    first = (
        "<name>Élan</name><description><![CDATA[a <b>bold</b> word]]></description>"
        "<Point><coordinates>\n-72.50,41.250,12</coordinates></Point>"
        '<ExtendedData><Data name="beds"><value>12</value></Data><Data name="none"/>'
        '<SchemaData schemaUrl="#s"><SimpleData name="open">yes</SimpleData></SchemaData></ExtendedData>'
    )
    kind, features = read(tmp_path, kml(first, "<name>nowhere</name>"), KML)
    said = {"name": "Élan", "description": "a <b>bold</b> word", "beds": "12", "none": None, "open": "yes"}
    point = {"type": "Point", "coordinates": ["-72.50", "41.250"]}
    assert (kind, features) == ("Point", [(point, said), (None, {"name": "nowhere"})])


def test_polygons_of_a_kml_file_with_holes_and_in_several_parts(tmp_path: Path) -> None:
    """One placemark has two polygons: all of them become multipolygons, the outer ring first."""
    ring = "<LinearRing><coordinates>0,0 0,9 9,9 0,0</coordinates></LinearRing>"
    hole = "<LinearRing><coordinates>2,3 3,3 3,4 2,3</coordinates></LinearRing>"
    one = f"<Polygon><innerBoundaryIs>{hole}</innerBoundaryIs><outerBoundaryIs>{ring}</outerBoundaryIs></Polygon>"
    plain = f"<Polygon><outerBoundaryIs>{ring}</outerBoundaryIs></Polygon>"
    kind, features = read(tmp_path, kml(plain, f"<MultiGeometry>{one}{plain}</MultiGeometry>"), KML)
    outer = [["0", "0"], ["0", "9"], ["9", "9"], ["0", "0"]]
    inner = [["2", "3"], ["3", "3"], ["3", "4"], ["2", "3"]]
    assert kind == "MultiPolygon"
    assert [shape["coordinates"] for shape, _ in features] == [[[outer]], [[outer, inner], [outer]]]


@pytest.mark.parametrize(
    ("content", "content_type", "said"),
    [
        ("<kml", KML, "KML"),
        ("<gpx/>", KML, "KML"),
        ('<!DOCTYPE kml [<!ENTITY a "b">]><kml>&a;</kml>', KML, "document type"),
        (kml("<Point><coordinates>secret</coordinates></Point>"), KML, "KML"),
        (kml("<Point><coordinates>1,2</coordinates></Point>", "<LineString><coordinates>1,2 3,4"
             "</coordinates></LineString>"), KML, "one type of geometry"),
        (kml("<name>x</name>"), KML, "one type of geometry"),
        ("no zip", ZIP, "zip file"),
        ('{"type":"FeatureCollection","features":[{"geometry":"secret","properties":{}}]}', GEOJSON, "GeoJSON"),
    ],
)  # fmt: skip
def test_a_file_of_places_that_is_none(tmp_path: Path, content: str, content_type: str, said: str) -> None:
    """It is refused without a word of it."""
    with pytest.raises(Unreadable) as refused:
        read(tmp_path, content, content_type)
    assert said in str(refused.value)
    assert "secret" not in repr(refused.value) and refused.value.__context__ is None


def test_points_and_fields_of_a_shapefile(tmp_path: Path) -> None:
    """Texts with accents, numbers, dates, blanks, and a place without a shape."""
    shapes = [{"type": "Point", "coordinates": [-72.5, 41.25]}, None]
    fields = {"NAME": ["Élan", None], "BEDS": ["12", "0"]}
    kind, features = read(tmp_path, shapefile(tmp_path, "Point", shapes, **fields), ZIP)
    point = {"type": "Point", "coordinates": [-72.5, 41.25]}
    assert kind == "Point"
    assert features == [(point, {"NAME": "Élan", "BEDS": "12"}), (None, {"NAME": None, "BEDS": "0"})]


def test_polygons_of_a_shapefile_keep_their_holes(tmp_path: Path) -> None:
    """Two outer rings, a hole in one of them."""
    shape = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [OTHER]]}
    content = shapefile(tmp_path, "MultiPolygon", [shape], ID=["1"])
    kind, [(found, _)] = read(tmp_path, content, ZIP)
    assert (kind, [len(polygon) for polygon in found["coordinates"]]) == ("MultiPolygon", [2, 1])
    rings = [sorted(map(tuple, ring)) for polygon in found["coordinates"] for ring in polygon]
    assert rings == [sorted(map(tuple, ring)) for ring in (SQUARE, HOLE, OTHER)]


def test_lines_and_heights_of_a_shapefile(tmp_path: Path) -> None:
    """Lines of two parts; the heights of a three-dimensional file are left out."""
    shape = {"type": "MultiLineString", "coordinates": [[[0, 0, 7], [1, 1, 8]], [[2, 2, 9], [3, 3, 9]]]}
    kind, [(found, _)] = read(tmp_path, shapefile(tmp_path, "MultiLineString Z", [shape], ID=["1"]), ZIP)
    assert (kind, found["coordinates"]) == ("MultiLineString", [[[0, 0], [1, 1]], [[2, 2], [3, 3]]])


def test_a_projected_shapefile_is_refused(tmp_path: Path) -> None:
    """Feet of Connecticut's grid are no longitudes; the message says what to export instead."""
    shapes = [{"type": "Point", "coordinates": [1000000.0, 800000.0]}]
    with pytest.raises(Unreadable, match="WGS 84"):
        read(tmp_path, shapefile(tmp_path, "Point", shapes, "EPSG:2234", ID=["1"]), ZIP)


def test_a_shapefile_that_is_cut_off_and_a_zip_of_two(tmp_path: Path) -> None:
    """Neither is read in part."""
    whole = shapefile(tmp_path, "Point", [{"type": "Point", "coordinates": [1, 2]}] * 3, ID=["1", "2", "3"])
    parts = {info.filename: data for info, data in _members(whole)}
    cut = {name: data[:-10] if name.endswith(".shp") else data for name, data in parts.items()}
    with pytest.raises(Unreadable, match="broken off"):
        read(tmp_path, _zipped(cut), ZIP)
    with pytest.raises(Unreadable, match="has 2 shapefiles"):
        read(tmp_path, _zipped({**parts, "other.shp": b""}), ZIP)
    with pytest.raises(Unreadable, match=r"no \.dbf"):
        read(tmp_path, _zipped({name: data for name, data in parts.items() if ".dbf" not in name}), ZIP)


def test_geojson_of_single_and_several_shapes(tmp_path: Path) -> None:
    """A polygon among multipolygons becomes one."""
    shapes = [
        {"type": "Polygon", "coordinates": [SQUARE]},
        {"type": "MultiPolygon", "coordinates": [[OTHER], [HOLE]]},
    ]
    features = [{"type": "Feature", "geometry": shape, "properties": None} for shape in shapes]
    content = json.dumps({"type": "FeatureCollection", "features": features})
    kind, found = read(tmp_path, content, GEOJSON)
    assert (kind, [len(shape["coordinates"]) for shape, _ in found]) == ("MultiPolygon", [1, 2])


def test_a_shapefile_becomes_a_dataset(portal: Running, tmp_path: Path) -> None:
    """Uploaded in chunks, its types guessed, applied, and read as GeoJSON."""
    shapes = [{"type": "Point", "coordinates": [-72.5, 41.25]}, {"type": "Point", "coordinates": [-73, 42]}]
    content = shapefile(tmp_path, "Point", shapes, NAME=["Avon", "Bethel"], BEDS=["12", "7"])
    revision = open_revision(portal, action={"type": "update", "permission": "public"})
    source = upload(portal, revision, content, ZIP, chunk=500)
    types = [one["transform"]["output_soql_type"] for one in output_of(source)["output_columns"]]
    assert types == ["point", "text", "number"]
    assert applied(portal, revision, output_of(source))["status"] == "successful"
    uid = revision["resource"]["fourfour"]
    found = portal.ask("GET", f"/resource/{uid}.geojson").json()["features"]
    assert [one["geometry"]["coordinates"] for one in found] == [[-72.5, 41.25], [-73, 42]]
    assert [one["properties"]["name"] for one in found] == ["Avon", "Bethel"]


def test_a_kml_file_becomes_a_dataset(portal: Running) -> None:
    """A line of three positions, digits as written."""
    line = (
        "<name>Trail</name><LineString><coordinates>-72.50,41.2 -72.6,41.3 -72,42</coordinates></LineString>"
    )
    revision = open_revision(portal)
    source = upload(portal, revision, kml(line), KML, chunk=100)
    assert applied(portal, revision, output_of(source))["status"] == "successful"
    (row,) = portal.rows(revision["resource"]["fourfour"])
    assert row["line"] == {"type": "LineString", "coordinates": [[-72.5, 41.2], [-72.6, 41.3], [-72, 42]]}


def test_an_old_excel_file_becomes_a_dataset(portal: Running) -> None:
    """`.xls`, of 1997."""
    content = (Path(__file__).parent / "vectors" / "types.xls").read_bytes()
    source = upload(portal, open_revision(portal), content, "application/vnd.ms-excel", chunk=10_000)
    assert (source["failed_at"], source["schemas"][0]["total_rows"] > 0) == (None, True)


def _members(content: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def _zipped(parts: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return held.getvalue()
