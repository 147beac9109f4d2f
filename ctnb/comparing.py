"""Comparing two records: which facts differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ctnb.records import RunRecord

PASSING = frozenset(["started", "ended", "files", "seal", "run", "host", "at", "release"])
"""Facts that differ between any two runs and say nothing about what they did."""


@dataclass(frozen=True)
class Difference:
    """One fact in which two records differ."""

    what: str
    one: str
    other: str


def compare(one: RunRecord, other: RunRecord) -> list[Difference]:
    """The facts in which the records differ, times and file lists aside."""
    ours, theirs = dict(_facts(one.model_dump(mode="json"))), dict(_facts(other.model_dump(mode="json")))
    keys = [*ours, *(key for key in theirs if key not in ours)]
    return [
        Difference(key, ours.get(key, "-"), theirs.get(key, "-"))
        for key in keys
        if ours.get(key) != theirs.get(key)
    ]


def _facts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in PASSING:
                yield from _facts(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            told = inner.get("step") or inner.get("name") if isinstance(inner, Mapping) else None
            yield from _facts(inner, f"{name}[{told or place}]")
    elif value not in (None, ""):
        yield name, str(value)
