"""Doing the supervisor's own work while a cell runs, without holding up the cell's output."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

TICK_S = 0.02
"""Seconds between two ticks."""

TICK_GRACE_S = 300.0
"""How long to wait for a tick that is under way: it may be sending a release to a portal."""

_here = threading.local()


def wanted() -> bool:
    """Whether somebody still waits for the tick that this thread does; true in any other thread."""
    ticker: Ticker | None = getattr(_here, "ticker", None)
    return ticker is None or ticker.running


class Ticker:
    """Calls `tick` about every `TICK_S` seconds in a thread of its own, never twice at once."""

    def __init__(self, tick: Callable[[], None] | None) -> None:
        self._tick = tick
        self._running = threading.Event()
        self._done = threading.Event()
        self._idle = threading.Lock()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="ctnb-tick", daemon=True)

    def __enter__(self) -> Self:
        if self._tick is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._running.set()
        if self._tick is not None:
            self._thread.join(TICK_GRACE_S)

    @property
    def running(self) -> bool:
        """Whether a cell runs, for which ticks are done."""
        return self._running.is_set() and not self._done.is_set()

    def resume(self) -> None:
        """Tick from now on."""
        self._running.set()

    def pause(self) -> None:
        """Wait for a tick under way, tick once more for what came last, and tick no more for now."""
        self._running.clear()
        if self._tick is None or not self._idle.acquire(timeout=TICK_GRACE_S):
            return
        try:
            self._once()
        finally:
            self._idle.release()

    def check(self) -> None:
        """Raise what a tick raised, if one did."""
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        _here.ticker = self
        while not self._done.is_set():
            if self._running.wait(1):
                with self._idle:
                    if self.running:
                        self._once()
                self._done.wait(TICK_S)

    def _once(self) -> None:
        if self._tick is None or self._failure is not None:
            return
        try:
            self._tick()
        except BaseException as error:  # noqa: BLE001  # raised again by check, in the thread that runs the cells
            self._failure = error
