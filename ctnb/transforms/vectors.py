"""
Columns as R holds them: whole columns of little-endian bytes, with R's own marks for NA.

Nothing here needs R. `bridge.R` reads and writes the same form: doubles, 32-bit integers, and text as UTF-8
bytes with a length per cell. R's NA is INT_MIN in an integer (R Language Definition 3.3.4) and the NaN with
the payload 1954 in a double (R's source, arithmetic.c).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ctnb.errors import TransformInvalid

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from ctnb.contracts.columns import Column
    from ctnb.tables import Table

NA_INTEGER = -(2**31)
NA_REAL_BITS = 0x7FF00000000007A2
EXACT = 2**53
"""The largest integer up to which a double holds every integer."""


@dataclass(frozen=True)
class Vector:
    """One column on its way to or from R."""

    kind: str
    """text, integer, logical, double, date, timestamp; from R also integer64, and unfit with a reason."""
    data: bytes
    """The values: 4 or 8 bytes each, or all texts one after the other."""
    lengths: bytes = b""
    """For text: bytes of each cell as 32-bit integers, NA_INTEGER for NA."""


def vectors(table: Table) -> list[Vector]:
    """The columns of `table` for R. Raises TransformInvalid for numbers and text that R cannot hold."""
    import pyarrow.parquet as pq

    read = pq.read_table(table.path)
    return [_vector(read.column(column.name), column) for column in table.columns]


def arrow(names: list[str], columns: list[Vector]) -> pa.Table:
    """The columns that R gave, as an Arrow table. Raises TransformInvalid where a table has no such values."""
    import pyarrow as pa

    for place, (name, column) in enumerate(zip(names, columns, strict=True), 1):
        if column.kind == "unfit":
            raise TransformInvalid(
                f"Column {place} of the transform's result holds {column.data.decode('ascii')}.",
                hint="Hand over text, numbers, dates, times, logicals or factors, one value in a cell.",
            )
        if name == "":
            raise TransformInvalid(f"Column {place} of the transform's result has no name.")
    return pa.Table.from_arrays([_array(column) for column in columns], names=names)


def text_cells(column: Vector) -> list[str]:
    """The cells of a text vector without NA, e.g. the names of a data frame."""
    return [cell or "" for cell in _array(column).to_pylist()]


def _vector(values: pa.ChunkedArray, column: Column) -> Vector:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if column.type == "integer":
        return _integers(array, column)
    if column.type in ("number", "money", "percent"):
        return Vector("double", _doubles(_exact(array, column)))
    if column.type == "date":
        return Vector("date", _doubles(array.cast(pa.int32()).cast(pa.float64())))
    if column.type == "timestamp":
        micro = array.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64(), safe=False)
        return Vector("timestamp", _doubles(pc.divide(micro, 1e6)))
    if column.type == "boolean":
        return Vector("logical", _fixed(array.cast(pa.int32()), NA_INTEGER))
    return _text(array, column)


def _integers(array: pa.Array, column: Column) -> Vector:
    import pyarrow as pa
    import pyarrow.compute as pc

    bounds = pc.min_max(array)
    low, high = bounds["min"].as_py() or 0, bounds["max"].as_py() or 0
    if low > NA_INTEGER and high < 2**31:
        return Vector("integer", _fixed(array.cast(pa.int32()), NA_INTEGER))
    if max(-low, high) > EXACT:
        raise _too_fine(column)
    return Vector("double", _doubles(array.cast(pa.float64())))


def _exact(array: pa.Array, column: Column) -> pa.Array:
    """
    Decimals as the nearest doubles, when every one can be told again from its double.

    By way of text: Arrow's own cast makes 0.09999999999999999 of 0.1. Fifteen digits always fit a double
    (IEEE 754), so that only longer numbers are looked at one by one.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    limit = pa.scalar(Decimal(10) ** (15 - column.kind.scale), pa.decimal128(38, column.kind.scale))
    long = array.filter(pc.greater_equal(pc.abs(array), limit))
    if any(Decimal(repr(float(number))) != number for number in long.drop_null().to_pylist()):
        raise _too_fine(column)
    return array.cast(pa.string()).cast(pa.float64())


