"""Pushing records as they arrive: checked, reviewed, confirmed; on disk until then, also after kill -9."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ods_fixture
import pytest
from faulty_portal import faulty
from portal_fixture import Running, running_portal

from ctnb import deciding, flows, pushing, records, releases, settings, spools, verification
from ctnb.clients import opendatasoft
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.settings import Project

SLUG = "counters"
WHY = "The counter on the bridge was broken on these days."
CTNB_YML = """\
format: 1
agency: Example agency
four_eyes: false
portals:
  local: {{kind: embedded}}
  city: {{kind: opendatasoft, url: "{url}", api_key: {{secret: CITY_API_KEY}}}}
  state: {{kind: socrata, url: "{url}", key_id: {{secret: STATE_KEY_ID}}, key_secret: {{secret: STATE_KEY_SECRET}}}}
"""
DATASET_YML = """\
format: 1
title: Bicycles counted
unit: other
source: {{path: data.csv}}
columns:
  - {{name: counter, header: Counter, type: code, role: plain, constraints: {{required: true}}}}
  - {{name: bicycles, header: Bicycles, type: integer, role: plain, constraints: {{minimum: 0}}}}
  - {{name: note, header: Note, type: text, role: plain}}
transform: {{use: none}}
key: [counter]
drift: {{table: {{category: accept, distribution: accept}}}}
portal: {{name: {portal}, public: false, mode: upsert}}
"""
START = [("a1", 10, "dry"), ("a2", 20, None)]


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running embedded portal, which speaks both dialects."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture(autouse=True)
def accounts(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher's keys, in the environment."""
    monkeypatch.setenv("CITY_API_KEY", add_api_key(running.file, running.key_id))
    monkeypatch.setenv("STATE_KEY_ID", running.key_id)
    monkeypatch.setenv("STATE_KEY_SECRET", running.key_secret)
    monkeypatch.setattr(opendatasoft, "POLL_S", 0.1)


def make(folder: Path, url: str, portal: str, pool: KernelPool) -> Project:
    """A project whose first rows are released on `portal`."""
    place = folder / "notebooks" / SLUG
    place.mkdir(parents=True, exist_ok=True)
    (folder / "ctnb.yml").write_text(CTNB_YML.format(url=url), encoding="utf-8")
    (place / "dataset.yml").write_text(DATASET_YML.format(portal=portal), encoding="utf-8")
    (place / "data.csv").write_text("Counter,Bicycles,Note\na1,10,dry\na2,20,\n", encoding="utf-8")
    made = flows.run(SLUG, project=settings.load(folder), pool=pool)
    assert made.status == "released", made.reason
    return settings.load(folder)


@pytest.fixture
def state(tmp_path: Path, running: Running, pool: KernelPool) -> Project:
    """A dataset on a Socrata portal."""
    return make(tmp_path, running.url, "state", pool)


def lines(*records: Any) -> list[bytes]:
    """JSON lines."""
    return [json.dumps(record).encode() + b"\n" for record in records]


def push(project: Project, given: list[bytes], **options: Any) -> pushing.Pushed:
    """A push under today's ctnb.yml."""
    return pushing.push(SLUG, given, project=settings.load(project.root), **options)


def rows(running: Running, project: Project, portal: str = "state") -> list[tuple[str, int, str | None]]:
    """The rows on the Socrata portal."""
    newest = releases.newest(project, SLUG, portal)
    assert newest is not None
    found = running.rows(newest.facts.dataset_id)
    return sorted((row["counter"], int(row["bicycles"]), row.get("note")) for row in found)


@pytest.mark.slow
def test_records_are_added_and_changed_by_their_key(running: Running, state: Project) -> None:
    """Names or headers; of one key the record that came last counts; each batch is a release that verifies."""
    given = lines(
        {"counter": "a2", "bicycles": 21}, {"Counter": "a3", "Bicycles": 5}, {"counter": "a3", "bicycles": 6}
    )
    done = push(state, given, batch_rows=2)
    assert (done.exit_code, done.lines, done.waiting, len(done.delivered)) == (0, 3, 0, 2), done
    assert rows(running, state) == [("a1", 10, "dry"), ("a2", 21, None), ("a3", 6, None)]
    assert [one.release is not None for one in done.delivered] == [True, True]
    assert verification.verify(state).faults == ()


