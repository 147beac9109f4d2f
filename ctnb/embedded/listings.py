"""What the portal has: /api/catalog/v1 and /data.json. Public views, and for an account what it may read."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from typing import Any

from .accounts import by_uid
from .answers import Account, Answer, Call, Names, as_json, modern, route
from .catalogue import View, all_readable


def catalog(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/catalog/v1: the discovery API, with q, ids, names, limit and offset."""
    views = search(listed(connection, call.account), call.option("q"))
    ids = [part for name, value in call.query if name == "ids" for part in value.split(",")]
    views = [view for view in views if not ids or view.uid in ids]
    limit, offset = _number(call, "limit", 100), _number(call, "offset", 0)
    page = views[offset : offset + limit]
    results = [_result(call, connection, view) for view in page]
    body = {
        "results": results,
        "resultSetSize": len(views),
        "timings": {"serviceMillis": 0, "searchMillis": [0]},
    }
    return as_json(body)


def data_json(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /data.json: the public views in Project Open Data 1.1."""
    schema = "https://project-open-data.cio.gov/v1.1/schema"
    views = [view for view in listed(connection, None) if not view.document.get("hideFromDataJson")]
    return as_json(
        {
            "@context": f"{schema}/catalog.jsonld",
            "@id": f"{call.origin}/data.json",
            "@type": "dcat:Catalog",
            "conformsTo": schema,
            "describedBy": f"{schema}/catalog.json",
            "dataset": [_dcat(call, view) for view in views],
        }
    )


def listed(connection: sqlite3.Connection, account: Account | None) -> list[View]:
    """The views a catalogue shows to `account`, the newest data first."""
    views = all_readable(connection, account)
    return [view for view in views if account is not None or not view.document.get("hideFromCatalog")]


def search(views: list[View], words: str) -> list[View]:
    """The views whose title, description, category, tags or columns hold every word."""
    wanted = words.lower().split()
    return [view for view in views if all(word in _words(view) for word in wanted)]


def _words(view: View) -> str:
    parts = [view.uid, view.name, str(view.document.get("description") or "")]
    parts += [str(view.document.get("category") or ""), *map(str, view.document.get("tags") or [])]
    return " ".join(parts + [column.name for column in view.columns]).lower()


def _result(call: Call, connection: sqlite3.Connection, view: View) -> dict[str, Any]:
    owner = by_uid(connection, view.owner)
    person = {"id": owner.get("id"), "user_type": "interactive", "display_name": owner.get("displayName")}
    category = view.document.get("category")
    return {
        "resource": _resource(view),
        "classification": {
            "categories": [],
            "tags": [],
            "domain_category": category,
            "domain_tags": view.document.get("tags") or [],
            "domain_metadata": [],
        },
        "metadata": {"domain": call.origin.partition("://")[2]},
        "permalink": f"{call.origin}/d/{view.uid}",
        "link": f"{call.origin}/d/{view.uid}",
        "owner": person,
        "creator": person,
    }


def _resource(view: View) -> dict[str, Any]:
    return {
        "name": view.name,
        "id": view.uid,
        "resource_name": view.document.get("resourceName"),
        "parent_fxf": [],
        "description": view.document.get("description") or "",
        "attribution": view.document.get("attribution"),
        "attribution_link": view.document.get("attributionLink"),
        "type": "dataset",
        "createdAt": _iso(view.created_at),
        "updatedAt": _iso(max(view.rows_updated_at, view.modified_at)),
        "data_updated_at": _iso(view.rows_updated_at),
        "metadata_updated_at": _iso(view.modified_at),
        "publication_date": None if view.published_at is None else _iso(view.published_at),
        "columns_name": [column.name for column in view.columns],
        "columns_field_name": [column.field_name for column in view.columns],
        "columns_datatype": [column.kind.name for column in view.columns],
        "columns_description": [column.description for column in view.columns],
        "columns_format": [column.format for column in view.columns],
        "download_count": 0,
        "provenance": "official",
    }


def _dcat(call: Call, view: View) -> dict[str, Any]:
    address = f"{call.origin}/api/views/{view.uid}"
    distributions = [("text/csv", f"{address}/rows.csv?accessType=DOWNLOAD")]
    distributions.append(("application/json", f"{call.origin}/resource/{view.uid}.json"))
    return {
        "@type": "dcat:Dataset",
        "accessLevel": "public",
        "identifier": address,
        "landingPage": f"{call.origin}/d/{view.uid}",
        "title": view.name,
        "description": view.document.get("description") or "",
        "issued": _iso(view.created_at)[:10],
        "modified": _iso(view.rows_updated_at)[:10],
        "keyword": view.document.get("tags") or [],
        "theme": [view.document["category"]] if view.document.get("category") else [],
        "publisher": {"@type": "org:Organization", "name": view.document.get("attribution") or ""},
        "contactPoint": {"@type": "vcard:Contact", "fn": view.document.get("attribution") or ""},
        "license": view.document.get("license") or "",
        "distribution": [
            {"@type": "dcat:Distribution", "mediaType": media, "downloadURL": url}
            for media, url in distributions
        ],
    }


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _number(call: Call, name: str, default: int) -> int:
    text = call.option(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise modern(400, "req.bad-parameter", f"{name} is a whole number", parameter=name)
    return int(text)


ROUTES = (
    route("GET", "/api/catalog/v1", catalog),
    route("GET", "/data.json", data_json),
)
