"""
A dataset's life on its portal between releases: pushing disabled and enabled, unpublished, emptied, recovered.

What takes rows away says how many, keeps what was there as a release first, and needs a reason; each act is a line of
the ledger. What brings rows back passes the gate: the newest release's rows are reviewed anew under today's policy.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ctnb import (
    clock,
    datasets,
    digests,
    flows,
    keeping,
    ledger,
    publishing,
    releases,
    restoring,
    reviewing,
    settings,
    tables,
    withdrawals,
)
from ctnb.attachments import Attachment
from ctnb.contracts.columns import Column
from ctnb.datasets import Dataset
from ctnb.errors import PortalFailed, PublishRefused, ReviewNotCleared, UsageError
from ctnb.portals import mapping
from ctnb.portals.interface import Change, Portal
from ctnb.portals.mapping import Fields
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.privacy import decisions, reviews
from ctnb.releases import Release
from ctnb.settings import Project
from ctnb.tables import Table
from ctnb.values import parquet_type, quote_name


@dataclass(frozen=True)
class _At:
    """A dataset on a portal that answers."""

    project: Project
    dataset: Dataset
    portal: Portal
    id: str
    fields: Fields
    """The columns that are there, under both names."""
    base: Release | None
    """The newest release on this portal."""

    @property
    def key(self) -> tuple[str, ...]:
        """The key under the portal's names."""
        return tuple(self.fields.field(name) for name in self.dataset.contract.key)

    @property
    def work(self) -> Path:
        """A private folder for what is on its way."""
        return self.project.private_folder("lifecycle", self.dataset.slug)


@dataclass(frozen=True)
class Lost:
    """What unpublishing or emptying takes away, told before it is done."""

    portal: str
    dataset_id: str
    rows: int
    """Rows that the portal has now."""
    kept: str | None
    """The release that holds exactly these rows; None when they will be kept as one of their own."""
    public: bool
    columns: int = 0
    """Columns there that the contract does not have, which are not kept."""


@dataclass(frozen=True)
class Done:
    """What was done."""

    what: str
    portal: str
    rows: int
    """Rows taken away, or brought back."""
    kept: str = ""
    """The release that holds the rows that were there; empty where there were none."""
    unfit: int = 0
    """Cells that could not be kept, because they do not fit the types here."""
    columns: int = 0
    """Columns of the portal that could not be kept, because the contract does not have them."""


def lost(slug: str, *, portal: str = "", project: Project | None = None) -> Lost:
    """
    What `unpublish` or `empty` would take away. Writes nothing.

    Raises NameUnknown, UsageError when the dataset is not on the portal, PortalFailed.
    """
    project = project or settings.project()
    with _at(project, slug, portal) as at:
        there = at.portal.there(at.id)
        rows, public = (there.rows, there.public) if there else (0, False)
        same = (
            at.base is not None and at.base.facts.version and there and at.base.facts.version == there.version
        )
        known = {column.name for column in at.fields.theirs}
        other = sum(field.name not in known for field in there.fields) if there else 0
        kept = at.base.facts.release if at.base and same else None
        return Lost(at.portal.name, at.id, rows, kept, public, other)


def disable(slug: str, *, reason: str, portal: str = "", project: Project | None = None) -> Done:
    """
    Let the portal refuse pushes; the rows that are there stay.

    Raises UsageError (the reason, or a portal without pushing), PortalFailed.
    """
    decisions.check_reason(reason)
    with _held(project, slug, portal, settled=False) as at:
        rows = _rows(at)
        _realtime(at, "disable").switch(at.id, on=False)
        _note(at, "disabled", rows=rows, reason=reason)
        return Done("disabled", at.portal.name, rows)


def enable(slug: str, *, reason: str, portal: str = "", project: Project | None = None) -> Done:
    """
    Let the portal take pushes again, once the newest release's rows pass the gate under today's policy.

    Raises ReviewNotCleared, UsageError, PortalFailed.
    """
    decisions.check_reason(reason)
    with _held(project, slug, portal, settled=False) as at:
        there = _realtime(at, "enable")
        release, _ = _gate(at)
        there.switch(at.id, on=True)
        _note(at, "enabled", rows=release.facts.rows_after, reason=reason, release=release)
        return Done("enabled", at.portal.name, release.facts.rows_after)


def unpublish(
    slug: str, *, reason: str, privacy: bool = False, portal: str = "", project: Project | None = None
) -> Done:
    """
    Take the dataset off the portal, after its rows are kept here as a release; `privacy` says that it protects people.

    On Opendatasoft the rows of a realtime source are gone there; elsewhere the dataset becomes private and its rows
    stay. Raises UsageError, PublishRefused when rows that go cannot be kept, PortalFailed.
    """
    decisions.check_reason(reason)
    with _held(project, slug, portal) as at:
        realtime = isinstance(at.portal, OpendatasoftPortal)
        act = _begin(at, "unpublishing", reason=reason, privacy=privacy, whole=realtime)
        if isinstance(at.portal, OpendatasoftPortal):
            at.portal.unpublish(at.id)
        else:
            at.portal.set_public(at.id, False)
        return _end(at, "unpublished", act, reason=reason, privacy=privacy)


