"""
A page of rows by key: whatever the page, only the rows shown are read.

A page is named by the id of the row it starts after or ends before, so that no cell stands in an address.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import Any

from .catalogue import Column, View
from .cells import Stored
from .page_filters import Asked, Condition, conditions
from .page_mirrors import SMALL_ROWS, Gone, Mirror, Mirrors, Source
from .page_orders import DEEP_ROWS, place_of

PAGE_ROWS = 25
END = "end"
"""Where the row would stand that the last page ends before."""
COUNT_LIMIT = 10_000
"""Rows found are counted up to here, where counting them all would take long."""


@dataclass(frozen=True)
class Page:
    """The rows of one page, and the rows its neighbours start from."""

    rows: list[tuple[Stored, ...]]
    previous: str | None
    """The row that the previous page ends before; None on the first page."""
    next: str | None
    """The row that the next page starts after; None on the last page."""
    found: int
    """How many rows were asked for in all, or COUNT_LIMIT + 1 for more than it."""
    first: int | None
    """The place of the first row shown, from 1; None where finding it would take long."""


@dataclass(frozen=True)
class Place:
    """Where a page is in the order of rows."""

    after: str = ""
    """The row it starts after."""
    before: str = ""
    """The row it ends before; END for the last page."""
    at: int = 0
    """The place of the row it starts with, from 1; 0 when it is named by a row."""


def read_page(
    connection: sqlite3.Connection, view: View, asked: Asked, place: Place, mirrors: Mirrors, total: int
) -> Page:
    """The rows at `place` among those `asked` for; blanks are last in every order. `total`: rows of `view`."""
    mirror = mirrors.find(view) if total > SMALL_ROWS else None
    if mirror is not None:
        with contextlib.suppress(Gone):
            return _Reader(connection, view, asked, mirror, mirrors, total, quick=True).page(place)
    source = Source(connection, view.table)
    return _Reader(connection, view, asked, source, mirrors, total, quick=total <= SMALL_ROWS).page(place)


class _Reader:
    def __init__(
        self,
        connection: sqlite3.Connection,
        view: View,
        asked: Asked,
        source: Source,
        mirrors: Mirrors,
        total: int,
        *,
        quick: bool,
    ) -> None:
        self.connection, self.view, self.asked = connection, view, asked
        self.source, self.mirrors, self.total, self.quick = source, mirrors, total, quick
        self.where = conditions(view, asked, joined=source.joined)
        self.order: Any = None
        """The numbers of all rows asked for, in their order, where they are known."""
        self.head: list[int] | None = None
        """The numbers that the first page starts with, where they were found while counting."""

    def page(self, place: Place) -> Page:
        """The rows, and where the pages beside them start."""
        start = None if place.at else self.start(place)
        self.order = self.known_order(place, start)
        found = self.count(first=place == Place())
        backwards = bool(place.before) and not place.after and not place.at
        offset = max(min(place.at, found), 1) - 1 if place.at else 0
        sids = self.sids(start, backwards, offset)
        more, sids = len(sids) > PAGE_ROWS, sids[:PAGE_ROWS]
        if backwards:
            sids.reverse()
        came_from = start is not None or offset > 0
        previous = bool(sids) and (more if backwards else came_from)
        following = bool(sids) and (start is not None if backwards else more)
        rows = self.rows(sids)
        ends = (rows[0][0] if previous else None, rows[-1][0] if following else None)
        first: int | None = offset + 1 if sids else 1
        if place.before == END and backwards:
            first = None if self.where and not self.quick else found - len(sids) + 1
        elif sids and previous and not place.at:
            first = self.position(sids[0])
        return Page([row[1:] for row in rows], *ends, found=found, first=first)

    def known_order(self, place: Place, start: tuple[int, Stored] | None) -> Any:
        """The order of all rows, where it is known or `place` is deep in it; None where `start` is not in it."""
        if not isinstance(self.source, Mirror) or self.asked.sort is None:
            return None
        mirror, (clause, values) = self.source, _where(self.where)
        order = _order(self.asked.sort, self.asked.descending, backwards=False)
        question = (self.view.id, self.view.version, clause, values, order)
        orders = self.mirrors.orders
        if place.at <= DEEP_ROWS:
            found = orders.known(question)
        else:
            sql = f"SELECT sid FROM {mirror.table}{clause} ORDER BY {order}"
            found = orders.made(question, lambda: mirror.numbers(sql, values))
        return None if found is None or (start and place_of(found, start[0]) is None) else found

    def count(self, *, first: bool = False) -> int:
        """How many rows are asked for; `first` says that the first page is, whose rows are then found too."""
        if self.order is not None:
            return len(self.order)
        if not self.where:
            return self.total
        clause, values = _where(self.where)
        table = self.source.table
        if self.quick:
            sql = f"SELECT count(*) FROM {table}{clause}"
        else:
            sql = f"SELECT count(*) FROM (SELECT 1 FROM {table}{clause} LIMIT {COUNT_LIMIT + 1})"
        asked = (self.quick, clause, values)
        if first and isinstance(self.source, Mirror) and self.asked.sort is not None:
            return self.mirrors.counted(self.view, asked, lambda: self.count_and_begin(clause, values))
        return self.mirrors.counted(self.view, asked, lambda: int(self.source.ask(sql, values)[0][0]))

    def count_and_begin(self, clause: str, values: tuple[str | int, ...]) -> int:
        """As `count`, with the rows of the first page in `head`: the table is gone through once for both."""
        column = self.asked.sort.sql if self.asked.sort else "NULL"
        order = _order(self.asked.sort, self.asked.descending, backwards=False)
        found = self.source.ask(
            f"WITH found AS MATERIALIZED (SELECT sid, {column} FROM {self.source.table}{clause}) "
            f"SELECT sid, (SELECT count(*) FROM found) FROM found ORDER BY {order} LIMIT {PAGE_ROWS + 1}",
            values,
        )
        self.head = [int(sid) for sid, _ in found]
        return int(found[0][1]) if found else 0

    def start(self, place: Place) -> tuple[int, Stored] | None:
        """The number and the sorted cell of the row that `place` names; None when it is gone, or for an end."""
        column = "NULL" if self.asked.sort is None else self.asked.sort.sql
        query = f"SELECT sid, {column} FROM {self.view.table} WHERE rid = ?"
        row = self.connection.execute(query, (place.after or place.before,)).fetchone()
        return None if row is None else (row[0], row[1])

    def sids(self, start: tuple[int, Stored] | None, backwards: bool, offset: int) -> list[int]:
        """The numbers of a page's rows and one more, away from `start`, or from an end of the order."""
        if self.order is not None:
            return self.slice(start, backwards, offset)
        if self.head is not None:
            return self.head
        bounds = [] if start is None else [_bound(self.asked.sort, self.asked.descending, start, backwards)]
        clause, values = _where(self.where + bounds)
        order = _order(self.asked.sort, self.asked.descending, backwards)
        sql = f"SELECT sid FROM {self.source.table}{clause} ORDER BY {order} LIMIT {PAGE_ROWS + 1} OFFSET {offset}"
        return [int(row[0]) for row in self.source.ask(sql, values)]

    def slice(self, start: tuple[int, Stored] | None, backwards: bool, offset: int) -> list[int]:
        """As `sids`, from the order."""
        at = None if start is None else place_of(self.order, start[0])
        if backwards:
            end = len(self.order) if at is None else at
            return [int(sid) for sid in self.order[max(0, end - PAGE_ROWS - 1) : end][::-1]]
        begin = offset if at is None else at + 1
        return [int(sid) for sid in self.order[begin : begin + PAGE_ROWS + 1]]

    def rows(self, sids: list[int]) -> list[tuple[Any, ...]]:
        """The rows with these numbers, in their order, from the store."""
        columns = ", ".join(["sid", "rid", *(column.sql for column in self.view.columns)])
        marks = ", ".join("?" * len(sids))
        query = f"SELECT {columns} FROM {self.view.table} WHERE sid IN ({marks})"
        by_sid = {row[0]: tuple(row)[1:] for row in self.connection.execute(query, sids)}
        return [by_sid[sid] for sid in sids if sid in by_sid]

    def position(self, sid: int) -> int | None:
        """The place of a row among those asked for."""
        if self.order is not None:
            place = place_of(self.order, sid)
            return None if place is None else place + 1
        if not self.quick:
            return None
        sort = self.asked.sort
        column = "NULL" if sort is None else sort.sql
        query = f"SELECT {column} FROM {self.view.table} WHERE sid = ?"
        cell = self.connection.execute(query, (sid,)).fetchone()[0]
        clause, values = _where([*self.where, _bound(sort, self.asked.descending, (sid, cell), True)])
        before = self.source.ask(f"SELECT count(*) FROM {self.source.table}{clause}", values)
        return int(before[0][0]) + 1


