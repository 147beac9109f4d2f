"""Planted names, numbers, addresses and tokens: whatever a step does with them, no record holds one."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import pytest

from ctnb import datasets, deciding, verification
from ctnb.errors import UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.settings import Project

SECRET_PORTAL = fp.CTNB_YML + (
    "  state:\n    kind: socrata\n    url: http://127.0.0.1:9\n    key_id: {secret: STATE_KEY_ID}\n"
    "    key_secret: {secret: STATE_KEY_SECRET}\n"
)

FRAME = "frame = table.df()\n"
SHOWS = (
    "print(frame)",
    "print(frame.to_string())",
    "print(frame.person.tolist(), frame.ssn.tolist())",
    "for row in frame.itertuples(): print(row)",
    "display(frame.head())",
    "frame.head()",
    "frame.style.set_caption(frame.person.iloc[0])",
    "frame.person.iloc[0]",
    "{name: 1 for name in frame.person}",
    "from IPython.display import HTML, Markdown; display(HTML(frame.to_html()), Markdown(frame.person.iloc[0]))",
    "import warnings; warnings.warn(frame.ssn.iloc[0] + frame.person.iloc[0])",
    "import logging; logging.error('%s %s', frame.mail.iloc[0], frame.person.iloc[0])",
    "import sys; print(frame.person.iloc[0], frame.note.iloc[0], file=sys.stderr)",
    "import os; os.system(f'echo {frame.person.iloc[0]} {frame.ssn.iloc[0]}')",
    "print(frame.person.iloc[0].upper(), frame.person.iloc[1].lower())",
    "import json; print(json.dumps(frame.person.tolist()), repr(frame.note.iloc[0]))",
    "print(open('token.txt').read())",
    "token = open('token.txt').read(); print(token[:9], end='', flush=True); print(token[9:])",
    "import base64; print(base64.b64encode(token.encode()).decode(), ascii(token))",
    "print(open('data/visits.csv').read())",
    "print(len(frame))",
)
"""What people write into a read notebook after `table = ctnb.read(...)`."""

RAISES = {
    "value error": "raise ValueError(frame.person.iloc[0] + frame.ssn.iloc[0])",
    "conversion": "int(frame.person.iloc[0])",
    "key error": "{}[frame.mail.iloc[0]]",
    "chained": (
        "try:\n    int(frame.person.iloc[0])\n"
        "except ValueError as error:\n    raise RuntimeError(frame.note.iloc[0]) from error"
    ),
    "assertion": "assert frame.person.iloc[0] == '', frame.person.iloc[0]",
    "group": "raise ExceptionGroup(frame.person.iloc[0], [ValueError(frame.ssn.iloc[0])])",
    "exit": "import sys; sys.exit(frame.person.iloc[0])",
    "own error": (
        "from ctnb.errors import SourceInvalid\n"
        "raise SourceInvalid(frame.person.iloc[0], hint=frame.ssn.iloc[0])"
    ),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret that ctnb.yml names is set."""
    monkeypatch.setenv("STATE_KEY_ID", "kid-Zaphod-77")
    monkeypatch.setenv("STATE_KEY_SECRET", fp.TOKEN)


def made(folder: Path, **options: object) -> Project:
    """A project with a secret and a file that holds it, where it should not be."""
    project = fp.make(folder, ctnb_yml=SECRET_PORTAL, **options)  # type: ignore[arg-type]  # passed on
    (project.notebooks / fp.SLUG / "token.txt").write_text(fp.TOKEN)
    return project


