"""The whole flow on the real deaths file: 10,654 people, blocked as rows, released as counts."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest
import requests
from real_data import real_data_folder

from ctnb import deciding, flows, settings, verification
from ctnb.portals import local
from ctnb.records import RunRecord
from ctnb.settings import Project

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source() -> str:
    """The real file."""
    return str(real_data_folder() / "accidental-drug-related-deaths-2012-2022.csv")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of its own with the two datasets that ctnb ships."""
    root = tmp_path_factory.mktemp("real")
    shutil.copy(ROOT / "ctnb.yml", root)
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    return settings.load(root)


@pytest.fixture(scope="module")
def people(project: Project, source: str) -> RunRecord:
    """The run that tries to publish a row per person."""
    return flows.run("overdose-deaths", project=project, source=source)


@pytest.fixture(scope="module")
def counts(project: Project, source: str) -> RunRecord:
    """The run that publishes counts, after a decision."""
    waiting = flows.run("overdose-deaths-by-town", project=project, source=source)
    assert waiting.status == "waiting"
    deciding.decide(
        project, waiting.run, "approve", reason="Counts of the published file, small ones withheld."
    )
    with local.running(project):
        return flows.run("overdose-deaths-by-town", project=project, from_step="publish", run=waiting.run)


def test_every_row_of_the_real_file_is_accounted_for(people: RunRecord) -> None:
    """10,654 rows, 48 columns, no reject."""
    assert people.read is not None
    assert (10_654, 10_654, 0) == (people.read.rows_read, people.read.rows_kept, people.read.rows_rejected)
    assert 48 == len(people.read.columns)


def test_publishing_people_is_blocked_with_k_1(project: Project, people: RunRecord) -> None:
    """4,315 people are alone with their age, sex, race and residence city; a blank is a value of its own."""
    review = deciding.review_of(project, people.run)
    finding = next(one for one in review.findings if one.rule == "small-class")
    assert ("blocked", 1) == (people.status, people.exit_code)
    assert {"age", "sex", "race", "residence_city"} == set(finding.columns)
    assert (1, 4315) == (finding.facts["k"], finding.facts["unique_rows"])
    assert people.release is None


def test_the_counts_are_released_and_equal_on_read_back(project: Project, counts: RunRecord) -> None:
    """What the portal answers to anybody is what was reviewed: groups, sums and suppressed cells."""
    assert counts.release is not None and counts.transform is not None
    with local.running(project) as url:
        rows = requests.get(
            f"{url}/resource/{counts.release.dataset_id}.json", params={"$limit": 50_000}, timeout=60
        ).json()
    assert "released" == counts.status
    assert 10_654 == counts.transform.counted
    assert counts.release.rows_after == counts.transform.rows_out == len(rows)
    hidden = [row for row in rows if row["deaths_suppressed"]]
    assert counts.transform.suppressed["deaths"] == len(hidden)
    assert not [row for row in hidden if "deaths" in row]
    assert all(int(row["deaths"]) > 5 for row in rows if not row["deaths_suppressed"])


def test_the_published_counts_are_those_of_the_file(project: Project, counts: RunRecord, source: str) -> None:
    """Counted again here, by another route: deaths by fentanyl in Hartford by year, where they are shown."""
    with Path(source).open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["Injury City"].strip().upper() == "HARTFORD"]
    here = [
        row
        for row in rows
        if row["Injury State"].strip().upper() in ("CT", "CONNECTICUT", "UNKNOWN", "UK", "")
    ]
    fentanyl = [
        row
        for row in here
        if row["Fentanyl"][:1].upper() == "Y" or row["Fentanyl Analogue"][:1].upper() == "Y"
    ]
    by_year = Counter(row["Date"][-4:] for row in fentanyl)
    assert counts.release is not None
    with local.running(project) as url:
        published = requests.get(
            f"{url}/resource/{counts.release.dataset_id}.json",
            params={"town": "Hartford", "substance": "Fentanyl", "$limit": 100}, timeout=60,
        ).json()  # fmt: skip
    shown = {row["year"]: int(row["deaths"]) for row in published if not row["deaths_suppressed"]}
    assert shown and shown == {year: by_year[year] for year in shown}


def test_the_records_of_the_real_flow_verify(project: Project, people: RunRecord, counts: RunRecord) -> None:
    """The chain, the files, the reviews, the decision and the release derive again."""
    assert () == verification.verify(project).faults
