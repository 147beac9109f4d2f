"""
The journal of a sending: what is about to be done on a portal, written down before it is done.

One line of JSON per step, each on disk before the step begins; a line that a kill cut off is not read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ctnb import clock


class Journal:
    """The steps of one run's sendings, in one file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        """`path` is made by the first step noted; its folder must be there."""
        self.path = path

    def note(self, token: str, state: str, **facts: Any) -> None:
        """Write down that the change `token` is about to be in `state`, with what finds it again."""
        line = json.dumps({"token": token, "state": state, "at": clock.stamp(), **facts}, sort_keys=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b") as stream:
            stream.write(_line_end(stream) + line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def steps(self, token: str) -> list[Mapping[str, Any]]:
        """What was noted of the change `token`, oldest first."""
        return [step for step in self._all() if step.get("token") == token]

    def last(self, token: str) -> Mapping[str, Any] | None:
        """The newest step of the change `token`, or None when it was never begun."""
        found = self.steps(token)
        return found[-1] if found else None

    def newest(self) -> Mapping[str, Any] | None:
        """The newest step of all, or None when nothing was ever begun."""
        found = self._all()
        return found[-1] if found else None

    def of_state(self, state: str) -> list[Mapping[str, Any]]:
        """The steps of all changes in `state`, oldest first."""
        return [step for step in self._all() if step.get("state") == state]

    def _all(self) -> list[Mapping[str, Any]]:
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [step for step in map(_whole, lines) if step]


def _line_end(stream: BinaryIO) -> bytes:
    """What ends a line that a kill cut off, so that the next has its own."""
    if not stream.seek(0, os.SEEK_END):
        return b""
    stream.seek(-1, os.SEEK_END)
    return b"" if stream.read(1) == b"\n" else b"\n"


def _whole(line: str) -> Mapping[str, Any] | None:
    """The step in `line`; None when a kill cut it off."""
    if not line.endswith("\n"):
        return None
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
