"""The most memory a kernel has held, so that a record can say why it was killed."""

from __future__ import annotations

import re
import time
from pathlib import Path

_EVERY_S = 0.5
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


class PeakMemory:
    """Reads a process's high-water mark now and then (proc(5), VmHWM); None where the system has none."""

    def __init__(self) -> None:
        self.peak_bytes: int | None = None
        self._next = 0.0

    def look(self, pid: int | None, *, now: bool = False) -> None:
        """Read the mark of `pid`, at most twice a second unless `now`."""
        if pid is None or (time.monotonic() < self._next and not now):
            return
        self._next = time.monotonic() + _EVERY_S
        try:
            found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
        except OSError:
            return
        if found:
            self.note(int(found[1]) * 1024)

    def note(self, seen_bytes: int | None) -> None:
        """Take in a mark that something else saw."""
        if seen_bytes is not None:
            self.peak_bytes = max(self.peak_bytes or 0, seen_bytes)
