"""Starting a Python kernel in this process: the same way in a forked and in a spawned one."""

from __future__ import annotations

import atexit
import contextlib
import json
import locale
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


def run_kernel(connection_file: str, before_start: Callable[[], None]) -> None:
    """
    Serve one kernel on `connection_file` until it is shut down.

    Nothing of the user's Jupyter or IPython settings is read, no history is written, and what is written to
    file descriptors 1 and 2 stays there. `before_start` runs when the kernel is ready but has not served yet.
    """
    from ipykernel.kernelapp import IPKernelApp  # here, so that a process that only waits does not load it
    from traitlets.config import Config

    from ctnb.kernels import display

    class StepKernelApp(IPKernelApp):  # type: ignore[misc]  # ipykernel has no types for mypy here
        def load_config_file(self, *args: Any, **kwargs: Any) -> None:
            """Read no settings: a run is the same for everyone."""

    sys.argv = ["ctnb-kernel"]
    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    settings.IPKernelApp.capture_fd_output = False
    app = StepKernelApp.instance(
        config=settings,
        connection_file=connection_file,
        log_level="CRITICAL",  # or it explains to a terminal, in the log, how to connect to it
    )
    with _ipython_folder(Path(connection_file).parent):
        app.initialize([])
    app.log_level = "ERROR"
    display.install(app.shell)
    before_start()
    app.start()
    # ipykernel's own tidying up can wait for ever for its sockets; what the notebook asked for is done
    atexit.unregister(app.close)
    atexit._run_exitfuncs()


@contextlib.contextmanager
def _ipython_folder(folder: Path) -> Iterator[None]:
    """Let IPython take `folder` as its own for now, instead of making one in the user's home."""
    former = os.environ.get("IPYTHONDIR")
    os.environ["IPYTHONDIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["IPYTHONDIR"]
        if former is not None:
            os.environ["IPYTHONDIR"] = former


def enter(cwd: str, env: Mapping[str, str], log: str) -> None:
    """Give this process its folder, exactly this environment, and a private file for what it writes."""
    os.environ.clear()
    os.environ.update(env)
    if hasattr(time, "tzset"):
        time.tzset()
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    tempfile.tempdir = None  # what was asked for before belongs to the supervisor's environment
    os.chdir(cwd)
    redirect(log)


def redirect(log: str) -> None:
    """Send file descriptors 1 and 2 to the end of the file `log` (mode 0600), and read nothing."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    for fd in (out, nothing):
        if fd > 2:
            os.close(fd)


def end_with_supervisor(fd: int) -> None:
    """Kill this process's group when the other end of `fd` is closed: the supervisor is gone."""

    def watch() -> None:
        os.read(fd, 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="ctnb-supervisor-watch", daemon=True).start()


def main() -> None:
    """Run a kernel as `argv[1]`, a JSON object, says: connection, log and perhaps watch_fd."""
    told = json.loads(sys.argv[1])
    if told.get("watch_fd") is not None:
        end_with_supervisor(told["watch_fd"])
    redirect(told["log"])
    run_kernel(told["connection"], lambda: None)
    os._exit(0)
