"""The files of one reading: each opened, named, and its header matched with the contract by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ctnb.contracts.sources import Source
from ctnb.datasets import Dataset
from ctnb.drift.headers import HeaderChange
from ctnb.places.fetched import Fetched
from ctnb.places.fetching import Gathered
from ctnb.reads import replayed
from ctnb.reads.lookups import Cell, Lookup, open_lookups, widen
from ctnb.reads.matching import match, naming
from ctnb.sources.formats import open_source
from ctnb.sources.opened import Opened

EMPTY = Cell("CAST(NULL AS VARCHAR)", own=True)
"""The text of a column that the file no longer has."""


@dataclass(frozen=True)
class Input:
    """One file of a reading."""

    number: int
    """Its place among them, from 1."""
    name: str
    """What people call it; no two are called alike."""
    part: int
    """Which part of the contract's source it belongs to, from 0."""
    source: Source
    """What the contract says of it."""
    opened: Opened
    cells: tuple[Cell, ...] = ()
    """The text of each column that is read, in the contract's order."""
    joined: tuple[str, ...] = ()
    """For each lookup a LEFT JOIN to the file's rows `n`."""
    changes: tuple[HeaderChange, ...] = ()
    """What of its header has drifted."""

    @property
    def schema(self) -> str:
        """The schema of the database that its relations go into."""
        return f"file_{self.number}"


@dataclass(frozen=True)
class Job:
    """Everything that one reading is made from."""

    dataset: Dataset
    gathered: Gathered
    inputs: tuple[Input, ...]
    lookups: tuple[Lookup, ...]
    run: str
    """The run's id, or draft."""

    @property
    def encoding(self) -> str:
        """How the files' text was encoded."""
        return ", ".join(sorted({one.opened.encoding for one in self.inputs} - {""}))

    @property
    def changes(self) -> tuple[HeaderChange, ...]:
        """What of the files' headers has drifted; the same in several files once."""
        return tuple(dict.fromkeys(change for one in self.inputs for change in one.changes))

    def about(self, one: Input) -> str:
        """What an error over the file `one` begins with: nothing where there is no other."""
        return f"The file {one.name}" if len(self.inputs) > 1 else ""


def make_job(dataset: Dataset, gathered: Gathered, run: str) -> Job:
    """Open every file of `gathered`. Raises SourceInvalid, which names the file where there are several."""
    lookups = open_lookups(dataset.contract.source.joins, gathered.lookups)
    several = len([one for part in gathered.parts for one in part.snapshots]) > 1
    opened = [one for fetched in _by_part(dataset, gathered) for one in _opened(*fetched, several=several)]
    named = [
        replace(one, number=number, name=name)
        for number, (one, name) in enumerate(
            zip(opened, _unlike([one.name for one in opened]), strict=True), 1
        )
    ]
    job = Job(dataset, gathered, tuple(named), lookups, run)
    return replace(job, inputs=tuple(_matched(job, one) for one in named))


def _by_part(dataset: Dataset, gathered: Gathered) -> Iterator[tuple[int, tuple[Source, ...], Fetched]]:
    """Each part's number, what the contract says of all parts, and what was fetched."""
    source = dataset.contract.source
    said = (source,) if gathered.told else source.parts  # a file told in place of all of them is one
    for part, fetched in enumerate(gathered.parts):
        yield part, said, fetched


def _opened(part: int, said: tuple[Source, ...], fetched: Fetched, *, several: bool) -> Iterator[Input]:
    for snapshot in fetched.snapshots:
        if fetched.format == replayed.FORMAT:
            for one in replayed.open_files(snapshot.path):
                yield Input(0, one.file, part, said[min(one.part, len(said) - 1)], one)
            continue
        whose = said[min(part, len(said) - 1)]
        with naming(f"The file {snapshot.name}" if several else ""):
            opened = open_source(
                snapshot.path, snapshot.name, whose.asked, format=fetched.format or whose.format
            )
        yield Input(0, snapshot.name, part, whose, opened)


def _matched(job: Job, one: Input) -> Input:
    """The file with its cells: its header and what is looked up for it, held against the contract."""
    used = [key for lookup in job.lookups for key in lookup.join.on]
    columns = job.dataset.contract.read_columns
    with naming(job.about(one)):
        header, cells, joined = widen(one.opened.header, job.lookups)
        found = match(header, job.dataset, [*one.source.ignore, *used])
    at = [found.places.get(column.name) for column in columns]
    texts = tuple(EMPTY if place is None else cells[place] for place in at)
    return replace(one, cells=texts, joined=tuple(joined), changes=found.changes)


def _unlike(names: Sequence[str]) -> list[str]:
    """`names`, with a number where one stands twice."""
    times = Counter(names)
    return [f"{name} ({number})" if times[name] > 1 else name for number, name in enumerate(names, 1)]
