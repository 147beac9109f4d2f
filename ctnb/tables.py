"""
Tables: what travels between steps, one Parquet file each, with a small frozen handle.

The Parquet file says itself which contract columns it holds (key-value metadata `ctnb`), so that a handle can
be opened from a path alone. Every door to DuckDB is closed: no external access, no extension download, a
locked configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import digests
from ctnb.contracts.columns import Column
from ctnb.errors import RecordBroken
from ctnb.values import TYPES, Kind, parquet_type, quote_name, quote_text

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

GROUP_ROWS = 61_440
"""Rows of a Parquet file's row group: half of DuckDB's own choice is written faster by two threads."""

BATCH_ROWS = 50_000
MEASURED = 64
SUPPRESSED = "_suppressed"
"""Ending of the boolean column that marks the suppressed cells of the column before it."""


_known: dict[str, tuple[tuple[Column, ...], int, str]] = {}
"""Columns, rows and content digest of the last MEASURED files that this process opened, by the SHA-256 of the file."""


@dataclass(frozen=True)
class Table:
    """A Parquet file with a known contract, row count and digests."""

    path: Path
    """The file. It is never changed once written."""
    columns: tuple[Column, ...]
    """The contract of its columns, in their order."""
    rows: int
    """How many rows it has."""
    file_digest: str
    """SHA-256 of the file's bytes."""
    digest: str
    """The content digest, plain: it stays in the private work folder until the table is released."""

    def df(self) -> pd.DataFrame:
        """All rows as a pandas DataFrame with pyarrow-backed columns; numbers and percents are doubles."""
        import pandas as pd

        return self.arrow().to_pandas(types_mapper=pd.ArrowDtype)

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table; numbers and percents are doubles, money stays decimal."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(self.path)
        for place, column in enumerate(self.columns):
            if TYPES[column.type].pandas == "double[pyarrow]":
                # through text: Arrow's own cast of decimals gives 0.09999999999999999 for 0.1
                doubles = table.column(place).cast(pa.string()).cast(pa.float64())
                table = table.set_column(place, column.name, doubles)
        return table.replace_schema_metadata(None)

    def sql(self, query: str) -> pd.DataFrame:
        """
        The result of a SQL `query` in which this table is called `data`, as a pandas DataFrame.

        One thread, so that the same query gives the same digits each time.
        """
        with opened(self) as connection:
            return connection.execute(query).df()

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in Arrow batches of at most `rows`, in the file's order."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            yield from file.iter_batches(rows)

    @property
    def kinds(self) -> list[tuple[str, Kind]]:
        """Name and kind of each column, as the content digest takes them."""
        return [(column.name, column.kind) for column in self.columns]

    def column(self, name: str) -> Column:
        """The contract of column `name`. Raises KeyError."""
        return {column.name: column for column in self.columns}[name]

    def _repr_html_(self) -> str:
        return f"<p>Table of {self.rows:,} rows and {len(self.columns)} columns</p>"

    def __repr__(self) -> str:
        return f"<Table: {self.rows:,} rows, {len(self.columns)} columns>"


