"""
Leases: which run is alive.

A supervisor holds the operating system's lock on its run's lease file; the lock goes when the process dies.
So a run that says `running` while its lease is free was killed, and the next command marks it interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import filelock

from ctnb import clock, records
from ctnb.records import RunRecord, StepRecord
from ctnb.settings import Project


@contextmanager
def held(project: Project, run: str) -> Iterator[None]:
    """Hold the lease of `run` for the body."""
    lease = filelock.FileLock(project.private_folder("locks") / f"run-{run}.lease")
    with lease:
        yield


def is_free(project: Project, run: str) -> bool:
    """Whether no process holds the lease of `run`."""
    lease = filelock.FileLock(project.private_folder("locks") / f"run-{run}.lease", timeout=0)
    try:
        with lease:
            return True
    except filelock.Timeout:
        return False


def reap(project: Project) -> list[RunRecord]:
    """Mark every run whose supervisor was killed as interrupted, seal it, and return those."""
    found = []
    for record in records.all_records(project):
        unsealed = record.status in records.ENDED and not record.files
        if (record.status == "running" or unsealed) and is_free(project, record.run):
            found.append(_mark(project, record))
    return found


def _mark(project: Project, record: RunRecord) -> RunRecord:
    if record.status == "running":
        record = interrupted(record, "its supervisor was killed or the machine stopped")
        records.event(project, record, "reaped")
    return records.seal(project, records.write(project, record))


def interrupted(record: RunRecord, why: str) -> RunRecord:
    """`record` as interrupted now, its running step too."""
    steps = tuple(_ended(step, why) for step in record.steps)
    return record.model_copy(
        update={
            "status": "interrupted", "reason": f"The run was interrupted: {why}.", "ended": clock.stamp(),
            "next": f"Start it again: ctnb run {record.dataset}", "exit_code": 143, "steps": steps,
        }
    )  # fmt: skip


def _ended(step: StepRecord, why: str) -> StepRecord:
    if step.status != "running":
        return step
    return step.model_copy(update={"status": "interrupted", "reason": why, "ended": clock.stamp()})
