"""
Keeping what others see on a portal as a release: what an adoption takes over, and what is about to be taken down.

Nothing is sent. The release's record says that ctnb did not review these rows; they come back through the gate alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb import clock, flows, leases, records, releases, tables
from ctnb.datasets import Dataset
from ctnb.errors import PortalFailed, PublishRefused
from ctnb.portals.interface import Portal, There
from ctnb.portals.mapping import Fields
from ctnb.records import ReleaseFacts, RunRecord
from ctnb.releases import Release
from ctnb.settings import Project
from ctnb.supervision import Supervisor
from ctnb.tables import Table
from ctnb.values import quote_name

HOW = "ctnb portal"
"""What the record of rows that were kept before they were taken down says it is."""


@dataclass(frozen=True)
class Kept:
    """What a portal had, and where it is kept."""

    release: Release | None
    """The release that holds exactly these rows; None where there were none."""
    rows: int
    version: str
    """The portal's version of them."""
    unfit: int = 0
    """Cells that do not fit the types here; they are empty in what is kept."""
    columns: int = 0
    """Columns of the portal that the contract does not have; they are not kept."""


def keep(
    project: Project, dataset: Dataset, portal: Portal, dataset_id: str, fields: Fields, work: Path, *, whole: bool
) -> Kept:  # fmt: skip
    """
    Keep the rows that are on the portal: the newest release where it is just these, else as a release of their own.

    `whole` refuses rows of which a cell does not fit: they are about to go. Whoever calls holds the dataset's lock.
    Raises PublishRefused, PortalFailed, also when rows change meanwhile, RecordBroken.
    """
    leases.reap(project)
    _tidy(project, dataset.slug)
    there = portal.there(dataset_id)
    if there is None or not there.rows:
        return Kept(None, 0, there.version if there else "")
    known = {field.name for field in there.fields}
    columns = tuple(column for column in fields.columns if fields.field(column.name) in known)
    table, unfit = _loaded(portal, dataset_id, Fields(columns, fields.to_field), work)
    if unfit and whole:
        raise PublishRefused(
            f"{unfit:,} cells on {portal.name} do not fit the types here, so that they could not be kept.",
            hint="Nothing was taken down. If it is urgent, make the dataset private on the portal's own page; then "
            "correct the types in dataset.yml and do this again.",
        )
    if table.rows != there.rows:
        raise PortalFailed(
            "The portal's rows changed while they were kept.", hint="Nothing was taken down; try again."
        )
    release = _same(project, dataset.slug, portal.name, table) or _released(
        project, dataset, portal, there, table
    )
    return Kept(release, table.rows, there.version, unfit, len(known) - len(columns))  # fmt: skip


def sealed(
    at: Supervisor, there: There, table: Table, *, position: Mapping[str, Any] | None = None
) -> RunRecord:
    """
    Keep `table`, the rows of `there`, as the release of the run `at`, and seal its record.

    The kept file's digest is computed anew before the record names it. Raises RecordBroken when it is another.
    """
    number = f"{at.record.run}-1"
    path = releases.keep(at.project, at.dataset.slug, number, table)
    tables.open_table(path, digest=table.digest)
    facts = ReleaseFacts(
        release=number, portal=at.record.portal, url=there.url, dataset_id=there.id, mode="replace",
        public=there.public, rows_before=there.rows, rows_sent=0, rows_after=table.rows, digest=table.digest,
        version=there.version, position=dict(position or {}), at=clock.stamp(),
    )  # fmt: skip
    at.dry_run = True  # files of the source are not moved: none of them was read
    at.update(release=facts)
    at.event(
        "adopted" if at.record.how == "ctnb new" else "kept", {"portal": facts.portal, "rows": table.rows}
    )
    return flows.finish(at)


def _loaded(portal: Portal, dataset_id: str, fields: Fields, work: Path) -> tuple[Table, int]:
    """The portal's rows under our names, and how many cells do not fit."""
    listed = ", ".join(f"{quote_name(fields.field(c.name))} AS {quote_name(c.name)}" for c in fields.columns)
    with tables.connect(work) as connection:
        unfit = portal.load(dataset_id, fields.theirs, connection, "there")
        query = f"SELECT {listed} FROM there"
        return tables.write(connection, query, fields.columns, work / "there.parquet"), unfit


def _same(project: Project, slug: str, portal: str, table: Table) -> Release | None:
    """The newest release, where it is these rows and its kept file is what was released."""
    base = releases.newest(project, slug, portal)
    if base is None or table.digest != (base.facts.whole or base.facts.digest) or not base.path.is_file():
        return None
    return base if tables.open_table(base.path).digest == table.digest else None


def _released(project: Project, dataset: Dataset, portal: Portal, there: There, table: Table) -> Release:
    base = releases.newest(project, dataset.slug, portal.name)
    with ExitStack() as stack:
        at = flows.begin_run(stack, project, dataset, how=HOW, portal=portal.name)
        sealed(at, there, table, position=base.facts.position if base else None)
    found = releases.newest(project, dataset.slug, portal.name)
    if found is None or found.run != at.record.run:
        raise PortalFailed(
            "The clock of this computer went back: what was kept is not the newest release.",
            hint="Nothing was taken down. Correct the clock, then do this again.",
        )
    return found


def _tidy(project: Project, slug: str) -> None:
    """Delete what a kill left of keeping rows: a file whose record never came to name it."""
    for record in records.all_records(project):
        if (record.dataset, record.how) == (slug, HOW) and record.release is None and record.files:
            path = project.private_folder("releases", slug) / f"{record.run}-1.parquet"
            path.unlink(missing_ok=True)
