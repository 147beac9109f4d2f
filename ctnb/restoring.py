"""
Restoring a kept release: a run of its own, through the same gate, under today's contract and policy.

The rows are those that the portal had after that release, as they are kept; the review is computed anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from ctnb import clock, datasets, flows, leases, releases, settings, stepfiles, tables
from ctnb.contracts.columns import Column
from ctnb.datasets import Contract
from ctnb.errors import NameUnknown, PublishRefused
from ctnb.guards import REMOVED
from ctnb.kernels.pools import KernelPool
from ctnb.privacy import decisions
from ctnb.records import Override, RunRecord
from ctnb.releases import Release
from ctnb.settings import Project
from ctnb.stepfiles import TableRef
from ctnb.supervision import Progress, Supervisor
from ctnb.tables import SUPPRESSED, Table
from ctnb.values import quote_name, quote_text


def restore(
    slug: str, *, to: str, reason: str, portal: str = "", dry_run: bool = False, project: Project | None = None,
    progress: Progress | None = None, pool: KernelPool | None = None,
) -> RunRecord:  # fmt: skip
    """
    Publish the rows of release `to` of dataset `slug` again, as a new run, and return its sealed record.

    They go to the portal they were released on, or to `portal`. The run waits like any other when its review needs a
    decision; rows that were taken down to protect people always need a new one. `reason` says why published rows go.
    Raises NameUnknown, UsageError (the reason, or an unfinished run), PublishRefused when the rows of that release are
    not kept or are no longer what the contract describes; then nothing is recorded.
    """
    project = project or settings.project()
    dataset = datasets.dataset(slug, project.notebooks)
    decisions.check_reason(reason)
    release = find(project, slug, to)
    with ExitStack() as stack:
        stack.enter_context(flows.hold_dataset(project, slug))
        leases.reap(project)
        table = kept(release)
        columns = columns_today(dataset.contract, table, release)
        at = flows.open_run(
            stack, project, datasets.whole(dataset), how="ctnb restore", parent=release.run,
            portal=portal or release.facts.portal,
        )  # fmt: skip
        at.progress, at.dry_run = progress or at.progress, dry_run
        at.pool = pool or stack.enter_context(KernelPool())
        why = Override(guard=REMOVED, reason=reason.strip(), by=at.record.by, at=clock.stamp())
        at.update(restores=release.facts.release, dry_run=dry_run, overrides=(why,))
        at.event("restoring", {"release": release.facts.release})
        bring(at, table, columns)
        return flows.publish_alone(at)


def find(project: Project, slug: str, to: str) -> Release:
    """The release of dataset `slug` with the id `to`, or the newest of the run `to`. Raises NameUnknown."""
    known = releases.of_dataset(project, slug)
    found = [one for one in known if to in (one.facts.release, one.run)]
    if not found:
        raise NameUnknown("release", to, [one.facts.release for one in known])
    return found[-1]


def kept(release: Release) -> Table:
    """
    The rows that the portal had after `release`.

    Raises PublishRefused when they are not kept, or only those that were sent are; RecordBroken.
    """
    table, facts = releases.table(release), release.facts
    if table is None:
        raise PublishRefused(
            f"The rows of release {facts.release} are not kept any more.",
            hint="ctnb releases says which are; releases: keep: in ctnb.yml says how many stay.",
        )
    if table.rows != facts.rows_after:
        raise PublishRefused(
            f"Release {facts.release} left {facts.rows_after:,} rows on the portal; only the {table.rows:,} that were "
            "sent are kept.",
            hint="Restore a later release, or one that replaced all rows.",
        )
    return table


def columns_today(contract: Contract, table: Table, release: Release) -> list[Column]:
    """
    The columns of a kept `table` with the roles that they have today.

    Raises PublishRefused when one of them is gone from the contract or has another type there.
    """
    known = {column.name: column for column in contract.published_columns}
    found, strange = [], []
    for column in table.columns:
        today = known.get(column.name)
        if today is None and column.name.endswith(SUPPRESSED) and column.type == "boolean":
            today = column if column.name.removesuffix(SUPPRESSED) in known else None
        if today is None or (today.type, today.kind.scale) != (column.type, column.kind.scale):
            strange.append(column.name)
        else:
            found.append(today)
    if strange:
        raise PublishRefused(
            f"Release {release.facts.release} has columns that the contract does not have, or has with another type: "
            f"{', '.join(strange)}.",
            hint="Nothing was sent. Bring them back into dataset.yml, with a role, then restore again.",
        )
    return found


def bring(at: Supervisor, table: Table, columns: Sequence[Column]) -> Table:
    """Make `table`, with what is said of its `columns` today, the table that the run `at` publishes."""
    folder = at.folder("transform")
    made = with_columns(table, columns, folder / "transform.parquet")
    ref = TableRef(str(made.path), made.file_digest, made.digest)
    stepfiles.write_json(folder / "table.json", asdict(ref))
    return made


def with_columns(table: Table, columns: Sequence[Column], path: Path) -> Table:
    """The rows of `table`, written to `path` with what is said of its `columns` today."""
    listed = ", ".join(quote_name(column.name) for column in columns)
    with tables.connect(path.parent) as connection:
        source = f"read_parquet({quote_text(str(table.path))})"
        return tables.write(connection, f"SELECT {listed} FROM {source}", columns, path)
