"""Schedules in the agency's zone for a portal that only knows Paris time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import ods_fixture
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from ods_fixture import Ods
from portal_fixture import running_portal

from ctnb import clock, clock_changes, datasets, portal_schedules, publishing, settings
from ctnb.checks import portals as checked
from ctnb.checks.lines import Line
from ctnb.cli.main import cli
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import SettingsInvalid, UsageError
from ctnb.portals import schedules
from ctnb.portals.schedules import PARIS, Holds, Schedule
from ctnb.settings import Project

NEW_YORK = ZoneInfo("America/New_York")
HALF_PAST_SIX = schedules.parse("daily 06:30")


def test_the_expression_changes_when_either_clock_does() -> None:
    """2026: New York on 8 March and 1 November, Paris on 29 March and 25 October; between them it is an hour less."""
    found = list(schedules.changes(HALF_PAST_SIX, NEW_YORK, dt.date(2026, 1, 1), 365))
    assert found == [
        Holds(dt.date(2026, 1, 1), "30 12 * * *"),
        Holds(dt.date(2026, 3, 8), "30 11 * * *"),
        Holds(dt.date(2026, 3, 29), "30 12 * * *"),
        Holds(dt.date(2026, 10, 25), "30 11 * * *"),
        Holds(dt.date(2026, 11, 1), "30 12 * * *"),
    ]
    assert schedules.next_change(HALF_PAST_SIX, NEW_YORK, dt.date(2026, 10, 25)) == dt.date(2026, 11, 1)


def test_where_the_clocks_are_those_of_paris_nothing_ever_changes() -> None:
    """An agency in Brussels needs no new expression."""
    assert schedules.next_change(HALF_PAST_SIX, ZoneInfo("Europe/Brussels"), dt.date(2026, 1, 1)) is None


def test_an_evening_is_the_next_day_in_paris() -> None:
    """Mondays at 20:15 are Tuesdays there, the fifth is the sixth."""
    on = dt.date(2026, 7, 1)
    assert schedules.cron(schedules.parse("weekly mon 20:15"), NEW_YORK, on) == "15 2 * * 2"
    assert schedules.cron(schedules.parse("weekly sun 20:15"), NEW_YORK, on) == "15 2 * * 1"
    assert schedules.cron(schedules.parse("monthly 5 20:15"), NEW_YORK, on) == "15 2 6 * *"


def test_a_morning_in_the_east_is_the_day_before_in_paris() -> None:
    """Where the first of the month is the last there, it is refused."""
    tokyo, on = ZoneInfo("Asia/Tokyo"), dt.date(2026, 7, 1)
    assert schedules.cron(schedules.parse("weekly mon 05:00"), tokyo, on) == "0 22 * * 0"
    with pytest.raises(UsageError, match="month before in Paris"):
        schedules.cron(schedules.parse("monthly 1 05:00"), tokyo, on)


@given(
    st.dates(dt.date(2024, 1, 1), dt.date(2040, 1, 1)), st.integers(0, 23), st.integers(0, 59),
    st.sampled_from(["America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/London"]),
)  # fmt: skip
def test_every_day_it_runs_at_the_local_time_that_was_asked_for(
    on: dt.date, hour: int, minute: int, name: str
) -> None:
    """The expression of a day, taken back from Paris, is the schedule's time; but not where the clock leaves it out."""
    home = ZoneInfo(name)
    local = dt.datetime.combine(on, dt.time(hour, minute), home)
    real = local.astimezone(dt.UTC).astimezone(home)
    said = schedules.cron(Schedule("day", minute, hour), home, on).split()
    day = local.astimezone(ZoneInfo(PARIS)).date()
    there = dt.datetime.combine(day, dt.time(int(said[1]), int(said[0])), ZoneInfo(PARIS))
    ways = {there.replace(fold=fold).astimezone(home) for fold in (0, 1)}
    assert real in ways or real.replace(tzinfo=None) != local.replace(tzinfo=None)


def test_less_than_a_day_needs_a_plan_that_allows_it() -> None:
    """The portal's own limit is one a day."""
    with pytest.raises(UsageError, match="at most once a day"):
        schedules.parse("hourly :15")
    assert (
        schedules.cron(schedules.parse("hourly :15", hourly=True), NEW_YORK, dt.date(2026, 1, 1))
        == "15 * * * *"
    )
    kolkata = schedules.parse("hourly", hourly=True)
    assert schedules.cron(kolkata, ZoneInfo("Asia/Kolkata"), dt.date(2026, 1, 1)) == "30 * * * *"


