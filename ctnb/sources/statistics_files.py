"""
Statistics files: SAS (sas7bdat, xpt), SPSS (sav, zsav, por) and Stata (dta), read a piece at a time.

Cells are the codes that were stored; value labels are taken only where the contract says labels: true. What the
file itself marks as missing is empty, and counted. The library pyreadstat is the extra `statistics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb.errors import SourceInvalid, UsageError
from ctnb.sources import transport_files
from ctnb.sources.opened import Asked, Loaded
from ctnb.sources.parts import BATCH_ROWS, COLUMNS_LIMIT, batch_table, load_batches
from ctnb.sources.statistics_cells import Cell, Writer, writer

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

READERS = {
    "sas7bdat": "read_sas7bdat", "xpt": "read_xport", "sav": "read_sav", "por": "read_por", "dta": "read_dta",
}  # fmt: skip
"""pyreadstat's function for each kind of file."""
_TELLS_MISSING = ("sas7bdat", "sav", "dta")
_TAKES_ENCODING = ("sas7bdat", "sav", "dta", "xpt")
_ICONV = {"utf-8": "UTF-8", "utf-16": "UTF-16", "cp1252": "WINDOWS-1252"}
_CHUNK_BYTES = 32 << 20
_CELL_BYTES = 64
"""What a cell takes as one of Python's objects, about."""


@dataclass(frozen=True)
class Variable:
    """A column of a statistics file."""

    name: str
    write: Writer
    """The text of a number."""
    labels: Mapping[Any, str] = field(default_factory=dict)
    """Labels of values; empty where they are not asked for."""
    missing: tuple[tuple[Any, Any], ...] = ()
    """Ranges of values that mean missing: lowest and highest."""
    textual: bool = False
    """Whether its cells are text; a letter in a column of numbers is one of SAS's or Stata's missing values."""

    def text(self, cell: Cell, seen: Counter[str]) -> str | None:
        """The text of `cell`; what means missing is counted in `seen` under the column's name and is empty."""
        if cell is None or cell == "":
            return None
        if self._is_missing(cell):
            seen[self.name] += 1
            return None
        if cell in self.labels:
            return self.labels[cell]
        return cell if isinstance(cell, str) else self.write(cell)

    def _is_missing(self, cell: Any) -> bool:
        if isinstance(cell, str) and not self.textual:
            return True
        return any(low <= cell <= high for low, high in self.missing)


@dataclass(frozen=True)
class StatisticsFile:
    """A statistics file whose dictionary could be read."""

    path: Path
    """The snapshot."""
    kind: str
    """One of `READERS`."""
    variables: tuple[Variable, ...]
    rows: int | None
    """How many rows it says it has; None where it does not."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What pyreadstat is told besides."""
    chunk_rows: int = BATCH_ROWS
    """How many rows are in memory at once."""
    row_bytes: int = 0
    """How many bytes a row takes in the file, where it is not packed."""
    encoding: str = ""
    """Statistics files say themselves how text is encoded, or the contract does."""
    notes: tuple[str, ...] = ()
    """What a person should know of the file."""

    @property
    def header(self) -> tuple[str, ...]:
        """The names of its variables."""
        return tuple(variable.name for variable in self.variables)

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """Bring the records into `connection` as `numbered`; see `Opened.load`."""
        missing: Counter[str] = Counter()
        load_batches(connection, len(self.variables), self._batches(missing))
        return Loaded(typed_dates=True, notes=(*self.notes, *_missing_note(missing)))

    def _batches(self, missing: Counter[str]) -> Iterator[pa.Table]:
        row = 0
        while True:
            cells, _ = _read(
                self.kind, self.path, row, row_offset=row, row_limit=self.chunk_rows, **self.options
            )
            columns = [
                [variable.text(cell, missing) for cell in cells[variable.name]] for variable in self.variables
            ]
            count = len(columns[0])
            if count:
                yield batch_table(range(row + 1, row + count + 1), columns)
            row += count
            if count < self.chunk_rows:
                break
        if self.rows is not None and row != self.rows:
            raise SourceInvalid(
                f"The source says that it has {self.rows:,} rows and has {row:,}.", hint="Export it anew."
            )


