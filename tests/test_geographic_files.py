"""Shapefiles and GeoPackages: the attribute table always, points as text, nothing else opened."""

from __future__ import annotations

import math
import random
import sqlite3
import struct
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ctnb.errors import SourceInvalid, UsageError
from ctnb.proposals import proposing
from ctnb.proposals.places import Told
from ctnb.settings import Project
from ctnb.sources.formats import open_source
from ctnb.sources.geometries import Points
from ctnb.sources.opened import Asked, Loaded
from ctnb.values import Kind, parse_sql

CANARY = "Xanthippe Quill"
POINTS = [(-72.6851, 41.7637), (-72.9279, 41.3083), None]
PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")


def wkb(*place: float) -> bytes:
    """A point as well-known binary, of the coordinates there are."""
    return struct.pack(f"<BI{len(place)}d", 1, 1 if len(place) == 2 else 1001, *place)


def line() -> bytes:
    """A line of two points as well-known binary."""
    return struct.pack("<BII4d", 1, 2, 2, -72, 41, -73, 42)


@pytest.fixture
def library() -> Any:
    """pyogrio, which writes the files that the tests read."""
    import pyogrio.raw

    return pyogrio.raw


def table(geometries: list[bytes | None] | None = None) -> pa.Table:
    """Three towns and their places."""
    places = [wkb(*place) if place else None for place in POINTS] if geometries is None else geometries
    return pa.table(
        {
            "town": ["Hartford", "Hämden", None],
            "zip": ["06103", "06514", "06001"],
            "deaths": pa.array([12, None, 3], pa.int32()),
            "rate": [0.1, 1.0, 1e-7],
            "wkb": pa.array(places, pa.binary()),
        }
    )


def written(library: Any, path: Path, *, crs: str | None = "EPSG:4326", kind: str = "Point",
            rows: pa.Table | None = None, **options: Any) -> Path:  # fmt: skip
    """A geographic file at `path`, of the kind that its suffix says."""
    driver = "GPKG" if path.suffix == ".gpkg" else "ESRI Shapefile"
    rows = table() if rows is None else rows
    library.write_arrow(
        rows, str(path), driver=driver, geometry_name="wkb", geometry_type=kind, crs=crs, **options
    )
    return path


def zipped(shape: Path, *without: str, folder: str = "") -> Path:
    """A zip archive with the parts of a shapefile."""
    target = shape.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for suffix in PARTS:
            part = shape.with_suffix(suffix)
            if suffix not in without and part.exists():
                archive.write(part, f"{folder}{part.name}")
        archive.writestr(f"{folder}{shape.stem}.shp.xml", "<metadata/>")
    return target


def loaded(path: Path, **asked: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]], Loaded]:
    """Header, rows with their numbers, and what became of them."""
    opened = open_source(path, path.name, Asked(**asked))
    with duckdb.connect() as connection:
        found = opened.load(connection, path.parent)
        return opened.header, connection.execute("SELECT * FROM numbered ORDER BY _row").fetchall(), found


def typed(points: list[str | None]) -> list[str | None]:
    """Points as the contract's type point has them."""
    sql = parse_sql(Kind("point"), "v")
    with duckdb.connect() as connection:
        return [
            connection.execute(f"SELECT {sql} FROM (SELECT ? AS v)", [one]).fetchall()[0][0] for one in points
        ]


EXPECTED = [
    ("Hartford", "06103", "12", "0.1", "POINT (-72.6851 41.7637)"),
    ("Hämden", "06514", None, "1", "POINT (-72.9279 41.3083)"),
    (None, "06001", "3", "0.0000001", None),
]


@pytest.mark.servers
def test_a_zipped_shapefile_gives_its_table_and_its_points(library: Any, tmp_path: Path) -> None:
    """The parts may lie in a folder of the archive, with other files."""
    path = zipped(written(library, tmp_path / "towns.shp"), folder="2026/")
    header, rows, found = loaded(path)
    assert ("town", "zip", "deaths", "rate", "geometry") == header
    assert [(n, *row) for n, row in enumerate(EXPECTED, 1)] == rows
    assert ((), True) == (found.notes, found.typed_dates)
    assert ["POINT (-72.685100 41.763700)"] == typed([rows[0][-1]])


