"""The configs of DSMAPI ("Automate This"): how the files of a dataset are parsed and made into columns."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, route
from .drafts import BASE, config_links, load, missing, refused, stamp
from .uploads import PARSE_OPTIONS, read_object, read_options

NAME_LIMIT = 200
_ACTIONS = ("update", "replace", "delete")
_COLUMN: dict[str, Any] = {"format": {}, "description": "", "is_primary_key": None, "flags": []}


def create(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /config."""
    publisher(call)
    return as_json(_made(call, connection, read_object(call)), 201)


def build(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /config/build_from/<output>: a config that does again what this output schema did."""
    publisher(call)
    output = load(connection, "output_schemas", names["output"])
    schema = load(connection, "input_schemas", output.parent or 0)
    source = load(connection, "sources", schema.parent or 0)
    kept = ("field_name", "display_name", "format", "description", "is_primary_key", "flags")
    columns = [
        {
            **{key: column[key] for key in kept},
            "description": column["description"] or "",
            "transform_expr": column["transform"]["transform_expr"],
        }
        for column in output.document["output_columns"]
    ]
    wanted = {"parse_options": source.document["parse_options"], "columns": columns}
    return as_json(_made(call, connection, {**read_object(call), **wanted}), 201)


def listed(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /config."""
    publisher(call)
    rows = connection.execute("SELECT * FROM configs ORDER BY name").fetchall()
    return as_json([_describe(row["name"], json.loads(row["document"])) for row in rows])


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /config/<name>."""
    publisher(call)
    return as_json(_describe(names["config"], find_config(connection, names["config"])))


def update(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PATCH /config/<name>: what is named changes."""
    publisher(call)
    known = find_config(connection, names["config"])
    changed = {**known, **_checked(read_object(call), known), "updated_at": stamp(call.now)}
    text = json.dumps(changed, ensure_ascii=False)
    connection.execute("UPDATE configs SET document = ? WHERE name = ?", (text, names["config"]))
    return as_json(_describe(names["config"], changed))


def delete(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /config/<name>."""
    publisher(call)
    known = find_config(connection, names["config"])
    connection.execute("DELETE FROM configs WHERE name = ?", (names["config"],))
    return as_json(_describe(names["config"], known), 201)


def find_config(connection: sqlite3.Connection, name: str) -> dict[str, Any]:
    """The document of the config `name`. Raises Refused (404)."""
    row = connection.execute("SELECT document FROM configs WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise missing("configs")
    return dict(json.loads(row[0]))


def _made(call: Call, connection: sqlite3.Connection, body: dict[str, Any]) -> dict[str, Any]:
    name = str(body.get("name") or "").strip()
    if not name or len(name) > NAME_LIMIT or "/" in name:
        raise refused(400, "invalid_config", f"A config's name has 1 to {NAME_LIMIT} letters and no slash")
    if body.get("data_action") not in _ACTIONS:
        raise refused(400, "invalid_config", "data_action is update, replace or delete")
    if connection.execute("SELECT 1 FROM configs WHERE name = ?", (name,)).fetchone():
        raise refused(409, "config_exists", "There is a config of that name")
    now = stamp(call.now)
    known = {"parse_options": dict(PARSE_OPTIONS), "columns": None, "created_at": now, "updated_at": now}
    document = {**known, **_checked(body, known)}
    text = json.dumps(document, ensure_ascii=False)
    connection.execute("INSERT INTO configs VALUES (?, ?)", (name, text))
    return _describe(name, document)


def _checked(body: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """What a body says of a config, whole. Raises Refused (400)."""
    checked: dict[str, Any] = {}
    if "data_action" in body:
        if body["data_action"] not in _ACTIONS:
            raise refused(400, "invalid_config", "data_action is update, replace or delete")
        checked["data_action"] = body["data_action"]
    if body.get("parse_options") is not None:
        checked["parse_options"] = read_options(body["parse_options"], known["parse_options"])
    if body.get("columns") is not None:
        columns = body["columns"]
        if not isinstance(columns, list) or not all(isinstance(one, dict) for one in columns):
            raise refused(400, "invalid_config", "columns is a list of objects")
        names = ("field_name", "display_name", "transform_expr", *_COLUMN)
        checked["columns"] = [
            {key: value for key, value in {**_COLUMN, **column}.items() if key in names} for column in columns
        ]
    return checked


def _describe(name: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"resource": {"name": name, **document}, "links": config_links(name)}


ROUTES = (
    route("POST", f"{BASE}/config", create, writes=True),
    route("GET", f"{BASE}/config", listed),
    route("POST", f"{BASE}/config/build_from/{{output}}", build, writes=True),
    route("GET", f"{BASE}/config/{{config}}", show),
    route("PATCH", f"{BASE}/config/{{config}}", update, writes=True),
    route("DELETE", f"{BASE}/config/{{config}}", delete, writes=True),
)
