"""
The older addresses of a dataset's page: /explore/dataset/<id>/, and its download, which many scripts still call.

After the requests of the client odsclient, the errors that it reads (`error` holds the message), and scripts in public
code. Somebody who may not read the records gets 200 with the page to sign in, as live portals were seen to answer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace

from .answers import HTML, Answer, Call, Names
from .ods_answers import PAGE, OdsRefused, moment, ods_route
from .ods_explore import export, readable, shown_as
from .ods_exports import chunked
from .ods_fields import from_document
from .ods_queries import ask, whole

_FORMATS = {
    "csv": "csv",
    "json": "json",
    "geojson": "geojson",
    "xls": "xlsx",
    "xlsx": "xlsx",
    "parquet": "parquet",
}
_RENAMED = {
    "use_labels_for_header": "use_labels",
    "csv_separator": "delimiter",
    "sort": "order_by",
    "rows": "limit",
}
_SIGN_IN = b"<!doctype html><title>Sign in</title><p>Sign in to read this dataset."


def page(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /explore/dataset/<id>/: where explore describes the dataset."""
    dataset = readable(call, connection, names, records_too=False)
    target = f"/api/explore/v2.1/catalog/datasets/{dataset.dataset_id}"
    return Answer(302, b"", HTML, (("Location", target),))


def download(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /explore/dataset/<id>/download/: every record, as `format` says (csv, json, geojson, xls, parquet)."""
    form = call.option("format", "csv").lower()
    if form not in _FORMATS:
        raise OdsRefused(400, {"error": f"The export format is not one of {', '.join(_FORMATS)}."})
    asked, refused = replace(call, query=_newer(call)), None
    try:
        if form == "json":
            return _records(asked, connection, names)
        return export(asked, connection, {**names, "format": _FORMATS[form]})
    except OdsRefused as raised:
        refused = raised
    if refused.status == 403:
        return Answer(200, _SIGN_IN, HTML)
    raise OdsRefused(refused.status, {"error": refused.body.get("message") or refused.body["error"]})


def _newer(call: Call) -> tuple[tuple[str, str], ...]:
    """The parameters as explore v2.1 calls them: `q` is a text to search for, `refine.<facet>=<value>` a refine."""
    made = [("with_bom", "false")] if not call.option("with_bom") else []
    for key, value in call.query:
        clause, dot, facet = key.partition(".")
        if dot and clause in ("refine", "exclude"):
            made.append((clause, f"{facet}:{value}"))
        elif key == "q" and value.strip():
            made.append(("where", json.dumps(value, ensure_ascii=False)))
        elif key == "sort":
            made.append(("order_by", _order(value)))
        elif key not in ("format", "select", "group_by"):
            made.append((_RENAMED.get(key, key), value))
    return tuple(made)


def _order(value: str) -> str:
    """`sort=name` sorts down, `sort=-name` up: the older interface's way round."""
    return value[1:] if value.startswith("-") else f"-{value}"


def _records(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """The older JSON: an object for each record, its cells under `fields`, without those that are empty."""
    dataset = readable(call, connection, names)
    question = ask(call, dataset.table, from_document(dataset.live).fields)
    head, shown = "SELECT ", shown_as(call, dataset, question)
    query = f"SELECT rid, at, {question.sql.removeprefix(head)} LIMIT ? OFFSET ?"
    window = (whole(call, "limit", -1), max(whole(call, "start", 0), 0))
    rows = connection.execute(query, (*question.values, *window))

    def pieces() -> Iterator[bytes]:
        yield b"["
        for number, (rid, at, *cells) in enumerate(rows):
            fields = {name: value for name, value in shown.record(cells).items() if value is not None}
            one = {"datasetid": dataset.dataset_id, "recordid": rid, "fields": fields}
            text = json.dumps({**one, "record_timestamp": moment(at)}, ensure_ascii=False)
            yield (b"," if number else b"") + text.encode()
        yield b"]"

    name = f'attachment; filename="{dataset.dataset_id}.json"'
    return Answer(200, chunked(pieces()), "application/json; charset=utf-8", (("Content-Disposition", name),))


ROUTES = (
    ods_route("GET", PAGE, "{dataset}", page),
    ods_route("GET", PAGE, "{dataset}/download", download),
)
