"""
DataSync over HTTP ("delta importer 2"): chunks of a file, a commit with a control file, then status and log.

A client that finds no signature of an earlier file sends the whole file; this portal never has one to give. What is
answered to whom is as DataSync's DeltaImporter2Publisher reads it.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, Refused, as_json, legacy, route
from .bodies import read_object
from .catalogue import readable, writable
from .controls import UnreadableError, read_control
from .syncing import run_sync

CHUNK_BYTES = 4 * 2**20
FILENAME_LIMIT = 255
TEXT = "text/plain; charset=utf-8"
CHARSETS = ("utf-8", "us-ascii", "iso-8859-1", "windows-1252", "utf-16", "utf-16le", "utf-16be", "macintosh")
_ENGLISH = {"queued": "Queued", "running": "Processing", "success": "SUCCESS", "failure": "FAILURE"}


def version(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasync/version.json: how large a chunk may be."""
    return as_json({"name": "datasync", "version": "2", "max-block-size": CHUNK_BYTES})


def charsets(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasync/charsets.json: names of encodings; others that Python knows are read too."""
    return as_json(list(CHARSETS))


def completed(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasync/id/<view>/completed/: no earlier file, so no signature; clients send whole files."""
    publisher(call)
    readable(call, connection, names["view"])
    return as_json([])


def add_chunk(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasync/id/<view>: a piece of the upload; its id is what the commit names."""
    publisher(call)
    view = writable(call, connection, names["view"])
    blob = str(uuid.uuid4())
    connection.execute("INSERT INTO sync_chunks VALUES (?, ?, ?, ?)", (blob, view.id, call.now, call.body))
    return as_json({"blobId": blob}, 201)


def commit(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    POST /datasync/id/<view>/commit: `{"filename", "relativeTo", "chunks", "expectedSize", "control"}` becomes a job.

    Raises Refused (400) with the `type` of the protocol: what a client tries anew, and what it does not.
    """
    account = publisher(call)
    view = writable(call, connection, names["view"])
    body = read_object(call)
    filename, chunks = body.get("filename"), body.get("chunks")
    if not isinstance(filename, str) or not isinstance(chunks, list):
        raise _error("not-a-commit-description")
    if len(filename) > FILENAME_LIMIT:
        raise _error("filename-too-long", limit=FILENAME_LIMIT)
    if not filename.isprintable() or "/" in filename or "\\" in filename:
        raise _error("filename-bad-characters")
    if body.get("relativeTo") is not None:
        raise _error("impossible-relative-to")
    _check_chunks(connection, view.id, chunks, body.get("expectedSize"))
    control = None
    reason = ""
    try:
        control = read_control(body.get("control"))
    except UnreadableError as error:
        reason = str(error)
    if control is None:
        raise _error("undecodable-control", message=reason)
    if control.replace_queued:
        _give_up_queued(connection, view.id)
    job = str(uuid.uuid4())
    told = {"jobId": job, "dataset": view.uid, "filename": filename}
    events = [
        {"type": "committing-job", "data": {**told, "control": body["control"]}},
        {"type": "committed-job", "data": told},
    ]
    document = {**told, "chunks": chunks, "control": body["control"], "events": events, "reason": ""}
    document["by"] = account.name
    statement = "INSERT INTO syncs (job, view, state, document) VALUES (?, ?, 'queued', ?)"
    number = connection.execute(statement, (job, view.id, json.dumps(document))).lastrowid
    if call.workshop is not None and number is not None:
        call.workshop.later(run_sync, number)
    return as_json({"jobId": job})


def status(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasync/id/<view>/status/<job>.json; without `.json` only the English of it, as older clients ask."""
    row = _job(call, connection, names)
    document = json.loads(row["document"])
    english = _ENGLISH[row["state"]] + (f": {document['reason']}" if document["reason"] else "")
    if not call.path.endswith(".json"):
        return Answer(200, f"{english}\n".encode(), TEXT)
    told = {key: document[key] for key in ("jobId", "dataset", "filename")}
    return as_json({"type": row["state"], "data": told, "english": english})


def log(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasync/id/<view>/log/<job>.json: what happened to one job, the oldest first."""
    return as_json(json.loads(_job(call, connection, names)["document"])["events"])


def index(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasync/id/<view>/log/index.json: a dataset's commits, for a client that lost the answer to its own."""
    publisher(call)
    view = readable(call, connection, names["view"])
    query = "SELECT document FROM syncs WHERE view = ? ORDER BY id"
    return as_json(_commits(connection.execute(query, (view.id,)).fetchall()))


def whole_index(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasync/log/index.json: the commits of every dataset."""
    publisher(call)
    return as_json(_commits(connection.execute("SELECT document FROM syncs ORDER BY id").fetchall()))


def _commits(rows: list[sqlite3.Row]) -> list[dict[str, Any]]:
    return [json.loads(row[0])["events"][0] for row in rows]


def _job(call: Call, connection: sqlite3.Connection, names: Names) -> sqlite3.Row:
    publisher(call)
    view = readable(call, connection, names["view"])
    query = "SELECT state, document FROM syncs WHERE view = ? AND job = ?"
    row: sqlite3.Row | None = connection.execute(query, (view.id, names["asset"])).fetchone()
    if row is None:
        raise legacy(404, "not_found", "Not found", id=names["asset"])
    return row


def _check_chunks(connection: sqlite3.Connection, view: int, chunks: list[Any], expected: object) -> None:
    size, query = 0, "SELECT length(content) FROM sync_chunks WHERE id = ? AND view = ?"
    for chunk in chunks:
        row = connection.execute(query, (str(chunk), view)).fetchone()
        if row is None:
            raise _error("non-existant-chunk")
        size += int(row[0])
    if expected is not None and expected != size:
        raise _error("size-mismatch", expected=expected, actual=size)


def _give_up_queued(connection: sqlite3.Connection, view: int) -> None:
    """`replacePreviousQueued`: a later file makes those needless that wait before it."""
    statement = (
        "UPDATE syncs SET state = 'failure',"
        " document = json_set(document, '$.reason', 'A later job of the dataset took its place')"
        " WHERE view = ? AND state = 'queued'"
    )
    connection.execute(statement, (view,))


def _error(kind: str, **data: Any) -> Refused:
    return Refused(400, {"type": kind, "data": data})


_ID = "/datasync/id/{view}"
ROUTES = (
    route("GET", "/datasync/version.json", version),
    route("GET", "/datasync/charsets.json", charsets),
    route("GET", "/datasync/log/index.json", whole_index),
    route("POST", _ID, add_chunk, writes=True),
    route("GET", f"{_ID}/completed/", completed),
    route("POST", f"{_ID}/commit", commit, writes=True),
    route("GET", f"{_ID}/log/index.json", index),
    route("GET", f"{_ID}/log/{{asset}}{{json}}", log),
    route("GET", f"{_ID}/status/{{asset}}{{json}}", status),
)
