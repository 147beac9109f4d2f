"""The rows that a query gives on a database of ctnb.yml, asked in a read-only session and kept as they came."""

from __future__ import annotations

import importlib
from pathlib import Path, PurePath
from typing import Any

from ctnb import snapshots
from ctnb.contracts.places import Connection, Query
from ctnb.errors import CtnbError, NameUnknown, NothingNew, UsageError
from ctnb.places import high_water, queries
from ctnb.places.drivers.seam import Landing, Order
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.high_water import PARAMETER, Mark
from ctnb.snapshots import Snapshot

DRIVERS = {
    "sqlite": "sqlite",
    "duckdb": "duckdb",
    "postgresql": "postgresql",
    "mariadb": "mariadb",
    "sqlserver": "sqlserver",
    "oracle": "oracle",
}
"""For each kind of connection the module of `ctnb.places.drivers` whose `fetch(order, landing)` asks it."""


def fetch(place: Query, request: Request) -> Fetched:
    """
    The rows that the query of `place` gives, as CSV or Parquet.

    With a high-water column they are those that the query says are new, and the position says how far they go;
    with none of them NothingNew is raised, unless what was fetched before is asked for again. Raises
    ContractInvalid, SourceInvalid (the query writes, or the database refuses it), SourceFailed (unreachable, broken
    off, too long), UsageError (account, secret, driver).
    """
    if place.connection not in request.connections:
        raise NameUnknown("connection", place.connection, request.connections)
    connection = request.connections[place.connection]
    driver = importlib.import_module(f"ctnb.places.drivers.{DRIVERS[connection.kind]}")
    before = _mark_before(place, request, connection)
    order = _order(place, request, connection, driver.DIALECT, before)
    name = f"{PurePath(place.query).stem}.{driver.FORMAT}"
    with snapshots.Writer(request.work, name, request.prefix) as writer:
        with Landing(writer, lambda rows: request.progress(_seen(place, rows))) as landing:
            driver.fetch(order, landing)
        taken = writer.done()
    position = _position(place, taken, landing, before, request) if before else {}
    types = {column.name: column.type for column in landing.columns if column.type}
    return Fetched((taken,), driver.FORMAT, position, rows=landing.rows, types=types)


def _seen(place: Query, rows: int) -> Progress:
    return Progress(place.connection, rows, None, "rows")


def _mark_before(place: Query, request: Request, connection: Connection) -> Mark | None:
    """The high-water mark of the last release, or where the contract says to start."""
    if place.high_water is None or place.start is None:
        return None
    if PARAMETER in request.position:
        return high_water.from_json(request.position[PARAMETER])
    return high_water.started(place.start, as_text=connection.kind == "sqlite")


def _order(
    place: Query, request: Request, connection: Connection, dialect: queries.Dialect, before: Mark | None
) -> Order:
    statement = queries.load(place.query, request.folder, request.roots, dialect)
    given = {**place.parameters, **({PARAMETER: before.value} if before else {})}
    return Order(
        name=place.connection,
        connection=connection,
        user=request.text(connection.user) if connection.user is not None else "",
        password=request.secret(connection.password) if connection.password else "",
        file=_file(place.connection, connection, request) if connection.path else None,
        ca_file=request.project / connection.ca_file if connection.ca_file else None,
        statement=statement,
        values=queries.bound(statement, given, PurePath(place.query).name),
        timeout_s=place.timeout_s,
    )


def _file(name: str, connection: Connection, request: Request) -> Path:
    """The database's file. Raises UsageError when it lies outside the project and its roots, or is not there."""
    found = (request.project / str(connection.path)).resolve()
    if not any(found.is_relative_to(root.resolve()) for root in (request.project, *request.roots)):
        raise UsageError(
            f"The database {name} lies outside the folders that this project may read.",
            hint="Add its folder to roots: in ctnb.yml.",
        )
    if not found.is_file():
        raise UsageError(
            f"The file of the database {name} is not there.",
            hint=f"Correct path: of connections: {name}: in ctnb.yml.",
        )
    return found


def _position(
    place: Query, taken: Snapshot, landing: Landing, before: Mark, request: Request
) -> dict[str, Any]:
    try:
        reached = high_water.found(taken.path, str(place.high_water), landing.columns)
        if reached is None and not request.again:
            raise NothingNew(
                f"The query on the database {place.connection} gives no new rows since the last release."
            )
    except CtnbError:
        taken.path.chmod(0o600)  # Windows does not delete what is read-only
        taken.path.unlink()
        raise
    return {PARAMETER: (reached or before).to_json()}