@pytest.mark.servers
def test_a_geopackage_gives_the_number_of_a_feature_too(library: Any, tmp_path: Path) -> None:
    """Where the file stores one it is a column like the others."""
    header, rows, _ = loaded(written(library, tmp_path / "towns.gpkg"))
    assert ("fid", "town", "zip", "deaths", "rate", "geometry") == header
    assert [(n, str(n), *row) for n, row in enumerate(EXPECTED, 1)] == rows


@pytest.mark.servers
@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_coordinates_of_the_state_plane_become_degrees(library: Any, tmp_path: Path, suffix: str) -> None:
    """Connecticut's own system in feet (EPSG:2234) is converted to a few metres, and a note says so."""
    origin = [wkb(1_000_000.0, 500_000.0), wkb(1_019_000.0, 840_000.0), None]
    path = written(library, tmp_path / f"towns{suffix}", crs="EPSG:2234", rows=table(origin))
    _, rows, found = loaded(zipped(path) if suffix == ".shp" else path)
    places = [tuple(map(float, row[-1][7:-1].split())) for row in rows[:2]]
    assert ("Coordinates were converted to WGS 84 (longitude and latitude).",) == found.notes
    assert None is rows[2][-1]
    assert (-72.75, True) == (round(places[0][0], 5), 40.7 < places[0][1] < 40.9)
    assert (-72.68, 41.77) == (round(places[1][0], 2), round(places[1][1], 2))


@pytest.mark.servers
def test_points_of_an_unknown_system_are_left_out_with_a_note(library: Any, tmp_path: Path) -> None:
    """Without .prj nobody knows what the numbers mean; the table is read all the same."""
    path = zipped(written(library, tmp_path / "towns.shp"), ".prj")
    header, rows, found = loaded(path)
    assert (("town", "zip", "deaths", "rate"), 3) == (header, len(rows))
    assert "does not say which coordinates" in found.notes[0]


@pytest.mark.servers
def test_geometry_that_is_no_point_is_left_out_with_a_note(library: Any, tmp_path: Path) -> None:
    """Lines and areas have no place in a table; of a mixed layer the points stay."""
    lines = [line(), line(), None]
    path = written(library, tmp_path / "roads.gpkg", kind="LineString", rows=table(lines))
    header, _, found = loaded(path)
    assert "geometry" not in header
    assert (
        "Geometry was left out: it is of the kind LineString, and only points become a column.",
    ) == found.notes
    mixed = [wkb(-72.5, 41.5, 120), line(), wkb(math.nan, math.nan)]
    path = written(library, tmp_path / "mixed.gpkg", kind="Unknown", rows=table(mixed))
    header, rows, found = loaded(path)
    assert ["POINT (-72.5 41.5)", None, None] == [row[-1] for row in rows]
    assert found.notes == (
        "Geometry that is no point was left out: 1 line.",
        "Points whose height was left out: 1.",
    )


@pytest.mark.servers
def test_several_layers_are_never_the_first_in_silence(library: Any, tmp_path: Path) -> None:
    """The contract says which, by name or number; a layer without rows does not count."""
    path = written(library, tmp_path / "a.gpkg", layer="towns")
    written(library, path, layer="empty", rows=table().slice(0, 0), append=True)
    assert 3 == len(loaded(path)[1])
    library.write_arrow(
        table().select(["town"]).slice(0, 1), str(path), driver="GPKG", layer="counts", append=True
    )
    with pytest.raises(SourceInvalid, match="Layers 1, 3 of the source have rows") as told:
        loaded(path)
    assert "towns" not in str(told.value)
    assert 3 == len(loaded(path, layer="towns")[1])
    header, rows, _ = loaded(path, layer=3)
    assert (("fid", "town"), [(1, "1", "Hartford")]) == (header, rows)
    for wrong in (4, "roads"):
        with pytest.raises(SourceInvalid, match="3 layers have none that is"):
            loaded(path, layer=wrong)


