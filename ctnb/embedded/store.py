"""
The portal's one SQLite file: its schema, one writer at a time, readers on snapshots of their own.

Write-ahead log with `synchronous=FULL`: what was committed survives a kill or a power cut, and what was
not leaves no trace. `secure_delete` overwrites what was deleted, so that a retired row is gone from the file.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ctnb.errors import UsageError

from .functions import register

FORMAT = 1
BUSY_S = 30.0
STATEMENT_LIMIT_S = 60.0
MAPPED_BYTES = 2**30
"""Of the file that readers see in memory instead of reading it page by page."""

_SCHEMA = """
CREATE TABLE portal (format INTEGER NOT NULL);
CREATE TABLE accounts (
    key_id TEXT PRIMARY KEY, uid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL, created_at REAL NOT NULL);
CREATE TABLE tokens (
    token_sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL, key_id TEXT REFERENCES accounts (key_id),
    created_at REAL NOT NULL);
CREATE TABLE views (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
    scope TEXT NOT NULL, stage TEXT NOT NULL, owner TEXT NOT NULL, users TEXT NOT NULL,
    row_identifier INTEGER, created_at REAL NOT NULL, published_at REAL, modified_at REAL NOT NULL,
    rows_updated_at REAL NOT NULL, version INTEGER NOT NULL, next_sid INTEGER NOT NULL);
CREATE TABLE columns (
    id INTEGER PRIMARY KEY AUTOINCREMENT, view INTEGER NOT NULL REFERENCES views (id) ON DELETE CASCADE,
    field_name TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, description TEXT NOT NULL,
    position INTEGER NOT NULL, format TEXT NOT NULL, UNIQUE (view, field_name));
INSERT INTO sqlite_sequence (name, seq) VALUES ('columns', 500000000);
"""

_ADDED = (
    "CREATE TABLE IF NOT EXISTS logins (key_id TEXT PRIMARY KEY REFERENCES accounts (key_id) ON DELETE CASCADE,"
    " mail TEXT NOT NULL UNIQUE COLLATE NOCASE, salt BLOB, password_scrypt BLOB)",
    "CREATE TABLE IF NOT EXISTS assets (id TEXT PRIMARY KEY,"
    " view INTEGER REFERENCES views (id) ON DELETE CASCADE, filename TEXT NOT NULL,"
    " content_type TEXT NOT NULL, size INTEGER NOT NULL, created_at REAL NOT NULL, content BLOB NOT NULL)",
)
"""What later versions added to the schema: made in older files too when they are opened."""


class Store:
    """The file, its one writer and its pool of readers. Safe to share between threads."""

    def __init__(self, file: Path) -> None:
        """
        Open `file`, and create it, for its owner only, where there is none.

        Raises UsageError when it is something else, or was written by a newer ctnb.
        """
        self.file = file
        self._write_lock = threading.Lock()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        if not file.exists():
            with contextlib.suppress(FileExistsError):
                os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        broken = False
        try:
            self._writer = _connect(file)
            with self.writing() as connection:
                written = _create(connection)
        except sqlite3.OperationalError:
            raise  # locked, full or read-only: its text says so and quotes no data
        except sqlite3.DatabaseError:
            broken = True
        if broken or written > FORMAT:
            hint = "Name the portal's own file, or a new one; a newer ctnb may have written it."
            raise UsageError(f"'{file.name}' is not a portal's file that this ctnb reads.", hint=hint)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, file: Path) -> Iterator[Store]:
        """The store in `file` for the length of a block; a portal may have it open at the same time."""
        store = cls(file)
        try:
            yield store
        finally:
            store.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction of its own, committed at the end, undone when anything is raised."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:  # whatever ended it, the transaction is undone
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    @contextlib.contextmanager
    def loading(self) -> Iterator[sqlite3.Connection]:
        """
        A connection for rows that wait in a table of their own, used within `alone`.

        What it commits is on the disk once a transaction of `writing` is committed behind it.
        """
        connection = _connect(self.file)
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint=10000")
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No transaction of `writing` for the length of a block."""
        with self._write_lock:
            yield

    def settle(self) -> None:
        """Wait until the transaction that is open now, if any, has ended."""
        with self._write_lock:
            pass

    def borrow(self) -> sqlite3.Connection:
        """A reader on a snapshot of now; hand it back with `give_back`."""
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = _connect(self.file)
            connection.execute("PRAGMA query_only=ON")
            connection.execute(f"PRAGMA mmap_size={MAPPED_BYTES}")
        connection.execute("BEGIN")
        limit_time(connection)
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End a reader's snapshot and keep it for the next one."""
        connection.execute("ROLLBACK")
        self._readers.put(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A reader for the length of a block."""
        connection = self.borrow()
        try:
            yield connection
        finally:
            self.give_back(connection)

    def close(self) -> None:
        """Close every connection that is at rest and fold the log into the file."""
        while not self._readers.empty():
            self._readers.get_nowait().close()
        with self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout={int(BUSY_S * 1000)}")
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA trusted_schema=OFF")
    register(connection)
    return connection


def _create(connection: sqlite3.Connection) -> int:
    """Make the schema where there is none, and say which format the file has."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'portal'").fetchone():
        found = int(connection.execute("SELECT format FROM portal").fetchone()[0])
        return found if found > FORMAT else _add(connection)
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise sqlite3.DatabaseError("a database of something else")
    for statement in _SCHEMA.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute("INSERT INTO portal VALUES (?)", (FORMAT,))
    return _add(connection)


def _add(connection: sqlite3.Connection) -> int:
    for statement in _ADDED:
        connection.execute(statement)
    return FORMAT


def limit_time(connection: sqlite3.Connection) -> None:
    """Let what is asked of `connection` from now on end within STATEMENT_LIMIT_S."""
    deadline = time.monotonic() + STATEMENT_LIMIT_S
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
