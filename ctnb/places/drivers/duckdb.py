"""
DuckDB: a file opened read-only, with no door to other files and a locked configuration; batches of Arrow's.

https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from ctnb.errors import CtnbError
from ctnb.places.drivers.seam import BATCH_ROWS, Landing, Order, Told
from ctnb.places.queries import Dialect
from ctnb.values import quote_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

FORMAT = "parquet"
DIALECT = Dialect(
    quotes=(
        r"[eE]'(?:[^'\\]|''|\\.)*'", r"'(?:[^']|'')*'", r'"(?:[^"]|"")*"',
        r"\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$",
    ),
)  # fmt: skip
SETTINGS = {
    "threads": 2, "memory_limit": "1GB", "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false", "enable_external_access": "false",
}  # fmt: skip

TYPES = {
    "TINYINT": "integer", "SMALLINT": "integer", "INTEGER": "integer", "BIGINT": "integer", "UTINYINT": "integer",
    "USMALLINT": "integer", "UINTEGER": "integer", "UBIGINT": "integer", "FLOAT": "number", "DOUBLE": "number",
    "DATE": "date", "TIMESTAMP": "timestamp", "TIMESTAMP_S": "timestamp", "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamp", "BOOLEAN": "boolean",
}  # fmt: skip
"""Contract types of columns by DuckDB's; DECIMAL besides, everything else is text."""
WRITTEN = {"BLOB": "lower(hex({0}))", "TIMESTAMP WITH TIME ZONE": "({0} AT TIME ZONE 'UTC')"}
"""How columns are written whose cells the contract's types do not read, or not at one moment."""
KEPT = ("VARCHAR", "TIME")
"""Other types whose cells are kept as they are; the rest is written as text by DuckDB."""


def fetch(order: Order, landing: Landing) -> None:
    """Ask the query of `order` and let its rows land; see `ctnb.places.drivers.seam.Driver`."""
    import duckdb

    try:
        with closing(duckdb.connect(str(order.file), read_only=True, config=dict(SETTINGS))) as connection:
            _ask(connection, order, landing)
        return
    except duckdb.Error as error:
        trouble = _trouble(error, order)
    raise trouble


def _ask(connection: duckdb.DuckDBPyConnection, order: Order, landing: Landing) -> None:
    import pyarrow as pa

    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    query = order.statement.text(lambda name: f" ${name} ")
    values = dict(order.values)
    with _stopped_in_time(connection, order):
        described = connection.execute(f"DESCRIBE\n{query}", values).fetchall()
        kinds = [str(column[1]) for column in described]
        landing.describe(Told(column[0], _type(kind)) for column, kind in zip(described, kinds, strict=True))
        # a relation is read as its query runs; what execute gives is held whole
        rows = connection.sql(_written(query, landing.columns, kinds), params=values)
        reader = rows.to_arrow_reader(BATCH_ROWS)
        for batch in reader:
            landing.batch(batch)
        if not landing.rows:
            landing.batch(pa.RecordBatch.from_pylist([], reader.schema))


def _type(kind: str) -> str:
    return "number" if kind.startswith("DECIMAL") else TYPES.get(kind, "text")


def _written(query: str, columns: Sequence[Told], kinds: Sequence[str]) -> str:
    """The query, with columns of other types written as text, and bytes as hexadecimal."""
    listed = []
    for column, kind in zip(columns, kinds, strict=True):
        name = quote_name(column.name)
        if kind in WRITTEN:
            listed.append(f"{WRITTEN[kind].format(name)} AS {name}")
        elif column.type != "text" or kind in KEPT:
            listed.append(name)
        else:
            listed.append(f"CAST({name} AS VARCHAR) AS {name}")
    return f"SELECT {', '.join(listed)} FROM (\n{query}\n) AS rows"


@contextmanager
def _stopped_in_time(connection: duckdb.DuckDBPyConnection, order: Order) -> Iterator[None]:
    """DuckDB has no time limit of its own."""
    timer = threading.Timer(max(order.left_s, 0.01), connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _trouble(error: Any, order: Order) -> CtnbError:
    import duckdb

    if isinstance(error, duckdb.InterruptException):
        return order.too_long()
    if isinstance(error, duckdb.IOException):
        return order.busy() if "lock" in str(error) else order.damaged()
    if isinstance(error, (duckdb.SerializationException, duckdb.FatalException)):
        return order.damaged()
    reading_only = isinstance(error, (duckdb.InvalidInputException, duckdb.PermissionException))
    if reading_only and "read-only" in str(error):
        return order.writes()
    return order.wrong(type(error).__name__)