@pytest.mark.servers
def test_a_proposal_names_the_layer_and_types_the_points(library: Any, project: Project) -> None:
    """A person says which layer; points are of the type point without being asked."""
    path = written(library, project.notebooks / "a.gpkg", layer="towns")
    library.write_arrow(table().select(["town"]), str(path), driver="GPKG", layer="counts", append=True)
    with pytest.raises(SourceInvalid, match="Layers 1, 2 of the source have rows"):
        proposing.propose(project, "towns", str(path))
    made = proposing.propose(project, "towns", str(path), Told(layer="towns"))
    assert "\n  layer: towns\n" in made.path.read_text(encoding="utf-8")
    assert (3, "point") == (made.rows_kept, made.draft.columns[-1].choice.kind.type)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("page", "text", "asked", "encoding"),
    [
        ("UTF-8", "utf-8", "auto", ""),
        ("1252", "cp1252", "auto", ""),
        (None, "utf-8", "auto", "utf-8"),
        (None, "cp1252", "auto", "cp1252"),
        ("UTF-8", "cp1252", "cp1252", "cp1252"),
    ],
)
def test_text_is_in_the_encoding_that_the_code_page_names(
    library: Any, tmp_path: Path, page: str | None, text: str, asked: str, encoding: str
) -> None:
    """Without one it is UTF-8 where all of it is, else cp1252; the contract may know better."""
    shape = written(library, tmp_path / "towns.shp", encoding=text)
    with shape.with_suffix(".dbf").open("r+b") as stream:
        stream.seek(29)
        stream.write(b"\0")  # no language driver either
    if page:
        shape.with_suffix(".cpg").write_text(page)
    path = zipped(shape, *([] if page else [".cpg"]))
    opened = open_source(path, path.name, Asked(encoding=asked))
    assert (encoding, "Hämden") == (opened.encoding, loaded(path, encoding=asked)[1][1][1])


@pytest.mark.servers
def test_a_shapefile_without_its_parts_says_which(library: Any, tmp_path: Path) -> None:
    """A .shp alone has no table; an archive may hold several shapefiles."""
    shape = written(library, tmp_path / "towns.shp")
    with pytest.raises(SourceInvalid, match=r"a shapefile without its \.dbf"):
        loaded(zipped(shape, ".dbf"))
    alone = tmp_path / "alone.shp"
    alone.write_bytes(shape.read_bytes())
    with pytest.raises(SourceInvalid, match=r"without its \.shx and \.dbf") as told:
        loaded(alone)
    assert "one zip archive" in told.value.hint
    second = written(library, tmp_path / "roads.shp", rows=table().slice(0, 1))
    path = zipped(shape)
    with zipfile.ZipFile(path, "a") as archive:
        for suffix in PARTS:
            archive.write(second.with_suffix(suffix), f"roads{suffix}")
    with pytest.raises(SourceInvalid, match="holds 2 shapefiles, and nothing says which"):
        loaded(path)
    assert 1 == len(loaded(path, member="roads.shp")[1])


