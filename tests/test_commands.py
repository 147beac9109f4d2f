"""The command line as people and programs use it: one line of trouble, true codes, JSON that parses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import flow_projects as fp
import pytest
from click.testing import CliRunner, Result

from ctnb import datasets, projects, records, releases, templates
from ctnb.cli.main import COMMANDS, SAID, cli
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.records import STEPS, RunRecord
from ctnb.settings import Project


@dataclass(frozen=True)
class Two:
    """A project with a failed and a released run."""

    project: Project
    failed: RunRecord
    released: RunRecord


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Two runs, made once for every test of this file."""
    project = fp.make(tmp_path_factory.mktemp("commands") / "project", bad=3)
    with KernelPool() as pool:
        failed = fp.run(project, pool)
        fp.change(project, "dataset.yml", "at_most_share: 0.0", "at_most_share: 0.5")
        released = fp.run(project, pool)
    assert (failed.status, released.status) == ("failed", "released")
    return Two(project, failed, released)


@pytest.fixture(autouse=True)
def here(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder is the project's."""
    monkeypatch.chdir(two.project.root)


def call(*arguments: str) -> Result:
    """One command, in this process."""
    return CliRunner().invoke(cli, arguments)


def parsed(*arguments: str) -> Any:
    """What a command prints for programs."""
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_command_has_a_help_text() -> None:
    """`ctnb COMMAND --help` says in a sentence what it does."""
    for name in COMMANDS:
        result = call(name, "--help")
        assert result.exit_code == 0
        assert len(result.output.splitlines()) > 3, name


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    """`ctnb --help` imports no command, so its list is written down; it is what they say."""
    commands = {name: cli.get_command(click.Context(cli), name) for name in COMMANDS}
    assert {name: one.get_short_help_str(200) for name, one in commands.items() if one} == SAID
    assert all(name in call("--help").output for name in COMMANDS)


def test_runs_are_listed_newest_first(two: Two) -> None:
    """For people as a table, for programs as the records; by status and dataset too."""
    ids = [two.released.run, two.failed.run]
    assert [one["run"] for one in parsed("runs", "list")] == ids
    assert [one["run"] for one in parsed("runs", "list", "--status", "failed")] == [two.failed.run]
    assert parsed("runs", "list", "--dataset", "other") == []
    said = call("runs", "list").output
    assert re.findall(r"\d{8}T\d{6}Z-[0-9a-f]{4}", said) == ids
    again = call("runs", "reindex")
    assert (again.exit_code, again.output) == (0, "2 runs indexed.\n")
    assert [one["run"] for one in parsed("runs", "list")] == ids


def test_a_run_is_shown_by_its_id_its_end_or_its_dataset(two: Two) -> None:
    """Steps, counts and the release."""
    assert parsed("runs", "show", two.failed.run)["status"] == "failed"
    assert parsed("runs", "show", two.failed.run[-9:])["run"] == two.failed.run
    assert parsed("runs", "show", fp.SLUG)["run"] == two.released.run
    said = call("runs", "show", fp.SLUG).output
    assert "48 rows read = 45 kept + 3 rejected" in said
    assert "45 rows in = 4 groups that count 45 + 0 removed" in said


def test_two_runs_are_compared_fact_by_fact(two: Two) -> None:
    """Status, contract and counts differ; times and file lists are no difference."""
    told = parsed("runs", "diff", two.failed.run, two.released.run)
    assert told["status"] == ["failed", "released"]
    assert "contract_digest" in told
    assert not any(key.startswith(("started", "files", "seal")) for key in told)
    same = call("runs", "diff", two.released.run, two.released.run)
    assert same.output == "The two records say the same.\n"


def test_rejects_are_counted_and_their_place_is_said(two: Two) -> None:
    """Counts for everybody; the originals only for who may read the private folder."""
    said = call("runs", "rejects", two.released.run)
    assert said.exit_code == 0
    assert "3 of 48 rows rejected." in said.output
    assert "age     type integer  rows set aside       3      6.25%" in said.output
    assert "rejects.parquet" in said.output
    assert fp.BAD_AGE not in said.output


def test_verify_says_what_it_checked_and_what_it_cannot_know(two: Two) -> None:
    """0 when all verifies, 4 and the file when a byte differs, for one run and for all."""
    told = parsed("runs", "verify")
    assert (told["faults"], told["lines"], told["runs"]) == ([], 2, 2)
    path = fp.place(two.project, two.failed) / "events.jsonl"
    before = path.read_bytes()
    path.write_bytes(before[:40] + b"#" + before[41:])
    broken, other = call("runs", "verify"), call("runs", "verify", two.released.run)
    path.write_bytes(before)
    assert (broken.exit_code, other.exit_code) == (4, 0)
    assert f"visits/{two.failed.run}/events.jsonl, line 1" in broken.output


def test_releases_and_the_report_are_found(two: Two) -> None:
    """The release with its rows; the report by its path."""
    assert f"{two.released.run}-1" in call("releases", fp.SLUG).output
    path = Path(call("report", fp.SLUG).output.strip())
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "arguments",
    [
        ("rnu", fp.SLUG), ("run", "visist"), ("run", fp.SLUG, "--to", "publich"), ("runs", "show", "nothing"),
        ("run", fp.SLUG, "--from", "publish"), ("edit", fp.SLUG, "reed"), ("run", "CON"), ("run", "../x"),
        ("report", "nothing"), ("review", "nothing"), ("run", fp.SLUG, "--portal", "elsewhere"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_wrong_usage(two: Two, arguments: tuple[str, ...]) -> None:
    """Code 2, what is known or was meant, and nothing recorded."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) <= 6
    assert len(records.all_records(two.project)) == 2


@pytest.mark.slow
def test_the_process_ends_with_the_code_of_the_error(two: Two) -> None:
    """One line and a hint on stderr, no traceback, from below the project's folder as well."""
    done = fp.ctnb(two.project, "run", "visist", cwd=two.project.notebooks / fp.SLUG)
    assert (done.code, done.out) == (2, "")
    assert done.err == "There is no dataset 'visist'.\n  Did you mean 'visits'?\n"


def test_a_contract_that_cannot_be_used_records_nothing(two: Two) -> None:
    """Code 6, the line and the key, with the one that was meant."""
    path = two.project.notebooks / fp.SLUG / "dataset.yml"
    before = path.read_text()
    path.write_text(before.replace("rejects:", "rejets:"))
    result = call("run", fp.SLUG)
    path.write_text(before)
    assert result.exit_code == 6
    assert "did you mean 'rejects'" in result.stderr
    assert len(records.all_records(two.project)) == 2


class Tags(HTMLParser):
    """Counts the tags of a page and keeps its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def test_the_pages_of_a_record_hold_its_counts_and_no_script(two: Two) -> None:
    """The report and every notebook's page parse, have a policy, and name what happened."""
    place = fp.place(two.project, two.released)
    pages = sorted(path.name for path in place.glob("*.html"))
    assert pages == [*(f"{n}-{step}.html" for n, step in enumerate(STEPS, 1)), "report.html"]
    for name in pages:
        page = Tags((place / name).read_text(encoding="utf-8"))
        assert page.tags.get("script", 0) == 0
        assert page.tags["html"] == page.tags["body"] == 1
        assert "Content-Security-Policy" in (place / name).read_text(encoding="utf-8")
    words = Tags((place / "report.html").read_text(encoding="utf-8")).words
    assert {"48", "45", "3", "released"} <= set(words)


# -- drafts: each template cell by cell in an ordinary Jupyter kernel


@pytest.mark.slow
def test_the_templates_run_as_drafts_and_leave_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without CTNB_STEP nothing goes to runs/; a cleared draft reaches `local`, a waiting one nothing."""
    cleared, waits = fp.make(tmp_path / "cleared"), fp.make(tmp_path / "waits", small=True)
    for project in (cleared, waits):
        for step in STEPS:
            draft(project, step)
        assert not project.runs.exists()
    assert released_rows(cleared) == 4
    assert released_rows(waits) is None


def draft(project: Project, step: str) -> None:
    """Execute the dataset's copy of a template cell by cell, in its folder, as JupyterLab does."""
    import nbformat
    from nbclient import NotebookClient

    path = templates.edit(project, datasets.dataset(fp.SLUG, project.notebooks), step)
    notebook = nbformat.read(path, 4)
    folder = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, kernel_name="python3", resources=folder, timeout=120).execute()
    path.unlink()


def released_rows(project: Project) -> int | None:
    """How many rows the draft's dataset has on `local`; None when it never got there."""
    from ctnb.clients.socrata import Socrata

    uid = releases.dataset_id(project, datasets.dataset(fp.SLUG, project.notebooks), "local")
    if uid is None:
        return None
    with local.running(project) as url:
        return Socrata(url, local.credentials(project)).count(uid)


def test_a_name_that_the_console_cannot_write_is_no_mistake_of_ctnb(tmp_path: Path) -> None:
    """A Windows code page lacks most letters of the world: they are shown by their numbers."""
    projects.init(tmp_path)
    command = [sys.executable, "-m", "ctnb", "portal", "account", "add", "\N{CJK UNIFIED IDEOGRAPH-6771}"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout.split(b",")[0]) == (0, b"\\u6771")
