"""Views and their columns: found, made and changed."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from .answers import Account, Call, Refused, legacy, not_permitted
from .cells import CellType, cell_type
from .identifiers import VIEW_ID, new_view_id

WRITABLE = (
    "name", "description", "category", "tags", "attribution", "attributionLink", "license", "licenseId",
    "metadata", "privateMetadata", "clientContext", "displayType", "displayFormat", "resourceName",
    "hideFromCatalog", "hideFromDataJson", "locale",
)  # fmt: skip
"""The keys of a view that a caller may set; any other key of a PUT is ignored, as clients send all back."""


@dataclass(frozen=True)
class Column:
    """One column of a view."""

    id: int
    field_name: str
    name: str
    kind: CellType
    description: str
    position: int
    format: dict[str, Any]

    @property
    def sql(self) -> str:
        """Its name in the view's table: made of its number, never of its words."""
        return f"c{self.id}"


@dataclass(frozen=True)
class View:
    """One dataset, or a filtered view: some rows and columns of another view, which it reads anew each time."""

    id: int
    uid: str
    document: dict[str, Any]
    scope: str
    stage: str
    owner: str
    users: list[dict[str, Any]]
    """Who was given it: `{"id": uid}`, or `{"email": address}` for somebody who has no account yet."""
    created_at: float
    published_at: float | None
    modified_at: float
    rows_updated_at: float
    version: int
    next_sid: int
    columns: tuple[Column, ...]
    identifier: Column | None
    """The column that identifies a row, if one was named."""
    parent: View | None = None
    """The view that a filtered view is of; None for a dataset."""
    selection: str = ""
    """The SELECT, in parentheses and without values to bind, that gives the rows of a filtered view."""
    fault: Refused | None = None
    """Why a filtered view cannot be read: a column that its query names is gone."""

    @property
    def table(self) -> str:
        """
        What its rows are read FROM: a table's name, or the SELECT of a filtered view.

        Only `readable` rows may come of it, and only datasets (`writable`) may be written. Raises Refused (400)
        for a filtered view whose query no longer fits its dataset.
        """
        if self.fault is not None:
            raise self.fault
        return self.selection or f"rows_{self.id}"

    @property
    def base(self) -> View:
        """The dataset that holds its rows: itself, unless it is a filtered view."""
        return self if self.parent is None else self.parent.base

    @property
    def name(self) -> str:
        """Its title."""
        return str(self.document.get("name") or self.uid)

    @property
    def public(self) -> bool:
        """Whether anybody may read it: a filtered view never shows more than what it is of."""
        own = self.scope == "public" and self.stage == "published"
        return own and (self.parent is None or self.parent.public)

    def readable(self, account: Account | None) -> bool:
        """Whether `account` (None: anybody) may read it."""
        if self.parent is not None and not self.parent.readable(account):
            return False
        if self.scope == "public" and self.stage == "published":
            return True
        if account is None:
            return False
        return account.role == "publisher" or any(_is(account, user) for user in self.users)

    def column(self, name: str) -> Column | None:
        """The column with this field name, in any case."""
        return next((column for column in self.columns if column.field_name == name.lower()), None)


def find(connection: sqlite3.Connection, name: str) -> View | None:
    """The view with this 4x4 or resource name."""
    if VIEW_ID.fullmatch(name):
        query = "SELECT * FROM views WHERE uid = ?"
    else:
        query = "SELECT * FROM views WHERE document ->> '$.resourceName' = ?"
    row = connection.execute(query, (name,)).fetchone()
    return None if row is None else _view(connection, row)


def again(connection: sqlite3.Connection, uid: str) -> View:
    """A view as it is after a change in this transaction. Raises Refused (404)."""
    view = find(connection, uid)
    if view is None:
        raise legacy(404, "not_found", "Not found", id=uid)
    return view


def readable(call: Call, connection: sqlite3.Connection, name: str, *, missing: str = "not_found") -> View:
    """The view `name`. Raises Refused: 404 with the code `missing`, 403 when the caller may not read it."""
    view = find(connection, name)
    if view is None:
        raise legacy(404, missing, "Not found", id=name)
    if not view.readable(call.account):
        raise not_permitted()
    return view


def writable(call: Call, connection: sqlite3.Connection, name: str, *, missing: str = "not_found") -> View:
    """
    The dataset `name`, for whoever changes its rows or columns.

    Raises Refused: 404, 403, and 400 for a filtered view.
    """
    view = readable(call, connection, name, missing=missing)
    if view.parent is not None:
        message = "A filtered view has no rows and columns of its own; change its dataset"
        raise legacy(400, "invalid_request", message, dataset=view.base.uid)
    return view


def filtered_views(connection: sqlite3.Connection, view: View) -> list[View]:
    """The filtered views of a view, the oldest first."""
    query = "SELECT * FROM views WHERE document ->> '$.modifyingViewUid' = ? ORDER BY id"
    return [_view(connection, row) for row in connection.execute(query, (view.uid,)).fetchall()]


def all_readable(connection: sqlite3.Connection, account: Account | None) -> list[View]:
    """
    Every view that `account` may read, the newest data first; one that cannot be read any more has no rows in it.
    """
    rows = connection.execute("SELECT * FROM views ORDER BY rows_updated_at DESC, id DESC").fetchall()
    views = [replace(_view(connection, row), fault=None) for row in rows]
    return [view for view in views if view.readable(account)]


def count_rows(connection: sqlite3.Connection, view: View) -> int:
    """How many rows a view has."""
    return int(connection.execute(f"SELECT count(*) FROM {view.table}").fetchone()[0])


