"""
Files that belong to views: attachments, and datasets that are a file themselves.

An upload is for publishers only until a view's `metadata.attachments` names it; from then on it is as public as the
view, and goes with it when it is deleted. A file that several views name belongs to the first of them.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from typing import Any
from urllib.parse import quote

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, encode, legacy, not_logged_in, not_permitted, route
from .bodies import File, read_file
from .catalogue import View, add_view, again, find, readable, touch
from .describing import describe_view

PLAIN = "text/plain; charset=utf-8"
_HOLDERS = (
    "SELECT uid FROM views WHERE document ->> '$._blob.id' = :id OR EXISTS (SELECT 1 FROM"
    " json_each(document, '$.metadata.attachments') AS one"
    " WHERE :id IN (one.value ->> '$.assetId', one.value ->> '$.blobId', one.value ->> '$.asset_id'))"
)


def keep_file(connection: sqlite3.Connection, file: File, now: float, view: int | None = None) -> str:
    """Keep an uploaded file and return its id; `view` is the number of the view it goes with, once it has one."""
    asset = str(uuid.uuid4())
    row = (asset, view, file.name, file.content_type, len(file.content), now, file.content)
    connection.execute("INSERT INTO assets VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return asset


def attach(connection: sqlite3.Connection, view: View) -> None:
    """Tie the files that a view's attachments name to it. Raises Refused (400) for one that was not uploaded."""
    metadata = view.document.get("metadata") or {}
    listed = metadata.get("attachments") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise legacy(
            400, "invalid_request", "metadata.attachments is a list of objects", parameter="attachments"
        )
    for one in listed:
        asset = one.get("assetId") or one.get("blobId") or one.get("asset_id")
        query = "SELECT 1 FROM assets WHERE id = ?"
        if not isinstance(asset, str) or connection.execute(query, (asset,)).fetchone() is None:
            message = "An attachment names a file that was not uploaded to this portal"
            raise legacy(400, "invalid_request", message, parameter="attachments")
        connection.execute("UPDATE assets SET view = coalesce(view, ?) WHERE id = ?", (view.id, asset))


def upload(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/assets: a file, as a form or as the body; its id is what an attachment's `assetId` names."""
    publisher(call)
    return as_json(_uploaded(connection, read_file(call), call.now))


def upload_for(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/views/<view>/files[.txt]: the same, from the vendor's older pages; `.txt` answers as text."""
    publisher(call)
    readable(call, connection, names["view"])
    told = _uploaded(connection, read_file(call), call.now)
    return Answer(200, encode(told), PLAIN) if call.path.endswith(".txt") else as_json(told)


def download(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/files/<asset>: a file of a view that the caller may read."""
    view = readable(call, connection, names["view"])
    holders = [row[0] for row in connection.execute(_HOLDERS, {"id": names["asset"]}).fetchall()]
    if view.uid not in holders:
        raise legacy(404, "not_found", "Not found", id=names["asset"])
    return _sent(call, connection, names["asset"])


def download_asset(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/assets/<asset>: a file of any view that the caller may read; before it has one, for publishers."""
    if connection.execute("SELECT 1 FROM assets WHERE id = ?", (names["asset"],)).fetchone() is None:
        raise legacy(404, "not_found", "Not found", id=names["asset"])
    holders = [
        find(connection, row[0]) for row in connection.execute(_HOLDERS, {"id": names["asset"]}).fetchall()
    ]
    if not any(view is not None and view.readable(call.account) for view in holders):
        if call.account is None:
            raise not_permitted() if holders else not_logged_in()
        publisher(call)
    return _sent(call, connection, names["asset"])


def download_blob(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /download/<view>/<type>: the file of a dataset that is one."""
    view = readable(call, connection, names["view"])
    if "_blob" not in view.document:
        raise legacy(404, "not_found", "Not found", id=view.uid)
    return _sent(call, connection, view.document["_blob"]["id"])


def create_blob(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/imports2/?method=blob: a dataset that is a file, private, with the file's name."""
    account = publisher(call)
    if call.option("method") != "blob":
        message = "This portal imports files by revisions; the method here is blob"
        raise legacy(400, "invalid_request", message, parameter="method")
    file = read_file(call)
    view = add_view(connection, {"name": call.option("name") or file.name}, account, call.now)
    statement = "UPDATE views SET stage = 'published', published_at = ? WHERE id = ?"
    connection.execute(statement, (call.now, view.id))
    set_blob(connection, view, file, call.now)
    return as_json(describe_view(connection, again(connection, view.uid), account))


def replace_blob(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/views/<view>.txt?method=replaceBlob: another file in its place; JSON, sent as plain text."""
    account = publisher(call)
    view = readable(call, connection, names["view"])
    if call.option("method") != "replaceBlob" or "_blob" not in view.document:
        message = "The method is replaceBlob, of a dataset that is a file"
        raise legacy(400, "invalid_request", message, parameter="method")
    set_blob(connection, view, read_file(call), call.now)
    told = describe_view(connection, again(connection, view.uid), account)
    return Answer(
        200, encode(told), PLAIN if call.path.endswith(".txt") else "application/json; charset=utf-8"
    )


def set_blob(connection: sqlite3.Connection, view: View, file: File, now: float) -> str:
    """Make `file` the whole content of a view, in place of the file it was before; the id of the file."""
    former = view.document.get("_blob", {}).get("id")
    asset = keep_file(connection, file, now, view.id)
    blob = {"id": asset, "filename": file.name, "size": len(file.content), "content_type": file.content_type}
    document = json.dumps({**view.document, "_blob": blob})
    connection.execute("UPDATE views SET document = ? WHERE id = ?", (document, view.id))
    connection.execute("DELETE FROM assets WHERE id = ?", (former,))
    touch(connection, view, now)
    touch(connection, view, now, rows=True)
    return asset


def _uploaded(connection: sqlite3.Connection, file: File, now: float) -> dict[str, Any]:
    asset = keep_file(connection, file, now)
    told = {"nameForOutput": file.name, "contentType": file.content_type, "size": len(file.content)}
    return {"id": asset, "file": asset, **told}


def _sent(call: Call, connection: sqlite3.Connection, asset: str) -> Answer:
    row = connection.execute("SELECT filename, content FROM assets WHERE id = ?", (asset,)).fetchone()
    if row is None:
        raise legacy(404, "not_found", "Not found", id=asset)
    plain = row["filename"].encode("ascii", "replace").decode().replace("?", "_")
    shown = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(row['filename'])}"
    tag = f'"{asset}"'
    headers = (("ETag", tag), ("Cache-Control", "private, no-cache, must-revalidate"))
    if call.headers.get("If-None-Match", "").strip() == tag:
        return Answer(304, b"", "application/octet-stream", headers)
    return Answer(
        200, bytes(row["content"]), "application/octet-stream", (*headers, ("Content-Disposition", shown))
    )


ROUTES = (
    route("POST", "/api/assets{json}", upload, writes=True),
    route("GET", "/api/assets/{asset}", download_asset),
    route("POST", "/api/views/{view}/files", upload_for, writes=True),
    route("POST", "/api/views/{view}/files.txt", upload_for, writes=True),
    route("GET", "/api/views/{view}/files/{asset}", download),
    route("GET", "/download/{view}/{row}", download_blob),
    route("GET", "/download/{view}/{row}/{config}", download_blob),
    route("POST", "/api/imports2/", create_blob, writes=True),
    route("POST", "/api/imports2{json}", create_blob, writes=True),
    route("POST", "/api/views/{view}.txt", replace_blob, writes=True),
    route("POST", "/api/views/{view}{json}", replace_blob, writes=True),
)
