"""The schemas of DSMAPI: transforms asked for, their rows and errors shown, a row identifier tried."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, encode, route
from .cells import TEXT, CellType, cell_type
from .drafts import BASE, Draft, children, input_links, load, missing, output_links, refused
from .parsing import wrong_rows
from .preparing import run_output
from .schemas import add_output, adopt, family, input_table, output_table, plan_of
from .uploads import read_object, workshop_of
from .vectors import teach
from .workshop import engine, quoted

PAGE_LIMIT = 10_000
CSV = "text/csv; charset=UTF-8"


def show_input(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /source/<source>/schema/<input>."""
    publisher(call)
    schema = _input(connection, names)
    outputs = [output.shown() for output in children(connection, "output_schemas", schema.id)]
    links = input_links(f"{BASE}/source/{schema.parent}/schema/{schema.id}")
    return as_json({"resource": {**schema.shown(), "output_schemas": outputs}, "links": links})


def transform(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /source/<source>/schema/<input>: a new output schema, worked out in its turn."""
    publisher(call)
    schema, body = _input(connection, names), read_object(call)
    columns = body.get("output_columns")
    columns = columns if isinstance(columns, list) else []
    output = add_output(connection, schema, columns, body.get("sort_bys"), call.now)
    revision, _ = family(connection, load(connection, "sources", names["source"]))
    adopt(connection, revision, output)
    workshop_of(call).later(run_output, output.id)
    return as_json(_describe(schema, output), 201)


def latest(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /source/<source>/schema/<input>/output/latest."""
    publisher(call)
    schema = _input(connection, names)
    outputs = children(connection, "output_schemas", schema.id)
    if not outputs:
        raise missing("output_schemas")
    return as_json(_describe(schema, outputs[-1]))


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /source/<source>/schema/<input>/output/<output>."""
    publisher(call)
    schema = _input(connection, names)
    return as_json(_describe(schema, _output(connection, schema, names)))


def rows(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /source/<source>/schema/<input>/rows/<output>: the schema, then rows in the order of the file."""
    publisher(call)
    schema = _input(connection, names)
    output = _output(connection, schema, names)
    return Answer(200, encode([output.shown(), *_page(call, schema, output)]))


def errors(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /source/<source>/schema/<input>/errors/<output>: the rows with an error; as CSV when asked for."""
    publisher(call)
    schema = _input(connection, names)
    output = _output(connection, schema, names)
    if "text/csv" in call.headers.get("Accept", ""):
        _need(output_table(workshop_of(call).place(schema.parent or 0), output.id))
        return Answer(200, _errors_csv(call, schema, output), CSV)
    return Answer(200, encode([output.shown(), *_page(call, schema, output, only="bad")]))


def row_errors(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /source/<source>/schema/<input>/errors: the rows with too few or too many cells."""
    publisher(call)
    schema = _input(connection, names)
    folder = workshop_of(call).place(schema.parent or 0)
    table = wrong_rows(input_table(folder, schema.id))
    if not table.exists():
        return as_json([])
    limit, offset = _number(call, "limit", 500), _number(call, "offset", 0)
    query = (
        f"SELECT line, text FROM read_parquet({quoted(table)}) ORDER BY line LIMIT {limit} OFFSET {offset}"
    )
    wanted = len(schema.document["input_columns"])
    options = load(connection, "sources", schema.parent or 0).document["parse_options"]
    signs = {"delimiter": options["column_separator"], "quotechar": options["quote_char"]}
    found = []
    for line, text in _ask(folder, query):
        cells = next(iter(csv.reader([str(text).rstrip("\r\n")], **signs)), [])
        kind = "malformed" if len(cells) == wanted else "too_short" if len(cells) < wanted else "too_long"
        error = {"wanted": wanted, "type": kind, "got": len(cells), "contents": cells}
        found.append({"offset": line, "error": error})
    return as_json(found)


def validate(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET .../transform/<transform>/validate_row_identifier: whether it is unique and never blank."""
    publisher(call)
    schema = _input(connection, names)
    wanted = int(names["transform"])
    columns = [
        column
        for output in children(connection, "output_schemas", schema.id)
        for column in output.document["output_columns"]
        if column["transform"]["id"] == wanted
    ]
    if not columns:
        raise missing("transforms")
    folder = workshop_of(call).place(schema.parent or 0)
    given = input_table(folder, schema.id)
    _need(given)
    plan = plan_of(schema)
    plan.add(columns[0]["transform"]["transform_expr"])
    source = f"read_parquet({quoted(given)})"
    query = f"SELECT count(*), count(v1), count(DISTINCT v1) FROM ({plan.sql(source)})"
    ((everything, known, different),) = _ask(folder, query)
    return as_json({"valid": everything == known == different})


def _page(call: Call, schema: Draft, output: Draft, only: str = "true") -> Iterator[dict[str, Any]]:
    limit, offset = _number(call, "limit", 500), _number(call, "offset", 0)
    if limit > PAGE_LIMIT:
        raise refused(400, "invalid_request", f"limit is at most {PAGE_LIMIT}", parameter="limit")
    columns = output.document["output_columns"]
    kinds = [cell_type(column["transform"]["output_soql_type"]) or TEXT for column in columns]
    names = [one["field_name"] for one in schema.document["input_columns"]]
    for at, cells, failures, inputs in _rows(call, schema, output, only, limit, offset):
        given = {name: {"ok": text} for name, text in zip(names, inputs, strict=True)}
        row = [
            _shown(kind, cell)
            if failure is None
            else {"error": {"message": failure, "inputs": _used(schema, column, given)}}
            for kind, cell, failure, column in zip(kinds, cells, failures, columns, strict=True)
        ]
        yield {"row": row, "offset": at}


def _used(schema: Draft, column: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    used = {one["input_column_id"] for one in column["transform"]["transform_input_columns"]}
    names = [one["field_name"] for one in schema.document["input_columns"] if one["id"] in used]
    return {name: given[name] for name in names}


Row = tuple[int, tuple[str | None, ...], tuple[str | None, ...], tuple[str | None, ...]]


def _rows(
    call: Call, schema: Draft, output: Draft, only: str, limit: int | None, offset: int
) -> Iterator[Row]:
    """Number, values, errors and inputs of the rows of an output schema."""
    folder = workshop_of(call).place(schema.parent or 0)
    table = output_table(folder, output.id)
    _need(table)
    count, width = len(output.document["output_columns"]), len(schema.document["input_columns"])
    chosen = ", ".join(
        [f"v{at}" for at in range(1, count + 1)]
        + [f"e{at}" for at in range(1, count + 1)]
        + [f"c{at}" for at in range(1, width + 1)]
    )
    made = f"read_parquet({quoted(table)}, file_row_number = true)"
    given = f"read_parquet({quoted(input_table(folder, schema.id))}, file_row_number = true)"
    page = f"SELECT * FROM {made} WHERE {only} ORDER BY file_row_number"
    page += f" LIMIT {limit} OFFSET {offset}" if limit is not None else ""
    query = (
        f"SELECT page.file_row_number, {chosen} FROM ({page}) page JOIN {given} given"
        " ON page.file_row_number = given.file_row_number ORDER BY page.file_row_number"
    )
    for at, *cells in _ask(folder, query):
        yield at, tuple(cells[:count]), tuple(cells[count : 2 * count]), tuple(cells[2 * count :])


def _need(table: Path) -> None:
    """Raises Refused (409) where a file of rows is not there."""
    if not table.exists():
        raise refused(409, "not_finished", "The transforms are not worked out yet, or their files are gone")


def _ask(folder: Path, query: str) -> Iterator[tuple[Any, ...]]:
    connection = engine(folder)
    try:
        teach(connection)
        found = connection.execute(query)
        while batch := found.fetchmany(1000):
            yield from batch
    finally:
        connection.close()


def _shown(kind: CellType, cell: str | None) -> dict[str, Any]:
    if cell is None:
        return {"ok": None}
    stored = int(cell) if kind.soda == "boolean" else cell
    return {"ok": json.loads(kind.json(stored))}


def _errors_csv(call: Call, schema: Draft, output: Draft) -> Iterator[bytes]:
    """One line for each wrong cell: row, column, what is wrong, and the row as it was sent."""
    names = [column["field_name"] for column in output.document["output_columns"]]
    given = [column["field_name"] for column in schema.document["input_columns"]]
    head = ["row", "column", "error", *given]
    yield _csv_line(head)
    for at, _, failures, inputs in _rows(call, schema, output, "bad", None, 0):
        for name, failure in zip(names, failures, strict=True):
            if failure is not None:
                yield _csv_line([at + 1, name, failure, *inputs])


def _csv_line(cells: list[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


def _number(call: Call, name: str, default: int) -> int:
    text = call.option(name, str(default))
    if not text.isdecimal() or len(text) > 15:
        raise refused(400, "invalid_request", f"{name} is a whole number", parameter=name)
    return int(text)


def _input(connection: sqlite3.Connection, names: Names) -> Draft:
    schema = load(connection, "input_schemas", names["input"])
    if schema.parent != int(names["source"]):
        raise missing("input_schemas")
    return schema


def _output(connection: sqlite3.Connection, schema: Draft, names: Names) -> Draft:
    output = load(connection, "output_schemas", names["output"])
    if output.parent != schema.id:
        raise missing("output_schemas")
    return output


def _describe(schema: Draft, output: Draft) -> dict[str, Any]:
    return {"resource": output.shown(), "links": output_links(schema.parent or 0, schema.id, output.id)}


_SCHEMA = f"{BASE}/source/{{source}}/schema/{{input}}"
ROUTES = (
    route("GET", _SCHEMA, show_input),
    route("POST", _SCHEMA, transform, writes=True),
    route("GET", f"{_SCHEMA}/output/latest", latest),
    route("GET", f"{_SCHEMA}/output/{{output}}", show),
    route("GET", f"{_SCHEMA}/rows/{{output}}", rows),
    route("GET", f"{_SCHEMA}/errors/{{output}}", errors),
    route("GET", f"{_SCHEMA}/errors", row_errors),
    route("GET", f"{_SCHEMA}/transform/{{transform}}/validate_row_identifier", validate),
)
