"""The review of a dataset's table under the project's policy: what both the supervisor and a draft compute."""

from __future__ import annotations

from pathlib import Path

from ctnb import digests
from ctnb.datasets import Dataset
from ctnb.privacy import reviews
from ctnb.privacy.reviews import Review
from ctnb.settings import Project
from ctnb.tables import Table


def review(project: Project, dataset: Dataset, table: Table, *, run: str, work: Path | None = None) -> Review:
    """
    Ask every privacy rule about `table` under the policy that `dataset` names. Writes nothing.

    Raises NameUnknown when ctnb.yml has no such policy.
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
    )  # fmt: skip
