"""Rows that an earlier reading set aside, as a source again: their originals under the headers they had."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb.errors import SourceInvalid
from ctnb.reads.lines import load_files
from ctnb.sources.opened import Loaded, Misfit
from ctnb.values import quote_text

if TYPE_CHECKING:
    import duckdb

FORMAT = "rejects"
"""What `Fetched.format` says of a rejects file; no contract can ask for it."""


@dataclass(frozen=True)
class Replayed:
    """The rows set aside of one file; see `Opened`."""

    path: Path
    """The rejects file."""
    file: str
    """What the file was called."""
    part: int
    """Which part of the contract's source it belonged to, from 0."""
    header: tuple[str, ...]
    """Its header."""
    typed_dates: bool
    """Whether its dates came as ISO text."""
    encoding: str = ""
    """Text is UTF-8 here, however the file was written."""
    notes: tuple[str, ...] = field(default=())

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """Bring the records into `connection` as `numbered`; see `Opened.load`."""
        names = [f"c{place}" for place in range(1, len(self.header) + 1)]
        mine = (
            f"SELECT DISTINCT row, rule, original FROM read_parquet({quote_text(str(self.path))}) "
            f"WHERE file = {quote_text(self.file)} AND done = 'set aside'"
        )
        cells = ", ".join(f"json_extract_string(original, '$.{name}') AS {name}" for name in names)
        connection.execute(
            f"CREATE TABLE numbered AS SELECT row AS _row, {cells} FROM "
            f"(SELECT DISTINCT row, original FROM ({mine}) WHERE json_type(original) = 'OBJECT')"
        )
        torn = connection.execute(
            f"SELECT row, rule, original FROM ({mine}) WHERE json_type(original) = 'ARRAY' ORDER BY row"
        ).fetchall()
        misfits = [Misfit(row, rule, tuple(json.loads(original))) for row, rule, original in torn]
        return Loaded(misfits, typed_dates=self.typed_dates)


def open_files(path: Path) -> list[Replayed]:
    """Each file of which the rejects file `path` has rows. Raises SourceInvalid."""
    files = load_files(path)
    if not files:
        raise SourceInvalid(
            "The rejects of that run do not say which headers they had.",
            hint="An older ctnb wrote them: run the dataset again from its source.",
        )
    return [Replayed(path, one.file, one.part, one.header, one.typed_dates) for one in files]
