"""Every way in which a step can end badly, provoked for real: what the record says is what happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flow_projects as fp
import pytest

from ctnb import records, verification
from ctnb.errors import NameUnknown, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.records import RunRecord
from ctnb.settings import Project

LATER = "from pathlib import Path; Path('later-ran').write_text('')"
STARTED = "from pathlib import Path; Path('cell-runs').write_text('')"

SHORT_CELLS = fp.CTNB_YML + "runs:\n  cell_timeout_s: 1\n"
SHORT_RUNS = fp.CTNB_YML + "runs:\n  run_timeout_s: 3\n"

FAILURES = {
    "exception": (
        "raise ValueError(f'{table.df().ssn.iloc[0]} is not a day')", fp.CTNB_YML, "failed", "raised ValueError"
    ),
    "quit": ("quit()", fp.CTNB_YML, "failed", "called quit()"),
    "exit": ("exit()", fp.CTNB_YML, "failed", "called quit()"),
    "sys-exit": ("import sys; sys.exit(0)", fp.CTNB_YML, "failed", "called sys.exit()"),
    "syntax": ("this is no Python", fp.CTNB_YML, "failed", "raised SyntaxError"),
    "dead": ("import os; os._exit(9)", fp.CTNB_YML, "crashed", "the kernel died while"),
    "killed": ("import os; os.kill(os.getpid(), 9)", fp.CTNB_YML, "crashed", "the kernel died while"),
    "memory": ("raise MemoryError", fp.CTNB_YML, "crashed", "ran out of memory"),
    "slow-cell": ("import time; time.sleep(30)", SHORT_CELLS, "crashed", "ran longer than 1 s"),
    "slow-run": ("import time; time.sleep(30)", SHORT_RUNS, "crashed", "the notebook ran longer than 3 s"),
}  # fmt: skip


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture
def visits(tmp_path: Path) -> Project:
    """A project whose dataset would be released."""
    return fp.make(tmp_path / "project")


def later_ran(project: Project) -> bool:
    """Whether a cell after the failing one ran; the kernels work in the dataset's folder."""
    return (project.notebooks / fp.SLUG / "later-ran").exists()


def assert_true_record(project: Project, record: RunRecord, step: str, status: str) -> None:
    """The record of a run that ended in `step` says so everywhere, is sealed and verifies."""
    number = records.STEPS.index(step) + 1
    name = f"{number}-{step}.ipynb"
    assert [one.step for one in record.steps] == list(records.STEPS[:number])
    assert record.steps[-1].status == status
    assert record.ended and record.steps[-1].ended
    said = fp.statuses(project, record, name)
    stopped = next(i for i, one in enumerate(said) if one != "completed")
    assert said[stopped + 1 :] == ["pending"] * len(said[stopped + 1 :])
    told = fp.notebook(project, record, name)["metadata"]["papermill"]
    assert (told["exception"], told["status"]) == (True, status)
    assert (fp.place(project, record) / "report.html").is_file()
    assert verification.verify(project).faults == ()
    assert not later_ran(project)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_step_that_ends_badly_ends_the_run_with_its_true_status(
    tmp_path: Path, pool: KernelPool, failure: str
) -> None:
    """No later cell runs, none that never ran is called completed, and the run's code is 7."""
    source, ctnb_yml, status, reason = FAILURES[failure]
    project = fp.make(tmp_path / "project", ctnb_yml=ctnb_yml)
    fp.edited(project, "read", source, LATER)
    record = fp.run(project, pool)
    assert (record.status, record.exit_code) == (status, 7)
    assert reason in record.reason
    assert reason in record.steps[-1].reason
    assert_true_record(project, record, "read", status)
    assert fp.found_in(project.runs, fp.CANARIES) == {}


