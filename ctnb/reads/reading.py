"""Reading in one pass where every row fits, and closely where one does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import tables
from ctnb.contracts.columns import Column
from ctnb.datasets import Dataset
from ctnb.errors import AccountOpen, TooManyRejects
from ctnb.places.fetching import Gathered
from ctnb.reads.accounts import ColumnCount, Reading, RejectCount
from ctnb.reads.cells import cell_tests, make_cells
from ctnb.reads.matching import match
from ctnb.reads.rejects import Check, write_rejects
from ctnb.sources.formats import open_source
from ctnb.sources.opened import Loaded, Misfit, Streamed
from ctnb.tables import Table
from ctnb.values import quote_name, quote_text

if TYPE_CHECKING:
    import duckdb


STRAIGHT_MB = 700
"""Memory that DuckDB may take for reading in one pass, in MB; sorting for the digest spills beyond it."""


def read(dataset: Dataset, gathered: Gathered, folder: Path) -> Reading:
    """
    Read what was `gathered` for `dataset` into a table in the private `folder`.

    Writes read.parquet and rejects.parquet there. Raises SourceInvalid, TooManyRejects (the rejects file is
    kept).
    """
    contract = dataset.contract
    fetched = gathered.parts[0]
    snapshot = fetched.snapshots[0]
    opened = open_source(
        snapshot.path, snapshot.name, contract.source.asked, format=fetched.format or contract.source.format
    )
    places = match(opened.header, contract.read_columns, contract.source.ignore)
    if isinstance(opened, Streamed) and (reading := _straight(opened, dataset, folder, gathered, places)):
        return reading
    with tables.connect(folder, threads=2) as connection:
        loaded = opened.load(connection, folder)
        return _typed(connection, dataset, folder, gathered, opened.encoding, places, loaded)


def _straight(
    opened: Streamed, dataset: Dataset, folder: Path, gathered: Gathered, places: dict[str, int]
) -> Reading | None:
    """
    The reading of a source whose every row fits, in one pass that holds nothing in memory.

    None as soon as one row does not fit: then every row is looked at closely, numbered and accounted for.
    """
    import duckdb

    columns = dataset.contract.read_columns
    with tables.connect(folder, threads=2, memory_mb=STRAIGHT_MB) as connection:
        connection.execute(f"CREATE VIEW numbered AS SELECT 0 AS _row, * FROM {opened.streamed()}")
        make_cells(connection, columns, places, dataset.contract.source.nulls)
        try:
            table = tables.write(connection, _all_or_none(columns), columns, folder / "read.parquet")
        except duckdb.Error:  # its text may quote the row
            return None
        if any(_repeats(connection, table, column) for column in columns if column.constraints.unique):
            return None
    counts = tuple(
        ColumnCount(column.name, column.type, table.rows - empty, empty, 0)
        for column, empty in zip(columns, tables.empty_cells(table), strict=True)
    )
    return Reading(table, gathered, opened.encoding, table.rows, 0, (), {}, counts, None)


def _all_or_none(columns: Sequence[Column]) -> str:
    """The typed cells of `cells`; reading it fails at the first row that breaks a rule."""
    tests = [test for column in columns for rule, test in cell_tests(column) if rule != "unique"]
    bad = " OR ".join(f"coalesce({test}, false)" for test in tests) or "false"
    first, *others = (quote_name("t_" + column.name) for column in columns)
    named = [f"CASE WHEN {bad} THEN error('a row does not fit') ELSE {first} END", *others]
    listed = ", ".join(f"{cell} AS {quote_name(c.name)}" for cell, c in zip(named, columns, strict=True))
    return f"SELECT {listed} FROM cells"


def _repeats(connection: duckdb.DuckDBPyConnection, table: Table, column: Column) -> bool:
    name, source = quote_name(column.name), f"read_parquet({quote_text(str(table.path))})"
    row = connection.execute(f"SELECT count({name}), count(DISTINCT {name}) FROM {source}").fetchall()[0]
    return bool(row[0] != row[1])


def _typed(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, folder: Path, gathered: Gathered, encoding: str,
    places: dict[str, int], loaded: Loaded,
) -> Reading:  # fmt: skip
    columns, misfits = dataset.contract.read_columns, loaded.misfits
    make_cells(connection, columns, places, dataset.contract.source.nulls, typed_dates=loaded.typed_dates)
    checks = [(column, rule, test) for column in columns for rule, test in cell_tests(column)]
    bad = " OR ".join(f"coalesce({test}, false)" for _, _, test in checks) or "false"
    connection.execute(f"CREATE TABLE typed AS SELECT *, {bad} AS _bad FROM cells")
    counts = _reject_counts(connection, checks, misfits)
    rejected = _count(connection, "typed WHERE _bad") + len(misfits)
    path = write_rejects(connection, checks, misfits, folder) if rejected else None
    left_out = sum(loaded.left_out.values())
    total = _count(connection, "typed") + len(misfits) + left_out
    profile = _profile(connection, columns, checks)
    _check_share(rejected, total, counts, dataset)
    kept = "SELECT * FROM typed WHERE NOT _bad ORDER BY _row"
    table = tables.write(connection, _renamed(kept, columns), columns, folder / "read.parquet")
    if table.rows + rejected + left_out != total:
        raise AccountOpen(f"Rows do not add up: {total} read, {table.rows} kept, {rejected} rejected.")
    return Reading(table, gathered, encoding, total, rejected, counts, dict(loaded.left_out), profile, path)


def _reject_counts(
    connection: duckdb.DuckDBPyConnection, checks: Sequence[Check], misfits: Sequence[Misfit]
) -> tuple[RejectCount, ...]:
    counts = [RejectCount("", rule, rows) for rule, rows in sorted(Counter(m.rule for m in misfits).items())]
    if checks:
        sums = ", ".join(f"count(*) FILTER (WHERE {test})" for _, _, test in checks)
        row = connection.execute(f"SELECT {sums} FROM typed WHERE _bad").fetchall()[0]
        counts += [RejectCount(c.name, rule, n) for (c, rule, _), n in zip(checks, row, strict=True) if n]
    return tuple(counts)


def _profile(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], checks: Sequence[Check]
) -> tuple[ColumnCount, ...]:
    parts = []
    for column in columns:
        failing = " OR ".join(f"coalesce({test}, false)" for c, _, test in checks if c is column) or "false"
        parts += [f"count({quote_name('r_' + column.name)})", f"count(*) FILTER (WHERE {failing})"]
        parts += [f"count(*) FILTER (WHERE ({failing}) AND {quote_name('r_' + column.name)} IS NOT NULL)"]
    row = connection.execute(f"SELECT count(*), {', '.join(parts)} FROM typed").fetchall()[0]
    total, made = row[0], []
    for place, column in enumerate(columns):
        filled, failed, filled_failed = row[1 + 3 * place : 4 + 3 * place]
        made.append(ColumnCount(column.name, column.type, filled - filled_failed, total - filled, failed))
    return tuple(made)


def _check_share(rejected: int, total: int, counts: Sequence[RejectCount], dataset: Dataset) -> None:
    allowed = dataset.contract.rejects.at_most_share
    if rejected <= allowed * total:
        return
    worst = sorted(counts, key=lambda count: -count.rows)[:5]
    listed = ", ".join(f"{count.column or 'record'}: {count.rule} {count.rows}" for count in worst)
    raise TooManyRejects(
        f"{rejected:,} of {total:,} rows do not fit the contract (allowed: {_share(allowed)}): {listed}.",
        hint="Correct the source or the contract; the rows are in the run's private rejects.parquet.",
        rejected=rejected, total=total, counts=tuple(counts),
    )  # fmt: skip


def _share(share: float) -> str:
    return f"{share:.2%}" if share else "none"


def _renamed(query: str, columns: Sequence[Column]) -> str:
    listed = ", ".join(f"{quote_name('t_' + c.name)} AS {quote_name(c.name)}" for c in columns)
    return f"SELECT {listed} FROM ({query})"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])
