"""Leases: a run whose supervisor was killed is found and marked."""

from __future__ import annotations

import subprocess
import sys

import pytest
from record_examples import step, written

from ctnb import leases, ledger, records
from ctnb.errors import LockHeld
from ctnb.settings import Project

HOLDER = """
import sys
from pathlib import Path
from ctnb import leases, settings
with leases.held(settings.load(Path(sys.argv[1])), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(project: Project, run: str) -> subprocess.Popen[str]:
    """A process that holds the lease of `run` until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(project.root), run]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_run_whose_supervisor_was_killed_is_marked_once(project: Project) -> None:
    """The record says interrupted, its running step too, and the ledger has its seal."""
    record = written(project, 1, status="running", steps=[step("completed"), step("running")])
    process = holding(project, record.run)
    assert leases.reap(project) == []
    process.kill()
    process.communicate()
    assert [one.run for one in leases.reap(project)] == [record.run]
    found = records.find(project, record.run)
    assert (found.status, found.exit_code, found.seal) == ("interrupted", 143, 1)
    assert [one.status for one in found.steps] == ["completed", "interrupted"]
    assert [entry.kind for entry in ledger.entries(project.ledger)] == ["seal"]
    assert leases.reap(project) == []


def test_a_run_that_ended_and_was_not_sealed_is_sealed(project: Project) -> None:
    """A process killed between the end of a run and its seal leaves the status as it was."""
    record = written(project, 1, status="failed")
    assert [one.run for one in leases.reap(project)] == [record.run]
    assert (records.find(project, record.run).status, records.find(project, record.run).seal) == ("failed", 1)


def test_a_waiting_run_is_left_alone(project: Project) -> None:
    """A run that waits for a decision has no process, and that is right."""
    written(project, 1, status="waiting")
    assert leases.reap(project) == []


def test_a_run_has_one_supervisor(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one is told that somebody works on the run."""
    monkeypatch.setattr(leases, "WAIT_S", 0.05)
    process = holding(project, "20261121T110512Z-0001")
    try:
        run = "20261121T110512Z-0001"
        with pytest.raises(LockHeld, match="works on run"), leases.held(project, run):
            pass
    finally:
        process.communicate("")
