"""Publishing through whole runs: the four modes, rehearsals, and portals that fail at the worst moment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import pytest
import requests
from faulty_portal import FaultyPortal, faulty
from portal_fixture import Running, running_portal

from ctnb import datasets, records, releases, verification
from ctnb.errors import ContractInvalid, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.settings import Project

OUTSIDE = fp.CTNB_YML + (
    "  state:\n    kind: socrata\n    url: {url}\n    key_id: {{secret: STATE_KEY_ID}}\n"
    "    key_secret: {{secret: STATE_KEY_SECRET}}\n"
)
NORTH = ("Norfolk", "Oxford", "Preston", "Redding")
ALL_TWELVE = [(town, 12) for town in fp.TOWNS]


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


def published(project: Project, portal: str = "local") -> list[tuple[str, int]]:
    """The rows on the running embedded portal, as its own account sees them."""
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    uid, account = releases.dataset_id(project, dataset, portal), local.credentials(project)
    url = local.address(project)
    answer = requests.get(
        f"{url}/resource/{uid}.json?$order=town", auth=(account.key_id, account.key_secret), timeout=30
    )
    return [(row["town"], int(row["people"])) for row in answer.json()]


def test_replace_puts_the_new_rows_in_place_of_the_old(tmp_path: Path, pool: KernelPool) -> None:
    """The second release says how many rows there were; both are kept and verify."""
    project = fp.make(tmp_path)
    fp.accept_other_towns(project)
    with local.running(project):
        first = fp.run(project, pool)
        assert published(project) == ALL_TWELVE
        fp.write_people(project, fp.people(rows=24, towns=NORTH[:2]))
        second = fp.run(project, pool, overrides=[fp.FEWER, fp.GONE])
        assert published(project) == [("Norfolk", 12), ("Oxford", 12)]
    assert [r.facts.release for r in releases.of_dataset(project, fp.SLUG)] == [
        f"{first.run}-1", f"{second.run}-1"
    ]  # fmt: skip
    told = second.release
    assert told and (told.rows_before, told.rows_sent, told.rows_after) == (4, 2, 2)
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_append_never_changes_a_published_row(tmp_path: Path, pool: KernelPool) -> None:
    """New keys are added; a key that is published already fails the run and leaves the portal as it was."""
    project = fp.make(tmp_path, mode="append")
    with local.running(project):
        assert fp.run(project, pool).status == "released"
        again = fp.run(project, pool, overrides=[fp.AGAIN])
        assert (again.status, again.exit_code, again.release) == ("failed", 6, None)
        assert "4 rows to append have keys that are published already" in again.reason
        assert published(project) == ALL_TWELVE
        fp.write_people(project, fp.people(towns=NORTH))
        third = fp.run(project, pool)
        assert third.status == "released", third.reason
        assert published(project) == [*ALL_TWELVE, *[(town, 12) for town in NORTH]]


@pytest.mark.slow
def test_upsert_and_delete_work_by_the_row_identifier(tmp_path: Path, pool: KernelPool) -> None:
    """Changed and new rows arrive, others stay; a file of identifiers takes rows away."""
    project = fp.make(tmp_path, mode="upsert")
    with local.running(project):
        assert fp.run(project, pool).status == "released"
        fp.write_people(project, fp.people(towns=("Andover", "Norfolk")))
        assert fp.run(project, pool).status == "released"
        changed = [("Andover", 24), ("Bolton", 12), ("Canton", 12), ("Durham", 12), ("Norfolk", 24)]
        assert published(project) == changed
        fp.change(project, "dataset.yml", "mode: upsert", "mode: delete")
        gone = project.notebooks / fp.SLUG / "gone.csv"
        gone.write_text("town\nBolton\nNorfolk\n")
        deleted = fp.run(project, pool, source=str(gone), overrides=[fp.GONE])
        assert (deleted.status, deleted.reason) == (
            "released", "3 rows on local, read back and equal."
        )  # fmt: skip
        assert published(project) == [("Andover", 24), ("Canton", 12), ("Durham", 12)]
        unknown = fp.run(project, pool, source=str(gone), overrides=[fp.AGAIN, fp.GONE])
        assert (unknown.status, unknown.exit_code) == ("failed", 6)
        assert "2 of the identifiers to delete are not published" in unknown.reason
    assert verification.verify(project).faults == ()


@pytest.mark.parametrize("mode", ["upsert", "delete"])
def test_a_mode_that_needs_a_row_identifier_refuses_without_one(
    tmp_path: Path, pool: KernelPool, mode: str
) -> None:
    """The contract says so before anything is recorded."""
    project = fp.make(tmp_path, mode=mode)
    fp.change(project, "dataset.yml", "key: [town]\n", "")
    with pytest.raises(ContractInvalid, match=f"mode {mode} needs a key"):
        fp.run(project, pool)
    assert records.all_records(project) == []


def test_a_rehearsal_writes_nothing_to_the_portal(tmp_path: Path, pool: KernelPool) -> None:
    """`--dry-run` plans the publishing, `--to` ends earlier; both are `rehearsed` with code 0."""
    project = fp.make(tmp_path)
    planned = fp.run(project, pool, dry_run=True)
    assert (planned.status, planned.exit_code, planned.release) == ("rehearsed", 0, None)
    assert [step.status for step in planned.steps] == ["completed"] * 4
    early = fp.run(project, pool, to="transform")
    assert (early.status, [step.step for step in early.steps]) == ("rehearsed", ["read", "transform"])
    assert releases.of_dataset(project, fp.SLUG) == []
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    assert releases.dataset_id(project, dataset, "local") is None
    assert verification.verify(project).faults == ()


@pytest.mark.slow
@pytest.mark.parametrize(("public", "code"), [(True, 200), (False, 403)])
def test_a_dataset_is_as_public_as_its_contract_says(
    tmp_path: Path, pool: KernelPool, public: bool, code: int
) -> None:
    """Nobody without an account reads a private dataset."""
    project = fp.make(tmp_path, public=public)
    with local.running(project) as url:
        record = fp.run(project, pool)
        assert record.release and record.release.public == public
        answer = requests.get(f"{url}/resource/{record.release.dataset_id}.json", timeout=30)
        assert answer.status_code == code


# -- portals that fail


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A real embedded portal for every failing one."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture
def state(upstream: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyPortal]:
    """A portal outside that fails on demand, its credentials in the environment."""
    monkeypatch.setenv("STATE_KEY_ID", upstream.key_id)
    monkeypatch.setenv("STATE_KEY_SECRET", upstream.key_secret)
    with faulty(upstream.url) as made:
        yield made


def outside(folder: Path, state: FaultyPortal, mode: str = "replace", key: bool = True) -> Project:
    """A project that publishes to the failing portal."""
    project = fp.make(folder, mode=mode, portal="state", ctnb_yml=OUTSIDE.format(url=state.url))
    if not key:
        fp.change(project, "dataset.yml", "key: [town]\n", "")
    return project


def there(project: Project, upstream: Running) -> list[tuple[str, int]]:
    """The rows the portal outside has."""
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    uid = releases.dataset_id(project, dataset, "state") or ""
    return sorted((row["town"], int(row["people"])) for row in upstream.rows(uid))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["500", "400", "errors"])
def test_a_failed_publish_leaves_the_published_rows_as_they_were(
    tmp_path: Path, pool: KernelPool, upstream: Running, state: FaultyPortal, fault: str
) -> None:
    """The run fails with code 3 without the portal's words; the next run releases."""
    project = outside(tmp_path, state)
    fp.accept_other_towns(project)
    assert fp.run(project, pool).status == "released"
    fp.write_people(project, fp.people(towns=NORTH))
    state.fault = fault
    failed = fp.run(project, pool, overrides=[fp.GONE])
    assert (failed.status, failed.exit_code, failed.release) == ("failed", 3, None)
    assert failed.steps[-1].status == "failed"
    assert there(project, upstream) == ALL_TWELVE
    assert fp.found_in(project.runs, [*fp.CANARIES, "219-09", "row 3", upstream.key_secret]) == {}
    state.fault = ""
    again = fp.run(project, pool, overrides=[fp.GONE])
    assert (again.status, again.exit_code) == ("released", 0)
    assert there(project, upstream) == [(town, 12) for town in NORTH]
    assert verification.verify(project).faults == ()


