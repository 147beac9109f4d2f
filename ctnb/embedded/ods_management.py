"""The older management interface, v2, as far as it is still met: find a dataset, publish, unpublish, status."""

from __future__ import annotations

import re
import sqlite3

from .answers import Answer, Call, Names, as_json
from .ods_answers import MANAGEMENT, management_error, moment, ods_route
from .ods_automation import EDITORS, queue
from .ods_keys import required
from .ods_processing import RESTING
from .ods_store import Dataset, all_datasets, by_uid

_WHERE = re.compile(r"datasetid\s*=\s*[\"']?([A-Za-z0-9_@-]{1,200})[\"']?", re.ASCII)


def listed(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/?where=datasetid="<id>"; without a condition all of them."""
    required(call, connection, *EDITORS)
    found, where = all_datasets(connection), call.option("where").strip()
    if where:
        match = _WHERE.fullmatch(where)
        if match is None:
            message = 'This portal takes the condition datasetid="<identifier>".'
            raise management_error(400, "InvalidQueryException", message)
        found = [one for one in found if one.dataset_id == match[1]]
    datasets = [{"dataset_uid": one.uid, "dataset_id": one.dataset_id} for one in found]
    return as_json({"total_count": len(datasets), "datasets": datasets})


def publish(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /datasets/<uid>/publish."""
    return _queue(call, connection, names, "processing")


def unpublish(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /datasets/<uid>/unpublish."""
    return _queue(call, connection, names, "deleting")


def status(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/status."""
    required(call, connection, *EDITORS)
    return as_json(_described(_dataset(connection, names)))


def _queue(call: Call, connection: sqlite3.Connection, names: Names, aim: str) -> Answer:
    required(call, connection, "publish_dataset")
    dataset = _dataset(connection, names)
    current, allowed = dataset.status["status"], ", ".join(RESTING)
    if current not in RESTING:
        message = f"Invalid precondition, dataset status is '{current}' but must be one of '{allowed}'"
        key = "InvalidDatasetStatusPreconditionException"
        params = {"authorized_origin_status": allowed, "current_status": current}
        raise management_error(400, key, message, **params)
    queue(call, connection, dataset, aim)
    return as_json(_described(_dataset(connection, names)))


def _dataset(connection: sqlite3.Connection, names: Names) -> Dataset:
    dataset = by_uid(connection, names["dataset"])
    if dataset is None:
        raise management_error(404, "DatasetNotFoundException", "The requested dataset does not exist.")
    return dataset


def _described(dataset: Dataset) -> dict[str, object]:
    status = dataset.status
    return {"published": dataset.is_published, "name": status["status"], "since": moment(status["since"])}


ROUTES = (
    ods_route("GET", MANAGEMENT, "datasets/", listed, slash=False),
    ods_route("PUT", MANAGEMENT, "datasets/{dataset}/publish/", publish, writes=True, slash=False),
    ods_route("PUT", MANAGEMENT, "datasets/{dataset}/unpublish/", unpublish, writes=True, slash=False),
    ods_route("GET", MANAGEMENT, "datasets/{dataset}/status/", status, slash=False),
)