@contextmanager
def connect(
    work: Path | None = None, *, threads: int = 1, memory_mb: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """
    An in-memory DuckDB whose doors are still open, for loading files; `lock` it before running others' SQL.

    It spills to `work`, or not at all when None.
    """
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        connection.execute(f"SET threads={int(threads)}")
        _quiet(connection)
        if memory_mb:
            connection.execute(f"SET memory_limit='{int(memory_mb)}MB'")
        connection.execute("SET autoinstall_known_extensions=false; SET autoload_known_extensions=false")
        connection.execute("SET TimeZone='UTC'")
        spill = str(work / "spill") if work else ""
        connection.execute(f"SET temp_directory={quote_text(spill)}")
        yield connection
    finally:
        connection.close()


def _quiet(connection: duckdb.DuckDBPyConnection) -> None:
    """
    No progress bar on stdout.

    In a Jupyter kernel without ipywidgets DuckDB refuses to change the setting, and shows none either.
    """
    import duckdb

    with suppress(duckdb.Error):
        connection.execute("SET enable_progress_bar=false")


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Close every door of `connection`: no files, no network, no extensions, no change of settings."""
    connection.execute("SET enable_external_access=false; SET lock_configuration=true")


@contextmanager
def opened(
    table: Table, *, name: str = "data", beside: Mapping[str, Table] | None = None, threads: int = 1,
    work: Path | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:  # fmt: skip
    """A locked DuckDB in which `table` is called `name`, those `beside` by their names; one thread if not told."""
    with connect(work, threads=threads) as connection:
        for called, one in {name: table, **(beside or {})}.items():
            load(connection, one, called)
        lock(connection)
        yield connection


def load(connection: duckdb.DuckDBPyConnection, table: Table, name: str = "data") -> None:
    """Bring the rows of `table` into `connection` as a table called `name`."""
    source = f"read_parquet({quote_text(str(table.path))})"
    connection.execute(f"CREATE TABLE {quote_name(name)} AS SELECT * FROM {source}")


def write(connection: duckdb.DuckDBPyConnection, query: str, columns: Sequence[Column], path: Path) -> Table:
    """
    Write the rows of `query`, whose columns fit `columns` by name, to the Parquet file `path`.

    `connection` must not be locked yet. A temporary name first, then a move; only its owner may read it.
    """
    described = json.dumps([column.model_dump(exclude_defaults=True) for column in columns])
    casts = ", ".join(
        f"CAST({quote_name(c.name)} AS {parquet_type(c.kind)}) AS {quote_name(c.name)}" for c in columns
    )
    temporary = path.with_name(f".{path.name}.part")
    connection.execute(
        f"COPY (SELECT {casts} FROM ({query})) TO {quote_text(str(temporary))} "
        f"(FORMAT parquet, PARQUET_VERSION V2, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {GROUP_ROWS}, "
        f"KV_METADATA {{ctnb: {quote_text(described)}}})"
    )
    temporary.chmod(0o600)
    temporary.replace(path)
    return _measured(connection, path, tuple(columns))


def open_table(path: Path, *, file_digest: str | None = None, digest: str | None = None) -> Table:
    """
    The table in the Parquet file `path`, its digests computed anew; that of the content once for the same bytes.

    Raises RecordBroken when the file is missing, was not written by ctnb, or a given digest differs.
    """
    if not path.is_file():
        raise RecordBroken(
            f"The table {path.name} is missing.", hint="Run the dataset again from the read step."
        )
    now = digests.of_file(path)
    if file_digest and now != file_digest:
        raise _changed(path)
    table = _measured_once(path, now)
    if digest and table.digest != digest:
        raise RecordBroken(
            f"The content of {path.name} is not what its step wrote.", hint="Run the dataset again."
        )
    return table


def check_file(table: Table) -> None:
    """Raise RecordBroken when the file of `table` is not what it was when it was opened."""
    if not table.path.is_file() or digests.of_file(table.path) != table.file_digest:
        raise _changed(table.path)


def _changed(path: Path) -> RecordBroken:
    return RecordBroken(
        f"The table {path.name} changed after the step that wrote it.",
        hint="Somebody or something wrote to the work folder; run the dataset again from the read step.",
    )


def empty_cells(table: Table) -> list[int]:
    """How many cells of each column are empty, from the Parquet file's own statistics."""
    import pyarrow.parquet as pq

    facts = pq.read_metadata(table.path)
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    return [
        sum(group.column(place).statistics.null_count for group in groups)
        for place in range(len(table.columns))
    ]


def key_collisions(connection: duckdb.DuckDBPyConnection, relation: str, key: str) -> tuple[int, int]:
    """How many rows of `relation` have no value of the column `key`, and how many repeat one."""
    name = quote_name(key)
    row = connection.execute(
        f"SELECT count(*), count({name}), count(DISTINCT {name}) FROM {relation}"
    ).fetchall()[0]
    return int(row[0] - row[1]), int(row[1] - row[2])


def suppressed_flag(column: Column) -> Column:
    """The boolean column that marks the suppressed cells of `column`."""
    return Column(
        name=column.name + SUPPRESSED, label=f"{column.title} suppressed", type="boolean", role="plain",
        description=f"true where {column.title} is withheld to protect people.",
    )  # fmt: skip


def _measured_once(path: Path, file_digest: str) -> Table:
    """
    The table in `path`, whose bytes have `file_digest`; a run opens each of its tables many times.

    What is told of bytes seen before was measured between two equal digests of them.
    """
    known = _known.get(file_digest)
    if known is None:
        with connect() as connection:
            table = _measured(connection, path, open_columns(path))
        if table.file_digest != file_digest:
            raise _changed(path)
        known = _known[file_digest] = (table.columns, table.rows, table.digest)
        for old in list(_known)[:-MEASURED]:
            _known.pop(old, None)
    columns, rows, digest = known
    return Table(path, columns, rows, file_digest, digest)


def _measured(connection: duckdb.DuckDBPyConnection, path: Path, columns: tuple[Column, ...]) -> Table:
    relation = f"read_parquet({quote_text(str(path))})"
    counted = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    digest = digests.of_table(connection, relation, [(column.name, column.kind) for column in columns])
    return Table(path, columns, int(counted[0]) if counted else 0, digests.of_file(path), digest)


def open_columns(path: Path) -> tuple[Column, ...]:
    """The contract columns that the Parquet file `path` says it holds. Raises RecordBroken when it is not ctnb's."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        stored = (pq.read_metadata(path).metadata or {}).get(b"ctnb")
    except pa.ArrowInvalid:  # not Parquet at all
        stored = None
    if stored is None:
        raise RecordBroken(f"{path.name} was not written by ctnb.", hint="Run the dataset again.")
    return tuple(Column.model_validate(one) for one in json.loads(stored))