def opener(kind: str) -> Callable[[Path, Asked], StatisticsFile]:
    """What opens statistics files of `kind`: one of `READERS`."""

    def opened(path: Path, asked: Asked) -> StatisticsFile:
        found = _opened(path, kind, asked)
        if kind == "xpt":
            transport_files.check(path, found.row_bytes)
        return found

    return opened


def _opened(path: Path, kind: str, asked: Asked) -> StatisticsFile:
    options: dict[str, Any] = {"user_missing": True} if kind in _TELLS_MISSING else {}
    if asked.encoding != "auto" and kind in _TAKES_ENCODING:
        options["encoding"] = _ICONV[asked.encoding]
    said = _read(kind, path, None, metadataonly=True, **options)[1]
    if not said.column_names:
        raise SourceInvalid("The source has no columns.", hint="Check the export that wrote it.")
    if len(said.column_names) > COLUMNS_LIMIT:
        raise SourceInvalid(f"The source has more than {COLUMNS_LIMIT:,} columns.", hint="Export fewer.")
    labels = said.variable_value_labels
    if asked.labels and not labels:
        raise SourceInvalid(
            "dataset.yml asks for value labels, and the source has none.",
            hint="Take source: labels: out. SAS keeps labels in a catalogue of its own, which is not read.",
        )
    variables = tuple(_variable(said, kind, name, asked.labels) for name in said.column_names)
    widths = said.variable_storage_width.values()
    chunk = _CHUNK_BYTES // sum(_CELL_BYTES + width for width in widths)
    return StatisticsFile(
        path, kind, variables, said.number_rows, options, max(1, min(BATCH_ROWS, chunk)), sum(widths),
        asked.encoding if "encoding" in options else "", tuple(_label_notes(labels, taken=asked.labels)),
    )  # fmt: skip


def _variable(said: Any, kind: str, name: str, labelled: bool) -> Variable:
    stored = said.readstat_variable_types[name]
    ranges = said.missing_ranges.get(name, ())
    return Variable(
        name,
        writer(kind, said.original_variable_types.get(name) or "", single=stored == "float"),
        dict(said.variable_value_labels.get(name, {})) if labelled else {},
        tuple((one["lo"], one["hi"]) for one in ranges),
        textual=stored == "string",
    )


def _label_notes(labels: Mapping[str, Mapping[Any, str]], *, taken: bool) -> Iterator[str]:
    if not labels:
        return
    many = f"{len(labels):,} column{'s' if len(labels) > 1 else ''}"
    if not taken:
        yield f"Values of {many} have labels; the codes were read. source: labels: true takes the labels."
        return
    yield f"Values of {many} were read as their labels, where they have one."
    merged = sum(len(set(one.values())) < len(one) for one in labels.values())
    if merged:
        yield f"In {merged:,} of them several codes have the same label, so they can no longer be told apart."


def _missing_note(missing: Counter[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    return (
        "Empty here, because the file marks the value as missing, e.g. a refused answer: "
        f"{missing.total():,} in {len(missing):,} column{'s' if len(missing) > 1 else ''}.",
    )


def _read(kind: str, path: Path, rows: int | None, **options: Any) -> tuple[Mapping[str, list[Cell]], Any]:
    """What pyreadstat reads of `path`. Raises SourceInvalid in place of its errors, whose text may quote a cell."""
    library = _pyreadstat()
    try:
        cells, said = getattr(library, READERS[kind])(
            str(path), output_format="dict", disable_datetime_conversion=True, **options
        )
        return cells, said
    except (library.ReadstatError, library.PyreadstatError, ValueError, OverflowError, MemoryError, OSError):
        pass  # UnicodeDecodeError is a ValueError
    where = "its description cannot be read" if rows is None else f"what follows row {rows:,} cannot be read"
    raise SourceInvalid(
        f"The source is a damaged {kind} file, or none: {where}.",
        hint="Correct source: format: in dataset.yml, or export it anew. Where text is garbled, say encoding:.",
    )


def _pyreadstat() -> Any:
    try:
        import pyreadstat
    except ImportError:
        raise UsageError(
            "Statistics files need the library pyreadstat, which is not installed.",
            hint='pip install "ctnb[statistics]"',
        ) from None
    return pyreadstat
