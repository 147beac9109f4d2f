"""Between our tables and SODA's JSON: the type mapping of `ctnb.values`, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ctnb import tables
from ctnb.clients.answers import understood
from ctnb.clients.socrata import FieldSpec
from ctnb.contracts.columns import Column
from ctnb.errors import PublishRefused
from ctnb.portals.interface import Change
from ctnb.tables import Table
from ctnb.values import (
    TYPES,
    Kind,
    canonical_sql,
    parquet_type,
    parse_sql,
    quote_name,
    quote_text,
    text_array,
)

if TYPE_CHECKING:
    import duckdb

ENCODED_ROWS = 5_000
POINT = re.compile(r"POINT \((\S+) (\S+)\)")


def fields(columns: Iterable[Column]) -> tuple[FieldSpec, ...]:
    """The portal's columns for ours."""
    return tuple(FieldSpec(c.name, c.title, TYPES[c.type].soda, c.description) for c in columns)


def encode(table: Table) -> bytes:
    """
    The rows of `table` as a JSON array of objects; an empty cell is an explicit null, which clears it.

    Raises PublishRefused for cells that the portal cannot hold.
    """
    return b"[" + b",\n".join(_pieces(table, deleted=False)) + b"]"


def encode_change(change: Change, limit: int) -> bytes | None:
    """
    The body of the request that carries out `change`; None when it has more than `limit` bytes.

    Rows to delete are their keys, marked `:deleted`; they may stand beside rows to upsert (dev.socrata.com,
    "upsert"). Raises PublishRefused as `encode` does.
    """
    parts_of = [(change.table, change.kind == "delete"), *([(change.gone, True)] if change.gone else [])]
    if sum(table.rows * _least_bytes(table) for table, _ in parts_of) > limit:
        return None
    parts: list[bytes] = []
    size = 2
    for table, deleted in parts_of:
        for place, piece in enumerate(_pieces(table, deleted=deleted)):
            parts.append(piece)
            size += len(piece) + 2
            if size > limit or (place == 0 and len(piece) / ENCODED_ROWS * table.rows > 2 * limit):
                return None
    return b"[" + b",\n".join(parts) + b"]"


def check(connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[Column]) -> None:
    """Raise PublishRefused when the relation `source` has cells that a Socrata portal cannot hold, by column."""
    if any(column.type == "file" for column in columns):
        raise PublishRefused(
            "A Socrata portal takes files as attachments or as a dataset of their own, not as cells of a row.",
            hint="Leave columns of type file out of what is published there.",
        )
    fine = meeting(connection, source, columns, ("timestamp",), "epoch_us({}) % 1000 <> 0")
    if fine:
        raise PublishRefused(
            f"Timestamps of {', '.join(fine)} are finer than the portal's milliseconds.",
            hint="Round them in the transform.",
        )
    shape = f"NOT regexp_full_match({{}}, {quote_text(POINT.pattern)})"
    wrong = meeting(connection, source, columns, ("point",), shape)
    if wrong:
        raise PublishRefused(
            f"Points of {', '.join(wrong)} cannot be written.",
            hint="Declare the column as type point in the contract.",
        )


def meeting(
    connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[Column], types: Sequence[str],
    condition: str,
) -> list[str]:  # fmt: skip
    """The columns of these types in which some cell of `source` meets the SQL `condition`."""
    asked = [column.name for column in columns if column.type in types]
    if not asked:
        return []
    counts = ", ".join(f"count(*) FILTER (WHERE {condition.format(quote_name(name))})" for name in asked)
    row = connection.execute(f"SELECT {counts} FROM {source}").fetchall()[0]
    return [name for name, count in zip(asked, row, strict=True) if count]


def text_sql(column: Column) -> str:
    """SQL for the text of a cell as a Socrata portal takes it: canonical, dates with the time it gives them."""
    text = canonical_sql(Kind(column.type, column.kind.scale), quote_name(column.name))
    if column.type == "date":
        return f"({text}) || 'T00:00:00.000'"
    return f"left({text}, 23)" if column.type == "timestamp" else text


