"""JSON, JSON Lines and GeoJSON: objects become records, and no digit, key or record is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from error_texts import assert_text, whole_story
from test_reads import ALL_REJECTED, CANARY, contract, reading, rejects, rows, text

from ctnb.errors import SourceInvalid
from ctnb.sources import cursors, objects, parts
from ctnb.sources.opened import Asked


def source(name: str, **more: Any) -> dict[str, Any]:
    """What a contract says of its source."""
    return {"source": {"path": name, **more}, **ALL_REJECTED}


def test_an_array_of_objects_is_read(tmp_path: Path) -> None:
    """Each object is a row, each key a column; types come from the contract."""
    columns = [{"name": "town", "type": "text"}, {"name": "n", "type": "integer"}]
    found = reading(
        tmp_path,
        ' [{"town": "Hartford", "n": 12},\n{"n": 9, "town": "New Haven"}] ',
        contract(*columns, **source("a.json")),
        "a.json",
    )
    assert [("Hartford", 12), ("New Haven", 9)] == rows(found)
    assert (2, 0, "utf-8") == (found.rows_read, found.rows_rejected, found.encoding)


CELLS = [
    ("1.50", "1.50"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("1e3", "1e3"),
    ("-0", "-0"),
    ("NaN", "NaN"),
    ("true", "true"),
    ("false", "false"),
    ("null", None),
    ('""', None),
    ('" x "', " x "),
    ('"\\u00e9"', "é"),
    ('"1.50"', "1.50"),
    ('{ "b": [1.50, "x", null, true], "a": {} }', '{"b":[1.50,"x",null,true],"a":{}}'),
    ("[ ]", "[]"),
    ('["\\u00e9\\""]', '["é\\""]'),
]


@pytest.mark.parametrize(("written", "expected"), CELLS, ids=[cell[0] for cell in CELLS])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_cell_is_the_text_as_it_is_written(
    tmp_path: Path, name: str, written: str, expected: str | None
) -> None:
    """A number keeps its digits, nested values are compact JSON, null and empty text are empty."""
    record = f'{{"a": {written}, "b": "x"}}'
    body = record if name == "a.jsonl" else f"[{record}]"
    assert [(expected, "x")] == rows(reading(tmp_path, body, contract(*text("a", "b"), **source(name)), name))


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_the_header_is_the_union_of_all_keys(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that only the last record has is a column; the others are empty there."""
    monkeypatch.setattr(parts, "BATCH_ROWS", 2)
    records = [{"a": "1"}, {"a": "2"}, {"b": "x", "a": "3"}, {}, {"c": "y"}]
    body = "\n".join(map(json.dumps, records)) if name == "a.jsonl" else json.dumps(records)
    found = reading(tmp_path, body, contract(*text("c", "b", "a"), **source(name)), name)
    assert [
        (None, None, "1"),
        (None, None, "2"),
        (None, "x", "3"),
        (None, None, None),
        ("y", None, None),
    ] == rows(found)


def test_json_lines_takes_blank_lines_a_mark_and_windows_line_ends(tmp_path: Path) -> None:
    """None of them is a record."""
    body = b'\xef\xbb\xbf{"a": "x"}\r\n\r\n  \n{"a": "y"}'
    found = reading(tmp_path, body, contract(*text("a"), **source("a.ndjson")), "a.ndjson")
    assert [("x",), ("y",)] == rows(found)
    assert 2 == found.rows_read


MISFITS = [
    ("[1]", "not an object"),
    ("7", "not an object"),
    ("null", "not an object"),
    ('{"a": 1, "a": 2}', "a key stands twice"),
    ('{"a": {"b": 1, "b": 2}}', "a key stands twice"),
    ('{"a": "\\ud800"}', "a text holds half a character"),
    ('{"a": "\\u0000"}', "a text holds a zero byte"),
    ('{"a": ' + "[" * 80 + "]" * 80 + "}", "nested deeper than 64"),
]


@pytest.mark.parametrize(("record", "rule"), MISFITS, ids=[rule + one[:9] for one, rule in MISFITS])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_record_that_is_no_row_is_set_aside(tmp_path: Path, name: str, record: str, rule: str) -> None:
    """Its neighbours are read, and its rule is counted."""
    lines = ['{"a": "x"}', record, '{"a": "y"}']
    body = "\n".join(lines) if name == "a.jsonl" else f"[{', '.join(lines)}]"
    found = reading(tmp_path, body, contract(*text("a"), **source(name)), name)
    assert [("x",), ("y",)] == rows(found)
    assert [(2, "", rule)] == rejects(found)


