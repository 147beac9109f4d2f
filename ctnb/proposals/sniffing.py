"""What separates the cells of a text file, by its first records, so that nobody has to be asked."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ctnb.sources import texts

DELIMITERS: dict[str, str] = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
"""What is tried, and how people call it."""

USUAL: dict[str, str] = {".csv": ",", ".txt": ",", ".tsv": "\t", ".tab": "\t"}
"""What a contract assumes when it does not say, by suffix."""

_START_BYTES = 1 << 16
_RECORDS = 25


def delimiter(path: Path, name: str, format: str | None = None) -> str | None:
    """
    The delimiter of the text file `path`, which its owner calls `name`; None where it is the usual one.

    `format` is the kind of file where it is not the one that `name` ends in.

    The one that gives the header the most cells, and the records below it as many, is taken.
    """
    usual = USUAL.get(f".{format}" if format else Path(name).suffix.lower())
    if usual is None:
        return None
    lines = _start(path)
    order = [usual, *(mark for mark in DELIMITERS if mark != usual)]
    best = max(order, key=lambda mark: _agreement(lines, mark))
    return best if best != usual else None


def _start(path: Path) -> list[str]:
    text = texts.start_of(path, _START_BYTES)
    return text.splitlines(keepends=True)[: 1000 if path.stat().st_size < _START_BYTES else -1]


def _agreement(lines: Sequence[str], mark: str) -> tuple[bool, float, int]:
    """Whether there are several columns, the share of records as wide as the header, and that width."""
    try:
        records = [
            record for record, _ in zip(csv.reader(lines, delimiter=mark), range(_RECORDS), strict=False)
        ]
    except csv.Error:
        return (False, 0.0, 0)
    width = len(records[0]) if records else 0
    body = [record for record in records[1:] if record]
    same = sum(len(record) == width for record in body) / len(body) if body else 1.0
    return (width > 1 and same >= 0.5, round(same, 1) if width > 1 else 0.0, width)
