"""Cells of text become typed values: all of it as SQL, one relation over every file of a reading."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ctnb.contracts.columns import Column
from ctnb.values import (
    BLANKS,
    Kind,
    parse_quickly_sql,
    parse_sql,
    quick_sql,
    quote_name,
    quote_text,
    trimmed,
)

if TYPE_CHECKING:
    import duckdb

    from ctnb.reads.inputs import Input, Job


def make_cells(
    connection: duckdb.DuckDBPyConnection, job: Job, relations: Sequence[str], typed_dates: Sequence[bool],
    *, raw: Collection[str] = (),
) -> None:  # fmt: skip
    """
    The view `cells` over `relations`, which hold the rows of each file of `job`.

    It has the file's number `_file`, the row's `_row`, for each lookup whether the row has no match there,
    `_miss_<n>`, and for each column the text `r_<name>` (null when empty, but for the columns `raw`) and the value
    `t_<name>`.
    """
    columns = job.dataset.contract.read_columns
    for one, relation, dated in zip(job.inputs, relations, typed_dates, strict=True):
        misses = "".join(f", l{look.number}.hit IS NULL AS _miss_{look.number}" for look in job.lookups)
        texts = ", ".join(_texts(one, columns, raw))
        joined = " ".join([f"{relation} n", *one.joined])
        values = ", ".join(f"{_value(c, dated)} AS {quote_name('t_' + c.name)}" for c in columns)
        query = f"SELECT {one.number} AS _file, n._row AS _row{misses}, {texts} FROM {joined}"
        connection.execute(f"CREATE VIEW texts_{one.number} AS {query}")
        # a cast in a column of its own is computed once; in a CASE it is for the test and again for the value
        quick = ", ".join(f"{sql} AS {name}" for name, sql in _quick(columns))
        staged = f"(SELECT *, {quick} FROM texts_{one.number})" if quick else f"texts_{one.number}"
        kept = f"* EXCLUDE ({', '.join(name for name, _ in _quick(columns))})" if quick else "*"
        connection.execute(f"CREATE VIEW cells_{one.number} AS SELECT {kept}, {values} FROM {staged}")
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


def _texts(one: Input, columns: Sequence[Column], raw: Collection[str]) -> list[str]:
    """SQL for each column's text; what was looked up went through its lookup's own nulls."""
    empty = empty_words(one.source.nulls)
    return [
        f"{text_or_null(cell.text, empty) if cell.own and column.name not in raw else cell.text} "
        f"AS {quote_name('r_' + column.name)}"
        for cell, column in zip(one.cells, columns, strict=True)
    ]


def _quick(columns: Sequence[Column]) -> list[tuple[str, str]]:
    """The columns of cheap conversions, with their SQL, for the kinds that have one."""
    made = [(c.name, quick_sql(c.kind, quote_name("r_" + c.name))) for c in columns]
    return [(quote_name("q_" + name), sql) for name, sql in made if sql]


def _value(column: Column, typed_dates: bool) -> str:
    """SQL for the value of a cell: a cell that is a date itself is one whatever format the contract gives."""
    kind, text = column.kind, quote_name("r_" + column.name)
    quick = quick_sql(kind, text) and quote_name("q_" + column.name)
    value = parse_quickly_sql(kind, text, quick) if quick else parse_sql(kind, text)
    if not typed_dates or kind.type not in ("date", "timestamp"):
        return value
    at = parse_sql(Kind("timestamp"), text)
    midnight = f"CASE WHEN {at} = date_trunc('day', {at}) THEN CAST({at} AS DATE) END"
    others = [midnight if kind.type == "date" else at, parse_sql(Kind("date"), text)]
    plain = parse_sql(kind, text)
    listed = ", ".join([value, *(other for other in dict.fromkeys(others) if other != plain)])
    return f"coalesce({listed})"
