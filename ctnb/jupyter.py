"""
A Jupyter Server extension: notebooks of a project are saved without their outputs.

Outputs of a draft may show rows, and git keeps for ever what was committed once. Outputs that count belong to
`runs/`, where the engine wrote them. The extension is switched on by `jupyter.json` beside this file, which the
installation puts where Jupyter Server looks (`etc/jupyter/jupyter_server_config.d/ctnb.json`).

The protocol is Jupyter Server's: `_jupyter_server_extension_points` and `_load_jupyter_server_extension`
(jupyter-server.readthedocs.io, Authoring a basic server extension), and `register_pre_save_hook` of its
contents manager.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

FOLDERS = ("notebooks", "templates")
"""The folders of a project whose notebooks keep no outputs."""


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "ctnb.jupyter"}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(strip_before_saving)


def strip_before_saving(model: MutableMapping[str, Any], path: str, contents_manager: Any, **_: Any) -> None:
    """Take the outputs out of `model`, about to be saved as `path`, when it is a notebook of a project."""
    if path.endswith(".ipynb") and keeps_no_outputs(_file(contents_manager, path)):
        if model.get("type") == "notebook":
            strip(model.get("content"))
        elif model.get("type") == "file" and isinstance(model.get("content"), str):
            model["content"] = _stripped_upload(model["content"], base64=model.get("format") == "base64")


def keeps_no_outputs(file: Path) -> bool:
    """Whether `file` lies in the notebooks/ or templates/ folder of a project, as named or behind links."""
    return any(_in_folder(place) for place in {file.absolute(), file.resolve()})


def strip(notebook: Any) -> None:
    """Remove outputs, execution counts and times, and the state of widgets from `notebook`, in place."""
    if not isinstance(notebook, MutableMapping):
        return  # not a notebook; Jupyter refuses it right after
    if isinstance(notebook.get("metadata"), MutableMapping):
        notebook["metadata"].pop("widgets", None)
    for cell in _code_cells(notebook):
        cell["outputs"] = []
        cell["prompt_number" if "prompt_number" in cell else "execution_count"] = None  # nbformat 3, 4
        if isinstance(cell.get("metadata"), MutableMapping):
            cell["metadata"].pop("execution", None)


def _code_cells(notebook: MutableMapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    """The code cells of nbformat 4, and of the worksheets of nbformat 3."""
    for holder in (notebook, *(notebook.get("worksheets") or ())):
        for cell in holder.get("cells") or () if isinstance(holder, MutableMapping) else ():
            if isinstance(cell, MutableMapping) and cell.get("cell_type") == "code":
                yield cell


def _stripped_upload(content: str, *, base64: bool) -> str:
    """A notebook that came as a plain file, stripped; unchanged when it is none, such as a part of a large one."""
    try:
        notebook = json.loads(b64decode(content, validate=True) if base64 else content)
    except ValueError:
        return content
    strip(notebook)
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return b64encode(text.encode("utf-8")).decode("ascii") if base64 else text


def _file(contents_manager: Any, path: str) -> Path:
    """Where `path`, as the contents API writes it, lies on the disk."""
    return Path(contents_manager.root_dir, *path.strip("/").split("/"))


def _in_folder(file: Path) -> bool:
    from ctnb.settings import MARK  # here, so that the server's start does not pay for it

    root = next((folder for folder in file.parents if (folder / MARK).is_file()), None)
    return root is not None and file.relative_to(root).parts[0] in FOLDERS