def empty(
    slug: str, *, reason: str, privacy: bool = False, portal: str = "", project: Project | None = None
) -> Done:
    """
    Delete every row on the portal, after they are kept here as a release; `privacy` says that it protects people.

    The dataset, its address and its words stay; `ctnb restore` brings the rows back through the gate. Raises
    UsageError, PublishRefused when rows cannot be kept, or are left, PortalFailed.
    """
    decisions.check_reason(reason)
    with _held(project, slug, portal) as at:
        act = _begin(at, "emptying", reason=reason, privacy=privacy, whole=True)
        _send(at, _empty_table(at), f"empty:{clock.stamp()}")
        left = _rows(at)
        if left:
            raise PublishRefused(
                f"{left:,} rows are still there after emptying.",
                hint="Look at the portal, then empty it again.",
            )
        return _end(at, "emptied", act, reason=reason, privacy=privacy)


def recover(slug: str, *, reason: str, portal: str = "", project: Project | None = None) -> Done:
    """
    Bring back what an Opendatasoft portal has in its backup, then make it exactly the newest release's rows.

    The rows pass the gate under today's policy first; the dataset is restricted until they are compared, because a
    backup also holds what was corrected since. Raises ReviewNotCleared, UsageError, PublishRefused, PortalFailed.
    """
    decisions.check_reason(reason)
    with _held(project, slug, portal) as at:
        there = _realtime(at, "recover")
        release, table = _gate(at)
        there.set_public(at.id, False)
        there.recover(at.id)
        _send(at, table, f"recover:{clock.stamp()}")
        with tables.connect(at.work) as connection:
            there.load(at.id, at.fields.theirs, connection, "there")
            kinds = [(column.name, column.kind) for column in at.fields.theirs]
            tables.load(connection, table, "wanted")
            found, wanted = (digests.of_table(connection, name, kinds) for name in ("there", "wanted"))
        if found != wanted:
            raise PublishRefused(
                "What was recovered is not the newest release.",
                hint=f"It stays private. {_restore_hint(at, release)}",
            )
        there.set_public(at.id, release.facts.public)
        _note(at, "recovered", rows=table.rows, reason=reason, release=release)
        return Done("recovered", there.name, table.rows, release.facts.release)


@contextmanager
def _held(project: Project | None, slug: str, portal: str, *, settled: bool = True) -> Iterator[_At]:
    """The dataset on its portal, under its lock: no run sends meanwhile, and what one left half done is settled."""
    project = project or settings.project()
    with flows.hold_dataset(project, slug), _at(project, slug, portal) as at:
        if settled:
            at.portal.settle(at.id, publishing.sending_journal(project, at.dataset, at.portal.name))
        try:
            yield at
        finally:
            shutil.rmtree(at.work, ignore_errors=True)


@contextmanager
def _at(project: Project, slug: str, portal: str) -> Iterator[_At]:
    dataset = datasets.dataset(slug, project.notebooks)
    name = portal or dataset.contract.portal.name
    with publishing.target(project, dataset, name) as there:
        if there.dataset_id is None:
            raise UsageError(f"{slug} is not on the portal {name}.", hint="ctnb releases says where it is.")
        base = releases.newest(project, slug, name)
        columns: tuple[Column, ...] = dataset.contract.published_columns
        if base and base.path.is_file():
            columns = tables.open_columns(base.path)
        fields = mapping.fields(columns, dataset.contract.portal)
        yield _At(project, dataset, there.portal, there.dataset_id, fields, base)


def _realtime(at: _At, what: str) -> OpendatasoftPortal:
    if isinstance(at.portal, OpendatasoftPortal) and at.portal.place:
        return at.portal
    raise UsageError(
        f"Only a realtime source on an Opendatasoft portal can be {what.removesuffix('e')}ed; "
        f"{at.portal.name} has none for this dataset.",
        hint=f"To take rows down: ctnb portal unpublish {at.dataset.slug}. To bring rows back: ctnb restore.",
    )


def _rows(at: _At) -> int:
    there = at.portal.there(at.id)
    return there.rows if there else 0


@dataclass(frozen=True)
class _Act:
    """What is about to be taken down, or was when a kill came between."""

    kept: Release | None
    rows: int
    unfit: int = 0
    columns: int = 0


