"""
Many rows into a table of SQLite at once: the pages that hold them are made of whole columns, not row by row.

Binding a million rows of a dozen cells one by one takes most of the time that a revision takes. Here Arrow joins
the cells of a batch to records; the records are laid into the leaves of a b-tree, as SQLite's file format
describes them (https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1); and that small database, held in
memory, is copied into the real one by SQLite itself, by one INSERT ... SELECT in one transaction. The few rows
that are longer than a page are inserted as ever.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from typing import Any

from .identifiers import ALPHABET

PAGE = 65536
LONGEST = PAGE - 35
"""The longest record that a leaf of that page size holds whole, in bytes."""
BATCH_BYTES = 32 * 2**20
_SYSTEM = "sid INTEGER PRIMARY KEY, rid TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL"
_LEAF, _INTERIOR, _ROOT = 0x0D, 0x05, 2
_PAGES_AT = 28
"""Where a database says how many pages it has."""


def declared(flags: Sequence[bool]) -> str:
    """The columns of a table of rows: the portal's own, then s1, s2 ...; INTEGER where a flag is true."""
    cells = (f"s{at} {'INTEGER' if flag else 'TEXT'}" for at, flag in enumerate(flags, 1))
    return ", ".join((_SYSTEM, *cells))


class Loader:
    """Fills one table whose columns are those of `declared`."""

    def __init__(self, connection: sqlite3.Connection, table: str, flags: Sequence[bool], stamp: str) -> None:
        """
        `connection` is not within a transaction and is used for nothing else until the table is full.

        `stamp` is when the rows are created and updated, as the store writes it.
        """
        self.connection, self.table, self.flags, self.stamp = connection, table, tuple(flags), stamp.encode()
        connection.execute("ATTACH ':memory:' AS batch")
        empty = sqlite3.connect(":memory:")
        empty.execute(f"PRAGMA page_size={PAGE}")
        empty.execute(f"CREATE TABLE laid ({declared(flags)})")
        self._schema = empty.serialize()[:PAGE]
        empty.close()

    def add(self, first: int, batch: Any) -> int:
        """
        Insert `batch`, a RecordBatch of text columns (`1` and `0` where a flag is true), in one transaction.

        Its rows get the numbers from `first`, which is greater than any in the table. A batch of many bytes
        takes a transaction for each part of it. Returns the number of rows.
        """
        rows = int(batch.num_rows)
        if rows > 1 and batch.nbytes > BATCH_BYTES:
            half = rows // 2
            return self.add(first, batch.slice(0, half)) + self.add(first + half, batch.slice(half))
        if rows:
            self._insert(first, batch)
        return rows

    def _insert(self, first: int, batch: Any) -> None:
        import numpy as np

        numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
        names = row_ids(numbers)
        sizes, cells = self._cells(numbers, names, batch.columns)
        short = sizes <= LONGEST
        if not short.all():
            cells = cells.filter(_mask(short))
        laid = self._schema_of(leaves(numbers[short], cells))
        self.connection.deserialize(laid, name="batch")
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self.connection.execute(f"INSERT INTO {self.table} SELECT * FROM batch.laid")
            if not short.all():
                self._insert_long(numbers[~short].tolist(), names.filter(_mask(~short)), batch, ~short)
        except BaseException:  # whatever ended it, the transaction is undone
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def _insert_long(self, numbers: list[int], names: Any, batch: Any, long: Any) -> None:
        stamp, rest = self.stamp.decode(), batch.filter(_mask(long))
        rids = [name.decode() for name in names.to_pylist()]
        columns = [column.to_pylist() for column in rest.columns]
        rows = zip(numbers, rids, [stamp] * len(numbers), [stamp] * len(numbers), *columns, strict=True)
        marks = ", ".join("?" * (4 + len(columns)))
        self.connection.executemany(f"INSERT INTO {self.table} VALUES ({marks})", rows)

    def _cells(self, numbers: Any, names: Any, columns: Sequence[Any]) -> tuple[Any, Any]:
        """The size of each row's record, and its cell of a leaf: sizes, header and bytes of the columns."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = len(numbers)
        texts = [column.cast(pa.binary()) for column in columns]
        # serial types: 0 null, 8 and 9 the integers 0 and 1, 13 + 2n a text of n bytes
        stamped = np.full(rows, 13 + 2 * len(self.stamp))
        types = [np.zeros(rows, np.int64), np.full(rows, 13 + 2 * 18), stamped, stamped]
        bodies: list[Any] = [names, pa.scalar(self.stamp, pa.binary()), pa.scalar(self.stamp, pa.binary())]
        for text, flag in zip(texts, self.flags, strict=True):
            if flag:
                whole = pc.if_else(pc.equal(text, b"1"), 9, 8)
            else:
                whole = pc.add(pc.multiply(pc.cast(pc.binary_length(text), pa.int64()), 2), 13)
                bodies.append(text)
            types.append(pc.fill_null(whole, 0).to_numpy(zero_copy_only=False).astype(np.int64))
        content = sum(np.where(kind >= 13, (kind - 13) // 2, 0) for kind in types)
        parts = [_varints(kind) for kind in types]
        header = sum(part[1].sum(axis=1) for part in parts)
        header += 1 + (header > 126) + (header > 16381)
        sizes = header + content
        heads = _joined([_varints(sizes), _varints(numbers), _varints(header), *parts])
        return sizes, pc.binary_join_element_wise(heads, *bodies, b"", null_handling="skip")

    def _schema_of(self, pages: list[bytes]) -> bytes:
        schema = bytearray(self._schema)
        schema[_PAGES_AT : _PAGES_AT + 4] = struct.pack(">I", 1 + len(pages))
        return b"".join([schema, *pages])


def row_ids(numbers: Any) -> Any:
    """As identifiers.new_row_id, for an array of row numbers: the letters of each and of 20 random bits."""
    import numpy as np
    import pyarrow as pa

    alphabet = np.frombuffer(ALPHABET.encode(), np.uint8)
    held = (numbers << 20) | np.random.default_rng().integers(0, 1 << 20, len(numbers))
    names = np.empty((len(numbers), 18), np.uint8)
    names[:] = np.frombuffer(b"row-....~....~....", np.uint8)
    places = [at for group in (4, 9, 14) for at in range(group, group + 4)]
    for place, shift in zip(places, range(55, -1, -5), strict=True):
        names[:, place] = alphabet[(held >> shift) & 31]
    ends = np.arange(0, 18 * len(numbers) + 1, 18, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(numbers), [None, pa.py_buffer(ends), pa.py_buffer(names.reshape(-1))]
    )


def leaves(numbers: Any, cells: Any) -> list[bytes]:
    """
    The pages of a table's b-tree, from page 2: its root, and the leaves that hold `cells` in their order.

    `cells` is a BinaryArray of leaf cells whose row numbers, `numbers`, ascend.
    """
    import numpy as np

    ends = np.frombuffer(cells.buffers()[1], np.int32)[cells.offset : cells.offset + len(cells) + 1]
    held = memoryview(cells.buffers()[2] or b"")
    taken = ends.astype(np.int64) + 2 * np.arange(len(ends))
    pages, last, at = [], [], 0
    while at < len(cells):
        end = int(np.searchsorted(taken, taken[at] + PAGE - 8, side="right")) - 1
        start = PAGE - int(ends[end] - ends[at])
        places = (start + (ends[at:end] - ends[at])).astype(">u2").tobytes()
        page = struct.pack(">BHHHB", _LEAF, 0, end - at, start, 0) + places
        pages.append(page.ljust(start, b"\0") + bytes(held[ends[at] : ends[end]]))
        last.append(int(numbers[end - 1]))
        at = end
    if not pages:
        return [struct.pack(">BHHHB", _LEAF, 0, 0, 0, 0).ljust(PAGE, b"\0")]
    return pages if len(pages) == 1 else [_root(last), *pages]


def _root(last: list[int]) -> bytes:
    """The interior page over the leaves that follow it, each with its last row number."""
    children = [struct.pack(">I", _ROOT + 1 + at) + _varint(number) for at, number in enumerate(last[:-1])]
    start, places = PAGE, []
    for child in children:
        start -= len(child)
        places.append(start)
    head = struct.pack(">BHHHBI", _INTERIOR, 0, len(children), start, 0, _ROOT + len(last))
    pointers = struct.pack(f">{len(places)}H", *places)
    return (head + pointers).ljust(start, b"\0") + b"".join(reversed(children))


def _varint(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def _varints(values: Any) -> tuple[Any, Any]:
    """Each value as a varint, in a matrix of bytes, and which of those bytes it has."""
    import numpy as np

    size = np.ones(len(values), np.int64)
    for bits in range(7, 63, 7):
        over = values >= (1 << bits)
        if not over.any():
            break
        size += over
    width = int(size.max(initial=1))
    groups = np.empty((len(values), width), np.uint8)
    for at in range(width):
        groups[:, at] = (values >> (7 * (width - 1 - at))) & 0x7F
    groups[:, :-1] |= 0x80
    return groups, np.arange(width) >= width - size[:, None]


def _joined(parts: list[tuple[Any, Any]]) -> Any:
    """The varints of each row behind each other, as a BinaryArray."""
    import numpy as np
    import pyarrow as pa

    groups = np.concatenate([part[0] for part in parts], axis=1)
    mask = np.concatenate([part[1] for part in parts], axis=1)
    ends = np.zeros(len(groups) + 1, np.int32)
    np.cumsum(mask.sum(axis=1), out=ends[1:])
    return pa.Array.from_buffers(
        pa.binary(), len(groups), [None, pa.py_buffer(ends), pa.py_buffer(groups[mask])]
    )


def _mask(chosen: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    bits = pa.py_buffer(np.packbits(chosen, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(chosen), [None, bits])  # pa.array would import pandas
