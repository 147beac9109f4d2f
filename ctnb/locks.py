"""
Locks between processes: the operating system's own, so that they go when a process dies.

Order: a dataset's lock, then the ledger's, never the other way.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from ctnb import clock
from ctnb.errors import LockHeld

WAIT_S = 30.0


@contextmanager
def hold(path: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """
    Hold the lock file `path`, which is for its owner only, for the body.

    Beside it, `<path>.holder` says who holds it: host, boot id, pid and since when.
    Raises LockHeld after `wait_s` seconds, naming the holder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path, timeout=wait_s, mode=0o600)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise LockHeld(
            f"{path.stem} is in use by {_holder(path)}.",
            hint="Wait until that process has ended, then try again.",
        ) from None
    holder = path.with_suffix(path.suffix + ".holder")
    try:
        holder.touch(mode=0o600)
        holder.write_text(json.dumps(me()), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def me() -> dict[str, str | int]:
    """Which process this is: host, boot id, pid, time."""
    return {"host": platform.node(), "boot_id": boot_id(), "pid": os.getpid(), "since": clock.stamp()}


def boot_id() -> str:
    """The number of this start of the machine, where the system tells; empty elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process with this number runs on this machine."""
    if os.name == "nt":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # type: ignore[attr-defined,unused-ignore]  # Windows only
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)  # type: ignore[attr-defined,unused-ignore]  # Windows only
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _holder(path: Path) -> str:
    try:
        facts = json.loads(path.with_suffix(path.suffix + ".holder").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "another process"
    return f"process {facts.get('pid')} on {facts.get('host')} since {facts.get('since')}"
