"""The safe page through nbconvert's own command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hostile_notebook import HOSTILE, code, display, notebook
from nbconvert.exporters import get_export_names, get_exporter

from ctnb.reports.exporter import CtnbExporter
from ctnb.reports.notebooks import to_html


def test_nbconvert_knows_the_exporter_by_its_name() -> None:
    """The entry point is installed, and JupyterLab's menu has a name to show."""
    assert get_exporter("ctnb") is CtnbExporter
    assert "ctnb" in get_export_names()
    assert CtnbExporter.export_from_notebook == "Safe page (ctnb)"


def test_nbconverts_command_line_writes_the_page_that_a_record_holds(tmp_path: Path) -> None:
    """One renderer, byte for byte: a hostile notebook is as harmless through nbconvert as in a record."""
    (tmp_path / "hostile.ipynb").write_text(json.dumps(HOSTILE), encoding="utf-8")
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "ctnb", "hostile.ipynb"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "hostile.html").read_text(encoding="utf-8")
    assert page == to_html(HOSTILE, title="hostile")
    assert "<script" not in page


def test_nbconverts_own_preprocessors_still_count(tmp_path: Path) -> None:
    """`--clear-output` on the same command line does what it says."""
    content = notebook(code("1 + 1", display(text_plain="canary-output")))
    exporter = CtnbExporter(config=_clearing())
    path = tmp_path / "cleared.ipynb"
    path.write_text(json.dumps(content), encoding="utf-8")
    page, _ = exporter.from_filename(str(path))
    assert "canary-output" not in page
    assert "1 + 1" in path.read_text(encoding="utf-8")


def _clearing() -> object:
    from traitlets.config import Config

    return Config({"ClearOutputPreprocessor": {"enabled": True}})
