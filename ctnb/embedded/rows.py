"""The rows of one view: a batch of changes checked whole, then made in the transaction it came in."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .answers import modern
from .catalogue import Column, View
from .cells import Maltyped, Stored, json_type, store
from .identifiers import new_row_id
from .lookups import drop_indexes


@dataclass(frozen=True)
class Change:
    """One row of a request's body."""

    rid: str | None
    """The system id, when the row is named by it."""
    key: Stored
    """The row identifier's stored value, when the view has one."""
    deleted: bool
    cells: dict[str, Stored]
    """Stored values by column name in the table; what is missing stays as it is."""


@dataclass
class Tally:
    """What a batch did, in the words of the protocol."""

    errors: int = 0
    deleted: int = 0
    updated: int = 0
    by_sid: int = 0
    created: int = 0
    by_identifier: int = 0

    def report(self) -> dict[str, int]:
        """The answer to an upsert or a replace."""
        words = ("Errors", "Rows Deleted", "Rows Updated", "By SID", "Rows Created", "By RowIdentifier")
        counts = (self.errors, self.deleted, self.updated, self.by_sid, self.created, self.by_identifier)
        return dict(zip(words, counts, strict=True))


def read_changes(view: View, bodies: Iterable[object]) -> Iterator[Change]:
    """The changes a body asks for. Raises Refused (400) for the first row that cannot be."""
    reader = _Reader(view)
    for body in bodies:
        if not isinstance(body, dict):
            raise modern(400, "soda.row.upsert-row-not-an-object", "A row is not an object")
        yield reader.change(body)


def apply_changes(
    connection: sqlite3.Connection, view: View, changes: Iterable[Change], now: float, *, merge: bool = True
) -> Tally:
    """
    Insert, update and delete as `changes` say, in order, and return what happened.

    `merge` False clears the cells that a change does not name. The caller's transaction makes it one step.
    """
    batch = _Batch(connection, view, now, merge)
    for change in changes:
        batch.apply(change)
    batch.finish()
    return batch.tally


def empty(connection: sqlite3.Connection, view: View) -> int:
    """Delete every row and say how many there were."""
    drop_indexes(connection, view)
    return connection.execute(f"DELETE FROM {view.table} WHERE true").rowcount


class _Batch:
    def __init__(self, connection: sqlite3.Connection, view: View, now: float, merge: bool) -> None:
        self.connection, self.view, self.merge = connection, view, merge
        self.time = row_stamp(now)
        self.tally = Tally()
        self.next_sid = view.next_sid
        names = [column.sql for column in view.columns]
        self.names = names
        marks = ", ".join("?" * (4 + len(names)))
        fields = ", ".join(["sid", "rid", "created_at", "updated_at", *names])
        self.insert_sql = f"INSERT INTO {view.table} ({fields}) VALUES ({marks})"

    def apply(self, change: Change) -> None:
        sid = self.sid_of(change)
        named = change.rid is not None
        if change.deleted or (named and sid is None):
            self.delete(sid if change.deleted else None)
        elif sid is None:
            self.insert(change)
            return
        else:
            self.update(sid, change)
        if sid is not None:
            self.tally.by_sid += named
            self.tally.by_identifier += not named

    def sid_of(self, change: Change) -> int | None:
        if change.rid is not None:
            return self.one("rid", change.rid)
        if self.view.identifier is not None:
            return self.one(self.view.identifier.sql, change.key)
        return None

    def one(self, column: str, key: Stored) -> int | None:
        query = f"SELECT sid FROM {self.view.table} WHERE {column} = ?"
        row = self.connection.execute(query, (key,)).fetchone()
        return None if row is None else int(row[0])

    def delete(self, sid: int | None) -> None:
        if sid is None:
            self.tally.errors += 1
            return
        self.connection.execute(f"DELETE FROM {self.view.table} WHERE sid = ?", (sid,))
        self.tally.deleted += 1

    def insert(self, change: Change) -> None:
        cells = [change.cells.get(name) for name in self.names]
        head = (self.next_sid, new_row_id(self.next_sid), self.time, self.time)
        self.connection.execute(self.insert_sql, (*head, *cells))
        self.next_sid += 1
        self.tally.created += 1

    def update(self, sid: int, change: Change) -> None:
        cells = change.cells if self.merge else {name: change.cells.get(name) for name in self.names}
        sets = ", ".join(["updated_at = ?", *(f"{name} = ?" for name in cells)])
        statement = f"UPDATE {self.view.table} SET {sets} WHERE sid = ?"
        clash = False
        try:
            self.connection.execute(statement, (self.time, *cells.values(), sid))
        except sqlite3.IntegrityError:
            clash = True
        if clash:
            name = self.view.identifier.field_name if self.view.identifier else ""
            raise modern(400, "soda.column.not-unique", f"Column '{name}' would not be unique", column=name)
        self.tally.updated += 1

    def finish(self) -> None:
        statement = "UPDATE views SET next_sid = ? WHERE id = ?"
        self.connection.execute(statement, (self.next_sid, self.view.id))


