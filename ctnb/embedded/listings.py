"""What the portal has: the discovery API, /api/catalog/v1. Public views, and for an account what it may read."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from collections.abc import Callable
from typing import Any

from .accounts import by_uid
from .answers import Account, Answer, Call, Names, as_json, modern, route
from .catalogue import View, all_readable
from .describing import asset_type

PAGE_VIEWS = 100
_TYPES = {
    "url": "URL", "multipoint": "MultiPoint", "multiline": "MultiLine", "multipolygon": "MultiPolygon",
    "calendar_date": "Calendar date",
}  # fmt: skip
"""The discovery API's words for types; of the others, the first letter is a capital."""

_SEVERAL: dict[str, Callable[[View, list[str]], bool]] = {
    "ids": lambda view, wanted: view.uid in wanted,
    "names": lambda view, wanted: view.name.lower() in wanted,
    "categories": lambda view, wanted: str(view.document.get("category") or "").lower() in wanted,
    "tags": lambda view, wanted: any(str(tag).lower() in wanted for tag in view.document.get("tags") or []),
    "only": lambda view, wanted: asset_type(view) in [word.removesuffix("s") for word in wanted],
    "column_names": lambda view, wanted: not {*wanted} - {name.lower() for name in _column_names(view)},
    "shared_to": lambda view, wanted: any(user.get("id") in wanted for user in view.users),
}
"""Parameters that may come several times, or once with commas; values in lower case."""

_SINGLE: dict[str, Callable[[View], object]] = {
    "attribution": lambda view: view.document.get("attribution"),
    "license": lambda view: view.document.get("license"),
    "provenance": lambda view: "official",
    "derived_from": lambda view: None if view.parent is None else view.parent.uid,
    "for_user": lambda view: view.owner,
    "visibility": lambda view: "open" if view.public else "internal",
    "approval_status": lambda view: "approved" if view.stage == "published" else "not_ready",
    "public": lambda view: view.public,
    "published": lambda view: view.stage == "published",
    "derived": lambda view: view.parent is not None,
    "explicitly_hidden": lambda view: bool(view.document.get("hideFromCatalog")),
}
_OTHER = (
    "domains", "q", "min_should_match", "order", "limit", "offset", "search_context", "$$app_token",
    "approximate",
)  # fmt: skip
_ORDERS: dict[str, Callable[[View], Any]] = {
    "relevance": lambda view: 0,
    "name": lambda view: view.name.casefold(),
    "dataset_id": lambda view: view.uid,
    "owner": lambda view: view.owner,
    "datatype": asset_type,
    "domain_category": lambda view: str(view.document.get("category") or "").casefold(),
    "createdAt": lambda view: view.created_at,
    "updatedAt": lambda view: _updated(view),
    "page_views_total": lambda view: 0,
    "page_views_last_month": lambda view: 0,
    "page_views_last_week": lambda view: 0,
}


