"""Gathering what a dataset's source has, with what the project knows: roots, connections, secrets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctnb import secrets
from ctnb.datasets import Dataset
from ctnb.places import fetching
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.fetching import Gathered
from ctnb.places.folders import Outcome
from ctnb.settings import Project

FETCHED = "fetched.json"
"""What a run fetched, in its read step's private folder."""

EVERY_S = 0.1
"""Seconds between two tellings of how far a fetch is."""


def gather(
    project: Project, dataset: Dataset, work: Path, *, told: str = "", again: bool = True,
    position: Mapping[str, Any] | None = None, progress: Callable[[Progress], None] | None = None,
    moves: bool = False,
) -> Gathered:  # fmt: skip
    """
    Fetch the source of `dataset`, or the file `told` in its place, into the private folder `work`.

    `position` is where the last release came to; what is no newer raises NothingNew unless `again`. With
    `moves` files may be moved where they lie, as a run that may release does.
    Raises SourceInvalid, SourceFailed, UsageError.
    """
    request = replace(
        _request(project, dataset, work), position=position or {}, again=again, moves=moves,
        progress=throttled(progress) if progress else lambda seen: None,
    )  # fmt: skip
    contract = dataset.contract
    return fetching.gather(
        contract.source,
        request,
        told=told or None,
        references=[one.source for one in contract.reference_tables],
    )


def gather_beside(
    project: Project, dataset: Dataset, work: Path
) -> tuple[tuple[Fetched, ...], tuple[Fetched, ...]]:
    """Fetch what `dataset` needs besides its rows: lookups and reference tables. Raises what `gather` does."""
    request, contract = _request(project, dataset, work), dataset.contract
    references = [one.source for one in contract.reference_tables]
    lookups = fetching.fetch_lookups(contract.source, request)
    return lookups, fetching.fetch_references(references, request)


def settle(
    project: Project, dataset: Dataset, work: Path, position: Mapping[str, Any], outcome: Outcome
) -> int:
    """
    Mark, archive or quarantine the files that `position` names; returns how many were moved.

    Raises SourceFailed when one could not be moved; the next fetch tries again. Raises SourceInvalid.
    """
    return fetching.settle(dataset.contract.source, _request(project, dataset, work), position, outcome)


def throttled(progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """`progress`, told at most ten times a second, and always when something begins or is complete."""
    last: dict[str, float] = {}

    def tell(seen: Progress) -> None:
        now = time.monotonic()
        if seen.done == seen.total or now - last.get(seen.what, 0.0) >= EVERY_S:
            last[seen.what] = now
            progress(seen)

    return tell


def _request(project: Project, dataset: Dataset, work: Path) -> Request:
    return Request(
        work=work, folder=dataset.folder, project=project.root,
        roots=fetching.roots(project.settings.roots, project.root),
        connections=project.settings.connections, secret=secrets.value, key=project.key,
        adds=dataset.contract.portal.mode == "append",
    )  # fmt: skip