@pytest.mark.parametrize(
    "words",
    [
        "6:30",
        "daily",
        "daily 24:00",
        "daily 06:60",
        "weekly xyz 06:30",
        "monthly 31 06:30",
        "monthly 0 06:30",
    ],
)
def test_other_words_are_no_schedule(words: str) -> None:
    """Each is refused with what may be written."""
    with pytest.raises(UsageError):
        schedules.parse(words)


def test_a_zone_that_does_not_exist_is_told() -> None:
    """Where it stands."""
    with pytest.raises(SettingsInvalid, match="no time zone"):
        schedules.zone("America/Hartford")


CTNB_YML = """\
format: 1
portals:
  city: {{kind: opendatasoft, url: "{url}", api_key: {{secret: CITY_API_KEY}}}}
"""
DATASET_YML = """\
format: 1
title: Sample
source: {path: data.csv}
columns: [{name: a, type: text, role: plain}]
portal: {name: city}
"""


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Project, Ods]]:
    """A project with one dataset on an Opendatasoft portal."""
    place = tmp_path / "notebooks" / "sample"
    place.mkdir(parents=True)
    (place / "dataset.yml").write_text(DATASET_YML, encoding="utf-8")
    with running_portal(tmp_path) as running:
        (tmp_path / "ctnb.yml").write_text(CTNB_YML.format(url=running.url), encoding="utf-8")
        monkeypatch.setenv("CITY_API_KEY", add_api_key(running.file, running.key_id))
        monkeypatch.chdir(tmp_path)
        made = ods_fixture.dataset(running)
        (place / "portal.yml").write_text(f"format: 1\ncity:\n  id: {made.uid}  # ours\n", encoding="utf-8")
        yield settings.load(tmp_path), made


def crons(made: Ods) -> list[str]:
    """The expressions on the portal."""
    return sorted(one["cron_schedule"] for one in made.ask("GET", "schedules/").json()["results"])


def told_of(project: Project) -> list[Line]:
    """What a check of the dataset says of its schedule, and what one of the portal does."""
    dataset = datasets.dataset("sample", project.notebooks)
    both = [*checked.of_dataset(project, dataset), *checked.of_portal(project, "city")]
    return [line for line in both if "schedule" in line.what]


def test_a_schedule_is_written_kept_and_written_anew_when_the_clocks_changed(
    city: tuple[Project, Ods],
) -> None:
    """One that somebody else set stays; the words stand in portal.yml."""
    project, made = city
    assert made.ask("POST", "schedules/", json={"cron_schedule": "0 3 * * 1"}).status_code == 201
    clock.fix(dt.datetime(2026, 10, 20, 12, tzinfo=dt.UTC))
    first = portal_schedules.set_schedule("sample", "daily 06:30", project=project)
    assert (first.cron, first.until, first.others) == ("30 12 * * *", dt.date(2026, 10, 25), 1)
    clock.fix(dt.datetime(2026, 10, 26, 12, tzinfo=dt.UTC))
    second = portal_schedules.set_schedule("sample", project=project)
    assert (second.cron, second.until, second.already) == ("30 11 * * *", dt.date(2026, 11, 1), False)
    assert portal_schedules.set_schedule("sample", project=project).already
    assert crons(made) == ["0 3 * * 1", "30 11 * * *"]
    told = (project.notebooks / "sample" / "portal.yml").read_text(encoding="utf-8")
    assert "daily 06:30" in told
    assert "# ours" in told


def test_a_check_says_that_a_clock_changed(city: tuple[Project, Ods]) -> None:
    """With what holds now, and the command; before, until when it holds."""
    project, made = city
    assert told_of(project) == []
    clock.fix(dt.datetime(2026, 10, 20, 12, tzinfo=dt.UTC))
    portal_schedules.set_schedule("sample", "daily 06:30", project=project)
    name = "schedule daily 06:30 (America/New_York)"
    right = f"{name}: 30 12 * * * in Paris time, until the clocks change on 2026-10-25"
    assert [(line.what, line.ok) for line in told_of(project)] == [(right, True), (f"sample: {right}", True)]
    clock.fix(dt.datetime(2026, 10, 26, 12, tzinfo=dt.UTC))
    wrong = f"{name}: the portal has 30 12 * * *; since a clock changed it is 30 11 * * *"
    ours = told_of(project)
    assert [(line.what, line.ok) for line in ours] == [(wrong, False), (f"sample: {wrong}", False)]
    assert {line.remedy for line in ours} == {"Write it anew: ctnb portal schedule sample"}
    assert crons(made) == ["30 12 * * *"]


