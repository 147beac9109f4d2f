"""Cells of text become typed values, and are held against the constraints: all of it as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctnb.constraints import broken_sql
from ctnb.contracts.columns import Column
from ctnb.values import BLANKS, Kind, parse_sql, quote_name, quote_text, trimmed

if TYPE_CHECKING:
    import duckdb


def make_cells(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    places: dict[str, int],
    nulls: Sequence[str],
    *,
    typed_dates: bool = False,
) -> None:
    """The view `cells`: for each column the text `r_<name>` (null when empty) and the value `t_<name>`."""
    empty = sorted({"", *(word.strip(BLANKS) for word in nulls)})
    raw = {column.name: f"c{places[column.name] + 1}" for column in columns}
    texts = ", ".join(f"{_text_or_null(raw[c.name], empty)} AS {quote_name('r_' + c.name)}" for c in columns)
    values = ", ".join(
        f"{_value(c.kind, quote_name('r_' + c.name), typed_dates)} AS {quote_name('t_' + c.name)}"
        for c in columns
    )
    connection.execute(f"CREATE VIEW texts AS SELECT _row, {texts} FROM numbered")
    connection.execute(f"CREATE VIEW cells AS SELECT *, {values} FROM texts")


def cell_tests(column: Column) -> list[tuple[str, str]]:
    """Rule and SQL condition under which a cell of `column` is rejected."""
    text, value = quote_name("r_" + column.name), quote_name("t_" + column.name)
    typed = [(f"type {column.type}", f"{text} IS NOT NULL AND {value} IS NULL")]
    broken = broken_sql(column, value, "cells", empty=f"{text} IS NULL")
    return broken if column.type in ("text", "code") else typed + broken


def _text_or_null(cell: str, empty: Sequence[str]) -> str:
    """SQL for the text of `cell`, or NULL when it is one of the texts that mean an empty cell."""
    listed = ", ".join(map(quote_text, empty))
    closely = f"CASE WHEN {trimmed(cell)} NOT IN ({listed}) THEN {cell} END"
    if len(empty) > 1:
        return closely
    # where only blanks mean empty, a cell that begins with none needs no trimming, which is slow
    return f"CASE WHEN ascii({cell}) > {max(map(ord, BLANKS))} THEN {cell} ELSE {closely} END"


def _value(kind: Kind, text: str, typed_dates: bool) -> str:
    """SQL for the value of a cell: a cell that is a date itself is one whatever format the contract gives."""
    if not typed_dates or kind.type not in ("date", "timestamp"):
        return parse_sql(kind, text)
    iso, at = Kind("date"), parse_sql(Kind("timestamp"), text)
    midnight = f"CASE WHEN {at} = date_trunc('day', {at}) THEN CAST({at} AS DATE) END"
    typed = [midnight if kind.type == "date" else at, parse_sql(iso, text)]
    return f"coalesce({', '.join(dict.fromkeys([parse_sql(kind, text), *typed]))})"
