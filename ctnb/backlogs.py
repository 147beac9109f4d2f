"""What waits on its way to a portal: told in counts, and given up by a person with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ctnb import (
    clock,
    datasets,
    delivering,
    digests,
    flows,
    leases,
    ledger,
    records,
    rendering,
    settings,
    spools,
)
from ctnb.errors import PublishRefused, UsageError
from ctnb.privacy import decisions
from ctnb.records import RunRecord
from ctnb.settings import Project
from ctnb.spools import Batch

KIND = "push"
"""The kind of the ledger's line about batches that were given up."""


@dataclass(frozen=True)
class Waits:
    """One batch that no portal has confirmed."""

    batch: int
    portal: str
    records: int
    bytes: int
    deletes: bool
    """Whether it takes records away."""
    since: str
    """When it was written to disk, UTC."""
    status: str
    """untried, behind another, or what its run came to."""
    run: str = ""
    why: str = ""
    hint: str = ""
    exit_code: int = 0
    """3 when trying again may help."""


@dataclass(frozen=True)
class Backlog:
    """What waits of one dataset, and what was kept beside it."""

    dataset: str
    waiting: tuple[Waits, ...]
    """In the order in which they are delivered."""
    refused_lines: int
    """Lines that are no records of the contract."""
    refused_file: Path
    aside: int
    """Batches of which nothing fits the contract."""
    discarded: int
    """Batches that somebody gave up."""

    def to_json(self) -> dict[str, Any]:
        """It as JSON's types."""
        return {**asdict(self), "refused_file": str(self.refused_file)}


@dataclass(frozen=True)
class Discarded:
    """A batch that was given up."""

    batch: int
    records: int
    file: Path
    """Where its records are kept, for their owner alone: a head, then a record a line."""
    waiting: int
    """Batches that still wait."""


def backlog(slug: str, *, project: Project | None = None) -> Backlog:
    """What waits of dataset `slug`, in counts. Writes nothing. Raises NameUnknown."""
    project = project or settings.project()
    datasets.dataset(slug, project.notebooks)
    found: list[Waits] = []
    for batch in spools.waiting(project, slug):
        with suppress(FileNotFoundError):  # a push has just confirmed it
            found.append(_waits(batch, first=not found))
    file, refused = spools.refused_lines(project, slug)
    aside, given_up = (len(spools.kept(project, slug, name)) for name in (spools.ASIDE, spools.DISCARDED))
    return Backlog(slug, tuple(found), refused, file, aside, given_up)


def discard(slug: str, *, reason: str, batch: int | None = None, project: Project | None = None) -> Discarded:
    """
    Give up the first batch of dataset `slug` that waits, or the one numbered `batch`; its records stay in a file.

    A line of the ledger says who did so, why, how many records and the keyed digest. A run of it that waits for a
    decision ends. Raises UsageError when nothing waits, when the batch was not tried yet or may have arrived, or when
    the reason does not do; LockHeld while a push or run is at work.
    """
    project = project or settings.project()
    datasets.dataset(slug, project.notebooks)
    decisions.check_reason(reason)
    with flows.hold_dataset(project, slug):
        leases.reap(project)
        chosen = _chosen(slug, spools.waiting(project, slug), batch)
        record = delivering.record_of(project, chosen)
        _check_not_sent(slug, chosen, record)
        count, digest = chosen.count(), digests.keyed(digests.of_file(chosen.path), project.key)
        ledger.append(project.ledger, KIND, {
            "dataset": slug, "what": "discarded", "batch": chosen.number, "portal": chosen.head["portal"],
            "records": count, "digest": digest, "run": record.run if record else None,
            "status": str(chosen.held.get("status", "untried")), "reason": reason.strip(),
            "by": asdict(decisions.whoami()),
        })  # fmt: skip
        if record and record.status == "waiting":
            _end(project, record)
        held = chosen.held
        moved = chosen.set_aside(spools.DISCARDED)
        spools.note(project, slug, _receipt(chosen, count, held))
        return Discarded(chosen.number, count, moved, len(spools.waiting(project, slug)))


def _waits(batch: Batch, *, first: bool) -> Waits:
    head, held = batch.head, batch.held
    status = str(held.get("status", "")) or ("untried" if first else "behind another")
    return Waits(
        batch.number, str(head["portal"]), batch.count(), batch.path.stat().st_size, bool(head["delete"]),
        str(head.get("at", "")), status, str(held.get("run", "")), str(held.get("why", "")), str(held.get("hint", "")),
        int(held.get("exit_code", 0)),
    )  # fmt: skip


def _chosen(slug: str, waiting: list[Batch], number: int | None) -> Batch:
    found = [batch for batch in waiting if number in (None, batch.number)]
    if not found:
        what = "No batch waits" if number is None else f"No batch {number} waits"
        raise UsageError(f"{what} for {slug}.", hint=f"ctnb push {slug} --status says which do.")
    if number is None and not found[0].held:
        raise UsageError(
            f"Batch {found[0].number} of {slug} has not been tried yet.",
            hint=f"Try it: ctnb push {slug}; or give up this one by its number: --discard "
            f"--number {found[0].number}",
        )
    return found[0]


def _check_not_sent(slug: str, batch: Batch, record: RunRecord | None) -> None:
    """A run that was interrupted while it sent, or that released: its rows may be on the portal."""
    unclear = not batch.held.get("run") and batch.held.get("exit_code") == PublishRefused.exit_code
    if record is None or unclear:  # delivering it found out that only a person can tell
        return
    if record.release or (record.status == "interrupted" and record.send):
        raise UsageError(
            f"Run {record.run} sent batch {batch.number}, and its records may have arrived.",
            hint=f"Go on with it first: ctnb push {slug}",
        )


def _end(project: Project, record: RunRecord) -> None:
    """End the run of a batch that is given up, so that nobody decides about it any more."""
    with leases.held(project, record.run):
        ended = record.model_copy(
            update={
                "status": "expired", "ended": clock.stamp(), "reason": "Its batch was discarded.", "next": "",
                "exit_code": 1,
            }
        )  # fmt: skip
        rendering.render(project, ended)
        records.seal(project, records.write(project, ended))


def _receipt(batch: Batch, count: int, held: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "batch": batch.number, "records": count, "rejected": 0, "run": str(held.get("run", "")),
        "status": "discarded", "release": None, "why": "It was discarded.", "useless": False, "exit_code": 1,
        "hint": "", "at": clock.stamp(),
    }  # fmt: skip
