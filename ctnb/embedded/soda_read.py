"""SODA 2 reading: /resource in JSON, CSV and GeoJSON, one row, the export file, and their headers."""

from __future__ import annotations

import csv
import email.utils
import hashlib
import io
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator

from .answers import JSON, Answer, Call, Names, legacy, modern, route
from .catalogue import View, readable
from .cells import Maltyped, Stored, store
from .identifiers import ROW_ID
from .queries import Output, Parameters, Question, compile_question, sort_parameters

CSV = "text/csv; charset=UTF-8"
GEOJSON = "application/vnd.geo+json; charset=utf-8"
CHUNK_CHARACTERS = 2**18
HEADER_LIMIT = 5000
"""Characters of X-SODA2-Fields and -Types after which they are left out, as the vendor's server does."""

Row = tuple[Stored, ...]
Render = Callable[[tuple[Output, ...], Iterable[Row]], Iterator[str]]


def rows(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /resource/<view>[.json|.csv|.geojson]: rows, by the query's parameters."""
    view = readable(call, connection, names["view"], missing="dataset.missing")
    extension = names.get("extension") or _by_accept(call.headers.get("Accept", ""))
    if extension not in _FORMATS:
        raise modern(406, "req.not-acceptable", "The formats are json, csv and geojson", accept="json")
    render, content_type = _FORMATS[extension]
    parameters = sort_parameters(call.query)
    headers = cache_headers(view, call, extension)
    if not_modified(view, call, headers):
        return Answer(304, b"", content_type, headers)
    question = compile_question(view, parameters)
    text = render(question.outputs, _ask(connection, question))
    chunks = _encoded(_with_bom(text, extension, parameters))
    return Answer(200, chunks, content_type, headers + _soda_headers(view, question.outputs))


def row(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /resource/<view>/<row>.json: one row by its identifier or its `:id`, as an object."""
    view = readable(call, connection, names["view"], missing="dataset.missing")
    outputs = tuple(Output(column.field_name, column.kind) for column in view.columns)
    where, key = locate(view, names["row"])
    columns = ", ".join(column.sql for column in view.columns) or "NULL"
    found = connection.execute(f"SELECT {columns} FROM {view.table} WHERE {where} = ?", (key,)).fetchone()
    if found is None:
        raise modern(404, "soda.row.not-found", "Row not found")
    body = next(_json_rows(outputs, [tuple(found)[: len(outputs)]])) + "\n"
    headers = cache_headers(view, call, "json") + _soda_headers(view, outputs)
    return Answer(200, body.encode(), JSON, headers)


def locate(view: View, text: str) -> tuple[str, object]:
    """The column and the stored key that a row's name in a URL means. Raises Refused (404)."""
    if view.identifier is None or ROW_ID.fullmatch(text):
        return "rid", text
    try:
        return view.identifier.sql, store(view.identifier.kind, text)
    except Maltyped:
        pass  # refused below, without the value
    raise modern(404, "soda.row.not-found", "Row not found")


def export(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/rows.csv: every row, under display names, with the dates of spreadsheets."""
    view = readable(call, connection, names["view"])
    headers = cache_headers(view, call, "export")
    if not_modified(view, call, headers):
        return Answer(304, b"", CSV, headers)
    columns = ", ".join(column.sql for column in view.columns) or "NULL"
    cursor = connection.execute(f"SELECT {columns} FROM {view.table} ORDER BY sid")
    headers += (("Content-Disposition", f'attachment; filename="{view.uid}.csv"'),)
    return Answer(200, _encoded(_export_lines(view, map(tuple, cursor))), CSV, headers)


def cache_headers(view: View, call: Call, form: str) -> tuple[tuple[str, str], ...]:
    """ETag, Last-Modified and their kin for one form of one view."""
    asked = json.dumps([view.uid, view.version, form, call.path, call.query], sort_keys=True)
    tag = hashlib.sha256(asked.encode()).hexdigest()[:32]
    modified = email.utils.formatdate(view.rows_updated_at, usegmt=True)
    return (
        ("ETag", f'"{tag}"'),
        ("Last-Modified", modified),
        ("Cache-Control", "private, no-cache, must-revalidate"),
        ("Vary", "Accept, Authorization"),
        ("X-SODA2-Data-Out-Of-Date", "false"),
        ("X-SODA2-Truth-Last-Modified", modified),
        ("X-SODA2-Secondary-Last-Modified", modified),
        ("X-SODA2-Truth-Version", str(view.version)),
    )


def not_modified(view: View, call: Call, headers: tuple[tuple[str, str], ...]) -> bool:
    """Whether the caller's copy is still good; a date is trusted only when no second write can share it."""
    tags = call.headers.get("If-None-Match", "")
    if tags:
        own = dict(headers)["ETag"]
        return tags.strip() == "*" or own in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    try:
        since = email.utils.parsedate_to_datetime(call.headers.get("If-Modified-Since", "")).timestamp()
    except ValueError:
        return False
    changed = max(view.rows_updated_at, view.modified_at)
    return int(changed) <= since and call.now - changed > 2


def _by_accept(accept: str) -> str:
    if "text/csv" in accept:
        return "csv"
    return "geojson" if "geo+json" in accept else "json"


def _ask(connection: sqlite3.Connection, question: Question) -> Iterator[Row]:
    """The rows, the first one fetched now so that a refusal can still become a status."""
    interrupted = False
    try:
        cursor = connection.execute(question.sql, question.values)
        first = cursor.fetchone()
    except sqlite3.OperationalError as error:
        interrupted = "interrupted" in str(error)
    else:
        head = [] if first is None else [first]
        return map(tuple, itertools.chain(head, cursor))
    if interrupted:
        raise modern(408, "request-timeout", "The query took too long")
    raise legacy(400, "query.compiler.malformed", "The SoQL query is too large")


def _soda_headers(view: View, outputs: tuple[Output, ...]) -> tuple[tuple[str, str], ...]:
    fields = json.dumps([output.name for output in outputs], separators=(",", ":"))
    types = json.dumps([output.kind.soda for output in outputs], separators=(",", ":"))
    if len(fields) + len(types) > HEADER_LIMIT:
        named = "X-SODA2-Fields, X-SODA2-Types, and X-SODA2-Legacy-Types are deprecated"
        return (("X-SODA2-Warning", f"{named} and have been suppressed for being too large"),)
    return (("X-SODA2-Fields", fields), ("X-SODA2-Types", types))


def _json_rows(outputs: tuple[Output, ...], found: Iterable[Row]) -> Iterator[str]:
    prefixes = [json.dumps(output.name) + ":" for output in outputs]
    renders = [output.kind.json for output in outputs]
    for one in found:
        cells = zip(prefixes, renders, one, strict=True)
        yield (
            "{" + ",".join(prefix + render(cell) for prefix, render, cell in cells if cell is not None) + "}"
        )


def _json(outputs: tuple[Output, ...], found: Iterable[Row]) -> Iterator[str]:
    opening = "["
    for one in _json_rows(outputs, found):
        yield f"{opening}{one}\n"
        opening = ","
    yield "[]\n" if opening == "[" else "]\n"


def _csv(outputs: tuple[Output, ...], found: Iterable[Row]) -> Iterator[str]:
    renders = [output.kind.text for output in outputs]
    yield ",".join(_quote(output.name) for output in outputs) + "\n"
    for one in found:
        cells = zip(renders, one, strict=True)
        yield ",".join("" if cell is None else _quote(render(cell)) for render, cell in cells) + "\n"


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _geojson(outputs: tuple[Output, ...], found: Iterable[Row]) -> Iterator[str]:
    shapes = ("point", "multipoint", "line", "multiline", "polygon", "multipolygon")
    place = next((at for at, output in enumerate(outputs) if output.kind.soda in shapes), None)
    opening = '{"type":"FeatureCollection","features":['
    for one in found:
        shape = "null" if place is None or one[place] is None else str(one[place])
        rest = [
            (output, cell) for at, (output, cell) in enumerate(zip(outputs, one, strict=True)) if at != place
        ]
        properties = ",".join(
            f"{json.dumps(o.name)}:{'null' if c is None else o.kind.json(c)}" for o, c in rest
        )
        yield f'{opening}{{"type":"Feature","geometry":{shape},"properties":{{{properties}}}}}\n'
        opening = ","
    crs = '"crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}}'
    yield f"{'' if opening == ',' else opening}],{crs}}}\n"


def _export_lines(view: View, found: Iterable[Row]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.name for column in view.columns])
    renders = [column.kind.export for column in view.columns]
    for one in found:
        cells = zip(renders, one, strict=False)
        writer.writerow(["" if cell is None else render(cell) for render, cell in cells])
        if buffer.tell() > CHUNK_CHARACTERS:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _with_bom(text: Iterator[str], extension: str, parameters: Parameters) -> Iterator[str]:
    if extension == "csv" and parameters.clauses.get("$$bom", "").lower() == "true":
        yield "\ufeff"
    yield from text


def _encoded(text: Iterator[str]) -> Iterator[bytes]:
    """The text in pieces large enough that handing one over costs little."""
    parts: list[str] = []
    size = 0
    for part in text:
        parts.append(part)
        size += len(part)
        if size > CHUNK_CHARACTERS:
            yield "".join(parts).encode("utf-8", "replace")
            parts, size = [], 0
    if parts:
        yield "".join(parts).encode("utf-8", "replace")


_FORMATS: dict[str, tuple[Render, str]] = {
    "json": (_json, "application/json;charset=utf-8"),
    "csv": (_csv, CSV),
    "geojson": (_geojson, GEOJSON),
}

ROUTES = (
    route("GET", "/resource/{view}{extension}", rows),
    route("GET", "/id/{view}{extension}", rows),
    route("GET", "/resource/{view}/{row}{json}", row),
    route("GET", "/api/views/{view}/rows.csv", export),
)
