"""Progress bars: seen on a terminal and in a notebook, never made up, and nowhere else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flow_projects as fp
import pytest

from ctnb import gathering
from ctnb.places.fetched import Progress
from ctnb.settings import Project

SHOW = """\
import sys
from ctnb.bars import Bar
from ctnb.places.fetched import Progress

total = int(sys.argv[1]) or None
with Bar() as bar:
    for done in (1_000_000, 1_500_000, 500_000, 2_000_000):
        bar.show(Progress("deaths.csv", done, total))
"""


def on_terminal(command: Sequence[str], cwd: Path) -> tuple[int, str, str]:
    """Run `command` with a terminal as its standard error; its exit code, what it printed and what it showed."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")  # Windows has neither
    try:
        ours, its = pty.openpty()
    except OSError:
        pytest.skip("this machine gives out no pseudo terminal: /dev/pts is not mounted")
    termios.tcsetwinsize(its, (24, 100))
    shown: list[bytes] = []

    def listen() -> None:
        try:
            while chunk := os.read(ours, 65_536):
                shown.append(chunk)
        except OSError:  # Linux says so when the other end is closed
            pass

    listening = threading.Thread(target=listen)
    listening.start()
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=its, text=True, timeout=120, check=False
    )
    os.close(its)
    listening.join()
    os.close(ours)
    return done.returncode, done.stdout, b"".join(shown).decode()


def script(total: int) -> list[str]:
    """A process that shows a bar of so many bytes, or of an unknown number for 0."""
    return [sys.executable, "-c", SHOW, str(total)]


def inbox_project(folder: Path) -> Project:
    """The dataset `visits`, read from its folder data/."""
    project = fp.make(folder)
    told = "folder: {path: data, pattern: '*.csv', at_least_age_s: 0, stable_s: 0}"
    fp.change(project, "dataset.yml", "path: data/visits.csv", told)
    return project


def test_a_bar_shows_share_and_time_where_the_whole_is_known(tmp_path: Path) -> None:
    """To the end; then it makes way for what comes."""
    code, out, shown = on_terminal(script(2_000_000), tmp_path)
    assert (0, "") == (code, out)
    assert re.search(r"deaths\.csv: 100%.*2\.00M/2\.00M", shown)
    assert "" == shown.split("\r")[-1].strip()


def test_a_bar_makes_up_no_share_where_the_whole_is_unknown(tmp_path: Path) -> None:
    """Bytes and how fast they come, no percent and no time left."""
    code, out, shown = on_terminal(script(0), tmp_path)
    assert (0, "") == (code, out)
    assert re.search(r"deaths\.csv: 0\.00B|deaths\.csv: 1\.00MB", shown)
    assert "%" not in shown and "?it" not in shown


def test_without_a_terminal_nothing_is_shown(tmp_path: Path) -> None:
    """A schedule's log holds lines, not a thousand states of a bar."""
    done = fp.process(script(2_000_000), tmp_path, {})
    assert (0, "", "") == (done.code, done.out, done.err)


@pytest.mark.slow
def test_a_run_shows_a_bar_on_a_terminal_only(tmp_path: Path) -> None:
    """`ctnb run` while the supervisor fetches; the lines of the steps are as ever."""
    project = inbox_project(tmp_path)
    command = [sys.executable, "-m", "ctnb", "run", fp.SLUG, "--to", "read"]
    code, out, shown = on_terminal(command, project.root)
    assert (0, True) == (code, re.search(r"visits\.csv: +0%", shown) is not None), out + shown
    assert re.search(r"^  read +done", out, re.MULTILINE)
    quiet = fp.ctnb(project, "run", fp.SLUG, "--to", "read")
    assert (0, "") == (quiet.code, quiet.err)


@pytest.mark.slow
def test_a_draft_shows_its_fetch_in_the_notebook(tmp_path: Path) -> None:
    """One output that changes in place, and nothing on standard error; it names the file, never a cell."""
    import nbformat
    from nbclient import NotebookClient

    project = inbox_project(tmp_path)
    source = f"import ctnb\ntable = ctnb.read(ctnb.dataset({fp.SLUG!r}))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, resources={"metadata": {"path": str(project.root)}}).execute()
    outputs: list[Any] = notebook.cells[0].outputs
    texts = [output.data["text/plain"] for output in outputs if output.output_type == "display_data"]
    assert 1 == len(texts) == len(outputs)
    assert re.match(r"visits\.csv: 100%\|.*\| \d\.\d+k/\d\.\d+k \[", texts[0])


def test_many_tellings_become_few() -> None:
    """The first, the last, and one every tenth of a second: a watcher need not keep up with every piece."""
    seen: list[Progress] = []
    tell = gathering.throttled(seen.append)
    for done in range(1, 100_001):
        tell(Progress("deaths.csv", done, 100_000))
    tell(Progress("other.csv", 1, None))
    assert (1, 100_000, "other.csv") == (seen[0].done, seen[-2].done, seen[-1].what)
    assert len(seen) < 1000
