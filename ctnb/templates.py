"""Templates: where the notebook of a step is found, and copying one into a dataset's folder for editing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb import digests, documents
from ctnb.datasets import Dataset
from ctnb.errors import NameUnknown, UsageError
from ctnb.records import STEPS
from ctnb.settings import Project

COPIED_FROM = "copied_from"


@dataclass(frozen=True)
class Template:
    """The notebook of one step."""

    step: str
    path: Path
    origin: str
    """dataset (an edited copy), project, package, or path."""
    digest: str
    """SHA-256 of its cells' sources."""


def look_up(project: Project, dataset: Dataset, step: str) -> Template:
    """The template of `step`: the dataset's own copy, else the project's, else the one that came with ctnb."""
    if step not in STEPS:
        raise NameUnknown("step", step, STEPS)
    places = [
        (dataset.folder / f"{step}.ipynb", "dataset"),
        (project.root / "templates" / f"{step}.ipynb", "project"),
        (packaged(step), "package"),
    ]
    path, origin = next((path, origin) for path, origin in places if path.is_file() or origin == "package")
    return Template(step, path, origin, digest(read(path)))


def packaged(step: str) -> Path:
    """The template of `step` that came with ctnb."""
    inside = Path(__file__).parent / "_templates" / f"{step}.ipynb"
    return inside if inside.is_file() else Path(__file__).parent.parent / "templates" / f"{step}.ipynb"


def read(path: Path) -> dict[str, Any]:
    """The notebook in `path` as JSON. Raises UsageError when it is not one."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["cells"], notebook["metadata"]
    except (OSError, ValueError, KeyError, TypeError):
        notebook = None
    if not isinstance(notebook, dict):
        raise UsageError(f"{path.name} is not a notebook.", hint="Copy the template again with: ctnb edit")
    return notebook


def digest(notebook: dict[str, Any]) -> str:
    """SHA-256 of the kinds and sources of a notebook's cells; outputs do not count."""
    cells = [[cell["cell_type"], "".join(cell["source"])] for cell in notebook["cells"]]
    return digests.of_bytes(digests.canonical_json(cells))


def edit(project: Project, dataset: Dataset, step: str) -> Path:
    """
    Copy the template of `step` into the dataset's folder and return the copy, which is used from now on.

    The copy keeps the original's digest and has the dataset's slug as its default. Raises UsageError when
    there is a copy already.
    """
    if dataset.own_notebook(step):
        raise UsageError(
            f"{dataset.slug} has its own {step}.ipynb already.",
            hint="Edit that file, or delete it to start anew.",
        )
    template = look_up(project, dataset, step)
    notebook = read(template.path)
    notebook["metadata"].setdefault("ctnb", {})[COPIED_FROM] = {
        "origin": template.origin,
        "digest": template.digest,
    }
    for cell in notebook["cells"]:
        cell["source"] = _with_slug("".join(cell["source"]), cell, dataset.slug)
    target = dataset.folder / f"{step}.ipynb"
    documents.write_text(target, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return target


def moved_on(project: Project, dataset: Dataset, step: str) -> bool:
    """Whether the template that the dataset's copy of `step` came from has changed since."""
    copy = dataset.own_notebook(step)
    origin = read(copy)["metadata"].get("ctnb", {}).get(COPIED_FROM) if copy else None
    if not origin:
        return False
    path = project.root / "templates" / f"{step}.ipynb" if origin["origin"] == "project" else packaged(step)
    return path.is_file() and digest(read(path)) != origin["digest"]


def _with_slug(source: str, cell: dict[str, Any], slug: str) -> str:
    if "parameters" not in cell.get("metadata", {}).get("tags", []):
        return source
    lines = source.split("\n")
    return "\n".join(
        f'dataset: str = "{slug}"' + (f"  # {line.split('#', 1)[1].strip()}" if "#" in line else "")
        if line.startswith("dataset:")
        else line
        for line in lines
    )