def catalog(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    GET /api/catalog/v1: the views that the caller may read and that every parameter leaves, `limit` from `offset`.

    Parameters are those of the vendor's discovery API; any other name is a custom field, `Group_Field` with hyphens
    for blanks. Raises Refused (400) for an order, a truth value or a number that is none.
    """
    views = [view for view in listed(connection, call.account) if _wanted(call, view)]
    views = _ordered(search(views, call.option("q"), _least(call)), call.option("order"))
    limit, offset = _number(call, "limit", PAGE_VIEWS), _number(call, "offset", 0)
    results = [_result(call, connection, view) for view in views[offset : offset + limit]]
    timings = {"serviceMillis": 0, "searchMillis": [0]}
    return as_json({"results": results, "resultSetSize": len(views), "timings": timings})


def listed(connection: sqlite3.Connection, account: Account | None) -> list[View]:
    """The views a catalogue shows to `account`, the newest data first."""
    views = all_readable(connection, account)
    return [view for view in views if account is not None or not view.document.get("hideFromCatalog")]


def search(views: list[View], words: str, least: int | None = None) -> list[View]:
    """The views whose title, description, category, tags or columns hold every word, or at least `least` of them."""
    wanted = words.lower().split()
    needed = len(wanted) if least is None else min(least, len(wanted))
    return [view for view in views if sum(word in _words(view) for word in wanted) >= needed]


def _wanted(call: Call, view: View) -> bool:
    given: dict[str, list[str]] = {}
    for name, value in call.query:
        given.setdefault(name, []).extend(
            value.split(",") if name in _SEVERAL or name == "domains" else [value]
        )
    if not _here(call, given.get("domains", [])):
        return False
    for name, values in given.items():
        if name in _SEVERAL:
            if not _SEVERAL[name](view, [value.strip().lower() for value in values]):
                return False
        elif name in _SINGLE:
            if not all(_same(name, _SINGLE[name](view), value) for value in values):
                return False
        elif name not in _OTHER and not name.startswith("boost") and not {*values} & _custom(view, name):
            return False
    return True


def _here(call: Call, domains: list[str]) -> bool:
    """Whether one of the domains is this portal, by the name it was called by, with or without the port."""
    own = call.origin.partition("://")[2].lower()
    names = (own, own.rpartition(":")[0] or own)
    return not domains or any(domain.strip().lower() in names for domain in domains)


def _same(name: str, own: object, wanted: str) -> bool:
    if isinstance(own, bool):
        if wanted.lower() not in ("true", "false"):
            raise modern(400, "req.bad-parameter", f"{name} is true or false", parameter=name)
        return own == (wanted.lower() == "true")
    return str(own or "").lower() == wanted.lower()


def _custom(view: View, name: str) -> set[str]:
    """The values of the custom field that a parameter called `name` means."""
    groups = (view.document.get("metadata") or {}).get("custom_fields") or {}
    return {
        str(value)
        for group, fields in groups.items()
        if isinstance(fields, dict)
        for field, value in fields.items()
        if f"{group}_{field}".replace(" ", "-").lower() == name.lower()
    }


def _least(call: Call) -> int | None:
    """How many words of q have to be there: a number, or a share of them."""
    text, words = call.option("min_should_match"), len(call.option("q").split())
    if not text:
        return None
    if not re.fullmatch(r"\d{1,3}%?", text, re.ASCII):
        message = "min_should_match is a number of words, or a percentage of them"
        raise modern(400, "req.bad-parameter", message, parameter="min_should_match")
    return int(text[:-1]) * words // 100 if text.endswith("%") else int(text)


def _ordered(views: list[View], order: str) -> list[View]:
    name, _, way = order.strip().partition(" ")
    key = _ORDERS.get(name or "relevance")
    if key is None or way.upper() not in ("", "ASC", "DESC"):
        known = ", ".join(_ORDERS)
        raise modern(
            400, "req.bad-parameter", f"order is one of {known}, with ASC or DESC", parameter="order"
        )
    return sorted(views, key=key, reverse=way.upper() == "DESC")


def _words(view: View) -> str:
    parts = [view.uid, view.name, str(view.document.get("description") or "")]
    parts += [str(view.document.get("category") or ""), *map(str, view.document.get("tags") or [])]
    return " ".join(parts + [column.name for column in view.columns]).lower()


def _column_names(view: View) -> list[str]:
    return [name for column in view.columns for name in (column.name, column.field_name)]


def _result(call: Call, connection: sqlite3.Connection, view: View) -> dict[str, Any]:
    owner = by_uid(connection, view.owner)
    person = {"id": owner.get("id"), "user_type": "interactive", "display_name": owner.get("displayName")}
    classification = {
        "categories": [],
        "tags": [],
        "domain_category": view.document.get("category"),
        "domain_tags": view.document.get("tags") or [],
        "domain_metadata": _domain_metadata(view),
    }
    metadata: dict[str, Any] = {"domain": call.origin.partition("://")[2]}
    if view.document.get("license"):
        metadata["license"] = view.document["license"]
    return {
        "resource": _resource(view),
        "classification": classification,
        "metadata": metadata,
        "permalink": f"{call.origin}/d/{view.uid}",
        "link": f"{call.origin}/d/{view.uid}",
        "owner": person,
        "creator": person,
    }


def _domain_metadata(view: View) -> list[dict[str, str]]:
    groups = (view.document.get("metadata") or {}).get("custom_fields") or {}
    return [
        {"key": f"{group}_{field}".replace(" ", "-"), "value": str(value)}
        for group, fields in groups.items()
        if isinstance(fields, dict)
        for field, value in fields.items()
    ]


def _resource(view: View) -> dict[str, Any]:
    document, blob = view.document, view.document.get("_blob")
    return {
        "name": view.name,
        "id": view.uid,
        "resource_name": document.get("resourceName"),
        "parent_fxf": [] if view.parent is None else [view.parent.uid],
        "description": document.get("description") or "",
        "attribution": document.get("attribution"),
        "attribution_link": document.get("attributionLink"),
        "contact_email": None,
        "type": asset_type(view),
        "createdAt": iso(view.created_at),
        "updatedAt": iso(_updated(view)),
        "data_updated_at": iso(view.rows_updated_at),
        "metadata_updated_at": iso(view.modified_at),
        "publication_date": None if view.published_at is None else iso(view.published_at),
        "page_views": {"page_views_last_week": 0, "page_views_last_month": 0, "page_views_total": 0},
        "columns_name": [column.name for column in view.columns],
        "columns_field_name": [column.field_name for column in view.columns],
        "columns_datatype": [
            _TYPES.get(column.kind.name, column.kind.name.title()) for column in view.columns
        ],
        "columns_description": [column.description for column in view.columns],
        "columns_format": [column.format for column in view.columns],
        "download_count": 0,
        "provenance": "official",
        "lens_view_type": "blobby" if blob else "tabular",
        "lens_display_type": "blob" if blob else "table",
        "locked": False,
        "blob_mime_type": blob["content_type"] if blob else None,
        "hide_from_data_json": bool(document.get("hideFromDataJson")),
    }


def _updated(view: View) -> float:
    return max(view.rows_updated_at, view.modified_at)


def iso(seconds: float) -> str:
    """A moment as the discovery API writes it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _number(call: Call, name: str, default: int) -> int:
    text = call.option(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise modern(400, "req.bad-parameter", f"{name} is a whole number", parameter=name)
    return int(text)


ROUTES = (route("GET", "/api/catalog/v1{json}", catalog),)
