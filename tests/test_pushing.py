"""Pushing records as they arrive: checked, reviewed, confirmed; on disk until then, also after kill -9."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import ods_fixture
import push_projects
import pytest
from faulty_portal import faulty
from portal_fixture import Running, running_portal
from push_projects import DATASET_YML, SLUG, WHY, lines, make, push, rows

from ctnb import deciding, flows, pushing, records, releases, settings, spools, verification
from ctnb.errors import UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.settings import Project


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
    push_projects.sign_in(running, monkeypatch)


@pytest.fixture
def state(tmp_path: Path, running: Running, pool: KernelPool) -> Project:
    """A dataset on a Socrata portal."""
    return make(tmp_path, running.url, "state", pool)


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


@pytest.mark.slow
def test_records_are_published_as_they_were_written(running: Running, state: Project) -> None:
    """Line ends of other software, digits, CRLF, a byte order mark; half a character is no record."""
    given = [
        '\ufeff{"counter": "u1", "bicycles": 1, "note": "a\u2028b\x85c"}\r\n'.encode(),
        b'{"counter": "u2", "bicycles": 2, "note": 1.50}\n',
        b'{"counter": "u3", "bicycles": 3, "note": "\\ud800"}\n',
        b'{"counter": "u4", "bicycles": 99999999999999999999}\n',
        b'{"bicycles": 5, "note": "no key"}\n',
    ]
    done = push(state, given)
    assert (done.refused, done.delivered[0].records, done.delivered[0].rejected, done.waiting) == (1, 4, 2, 0)
    assert rows(running, state)[2:] == [("u1", 1, "a\u2028b\x85c"), ("u2", 2, "1.50")]


@pytest.mark.slow
def test_strict_ends_at_the_first_line_that_is_no_record(running: Running, state: Project) -> None:
    """What stands before it is confirmed, what stands behind it is not read."""
    told: list[pushing.Refused] = []
    given = [*lines({"counter": "t1", "bicycles": 1}), b"{torn\n", *lines({"counter": "t2", "bicycles": 2})]
    done = push(state, given, strict=True, refuse=told.append)
    assert (done.exit_code, done.refused, done.last_line, done.waiting) == (6, 1, 1, 0)
    assert told == [pushing.Refused(2, "not JSON")]
    assert [row[0] for row in rows(running, state)] == ["a1", "a2", "t1"]


@pytest.mark.slow
def test_a_stream_goes_on_by_itself_when_the_portal_is_back(
    tmp_path: Path, running: Running, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches wait while it is down; no restart is needed, and the order is kept."""
    monkeypatch.setattr(pushing, "RETRY_S", 0.01)
    told: list[tuple[int, str]] = []
    failed = threading.Event()

    def tell(one: pushing.Delivered) -> None:
        told.append((one.batch, one.status))
        failed.set()

    with faulty(running.url) as portal:
        project = make(tmp_path, portal.url, "state", pool)

        def given() -> Iterator[bytes]:
            portal.fault = "500"
            yield from lines({"counter": "p1", "bicycles": 1}, {"counter": "p1", "bicycles": 2})
            failed.wait(60)
            portal.fault = ""
            yield from lines({"counter": "p2", "bicycles": 3})

        done = pushing.push(
            SLUG, given(), batch_rows=1, every_s=0.0, project=settings.load(project.root), told=tell
        )
    assert (done.exit_code, done.waiting, done.confirmed) == (0, 0, 3), done
    assert told[0] == (1, "failed")
    assert [one for one in told if one[1] == "released"] == [
        (1, "released"),
        (2, "released"),
        (3, "released"),
    ]
    assert rows(running, project)[2:] == [("p1", 2, None), ("p2", 3, None)]


