"""Deciding about a run's review: the decision goes into the ledger and beside the record; nothing is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ctnb import answering, clock, leases, records, releases, rendering
from ctnb.errors import UsageError
from ctnb.privacy import decisions
from ctnb.privacy.decisions import Decision
from ctnb.privacy.reviews import Review
from ctnb.records import RunRecord
from ctnb.settings import Project


@dataclass(frozen=True)
class Decided:
    """A decision and what follows from it."""

    decision: Decision
    next: str


def review_of(project: Project, run: str) -> Review:
    """The review of `run`. Raises NameUnknown, UsageError when it has none."""
    record = records.find(project, run)
    if record.review is None:
        raise UsageError(f"Run {record.run} has no privacy review.", hint="Run it to that step first.")
    return answering.load_review(records.folder(project, record.dataset, record.run) / answering.FINDINGS)


def decide(
    project: Project, run: str, verdict: Literal["approve", "refuse"] | str, *, reason: str, conditions: str = "",
    standing: bool = False,
) -> Decided:  # fmt: skip
    """
    Record what the owner of this process decides about the review of the waiting `run`.

    Where its rows are a private draft on the portal already, the decision is whether they may be public.

    A refusal ends the run. Raises UsageError when the run does not wait, when this person may not decide or
    the reason does not do, and ReviewNotCleared for approving what is blocked.
    """
    with leases.held(project, records.find(project, run).run):
        record = records.find(project, run)
        review = review_of(project, run)
        about: decisions.About = "public" if record.draft and record.status == "waiting" else "rows"
        if record.status != "waiting" and review.state != "blocked":
            raise UsageError(f"Run {record.run} is {record.status}; it does not wait for a decision.")
        base = releases.newest(project, record.dataset, record.portal)
        made = decisions.decide(
            project, review, verdict="refuse" if verdict == "refuse" else "approve", reason=reason,
            conditions=conditions, standing=standing, ran_by=record.by, portal=record.portal,
            portal_kind=project.portal(record.portal).kind, base_release=base.facts.release if base else None,
            about=about,
        )  # fmt: skip
        if made.verdict == "refuse":
            _end_refused(project, record, made)
            return Decided(made, f"Change the transform or the contract, then: ctnb run {record.dataset}")
        return Decided(made, f"ctnb run {record.dataset} --from publish --run {record.run}")


def _end_refused(project: Project, record: RunRecord, made: Decision) -> None:
    ended = record.model_copy(
        update={
            "status": "refused", "reason": f"{made.by.name} refused the review.", "decision": made.id,
            "ended": clock.stamp(), "exit_code": 1,
            "next": f"Change the transform or the contract, then: ctnb run {record.dataset}",
        }
    )  # fmt: skip
    rendering.render(project, ended)
    records.seal(project, records.write(project, ended))
