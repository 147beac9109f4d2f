"""Views and their columns: found, made, changed and described as the protocol shows them."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from .accounts import by_uid, describe
from .answers import Account, Call, legacy, not_permitted
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
    """One dataset."""

    id: int
    uid: str
    document: dict[str, Any]
    scope: str
    stage: str
    owner: str
    users: list[dict[str, Any]]
    created_at: float
    published_at: float | None
    modified_at: float
    rows_updated_at: float
    version: int
    next_sid: int
    columns: tuple[Column, ...]
    identifier: Column | None
    """The column that identifies a row, if one was named."""

    @property
    def table(self) -> str:
        """The name of the table that holds its rows."""
        return f"rows_{self.id}"

    @property
    def name(self) -> str:
        """Its title."""
        return str(self.document.get("name") or self.uid)

    @property
    def public(self) -> bool:
        """Whether anybody may read it."""
        return self.scope == "public" and self.stage == "published"

    def readable(self, account: Account | None) -> bool:
        """Whether `account` (None: anybody) may read it."""
        if self.public:
            return True
        if account is None:
            return False
        return account.role == "publisher" or any(user.get("id") == account.uid for user in self.users)

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


def readable(call: Call, connection: sqlite3.Connection, name: str, *, missing: str = "not_found") -> View:
    """The view `name`. Raises Refused: 404 with the code `missing`, 403 when the caller may not read it."""
    view = find(connection, name)
    if view is None:
        raise legacy(404, missing, "Not found", id=name)
    if not view.readable(call.account):
        raise not_permitted()
    return view


def all_readable(connection: sqlite3.Connection, account: Account | None) -> list[View]:
    """Every view that `account` may read, the newest data first."""
    rows = connection.execute("SELECT * FROM views ORDER BY rows_updated_at DESC, id DESC").fetchall()
    return [view for view in (_view(connection, row) for row in rows) if view.readable(account)]


def count_rows(connection: sqlite3.Connection, view: View) -> int:
    """How many rows a view has."""
    return int(connection.execute(f"SELECT count(*) FROM {view.table}").fetchone()[0])


def touch(connection: sqlite3.Connection, view: View, now: float, *, rows: bool = False) -> None:
    """Note that a view, or its rows, changed at `now`."""
    changed = "rows_updated_at" if rows else "modified_at"
    statement = f"UPDATE views SET {changed} = ?, version = version + 1 WHERE id = ?"
    connection.execute(statement, (now, view.id))


def add_view(connection: sqlite3.Connection, document: dict[str, Any], account: Account, now: float) -> View:
    """A new view of `account`, private and unpublished, without columns."""
    uid = new_view_id()
    while find(connection, uid) is not None:
        uid = new_view_id()
    row = (uid, json.dumps(document), "private", "unpublished", account.uid, "[]", None, now, None, now, now)
    marks = ", ".join("?" * (len(row) + 2))
    view_id = connection.execute(f"INSERT INTO views VALUES (NULL, {marks})", (*row, 1, 1)).lastrowid
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


def describe_column(column: Column) -> dict[str, Any]:
    """A column as /api/views shows it, without the vendor's `cachedContents`: those are cells of the data."""
    return {
        "id": column.id,
        "name": column.name,
        "dataTypeName": column.kind.name,
        "description": column.description,
        "fieldName": column.field_name,
        "position": column.position,
        "renderTypeName": column.kind.name,
        "tableColumnId": column.id,
        "format": column.format,
    }


def describe_view(connection: sqlite3.Connection, view: View, account: Account | None) -> dict[str, Any]:
    """A view as /api/views shows it to `account`. Times are whole seconds since 1970."""
    document = {key: value for key, value in view.document.items() if key != "privateMetadata"}
    if account is not None and account.role == "publisher" and "privateMetadata" in view.document:
        document["privateMetadata"] = view.document["privateMetadata"]
    return {
        "id": view.uid,
        "name": view.name,
        "assetType": "dataset",
        "description": "",
        "displayType": "table",
        "tags": [],
        **document,
        **_state(view),
        **_identifier(view),
        "columns": [describe_column(column) for column in view.columns],
        "owner": by_uid(connection, view.owner),
        "tableAuthor": by_uid(connection, view.owner),
        "permissions": {"scope": view.scope},
        "grants": [{"inherited": False, "type": "viewer", "flags": ["public"]}] if view.public else [],
        "rights": _rights(account),
        "flags": ["default"],
        "approvals": [],
    }


def describe_permissions(view: View) -> dict[str, Any]:
    """Who may read a view, as the permissions API shows it."""
    return {"scope": view.scope, "users": view.users}


def _state(view: View) -> dict[str, Any]:
    times = {
        "createdAt": int(view.created_at),
        "rowsUpdatedAt": int(view.rows_updated_at),
        "rowsUpdatedBy": view.owner,
        "viewLastModified": int(view.modified_at),
    }
    published = {} if view.published_at is None else {"publicationDate": int(view.published_at)}
    flags = {"newBackend": True, "locked": False, "publicationAppendEnabled": False, "provenance": "official"}
    counts = {"downloadCount": 0, "viewCount": 0, "numberOfComments": 0, "averageRating": 0}
    ids = {"oid": view.id, "tableId": view.id, "publicationGroup": view.id}
    stage = {"publicationStage": view.stage, "viewType": "tabular"}
    return {**times, **published, **flags, **counts, **ids, **stage}


def _identifier(view: View) -> dict[str, Any]:
    metadata = {"availableDisplayTypes": ["table", "fatrow", "page"], **view.document.get("metadata", {})}
    metadata.pop("rowIdentifier", None)
    if view.identifier is None:
        return {"metadata": metadata}
    identifier = view.identifier.id
    return {"rowIdentifierColumnId": identifier, "metadata": {**metadata, "rowIdentifier": identifier}}


def _rights(account: Account | None) -> list[str]:
    if account is None or account.role != "publisher":
        return ["read"]
    changes = ["write", "add", "delete", "grant", "add_column", "update_column", "update_view", "delete_view"]
    return ["read", *changes]


def _view(connection: sqlite3.Connection, row: sqlite3.Row) -> View:
    columns = _columns(connection, row["id"])
    identifier = next((column for column in columns if column.id == row["row_identifier"]), None)
    plain = ("id", "uid", "scope", "stage", "owner", "created_at", "published_at", "modified_at")
    counters = ("rows_updated_at", "version", "next_sid")
    return View(
        **{key: row[key] for key in (*plain, *counters)},
        document=json.loads(row["document"]),
        users=json.loads(row["users"]),
        columns=columns,
        identifier=identifier,
    )


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


def current_user(call: Call) -> dict[str, object]:
    """The caller, for /api/users/current.json. Raises Refused (404) for an anonymous one."""
    if call.account is None:
        raise legacy(404, "not_found", "Not found")
    return {**describe(call.account), "roleName": call.account.role}
