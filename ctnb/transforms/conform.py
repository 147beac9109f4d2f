"""
Fitting a transform's result to the columns that the contract says come out.

Everything is DuckDB SQL over a relation, so that R, SQL and pandas results meet one and the same judge: a value
that its type cannot hold without loss is a misfit, counted and never quoted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctnb.constraints import broken_sql
from ctnb.contracts.columns import Column
from ctnb.errors import TransformInvalid
from ctnb.values import Kind, parquet_type, parse_sql, quote_name

if TYPE_CHECKING:
    import duckdb

_WHOLE = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER")
_NUMERIC = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL.*|DOUBLE|FLOAT)")
_TEXTUAL = re.compile(r"VARCHAR|UUID|ENUM.*")
_EXACT = 2**53


def conformed_sql(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], passed: str | None = None
) -> str:
    """
    SQL for the rows of `relation` with exactly `columns`, in their order and types.

    `passed` is a column that goes along untouched. Raises TransformInvalid when columns are missing or too
    many, or hold values that their types cannot hold; it says which columns and how many values.
    """
    described = connection.execute(f"DESCRIBE SELECT * FROM {quote_name(relation)}").fetchall()
    types = {str(row[0]): str(row[1]) for row in described if row[0] != passed}
    check_names(list(types), columns)
    cells = [(column, *_cell(types[column.name], column)) for column in columns]
    _check_values(connection, relation, cells)
    listed = [f"{made} AS {quote_name(column.name)}" for column, _, made in cells]
    listed += [quote_name(passed)] if passed else []
    return f"SELECT {', '.join(listed)} FROM {quote_name(relation)}"


def check_names(names: Sequence[str], columns: Sequence[Column]) -> None:
    """Raise TransformInvalid unless `names` are those of `columns`, in any order; unknown ones are not quoted."""
    wanted = [column.name for column in columns]
    parts = []
    missing = [name for name in wanted if name not in names]
    extra = [str(place) for place, name in enumerate(names, 1) if name not in wanted]
    twice = [name for name in wanted if list(names).count(name) > 1]
    if missing:
        parts.append(f"missing {', '.join(missing)}")
    if extra:
        parts.append(f"not in the contract: its columns number {', '.join(extra)}")
    if twice:
        parts.append(f"there twice: {', '.join(twice)}")
    if parts:
        raise TransformInvalid(
            f"The transform's result has other columns than the contract: {'; '.join(parts)}.",
            hint="Name the columns that come out under transform: columns: in dataset.yml.",
        )


def check_constraints(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]
) -> None:
    """
    Raise TransformInvalid when cells of `relation` break the constraints of `columns`.

    A reader sets such rows aside; after a transform there is no source row to go back to, so the step fails.
    """
    tests = [
        (column, rule, test)
        for column in columns
        for rule, test in broken_sql(column, quote_name(column.name), quote_name(relation))
    ]
    if not tests:
        return
    counts = ", ".join(f"count(*) FILTER (WHERE {test})" for _, _, test in tests)
    row = connection.execute(f"SELECT {counts} FROM {quote_name(relation)}").fetchall()[0]
    found = [
        f"{column.name} ({rule}: {rows:,} rows)"
        for (column, rule, _), rows in zip(tests, row, strict=True)
        if rows
    ]
    if found:
        raise TransformInvalid(
            f"The transform's result breaks constraints of its columns: {', '.join(found)}.",
            hint="Correct the transform, or the constraints under transform: columns:.",
        )


def _check_values(
    connection: duckdb.DuckDBPyConnection, relation: str, cells: list[tuple[Column, str, str]]
) -> None:
    """Count, per column, the values that are there before and not after the conversion."""
    counts = ", ".join(f"count({given}) - count({made})" for _, given, made in cells)
    row = connection.execute(f"SELECT {counts} FROM {quote_name(relation)}").fetchall()[0]
    misfits = [
        f"{column.name} ({lost:,} of type {column.type})"
        for (column, _, _), lost in zip(cells, row, strict=True)
        if lost
    ]
    if misfits:
        raise TransformInvalid(
            f"Values of the transform's result do not fit their columns: {', '.join(misfits)}.",
            hint="Convert them in the transform, or correct the types under transform: columns:.",
        )


def _cell(given_type: str, column: Column) -> tuple[str, str]:
    """SQL for a column's value as given (NaN is an empty cell), and as its contract's type or NULL."""
    name = quote_name(column.name)
    if given_type in ("DOUBLE", "FLOAT"):
        name = f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END"
    kind = Kind(column.kind.type, column.kind.scale)
    return name, f"CAST({_converted(kind, given_type, name)} AS {parquet_type(kind)})"


def _converted(kind: Kind, given: str, x: str) -> str:
    if _TEXTUAL.fullmatch(given):
        return parse_sql(kind, f"CAST({x} AS VARCHAR)")
    if kind.type in ("number", "money", "percent"):
        return _decimal(kind, given, x)
    if kind.type == "integer":
        return _integer(given, x)
    if kind.type in ("date", "timestamp"):
        return _time(kind, given, x)
    if kind.type == "boolean":
        whole = given == "BOOLEAN" or _WHOLE.fullmatch(given)
        return parse_sql(kind, f"CAST({x} AS VARCHAR)") if whole else "NULL"
    return parse_sql(kind, f"({_shown(given, x)})")


def _decimal(kind: Kind, given: str, x: str) -> str:
    if not _NUMERIC.fullmatch(given):
        return "NULL"
    finite = f"CASE WHEN isfinite({x}) THEN {x} END" if given in ("DOUBLE", "FLOAT") else x
    return f"TRY_CAST(round({finite}, {kind.scale}) AS {parquet_type(kind)})"


def _integer(given: str, x: str) -> str:
    if given == "BOOLEAN" or _WHOLE.fullmatch(given):
        return f"TRY_CAST({x} AS BIGINT)"
    if not _NUMERIC.fullmatch(given):
        return "NULL"
    exact = f" AND abs({x}) <= {_EXACT}" if given in ("DOUBLE", "FLOAT") else ""
    return f"CASE WHEN {x} = trunc({x}){exact} THEN TRY_CAST({x} AS BIGINT) END"


def _time(kind: Kind, given: str, x: str) -> str:
    if given.startswith("TIMESTAMP WITH"):
        x = f"timezone('UTC', {x})"
    elif given != "DATE" and not given.startswith("TIMESTAMP"):
        return "NULL"
    moment = f"TRY_CAST({x} AS TIMESTAMP)"
    if kind.type == "timestamp":
        return moment
    return f"CASE WHEN {moment} = date_trunc('day', {moment}) THEN CAST({moment} AS DATE) END"


def _shown(given: str, x: str) -> str:
    """A number, date or truth value as text; 2022 and not 2022.0."""
    if given in ("DOUBLE", "FLOAT"):
        whole = f"CAST(CAST({x} AS BIGINT) AS VARCHAR)"
        return f"CASE WHEN {x} = trunc({x}) AND abs({x}) < 1e15 THEN {whole} ELSE CAST({x} AS VARCHAR) END"
    plain = _NUMERIC.fullmatch(given) or given in ("BOOLEAN", "DATE") or given.startswith("TIMESTAMP")
    return f"CAST({x} AS VARCHAR)" if plain else "CAST(NULL AS VARCHAR)"
