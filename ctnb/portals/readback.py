"""
Read-back: what the portal has after a sending, compared with what was to be there.

Up to a bound of rows every row is read and hashed under the contract's types; beyond it the portal's own counts, empty
cells, sums and extremes are compared. What differs is told by columns and counts, never by a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from ctnb import digests
from ctnb.contracts.columns import NUMERIC, Column
from ctnb.errors import PublishRefused
from ctnb.portals.interface import Portal, Summary
from ctnb.portals.mapping import Fields
from ctnb.values import canonical_sql, quote_name

if TYPE_CHECKING:
    import duckdb

TIMES = ("date", "timestamp")
BACK = "back"
_THEIRS = "back_as_answered"


@dataclass(frozen=True)
class ColumnDifference:
    """One column whose cells are not those that were to be there."""

    column: str
    empty_expected: int
    empty_found: int
    cells: int | None = None
    """Cells of other values; None where the portal was asked for sums alone."""

    @property
    def text(self) -> str:
        """What differs, in counts."""
        parts = []
        if self.empty_expected != self.empty_found:
            parts.append(f"{self.empty_found:,} empty cells, {self.empty_expected:,} expected")
        if self.cells:
            parts.append(f"{self.cells:,} cells of other values")
        return f"{self.column}: {' and '.join(parts) or 'another sum, or another first or last value'}"


@dataclass(frozen=True)
class ReadBack:
    """What reading back found."""

    how: str
    """rows: each row was read and hashed; summary: counts and sums, computed by the portal."""
    rows_expected: int
    rows_found: int
    columns: tuple[ColumnDifference, ...]
    equal: bool

    @property
    def text(self) -> str:
        """What differs, as a sentence without its end."""
        head = f"{self.rows_expected:,} rows expected, {self.rows_found:,} read"
        told = [one.text for one in self.columns]
        if not told and self.rows_expected == self.rows_found and not self.equal:
            told = ["the same values in other rows"]
        return "; ".join([head, *told])


def compare(
    connection: duckdb.DuckDBPyConnection, portal: Portal, dataset_id: str, fields: Fields, key: str | None, *,
    at_most_rows: int, digest: str = "",
) -> ReadBack:  # fmt: skip
    """
    What the portal has beside the table `expected` of `connection`.

    Up to `at_most_rows` rows are read whole, into the table `back` under our names. `digest` is that of `expected`,
    where it is known. Raises PortalFailed.
    """
    expected = int(connection.execute("SELECT count(*) FROM expected").fetchall()[0][0])
    if expected > at_most_rows:
        return _by_summary(
            summary(connection, "expected", fields.columns), _theirs(portal, dataset_id, fields)
        )
    connection.execute(f"DROP TABLE IF EXISTS {BACK}")
    lost = load(connection, portal, dataset_id, fields, BACK)
    return _by_rows(connection, fields.columns, key, lost, digest)


def check(found: ReadBack) -> None:
    """Raise PublishRefused when what was read back is not what was to be there."""
    if not found.equal:
        raise PublishRefused(
            f"What was read back is not what was to be there: {found.text}.",
            hint="Nothing is called released. Compare the portal with the last release, then publish again.",
            columns=tuple(one.column for one in found.columns), how=found.how,
        )  # fmt: skip


def load(
    connection: duckdb.DuckDBPyConnection, portal: Portal, dataset_id: str, fields: Fields, name: str
) -> int:
    """Read the portal's rows into the table `name` under our names; returns how many cells do not fit."""
    if not fields.renames:
        return portal.load(dataset_id, fields.columns, connection, name)
    lost = portal.load(dataset_id, fields.theirs, connection, _THEIRS)
    ours = ", ".join(
        f"{quote_name(fields.field(column.name))} AS {quote_name(column.name)}" for column in fields.columns
    )
    connection.execute(f"CREATE TABLE {quote_name(name)} AS SELECT {ours} FROM {_THEIRS}")
    connection.execute(f"DROP TABLE {_THEIRS}")
    return lost


def summary(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]) -> Summary:
    """Counts, empty cells, sums and extremes of the SQL `relation`, as `Portal.summary` gives them."""
    asked = ["count(*)"]
    for column in columns:
        name = quote_name(column.name)
        asked.append(f"count({name})")
        asked.append(
            f"coalesce(sum({name}), 0)::DECIMAL(38, {column.kind.scale})"
            if column.type in NUMERIC
            else "NULL"
        )
        edges = (f"{edge}({name})" for edge in ("min", "max"))
        asked += [canonical_sql(column.kind, edge) if column.type in TIMES else "NULL" for edge in edges]
    row = connection.execute(f"SELECT {', '.join(asked)} FROM {relation}").fetchall()[0]
    cells = {column.name: row[1 + 4 * at : 5 + 4 * at] for at, column in enumerate(columns)}
    return Summary(
        rows=int(row[0]),
        empty={name: int(row[0] - filled) for name, (filled, _, _, _) in cells.items()},
        totals={name: Decimal(total) for name, (_, total, _, _) in cells.items() if total is not None},
        extremes={name: (first, last) for name, (_, _, first, last) in cells.items() if first is not None},
    )


def _theirs(portal: Portal, dataset_id: str, fields: Fields) -> Summary:
    """The portal's summary under our names."""
    found = portal.summary(dataset_id, fields.theirs)
    return Summary(
        found.rows,
        {fields.column(name): count for name, count in found.empty.items()},
        {fields.column(name): total for name, total in found.totals.items()},
        {fields.column(name): edges for name, edges in found.extremes.items()},
    )


def _by_summary(expected: Summary, found: Summary) -> ReadBack:
    differ = tuple(
        ColumnDifference(name, count, found.empty.get(name, 0))
        for name, count in expected.empty.items()
        if count != found.empty.get(name, 0)
        or expected.totals.get(name, Decimal(0)) != found.totals.get(name, Decimal(0))
        or expected.extremes.get(name) != found.extremes.get(name)
    )
    return ReadBack("summary", expected.rows, found.rows, differ, not differ and expected.rows == found.rows)


def _by_rows(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], key: str | None, lost: int, digest: str
) -> ReadBack:
    kinds = [(column.name, column.kind) for column in columns]
    wanted = digest or digests.of_table(connection, "expected", kinds)
    got = digests.of_table(connection, BACK, kinds)
    counts = [
        int(connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0])
        for name in ("expected", BACK)
    ]
    if wanted == got and not lost:
        return ReadBack("rows", counts[0], counts[1], (), True)
    differ = tuple(filter(None, (_column(connection, column.name, key) for column in columns)))
    return ReadBack("rows", counts[0], counts[1], differ, False)


def _column(connection: duckdb.DuckDBPyConnection, column: str, key: str | None) -> ColumnDifference | None:
    """How the cells of one column differ: row by row with a key, else as bags of values."""
    name = quote_name(column)
    empty = [
        int(connection.execute(f"SELECT count(*) FILTER ({name} IS NULL) FROM {table}").fetchall()[0][0])
        for table in ("expected", BACK)
    ]
    if key and key != column:
        other = f"expected e JOIN {BACK} b USING ({quote_name(key)}) WHERE e.{name} IS DISTINCT FROM b.{name}"
    else:
        other = f"(SELECT {name} FROM expected EXCEPT ALL SELECT {name} FROM {BACK})"
    cells = int(connection.execute(f"SELECT count(*) FROM {other}").fetchall()[0][0])
    if not cells and empty[0] == empty[1]:
        return None
    return ColumnDifference(column, empty[0], empty[1], cells)
