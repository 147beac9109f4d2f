"""
Records on their way into DuckDB: batches of text cells, written beside the snapshot or loaded directly.

Where the header is known only when the last record was seen, batches wait in Parquet files, one after another;
a later one may have more columns than those before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb.errors import SourceInvalid
from ctnb.sources.opened import Loaded, Misfit
from ctnb.values import quote_text

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 20_000
BATCH_CELLS = 2_000_000
BATCH_CHARACTERS = 32 << 20
COLUMNS_LIMIT = 4_000

Key = str | tuple[str, str]
"""A column's header; or where in the record it comes from, and its header, where headers may be alike."""


@dataclass(frozen=True)
class Parted:
    """A source whose records were read once and wait in Parquet files; see `Opened`."""

    header: tuple[str, ...]
    """The header's cells."""
    encoding: str
    """How text was encoded."""
    parts: tuple[Path, ...]
    """The files with the records, in order; columns _row, c1, c2, ..."""
    misfits: list[Misfit]
    """Records that do not fit."""
    notes: tuple[str, ...] = ()
    """What a person should know of the source."""

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """Bring the records into `connection` as `numbered`; see `Opened.load`."""
        if not self.parts:
            load_batches(connection, len(self.header), ())
            return Loaded(self.misfits, notes=self.notes)
        names = ", ".join(["_row", *column_names(len(self.header))])
        files = ", ".join(quote_text(str(part)) for part in self.parts)
        connection.execute(
            f"CREATE VIEW numbered AS SELECT {names} FROM read_parquet([{files}], union_by_name=true)"
        )
        return Loaded(self.misfits, notes=self.notes)


@dataclass
class PartsWriter:
    """Takes records one by one, whatever keys they have, and writes them as parts."""

    beside: Path
    """The file beside which the parts are written."""
    places: dict[Key, int] = field(default_factory=dict)
    """The columns so far, in order of first appearance."""
    parts: list[Path] = field(default_factory=list)
    """The files written so far."""
    _batch: list[tuple[int, Mapping[Key, str | None]]] = field(default_factory=list)
    _characters: int = 0
    _writer: pq.ParquetWriter | None = None
    _width: int = 0

    def add(self, row: int, cells: Mapping[Key, str | None], characters: int) -> None:
        """Take the record number `row`, about `characters` long. Raises SourceInvalid for too many columns."""
        if not cells.keys() <= self.places.keys():
            self._widen(cells)
        self._batch.append((row, cells))
        self._characters += characters
        full = len(self._batch) * len(self.places) >= BATCH_CELLS or len(self._batch) >= BATCH_ROWS
        if full or self._characters >= BATCH_CHARACTERS:
            self._flush()

    @property
    def header(self) -> tuple[str, ...]:
        """The headers of the columns so far."""
        return tuple(key if isinstance(key, str) else key[1] for key in self.places)

    def close(self) -> None:
        """Write what is left and close the last part."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _widen(self, cells: Mapping[Key, str | None]) -> None:
        for key in cells:
            self.places.setdefault(key, len(self.places))
        if len(self.places) > COLUMNS_LIMIT:
            raise SourceInvalid(
                f"The source's records have more than {COLUMNS_LIMIT:,} different keys.",
                hint="Keys that are data, e.g. identifiers, are no columns: export one record for each.",
            )

    def _flush(self) -> None:
        if not self._batch:
            return
        rows = [row for row, _ in self._batch]
        columns = [[cells.get(key) for _, cells in self._batch] for key in self.places]
        table = batch_table(rows, columns)
        if self._writer is None or self._width != len(self.places):
            self._open(table.schema)
        assert self._writer is not None  # noqa: S101  # opened above
        self._writer.write_table(table)
        self._batch, self._characters = [], 0

    def _open(self, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        if self._writer is not None:
            self._writer.close()
        path = self.beside.with_name(f"{self.beside.name}.part{len(self.parts) + 1}.parquet")
        path.unlink(missing_ok=True)
        path.touch(0o600)
        self._writer, self._width = pq.ParquetWriter(path, schema, compression="zstd"), len(self.places)
        self.parts.append(path)


def column_names(width: int) -> list[str]:
    """The names of `width` columns of `numbered`."""
    return [f"c{place}" for place in range(1, width + 1)]


def batch_table(rows: Sequence[int], columns: Sequence[Sequence[str | None]]) -> pa.Table:
    """Records numbered `rows`, given by column, as a table that can be loaded; empty text becomes null."""
    import pyarrow as pa

    arrays = [pa.array([cell or None for cell in cells], pa.string()) for cells in columns]
    return pa.table([pa.array(rows, pa.int64()), *arrays], ["_row", *column_names(len(columns))])


def load_batches(connection: duckdb.DuckDBPyConnection, width: int, batches: Iterable[pa.Table]) -> None:
    """Make the relation `numbered` with `width` columns in `connection` and fill it with `batches`."""
    listed = "".join(f", {name} VARCHAR" for name in column_names(width))
    connection.execute(f"CREATE TABLE numbered (_row BIGINT{listed})")
    for batch in batches:
        connection.register("batch", batch)
        connection.execute("INSERT INTO numbered SELECT * FROM batch")
        connection.unregister("batch")
