"""Checking a dataset without running it: what would stop it from being published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ctnb import attachments, secrets, snapshots, templates
from ctnb.checks import portals
from ctnb.checks.lines import Line, named, tried
from ctnb.contracts.publication import KEYED
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError
from ctnb.places import fetching
from ctnb.records import STEPS
from ctnb.settings import Project


def _columns(count: int) -> str:
    return f"{count:,} column{'' if count == 1 else 's'}"


def check(project: Project, dataset: Dataset) -> list[Line]:
    """A line for each thing that publishing `dataset` needs, its portal asked. Writes nothing."""
    contract = dataset.contract
    without = [column.name for column in contract.published_columns if column.role is None]
    lines = [
        Line(f"dataset.yml: {_columns(len(contract.columns))}", True),
        *_sources(project, dataset),
        Line(
            f"roles: {_columns(len(without))} without one" if without else "roles: every column has one",
            not without,
            "Give each column of dataset.yml a role:.",
        ),
        Line(f"one row is: {contract.unit_out or 'not declared'}", bool(contract.unit_out), "Set unit:."),
        tried(f"policy {contract.policy}", lambda: project.policy(contract.policy)),
        Line(
            f"mode {contract.portal.mode}",
            bool(contract.key) or contract.portal.mode not in KEYED,
            "Name the row identifier under key:.",
        ),
        *_attachments(project, dataset),
        *portals.of_dataset(project, dataset),
    ]
    for step in STEPS:
        lines += _copy(project, dataset, step)
    return lines


def _sources(project: Project, dataset: Dataset) -> Iterator[Line]:
    """Whether each source can be read, as far as it can be told without reading it; its secrets are set."""
    roots = fetching.roots(project.settings.roots, project.root)
    source = dataset.contract.source
    for part in source.parts:
        if part.path is not None:
            yield _file(part.path, dataset, (project.notebooks, *roots))
        else:
            yield Line(f"source: {part.place}, which only a run reads", True)
    for reference in dict.fromkeys(secrets.references(source)):
        yield named("source", reference)


def _attachments(project: Project, dataset: Dataset) -> Iterator[Line]:
    """Whether each file beside the rows can be attached."""
    for one in dataset.contract.portal.attachments:
        try:
            size = attachments.check(project, dataset, one)
        except CtnbError as error:
            yield Line(f"attachment: {error.what}", False, error.hint)
        else:
            yield Line(f"attachment: {one.shown}, {size:,} bytes", True)


def _file(path: str, dataset: Dataset, roots: tuple[Path, ...]) -> Line:
    try:
        found = snapshots.locate(path, dataset.folder, roots)
    except CtnbError as error:
        return Line(f"source: {error.what}", False, error.hint)
    return Line(f"source: {found.name}, {found.stat().st_size:,} bytes", True)


def _copy(project: Project, dataset: Dataset, step: str) -> list[Line]:
    if dataset.own_notebook(step) is None:
        return []
    moved = templates.moved_on(project, dataset, step)
    remedy = f"Compare {step}.ipynb with the template, or delete it to use the template again."
    return [
        Line(
            f"{step}.ipynb: own copy{', its template has changed since' if moved else ''}", not moved, remedy
        )
    ]