def _least_bytes(table: Table) -> int:
    """How many bytes a row of `table` has at least: the names, and two or more for each cell."""
    return sum(len(column.name) + len('"":"",') for column in table.columns)


def _pieces(table: Table, *, deleted: bool) -> Iterator[bytes]:
    """The JSON objects of some thousand rows at a time, with commas between."""
    cells = [f"{quote_text(column.name)}: {_json_sql(column)}" for column in table.columns]
    if deleted:
        cells.append("':deleted': true")
    source = f"read_parquet({quote_text(str(table.path))})"
    with tables.connect(threads=2) as connection:
        check(connection, source, table.columns)
        found = connection.sql(f"SELECT to_json({{{', '.join(cells)}}}) FROM {source}")
        for batch in found.to_arrow_reader(ENCODED_ROWS):
            yield ",\n".join(batch.column(0).to_pylist()).encode()


def _json_sql(column: Column) -> str:
    """SQL for a cell as JSON: numbers are texts, which keep their digits."""
    name = quote_name(column.name)
    if column.type == "boolean":
        return name
    if column.type == "url":
        return f"CASE WHEN {name} IS NOT NULL THEN {{'url': {name}}} END"
    if column.type == "point":
        numbers = ", ".join(
            f"TRY_CAST(regexp_extract({name}, {quote_text(POINT.pattern)}, {at}) AS DOUBLE)" for at in (1, 2)
        )
        return f"CASE WHEN {name} IS NOT NULL THEN {{'type': 'Point', 'coordinates': [{numbers}]}} END"
    return text_sql(column)


def load(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[Column],
    pages: Iterable[list[dict[str, Any]]],
) -> int:  # fmt: skip
    """
    Bring rows that the portal answered into `connection` as the table `name`, typed by the contract.

    Returns how many cells could not be typed; they are null.
    """
    texts = ", ".join(f"{quote_name(c.name)} VARCHAR" for c in columns)
    connection.execute(f"CREATE TEMP TABLE answered ({texts})")
    for page in pages:
        _insert(connection, columns, page)
    kinds = [(c.name, Kind(c.kind.type, c.kind.scale)) for c in columns]
    typed = ", ".join(
        f"CAST({parse_sql(kind, quote_name(n))} AS {parquet_type(kind)}) AS {quote_name(n)}"
        for n, kind in kinds
    )
    failed = " + ".join(
        f"count(*) FILTER (WHERE {quote_name(n)} IS NOT NULL AND ({parse_sql(k, quote_name(n))}) IS NULL)"
        for n, k in kinds
    )
    lost = connection.execute(f"SELECT {failed} FROM answered").fetchall()[0][0]
    connection.execute(f"CREATE TABLE {quote_name(name)} AS SELECT {typed} FROM answered")
    connection.execute("DROP TABLE answered")
    return int(lost)


@understood
def _insert(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], page: list[dict[str, Any]]
) -> None:
    import pyarrow as pa

    arrays = [text_array(_text(c, row.get(c.name)) for row in page) for c in columns]
    connection.register("page", pa.Table.from_arrays(arrays, [c.name for c in columns]))
    connection.execute("INSERT INTO answered SELECT * FROM page")
    connection.unregister("page")


def _text(column: Column, value: Any) -> str | None:
    """The text of a cell as the portal's JSON holds it."""
    if value is None:
        return None
    if column.type == "boolean":
        return "true" if value is True else "false" if value is False else str(value)
    if column.type == "date":
        return str(value)[:10] if str(value)[10:] in ("", "T00:00:00.000", "T00:00:00") else str(value)
    if isinstance(value, dict):
        if "url" in value:
            return str(value["url"])
        if value.get("type") == "Point":
            return "POINT ({} {})".format(*(f"{number:.6f}" for number in value["coordinates"][:2]))
    return str(value)