class _Reader:
    """Reads the rows of one body; it looks a column up once, because a body may hold a million rows."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.key = None if view.identifier is None else view.identifier.sql
        self.slots: dict[str, tuple[str, Column]] = {}

    def slot(self, name: str) -> tuple[str, Column]:
        column = self.view.column(name)
        if column is None:
            raise _unknown_column(self.view)
        self.slots[name] = (column.sql, column)
        return self.slots[name]

    def change(self, body: dict[str, object]) -> Change:
        rid, deleted = body.get(":id"), _deleted(body.get(":deleted"))
        cells: dict[str, Stored] = {}
        for name, value in body.items():
            if name[:1] == ":":
                continue
            place, column = self.slots.get(name) or self.slot(name)
            if not deleted or place == self.key:
                cells[place] = _stored(column, value)
        key = None if self.key is None else cells.get(self.key)
        if rid is not None or key is None:
            _refuse_without_key(self.view, rid, key, deleted)
        return Change(None if rid is None else str(rid), key, deleted, cells)


def _deleted(value: object) -> bool:
    """Only JSON true deletes; a CSV has no JSON, so there the word does."""
    return value is True or (isinstance(value, _CsvText) and value.strip().lower() == "true")


class _CsvText(str):
    """A cell of a CSV body."""


def csv_text(text: str) -> str | None:
    """A CSV cell as a body holds it: blank is null."""
    return _CsvText(text) if text else None


def _stored(column: Column, value: object) -> Stored:
    try:
        return store(column.kind, value)
    except Maltyped:
        pass  # refused below, without the value
    expected, got = column.kind.soda, json_type(str(value) if isinstance(value, _CsvText) else value)
    message = f"Column is maltyped; for field '{column.field_name}' we expected '{expected}' but got {got}"
    data = {"field": column.field_name, "expected": expected, "got": got}
    raise modern(400, "soda.column.maltyped", message, **data)


def _refuse_without_key(view: View, rid: object, key: Stored, deleted: bool) -> None:
    if rid is not None:
        if key is not None:
            message = "A row is named by :id or by its row identifier, not by both"
            raise modern(400, "req.bad-parameter", message, parameter=":id")
        return
    if view.identifier is None and deleted:
        message = "A row is deleted by its row identifier or by :id"
        raise modern(400, "soda.row.delete-without-primary-key", message)
    if view.identifier is not None and key is None:
        name = view.identifier.field_name
        message = f"The row identifier '{name}' is missing or null in a row"
        raise modern(400, "soda.row.primary-key-nonexistent-or-null", message, column=name)


def _unknown_column(view: View) -> Exception:
    """Never with the name: a header in the wrong place may be a cell."""
    known = [column.field_name for column in view.columns]
    message = "A row names a column that the dataset does not have"
    return modern(400, "soda.row.column-not-found", message, dataset=view.uid, columns=known)


def row_stamp(now: float) -> str:
    """A moment as `:created_at` and `:updated_at` hold it."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"
