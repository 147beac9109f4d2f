"""
What happened to a dataset's rows: revisions, writes by SODA and DataSync, working copies; the newest first.

Revisions are in the drafts. Every other write leaves a line in a table of its own: when, who, what kind and how many
rows, nothing of the rows.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from .accounts import by_uid
from .answers import Account
from .catalogue import View
from .drafts import children

KEPT = 500
"""Lines kept for a dataset; each further write takes the oldest one."""
TABLE = (
    "CREATE TABLE IF NOT EXISTS activity (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " view INTEGER NOT NULL REFERENCES views (id) ON DELETE CASCADE, at REAL NOT NULL, who TEXT NOT NULL,"
    " kind TEXT NOT NULL, report TEXT NOT NULL)"
)
_KINDS = {
    "replace": "Replaced all rows", "row": "Changed one row", "metadata": "Changed what is said of it",
    "copy": "Published a working copy",
}  # fmt: skip
_COUNTS = {"Rows Created": "added", "Rows Updated": "updated", "Rows Deleted": "deleted"}


@dataclass(frozen=True)
class Event:
    """One change."""

    at: float
    """Seconds since 1970, UTC."""
    who: str
    what: str
    rows: str
    """How many rows, in words; empty where only metadata changed."""
    number: int | None = None
    """The revision's number in its dataset."""


def note(
    connection: sqlite3.Connection,
    view: View,
    account: Account | str | None,
    kind: str,
    report: Mapping[str, int],
    now: float,
) -> None:
    """
    Keep a line on a write: `kind` is upsert, replace, row or copy, `report` SODA's counts by their names there.

    `account` is who wrote, or the name that was noted when a job was committed.
    """
    connection.execute(TABLE)
    who = account if isinstance(account, str) else account.name if account else ""
    statement = "INSERT INTO activity (view, at, who, kind, report) VALUES (?, ?, ?, ?, ?)"
    connection.execute(statement, (view.id, now, who, kind, json.dumps(dict(report))))
    oldest = "SELECT id FROM activity WHERE view = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
    connection.execute(f"DELETE FROM activity WHERE view = ? AND id <= ({oldest})", (view.id, view.id, KEPT))


def events(connection: sqlite3.Connection, view: View) -> list[Event]:
    """Every change that is known, the newest first, and the dataset's beginning."""
    found = [*_revisions(connection, view), *_writes(connection, view)]
    found.sort(key=lambda event: event.at, reverse=True)
    owner = str(by_uid(connection, view.base.owner).get("displayName") or "")
    return [*found, Event(view.created_at, owner, "Created", "")]


def _revisions(connection: sqlite3.Connection, view: View) -> list[Event]:
    applied = []
    for revision in children(connection, "revisions", view.id):
        document = revision.document
        if not document["closed_at"] or document.get("_discarded"):
            continue
        counts: dict[str, int] = {}
        for job in children(connection, "jobs", revision.id):
            if job.document["status"] == "successful" and job.document["log"]:
                counts = job.document["log"][0].get("details") or {}
        at = dt.datetime.fromisoformat(document["closed_at"]).replace(tzinfo=dt.UTC).timestamp()
        who = str((document.get("created_by") or {}).get("display_name") or "")
        kind = document["action"]["type"] if counts else "metadata"
        applied.append(Event(at, who, _what(kind, counts), _rows(counts), int(document["revision_seq"])))
    return applied


def _writes(connection: sqlite3.Connection, view: View) -> list[Event]:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'activity'").fetchone() is None:
        return []
    rows = connection.execute("SELECT at, who, kind, report FROM activity WHERE view = ?", (view.id,))
    found = [(at, who, kind, json.loads(report)) for at, who, kind, report in rows]
    return [Event(at, who, _what(kind, counts), _rows(counts)) for at, who, kind, counts in found]


def _what(kind: str, counts: Mapping[str, int]) -> str:
    done = [word for name, word in _COUNTS.items() if counts.get(name)]
    return _KINDS.get(kind) or f"Rows {' and '.join(done) or 'sent'}"


def _rows(counts: Mapping[str, int]) -> str:
    parts = [f"{counts[name]:,} {word}" for name, word in _COUNTS.items() if counts.get(name)]
    return ", ".join(parts)