@pytest.mark.servers
@pytest.mark.parametrize(
    ("part", "told"),
    [
        (".shp", r"\.shp ends before"),
        (".shx", r"\.shx ends before"),
        (".dbf", "says that it has 3 features and has"),
    ],
)
def test_half_a_part_is_refused(library: Any, tmp_path: Path, part: str, told: str) -> None:
    """GDAL would leave the places beyond the end of a .shp empty, and say nothing."""
    shape = written(library, tmp_path / "towns.shp")
    whole = shape.with_suffix(part).read_bytes()
    shape.with_suffix(part).write_bytes(whole[: len(whole) * 3 // 5])
    with pytest.raises(SourceInvalid, match=told):
        loaded(zipped(shape))


@pytest.mark.servers
def test_parts_of_different_exports_are_refused(library: Any, tmp_path: Path) -> None:
    """Places would stand beside the wrong rows."""
    shape = written(library, tmp_path / "towns.shp")
    other = written(library, tmp_path / "other.shp", rows=table().slice(0, 2))
    shape.with_suffix(".dbf").write_bytes(other.with_suffix(".dbf").read_bytes())
    with pytest.raises(SourceInvalid, match="has 3 shapes and 2 rows"):
        loaded(zipped(shape))


@pytest.mark.servers
@pytest.mark.parametrize(
    "definition",
    [
        "CREATE VIRTUAL TABLE away USING VirtualOGR('/etc/passwd')",
        "CREATE VIEW away AS SELECT ogr_geocode('Hartford')",
        "CREATE VIEW away AS SELECT load_extension('x')",
    ],
)
def test_a_geopackage_that_would_open_something_else_is_refused(
    library: Any, tmp_path: Path, definition: str
) -> None:
    """Definitions of virtual tables and GDAL's own functions never reach GDAL."""
    path = written(library, tmp_path / "towns.gpkg")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES (?, 'away', 'away', 0, ?)",
            ["table" if "TABLE" in definition else "view", definition],
        )
    with pytest.raises(SourceInvalid, match="definitions that could open other files"):
        loaded(path)


@pytest.mark.servers
def test_a_geopackage_in_an_archive_is_read(library: Any, tmp_path: Path) -> None:
    """The library must not take the archive's name in ours for an archive."""
    path = written(library, tmp_path / "towns.gpkg")
    target = tmp_path / "snapshot.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(path, "towns.gpkg")
    assert 3 == len(loaded(target)[1])


@pytest.mark.servers
@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_damaged_files_are_refused_or_read_whole(library: Any, tmp_path: Path, suffix: str) -> None:
    """Cut short or with other bytes, a file is an error of ours or its rows are numbered from 1."""
    many = pa.concat_tables([table()] * 20)
    path = written(library, tmp_path / f"a{suffix}", rows=many, crs="EPSG:2234")
    parts = [path] if suffix == ".gpkg" else [path.with_suffix(part) for part in PARTS]
    whole = {part: part.read_bytes() for part in parts}
    chance, outcomes = random.Random(11), set()
    for _ in range(60):
        for part, content in whole.items():
            part.write_bytes(content)
        part = chance.choice(parts)
        content = bytearray(whole[part])
        content = content[: chance.randrange(len(content))] if chance.random() < 0.4 else content
        for _ in range(chance.randrange(6)):
            if content:
                content[chance.randrange(len(content))] = chance.randrange(256)
        part.write_bytes(content)
        try:
            rows = loaded(path if suffix == ".gpkg" else zipped(path))[1]
        except SourceInvalid as error:
            outcomes.add("refused")
            assert "Hartford" not in str(error)
        else:
            outcomes.add("read")
            assert list(range(1, len(rows) + 1)) == [row[0] for row in rows]
    assert {"refused", "read"} == outcomes


@pytest.mark.servers
@pytest.mark.parametrize("name", ["a.gpkg", "a.shp"])
def test_another_kind_of_file_under_the_name_is_refused(library: Any, tmp_path: Path, name: str) -> None:
    """A description that names other files never reaches GDAL, whatever it is called."""
    vrt = f"<OGRVRTDataSource><OGRVRTLayer name='{CANARY}'><SrcDataSource>/etc/passwd</SrcDataSource>"
    path = tmp_path / name
    path.write_text(vrt)
    for part in (".dbf", ".shx"):
        path.with_suffix(part).write_text(vrt)
    with pytest.raises(SourceInvalid, match=r"is no (GeoPackage|shapefile)") as told:
        loaded(path)
    assert CANARY not in str(told.value)


def test_points_in_every_dialect_of_binary_are_text() -> None:
    """Both byte orders, ISO's and PostGIS's third coordinate, empty points."""
    points = Points()
    high = struct.pack("<BI3d", 1, 0x80000001, 1.5, 2.5, 0.0)
    big = struct.pack(">BI2d", 0, 1, -72.25, 41.5)
    texts = [
        points.text(one)
        for one in (wkb(1.0, 2.0), high, big, wkb(math.nan, math.nan), b"", None, b"\1\1\0\0\0")
    ]
    assert ["POINT (1 2)", "POINT (1.5 2.5)", "POINT (-72.25 41.5)", None, None, None, None] == texts
    assert () == points.notes()
    assert "POINT (0.0000001 41)" == points.text(wkb(1e-7, 41.0))


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp"])
def test_without_the_library_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A setting of the machine, not of the data: exit code 2."""
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError, match="pyogrio, which is not installed") as told:
        loaded(tmp_path / name)
    assert ('pip install "ctnb[geography]"', 2) == (told.value.hint, told.value.exit_code)