@pytest.mark.slow
def test_what_does_not_fit_is_kept_with_its_reason_and_counted(running: Running, state: Project) -> None:
    """A line that is no record, a name that nobody knows, a cell of another type: the rest goes on."""
    given = [
        b"not json\n",
        *lines({"colour": "red"}, {"counter": "a4", "bicycles": -1}, {"counter": "a5", "bicycles": 5}),
    ]
    done = push(state, given)
    assert (done.refused, done.delivered[0].records, done.delivered[0].rejected) == (2, 2, 1)
    assert done.exit_code == 6
    assert [row[0] for row in rows(running, state)] == ["a1", "a2", "a5"]
    kept = (spools.folder(state, SLUG) / "refused.lines").read_text(encoding="utf-8")
    assert [json.loads(line)["why"] for line in kept.splitlines()] == [
        "not JSON", "1 name that the contract does not have"
    ]  # fmt: skip
    read = records.find(state, done.delivered[0].run).read
    assert read is not None
    assert [(one.column, one.rule, one.rows) for one in read.rejects] == [("bicycles", "minimum", 1)]


@pytest.mark.slow
def test_records_are_deleted_by_key_and_by_values(running: Running, state: Project) -> None:
    """A reason is asked for; records that are not published are counted."""
    with pytest.raises(UsageError, match="does not say why"):
        push(state, lines({"counter": "a1"}), delete="key")
    done = push(state, lines({"counter": "a1"}, {"counter": "zz"}), delete="key", reason=WHY)
    assert (done.exit_code, done.delivered[0].rejected) == (0, 1), done
    assert rows(running, state) == [("a2", 20, None)]
    push(state, lines({"counter": "a6", "bicycles": 6, "note": "x"}))
    gone = push(state, lines({"note": "x", "bicycles": 6}), delete="values", reason=WHY)
    assert gone.exit_code == 0, gone
    assert rows(running, state) == [("a2", 20, None)]


@pytest.mark.slow
def test_a_batch_waits_on_disk_while_the_portal_is_down(
    tmp_path: Path, running: Running, pool: KernelPool
) -> None:
    """It is told as not confirmed; the next push delivers it first, in order."""
    with faulty(running.url) as portal:
        project = make(tmp_path, portal.url, "state", pool)
        portal.fault = "500"
        done = push(
            project, lines({"counter": "a7", "bicycles": 7}, {"counter": "a8", "bicycles": 8}), batch_rows=1
        )
        assert (done.exit_code, done.waiting) == (3, 2), done
        portal.fault = ""
        again = push(project, lines({"counter": "a7", "bicycles": 70}))
        assert (again.exit_code, again.waiting, len(again.delivered)) == (0, 0, 3), again
    assert rows(running, project) == [("a1", 10, "dry"), ("a2", 20, None), ("a7", 70, None), ("a8", 8, None)]
    assert verification.verify(project).faults == ()


