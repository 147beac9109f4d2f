"""The seam between places and the reading: whatever the place, it yields snapshots in the private work folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctnb.contracts.places import Connection
from ctnb.secrets import SecretReference
from ctnb.snapshots import Snapshot


@dataclass(frozen=True)
class Progress:
    """How far a fetch is, for whoever watches; never goes into a record."""

    what: str
    """Which source, in words without a secret, e.g. a file's name."""
    done: int
    """How many of `unit`."""
    total: int | None
    """Of how many; None where the place does not say."""
    unit: str = "bytes"
    """bytes or rows."""


@dataclass(frozen=True)
class Request:
    """What a place is told besides its own form."""

    work: Path
    """The private folder that snapshots go into."""
    folder: Path
    """The dataset's folder, to which paths and query files are relative."""
    project: Path
    """The project's folder, to which key files and databases are relative."""
    roots: tuple[Path, ...]
    """The folders that files may lie in, besides the dataset's folder and its neighbours; absolute."""
    connections: Mapping[str, Connection] = field(default_factory=dict)
    """The databases of ctnb.yml, by name."""
    position: Mapping[str, Any] = field(default_factory=dict)
    """What this place gave as `Fetched.position` when the last release was made; empty before."""
    again: bool = False
    """Fetch also what was fetched for the last release: nothing is `nothing new`."""
    moves: bool = False
    """Whether files may be moved or renamed at the place; only a run that may release does that."""
    adds: bool = False
    """The rows are added to those published before: of a union only parts with something new are wanted."""
    secret: Callable[[SecretReference], str] = lambda reference: ""
    """The value of a secret. Raises UsageError when it is not set."""
    key: bytes = field(default=b"", repr=False)
    """The project's, for digests of anything that is not released and goes into a position."""
    progress: Callable[[Progress], None] = lambda progress: None
    prefix: str = "snapshot"
    """How the names of its snapshots begin in `work`."""

    def text(self, told: SecretReference | str) -> str:
        """What `told` stands for: itself, or the secret it names."""
        return self.secret(told) if isinstance(told, SecretReference) else told


@dataclass(frozen=True)
class Fetched:
    """What a place gave."""

    snapshots: tuple[Snapshot, ...]
    """One file, or several that become one table in this order."""
    format: str | None = None
    """The kind of file, where the place decides it rather than the file's name."""
    position: Mapping[str, Any] = field(default_factory=dict)
    """Where to go on the next time, as JSON; it counts once the run's release is made."""
    modified: str | None = None
    """When the rows were last changed, as the place says: UTC, ISO 8601."""
    rows: int | None = None
    """How many rows there must be, where the place says so; another number fails the reading."""
    notes: tuple[str, ...] = ()
    """What a person should know, without a cell."""
    types: Mapping[str, str] = field(default_factory=dict)
    """The contract types of columns by header, where the place knows them; for proposals."""
