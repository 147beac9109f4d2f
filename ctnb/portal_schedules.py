"""When an Opendatasoft portal processes a dataset: set in the agency's zone, written to the portal in Paris time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from ctnb import clock, datasets, documents, publishing, settings
from ctnb.contracts import push_sources
from ctnb.datasets import Dataset
from ctnb.errors import SettingsInvalid, UsageError
from ctnb.portals import schedules
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.settings import Project


@dataclass(frozen=True)
class Set:
    """A schedule as it stands on the portal now."""

    words: str
    zone: str
    cron: str
    """In Paris time."""
    until: dt.date | None
    """The first day on which it has to be another; None where the clocks never change."""
    already: bool
    """Nothing had to be written to the portal."""
    others: int
    """Schedules there that ctnb did not set."""


def set_schedule(slug: str, words: str = "", *, portal: str = "", project: Project | None = None) -> Set:
    """
    Write the schedule `words`, or those of portal.yml when empty, to the portal, for today's clocks.

    The words are kept in portal.yml. An earlier schedule of these or the words before is replaced once the new one
    is there; any other is left alone. Raises UsageError, SettingsInvalid, PortalFailed.
    """
    project = project or settings.project()
    dataset = datasets.dataset(slug, project.notebooks)
    name = portal or dataset.contract.portal.name
    before = _kept(dataset, name)
    words = words.strip() or before
    if not words:
        raise UsageError(
            f"{slug} has no schedule on {name}.", hint=f'Set one: ctnb portal schedule {slug} "daily 06:30"'
        )
    told, home = project.portal(name), schedules.zone(project.settings.zone)
    asked = schedules.parse(words, hourly=told.hourly)
    today = clock.now().astimezone(home).date()
    wanted = schedules.cron(asked, home, today)
    ours = {one.cron for one in schedules.changes(asked, home, today - dt.timedelta(400), 800)}
    if before:
        earlier = schedules.parse(before, hourly=True)
        ours |= {one.cron for one in schedules.changes(earlier, home, today - dt.timedelta(400), 800)}
    with publishing.target(project, dataset, name) as there:
        if not isinstance(there.portal, OpendatasoftPortal) or there.dataset_id is None:
            raise UsageError(
                f"{slug} is on no Opendatasoft portal named {name}; other portals process nothing by themselves.",
                hint="Let a scheduler run ctnb run.",
            )
        already, others = there.portal.schedule(there.dataset_id, wanted, ours)
    if words != before:
        path = dataset.folder / push_sources.FILE
        documents.edit(path, {("format",): 1, (name, "schedule"): words}, SettingsInvalid)
    until = schedules.next_change(asked, home, today)
    return Set(words, project.settings.zone, wanted, until, already, others)


def _kept(dataset: Dataset, portal: str) -> str:
    """The words that portal.yml has."""
    path = dataset.folder / push_sources.FILE
    said = documents.read(path, SettingsInvalid) if path.is_file() else {}
    entry = said.get(portal)
    return str(entry.get("schedule") or "") if isinstance(entry, Mapping) else ""
