"""Between our tables and SODA's JSON: the type mapping of `ctnb.values`, in both directions."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ctnb.clients.socrata import FieldSpec
from ctnb.contracts.columns import Column
from ctnb.errors import PublishRefused
from ctnb.portals.interface import Change
from ctnb.tables import Table
from ctnb.values import TYPES, Kind, parquet_type, parse_sql, quote_name

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

    Raises PublishRefused when a timestamp is finer than the portal's milliseconds.
    """
    return b"[" + b",\n".join(row for rows in _rows(table, {}) for row in rows) + b"]"


def encode_change(change: Change, limit: int) -> bytes | None:
    """
    The body of the request that carries out `change`; None when it has more than `limit` bytes.

    Rows to delete are their keys, marked `:deleted`. Raises PublishRefused as `encode` does.
    """
    marks = {":deleted": True} if change.kind == "delete" else {}
    parts: list[bytes] = []
    size = 2
    for rows in _rows(change.table, marks):
        parts += rows
        size += sum(map(len, rows)) + 2 * len(rows)
        if size > limit:
            return None
    return b"[" + b",\n".join(parts) + b"]"


def _rows(table: Table, marks: dict[str, bool]) -> Iterator[list[bytes]]:
    """The JSON objects of some thousand rows at a time."""
    names = [column.name for column in table.columns]
    writers: list[Callable[[Any], Any]] = [_WRITERS.get(column.type, _same) for column in table.columns]
    for batch in table.batches(ENCODED_ROWS):
        columns = [
            [None if value is None else write(value) for value in batch.column(name).to_pylist()]
            for name, write in zip(names, writers, strict=True)
        ]
        rows = (dict(zip(names, row, strict=True)) | marks for row in zip(*columns, strict=True))
        yield [json.dumps(row).encode() for row in rows]


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


def _insert(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], page: list[dict[str, Any]]
) -> None:
    import pyarrow as pa

    arrays = {c.name: pa.array([_text(c, row.get(c.name)) for row in page], pa.string()) for c in columns}
    connection.register("page", pa.table(arrays))
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


def _same(value: Any) -> Any:
    return value


def _number(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)  # never 0E-7


def _date(value: dt.date) -> str:
    return f"{value.isoformat()}T00:00:00.000"


def _timestamp(value: dt.datetime) -> str:
    if value.microsecond % 1000:
        raise PublishRefused(
            "A timestamp is finer than the portal's milliseconds.", hint="Round it in the transform."
        )
    return value.isoformat(timespec="milliseconds")


def _url(value: str) -> dict[str, str]:
    return {"url": value}


def _file(value: str) -> str:
    raise PublishRefused(
        "A Socrata portal takes files as attachments or as a dataset of their own, not as cells of a row.",
        hint="Leave columns of type file out of what is published there.",
    )


def _point(value: str) -> dict[str, Any]:
    found = POINT.fullmatch(value)
    if not found:
        raise PublishRefused(
            "A point cannot be written.", hint="Declare its column as type point in the contract."
        )
    return {"type": "Point", "coordinates": [float(found[1]), float(found[2])]}


_WRITERS: dict[str, Callable[[Any], Any]] = {
    "integer": _number, "number": _number, "money": _number, "percent": _number,
    "date": _date, "timestamp": _timestamp, "url": _url, "point": _point,
    "file": _file,
}  # fmt: skip
