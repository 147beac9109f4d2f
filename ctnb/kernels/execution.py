"""
Running a notebook's cells in a fresh kernel.

Whatever the notebook does - raise, quit, hang, kill its process, flood its output - ends as an `Outcome`, and
the notebook's own metadata says the same. A cell that never ran stays pending.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGTERM
from typing import Any

from nbformat.notebooknode import NotebookNode

from ctnb.kernels.connections import Connection, Message
from ctnb.kernels.failures import exception_name
from ctnb.kernels.interruptions import Interruptions, noticed
from ctnb.kernels.memory import PeakMemory
from ctnb.kernels.outcomes import CellOutcome, KernelExit, Limits, Outcome
from ctnb.kernels.outputs import CellOutputs, NotebookOutputs
from ctnb.kernels.pools import Kernel, KernelPool
from ctnb.kernels.scrubbing import Redactor, Scrubber
from ctnb.kernels.statuses import Progress, code_cells, expects_exception
from ctnb.kernels.ticking import Ticker

__all__ = ["CellOutcome", "Limits", "Outcome", "execute"]

POLL_S = 0.02
"""How often to look at signals, deadlines and the kernel's life while nothing arrives."""

SAVE_EVERY_S = 3.0
"""Seconds between two saves while cells run."""

IDLE_S = 4.0
"""How long to wait after a cell's reply for the end of its output."""

TERM_S = 2.0
"""How long an interrupted kernel has to end by itself before it is killed."""

FORKED_START_S = 15.0
"""How long a forked kernel may take to answer before an ordinary one is started instead."""

Save = Callable[[NotebookNode], None]
Event = Callable[[str, dict[str, Any]], None]


def execute(
    nb: NotebookNode,
    *,
    kernel_name: str,
    cwd: Path,
    env: Mapping[str, str],
    limits: Limits,
    secrets: Sequence[str],
    log_path: Path,
    save: Save,
    event: Event,
    tick: Callable[[], None] | None,
    pool: KernelPool | None,
    redact: Redactor | None = None,
) -> Outcome:
    """
    Run the code cells of `nb` in order in a fresh kernel, fill in their outputs, and say what happened.

    The kernel works in `cwd` with exactly the environment `env`. Texts in the notebook are scrubbed of
    `secrets` and pass `redact`; what may not be kept (stderr, messages of errors) goes to `log_path` (0600)
    alone. `save` is called every few seconds and at the end; `event` for kernel_started, cell_started,
    cell_ended and ended; `tick` about every 20 ms while a cell runs, in another thread. Without a `pool` the
    kernel is an ordinary process.

    Raises nothing for what the notebook does; NameUnknown when there is no such kernel, and whatever `save`,
    `event` or `tick` raise, after the kernel was ended.
    """
    with ExitStack() as stack:
        asked = stack.enter_context(noticed())
        kernels = pool or stack.enter_context(KernelPool((), fork=False))
        ticker = stack.enter_context(Ticker(tick))
        start = _Start(kernels, kernel_name, cwd, env, log_path, limits.start_s)
        outputs = NotebookOutputs(Scrubber(secrets, redact), limits, _private_log(log_path))
        run = _Run(nb, start, limits, outputs, _Caller(save, event), asked, ticker)
        return run.all_cells()


@dataclass(frozen=True)
class _Start:
    """How to start the kernel."""

    pool: KernelPool
    kernel_name: str
    cwd: Path
    env: Mapping[str, str]
    log: Path
    start_s: float

    def kernel(self) -> Kernel:
        return self.pool.start(self.kernel_name, cwd=self.cwd, env=self.env, log=self.log)


@dataclass(frozen=True)
class _Caller:
    """What the caller wants to be told."""

    save: Save
    event: Event


@dataclass(frozen=True)
class _Stop:
    """Why no further cell may run."""

    status: str
    reason: str
    cell_status: str = "failed"
    exception_name: str | None = None
    signal: str | None = None


@dataclass
class _Request:
    """A cell that was sent to the kernel, and what has come back."""

    id: str
    name: str
    sent: float
    reply: dict[str, Any] | None = None
    replied: float = 0.0
    idle: bool = False

    def over(self) -> bool:
        late = self.reply is not None and time.monotonic() > self.replied + IDLE_S
        return self.reply is not None and (self.idle or late)


