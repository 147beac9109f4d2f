"""
Differences: the rows that must be on the portal afterwards, and the fewest changes that bring them there.

Everything is worked out in DuckDB over two tables under our names: `there`, the portal's rows, and `data`, the table
to be published. `expected` is made from them by the mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import tables
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import By, Mode, Period
from ctnb.portals import interface
from ctnb.portals.interface import Change
from ctnb.portals.mapping import Fields
from ctnb.tables import Table
from ctnb.values import quote_name

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Difference:
    """How the portal's rows differ from those that must be there afterwards, in rows."""

    before: int
    after: int
    added: int
    changed: int
    """With a row identifier alone: without one, a row of other values is one more and one less."""
    removed: int
    unchanged: int


def expect(
    connection: duckdb.DuckDBPyConnection, mode: Mode, columns: Sequence[Column], key: str | None,
    period: Period | None = None,
) -> list[str]:  # fmt: skip
    """
    Make the table `expected`: the rows that must be there afterwards. Returns why that cannot be.

    `columns` are those the portal gets; `data` may have more, or the key alone to delete.
    """
    listed = ", ".join(quote_name(column.name) for column in columns)
    data, there = f"SELECT {listed} FROM data", f"SELECT {listed} FROM there"
    queries = {"replace": data, "sync": data, "append": f"{there} UNION ALL {data}"}
    found = _key_problems(connection, mode, key) if key else []
    if key:
        kept = f"{there} ANTI JOIN data USING ({quote_name(key)})"
        queries |= {"upsert": f"{kept} UNION ALL {data}", "delete": kept}
    if mode == "replace-period" and period:
        found += _period_problems(connection, period, key)
        queries[mode] = f"{there} WHERE ({_in_period(period)}) IS NOT TRUE UNION ALL {data}"
    if mode in ("replace", "sync", "append"):  # as cheap to read twice as to keep
        connection.execute(f"CREATE VIEW expected AS {queries[mode]}")
    else:
        connection.execute(f"CREATE TABLE expected_kept AS {queries.get(mode, there)}")
        connection.execute("CREATE VIEW expected AS SELECT * FROM expected_kept")
    return found


def count(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], key: str | None) -> Difference:
    """The difference between `there` and `expected`."""
    before, after = rows(connection, "there"), rows(connection, "expected")
    if key is None:
        listed = ", ".join(quote_name(column.name) for column in columns)
        less = rows(connection, f"(SELECT {listed} FROM there EXCEPT ALL SELECT {listed} FROM expected)")
        return Difference(before, after, after - (before - less), 0, less, before - less)
    name = quote_name(key)
    kept = rows(connection, f"there SEMI JOIN expected USING ({name})")
    changed = rows(connection, f"({_changed(columns, key)})")
    added = rows(connection, f"expected ANTI JOIN there USING ({name})")
    return Difference(before, after, added, changed, before - kept, kept - changed)


def changes(
    connection: duckdb.DuckDBPyConnection, mode: Mode, table: Table, fields: Fields, key: str | None, token: str,
    work: Path,
) -> list[Change]:  # fmt: skip
    """
    The changes to send, in this order, under the portal's names; their tables are written to `work`.

    `sync`, and `replace-period` with a row identifier, become one upsert of the rows that are new or other, with the
    keys of those that go; or a deletion where rows go only. Without a row identifier a period is replaced by
    replacing all rows.
    """
    if mode in ("sync", "replace-period") and key:
        return _keyed_changes(connection, fields, key, token, work)
    kind: interface.Kind = "replace" if mode == "sync" or mode == "replace-period" else mode
    query, columns = "SELECT * FROM expected", fields.columns
    if mode != "replace-period":
        names = {column.name for column in fields.columns}
        query, columns = "SELECT * FROM data", tuple(one for one in table.columns if one.name in names)
        if not fields.renames and len(columns) == len(table.columns):
            return [_change(kind, table, fields, key, token)]
    part = _write(connection, query, fields, columns, work / f"send-{kind}.parquet")
    return [_change(kind, part, fields, key, f"{token}-{kind}")]


def rows(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """How many rows the SQL `relation` has."""
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])


