"""
Sending a plan: the change by its token, then reading back and comparing; only then it is released.

The token is the same however often one change is tried, so that a portal that has it already is found out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ctnb.errors import PublishRefused
from ctnb.portals import planning
from ctnb.portals.interface import Change
from ctnb.portals.journal import Journal
from ctnb.portals.planning import Target, Wanted
from ctnb.portals.plans import Plan


def check(plan: Plan) -> None:
    """Raise PublishRefused when `plan` has problems."""
    if plan.problems:
        raise PublishRefused(
            f"The plan for {plan.portal} cannot be applied: {'; '.join(plan.problems)}.",
            hint="Nothing was sent. Correct the dataset or the portal, then publish again.",
        )


def prepare(target: Target, wanted: Wanted, token: str, created: Callable[[str], None]) -> Target:
    """
    `target` with a dataset to send to: created, private and empty, when there is none; `created` gets its id.

    One that an earlier attempt made for the same `token`, and was killed before it could say so, is found again.
    """
    if target.dataset_id:
        return target
    found = target.portal.find(token) or target.portal.create(wanted.described, token)
    created(found)
    return Target(target.portal, found)


def send(
    target: Target, wanted: Wanted, plan: Plan, token: str, journal: Journal, *, work: Path | None
) -> int:
    """
    Send the rows, read back and compare, set who may see it; returns the rows read back.

    Nothing is sent when the portal already has what the plan expects. Raises PublishRefused when the rows
    cannot be sent or what is read back differs, PortalFailed.
    """
    if target.dataset_id is None:
        raise PublishRefused(
            "There is no dataset to send to.", hint="This is a mistake in ctnb: prepare first."
        )
    if plan.before != plan.expected:
        key = (wanted.key,) if wanted.key else ()
        change = Change(wanted.mode, wanted.table, wanted.columns, key, token)
        target.portal.send(target.dataset_id, change, journal)
    rows, found = planning.digest_there(target.portal, target.dataset_id, wanted.columns, work)
    if found != plan.expected:
        raise PublishRefused(
            f"What was read back is not what was to be there: {plan.rows_after:,} rows expected, {rows:,} read"
            f"{', with other values' if rows == plan.rows_after else ''}.",
            hint="Nothing is called released. Compare the portal with the last release, then publish again.",
        )
    journal.note(token, "compared", rows=rows)
    target.portal.set_public(target.dataset_id, wanted.public)
    return rows
