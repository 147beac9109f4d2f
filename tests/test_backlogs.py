"""What waits on its way to a portal: told in counts, given up with a reason, never in the way without a word."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import push_projects
import pytest
from portal_fixture import Running, running_portal
from push_projects import SLUG, lines, make, push, rows

from ctnb import backlogs, deciding, ledger, pushing, records, settings, spools, verification
from ctnb.errors import UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.settings import Project

pytestmark = pytest.mark.slow
MAIL = "wanda.tremaine@pobox.example.net"
WHY = "The note names a person; the office sends the record anew."
BLOCKED = {"counter": "b1", "bicycles": 1, "note": f"ask {MAIL}"}
HELD = {"counter": "h1", "bicycles": 1, "note": "office: (860) 555-0142"}
GOOD = {"counter": "g1", "bicycles": 2}


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running embedded portal."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def state(tmp_path: Path, running: Running, pool: KernelPool, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A dataset on a Socrata portal."""
    push_projects.sign_in(running, monkeypatch)
    return make(tmp_path, running.url, "state", pool)


def runs(project: Project) -> int:
    """How many runs there are."""
    return len(records.all_records(project))


def test_a_batch_behind_a_blocked_one_waits_and_says_so(state: Project) -> None:
    """Each later push is told which batch comes first; the blocked one is not tried again for nothing."""
    told: list[pushing.Delivered] = []
    assert push(state, lines(BLOCKED)).exit_code == 1
    before = runs(state)
    done = push(state, lines(GOOD), told=told.append)
    assert (done.exit_code, done.waiting, runs(state)) == (1, 2, before)
    assert [(one.batch, one.status) for one in told] == [(1, "blocked"), (2, "waiting")]
    assert told[1].why == "Batch 1 comes first, and is blocked."
    found = backlogs.backlog(SLUG, project=state)
    assert [(one.batch, one.status, one.records) for one in found.waiting] == [
        (1, "blocked", 1), (2, "behind another", 1)
    ]  # fmt: skip
    assert found.waiting[0].since
    assert MAIL not in str(found.to_json())


def test_a_discarded_batch_makes_way_for_the_next(running: Running, state: Project) -> None:
    """It takes a reason; who, why and how many stand in the ledger, and the records in a private file."""
    push(state, lines(BLOCKED))
    push(state, lines(GOOD))
    with pytest.raises(UsageError, match="does not say why"):
        backlogs.discard(SLUG, reason="", project=state)
    done = backlogs.discard(SLUG, reason=WHY, project=state)
    assert (done.batch, done.records, done.waiting) == (1, 1, 1)
    assert MAIL in done.file.read_text(encoding="utf-8")
    assert done.file.stat().st_mode & 0o077 == 0
    entry = [one for one in ledger.entries(state.ledger) if one.kind == backlogs.KIND][-1]
    assert (entry.facts["batch"], entry.facts["records"], entry.facts["reason"]) == (1, 1, WHY)
    assert MAIL not in str(entry.facts)
    again = push(state, [])
    assert (again.exit_code, again.waiting) == (0, 0), again
    assert [row[0] for row in rows(running, state)] == ["a1", "a2", "g1"]
    assert verification.verify(state).faults == ()
    with pytest.raises(UsageError, match="No batch waits"):
        backlogs.discard(SLUG, reason=WHY, project=state)


def test_a_batch_that_waits_is_tried_when_somebody_decided(running: Running, state: Project) -> None:
    """Until then no push makes another run of it; a decision that stands lets the batches behind it go too."""
    first = push(state, lines(HELD))
    before = runs(state)
    push(state, lines(GOOD))
    assert (first.delivered[0].status, runs(state)) == ("waiting", before)
    deciding.decide(
        state, first.delivered[0].run, "approve", standing=True,
        reason="The office publishes this number itself.",
    )  # fmt: skip
    again = push(state, [])
    assert (again.exit_code, again.waiting, len(again.delivered)) == (0, 0, 2), again
    assert again.delivered[0].run == first.delivered[0].run
    assert [row[0] for row in rows(running, state)] == ["a1", "a2", "g1", "h1"]


def test_nobody_can_approve_what_was_discarded(running: Running, state: Project) -> None:
    """Its run ends with it."""
    run = push(state, lines(HELD)).delivered[0].run
    backlogs.discard(SLUG, reason=WHY, project=state)
    assert records.find(state, run).status == "expired"
    with pytest.raises(UsageError, match="does not wait for a decision"):
        deciding.decide(state, run, "approve", reason="The office publishes this number itself.")
    assert [row[0] for row in rows(running, state)] == ["a1", "a2"]
    assert verification.verify(state).faults == ()


def test_a_batch_that_was_not_tried_is_only_given_up_by_its_number(state: Project) -> None:
    """Nobody gives up what may well go through."""
    spools.add(state, SLUG, {"format": 1, "delete": None, "portal": "state", "reason": ""}, [GOOD, GOOD])
    with pytest.raises(UsageError, match="has not been tried yet"):
        backlogs.discard(SLUG, reason=WHY, project=state)
    assert backlogs.discard(SLUG, reason=WHY, batch=1, project=state).records == 2


KILLED = """
import os, sys
from pathlib import Path
from ctnb import pushing, settings
from ctnb.clients.socrata import Socrata
def killed(self, *given, write=Socrata.upsert, **more):
    write(self, *given, **more)
    os.kill(os.getpid(), 9)
Socrata.upsert = killed
pushing.push("counters", [b'{"counter": "k1", "bicycles": 9}'], project=settings.load(Path(sys.argv[1])))
"""


def test_a_batch_that_may_have_arrived_is_not_given_up(running: Running, state: Project) -> None:
    """Killed right after the portal took it: it has to be gone on with, and then it is confirmed."""
    told = [sys.executable, "-c", KILLED, str(state.root)]
    assert subprocess.run(told, check=False, timeout=120).returncode == -9
    with pytest.raises(UsageError, match="may have arrived"):
        backlogs.discard(SLUG, reason=WHY, batch=1, project=settings.load(state.root))
    assert push(state, []).exit_code == 0
    assert [row[0] for row in rows(running, state)] == ["a1", "a2", "k1"]
