"""Gathering what a dataset's source has, with what the project knows: roots, connections, secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ctnb import secrets
from ctnb.datasets import Dataset
from ctnb.places import fetching
from ctnb.places.fetched import Progress, Request
from ctnb.places.fetching import Gathered
from ctnb.settings import Project


def gather(
    project: Project, dataset: Dataset, work: Path, *, told: str = "", again: bool = True,
    position: Mapping[str, Any] | None = None, progress: Callable[[Progress], None] | None = None,
) -> Gathered:  # fmt: skip
    """
    Fetch the source of `dataset`, or the file `told` in its place, into the private folder `work`.

    `position` is where the last release came to; what is no newer raises NothingNew unless `again`.
    Raises SourceInvalid, SourceFailed, UsageError.
    """
    request = Request(
        work=work, folder=dataset.folder, project=project.root,
        roots=fetching.roots(project.settings.roots, project.root),
        connections=project.settings.connections, position=position or {}, again=again, secret=secrets.value,
        progress=progress or (lambda seen: None),
    )  # fmt: skip
    return fetching.gather(dataset.contract.source, request, told=told or None)
