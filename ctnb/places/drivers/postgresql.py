"""
PostgreSQL: `COPY (query) TO STDOUT` as CSV, straight into the snapshot.

The query is first prepared by the server alone, which tells its columns and takes no second statement. COPY has
no bound parameters, so libpq, the server's own client library, quotes each value as a literal. One transaction,
REPEATABLE READ and READ ONLY, which no statement in it can change back, with the session's settings local to it.
https://www.postgresql.org/docs/current/sql-copy.html, .../libpq-copy.html
"""

from __future__ import annotations

import math
import selectors
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb.errors import CtnbError
from ctnb.places.drivers.seam import Landing, Order, Told, installed
from ctnb.places.queries import Dialect, Value
from ctnb.values import quote_name

if TYPE_CHECKING:
    import psycopg

FORMAT = "csv"
DIALECT = Dialect(
    quotes=(
        r"[eE]'(?:[^'\\]|''|\\.)*'", r"'(?:[^']|'')*'", r'"(?:[^"]|"")*"',
        r"\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$",
    ),
    nested=True,
)  # fmt: skip
CHUNK_BYTES = 1 << 20
SETTINGS = {
    "client_encoding": "UTF8", "datestyle": "ISO, YMD", "timezone": "UTC", "intervalstyle": "iso_8601",
    "extra_float_digits": "1", "bytea_output": "hex", "standard_conforming_strings": "on",
}  # fmt: skip

TYPES = {
    16: "boolean", 20: "integer", 21: "integer", 23: "integer", 26: "integer", 700: "number", 701: "number",
    790: "money", 1082: "date", 1114: "timestamp", 1184: "timestamp", 1700: "number",
}  # fmt: skip
"""Contract types by the OIDs of pg_type.dat; everything else is text."""
WRITTEN = {
    16: "{0}::text", 17: "encode({0}, 'hex')", 790: "{0}::numeric", 1184: "({0} AT TIME ZONE 'UTC')",
}  # fmt: skip
"""How columns are written whose own text the contract's types do not read."""

BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
SSLMODES = {"verify": "verify-full", "require": "require", "off": "disable"}
WRITES, TIMEOUT = "25006", "57014"
BUSY = ("53", "55P03", "57P", "40", "58")
"""SQLSTATE classes of a server that cannot serve now: no resources, ending, a conflict, its disk."""


def fetch(order: Order, landing: Landing) -> None:
    """Ask the query of `order` and let its rows land; see `ctnb.places.drivers.seam.Driver`."""
    with installed("postgresql", "psycopg"):
        import psycopg

    connection = _connected(order)
    try:
        with _cancelled_unless_done(connection):
            _copy(connection, order, landing)
        return
    except psycopg.Error as error:
        trouble = _trouble(error, order, described=bool(landing.columns))
    finally:
        connection.close()
    raise trouble


def _connected(order: Order) -> psycopg.Connection[Any]:
    import psycopg

    told = order.connection
    where: dict[str, Any] = {
        "host": told.host, "port": told.port or 5432, "dbname": told.database, "user": order.user or None,
        "password": order.password or None, "sslmode": SSLMODES[told.tls], "application_name": "ctnb",
        "connect_timeout": max(2, math.ceil(told.timeout_s)), "client_encoding": "utf8", "keepalives_idle": 30,
    }  # fmt: skip
    if told.tls == "verify":
        where["sslrootcert"] = str(order.ca_file) if order.ca_file else _system_certificates()
    try:
        return psycopg.connect(
            **{key: value for key, value in where.items() if value is not None}, autocommit=True
        )
    except psycopg.Error as error:
        trouble = _refusal(error, order)
    raise trouble


def _system_certificates() -> str:
    """The system's certificates as a file, which libpq's wheel does not find by itself."""
    found = ssl.get_default_verify_paths().cafile
    return found or next((path for path in BUNDLES if Path(path).is_file()), "system")


def _refusal(error: psycopg.Error, order: Order) -> CtnbError:
    """What hindered the connection; libpq gives no code for it, only words, which nobody else sees."""
    said = str(error)
    if "certificate" in said or "SSL" in said:
        return order.untrusted()
    if any(
        words in said for words in ("too many", "starting up", "shutting down", "remaining connection slots")
    ):
        return order.busy()
    refused = "FATAL" in said or "no password supplied" in said or "authentication" in said
    return order.refused() if refused else order.unreachable()


