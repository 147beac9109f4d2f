"""Kernels that start quickly: a fork server where the system has fork, ordinary processes elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ctnb.errors import NameUnknown
from ctnb.kernels.outcomes import START_S, KernelExit
from ctnb.kernels.processes import KILL, ForkedProcess, KernelProcess, SpawnedProcess

if TYPE_CHECKING:
    from ctnb.kernels.connections import Connection

PRELOAD = (
    "pandas", "pyarrow", "pyarrow.parquet", "duckdb", "ctnb.steps", "ctnb.displays", "ctnb.portals.plans",
    "ctnb.privacy.reviews", "ctnb.reads.reading", "ctnb.transforms.apply", "ctnb.transforms.sql",
)  # fmt: skip
"""What the fork server loads before it forks, besides ipykernel: once, where each step would load it again."""

PYTHON = ("python3", "python")
"""Names of kernels that are always this interpreter's own, whatever is registered under them."""

SHUTDOWN_S = 2.0
"""How long a kernel may take to end by itself after its last cell."""

KILL_S = 5.0
"""How long to wait for a killed process to be gone."""

_LIBRARY = Path(__file__).resolve().parents[2]
_BOOT = "import sys; sys.path.append({root!r}); from ctnb.kernels import {module}; {module}.main()"
# The fork server's own environment stays readable in /proc of every kernel: nothing but this goes in.
_ZYGOTE_ENV = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX",
)  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """A kernel that was started; whether it answers is another question."""

    process: KernelProcess
    """What it runs in."""
    folder: Path
    """Where its sockets are; private."""
    connection_file: Path
    """How to reach it."""
    forked: bool
    """Whether it is a Python kernel from the fork server."""

    def kill(self, wait_s: float = KILL_S) -> KernelExit:
        """End it and all it started, at once."""
        self.process.signal(KILL)
        return wait_for_exit(self.process, wait_s) or KernelExit()


