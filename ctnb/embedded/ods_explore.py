"""Explore v2.1: records, one record, exports, facets, files and attachments of published datasets."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .answers import Answer, Call, Names, as_json
from .ods_answers import EXPLORE, explore_error, moment, moment_offset, ods_route
from .ods_exports import FORMATS, Shown, chunked
from .ods_fields import Field, from_document
from .ods_keys import caller, may_read, may_see
from .ods_queries import Question, ask, register, whole, window, zone
from .ods_resources import files_of, sent_file
from .ods_store import Dataset, by_id

FACET_VALUES = 100
_RECORD = re.compile(r"[0-9a-f]{40}", re.ASCII)


def readable(
    call: Call, connection: sqlite3.Connection, names: Names, *, records_too: bool = True
) -> Dataset:
    """
    The published dataset of an address, for a caller who may see it, its records too.

    Raises OdsRefused: 404, 403, 401 for a bad key.
    """
    known = caller(call, connection)
    dataset = by_id(connection, names["dataset"])
    if dataset is None or not dataset.is_published:
        message = f"The requested dataset {names['dataset']} does not exist."
        raise explore_error(404, "NotFoundResource", message)
    if not (may_read if records_too else may_see)(dataset, known):
        message = "You do not have the permission to access this dataset."
        raise explore_error(403, "ForbiddenAccess", message)
    register(connection)
    return dataset


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>."""
    dataset = readable(call, connection, names, records_too=False)
    zone(call)
    return as_json(described(call, connection, dataset))