def test_a_portal_that_does_not_answer_fails_the_run(
    tmp_path: Path, pool: KernelPool, monkeypatch: pytest.MonkeyPatch, upstream: Running
) -> None:
    """Code 3: trying again may help."""
    monkeypatch.setenv("STATE_KEY_ID", upstream.key_id)
    monkeypatch.setenv("STATE_KEY_SECRET", upstream.key_secret)
    project = fp.make(tmp_path, portal="state", ctnb_yml=OUTSIDE.format(url="http://127.0.0.1:9"))
    record = fp.run(project, pool)
    assert (record.status, record.exit_code, record.release) == ("failed", 3, None)


def test_a_secret_that_is_not_set_is_said_before_anything_is_sent(
    tmp_path: Path, pool: KernelPool, state: FaultyPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the secret, and where to put it."""
    monkeypatch.delenv("STATE_KEY_SECRET")
    project = outside(tmp_path, state)
    record = fp.run(project, pool)
    assert (record.status, record.exit_code) == ("failed", 2)
    assert "STATE_KEY_SECRET" in record.reason
    assert state.writes == 0


@pytest.mark.slow
def test_rows_that_arrived_without_an_answer_are_not_appended_twice(
    tmp_path: Path, pool: KernelPool, upstream: Running, state: FaultyPortal
) -> None:
    """The portal took the rows and the answer was lost: the run goes on and finds them there."""
    project = outside(tmp_path, state, mode="append", key=False)
    assert fp.run(project, pool).status == "released"
    fp.write_people(project, fp.people(towns=NORTH))
    state.fault = "lost"
    lost = fp.run(project, pool)
    assert (lost.status, lost.exit_code, lost.release) == ("failed", 3, None)
    both = sorted([*ALL_TWELVE, *[(town, 12) for town in NORTH]])
    assert there(project, upstream) == both
    state.fault, state.writes = "", 0
    another = fp.run(project, pool)
    assert (another.status, another.exit_code, state.writes) == ("failed", 6, 0)
    assert f"run {lost.run} appended have arrived" in another.reason
    went_on = fp.run(project, pool, from_step="publish", run=lost.run)
    assert (went_on.run, went_on.status, state.writes) == (lost.run, "released", 0)
    assert there(project, upstream) == both
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_rows_that_did_not_arrive_are_appended_by_going_on(
    tmp_path: Path, pool: KernelPool, upstream: Running, state: FaultyPortal
) -> None:
    """The portal refused them: going on with the run sends them, once."""
    project = outside(tmp_path, state, mode="append", key=False)
    state.fault = "500"
    failed = fp.run(project, pool)
    assert (failed.status, failed.exit_code) == ("failed", 3)
    state.fault, state.writes = "", 0
    went_on = fp.run(project, pool, from_step="publish", run=failed.run)
    assert (went_on.run, went_on.status, state.writes) == (failed.run, "released", 1)
    assert there(project, upstream) == ALL_TWELVE


KILLED = """
import os, sys
from pathlib import Path
from ctnb import flows, settings
from ctnb.clients.dsmapi import Dsmapi
apply = Dsmapi.apply
def killed(self, *given):
    if sys.argv[2] == "after":
        apply(self, *given)
    os.kill(os.getpid(), 9)
Dsmapi.apply = killed
flows.run("visits", project=settings.load(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_supervisor_killed_while_it_appends_neither_loses_nor_doubles_rows(
    tmp_path: Path, pool: KernelPool, upstream: Running, state: FaultyPortal, moment: str
) -> None:
    """kill -9 right before or after the portal's commit: a new run is refused until that one went on."""
    project = outside(tmp_path, state, mode="append", key=False)
    assert fp.run(project, pool).status == "released"
    fp.write_people(project, fp.people(towns=NORTH))
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment], check=False, timeout=120)
    assert process.returncode == -9
    with pytest.raises(UsageError, match="may have arrived"):
        fp.run(project, pool)
    killed = records.find(project, fp.SLUG)
    assert (killed.status, killed.release) == ("interrupted", None)
    state.writes = 0
    went_on = fp.run(project, pool, from_step="publish", run=killed.run)
    assert (went_on.run, went_on.status) == (killed.run, "released")
    assert state.writes == (1 if moment == "before" else 0)
    assert there(project, upstream) == sorted([*ALL_TWELVE, *[(town, 12) for town in NORTH]])
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_rows_somebody_changed_meanwhile_stop_an_unfinished_append(
    tmp_path: Path, pool: KernelPool, upstream: Running, state: FaultyPortal
) -> None:
    """Neither what was there nor what was to be there: nobody can know whether the rows arrived."""
    project = outside(tmp_path, state, mode="append", key=False)
    state.fault = "lost"
    lost = fp.run(project, pool)
    state.fault, state.writes = "", 0
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    uid = releases.dataset_id(project, dataset, "state")
    body = json.dumps([{"town": "Elsewhere", "people": "9"}])
    assert upstream.ask("POST", f"/resource/{uid}.json", data=body).status_code == 200
    stopped = fp.run(project, pool, from_step="publish", run=lost.run)
    assert (stopped.status, stopped.exit_code, state.writes) == ("failed", 6, 0)
    assert "changed since" in stopped.reason
