"""
SQL Server through Microsoft's mssql-python. Not tried against a server by ctnb's tests.

SQL Server has no read-only transactions: words that write are refused before the query is sent, the connection
asks for a read-only copy where there is one (ApplicationIntent), and the transaction is rolled back. Only an
account that may read and nothing else makes sure. https://github.com/microsoft/mssql-python
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ctnb.errors import CtnbError
from ctnb.places.drivers.seam import Landing, Order, Told, installed
from ctnb.places.queries import Dialect, Value

FORMAT = "parquet"
DIALECT = Dialect(
    quotes=(r"'(?:[^']|'')*'", r'"(?:[^"]|"")*"', r"\[(?:[^\]]|\]\])*\]"),
    nested=True,
    refused=frozenset([
        "alter", "backup", "bulk", "create", "dbcc", "delete", "deny", "drop", "exec", "execute", "grant",
        "insert", "into", "kill", "merge", "openquery", "openrowset", "opendatasource", "reconfigure",
        "restore", "revert", "revoke", "set", "shutdown", "truncate", "update",
        "writetext",
    ]),
)  # fmt: skip
"""A statement of Transact-SQL needs no semicolon before it, so its first words count wherever they stand."""

TYPES: dict[Any, str] = {
    int: "integer", float: "number", Decimal: "number", date: "date", datetime: "timestamp", bool: "boolean",
    str: "text",
}  # fmt: skip
ENCRYPTION = {
    "verify": {"Encrypt": "yes", "TrustServerCertificate": "no"},
    "require": {"Encrypt": "yes", "TrustServerCertificate": "yes"},
    "off": {"Encrypt": "no"},
}
UNREACHABLE = ("unable to establish", "login timeout", "rejected the connection")
LOST = ("communication link failure", "connection failure", "connection not open")


def fetch(order: Order, landing: Landing) -> None:
    """Ask the query of `order` and let its rows land; see `ctnb.places.drivers.seam.Driver`."""
    with installed("sqlserver", "mssql_python"):
        import mssql_python

    connection = None
    try:
        connection = mssql_python.connect(_connection_string(order), autocommit=False)
        connection.timeout = math.ceil(order.timeout_s)
        _ask(connection, order, landing)
        return
    except mssql_python.Error as error:
        trouble = _trouble(error, order, connected=connection is not None)
    finally:
        if connection is not None:
            with suppress(mssql_python.Error):
                connection.rollback()
            connection.close()
    raise trouble


def _connection_string(order: Order) -> str:
    told = order.connection
    said = {
        "Server": f"tcp:{told.host},{told.port or 1433}", "Database": told.database or "", "UID": order.user,
        "PWD": order.password, "ApplicationIntent": "ReadOnly", **ENCRYPTION[told.tls],
    }  # fmt: skip
    if order.ca_file:
        said["ServerCertificate"] = str(order.ca_file)
    return "".join(f"{key}={_braced(value)};" for key, value in said.items() if value)


def _braced(value: str) -> str:
    """A value of a connection string, in which a semicolon or brace ends nothing."""
    return "{" + value.replace("}", "}}") + "}"


def _ask(connection: Any, order: Order, landing: Landing) -> None:
    values: list[Value] = []

    def placed(name: str) -> str:
        values.append(order.values[name])
        return " ? "

    query = order.statement.text(placed)
    cursor = connection.cursor()
    cursor.execute(query, values)
    if not cursor.description:
        raise order.no_column()
    landing.describe(Told(column[0], TYPES.get(column[1], "")) for column in cursor.description)
    while rows := cursor.fetchmany(landing.batch_rows):
        landing.cells([tuple(row) for row in rows])
        order.check_time()
    landing.cells([])


def _trouble(error: Any, order: Order, *, connected: bool) -> CtnbError:
    """By ODBC's own phrase for the SQLSTATE, which the driver puts before the server's text."""
    phrase = str(getattr(error, "driver_error", "")).lower()
    if "authorization" in phrase:
        return order.refused()
    if "timeout expired" in phrase and connected:
        return order.too_long()
    if not connected or any(words in phrase for words in UNREACHABLE):
        said = str(error).lower()
        return order.untrusted() if "certificate" in said or "ssl" in said else order.unreachable()
    if any(words in phrase for words in LOST):
        return order.broken_off()
    return order.wrong(type(error).__name__)
