"""The last versions of a dataset's configuration, one of them brought back, and the files attached to it."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from .answers import Answer, Call, Names, as_json
from .ods_answers import AUTOMATION, absent, automation_error, moment, ods_route, page
from .ods_automation import describe, edited
from .ods_resources import file_of, files_of, keep_file, sent_file
from .ods_store import Dataset, add_version, files_named, keep, keep_resource, resources


def versions(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/versions/: the newest first, at most 20."""
    dataset, _ = edited(call, connection, names)
    return as_json(page(call, [_described(connection, row) for row in _rows(connection, dataset)]))


def version(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/versions/<version>/."""
    dataset, _ = edited(call, connection, names)
    return as_json(_described(connection, _row(connection, dataset, names["version"])))


def restore(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/versions/<version>/restore/: the configuration of before that change; publish shows it."""
    dataset, known = edited(call, connection, names)
    row = _row(connection, dataset, names["version"])
    if _missing(connection, row):
        raise automation_error(400, "cannot_restore", "A file of this version is not kept any more.")
    kept = json.loads(row["document"])
    add_version(connection, dataset, ["restore"], known.name, call.now)
    document, restricted = kept["document"], kept["is_restricted"]
    changed = keep(connection, dataset, document=document, is_restricted=restricted, updated_at=call.now)
    for resource in resources(connection, dataset.id):
        if resource.uid in kept["resources"]:
            keep_resource(connection, resource, document=kept["resources"][resource.uid])
    return as_json(describe(changed))


def _rows(connection: sqlite3.Connection, dataset: Dataset) -> list[sqlite3.Row]:
    query = "SELECT * FROM ods_versions WHERE dataset = ? ORDER BY id DESC"
    return connection.execute(query, (dataset.id,)).fetchall()


def _row(connection: sqlite3.Connection, dataset: Dataset, uid: str) -> sqlite3.Row:
    found = next((row for row in _rows(connection, dataset) if row["uid"] == uid), None)
    if found is None:
        raise absent()
    return found


def _missing(connection: sqlite3.Connection, row: sqlite3.Row) -> bool:
    """Whether an uploaded file that a version names is gone."""
    named = files_named(json.loads(row["document"])["resources"].values())
    query = "SELECT uid FROM ods_files WHERE dataset = ?"
    return bool(named - {uid for (uid,) in connection.execute(query, (row["dataset"],))})


def _described(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "uid": row["uid"],
        "sections": json.loads(row["sections"]),
        "created_by": {"display_name": row["author"]},
        "can_restore": not _missing(connection, row),
        "created_at": moment(row["created_at"]),
    }


def attachments(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/attachments/."""
    dataset, _ = edited(call, connection, names)
    return as_json(page(call, files_of(connection, dataset, "attachment")))


def attach(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/attachments/: multipart with a part `file`."""
    dataset, _ = edited(call, connection, names)
    return as_json(keep_file(call, connection, dataset, "attachment"), 201)


def attachment(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/attachments/<file>/."""
    dataset, _ = edited(call, connection, names)
    return as_json(file_of(connection, dataset, "attachment", names["file"]))


def download(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/attachments/<file>/download/."""
    dataset, _ = edited(call, connection, names)
    return sent_file(connection, dataset, "attachment", names["file"])


def detach(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /datasets/<uid>/attachments/<file>/."""
    dataset, _ = edited(call, connection, names)
    uid = file_of(connection, dataset, "attachment", names["file"])["uid"]
    connection.execute("DELETE FROM ods_files WHERE uid = ?", (uid,))
    return Answer(204)


_VERSIONS, _FILES = "datasets/{dataset}/versions/", "datasets/{dataset}/attachments/"
ROUTES = (
    ods_route("GET", AUTOMATION, _VERSIONS, versions),
    ods_route("GET", AUTOMATION, _VERSIONS + "{version}/", version),
    ods_route("POST", AUTOMATION, _VERSIONS + "{version}/restore/", restore, writes=True),
    ods_route("GET", AUTOMATION, _FILES, attachments),
    ods_route("POST", AUTOMATION, _FILES, attach, writes=True),
    ods_route("GET", AUTOMATION, _FILES + "{file}/", attachment),
    ods_route("GET", AUTOMATION, _FILES + "{file}/download/", download),
    ods_route("DELETE", AUTOMATION, _FILES + "{file}/", detach, writes=True),
)
