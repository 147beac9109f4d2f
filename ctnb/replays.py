"""
Replaying: what an earlier run set aside, read again under today's contract in a new run.

Where that run's other rows were published and the portal's are added to or updated, only the rows set aside are read,
from their originals. Else its snapshots are read again, whole: nothing of them is on the portal, or all of it is
replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ctnb import gathering, records, rejections, releases, stepfiles
from ctnb.datasets import Dataset
from ctnb.errors import UsageError
from ctnb.places import fetching
from ctnb.places.fetched import Fetched
from ctnb.places.fetching import Gathered
from ctnb.reads import replayed
from ctnb.records import RunRecord
from ctnb.settings import Project
from ctnb.snapshots import Snapshot, Writer, take

Kind = Literal["rejects", "snapshots"]


@dataclass(frozen=True)
class Replay:
    """What is read again."""

    run: str
    """The earlier run."""
    kind: Kind
    """Its rejected rows, or its snapshots whole."""


def plan(project: Project, dataset: Dataset, run: str, portal: str) -> Replay:
    """
    What of `run` would be read again for a release on `portal`. Writes nothing.

    Raises NameUnknown for a run that does not exist, and UsageError when it is another dataset's, set nothing
    aside, was replayed already or overtaken by a later release, or its private files are gone.
    """
    record, slug = records.find(project, run), dataset.slug
    if record.dataset != slug:
        raise UsageError(f"Run {record.run} belongs to the dataset '{record.dataset}'.")
    added = dataset.contract.portal.mode != "replace" and record.release is not None
    found = Replay(record.run, "rejects" if added else "snapshots")
    read = record.read
    if read is None or not (read.rows_rejected or (read.nulled and not added)):
        raise UsageError(
            f"Run {record.run} set no row aside.", hint=f"To read the source again: ctnb run {slug}"
        )
    _check_order(project, dataset, record, found, portal)
    _check_files(project, record, found)
    return found


def gather(
    project: Project, dataset: Dataset, found: Replay, work: Path, *, position: Mapping[str, Any]
) -> Gathered:
    """
    What `found` has to read, copied into the private folder `work`; lookups and references are fetched anew.

    `position` is where the last release came to. Raises UsageError when the files are gone or changed,
    and what fetching raises.
    """
    record = records.find(project, found.run)
    lookups, references = gathering.gather_beside(project, dataset, work)
    note = (f"read again: what run {found.run} {'set aside' if found.kind == 'rejects' else 'had fetched'}",)
    told = bool(record.read and record.read.told)
    if found.kind == "rejects":
        whole = rejections.of_run(project, record).path
        if whole is None:
            raise _gone(found.run)
        part = Fetched((_copied(whole, work),), format=replayed.FORMAT, notes=note)
        return Gathered((part,), lookups, references, told, dict(position))
    earlier = _fetched(project, found.run)
    parts = dataset.contract.source.parts
    if not told and len(parts) != len(earlier.parts):
        raise UsageError(
            f"The contract's source has {len(parts)} parts now, and had {len(earlier.parts)} in run {found.run}.",
            hint=f"Read the source itself again: ctnb run {dataset.slug}",
        )
    number, made = 0, []
    for one in earlier.parts:
        snapshots = []
        for snapshot in one.snapshots:
            number += 1
            snapshots.append(_taken(snapshot, work, number, found.run))
        made.append(replace(one, snapshots=tuple(snapshots)))
    made[0] = replace(made[0], notes=(*made[0].notes, *note))
    return Gathered(tuple(made), lookups, references, told, dict(earlier.position))


def _check_order(project: Project, dataset: Dataset, record: RunRecord, found: Replay, portal: str) -> None:
    """Raise UsageError where reading `record` again would publish rows twice, or older rows over newer ones."""
    again = f"Read the source as it is now: ctnb run {dataset.slug}"
    if record.portal != portal:
        raise UsageError(
            f"Run {record.run} was for the portal '{record.portal}', not '{portal}'.",
            hint="Name it with --portal.",
        )
    if found.kind == "rejects":
        for other in records.all_records(project):
            if other.parent == record.run and other.replay == "rejects" and other.release:
                raise UsageError(
                    f"Run {other.run} has published what could be read of the rows that {record.run} set aside.",
                    hint=f"What it set aside itself: ctnb run {dataset.slug} --replay-rejects {other.run}",
                )
        return
    newest = releases.newest(project, dataset.slug, portal)
    if newest and newest.run > record.run:
        raise UsageError(
            f"Run {newest.run} was released after {record.run}: its rows would give way to older ones, or stand twice.",
            hint=again,
        )


def _check_files(project: Project, record: RunRecord, found: Replay) -> None:
    if found.kind == "rejects":
        there = rejections.of_run(project, record).path is not None
    else:
        path = _fetched_path(project, record.run)
        there = path.is_file() and all(one.path.is_file() for one in _fetched(project, record.run).snapshots)
    if not there:
        raise _gone(record.run)


def _gone(run: str) -> UsageError:
    return UsageError(
        f"The work folder of run {run} is gone, and with it what the run set aside.",
        hint="Read the source again: ctnb run SLUG",
    )


def _fetched_path(project: Project, run: str) -> Path:
    return project.root / ".ctnb" / "work" / run / "read" / gathering.FETCHED


def _fetched(project: Project, run: str) -> Gathered:
    return fetching.gathered_from_json(stepfiles.read_json(_fetched_path(project, run)))


def _copied(source: Path, work: Path) -> Snapshot:
    """The rejects file as a snapshot; without a suffix, for it is no table."""
    with Writer(work, "rejected-rows") as writer:
        writer.write(source.read_bytes())
        return writer.done()


def _taken(snapshot: Snapshot, work: Path, number: int, run: str) -> Snapshot:
    if not snapshot.path.is_file():
        raise _gone(run)
    made = take(snapshot.path, work, told=snapshot.told, prefix=f"snapshot-{number}")
    if made.digest != snapshot.digest:
        raise UsageError(
            f"A snapshot of run {run} is not what it was.",
            hint="Somebody or something wrote to its work folder.",
        )
    return replace(made, name=snapshot.name)