@pytest.mark.slow
@pytest.mark.parametrize("step", ["transform", "privacy_review", "publish"])
def test_a_later_step_that_fails_ends_the_run_there(visits: Project, pool: KernelPool, step: str) -> None:
    """The steps before it stay completed; nothing is sent before the publish cell."""
    fp.edited(visits, step, "1 / 0", LATER, at=3)
    record = fp.run(visits, pool)
    assert (record.status, record.exit_code, record.release) == ("failed", 7, None)
    assert [one.status for one in record.steps[:-1]] == ["completed"] * (len(record.steps) - 1)
    assert_true_record(visits, record, step, "failed")


def test_quit_in_a_transform_in_r_ends_the_run(visits: Project, pool: KernelPool) -> None:
    """`quit(status = 0)` in transform.R is a failure of the step, and no later cell runs."""
    folder = visits.notebooks / fp.SLUG
    (folder / "transform.sql").unlink()
    (folder / "transform.R").write_text("transform <- function(df) {\n  quit(status = 0)\n}\n")
    fp.edited(visits, "transform", LATER)
    record = fp.run(visits, pool)
    assert (record.status, record.exit_code) == ("failed", 7)
    assert "quit" in record.reason
    assert_true_record(visits, record, "transform", "failed")


@pytest.mark.slow
def test_an_error_in_r_is_named_without_its_message(visits: Project, pool: KernelPool) -> None:
    """R's own message quotes a cell; the record says only that R stopped."""
    folder = visits.notebooks / fp.SLUG
    (folder / "transform.sql").unlink()
    body = 'print(head(df$person))\n  warning(df$ssn[1])\n  message(df$mail[1])\n  stop("not a number: ", df$ssn[1])'
    (folder / "transform.R").write_text(f"transform <- function(df) {{\n  {body}\n}}\n")
    record = fp.run(visits, pool)
    assert (record.status, record.exit_code) == ("failed", 7)
    assert "transform.R" in record.reason
    assert fp.found_in(visits.runs, fp.CANARIES) == {}


def test_an_expected_exception_lets_the_notebook_go_on(visits: Project, pool: KernelPool) -> None:
    """Jupyter's tag raises-exception is kept; quitting under it is not."""
    path = fp.edited(visits, "read", "1 / 0", LATER)
    told = json.loads(path.read_text())
    for cell in told["cells"]:
        if cell["source"] == "1 / 0":
            cell["metadata"]["tags"] = ["raises-exception"]
    path.write_text(json.dumps(told))
    record = fp.run(visits, pool, to="read")
    assert (record.status, record.exit_code) == ("rehearsed", 0)
    assert later_ran(visits)
    assert record.steps[-1].status == "completed"


def test_a_notebook_that_does_not_close_fails(visits: Project, pool: KernelPool) -> None:
    """Without ctnb.done the supervisor has no result to take."""
    fp.edited(visits, "read", drop="ctnb.done")
    record = fp.run(visits, pool)
    assert (record.status, record.exit_code) == ("failed", 7)
    assert record.reason == "Step read ended without closing."
    assert record.next == "The notebook's last cell must be: ctnb.done(...)"


@pytest.mark.slow
def test_a_dead_kernel_while_it_publishes_leaves_the_release_in_the_record(
    visits: Project, pool: KernelPool
) -> None:
    """The rows were sent and read back; then the kernel died: both are said."""
    fp.edited(visits, "publish", "import os; os._exit(1)")
    record = fp.run(visits, pool)
    assert (record.status, record.exit_code) == ("crashed", 7)
    assert record.release is not None
    assert record.release.rows_after == 4
    assert verification.verify(visits).faults == ()


# -- signals, to a process of its own