@contextmanager
def _cancelled_unless_done(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Whatever ends the reading early, also Ctrl-C, ends the query on the server."""
    import psycopg

    try:
        yield
    except BaseException:  # also Ctrl-C: the server would go on with a query nobody waits for
        if connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=2)
        raise


def _copy(connection: psycopg.Connection[Any], order: Order, landing: Landing) -> None:
    from psycopg import pq

    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    settings = {**SETTINGS, "statement_timeout": str(math.ceil(order.timeout_s * 1000))}
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, true)", [name, value])
    oids = _describe(connection.pgconn, order, landing)
    query = order.statement.text(lambda name: _literal(connection.pgconn, order.values[name]))
    # a line of its own for what follows, because the query may end in a comment
    copied = f"COPY (\n{_written(query, landing.columns, oids)}\n) TO STDOUT (FORMAT csv, HEADER)"
    connection.pgconn.send_query(copied.encode())
    with selectors.DefaultSelector() as selector:
        selector.register(connection.pgconn.socket, selectors.EVENT_READ)
        wait = _waiting(connection.pgconn, selector, order)
        _expect(connection.pgconn, wait, pq.ExecStatus.COPY_OUT)
        _receive(connection.pgconn, wait, landing, order)
        _expect(connection.pgconn, wait, pq.ExecStatus.COMMAND_OK)
        while connection.pgconn.get_result() is not None:
            pass
    connection.execute("ROLLBACK")


def _describe(server: Any, order: Order, landing: Landing) -> list[int]:
    """Have the query prepared alone and described; gives the columns' OIDs."""
    from psycopg import pq

    numbers = {name: number for number, name in enumerate(order.statement.names, 1)}
    text = order.statement.text(lambda name: f" ${numbers[name]} ")
    _check(server.prepare(b"", text.encode()), pq.ExecStatus.COMMAND_OK)
    told = server.describe_prepared(b"")
    _check(told, pq.ExecStatus.COMMAND_OK)
    oids = [told.ftype(place) for place in range(told.nfields)]
    if not oids:
        raise order.no_column()
    names = [told.fname(place).decode() for place in range(told.nfields)]
    landing.describe(Told(name, TYPES.get(oid, "text")) for name, oid in zip(names, oids, strict=True))
    return oids


def _written(query: str, columns: Sequence[Told], oids: Sequence[int]) -> str:
    if not any(oid in WRITTEN for oid in oids):
        return query
    names = [quote_name(column.name) for column in columns]
    listed = ", ".join(
        f"{WRITTEN.get(oid, '{0}').format(name)} AS {name}" for name, oid in zip(names, oids, strict=True)
    )
    return f"SELECT {listed} FROM (\n{query}\n) AS rows"


def _literal(server: Any, value: Value) -> str:
    """`value` quoted by libpq; its type is what the place in the query asks for, as a bound parameter's is."""
    from psycopg import pq

    text = value.isoformat() if isinstance(value, (date, datetime)) else str(value)
    text = text.lower() if isinstance(value, bool) else text
    return f" {bytes(pq.Escaping(server).escape_literal(text.encode())).decode()} "


def _waiting(server: Any, selector: selectors.BaseSelector, order: Order) -> Callable[[], None]:
    def wait() -> None:
        """Wait until the server sent something. Raises SourceFailed when the query takes too long."""
        while not selector.select(1.0):
            order.check_time()
        server.consume_input()

    return wait


def _expect(server: Any, wait: Callable[[], None], status: int) -> None:
    while server.is_busy():
        wait()
    result = server.get_result()
    if result is not None:
        _check(result, status)


def _check(result: Any, status: int) -> None:
    from psycopg import errors

    if result.status != status:
        raise errors.error_from_result(result, encoding="utf-8")


def _receive(server: Any, wait: Callable[[], None], landing: Landing, order: Order) -> None:
    """Take row by row as libpq has them; the first is the header."""
    chunk, rows, take = bytearray(), -1, server.get_copy_data
    while True:
        length, row = take(1)
        if length > 0:
            chunk += row  # half the time of a list of rows that is joined
            rows += 1
            if len(chunk) < CHUNK_BYTES:
                continue
        elif length == 0:
            wait()
            continue
        landing.text(bytes(chunk), rows)
        if length < 0:
            return
        chunk, rows = bytearray(), 0
        order.check_time()


def _trouble(error: psycopg.Error, order: Order, *, described: bool) -> CtnbError:
    state = error.sqlstate
    if state is None:
        return order.broken_off()
    if state == WRITES:
        return order.writes()
    if state == TIMEOUT:
        return order.too_long()
    if state.startswith(BUSY):
        return order.broken_off() if state.startswith("57P") else order.busy()
    return order.wrong(
        f"{type(error).__name__}, SQLSTATE {state}", None if described else _line(error, order)
    )


def _line(error: psycopg.Error, order: Order) -> int | None:
    """The line of the query's file that the server means when it does not prepare the query."""
    place = error.diag.statement_position
    if not place or not place.isdigit():
        return None
    text = order.statement.text(lambda name: f" ${order.statement.names.index(name) + 1} ")
    return text.count("\n", 0, int(place) - 1) + 1 if int(place) <= len(text) else None
