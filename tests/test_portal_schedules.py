"""Schedules in the agency's zone for a portal that only knows Paris time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import ods_fixture
import pytest
from hypothesis import given
from hypothesis import strategies as st
from portal_fixture import running_portal

from ctnb import clock, portal_schedules, settings
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import SettingsInvalid, UsageError
from ctnb.portals import schedules
from ctnb.portals.schedules import PARIS, Holds, Schedule

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


def test_a_schedule_is_written_kept_and_written_anew_when_the_clocks_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that somebody else set stays; the words stand in portal.yml."""
    place = tmp_path / "notebooks" / "sample"
    place.mkdir(parents=True)
    (place / "dataset.yml").write_text(DATASET_YML, encoding="utf-8")
    with running_portal(tmp_path) as running:
        (tmp_path / "ctnb.yml").write_text(CTNB_YML.format(url=running.url), encoding="utf-8")
        monkeypatch.setenv("CITY_API_KEY", add_api_key(running.file, running.key_id))
        project, made = settings.load(tmp_path), ods_fixture.dataset(running)
        (place / "portal.yml").write_text(f"format: 1\ncity:\n  id: {made.uid}  # ours\n", encoding="utf-8")
        assert made.ask("POST", "schedules/", json={"cron_schedule": "0 3 * * 1"}).status_code == 201
        clock.fix(dt.datetime(2026, 10, 20, 12, tzinfo=dt.UTC))
        first = portal_schedules.set_schedule("sample", "daily 06:30", project=project)
        assert (first.cron, first.until, first.others) == ("30 12 * * *", dt.date(2026, 10, 25), 1)
        clock.fix(dt.datetime(2026, 10, 26, 12, tzinfo=dt.UTC))
        second = portal_schedules.set_schedule("sample", project=project)
        assert (second.cron, second.until, second.already) == ("30 11 * * *", dt.date(2026, 11, 1), False)
        assert portal_schedules.set_schedule("sample", project=project).already
        there = made.ask("GET", "schedules/").json()["results"]
        assert sorted(one["cron_schedule"] for one in there) == ["0 3 * * 1", "30 11 * * *"]
    told = (place / "portal.yml").read_text(encoding="utf-8")
    assert "daily 06:30" in told
    assert "# ours" in told


def test_a_portal_that_processes_nothing_by_itself_has_no_schedule(tmp_path: Path) -> None:
    """Nor has a dataset for which none was ever set."""
    place = tmp_path / "notebooks" / "sample"
    place.mkdir(parents=True)
    (place / "dataset.yml").write_text(DATASET_YML.replace("city", "local"), encoding="utf-8")
    (tmp_path / "ctnb.yml").write_text("format: 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no schedule on local"):
        portal_schedules.set_schedule("sample", project=settings.load(tmp_path))
