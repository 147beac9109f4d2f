"""Releases: the versions of a dataset on its portals, and the ids that portals gave."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import CTNB_YML, SLUG
from record_examples import released, written

from ctnb import datasets, ledger, records, releases, settings, tables, withdrawals
from ctnb.cli.main import cli
from ctnb.contracts.columns import Column
from ctnb.errors import RecordBroken, SettingsInvalid
from ctnb.settings import Project

SOCRATA = "portals:\n  state:\n    kind: socrata\n    url: https://portal.example.org\n"


@pytest.fixture
def outside(project: Project) -> Project:
    """A project with a portal outside, named `state`."""
    (project.root / "ctnb.yml").write_text(CTNB_YML + SOCRATA, encoding="utf-8")
    return settings.load(project.root)


def test_the_newest_release_is_the_one_of_its_portal(project: Project) -> None:
    """Each portal has its own line of releases."""
    written(project, 2, release=released(2))
    written(project, 1, release=released(1))
    written(project, 3, release=released(3, "state"))
    written(project, 4)
    assert [one.facts.release for one in releases.of_dataset(project, SLUG)] == ["r1", "r2", "r3"]
    newest = releases.newest(project, SLUG, "local")
    assert newest is not None
    assert (newest.facts.release, newest.by) == ("r2", "pat")
    assert releases.newest(project, SLUG, "nowhere") is None


def test_the_rows_of_a_release_are_kept(project: Project, tmp_path: Path) -> None:
    """So that it can be compared and restored; when they are gone, that is said."""
    written(project, 1, release=released(1))
    found = releases.of_dataset(project, SLUG)[0]
    assert releases.table(found) is None
    with tables.connect() as connection:
        columns = [Column(name="a", type="integer")]
        table = tables.write(connection, "SELECT 1 AS a", columns, tmp_path / "table.parquet")
    releases.keep(project, SLUG, "r1", table)
    kept = releases.table(found)
    assert kept is not None
    assert kept.digest == table.digest


def test_the_id_of_a_portal_outside_lies_beside_the_dataset(outside: Project) -> None:
    """Everybody who works on the dataset publishes to the same place, and comments stay."""
    dataset = datasets.dataset(SLUG, outside.notebooks)
    assert releases.dataset_id(outside, dataset, "state") is None
    (dataset.folder / "portal.yml").write_text("# ids\nformat: 1\nstate:\n", encoding="utf-8")
    releases.note_dataset_id(outside, dataset, "state", "abcd-1234")
    assert releases.dataset_id(outside, dataset, "state") == "abcd-1234"
    assert "# ids" in (dataset.folder / "portal.yml").read_text(encoding="utf-8")


def test_the_id_of_the_embedded_portal_is_this_machines_own(project: Project) -> None:
    """It is not written into the dataset's folder, which others share."""
    dataset = datasets.dataset(SLUG, project.notebooks)
    releases.note_dataset_id(project, dataset, "local", "abcd-1234")
    assert releases.dataset_id(project, dataset, "local") == "abcd-1234"
    assert not (dataset.folder / "portal.yml").exists()


def test_an_id_that_is_written_in_another_form_is_told(outside: Project) -> None:
    """A file that a person edited is explained, not stumbled over."""
    dataset = datasets.dataset(SLUG, outside.notebooks)
    (dataset.folder / "portal.yml").write_text("state: abcd-1234\n", encoding="utf-8")
    with pytest.raises(SettingsInvalid, match=r"portal\.yml does not say an id"):
        releases.dataset_id(outside, dataset, "state")


def test_a_release_that_was_taken_down_is_not_on_its_portal(project: Project) -> None:
    """Until it is recovered, or the next release is there; other portals and datasets are left alone."""
    first, other = released(1), released(2, "state")
    written(project, 1, release=first.model_copy(update={"at": "2020-01-01T00:00:00.000000Z"}))
    written(project, 2, release=other.model_copy(update={"at": "2020-01-02T00:00:00.000000Z"}))
    seen = []
    for dataset, what in (
        ("another", "emptied"), (SLUG, "disabled"), (SLUG, "unpublished"), (SLUG, "emptied"), (SLUG, "recovered"),
        (SLUG, "emptied"),
    ):  # fmt: skip
        withdrawals.note(project, dataset, "local", what, rows=1, reason="The office asked for it.")
        seen.append([one.state for one in releases.listed(project, SLUG)])
    state, gone = "on state, rows not kept", ", rows not kept"
    told = [
        "on local",
        "on local",
        "unpublished on local",
        "emptied on local",
        "on local",
        "emptied on local",
    ]
    assert seen == [[state, words + gone] for words in told]
    written(project, 3, release=released(3).model_copy(update={"at": "2999-01-01T00:00:00.000000Z"}))
    assert [(one.release, one.published, one.taken_down) for one in releases.listed(project, SLUG)] == [
        ("r3", True, ""), ("r2", True, ""), ("r1", False, ""),
    ]  # fmt: skip


def test_the_rows_of_old_releases_are_deleted_and_a_line_says_so(outside: Project, tmp_path: Path) -> None:
    """As many stay on each portal as ctnb.yml says; the newest of each always."""
    text = CTNB_YML + SOCRATA + "releases: {keep: 1}\n"
    (outside.root / "ctnb.yml").write_text(text, encoding="utf-8")
    project = settings.load(outside.root)
    with tables.connect() as connection:
        columns = [Column(name="a", type="integer")]
        table = tables.write(connection, "SELECT 1 AS a", columns, tmp_path / "table.parquet")
    for number, portal in ((1, "local"), (2, "local"), (3, "state")):
        written(project, number, release=released(number, portal))
        releases.keep(project, SLUG, f"r{number}", table)
    assert releases.forget(project, SLUG, "local") == ["r1"]
    assert releases.forget(project, SLUG, "state") == []
    assert [one.kept for one in releases.listed(project, SLUG)] == [True, True, False]
    (line,) = ledger.entries(project.ledger)
    assert (line.kind, line.facts["releases"]) == ("rows deleted", ["r1"])


def test_what_does_not_verify_is_told_beside_what_does(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed line of the ledger, a record that is none and one that was changed: the rest is listed, and 4."""
    for number in (1, 2, 3):
        records.seal(project, written(project, number, status="released", release=released(number)))
    runs = sorted(project.runs.glob(f"{SLUG}/*/run.json"))
    runs[0].write_text(runs[0].read_text(encoding="utf-8").replace("pat", "sam"), encoding="utf-8")
    runs[1].write_text("{}", encoding="utf-8")
    found = releases.listing(project, SLUG)
    assert [one.release for one in found.releases] == ["r3", "r1"]
    assert [text.split("/", 1)[-1] for text in found.broken] == [
        "run.json is not what the ledger sealed.", "run.json is not a record of a run.",
    ]  # fmt: skip
    lines = project.ledger.read_bytes().splitlines(keepends=True)
    project.ledger.write_bytes(lines[0] + lines[1].replace(b'"seq":2', b'"seq":7') + lines[2])
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(cli, ["releases", SLUG])
    assert done.exit_code == RecordBroken.exit_code
    assert ["r3" in done.output, "r1" in done.output, "r2" in done.output] == [True, True, False]
    assert isinstance(done.exception, RecordBroken | SystemExit)
    with pytest.raises(RecordBroken, match=r"ledger\.jsonl, line 2: .* What later lines say was not read"):
        releases.listed(project, SLUG)
