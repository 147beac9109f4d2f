"""
A page of rows by key: whatever the page, only the rows shown are read.

A page is named by the id of the row it starts after or ends before, so that no cell stands in an address.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from .catalogue import Column, View
from .cells import Stored

PAGE_ROWS = 25


@dataclass(frozen=True)
class Page:
    """The rows of one page, and the rows its neighbours start from."""

    rows: list[tuple[Stored, ...]]
    previous: str | None
    """The row that the previous page ends before; None on the first page."""
    next: str | None
    """The row that the next page starts after; None on the last page."""


def read_page(
    connection: sqlite3.Connection,
    view: View,
    sort: Column | None,
    descending: bool,
    *,
    after: str = "",
    before: str = "",
) -> Page:
    """The page after, or before, a row in the order of `sort` (None: as they came), blanks last."""
    backwards = bool(before) and not after
    where, values = _bounds(connection, view, sort, descending, after or before, backwards)
    columns = ", ".join(["rid", *(column.sql for column in view.columns)])
    order = _order(sort, descending, backwards)
    sql = f"SELECT {columns} FROM {view.table}{where} ORDER BY {order} LIMIT {PAGE_ROWS + 1}"
    found = [tuple(row) for row in connection.execute(sql, values)]
    more, found = len(found) > PAGE_ROWS, found[:PAGE_ROWS]
    if backwards:
        found.reverse()
    came_from = bool(where)
    previous = bool(found) and (more if backwards else came_from)
    following = bool(found) and (came_from if backwards else more)
    ends = (found[0][0] if previous else None, found[-1][0] if following else None)
    return Page([row[1:] for row in found], *ends)


def _order(sort: Column | None, descending: bool, backwards: bool) -> str:
    way = "DESC" if backwards else "ASC"
    if sort is None:
        return f"sid {way}"
    column_way = "DESC" if descending != backwards else "ASC"
    nulls = "FIRST" if backwards else "LAST"
    return f"{sort.sql} {column_way} NULLS {nulls}, sid {way}"


def _bounds(
    connection: sqlite3.Connection,
    view: View,
    sort: Column | None,
    descending: bool,
    rid: str,
    backwards: bool,
) -> tuple[str, tuple[Any, ...]]:
    column = "NULL" if sort is None else sort.sql
    start = connection.execute(f"SELECT sid, {column} FROM {view.table} WHERE rid = ?", (rid,)).fetchone()
    if not rid or start is None:
        return "", ()
    sid_sign = "<" if backwards else ">"
    if sort is None:
        return f" WHERE sid {sid_sign} ?", (start[0],)
    sign = "<" if descending != backwards else ">"
    if start[1] is None:
        rest = f" OR {column} IS NOT NULL" if backwards else ""
        return f" WHERE (({column} IS NULL AND sid {sid_sign} ?){rest})", (start[0],)
    rest = "" if backwards else f" OR {column} IS NULL"
    where = f" WHERE ({column} {sign} ? OR ({column} = ? AND sid {sid_sign} ?){rest})"
    return where, (start[1], start[1], start[0])