def _begin(at: _At, doing: str, *, reason: str, privacy: bool, whole: bool) -> _Act:
    """
    Keep the portal's rows, and write into the ledger what is about to be done, before anything is.

    Where the rows are gone already, because a kill came between doing it and saying so, the act is the one begun then.
    """
    found = keeping.keep(at.project, at.dataset, at.portal, at.id, at.fields, at.work, whole=whole)
    begun = withdrawals.unfinished(at.project, at.dataset.slug, at.portal.name)
    if found.release is None and begun and begun["what"] == doing:
        known = releases.of_dataset(at.project, at.dataset.slug)
        kept = next((one for one in known if one.facts.release == begun["release"]), None)
        return _Act(kept, int(begun["rows"]))
    _note(at, doing, rows=found.rows, reason=reason, privacy=privacy, release=found.release)
    there = at.portal.there(at.id)
    if there and there.version != found.version:
        raise PortalFailed(
            "The portal's rows changed after they were kept.", hint="Nothing was taken down; do this again."
        )
    return _Act(found.release, found.rows, found.unfit, found.columns)


def _end(at: _At, done: str, act: _Act, *, reason: str, privacy: bool) -> Done:
    """Write into the ledger that it is done."""
    _note(at, done, rows=act.rows, reason=reason, privacy=privacy, release=act.kept)
    kept = act.kept.facts.release if act.kept else ""
    return Done(done, at.portal.name, act.rows, kept, act.unfit, act.columns)


def _gate(at: _At) -> tuple[Release, Table]:
    """
    The newest release and its rows, cleared under today's contract and policy, compared with the one before it.

    Raises ReviewNotCleared, also where they were taken down to protect people; PublishRefused when they are not kept.
    """
    release = at.base
    if release is None:
        raise UsageError(f"{at.dataset.slug} has no release on {at.portal.name}.", hint="Run it first.")
    kept = restoring.kept(release)
    columns = restoring.columns_today(at.dataset.contract, kept, release)
    table = restoring.with_columns(kept, columns, at.work / "newest.parquet")
    attached = tuple(
        Attachment(one.name, one.bytes, digests.keyed(one.digest, at.project.key))
        for one in release.facts.attachments
    )
    review = reviewing.review(
        at.project, at.dataset, table, run=release.run, portal=at.portal.name, before=release, work=at.work,
        attachments=attached,
    )  # fmt: skip
    earlier = [
        one for one in releases.of_dataset(at.project, at.dataset.slug) if one.facts.at < release.facts.at
    ]
    base = [one.facts.release for one in earlier if one.facts.portal == at.portal.name]
    found = decisions.clearance(
        review, ledger.entries(at.project.ledger), now=clock.now(), base_release=base[-1] if base else None,
        portal=at.portal.name, portal_kind=at.project.portal(at.portal.name).kind,
    )  # fmt: skip
    found = withdrawals.after_withdrawal(at.project, release, found, release.run)
    if found.cleared and release.facts.public:
        found = publishing.opening(at.project, review, at.portal.name)
    if not found.cleared:
        raise ReviewNotCleared(
            f"Nothing was brought back: {found.why}",
            hint=f"{reviews.headline(review)[2]} {_restore_hint(at, release)}", state=found.state,
        )  # fmt: skip
    return release, table


def _restore_hint(at: _At, release: Release) -> str:
    return f"A run that waits for a decision: ctnb restore {at.dataset.slug} --to {release.facts.release} --reason ..."


def _send(at: _At, table: Table, token: str) -> None:
    """Make the portal's rows those of `table`, under its names."""
    theirs = at.fields.theirs
    names = ", ".join(
        f"{quote_name(ours.name)} AS {quote_name(there.name)}"
        for ours, there in zip(at.fields.columns, theirs, strict=True)
    )
    with tables.connect(at.work) as connection:
        tables.load(connection, table, "ours")
        made = tables.write(connection, f"SELECT {names} FROM ours", theirs, at.work / "sent.parquet")
    journal = publishing.sending_journal(at.project, at.dataset, at.portal.name)
    at.portal.send(at.id, Change("replace", made, theirs, at.key, token), journal)


def _empty_table(at: _At) -> Table:
    nothing = ", ".join(
        f"CAST(NULL AS {parquet_type(c.kind)}) AS {quote_name(c.name)}" for c in at.fields.columns
    )
    with tables.connect(at.work) as connection:
        query = f"SELECT * FROM (SELECT {nothing}) WHERE false"
        return tables.write(connection, query, at.fields.columns, at.work / "nothing.parquet")


def _note(
    at: _At, what: str, *, rows: int, reason: str, privacy: bool = False, release: Release | None = None,
) -> None:  # fmt: skip
    withdrawals.note(
        at.project, at.dataset.slug, at.portal.name, what, rows=rows, reason=reason, privacy=privacy,
        release=release, base=at.base,
    )  # fmt: skip
