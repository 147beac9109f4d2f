"""
SQLite: a file opened with mode=ro, in which a statement may read, call functions, and nothing else.

An authorizer refuses whatever is no reading before it runs: ATTACH and PRAGMA too.
https://www.sqlite.org/c3ref/set_authorizer.html
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from urllib.parse import quote

from ctnb.errors import CtnbError
from ctnb.places.drivers.seam import Landing, Order, Told
from ctnb.places.queries import Dialect

FORMAT = "parquet"
DIALECT = Dialect(quotes=(r"'(?:[^']|'')*'", r'"(?:[^"]|"")*"', r"`(?:[^`]|``)*`", r"\[[^\]]*\]"))

ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
STEPS = 100_000
"""After how many of SQLite's instructions the time is looked at."""
UNREADABLE = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_FORMAT")
BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PROTOCOL")


def fetch(order: Order, landing: Landing) -> None:
    """Ask the query of `order` and let its rows land; see `ctnb.places.drivers.seam.Driver`."""
    try:
        address = f"file:{quote(str(order.file))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=order.connection.timeout_s)) as connection:
            _ask(connection, order, landing)
        return
    except sqlite3.Error as error:
        trouble = _trouble(error, order)
    raise trouble


def _ask(connection: sqlite3.Connection, order: Order, landing: Landing) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY
    )
    connection.set_progress_handler(lambda: int(order.left_s <= 0), STEPS)
    values = {name: _value(value) for name, value in order.values.items()}
    cursor = connection.execute(order.statement.text(lambda name: f":{name}"), values)
    if not cursor.description:
        raise order.no_column()
    landing.describe(Told(column[0]) for column in cursor.description)
    while rows := cursor.fetchmany(landing.batch_rows):
        landing.cells(rows)
    landing.cells([])


def _value(value: object) -> object:
    """SQLite has no dates: they are text there."""
    return value if isinstance(value, (str, int, float)) else str(value)


def _trouble(error: sqlite3.Error, order: Order) -> CtnbError:
    code = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if code == "SQLITE_INTERRUPT":
        return order.too_long()
    if code in ("SQLITE_AUTH", "SQLITE_READONLY"):
        return order.writes()
    if code.startswith(UNREADABLE):
        return order.damaged()
    return order.busy() if code.startswith(BUSY) else order.wrong(code)
