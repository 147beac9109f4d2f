"""
The sources of DSMAPI: made, sent in chunks, committed, parsed anew with other options.

A chunk is a file of its own until the commit, so that chunks may come in any order, twice, or from threads.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, Refused, as_json, decode, route
from .drafts import (
    BASE,
    Draft,
    add,
    author,
    children,
    keep,
    load,
    refused,
    revision_of,
    source_links,
    stamp,
    still_open,
    view_of,
)
from .features import PLACES
from .fetching import fetchable
from .parsing import EXCEL, READ, SEPARATORS
from .preparing import parse_source
from .workshop import Workshop

PARSE_OPTIONS: dict[str, Any] = {
    "encoding": "utf8",
    "header_count": 1,
    "column_header": 1,
    "quote_char": '"',
    "column_separator": ",",
    "parse_source": True,
    "remove_empty_rows": True,
    "trim_whitespace": True,
}
PARALLELISM = 4
CHUNK_LIMIT = 100_000
CONTENT_TYPES = (*SEPARATORS, *EXCEL, *PLACES, "application/octet-stream")


def create(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /revision/<view>/<seq>/source, or POST /source for one that no revision has yet."""
    publisher(call)
    body = read_object(call)
    revision = None
    if "view" in names:
        revision = still_open(revision_of(connection, view_of(connection, names["view"]), names["seq"]))
    kind = body.get("source_type")
    if not isinstance(kind, dict) or kind.get("type") not in ("upload", "view", "url"):
        message = "This portal takes sources of type upload, view and url"
        raise refused(400, "unsupported_source_type", message)
    if kind["type"] == "url":
        kind = fetchable(kind, allowed=workshop_of(call).fetch)
    if kind["type"] == "view":
        view_of(connection, str(kind.get("fourfour", "")))
        kind = {**kind, "loaded": False}
    configured = revision.document.get("_config_options") if revision else None
    options = read_options(body.get("parse_options") or {}, {**PARSE_OPTIONS, **(configured or {})})
    document = {
        "source_type": kind,
        "parse_options": options,
        "content_type": None,
        "created_at": stamp(call.now),
        "created_by": author(call),
        **dict.fromkeys(("finished_at", "failed_at", "failure_details", "filesize", "export_filename")),
        "blob": None,
        "locale": None,
        "is_delete": False,
        "_committed": kind["type"] != "upload",
    }
    source = add(connection, "sources", revision.id if revision else None, document)
    if kind["type"] != "upload":
        workshop_of(call).later(parse_source, source.id)
    return as_json(describe(connection, source), 201)