def period_sql(column: str, by: By) -> str:
    """SQL for the period that a row of `column` belongs to."""
    name = quote_name(column)
    return name if by in ("value", "range") else f"date_trunc('{by}', {name})"


def _keyed_changes(
    connection: duckdb.DuckDBPyConnection, fields: Fields, key: str, token: str, work: Path
) -> list[Change]:
    """The difference between `there` and `expected` by their key."""
    name = quote_name(key)
    new = f"SELECT * FROM expected ANTI JOIN there USING ({name}) UNION ALL {_changed(fields.columns, key)}"
    less = f"SELECT {name} FROM there ANTI JOIN expected USING ({name})"
    one = [column for column in fields.columns if column.name == key]
    come = _write(connection, new, fields, fields.columns, work / "send-upsert.parquet")
    gone = _write(connection, less, fields, one, work / "send-delete.parquet")
    if come.rows and gone.rows:
        return [replace(_change("upsert", come, fields, key, f"{token}-both"), gone=gone)]
    if gone.rows:
        return [_change("delete", gone, fields, key, f"{token}-delete")]
    return [_change("upsert", come, fields, key, f"{token}-upsert")] if come.rows else []


def _change(kind: interface.Kind, table: Table, fields: Fields, key: str | None, token: str) -> Change:
    named = (fields.field(key),) if key else ()
    return Change(kind, table, fields.theirs, named, token)


def _write(
    connection: duckdb.DuckDBPyConnection, query: str, fields: Fields, columns: Sequence[Column], path: Path
) -> Table:
    """The rows of `query` under the portal's names."""
    renamed = ", ".join(f"{quote_name(c.name)} AS {quote_name(fields.field(c.name))}" for c in columns)
    theirs = [fields.as_field(column) for column in columns]
    return tables.write(connection, f"SELECT {renamed} FROM ({query})", theirs, path)


def _changed(columns: Sequence[Column], key: str) -> str:
    """SQL for the rows of `expected` whose key is there with other values."""
    others = [quote_name(column.name) for column in columns if column.name != key]
    differs = " OR ".join(f"e.{name} IS DISTINCT FROM t.{name}" for name in others) or "false"
    listed = ", ".join(f"e.{quote_name(column.name)}" for column in columns)
    return f"SELECT {listed} FROM expected e JOIN there t USING ({quote_name(key)}) WHERE {differs}"


def _key_problems(connection: duckdb.DuckDBPyConnection, mode: Mode, key: str) -> list[str]:
    found = []
    empty, double = tables.key_collisions(connection, "data", key)
    if empty:
        found.append(f"{empty} rows have no value of the key {key}")
    if double:
        found.append(f"{double} rows repeat a value of the key {key}")
    there = rows(connection, f"data SEMI JOIN there USING ({quote_name(key)})")
    if mode == "append" and there:
        found.append(
            f"{there} rows to append have keys that are published already; append never changes a row"
        )
    if mode == "delete" and (gone := rows(connection, "data") - there):
        found.append(f"{gone} of the identifiers to delete are not published")
    return found


def _in_period(period: Period) -> str:
    """SQL for whether a row there belongs to a period of `data`."""
    name = quote_name(period.column)
    if period.by == "range":
        return f"{name} BETWEEN (SELECT min({name}) FROM data) AND (SELECT max({name}) FROM data)"
    of_row = period_sql(period.column, period.by)
    return f"{of_row} IN (SELECT {of_row} FROM data WHERE {name} IS NOT NULL)"


def _period_problems(connection: duckdb.DuckDBPyConnection, period: Period, key: str | None) -> list[str]:
    name, found = quote_name(period.column), []
    if empty := rows(connection, f"data WHERE {name} IS NULL"):
        found.append(f"{empty} rows belong to no period: {period.column} is empty")
    if key:
        kept = f"(SELECT {quote_name(key)} FROM there WHERE ({_in_period(period)}) IS NOT TRUE)"
        if outside := rows(connection, f"data SEMI JOIN {kept} USING ({quote_name(key)})"):
            found.append(f"{outside} rows have keys that are published in another period")
    return found
