"""Checking a dataset without running it: what would stop it from being published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ctnb import snapshots, templates
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError
from ctnb.records import STEPS
from ctnb.settings import Project


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    ok: bool
    remedy: str = ""


def check(project: Project, dataset: Dataset) -> list[Line]:
    """A line for each thing that publishing `dataset` needs. Writes nothing."""
    contract = dataset.contract
    lines = [Line(f"dataset.yml: {len(contract.columns)} columns", True)]
    lines.append(_source(project, dataset))
    without = [column.name for column in contract.published_columns if column.role is None]
    lines.append(
        Line(
            f"roles: {len(without)} columns without one",
            not without,
            "Give each column of dataset.yml a role:.",
        )
    )
    lines.append(
        Line(f"one row is: {contract.unit_out or 'not declared'}", bool(contract.unit_out), "Set unit:.")
    )
    lines.append(_named(f"policy {contract.policy}", lambda: project.policy(contract.policy)))
    lines.append(_named(f"portal {contract.portal.name}", lambda: project.portal(contract.portal.name)))
    needs_key = contract.portal.mode in ("upsert", "delete")
    lines.append(
        Line(
            f"mode {contract.portal.mode}",
            bool(contract.key) or not needs_key,
            "Name the row identifier under key:.",
        )
    )
    for step in STEPS:
        lines += _copy(project, dataset, step)
    return lines


def _source(project: Project, dataset: Dataset) -> Line:
    roots = [project.notebooks, *((project.root / root).resolve() for root in project.settings.roots)]
    if dataset.contract.source.path is None:
        return Line(f"source: {dataset.contract.source.place}, not looked at here", True)
    try:
        found = snapshots.locate(dataset.contract.source.path, dataset.folder, roots)
    except CtnbError as error:
        return Line(f"source: {error.what}", False, error.hint)
    return Line(f"source: {found.name}, {found.stat().st_size:,} bytes", True)


def _named(what: str, look_up: Callable[[], object]) -> Line:
    try:
        look_up()
    except CtnbError as error:
        return Line(what, False, error.format_message())
    return Line(what, True)


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
