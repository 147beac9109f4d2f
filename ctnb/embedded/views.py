"""The views API: create, describe, change, publish, share and delete a dataset; and who am I."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, decode, legacy, route
from .catalogue import (
    Column,
    View,
    add_column,
    add_view,
    checked_document,
    current_user,
    describe_column,
    describe_permissions,
    describe_view,
    find,
    readable,
    touch,
)
from .workshop import sweep_uploads


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>: the metadata."""
    return as_json(describe_view(connection, readable(call, connection, names["view"]), call.account))


def columns(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/columns.json."""
    view = readable(call, connection, names["view"])
    return as_json([describe_column(column) for column in view.columns])


def create(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/views.json: a new dataset, private and unpublished, with its columns and row identifier."""
    account = publisher(call)
    body = _object(call)
    if not str(body.get("name") or "").strip():
        raise legacy(400, "invalid_request", "A view needs a name")
    view = add_view(connection, checked_document(body), account, call.now)
    uid = view.uid
    for position, wanted in enumerate(_list(body.get("columns")), 1):
        add_column(connection, view, wanted, position)
    _identify(connection, _again(connection, uid), body)
    return as_json(describe_view(connection, _again(connection, uid), account))


def update(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    PUT /api/views/<view>.json: top-level keys are merged, nested ones replaced, as the vendor does.

    `?method=setPermission&value=public.read|private` shares or hides the view and answers with nothing.
    """
    account = publisher(call)
    view = readable(call, connection, names["view"])
    if call.option("method"):
        return _set_permission(call, connection, view)
    body = _object(call)
    document = {**view.document, **checked_document(body)}
    statement = "UPDATE views SET document = ? WHERE id = ?"
    connection.execute(statement, (json.dumps(document), view.id))
    for wanted in _list(body.get("columns")):
        _describe_again(connection, view, wanted)
    _identify(connection, view, body)
    touch(connection, view, call.now)
    return as_json(describe_view(connection, _again(connection, view.uid), account))


def new_column(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/views/<view>/columns.json: one more column, empty in every row."""
    publisher(call)
    view = readable(call, connection, names["view"])
    add_column(
        connection, view, _object(call), 1 + max((column.position for column in view.columns), default=0)
    )
    touch(connection, view, call.now)
    return as_json(describe_column(_again(connection, view.uid).columns[-1]))


def update_column(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /api/views/<view>/columns/<column>.json: its name, description or format."""
    publisher(call)
    view = readable(call, connection, names["view"])
    number = int(names["column"])
    _describe_again(connection, view, {**_object(call), "id": number})
    touch(connection, view, call.now)
    changed = (column for column in _again(connection, view.uid).columns if column.id == number)
    return as_json(describe_column(next(changed)))


def publish(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/views/<view>/publication.json: an unpublished view becomes the published one."""
    account = publisher(call)
    view = readable(call, connection, names["view"])
    if call.option("method"):
        raise legacy(400, "invalid_request", "This portal keeps no working copies")
    statement = "UPDATE views SET stage = 'published', published_at = coalesce(published_at, ?) WHERE id = ?"
    connection.execute(statement, (call.now, view.id))
    touch(connection, view, call.now)
    return as_json(describe_view(connection, _again(connection, view.uid), account))


def delete(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /api/views/<view>.json: the dataset and every row of it."""
    publisher(call)
    view = readable(call, connection, names["view"])
    connection.execute(f"DROP TABLE {view.table}")
    connection.execute("DELETE FROM views WHERE id = ?", (view.id,))
    if call.workshop is not None:
        call.workshop.later(sweep_uploads, view.id)
    return Answer(200)


def permissions(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/permissions: the scope, and who was given the view."""
    view = readable(call, connection, names["view"])
    publisher(call)
    return as_json(describe_permissions(view))


def set_permissions(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /api/views/<view>/permissions: `{"scope", "users": [{"id"}]}`; a user named here may read it."""
    publisher(call)
    view = readable(call, connection, names["view"])
    body = _object(call)
    scope = str(body.get("scope", view.scope))
    if scope not in ("public", "private"):
        raise legacy(400, "invalid_request", "The scope is public or private", parameter="scope")
    users = [_user(connection, user) for user in _list(body.get("users", view.users))]
    statement = "UPDATE views SET scope = ?, users = ? WHERE id = ?"
    connection.execute(statement, (scope, json.dumps(users), view.id))
    touch(connection, view, call.now)
    return as_json(describe_permissions(_again(connection, view.uid)))


def who(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/users/current.json."""
    return as_json(current_user(call))


def _set_permission(call: Call, connection: sqlite3.Connection, view: View) -> Answer:
    scopes = {"public.read": "public", "public": "public", "private": "private"}
    scope = scopes.get(call.option("value"))
    if call.option("method") != "setPermission" or scope is None:
        raise legacy(400, "invalid_request", "The method is setPermission, its value public.read or private")
    connection.execute("UPDATE views SET scope = ? WHERE id = ?", (scope, view.id))
    touch(connection, view, call.now)
    return Answer(200)


def _user(connection: sqlite3.Connection, user: dict[str, Any]) -> dict[str, Any]:
    uid = str(user.get("id", ""))
    if connection.execute("SELECT 1 FROM accounts WHERE uid = ?", (uid,)).fetchone() is None:
        raise legacy(400, "invalid_request", "A user is not known to this portal", parameter="users")
    levels = [{"name": "viewer", "version": "all"}]
    return {"id": uid, "type": "interactive", "accessLevels": levels}


def _describe_again(connection: sqlite3.Connection, view: View, wanted: dict[str, Any]) -> None:
    """Change what is said of a column; what it is called in the API and its type stay."""
    column = _named(view, wanted.get("id")) or _named(view, wanted.get("fieldName"))
    if column is None:
        raise legacy(404, "not_found", "There is no such column", dataset=view.uid)
    name = str(wanted.get("name") or column.name)
    description = str(wanted.get("description", column.description) or "")
    form = json.dumps(wanted.get("format", column.format) or {})
    statement = "UPDATE columns SET name = ?, description = ?, format = ? WHERE id = ?"
    connection.execute(statement, (name, description, form, column.id))


def _identify(connection: sqlite3.Connection, view: View, body: dict[str, Any]) -> None:
    """Set the row identifier that metadata.rowIdentifier names, by field name or column id."""
    metadata = body.get("metadata")
    wanted = metadata.get("rowIdentifier") if isinstance(metadata, dict) else None
    if not wanted:
        return
    column = _named(view, wanted)
    if column is None:
        raise legacy(400, "invalid_request", "metadata.rowIdentifier names no column", dataset=view.uid)
    if view.identifier is not None and view.identifier.id == column.id:
        return
    _index(connection, view, column)
    connection.execute("UPDATE views SET row_identifier = ? WHERE id = ?", (column.id, view.id))


def _index(connection: sqlite3.Connection, view: View, column: Column) -> None:
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


def _named(view: View, wanted: object) -> Column | None:
    """A column by its id or its field name."""
    by_id = {str(column.id): column for column in view.columns}
    return by_id.get(str(wanted)) or view.column(str(wanted))


def _again(connection: sqlite3.Connection, uid: str) -> View:
    view = find(connection, uid)
    if view is None:
        raise legacy(404, "not_found", "Not found", id=uid)
    return view


def _object(call: Call) -> dict[str, Any]:
    body = decode(call.body, exact=False)
    if not isinstance(body, dict):
        raise legacy(400, "invalid_request", "The body is not an object")
    return body


def _list(value: object) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise legacy(400, "invalid_request", "A list of objects was expected")
    return value


ROUTES = (
    route("POST", "/api/views{json}", create, writes=True),
    route("GET", "/api/views/{view}{json}", show),
    route("PUT", "/api/views/{view}{json}", update, writes=True),
    route("DELETE", "/api/views/{view}{json}", delete, writes=True),
    route("GET", "/api/views/{view}/columns{json}", columns),
    route("POST", "/api/views/{view}/columns{json}", new_column, writes=True),
    route("PUT", "/api/views/{view}/columns/{column}{json}", update_column, writes=True),
    route("POST", "/api/views/{view}/publication{json}", publish, writes=True),
    route("GET", "/api/views/{view}/permissions{json}", permissions),
    route("PUT", "/api/views/{view}/permissions{json}", set_permissions, writes=True),
    route("GET", "/api/users/current{json}", who),
)
