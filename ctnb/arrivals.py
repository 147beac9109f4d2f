"""
Records as they arrive: lines read as they come, put together by count, by size and by age, and parsed.

A thread reads, so that a batch can be sent when it is old enough while the next line is still waited for. It reads
ahead a few megabytes and then waits: whoever writes into the pipe waits too, and nothing is thrown away.
"""

from __future__ import annotations

import codecs
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctnb.contracts.columns import Column
from ctnb.sources import objects
from ctnb.sources.cursors import DECODER, RECORD_LIMIT, Doubled, Number

LINE_BYTES = RECORD_LIMIT
"""A longer line is no record."""
AHEAD_BYTES = 16 << 20
"""So much is read ahead of what is written to disk."""
BATCH_BYTES = 64 << 20
"""A batch is ended when it is this large, however few records it has."""
LOOK_S = 0.2
"""How often somebody who waits for lines looks whether the reading was asked to end."""
_CHUNK_BYTES = 1 << 16
_NO_NUMBERS = frozenset(["NaN", "Infinity", "-Infinity"])

Numbered = tuple[int, bytes]


def lines(descriptor: int, limit: int = LINE_BYTES) -> Iterator[bytes]:
    """
    The lines of an open file or pipe as soon as they are whole, a last one also without its end.

    Of a line over `limit` bytes only the first `limit` + 1 are given: enough to see that it is too long. It reads
    past Python's buffers, so that a process can end while a thread still waits for the next line.
    """
    parts: list[bytes] = []
    size = 0
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            yield b"".join([*parts, piece])[: limit + 1]
            parts, size = [], 0
        if size <= limit:
            parts.append(rest)
            size += len(rest)
    if size:
        yield b"".join(parts)[: limit + 1]


class Feed:
    """Lines that a thread reads, with their numbers from 1; blank ones are counted and left out."""

    def __init__(self, lines: Iterable[bytes], *, ahead_bytes: int = AHEAD_BYTES) -> None:
        """Begin to read `lines`, at most `ahead_bytes` ahead of what is taken."""
        self._state = threading.Condition()
        self._held: deque[tuple[int, bytes, float]] = deque()
        self._bytes = 0
        self._ahead = ahead_bytes
        self._read_all = self._stopped = False
        self._failure: BaseException | None = None
        self.number = 0
        """The number of the last line that was read."""
        threading.Thread(target=self._read, args=(iter(lines),), daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether nothing is left to take."""
        with self._state:
            return (self._read_all or self._stopped) and not self._held

    def stop(self) -> None:
        """Read no further line; those that were read can still be taken. A signal handler may call it."""
        self._stopped = True

    def take(self, size: int, every_s: float, *, until: float | None = None) -> list[Numbered]:
        """
        The next lines: `size` of them, or those there are when the first is `every_s` seconds old or none follows.

        Empty when there is none at the time `until` (of the monotonic clock), or at the end. Raises OSError and
        whatever else the reading came to.
        """
        with self._state:
            while not self._ready(size, every_s):
                if until is not None and not self._held and time.monotonic() >= until:
                    return []
                self._state.wait(LOOK_S)
            if self._failure and not self._held:
                raise self._failure
            return self._taken(size)

    def _ready(self, size: int, every_s: float) -> bool:
        if self._read_all or self._stopped or len(self._held) >= size or self._bytes >= self._ahead:
            return True
        return bool(self._held) and time.monotonic() - self._held[0][2] >= every_s

    def _taken(self, size: int) -> list[Numbered]:
        found: list[Numbered] = []
        taken = 0
        while self._held and len(found) < size and taken < BATCH_BYTES:
            number, line, _ = self._held.popleft()
            found.append((number, line))
            taken += len(line)
        self._bytes -= taken
        self._state.notify_all()
        return found

    def _read(self, lines: Iterator[bytes]) -> None:
        try:
            for line in lines:
                if not self._put(line):
                    return
        except BaseException as trouble:  # noqa: BLE001 - it belongs to whoever takes the lines
            self._failure = trouble
        finally:
            with self._state:
                self._read_all = True
                self._state.notify_all()

    def _put(self, line: bytes) -> bool:
        with self._state:
            while self._bytes >= self._ahead and not self._stopped:
                self._state.wait(LOOK_S)
            if self._stopped:
                return False
            self.number += 1
            if line.strip():
                self._held.append((self.number, line, time.monotonic()))
                self._bytes += len(line)
                self._state.notify_all()
            return True


@dataclass(frozen=True)
class Expected:
    """What a line has to be."""

    names: Mapping[str, str]
    """The contract's name of each name that a line may use."""
    exactly: frozenset[str] = frozenset()
    """The names that it must have, and no other; empty when any will do."""
    limit: int = LINE_BYTES
    """Bytes of the longest line."""


def expected(columns: Sequence[Column], limit: int = LINE_BYTES, exactly: Iterable[str] = ()) -> Expected:
    """Lines under the contract's names or headers."""
    names = {name: column.name for column in columns for name in (column.header, column.name) if name}
    return Expected(names, frozenset(exactly), limit)


def record(line: bytes, told: Expected) -> dict[str, str | None]:
    """
    A line as a record: the text of each cell, as it is written, under the contract's names; null is None.

    Raises ValueError, whose text says why it is none and quotes nothing of it.
    """
    if len(line) > told.limit:
        raise ValueError(f"larger than {told.limit / 1e6:,.1f} MB")
    said = _object(line.removeprefix(codecs.BOM_UTF8))
    if strange := sum(name not in told.names for name in said):
        raise ValueError(f"{strange} name{'s' if strange > 1 else ''} that the contract does not have")
    found = {told.names[name]: _cell(value) for name, value in said.items()}
    if len(found) < len(said):
        raise ValueError("two names of one column")
    if told.exactly and set(found) != told.exactly:
        raise ValueError("not the key alone")
    return found


def _object(line: bytes) -> Mapping[str, Any]:
    """The JSON object that a line is; a number keeps its digits."""
    why, said = "", None
    try:
        said = DECODER.decode(line.decode("utf-8").strip())
    except UnicodeDecodeError:
        why = "not UTF-8"
    except RecursionError:
        why = "nested too deeply"
    except ValueError:
        why = "not JSON"
    if why:  # outside of the except block: the cause keeps the line
        raise ValueError(why)
    if not isinstance(said, dict) or not said:
        raise ValueError("not a JSON object with a value")
    if isinstance(said, Doubled):
        raise ValueError("a name stands twice")
    return said


def _cell(value: Any) -> str | None:
    if isinstance(value, Number) and value in _NO_NUMBERS:
        raise ValueError("NaN or Infinity, which JSON does not have")
    found = objects.cell_text(value)
    return None if found is None else str(found)
