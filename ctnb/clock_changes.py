"""
Whether the schedule of a dataset on an Opendatasoft portal still is what it was meant to be.

The portal keeps Paris time, portal.yml the agency's words. When either clock has changed, the expression on the portal
runs at another hour than the words say, until it is written anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from ctnb import clock, documents
from ctnb.contracts import push_sources
from ctnb.datasets import Dataset
from ctnb.errors import SettingsInvalid
from ctnb.portals import schedules
from ctnb.portals.interface import Portal
from ctnb.portals.schedules import Schedule
from ctnb.settings import Project

AROUND_DAYS = 400
"""How far back and ahead an expression may have been ctnb's: more than a year of both clocks."""


@dataclass(frozen=True)
class Standing:
    """A schedule as it is meant, and as it stands on the portal."""

    words: str
    zone: str
    cron: str
    """What the portal should have today, in Paris time."""
    there: tuple[str, ...]
    """What it has of the expressions that these words ever give; empty where it has none."""
    until: dt.date | None
    """The first day on which it has to be another; None where the clocks never change."""
    ours: frozenset[str]
    """Every expression that these words give around today."""

    @property
    def holds(self) -> bool:
        """Whether the portal runs at the hour that was meant."""
        return self.there == (self.cron,)

    @property
    def told(self) -> str:
        """It in a sentence, with the expression that holds and until when."""
        name = f"schedule {self.words} ({self.zone})"
        if self.holds:
            until = f", until the clocks change on {self.until}" if self.until else ""
            return f"{name}: {self.cron} in Paris time{until}"
        if not self.there:
            return f"{name}: the portal does not have it; in Paris time it is {self.cron}"
        return f"{name}: the portal has {' and '.join(self.there)}; since a clock changed it is {self.cron}"


def kept(dataset: Dataset, portal: str) -> str:
    """The words of the dataset's schedule that portal.yml has; empty without one. Raises SettingsInvalid."""
    path = dataset.folder / push_sources.FILE
    said = documents.read(path, SettingsInvalid) if path.is_file() else {}
    entry = said.get(portal)
    return str(entry.get("schedule") or "") if isinstance(entry, Mapping) else ""


def standing(project: Project, dataset: Dataset, portal: Portal, dataset_id: str) -> Standing | None:
    """
    How the schedule of portal.yml stands on `portal`; None without one, or where nothing is processed by schedule.

    Writes nothing. Raises UsageError for words that are no schedule, SettingsInvalid, PortalFailed.
    """
    words = kept(dataset, portal.name)
    if not words:
        return None
    from ctnb.portals.opendatasoft import OpendatasoftPortal  # few publish there

    if not isinstance(portal, OpendatasoftPortal):
        return None
    home = schedules.zone(project.settings.zone)
    asked = schedules.parse(words, hourly=project.portal(portal.name).hourly)
    today = clock.now().astimezone(home).date()
    ours = expressions(asked, project)
    there = tuple(sorted(set(portal.crons(dataset_id)) & ours))
    return Standing(
        words, project.settings.zone, schedules.cron(asked, home, today), there,
        schedules.next_change(asked, home, today), ours,
    )  # fmt: skip


def renew(project: Project, dataset: Dataset, portal: Portal, dataset_id: str) -> Standing | None:
    """
    Write the schedule of portal.yml anew where the portal's is another; what it was, or None when nothing was written.

    A schedule that the portal does not have at all is set too. Raises what `standing` raises.
    """
    from ctnb.portals.opendatasoft import OpendatasoftPortal  # few publish there

    found = standing(project, dataset, portal, dataset_id)
    if found is None or found.holds or not isinstance(portal, OpendatasoftPortal):
        return None
    portal.schedule(dataset_id, found.cron, found.ours)
    return found


def expressions(asked: Schedule, project: Project) -> frozenset[str]:
    """Every expression that `asked` gives around today. Raises SettingsInvalid."""
    home = schedules.zone(project.settings.zone)
    since = clock.now().astimezone(home).date() - dt.timedelta(AROUND_DAYS)
    return frozenset(one.cron for one in schedules.changes(asked, home, since, 2 * AROUND_DAYS))