KILLED = """
import os, sys
from pathlib import Path
from ctnb import pushing, settings
from ctnb.clients.socrata import Socrata
for name in ("upsert", "replace"):
    def killed(self, *given, write=getattr(Socrata, name), **more):
        if sys.argv[2] == "after":
            write(self, *given, **more)
        os.kill(os.getpid(), 9)
    setattr(Socrata, name, killed)
pushing.push("counters", [b'{"counter": "a9", "bicycles": 9}'], project=settings.load(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_push_that_was_killed_is_gone_on_with(running: Running, state: Project, moment: str) -> None:
    """kill -9 right before or after the portal took the batch: the next push confirms it, once."""
    told = [sys.executable, "-c", KILLED, str(state.root), moment]
    assert subprocess.run(told, check=False, timeout=120).returncode == -9
    assert len(spools.waiting(state, SLUG)) == 1
    done = push(state, [])
    assert (done.exit_code, done.waiting) == (0, 0), done
    assert rows(running, state) == [("a1", 10, "dry"), ("a2", 20, None), ("a9", 9, None)]
    assert verification.verify(state).faults == ()


@pytest.mark.slow
def test_what_the_review_finds_waits_for_a_decision_that_stands(running: Running, state: Project) -> None:
    """A mail address in a record: nothing is sent; with a standing decision it goes on by itself."""
    done = push(
        state, lines({"counter": "b1", "bicycles": 1, "note": "ask wanda.tremaine@pobox.example.net"})
    )
    assert done.exit_code == 1
    assert done.waiting == 1
    assert [row[0] for row in rows(running, state)] == ["a1", "a2"]
    held = records.find(state, done.delivered[0].run)
    if held.status == "waiting":
        deciding.decide(
            state, held.run, "approve", reason="The office publishes this address itself.", standing=True
        )
        again = push(state, [])
        assert (again.exit_code, again.waiting) == (0, 0), again
        assert [row[0] for row in rows(running, state)] == ["a1", "a2", "b1"]
    else:
        assert held.status == "blocked"


@pytest.mark.slow
def test_a_record_is_deleted_by_the_id_that_opendatasoft_gave_it(
    tmp_path: Path, running: Running, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushed to a realtime source; the id is asked for, its values are deleted."""
    bootstrap = {"counter": "a", "bicycles": 1, "note": "x"}
    made = ods_fixture.realtime(running, bootstrap, "counter", dataset_id="counters", restricted=True)
    for name, kind in (("counter", "text"), ("bicycles", "int"), ("note", "text")):
        made.type(name, kind)
    made.publish()
    where, _, key = (running.url + made.push_path).partition("?pushkey=")
    monkeypatch.setenv("CITY_PUSH_KEY", key)
    place = tmp_path / "notebooks" / SLUG
    place.mkdir(parents=True)
    told = f"format: 1\ncity:\n  id: {made.uid}\n  push_url: {where}\n  push_key: {{secret: CITY_PUSH_KEY}}\n"
    (place / "portal.yml").write_text(told, encoding="utf-8")
    project = make(tmp_path, running.url, "city", pool)
    assert push(project, lines({"counter": "a3", "bicycles": 3})).exit_code == 0
    assert sorted(str(row["counter"]) for row in made.records()) == ["a1", "a2", "a3"]
    with contextlib.closing(sqlite3.connect(running.file)) as store:
        query = "SELECT rid FROM ods_backups WHERE json_extract(raw, '$.counter') = 'a2'"
        record_id = store.execute(query).fetchall()[-1][0]
    done = push(project, lines({"record_id": record_id}), delete="id", reason=WHY)
    assert done.exit_code == 0, done
    assert sorted(str(row["counter"]) for row in made.records()) == ["a1", "a3"]


def test_a_dataset_that_is_transformed_takes_no_records(tmp_path: Path) -> None:
    """They would pass by the transform."""
    place = tmp_path / "notebooks" / SLUG
    place.mkdir(parents=True)
    (tmp_path / "ctnb.yml").write_text("format: 1\n", encoding="utf-8")
    text = DATASET_YML.format(portal="local").replace("transform: {use: none}\n", "")
    (place / "dataset.yml").write_text(text, encoding="utf-8")
    (place / "transform.sql").write_text("SELECT * FROM data", encoding="utf-8")
    with pytest.raises(UsageError, match="has a transform"):
        pushing.push(SLUG, [], project=settings.load(tmp_path))


def test_a_dataset_without_a_release_takes_no_records(tmp_path: Path) -> None:
    """The first rows come by a run, which is reviewed."""
    place = tmp_path / "notebooks" / SLUG
    place.mkdir(parents=True)
    (tmp_path / "ctnb.yml").write_text("format: 1\n", encoding="utf-8")
    (place / "dataset.yml").write_text(DATASET_YML.format(portal="local"), encoding="utf-8")
    with pytest.raises(UsageError, match="no release on local yet"):
        pushing.push(SLUG, [], project=settings.load(tmp_path))
