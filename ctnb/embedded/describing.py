"""A view, its columns, who may read it, and the caller: as the views API shows them."""

from __future__ import annotations

import sqlite3
from typing import Any

from .accounts import by_uid, describe
from .answers import Account, Call, legacy
from .catalogue import Column, View


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
    document = {
        key: value for key, value in view.document.items() if key != "privateMetadata" and key[0] != "_"
    }
    if account is not None and account.role == "publisher" and "privateMetadata" in view.document:
        document["privateMetadata"] = view.document["privateMetadata"]
    return {
        "id": view.uid,
        "name": view.name,
        "assetType": asset_type(view),
        "averageRating": 0,
        "description": "",
        "displayType": "table",
        "hideFromCatalog": False,
        "hideFromDataJson": False,
        "locale": "en_US",
        "rowClass": "",
        "tags": [],
        "clientContext": {"clientContextVariables": [], "inheritedVariables": {}},
        **document,
        **_state(view),
        **_identifier(view),
        **_blob(view),
        "columns": [describe_column(column) for column in view.columns],
        "owner": by_uid(connection, view.owner),
        "tableAuthor": by_uid(connection, view.base.owner),
        "permissions": {"scope": view.scope},
        "grants": _grants(connection, view, account),
        "query": _query(view),
        "rights": _rights(account),
        "flags": ["default"] if view.parent is None else [],
        "approvals": [],
    }


def asset_type(view: View) -> str:
    """What the vendor calls this kind of view: dataset, filter or file."""
    if view.parent is not None:
        return "filter"
    return "file" if "_blob" in view.document else "dataset"


def describe_permissions(view: View) -> dict[str, Any]:
    """Who may read a view, as the permissions API shows it."""
    return {"scope": view.scope, "users": view.users}


def current_user(call: Call) -> dict[str, object]:
    """The caller, for /api/users/current.json. Raises Refused (404) for an anonymous one."""
    if call.account is None:
        raise legacy(404, "not_found", "Not found")
    mail = {"email": call.account.mail} if call.account.mail else {}
    return {**describe(call.account), **mail, "roleName": call.account.role, "rights": _rights(call.account)}


def _grants(connection: sqlite3.Connection, view: View, account: Account | None) -> list[dict[str, Any]]:
    """
    The public grant as the vendor prints it; below it, for publishers, one for each reader the view was given to.

    The vendor's shape of a reader's grant is not documented: `userId` and `userEmail` are this portal's choice.
    """
    public = [{"inherited": False, "type": "viewer", "flags": ["public"]}] if view.public else []
    if account is None or account.role != "publisher":
        return public
    given = []
    for user in view.users:
        grant: dict[str, Any] = {"inherited": False, "type": "viewer"}
        mail = user.get("email")
        if "id" in user:
            grant["userId"] = user["id"]
            query = "SELECT mail FROM logins JOIN accounts USING (key_id) WHERE uid = ?"
            row = connection.execute(query, (user["id"],)).fetchone()
            mail = row[0] if row else None
        given.append({**grant, **({"userEmail": mail} if mail else {})})
    return public + given


def _state(view: View) -> dict[str, Any]:
    times = {
        "createdAt": int(view.created_at),
        "rowsUpdatedAt": int(view.rows_updated_at),
        "rowsUpdatedBy": view.base.owner,
        "viewLastModified": int(view.modified_at),
    }
    published = {} if view.published_at is None else {"publicationDate": int(view.published_at)}
    flags = {"newBackend": True, "locked": False, "diciBackend": False, "provenance": "official"}
    counts = {"downloadCount": 0, "viewCount": 0, "numberOfComments": 0, "totalTimesRated": 0}
    group = view.document.get("_group", view.base.id)
    ids = {"oid": view.id, "tableId": view.base.id, "publicationGroup": group}
    stage = {"publicationStage": view.stage, "publicationAppendEnabled": False, "viewType": "tabular"}
    return {**times, **published, **flags, **counts, **ids, **stage}


def _identifier(view: View) -> dict[str, Any]:
    metadata = {"availableDisplayTypes": ["table", "fatrow", "page"], **(view.document.get("metadata") or {})}
    metadata.pop("rowIdentifier", None)
    if view.identifier is None:
        return {"metadata": metadata}
    identifier = view.identifier.id
    return {"rowIdentifierColumnId": identifier, "metadata": {**metadata, "rowIdentifier": identifier}}


def _blob(view: View) -> dict[str, Any]:
    """What a dataset says that is a file."""
    blob = view.document.get("_blob")
    if blob is None:
        return {}
    names = {
        "blobId": "id",
        "blobFilename": "filename",
        "blobFileSize": "size",
        "blobMimeType": "content_type",
    }
    described = {shown: blob[own] for shown, own in names.items()}
    return {"viewType": "blobby", "displayType": "blob", **described}


def _query(view: View) -> dict[str, Any]:
    return dict(view.document.get("_query") or {})


def _rights(account: Account | None) -> list[str]:
    if account is None or account.role != "publisher":
        return ["read"]
    changes = ["write", "add", "delete", "grant", "add_column", "update_column", "update_view", "delete_view"]
    return ["read", *changes]
