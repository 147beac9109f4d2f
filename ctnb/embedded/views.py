"""The views API: list, create, describe, change and delete a dataset or a filtered view; and who am I."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any

from . import assets, columns, copies, metadata, sharing
from .accounts import publisher
from .answers import Account, Answer, Call, Names, as_json, legacy, route
from .bodies import read_object, read_objects
from .catalogue import (
    View,
    add_column,
    add_view,
    again,
    all_readable,
    checked_document,
    filtered_views,
    readable,
    touch,
)
from .columns import describe_again, identify_rows
from .describing import current_user, describe_column, describe_view
from .filters import checked_query
from .workshop import sweep_uploads

PAGE_VIEWS = 50
PAGE_LIMIT = 200
_QUERIES = ("queryString", "query", "viewFilter")


def several(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views.json: `limit` views of `page` (from 1) that the caller may read; `?count=true` how many."""
    views = all_readable(connection, call.account)
    if call.option("count") == "true":
        return as_json({"count": len(views)})
    limit, page = _number(call, "limit", PAGE_VIEWS, PAGE_LIMIT), _number(call, "page", 1, 10**6)
    shown = views[limit * (page - 1) : limit * page]
    return as_json([describe_view(connection, view, call.account) for view in shown])


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>: the metadata."""
    return as_json(describe_view(connection, readable(call, connection, names["view"]), call.account))


def create(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    POST /api/views.json: a new dataset, private and unpublished, with its columns and row identifier.

    With `modifyingViewUid` it is a filtered view of that view: private, and shown as soon as it is made.
    """
    account = publisher(call)
    body = read_object(call)
    if not str(body.get("name") or "").strip():
        raise legacy(400, "invalid_request", "A view needs a name")
    parent = body.get("modifyingViewUid") or body.get("originalViewId")
    if parent:
        return _create_filtered(call, connection, account, str(parent), body)
    view = add_view(connection, checked_document(body), account, call.now)
    for position, wanted in enumerate(read_objects(body.get("columns")), 1):
        add_column(connection, view, wanted, position)
    identify_rows(connection, again(connection, view.uid), body)
    assets.attach(connection, again(connection, view.uid))
    return as_json(describe_view(connection, again(connection, view.uid), account))


def update(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    PUT /api/views/<view>.json: top-level keys are merged, nested ones replaced, as the vendor does.

    `?method=setPermission&value=public.read|private` shares or hides the view and answers with nothing.
    """
    account = publisher(call)
    view = readable(call, connection, names["view"])
    if call.option("method"):
        return sharing.set_permission(call, connection, view)
    body = read_object(call)
    document = {**view.document, **checked_document(body)}
    if view.parent is not None:
        document = {**document, **_changed_query(view, view.parent, body)}
    statement = "UPDATE views SET document = ? WHERE id = ?"
    connection.execute(statement, (json.dumps(document), view.id))
    _update_columns(connection, view, body)
    touch(connection, view, call.now)
    assets.attach(connection, again(connection, view.uid))
    return as_json(describe_view(connection, again(connection, view.uid), account))


def delete(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /api/views/<view>.json: the view; with a dataset every row, attachment, copy and filtered view of it."""
    publisher(call)
    _remove(connection, readable(call, connection, names["view"]))
    if call.workshop is not None:
        call.workshop.later(sweep_uploads, 0)
    return Answer(200)


def who(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/users/current.json."""
    return as_json(current_user(call))


def _create_filtered(
    call: Call, connection: sqlite3.Connection, account: Account, name: str, body: dict[str, Any]
) -> Answer:
    parent = readable(call, connection, name)
    if "_blob" in parent.document:
        raise legacy(400, "invalid_request", "A file has no rows to filter", dataset=parent.uid)
    document = {**checked_document(body), "modifyingViewUid": parent.uid, **_query(parent, body)}
    view = add_view(connection, document, account, call.now)
    statement = "UPDATE views SET stage = 'published', published_at = ? WHERE id = ?"
    connection.execute(statement, (call.now, view.id))
    return as_json(describe_view(connection, again(connection, view.uid), account))


def _query(parent: View, body: dict[str, Any]) -> dict[str, Any]:
    given = next((body[key] for key in _QUERIES if body.get(key)), "")
    return {"queryString": checked_query(parent, body), "_query": given if isinstance(given, dict) else {}}


def _changed_query(view: View, parent: View, body: dict[str, Any]) -> dict[str, Any]:
    """What a PUT changes of a filtered view's query; clients send the whole view back, so the same is no change."""
    own = {"queryString": view.document.get("queryString"), "query": view.document.get("_query") or {}}
    changed = {key: body[key] for key in _QUERIES if body.get(key) and body[key] != own.get(key)}
    if body.get("modifyingViewUid", parent.uid) != parent.uid:
        raise legacy(
            400, "invalid_request", "A filtered view stays with its dataset", parameter="modifyingViewUid"
        )
    return _query(parent, changed) if changed else {}


def _update_columns(connection: sqlite3.Connection, view: View, body: dict[str, Any]) -> None:
    wanted = read_objects(body.get("columns"))
    if view.parent is None:
        for column in wanted:
            describe_again(connection, view, column)
        identify_rows(connection, view, body)
        return
    shown = {column.id: describe_column(column) for column in view.columns}
    for column in wanted:
        own = shown.get(int(column.get("id") or 0), {})
        if any(column[key] != own.get(key) for key in ("name", "description", "format") if key in column):
            message = "A filtered view's columns are described by its dataset"
            raise legacy(400, "invalid_request", message, dataset=view.base.uid)


def _remove(connection: sqlite3.Connection, view: View) -> None:
    for filtered in filtered_views(connection, view):
        _remove(connection, filtered)
    copy = copies.copy_of(connection, view)
    if copy is not None:
        _remove(connection, copy)
    if view.parent is None:
        connection.execute(f"DROP TABLE {view.table}")
    connection.execute("DELETE FROM views WHERE id = ?", (view.id,))


def _number(call: Call, name: str, default: int, most: int) -> int:
    text = call.option(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 0 < int(text) <= most:
        raise legacy(400, "invalid_request", f"{name} is a whole number from 1 to {most}", parameter=name)
    return int(text)


ROUTES = (
    *metadata.ROUTES,
    route("GET", "/api/views{json}", several),
    route("POST", "/api/views{json}", create, writes=True),
    route("GET", "/api/views/{view}{json}", show),
    route("GET", "/views/{view}{json}", show),
    route("PUT", "/api/views/{view}{json}", update, writes=True),
    route("DELETE", "/api/views/{view}{json}", delete, writes=True),
    *columns.ROUTES,
    *copies.ROUTES,
    *sharing.ROUTES,
    *assets.ROUTES,
    route("GET", "/api/users/current{json}", who),
)
