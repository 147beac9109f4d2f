"""What a portal does at its start with the drafts that its last end, or a kill, left half done."""

from __future__ import annotations

from .applying import apply_revision
from .drafts import prepare
from .ods_processing import process
from .ods_store import prepare as prepare_ods
from .preparing import parse_source, run_output
from .syncing import prepare as prepare_syncs
from .syncing import run_sync
from .workshop import Workshop, uploads_of

_UNFINISHED = (
    ("sources", "document ->> '$._committed' = 1 AND document ->> '$.finished_at' IS NULL"
     " AND document ->> '$.failed_at' IS NULL", parse_source),
    ("output_schemas", "document ->> '$.completed_at' IS NULL"
     " AND document ->> '$.output_columns[0].transform.failed_at' IS NULL", run_output),
    ("jobs", "document ->> '$.finished_at' IS NULL", apply_revision),
    ("ods_datasets", "status ->> '$.status' IN ('queued', 'processing', 'deleting', 'aborting_processing')",
     process),
    ("syncs", "state IN ('queued', 'running')", run_sync),
)  # fmt: skip


def resume(workshop: Workshop) -> None:
    """Make the tables of drafts, delete files nothing names, and queue what was committed and not finished."""
    with workshop.store.writing() as connection:
        prepare(connection)
        prepare_ods(connection)
        prepare_syncs(connection, workshop.clock())
        known = uploads_of(connection)
        waiting = [
            (work, int(row[0]))
            for table, condition, work in _UNFINISHED
            for row in connection.execute(f"SELECT id FROM {table} WHERE {condition} ORDER BY id").fetchall()
        ]
        stages = connection.execute(
            "SELECT name FROM sqlite_master WHERE name GLOB 'stage_[0-9]*'"
        ).fetchall()
        for (name,) in stages:
            connection.execute(f"DROP TABLE {name}")
    workshop.sweep(known)
    for work, number in waiting:
        workshop.later(work, number)
