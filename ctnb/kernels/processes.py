"""The process a kernel runs in: how it ends, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ctnb.kernels.outcomes import KernelExit

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class KernelProcess(Protocol):
    """A kernel's process, however it was started."""

    @property
    def pid(self) -> int | None:
        """Its process id, once it is known."""
        ...

    def ended(self) -> KernelExit | None:
        """How it ended; None while it runs."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to it and everything in its process group; nothing when it has ended."""
        ...


class ForkedProcess:
    """A kernel the fork server started; `tell` sends the fork server an order."""

    def __init__(self, name: str, tell: Callable[[dict[str, object]], object]) -> None:
        self.name = name
        self.pid: int | None = None
        self._tell = tell
        self._ended: KernelExit | None = None
        self._over = threading.Event()

    def note_exit(self, how: KernelExit) -> None:
        """Remember how it ended; the first news counts."""
        if self._ended is None:
            self._ended = how
            self._over.set()

    def ended(self) -> KernelExit | None:
        """How it ended; None while it runs."""
        return self._ended

    def signal(self, number: int) -> None:
        """Send a signal to its process group, by way of its parent, which knows that the pid is still its."""
        if self._ended is None:
            self._tell({"op": "signal", "id": self.name, "signal": number})


class SpawnedProcess:
    """A kernel that is this process's own child."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start `argv` in a session of its own; what it writes goes to the end of `log`."""
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        new_group = (
            {"start_new_session": True, "pass_fds": tuple(pass_fds)}
            if os.name == "posix"
            else {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        )
        try:
            self._process = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=fd,
                stderr=fd,
                **new_group,
            )
        finally:
            os.close(fd)
        self.pid: int | None = self._process.pid
        self._lock = threading.Lock()

    def ended(self) -> KernelExit | None:
        """How it ended; None while it runs. Whatever it left behind in its group is killed."""
        with self._lock:
            if self._process.returncode is None and self._is_over():
                _signal_group(self._process.pid, KILL)
                self._process.wait()
            running = self._process.returncode is None
            code = self._process.poll()
            if running and code is not None and not hasattr(os, "waitid"):
                _signal_group(self._process.pid, KILL)
        if code is None:
            return None
        return KernelExit(code=code if code >= 0 else None, signal=-code if code < 0 else None)

    def _is_over(self) -> bool:
        """Whether it has ended but still holds its pid, so that its group can be killed safely."""
        if not hasattr(os, "waitid"):
            return False
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    def signal(self, number: int) -> None:
        """Send a signal to its process group; on Windows end it with all its children."""
        with self._lock:
            if self._process.returncode is not None:
                return
            if os.name == "posix":
                _signal_group(self._process.pid, number)
            else:
                _end_tree(self._process)


def _signal_group(pid: int, number: int) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)


def _end_tree(process: subprocess.Popen[bytes]) -> None:
    tool = Path(os.environ.get("SYSTEMROOT", "C:\\Windows")) / "System32" / "taskkill.exe"
    subprocess.run([str(tool), "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
    process.kill()
