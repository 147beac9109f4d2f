"""The tutorials do what they say: the notebooks, the written tutorial and the README's session."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"<!-- (run|file|change|append)(?:: ([^ ]+))? -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
VARYING = (
    (r"\d{8}T\d{6}Z-[0-9a-f]{4}", "ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\d+(\.\d)? s\b", "SECONDS"),
    (r"\bby [\w-]+", "by SOMEBODY"),
    (r"[\w-]+ +on local$", "SOMEBODY on local"),
    (r"/d/[a-z0-9]{4}-[a-z0-9]{4}", "/d/DATASET"),
    (r"(\S*[/\\])?\.\.\.[/\\]", "…/"),
    (r"\s+", " "),
)
"""What differs from one run to the next, and the word that stands for it here."""


def same(text: str) -> str:
    """`text` without what differs from run to run."""
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text.strip()


def unlike(shown: str, seen: str) -> str | None:
    """The first line of `shown` that `seen` does not have, in order; None when it has them all."""
    lines = iter([same(line) for line in seen.splitlines()])
    for line in filter(lambda line: line.strip() and line.strip() != "...", shown.splitlines()):
        wanted = same(line)
        head, _, tail = wanted.partition("…/")
        if not any(
            real == wanted or (tail and real.startswith(head) and real.endswith(tail)) for real in lines
        ):
            return line
    return None


@dataclass
class Terminal:
    """A person at a terminal who types what a page tells them to."""

    folder: Path
    codes: list[int] = field(default_factory=list)
    run: str = ""
    """The newest run's id."""

    def follow(self, page: str) -> None:
        """Do everything that the marked blocks of `page` say, and compare what it shows."""
        for kind, told, text in BLOCK.findall(page):
            if kind == "run":
                self.codes = []
                for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                    self.type(command, shown)
                assert int(told or 0) == next(filter(None, self.codes), 0)
            else:
                self.edit(kind, self.folder / told, text)

    def type(self, command: str, shown: str) -> None:
        """Run one command; its output must hold the lines that are shown, in their order."""
        words = re.findall(r'"[^"]*"|\S+', command)
        arguments = [word.strip('"') if word != "RUN" else self.run for word in words]
        if arguments[0] == "cd":
            self.folder /= arguments[1]
        elif arguments[0] == "mkdir":
            (self.folder / arguments[1]).mkdir()
        else:
            assert arguments[0] == "ctnb"
            ended = subprocess.run(
                [sys.executable, "-m", "ctnb", *arguments[1:]], cwd=self.folder, capture_output=True, text=True,
                check=False, encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"},
            )  # fmt: skip
            self.codes.append(ended.returncode)
            found = re.findall(r"^  run (\S+)$", ended.stdout, re.MULTILINE)
            self.run = found[-1] if found else self.run
            assert unlike(shown, ended.stdout) is None, ended.stdout + ended.stderr

    def edit(self, kind: str, path: Path, text: str) -> None:
        """Write a file, append to it, or change it as a diff says."""
        if kind == "file":
            path.write_text(text, encoding="utf-8")
        elif kind == "append":
            path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
        else:
            lines = text.splitlines()
            old = "\n".join(line[1:] for line in lines if line.startswith("-"))
            new = "\n".join(line[1:] for line in lines if line.startswith("+"))
            before = path.read_text(encoding="utf-8")
            assert before.count(old) == 1
            path.write_text(before.replace(old, new), encoding="utf-8")


@pytest.mark.slow
def test_the_written_tutorial_works_as_it_stands(tmp_path: Path) -> None:
    """Every command, file and output of docs/tutorial/first-dataset.md, in an empty folder."""
    terminal = Terminal(tmp_path)
    page = (ROOT / "docs" / "tutorial" / "first-dataset.md").read_text(encoding="utf-8")
    assert len(BLOCK.findall(page)) == page.count("\n<!-- ")
    terminal.follow(page)


