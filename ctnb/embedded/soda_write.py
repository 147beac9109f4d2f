"""SODA 2 writing: upsert, replace, and one row at a time. Each request is one transaction, all or nothing."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import sqlite3
from collections.abc import Iterator

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, decode, modern, route
from .catalogue import View, touch, writable
from .page_history import note
from .rows import Tally, apply_changes, csv_text, empty, read_changes
from .soda_read import locate

CELL_LIMIT_BYTES = 16 * 2**20
_PARAMETER = r'\s*;\s*[\w!#$&^.+-]+=(?:[^\s";]+|"[^"]*")'
_CONTENT_TYPE = re.compile(rf"([\w!#$&^.+-]+/[\w!#$&^.+-]+)(?:{_PARAMETER})*\s*;?", re.ASCII)
_CHARSET = re.compile(r';\s*charset="?([A-Za-z0-9_.:-]{1,40})', re.I)
_SEPARATORS = {"text/csv": ",", "text/tab-separated-values": "\t"}


def upsert(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /resource/<view>.json: append, or update and insert by row identifier or `:id`, or delete."""
    view = _writable(call, connection, names)
    merge = call.option("mergeInsteadOfReplace", "true").lower() != "false"
    changes = read_changes(view, _bodies(call, view))
    tally = apply_changes(connection, view, changes, call.now, merge=merge)
    return _report(call, connection, view, tally)


