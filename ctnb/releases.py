"""
Releases: every version of a dataset that reached a portal, kept so that it can be compared and restored.

`.ctnb/releases/<slug>/<release>.parquet` holds the rows; what a release is stands in its run's record.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ctnb import documents, ledger, records
from ctnb.datasets import Dataset
from ctnb.errors import SettingsInvalid
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


def listed(project: Project, slug: str) -> list[Listed]:
    """The releases of a dataset, newest first. Raises RecordBroken when a record or the ledger does not verify."""
    found = list(reversed(of_dataset(project, slug)))
    newest_of: dict[str, str] = {}
    for one in found:
        newest_of.setdefault(one.facts.portal, one.facts.release)
    acts = _last_acts(project, slug)
    return [
        Listed(
            one.facts.release, one.facts.at, one.facts.portal, one.facts.mode, one.facts.rows_after, one.by,
            one.restores, newest and not down, one.path.is_file(), down,
        )
        for one in found
        for newest in [newest_of[one.facts.portal] == one.facts.release]
        for down in [_taken_down(one, acts) if newest else ""]
    ]  # fmt: skip


def _last_acts(project: Project, slug: str) -> dict[str, Entry]:
    """What last took the dataset's rows down, or brought them back, by portal."""
    return {
        str(entry.facts.get("portal")): entry
        for entry in ledger.entries(project.ledger)
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
