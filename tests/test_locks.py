"""Locks between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from error_texts import assert_text

from ctnb import locks
from ctnb.errors import LockHeld

HOLDER = """
import sys
from pathlib import Path
from ctnb.locks import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock `path` until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    """The wait ends with LockHeld and the process's number."""
    path = tmp_path / "sample.lock"
    process = holding(path)
    try:
        with pytest.raises(LockHeld) as caught, locks.hold(path, wait_s=0.05):
            pass
        assert f"process {process.pid} on " in str(caught.value)
        who = str(caught.value).split(" on ", 1)[1].split(".\n")[0]
        assert_text("lock-held", caught.value, pid=str(process.pid), where=who)
    finally:
        process.communicate("")


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    """A killed holder's name stays behind, its lock does not."""
    path = tmp_path / "sample.lock"
    process = holding(path)
    process.kill()
    process.communicate()
    assert path.with_suffix(".lock.holder").exists()
    with locks.hold(path, wait_s=5):
        assert f'"pid": {os.getpid()}' in path.with_suffix(".lock.holder").read_text()
    assert not path.with_suffix(".lock.holder").exists()


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    """An error in the body lets the lock go."""
    path = tmp_path / "sample.lock"
    with pytest.raises(ZeroDivisionError), locks.hold(path):
        raise ZeroDivisionError
    with locks.hold(path, wait_s=0.05):
        pass


def test_two_holders_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    """A thread of the same program gets no second hold of the same lock."""
    path = tmp_path / "sample.lock"
    with locks.hold(path), pytest.raises(LockHeld), locks.hold(path, wait_s=0.05):
        pass


def test_a_process_is_alive_until_it_has_ended() -> None:
    """A number of a process is asked of the system."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    assert locks.alive(os.getpid())
    process.wait()
    assert not locks.alive(process.pid)
