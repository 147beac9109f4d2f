"""The revisions of DSMAPI: opened, described, planned, discarded, restored; and the files attached to them."""

from __future__ import annotations

import sqlite3
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, route
from .applying import attachments_of, merged
from .assets import keep_file
from .bodies import read_file
from .catalogue import WRITABLE, View, add_view, checked_document, readable, touch
from .drafts import (
    BASE,
    Draft,
    add,
    author,
    check_output,
    children,
    keep,
    refused,
    revision_links,
    revision_of,
    stamp,
    still_open,
    view_by_number,
    view_of,
)
from .jobs import running
from .preparing import parse_source
from .uploads import PARSE_OPTIONS, read_object, workshop_of

ACTIONS = ("update", "replace", "delete")
_PLAN = ("prepare_draft_for_import", "set_schema", "apply_metadata", "upsert_task", "set_display_type",
         "publish", "wait_for_replication")  # fmt: skip


def create_with_view(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /revision: a new dataset, private and unpublished, and its first revision."""
    account = publisher(call)
    body = read_object(call)
    metadata = _metadata(body)
    named = {"name": "Untitled dataset", **metadata}
    view = add_view(connection, named, account, call.now)
    return as_json(describe(connection, _opened(call, connection, view, body)), 201)


def create(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /revision/<view>: a revision of a dataset; with `config` as that config says."""
    publisher(call)
    view = view_of(connection, names["view"])
    if view.parent is not None:
        raise refused(400, "invalid_view", "A filtered view has no rows of its own; revise its dataset")
    return as_json(describe(connection, _opened(call, connection, view, read_object(call))), 201)


def of_view(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /revision/<view>; `?open=true` for those that are not closed."""
    publisher(call)
    found = children(connection, "revisions", view_of(connection, names["view"]).id)
    wanted = [one for one in found if call.option("open") != "true" or not one.document["closed_at"]]
    return as_json([describe(connection, revision) for revision in wanted])


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /revision/<view>/<seq>."""
    publisher(call)
    return as_json(describe(connection, _named(connection, names)))


def update(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT or PATCH /revision/<view>/<seq>: metadata is merged; notes, output schema and action are set."""
    publisher(call)
    revision, body = still_open(_named(connection, names)), read_object(call)
    changes: dict[str, Any] = {}
    if "metadata" in body:
        metadata = _metadata(body)
        changes["metadata"] = merged(revision.document["metadata"], metadata)
        changes["_metadata"] = merged(revision.document["_metadata"], metadata)
    if "notes" in body:
        changes["notes"] = None if body["notes"] is None else str(body["notes"])[:100_000]
    if "output_schema_id" in body:
        chosen = body["output_schema_id"]
        if chosen is not None:
            check_output(connection, revision, chosen)
        changes |= {"output_schema_id": chosen, "_chosen": chosen is not None}
    if "attachments" in body:
        changes |= {"attachments": _attachments(connection, body["attachments"]), "_attached": True}
    if "action" in body:
        changes["action"] = _action(body["action"], revision.document["action"])
    return as_json(describe(connection, keep(connection, "revisions", revision, **changes)), 202)


def discard(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /revision/<view>/<seq>: closed without being applied, its uploads deleted. Twice is once."""
    publisher(call)
    revision = _named(connection, names)
    if not revision.document["closed_at"]:
        if running(connection, revision) is not None:
            raise refused(409, "revision_applying", "The revision is being applied")
        revision = keep(connection, "revisions", revision, closed_at=stamp(call.now), _discarded=True)
        for source in children(connection, "sources", revision.id):
            workshop_of(call).forget(source.id)
    return as_json(describe(connection, revision), 201)


def attach_file(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    POST /revision/<view>/<seq>/attachment: a file, named by X-File-Name, of the type of Content-Type.

    It belongs to the dataset once the revision's `attachments` name it as `asset_id` and the revision is applied.
    """
    publisher(call)
    still_open(_named(connection, names))
    file = read_file(call)
    return as_json({"filename": file.name, "file_id": keep_file(connection, file, call.now)}, 201)


def plan(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /revision/<view>/<seq>/plan: the steps that applying it takes."""
    publisher(call)
    revision = _named(connection, names)
    data = revision.document["output_schema_id"] is not None
    steps = [step for step in _PLAN if data or step not in ("set_schema", "upsert_task")]
    permission = revision.document["action"].get("permission")
    listed: list[dict[str, Any]] = [{"type": step} for step in steps]
    if permission:
        listed.insert(-1, {"type": "set_permission", "permission": permission})
    return as_json({"resource": listed, "links": {}})


def restore(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /revision/<view>/<seq>/restore: a new revision whose rows are those that this one left."""
    publisher(call)
    view = view_of(connection, names["view"])
    earlier = _named(connection, names)
    archive = earlier.document.get("_archive")
    if archive is None:
        message = "The dataset was not enrolled in archiving when this revision was applied"
        raise refused(400, "not_archived", message)
    body = {"metadata": earlier.document["metadata"], "action": {"type": "replace"}}
    revision = _opened(call, connection, view, body)
    revision = keep(connection, "revisions", revision, metadata=earlier.document["metadata"])
    document: dict[str, Any] = {
        "source_type": {"type": "view", "fourfour": view.uid, "loaded": False},
        "parse_options": PARSE_OPTIONS,
        "content_type": None,
        "created_at": stamp(call.now),
        "created_by": author(call),
        **dict.fromkeys(("finished_at", "failed_at", "failure_details", "filesize", "export_filename")),
        "blob": None,
        "locale": None,
        "is_delete": False,
        "_committed": True,
        "_archive": archive,
    }
    source = add(connection, "sources", revision.id, document)
    workshop_of(call).later(parse_source, source.id)
    return as_json(describe(connection, revision), 201)


def enroll(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/archival?method=enroll&id=<view>: keep the rows that each revision leaves."""
    publisher(call)
    if call.option("method") != "enroll":
        raise refused(400, "invalid_request", "The method is enroll")
    view = view_of(connection, call.option("id"))
    connection.execute("INSERT OR IGNORE INTO archives VALUES (?)", (view.id,))
    touch(connection, view, call.now)
    return as_json({})


def replication(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/replication.json: nothing lags behind here."""
    view = readable(call, connection, names["view"])
    query = "SELECT 1 FROM archives WHERE view = ?"
    enrolled = connection.execute(query, (view.id,)).fetchone() is not None
    secondary = [{"name": "archival", "version": view.version}] if enrolled else []
    return as_json({"truth_data_version": view.version, "secondary_versions": secondary})


def describe(connection: sqlite3.Connection, revision: Draft) -> dict[str, Any]:
    """A revision with its jobs and links."""
    view = view_by_number(connection, revision.parent or 0)
    uid, seq = (view.uid if view else ""), revision.document["revision_seq"]
    jobs = [job.shown() for job in children(connection, "jobs", revision.id)]
    shown = {**revision.shown(), "fourfour": uid, "task_sets": jobs}
    return {"resource": shown, "links": revision_links(uid, seq)}


def _opened(call: Call, connection: sqlite3.Connection, view: View, body: dict[str, Any]) -> Draft:
    config = _config(connection, body.get("config") or call.option("config"))
    metadata = _metadata(body)
    action = _action({"type": config["data_action"]} if config else body.get("action"), {})
    known = {key: value for key, value in view.document.items() if key in WRITABLE}
    count = "SELECT coalesce(max(document ->> '$.revision_seq') + 1, 0) FROM revisions WHERE parent = ?"
    document: dict[str, Any] = {
        "domain_id": 1,
        "revision_seq": int(connection.execute(count, (view.id,)).fetchone()[0]),
        "metadata": merged(known, metadata),
        "action": action,
        "output_schema_id": None,
        "blob_id": None,
        "href": [],
        "attachments": attachments_of(view),
        "notes": None,
        "created_at": stamp(call.now),
        "created_by": author(call),
        "closed_at": None,
        "is_parent": True,
        "config": config["name"] if config else None,
        "_metadata": metadata,
        "_config_options": config["parse_options"] if config else None,
        "_config_columns": config["columns"] if config else None,
    }
    return add(connection, "revisions", view.id, document)


def _config(connection: sqlite3.Connection, name: object) -> dict[str, Any] | None:
    from .configs import find_config

    if not name:
        return None
    found = find_config(connection, str(name))
    return {"name": name, **found}


def _metadata(body: dict[str, Any]) -> dict[str, Any]:
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise refused(400, "invalid_metadata", "metadata is an object")
    return checked_document(metadata)


def _attachments(connection: sqlite3.Connection, given: Any) -> list[dict[str, Any]]:
    """What a revision's attachments are to be: all of them, each with a file that was uploaded. Raises Refused."""
    listed = given if isinstance(given, list) and all(isinstance(one, dict) for one in given) else [{}]
    kept = []
    for one in listed:
        asset = str(one.get("asset_id") or one.get("blob_id") or "")
        found = connection.execute("SELECT filename FROM assets WHERE id = ?", (asset,)).fetchone()
        if found is None:
            message = "attachments is a list of objects, each with the asset_id of a file that was uploaded"
            raise refused(400, "invalid_attachments", message)
        name = str(one.get("name") or one.get("filename") or found[0])[:255]
        filename = str(one.get("filename") or found[0])[:255]
        kept.append({"name": name, "filename": filename, "asset_id": asset, "blob_id": one.get("blob_id")})
    return kept


def _action(given: Any, before: dict[str, Any]) -> dict[str, Any]:
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise refused(400, "invalid_action", "action is an object")
    action = {"type": "update", "schema": None, "permission": None, **before, **given}
    if action["type"] not in ACTIONS or action["permission"] not in (None, "public", "private"):
        message = "An action is update, replace or delete; its permission public, private or null"
        raise refused(400, "invalid_action", message)
    return {key: action[key] for key in ("type", "schema", "permission")}


def _named(connection: sqlite3.Connection, names: Names) -> Draft:
    return revision_of(connection, view_of(connection, names["view"]), names["seq"])


_REVISION = f"{BASE}/revision/{{view}}/{{seq}}"
ROUTES = (
    route("POST", f"{BASE}/revision", create_with_view, writes=True),
    route("POST", f"{BASE}/revision/{{view}}", create, writes=True),
    route("GET", f"{BASE}/revision/{{view}}", of_view),
    route("GET", _REVISION, show),
    route("PUT", _REVISION, update, writes=True),
    route("PATCH", _REVISION, update, writes=True),
    route("DELETE", _REVISION, discard, writes=True),
    route("GET", f"{_REVISION}/plan", plan),
    route("POST", f"{_REVISION}/attachment", attach_file, writes=True),
    route("POST", f"{_REVISION}/restore", restore, writes=True),
    route("POST", "/api/archival", enroll, writes=True),
    route("GET", "/api/views/{view}/replication{json}", replication),
)
