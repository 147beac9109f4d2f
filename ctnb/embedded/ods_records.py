"""
The records of a published dataset: read by its fields, named by their unique id, written over one another.

A record's id is the SHA-1 of the values of the id fields, as they were sent: so a record is deleted by the same
values only when they are written the same way. Source: the vendor's guide ("fingerprint of all the record's field
values"); the exact form of the vendor's fingerprint is not documented.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .ods_fields import Field, Schema
from .ods_values import TYPES, Stored, Unfit, file_content, read

ERRORS_SHOWN = 100
FIXED = ("sid", "rid", "at", "size", "resource", "raw")


@dataclass
class Faults:
    """What could not be done with single records."""

    shown: list[dict[str, Any]] = field(default_factory=list)
    """The first ERRORS_SHOWN, as the status lists them: record, field and a sentence, never a value."""
    count: int = 0

    def note(self, rid: str, name: str | None, message: str) -> None:
        """Note one fault of one record."""
        self.count += 1
        if len(self.shown) < ERRORS_SHOWN:
            said = {"record_id": rid, "field_uid": name, "processor_uid": None, "message": message}
            self.shown.append(said)


@dataclass(frozen=True)
class Named:
    """A record with its id."""

    rid: str
    record: Mapping[str, Any]
    text: str | None
    """Its JSON as it is kept, for one that was pushed."""


@dataclass(frozen=True)
class Records:
    """The table of a dataset's records."""

    connection: sqlite3.Connection
    dataset: int
    """The number of the dataset."""
    table: str
    schema: Schema
    faults: Faults

    def create(self) -> None:
        """Make the table."""
        columns = "".join(f", {one.column} {TYPES[one.type].affinity}" for one in self.schema.fields)
        self.connection.execute(
            f"CREATE TABLE {self.table} (sid INTEGER PRIMARY KEY AUTOINCREMENT, rid TEXT NOT NULL UNIQUE,"
            f" at REAL NOT NULL, size INTEGER NOT NULL, resource INTEGER NOT NULL, raw TEXT{columns})"
        )

    def write_texts(self, batch: Iterable[tuple[float, str]], resource: int) -> None:
        """Write records that were pushed, each with the time it came and as the JSON text that is kept."""
        self._write((self.named(at, json.loads(text), resource, text) for at, text in batch))

    def write_rows(self, now: float, batch: Iterable[Mapping[str, Any]], resource: int) -> None:
        """Write the rows of a file."""
        self._write(self.named(now, row, resource, None) for row in batch)

    def write_named(self, batch: Iterable[Named], now: float, resource: int) -> None:
        """Write records whose ids and texts are known."""
        self._write(self.row(now, one, resource) for one in batch)

    def _write(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """A record with a known id takes the place of the one before."""
        columns = [*FIXED[1:], *(one.column for one in self.schema.fields)]
        marks = ", ".join("?" * len(columns))
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "rid")
        self.connection.executemany(
            f"INSERT INTO {self.table} ({', '.join(columns)}) VALUES ({marks})"
            f" ON CONFLICT (rid) DO UPDATE SET {changes}",
            rows,
        )

    def named(self, at: float, record: Mapping[str, Any], resource: int, text: str | None) -> tuple[Any, ...]:
        """A record as a row of the table; `text` is what is kept of one that was pushed."""
        return self.row(at, Named(record_id(self.schema, record), record, text), resource)

    def row(self, at: float, one: Named, resource: int) -> tuple[Any, ...]:
        """A record as a row of the table."""
        rid, record, text = one.rid, one.record, one.text
        cells = []
        for known in self.schema.fields:
            value = record.get(known.source)
            plain = value is None or (known.type == "text" and type(value) is str)
            cells.append(value if plain else self.cell(rid, known, value))
        size = len(text) if text is not None else sum(len(value) for value in record.values() if value)
        return rid, at, size, resource, text, *cells

    def cell(self, rid: str, one: Field, value: Any) -> Stored:
        """The stored form of a value; one that does not fit is left out and noted."""
        try:
            if one.type == "file" and value != "":
                return self.content(value)
            return read(TYPES[one.type], value)
        except Unfit:
            pass
        message = f"The value of the field '{one.name}' is not of type {one.type}; it was left empty."
        self.faults.note(rid, one.name, message)
        return None

    def content(self, value: Any) -> str:
        """Keep the bytes of a file and return what a record holds instead of them."""
        body, kind = file_content(value)
        name = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        statement = "INSERT OR IGNORE INTO ods_contents VALUES (?, ?, ?, ?)"
        self.connection.execute(statement, (self.dataset, name, kind, body))
        ending = kind.partition("/")[2]
        shown = {"id": name, "mimetype": kind, "format": ending, "filename": f"{name}.{ending}"}
        return json.dumps({**shown, "size": len(body)})

    def delete(self, ids: Sequence[str], resource: int) -> None:
        """Delete records of one resource by their ids; those that are not there do not matter."""
        statement = f"DELETE FROM {self.table} WHERE rid = ? AND resource = ?"
        self.connection.executemany(statement, ((rid, resource) for rid in ids))

    def count(self) -> int:
        """How many records there are."""
        return int(self.connection.execute(f"SELECT count(*) FROM {self.table}").fetchone()[0])


def named(schema: Schema, record: Mapping[str, Any]) -> Named:
    """A record that was pushed, with its id and the text that is kept."""
    return Named(record_id(schema, record), record, _kept(record))


_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
_kept = json.JSONEncoder(ensure_ascii=False).encode


def record_id(schema: Schema, record: Mapping[str, Any]) -> str:
    """The id of a record: 40 hexadecimal digits."""
    text = _canonical([record.get(one.source) for one in schema.ids])
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
