"""
The resources of a dataset: files uploaded, sources of records made and changed, push keys renewed, data recovered.

The vendor's portal makes a realtime resource by hand only. Here POST with type `realtime` makes one, so that a
rehearsal needs no hand: `params.bootstrap` holds records with every field that will be pushed.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from typing import Any

from .answers import Answer, Call, Names, Refused, as_json
from .fetching import fetchable
from .ods_answers import AUTOMATION, absent, automation_error, invalid, moment, ods_route, page, read_object
from .ods_automation import edited, existing
from .ods_fields import from_document
from .ods_keys import digest, required
from .ods_processing import Unreadable, body_of, csv_rows, inactivity, url_of
from .ods_records import Faults, Records
from .ods_store import (
    Dataset,
    Resource,
    add_resource,
    add_version,
    drop_resource,
    keep,
    keep_resource,
    new_key,
    new_uid,
    resources,
)

CSV_PARAMS: dict[str, Any] = {
    "doublequote": True,
    "encoding": "utf-8",
    "first_row_no": 1,
    "headers_first_row": True,
    "separator": ",",
}
PREVIEW_ROWS = 20
_FILE = "uid, filename, mimetype, created_at"


def listed(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/resources/."""
    dataset, _ = edited(call, connection, names)
    found = [_describe(call, dataset, one) for one in resources(connection, dataset.id)]
    return as_json(page(call, found))


