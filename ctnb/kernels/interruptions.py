"""Noticing Ctrl-C and requests to end while a notebook runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruptions:
    """How often, and first by which signal, this process was asked to end."""

    def __init__(self) -> None:
        self.count = 0
        self.name: str | None = None
        self.acted_on = False

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Remember one signal; the first one gives the name."""
        self.count += 1
        self.name = self.name or signal.Signals(number).name


@contextmanager
def noticed() -> Iterator[Interruptions]:
    """
    Note SIGINT and SIGTERM instead of acting on them, and put the former handlers back in the end.

    A signal that nobody acted on is raised again then, for the handlers it was meant for.

    Only the main thread may have handlers; in another one nothing is ever noted.
    """
    seen = Interruptions()
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    former = {number: signal.signal(number, seen.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in former.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if seen.name and not seen.acted_on:
            signal.raise_signal(signal.Signals[seen.name])
