"""The columns of a view over HTTP: listed, described, and, on a working copy, added, changed and deleted."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, legacy, modern, route
from .bodies import read_object
from .catalogue import Column, View, add_column, again, readable, touch, writable
from .cells import cell_type
from .describing import describe_column


def several(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/columns.json."""
    view = readable(call, connection, names["view"])
    return as_json([describe_column(column) for column in view.columns])


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/columns/<column>.json."""
    view = readable(call, connection, names["view"])
    return as_json(describe_column(_named(view, names["column"])))


def add(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/views/<view>/columns.json: one more column, empty in every row; on what is not yet published."""
    publisher(call)
    view = _draft(writable(call, connection, names["view"]))
    last = max((column.position for column in view.columns), default=0)
    add_column(connection, view, read_object(call), 1 + last)
    touch(connection, view, call.now)
    return as_json(describe_column(again(connection, view.uid).columns[-1]))


def change(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    PUT /api/views/<view>/columns/<column>.json: its name, description or format.

    On what is not yet published also `fieldName` and `position`. The type of a column does not change.
    """
    publisher(call)
    view = writable(call, connection, names["view"])
    column, body = _named(view, names["column"]), read_object(call)
    if cell_type(str(body.get("dataTypeName", column.kind.name))) is not column.kind:
        raise legacy(400, "invalid_request", "A column's type does not change; delete it and add another")
    describe_again(connection, view, {**body, "id": column.id})
    _rename(connection, view, column, body)
    _move(connection, view, column, body)
    touch(connection, view, call.now)
    return as_json(describe_column(_named(again(connection, view.uid), column.id)))


def delete(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /api/views/<view>/columns/<column>.json: the column and its cells; on what is not yet published."""
    publisher(call)
    view = _draft(writable(call, connection, names["view"]))
    column = _named(view, names["column"])
    if view.identifier is not None and view.identifier.id == column.id:
        raise legacy(400, "invalid_request", "The row identifier cannot be deleted", column=column.field_name)
    for index in connection.execute(f"PRAGMA index_list({view.table})").fetchall():
        parts = connection.execute(f"PRAGMA index_info({index['name']})").fetchall()
        if any(part["name"] in (column.sql, None) for part in parts) and index["origin"] == "c":
            connection.execute(f"DROP INDEX {index['name']}")
    connection.execute(f"ALTER TABLE {view.table} DROP COLUMN {column.sql}")
    connection.execute("DELETE FROM columns WHERE id = ?", (column.id,))
    touch(connection, view, call.now)
    return Answer(200)


def describe_again(connection: sqlite3.Connection, view: View, wanted: dict[str, Any]) -> None:
    """Change what is said of a column, which is named by `id` or `fieldName`. Raises Refused (404)."""
    column = _named(view, wanted.get("id") or wanted.get("fieldName"))
    name = str(wanted.get("name") or column.name)
    description = str(wanted.get("description", column.description) or "")
    form = json.dumps(wanted.get("format", column.format) or {})
    statement = "UPDATE columns SET name = ?, description = ?, format = ? WHERE id = ?"
    connection.execute(statement, (name, description, form, column.id))


def identify_rows(connection: sqlite3.Connection, view: View, body: dict[str, Any]) -> None:
    """Set the row identifier that metadata.rowIdentifier names, by field name or column id. Raises Refused (400)."""
    metadata = body.get("metadata")
    wanted = metadata.get("rowIdentifier") if isinstance(metadata, dict) else None
    if not wanted:
        return
    column = _found(view, wanted)
    if column is None:
        raise legacy(400, "invalid_request", "metadata.rowIdentifier names no column", dataset=view.uid)
    if view.identifier is None or view.identifier.id != column.id:
        index_rows(connection, view, column)
        connection.execute("UPDATE views SET row_identifier = ? WHERE id = ?", (column.id, view.id))


def index_rows(connection: sqlite3.Connection, view: View, column: Column) -> None:
    """Make the index that keeps a row identifier unique. Raises Refused (400) when the rows do not allow it."""
    name = column.field_name
    if connection.execute(f"SELECT 1 FROM {view.table} WHERE {column.sql} IS NULL LIMIT 1").fetchone():
        message = f"Column '{name}' has blanks and cannot identify rows"
        raise legacy(400, "soda.row.primary-key-nonexistent-or-null", message, column=name)
    unique = True
    connection.execute(f"DROP INDEX IF EXISTS key_{view.id}")
    try:
        connection.execute(f"CREATE UNIQUE INDEX key_{view.id} ON {view.table} ({column.sql})")
    except sqlite3.IntegrityError:
        unique = False
    if not unique:
        raise legacy(400, "soda.column.not-unique", f"Column '{name}' is not unique", column=name)


def _rename(connection: sqlite3.Connection, view: View, column: Column, body: dict[str, Any]) -> None:
    wanted = str(body.get("fieldName", column.field_name))
    if wanted == column.field_name:
        return
    _draft(view)
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,254}", wanted) or view.column(wanted) is not None:
        message = "A fieldName is of lower-case letters, digits and underscores, and no other column's"
        raise legacy(400, "invalid_request", message, parameter="fieldName")
    connection.execute("UPDATE columns SET field_name = ? WHERE id = ?", (wanted, column.id))


def _move(connection: sqlite3.Connection, view: View, column: Column, body: dict[str, Any]) -> None:
    wanted = body.get("position", column.position)
    if wanted == column.position:
        return
    _draft(view)
    if not isinstance(wanted, int) or not 0 < wanted <= len(view.columns):
        raise legacy(400, "invalid_request", "A position is a whole number from 1", parameter="position")
    others = [one for one in view.columns if one.id != column.id]
    for position, one in enumerate([*others[: wanted - 1], column, *others[wanted - 1 :]], 1):
        connection.execute("UPDATE columns SET position = ? WHERE id = ?", (position, one.id))


def _draft(view: View) -> View:
    """The view, whose columns may change: a new dataset or a working copy. Raises Refused (409)."""
    if view.stage == "published":
        message = "The columns of a published dataset change on a working copy or by a revision"
        data = {"actual": "published", "expected": "unpublished"}
        raise modern(409, "soda.dataset.incorrect-lifecycle-stage", message, **data)
    return view


def _named(view: View, wanted: object) -> Column:
    column = _found(view, wanted)
    if column is None:
        raise legacy(404, "not_found", "There is no such column", dataset=view.uid)
    return column


def _found(view: View, wanted: object) -> Column | None:
    """A column by its id or its field name."""
    by_id = {str(column.id): column for column in view.columns}
    return by_id.get(str(wanted)) or view.column(str(wanted))


ROUTES = (
    route("GET", "/api/views/{view}/columns{json}", several),
    route("POST", "/api/views/{view}/columns{json}", add, writes=True),
    route("GET", "/api/views/{view}/columns/{column}{json}", show),
    route("PUT", "/api/views/{view}/columns/{column}{json}", change, writes=True),
    route("DELETE", "/api/views/{view}/columns/{column}{json}", delete, writes=True),
)