def of_revision(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /revision/<view>/<seq>/source."""
    publisher(call)
    revision = revision_of(connection, view_of(connection, names["view"]), names["seq"])
    found = children(connection, "sources", revision.id)
    return as_json([describe(connection, source) for source in found])


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /source/<source>."""
    publisher(call)
    return as_json(describe(connection, load(connection, "sources", names["source"])))


def initiate(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /source/<source>/initiate: what the bytes will be; how they are best cut."""
    publisher(call)
    source = _uploading(connection, names)
    content_type = str(read_object(call).get("content_type", "")).partition(";")[0].strip().lower()
    _accept(source, content_type)
    options = source.document["parse_options"]
    if content_type == "text/tab-separated-values" and options["column_separator"] == ",":
        options = {**options, "column_separator": "\t"}
    keep(connection, "sources", source, content_type=content_type, parse_options=options)
    workshop_of(call).forget(source.id)
    size = workshop_of(call).chunk_bytes
    return as_json({"preferred_upload_parallelism": PARALLELISM, "preferred_chunk_size": size})


def chunk(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /source/<source>/chunk/<chunk>/<offset>: some bytes, written to a file of their own."""
    publisher(call)
    source = _uploading(connection, names)
    number, offset = int(names["chunk"]), int(names["offset"])
    if number >= CHUNK_LIMIT or not source.document["content_type"]:
        message = f"A source is initiated first and has at most {CHUNK_LIMIT} chunks"
        raise refused(400, "not_initiated", message)
    if offset + len(call.body) > workshop_of(call).upload_limit:
        raise too_large(workshop_of(call))
    part = workshop_of(call).place(source.id) / f"chunk-{number}"
    written = part.with_suffix(f".{id(call)}")
    written.write_bytes(call.body)
    written.replace(part)
    report = {"seq_num": number, "byte_offset": offset, "end_byte_offset": offset + len(call.body)}
    return as_json({"resource": report, "links": {}})


def commit(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /source/<source>/chunk/<last chunk>/<all bytes>/commit: every byte is there; read the file."""
    publisher(call)
    source = _uploading(connection, names)
    folder = workshop_of(call).place(source.id)
    parts = [folder / f"chunk-{number}" for number in range(int(names["chunk"]) + 1)]
    size = sum(part.stat().st_size for part in parts if part.exists())
    if not all(part.exists() for part in parts) or size < int(names["offset"]):
        # more bytes than announced are letters of two bytes, counted as one by clients that send text
        raise refused(400, "chunks_missing", "Chunks or bytes that the commit names did not arrive")
    if size > workshop_of(call).upload_limit:
        raise too_large(workshop_of(call))
    source = _committed(call, connection, source, size, chunks=len(parts))
    return as_json(describe(connection, source))


def send(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /source/<source> with the whole file as its body."""
    publisher(call)
    source = _uploading(connection, names)
    content_type = call.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    _accept(source, content_type)
    workshop_of(call).forget(source.id)
    (workshop_of(call).place(source.id) / "content").write_bytes(call.body)
    source = keep(connection, "sources", source, content_type=content_type)
    return as_json(describe(connection, _committed(call, connection, source, len(call.body))), 201)


def change_options(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /source/<source>/options: other parse options; an uploaded file is read anew."""
    publisher(call)
    source = load(connection, "sources", names["source"])
    options = read_options(read_object(call).get("parse_options") or {}, source.document["parse_options"])
    anew = dict.fromkeys(("finished_at", "failed_at", "failure_details"))
    source = keep(connection, "sources", source, parse_options=options, **anew)
    if source.document["_committed"]:
        workshop_of(call).later(parse_source, source.id)
    return as_json(describe(connection, source), 201)


def load_view(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /source/<source>/load: a source from a dataset is read as soon as it is made, so this shows it."""
    return show(call, connection, names)


def into_revision(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PATCH /source/<source>: put it in a revision."""
    publisher(call)
    source = load(connection, "sources", names["source"])
    wanted = read_object(call).get("revision")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("revision_seq"), int):
        raise refused(400, "invalid_request", "revision names a fourfour and a revision_seq")
    view = view_of(connection, str(wanted.get("fourfour", "")))
    revision = still_open(revision_of(connection, view, wanted["revision_seq"]))
    connection.execute("UPDATE sources SET parent = ? WHERE id = ?", (revision.id, source.id))
    return as_json(describe(connection, load(connection, "sources", source.id)), 202)


def describe(connection: sqlite3.Connection, source: Draft) -> dict[str, Any]:
    """A source with every schema that came of it."""
    schemas = [
        {
            **schema.shown(),
            "input_columns": [
                {**column, "input_schema_id": schema.id} for column in schema.document["input_columns"]
            ],
            "output_schemas": [one.shown() for one in children(connection, "output_schemas", schema.id)],
        }
        for schema in children(connection, "input_schemas", source.id)
    ]
    return {"resource": {**source.shown(), "schemas": schemas}, "links": source_links(source.id)}


def read_object(call: Call) -> dict[str, Any]:
    """The JSON object of a body; an empty body is an empty one. Raises Refused (400)."""
    body = decode(call.body, exact=False) if call.body else {}
    if not isinstance(body, dict):
        raise refused(400, "invalid_request", "The body is not an object")
    return body


def read_options(given: Any, before: dict[str, Any]) -> dict[str, Any]:
    """Parse options over those there were. Raises Refused (400) for one of the wrong JSON type."""
    if not isinstance(given, dict):
        raise refused(400, "invalid_parse_options", "parse_options is an object")
    options = {**before, **{name: given[name] for name in PARSE_OPTIONS if given.get(name) is not None}}
    for name, value in options.items():
        if type(value) is not type(PARSE_OPTIONS[name]):
            raise refused(400, "invalid_parse_options", f"{name} has the wrong JSON type", option=name)
    one_sign = all(len(options[name]) == 1 for name in ("quote_char", "column_separator"))
    if not one_sign or not 0 <= options["column_header"] <= max(options["header_count"], 1) <= 1000:
        message = "Signs are one letter; column_header is one of the header_count rows"
        raise refused(400, "invalid_parse_options", message)
    return options


def too_large(workshop: Workshop) -> Refused:
    """413: the file is larger than this portal takes."""
    limit = workshop.upload_limit
    return refused(413, "upload_too_large", f"A file has at most {limit} bytes here", limit=limit)


def workshop_of(call: Call) -> Workshop:
    """The workshop of a portal that runs."""
    if call.workshop is None:
        raise refused(503, "unavailable", "This portal has no place for uploads")
    return call.workshop


def _committed(
    call: Call, connection: sqlite3.Connection, source: Draft, size: int, *, chunks: int = 0
) -> Draft:
    fails = call.fault == "failure"
    changes = {"filesize": size, "_committed": True, "_chunks": chunks, "_fails": fails}
    source = keep(connection, "sources", source, **changes)
    workshop_of(call).later(parse_source, source.id)
    return source


def _accept(source: Draft, content_type: str) -> None:
    if content_type not in CONTENT_TYPES and source.document["parse_options"]["parse_source"]:
        raise refused(415, "unsupported_content_type", READ, content_type=content_type)


def _uploading(connection: sqlite3.Connection, names: Names) -> Draft:
    source = load(connection, "sources", names["source"])
    if source.document["_committed"]:
        raise refused(409, "source_committed", "The source has its bytes already")
    return source


_SOURCE = f"{BASE}/source/{{source}}"
ROUTES = (
    route("POST", f"{BASE}/source", create, writes=True),
    route("POST", f"{BASE}/revision/{{view}}/{{seq}}/source", create, writes=True),
    route("GET", f"{BASE}/revision/{{view}}/{{seq}}/source", of_revision),
    route("GET", _SOURCE, show),
    route("POST", _SOURCE, send, writes=True),
    route("PATCH", _SOURCE, into_revision, writes=True),
    route("POST", f"{_SOURCE}/initiate", initiate, writes=True),
    route("POST", f"{_SOURCE}/chunk/{{chunk}}/{{offset}}", chunk),
    route("POST", f"{_SOURCE}/chunk/{{chunk}}/{{offset}}/commit", commit, writes=True),
    route("POST", f"{_SOURCE}/options", change_options, writes=True),
    route("PUT", f"{_SOURCE}/load", load_view),
)
