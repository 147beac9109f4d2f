"""What must never stand in a record: the value of every secret that a project and its datasets name."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ctnb import secrets
from ctnb.contracts import push_sources
from ctnb.datasets import Dataset
from ctnb.places import customs
from ctnb.secrets import SecretReference
from ctnb.settings import Project


def values(project: Project, dataset: Dataset | None = None) -> list[str]:
    """Every secret that ctnb.yml, the contract of `dataset` or a custom of other tools names, where it is set."""
    found = [secrets.lookup(reference) for reference in _references(project, dataset)]
    local = project.root / ".ctnb" / "portal" / "publisher.json"
    if local.is_file():
        found += list(json.loads(local.read_text(encoding="utf-8")).values())[1:]
    return sorted({value for value in found if value})


def names(project: Project, dataset: Dataset | None = None) -> list[str]:
    """The names of those secrets."""
    return sorted({reference.secret for reference in _references(project, dataset)})


def _references(project: Project, dataset: Dataset | None) -> Iterable[SecretReference]:
    yield from secrets.references(project.settings)
    if dataset is not None:
        yield from secrets.references(dataset.contract)
        yield from push_sources.references(dataset.folder)
        yield from customs.references(dataset.contract.source)
