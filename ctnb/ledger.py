"""
The ledger: `runs/ledger.jsonl`, one hash-chained line per seal, decision and deletion.

Each line is canonical JSON with `seq`, `at`, `kind`, its facts, `prev` (the hash of the line before, or 64
zeros) and `hash` = SHA-256 of the canonical JSON of everything else. A chain alone cannot show that its end
was cut off or that all of it was written anew: that takes an anchor outside, and `verify` says so.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctnb import clock
from ctnb.digests import canonical_json
from ctnb.errors import RecordBroken
from ctnb.locks import hold

FORMAT = 1
FIRST = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    seq: int
    """Its number, from 1."""
    at: str
    """When it was written, UTC."""
    kind: str
    """What it records: seal, decision, ..."""
    facts: Mapping[str, Any] = field(repr=False)
    """What it says."""
    prev: str
    """The hash of the line before."""
    hash: str
    """Its own hash."""


def append(path: Path, kind: str, facts: Mapping[str, Any]) -> Entry:
    """
    Add a line to the ledger at `path`, under its lock, and return it once it is on the disk.

    A line that a killed process left half-written is cut off first: it was never acknowledged.
    Raises RecordBroken when the last whole line does not verify, LockHeld when the ledger stays locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold(path.with_name("ledger.lock")):
        _cut_torn_end(path)
        last = _last(path)
        line = {
            "format": FORMAT, "seq": last.seq + 1 if last else 1, "at": clock.stamp(), "kind": kind,
            "facts": dict(facts), "prev": last.hash if last else FIRST,
        }  # fmt: skip
        line["hash"] = _hash(line)
        with path.open("ab") as stream:
            stream.write(canonical_json(line) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
    return _entry(line)


def entries(path: Path) -> Iterator[Entry]:
    """
    Every line of the ledger at `path`, checked: form, number, chain and hash.

    A torn last line is passed over: the start of a line, whose end was never written. Raises RecordBroken
    naming the first line that does not verify.
    """
    prev, seq = FIRST, 0
    for number, raw in enumerate(_whole_lines(path), 1):
        entry = _checked(path, number, raw)
        if entry.seq != seq + 1 or entry.prev != prev:
            raise _broken(
                path, number, "it does not follow the line before: a line was changed, added or taken out"
            )
        prev, seq = entry.hash, entry.seq
        yield entry


def _checked(path: Path, number: int, raw: bytes) -> Entry:
    try:
        line = json.loads(raw)
        entry = _entry(line)
        fits = _hash(line) == entry.hash and canonical_json(line) == raw
    except (ValueError, KeyError, TypeError):
        raise _broken(path, number, "it is not a line of a ledger") from None
    if not fits:
        raise _broken(path, number, "its hash does not fit what it says")
    return entry


def _entry(line: Mapping[str, Any]) -> Entry:
    return Entry(line["seq"], line["at"], line["kind"], line["facts"], line["prev"], line["hash"])


def _hash(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json({k: v for k, v in line.items() if k != "hash"})).hexdigest()


def _whole_lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            if raw.endswith(b"\n"):
                yield raw[:-1]
            else:
                _check_torn(path, number, raw)


def _check_torn(path: Path, number: int, raw: bytes) -> None:
    """
    Raise RecordBroken when `raw`, which has no line feed, is more than the start of a line.

    A whole line with something else where its line feed was has been changed: a killed process cannot leave it.
    """
    try:
        text = raw.decode("utf-8", "replace")
        changed = json.JSONDecoder().raw_decode(text)[1] < len(text)
    except ValueError:
        changed = not raw.startswith(b"{")
    if changed:
        raise _broken(path, number, "something else stands where the line ended")


def _cut_torn_end(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb+") as stream:
        content = _tail(stream, 1)
        if content == b"\n":
            return
        stream.seek(0)
        content = stream.read()
        whole = content.rfind(b"\n") + 1
        _check_torn(path, 0, content[whole:])
        stream.truncate(whole)


def _tail(stream: Any, size: int) -> bytes:
    stream.seek(-size, os.SEEK_END)
    return bytes(stream.read(size))


def _last(path: Path) -> Entry | None:
    """The last line, read from the end and checked by itself."""
    if not path.exists() or (size := path.stat().st_size) == 0:
        return None
    with path.open("rb") as stream:
        block = 4096
        while True:
            block = min(block, size)
            content = _tail(stream, block)[:-1]
            cut = content.rfind(b"\n")
            if cut >= 0 or block == size:
                return _checked(path, 0, content[cut + 1 :])
            block *= 2


def _broken(path: Path, number: int, why: str) -> RecordBroken:
    where = f"line {number}" if number else "the last line"
    return RecordBroken(
        f"{path.name}, {where}: {why}.",
        hint="Restore the file from a copy; ctnb never changes a line.",
        line=number,
    )
