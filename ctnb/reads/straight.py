"""Reading in one pass, where every row fits: nothing is held in memory but what a sort for the digest needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import tables
from ctnb.reads.accounts import ColumnCount, Reading
from ctnb.reads.cells import empty_words, make_cells
from ctnb.reads.checks import Unique, cell_checks, row_checks, uniques, values_of
from ctnb.reads.inputs import Job
from ctnb.reads.references import load_references
from ctnb.sources.opened import Streamed
from ctnb.tables import Table
from ctnb.values import quote_name, quote_text

if TYPE_CHECKING:
    import duckdb

STRAIGHT_MB = 700
"""Memory that DuckDB may take for reading in one pass, in MB; sorting for the digest spills beyond it."""


def read_straight(job: Job, folder: Path) -> Reading | None:
    """
    The reading of files whose every row fits.

    None as soon as one row does not fit, and where a file or a lookup needs a closer look: then every row is
    numbered and accounted for.
    """
    if not streams(job):
        return None
    relations = [
        f"(SELECT 0 AS _row, * FROM {one.opened.streamed()})"
        for one in job.inputs
        if isinstance(one.opened, Streamed)
    ]
    with tables.connect(folder, threads=2, memory_mb=STRAIGHT_MB) as connection:
        allowed, raw = load_references(connection, job, folder), left_raw(job)
        make_cells(connection, job, relations, [False] * len(relations), raw=raw)
        table = write_fitting(connection, job, allowed, folder, raw=raw)
    if table is None or job.gathered.parts[0].rows not in (None, table.rows):
        return None
    return fitting(job, table, tuple(note for one in job.inputs for note in one.opened.notes))


def streams(job: Job) -> bool:
    """Whether the files of `job` are such as can be read in one pass."""
    streamed = all(isinstance(one.opened, Streamed) for one in job.inputs)
    return streamed and not job.lookups and not _rows_are_told_apart(job)


def write_fitting(
    connection: duckdb.DuckDBPyConnection, job: Job, allowed: Mapping[str, str], folder: Path,
    *, raw: Collection[str] = (),
) -> Table | None:  # fmt: skip
    """The table of the rows of `cells`; None when one of them breaks a rule. `raw` is that of `make_cells`."""
    import duckdb

    columns, query = job.dataset.contract.read_columns, _all_or_none(job, allowed, raw)
    try:
        table = tables.write(connection, query, columns, folder / "read.parquet")
    except duckdb.Error:  # its text may quote the row
        return None
    return None if any(_repeats(connection, table, one) for one in uniques(job.dataset)) else table


def fitting(
    job: Job, table: Table, notes: Sequence[str], left_out: Mapping[str, int] | None = None
) -> Reading:
    """The reading whose every row is in `table`, those aside that a rule of the kind of file leaves out."""
    counts = tuple(
        ColumnCount(column.name, column.type, table.rows - empty, empty, 0)
        for column, empty in zip(job.dataset.contract.read_columns, tables.empty_cells(table), strict=True)
    )
    left = dict(left_out or {})
    return Reading(
        table, job.gathered, job.encoding, table.rows + sum(left.values()), 0, (), left, counts, None,
        notes=tuple(dict.fromkeys((*job.gathered.notes, *notes))),
    )  # fmt: skip


def _rows_are_told_apart(job: Job) -> bool:
    """Whether the rows of each of several parts have to be counted by themselves."""
    return len(job.gathered.parts) > 1 and any(part.rows is not None for part in job.gathered.parts)


def left_raw(job: Job) -> frozenset[str]:
    """
    The columns of which only the cells without a value have to be looked at: is it empty, or does it not fit?

    No value but a text's is made of blanks; a word that means empty could be one.
    """
    if any(empty_words(one.source.nulls) != [""] for one in job.inputs):
        return frozenset()
    columns = job.dataset.contract.read_columns
    return frozenset(column.name for column in columns if column.type not in ("text", "code"))


def _all_or_none(job: Job, allowed: Mapping[str, str], raw: Collection[str]) -> str:
    """The typed cells of `cells`; reading it fails at the first row that breaks a rule."""
    columns = job.dataset.contract.read_columns
    checks = [*cell_checks(job.dataset, allowed, raw=raw), *row_checks(job, values_of(columns))]
    bad = " OR ".join(f"coalesce({check.test}, false)" for check in checks) or "false"
    first, *others = (quote_name("t_" + column.name) for column in columns)
    named = [f"CASE WHEN {bad} THEN error('a row does not fit') ELSE {first} END", *others]
    listed = ", ".join(f"{cell} AS {quote_name(c.name)}" for cell, c in zip(named, columns, strict=True))
    return f"SELECT {listed} FROM cells"


def _repeats(connection: duckdb.DuckDBPyConnection, table: Table, unique: Unique) -> bool:
    """Whether values that stand once stand twice in `table`."""
    names = [quote_name(name) for name in unique.names]
    whole = " AND ".join(f"{name} IS NOT NULL" for name in names)
    source = f"read_parquet({quote_text(str(table.path))})"
    together = names[0] if len(names) == 1 else f"({', '.join(names)})"
    row = connection.execute(
        f"SELECT count(*), count(DISTINCT {together}) FROM {source} WHERE {whole}"
    ).fetchall()[0]
    return bool(row[0] != row[1])