def _where(parts: list[Condition]) -> tuple[str, tuple[str | int, ...]]:
    if not parts:
        return "", ()
    return f" WHERE {' AND '.join(part.sql for part in parts)}", sum((part.values for part in parts), ())


def _order(sort: Column | None, descending: bool, backwards: bool) -> str:
    way = "DESC" if backwards else "ASC"
    if sort is None:
        return f"sid {way}"
    column_way = "DESC" if descending != backwards else "ASC"
    nulls = "FIRST" if backwards else "LAST"
    return f"{sort.sql} {column_way} NULLS {nulls}, sid {way}"


def _bound(sort: Column | None, descending: bool, start: tuple[int, Stored], backwards: bool) -> Condition:
    """The rows behind (or, `backwards`, before) the row with this number and sorted cell."""
    sid, cell = start
    sid_sign = "<" if backwards else ">"
    if sort is None:
        return Condition(f"sid {sid_sign} ?", (sid,))
    column, sign = sort.sql, "<" if descending != backwards else ">"
    if cell is None:
        rest = f" OR {column} IS NOT NULL" if backwards else ""
        return Condition(f"(({column} IS NULL AND sid {sid_sign} ?){rest})", (sid,))
    rest = "" if backwards else f" OR {column} IS NULL"
    return Condition(f"({column} {sign} ? OR ({column} = ? AND sid {sid_sign} ?){rest})", (cell, cell, sid))