def touch(connection: sqlite3.Connection, view: View, now: float, *, rows: bool = False) -> None:
    """Note that a view, or its rows, changed at `now`."""
    changed = "rows_updated_at" if rows else "modified_at"
    statement = f"UPDATE views SET {changed} = ?, version = version + 1 WHERE id = ?"
    connection.execute(statement, (now, view.id))


def add_view(connection: sqlite3.Connection, document: dict[str, Any], account: Account, now: float) -> View:
    """A new view of `account`, private and unpublished, without columns; a filtered view gets no table."""
    uid = new_view_id()
    while find(connection, uid) is not None:
        uid = new_view_id()
    row = (uid, json.dumps(document), "private", "unpublished", account.uid, "[]", None, now, None, now, now)
    marks = ", ".join("?" * (len(row) + 2))
    view_id = connection.execute(f"INSERT INTO views VALUES (NULL, {marks})", (*row, 1, 1)).lastrowid
    if "modifyingViewUid" not in document:
        connection.execute(
            f"CREATE TABLE rows_{view_id} (sid INTEGER PRIMARY KEY, rid TEXT NOT NULL UNIQUE,"
            " created_at TEXT NOT NULL, updated_at TEXT NOT NULL)"
        )
    view = find(connection, uid)
    if view is None:
        raise sqlite3.DataError("a view that was just written is not there")
    return view


def checked_document(body: dict[str, Any]) -> dict[str, Any]:
    """What a caller says of a view, without the keys that are not the caller's. Raises Refused (400)."""
    document = {key: body[key] for key in WRITABLE if key in body}
    objects = ("metadata", "privateMetadata", "clientContext", "displayFormat")
    kinds = {**dict.fromkeys(objects, dict), "tags": list}
    for key, value in document.items():
        kind = kinds.get(key, bool if key.startswith("hide") else str)
        if value is not None and not isinstance(value, kind):
            raise legacy(400, "invalid_request", f"{key} has the wrong JSON type", parameter=key)
    return document


def add_column(connection: sqlite3.Connection, view: View, wanted: dict[str, Any], position: int) -> None:
    """Add a column as a caller describes it. Raises Refused (400)."""
    kind = cell_type(str(wanted.get("dataTypeName", "text")))
    if kind is None:
        raise legacy(400, "invalid_request", "A column has an unknown dataTypeName", position=position)
    name = str(wanted.get("name") or wanted.get("fieldName") or "").strip()
    field_name = str(wanted.get("fieldName") or field_name_of(name))
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,254}", field_name):
        message = "A column needs a name, and a fieldName of lower-case letters, digits and underscores"
        raise legacy(400, "invalid_request", message, position=position)
    if view.column(field_name) or field_name in {c.field_name for c in _columns(connection, view.id)}:
        raise legacy(400, "invalid_request", "Two columns have the same fieldName", position=position)
    details = (str(wanted.get("description") or ""), position, json.dumps(wanted.get("format") or {}))
    statement = "INSERT INTO columns VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"
    cursor = connection.execute(statement, (view.id, field_name, name, kind.name, *details))
    affinity = "INTEGER" if kind.name == "checkbox" else "TEXT"
    connection.execute(f"ALTER TABLE {view.table} ADD COLUMN c{cursor.lastrowid} {affinity}")


def field_name_of(name: str) -> str:
    """The API field name the vendor makes of a display name."""
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return f"_{word}" if word[:1].isdigit() else word


def _is(account: Account, user: dict[str, Any]) -> bool:
    mail = str(user.get("email") or "").lower()
    return user.get("id") == account.uid or (bool(mail) and mail == account.mail)


def _view(connection: sqlite3.Connection, row: sqlite3.Row) -> View:
    columns = _columns(connection, row["id"])
    identifier = next((column for column in columns if column.id == row["row_identifier"]), None)
    plain = ("id", "uid", "scope", "stage", "owner", "created_at", "published_at", "modified_at")
    counters = ("rows_updated_at", "version", "next_sid")
    view = View(
        **{key: row[key] for key in (*plain, *counters)},
        document=json.loads(row["document"]),
        users=json.loads(row["users"]),
        columns=columns,
        identifier=identifier,
    )
    return _filtered(connection, view) if "modifyingViewUid" in view.document else view


def _filtered(connection: sqlite3.Connection, view: View) -> View:
    """The view with the rows and columns of its parent that its query leaves."""
    from .filters import narrowed

    parent = find(connection, str(view.document["modifyingViewUid"]))
    if parent is None:
        raise sqlite3.DataError("a filtered view without its dataset")
    updated = (
        parent.rows_updated_at if parent.rows_updated_at > view.rows_updated_at else view.rows_updated_at
    )
    view = replace(view, parent=parent, rows_updated_at=updated, version=view.version + parent.version)
    return narrowed(view, parent, str(view.document.get("queryString") or ""))


def _columns(connection: sqlite3.Connection, view: int) -> tuple[Column, ...]:
    rows = connection.execute(
        "SELECT * FROM columns WHERE view = ? ORDER BY position, id", (view,)
    ).fetchall()
    return tuple(_column(row) for row in rows)


def _column(row: sqlite3.Row) -> Column:
    kind = cell_type(row["type"])
    if kind is None:
        raise sqlite3.DataError("a column of an unknown type")
    plain = (row["id"], row["field_name"], row["name"], kind, row["description"], row["position"])
    return Column(*plain, format=json.loads(row["format"]))
