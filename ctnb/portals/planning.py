"""
Making a plan: what the portal has, what it must have afterwards, and why that cannot be.

The rows that must be there afterwards are worked out in full and hashed, so that reading back can tell
"applied" from "not applied" and from "somebody else was here", also after a process was killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import digests, tables
from ctnb.clients.socrata import Socrata, View
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Mode
from ctnb.portals import soda
from ctnb.portals.plans import Mapped, Plan
from ctnb.tables import Table
from ctnb.values import TYPES, Kind, quote_name

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


@dataclass(frozen=True)
class Target:
    """Where it goes."""

    portal: str
    """Its name in ctnb.yml."""
    client: Socrata
    dataset_id: str | None
    """None: not there yet."""


def make(target: Target, wanted: Wanted, work: Path | None = None) -> Plan:
    """The plan for publishing `wanted` to `target`. Reads the portal, writes nothing. Raises PortalFailed."""
    view = target.client.view(target.dataset_id) if target.dataset_id else None
    mapping = _mapping(wanted.columns, view)
    problems = [*_mode_problems(wanted, view), *_mapping_problems(mapping)]
    if target.dataset_id and view is None:
        problems.append(f"the portal has no dataset {target.dataset_id}, which portal.yml names")
    with tables.connect(work, threads=2) as connection:
        tables.load(connection, wanted.table, "data")
        fits = view is not None and not _mapping_problems(mapping)
        pages = target.client.rows(view.id, [c.name for c in wanted.columns]) if view and fits else []
        lost = soda.load(connection, "there", wanted.columns, pages)
        if lost:
            problems.append(f"{lost} cells of the portal do not fit the contract's types")
        problems += _expect(connection, wanted)
        return _plan(connection, target, wanted, mapping, problems)


def digest_there(
    client: Socrata, dataset_id: str, columns: Sequence[Column], work: Path | None
) -> tuple[int, str]:
    """Row count and content digest of what the portal has, typed by the contract. Raises PortalFailed."""
    with tables.connect(work, threads=2) as connection:
        soda.load(connection, "there", columns, client.rows(dataset_id, [c.name for c in columns]))
        return _count(connection, "there"), digests.of_table(connection, "there", _kinds(columns))


def _plan(
    connection: duckdb.DuckDBPyConnection, target: Target, wanted: Wanted, mapping: Sequence[Mapped],
    problems: Sequence[str],
) -> Plan:  # fmt: skip
    added, removed, changed = _differences(connection, wanted)
    return Plan(
        portal=target.portal, url=target.client.url, dataset_id=target.dataset_id, mode=wanted.mode,
        public=wanted.public, mapping=tuple(mapping), rows_before=_count(connection, "there"),
        rows_sent=wanted.table.rows, rows_added=added, rows_changed=changed, rows_removed=removed,
        rows_after=_count(connection, "expected"), problems=tuple(problems),
        before=digests.of_table(connection, "there", _kinds(wanted.columns)),
        expected=digests.of_table(connection, "expected", _kinds(wanted.columns)),
    )  # fmt: skip


def _mapping(columns: Sequence[Column], view: View | None) -> list[Mapped]:
    theirs = {field.field_name: field.data_type for field in view.fields} if view else {}
    found = []
    for column in columns:
        ours, there = TYPES[column.type].soda, theirs.pop(column.name, "")
        verdict = "fits" if view is None or ours == there else "type differs" if there else "only here"
        found.append(Mapped(column.name, column.name, ours, there, verdict))
    return found + [Mapped("", name, "", kind, "only there") for name, kind in theirs.items()]


def _mapping_problems(mapping: Sequence[Mapped]) -> list[str]:
    return [f"{one.column or one.field}: {one.verdict}" for one in mapping if one.verdict != "fits"]


def _mode_problems(wanted: Wanted, view: View | None) -> list[str]:
    problems = []
    if wanted.mode in ("upsert", "delete") and not wanted.key:
        problems.append(f"{wanted.mode} needs a row identifier: name the contract's key:")
    if wanted.mode == "delete" and view is None:
        problems.append("there is nothing to delete from: the dataset is not on the portal")
    if view is not None and wanted.key != view.row_identifier:
        problems.append(
            f"the contract's key is {wanted.key or 'none'}, "
            f"the portal's row identifier is {view.row_identifier or 'none'}"
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
