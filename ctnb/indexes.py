"""The index of runs: a SQLite file that `reindex` rebuilds from the records, which alone are the truth."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ctnb import records
from ctnb.records import RunRecord
from ctnb.settings import Project

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    path TEXT PRIMARY KEY, mtime_ns INTEGER, dataset TEXT, run TEXT, status TEXT, started TEXT, record TEXT
)
"""


def reindex(project: Project) -> int:
    """Build the index anew from every run.json and return how many there are."""
    _file(project).unlink(missing_ok=True)
    return len(list_runs(project))


def list_runs(project: Project, dataset: str | None = None, status: str | None = None) -> list[RunRecord]:
    """The records of the project, newest first; those of one dataset or one status when given."""
    with _opened(project) as connection:
        _refresh(project, connection)
        rows = connection.execute(
            "SELECT record FROM runs WHERE dataset = coalesce(?, dataset) AND status = coalesce(?, status) "
            "ORDER BY run DESC",
            (dataset, status),
        ).fetchall()
    return [RunRecord.model_validate_json(row[0]) for row in rows]


def _refresh(project: Project, connection: sqlite3.Connection) -> None:
    """Take in what changed since: a record is written whole, so its time of change tells."""
    known = dict(connection.execute("SELECT path, mtime_ns FROM runs").fetchall())
    present = {str(path): path.stat().st_mtime_ns for path in project.runs.glob("*/*/run.json")}
    for path in known.keys() - present.keys():
        connection.execute("DELETE FROM runs WHERE path = ?", (path,))
    for path, changed in present.items():
        if known.get(path) != changed:
            record = records.load(Path(path))
            row = (
                path,
                changed,
                record.dataset,
                record.run,
                record.status,
                record.started,
                record.model_dump_json(),
            )
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()


@contextmanager
def _opened(project: Project) -> Iterator[sqlite3.Connection]:
    """The index; a file that is no index is made anew."""
    path = _file(project)
    try:
        connection = _connected(path)
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)
        connection = _connected(path)
    with closing(connection):
        yield connection


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10)
    try:
        connection.execute(SCHEMA)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _file(project: Project) -> Path:
    return project.private / "index.sqlite"
