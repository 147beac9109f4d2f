"""
Fetching a source: each of its parts, and each lookup it joins, into snapshots.

In a run the supervisor does this, who alone has credentials and knows what was fetched for the last release;
in a draft the notebook's own process does.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ctnb.contracts.sources import Source
from ctnb.errors import NothingNew
from ctnb.places import folders, local_files
from ctnb.places.fetched import Fetched, Request
from ctnb.places.folders import Outcome
from ctnb.snapshots import Snapshot

MODULES = {
    "path": "local_files",
    "folder": "folders",
    "web": "web_files",
    "ftp": "ftp_files",
    "sftp": "sftp_files",
    "address": "addresses",
    "database": "databases",
    "socrata": "socrata_rows",
    "opendatasoft": "opendatasoft_rows",
    "census": "census_tables",
}
"""For each kind of place the module whose `fetch(place, request)` fetches it; imported when asked for."""

GROUPS = ("parts", "lookups", "references")


@dataclass(frozen=True)
class Gathered:
    """Everything that was fetched for one reading."""

    parts: tuple[Fetched, ...]
    """What each part of the source gave, in the contract's order; of a union there are several."""
    lookups: tuple[Fetched, ...] = ()
    """What each join's source gave, in the contract's order."""
    references: tuple[Fetched, ...] = ()
    """What was fetched for each reference table of the contract, in its order."""
    told: bool = False
    """Whether somebody named a file in place of the contract's source."""
    position: Mapping[str, Any] = field(default_factory=dict)
    """Where to go on the next time, by part; it counts once the run's release is made."""

    @property
    def _all(self) -> tuple[Fetched, ...]:
        return (*self.parts, *self.lookups, *self.references)

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """Every file that was fetched."""
        return tuple(one for fetched in self._all for one in fetched.snapshots)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        return tuple(note for fetched in self._all for note in fetched.notes)

    @property
    def modified(self) -> str | None:
        """When the newest rows were changed, as far as the places of the parts say."""
        return max((part.modified for part in self.parts if part.modified), default=None)

    def to_json(self) -> dict[str, Any]:
        """It as JSON's types."""
        made = asdict(self)
        for group in GROUPS:
            for fetched in made[group]:
                for snapshot in fetched["snapshots"]:
                    snapshot["path"] = str(snapshot["path"])
        return made


def gathered_from_json(said: Mapping[str, Any]) -> Gathered:
    """What `Gathered.to_json` made. Raises ValueError, KeyError or TypeError for anything else."""
    groups = {name: tuple(_fetched(one) for one in said[name]) for name in GROUPS}
    return Gathered(**groups, told=bool(said["told"]), position=dict(said["position"]))


def gather(
    source: Source, request: Request, *, told: str | None = None, references: Sequence[Source] = ()
) -> Gathered:
    """
    Fetch every part and every lookup of `source`, and `references`; or the file `told` in place of the parts.

    Raises NothingNew when no part has anything that the last release had not, SourceInvalid when what is there
    is wrong, SourceFailed when it could not be had now, UsageError for a secret that is not set.
    """
    if told:
        parts = [local_files.fetch("", replace(request, position={}), told=told)]
    else:
        parts = _parts(source, request)
    position = {str(number): dict(part.position) for number, part in enumerate(parts, 1) if part.position}
    return Gathered(
        tuple(parts),
        fetch_lookups(source, request),
        fetch_references(references, request),
        bool(told),
        {} if told else position,
    )


def fetch_lookups(source: Source, request: Request) -> tuple[Fetched, ...]:
    """Fetch the source of each join of `source`. Raises what `gather` does."""
    return tuple(
        fetch(join.source, replace(request, again=True, position={}, prefix=f"lookup-{number}"))
        for number, join in enumerate(source.joins, 1)
    )


def fetch_references(references: Sequence[Source], request: Request) -> tuple[Fetched, ...]:
    """Fetch the files of reference tables. Raises SourceInvalid."""
    return tuple(
        fetch(one, replace(request, again=True, position={}, prefix=f"reference-{number}"))
        for number, one in enumerate(references, 1)
    )


def fetch(source: Source, request: Request) -> Fetched:
    """Fetch the one place that `source` names. Raises what `gather` does."""
    module = importlib.import_module(f"ctnb.places.{MODULES[source.place]}")
    fetched: Fetched = module.fetch(getattr(source, source.place), request)
    return fetched


def settle(source: Source, request: Request, position: Mapping[str, Any], outcome: Outcome) -> int:
    """
    Do with the fetched files what `source` says becomes of them; returns how many were moved.

    `position` is what `gather` gave as such: for `released` the release's, for `failed` that of a run whose
    reading found wrong data. Raises SourceFailed when a file could not be moved; SourceInvalid.
    """
    moved = 0
    for number, part in enumerate(source.parts, 1):
        if part.folder and str(number) in position:
            moved += folders.settle(part.folder, request, position[str(number)], outcome)
    return moved


def _parts(source: Source, request: Request) -> list[Fetched]:
    """
    A union has something new when one of its parts has; then all are fetched, new or not.

    Where rows are added to those published before, a part without anything new gives no file: its rows are there.
    """
    if len(source.parts) == 1:
        return [fetch(source.parts[0], replace(request, position=request.position.get("1", {})))]
    found: list[Fetched | None] = []
    for number, part in enumerate(source.parts, 1):
        found.append(_unless_nothing_new(part, _of_part(request, number)))
    if not any(found):
        raise NothingNew("None of the sources has anything new since the last release.")
    return [
        one or _nothing_new(part, _of_part(request, number))
        for number, (part, one) in enumerate(zip(source.parts, found, strict=True), 1)
    ]


def _nothing_new(part: Source, request: Request) -> Fetched:
    if request.adds:
        return Fetched((), position=request.position)
    return fetch(part, replace(request, again=True))


def _of_part(request: Request, number: int) -> Request:
    position = request.position.get(str(number), {})
    return replace(request, position=position, prefix=f"{request.prefix}-{number}")


def _unless_nothing_new(part: Source, request: Request) -> Fetched | None:
    try:
        return fetch(part, request)
    except NothingNew:
        return None


def _fetched(said: Mapping[str, Any]) -> Fetched:
    snapshots = tuple(Snapshot(**{**one, "path": Path(one["path"])}) for one in said["snapshots"])
    return Fetched(**{**said, "snapshots": snapshots, "notes": tuple(said["notes"])})


def roots(folders: Iterable[str], project: Path) -> tuple[Path, ...]:
    """The roots of ctnb.yml as absolute paths."""
    return tuple((project / folder).resolve() for folder in folders)
