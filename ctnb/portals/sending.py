"""
Sending a plan: each change by its token, then reading back and comparing; only then it is released.

The token is the same however often one change is tried, so that a portal that has it already is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential

from ctnb.errors import PublishRefused
from ctnb.portals import attaching, readback
from ctnb.portals.journal import Journal
from ctnb.portals.planning import Planned, Target, Wanted
from ctnb.portals.plans import Plan
from ctnb.portals.readback import ReadBack

READ_ROWS = 1_000_000
"""Up to so many rows everything is read back; beyond, counts and sums."""

ATTEMPTS = 4
PAUSE_S = 0.25
"""Before the first repetition of a read-back; each next pause is twice as long."""


@dataclass(frozen=True)
class Delivered:
    """What a sending came to."""

    rows: int
    """As they were read back."""
    how: str
    """rows or summary: how they were compared."""
    version: str
    """The portal's version of exactly these rows; empty when they moved meanwhile, or it has none."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The portal's id of each attached file, by name, as they were read back."""


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
    target: Target, planned: Planned, token: str, journal: Journal, *, at_most_rows: int = READ_ROWS
) -> Delivered:
    """
    Send the changes, the files beside the rows with the last of them, read back and compare, set who may see it.

    Nothing is sent when the portal already has what the plan expects; new columns are added first. Up to
    `at_most_rows` rows are read back whole. Raises PublishRefused when the rows cannot be sent or what is read back
    differs, PortalFailed.
    """
    if target.dataset_id is None:
        raise PublishRefused(
            "There is no dataset to send to.", hint="This is a mistake in ctnb: prepare first."
        )
    portal, dataset_id, fields = target.portal, target.dataset_id, planned.wanted.fields
    if planned.plan.columns_added:
        added = [column for column in fields.columns if column.name in planned.plan.columns_added]
        portal.add_fields(dataset_id, [fields.as_field(column) for column in added], journal)
    before = _version(target)
    changes, files = planned.changes(token), planned.attaching
    for place, change in enumerate(changes, 1):
        with_files = files if place == len(changes) else None
        portal.send(dataset_id, replace(change, files=with_files), journal)
    if files:
        portal.attach(dataset_id, files, token, journal)
    found, version = _read_back(target, planned, at_most_rows, waits_for=before if changes else None)
    readback.check(found)
    wanted = planned.wanted.files
    attached = attaching.read_back(portal, dataset_id, wanted) if wanted else {}
    journal.note(token, "compared", rows=found.rows_found)
    portal.set_public(dataset_id, planned.plan.public)
    return Delivered(found.rows_found, found.how, version, attached)


def _read_back(
    target: Target, planned: Planned, at_most_rows: int, *, waits_for: str | None
) -> tuple[ReadBack, str]:
    """
    What is there, and its version; asked again while the portal shows the version from before the sending.

    A portal answers readers from a copy that may be behind what it has acknowledged.
    """
    behind = retry_if_result(
        lambda one: not one[0].equal and waits_for is not None and one[1] in ("", waits_for)
    )
    asking = Retrying(
        stop=stop_after_attempt(ATTEMPTS), wait=wait_exponential(multiplier=PAUSE_S / 2), retry=behind,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )  # fmt: skip
    found: tuple[ReadBack, str] = asking(_once, target, planned, at_most_rows)
    return found


def _once(target: Target, planned: Planned, at_most_rows: int) -> tuple[ReadBack, str]:
    before = _version(target)
    found = readback.compare(
        planned.connection, target.portal, target.dataset_id or "", planned.wanted.fields, planned.wanted.key,
        at_most_rows=at_most_rows, digest=planned.plan.expected,
    )  # fmt: skip
    after = _version(target)
    return found, after if after == before else ""


def _version(target: Target) -> str:
    there = target.portal.there(target.dataset_id or "")
    return there.version if there else ""
