"""
A fork server: one process that has loaded what kernels need and forks a kernel in milliseconds.

Runs in a process of its own (POSIX), single-threaded, and talks JSON lines over a socket with the supervisor:

    ->  {"op": "fork", "id", "connection"}               a Python kernel that waits, ready but not serving
    ->  {"op": "go", "id", "cwd", "env", "log"}          let it serve
    ->  {"op": "exec", "id", "argv", "cwd", "env", "log"}  another program, for kernels of other languages
    ->  {"op": "signal", "id", "signal"}                 to the kernel's whole process group
    <-  {"ready": true} or {"unfit": reason}
    <-  {"id", "pid"}        <-  {"id", "exit": {"code", "signal", "peak_bytes"}}

When the supervisor goes, however it goes, the socket closes: every kernel's group is killed, and this ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import selectors
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ctnb.kernels import launcher

_QUIET = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_QUIET["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # pyarrow's allocator starts a thread at import
_ALWAYS = ("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ctnb.kernels.display")


class _Zygote:
    def __init__(self, channel: socket.socket, folder: Path) -> None:
        self._channel, self._folder = channel, folder
        self._pids: dict[str, int] = {}
        self._gates: dict[str, int] = {}
        self._buffer = b""

    def serve(self) -> None:
        """Answer the supervisor until its end of the socket closes."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(wake_read, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._channel and not self._receive():
                        return
                    if key.fileobj == wake_read:
                        os.read(wake_read, 4096)
                self._reap()

    def _receive(self) -> bool:
        try:
            data = self._channel.recv(65536)
        except ConnectionError:
            data = b""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._act(json.loads(line))
        return bool(data)

    def tell(self, **fact: Any) -> None:
        """Send one line to the supervisor; if it is gone, the closed socket says so soon."""
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(fact).encode() + b"\n")

    def _act(self, order: dict[str, Any]) -> None:
        name = order["id"]
        if order["op"] == "fork":
            self._fork_kernel(name, order["connection"])
        elif order["op"] == "exec":
            self._fork(name, lambda: _exec(order["argv"], order["cwd"], order["env"], order["log"]))
        elif order["op"] == "go" and name in self._gates:
            gate = self._gates.pop(name)
            with contextlib.suppress(BrokenPipeError):  # it died while it waited; its exit is told anyway
                os.write(gate, json.dumps(order).encode() + b"\n")
            os.close(gate)
        elif order["op"] == "signal" and name in self._pids:
            _kill_group(self._pids[name], order["signal"])

    def _fork_kernel(self, name: str, connection: str) -> None:
        gate_read, gate_write = os.pipe()
        self._gates[name] = gate_write
        self._fork(name, lambda: _kernel(connection, gate_read), keep=gate_read)
        os.close(gate_read)

    def _fork(self, name: str, body: Callable[[], None], keep: int = 2) -> None:
        pid = os.fork()
        if pid:
            self._pids[name] = pid
            self.tell(id=name, pid=pid)
            return
        self._become_child(body, keep)

    def _become_child(self, body: Callable[[], None], keep: int) -> NoReturn:
        code = 1
        try:
            os.setsid()
            _die_with_parent()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _close_all_but(keep)
            body()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:  # noqa: BLE001  # the child must never go on in the zygote's code
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        for name, pid in list(self._pids.items()):
            if (ended := _wait(pid)) is None:
                continue
            status, usage = ended
            del self._pids[name]
            if (gate := self._gates.pop(name, None)) is not None:
                os.close(gate)
            self.tell(id=name, exit=_exit_facts(status, usage.ru_maxrss))

    def end(self) -> None:
        """Kill every kernel with all it started, and remove the sockets' folder."""
        for pid in self._pids.values():
            _kill_group(pid, signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)


def _kernel(connection: str, gate: int) -> None:
    """Prepare a kernel, wait for the word to go, and serve."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()

    def wait() -> None:
        with os.fdopen(gate, "rb") as orders:
            line = orders.readline()
        if not line:
            os._exit(0)  # never needed, or nobody is left to need it
        order = json.loads(line)
        launcher.enter(order["cwd"], order["env"], order["log"])

    launcher.run_kernel(connection, wait)


def _exec(argv: Sequence[str], cwd: str, env: dict[str, str], log: str) -> None:
    os.chdir(cwd)
    launcher.redirect(log)
    os.execvpe(argv[0], list(argv), env)  # noqa: S606  # a kernelspec's own command line, without a shell


def _wait(pid: int) -> tuple[int, Any] | None:
    """The status and resource usage of a child that has ended, after killing what it left behind."""
    if hasattr(os, "waitid"):  # not on macOS before Python 3.13
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        _kill_group(pid, signal.SIGKILL)  # while the pid still belongs to the ended child
    ended, status, usage = os.wait4(pid, os.WNOHANG)
    if not ended:
        return None
    if not hasattr(os, "waitid"):
        _kill_group(pid, signal.SIGKILL)
    return status, usage


def _exit_facts(status: int, peak: int) -> dict[str, int | None]:
    code = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "code": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "peak_bytes": peak * unit,
    }


def _kill_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)  # it has not called setsid yet, or is the last of its group


def _die_with_parent() -> None:
    """Where Linux offers it, end when the zygote is killed too (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _close_all_but(keep: int) -> None:
    """Close the zygote's own files, the gates of other kernels included: they close when the zygote ends."""
    os.closerange(3, keep)
    os.closerange(max(keep + 1, 3), 1024)


def _preload(modules: Sequence[str]) -> None:
    os.environ.update(_QUIET)
    gc.disable()
    for name in (*_ALWAYS, *modules):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.modules.pop("rfc3987_syntax", None)  # an analyst may want it
    gc.enable()
    gc.collect()
    gc.freeze()


def _threads() -> int:
    """How many threads this process has, those of libraries included where the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def main() -> None:
    """Be the fork server that `argv[1]`, a JSON object with fd, folder and preload, describes."""
    told = json.loads(sys.argv[1])
    zygote = _Zygote(socket.socket(fileno=told["fd"]), Path(told["folder"]))
    _preload(told["preload"])
    if _threads() > 1:
        zygote.tell(unfit=f"a module started a thread ({_threads()} are there)")
        return
    zygote.tell(ready=True)
    zygote.serve()
    zygote.end()
    os._exit(0)
