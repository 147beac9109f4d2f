"""The worker's part of DataSync: one committed job, from its chunks to the rows, in one transaction."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from typing import Any

from .catalogue import View, find, touch
from .controls import Control, Rows, UnreadableError, read_control, read_rows
from .page_history import note
from .patches import BrokenPatchError, read_upload
from .rows import row_stamp
from .workshop import Workshop

TABLES = (
    "CREATE TABLE IF NOT EXISTS sync_chunks (id TEXT PRIMARY KEY,"
    " view INTEGER NOT NULL REFERENCES views (id) ON DELETE CASCADE, at REAL NOT NULL, content BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS syncs (id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL UNIQUE,"
    " view INTEGER NOT NULL REFERENCES views (id) ON DELETE CASCADE, state TEXT NOT NULL, document TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS syncs_view ON syncs (view)",
)
_REPORTED = {"inserted": "Rows Created", "updated": "Rows Updated", "deleted": "Rows Deleted"}
STATES = ("queued", "running", "success", "failure")
KEPT_S = 86400.0
"""How long chunks that nobody commits are kept, in seconds."""


def prepare(connection: sqlite3.Connection, now: float) -> None:
    """Make the tables where there are none, and delete chunks that were never committed."""
    for statement in TABLES:
        connection.execute(statement)
    waiting = "SELECT value FROM syncs, json_each(document, '$.chunks') WHERE state IN ('queued', 'running')"
    old = f"DELETE FROM sync_chunks WHERE at < ? AND id NOT IN ({waiting})"
    connection.execute(old, (now - KEPT_S,))


def run_sync(workshop: Workshop, number: int) -> None:
    """Do the committed job `number`: its rows and its end in one transaction, or nothing and why."""
    with workshop.store.reading() as connection:
        row = connection.execute("SELECT * FROM syncs WHERE id = ?", (number,)).fetchone()
        if row is None or row["state"] not in ("queued", "running"):
            return
        document = json.loads(row["document"])
        view = _view(connection, row["view"])
        query = "SELECT content FROM sync_chunks WHERE id = ?"
        chunks = [connection.execute(query, (one,)).fetchone() for one in document["chunks"]]
    with workshop.store.writing() as connection:
        _note(connection, number, "running", {"type": "started", "data": _data(workshop, document)})
    wrong = ""
    try:
        content = b"".join(bytes(chunk[0]) for chunk in chunks if chunk is not None)
        content, name = read_upload(content, document["filename"])
        control = read_control(document["control"], tabs=name.lower().endswith((".tsv", ".tab")))
        rows = read_rows(view, control, content)
        _finish(workshop, number, document, control, rows)
    except (BrokenPatchError, UnreadableError) as error:
        wrong = str(error)
    except Exception as error:  # noqa: BLE001  whatever it is, its text may quote the data
        workshop.check()
        wrong = f"Internal error ({type(error).__name__})"
    if wrong:
        fail(workshop, number, wrong)


def fail(workshop: Workshop, number: int, reason: str) -> None:
    """End the job `number` as a failure; the dataset stays as it was."""
    with workshop.store.writing() as connection:
        row = connection.execute("SELECT document FROM syncs WHERE id = ?", (number,)).fetchone()
        if row is None:
            return
        document = json.loads(row["document"])
        event = {"type": "failed", "data": {**_data(workshop, document), "reason": reason}}
        _note(connection, number, "failure", event, reason)
        _forget(connection, document)


def _view(connection: sqlite3.Connection, number: int) -> View:
    row = connection.execute("SELECT uid FROM views WHERE id = ?", (number,)).fetchone()
    view = find(connection, row[0]) if row else None
    if view is None:
        raise sqlite3.DataError("a job without its dataset")
    return view


def _finish(workshop: Workshop, number: int, document: dict[str, Any], control: Control, rows: Rows) -> None:
    with workshop.store.writing() as connection:
        row = connection.execute("SELECT view FROM syncs WHERE id = ?", (number,)).fetchone()
        if row is None:
            return
        view, now = _view(connection, row[0]), workshop.clock()
        if [column.id for column in rows.columns if view.column(column.field_name) != column]:
            raise UnreadableError("The dataset's columns changed while the file was read")
        counts = _apply(connection, view, control.action, rows, now)
        if any(counts.values()) or control.action == "replace":
            touch(connection, view, now, rows=True)
            kind = "replace" if control.action == "replace" else "upsert"
            report = {soda: counts[ours] for ours, soda in _REPORTED.items()}
            note(connection, view, str(document.get("by", "")), kind, report, now)
        data = {**_data(workshop, document), **counts, "errors": len(rows.wrong)}
        unknown = {"type": "left-out-of-account", "data": {"keys": list(control.unknown)}}
        events = [unknown] if control.unknown else []
        for event in (*events, {"type": "finished", "data": data}):
            _note(connection, number, "success", event)
        _forget(connection, document)


def _apply(connection: sqlite3.Connection, view: View, action: str, rows: Rows, now: float) -> dict[str, int]:
    """Put the rows into a table of their own, then make the fewest changes that the action asks for."""
    names = [column.sql for column in rows.columns]
    key = None if view.identifier is None else view.identifier.sql
    connection.execute("DROP TABLE IF EXISTS temp.sync_rows")
    typed = ", ".join(f"{name}{' UNIQUE ON CONFLICT REPLACE' if name == key else ''}" for name in names)
    connection.execute(f"CREATE TEMP TABLE sync_rows (n INTEGER PRIMARY KEY, {typed})")
    marks = ", ".join("?" * len(names))
    statement = f"INSERT INTO temp.sync_rows ({', '.join(names)}) VALUES ({marks})"
    connection.executemany(statement, rows.rows)
    staged = int(connection.execute("SELECT count(*) FROM temp.sync_rows").fetchone()[0])
    if action == "replace" and staged != len(rows.rows):
        raise UnreadableError(
            f"The row identifier is not unique in the file: {len(rows.rows) - staged} rows too many"
        )
    counts = {"inserted": 0, "updated": 0, "deleted": 0}
    if action == "delete":
        counts["deleted"] = _delete(connection, view, f"{key} IN (SELECT {key} FROM temp.sync_rows)")
    else:
        if action == "replace":
            gone = f"{key} NOT IN (SELECT {key} FROM temp.sync_rows)" if key else "true"
            counts["deleted"] = _delete(connection, view, gone)
        if key is not None:
            counts["updated"] = _update(connection, view, key, names, now)
        counts["inserted"] = _insert(connection, view, key, names, now)
    connection.execute("DROP TABLE temp.sync_rows")
    return counts


def _delete(connection: sqlite3.Connection, view: View, which: str) -> int:
    return connection.execute(f"DELETE FROM {view.table} WHERE {which}").rowcount


def _update(connection: sqlite3.Connection, view: View, key: str, names: list[str], now: float) -> int:
    """Only the rows in which a cell differs."""
    others = [name for name in names if name != key]
    if not others:
        return 0
    sets = ", ".join(f"{name} = sent.{name}" for name in others)
    differs = " OR ".join(f"{view.table}.{name} IS NOT sent.{name}" for name in others)
    statement = (
        f"UPDATE {view.table} SET updated_at = ?, {sets} FROM temp.sync_rows AS sent"
        f" WHERE {view.table}.{key} = sent.{key} AND ({differs})"
    )
    return connection.execute(statement, (row_stamp(now),)).rowcount


def _insert(connection: sqlite3.Connection, view: View, key: str | None, names: list[str], now: float) -> int:
    fields = ", ".join(["sid", "rid", "created_at", "updated_at", *names])
    new = f" WHERE {key} NOT IN (SELECT {key} FROM {view.table})" if key else ""
    first = connection.execute("SELECT next_sid FROM views WHERE id = ?", (view.id,)).fetchone()[0]
    number = f"{int(first) - 1} + row_number() OVER (ORDER BY n)"
    statement = (
        f"INSERT INTO {view.table} ({fields}) SELECT sid, new_row_id(sid), ?, ?, {', '.join(names)}"
        f" FROM (SELECT {number} AS sid, * FROM temp.sync_rows{new})"
    )
    stamp = row_stamp(now)
    inserted = connection.execute(statement, (stamp, stamp)).rowcount
    connection.execute("UPDATE views SET next_sid = ? WHERE id = ?", (int(first) + inserted, view.id))
    return inserted


def _note(
    connection: sqlite3.Connection, number: int, state: str, event: dict[str, Any], reason: str = ""
) -> None:
    row = connection.execute("SELECT document FROM syncs WHERE id = ?", (number,)).fetchone()
    if row is None:
        return
    document = json.loads(row[0])
    document = {**document, "events": [*document["events"], event], "reason": reason}
    statement = "UPDATE syncs SET state = ?, document = ? WHERE id = ?"
    connection.execute(statement, (state, json.dumps(document, ensure_ascii=False), number))


def _forget(connection: sqlite3.Connection, document: dict[str, Any]) -> None:
    connection.executemany("DELETE FROM sync_chunks WHERE id = ?", [(one,) for one in document["chunks"]])


def _data(workshop: Workshop, document: dict[str, Any]) -> dict[str, Any]:
    now = dt.datetime.fromtimestamp(workshop.clock(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {**{key: document[key] for key in ("jobId", "dataset", "filename")}, "timestamp": now}