def test_publishing_writes_what_a_clock_changed(city: tuple[Project, Ods]) -> None:
    """Also what somebody deleted on the portal; what holds is left alone."""
    project, made = city
    dataset = datasets.dataset("sample", project.notebooks)
    clock.fix(dt.datetime(2026, 3, 7, 12, tzinfo=dt.UTC))
    portal_schedules.set_schedule("sample", "weekly mon 20:15", project=project)
    seen = []
    for day in (dt.date(2026, 3, 7), dt.date(2026, 3, 10), dt.date(2026, 3, 30)):
        clock.fix(dt.datetime.combine(day, dt.time(12), dt.UTC))
        with publishing.target(project, dataset, "city") as there:
            done = clock_changes.renew(project, dataset, there.portal, made.uid)
        seen.append((done is not None, crons(made)))
    assert seen == [(False, ["15 2 * * 2"]), (True, ["15 1 * * 2"]), (True, ["15 2 * * 2"])]
    (one,) = made.ask("GET", "schedules/").json()["results"]
    assert made.ask("DELETE", f"schedules/{one['uid']}/").status_code in (200, 204)
    with publishing.target(project, dataset, "city") as there:
        assert clock_changes.renew(project, dataset, there.portal, made.uid) is not None
    assert crons(made) == ["15 2 * * 2"]


def test_a_line_of_cron_writes_all_anew(city: tuple[Project, Ods]) -> None:
    """One that fails is told, keeps no other from being written, and gives the exit code."""
    project, made = city
    runner = CliRunner()
    assert "No dataset has a schedule" in runner.invoke(cli, ["portal", "schedule", "--all"]).output
    clock.fix(dt.datetime(2026, 10, 20, 12, tzinfo=dt.UTC))
    portal_schedules.set_schedule("sample", "daily 06:30", project=project)
    gone = project.notebooks / "gone"
    gone.mkdir()
    (gone / "dataset.yml").write_text(DATASET_YML, encoding="utf-8")
    text = "format: 1\ncity:\n  id: da_nowhere\n  schedule: daily 06:30\n"
    (gone / "portal.yml").write_text(text, encoding="utf-8")
    clock.fix(dt.datetime(2026, 10, 26, 12, tzinfo=dt.UTC))
    done = runner.invoke(cli, ["portal", "schedule", "--all"])
    assert done.exit_code == 3
    assert "sample: daily 06:30 (America/New_York) is set: 30 11 * * * in Paris time." in done.output
    assert "gone: " in done.output
    assert crons(made) == ["30 11 * * *"]
    assert runner.invoke(cli, ["portal", "schedule"]).exit_code == 2
    assert runner.invoke(cli, ["portal", "schedule", "sample", "--all"]).exit_code == 2


def test_the_weeks_in_which_the_clocks_differ() -> None:
    """As the documentation says: two or three in March, one from the last Sunday of October."""
    for year in range(2024, 2040):
        found = list(schedules.changes(HALF_PAST_SIX, NEW_YORK, dt.date(year, 1, 1), 360))
        march, paris, october, november = (one.since for one in found[1:])
        assert ((paris - march).days, (november - october).days) in ((14, 7), (21, 7))
        assert {march.month, paris.month, october.month} == {3, 10}
        assert october.day > 24


def test_a_portal_that_processes_nothing_by_itself_has_no_schedule(tmp_path: Path) -> None:
    """Nor has a dataset for which none was ever set."""
    place = tmp_path / "notebooks" / "sample"
    place.mkdir(parents=True)
    (place / "dataset.yml").write_text(DATASET_YML.replace("city", "local"), encoding="utf-8")
    (tmp_path / "ctnb.yml").write_text("format: 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no schedule on local"):
        portal_schedules.set_schedule("sample", project=settings.load(tmp_path))
