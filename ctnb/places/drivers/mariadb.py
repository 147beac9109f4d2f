"""
MariaDB and MySQL: rows as text, as the server writes them, through PyMySQL's unbuffered cursor.

One transaction, READ ONLY with a consistent snapshot; several statements at once and files of this machine are
off, and INTO, which a read-only transaction lets write a file on the server, is refused here. PyMySQL has no bound
parameters: it quotes each value as a literal. https://mariadb.com/kb/en/start-transaction/
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ctnb.errors import CtnbError
from ctnb.places.drivers.seam import GRACE_S, Landing, Order, Told, installed
from ctnb.places.queries import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pymysql

FORMAT = "parquet"
DIALECT = Dialect(
    quotes=(r"'(?:[^'\\]|''|\\.)*'", r'"(?:[^"\\]|""|\\.)*"', r"`(?:[^`]|``)*`"),
    comments=(r"--(?=\s|$)[^\n]*", r"#[^\n]*", r"/\*(?!M?!).*?\*/"),
    refused=frozenset(["into", "/*!", "/*m!"]),
)

TYPES = {
    0: "number", 1: "integer", 2: "integer", 3: "integer", 4: "number", 5: "number", 7: "timestamp", 8: "integer",
    9: "integer", 10: "date", 12: "timestamp", 13: "integer", 16: "integer", 246: "number",
}  # fmt: skip
"""Contract types by the protocol's numbers of types; everything else is text."""
BIT, GEOMETRY = 16, 255

REFUSED = (1044, 1045, 1049, 1130, 1698)
BUSY = (1040, 1053, 1203, 1205, 1213, 1226)
LOST = (2006, 2013, 2014, 2055)
WRITES = (1792, 1290)
TOO_LONG = (1969, 3024, 1317)
UNTRUSTED = (2026, 3159)


def fetch(order: Order, landing: Landing) -> None:
    """Ask the query of `order` and let its rows land; see `ctnb.places.drivers.seam.Driver`."""
    with installed("mariadb", "pymysql"):
        import pymysql

    connection = _connected(order)
    try:
        _ask(connection, order, landing)
        return
    except pymysql.Error as error:
        trouble = _trouble(error, order)
    finally:
        if connection.open:
            connection.close()
    raise trouble


def _connected(order: Order) -> pymysql.Connection[Any]:
    import pymysql
    from pymysql.converters import encoders

    told = order.connection
    try:
        return pymysql.connect(
            host=told.host, port=told.port or 3306, user=order.user or None, password=order.password.encode(),
            database=told.database, charset="utf8mb4", connect_timeout=max(1, round(told.timeout_s)),
            read_timeout=max(1.0, order.left_s + GRACE_S), local_infile=False, ssl=_tls(order),
            ssl_disabled=told.tls == "off", conv=dict(encoders), cursorclass=pymysql.cursors.SSCursor,
        )  # fmt: skip
    except pymysql.Error as error:
        trouble = _refusal(error, order)
    except ssl.SSLError:
        trouble = order.untrusted()
    except OSError:
        trouble = order.unreachable()
    raise trouble


def _tls(order: Order) -> ssl.SSLContext | None:
    """What the server's certificate must satisfy; PyMySQL refuses a server without TLS when it is given one."""
    if order.connection.tls == "off":
        return None
    context = ssl.create_default_context(cafile=order.ca_file)
    if order.connection.tls == "require":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _ask(connection: pymysql.Connection[Any], order: Order, landing: Landing) -> None:
    with _cursor(connection) as cursor:
        for setting in _settings(connection, order):
            cursor.execute(setting)
        cursor.execute(order.statement.text(lambda name: f" {connection.escape(order.values[name])} "))
        if not cursor.description:
            raise order.no_column()
        landing.describe(Told(column[0], TYPES.get(column[1], "text")) for column in cursor.description)
        bits = [place for place, column in enumerate(cursor.description) if column[1] == BIT]
        while rows := cursor.fetchmany(landing.batch_rows):
            landing.cells(_with_numbers(rows, bits) if bits else rows)
            order.check_time()
        landing.cells([])


@contextmanager
def _cursor(connection: pymysql.Connection[Any]) -> Iterator[Any]:
    """A cursor that, after an error, does not ask for all rows that are left before it is gone."""
    cursor = connection.cursor()
    try:
        yield cursor
    except BaseException:  # also Ctrl-C: closing would first wait for every row that is left
        result = getattr(connection, "_result", None)
        if result is not None:
            result.unbuffered_active = False
        raise


def _settings(connection: pymysql.Connection[Any], order: Order) -> list[str]:
    mariadb = "mariadb" in connection.get_server_info().lower()
    limit = (
        f"max_statement_time = {order.timeout_s:f}"
        if mariadb
        else f"max_execution_time = {round(order.timeout_s * 1000)}"
    )
    return [
        f"SET SESSION {limit}, net_write_timeout = 600, time_zone = '+00:00'",
        "SET SESSION sql_mode = REPLACE(@@sql_mode, 'NO_BACKSLASH_ESCAPES', '')",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ]


def _with_numbers(rows: list[tuple[Any, ...]], bits: list[int]) -> list[list[Any]]:
    """The rows with the bytes of BIT columns as numbers."""
    made = [list(row) for row in rows]
    for row in made:
        for place in bits:
            if row[place] is not None:
                row[place] = int.from_bytes(row[place], "big")
    return made


def _refusal(error: pymysql.Error, order: Order) -> CtnbError:
    number = _number(error)
    if number in REFUSED:
        return order.refused()
    if number in UNTRUSTED or isinstance(getattr(error, "original_exception", None), ssl.SSLError):
        return order.untrusted()
    return order.busy() if number in BUSY else order.unreachable()


def _trouble(error: pymysql.Error, order: Order) -> CtnbError:
    number = _number(error)
    if number in LOST:
        return order.broken_off() if order.left_s > 0 else order.too_long()
    if number in TOO_LONG:
        return order.too_long()
    if number in WRITES:
        return order.writes()
    return order.busy() if number in BUSY else order.wrong(f"error {number}")


def _number(error: pymysql.Error) -> int:
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0