def wait_for_exit(process: KernelProcess, wait_s: float) -> KernelExit | None:
    """How `process` ended, or None when it still runs after `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    while (how := process.ended()) is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return how


class KernelPool:
    """
    Starts kernels, one for each notebook, and ends them in the background.

    Enter it as early as possible: its fork server loads `preload` while the caller goes on with its own
    imports. Modules that are not installed are left out. With `fork=False`, or where there is no fork, every
    kernel is an ordinary process.
    """

    def __init__(self, preload: Sequence[str] = PRELOAD, *, fork: bool = True) -> None:
        self._preload = tuple(preload)
        self.forks = fork and hasattr(os, "fork")
        self.unfit = ""
        self._sending = threading.Lock()
        self._choosing = threading.RLock()
        self._settled = threading.Event()
        self._kernels: dict[str, ForkedProcess] = {}
        self._prepared: Kernel | None = None
        self._retiring: list[threading.Thread] = []
        self._watch: list[int] = []
        self._count = 0
        self._zygote: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="ctnb-", dir=_short_temporary_folder()))
        if self.forks:
            self._start_zygote()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._retiring:
            thread.join(SHUTDOWN_S + 2 * KILL_S)
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_RDWR)
        if self._zygote is not None:
            self._end_zygote(self._zygote)
        for fd in self._watch:
            os.close(fd)
        shutil.rmtree(self._folder, ignore_errors=True)

    def prepare(self) -> None:
        """Fork the next Python kernel ahead of time; nothing where there is no fork server."""
        with self._choosing:
            if self.forks and self._prepared is None:
                self._prepared = self._fork()

    def start(self, kernel_name: str, *, cwd: Path, env: Mapping[str, str], log: Path) -> Kernel:
        """
        Start a kernel in `cwd` with exactly the environment `env`; what its process writes goes to `log`.

        Raises NameUnknown when no kernel of that name is registered.
        """
        log.touch(mode=0o600, exist_ok=True)
        facts: dict[str, Any] = {"cwd": str(cwd), "env": dict(env), "log": str(log.resolve())}
        if kernel_name not in PYTHON:
            return self._start_other(_kernelspec_argv(kernel_name), facts)
        if self._can_fork():
            with self._choosing:
                kernel, self._prepared = self._prepared or self._fork(), None
            if self._tell({"op": "go", "id": _name(kernel), **facts}):
                return kernel
        return self._spawn_python(facts)

    def stop_forking(self, reason: str) -> None:
        """Start every later kernel as an ordinary process; `reason` is kept in `unfit`."""
        self.forks, self.unfit, self._prepared = False, reason, None
        self._settled.set()

    def retire(self, kernel: Kernel, connection: Connection) -> None:
        """Ask a kernel to end, in the background; kill it and all it started when it does not."""
        thread = threading.Thread(target=_retire, args=(kernel, connection), name="ctnb-retire")
        thread.start()
        self._retiring.append(thread)

    # -- the fork server

    def _start_zygote(self) -> None:
        ours, theirs = socket.socketpair()
        told = json.dumps({"fd": theirs.fileno(), "folder": str(self._folder), "preload": self._preload})
        log = os.open(self._folder / "zygote.log", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            self._zygote = subprocess.Popen(
                [*_python("zygote"), told],
                env={**{n: os.environ[n] for n in _ZYGOTE_ENV if n in os.environ}, "PYTHONUTF8": "1"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[theirs.fileno()], start_new_session=True, cwd=self._folder,
            )  # fmt: skip
        finally:
            os.close(log)
            theirs.close()
        self._channel = ours
        threading.Thread(target=self._listen, args=(ours,), name="ctnb-zygote", daemon=True).start()

    def _listen(self, channel: socket.socket) -> None:
        """Take in what the fork server says until it ends."""
        with contextlib.suppress(OSError, ValueError), channel.makefile("rb") as lines:
            for line in lines:
                self._note(json.loads(line))
        self.stop_forking(self.unfit or "the fork server ended")
        for process in list(self._kernels.values()):
            _kill_orphan(process)

    def _note(self, news: dict[str, Any]) -> None:
        if "ready" in news:
            self._settled.set()
        elif "unfit" in news:
            self.stop_forking(str(news["unfit"]))
        elif process := self._kernels.get(news["id"]):
            if "pid" in news:
                process.pid = news["pid"]
            else:
                process.note_exit(KernelExit(**news["exit"]))
                self._kernels.pop(news["id"], None)

    def _tell(self, order: dict[str, object]) -> bool:
        try:
            with self._sending:
                if self._channel is not None:
                    self._channel.sendall(json.dumps(order).encode() + b"\n")
            return self._channel is not None
        except OSError:
            return False  # the fork server is gone: the listener notices and says so of its kernels

    def _can_fork(self) -> bool:
        if self.forks and not self._settled.wait(START_S):
            self.stop_forking(f"the fork server was not ready after {START_S:g} s")
        return self.forks

    def _fork(self) -> Kernel:
        folder, file = self._new_folder()
        process = ForkedProcess(folder.name, self._tell)
        self._kernels[process.name] = process
        self._tell({"op": "fork", "id": process.name, "connection": str(file)})
        return Kernel(process, folder, file, forked=True)

    def _end_zygote(self, zygote: subprocess.Popen[bytes]) -> None:
        try:
            zygote.wait(KILL_S)
        except subprocess.TimeoutExpired:
            zygote.kill()
            zygote.wait(KILL_S)

    # -- ordinary processes

    def _spawn_python(self, facts: Mapping[str, Any]) -> Kernel:
        folder, file = self._new_folder()
        told: dict[str, Any] = {"connection": str(file), "log": facts["log"], "watch_fd": None}
        fds = []
        if os.name == "posix":
            told["watch_fd"], held = os.pipe()  # the kernel ends when our end closes, however we end
            fds = [told["watch_fd"]]
            self._watch.append(held)
        process = _spawn([*_python("launcher"), json.dumps(told)], facts, fds)
        for fd in fds:
            os.close(fd)
        return Kernel(process, folder, file, forked=False)

    def _start_other(self, argv: Sequence[str], facts: Mapping[str, Any]) -> Kernel:
        folder, file = self._new_folder()
        argv = [part.replace("{connection_file}", str(file)) for part in argv]
        if not self._can_fork():
            return Kernel(_spawn(argv, facts), folder, file, forked=False)
        process = ForkedProcess(
            folder.name, self._tell
        )  # so that it, too, ends when the supervisor is killed
        self._kernels[process.name] = process
        self._tell({"op": "exec", "id": process.name, "argv": argv, **facts})
        return Kernel(process, folder, file, forked=False)

    def _new_folder(self) -> tuple[Path, Path]:
        from ctnb.kernels.connections import (
            write_connection_file,
        )  # Jupyter's modules, while the zygote loads

        with self._choosing:
            self._count += 1
            folder = self._folder / f"k{self._count}"
        folder.mkdir(mode=0o700)
        return folder, write_connection_file(folder)


def _python(module: str) -> list[str]:
    return [sys.executable, "-P", "-c", _BOOT.format(root=str(_LIBRARY), module=module)]


def _spawn(argv: Sequence[str], facts: Mapping[str, Any], fds: Sequence[int] = ()) -> SpawnedProcess:
    return SpawnedProcess(
        argv, cwd=Path(facts["cwd"]), env=facts["env"], log=Path(facts["log"]), pass_fds=fds
    )


def _name(kernel: Kernel) -> str:
    return kernel.folder.name


def _short_temporary_folder() -> str:
    """The temporary folder, or /tmp when its path would not leave room for a Unix socket's (104 bytes)."""
    usual = tempfile.gettempdir()
    return usual if os.name != "posix" or len(usual) < 75 else "/tmp"  # noqa: S108  # mkdtemp makes it private


def _kill_orphan(process: ForkedProcess) -> None:
    """Kill a kernel whose fork server is gone."""
    if process.ended() is None and process.pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, KILL)
    process.note_exit(KernelExit())


def _retire(kernel: Kernel, connection: Connection) -> None:
    try:
        connection.send("control", "shutdown_request", {"restart": False})
        if wait_for_exit(kernel.process, SHUTDOWN_S) is None:
            kernel.kill()
    finally:
        connection.close()
        shutil.rmtree(kernel.folder, ignore_errors=True)


def _kernelspec_argv(name: str) -> list[str]:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # rarely needed, slow to import

    specs = KernelSpecManager()
    with contextlib.suppress(NoSuchKernel):
        spec = specs.get_kernel_spec(name)
        return [part.replace("{resource_dir}", spec.resource_dir) for part in spec.argv]
    raise NameUnknown("kernel", name, specs.find_kernel_specs())
