"""The automation interface: datasets made, shown, changed, published, unpublished, copied and deleted."""

from __future__ import annotations

import hmac
import re
import sqlite3
from typing import Any

from .answers import Answer, Call, Names, as_json
from .ods_answers import (
    AUTOMATION,
    absent,
    automation_error,
    bad_key,
    invalid,
    moment,
    ods_route,
    page,
    read_object,
)
from .ods_keys import Caller, caller, digest, required
from .ods_processing import RESTING, describe_status, move, need_status, process
from .ods_store import (
    Dataset,
    Resource,
    add_dataset,
    add_resource,
    add_version,
    all_datasets,
    by_id,
    by_uid,
    drop_dataset,
    keep,
    new_key,
    new_uid,
    resources,
)

EDITORS = ("edit_dataset", "publish_dataset", "manage_dataset", "create_dataset")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_@-]{0,199}", re.ASCII)
_OK = {"detail": "ok"}
EVERYTHING: dict[str, Any] = {
    "is_data_visible": True,
    "visible_fields": None,
    "filter_query": "",
    "api_calls_quota": None,
}


def describe(dataset: Dataset) -> dict[str, Any]:
    """A dataset as automation shows it."""
    return {
        "uid": dataset.uid,
        "dataset_id": dataset.dataset_id,
        "is_published": dataset.is_published,
        "is_restricted": dataset.is_restricted,
        "created_at": moment(dataset.created_at),
        "updated_at": moment(dataset.updated_at),
        "default_security": dataset.document["security"]["default"],
        "metadata": dataset.document["metadata"],
    }


def edited(call: Call, connection: sqlite3.Connection, names: Names) -> tuple[Dataset, Caller]:
    """The dataset of an address, for somebody who may edit it. Raises OdsRefused (401, 403, 404)."""
    known = required(call, connection, "edit_dataset")
    return existing(connection, names), known


def existing(connection: sqlite3.Connection, names: Names) -> Dataset:
    """The dataset of an address. Raises OdsRefused (404)."""
    dataset = by_uid(connection, names["dataset"])
    if dataset is None:
        raise absent()
    return dataset


def reconfigure(
    connection: sqlite3.Connection, dataset: Dataset, known: Caller, now: float, **changes: Any
) -> Dataset:
    """Change keys of a dataset's document, and keep what it was as a version."""
    add_version(connection, dataset, sorted(changes), known.name, now)
    return keep(connection, dataset, document={**dataset.document, **changes}, updated_at=now)


