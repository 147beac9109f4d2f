"""Adopting a dataset that is on a portal already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from portal_fixture import Running, running_portal

from ctnb import adopting, datasets, publishing, releases, settings, tables, verification
from ctnb.cli.main import cli
from ctnb.errors import NameUnknown, UsageError
from ctnb.settings import Project

COLUMNS = (
    ("permit", "text"), ("zip", "text"), ("visits", "number"), ("fee", "number"), ("opened", "calendar_date"),
    ("seen", "calendar_date"), ("active", "checkbox"), ("page", "url"), ("at", "point"), ("shape", "polygon"),
)  # fmt: skip
ROWS = [
    {
        "permit": f"P-{n:03}", "zip": f"0{6100 + n}", "visits": str(n), "fee": f"{n}.25",
        "opened": f"2024-01-{1 + n:02}T00:00:00.000", "seen": f"2024-01-{1 + n:02}T08:30:00.000",
        "active": n % 2 == 0, "page": {"url": f"https://example.org/{n}"},
        "at": {"type": "Point", "coordinates": [-72.5, 41.25]},
    }
    for n in range(9)
]  # fmt: skip


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal that somebody else has published on."""
    with running_portal(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="module")
def published(portal: Running) -> str:
    """A dataset with a column of each kind, words, and a row identifier."""
    uid = portal.create(*COLUMNS, key="permit", public=True, name="Permits of towns", category="Business",
                        description="Every permit.", tags=["permits"])  # fmt: skip
    assert portal.ask("POST", f"/resource/{uid}.json", json=ROWS).json()["Rows Created"] == 9
    return uid


@pytest.fixture
def project(tmp_path: Path, portal: Running, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that names the portal `state`."""
    monkeypatch.setenv("STATE_ID", portal.key_id)
    monkeypatch.setenv("STATE_SECRET", portal.key_secret)
    (tmp_path / "ctnb.yml").write_text(
        f"format: 1\nportals:\n  state:\n    kind: socrata\n    url: {portal.url}\n"
        "    key_id: {secret: STATE_ID}\n    key_secret: {secret: STATE_SECRET}\n"
    )
    (tmp_path / "notebooks").mkdir()
    return settings.project(tmp_path)


def test_a_published_dataset_becomes_a_contract(project: Project, published: str, portal: Running) -> None:
    """Types are the narrowest of the portal's that every cell fits; words and the row identifier come along."""
    made = adopting.adopt(project, "permits", f"{portal.url}/d/{published}")
    contract = datasets.dataset("permits", project.notebooks).contract
    assert {column.name: column.type for column in contract.columns} == {
        "permit": "text", "zip": "text", "visits": "integer", "fee": "number", "opened": "date",
        "seen": "timestamp", "active": "boolean", "page": "url", "at": "point",
    }  # fmt: skip
    assert {column.name: column.scale for column in contract.columns}["fee"] == 2
    assert (contract.title, contract.description) == ("Permits of towns", "Every permit.")
    assert (contract.metadata.category, contract.metadata.tags) == ("Business", ("permits",))
    assert (contract.key, contract.portal.name, contract.portal.mode) == (("permit",), "state", "upsert")
    assert contract.portal.ignore == ("shape",)
    assert "Where do new rows come from? (source:)" in made.questions


def test_its_rows_are_the_first_release(project: Project, published: str, portal: Running) -> None:
    """They are kept, the id is noted beside the contract, and the record verifies."""
    made = adopting.adopt(project, "permits", published, portal="state")
    dataset = datasets.dataset("permits", project.notebooks)
    assert releases.dataset_id(project, dataset, "state") == published
    found = releases.newest(project, "permits", "state")
    assert found
    assert (found.run, found.facts.rows_after, made.record.status) == (made.record.run, 9, "released")
    kept = releases.table(found)
    assert kept
    assert kept.digest == found.facts.digest
    assert verification.verify(project).faults == ()


def test_publishing_the_same_rows_afterwards_changes_nothing(
    project: Project, published: str, tmp_path: Path
) -> None:
    """What was adopted is what is there: a plan for it has nothing to do."""
    adopting.adopt(project, "permits", published, portal="state")
    dataset, release = (
        datasets.dataset("permits", project.notebooks),
        releases.newest(project, "permits", "state"),
    )
    assert release
    table = tables.open_table(release.path)
    made = publishing.plan(project, dataset, table, "state", tmp_path)
    assert (made.rows_added, made.rows_changed, made.rows_removed, made.rows_after) == (0, 0, 0, 9)
    assert [one.field for one in made.mapping if one.verdict != "fits"] == ["shape"]
    assert [problem[:31] for problem in made.problems] == ["it cannot go public before thes"]


def test_nothing_is_written_for_an_id_that_is_not_there(project: Project, portal: Running) -> None:
    """The portal is asked first."""
    with pytest.raises(UsageError, match="has no dataset aaaa-bbbb"):
        adopting.adopt(project, "permits", "aaaa-bbbb", portal="state")
    assert os.listdir(project.notebooks) == []
    assert not (project.root / "runs").exists() or os.listdir(project.runs) == []


def test_an_address_of_no_portal_of_the_project_is_refused(project: Project) -> None:
    """Credentials go only to a portal that ctnb.yml names; the address, which may hold a token, is not quoted."""
    with pytest.raises(NameUnknown) as caught:
        adopting.adopt(project, "permits", "https://data.example.org/d/aaaa-bbbb?token=hush")
    assert "hush" not in caught.value.format_message()


def test_a_dataset_of_that_name_stays(project: Project, published: str) -> None:
    """Adopting never writes over a contract."""
    folder = project.notebooks / "permits"
    folder.mkdir()
    (folder / "dataset.yml").write_text("format: 1\n")
    with pytest.raises(UsageError, match="There is a dataset permits already"):
        adopting.adopt(project, "permits", published, portal="state")
    assert (folder / "dataset.yml").read_text() == "format: 1\n"


def test_five_fields_on_one_line_are_enough(
    project: Project, published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source, portal, id and mode: the id is noted, the row identifier taken over, and what differs is told."""
    monkeypatch.chdir(project.root)
    (tmp_path / "permits.csv").write_text("permit,zip,visits\nP-001,06101,4\nP-900,06102,5\n")
    line = ["new", "permits", "--source", "permits.csv", "--portal", "state", "--mode", "upsert", "--id"]
    done = CliRunner().invoke(cli, [*line, published])
    assert done.exit_code == 0, done.output
    dataset = datasets.dataset("permits", project.notebooks)
    assert (dataset.contract.key, dataset.contract.portal.name) == (("permit",), "state")
    assert releases.dataset_id(project, dataset, "state") == published
    assert "  fee: only there" in done.output


def test_adopting_by_command_asks_for_the_source(
    project: Project, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a person can answer is the end of what is printed."""
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(cli, ["new", "permits", "--from-portal", published])
    assert done.exit_code == 0, done.output
    assert "9 rows kept as its first release" in done.output
    assert "  left alone, because no contract has its type: shape" in done.output
    assert "  - Where do new rows come from? (source:)" in done.output
