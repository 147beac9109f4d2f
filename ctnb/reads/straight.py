"""Reading in one pass, where every row fits: nothing is held in memory but what a sort for the digest needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    import duckdb

    streams = [one.opened.streamed() for one in job.inputs if isinstance(one.opened, Streamed)]
    relations = [f"(SELECT 0 AS _row, * FROM {stream})" for stream in streams]
    if len(relations) < len(job.inputs) or job.lookups or _rows_are_told_apart(job):
        return None
    columns = job.dataset.contract.read_columns
    with tables.connect(folder, threads=2, memory_mb=STRAIGHT_MB) as connection:
        allowed = load_references(connection, job, folder)
        raw = _left_raw(job)
        make_cells(connection, job, relations, [False] * len(relations), raw=raw)
        try:
            table = tables.write(
                connection, _all_or_none(job, allowed, raw), columns, folder / "read.parquet"
            )
        except duckdb.Error:  # its text may quote the row
            return None
        if any(_repeats(connection, table, one) for one in uniques(job.dataset)):
            return None
    if job.gathered.parts[0].rows not in (None, table.rows):
        return None
    counts = tuple(
        ColumnCount(column.name, column.type, table.rows - empty, empty, 0)
        for column, empty in zip(columns, tables.empty_cells(table), strict=True)
    )
    notes = tuple(dict.fromkeys(note for one in job.inputs for note in one.opened.notes))
    return Reading(
        table, job.gathered, job.encoding, table.rows, 0, (), {}, counts, None,
        notes=(*job.gathered.notes, *notes),
    )  # fmt: skip


def _rows_are_told_apart(job: Job) -> bool:
    """Whether the rows of each of several parts have to be counted by themselves."""
    return len(job.gathered.parts) > 1 and any(part.rows is not None for part in job.gathered.parts)


def _left_raw(job: Job) -> frozenset[str]:
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
