"""Templates: which notebook a step runs, and copies that are edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import SLUG

from ctnb import datasets, templates
from ctnb.datasets import Dataset
from ctnb.errors import NameUnknown, UsageError
from ctnb.records import STEPS
from ctnb.settings import Project


@pytest.fixture
def dataset(project: Project) -> Dataset:
    """The sample dataset."""
    return datasets.dataset(SLUG, project.notebooks)


def put(path: Path, source: str) -> None:
    """A notebook of one cell."""
    cell = {"cell_type": "code", "source": [source], "metadata": {}, "outputs": [], "execution_count": None}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def test_the_datasets_own_copy_comes_before_the_projects_and_that_before_ctnbs(
    project: Project, dataset: Dataset
) -> None:
    """The nearest template counts."""
    assert templates.look_up(project, dataset, "read").origin == "package"
    put(project.root / "templates" / "read.ipynb", "1")
    assert templates.look_up(project, dataset, "read").origin == "project"
    put(dataset.folder / "read.ipynb", "2")
    found = templates.look_up(project, dataset, "read")
    assert (found.origin, found.path) == ("dataset", dataset.folder / "read.ipynb")


def test_every_step_has_a_template(project: Project, dataset: Dataset) -> None:
    """Four steps, four notebooks."""
    assert {templates.look_up(project, dataset, step).origin for step in STEPS} == {"package"}


def test_an_unknown_step_is_refused(project: Project, dataset: Dataset) -> None:
    """With the nearest that there is."""
    with pytest.raises(NameUnknown, match="Did you mean 'publish'"):
        templates.look_up(project, dataset, "pubish")


def test_a_copy_has_the_slug_and_the_digest_of_its_original(project: Project, dataset: Dataset) -> None:
    """It opens in JupyterLab for its dataset, and remembers what it came from."""
    origin = templates.look_up(project, dataset, "read")
    copy = templates.edit(project, dataset, "read")
    notebook = templates.read(copy)
    sources = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
    assert f'dataset: str = "{SLUG}"' in sources
    assert notebook["metadata"]["ctnb"]["copied_from"] == {"origin": "package", "digest": origin.digest}
    assert templates.look_up(project, dataset, "read").path == copy


def test_a_copy_is_not_written_over(project: Project, dataset: Dataset) -> None:
    """Somebody's work is in it."""
    copy = templates.edit(project, dataset, "read")
    before = copy.read_bytes()
    with pytest.raises(UsageError, match=r"has its own read\.ipynb already"):
        templates.edit(project, dataset, "read")
    assert copy.read_bytes() == before


def test_a_copy_is_told_when_its_original_moved_on(project: Project, dataset: Dataset) -> None:
    """Changes of the copy do not count, changes of the original do."""
    original = project.root / "templates" / "read.ipynb"
    put(original, "1")
    assert not templates.moved_on(project, dataset, "read")
    copy = templates.edit(project, dataset, "read")
    copy.write_text(copy.read_text(encoding="utf-8").replace('"1"', '"edited"'), encoding="utf-8")
    assert not templates.moved_on(project, dataset, "read")
    put(original, "2")
    assert templates.moved_on(project, dataset, "read")


def test_outputs_do_not_count_in_the_digest_of_a_template(tmp_path: Path) -> None:
    """A template that somebody ran is the same template."""
    put(tmp_path / "a.ipynb", "1")
    notebook = templates.read(tmp_path / "a.ipynb")
    before = templates.digest(notebook)
    notebook["cells"][0]["outputs"] = [{"output_type": "stream", "text": "x"}]
    assert templates.digest(notebook) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": []}', "not json"])
def test_what_is_no_notebook_is_told(tmp_path: Path, text: str) -> None:
    """A half-saved file is not run."""
    (tmp_path / "read.ipynb").write_text(text)
    with pytest.raises(UsageError, match=r"read\.ipynb is not a notebook"):
        templates.read(tmp_path / "read.ipynb")
