"""The files that people download of a whole dataset: rows.csv, .json, .xml, its GeoJSON, KML and shapefile."""

from __future__ import annotations

import calendar
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Any

from .answers import Answer, Call, Names, modern, route
from .catalogue import View, readable
from .cells import Stored
from .describing import describe_view
from .freshness import cache_headers, not_modified, refuse_unmatched
from .geometries import geometry_wkt
from .placemarks import Attribute, Geometry
from .renderings import FORMATS, Place, Row, csv_export, encoded, row_attributes, row_uuid, xml_row
from .shapefile_writing import WRITERS
from .soql_functions import SHAPES
from .statements import Output

_META = ("sid", "id", "position", "created_at", "created_meta", "updated_at", "updated_meta", "meta")
"""The columns that rows.json puts before a dataset's own."""


def export(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/rows.csv, .json or .xml: every row, in the order of writing."""
    view = readable(call, connection, names["view"])
    extension = names.get("extension", "json")
    if extension not in ("csv", "json", "xml"):
        raise modern(406, "req.not-acceptable", "The formats are csv, json and xml", accept="csv")
    headers = cache_headers(view, call, f"export {extension}")
    refuse_unmatched(call, headers)
    content_type = FORMATS[extension].content_type
    if not_modified(view, call, headers):
        return Answer(304, b"", content_type, headers)
    headers += (("Content-Disposition", f'attachment; filename="{view.uid}.{extension}"'),)
    outputs = tuple(Output(column.field_name, column.kind) for column in view.columns)
    if extension == "csv":
        text = csv_export([column.name for column in view.columns], outputs, _rows(connection, view))
    elif extension == "xml":
        text = _xml(outputs, _rows(connection, view), call.origin, view)
    else:
        described = describe_view(connection, view, call.account)
        text = _json(outputs, _rows(connection, view, dated=True), described)
    return Answer(200, encoded(text), content_type, headers)


_GEOSPATIAL = {"geojson": "geojson", "kml": "kml", "kmz": "kmz", "shapefile": "shp"}


def geospatial(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/geospatial/<view>?method=export&format=GeoJSON, KML, KMZ or Shapefile: every row as a feature."""
    view = readable(call, connection, names["view"])
    if call.option("method") != "export":
        raise modern(400, "req.bad-parameter", "The method is export", parameter="method")
    name = _GEOSPATIAL.get(call.option("format").lower())
    if name is None:
        message = "The formats are GeoJSON, KML, KMZ and Shapefile"
        raise modern(406, "req.not-acceptable", message, accept="GeoJSON")
    content_type = FORMATS["geojson"].content_type if name == "geojson" else WRITERS[name][1]
    headers = cache_headers(view, call, f"export {name}")
    refuse_unmatched(call, headers)
    if not_modified(view, call, headers):
        return Answer(304, b"", content_type, headers)
    ending = "zip" if name == "shp" else name
    headers += (("Content-Disposition", f'attachment; filename="{view.uid}.{ending}"'),)
    outputs = tuple(Output(column.field_name, column.kind) for column in view.columns)
    rows = _rows(connection, view)
    if name == "geojson":
        text = FORMATS["geojson"].render(outputs, rows, Place(call.origin, view.uid))
        return Answer(200, encoded(text), content_type, headers)
    return Answer(200, _places(name, view.uid, outputs, rows), content_type, headers)


def _places(name: str, title: str, outputs: tuple[Output, ...], rows: Iterable[Row]) -> Iterator[bytes]:
    """The first geometry is the feature's, its digits as they are stored; the other columns are its data."""
    at = next((at for at, output in enumerate(outputs) if output.kind.soda in SHAPES), None)
    rest = [(number, output) for number, output in enumerate(outputs) if number != at]
    attributes = [Attribute(output.name, output.kind.soda == "number") for _, output in rest]

    def places() -> Iterator[tuple[Geometry | None, list[str | None]]]:
        for one in rows:
            stored = None if at is None else one[at]
            shape = None if stored is None else json.loads(str(stored), parse_float=str, parse_int=str)
            cells = [(output, one[number]) for number, output in rest]
            yield shape, [None if cell is None else output.kind.text(cell) for output, cell in cells]

    return WRITERS[name][0](title, attributes, places())


def _rows(connection: sqlite3.Connection, view: View, *, dated: bool = False) -> Iterator[Row]:
    """Each row's cells, times of writing when `dated`, and then its `:id` and its identifier's stored value."""
    key = "rid" if view.identifier is None else view.identifier.sql
    times = ["created_at", "updated_at"] if dated else []
    columns = ", ".join([*(column.sql for column in view.columns), *times, "rid", key])
    return map(tuple, connection.execute(f"SELECT {columns} FROM {view.table} ORDER BY sid"))


def _xml(outputs: tuple[Output, ...], rows: Iterable[Row], origin: str, view: View) -> Iterator[str]:
    identifier = None if view.identifier is None else view.identifier.kind
    place = Place(origin, view.uid, True, identifier)
    yield "<response><row>"
    for one in rows:
        yield xml_row(outputs, one, row_attributes(place, one, prefix="_"))
    yield "</row></response>\n"


def _json(outputs: tuple[Output, ...], rows: Iterable[Row], described: dict[str, Any]) -> Iterator[str]:
    """The view's metadata, and the rows as lists under them."""
    columns = [_meta_column(name) for name in _META] + described["columns"]
    meta = json.dumps({"view": {**described, "columns": columns}}, ensure_ascii=False)
    opening = f'{{\n  "meta" : {meta},\n  "data" : ['
    for one in rows:
        rid, created, updated = str(one[-2]), str(one[-4]), str(one[-3])
        head = [rid, row_uuid(rid), 0, _seconds(created), None, _seconds(updated), None, "{ }"]
        cells = zip(outputs, one, strict=False)
        listed = head + [None if cell is None else _value(output, cell) for output, cell in cells]
        yield f"{opening} {json.dumps(listed, ensure_ascii=False)}"
        opening = "\n,"
    yield f"{opening if opening != chr(10) + ',' else ''} ]\n}}\n"


def _meta_column(name: str) -> dict[str, Any]:
    field = {"fieldName": f":{name}", "position": 0, "renderTypeName": "meta_data", "format": {}}
    return {"id": -1, "name": name, "dataTypeName": "meta_data", **field, "flags": ["hidden"]}


def _value(output: Output, cell: Stored) -> object:
    """A cell as the core's JSON has it: numbers as texts, places and addresses as lists, geometries as WKT."""
    soda = output.kind.soda
    if soda == "boolean":
        return bool(cell)
    if soda == "floating_timestamp":
        return str(cell).removesuffix(".000")
    if soda == "fixed_timestamp":
        return _seconds(str(cell))
    if soda == "url":
        parts = json.loads(str(cell))
        return [parts.get("url"), parts.get("description")]
    if soda == "location":
        parts = json.loads(str(cell))
        address = parts.get("human_address", '{"address":"","city":"","state":"","zip":""}')
        return [address, parts.get("latitude"), parts.get("longitude"), None, False]
    return geometry_wkt(cell) if soda in SHAPES else output.kind.text(cell)


def _seconds(stamp: str) -> int:
    """Seconds since 1970 of a stored moment."""
    return calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))


ROUTES = (
    route("GET", "/api/views/{view}/rows{extension}", export),
    route("GET", "/api/geospatial/{view}", geospatial),
)
