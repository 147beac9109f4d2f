"""
Making a plan: what the portal has, what it must have afterwards, and why that cannot be.

The rows that must be there afterwards are worked out in full and hashed, so that reading back can tell
"applied" from "not applied" and from "somebody else was here", also after a process was killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import digests, tables
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Metadata, Mode
from ctnb.portals.interface import Described, Portal, There
from ctnb.portals.plans import Mapped, Plan
from ctnb.tables import Table
from ctnb.values import Kind, parquet_type, quote_name

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Wanted:
    """What a dataset asks of a portal."""

    title: str
    description: str
    table: Table
    columns: tuple[Column, ...]
    """All columns of the published dataset; `table` has them all, or the key alone to delete."""
    key: str | None
    """The row identifier, if the contract has one."""
    mode: Mode
    public: bool
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def described(self) -> Described:
        """What the portal is told of it, rows aside."""
        key = (self.key,) if self.key else ()
        return Described(self.title, self.description, self.columns, key, self.metadata)


@dataclass(frozen=True)
class Target:
    """Where it goes."""

    portal: Portal
    dataset_id: str | None
    """None: not there yet."""


def make(target: Target, wanted: Wanted, work: Path | None = None) -> Plan:
    """The plan for publishing `wanted` to `target`. Reads the portal, writes nothing. Raises PortalFailed."""
    there = target.portal.there(target.dataset_id) if target.dataset_id else None
    mapping = _mapping(wanted.columns, target.portal, there)
    problems = [*_mode_problems(wanted, there), *_mapping_problems(mapping)]
    if target.dataset_id and there is None:
        problems.append(f"the portal has no dataset {target.dataset_id}, which portal.yml names")
    with tables.connect(work, threads=2) as connection:
        tables.load(connection, wanted.table, "data")
        if there is not None and not _mapping_problems(mapping):
            lost = target.portal.load(there.id, wanted.columns, connection, "there")
            if lost:
                problems.append(f"{lost} cells of the portal do not fit the contract's types")
        else:
            _make_empty(connection, wanted.columns, "there")
        problems += _expect(connection, wanted)
        return _plan(connection, target, wanted, mapping, problems)


def digest_there(
    portal: Portal, dataset_id: str, columns: Sequence[Column], work: Path | None
) -> tuple[int, str]:
    """Row count and content digest of what the portal has, typed by the contract. Raises PortalFailed."""
    with tables.connect(work, threads=2) as connection:
        portal.load(dataset_id, columns, connection, "there")
        return _count(connection, "there"), digests.of_table(connection, "there", _kinds(columns))


def _make_empty(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], name: str) -> None:
    typed = ", ".join(f"{quote_name(column.name)} {parquet_type(column.kind)}" for column in columns)
    connection.execute(f"CREATE TABLE {quote_name(name)} ({typed})")


def _plan(
    connection: duckdb.DuckDBPyConnection, target: Target, wanted: Wanted, mapping: Sequence[Mapped],
    problems: Sequence[str],
) -> Plan:  # fmt: skip
    added, removed, changed = _differences(connection, wanted)
    return Plan(
        portal=target.portal.name, url=target.portal.url, dataset_id=target.dataset_id, mode=wanted.mode,
        public=wanted.public, mapping=tuple(mapping), rows_before=_count(connection, "there"),
        rows_sent=wanted.table.rows, rows_added=added, rows_changed=changed, rows_removed=removed,
        rows_after=_count(connection, "expected"), problems=tuple(problems),
        before=digests.of_table(connection, "there", _kinds(wanted.columns)),
        expected=digests.of_table(connection, "expected", _kinds(wanted.columns)),
    )  # fmt: skip


def _mapping(columns: Sequence[Column], portal: Portal, there: There | None) -> list[Mapped]:
    theirs = {field.name: field.type for field in there.fields} if there else {}
    found = []
    for column in columns:
        ours, known = portal.type_of(column), theirs.pop(column.name, "")
        verdict = "fits" if there is None or ours == known else "type differs" if known else "only here"
        found.append(Mapped(column.name, column.name, ours, known, verdict))
    return found + [Mapped("", name, "", kind, "only there") for name, kind in theirs.items()]


def _mapping_problems(mapping: Sequence[Mapped]) -> list[str]:
    return [f"{one.column or one.field}: {one.verdict}" for one in mapping if one.verdict != "fits"]


def _mode_problems(wanted: Wanted, there: There | None) -> list[str]:
    problems = []
    if wanted.mode in ("upsert", "delete") and not wanted.key:
        problems.append(f"{wanted.mode} needs a row identifier: name the contract's key:")
    if wanted.mode == "delete" and there is None:
        problems.append("there is nothing to delete from: the dataset is not on the portal")
    if there is not None and wanted.described.key != there.key:
        problems.append(
            f"the contract's key is {wanted.key or 'none'}, "
            f"the portal's row identifier is {', '.join(there.key) or 'none'}"
        )
    return problems


def _expect(connection: duckdb.DuckDBPyConnection, wanted: Wanted) -> list[str]:
    """Make the table `expected`: the rows that must be there afterwards. Returns problems."""
    key, problems = quote_name(wanted.key or ""), []
    queries = {
        "replace": "SELECT * FROM data",
        "append": "SELECT * FROM there UNION ALL SELECT * FROM data",
    }
    if wanted.key:
        kept = f"SELECT * FROM there ANTI JOIN data USING ({key})"
        queries |= {"upsert": f"{kept} UNION ALL SELECT * FROM data", "delete": kept}
        problems = _key_problems(connection, wanted, key)
    connection.execute(f"CREATE TABLE expected AS {queries.get(wanted.mode, 'SELECT * FROM there')}")
    return problems


def _key_problems(connection: duckdb.DuckDBPyConnection, wanted: Wanted, key: str) -> list[str]:
    problems = []
    empty, double = tables.key_collisions(connection, "data", wanted.key or "")
    if empty:
        problems.append(f"{empty} rows have no value of the key {wanted.key}")
    if double:
        problems.append(f"{double} rows repeat a value of the key {wanted.key}")
    there = _count(connection, f"data SEMI JOIN there USING ({key})")
    if wanted.mode == "append" and there:
        problems.append(
            f"{there} rows to append have keys that are published already; append never changes a row"
        )
    if wanted.mode == "delete" and (gone := wanted.table.rows - there):
        problems.append(f"{gone} of the identifiers to delete are not published")
    return problems


def _differences(connection: duckdb.DuckDBPyConnection, wanted: Wanted) -> tuple[int, int, int]:
    """Rows added, removed, changed; without a key nothing counts as changed."""
    connection.execute("CREATE VIEW more AS SELECT * FROM expected EXCEPT ALL SELECT * FROM there")
    connection.execute("CREATE VIEW less AS SELECT * FROM there EXCEPT ALL SELECT * FROM expected")
    added, removed = _count(connection, "more"), _count(connection, "less")
    if not wanted.key:
        return added, removed, 0
    changed = _count(connection, f"more SEMI JOIN less USING ({quote_name(wanted.key)})")
    return added - changed, removed - changed, changed


def _kinds(columns: Sequence[Column]) -> list[tuple[str, Kind]]:
    return [(column.name, column.kind) for column in columns]


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])