def _too_fine(column: Column) -> TransformInvalid:
    return TransformInvalid(
        f"Column {column.name} holds numbers with more digits than R's doubles keep (integers beyond 2^53).",
        hint="If they are codes, give the column type code; or transform with transform.sql.",
    )


def _fixed(array: pa.Array, missing: int) -> bytes:
    import pyarrow.compute as pc

    filled: np.ndarray[Any, Any] = pc.fill_null(array, missing).to_numpy(zero_copy_only=False)
    return filled.tobytes()


def _doubles(array: pa.Array) -> bytes:
    import numpy as np
    import pyarrow.compute as pc

    made = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False).astype("<f8")
    if array.null_count:
        empty = array.is_null().to_numpy(zero_copy_only=False)
        made.view("<u8")[empty] = np.uint64(NA_REAL_BITS)
    return bytes(made.tobytes())


def _text(array: pa.Array, column: Column) -> Vector:
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = array.cast(pa.large_binary())
    data = _joined(pc.drop_null(cells))
    if b"\0" in data:
        raise TransformInvalid(
            f"Column {column.name} holds text with a NUL character, which R cannot hold.",
            hint="Correct the source.",
        )
    lengths = pc.binary_length(cells).cast(pa.int32())
    return Vector("text", data, _fixed(lengths, NA_INTEGER))


def _joined(cells: pa.Array) -> bytes:
    """All cells of a large_binary `cells` one after the other, as they lie in its buffer."""
    import numpy as np

    offsets = np.frombuffer(cells.buffers()[1], "<i8")[cells.offset : cells.offset + len(cells) + 1]
    data = cells.buffers()[2]
    return bytes(memoryview(data)[offsets[0] : offsets[-1]]) if data is not None and len(offsets) else b""


def _array(column: Vector) -> pa.Array:
    """One vector from R as an Arrow array; NaN counts as NA."""
    import numpy as np
    import pyarrow as pa

    if column.kind == "text":
        return _text_array(column)
    if column.kind == "integer64":  # class of package bit64: 64-bit integers in the bytes of doubles
        wide = np.frombuffer(column.data, "<i8")
        return pa.array(wide, mask=wide == np.iinfo(np.int64).min)
    if column.kind in ("integer", "logical"):
        whole = np.frombuffer(column.data, "<i4")
        array = pa.array(whole, mask=whole == NA_INTEGER)
        return array.cast(pa.bool_()) if column.kind == "logical" else array
    doubles = np.frombuffer(column.data, "<f8")
    return _double_array(column.kind, doubles)


def _double_array(kind: str, doubles: np.ndarray[Any, Any]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    empty = np.isnan(doubles) if kind == "double" else ~np.isfinite(doubles)
    if kind == "double":
        return pa.array(doubles, mask=empty)
    numbers = np.where(empty, 0.0, doubles)
    if kind == "date":
        return pa.array(np.floor(numbers).astype("<i4"), mask=empty).cast(pa.date32())
    return pa.array(np.round(numbers * 1e6).astype("<i8"), mask=empty).cast(pa.timestamp("us"))


def _text_array(column: Vector) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    lengths = np.frombuffer(column.lengths, "<i4")
    empty = lengths == NA_INTEGER
    offsets = np.zeros(len(lengths) + 1, "<i8")
    np.cumsum(np.where(empty, 0, lengths), out=offsets[1:])
    marks = pa.array(~empty).buffers()[1] if len(lengths) else None
    return pa.Array.from_buffers(
        pa.large_string(), len(lengths), [marks, pa.py_buffer(offsets.tobytes()), pa.py_buffer(column.data)]
    )
