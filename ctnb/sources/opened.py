"""
The seam between kinds of sources and the reading: whatever the file, it yields text under a known header.

A kind of source is one module with a function `opened(path, asked)`; `ctnb.sources.formats` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Asked:
    """What a contract says of its source's file; each kind takes what concerns it."""

    delimiter: str | None = None
    """What separates cells; by the kind of file when None."""
    encoding: str = "auto"
    """auto, utf-8, utf-16 or cp1252."""
    records: str | None = None
    """The key of a JSON object that holds the records, with dots between keys."""
    widths: tuple[int, ...] = ()
    """How many characters each column of a fixed-width file has."""
    header: bool = True
    """Whether the first record of a fixed-width file names the columns."""
    member: str | None = None
    """Which file of an archive is read; the only one when None."""
    sheet: str | int | None = None
    """A workbook's sheet by name, or by number from 1; the only one with rows when None."""
    header_row: int | tuple[int, int] | None = None
    """The row of a sheet that is its header, from 1, or the first and last of two; found when None."""
    labels: bool = False
    """Whether a statistics file's value labels are taken in place of the codes."""
    layer: str | int | None = None
    """A geographic file's layer by name, or by number from 1; the only one with rows when None."""


@dataclass(frozen=True)
class Misfit:
    """A record that does not fit the header."""

    row: int
    """Its number among the records, from 1, the header not counted."""
    rule: str
    """What is wrong with it, e.g. `too few cells`."""
    cells: tuple[str, ...]
    """What it held; for the private rejects file only."""


@dataclass(frozen=True)
class Loaded:
    """What became of the records of a source."""

    misfits: list[Misfit] = field(default_factory=list)
    """Records that do not fit the header; they become rejects."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Records that a named rule leaves out, e.g. footnotes of a workbook, by rule."""
    left_out_at: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Where these stand in the source, by rule: rows of a sheet, from 1."""
    typed_dates: bool = False
    """Whether cells that are dates came as ISO text, which counts besides the format a contract gives."""
    notes: tuple[str, ...] = ()
    """What a person should know of the source, without a word of it, e.g. that hidden sheets hold rows."""


class Opened(Protocol):
    """A source whose header is known."""

    @property
    def header(self) -> tuple[str, ...]:
        """The header's cells, as they stand."""

    @property
    def encoding(self) -> str:
        """How text was encoded; empty where the kind of file says so itself."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is known of the source before it is loaded; `Loaded.notes` has it too."""

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """
        Bring the records into `connection` as the relation `numbered`.

        It has a BIGINT column `_row` (the record's number from 1, or its row on a sheet) and VARCHAR columns
        c1, c2, ... in the header's order; an empty cell is NULL. `work` is a private folder for what does not
        fit into memory.
        Raises SourceInvalid; no message quotes a cell.
        """


@runtime_checkable
class Streamed(Opened, Protocol):
    """A source that can also be read in one pass, as long as every record fits the header."""

    def streamed(self) -> str:
        """
        A SQL relation of VARCHAR columns c1, c2, ... in the header's order and the records' order.

        Reading it fails with an error of DuckDB's where a record does not fit; its text may quote data.
        """
