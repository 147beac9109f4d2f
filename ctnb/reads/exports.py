"""The originals of what did not fit, as a CSV file that an analyst opens, mends and reads again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ctnb import documents
from ctnb.errors import UsageError
from ctnb.reads.lines import Line, RejectedFile, load_files, load_lines
from ctnb.reads.matching import WRITTEN_BESIDE

FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet may take for a formula (OWASP, CSV Injection)."""

Place = tuple[str, int]
"""A header, and which of several alike it is, from 0."""


def write_originals(rejects: Path, target: Path, *, never_below: Path) -> int:
    """
    Write the originals of the file `rejects` to the new CSV file `target`; returns how many records there are.

    In front of the source's own columns stand where a record comes from and which rules it breaks. A cell that
    begins with = + - @ TAB or CR gets an apostrophe in front, so that no spreadsheet takes it for a formula. The
    file is its owner's alone. Raises UsageError when it is there already, or lies below the folder `never_below`,
    which other people read.
    """
    whole = target.expanduser().resolve()
    if whole.is_relative_to(never_below.resolve()):
        raise UsageError(
            f"The originals may not go into {never_below.name}/, which other people read.",
            hint="Name a file somewhere that only you can read.",
        )
    if whole.exists() or not whole.parent.is_dir():
        why = "is there already" if whole.exists() else "lies in a folder that is not there"
        raise UsageError(f"{whole.name} {why}.", hint="Name another file.")
    lines, files = load_lines(rejects), load_files(rejects)
    records = _records(lines)
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(_table(records, files))
    documents.write_text(whole, stream.getvalue(), mode=0o600)
    return len(records)


def _records(lines: Sequence[Line]) -> dict[tuple[str, int], list[Line]]:
    """The lines of each record, in the file's order."""
    found: dict[tuple[str, int], list[Line]] = {}
    for line in lines:
        found.setdefault((line.file, line.row), []).append(line)
    return found


def _table(records: dict[tuple[str, int], list[Line]], files: Sequence[RejectedFile]) -> list[list[str]]:
    headers = {one.file: _places(one.header) for one in files}
    if not headers:  # an older ctnb wrote the file: places are all there is
        width = max((len(found[0].cells) for found in records.values()), default=0)
        headers = {file: [(f"column {place}", 0) for place in range(1, width + 1)] for file, _ in records}
    columns = list(dict.fromkeys(place for header in headers.values() for place in header))
    made = [[*WRITTEN_BESIDE, *(_safe(header) for header, _ in columns)]]
    for (file, row), found in records.items():
        rules = "; ".join(f"{line.column}: {line.rule}" if line.column else line.rule for line in found)
        cells = dict(zip(headers[file], found[0].cells, strict=False))
        beyond = found[0].cells[len(headers[file]) :]
        record = [file, str(row), rules, *(cells.get(place, "") for place in columns), *beyond]
        made.append([_safe(cell) for cell in record])
    return made


def _places(header: Sequence[str]) -> list[Place]:
    return [(name, list(header[:place]).count(name)) for place, name in enumerate(header)]


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA_MARKS) else cell
