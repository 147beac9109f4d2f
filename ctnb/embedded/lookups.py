"""
How a question over a large dataset finds its rows: by an index, in the order of writing, or in that of a column.

SQLite keeps no statistics of a table that grows, so it is told. An index is made in the background when a column
is first compared or sorted by, so that writing a dataset that nobody asks about costs nothing for it; a table
that is replaced starts without any.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .answers import Refused
from .catalogue import Column, View
from .compiler import Compiler, Source, Sql, is_aggregate, source_of
from .queries import Query
from .soql import Apply, Field, Literal, Node, Statement
from .tokens import Malformed
from .workshop import Workshop

LARGE_ROWS = 20_000
"""A dataset up to this long is read fast enough without an index."""
FEW_ROWS = 20_000
"""An index that leaves at most so many rows is always worth it."""
SAMPLE_ROWS = 5_000
"""Read in the order of writing, to see how dense the rows wanted are."""
VISITS = 150_000
"""Rows that are read in the order of writing in the time that an index over a large part takes."""
INDEXES = 8
"""Of one table; the oldest goes when another is made."""
TEXT_LIMIT = 200
"""Letters: a column of longer texts is not worth the room."""
_RANGES = {"=", "<", "<=", ">", ">=", "in", "between"}
_SODA = {"text", "number", "floating_timestamp", "fixed_timestamp"}


def prepared(workshop: Workshop | None, connection: sqlite3.Connection, view: View, query: Query) -> Source:
    """The source that `query` over `view` is best read from; has indexes made that it would have used."""
    source = source_of(view)
    statement = query.statements[0]
    if view.parent is not None or view.next_sid <= LARGE_ROWS or not view.columns:
        return source
    indexes = _indexes(connection, view)
    tests = list(_tests(view, source, statement, query))
    sort = _sort_column(view, statement)
    wanted = {column.id: column for column, _ in tests} | ({} if sort is None else {sort.id: sort})
    if workshop is not None:
        _ask_for(workshop, [column for column in wanted.values() if column.sql not in indexes])
    if sum(column.sql in indexes for column in wanted.values()) == 0:
        written = _by_writing(statement) and not _grouped(statement)
        return _by_scan(source, statement) if written else source
    return _chosen(connection, source, query, [one for one in tests if one[0].sql in indexes], indexes, sort)


def _chosen(
    connection: sqlite3.Connection,
    source: Source,
    query: Query,
    tests: list[tuple[Column, Sql]],
    indexes: Mapping[str, str],
    sort: Column | None,
) -> Source:
    """By the index that leaves the fewest rows; by the order asked for when none leaves few."""
    statement, table = query.statements[0], source.relation
    counted = [
        (_count(connection, table, indexes[column.sql], test), number, column, test)
        for number, (column, test) in enumerate(tests)
    ]
    best = min(counted, default=None)
    if best is not None and best[0] < FEW_ROWS:
        return _by_index(source, indexes[best[2].sql], best[3])
    if sort is not None and sort.sql in indexes:
        return replace(source, relation=f"{table} INDEXED BY {indexes[sort.sql]}")
    if best is None or _grouped(statement) or not _by_writing(statement):
        return source
    if _soon_found(connection, source, statement, query):
        return _by_scan(source, statement)
    return _by_index(source, indexes[best[2].sql], best[3])


def _by_index(source: Source, index: str, test: Sql) -> Source:
    """Row numbers from the index alone, sorted; then only the rows that are shown are read."""
    inner = f"SELECT sid FROM {source.relation} INDEXED BY {index} WHERE {test.text}"
    relation = f"(SELECT * FROM {source.relation} WHERE sid IN ({inner}))"
    return replace(source, relation=relation, values=test.values)


def _by_scan(source: Source, statement: Statement) -> Source:
    """In the order of writing, unless a row is named by its `:id`, which has an index of its own."""
    if statement.where is not None and _names(statement.where, ":id"):
        return source
    return replace(source, relation=f"{source.relation} NOT INDEXED")


def _count(connection: sqlite3.Connection, table: str, index: str, test: Sql) -> int:
    """How many rows a test leaves, counted up to FEW_ROWS."""
    inner = f"SELECT 1 FROM {table} INDEXED BY {index} WHERE {test.text} LIMIT {FEW_ROWS}"
    return int(connection.execute(f"SELECT count(*) FROM ({inner})", test.values).fetchone()[0])


def _soon_found(connection: sqlite3.Connection, source: Source, statement: Statement, query: Query) -> bool:
    """Whether the first rows hold so many of those wanted that reading on in their order is the shorter way."""
    if statement.where is None and not query.filters:
        return True
    conditions = [*query.filters, *([] if statement.where is None else [statement.where])]
    tests = [Compiler(source).condition(node) for node in conditions]
    inner = f"SELECT * FROM {source.relation} NOT INDEXED ORDER BY sid LIMIT {SAMPLE_ROWS}"
    sql = f"SELECT count(*) FROM ({inner}) WHERE {' AND '.join(test.text for test in tests)}"
    values = sum((test.values for test in tests), ())
    found = int(connection.execute(sql, values).fetchone()[0])
    needed = (statement.offset or 0) + (1000 if statement.limit is None else statement.limit)
    return found > 0 and needed * SAMPLE_ROWS / found <= VISITS


def _tests(view: View, source: Source, statement: Statement, query: Query) -> Iterator[tuple[Column, Sql]]:
    """The conditions that all rows must meet and that an index can answer, each with its column."""
    nodes = [*query.filters, *([] if statement.where is None else _conjuncts(statement.where))]
    aliases = {one.alias for one in statement.selected if one.alias}
    for node in nodes:
        column = _tested_column(view, node)
        if column is None or column.field_name in aliases:
            continue
        try:
            test = _prefix(source, node) or Compiler(source).condition(node)
        except (Refused, Malformed):
            continue  # refused with its message when the statement is compiled
        yield column, test


def _conjuncts(node: Node) -> list[Node]:
    if isinstance(node, Apply) and node.name == "and":
        return [part for inner in node.arguments for part in _conjuncts(inner)]
    return [node]


def _tested_column(view: View, node: Node) -> Column | None:
    """The column of a comparison with values, when it is of a type that is worth an index."""
    if not isinstance(node, Apply) or node.name not in (*_RANGES, "like", "starts_with"):
        return None
    first, *rest = node.arguments or (None,)
    plain = all(isinstance(one, Literal) and one.kind != "null" for one in rest)
    if not isinstance(first, Field) or not plain:
        return None
    column = view.column(first.name)
    return column if column is not None and column.kind.soda in _SODA else None


def _prefix(source: Source, node: Node) -> Sql | None:
    """The range of texts that LIKE and starts_with can match; None for other tests. Raises Malformed without one."""
    if not isinstance(node, Apply) or node.name not in ("like", "starts_with"):
        return None
    pattern = node.arguments[1]
    text = pattern.value if isinstance(pattern, Literal) and pattern.kind == "text" else ""
    if node.name == "like":
        text = text[: min(text.find(sign) % (len(text) + 1) for sign in "%_")]
    if not text or ord(text[-1]) >= 0xD7FF:
        raise Malformed
    column = Compiler(source).compile(node.arguments[0])
    above = text[:-1] + chr(ord(text[-1]) + 1)
    return replace(column, text=f"({column.text} >= ? AND {column.text} < ?)", values=(text, above))


def _sort_column(view: View, statement: Statement) -> Column | None:
    """The column that rows are sorted by first."""
    if not statement.ordered or _grouped(statement) or statement.distinct:
        return None
    first = statement.ordered[0].node
    aliases = {one.alias for one in statement.selected if one.alias}
    if not isinstance(first, Field) or first.name in aliases:
        return None
    column = view.column(first.name)
    return column if column is not None and column.kind.soda in _SODA else None


def _by_writing(statement: Statement) -> bool:
    """Whether rows are wanted in the order of writing, from the first on."""
    nodes = [(one.node, one.descending) for one in statement.ordered[:1]]
    return not statement.distinct and nodes in ([], [(Field(":id"), False)])


def _grouped(statement: Statement) -> bool:
    return bool(statement.groups) or any(is_aggregate(one.node) for one in statement.selected)


def _names(node: Node, name: str) -> bool:
    if isinstance(node, Field):
        return node.name.lower() == name
    return isinstance(node, Apply) and any(_names(part, name) for part in node.arguments)


def _indexes(connection: sqlite3.Connection, view: View) -> dict[str, str]:
    """Indexes by the column they begin with; a table that was put in another's place keeps its own names."""
    query = (
        "SELECT held.name, list.name FROM pragma_index_list(?) AS list, pragma_index_info(list.name) AS held"
        " WHERE held.seqno = 0"
    )
    return {str(row[0]): str(row[1]) for row in connection.execute(query, (view.table,))}


