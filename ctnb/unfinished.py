"""
What earlier sendings left on a portal: rows that may have arrived, and private drafts that nobody opened.

A portal's rows are compared by digest with what was there, and what was to be there, before each sending.
"""

from __future__ import annotations

from ctnb import digests, records, releases
from ctnb.contracts.publication import WHOLE
from ctnb.errors import PublishRefused
from ctnb.portals.planning import Planned
from ctnb.records import RunRecord, SendFacts
from ctnb.settings import Project


def settled(planned: Planned, project: Project, slug: str, sent: SendFacts | None, run: str) -> Planned:
    """
    `planned`, given what became of earlier sendings: without anything to do when this run's rows are there.

    `sent` is an earlier sending of the same `run`. Raises PublishRefused rather than append rows that are there
    already, or may be, or add rows to a private draft of another run that nobody opened.
    """
    plan = planned.plan
    there = digests.keyed(plan.before, project.key)
    if sent and there == sent.expected:
        return planned.settled()
    if plan.mode not in WHOLE:
        _check_opened(project, slug, plan.portal, run)
    if plan.mode == "append":
        if sent:
            _check_unchanged(there, sent, "this run")
        else:
            for record in unsettled(project, slug, plan.portal):
                _check_not_arrived(there, record)
    return planned


def unsettled(project: Project, slug: str, portal: str) -> list[RunRecord]:
    """The runs that began to append to `portal` since its newest release and were not called released."""
    return [
        one
        for one in _since(project, slug, portal)
        if one.send and one.send.mode == "append" and not one.draft
    ]


def drafts(project: Project, slug: str, portal: str) -> list[RunRecord]:
    """The runs since the newest release on `portal` whose rows are there, private, and were not opened."""
    return [one for one in _since(project, slug, portal) if one.draft]


def _since(project: Project, slug: str, portal: str) -> list[RunRecord]:
    base = releases.newest(project, slug, portal)
    return [
        record
        for record in records.all_records(project)
        if (record.dataset, record.portal) == (slug, portal) and record.send and not record.release
        and (record.ended or record.started) > (base.facts.at if base else "")
    ]  # fmt: skip


def _check_opened(project: Project, slug: str, portal: str, run: str) -> None:
    """Raise PublishRefused when rows of another run are there that nobody decided to open."""
    others = [record for record in drafts(project, slug, portal) if record.run != run]
    if others:
        raise PublishRefused(
            f"The rows of run {others[-1].run} are a private draft on {portal} that nobody opened; this mode would "
            "add to them.",
            hint="Nothing was sent. Publish everything once with portal: mode: replace, which puts this table in "
            "their place.",
        )


def _check_not_arrived(there: str, record: RunRecord) -> None:
    """Raise PublishRefused when the rows of the unfinished run `record` are on the portal."""
    assert record.send is not None  # noqa: S101 - `unsettled` chose those that have one
    if there == record.send.expected != record.send.before:
        raise PublishRefused(
            f"The rows that run {record.run} appended have arrived, though it was not called released.",
            hint=f"Nothing was sent. First: ctnb run {record.dataset} --from publish --run {record.run}",
        )
    _check_unchanged(there, record.send, f"run {record.run}")


def _check_unchanged(there: str, sent: SendFacts, whose: str) -> None:
    if there != sent.before:
        raise PublishRefused(
            f"The portal's rows have changed since {whose} began to append: whether its own arrived cannot be known.",
            hint="Nothing was sent. Compare the portal with the last release, then publish everything once with "
            "portal: mode: replace.",
        )
