"""Sending a plan: one all-or-nothing request, then reading back and comparing; only then it is released."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ctnb.clients.socrata import Socrata
from ctnb.errors import PublishRefused
from ctnb.portals import planning, soda
from ctnb.portals.planning import Target, Wanted
from ctnb.portals.plans import Plan


def check(plan: Plan) -> None:
    """Raise PublishRefused when `plan` has problems."""
    if plan.problems:
        raise PublishRefused(
            f"The plan for {plan.portal} cannot be applied: {'; '.join(plan.problems)}.",
            hint="Nothing was sent. Correct the dataset or the portal, then publish again.",
        )


def prepare(target: Target, wanted: Wanted, created: Callable[[str], None]) -> Target:
    """`target` with a dataset to send to: created, private and empty, when there is none; `created` gets its id."""
    if target.dataset_id:
        return target
    view = target.client.create(wanted.title, wanted.description, soda.fields(wanted.columns), wanted.key)
    created(view.id)
    return Target(target.portal, target.client, view.id)


def send(target: Target, wanted: Wanted, plan: Plan, *, limit_bytes: int, work: Path | None) -> int:
    """
    Send the rows in one request, read back and compare, set who may see it; returns the rows read back.

    Nothing is sent when the portal already has what the plan expects. Raises PublishRefused when the rows do
    not fit one request or what is read back differs, PortalFailed.
    """
    if target.dataset_id is None:
        raise PublishRefused(
            "There is no dataset to send to.", hint="This is a mistake in ctnb: prepare first."
        )
    if plan.before != plan.expected:
        _write(target.client, target.dataset_id, wanted, limit_bytes)
    rows, found = planning.digest_there(target.client, target.dataset_id, wanted.columns, work)
    if found != plan.expected:
        raise PublishRefused(
            f"What was read back is not what was to be there: {plan.rows_after:,} rows expected, {rows:,} read"
            f"{', with other values' if rows == plan.rows_after else ''}.",
            hint="Nothing is called released. Compare the portal with the last release, then publish again.",
        )
    target.client.set_public(target.dataset_id, wanted.public)
    return rows


def _write(client: Socrata, dataset_id: str, wanted: Wanted, limit_bytes: int) -> None:
    body = _deletions(wanted) if wanted.mode == "delete" else soda.encode(wanted.table)
    if len(body) > limit_bytes:
        raise PublishRefused(
            f"The table is {len(body) >> 20} MB as one request; this portal takes {limit_bytes >> 20} MB at once.",
            hint="Several requests are not all-or-nothing, so nothing was sent. Publish fewer rows at a time.",
        )
    if wanted.mode == "replace":
        client.replace(dataset_id, body)
    else:
        client.upsert(dataset_id, body)


def _deletions(wanted: Wanted) -> bytes:
    rows = json.loads(soda.encode(wanted.table))
    return json.dumps([{wanted.key: row[wanted.key], ":deleted": True} for row in rows]).encode()