@contextmanager
def running(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    """`ctnb run` in a process group of its own, in the middle of a cell of the transform."""
    marker = project.notebooks / fp.SLUG / "cell-runs"
    fp.edited(project, "transform", f"{STARTED}\nimport time; time.sleep(60)", LATER, at=3)
    command = [sys.executable, "-m", "ctnb", "run", fp.SLUG]
    with (project.root / "out.txt").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=project.root, start_new_session=True, stdout=output, stderr=output
        )
    try:
        wait_for(lambda: marker.exists() or process.poll() is not None)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(happened: object, limit_s: float = 60.0) -> None:
    """Wait until `happened()` is true."""
    until = time.monotonic() + limit_s
    while not happened():  # type: ignore[operator]  # a function without arguments
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "group"), [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False)]
)
def test_a_signal_ends_the_run_as_interrupted(visits: Project, number: int, code: int, group: bool) -> None:
    """Ctrl-C reaches the whole group, SIGTERM the supervisor alone; both are in the record when it ends."""
    with running(visits) as process:
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(60) == code
    record = records.find(visits, fp.SLUG)
    assert (record.status, record.exit_code) == ("interrupted", code)
    assert "was interrupted" in record.reason
    assert_true_record(visits, record, "transform", "interrupted")


@pytest.mark.slow
def test_a_killed_supervisor_is_found_by_the_next_command(visits: Project) -> None:
    """kill -9 leaves `running`; `ctnb runs list` marks it interrupted, sealed and verifiable."""
    with running(visits) as process:
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert records.find(visits, fp.SLUG).status == "running"
    listed = fp.ctnb(visits, "runs", "list", "--json")
    assert listed.code == 0
    assert [one["status"] for one in json.loads(listed.out)] == ["interrupted"]
    record = records.find(visits, fp.SLUG)
    assert [one.status for one in record.steps] == ["completed", "interrupted"]
    assert (record.exit_code, record.seal) == (143, 1)
    assert "killed" in record.reason
    assert verification.verify(visits).faults == ()
    assert not later_ran(visits)


# -- parameters, refused before a kernel starts


@pytest.mark.slow
def test_an_unknown_parameter_is_refused_before_anything_is_recorded(visits: Project) -> None:
    """With the nearest names that exist, and code 2."""
    done = fp.papermill(
        visits, template("read"), str(visits.root / "out.ipynb"), "-p", "dataset", fp.SLUG, "-p", "sorce", "x"
    )
    assert done.code == 2
    assert "There is no parameter 'sorce'." in done.err
    assert "Did you mean 'source'?" in done.err
    assert not visits.ledger.exists()
    assert records.all_records(visits) == []


@pytest.mark.slow
def test_a_code_with_leading_zeros_that_arrives_as_a_number_is_refused(visits: Project) -> None:
    """`-p zip 06103` is 6103 before any engine sees it; the hint says -r, which arrives whole."""
    notebook = str(fp.edited(visits, "read", 'assert zip == "06103"', parameters='zip: str = ""'))
    out = str(visits.root / "out.ipynb")
    done = fp.papermill(visits, notebook, out, "-p", "zip", "06103")
    assert done.code == 2
    assert "Parameter 'zip' must be text, and came as a whole number." in done.err
    assert "-r zip" in done.err
    assert "6103\n" not in done.err.replace("06103 becomes the number 6103", "")
    assert [one.status for one in records.all_records(visits)] == []
    again = fp.papermill(visits, notebook, out, "-r", "zip", "06103")
    assert (again.code, [one.status for one in records.all_records(visits)]) == (0, ["open"])


def test_a_run_of_an_unknown_dataset_or_step_records_nothing(visits: Project, pool: KernelPool) -> None:
    """A misspelt name is an error with the nearest one."""
    from ctnb import flows

    with pytest.raises(NameUnknown, match="Did you mean 'visits'"):
        flows.run("visist", project=visits, pool=pool)
    with pytest.raises(NameUnknown, match="Did you mean 'publish'"):
        fp.run(visits, pool, to="publich")
    with pytest.raises(UsageError, match="needs --run"):
        fp.run(visits, pool, from_step="publish")
    assert records.all_records(visits) == []


def template(step: str) -> str:
    """The path of the packaged template."""
    from ctnb import templates

    return str(templates.packaged(step))
