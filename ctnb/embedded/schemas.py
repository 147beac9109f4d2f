"""Input and output schemas as documents: what a source holds, and the columns that transforms make of it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .catalogue import View
from .cells import TEXT, cell_type
from .drafts import Draft, add, keep, lookup, numbers, refused, stamp, view_by_number
from .parsing import Parsed
from .soql import Node, fields_of, parse_expression
from .transforms import Mistaken, Plan

_GUESSED = {
    "number": "to_number(`{}`)",
    "calendar_date": "to_floating_timestamp(`{}`)",
    "checkbox": "to_boolean(`{}`)",
}
COLUMN_LIMIT = 2000
_FIELD_NAME = re.compile(r"[a-z_][a-z0-9_]{0,254}")


def add_input(
    connection: sqlite3.Connection, source: Draft, parsed: Parsed, guesses: list[str], now: float
) -> Draft:
    """Keep the input schema of a file that was read."""
    first = numbers(connection, len(parsed.columns))
    columns = [
        {
            "id": first + at,
            "soql_type": column.kind.name,
            "guessed_soql_type": guess,
            "field_name": column.field_name,
            "display_name": column.display_name,
            "position": at + 1,
            "semantic_type": None,
        }
        for at, (column, guess) in enumerate(zip(parsed.columns, guesses, strict=True))
    ]
    document = {
        "name": None,
        "source_id": source.id,
        "total_rows": parsed.rows,
        "num_row_errors": parsed.wrong,
        "created_at": stamp(now),
        "input_columns": columns,
    }
    return add(connection, "input_schemas", source.id, document)


def default_columns(schema: Draft, view: View | None) -> list[dict[str, Any]]:
    """An output column for each input column: as the dataset has it, or else as its cells look."""
    columns = []
    for column in schema.document["input_columns"]:
        name = column["field_name"]
        known = view.column(name) if view else None
        wanted = {key: column[key] for key in ("field_name", "display_name", "position")}
        kind = column["guessed_soql_type"]
        if known is not None:
            identifies = view is not None and view.identifier == known
            told = {"description": known.description, "format": known.format, "is_primary_key": identifies}
            wanted |= {"display_name": known.name, **told}
            kind = known.kind.name
        plain = kind == column["soql_type"] or kind == "text"
        form = "`{}`" if plain else _GUESSED.get(kind, f"to_{kind}(`{{}}`)")
        columns.append({**wanted, "transform": {"transform_expr": form.format(name)}})
    return columns


def add_output(
    connection: sqlite3.Connection, schema: Draft, columns: Iterable[Any], sort_bys: Any, now: float
) -> Draft:
    """Keep an output schema, still to be worked out. Raises Refused (400) for columns that cannot be."""
    wanted = [dict(column) for column in columns if isinstance(column, dict)]
    if not wanted or len(wanted) > COLUMN_LIMIT:
        raise refused(400, "invalid_output_schema", f"output_columns lists 1 to {COLUMN_LIMIT} columns")
    wanted.sort(key=lambda column: _position(column.get("position")))
    plan, first = plan_of(schema), numbers(connection, 2 * len(wanted))
    made = [_output_column(schema, plan, column, first + 2 * at, at + 1) for at, column in enumerate(wanted)]
    names = [column["field_name"] for column in made]
    if len(set(names)) != len(names) or sum(column["is_primary_key"] for column in made) > 1:
        raise refused(400, "invalid_output_schema", "Field names are unique, and one column identifies rows")
    document = {
        "input_schema_id": schema.id,
        "error_count": None,
        "total_rows": schema.document["total_rows"],
        "completed_at": None,
        "finished_at": None,
        "created_at": stamp(now),
        "sort_bys": _sorting(sort_bys, names),
        "output_columns": made,
    }
    return add(connection, "output_schemas", schema.id, document)


def plan_of(schema: Draft, made: Mapping[Node, tuple[str, str]] = MappingProxyType({})) -> Plan:
    """A plan over the columns of an input schema; `made` as in Plan."""
    columns = schema.document["input_columns"]
    return Plan(
        {
            column["field_name"]: (f"c{column['position']}", cell_type(column["soql_type"]) or TEXT)
            for column in columns
        },
        made,
    )


def family(connection: sqlite3.Connection, source: Draft) -> tuple[Draft | None, View | None]:
    """The revision that a source belongs to and the dataset of that, if any."""
    revision = lookup(connection, "revisions", source.parent) if source.parent is not None else None
    if revision is None or revision.parent is None:
        return revision, None
    return revision, view_by_number(connection, revision.parent)


def adopt(connection: sqlite3.Connection, revision: Draft | None, output: Draft) -> None:
    """The newest output schema is what an open revision applies, until one is chosen by name."""
    if revision is not None and not revision.document.get("_chosen") and not revision.document["closed_at"]:
        keep(connection, "revisions", revision, output_schema_id=output.id)


def input_table(folder: Path, schema: int) -> Path:
    """Where the texts of an input schema are."""
    return folder / f"input-{schema}.parquet"


def output_table(folder: Path, schema: int) -> Path:
    """Where the values and errors of an output schema are."""
    return folder / f"output-{schema}.parquet"


def _position(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float("inf")


def _output_column(
    schema: Draft, plan: Plan, wanted: dict[str, Any], number: int, position: int
) -> dict[str, Any]:
    transform = wanted.get("transform")
    expression = str(transform.get("transform_expr", "")) if isinstance(transform, dict) else ""
    name = str(wanted.get("field_name", ""))
    if not _FIELD_NAME.fullmatch(name):
        raise refused(
            400, "invalid_output_schema", "A field_name is of lower-case letters, digits and underscores"
        )
    wrong = ""
    try:
        column = plan.add(expression)
    except Mistaken as mistake:
        wrong = str(mistake)
    if wrong:
        raise refused(400, "invalid_transform", f"Column '{name}': {wrong}", field_name=name)
    used = {field.lower() for field in fields_of(parse_expression(expression))}
    inputs = [one["id"] for one in schema.document["input_columns"] if one["field_name"] in used]
    return {
        "id": number,
        "field_name": name,
        "display_name": str(wanted.get("display_name") or name),
        "description": wanted.get("description"),
        "position": position,
        "is_primary_key": wanted.get("is_primary_key") is True,
        "format": wanted["format"] if isinstance(wanted.get("format"), dict) else {},
        "flags": wanted["flags"] if isinstance(wanted.get("flags"), list) else [],
        "initial_output_column_id": wanted.get("initial_output_column_id"),
        "transform": {
            "id": number + 1,
            "transform_expr": expression,
            "output_soql_type": column.kind.name,
            **dict.fromkeys(("completed_at", "finished_at", "failed_at", "failure_details")),
            "error_count": 0,
            "attempts": 0,
            "transform_input_columns": [{"input_column_id": one} for one in inputs],
            "parsed_expr": {},
        },
    }


def _sorting(sort_bys: Any, names: list[str]) -> list[dict[str, Any]]:
    if not isinstance(sort_bys, (list, type(None))):
        raise refused(400, "invalid_output_schema", "sort_bys is a list")
    sorting = []
    for one in sort_bys or []:
        if not isinstance(one, dict) or one.get("field_name") not in names:
            raise refused(400, "invalid_output_schema", "sort_bys names a column that is not there")
        sorting.append({"field_name": one["field_name"], "ascending": one.get("ascending") is not False})
    return sorting