def create(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/resources/: a csvfile, or a realtime one with its push URL, shown once."""
    dataset, known = edited(call, connection, names)
    document = {**_checked(call, connection, dataset, read_object(call)), "created_at": call.now}
    add_version(connection, dataset, ["resources"], known.name, call.now)
    key = new_key() if document["type"] == "realtime" else None
    resource = add_resource(connection, dataset, document, None if key is None else digest(key))
    return as_json(_describe(call, dataset, resource, key), 201)


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/resources/<resource>/."""
    dataset, resource = _found(call, connection, names)
    return as_json(_describe(call, dataset, resource))


def update(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /datasets/<uid>/resources/<resource>/: another file or other parameters, used by the next publish."""
    dataset, resource = _found(call, connection, names)
    body = {**resource.document, **read_object(call)}
    if body["type"] != resource.kind:
        raise invalid(type="The type of a resource cannot be changed.")
    document = {**_checked(call, connection, dataset, body), "created_at": resource.document["created_at"]}
    add_version(connection, dataset, ["resources"], required(call, connection, "edit_dataset").name, call.now)
    return as_json(_describe(call, dataset, keep_resource(connection, resource, document=document)))


def delete(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /datasets/<uid>/resources/<resource>/: its records go with the next publish, its backup at once."""
    dataset, resource = _found(call, connection, names)
    add_version(connection, dataset, ["resources"], required(call, connection, "edit_dataset").name, call.now)
    drop_resource(connection, resource)
    return Answer(204)


def enable(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST .../enable/: the push URL takes records."""
    return _switched(call, connection, names, True)


def disable(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST .../disable/: the push URL refuses records; those that are there stay."""
    return _switched(call, connection, names, False)


def _switched(call: Call, connection: sqlite3.Connection, names: Names, on: bool) -> Answer:
    dataset, resource = _realtime(call, connection, names)
    return as_json(_describe(call, dataset, keep_resource(connection, resource, enabled=on)))


def renew(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST .../renew_api_key/: a new push URL; the old one stops working."""
    dataset, resource = _realtime(call, connection, names)
    key = new_key()
    changed = keep_resource(connection, resource, key_sha256=digest(key))
    return as_json(_describe(call, dataset, changed, key))


def recover(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST .../recover/: every record received and not deleted since comes back, in the order of receipt."""
    dataset, resource = _realtime(call, connection, names)
    _need_published(dataset)
    rows = connection.execute(
        "SELECT at, raw FROM ods_backups WHERE resource = ? ORDER BY id", (resource.id,)
    ).fetchall()
    schema = from_document(dataset.live)
    records = Records(connection, dataset.id, dataset.table, schema, Faults())
    records.write_texts(((row["at"], row["raw"]) for row in rows), resource.id)
    keep(connection, dataset, data_processed=call.now)
    return as_json(_describe(call, dataset, resource))


def delete_recover_data(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST .../delete_recover_data/: the backup is gone; the records that are there stay."""
    dataset, resource = _realtime(call, connection, names)
    _need_published(dataset)
    connection.execute("DELETE FROM ods_backups WHERE resource = ?", (resource.id,))
    return as_json(_describe(call, dataset, resource))


def clean_cache(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST .../clean_cache/: nothing is cached here."""
    _found(call, connection, names)
    return Answer(204)


def preview(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET .../preview/: the first rows of a resource's file, or its bootstrap records."""
    _, resource = _found(call, connection, names)
    if resource.kind == "realtime":
        rows = list(resource.document["params"]["bootstrap"])
    else:
        rows = _first_rows(connection, resource)
    return as_json({"results": rows[:PREVIEW_ROWS]})


def _first_rows(connection: sqlite3.Connection, resource: Resource) -> list[dict[str, Any]]:
    said = ""
    try:
        rows = csv_rows(body_of(connection, resource), resource.document["params"])
        return [row for row, _ in zip(rows, range(PREVIEW_ROWS), strict=False)]
    except Unreadable as error:
        said = str(error)
    raise automation_error(400, "resource_error", said)


def upload(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/resources/files/: multipart with a part `file`."""
    dataset, _ = edited(call, connection, names)
    return as_json(keep_file(call, connection, dataset, "resource"), 201)


def files(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/resources/files/."""
    dataset, _ = edited(call, connection, names)
    return as_json(page(call, files_of(connection, dataset, "resource")))


def show_file(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/resources/files/<file>/."""
    dataset, _ = edited(call, connection, names)
    return as_json(file_of(connection, dataset, "resource", names["file"]))


def download(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/resources/files/<file>/download/."""
    dataset, _ = edited(call, connection, names)
    return sent_file(connection, dataset, "resource", names["file"])


def keep_file(call: Call, connection: sqlite3.Connection, dataset: Dataset, kind: str) -> dict[str, Any]:
    """Keep the part `file` of a multipart body, and describe it. Raises OdsRefused (400)."""
    import tornado.httputil

    content_type = call.headers.get("Content-Type", "")
    arguments: dict[str, list[bytes]] = {}
    parts: dict[str, list[Any]] = {}
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)
    if content_type.startswith("multipart/form-data") and boundary:
        tornado.httputil.parse_multipart_form_data(boundary[1].encode(), call.body, arguments, parts)
    if not parts.get("file"):
        raise invalid(file="No file was submitted.")
    sent = parts["file"][0]
    uid, name = new_uid("fi"), re.sub(r"[^\w. -]", "_", sent["filename"])[-200:] or "file"
    mimetype = sent["content_type"]
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", mimetype, re.ASCII):
        mimetype = "application/octet-stream"
    row = (uid, dataset.id, kind, name, mimetype, sent["body"], call.now)
    connection.execute("INSERT INTO ods_files VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)
    return file_of(connection, dataset, kind, uid)


def files_of(connection: sqlite3.Connection, dataset: Dataset, kind: str) -> list[dict[str, Any]]:
    """The files of one kind that a dataset has."""
    query = f"SELECT {_FILE} FROM ods_files WHERE dataset = ? AND kind = ? ORDER BY id"
    return [_file(row) for row in connection.execute(query, (dataset.id, kind)).fetchall()]


def file_of(connection: sqlite3.Connection, dataset: Dataset, kind: str, uid: str) -> dict[str, Any]:
    """One file. Raises OdsRefused (404)."""
    found = next((one for one in files_of(connection, dataset, kind) if one["uid"] == uid), None)
    if found is None:
        raise absent()
    return found


def sent_file(connection: sqlite3.Connection, dataset: Dataset, kind: str, uid: str) -> Answer:
    """The bytes of a file, to be saved, never shown as a page. Raises OdsRefused (404)."""
    found = file_of(connection, dataset, kind, uid)
    body = connection.execute("SELECT body FROM ods_files WHERE uid = ?", (uid,)).fetchone()[0]
    headers = (("Content-Disposition", f'attachment; filename="{_ascii(found["filename"])}"'),)
    return Answer(200, bytes(body), found["mimetype"], headers)


def _ascii(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._ -]", "_", name)


def _file(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "created_at": moment(row["created_at"])}


def _found(call: Call, connection: sqlite3.Connection, names: Names) -> tuple[Dataset, Resource]:
    required(call, connection, "edit_dataset")
    dataset = existing(connection, names)
    known = resources(connection, dataset.id)
    resource = next((one for one in known if one.uid == names["resource"]), None)
    if resource is None:
        raise absent()
    return dataset, resource


def _realtime(call: Call, connection: sqlite3.Connection, names: Names) -> tuple[Dataset, Resource]:
    dataset, resource = _found(call, connection, names)
    if resource.kind != "realtime":
        raise automation_error(400, "invalid_resource_type", "The resource is not a realtime one.")
    return dataset, resource


def _need_published(dataset: Dataset) -> None:
    if not dataset.is_published:
        message = "Invalid precondition, the dataset must be published"
        raise automation_error(400, "invalid_dataset_status", message)


def _describe(call: Call, dataset: Dataset, resource: Resource, key: str | None = None) -> dict[str, Any]:
    """A resource as automation shows it; `key`, which only its maker knows, makes the push URL whole."""
    hidden = ("created_at", "alerting")
    shown = {name: value for name, value in resource.document.items() if name not in hidden}
    shown = {"uid": resource.uid, **shown}
    if resource.kind != "realtime":
        return shown
    path = f"/api/push/1.0/{dataset.dataset_id}/{resource.slug}/push/"
    shown |= {"is_enabled": resource.enabled, "push_url": path, "alerting": inactivity(resource, call.now)}
    return {**shown, "push_url": f"{path}?pushkey={key}"} if key else shown


def _checked(
    call: Call, connection: sqlite3.Connection, dataset: Dataset, body: dict[str, Any]
) -> dict[str, Any]:
    """What a caller says of a resource. Raises OdsRefused (400)."""
    title = body.get("title")
    if not isinstance(title, str) or not title.strip():
        raise invalid(title="This field is required.")
    params = body.get("params") or {}
    if not isinstance(params, dict):
        raise invalid(params="An object is expected.")
    if body.get("type") == "realtime":
        document = {"type": "realtime", "title": title, "params": {"bootstrap": _bootstrap(params)}}
        return {**document, "datasource": {"type": "realtime"}, "alerting": _alerting(body.get("alerting"))}
    if body.get("type") != "csvfile":
        raise invalid(type="This portal takes resources of type csvfile and realtime.")
    source = body.get("datasource") or {}
    if isinstance(source, dict) and source.get("type") == "http":
        made = {"type": "csvfile", "title": title, "params": {**CSV_PARAMS, **params}}
        return {**made, "datasource": _http(call, source)}
    if not isinstance(source, dict) or source.get("type") != "uploaded_file":
        raise invalid(datasource="This portal takes datasources of type uploaded_file and http.")
    uid = (source.get("file") or {}).get("uid")
    file_of(connection, dataset, "resource", str(uid))
    kept = {"type": "uploaded_file", "file": {"uid": uid}}
    return {"type": "csvfile", "title": title, "params": {**CSV_PARAMS, **params}, "datasource": kept}


def _http(call: Call, source: dict[str, Any]) -> dict[str, Any]:
    """A URL to read at each publish, where the portal may. Raises OdsRefused (400)."""
    connection, path = source.get("connection"), source.get("relative_url") or ""
    if (
        not isinstance(connection, dict)
        or not isinstance(connection.get("url"), str)
        or not isinstance(path, str)
    ):
        raise invalid(datasource="connection.url and relative_url are expected.")
    if connection.get("auth") or source.get("headers"):
        raise invalid(datasource="This portal sends no credentials and no headers of a caller.")
    kept = {"type": "http", "connection": {"type": "http", "url": connection["url"], "auth": None}}
    kept = {**kept, "headers": [], "relative_url": path}
    refused = ""
    try:
        allowed = call.workshop is not None and call.workshop.fetch
        fetchable({"url": url_of({"datasource": kept})}, allowed=allowed)
    except Refused as error:
        refused = str(error)
    if refused:
        raise invalid(datasource=refused)
    return kept


def _bootstrap(params: dict[str, Any]) -> list[dict[str, Any]]:
    given = params.get("bootstrap")
    if isinstance(given, str):
        text, given = given, None
        with contextlib.suppress(ValueError, RecursionError):  # refused below
            given = json.loads(text)
    rows = [given] if isinstance(given, dict) else given
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row for row in rows):
        raise invalid(params="bootstrap holds one record, or several, with every field that will be pushed.")
    return rows


def _alerting(given: object) -> dict[str, Any] | None:
    if given is None:
        return None
    minutes = given.get("inactivity_minutes") if isinstance(given, dict) else None
    if not isinstance(minutes, int) or isinstance(minutes, bool) or minutes < 1:
        raise invalid(alerting="inactivity_minutes is a whole number of minutes.")
    return {"inactivity_minutes": minutes}


_ALL = "datasets/{dataset}/resources/"
_ONE = _ALL + "{resource}/"
ROUTES = (
    ods_route("GET", AUTOMATION, _ALL + "files/", files),
    ods_route("POST", AUTOMATION, _ALL + "files/", upload, writes=True),
    ods_route("GET", AUTOMATION, _ALL + "files/{file}/", show_file),
    ods_route("GET", AUTOMATION, _ALL + "files/{file}/download/", download),
    ods_route("GET", AUTOMATION, _ALL, listed),
    ods_route("POST", AUTOMATION, _ALL, create, writes=True),
    ods_route("GET", AUTOMATION, _ONE, show),
    ods_route("PUT", AUTOMATION, _ONE, update, writes=True),
    ods_route("DELETE", AUTOMATION, _ONE, delete, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "enable/", enable, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "disable/", disable, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "renew_api_key/", renew, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "recover/", recover, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "delete_recover_data/", delete_recover_data, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "clean_cache/", clean_cache, writes=True),
    ods_route("GET", AUTOMATION, _ONE + "preview/", preview),
)
