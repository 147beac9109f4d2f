"""
Oracle through python-oracledb, without an Oracle client. Not tried against a server by ctnb's tests.

The query runs in SET TRANSACTION READ ONLY, which also shows one state of the database throughout; a function
with a transaction of its own could still write, so the account should be one that may only read.
https://python-oracledb.readthedocs.io/
"""

from __future__ import annotations

import math
import ssl
from contextlib import suppress
from decimal import Decimal
from typing import Any

from ctnb.errors import CtnbError
from ctnb.places.drivers.seam import Landing, Order, Told, installed
from ctnb.places.queries import Dialect

FORMAT = "parquet"
DIALECT = Dialect(
    quotes=(
        r"[nN]?[qQ]'(?:\[.*?\]|\{.*?\}|\(.*?\)|<.*?>|(?P<fence>\S).*?(?P=fence))'", r"'(?:[^']|'')*'",
        r'"[^"]*"',
    ),
)  # fmt: skip
SETTINGS = (
    "ALTER SESSION SET TIME_ZONE = '+00:00' NLS_NUMERIC_CHARACTERS = '.,' NLS_DATE_FORMAT = 'YYYY-MM-DD' "
    "NLS_TIMESTAMP_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF6'",
    "SET TRANSACTION READ ONLY",
)

REFUSED = (
    "ORA-01017",
    "ORA-01045",
    "ORA-28000",
    "ORA-28001",
    "ORA-12514",
    "DPY-6001",
    "DPY-4001",
    "DPY-6003",
)
LOST = ("ORA-03113", "ORA-03114", "ORA-03135", "ORA-01089", "DPY-4011", "DPY-1001")
BUSY = (
    "ORA-01033",
    "ORA-01034",
    "ORA-00018",
    "ORA-00020",
    "ORA-12516",
    "ORA-12519",
    "ORA-12520",
    "ORA-01555",
)
WRITES = ("ORA-01456", "ORA-16000")
TOO_LONG = ("DPY-4024", "ORA-01013", "ORA-00040")


def fetch(order: Order, landing: Landing) -> None:
    """Ask the query of `order` and let its rows land; see `ctnb.places.drivers.seam.Driver`."""
    with installed("oracle", "oracledb"):
        import oracledb

    connection = None
    try:
        connection = _connected(order)
        _ask(connection, order, landing)
        return
    except oracledb.Error as error:
        trouble = _trouble(error, order, connected=connection is not None)
    finally:
        if connection is not None:
            with suppress(oracledb.Error):
                connection.rollback()
                connection.close()
    raise trouble


def _connected(order: Order) -> Any:
    import oracledb

    told, verified = order.connection, order.connection.tls == "verify"
    context = None
    if told.tls != "off":
        context = ssl.create_default_context(cafile=order.ca_file)
        if not verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return oracledb.connect(
        user=order.user or None, password=order.password or None, host=told.host,
        port=told.port or (1521 if context is None else 2484), service_name=told.database,
        protocol="tcp" if context is None else "tcps", ssl_context=context, ssl_server_dn_match=verified,
        tcp_connect_timeout=told.timeout_s,
    )  # fmt: skip


def _ask(connection: Any, order: Order, landing: Landing) -> None:
    connection.call_timeout = math.ceil(order.timeout_s * 1000)
    connection.outputtypehandler = _exact
    cursor = connection.cursor()
    for setting in SETTINGS:
        cursor.execute(setting)
    cursor.execute(order.statement.text(lambda name: f":{name}"), dict(order.values))
    if not cursor.description:
        raise order.no_column()
    landing.describe(Told(column[0], _type(column)) for column in cursor.description)
    while rows := cursor.fetchmany(landing.batch_rows):
        landing.cells(rows)
        order.check_time()
    landing.cells([])


def _exact(cursor: Any, column: Any) -> Any:
    """Numbers with all their digits; long texts and bytes with the row instead of a question for each."""
    import oracledb

    kinds = {
        oracledb.DB_TYPE_NUMBER: Decimal, oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_LONG,
        oracledb.DB_TYPE_NCLOB: oracledb.DB_TYPE_LONG_NVARCHAR, oracledb.DB_TYPE_BLOB: oracledb.DB_TYPE_LONG_RAW,
    }  # fmt: skip
    kind = kinds.get(column.type_code)
    return cursor.var(kind, arraysize=cursor.arraysize) if kind is not None else None


def _type(column: Any) -> str:
    """The contract type nearest to a column of a cursor's description."""
    import oracledb

    code, scale = column[1], column[5]
    if code == oracledb.DB_TYPE_NUMBER:
        return "integer" if scale == 0 else "number"
    numbers = (oracledb.DB_TYPE_BINARY_FLOAT, oracledb.DB_TYPE_BINARY_DOUBLE)
    times = (
        oracledb.DB_TYPE_DATE, oracledb.DB_TYPE_TIMESTAMP, oracledb.DB_TYPE_TIMESTAMP_TZ,
        oracledb.DB_TYPE_TIMESTAMP_LTZ,
    )  # fmt: skip
    if code in numbers:
        return "number"
    if code in times:
        return "timestamp"
    return "boolean" if code == oracledb.DB_TYPE_BOOLEAN else "text"


def _trouble(error: Any, order: Order, *, connected: bool) -> CtnbError:
    code = str(getattr(error.args[0] if error.args else None, "full_code", ""))
    if code in REFUSED:
        return order.refused()
    if code in WRITES:
        return order.writes()
    if code in TOO_LONG and connected:
        return order.too_long()
    if code in BUSY:
        return order.busy()
    if not connected:
        return order.untrusted() if "certificate" in str(error).lower() else order.unreachable()
    return order.broken_off() if code in LOST else order.wrong(code or type(error).__name__)