def replace(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /resource/<view>.json: every row replaced; metadata and columns stay."""
    view = _writable(call, connection, names)
    deleted = empty(connection, view)
    tally = apply_changes(connection, view, read_changes(view, _bodies(call, view)), call.now)
    tally.deleted += deleted
    return _report(call, connection, view, tally, "replace")


def change_row(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST merges into one row, PUT replaces it: /resource/<view>/<row>.json."""
    view = _writable(call, connection, names)
    body = decode(call.body)
    if not isinstance(body, dict):
        raise modern(400, "req.content.json.not-object", "The body is not an object")
    rid = _rid(connection, view, names["row"])
    own = "" if view.identifier is None else view.identifier.field_name
    fields = {name: value for name, value in body.items() if name.lower() not in (own, ":id")}
    changes = list(read_changes(view, [{**fields, ":id": rid}]))
    if call.method == "PUT" and view.identifier is not None:
        key = f"SELECT {view.identifier.sql} FROM {view.table} WHERE rid = ?"
        changes[0].cells[view.identifier.sql] = connection.execute(key, (rid,)).fetchone()[0]
    tally = apply_changes(connection, view, changes, call.now, merge=call.method == "POST")
    return _report(call, connection, view, tally, "row")


def delete_row(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /resource/<view>/<row>.json: 200 and nothing more, as the core answers; 404 when it is gone."""
    view = _writable(call, connection, names)
    rid = _rid(connection, view, names["row"])
    connection.execute(f"DELETE FROM {view.table} WHERE rid = ?", (rid,))
    touch(connection, view, call.now, rows=True)
    note(connection, view, call.account, "row", {"Rows Deleted": 1}, call.now)
    return Answer(200)


def _writable(call: Call, connection: sqlite3.Connection, names: Names) -> View:
    publisher(call)
    return writable(call, connection, names["view"], missing="dataset.missing")


def _rid(connection: sqlite3.Connection, view: View, name: str) -> str:
    where, key = locate(view, name)
    row = connection.execute(f"SELECT rid FROM {view.table} WHERE {where} = ?", (key,)).fetchone()
    if row is None:
        raise modern(404, "soda.row.not-found", "Row not found")
    return str(row[0])


def _report(
    call: Call, connection: sqlite3.Connection, view: View, tally: Tally, kind: str = "upsert"
) -> Answer:
    if tally.deleted or tally.updated or tally.created or call.method == "PUT":
        touch(connection, view, call.now, rows=True)
        note(connection, view, call.account, kind, tally.report(), call.now)
    return as_json(tally.report(), headers=(("X-SODA2-Truth-Version", str(view.version + 1)),))


def _bodies(call: Call, view: View) -> Iterator[object]:
    """The rows of a body; without a Content-Type it is JSON, because a widely used client sends none."""
    content_type, charset = _content_type(call)
    if content_type in _SEPARATORS:
        return _csv_bodies(_text(call.body, charset), _SEPARATORS[content_type], view)
    if content_type not in ("application/json", "text/json", ""):
        raise modern(
            415, "req.content-type.not-json", "The body is JSON, CSV or TSV", contentType=content_type
        )
    body = decode(call.body if charset == "utf-8-sig" else _text(call.body, charset).encode())
    return iter(body if isinstance(body, list) else [body])


def _content_type(call: Call) -> tuple[str, str]:
    """
    The media type of a body, in lower case, and its encoding, `utf-8-sig` unless it names another.

    Raises Refused: 400 for a header that is none, 415 for an encoding that is not known (spec: soda-fountain's codes).
    """
    given = call.headers.get("Content-Type", "").strip()
    match = _CONTENT_TYPE.fullmatch(given)
    if match is None and given:
        raise modern(400, "req.content-type.unparsable", "The Content-Type could not be parsed")
    charset = _CHARSET.search(given)
    name = "utf-8" if charset is None else charset[1].lower()
    try:
        "a".encode(name)  # a codec that is none of text is a LookupError too
    except (LookupError, ValueError):
        message = "The charset of the Content-Type is not known"
        raise modern(415, "req.content-type.unknown-charset", message, charset=name) from None
    plain = "application/json" if match is None else match[1].lower()
    return plain, "utf-8-sig" if name.replace("_", "-") in ("utf-8", "utf8", "us-ascii", "ascii") else name


def _text(body: bytes, charset: str) -> str:
    """A body as text. Raises Refused (415), without its bytes."""
    with contextlib.suppress(UnicodeDecodeError):  # its text would quote the body
        return body.decode(charset)
    raise modern(
        415, "req.content-type.unknown-charset", "The body is not in the charset that it names, or UTF-8"
    )


def _csv_bodies(text: str, separator: str, view: View) -> Iterator[object]:
    csv.field_size_limit(CELL_LIMIT_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    display = {column.name: column.field_name for column in view.columns}
    header: list[str] | None = None
    for cells in _csv_lines(reader):
        if header is None:
            header = [name if view.column(name) else display.get(name, name) for name in cells]
            _refuse_twice(header)
        elif len(cells) != len(header):
            raise modern(400, "req.body.malformed-csv", "A row has more or fewer cells than the header")
        else:
            yield {name: csv_text(cell) for name, cell in zip(header, cells, strict=True)}


def _csv_lines(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The records that are not blank lines. Raises Refused (400), never with the text of the cause."""
    while True:
        broken = False
        cells: list[str] | None = []
        try:
            cells = next(reader, None)
        except csv.Error:
            broken = True
        if broken:
            raise modern(400, "req.body.malformed-csv", "The request body is not well-formed CSV")
        if cells is None:
            return
        if cells:
            yield cells


def _refuse_twice(header: list[str]) -> None:
    if len({name.lower() for name in header}) != len(header):
        raise modern(400, "req.body.malformed-csv", "The header names a column twice")


ROUTES = (
    route("POST", "/resource/{view}{json}", upsert, writes=True),
    route("PUT", "/resource/{view}{json}", replace, writes=True),
    route("POST", "/resource/{view}/{row}{json}", change_row, writes=True),
    route("PUT", "/resource/{view}/{row}{json}", change_row, writes=True),
    route("DELETE", "/resource/{view}/{row}{json}", delete_row, writes=True),
    route("POST", "/id/{view}{json}", upsert, writes=True),
    route("PUT", "/id/{view}{json}", replace, writes=True),
)
