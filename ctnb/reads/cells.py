"""Cells of text become typed values: all of it as SQL, one relation over every file of a reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctnb.contracts.columns import Column
from ctnb.values import BLANKS, Kind, parse_sql, quote_name, quote_text, trimmed

if TYPE_CHECKING:
    import duckdb

    from ctnb.reads.inputs import Input, Job


def make_cells(
    connection: duckdb.DuckDBPyConnection, job: Job, relations: Sequence[str], typed_dates: Sequence[bool]
) -> None:
    """
    The view `cells` over `relations`, which hold the rows of each file of `job`.

    It has the file's number `_file`, the row's `_row`, for each lookup whether the row has no match there,
    `_miss_<n>`, and for each column the text `r_<name>` (null when empty) and the value `t_<name>`.
    """
    columns = job.dataset.contract.read_columns
    for one, relation, dated in zip(job.inputs, relations, typed_dates, strict=True):
        misses = "".join(f", l{look.number}.hit IS NULL AS _miss_{look.number}" for look in job.lookups)
        texts = ", ".join(_texts(one, columns))
        joined = " ".join([f"{relation} n", *one.joined])
        values = ", ".join(
            f"{_value(c.kind, quote_name('r_' + c.name), dated)} AS {quote_name('t_' + c.name)}"
            for c in columns
        )
        query = f"SELECT {one.number} AS _file, n._row AS _row{misses}, {texts} FROM {joined}"
        connection.execute(f"CREATE VIEW texts_{one.number} AS {query}")
        connection.execute(f"CREATE VIEW cells_{one.number} AS SELECT *, {values} FROM texts_{one.number}")
    whole = " UNION ALL ".join(f"SELECT * FROM cells_{one.number}" for one in job.inputs)
    connection.execute(f"CREATE VIEW cells AS {whole}")


def empty_words(nulls: Sequence[str]) -> list[str]:
    """The texts that mean an empty cell, without blanks around them."""
    return sorted({"", *(word.strip(BLANKS) for word in nulls)})


def text_or_null(cell: str, empty: Sequence[str]) -> str:
    """SQL for the text of `cell`, or NULL when it is one of the texts that mean an empty cell."""
    listed = ", ".join(map(quote_text, empty))
    closely = f"CASE WHEN {trimmed(cell)} NOT IN ({listed}) THEN {cell} END"
    if len(empty) > 1:
        return closely
    # where only blanks mean empty, a cell that begins with none needs no trimming, which is slow
    return f"CASE WHEN ascii({cell}) > {max(map(ord, BLANKS))} THEN {cell} ELSE {closely} END"


def _texts(one: Input, columns: Sequence[Column]) -> list[str]:
    """SQL for each column's text; what was looked up went through its lookup's own nulls."""
    empty = empty_words(one.source.nulls)
    made = [text_or_null(cell.text, empty) if cell.own else cell.text for cell in one.cells]
    return [f"{text} AS {quote_name('r_' + column.name)}" for text, column in zip(made, columns, strict=True)]


def _value(kind: Kind, text: str, typed_dates: bool) -> str:
    """SQL for the value of a cell: a cell that is a date itself is one whatever format the contract gives."""
    if not typed_dates or kind.type not in ("date", "timestamp"):
        return parse_sql(kind, text)
    iso, at = Kind("date"), parse_sql(Kind("timestamp"), text)
    midnight = f"CASE WHEN {at} = date_trunc('day', {at}) THEN CAST({at} AS DATE) END"
    typed = [midnight if kind.type == "date" else at, parse_sql(iso, text)]
    return f"coalesce({', '.join(dict.fromkeys([parse_sql(kind, text), *typed]))})"