class _Run:
    def __init__(
        self,
        nb: NotebookNode,
        start: _Start,
        limits: Limits,
        outputs: NotebookOutputs,
        caller: _Caller,
        asked: Interruptions,
        ticker: Ticker,
    ) -> None:
        self._nb, self._start, self._limits, self._caller = nb, start, limits, caller
        self._asked, self._ticker, self._outputs = asked, ticker, outputs
        self._progress = Progress(nb)
        self._memory = PeakMemory()
        self._by_request: dict[str, CellOutputs] = {}
        self._saved = time.monotonic()
        self._exit: KernelExit | None = None
        self._kernel: Kernel | None = None
        self._connection: Connection | None = None

    def all_cells(self) -> Outcome:
        """Start a kernel, run every cell or up to the one that ends the run, and end the kernel."""
        began = time.monotonic()
        try:
            outcome = self._begin(began) or self._cells(began + self._limits.run_s)
            outcome = self._finish(outcome)
        except BaseException:  # whatever ended it, the kernel goes
            self._abandon()
            self._progress.break_off()
            raise
        if self._kernel and self._connection and self._exit is None:
            self._start.pool.retire(self._kernel, self._connection)
        else:
            self._abandon()
        return outcome

    def _abandon(self) -> None:
        if self._kernel and self._exit is None:
            self._kernel.kill()
        if self._connection:
            self._connection.close()

    # -- the kernel's start

    def _begin(self, began: float) -> Outcome | None:
        """Start the kernel and greet it; an outcome when that fails."""
        greeted = self._greet()
        if not greeted and self._kernel and self._kernel.forked and not self._asked.count:
            self._start.pool.stop_forking("a forked kernel did not answer")
            self._abandon()
            self._exit = None
            greeted = self._greet()
        if self._asked.count:
            return self._outcome(None, self._interrupted("pending"))
        if not greeted:
            return self._outcome(None, self._not_started())
        facts = {"kernel": self._start.kernel_name, "pid": self._kernel.process.pid if self._kernel else None}
        self._caller.event("kernel_started", {**facts, "seconds": round(time.monotonic() - began, 3)})
        return None

    def _greet(self) -> bool:
        self._kernel = self._start.kernel()
        self._connection = Connection(self._kernel.connection_file)
        wait_s = min(self._start.start_s, FORKED_START_S) if self._kernel.forked else self._start.start_s
        return self._connection.greet(wait_s, lambda: bool(self._asked.count) or self._look_for_end())

    def _not_started(self) -> _Stop:
        if self._exit is not None:
            return _Stop("crashed", f"the kernel ended before it answered ({self._exit.text()})")
        self._kill()
        return _Stop("crashed", f"the kernel did not answer within {self._start.start_s:g} s")

    # -- the cells

    def _cells(self, run_until: float) -> Outcome:
        count = 0
        for index, cell in code_cells(self._nb):
            if self._asked.count:
                return self._outcome(None, self._interrupted("pending"))
            if not str(cell.source).strip():
                self._progress.start(index)
                self._progress.end(index, "completed")
                continue
            count += 1
            if self._look_for_end():
                return self._outcome(index, self._crash(f"before cell {count} ran"))
            if stop := self._cell(index, cell, count, run_until):
                return self._outcome(index, stop)
        if self._asked.count:
            return self._outcome(None, self._interrupted("completed"))
        return self._outcome(None, None)

    def _cell(self, index: int, cell: NotebookNode, count: int, run_until: float) -> _Stop | None:
        """Run one cell to its end; a reason to stop, if there is one."""
        assert self._connection is not None  # noqa: S101  # _begin has connected
        outputs = CellOutputs(self._outputs, cell)
        self._progress.start(index)
        self._caller.event("cell_started", {"cell": index})
        request = _Request(self._connection.execute(cell.source), f"cell {count}", time.monotonic())
        self._by_request[request.id] = outputs
        self._ticker.resume()
        try:
            stop = self._wait(request, run_until)
        finally:
            self._ticker.pause()
        stop = stop or _judge(request)
        raised = _raised(request)
        if stop and stop.status == "failed" and raised and expects_exception(cell) and not _quits(request):
            stop = None
        cell.execution_count = (request.reply or {}).get("execution_count")
        outputs.write(final=True)
        ended = self._progress.end(index, stop.cell_status if stop else "completed", raised)
        self._memory.look(self._pid(), now=True)
        self._tell_end(ended, time.monotonic() - request.sent)
        return stop

    def _tell_end(self, ended: CellOutcome, seconds: float) -> None:
        facts = {"cell": ended.index, "status": ended.status, "seconds": round(seconds, 3)}
        self._caller.event("cell_ended", {**facts, "exception": ended.exception_name})
        self._save_if_due()

    def _wait(self, request: _Request, run_until: float) -> _Stop | None:
        """Take in messages until the cell is over, or until something ends it."""
        cell_until = request.sent + self._limits.cell_s
        while not request.over():
            self._receive(request, POLL_S)
            self._ticker.check()
            if self._asked.count:
                return self._interrupt(request)
            if self._look_for_end():
                return self._died(request)
            if time.monotonic() > min(cell_until, run_until):
                return self._too_long(request, cell_until <= run_until)
            self._memory.look(self._pid())
            self._save_if_due()
        return None

    def _receive(self, request: _Request, wait_s: float) -> int:
        messages = self._connection.receive(wait_s) if self._connection else []
        for message in messages:
            self._take(request, message)
        return len(messages)

    def _take(self, request: _Request, message: Message) -> None:
        mine = message.parent == request.id
        if message.channel == "iopub":
            if mine and message.kind == "status":
                request.idle = message.content.get("execution_state") == "idle"
            elif outputs := self._by_request.get(message.parent):
                outputs.receive(message.kind, message.content)
        elif mine and message.kind == "execute_reply":
            request.reply, request.replied = message.content, time.monotonic()

    # -- what ends a cell early

    def _interrupt(self, request: _Request) -> _Stop:
        """End the kernel: politely at first, by force after two seconds or a second signal."""
        if self._kernel:
            self._kernel.process.signal(SIGTERM)
        until = time.monotonic() + TERM_S
        while time.monotonic() < until and self._asked.count < 2 and not self._look_for_end():
            self._receive(request, POLL_S)
        self._kill()
        self._drain(request)
        return self._interrupted("interrupted")

    def _interrupted(self, cell_status: str) -> _Stop:
        self._asked.acted_on = True
        name = self._asked.name
        return _Stop("interrupted", f"interrupted by {name}", cell_status, signal=name)

    def _died(self, request: _Request) -> _Stop | None:
        self._drain(request)
        if request.reply is not None:
            return None if _quits(request) else self._crash(f"after {request.name}")
        return self._crash(f"while {request.name} ran")

    def _crash(self, when: str) -> _Stop:
        how = self._exit or KernelExit()
        memory = "; the system may have run out of memory" if how.signal == 9 else ""
        return _Stop("crashed", f"the kernel died {when} ({how.text()}){memory}")

    def _too_long(self, request: _Request, cell: bool) -> _Stop:
        self._kill()
        self._drain(request)
        if cell:
            return _Stop("crashed", f"{request.name} ran longer than {self._limits.cell_s:g} s")
        return _Stop("crashed", f"the notebook ran longer than {self._limits.run_s:g} s, at {request.name}")

    def _kill(self) -> None:
        if self._kernel and self._exit is None:
            self._exit = self._kernel.kill()
            self._memory.note(self._exit.peak_bytes)

    def _look_for_end(self) -> bool:
        """Whether the kernel's process has ended; how is kept."""
        if self._exit is None and self._kernel:
            self._exit = self._kernel.process.ended()
            self._memory.note(self._exit.peak_bytes if self._exit else None)
        return self._exit is not None

    def _drain(self, request: _Request) -> None:
        """Take in what a kernel that is gone still had said."""
        for _ in range(1000):
            if not self._receive(request, POLL_S):
                return

    def _pid(self) -> int | None:
        return self._kernel.process.pid if self._kernel else None

    # -- the end

    def _outcome(self, index: int | None, stop: _Stop | None) -> Outcome:
        if stop is None:
            return Outcome("completed", "every cell ran")
        return Outcome(stop.status, stop.reason, index, stop.exception_name, stop.signal)

    def _finish(self, outcome: Outcome) -> Outcome:
        self._look_for_end()
        outcome = replace(outcome, cells=self._progress.cells, peak_memory_bytes=self._memory.peak_bytes)
        self._progress.finish(outcome)
        self._save(final=True)
        self._caller.event("ended", {"status": outcome.status, "reason": outcome.reason})
        return outcome

    def _save_if_due(self) -> None:
        if time.monotonic() >= self._saved + SAVE_EVERY_S:
            self._save(final=False)

    def _save(self, *, final: bool) -> None:
        for outputs in self._by_request.values():
            if outputs.changed:
                outputs.write(final=final)
        self._caller.save(self._nb)
        self._saved = time.monotonic()


