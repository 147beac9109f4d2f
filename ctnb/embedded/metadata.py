"""The metadata API v1: a view's words, read and changed key by key."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, legacy, route
from .bodies import read_object
from .catalogue import View, again, all_readable, checked_document, readable, touch

_WORDS = (
    "name",
    "description",
    "category",
    "tags",
    "attribution",
    "attributionLink",
    "license",
    "resourceName",
)
_FLAGS = ("hideFromCatalog", "hideFromDataJson")
_READ_ONLY = (
    "id", "domain", "dataUri", "webUri", "createdAt", "updatedAt", "dataUpdatedAt", "metadataUpdatedAt", "provenance",
)  # fmt: skip
_WRITABLE = (*_WORDS, *_FLAGS, "licenseId", "customFields", "privateMetadata")
PAGE_VIEWS = 100


def several(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/metadata/v1: the first 100 views that the caller may read; `?limit=` and `?page=` for others."""
    limit, page = (
        call.option(name, default) for name, default in (("limit", str(PAGE_VIEWS)), ("page", "1"))
    )
    if not (limit + page).isdecimal() or not 0 < int(limit[:9]) <= 1000 or not int(page[:9]) > 0:
        raise legacy(400, "invalid_request", "limit is from 1 to 1000, page from 1", parameter="limit")
    first = int(limit) * (int(page) - 1)
    views = all_readable(connection, call.account)[first : first + int(limit)]
    return as_json([_described(call, view) for view in views])


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/metadata/v1/<view>."""
    return as_json(_described(call, readable(call, connection, names["view"])))


def change(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    PATCH /api/views/metadata/v1/<view>: the keys given are changed, custom fields one by one.

    With `?strict=true` an unknown or read-only key is refused, otherwise left out; `?validateOnly=true` writes nothing.
    """
    publisher(call)
    view = readable(call, connection, names["view"])
    body = read_object(call)
    other = sorted(key for key in body if key not in _WRITABLE)
    if other and call.option("strict") == "true":
        known = all(key in _READ_ONLY for key in other)
        message = (
            "The body names keys that are read-only" if known else "The body names keys that are not known"
        )
        raise legacy(400, "invalid_request", message, writable=list(_WRITABLE))
    given = {key: value for key, value in body.items() if key in _WRITABLE and key != "customFields"}
    document = {**view.document, **checked_document(given)}
    if "customFields" in body:
        metadata = view.document.get("metadata") or {}
        document["metadata"] = {**metadata, "custom_fields": _custom(metadata, body["customFields"])}
    if call.option("validateOnly") != "true":
        connection.execute("UPDATE views SET document = ? WHERE id = ?", (json.dumps(document), view.id))
        touch(connection, view, call.now)
        return as_json(_described(call, again(connection, view.uid)))
    return as_json(_described(call, view))


def _custom(metadata: dict[str, Any], given: object) -> dict[str, Any]:
    fields = dict(metadata.get("custom_fields") or {})
    if not isinstance(given, dict) or not all(
        value is None or isinstance(value, dict) for value in given.values()
    ):
        raise legacy(400, "invalid_request", "customFields is an object of objects", parameter="customFields")
    for group, values in given.items():
        merged = {**fields.get(group, {}), **(values or {})}
        fields[group] = {name: value for name, value in merged.items() if value is not None}
    return {group: values for group, values in fields.items() if values}


def _described(call: Call, view: View) -> dict[str, Any]:
    document = view.document
    words = {key: document.get(key) for key in (*_WORDS, "licenseId")}
    custom = (document.get("metadata") or {}).get("custom_fields") or {}
    private = call.account is not None and call.account.role == "publisher"
    secret = (
        {"privateMetadata": document["privateMetadata"]} if private and "privateMetadata" in document else {}
    )
    return {
        "id": view.uid,
        "domain": call.origin.partition("://")[2],
        **words,
        "name": view.name,
        "tags": document.get("tags") or [],
        **{key: bool(document.get(key)) for key in _FLAGS},
        "customFields": custom,
        **secret,
        "dataUri": f"{call.origin}/resource/{view.uid}",
        "webUri": f"{call.origin}/d/{view.uid}",
        "createdAt": _iso(view.created_at),
        "updatedAt": _iso(max(view.modified_at, view.rows_updated_at)),
        "dataUpdatedAt": _iso(view.rows_updated_at),
        "metadataUpdatedAt": _iso(view.modified_at),
        "provenance": "official",
    }


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


ROUTES = (
    route("GET", "/api/views/metadata/v1", several),
    route("GET", "/api/views/metadata/v1/{view}{json}", show),
    route("PATCH", "/api/views/metadata/v1/{view}{json}", change, writes=True),
)
