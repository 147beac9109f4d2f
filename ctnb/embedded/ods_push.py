"""
Realtime push: records as they come, one or many, and their deletion by values or by id.

Source: the vendor's guide "Pushing realtime data". The answers to a wrong key, to a push that is disabled and to a
dataset that is not published are not documented; those here are our choice.
"""

from __future__ import annotations

import hmac
import sqlite3
from typing import Any

from .answers import Answer, Call, Names, as_json
from .ods_answers import PUSH, ods_route, push_error, read_json
from .ods_fields import from_document
from .ods_keys import digest
from .ods_records import Faults, Named, Records, named, record_id
from .ods_store import Dataset, Resource, by_id, keep, keep_resource, resources

BODY_LIMIT_BYTES = 5_000_000
"""The guide says 5MB; a body of exactly so many bytes is taken."""
ERRORS_KEPT = 100
_OK = {"status": "OK"}


def push(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/push/1.0/<dataset id>/<resource>/push/: one record, or a list of them."""
    dataset, resource, records = _open(call, connection, names)
    sent = [named(records.schema, record) for record in _sent(call)]
    _note_strangers(call, records, resource, sent)
    records.write_named(sent, call.now, resource.id)
    connection.executemany(
        "INSERT INTO ods_backups VALUES (NULL, ?, ?, ?, ?)",
        ((resource.id, one.rid, call.now, one.text) for one in sent),
    )
    keep_resource(connection, resource, last_push=call.now)
    status = dataset.status
    shown = [*status["records_errors"], *records.faults.shown][-ERRORS_KEPT:]
    errors = status["errors"] + records.faults.count
    changed = {**status, "records_errors": shown, "errors": errors}
    keep(connection, dataset, data_processed=call.now, status=changed)
    return as_json(_OK)


def delete(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST .../delete/: the records with these values, or with these id fields; the same answer if there are none."""
    dataset, resource, records = _open(call, connection, names)
    _forget(connection, records, resource, [record_id(records.schema, record) for record in _sent(call)])
    keep(connection, dataset, data_processed=call.now)
    return as_json(_OK)


def delete_one(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET .../<record id>/delete/, as the guide says; a HEAD changes nothing."""
    if call.method == "HEAD":
        raise push_error(405, "This address does not take that method.")
    dataset, resource, records = _open(call, connection, names)
    _forget(connection, records, resource, [names["record"]])
    keep(connection, dataset, data_processed=call.now)
    return as_json(_OK)


def _open(call: Call, connection: sqlite3.Connection, names: Names) -> tuple[Dataset, Resource, Records]:
    """What a push URL means. Raises OdsRefused: 413, 404, 401, 403, 400."""
    if len(call.body) > BODY_LIMIT_BYTES:
        raise push_error(413, "The payload is over 5MB; split it into several requests.")
    dataset = by_id(connection, names["dataset"])
    known = [] if dataset is None else resources(connection, dataset.id)
    resource = next((one for one in known if one.slug == names["resource"] and one.key_sha256), None)
    if dataset is None or resource is None:
        raise push_error(404, "There is no such realtime resource.")
    if not hmac.compare_digest(digest(call.option("pushkey")), resource.key_sha256 or ""):
        raise push_error(401, "Push key is not valid")
    if not resource.enabled:
        raise push_error(403, "Realtime push is disabled for this resource")
    if not dataset.table:
        raise push_error(400, "The dataset is not published.")
    schema = from_document(dataset.live)
    return dataset, resource, Records(connection, dataset.id, dataset.table, schema, Faults())


def _sent(call: Call) -> list[dict[str, Any]]:
    """The records of a body. Raises OdsRefused (400)."""
    body = read_json(call)
    sent = body if isinstance(body, list) else [body]
    if not all(isinstance(record, dict) for record in sent):
        raise push_error(400, "The body is one JSON object, or an array of them.")
    return sent


def _note_strangers(call: Call, records: Records, resource: Resource, sent: list[Named]) -> None:
    """Keys that no field is filled from are left out and noted, or refused where the portal is strict."""
    known = {one.source for one in records.schema.fields}
    known |= {name for row in resource.document["params"]["bootstrap"] for name in row}
    for one in sent:
        if one.record.keys() <= known:
            continue
        if call.workshop is not None and call.workshop.strict_push:
            raise push_error(400, "A record has a field that the dataset does not have.")
        message = "The record has a field that the dataset does not have; it was left out."
        records.faults.note(one.rid, None, message)


def _forget(connection: sqlite3.Connection, records: Records, resource: Resource, ids: list[str]) -> None:
    """Delete records from the dataset and from the backup: what was deleted does not come back by a recovery."""
    records.delete(ids, resource.id)
    statement = "DELETE FROM ods_backups WHERE resource = ? AND rid = ?"
    connection.executemany(statement, ((resource.id, rid) for rid in ids))


_RESOURCE = "{dataset}/{resource}/"
ROUTES = (
    ods_route("POST", PUSH, _RESOURCE + "push/", push, writes=True),
    ods_route("POST", PUSH, _RESOURCE + "delete/", delete, writes=True),
    ods_route("GET", PUSH, _RESOURCE + "{record}/delete/", delete_one, writes=True),
)
