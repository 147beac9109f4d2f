"""Delivering one batch: what is known of a run that was killed, and what only a person can tell."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ods_fixture
import push_projects
import pytest
from portal_fixture import Running, running_portal
from push_projects import SLUG, lines, make, push

from ctnb import backlogs, flows, records, settings
from ctnb.kernels.pools import KernelPool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A running embedded portal."""
    (place := tmp_path / "portal").mkdir()
    with running_portal(place) as made:
        push_projects.sign_in(made, monkeypatch)
        yield made


KILLED = """
import os, sys
from pathlib import Path
from ctnb import pushing, settings
from ctnb.clients.opendatasoft import Opendatasoft
def killed(self, *given, push=Opendatasoft.push, **more):
    push(self, *given, **more)
    os.kill(os.getpid(), 9)
Opendatasoft.push = killed
pushing.push("counters", [b'{"counter": "k1", "bicycles": 9}'], project=settings.load(Path(sys.argv[1])))
"""


def test_what_no_key_can_tell_is_left_to_a_person(
    tmp_path: Path, running: Running, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it pushed to a dataset without a key, and another release since: it is not sent a second time."""
    made = ods_fixture.realtime(
        running, {"counter": "a", "bicycles": 1, "note": "x"}, dataset_id="counters", restricted=True
    )
    for name, kind in (("counter", "text"), ("bicycles", "int"), ("note", "text")):
        made.type(name, kind)
    made.publish()
    where, _, key = (running.url + made.push_path).partition("?pushkey=")
    monkeypatch.setenv("CITY_PUSH_KEY", key)
    text = push_projects.DATASET_YML.replace("key: [counter]\n", "").replace("mode: upsert", "mode: append")
    text = text.replace("category: accept", "category: accept, empty: accept")
    monkeypatch.setattr(push_projects, "DATASET_YML", text)
    place = tmp_path / "project" / "notebooks" / SLUG
    place.mkdir(parents=True)
    told = f"format: 1\ncity:\n  id: {made.uid}\n  push_url: {where}\n  push_key: {{secret: CITY_PUSH_KEY}}\n"
    (place / "portal.yml").write_text(told, encoding="utf-8")
    project = make(tmp_path / "project", running.url, "city", pool)
    command = [sys.executable, "-c", KILLED, str(project.root)]
    assert subprocess.run(command, check=False, timeout=120).returncode == -9
    (place / "data.csv").write_text("Counter,Bicycles,Note\nb1,1,\n", encoding="utf-8")
    again = flows.run(SLUG, project=settings.load(project.root), pool=pool)
    assert again.status == "released", again.reason
    done = push(project, lines({"counter": "c1", "bicycles": 3}))
    assert (done.exit_code, done.waiting, done.delivered[0].status) == (6, 2, "failed"), done
    assert "another release came since" in done.delivered[0].why
    assert sum(row["counter"] == "k1" for row in made.records()) <= 1
    backlogs.discard(SLUG, reason="Looked on the portal: the record is there.", project=project)
    assert push(project, []).exit_code == 0
    found = sorted(str(row["counter"]) for row in made.records() if row["counter"] != "k1")
    assert found == ["a1", "a2", "b1", "c1"]


def test_a_blocked_batch_is_tried_again_when_the_contract_changed(
    tmp_path: Path, running: Running, pool: KernelPool
) -> None:
    """The column that held the address is not text any more: the record does not fit, and is set aside."""
    project = make(tmp_path / "project", running.url, "state", pool)
    given = lines({"counter": "b1", "bicycles": 1, "note": "ask wanda.tremaine@pobox.example.net"})
    assert push(project, given).exit_code == 1
    before = len(records.all_records(project))
    assert (push(project, []).exit_code, len(records.all_records(project))) == (1, before)
    path = project.root / "notebooks" / SLUG / "dataset.yml"
    text = path.read_text(encoding="utf-8")
    changed = text.replace(
        "type: text, role: plain}", "type: text, role: plain, constraints: {max_length: 5}}"
    )
    path.write_text(changed, encoding="utf-8")
    done = push(project, [])
    assert (done.exit_code, done.waiting, done.delivered[0].useless) == (6, 0, True), done