@pytest.mark.slow
def test_the_readmes_demonstration_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """`ctnb demo` in a fresh copy: every line shown is there, in its order, and it ends with 0."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command, _, shown = readme.partition("```console\n")[2].partition("```")[0].partition("\n")
    assert command == "$ make demo"  # which calls ctnb demo once all is set up
    terminal = Terminal(copied(tmp_path / "project"))
    terminal.type("ctnb demo", shown)
    assert terminal.codes == [0]


@pytest.mark.slow
def test_the_readmes_python_session_is_true(project_copy: Path, tmp_path: Path) -> None:
    """A doctest of the README, in a project."""
    session = tmp_path / "readme.txt"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    session.write_text(readme.partition("```python\n")[2].partition("```")[0], encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "doctest", str(session)], cwd=project_copy, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ">>> ctnb.publish" in session.read_text(encoding="utf-8").replace("release = ", "")
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_comparison_of_outputs_finds_what_differs() -> None:
    """A line that is not there, or in another order, is found; ids and times do not count."""
    seen = "one\n  run 20261121T154805Z-9e70\nread done 1.3 s\n"
    assert unlike("run 20260101T000000Z-aaaa\nread done 9.9 s\n", seen) is None
    assert unlike("...\nread failed 1.3 s\n", seen) == "read failed 1.3 s"
    assert unlike("read done 1.3 s\none\n", seen) == "one"


def copied(place: Path) -> Path:
    """A copy, in `place`, of what the project ships to people: notebooks, templates and settings."""
    for name in ("notebooks", "templates"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copy(ROOT / "ctnb.yml", place)
    return place


@pytest.fixture(scope="module")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project for drafts, which leave no record."""
    return copied(tmp_path_factory.mktemp("tutorials") / "project")


def executed(project: Path, name: str) -> Any:
    """The tutorial `name`, run top to bottom in a plain kernel from the project's folder."""
    notebook = nbformat.read(project / "notebooks" / f"{name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(project)}})
    return client.execute()


def records_in(project: Path) -> list[Path]:
    """Everything that lies in runs/."""
    return sorted((project / "runs").rglob("*"))


def told(notebook: Any, source: str) -> str:
    """What the one cell whose code holds `source` put out, as text."""
    [cell] = [cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source]
    parts = [output.get("text") or output.data["text/plain"] for output in cell.outputs]
    return "\n".join(parts)


def test_the_tutorial_of_the_first_dataset_runs_and_shows_what_it_says(project_copy: Path) -> None:
    """The row accounts close, the review waits, nothing is sent, and runs/ stays empty."""
    before = records_in(project_copy)
    made = executed(project_copy, "first-dataset")
    assert told(made, "ctnb.read(ds)") == "2,000 rows read = 2,000 kept + 0 rejected"
    assert told(made, '"rejects"').startswith("0 rows rejected")
    assert told(made, "ctnb.transform(table, ds)").startswith("2,000 rows in = 2,000 counted in ")
    assert told(made, "ctnb.review(result, ds)").startswith("The review is waiting")
    assert told(made, "ctnb.publish").startswith("Nothing was sent")
    assert records_in(project_copy) == before


def test_the_tutorial_of_reading_a_review_counts_as_the_review_does(project_copy: Path) -> None:
    """What a reader counts by hand is what the finding says; the second review waits; nothing is sent."""
    before = records_in(project_copy)
    made = executed(project_copy, "reading-a-review")
    worst, counted = told(made, "worst.rule"), told(made, "mine")
    assert worst.startswith("small-class ")
    assert "(k = 1)" in worst
    assert [f"{int(number):,}" in worst for number in counted.split()[-2:]] == [True, True]
    assert int(told(made, "fewer").split()[-2]) < 6
    assert "complementary-unchecked" in told(made, '"findings"')
    assert told(made, "receipt.sent").startswith("(False, 'Nothing was sent")
    assert records_in(project_copy) == before


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_tutorial_is_short_and_has_no_outputs_in_git(path: Path) -> None:
    """Cells of six lines at most, no outputs, and words before most code."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code if len(cell.source.splitlines()) > 6] == []
    assert {(len(cell.outputs), cell.execution_count) for cell in code} == {(0, None)}
    assert notebook.cells[0].source.startswith("# ")
