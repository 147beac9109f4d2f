"""Filtered views of a dataset: the conditions that `views:` of the contract come to for the rows of a release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctnb.contracts.columns import Column
from ctnb.contracts.publication import FilteredView, Period
from ctnb.errors import PublishRefused
from ctnb.portals.interface import Condition, Part
from ctnb.portals.mapping import Fields
from ctnb.values import canonical_sql, parquet_type, parse_sql, quote_name, quote_text

if TYPE_CHECKING:
    import duckdb

ENDS = {"day": "1 DAY", "month": "1 MONTH", "quarter": "3 MONTHS", "year": "1 YEAR"}


def parts(connection: duckdb.DuckDBPyConnection, views: Sequence[FilteredView], fields: Fields) -> list[Part]:
    """
    The filtered views of the table `expected`, under the portal's names.

    Raises PublishRefused for a view of a column that the portal does not get, or of a value that its column cannot
    have.
    """
    known = {column.name: column for column in fields.columns}
    for view in views:
        for name in (*view.where, *([view.newest.column] if view.newest else ())):
            if name not in known:
                raise PublishRefused(
                    f"The view '{view.name}' filters by {name}, which the portal does not get.",
                    hint="Correct views: or portal: leave_out: in dataset.yml.",
                )
    return [_part(connection, view, known, fields) for view in views]


def _part(
    connection: duckdb.DuckDBPyConnection, view: FilteredView, known: dict[str, Column], fields: Fields
) -> Part:
    made = [_newest(connection, view.newest, known[view.newest.column])] if view.newest else []
    conditions = [condition for newest in made for condition in newest]
    for name, told in view.where.items():
        texts = [_text(one) for one in (told if isinstance(told, tuple) else (told,))]
        conditions.append(Condition(known[name], "=", _canonical(connection, view, known[name], texts)))
    return Part(
        view.name,
        tuple(Condition(fields.as_field(one.column), one.test, one.values) for one in conditions),
    )


def _newest(connection: duckdb.DuckDBPyConnection, period: Period, column: Column) -> list[Condition]:
    """The newest period of the rows; no condition where no row has one."""
    name = quote_name(column.name)
    if period.by == "value":
        query = f"SELECT {canonical_sql(column.kind, f'max({name})')}, NULL FROM expected"
        first, _ = connection.execute(query).fetchall()[0]
        return [Condition(column, "=", (str(first),))] if first is not None else []
    start = f"date_trunc('{period.by}', max({name}))"
    end = f"{start} + INTERVAL {ENDS[period.by]} - INTERVAL 1 {'DAY' if column.type == 'date' else 'MILLISECOND'}"
    edges = (
        canonical_sql(column.kind, f"CAST({one} AS {parquet_type(column.kind)})") for one in (start, end)
    )
    first, last = connection.execute(f"SELECT {', '.join(edges)} FROM expected").fetchall()[0]
    if first is None:
        return []
    return [Condition(column, ">=", (str(first),)), Condition(column, "<=", (str(last),))]


def _canonical(
    connection: duckdb.DuckDBPyConnection, view: FilteredView, column: Column, texts: Sequence[str]
) -> tuple[str, ...]:
    kind = column.kind.__class__(
        column.kind.type, column.kind.scale
    )  # values of dataset.yml are ISO, not the source's
    made = []
    for text in texts:
        typed = f"CAST({parse_sql(kind, quote_text(text))} AS {parquet_type(kind)})"
        found = connection.execute(f"SELECT {canonical_sql(kind, typed)}").fetchall()[0][0]
        if found is None:
            raise PublishRefused(
                f"The view '{view.name}' asks for something that {column.name} ({column.type}) cannot be.",
                hint="Correct where: of that view in dataset.yml.",
            )
        made.append(str(found))
    return tuple(made)


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
