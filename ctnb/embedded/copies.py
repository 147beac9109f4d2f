"""
Working copies: a second, unpublished view of a dataset's columns and rows, which replaces them when published.

A published copy keeps the dataset's 4x4, its readers and the ids of the columns it still has; the copy's own 4x4 ends.
"""

from __future__ import annotations

import json
import sqlite3

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, legacy, modern, route
from .catalogue import View, add_view, again, filtered_views, find, readable, touch, writable
from .columns import index_rows
from .describing import describe_view
from .page_history import note

METHODS = {"copy": True, "copySchema": False}
"""What a copy is made with, and whether it gets the rows."""


def publish(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    POST /api/views/<view>/publication.json: an unpublished view becomes the published one.

    `?method=copy` and `?method=copySchema` open a working copy with and without the rows, and answer with it.
    """
    account = publisher(call)
    if call.option("method"):
        return _open(call, connection, writable(call, connection, names["view"]))
    view = readable(call, connection, names["view"])
    original = find(connection, str(view.document["_copy_of"])) if "_copy_of" in view.document else None
    if original is not None:
        view = _replace(connection, original, view, call.now)
        note(connection, view, account, "copy", {}, call.now)
    statement = "UPDATE views SET stage = 'published', published_at = coalesce(published_at, ?) WHERE id = ?"
    connection.execute(statement, (call.now, view.id))
    touch(connection, view, call.now)
    return as_json(describe_view(connection, again(connection, view.uid), account))


def pending(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/geocoding/<view>.json?method=pending: clients wait for this to be 0 before they publish."""
    readable(call, connection, names["view"])
    return as_json({"view": 0})


def copy_of(connection: sqlite3.Connection, view: View) -> View | None:
    """The open working copy of a dataset, if there is one."""
    query = "SELECT uid FROM views WHERE document ->> '$._copy_of' = ?"
    row = connection.execute(query, (view.uid,)).fetchone()
    return None if row is None else find(connection, str(row[0]))


def _open(call: Call, connection: sqlite3.Connection, view: View) -> Answer:
    account = publisher(call)
    with_rows = METHODS.get(call.option("method"))
    if with_rows is None:
        raise legacy(400, "invalid_request", "The method is copy or copySchema", parameter="method")
    if view.stage != "published" or copy_of(connection, view) is not None:
        message = "A working copy is of a published dataset that has none open"
        data = {"actual": "unpublished", "expected": "published"}
        raise modern(409, "soda.dataset.incorrect-lifecycle-stage", message, **data)
    document = {**view.document, "_copy_of": view.uid, "_group": view.id}
    document.pop("resourceName", None)
    copy = add_view(connection, document, account, call.now)
    _copy_columns(connection, view, copy)
    if with_rows:
        _copy_rows(connection, view, again(connection, copy.uid))
    copy = again(connection, copy.uid)
    if view.identifier is not None and (own := copy.column(view.identifier.field_name)) is not None:
        index_rows(connection, copy, own)
        connection.execute("UPDATE views SET row_identifier = ? WHERE id = ?", (own.id, copy.id))
    return as_json(describe_view(connection, again(connection, copy.uid), account))


def _copy_columns(connection: sqlite3.Connection, view: View, copy: View) -> None:
    for column in view.columns:
        told = (column.name, column.kind.name, column.description, column.position, json.dumps(column.format))
        row = (copy.id, column.field_name, *told)
        made = connection.execute("INSERT INTO columns VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row).lastrowid
        affinity = "INTEGER" if column.kind.name == "checkbox" else "TEXT"
        connection.execute(f"ALTER TABLE {copy.table} ADD COLUMN c{made} {affinity}")


def _copy_rows(connection: sqlite3.Connection, view: View, copy: View) -> None:
    system = ["sid", "rid", "created_at", "updated_at"]
    own = [copied.sql for column in view.columns if (copied := copy.column(column.field_name))]
    into, out_of = ", ".join([*system, *own]), ", ".join([*system, *(column.sql for column in view.columns)])
    connection.execute(f"INSERT INTO {copy.table} ({into}) SELECT {out_of} FROM {view.table} ORDER BY sid")
    connection.execute("UPDATE views SET next_sid = ? WHERE id = ?", (view.next_sid, copy.id))


def _replace(connection: sqlite3.Connection, view: View, copy: View, now: float) -> View:
    """The copy's columns, rows and words become the dataset's; the copy ends."""
    kept = {
        column.id: known.id
        for column in copy.columns
        if (known := view.column(column.field_name)) is not None and known.kind is column.kind
    }
    table = view.table
    connection.execute(f"DROP TABLE {table}")
    connection.execute(f"DROP INDEX IF EXISTS key_{copy.id}")
    connection.execute(f"ALTER TABLE {copy.table} RENAME TO {table}")
    connection.execute("DELETE FROM columns WHERE view = ?", (view.id,))
    for own, former in kept.items():
        connection.execute(f"ALTER TABLE {table} RENAME COLUMN c{own} TO c{former}")
        connection.execute("UPDATE columns SET id = ? WHERE id = ?", (former, own))
    connection.execute("UPDATE columns SET view = ? WHERE view = ?", (view.id, copy.id))
    document = {key: value for key, value in copy.document.items() if key not in ("_copy_of", "_group")}
    if "resourceName" in view.document:
        document["resourceName"] = view.document["resourceName"]
    identifier = None if copy.identifier is None else kept.get(copy.identifier.id, copy.identifier.id)
    statement = (
        "UPDATE views SET document = ?, row_identifier = ?, rows_updated_at = ?,"
        " next_sid = max(next_sid, ?) WHERE id = ?"
    )
    connection.execute(statement, (json.dumps(document), identifier, now, copy.next_sid, view.id))
    connection.execute("UPDATE assets SET view = ? WHERE view = ?", (view.id, copy.id))
    moved = "UPDATE views SET document = json_set(document, '$.modifyingViewUid', ?) WHERE id = ?"
    for filtered in filtered_views(connection, copy):
        connection.execute(moved, (view.uid, filtered.id))
    connection.execute("DELETE FROM views WHERE id = ?", (copy.id,))
    view = again(connection, view.uid)
    if view.identifier is not None:
        index_rows(connection, view, view.identifier)
    return view


ROUTES = (
    route("POST", "/api/views/{view}/publication{json}", publish, writes=True),
    route("GET", "/api/geocoding/{view}{json}", pending),
)
