"""When an Opendatasoft portal processes a dataset: set in the agency's zone, written to the portal in Paris time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ctnb import clock, clock_changes, datasets, documents, publishing, settings
from ctnb.contracts import push_sources
from ctnb.errors import CtnbError, SettingsInvalid, UsageError
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
    before = clock_changes.kept(dataset, name)
    words = words.strip() or before
    if not words:
        raise UsageError(
            f"{slug} has no schedule on {name}.", hint=f'Set one: ctnb portal schedule {slug} "daily 06:30"'
        )
    told, home = project.portal(name), schedules.zone(project.settings.zone)
    asked = schedules.parse(words, hourly=told.hourly)
    today = clock.now().astimezone(home).date()
    wanted = schedules.cron(asked, home, today)
    ours = set(clock_changes.expressions(asked, project))
    if before:
        ours |= clock_changes.expressions(schedules.parse(before, hourly=True), project)
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


def set_all(project: Project | None = None) -> list[tuple[str, Set | CtnbError]]:
    """
    Write every schedule that some portal.yml has to its portal, for today's clocks: each dataset with what came of it.

    One that fails does not keep the others from being written. Raises SettingsInvalid for a project without ctnb.yml.
    """
    project = project or settings.project()
    done: list[tuple[str, Set | CtnbError]] = []
    for slug in datasets.slugs(project.notebooks):
        for name in project.settings.portals:
            try:
                if clock_changes.kept(datasets.dataset(slug, project.notebooks), name):
                    done.append((slug, set_schedule(slug, portal=name, project=project)))
            except CtnbError as error:
                done.append((slug, error))
    return done
