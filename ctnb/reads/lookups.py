"""Lookups: columns of another source, joined by a key before any cell is typed. Keys are compared as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb.contracts.sources import Join
from ctnb.errors import SourceInvalid
from ctnb.places.fetched import Fetched
from ctnb.reads.cells import empty_words, text_or_null
from ctnb.reads.matching import naming, place_of
from ctnb.sources.formats import open_source
from ctnb.sources.opened import Loaded, Opened
from ctnb.values import trimmed

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Lookup:
    """A lookup whose header is known."""

    number: int
    """Its place among the contract's joins, from 1."""
    join: Join
    """What the contract says of it."""
    opened: Opened
    keys: tuple[int, ...]
    """Where the key's columns stand in it, from 0."""
    taken: tuple[int, ...]
    """Where the columns that are added stand in it, from 0."""

    @property
    def schema(self) -> str:
        """The schema of the database that its relations go into."""
        return f"lookup_{self.number}"

    @property
    def rule(self) -> str:
        """The rule under which a row without a match is set aside."""
        return f"no match in {self.join.name}"


@dataclass(frozen=True)
class Cell:
    """Where the text of one column comes from."""

    text: str
    """SQL over a file's rows `n` and the lookups joined to them."""
    own: bool
    """Whether it stands in the file itself; else it was looked up."""


def open_lookups(joins: Sequence[Join], fetched: Sequence[Fetched]) -> tuple[Lookup, ...]:
    """Open what was fetched for each of `joins`. Raises SourceInvalid, which names the lookup."""
    made = []
    for number, (join, given) in enumerate(zip(joins, fetched, strict=True), 1):
        with naming(f"The lookup {join.name}"):
            if len(given.snapshots) != 1:
                raise SourceInvalid(
                    f"It is {len(given.snapshots)} files.",
                    hint="Let its source name one file: a key stands once.",
                )
            snapshot, said = given.snapshots[0], join.source
            opened = open_source(snapshot.path, snapshot.name, said.asked, format=given.format or said.format)
            keys = tuple(place_of(opened.header, header) for header in join.on.values())
            taken = tuple(place_of(opened.header, header) for header in join.take)
            made.append(Lookup(number, join, opened, keys, taken))
    return tuple(made)


def widen(header: Sequence[str], lookups: Sequence[Lookup]) -> tuple[list[str], list[Cell], list[str]]:
    """
    The `header` of a file with what `lookups` add, each column's text, and a LEFT JOIN for each lookup.

    A later lookup may use what an earlier one added. Raises SourceInvalid for a key that is not there, and for
    a header that would stand twice.
    """
    names = [cell.strip() for cell in header]
    cells = [Cell(f"n.c{place}", own=True) for place in range(1, len(names) + 1)]
    joined = []
    for lookup in lookups:
        alias = f"l{lookup.number}"
        keys = [cells[place_of(names, key)].text for key in lookup.join.on]
        on = " AND ".join(f"{trimmed(key)} = {alias}.k{i}" for i, key in enumerate(keys, 1))
        joined.append(f"LEFT JOIN {lookup.schema}.found {alias} ON {on}")
        for i, taken in enumerate(lookup.join.take, 1):
            if taken.strip() in names:
                raise SourceInvalid(
                    f"The header '{taken}' of the lookup {lookup.join.name} stands in the source, too.",
                    hint="Take it out of take:, or rename one of the two where it is written.",
                )
            names.append(taken.strip())
            cells.append(Cell(f"{alias}.v{i}", own=False))
    return names, cells, joined


def load_lookup(connection: duckdb.DuckDBPyConnection, lookup: Lookup, folder: Path) -> tuple[str, ...]:
    """
    Make `lookup_<n>.found` of a lookup: its key k1, k2, ... and what is taken of it, v1, v2, ...

    Returns what a person should know of it. Raises SourceInvalid when a key stands twice or a record does not
    fit the lookup's own header.
    """
    name, schema = lookup.join.name, lookup.schema
    connection.execute(f"CREATE SCHEMA {schema}; USE {schema}")
    with naming(f"The lookup {name}"):
        loaded = lookup.opened.load(connection, folder)
        _check_misfits(loaded)
    connection.execute("USE main")
    empty = empty_words(lookup.join.source.nulls)
    keys = [f"nullif({trimmed(f'c{place + 1}')}, '') AS k{i}" for i, place in enumerate(lookup.keys, 1)]
    taken = [f"{text_or_null(f'c{place + 1}', empty)} AS v{i}" for i, place in enumerate(lookup.taken, 1)]
    known = " AND ".join(f"k{i} IS NOT NULL" for i in range(1, len(keys) + 1))
    rows = f"SELECT {', '.join([*keys, *taken])}, true AS hit FROM {schema}.numbered"
    connection.execute(f"CREATE TABLE {schema}.found AS SELECT * FROM ({rows}) WHERE {known}")
    listed = ", ".join(f"k{i}" for i in range(1, len(keys) + 1))
    counted = connection.execute(
        f"SELECT count(*), sum(times), count(*) FILTER (WHERE times > 1), (SELECT count(*) FROM {schema}.numbered) "
        f"FROM (SELECT count(*) AS times FROM {schema}.found GROUP BY {listed})"
    ).fetchall()[0]
    twice, keyless = int(counted[2]), int(counted[3]) - int(counted[1] or 0)
    if twice:
        raise SourceInvalid(
            f"The lookup {name} has {twice:,} keys that stand there more than once.",
            hint="Correct the lookup, or join by more columns under on:, so that a key means one row.",
        )
    without = (f"lookup {name}: {keyless:,} rows without a key",) if keyless else ()
    return (*without, *(f"lookup {name}: {note}" for note in loaded.notes))


def _check_misfits(loaded: Loaded) -> None:
    if loaded.misfits:
        raise SourceInvalid(
            f"{len(loaded.misfits):,} of its records do not fit its header.",
            hint="Correct the lookup: a row that is lost there would be missed here.",
        )
