"""A real Jupyter Server on loopback: what it writes when a notebook is saved."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
import requests

from ctnb import jupyter
from ctnb.reports.notebooks import to_html

ROOT = Path(__file__).resolve().parents[1]
CANARY = "Ada Lovelace 078-05-1120"

WITH_OUTPUTS: dict[str, Any] = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "widgets": {"state": CANARY}},
    "cells": [
        {"cell_type": "markdown", "id": "words", "metadata": {}, "source": "# Kept"},
        {
            "cell_type": "code",
            "id": "code",
            "metadata": {
                "tags": ["parameters"],
                "execution": {"iopub.execute_input": "2026-11-21T11:00:00Z"},
            },
            "execution_count": 7,
            "source": "table.df().head()",
            "outputs": [
                {
                    "output_type": "execute_result",
                    "execution_count": 7,
                    "data": {"text/plain": CANARY},
                    "metadata": {},
                }
            ],
        },
    ],
}

STRIPPED = deepcopy(WITH_OUTPUTS)
del STRIPPED["metadata"]["widgets"]
STRIPPED["cells"][1] |= {"metadata": {"tags": ["parameters"]}, "execution_count": None, "outputs": []}


@dataclass(frozen=True)
class Server:
    """A running Jupyter Server."""

    folder: Path
    """What it serves: a project in `project`, and `elsewhere` beside it."""
    url: str
    token: str

    def save(self, path: str, content: Any, *, kind: str = "notebook", form: str = "json") -> int:
        """Save as JupyterLab does, and return the answer's status."""
        answer = requests.put(
            f"{self.url}api/contents/{path}",
            json={"type": kind, "format": form, "content": content},
            headers={"Authorization": f"token {self.token}"},
            timeout=30,
        )
        return answer.status_code

    def on_disk(self, path: str) -> Any:
        """The notebook as it lies on the disk, its lines joined."""
        return nbformat.read(self.folder / path, as_version=4)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The Jupyter Server of this environment, with the settings that the installation made, and no others."""
    folder = tmp_path_factory.mktemp("jupyter")
    for name in (
        "project/notebooks/deaths", "project/templates", "project/runs", "elsewhere/notebooks", "config", "run"
    ):  # fmt: skip
        (folder / name).mkdir(parents=True)
    (folder / "project" / "ctnb.yml").write_text("format: 1\n", encoding="utf-8")
    token, log = secrets.token_hex(16), folder / "server.log"
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_RUNTIME_DIR": str(folder / "run"),
        "JUPYTER_TOKEN": token, "JUPYTER_NO_CONFIG": "",
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--ip=127.0.0.1", "--port=0",
               "--allow-root", f"--ServerApp.root_dir={folder}"]  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stream, stderr=stream)
    try:
        yield Server(folder, _address(process, log), token)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text(errors="replace"))
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"Jupyter Server did not start:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.mark.parametrize("folder", ["project/notebooks/deaths", "project/notebooks", "project/templates"])
def test_a_notebook_of_a_project_is_saved_without_outputs(server: Server, folder: str) -> None:
    """Outputs, counts, times and the state of widgets go; sources, ids and tags stay."""
    assert server.save(f"{folder}/read.ipynb", WITH_OUTPUTS) in (200, 201)
    assert server.on_disk(f"{folder}/read.ipynb") == STRIPPED


@pytest.mark.parametrize("folder", ["elsewhere/notebooks", "elsewhere", "project/runs", "project"])
def test_a_notebook_outside_keeps_its_outputs(server: Server, folder: str) -> None:
    """Records and notebooks of other work are nobody's business here."""
    assert server.save(f"{folder}/read.ipynb", WITH_OUTPUTS) in (200, 201)
    assert server.on_disk(f"{folder}/read.ipynb") == WITH_OUTPUTS


