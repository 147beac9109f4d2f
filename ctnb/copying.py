"""
Copying a dataset: what it is, its rows, or both, to another portal, or on one portal under another name.

Rows go as a run of their own, through the same gate as any: the newest release's, reviewed anew for where they go.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from ctnb import datasets, documents, flows, leases, publishing, releases, restoring, settings, withdrawals
from ctnb.contracts import push_sources
from ctnb.datasets import Dataset
from ctnb.errors import ContractInvalid, ReviewNotCleared, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import mapping
from ctnb.portals.interface import Described
from ctnb.records import RunRecord
from ctnb.releases import Release
from ctnb.settings import Project
from ctnb.supervision import Progress
from ctnb.tables import Table

What = Literal["both", "schema", "data"]
LEFT_BEHIND = (push_sources.FILE, ".ipynb_checkpoints")
"""What of a dataset's folder belongs to the original alone: ids that a portal gave."""


@dataclass(frozen=True)
class Copied:
    """What was copied."""

    slug: str
    """The dataset that the copy is of here: a new one where it got another name."""
    portal: str
    dataset_id: str | None
    record: RunRecord | None
    """The run that published the rows; None for a schema alone."""


def copy(
    slug: str, *, to: str, source: str = "", name: str = "", what: What = "both", project: Project | None = None,
    progress: Progress | None = None, pool: KernelPool | None = None,
) -> Copied:  # fmt: skip
    """
    Copy dataset `slug` to the portal `to`; under the new slug `name` where one is given.

    `source` is the portal whose newest release is copied, the dataset's own when empty. `what` schema creates a
    private dataset without rows, data fills one that is there, both does both. A new name gets a folder with the
    same contract. Raises UsageError, NameUnknown, PublishRefused for rows that are not kept, ReviewNotCleared for rows
    that were taken down to protect people; a run that must wait is returned as such.
    """
    project = project or settings.project()
    original = datasets.dataset(slug, project.notebooks)
    project.portal(to)
    came = source or original.contract.portal.name
    if came == to and not name:
        raise UsageError(f"{slug} is on {to} already.", hint="Give the copy a name: --as NEW-SLUG")
    release = releases.newest(project, slug, came)
    if release is None:
        raise UsageError(
            f"{slug} has no release on {came} to copy.", hint="ctnb releases says where it has one."
        )
    table = restoring.kept(release)
    dataset = _renamed(project, original, name, to) if name else original
    known = releases.dataset_id(project, dataset, to)
    if what == "data" and known is None:
        raise UsageError(f"{dataset.slug} is not on {to} yet.", hint="Copy the schema first: --what schema")
    if what == "schema":
        return Copied(dataset.slug, to, known or _create(project, dataset, to, release, table), None)
    record = _rows(project, dataset, release, table, to, progress, pool)
    return Copied(dataset.slug, to, releases.dataset_id(project, dataset, to), record)


def _renamed(project: Project, original: Dataset, name: str, portal: str) -> Dataset:
    """The dataset `name` with the contract of `original`, made when missing. Raises UsageError when it is another."""
    folder = project.notebooks / datasets.check_slug(name)
    if not folder.exists():
        part = folder.with_name(f".{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(original.folder, part, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
        changes = {("title",): f"{original.contract.title} (copy)", ("portal", "name"): portal}
        documents.edit(part / "dataset.yml", changes, ContractInvalid)
        part.replace(folder)
    made = datasets.dataset(name, project.notebooks)
    if (
        made.contract.columns != original.contract.columns
        or made.contract.transform != original.contract.transform
    ):
        raise UsageError(
            f"There is a dataset {name} with other columns than {original.slug}.", hint="Choose another name."
        )
    return made


def _create(project: Project, dataset: Dataset, portal: str, release: Release, table: Table) -> str:
    """A private dataset without rows, under the contract's words; its id is written down."""
    columns = restoring.columns_today(dataset.contract, table, release)
    fields = mapping.fields(columns, dataset.contract.portal)
    contract = dataset.contract
    described = Described(
        contract.title, contract.description, fields.theirs, tuple(map(fields.field, contract.key)),
        contract.metadata,
    )  # fmt: skip
    with flows.hold_dataset(project, dataset.slug), publishing.target(project, dataset, portal) as there:
        token = publishing.creation_token(project, dataset, portal)
        made = there.portal.find(token) or there.portal.create(described, token)
        releases.note_dataset_id(project, dataset, portal, made)
    withdrawals.note(
        project,
        dataset.slug,
        portal,
        "schema copied",
        rows=0,
        reason=f"a copy of release {release.facts.release}",
    )
    return made


def _rows(
    project: Project, dataset: Dataset, release: Release, table: Table, portal: str, progress: Progress | None,
    pool: KernelPool | None,
) -> RunRecord:  # fmt: skip
    """Publish the rows of `release` as a run of `dataset`."""
    same = dataset.slug == _slug_of(release)
    if not same and withdrawals.for_privacy(project, release):
        raise ReviewNotCleared(
            "These rows were taken down to protect people.",
            hint="Bring them back under their own name first, by a new decision: ctnb restore.", state="waiting",
        )  # fmt: skip
    columns = restoring.columns_today(dataset.contract, table, release)
    with ExitStack() as stack:
        stack.enter_context(flows.hold_dataset(project, dataset.slug))
        leases.reap(project)
        at = flows.open_run(
            stack, project, datasets.whole(dataset), how="ctnb copy", portal=portal,
            parent=release.run if same else None,
        )  # fmt: skip
        at.progress = progress or at.progress
        at.pool = pool or stack.enter_context(KernelPool())
        at.update(restores=release.facts.release if same else None)
        at.event("copying", {"release": release.facts.release})
        restoring.bring(at, table, columns)
        return flows.publish_alone(at)


def _slug_of(release: Release) -> str:
    """The dataset that a release is of: the folder that its rows are kept in."""
    return release.path.parent.name
