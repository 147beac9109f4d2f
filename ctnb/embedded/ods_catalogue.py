"""The catalogue of explore v2.1: the published datasets, asked by ODSQL over their metadata, and their facets."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .answers import Answer, Call, Names, as_json
from .ods_answers import EXPLORE, explore_error, ods_route
from .ods_catalogue_exports import FORMATS
from .ods_explore import counted, described
from .ods_exports import Shown
from .ods_fields import Field
from .ods_keys import caller, may_see
from .ods_queries import Question, ask, register, whole, window
from .ods_store import all_datasets

_FIELDS = (
    ("dataset_id", "text"), ("title", "text"), ("description", "text"), ("publisher", "text"),
    ("keyword", "text"), ("theme", "text"), ("language", "text"), ("license", "text"), ("features", "text"),
    ("modified", "datetime"), ("data_processed", "datetime"), ("metadata_processed", "datetime"),
    ("records_count", "int"),
)  # fmt: skip
_FACETS = ("features", "modified", "publisher", "keyword", "theme", "language", "license")
_MANY = {name: ["\x1f"] for name in ("keyword", "theme", "features")}
"""Fields of many values, and what separates them in the table."""
_TABLE = "catalogue"


@dataclass(frozen=True)
class _Catalogue:
    """The datasets that a caller may see, as a table in memory."""

    connection: sqlite3.Connection
    fields: tuple[Field, ...]
    shown: dict[str, dict[str, Any]]
    """The datasets as they are shown, by their ids."""

    def ids(self, call: Call) -> list[str]:
        """The ids of the datasets that the conditions of a call hold for, in the order it asks for."""
        kept = tuple((key, value) for key, value in call.query if key not in ("select", "group_by"))
        question = ask(replace(call, query=(*kept, ("select", "dataset_id"))), _TABLE, self.fields)
        return [row[0] for row in self.connection.execute(question.sql, question.values)]

    def page(self, question: Question, limit: int, offset: int) -> dict[str, Any]:
        """What a question with `select` or `group_by` finds, expression by expression."""
        total = self.connection.execute(question.count_sql, question.count_values).fetchone()[0]
        rows = self.connection.execute(f"{question.sql} LIMIT ? OFFSET ?", (*question.values, limit, offset))
        shown = Shown(question.outputs, question.zone, "")
        return {"total_count": total, "results": [shown.record(row) for row in rows]}


@contextlib.contextmanager
def _catalogue(call: Call, connection: sqlite3.Connection) -> Iterator[_Catalogue]:
    known = caller(call, connection)
    visible = [one for one in all_datasets(connection) if one.is_published and may_see(one, known)]
    shown = {one.dataset_id: described(call, connection, one) for one in visible}
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        register(memory)
        yield _Catalogue(memory, _filled(memory, shown), shown)


def _filled(memory: sqlite3.Connection, shown: dict[str, dict[str, Any]]) -> tuple[Field, ...]:
    """Make the table; each field goes by its name, those of the metadata by `default.<name>` too."""
    fields = []
    for name, kind in _FIELDS:
        annotations: dict[str, list[str]] = {"facet": []} if name in _FACETS else {}
        annotations |= {"multivalued": _MANY[name]} if name in _MANY else {}
        fields.append(Field(name, name, kind, name, annotations=annotations, column=f"c_{name}"))
    columns = ", ".join(one.column for one in fields)
    memory.execute(f"CREATE TABLE {_TABLE} (sid INTEGER PRIMARY KEY, {columns})")
    marks = ", ".join("?" * len(fields))
    for one in shown.values():
        values = {**one["metas"]["default"], "dataset_id": one["dataset_id"], "features": one["features"]}
        memory.execute(
            f"INSERT INTO {_TABLE} VALUES (NULL, {marks})", [_cell(values.get(f.name)) for f in fields]
        )
    again = [replace(one, name=f"default.{one.name}", annotations={}) for one in fields[1:]]
    return (*fields, *again)


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return "\x1f".join(map(str, value)) or None
    return json.dumps(value) if isinstance(value, dict) else value


def datasets(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/datasets: a page of the datasets; with `select` or `group_by`, of what they find."""
    with _catalogue(call, connection) as catalogue:
        if call.option("select").strip() or call.option("group_by").strip():
            question = ask(call, _TABLE, catalogue.fields)
            return as_json(catalogue.page(question, *window(call, question.grouped)))
        limit, offset = window(call, False)
        found = catalogue.ids(call)
        results = [catalogue.shown[name] for name in found[offset : offset + limit]]
        return as_json({"total_count": len(found), "results": results})


def facets(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/facets: publishers, themes, keywords ... with their counts of datasets."""
    with _catalogue(call, connection) as catalogue:
        return as_json({"links": [], "facets": counted(call, catalogue.connection, _TABLE, catalogue.fields)})


def formats(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/exports: a link for each format."""
    address = f"{call.origin}/api/explore/v2.1/catalog/exports"
    links = [{"rel": name, "href": f"{address}/{name}"} for name in FORMATS]
    return as_json({"links": [{"rel": "self", "href": address}, *links]})


def export(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /catalog/exports/<format>: every dataset that the conditions hold for."""
    if names["format"] not in FORMATS:
        message = f"The export format is not one of {', '.join(FORMATS)}."
        raise explore_error(400, "InvalidExportFormat", message)
    limit, offset = whole(call, "limit", -1), whole(call, "offset", 0)
    if limit < -1 or offset < 0:
        message = "Invalid value for limit API parameter: -1 <= limit is expected."
        raise explore_error(400, "InvalidRESTParameterError", message)
    with _catalogue(call, connection) as catalogue:
        found = catalogue.ids(call)[offset:]
        chosen = [catalogue.shown[name] for name in (found if limit < 0 else found[:limit])]
    render, content_type, ending = FORMATS[names["format"]]
    headers = (("Content-Disposition", f'attachment; filename="catalog.{ending}"'),)
    return Answer(200, render(chosen, call), content_type, headers)


ROUTES = (
    ods_route("GET", EXPLORE, "catalog/datasets", datasets),
    ods_route("GET", EXPLORE, "catalog/facets", facets),
    ods_route("GET", EXPLORE, "catalog/exports", formats),
    ods_route("GET", EXPLORE, "catalog/exports/{format}", export),
)
