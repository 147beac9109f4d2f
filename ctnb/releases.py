"""
Releases: every version of a dataset that reached a portal, kept so that it can be compared and restored.

`.ctnb/releases/<slug>/<release>.parquet` holds the rows; what a release is stands in its run's record.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ctnb import digests, documents, ledger, records
from ctnb.datasets import Dataset
from ctnb.errors import RecordBroken, SettingsInvalid
from ctnb.ledger import Entry
from ctnb.records import ReleaseFacts, RunRecord
from ctnb.settings import Project
from ctnb.tables import Table, open_table

IDS, VIEWS = "portal.yml", "views"
LIFE = "portal"
"""The kind of a ledger's line about a dataset's life on its portal, as `withdrawals` writes it."""
BEGUN = frozenset(["unpublishing", "emptying"])
"""What such a line says that is about to be done; one more says that it is done."""
_DOWN, _BACK = frozenset(["unpublished", "emptied", *BEGUN]), frozenset(["recovered"])


@dataclass(frozen=True)
class Release:
    """One version of a dataset on a portal."""

    facts: ReleaseFacts
    run: str
    by: str
    path: Path
    """The kept rows; may be gone when the work folder was cleaned."""
    restores: str | None = None
    """The earlier release whose rows it published again."""


def of_dataset(project: Project, slug: str) -> list[Release]:
    """The releases of a dataset, oldest first."""
    found = [
        _release(project, record)
        for record in records.all_records(project)
        if record.dataset == slug and record.release
    ]
    return sorted(found, key=lambda release: release.facts.at)


@dataclass(frozen=True)
class Listed:
    """A line of the list of releases."""

    release: str
    at: str
    portal: str
    mode: str
    rows: int
    """How many the portal had afterwards."""
    by: str
    restores: str | None
    """The earlier release whose rows it published again."""
    published: bool
    """Whether it is the newest on its portal, and was not taken down since."""
    kept: bool
    """Whether its rows are still here, so that it can be restored."""
    taken_down: str = ""
    """
    unpublished or emptied, where that was done to the newest release of its portal; unpublishing or emptying, where it
    was begun and a kill or an error came between; else empty.
    """

    @property
    def state(self) -> str:
        """What a person should know of it."""
        told = [f"on {self.portal}"] if self.published else []
        told += [f"{self.taken_down} on {self.portal}"] if self.taken_down else []
        told += [f"restores {self.restores}"] if self.restores else []
        return ", ".join([*told, *([] if self.kept else ["rows not kept"])])

    def to_json(self) -> dict[str, Any]:
        """It as JSON's types."""
        return asdict(self)


@dataclass(frozen=True)
class Listing:
    """The releases of a dataset, as far as its records and the ledger verify."""

    releases: tuple[Listed, ...]
    """Newest first."""
    broken: tuple[str, ...]
    """What does not verify, a sentence each; what it would have said is missing from the list."""

    def raise_if_broken(self) -> None:
        """Raise RecordBroken when something does not verify."""
        if self.broken:
            raise RecordBroken(
                "The list may lack releases, or what was done to them since: " + " ".join(self.broken),
                hint="ctnb runs verify names every file that does not verify. Restore those from a copy.",
            )


def listed(project: Project, slug: str) -> list[Listed]:
    """The releases of a dataset, newest first. Raises RecordBroken when a record or the ledger does not verify."""
    found = listing(project, slug)
    found.raise_if_broken()
    return list(found.releases)


def listing(project: Project, slug: str) -> Listing:
    """The releases of a dataset, newest first, and what of its records and the ledger does not verify."""
    entries, broken = _verified(project)
    known, more = _readable(project, slug, entries)
    found = sorted(known, key=lambda one: one.facts.at, reverse=True)
    newest_of: dict[str, str] = {}
    for one in found:
        newest_of.setdefault(one.facts.portal, one.facts.release)
    acts = _last_acts(entries, slug)
    lines = [
        Listed(
            one.facts.release, one.facts.at, one.facts.portal, one.facts.mode, one.facts.rows_after, one.by,
            one.restores, newest and not down, one.path.is_file(), down,
        )
        for one in found
        for newest in [newest_of[one.facts.portal] == one.facts.release]
        for down in [_taken_down(one, acts) if newest else ""]
    ]  # fmt: skip
    return Listing(tuple(lines), (*broken, *more))


def _verified(project: Project) -> tuple[list[Entry], list[str]]:
    """The lines of the ledger up to the first that does not verify, and what is wrong with that."""
    found: list[Entry] = []
    try:
        for entry in ledger.entries(project.ledger):
            found.append(entry)
    except RecordBroken as error:
        return found, [f"{error.what} What later lines say was not read."]
    return found, []


def _readable(project: Project, slug: str, entries: Iterable[Entry]) -> tuple[list[Release], list[str]]:
    """The releases whose records can be read, and which records cannot, or are not what the ledger sealed."""
    seals = {str(entry.facts["run"]): str(entry.facts["digest"]) for entry in entries if entry.kind == "seal"}
    found, broken = [], []
    for path in sorted(project.runs.glob(f"{slug}/*/run.json")):
        try:
            record = records.load(path)
        except RecordBroken as error:
            broken.append(error.what)
            continue
        if record.release:
            found.append(_release(project, record))
        sealed = seals.get(record.run)
        if sealed and record.status in records.ENDED and digests.of_file(path) != sealed:
            broken.append(f"{path.parent.name}/run.json is not what the ledger sealed.")
    return found, broken


