"""A dataset on its portal between releases, and whole runs that publish to Opendatasoft."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import ods_fixture
import pytest
import requests
from ods_fixture import Ods
from portal_fixture import Running, running_portal

from ctnb import datasets, ledger, lifecycle, releases, restoring, settings, verification
from ctnb.clients import opendatasoft
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import ReviewNotCleared, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.settings import Project

WHY = "The office asked to take these counts down for a while."
CITY = (
    fp.CTNB_YML + "  city:\n    kind: opendatasoft\n    url: {url}\n    api_key: {{secret: CITY_API_KEY}}\n"
)
PORTAL_YML = """\
format: 1
city:
  id: {id}
  push_url: {url}
  push_key: {{secret: CITY_PUSH_KEY}}
"""
ALL_TWELVE = [{"town": town, "people": 12} for town in fp.TOWNS]


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running embedded portal, which also speaks Opendatasoft's interfaces."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def city(
    tmp_path: Path, running: Running, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[Project, Ods]:
    """A project that pushes to a realtime source on an Opendatasoft portal outside."""
    made = ods_fixture.realtime(
        running, {"town": "x", "people": 1}, "town", dataset_id=f"visits-{abs(hash(request.node.name)) % 10**8}",
        restricted=True,
    )  # fmt: skip
    made.type("people", "int")
    made.publish()
    where, _, key = (running.url + made.push_path).partition("?pushkey=")
    monkeypatch.setenv("CITY_API_KEY", add_api_key(running.file, running.key_id))
    monkeypatch.setenv("CITY_PUSH_KEY", key)
    monkeypatch.setattr(opendatasoft, "POLL_S", 0.1)
    project = fp.make(tmp_path, portal="city", mode="upsert", ctnb_yml=CITY.format(url=running.url))
    text = PORTAL_YML.format(id=made.uid, url=where)
    (project.notebooks / fp.SLUG / "portal.yml").write_text(text, encoding="utf-8")
    return project, made


def rows(made: Ods) -> list[dict[str, object]]:
    """The rows on the Opendatasoft portal, by town."""
    return sorted(made.records(), key=lambda row: str(row["town"]))


@pytest.mark.slow
def test_a_run_publishes_to_opendatasoft_and_its_record_holds_no_key(
    city: tuple[Project, Ods], pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushed, read back, released; the second run sends the difference alone."""
    project, made = city
    first = fp.run(project, pool)
    assert first.status == "released", first.reason
    assert rows(made) == ALL_TWELVE
    fp.write_people(project, fp.people(towns=("Andover", "Norfolk")))
    fp.accept_other_towns(project)
    second = fp.run(project, pool)
    assert second.status == "released", second.reason
    assert [row["people"] for row in rows(made)] == [24, 12, 12, 12, 24]
    key = (project.notebooks / fp.SLUG / "portal.yml").read_text()
    assert "CITY_PUSH_KEY" in key

    secrets = [os.environ["CITY_PUSH_KEY"], os.environ["CITY_API_KEY"]]
    assert fp.found_in(project.runs, secrets) == {}
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_a_run_sees_to_the_schedule_that_a_clock_changed(city: tuple[Project, Ods], pool: KernelPool) -> None:
    """A rehearsal says that it is off; a release writes it anew, and its record says so."""
    project, made = city
    with (project.notebooks / fp.SLUG / "portal.yml").open("a", encoding="utf-8") as stream:
        stream.write("  schedule: daily 06:30\n")
    path = project.notebooks / fp.SLUG / "portal.yml"
    rehearsed = fp.run(project, pool, dry_run=True)
    assert "the portal does not have it" in rehearsed.next
    assert "ctnb portal schedule visits" in rehearsed.next
    assert made.ask("GET", "schedules/").json()["results"] == []
    first = fp.run(project, pool)
    assert first.status == "released", first.reason
    (one,) = made.ask("GET", "schedules/").json()["results"]
    assert one["cron_schedule"] in ("30 12 * * *", "30 11 * * *")
    events = (path.parents[2] / "runs" / fp.SLUG / first.run / "events.jsonl").read_text(encoding="utf-8")
    assert '"kind":"schedule written anew"' in events
    assert "schedule" not in fp.run(project, pool, dry_run=True).next


