"""
Delimited text: CSV and TSV, read as text first.

DuckDB reads the file strictly and fast. When it stumbles over a row, the file is read again record by record
with Python's csv module, which keeps going and says which records do not have the header's width.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb.errors import SourceInvalid
from ctnb.sources import texts
from ctnb.sources.opened import Asked, Loaded, Misfit
from ctnb.values import quote_text

if TYPE_CHECKING:
    import duckdb

CELL_LIMIT = 16 << 20
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Delimited:
    """A delimited file, decoded to UTF-8 and with its header known."""

    path: Path
    """UTF-8 text; the snapshot itself, or a transcoded copy beside it."""
    encoding: str
    """utf-8, utf-16 or cp1252: how the source was written."""
    delimiter: str
    """One character."""
    header: tuple[str, ...]
    """The header's cells, as they stand."""
    notes: tuple[str, ...] = ()
    """What a person should know of the text's encoding."""

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """Bring the records into `connection` as `numbered`; see `Opened.load`."""
        import duckdb

        try:
            connection.execute(f"CREATE TABLE raw AS SELECT * FROM {self.streamed()}")
            trouble = False
        except duckdb.Error:  # its text quotes the line; the second reading says what is wrong without
            trouble = True
        if trouble:
            return Loaded(_load_by_record(connection, self, self._names), notes=self.notes)
        connection.execute("CREATE VIEW numbered AS SELECT rowid + 1 AS _row, * FROM raw")
        return Loaded(notes=self.notes)

    def streamed(self) -> str:
        """The records in one pass; see `Streamed.streamed`."""
        return _read_csv(self.path, self.delimiter, self._names)

    @property
    def _names(self) -> list[str]:
        return [f"c{place}" for place in range(1, len(self.header) + 1)]


def opened_csv(path: Path, asked: Asked) -> Delimited:
    """The CSV file `path`: cells between commas, or what `asked` says. Raises SourceInvalid."""
    return open_delimited(path, delimiter=asked.delimiter or ",", encoding=asked.encoding)


def opened_tsv(path: Path, asked: Asked) -> Delimited:
    """The TSV file `path`: cells between tabs, or what `asked` says. Raises SourceInvalid."""
    return open_delimited(path, delimiter=asked.delimiter or "\t", encoding=asked.encoding)


def open_delimited(path: Path, *, delimiter: str, encoding: str) -> Delimited:
    """
    Decode the file `path` and read its header.

    `encoding` auto means a byte order mark's, UTF-8, UTF-16 and, where it is none, cp1252. Raises SourceInvalid.
    """
    lines = _Lines(path)
    text = texts.as_utf8(path, encoding, lines)
    if text.path != path or not lines.done:
        _check_lines(text.path)
    header = next(_records(text.path, delimiter), None)
    if not header:
        raise SourceInvalid("The source has no header row.", hint="The first line must name the columns.")
    return Delimited(text.path, text.encoding, delimiter, tuple(header), text.notes)


def _load_by_record(
    connection: duckdb.DuckDBPyConnection, source: Delimited, names: list[str]
) -> list[Misfit]:
    import pyarrow as pa

    misfits: list[Misfit] = []
    listed = ", ".join(f"{name} VARCHAR" for name in names)
    connection.execute(f"CREATE TABLE numbered (_row BIGINT, {listed})")
    for batch in _fitting(source, len(names), misfits):
        arrays = [pa.array([row for row, _ in batch], pa.int64())]
        arrays += [pa.array([cells[i] or None for _, cells in batch], pa.string()) for i in range(len(names))]
        connection.register("batch", pa.table(dict(zip(["_row", *names], arrays, strict=True))))
        connection.execute("INSERT INTO numbered SELECT * FROM batch")
        connection.unregister("batch")
    return misfits


def _fitting(
    source: Delimited, width: int, misfits: list[Misfit], size: int = 20_000
) -> Iterator[list[tuple[int, list[str]]]]:
    batch: list[tuple[int, list[str]]] = []
    for row, cells in enumerate(_bodies(source, width), 1):
        if len(cells) != width:
            rule = "too few cells" if len(cells) < width else "too many cells"
            misfits.append(Misfit(row, rule, tuple(cells)))
            continue
        batch.append((row, cells))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _bodies(source: Delimited, width: int) -> Iterator[list[str]]:
    """
    The records behind the header, as DuckDB's strict reading takes them.

    A blank line is a record only where there is one column, and empty cells beyond the header do not count.
    """
    records = _records(source.path, source.delimiter)
    next(records)
    for cells in records:
        while len(cells) > width and not cells[-1]:
            cells.pop()
        if cells or width == 1:
            yield cells or [""]


class _Lines:
    """Watches the lines of the file `path` go by: none may be longer than any cell, or memory would have to hold it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = 0
        """Bytes seen."""
        self._length = 0

    def __call__(self, chunk: bytes) -> None:
        """Look at the next piece. Raises SourceInvalid."""
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._length = self._length + len(chunk) if end < 0 else len(chunk) - end - 1
        self.done += len(chunk)
        if self._length > CELL_LIMIT:
            number = _line_ends(self.path, self.done - self._length) + 1
            raise SourceInvalid(
                f"The source cannot be read at line {number:,}: it is longer than {CELL_LIMIT >> 20} MB.",
                hint="Export it anew: line ends, or a quotation mark, may be missing.",
            )


def _check_lines(path: Path) -> None:
    """Refuse a file with a line no cell could fill, before anything holds it in memory. Raises SourceInvalid."""
    lines = _Lines(path)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            lines(chunk)


def _line_ends(path: Path, size: int) -> int:
    """How many lines end in the first `size` bytes of `path`; counted only for a message, because it takes time."""
    feeds = returns = 0
    with path.open("rb") as stream:
        while chunk := stream.read(min(CHUNK_BYTES, size)):
            feeds, returns, size = feeds + chunk.count(b"\n"), returns + chunk.count(b"\r"), size - len(chunk)
    return feeds or returns


def _records(path: Path, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(CELL_LIMIT)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                trouble = reader.line_num
            else:
                yield cells
                continue
            raise SourceInvalid(
                f"The source cannot be read at line {trouble}: a cell is larger than {CELL_LIMIT >> 20} MB.",
                hint="Look for a quotation mark that is never closed.",
            )


def _read_csv(path: Path, delimiter: str, names: list[str]) -> str:
    columns = ", ".join(f"{quote_text(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv({quote_text(str(path))}, auto_detect=false, header=true, strict_mode=true, "
        f"null_padding=false, delim={quote_text(delimiter)}, quote='\"', escape='\"', columns={{{columns}}}, "
        f"max_line_size={CELL_LIMIT}, buffer_size={2 * CELL_LIMIT})"  # its own choice takes hundreds of MB
    )