def records(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>/records: a page of at most 100 records, 20,000 groups."""
    dataset = readable(call, connection, names)
    question = ask(call, dataset.table, from_document(dataset.live).fields)
    limit, offset = window(call, question.grouped)
    total = connection.execute(question.count_sql, question.count_values).fetchone()[0]
    rows = connection.execute(f"{question.sql} LIMIT ? OFFSET ?", (*question.values, limit, offset))
    shown = shown_as(call, dataset, question)
    return as_json({"total_count": total, "results": [shown.record(row) for row in rows]})


def record(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>/records/<record id>."""
    dataset = readable(call, connection, names)
    question = ask(call, dataset.table, from_document(dataset.live).fields)
    found = None
    if _RECORD.fullmatch(names["record"]) and not question.grouped:
        query = f"SELECT rid, at, size, {question.columns.text} FROM {dataset.table} WHERE rid = ?"
        found = connection.execute(query, (*question.columns.values, names["record"])).fetchone()
    if found is None:
        raise explore_error(404, "NotFoundResource", "The requested record does not exist.")
    head = {"_id": found[0], "_timestamp": moment(found[1]), "_size": found[2]}
    return as_json({**head, **shown_as(call, dataset, question).record(tuple(found)[3:])})


def formats(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>/exports: a link for each format."""
    dataset = readable(call, connection, names)
    address = f"{_address(call, dataset)}/exports"
    links = [{"rel": name, "href": f"{address}/{name}"} for name in FORMATS]
    return as_json({"links": [{"rel": "self", "href": address}, *links]})


def export(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>/exports/<format>: every record, or the first `limit` after `offset`."""
    dataset = readable(call, connection, names)
    if names["format"] not in FORMATS:
        message = f"The export format is not one of {', '.join(FORMATS)}."
        raise explore_error(400, "InvalidExportFormat", message)
    question = ask(call, dataset.table, from_document(dataset.live).fields)
    limit, offset = whole(call, "limit", -1), whole(call, "offset", 0)
    if limit < -1 or offset < 0:
        message = "Invalid value for limit API parameter: -1 <= limit is expected."
        raise explore_error(400, "InvalidRESTParameterError", message)
    rows = connection.execute(f"{question.sql} LIMIT ? OFFSET ?", (*question.values, limit, offset))
    render, content_type = FORMATS[names["format"]]
    pieces = chunked(_started(render(shown_as(call, dataset, question), rows, call)))
    name = f"{dataset.dataset_id}.{'zip' if names['format'] == 'shp' else names['format']}"
    headers = (("Content-Disposition", f'attachment; filename="{name}"'),)
    return Answer(200, pieces, content_type, headers)


def _started(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, the first one made now: a parameter that is not right is refused before the answer begins."""
    first = next(pieces, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from pieces

    return rest()


def facets(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>/facets: for each facet its values with their counts, the most frequent first."""
    dataset = readable(call, connection, names)
    fields = from_document(dataset.live).fields
    return as_json({"links": [], "facets": counted(call, connection, dataset.table, fields)})


def counted(
    call: Call, connection: sqlite3.Connection, table: str, fields: tuple[Field, ...]
) -> list[dict[str, Any]]:
    """The facets of a table, all or those asked for by `facet`, each value with its count."""
    asked = [value for key, value in call.query if key == "facet"]
    chosen = [one for one in fields if "facet" in one.annotations and (not asked or one.name in asked)]
    return [{"name": one.name, "facets": _facet(call, connection, table, one, fields)} for one in chosen]


def _facet(
    call: Call, connection: sqlite3.Connection, table: str, one: Field, fields: tuple[Field, ...]
) -> list[dict[str, Any]]:
    kept = tuple(
        (key, value) for key, value in call.query if key in ("where", "refine", "exclude", "timezone")
    )
    group = f"year({one.name})" if one.type in ("date", "datetime") else f"`{one.name}`"
    query = (*kept, ("select", "count(*) as n"), ("group_by", f"{group} as v"))
    question = ask(replace(call, query=query), table, fields)
    counts: dict[str, int] = {}
    for value, count in connection.execute(question.sql, question.values):
        texts = [str(value)] if not one.separator else str(value).split(one.separator)
        for text in texts if value is not None else []:
            counts[text] = counts.get(text, 0) + count
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:FACET_VALUES]
    return [{"name": value, "count": count, "state": "displayed", "value": value} for value, count in ranked]


def attachments(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>/attachments."""
    dataset = readable(call, connection, names)
    return as_json({"links": [], "attachments": _attachments(call, connection, dataset)})


def attachment(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>/attachments/<file>."""
    dataset = readable(call, connection, names)
    return sent_file(connection, dataset, "attachment", names["file"])


def content(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets/<id>/files/<file>: the bytes of a field of type file."""
    dataset = readable(call, connection, names)
    query = "SELECT mimetype, body FROM ods_contents WHERE dataset = ? AND digest = ?"
    row = connection.execute(query, (dataset.id, names["file"])).fetchone()
    if row is None:
        raise explore_error(404, "NotFoundResource", "The requested file does not exist.")
    return Answer(200, bytes(row["body"]), row["mimetype"], (("Content-Disposition", "attachment"),))


def described(call: Call, connection: sqlite3.Connection, dataset: Dataset) -> dict[str, Any]:
    """A published dataset as explore shows it: fields and metadata."""
    live = dataset.live or {}
    fields = from_document(live).fields
    kinds = {one.type for one in fields}
    features = [name for name, wanted in _FEATURES if wanted & kinds]
    metas = {
        template: {name: value["value"] for name, value in values.items()}
        for template, values in live["metadata"].items()
        if template != "internal"
    }
    count = connection.execute(f"SELECT count(*) FROM {dataset.table}").fetchone()[0]
    default = {
        "title": None,
        "description": None,
        "modified": _stamp(dataset.data_processed),
        **metas.get("default", {}),
        "data_processed": _stamp(dataset.data_processed),
        "metadata_processed": _stamp(dataset.metadata_processed),
        "records_count": count,
    }
    shown: dict[str, Any] = {
        "dataset_id": dataset.dataset_id,
        "dataset_uid": dataset.uid,
        "visibility": "restricted" if dataset.is_restricted else "domain",
        "has_records": True,
        "data_visible": may_read(dataset, caller(call, connection)),
        "features": features,
        "attachments": _attachments(call, connection, dataset),
        "alternative_exports": [],
        "fields": [one.described() for one in fields],
        "metas": {**metas, "default": default},
    }
    if call.option("include_links").lower() == "true":
        address = _address(call, dataset)
        shown["links"] = [
            {"rel": "self", "href": address},
            *(
                {"rel": rel, "href": f"{address}/{rel}"}
                for rel in ("records", "exports", "facets", "attachments")
            ),
        ]
    return shown


_FEATURES = (
    ("geo", {"geo_point_2d", "geo_shape"}),
    ("timeserie", {"date", "datetime"}),
    ("analyze", {"int", "double"}),
)


def _stamp(now: float | None) -> str | None:
    return None if now is None else moment_offset(now)


def _attachments(call: Call, connection: sqlite3.Connection, dataset: Dataset) -> list[dict[str, Any]]:
    address = f"{_address(call, dataset)}/attachments"
    return [
        {
            "id": one["uid"],
            "title": one["filename"],
            "mimetype": one["mimetype"],
            "url": f"{address}/{one['uid']}",
        }
        for one in files_of(connection, dataset, "attachment")
    ]


def _address(call: Call, dataset: Dataset) -> str:
    return f"{call.origin}/api/explore/v2.1/catalog/datasets/{dataset.dataset_id}"


def shown_as(call: Call, dataset: Dataset, question: Question) -> Shown:
    """How the records that a question finds are shown."""
    return Shown(question.outputs, question.zone, f"{_address(call, dataset)}/files/", dataset.dataset_id)


_ONE = "catalog/datasets/{dataset}"
ROUTES = (
    ods_route("GET", EXPLORE, _ONE, show),
    ods_route("GET", EXPLORE, _ONE + "/records", records),
    ods_route("GET", EXPLORE, _ONE + "/records/{record}", record),
    ods_route("GET", EXPLORE, _ONE + "/exports", formats),
    ods_route("GET", EXPLORE, _ONE + "/exports/{format}", export),
    ods_route("GET", EXPLORE, _ONE + "/facets", facets),
    ods_route("GET", EXPLORE, _ONE + "/attachments", attachments),
    ods_route("GET", EXPLORE, _ONE + "/attachments/{file}", attachment),
    ods_route("GET", EXPLORE, _ONE + "/files/{file}", content),
)