def test_a_notebook_that_is_uploaded_loses_its_outputs_too(server: Server) -> None:
    """An upload arrives as a file, in text or base64, and is a notebook by its name."""
    text = json.dumps(WITH_OUTPUTS)
    encoded = b64encode(text.encode()).decode()
    assert server.save("project/notebooks/one.ipynb", text, kind="file", form="text") == 201
    assert server.save("project/notebooks/two.ipynb", encoded, kind="file", form="base64") == 201
    assert server.on_disk("project/notebooks/one.ipynb") == STRIPPED
    assert server.on_disk("project/notebooks/two.ipynb") == STRIPPED


def test_other_files_of_a_project_are_saved_as_they_are(server: Server) -> None:
    """A CSV or a script goes through unchanged, also one that looks like a notebook."""
    text = json.dumps(WITH_OUTPUTS)
    assert server.save("project/notebooks/deaths/notes.json", text, kind="file", form="text") == 201
    assert (server.folder / "project/notebooks/deaths/notes.json").read_text(encoding="utf-8") == text


def test_a_notebook_reached_through_a_link_is_stripped(server: Server) -> None:
    """A link elsewhere that leads into a project writes into the project."""
    target = server.folder / "project" / "notebooks" / "linked.ipynb"
    target.write_text(json.dumps(STRIPPED), encoding="utf-8")
    link = server.folder / "elsewhere" / "linked.ipynb"
    link.symlink_to(target)
    assert server.save("elsewhere/linked.ipynb", WITH_OUTPUTS) == 200
    assert CANARY not in target.read_text(encoding="utf-8")


def test_checkpoints_hold_no_outputs_and_stay_out_of_git(server: Server) -> None:
    """Jupyter's copy beside the notebook is as empty as the notebook, and git does not see it."""
    server.save("project/notebooks/kept.ipynb", WITH_OUTPUTS)
    answer = requests.post(
        f"{server.url}api/contents/project/notebooks/kept.ipynb/checkpoints",
        headers={"Authorization": f"token {server.token}"},
        timeout=30,
    )
    assert answer.status_code == 201
    copies = list((server.folder / "project" / "notebooks" / ".ipynb_checkpoints").iterdir())
    assert {CANARY in copy.read_text(encoding="utf-8") for copy in copies} == {False}
    assert ".ipynb_checkpoints/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_jupyterlabs_export_menu_gives_the_safe_page(server: Server) -> None:
    """The server offers the exporter, and what it serves is the page that a record holds."""
    server.save("elsewhere/page.ipynb", WITH_OUTPUTS)
    headers = {"Authorization": f"token {server.token}"}
    offered = requests.get(f"{server.url}api/nbconvert", headers=headers, timeout=30).json()
    served = requests.get(f"{server.url}nbconvert/ctnb/elsewhere/page.ipynb", headers=headers, timeout=30)
    assert offered["ctnb"] == {"output_mimetype": "text/html"}
    assert served.text == to_html(server.folder / "elsewhere" / "page.ipynb", title="page")


def test_an_old_notebook_loses_its_outputs_too() -> None:
    """nbformat 3 keeps its cells in worksheets and counts prompts."""
    cell = {"cell_type": "code", "input": "x", "prompt_number": 3, "outputs": [{"text": CANARY}]}
    old = {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [cell]}]}
    jupyter.strip(old)
    expected = {"cell_type": "code", "input": "x", "prompt_number": None, "outputs": []}
    assert old == {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [expected]}]}


@pytest.mark.parametrize(
    "content", [None, "text", [], {"cells": None}, {"cells": ["x", {"cell_type": "code"}]}]
)
def test_what_is_not_a_notebook_does_not_break_the_hook(content: Any) -> None:
    """Jupyter refuses it with its own words; the hook must not hide them."""
    jupyter.strip(content)
    assert CANARY not in str(content)


def test_a_part_of_a_large_upload_is_left_whole(tmp_path: Path) -> None:
    """A part is no notebook by itself; changing it would break the whole."""
    (tmp_path / "ctnb.yml").write_text("format: 1\n", encoding="utf-8")
    part = b64encode(json.dumps(WITH_OUTPUTS).encode()[:101]).decode()
    model = {"type": "file", "format": "base64", "content": part}

    class Manager:
        root_dir = str(tmp_path)

    jupyter.strip_before_saving(model, "/notebooks/large.ipynb", Manager())
    assert model["content"] == part