def _quits(request: _Request) -> bool:
    """Whether the cell asked its kernel to end: quit() and exit() in Python, quit() and q() in R."""
    payload = (request.reply or {}).get("payload") or ()
    return any(isinstance(part, dict) and part.get("source") == "ask_exit" for part in payload)


def _raised(request: _Request) -> str | None:
    reply = request.reply
    return exception_name(reply) if reply and reply.get("status") == "error" else None


def _judge(request: _Request) -> _Stop | None:
    """Whether what the kernel replied ends the run."""
    if _quits(request):
        return _Stop("failed", f"{request.name} called quit()")
    raised = _raised(request)
    if raised == "SystemExit":
        return _Stop("failed", f"{request.name} called sys.exit()", exception_name=raised)
    if raised == "MemoryError":
        return _Stop("crashed", f"{request.name} ran out of memory (MemoryError)", exception_name=raised)
    if raised:
        return _Stop("failed", f"{request.name} raised {raised}", exception_name=raised)
    if (request.reply or {}).get("status") != "ok":
        return _Stop("failed", f"{request.name} was not run by the kernel")
    return None


def _private_log(path: Path) -> Callable[[str], None]:
    """A function that adds text to the private log, made readable for this user alone."""

    def log(text: str) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(fd, "a", encoding="utf-8", errors="replace") as file:
            file.write(text if text.endswith("\n") else text + "\n")

    return log
