"""
Fixed width: each column has its place in the line, in characters.

Blanks around a cell are padding. A line must have all of its characters: one that is shorter may be torn, and
one that goes on behind the last column holds what nobody described.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ctnb.errors import SourceInvalid
from ctnb.sources import texts
from ctnb.sources.opened import Asked, Loaded, Misfit
from ctnb.sources.parts import BATCH_ROWS, batch_table, load_batches

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LINE_LIMIT = 1 << 20
"""Characters of the longest line that is read."""


@dataclass(frozen=True)
class FixedWidth:
    """A fixed-width file, decoded to UTF-8 and with its header known."""

    path: Path
    """UTF-8 text; the snapshot itself, or a transcoded copy beside it."""
    encoding: str
    """utf-8, utf-16 or cp1252: how the source was written."""
    widths: tuple[int, ...]
    """Characters of each column."""
    header: tuple[str, ...]
    """What stands in the first line's places, or column 1, column 2, ..."""
    headed: bool
    """Whether the first line is the header."""
    notes: tuple[str, ...] = ()
    """What a person should know of the text's encoding."""

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """Bring the records into `connection` as `numbered`; see `Opened.load`."""
        misfits: list[Misfit] = []
        load_batches(connection, len(self.widths), self._batches(misfits))
        return Loaded(misfits, notes=self.notes)

    def _batches(self, misfits: list[Misfit]) -> Iterator[pa.Table]:
        rows: list[int] = []
        columns: list[list[str]] = [[] for _ in self.widths]
        for row, line in enumerate(self._records(), 1):
            rule = _misfit_rule(line, sum(self.widths))
            if rule:
                misfits.append(Misfit(row, rule, (line,)))
                continue
            rows.append(row)
            for column, cell in zip(columns, _cut(line, self.widths), strict=True):
                column.append(cell)
            if len(rows) == BATCH_ROWS:
                yield batch_table(rows, columns)
                rows, columns = [], [[] for _ in self.widths]
        if rows:
            yield batch_table(rows, columns)

    def _records(self) -> Iterator[str]:
        with self.path.open(encoding="utf-8-sig", newline="\n") as stream:
            lines = _lines(stream)
            if self.headed:
                next(lines)
            yield from lines


def opened_fixed(path: Path, asked: Asked) -> FixedWidth:
    """
    The fixed-width file `path`, cut as `asked.widths` says; the first line is a header if `asked.header`.

    Raises SourceInvalid.
    """
    if not asked.widths:
        raise SourceInvalid(
            "Nothing says where the columns of the fixed-width source are.",
            hint="Say source: widths: in dataset.yml, e.g. [5, 30, 8].",
        )
    text = texts.as_utf8(path, asked.encoding)
    with text.path.open(encoding="utf-8-sig", newline="\n") as stream:
        first = next(_lines(stream), None)
    if first is None:
        raise SourceInvalid("The source has no line with text.", hint="Check the export that wrote it.")
    header = tuple(f"column {place}" for place in range(1, len(asked.widths) + 1))
    if asked.header:
        rule = _misfit_rule(first, sum(asked.widths))
        if rule:
            raise _header_trouble(len(first), sum(asked.widths))
        header = _cut(first, asked.widths)
    return FixedWidth(text.path, text.encoding, asked.widths, header, asked.header, text.notes)


def _header_trouble(seen: int, expected: int) -> SourceInvalid:
    return SourceInvalid(
        f"The source's header line does not fit the widths: {expected:,} characters expected, {seen:,} seen.",
        hint="Correct source: widths: in dataset.yml, or say header: false where the first line is a record.",
    )


def _lines(stream: TextIO) -> Iterator[str]:
    """The lines without their ends; a line without a character is no record."""
    number = 0
    while line := stream.readline(LINE_LIMIT):
        number += 1
        if len(line) == LINE_LIMIT:
            raise SourceInvalid(
                f"Line {number:,} of the source has {LINE_LIMIT:,} characters or more.",
                hint="A fixed-width source has one record a line. Check source: format: in dataset.yml.",
            )
        bare = line.removesuffix("\n").removesuffix("\r")
        if bare:
            yield bare


def _misfit_rule(line: str, width: int) -> str:
    """What is wrong with a line that should have `width` characters; blanks behind them do not count."""
    if len(line) < width:
        return "too short"
    return "too long" if line[width:].strip(" ") else ""


def _cut(line: str, widths: Sequence[int]) -> tuple[str, ...]:
    return tuple(line[start:end].strip(" ") for start, end in pairwise(accumulate(widths, initial=0)))
