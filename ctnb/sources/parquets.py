"""
Parquet: every type as canonical text, so that the contract alone decides what a column is.

Decimals keep their digits, dates and times are ISO 8601, times with a zone are converted to UTC, lists and
structs are JSON. Bytes that nothing calls text are text where the whole column is UTF-8, else hexadecimal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ctnb.errors import SourceInvalid
from ctnb.sources.opened import Asked, Loaded
from ctnb.sources.parts import BATCH_ROWS, COLUMNS_LIMIT, column_names, load_batches

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

MARK = b"PAR1"

T = TypeVar("T")
Renderer = Callable[[Any], Any]
"""Turns an Arrow array into one of text."""


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file whose footer could be read."""

    path: Path
    """The snapshot."""
    header: tuple[str, ...]
    """The names of its columns."""
    encoding: str = ""
    """Parquet says itself how text is encoded."""
    notes: tuple[str, ...] = ()
    """Nothing."""

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """Bring the records into `connection` as `numbered`; see `Opened.load`."""
        load_batches(connection, len(self.header), _batches(self.path))
        return Loaded(typed_dates=True)


def opened_parquet(path: Path, asked: Asked) -> ParquetFile:
    """The Parquet file `path`. Raises SourceInvalid when it is none, or its footer is damaged."""
    with path.open("rb") as stream:
        if stream.read(4) != MARK:
            raise SourceInvalid(
                "The source is no Parquet file: it does not start with PAR1.",
                hint="Correct source: format: in dataset.yml. An encrypted file must be decrypted first.",
            )
    header = _guarded(lambda: tuple(_open(path).schema_arrow.names), "its footer")
    if not header:
        raise SourceInvalid("The source has no columns.", hint="Check the export that wrote it.")
    if len(header) > COLUMNS_LIMIT:
        raise SourceInvalid(f"The source has more than {COLUMNS_LIMIT:,} columns.", hint="Export fewer.")
    return ParquetFile(path, header)


def _open(path: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, coerce_int96_timestamp_unit="us", page_checksum_verification=True)


def _guarded(read: Callable[[], T], where: str) -> T:
    """What `read` gives. Raises SourceInvalid when the file is damaged in the part called `where`."""
    import pyarrow as pa

    try:
        return read()
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError):
        pass  # its text may quote what it stumbled over
    raise SourceInvalid(
        f"The source is a damaged Parquet file: {where} cannot be read.",
        hint="Export it anew; a download or a copy may have ended half-way.",
    )


def _batches(path: Path) -> Iterator[pa.Table]:
    """The records with their numbers, every cell as text."""
    file = _guarded(lambda: _open(path), "its footer")
    with file:
        fields = enumerate(file.schema_arrow)
        renderers = _guarded(
            lambda: [renderer(field.type, partial(_is_utf8, file, place)) for place, field in fields],
            "a column",
        )
        batches, row = file.iter_batches(BATCH_ROWS), 1
        while True:
            made = _guarded(partial(_rendered, batches, renderers, row), f"what follows row {row - 1:,}")
            if made is None:
                break
            yield made
            row += made.num_rows
        if row - 1 != file.metadata.num_rows:
            raise SourceInvalid(
                f"The source is a damaged Parquet file: it says that it has {file.metadata.num_rows:,} rows "
                f"and has {row - 1:,}.",
                hint="Export it anew.",
            )


def _rendered(batches: Iterator[pa.RecordBatch], renderers: list[Renderer], start: int) -> pa.Table | None:
    import pyarrow as pa

    batch = next(batches, None)
    if batch is None:
        return None
    batch.validate(full=True)
    rows = pa.array(range(start, start + batch.num_rows), pa.int64())
    columns = [nulled(render(batch.column(place))) for place, render in enumerate(renderers)]
    return pa.table([rows, *columns], ["_row", *column_names(len(columns))])


def nulled(texts: pa.Array) -> pa.Array:
    """`texts` with null in place of empty text."""
    import pyarrow.compute as pc

    return pc.if_else(pc.equal(texts, ""), None, texts)


def renderer(kind: pa.DataType, is_text: Callable[[], bool]) -> Renderer:
    """What turns a column of this type into text; `is_text` tells whether bytes in it are."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        inner = renderer(kind.value_type, is_text)
        return lambda cells: inner(cells.cast(kind.value_type))
    if types.is_timestamp(kind):
        return _timestamps
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return _cast if is_text() else _listed
    if types.is_decimal(kind):
        return _decimals
    plain = (
        types.is_integer, types.is_boolean, types.is_floating, types.is_string, types.is_large_string,
        types.is_date32, types.is_time, types.is_null,
    )  # fmt: skip
    return _cast if any(is_of(kind) for is_of in plain) else _listed


def _cast(cells: pa.Array) -> pa.Array:
    import pyarrow as pa

    return cells.cast(pa.string())


def _timestamps(cells: pa.Array) -> pa.Array:
    """ISO 8601 to the microsecond, in UTC where there was a zone; nanoseconds stay where there are any."""
    import pyarrow as pa
    import pyarrow.compute as pc

    fine = cells.type.unit == "ns"
    texts = cells.cast(pa.timestamp("ns" if fine else "us")).cast(pa.string())
    texts = pc.replace_substring_regex(texts, r"^(-?\d+-\d\d-\d\d) ", r"\1T")
    return pc.replace_substring_regex(texts, r"(\.\d{6})000$", r"\1") if fine else texts


def _decimals(cells: pa.Array) -> pa.Array:
    """All digits; one by one where Arrow would write a small one with an exponent."""
    import pyarrow.compute as pc

    texts = _cast(cells)
    return _listed(cells) if pc.any(pc.match_substring(texts, "E")).as_py() else texts


def _listed(cells: pa.Array) -> pa.Array:
    """One by one, for types that Arrow does not write as text, or not without exponent."""
    import pyarrow as pa

    return pa.array([None if cell is None else _text(cell) for cell in cells.to_pylist()], pa.string())


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, bytes):
        return cell.hex()
    if isinstance(cell, datetime):
        here = cell.astimezone(UTC).replace(tzinfo=None) if cell.tzinfo else cell
        return str(here.isoformat(timespec="microseconds"))
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    return _json(cell) if isinstance(cell, (list, tuple, dict)) else str(cell)


def _json(cell: Any) -> str:
    """Compact JSON; numbers as they are, everything else that JSON does not know as text."""
    if isinstance(cell, dict):
        return f"{{{','.join(f'{json.dumps(key, ensure_ascii=False)}:{_json(item)}' for key, item in cell.items())}}}"
    if isinstance(cell, (list, tuple)):
        return f"[{','.join(_json(item) for item in cell)}]"
    if cell is None:
        return "null"
    if isinstance(cell, (bool, int, float, Decimal)):
        return _text(cell)
    return json.dumps(_text(cell), ensure_ascii=False)


def _is_utf8(file: pq.ParquetFile, place: int) -> bool:
    """Whether all cells of a column of bytes are text."""
    import pyarrow as pa

    name = file.schema_arrow.names[place]
    for batch in file.iter_batches(BATCH_ROWS, columns=[name]):
        for cells in batch.columns:
            try:
                cells.cast(cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type).cast(
                    pa.string()
                )
            except pa.ArrowInvalid:  # its text quotes nothing, and nobody sees it
                return False
    return True
