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
from ctnb.errors import LockHeld
from ctnb.records import RunRecord, StepRecord
from ctnb.settings import Project

WAIT_S = 5.0


@contextmanager
def held(project: Project, run: str) -> Iterator[None]:
    """
    Hold the lease of `run` for the body: taken before run.json says `running`, given back after the seal.

    Raises LockHeld when another process works on the run.
    """
    lease = _lease(project, run)
    try:
        lease.acquire(timeout=WAIT_S)
    except filelock.Timeout:
        raise LockHeld(f"Another process works on run {run}.", hint="Wait until it has ended.") from None
    try:
        yield
    finally:
        lease.release()


def _lease(project: Project, run: str) -> filelock.BaseFileLock:
    return filelock.FileLock(project.private_folder("locks") / f"run-{run}.lease")


def reap(project: Project) -> list[RunRecord]:
    """Mark every run whose supervisor was killed as interrupted, seal it, and return those."""
    return [reaped for record in records.all_records(project) if (reaped := _reap(project, record))]


def _reap(project: Project, record: RunRecord) -> RunRecord | None:
    """`record` reaped, when it needs to be; its lease is held meanwhile, and it is looked at again under it."""
    if not _left_behind(record):
        return None
    lease = _lease(project, record.run)
    try:
        lease.acquire(timeout=0)
    except filelock.Timeout:
        return None
    try:
        record = records.find(project, record.run)
        return _mark(project, record) if _left_behind(record) else None
    finally:
        lease.release()


def _left_behind(record: RunRecord) -> bool:
    return record.status == "running" or (record.status in records.ENDED and not record.files)


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
            "next": _next(record), "exit_code": 143, "steps": steps,
        }
    )  # fmt: skip


def _next(record: RunRecord) -> str:
    """What to do after an interruption; a run that was sending goes on, because its rows may have arrived."""
    if record.release:
        return "Nothing is left to do: its rows are released, read back and compared."
    if record.send and not record.release:
        return f"Go on with it: ctnb run {record.dataset} --from publish --run {record.run}"
    return f"Start it again: ctnb run {record.dataset}"


def _ended(step: StepRecord, why: str) -> StepRecord:
    if step.status != "running":
        return step
    return step.model_copy(update={"status": "interrupted", "reason": why, "ended": clock.stamp()})
