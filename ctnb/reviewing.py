"""The review of a dataset's table under the project's policy: what both the supervisor and a draft compute."""

from __future__ import annotations

from pathlib import Path

from ctnb import digests, releases
from ctnb.attachments import Attachment
from ctnb.datasets import Dataset
from ctnb.drift.headers import HeaderChange
from ctnb.privacy import reviews
from ctnb.privacy.findings import Last
from ctnb.privacy.reviews import Review
from ctnb.releases import Release
from ctnb.settings import Project
from ctnb.tables import Table


def review(
    project: Project, dataset: Dataset, table: Table, *, run: str, portal: str,
    changes: tuple[HeaderChange, ...] = (), work: Path | None = None, before: Release | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> Review:  # fmt: skip
    """
    Ask every privacy rule about `table` under the policy that `dataset` names. Writes nothing.

    The table is compared with the newest release on `portal`; `changes` are how the source's header was not the
    contract's. `before` is a release whose own rows these are: only older ones are compared with.
    `attachments`, their digests keyed, go out beside it.
    Raises NameUnknown when ctnb.yml has no such policy, RecordBroken for a release that is not ctnb's.
    """
    contract = dataset.contract
    policy = project.policy(contract.policy)
    script = dataset.script
    return reviews.review(
        table, dataset=dataset.slug, run=run, unit=contract.unit_out, count_column=contract.count_out,
        key=contract.key, policy_name=contract.policy, policy=policy,
        contract_digest=dataset.fingerprint,
        transform_digest=digests.of_file(script) if script else None,
        table_digest=digests.keyed(table.digest, project.key), work=work,
        last=last(project, dataset, portal, changes, before), attachments=attachments,
    )  # fmt: skip


def last(
    project: Project, dataset: Dataset, portal: str, changes: tuple[HeaderChange, ...] = (),
    before: Release | None = None,
) -> Last:  # fmt: skip
    """The newest release on `portal` that a table can be compared with: not a file of identifiers to delete."""
    contract = dataset.contract
    there = [
        one
        for one in releases.of_dataset(project, dataset.slug)
        if one.facts.portal == portal
        and one.facts.mode != "delete"
        and (before is None or one.facts.at < before.facts.at)
    ]
    drift, mode = contract.drift.table, contract.portal.mode
    if not there:
        return Last(mode=mode, drift=drift, changes=changes)
    return Last(there[-1].facts.release, releases.table(there[-1]), mode, drift, changes)
