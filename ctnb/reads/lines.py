"""
The lines of the private file of what did not fit: rows that were set aside, and cells that became empty.

One line for each row, column and rule, with the row's original cells as JSON: an object _row, c1, c2, ... of
a record that fits its header, else a list. The file's metadata say for each source file its header, so that
the rows can be read again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ctnb.errors import RecordBroken

REJECTS = "rejects.parquet"
FORMAT = "2"
SET_ASIDE, EMPTIED = "set aside", "cell emptied"


@dataclass(frozen=True)
class RejectedFile:
    """A source file of which rows were set aside."""

    file: str
    """What it is called in the lines."""
    part: int
    """Which part of the contract's source it belonged to, from 0."""
    header: tuple[str, ...]
    """Its own header."""
    typed_dates: bool
    """Whether its dates came as ISO text."""


@dataclass(frozen=True)
class Line:
    """One line of the file."""

    row: int
    """The record's number in its file, from 1, or its row on a sheet."""
    file: str
    column: str
    rule: str
    message: str
    run: str
    done: Literal["set aside", "cell emptied"]
    """What became of it."""
    original: Any
    """The record's cells: a mapping _row, c1, c2, ... or a list."""

    @property
    def cells(self) -> list[str]:
        """The record's cells in their order."""
        if isinstance(self.original, list):
            return [str(cell) for cell in self.original]
        return ["" if cell is None else str(cell) for key, cell in self.original.items() if key != "_row"]


def load_files(path: Path) -> list[RejectedFile]:
    """The source files of which `path` has rows; none where an older ctnb wrote it. Raises RecordBroken."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        said = (pq.read_metadata(path).metadata or {}).get(b"files")
        return [
            RejectedFile(one["file"], one["part"], tuple(one["header"]), one["typed_dates"])
            for one in json.loads(said or "[]")
        ]
    except (pa.ArrowInvalid, OSError, ValueError, KeyError, TypeError):
        pass
    raise RecordBroken(f"{path.name} is not a file of rejects.", hint="Run the dataset again.")


def load_lines(path: Path) -> list[Line]:
    """Every line of the rejects file `path`, of either format. Raises RecordBroken."""
    import pyarrow.parquet as pq

    load_files(path)
    found = []
    for said in pq.read_table(path).to_pylist():
        older = {"file": "", "message": "", "run": "", "done": SET_ASIDE}
        line = Line(**{**older, **said})
        found.append(replace(line, original=json.loads(line.original)))
    return found