def _last_acts(entries: Iterable[Entry], slug: str) -> dict[str, Entry]:
    """What last took the dataset's rows down, or brought them back, by portal."""
    return {
        str(entry.facts.get("portal")): entry
        for entry in entries
        if entry.kind == LIFE
        and entry.facts.get("dataset") == slug
        and entry.facts.get("what") in _DOWN | _BACK
    }


def _taken_down(release: Release, acts: Mapping[str, Entry]) -> str:
    """What took the newest release of its portal down; empty when it is there."""
    act = acts.get(release.facts.portal)
    what = str(act.facts["what"]) if act and act.at > release.facts.at else ""
    return what if what in _DOWN else ""


def newest(project: Project, slug: str, portal: str) -> Release | None:
    """The newest release of a dataset on one portal; the base of the next."""
    there = [release for release in of_dataset(project, slug) if release.facts.portal == portal]
    return there[-1] if there else None


def keep(project: Project, slug: str, release: str, table: Table) -> Path:
    """Keep the rows of `table` as `release`."""
    target = project.private_folder("releases", slug) / f"{release}.parquet"
    temporary = target.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    shutil.copyfile(table.path, temporary)
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(target)
    return target


def forget(project: Project, slug: str, portal: str) -> list[str]:
    """
    Delete the rows of releases on `portal` beyond those that ctnb.yml keeps; their records stay.

    A line of the ledger names them first, so that a kill in between leaves more than it says and never less.
    Returns the releases whose rows are gone.
    """
    there = [one for one in of_dataset(project, slug) if one.facts.portal == portal]
    old = [one for one in there[: -project.settings.releases.keep] if one.path.is_file()]
    names = [one.facts.release for one in old]
    if names:
        facts = {"dataset": slug, "portal": portal, "releases": names, "keep": project.settings.releases.keep}
        ledger.append(project.ledger, "rows deleted", facts)
    for one in old:
        one.path.unlink()
    return names


def table(release: Release) -> Table | None:
    """The kept rows of `release`, or None when they are gone. Raises RecordBroken when they are not ctnb's."""
    return open_table(release.path) if release.path.is_file() else None


def dataset_id(project: Project, dataset: Dataset, portal: str) -> str | None:
    """The id that `portal` gave the dataset; None before the first release. Raises SettingsInvalid."""
    path, keys = _id_place(project, dataset, portal)
    entry = documents.read(path, SettingsInvalid) if path.is_file() else {}
    for key in keys:
        if not isinstance(entry, Mapping):
            raise SettingsInvalid(
                f"{path.name} does not say an id where it should: {': '.join(keys)}.",
                hint=f"Write it as {': '.join(keys)}: abcd-1234, each part on a line of its own, indented.",
            )
        entry = entry.get(key) or {}
    return str(entry) if entry else None


def note_dataset_id(project: Project, dataset: Dataset, portal: str, dataset_id: str) -> None:
    """Write down the id that `portal` gave the dataset; comments in the file stay."""
    path, keys = _id_place(project, dataset, portal)
    documents.edit(path, {("format",): 1, keys: dataset_id}, SettingsInvalid)


def view_ids(project: Project, dataset: Dataset, portal: str) -> dict[str, str]:
    """The ids that `portal` gave the dataset's filtered views, by their names. Raises SettingsInvalid."""
    path, keys = _id_place(project, dataset, portal)
    entry: Any = documents.read(path, SettingsInvalid) if path.is_file() else {}
    for key in (*keys[:-1], VIEWS):
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    return {str(name): str(uid) for name, uid in entry.items()} if isinstance(entry, Mapping) else {}


def note_view_ids(project: Project, dataset: Dataset, portal: str, ids: Mapping[str, str]) -> None:
    """Write down the ids that `portal` gave the dataset's filtered views."""
    path, keys = _id_place(project, dataset, portal)
    changes = {(*keys[:-1], VIEWS, name): uid for name, uid in ids.items()}
    documents.edit(path, {("format",): 1, **changes}, SettingsInvalid)


def _id_place(project: Project, dataset: Dataset, portal: str) -> tuple[Path, tuple[str, ...]]:
    """
    The file that holds the id, and where in it.

    A portal outside is the same for everybody who works on the dataset; an embedded portal is this
    machine's own, so what it gave lies beside it.
    """
    if project.portal(portal).kind == "embedded":
        return project.private_folder("portal") / IDS, (dataset.slug, portal, "id")
    return dataset.folder / IDS, (portal, "id")


def _release(project: Project, record: RunRecord) -> Release:
    facts = record.release
    if facts is None:
        raise ValueError("a record without a release")
    path = project.root / ".ctnb" / "releases" / record.dataset / f"{facts.release}.parquet"
    return Release(facts, record.run, record.by.name, path, record.restores)
