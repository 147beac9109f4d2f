"""
A table as the bytes of a CSV file that a portal's publishing interface reads back exactly.

The columns of an upload are texts; transforms (SoQL, dev.socrata.com "Transforms") make the portal's types of
them, so that nothing is guessed and a code is never a number. A portal reads an empty cell as null: where a text
column holds empty texts, they are sent as a mark that its transform turns back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctnb import tables
from ctnb.contracts.columns import Column
from ctnb.errors import PublishRefused
from ctnb.portals import soda
from ctnb.tables import Table
from ctnb.values import parquet_type, quote_name, quote_text

CONTENT_TYPE = "text/csv"
LAYOUT = 2
"""Which way of writing cells; chunks of two ways are never put together."""
ROWS_AT_ONCE = 20_000
EMPTY_TEXT = "\ue000"
"""What stands for an empty text: a sign of Unicode's private use, which no text of the table is."""

DECIMAL = ("number", "money", "percent")
PLAIN_SCALE = 6
"""To how many decimals Arrow writes small numbers without an exponent."""

_TRANSFORMS = {
    "integer": "to_number({})", "number": "to_number({})", "money": "to_number({})", "percent": "to_number({})",
    "date": "to_floating_timestamp({})", "timestamp": "to_floating_timestamp({})",
    "boolean": "to_checkbox({})", "url": "to_url({})", "point": "to_point({})",
}  # fmt: skip


@dataclass(frozen=True)
class Upload:
    """A table as it is sent."""

    table: Table
    marked: frozenset[str]
    """The text columns whose empty texts are sent as EMPTY_TEXT."""

    def chunks(self, size: int) -> Iterator[bytes]:
        """The CSV file in pieces of `size` bytes, the last shorter; the same bytes each time."""
        held = bytearray()
        for piece in self._pieces():
            held += piece
            while len(held) >= size:
                yield bytes(held[:size])
                del held[:size]
        if held:
            yield bytes(held)

    def output_columns(
        self, received: Sequence[str], key: Sequence[str], known: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """
        The columns of the output schema, for input columns `received` in the order of the file.

        `known` are the portal's own columns by field name; their formats and flags are kept.
        """
        return [
            {
                "field_name": column.name,
                "display_name": column.title,
                "description": column.description or known.get(column.name, {}).get("description") or None,
                "position": place,
                "is_primary_key": column.name in key,
                "format": known.get(column.name, {}).get("format") or {},
                "flags": known.get(column.name, {}).get("flags") or [],
                "transform": {"transform_expr": self._transform(column, field)},
            }
            for place, (column, field) in enumerate(zip(self.table.columns, received, strict=True), 1)
        ]

    def _transform(self, column: Column, received: str) -> str:
        field = f"`{received}`"
        if column.name in self.marked:
            return f"case({field} = '{EMPTY_TEXT}', '', true, {field})"
        return _TRANSFORMS.get(column.type, "{}").format(field)

    def _pieces(self) -> Iterator[bytes]:
        """The header and then some thousand rows at a time, as CSV (RFC 4180), texts between quotes."""
        import pyarrow as pa
        from pyarrow import csv

        cells = ", ".join(
            f"{_cell_sql(column, column.name in self.marked)} AS {quote_name(column.name)}"
            for column in self.table.columns
        )
        yield ",".join(f'"{column.name}"' for column in self.table.columns).encode() + b"\n"
        options = csv.WriteOptions(include_header=False)
        with tables.connect(threads=2) as connection:
            found = connection.sql(f"SELECT {cells} FROM read_parquet({quote_text(str(self.table.path))})")
            for batch in found.to_arrow_reader(ROWS_AT_ONCE):
                stream = pa.BufferOutputStream()
                csv.write_csv(batch, stream, options)
                yield stream.getvalue().to_pybytes()


def file_of(table: Table) -> str:
    """What the file made of `table` is known by: the same bytes for the same text."""
    return f"{table.file_digest}/{LAYOUT}"


def prepare(table: Table) -> Upload:
    """
    `table` ready to be sent.

    Raises PublishRefused for cells that the portal cannot hold, or a text that is the sign for an empty one.
    """
    texts = ("text", "code", "url")
    with tables.connect(threads=2) as connection:
        source = f"read_parquet({quote_text(str(table.path))})"
        soda.check(connection, source, table.columns)
        asked = soda.meeting(
            connection, source, table.columns, texts, f"{{}} IN ('', {quote_text(EMPTY_TEXT)})"
        )
        either = [column for column in table.columns if column.name in asked]
        taken = soda.meeting(connection, source, either, texts, f"{{}} = {quote_text(EMPTY_TEXT)}")
    if taken:
        raise PublishRefused(
            f"Texts of {', '.join(taken)} are a sign of Unicode's private use that cannot be sent.",
            hint="Replace U+E000 in the transform.",
        )
    return Upload(table, frozenset(asked))


def _cell_sql(column: Column, marked: bool) -> str:
    """SQL for a cell as it is sent: what Arrow writes as a portal reads it stays as it is, and gets no quotes."""
    name = quote_name(column.name)
    if marked:
        return f"CASE WHEN {name} = '' THEN {quote_text(EMPTY_TEXT)} ELSE {name} END"
    exact = column.type in DECIMAL and column.kind.scale <= PLAIN_SCALE
    if exact or column.type in ("integer", "date", "boolean"):
        return f"CAST({name} AS {parquet_type(column.kind)})"
    return soda.text_sql(column)