def listed(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/: those one may edit; a push key sees the dataset it belongs to."""
    found = all_datasets(connection)
    if call.option("pushkey") and caller(call, connection) is None:
        found = [one for one in found if _opens(call, connection, one)]
    else:
        required(call, connection, *EDITORS)
    if wanted := call.option("dataset_id"):
        found = [one for one in found if one.dataset_id == wanted]
    return as_json(page(call, [describe(one) for one in found]))


def create(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/: dataset_id (made of the title when not given), is_restricted, metadata."""
    required(call, connection, "create_dataset")
    body = read_object(call)
    metadata = checked_metadata(body.get("metadata") or {})
    title = (metadata["default"].get("title") or {}).get("value")
    if not title:
        raise invalid(metadata="The template default needs a title.")
    given = body.get("dataset_id")
    dataset_id = _free(connection, _slug(str(title))) if given is None else _identifier(connection, given)
    restricted = _flag(body, "is_restricted", False)
    document: dict[str, Any] = {"metadata": metadata, "fields": [], "processors": [], "schedules": []}
    document["security"] = {"users": [], "default": checked_security(body.get("default_security"))}
    dataset = add_dataset(connection, dataset_id, document, restricted, call.now)
    return as_json(describe(dataset), 201)


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/."""
    required(call, connection, *EDITORS)
    return as_json(describe(existing(connection, names)))


def update(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /datasets/<uid>/: the identifier (while unpublished), whether restricted, the metadata given."""
    dataset, known = edited(call, connection, names)
    body = read_object(call)
    dataset_id = body.get("dataset_id", dataset.dataset_id)
    if dataset_id != dataset.dataset_id:
        if dataset.is_published:
            raise invalid(dataset_id="The identifier of a published dataset cannot be changed.")
        dataset_id = _identifier(connection, dataset_id)
    restricted = _flag(body, "is_restricted", dataset.is_restricted)
    metadata = {**dataset.document["metadata"], **checked_metadata(body.get("metadata") or {}, whole=False)}
    security = dataset.document["security"]
    default = checked_security({**security["default"], **(body.get("default_security") or {})})
    changes = {"metadata": metadata, "security": {**security, "default": default}}
    changed = reconfigure(connection, dataset, known, call.now, **changes)
    changed = keep(connection, changed, dataset_id=dataset_id, is_restricted=restricted)
    return as_json(describe(changed))


def delete(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /datasets/<uid>/: with its records, files and backups."""
    dataset, _ = edited(call, connection, names)
    need_status(dataset, *RESTING)
    drop_dataset(connection, dataset)
    return Answer(204)


def publish(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/publish/: queue the processing; an API key, or the push key of a resource."""
    queue(call, connection, _publishable(call, connection, names), "processing")
    return as_json(_OK)


def unpublish(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/unpublish/: pushed records are gone from the dataset; the backup keeps them."""
    queue(call, connection, _publishable(call, connection, names), "deleting")
    return as_json(_OK)


def queue(call: Call, connection: sqlite3.Connection, dataset: Dataset, aim: str) -> None:
    """Have a dataset published (`processing`) or unpublished (`deleting`). Raises OdsRefused (400)."""
    need_status(dataset, *RESTING)
    move(connection, dataset, "queued", call.now, aim=aim)
    if call.workshop is not None:
        call.workshop.later(process, dataset.id)


def publish_metadata(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/publish_metadata/: show the metadata as configured; records stay."""
    dataset = _publishable(call, connection, names)
    need_status(dataset, *RESTING)
    if dataset.live is None:
        message = "Invalid precondition, the dataset must be published"
        raise automation_error(400, "invalid_dataset_status", message)
    live = {**dataset.live, "metadata": dataset.document["metadata"]}
    keep(connection, dataset, live=live, metadata_processed=call.now)
    return as_json(_OK)


def abort(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/abort/: end the processing; the records processed so far are published."""
    dataset = _publishable(call, connection, names)
    need_status(dataset, "queued", "processing")
    move(connection, dataset, "aborting_processing", call.now)
    return as_json(_OK)


def status(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/status/."""
    dataset = _publishable(call, connection, names)
    return as_json(describe_status(dataset, resources(connection, dataset.id), call.now))


def copy(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/copy/: an unpublished dataset with the same configuration and files, and new keys."""
    required(call, connection, "create_dataset")
    dataset = existing(connection, names)
    document = {**dataset.document, "schedules": []}
    name = _free(connection, f"{dataset.dataset_id}-copy")
    made = add_dataset(connection, name, document, dataset.is_restricted, call.now)
    for source in resources(connection, dataset.id):
        _copy_resource(connection, source, made, call.now)
    return as_json(describe(made), 201)


def _copy_resource(connection: sqlite3.Connection, source: Resource, target: Dataset, now: float) -> None:
    document = {**source.document, "created_at": now}
    if source.kind == "realtime":
        add_resource(connection, target, document, digest(new_key()))
        return
    if "file" not in document["datasource"]:
        add_resource(connection, target, document, None)
        return
    uid = new_uid("fi")
    connection.execute(
        "INSERT INTO ods_files SELECT NULL, ?, ?, kind, filename, mimetype, body, ? FROM ods_files WHERE uid = ?",
        (uid, target.id, now, document["datasource"]["file"]["uid"]),
    )
    document["datasource"] = {**document["datasource"], "file": {"uid": uid}}
    add_resource(connection, target, document, None)


def _publishable(call: Call, connection: sqlite3.Connection, names: Names) -> Dataset:
    """The dataset, for a key that may publish it, or for a push key of one of its resources."""
    if call.option("pushkey") and caller(call, connection) is None:
        dataset = by_uid(connection, names["dataset"])
        if dataset is None or not _opens(call, connection, dataset):
            raise bad_key()
        return dataset
    required(call, connection, "publish_dataset")
    return existing(connection, names)


def _opens(call: Call, connection: sqlite3.Connection, dataset: Dataset) -> bool:
    given = digest(call.option("pushkey"))
    keys = [one.key_sha256 for one in resources(connection, dataset.id) if one.key_sha256]
    return any(hmac.compare_digest(given, key) for key in keys)


def checked_security(given: object) -> dict[str, Any]:
    """What somebody may see of a dataset. What this portal could not hold to is refused. Raises OdsRefused (400)."""
    security = {**EVERYTHING, **given} if isinstance(given, dict) else EVERYTHING
    wrong = given is not None and not isinstance(given, dict)
    if wrong or security.keys() != EVERYTHING.keys() or not isinstance(security["is_data_visible"], bool):
        raise invalid(security=f"The keys are {', '.join(EVERYTHING)}.")
    if security["visible_fields"] is not None or security["filter_query"]:
        raise invalid(security="This portal shows all fields and records of a dataset, or none.")
    return security


def checked_metadata(given: object, *, whole: bool = True) -> dict[str, Any]:
    """Metadata by template and field, each `{"value": ...}`. Raises OdsRefused (400)."""
    if not isinstance(given, dict):
        raise invalid(metadata="An object of templates is expected.")
    made: dict[str, Any] = {"default": {}, "internal": {}} if whole else {}
    for template, fields in given.items():
        if not isinstance(fields, dict) or not re.fullmatch(r"[a-z0-9_]{1,50}", template, re.ASCII):
            raise invalid(metadata="A template is an object of fields.")
        made[template] = {name: checked_value(value) for name, value in fields.items()}
    return made


def checked_value(given: object) -> dict[str, Any]:
    """One metadata value as it is kept. Raises OdsRefused (400)."""
    if not isinstance(given, dict) or "value" not in given:
        raise invalid(value="This field is required.")
    return {
        "value": given["value"],
        "remote_value": given.get("remote_value"),
        "override_remote_value": given.get("override_remote_value"),
    }


def _flag(body: dict[str, Any], name: str, default: bool) -> bool:
    given = body.get(name, default)
    if not isinstance(given, bool):
        raise invalid(**{name: "Must be a valid boolean."})
    return given


def _identifier(connection: sqlite3.Connection, given: object) -> str:
    if not isinstance(given, str) or not _IDENTIFIER.fullmatch(given):
        raise invalid(dataset_id="Lower-case letters, digits, hyphens and underscores are expected.")
    if by_id(connection, given) is not None:
        raise invalid(dataset_id="A dataset with this identifier already exists.")
    return given


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:150] or "dataset"


def _free(connection: sqlite3.Connection, wanted: str) -> str:
    name, number = wanted, 0
    while by_id(connection, name) is not None:
        number += 1
        name = f"{wanted}-{number}"
    return name


_ONE = "datasets/{dataset}/"
ROUTES = (
    ods_route("GET", AUTOMATION, "datasets/", listed),
    ods_route("POST", AUTOMATION, "datasets/", create, writes=True),
    ods_route("GET", AUTOMATION, _ONE, show),
    ods_route("PUT", AUTOMATION, _ONE, update, writes=True),
    ods_route("DELETE", AUTOMATION, _ONE, delete, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "publish/", publish, writes=True, slash=False),
    ods_route("POST", AUTOMATION, _ONE + "unpublish/", unpublish, writes=True, slash=False),
    ods_route("POST", AUTOMATION, _ONE + "publish_metadata/", publish_metadata, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "abort/", abort, writes=True),
    ods_route("POST", AUTOMATION, _ONE + "copy/", copy, writes=True),
    ods_route("GET", AUTOMATION, _ONE + "status/", status),
)