class _Requests:
    """The columns whose indexes are being made, and those that are not worth one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.columns: set[int] = set()


_requests: weakref.WeakKeyDictionary[Workshop, _Requests] = weakref.WeakKeyDictionary()


def _ask_for(workshop: Workshop, columns: list[Column]) -> None:
    requests = _requests.setdefault(workshop, _Requests())
    for column in columns:
        with requests.lock:
            known = column.id in requests.columns
            requests.columns.add(column.id)
        if not known:
            workshop.later(make_index, column.id)


def make_index(workshop: Workshop, column: int) -> None:
    """A piece of work: an index on the column with this number, unless there is one or its texts are long."""
    with workshop.store.writing() as connection:
        made = _make_index(connection, column)
    if made:
        requests = _requests.setdefault(workshop, _Requests())
        with requests.lock:
            requests.columns.discard(column)


def _make_index(connection: sqlite3.Connection, column: int) -> bool:
    row = connection.execute("SELECT view FROM columns WHERE id = ?", (column,)).fetchone()
    if row is None:
        return False
    table, name = f"rows_{row[0]}", f"c{column}"
    query = (
        "SELECT list.name, held.name FROM pragma_index_list(?) AS list, pragma_index_info(list.name) AS held"
        " WHERE list.origin = 'c' AND NOT list.\"unique\" ORDER BY list.seq DESC"
    )
    there: list[Any] = connection.execute(query, (table,)).fetchall()
    if any(one[1] == name for one in there):
        return True
    sample = f"SELECT {name} AS cell FROM {table} LIMIT 1000"
    longest = connection.execute(f"SELECT max(length(cell)) FROM ({sample})").fetchone()[0]
    if longest is not None and int(longest) > TEXT_LIMIT:
        return False
    for one in there[: max(0, len(there) + 1 - INDEXES)]:
        connection.execute(f"DROP INDEX {one[0]}")
    connection.execute(f"CREATE INDEX find_{column}_{secrets.token_hex(4)} ON {table} ({name})")
    return True


def drop_indexes(connection: sqlite3.Connection, view: View) -> None:
    """Drop the indexes that questions asked for, so that many rows are written as fast as into a new table."""
    query = "SELECT name FROM pragma_index_list(?) WHERE name LIKE 'find\\_%' ESCAPE '\\'"
    for row in connection.execute(query, (f"rows_{view.id}",)).fetchall():
        connection.execute(f"DROP INDEX {row[0]}")