@pytest.mark.parametrize("torn", ['{"a": "x', "{'a': 1}", '{"a": 1} {"a": 2}', "[" * 100_000, "\x1a"])
def test_a_torn_line_is_set_aside(tmp_path: Path, torn: str) -> None:
    """The lines after it are read."""
    body = f'{{"a": "x"}}\n{torn}\n{{"a": "y"}}\n'
    found = reading(tmp_path, body, contract(*text("a"), **source("a.jsonl")), "a.jsonl")
    assert [("x",), ("y",)] == rows(found)
    assert [(2, "", "not JSON")] == rejects(found)


@pytest.mark.parametrize("size", [3, 7, 64, 1 << 20])
def test_an_array_is_read_the_same_in_pieces_of_any_size(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one piece ends and the next begins changes nothing."""
    monkeypatch.setattr(cursors, "CHUNK_CHARACTERS", size)
    records: list[Any] = [{"a": "é" * n, "n": n * 1000} for n in range(40)] + [12345, {"a": "z"}]
    columns = [*text("a"), {"name": "n", "type": "integer"}]
    body = json.dumps(records, indent=size % 5, ensure_ascii=False)
    found = reading(tmp_path, body, contract(*columns, **source("a.json")), "a.json")
    assert [("é" * n or None, n * 1000) for n in range(40)] + [("z", None)] == rows(found)
    assert [(41, "", "not an object")] == rejects(found)


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ('{"meta": {"n": [1]}, "data": [{"a": "x"}], "more": 1}', "data"),
        ('{"result": {"total": 1, "records": [{"a": "x"}]}, "records": []}', "result.records"),
    ],
)
def test_the_array_may_lie_inside_an_object(tmp_path: Path, body: str, keys: str) -> None:
    """records: names the key, with dots between keys."""
    under = contract(*text("a"), **source("a.json", records=keys))
    assert [("x",)] == rows(reading(tmp_path, body, under, "a.json"))


GOOD = f'{{"a": "{CANARY}"}}'
BROKEN = [
    ("a.json", f"[{GOOD}, {GOOD}", {}, "at byte 51"),
    ("a.json", f"[{GOOD}, {{", {}, "torn or is not JSON, at byte 27"),
    ("a.json", f'["é", {GOOD}] x', {}, "more text behind its end, at byte 33"),
    ("a.json", f"[{GOOD} {GOOD}]", {}, "expected , "),
    ("a.json", f"[{GOOD},]", {}, "torn or is not JSON"),
    ("a.json", f"[{GOOD}, " + "[" * 100_000, {}, "nested too deeply"),
    ("a.json", CANARY, {}, "neither with"),
    ("a.json", "  ", {}, "neither with"),
    ("a.json", GOOD, {}, "one JSON object"),
    ("a.json", f"[{GOOD}]", {"records": "data"}, "dataset.yml says that a key"),
    ("a.json", GOOD, {"records": "data"}, "no key that holds records"),
    ("a.json", GOOD, {"records": "a"}, "holds no array"),
    ("a.json", GOOD, {"records": "a.b"}, "holds no object"),
    ("a.json", f'{{"d": [{GOOD}], "d": []}}', {"records": "d"}, "stands twice"),
    ("a.json", f'{{{CANARY}: [{GOOD}]}}', {"records": "d"}, "a key in quotation marks"),
    ("a.json", "[]", {}, "holds no records"),
    ("a.json", "{}", {"records": "d"}, "no key that holds records"),
    ("a.json", "[{}, {}]", {}, "all empty objects"),
    ("a.json", f'["{CANARY}"]', {}, "None of the source's 1 records"),
    ("a.jsonl", f"a,b\n{CANARY},2\n", {}, "None of the source's 2 records"),
    ("a.jsonl", " \n", {}, "holds no records"),
    ("a.geojson", f"[{GOOD}]", {}, "GeoJSON starts with"),
    ("a.geojson", '{"type": "Topology", "features": []}', {}, "no GeoJSON FeatureCollection"),
    ("a.geojson", '{"type": "Feature", "geometry": null}', {}, "no key that holds records"),
    ("a.geojson", '{"type": "FeatureCollection", "crs": {"properties": {"name": "EPSG:2234"}}, "features": []}',
     {}, "another crs"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "more", "told"), BROKEN, ids=[f"{b[0]} {b[3]}" for b in BROKEN])
def test_what_cannot_be_read_is_told_by_place_and_never_quoted(
    tmp_path: Path, name: str, body: str, more: dict[str, Any], told: str
) -> None:
    """One message, with the byte where there is one."""
    with pytest.raises(SourceInvalid, match=told) as caught:
        reading(tmp_path, body, contract(*text("a"), **source(name, **more)), name)
    assert "Xanthippe" not in whole_story(caught.value)


def test_the_message_for_a_torn_array(tmp_path: Path) -> None:
    """It names the place and what to do."""
    with pytest.raises(SourceInvalid) as caught:
        reading(tmp_path, f"[{GOOD}, {{", contract(*text("a"), **source("a.json")), "a.json")
    assert_text("source-json-torn", caught.value)


@pytest.mark.parametrize(
    ("name", "told"), [("a.jsonl", "Line 2 of the source is 16 MB"), ("a.json", "larger than 16 MB")]
)
def test_a_record_of_many_megabytes_is_refused(tmp_path: Path, name: str, told: str) -> None:
    """Memory has an end."""
    long = GOOD + ("\n" if name == "a.jsonl" else ",") + '{"a": "' + "x" * (34 << 20) + '"}'
    with pytest.raises(SourceInvalid, match=told):
        reading(
            tmp_path, long if name == "a.jsonl" else f"[{long}]", contract(*text("a"), **source(name)), name
        )


def test_keys_that_are_data_are_no_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object by identifier has as many keys as people."""
    monkeypatch.setattr(parts, "COLUMNS_LIMIT", 50)
    body = json.dumps([{f"{CANARY} {n}": n} for n in range(51)])
    with pytest.raises(SourceInvalid, match="more than 50 different keys") as caught:
        reading(tmp_path, body, contract(*text("a"), **source("a.json")), "a.json")
    assert "Xanthippe" not in whole_story(caught.value)


COLLECTION = """{"type": "FeatureCollection", "crs": {"properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
"features": [
 {"type": "Feature", "id": 7, "geometry": {"type": "Point", "coordinates": [-72.6850, 41.76]},
  "properties": {"town": "Hartford"}},
 {"type": "Feature", "geometry": {"type": "Point", "coordinates": [-72.9, 41.3, 0.0]}, "properties": {"n": 1.50}},
 {"type": "Feature", "geometry": {"type": "Point", "coordinates": [-72.9, 41.3, 9]}, "properties": null},
 {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[1.0, 2], [3, 4]]}, "properties": {}},
 {"type": "Feature", "geometry": null, "properties": {"town": "Darien"}}
]}"""


def test_a_feature_collection_is_its_properties_and_a_geometry(tmp_path: Path) -> None:
    """A point is WKT with the digits it had; anything else is GeoJSON text."""
    columns = [{"name": "place", "header": "geometry", "type": "text"}, *text("town", "n")]
    columns.append({"name": "id", "header": "feature id", "type": "code"})
    found = reading(tmp_path, COLLECTION, contract(*columns, **source("a.geojson")), "a.geojson")
    assert [
        ("POINT (-72.6850 41.76)", "Hartford", None, "7"),
        ("POINT (-72.9 41.3)", None, "1.50", None),
        ('{"type":"Point","coordinates":[-72.9,41.3,9]}', None, None, None),
        ('{"type":"LineString","coordinates":[[1.0,2],[3,4]]}', None, None, None),
        (None, "Darien", None, None),
    ] == rows(found)


def test_a_point_of_a_feature_is_a_point_of_the_contract(tmp_path: Path) -> None:
    """A geometry that is no point is set aside under type point."""
    columns = [{"name": "geometry", "type": "point"}, *text("town", "n")]
    under = contract(*columns, **source("a.geojson", ignore=["feature id"]))
    found = reading(tmp_path, COLLECTION, under, "a.geojson")
    assert "POINT (-72.685000 41.760000)" == rows(found)[0][0]
    assert [(3, "geometry", "type point"), (4, "geometry", "type point")] == rejects(found)


@pytest.mark.parametrize("feature", ["[]", '{"type": "Point"}', '{"type": "Feature", "properties": [1]}'])
def test_what_is_no_feature_is_set_aside(tmp_path: Path, feature: str) -> None:
    """The features beside it are read."""
    good = '{"type": "Feature", "geometry": null, "properties": {"a": "x"}}'
    body = f'{{"features": [{feature}, {good}], "type": "FeatureCollection"}}'
    under = contract(*text("a"), **source("a.geojson", ignore=["geometry"]))
    found = reading(tmp_path, body, under, "a.geojson")
    assert ([("x",)], 1) == (rows(found), found.rows_rejected)


def test_a_property_called_geometry_is_a_column_of_its_own(tmp_path: Path) -> None:
    """Two headers that are the same are told apart by position, as anywhere."""
    path = tmp_path / "a.geojson"
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": null, '
        '"properties": {"geometry": "x"}}]}',
        encoding="utf-8",
    )
    assert ("geometry", "geometry") == objects.opened_geojson(path, Asked()).header
