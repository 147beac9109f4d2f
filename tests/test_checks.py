"""Checks that write nothing: a dataset, its portal, and what the account may do there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import pytest
from click.testing import CliRunner
from portal_fixture import Running, running_portal

from ctnb import datasets, releases, settings
from ctnb.checks import datasets as dataset_checks
from ctnb.checks import portals
from ctnb.checks.lines import Line
from ctnb.cli.main import cli
from ctnb.settings import Project

STATE = """\
  state:
    kind: socrata
    url: {url}
    key_id: {{secret: STATE_ID}}
    key_secret: {{secret: STATE_SECRET}}
    app_token: {{secret: STATE_TOKEN}}
"""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal outside."""
    with running_portal(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, portal: Running, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose dataset goes to the portal `state`."""
    fp.make(tmp_path)
    (tmp_path / "ctnb.yml").write_text(fp.CTNB_YML + STATE.format(url=portal.url))
    contract = tmp_path / "notebooks" / fp.SLUG / "dataset.yml"
    contract.write_text(contract.read_text().replace("name: local", "name: state"))
    monkeypatch.setenv("STATE_ID", portal.key_id)
    monkeypatch.setenv("STATE_SECRET", portal.key_secret)
    return settings.project(tmp_path)


def looks(lines: list[Line]) -> list[str]:
    """What has to be looked at."""
    return [line.what for line in lines if not line.ok]


def test_a_secret_that_is_not_set_is_named(project: Project) -> None:
    """Its name is what helps; nothing is asked of the portal then."""
    lines = portals.of_portal(project, "state")
    assert looks(lines) == ["app_token: the secret STATE_TOKEN"]
    assert "the portal takes the account" not in [line.what for line in lines]


def test_the_id_of_a_dataset_is_no_app_token(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commonest mistake has a name, and the id is not repeated."""
    monkeypatch.setenv("STATE_TOKEN", "abcd-1234")
    lines = portals.of_portal(project, "state")
    assert looks(lines) == ["app_token: the secret holds the id of a dataset, which is no app token"]
    assert "abcd" not in str(lines)


def without_token(project: Project) -> Project:
    """The same project, whose portal has no app token."""
    path = project.root / "ctnb.yml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "app_token" not in line))
    return settings.project(project.root)


def test_an_account_that_the_portal_takes(project: Project, portal: Running) -> None:
    """Every line is well, and none shows the account."""
    lines = portals.of_portal(without_token(project), "state")
    assert looks(lines) == []
    assert not any(word in str(lines) for word in portal.auth)


def test_an_account_that_the_portal_refuses(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal's own answer decides; the wrong secret is not shown."""
    monkeypatch.setenv("STATE_SECRET", "wrong-canary")
    lines = portals.of_portal(without_token(project), "state")
    assert looks(lines) == ["the portal takes the account"]
    assert "canary" not in str(lines)


def test_a_persons_account_is_flagged(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its jobs end when the person leaves; who it is is not shown."""
    monkeypatch.setenv("STATE_ID", "pat.smith@ct.gov")
    lines = portals.of_portal(without_token(project), "state")
    assert "the account is a person's: its user name is a mail address" in looks(lines)
    assert "pat.smith" not in str(lines)


def test_a_dataset_that_is_there_is_held_against_the_contract(project: Project, portal: Running) -> None:
    """Rights, row identifier and columns have a line each, with what settles a difference."""
    project = without_token(project)
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    uid = portal.create(("town", "text"), ("people", "text"), key="town")
    releases.note_dataset_id(project, dataset, "state", uid)
    lines = {line.what: line for line in dataset_checks.check(project, dataset)}
    assert lines[f"the portal has {uid}: 0 rows, private"].ok
    assert lines["the account may change its rows"].ok
    told = [line for what, line in lines.items() if what.startswith("columns: ")]
    assert [line.ok for line in told] == [False]
    assert "people: type differs (number here, text there" in told[0].remedy


def test_words_that_are_missing_before_going_public_have_a_line(project: Project) -> None:
    """All in one, whether or not the portal answers; amiss only where the dataset is to be public, and only outside."""
    fp.change(project, "dataset.yml", "public: true", "public: false")
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    (line,) = (one for one in dataset_checks.check(project, dataset) if one.what.startswith("missing before"))
    assert line.what == (
        "missing before it may go public: category, row label, licence, update frequency, contact, "
        "the description of column town, the description of column people"
    )
    assert (line.ok, "metadata: row_label:, " in line.remedy) == (True, True)
    fp.change(project, "dataset.yml", "public: false", "public: true")
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    assert line.what in looks(dataset_checks.check(project, dataset))
    words = "category: Health\n  row_label: A visit\n  license: Public Domain\n  update_frequency: Monthly"
    path = project.notebooks / fp.SLUG / "dataset.yml"
    text = path.read_text(encoding="utf-8") + f"metadata:\n  {words}\n  contact: Data office\n"
    for name, described in (("town", "Where people live."), ("people", "How many came.")):
        text = text.replace(f"{{name: {name}, type: ", f"{{name: {name}, description: {described}, type: ")
    path.write_text(text, encoding="utf-8")
    lines = dataset_checks.check(project, datasets.dataset(fp.SLUG, project.notebooks))
    assert "every word is there without which it does not go public" in [one.what for one in lines if one.ok]
    fp.change(project, "dataset.yml", "name: state", "name: local")
    lines = dataset_checks.check(project, datasets.dataset(fp.SLUG, project.notebooks))
    assert [one.what for one in lines if "go public" in one.what] == []


def test_an_id_that_the_portal_does_not_know(project: Project) -> None:
    """It is said before a run fails."""
    project = without_token(project)
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    releases.note_dataset_id(project, dataset, "state", "aaaa-bbbb")
    lines = dataset_checks.check(project, dataset)
    assert "the portal has no dataset aaaa-bbbb that this account may see" in looks(lines)


def test_the_command_ends_with_one_where_something_is_amiss(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each thing, and an exit code for schedules."""
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(cli, ["portal", "check", "state"])
    assert done.exit_code == 1
    assert "look app_token: the secret STATE_TOKEN" in done.output
    monkeypatch.setenv("STATE_TOKEN", "a-longer-word-of-the-portals")
    done = CliRunner().invoke(cli, ["portal", "check", "local"])
    assert (done.exit_code, "ok   portal local" in done.output) == (0, True)