def assert_clean(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    """No canary in the record or in what was printed, and the record verifies."""
    said = capfd.readouterr()
    assert fp.found_in(project.runs, fp.CANARIES) == {}
    assert [text for text in fp.CANARIES if text in said.out + said.err] == []
    assert verification.verify(project).faults == ()


def test_nothing_a_notebook_shows_of_the_data_stays(
    tmp_path: Path, pool: KernelPool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Printed, displayed, warned, logged, echoed, in other letters, split: none of it is in the record."""
    project = made(tmp_path, bad=2, share=0.5)
    fp.edited(project, "read", FRAME, *SHOWS)
    record = fp.run(project, pool)
    assert (record.status, record.reason) == ("released", "4 rows on local, read back and equal.")
    assert_clean(project, capfd)
    text = (fp.place(project, record) / "1-read.ipynb").read_text()
    assert "[removed: a cell of person]" in text
    assert "46\\n" in text  # a count stays


@pytest.mark.slow
@pytest.mark.parametrize("raised", RAISES)
def test_no_message_of_an_error_stays(
    tmp_path: Path, pool: KernelPool, capfd: pytest.CaptureFixture[str], raised: str
) -> None:
    """The kind of the error and its place are kept; what it said lies in the private work folder."""
    project = made(tmp_path)
    fp.edited(project, "read", FRAME, RAISES[raised])
    record = fp.run(project, pool)
    assert record.status == "failed"
    assert_clean(project, capfd)
    log = project.work(record.run) / "read" / "kernel.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_what_a_notebook_prints_before_anything_was_read_does_not_stay(
    tmp_path: Path, pool: KernelPool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody can tell yet which texts are cells, so nothing printed is kept when the step fails there."""
    project = made(tmp_path)
    fp.edited(project, "read", "print(open('data/visits.csv').read())", "1 / 0", at=2)
    record = fp.run(project, pool)
    assert record.reason == "Step read: cell 4 raised ZeroDivisionError."
    assert_clean(project, capfd)


SOURCES = {
    "too many rejects": ("Age", "Age"),
    "a header that is data": ("Person,SSN,Mail,Town,Age,Day,Reason,Note\n", ""),
    "an unknown header": ("Note\n", f"Note {fp.NAMES[0]}\n"),
    "a row with more cells": (f"{fp.NAMES[1]},", f"{fp.NAMES[1]},{fp.SSNS[3]},"),
    "a quote that never ends": (f"{fp.NAMES[1]},", f'"{fp.NAMES[1]},'),
}


@pytest.mark.slow
@pytest.mark.parametrize("trouble", SOURCES)
def test_a_source_that_does_not_fit_is_refused_without_quoting_it(
    tmp_path: Path, pool: KernelPool, capfd: pytest.CaptureFixture[str], trouble: str
) -> None:
    """Code 6; a header that the contract does not know may be a cell, so it is told by its place."""
    project = made(tmp_path, bad=2)
    fp.change(project, "data/visits.csv", *SOURCES[trouble])
    record = fp.run(project, pool)
    assert (record.status, record.exit_code, record.release) == ("failed", 6, None), record.reason
    assert_clean(project, capfd)


SCRIPTS = {
    "sql": ("transform.sql", "SELECT CAST(person AS INTEGER) AS people, town FROM data"),
    "sql that asserts": ("transform.sql", "SELECT error(person || ssn) AS people, town FROM data"),
    "sql with a wrong table": ("transform.sql", "SELECT person AS town, ssn AS people FROM data"),
    "r": (
        "transform.R",
        "transform <- function(df) {\n  print(df)\n  cat(df$person)\n  str(df)\n  warning(df$ssn[1], df$person[1])\n"
        "  message(df$mail[1])\n  stop(df$person[1], df$ssn[1])\n}\n",
    ),
    "r with a wrong table": (
        "transform.R", "transform <- function(df) data.frame(town = df$person, people = df$ssn)\n"
    ),
    "r with wrong columns": (
        "transform.R",
        "transform <- function(df) {\n  df[[df$person[1]]] <- 1\n  names(df)[2] <- df$ssn[1]\n  df\n}\n",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_no_message_of_a_transform_stays(
    tmp_path: Path, pool: KernelPool, capfd: pytest.CaptureFixture[str], script: str
) -> None:
    """DuckDB and R quote the cells they cannot take; the record names the script and the kind of trouble."""
    project = made(tmp_path)
    name, text = SCRIPTS[script]
    (project.notebooks / fp.SLUG / "transform.sql").unlink()
    (project.notebooks / fp.SLUG / name).write_text(text)
    record = fp.run(project, pool)
    assert (record.status, record.release) == ("failed", None)
    assert record.exit_code in (6, 7)
    assert_clean(project, capfd)


@pytest.mark.slow
def test_a_person_level_review_names_columns_and_counts_only(
    tmp_path: Path, pool: KernelPool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Blocked, with the reasons; no cell in findings, report or notebooks."""
    project = made(tmp_path)
    fp.publish_people(project)
    record = fp.run(project, pool)
    assert (record.status, record.exit_code) == ("blocked", 1)
    assert_clean(project, capfd)


@pytest.mark.slow
def test_a_parameter_that_holds_a_secret_is_refused(tmp_path: Path, pool: KernelPool) -> None:
    """Secrets are named in ctnb.yml; a parameter would stand in the notebook."""
    project = made(tmp_path)
    out = str(tmp_path / "out.ipynb")
    read = str(fp.edited(project, "read", parameters='word: str = ""'))
    done = fp.papermill(project, read, out, "-r", "word", f"x{fp.TOKEN}")
    assert done.code == 2
    assert "Parameter 'word' holds a secret." in done.err
    assert fp.TOKEN not in done.out + done.err
    assert not Path(out).exists() or fp.TOKEN not in Path(out).read_text()
    assert fp.found_in(project.runs, [fp.TOKEN]) == {}


def test_a_reason_that_names_somebody_is_refused_unquoted(tmp_path: Path, pool: KernelPool) -> None:
    """The ledger is kept for good and read by many."""
    project = made(tmp_path, small=True)
    record = fp.run(project, pool)
    for reason in (f"The person {fp.SSNS[1]} asked for it", f"As {fp.MAILS[2]} said to publish it"):
        with pytest.raises(UsageError, match="seems to contain") as refused:
            deciding.decide(project, record.run, "approve", reason=reason)
        assert fp.SSNS[1] not in str(refused.value)
        assert fp.MAILS[2] not in str(refused.value)
    assert fp.found_in(project.runs, [fp.SSNS[1], fp.MAILS[2]]) == {}


def test_private_folders_are_their_owners_alone(tmp_path: Path, pool: KernelPool) -> None:
    """Every folder below .ctnb is 0700, and what the kernel and the supervisor exchange is 0600."""
    project = made(tmp_path, bad=2, share=0.5)
    record = fp.run(project, pool)
    private = project.root / ".ctnb"
    open_folders = [p for p in (private, *private.rglob("*")) if p.is_dir() and p.stat().st_mode & 0o077]
    assert open_folders == []
    told = [*private.rglob("*.json"), *private.rglob("kernel.log"), private / "key"]
    assert [str(p) for p in told if p.stat().st_mode & 0o077] == []
    step = json.loads((project.work(record.run) / "publish" / "step.json").read_text())
    assert step["secrets"] == ["STATE_KEY_ID", "STATE_KEY_SECRET"]
    assert fp.TOKEN not in json.dumps(step)
    assert datasets.slugs(project.notebooks) == [fp.SLUG]