@pytest.mark.slow
def test_no_more_is_read_than_may_wait_on_disk(
    tmp_path: Path, running: Running, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The push ends and says up to which line it took them; from there it is gone on with."""
    monkeypatch.setattr(pushing, "SPOOL_BYTES", 250)
    given = lines(*({"counter": f"q{number}", "bicycles": number} for number in range(9)))
    with faulty(running.url) as portal:
        project = make(tmp_path, portal.url, "state", pool)
        portal.fault = "500"
        done = push(project, given, batch_rows=1)
        assert (done.exit_code, done.waiting == done.last_line, 0 < done.last_line < 9) == (3, True, True), (
            done
        )
        portal.fault = ""
        monkeypatch.undo()
        push_projects.sign_in(running, monkeypatch)
        again = push(project, given[done.last_line :])
    assert (again.exit_code, again.waiting) == (0, 0), again
    assert [row[0] for row in rows(running, project)][2:] == [f"q{number}" for number in range(9)]


@pytest.mark.slow
def test_a_policy_that_became_stricter_counts_for_the_next_batch(running: Running, state: Project) -> None:
    """However long the push has been running."""
    seen: list[pushing.Delivered] = []
    delivered = threading.Event()

    def tell(one: pushing.Delivered) -> None:
        seen.append(one)
        delivered.set()

    policy = "policies: {default: {severities: {phone-content: block}}}\n"

    def given() -> Iterator[bytes]:
        yield from lines({"counter": "s1", "bicycles": 1})
        delivered.wait(60)
        with (state.root / "ctnb.yml").open("a", encoding="utf-8") as stream:
            stream.write(policy)
        yield from lines({"counter": "s2", "bicycles": 2, "note": "office: (860) 555-0142"})

    done = pushing.push(
        SLUG, given(), batch_rows=1, every_s=0.0, project=settings.load(state.root), told=tell
    )
    assert [(one.batch, one.status) for one in seen] == [(1, "released"), (2, "blocked")]
    assert (done.exit_code, done.waiting) == (1, 1)
    assert [row[0] for row in rows(running, state)] == ["a1", "a2", "s1"]


def started(project: Project, *options: str) -> subprocess.Popen[bytes]:
    """`ctnb push` of a pipe that stays open, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ctnb", "push", SLUG, "-", *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "CTNB_PROJECT": str(project.root)},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stream_that_is_ended_says_what_was_confirmed(
    running: Running, state: Project, number: signal.Signals, code: int
) -> None:
    """The pipe is still open; what was confirmed is there, and nothing waits."""
    with started(state, "--every", "0") as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(lines({"counter": "w1", "bicycles": 1})[0])
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"batch 1: 1 of 1 record confirmed")
        process.send_signal(number)
        assert process.wait(60) == code
        said = process.stderr.read().decode()
    assert "It was asked to end" in said
    assert "1 record confirmed; lines up to 1 were taken." in said
    assert [row[0] for row in rows(running, state)] == ["a1", "a2", "w1"]
    assert spools.waiting(state, SLUG) == []


@pytest.mark.slow
def test_two_pushes_at_once_lose_and_double_nothing(running: Running, state: Project) -> None:
    """Two processes, three batches each: every record is there once, every batch was one release."""
    with started(state, "--batch", "2") as one, started(state, "--batch", "2") as other:
        said = []
        for name, process in (("x", one), ("y", other)):
            assert process.stdin is not None
            text = b"".join(lines(*({"counter": f"{name}{at}", "bicycles": at} for at in range(6))))
            process.stdin.write(text)
            process.stdin.close()
        for process in (one, other):
            assert process.stdout is not None and process.stderr is not None
            said.append((process.stdout.read().decode(), process.stderr.read().decode()))
            assert process.wait(120) == 0, said
    found = [row[0] for row in rows(running, state)]
    assert found == ["a1", "a2", *(f"{name}{at}" for name in "xy" for at in range(6))]
    assert len(releases.of_dataset(state, SLUG)) == 7
    confirmed = [line for out, _ in said for line in out.splitlines() if "confirmed" in line]
    assert len({line.split(":")[0] for line in confirmed}) == 6
    assert verification.verify(state).faults == ()


@pytest.mark.slow
def test_a_run_beside_a_push_loses_and_doubles_nothing(
    running: Running, state: Project, pool: KernelPool
) -> None:
    """The dataset is held for one batch at a time: the run gets its turn, and each builds on the other."""
    (state.root / "notebooks" / SLUG / "data.csv").write_text(
        "Counter,Bicycles,Note\na1,11,dry\na8,8,\n", encoding="utf-8"
    )
    with started(state, "--batch", "1", "--every", "0") as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"".join(lines(*({"counter": f"r{at}", "bicycles": at} for at in range(4)))))
        process.stdin.flush()
        assert b"confirmed" in process.stdout.readline()
        made = flows.run(SLUG, project=settings.load(state.root), pool=pool)
        process.stdin.close()
        process.stdout.read()
        assert process.wait(120) == 0
    assert made.status == "released", made.reason
    expected = [
        ("a1", 11, "dry"),
        ("a2", 20, None),
        ("a8", 8, None),
        *((f"r{at}", at, None) for at in range(4)),
    ]
    assert rows(running, state) == expected
    assert verification.verify(state).faults == ()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_push_builds_on_what_was_released_since(
    running: Running, state: Project, pool: KernelPool, moment: str
) -> None:
    """A run published other values between the kill and the next push: they stay, and the record is there once."""
    told = [sys.executable, "-c", KILLED, str(state.root), moment]
    assert subprocess.run(told, check=False, timeout=120).returncode == -9
    (state.root / "notebooks" / SLUG / "data.csv").write_text(
        "Counter,Bicycles,Note\na1,11,wet\n", encoding="utf-8"
    )
    made = flows.run(SLUG, project=settings.load(state.root), pool=pool)
    assert made.status == "released", made.reason
    done = push(state, [])
    assert (done.exit_code, done.waiting) == (0, 0), done
    assert rows(running, state) == [("a1", 11, "wet"), ("a2", 20, None), ("a9", 9, None)]
    assert verification.verify(state).faults == ()