KILLED = """
import os, sys
from pathlib import Path
from ctnb import flows, settings
from ctnb.clients import opendatasoft
write = getattr(opendatasoft.Opendatasoft, sys.argv[2])
def killed(self, *given):
    if sys.argv[3] == "after":
        write(self, *given)
    os.kill(os.getpid(), 9)
setattr(opendatasoft.Opendatasoft, sys.argv[2], killed)
flows.run("visits", project=settings.load(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("call", "moment"), [("push", "before"), ("push", "after"), ("delete", "before")])
def test_a_push_that_was_killed_half_way_ends_with_the_right_rows(
    city: tuple[Project, Ods], pool: KernelPool, call: str, moment: str
) -> None:
    """kill -9 before or after a push, or between pushing and deleting: what is half done is taken back, then sent."""
    project, made = city
    fp.change(project, "dataset.yml", "mode: upsert", "mode: replace")
    fp.accept_other_towns(project)
    assert fp.run(project, pool).status == "released"
    fp.write_people(project, fp.people(rows=24, towns=("Andover", "Norfolk")))
    text = (project.notebooks / fp.SLUG / "dataset.yml").read_text(encoding="utf-8")
    bounds = "  removes: {rows: 10, reason: Towns leave the register of visits now and then.}\nguards: {row_drop: 1}\n"
    (project.notebooks / fp.SLUG / "dataset.yml").write_text(
        text.rstrip("\n") + "\n" + bounds, encoding="utf-8"
    )
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(project.root), call, moment], check=False, timeout=120
    )
    assert process.returncode == -9
    again = fp.run(project, pool)
    assert again.status == "released", again.reason
    assert rows(made) == [{"town": "Andover", "people": 12}, {"town": "Norfolk", "people": 12}]
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_pushing_is_disabled_and_enabled_again(city: tuple[Project, Ods], pool: KernelPool) -> None:
    """A disabled source refuses a run; enabling passes the gate; both stand in the ledger."""
    project, made = city
    assert fp.run(project, pool).status == "released"
    project = settings.load(project.root)
    lifecycle.disable(fp.SLUG, reason=WHY, project=project)
    fp.write_people(project, fp.people(towns=("Andover", "Bolton")))
    refused = fp.run(project, pool)
    assert (refused.status, refused.exit_code) == ("failed", 3)
    assert rows(made) == ALL_TWELVE
    lifecycle.enable(fp.SLUG, reason=WHY, project=settings.load(project.root))
    again = fp.run(project, pool)
    assert again.status == "released", again.reason
    told = [entry.facts["what"] for entry in ledger.entries(project.ledger) if entry.kind == "portal"]
    assert told == ["disabled", "enabled"]


@pytest.mark.slow
def test_what_is_unpublished_is_told_kept_and_recovered(city: tuple[Project, Ods], pool: KernelPool) -> None:
    """The rows lost are said before; recovering ends with exactly the newest release."""
    project, made = city
    first = fp.run(project, pool)
    project = settings.load(project.root)
    lost = lifecycle.lost(fp.SLUG, project=project)
    assert (lost.rows, lost.public) == (4, False)
    done = lifecycle.unpublish(fp.SLUG, reason=WHY, project=project)
    assert (done.rows, done.kept) == (4, f"{first.run}-1")
    assert made.status()["is_published"] is False
    back = lifecycle.recover(fp.SLUG, reason=WHY, project=project)
    assert back.rows == 4
    assert rows(made) == ALL_TWELVE


@pytest.mark.slow
def test_rows_taken_down_for_privacy_are_not_recovered_without_a_new_decision(
    city: tuple[Project, Ods], pool: KernelPool
) -> None:
    """The refusal names the command that makes a run which waits."""
    project, made = city
    first = fp.run(project, pool)
    project = settings.load(project.root)
    lifecycle.empty(fp.SLUG, reason=WHY, privacy=True, project=project)
    assert rows(made) == []
    with pytest.raises(ReviewNotCleared, match="taken down to protect people") as refused:
        lifecycle.recover(fp.SLUG, reason=WHY, project=project)
    assert f"ctnb restore visits --to {first.run}-1" in refused.value.hint
    waits = restoring.restore(fp.SLUG, to=first.run, reason=WHY, project=project, pool=pool)
    assert waits.status == "waiting"


@pytest.mark.slow
def test_a_dataset_on_socrata_is_emptied_or_made_private(tmp_path: Path, pool: KernelPool) -> None:
    """What only a realtime source has is refused by name; of a dataset without rows nothing is kept."""
    project = fp.make(tmp_path)
    with local.running(project):
        first = fp.run(project, pool)
        assert first.status == "released", first.reason
        project = settings.load(project.root)
        with pytest.raises(UsageError, match="Only a realtime source"):
            lifecycle.disable(fp.SLUG, reason=WHY, project=project)
        assert lifecycle.lost(fp.SLUG, project=project).public
        lifecycle.unpublish(fp.SLUG, reason=WHY, project=project)
        assert not lifecycle.lost(fp.SLUG, project=project).public
        assert lifecycle.empty(fp.SLUG, reason=WHY, project=project).rows == 4
        assert lifecycle.lost(fp.SLUG, project=project).rows == 0
        assert [one.state for one in releases.listed(project, fp.SLUG)] == ["emptied on local"]
        emptied_twice = lifecycle.empty(fp.SLUG, reason=WHY, project=project)
        assert (emptied_twice.rows, emptied_twice.kept) == (0, "")
        made = restoring.restore(fp.SLUG, to=first.run, reason=WHY, project=project, pool=pool)
        assert made.status == "released", made.reason
        assert releases.listed(project, fp.SLUG)[0].state == f"on local, restores {first.run}-1"
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_rows_that_others_wrote_come_back_through_the_gate(tmp_path: Path, pool: KernelPool) -> None:
    """They were no release of ctnb's; emptied, they are one, and a restore reviews them like any other."""
    project = fp.make(tmp_path)
    with local.running(project) as url:
        assert fp.run(project, pool).status == "released"
        dataset = datasets.dataset(fp.SLUG, project.notebooks)
        uid = releases.dataset_id(project, dataset, "local")
        account = local.credentials(project)
        there, auth = f"{url}/resource/{uid}.json", (account.key_id, account.key_secret)
        row = [{"town": "Essex", "people": "12"}]
        assert requests.post(there, json=row, auth=auth, timeout=60).status_code == 200
        done = lifecycle.empty(fp.SLUG, reason=WHY, project=project)
        assert requests.get(there, auth=auth, timeout=60).json() == []
        made = restoring.restore(fp.SLUG, to=done.kept, reason=WHY, project=project, pool=pool)
        assert made.status == "released", made.reason
        assert made.review is not None
        shown = requests.get(there, auth=auth, timeout=60).json()
    assert sorted(one["town"] for one in shown) == sorted([*fp.TOWNS, "Essex"])
    assert verification.verify(project).faults == ()


def test_a_reason_is_asked_for_before_the_portal_is(tmp_path: Path) -> None:
    """Nothing is written."""
    project = fp.make(tmp_path)
    with pytest.raises(UsageError, match="does not say why"):
        lifecycle.unpublish(fp.SLUG, reason="ok", project=project)
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    assert releases.dataset_id(project, dataset, "local") is None
    assert not project.ledger.exists()
