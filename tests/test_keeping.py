"""What is on a portal is kept as a release before it is taken down, whoever put it there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from portal_fixture import Running, running_portal

from ctnb import (
    adopting,
    ledger,
    lifecycle,
    publishing,
    records,
    releases,
    restoring,
    settings,
    verification,
    withdrawals,
)
from ctnb.cli.main import cli
from ctnb.contracts.columns import Column
from ctnb.errors import PublishRefused
from ctnb.portals.journal import Journal
from ctnb.settings import Project

WHY = "The office asked to take these counts down for a while."
ROWS = [{"permit": f"P-{n}", "visits": str(n)} for n in range(4)]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal that others publish on too."""
    with running_portal(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def uid(portal: Running) -> str:
    """A public dataset of four permits."""
    made = portal.create(("permit", "text"), ("visits", "number"), key="permit", public=True, name="Permits")
    write(portal, made, *ROWS)
    return made


@pytest.fixture
def project(tmp_path: Path, portal: Running, uid: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that has adopted it."""
    monkeypatch.setenv("STATE_ID", portal.key_id)
    monkeypatch.setenv("STATE_SECRET", portal.key_secret)
    (tmp_path / "ctnb.yml").write_text(
        f"format: 1\nportals:\n  state:\n    kind: socrata\n    url: {portal.url}\n"
        "    key_id: {secret: STATE_ID}\n    key_secret: {secret: STATE_SECRET}\n"
    )
    (tmp_path / "notebooks").mkdir()
    adopting.adopt(settings.project(tmp_path), "permits", uid, portal="state")
    return settings.project(tmp_path)


def write(portal: Running, uid: str, *rows: dict[str, str]) -> None:
    """Somebody writes rows on the portal."""
    assert portal.ask("POST", f"/resource/{uid}.json", json=list(rows)).status_code == 200


def states(project: Project) -> list[str]:
    """What the list of releases says of each, newest first."""
    return [one.state for one in releases.listed(project, "permits")]


def kept_rows(project: Project, release: str) -> list[tuple[object, ...]]:
    """The rows that are kept of a release, by permit."""
    table = restoring.kept(restoring.find(project, "permits", release))
    return sorted(table.df().itertuples(index=False, name=None))


def test_rows_of_the_newest_release_are_not_kept_twice(project: Project, portal: Running, uid: str) -> None:
    """What stands on the portal is what was released: it is told, and nothing more is written."""
    first = releases.listed(project, "permits")[0].release
    done = lifecycle.empty("permits", reason=WHY, project=project)
    assert (done.rows, done.kept) == (4, first)
    assert portal.rows(uid) == []
    assert states(project) == ["emptied on state"]


def test_rows_that_others_wrote_become_a_release_before_they_go(
    project: Project, portal: Running, uid: str
) -> None:
    """It can be restored, its record verifies, and it goes on where the release before it stood."""
    write(portal, uid, {"permit": "P-9", "visits": "9"}, {"permit": "P-0", "visits": "77"})
    done = lifecycle.empty("permits", reason=WHY, project=project)
    assert done.rows == 5
    assert kept_rows(project, done.kept) == [("P-0", 77), ("P-1", 1), ("P-2", 2), ("P-3", 3), ("P-9", 9)]
    assert portal.rows(uid) == []
    assert states(project) == ["emptied on state", ""]
    assert [one.how for one in records.all_records(project)] == ["ctnb new", "ctnb portal"]
    assert verification.verify(project).faults == ()


def test_nothing_is_kept_of_a_dataset_without_rows(project: Project, portal: Running) -> None:
    """Emptied twice, there is one release."""
    first = lifecycle.empty("permits", reason=WHY, project=project)
    again = lifecycle.empty("permits", reason=WHY, project=project)
    assert (first.rows, again.rows, again.kept) == (4, 0, "")
    assert states(project) == ["emptied on state"]


def test_cells_that_cannot_be_kept_are_not_deleted(project: Project, portal: Running, uid: str) -> None:
    """Their count is told; to make the dataset private takes nothing away, and goes on."""
    write(portal, uid, {"permit": "P-9", "visits": "9.5"})
    with pytest.raises(PublishRefused, match="1 cells on state do not fit"):
        lifecycle.empty("permits", reason=WHY, project=project)
    assert len(portal.rows(uid)) == 5
    done = lifecycle.unpublish("permits", reason=WHY, project=project)
    assert (done.rows, done.unfit) == (5, 1)
    assert not lifecycle.lost("permits", project=project).public


def test_columns_that_cannot_be_kept_are_told_before(
    project: Project, portal: Running, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that somebody added on the portal is none of the contract's."""
    with publishing.opened(project, "state") as there:
        journal = Journal(project.root / "columns.jsonl")
        there.add_fields(uid, [Column(name="remark", type="text", role="plain")], journal)
    write(portal, uid, {"permit": "P-1", "visits": "1", "remark": "Zyxwyn"})
    assert lifecycle.lost("permits", project=project).columns == 1
    monkeypatch.chdir(project.root)
    said = CliRunner().invoke(cli, ["portal", "empty", "permits", "--reason", WHY, "--yes"]).output
    assert "1 columns there that dataset.yml does not have cannot be kept." in said
    assert "emptied: 4 rows on state; kept here as release" in said
    assert "ctnb restore permits --to" in said


def test_both_what_was_there_and_what_was_released_need_a_new_decision_to_come_back(
    project: Project, portal: Running, uid: str
) -> None:
    """Rows were taken down to protect people: those of others, and ours below them."""
    write(portal, uid, {"permit": "P-9", "visits": "9"})
    done = lifecycle.empty("permits", reason=WHY, privacy=True, project=project)
    ours, theirs = releases.of_dataset(project, "permits")
    assert theirs.facts.release == done.kept
    marked = [withdrawals.for_privacy(project, one) for one in (ours, theirs)]
    assert [entry.facts["what"] if entry else None for entry in marked] == ["emptied", "emptied"]


KILLED = """
import os, sys
from pathlib import Path
from ctnb import flows, ledger, lifecycle, releases, settings
from ctnb.portals.socrata import SocrataPortal
def killed(owner, name, after, counted=1):
    act, seen = getattr(owner, name), []
    def instead(*given, **named):
        seen.append(1)
        made = act(*given, **named) if after or len(seen) < counted else None
        if len(seen) >= counted:
            os.kill(os.getpid(), 9)
        return made
    setattr(owner, name, instead)
moment = sys.argv[2]
if moment == "file":
    killed(releases, "keep", True)
elif moment == "sealing":
    killed(flows, "finish", False)
elif moment == "kept":
    killed(flows, "finish", True)
elif moment == "begun":
    killed(SocrataPortal, "send", False)
elif moment == "sent":
    killed(SocrataPortal, "send", True)
lifecycle.empty("permits", reason="The office asked to take them down.", privacy=True,
                project=settings.load(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["file", "sealing", "kept", "begun", "sent"])
def test_a_kill_between_is_understood_by_the_same_command(
    project: Project, portal: Running, uid: str, moment: str
) -> None:
    """Once more, and the dataset is empty, its rows are one release, no file is left over, and why is known."""
    write(portal, uid, {"permit": "P-9", "visits": "9"})
    process = subprocess.run([sys.executable, "-c", KILLED, str(project.root), moment], check=False)
    assert process.returncode == -9
    assert (portal.rows(uid) == []) == (moment == "sent")
    assert states(project)[0] == {"file": "on state", "sealing": "on state", "kept": "on state"}.get(
        moment, "emptying on state"
    )
    done = lifecycle.empty("permits", reason=WHY, project=project)
    assert done.rows == 5
    assert portal.rows(uid) == []
    assert states(project) == ["emptied on state", ""]
    assert len(kept_rows(project, done.kept)) == 5
    assert len(list((project.root / ".ctnb" / "releases" / "permits").iterdir())) == 2
    release = restoring.find(project, "permits", done.kept)
    privacy = withdrawals.for_privacy(project, release)
    assert (privacy is not None) == (moment in ("begun", "sent"))
    assert [one.kind for one in ledger.entries(project.ledger)].count("portal") in (2, 3)
    assert verification.verify(project).faults == ()
