"""SODA 2 reading: /resource in every format, and one row; their headers."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator

from .answers import JSON, Answer, Call, Names, legacy, modern, route
from .catalogue import View, readable
from .cells import Maltyped, store
from .freshness import cache_headers, not_modified, refuse_unmatched
from .identifiers import ROW_ID
from .lookups import prepared
from .queries import Parameters, Query, compile_query, read_query, sort_parameters
from .renderings import FORMATS, Format, Place, Row, encoded, format_by_accept, json_objects
from .statements import Compiled, Output

HEADER_LIMIT = 5000
"""Characters of X-SODA2-Fields and -Types after which they are left out, as the vendor's server does."""
_DEPRECATED = "X-SODA2-Fields, X-SODA2-Types, and X-SODA2-Legacy-Types are deprecated"
Headers = tuple[tuple[str, str], ...]


def rows(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /resource/<view>[.json|.csv|.geojson|.xml|.rdf]: rows, by the query's parameters."""
    view = readable(call, connection, names["view"], missing="dataset.missing")
    extension = names.get("extension") or format_by_accept(call.headers.get("Accept", ""))
    if extension not in FORMATS:
        known = ", ".join(FORMATS)
        raise modern(406, "req.not-acceptable", f"The formats are {known}", accept="json")
    parameters = sort_parameters(call.query)
    headers = cache_headers(view, call, extension)
    refuse_unmatched(call, headers)
    form = FORMATS[extension]
    if not_modified(view, call, headers):
        return Answer(304, b"", form.content_type, headers)
    text, compiled = answer_rows(call, connection, view, read_query(parameters), form)
    warned = (("X-SODA2-Warning", _DEPRECATED),) if form.keyed else ()
    headers += _merged(warned, soda_headers(compiled.outputs))
    return Answer(200, encoded(_with_bom(text, extension, parameters)), form.content_type, headers)


def answer_rows(
    call: Call, connection: sqlite3.Connection, view: View, query: Query, form: Format
) -> tuple[Iterator[str], Compiled]:
    """The text of what `query` finds, and what was compiled. Raises Refused (400, 408)."""
    key = view.identifier.sql if view.identifier is not None else "rid"
    source = prepared(call.workshop, connection, view, query)
    compiled = compile_query(view, query, source=source, key=key if form.keyed else None)
    identifier = None if view.identifier is None else view.identifier.kind
    place = Place(call.origin, view.uid, compiled.keyed, identifier)
    return form.render(compiled.outputs, fetched(connection, compiled), place), compiled


def row(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /resource/<view>/<row>.json: one row by its identifier or its `:id`, as an object."""
    view = readable(call, connection, names["view"], missing="dataset.missing")
    headers = cache_headers(view, call, "json")
    refuse_unmatched(call, headers)
    if not_modified(view, call, headers):
        return Answer(304, b"", JSON, headers)
    outputs = tuple(Output(column.field_name, column.kind) for column in view.columns)
    where, key = locate(view, names["row"])
    columns = ", ".join(column.sql for column in view.columns) or "NULL"
    found = connection.execute(f"SELECT {columns} FROM {view.table} WHERE {where} = ?", (key,)).fetchone()
    if found is None:
        raise modern(404, "soda.row.not-found", "Row not found")
    body = next(json_objects(outputs, [tuple(found)])) + "\n"
    return Answer(200, body.encode(), JSON, headers + soda_headers(outputs))


def locate(view: View, text: str) -> tuple[str, object]:
    """The column and the stored key that a row's name in a URL means. Raises Refused (404)."""
    if view.identifier is None or ROW_ID.fullmatch(text):
        return "rid", text
    try:
        return view.identifier.sql, store(view.identifier.kind, text)
    except Maltyped:
        pass  # refused below, without the value
    raise modern(404, "soda.row.not-found", "Row not found")


def fetched(connection: sqlite3.Connection, compiled: Compiled) -> Iterator[Row]:
    """The rows, the first one fetched now so that a refusal can still become a status."""
    interrupted = False
    try:
        cursor = connection.execute(compiled.sql, compiled.values)
        first = cursor.fetchone()
    except sqlite3.OperationalError as error:
        interrupted = "interrupted" in str(error)
    else:
        head = [] if first is None else [first]
        return map(tuple, itertools.chain(head, cursor))
    if interrupted:
        raise modern(408, "request-timeout", "The query took too long")
    raise legacy(400, "query.compiler.malformed", "The SoQL query is too large")


def soda_headers(outputs: Iterable[Output]) -> Headers:
    """X-SODA2-Fields and -Types, or why they are left out."""
    fields = json.dumps([output.name for output in outputs], separators=(",", ":"))
    types = json.dumps([output.kind.told for output in outputs], separators=(",", ":"))
    if len(fields) + len(types) > HEADER_LIMIT:
        return (("X-SODA2-Warning", f"{_DEPRECATED} and have been suppressed for being too large"),)
    return (("X-SODA2-Fields", fields), ("X-SODA2-Types", types))


def _merged(first: Headers, second: Headers) -> Headers:
    return tuple((dict(first) | dict(second)).items())


def _with_bom(text: Iterator[str], extension: str, parameters: Parameters) -> Iterator[str]:
    if extension == "csv" and parameters.clauses.get("$$bom", "").lower() == "true":
        yield "\ufeff"
    yield from text


ROUTES = (
    route("GET", "/resource/{view}{extension}", rows),
    route("GET", "/id/{view}{extension}", rows),
    route("GET", "/api/id/{view}{extension}", rows),
    route("GET", "/resource/{view}/{row}{json}", row),
)
