"""Every way a notebook can end, provoked in a real kernel, and what the record then says."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ctnb.errors import NameUnknown
from ctnb.kernels.execution import Limits, Outcome, execute
from ctnb.kernels.pools import KernelPool


@dataclass
class Ran:
    """A notebook that was executed, and what its caller saw."""

    nb: Any
    outcome: Outcome
    log: Path
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def statuses(self) -> list[str]:
        return [cell.metadata.papermill.status for cell in self.nb.cells if cell.cell_type == "code"]

    @property
    def text(self) -> str:
        return nbformat.writes(self.nb)

    def printed(self, index: int) -> str:
        return "".join(o.text for o in self.nb.cells[index].outputs if o.get("name") == "stdout")


Execute = Callable[..., Ran]


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One fork server for the module's kernels."""
    with KernelPool() as shared:
        yield shared


@pytest.fixture
def run(pool: KernelPool, tmp_path: Path) -> Execute:
    """Execute a notebook of the given cells in the module's pool, or the one given."""

    def execute_cells(*cells: Any, limits: Limits | None = None, **options: Any) -> Ran:
        nb = new_notebook(cells=[new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells])
        events: list[tuple[str, dict[str, Any]]] = []
        told: dict[str, Any] = {
            "kernel_name": "python3",
            "cwd": tmp_path,
            "env": {"PATH": os.environ["PATH"], "CTNB_TEST": "only this"},
            "limits": limits or Limits(),
            "secrets": (),
            "log_path": tmp_path / "kernel.log",
            "save": lambda _: None,
            "event": lambda kind, facts: events.append((kind, facts)),
            "tick": None,
            "pool": pool,
        }
        outcome = execute(nb, **{**told, **options})
        return Ran(nb, outcome, tmp_path / "kernel.log", events)

    return execute_cells


def tagged(source: str, *tags: str) -> Any:
    return new_code_cell(source, metadata={"tags": list(tags)})


def process_exists(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(true: Callable[[], bool], wait_s: float = 10) -> bool:
    deadline = time.monotonic() + wait_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def test_a_notebook_that_works_is_completed_with_its_outputs_and_times(run: Execute) -> None:
    """Outputs, counts, statuses and papermill's metadata are all there."""
    ran = run("x = 41", new_markdown_cell("why"), "print('rows', x)\nx + 1", "")
    assert (ran.outcome.status, ran.outcome.reason, ran.outcome.cell) == ("completed", "every cell ran", None)
    assert ran.statuses == ["completed"] * 3
    assert ran.printed(2) == "rows 41\n"
    assert ran.nb.cells[2].outputs[1].data == {"text/plain": "42"}
    assert [cell.execution_count for cell in ran.nb.cells if cell.cell_type == "code"] == [1, 2, None]
    assert ran.nb.metadata.papermill.exception is None
    assert ran.nb.metadata.papermill.end_time >= ran.nb.cells[2].metadata.papermill.end_time
    assert [kind for kind, _ in ran.events] == [
        "kernel_started", "cell_started", "cell_ended", "cell_started", "cell_ended", "ended",
    ]  # fmt: skip
    assert ran.outcome.peak_memory_bytes is None or ran.outcome.peak_memory_bytes > 10_000_000
    nbformat.validate(ran.nb)


def test_an_exception_ends_the_run_and_its_message_stays_in_the_private_log(
    run: Execute, capfd: pytest.CaptureFixture[str]
) -> None:
    """The type and the place are kept; the message, source lines and chained messages are not."""
    ran = run(
        "ok = 1",
        "def parse(text):\n    return int(text)\ntry:\n    parse('Ada Lovelace')\n"
        "except ValueError as e:\n    raise KeyError('Grace Hopper') from e",
        "print('never')",
    )
    assert (ran.outcome.status, ran.outcome.reason) == ("failed", "cell 2 raised KeyError")
    assert (ran.outcome.cell, ran.outcome.exception_name) == (1, "KeyError")
    assert ran.statuses == ["completed", "failed", "pending"]
    assert ran.nb.metadata.papermill.exception is True
    traceback = list(ran.nb.cells[1].outputs[0].traceback)
    assert traceback[0] == "ValueError raised at"
    assert "  cell 2, line 2, in parse" in traceback
    assert traceback[-4:] == [
        "which led to",
        "KeyError raised at",
        "  cell 2, line 6",
        "KeyError: (message kept in the private work folder)",
    ]
    outputs = str([cell.outputs for cell in ran.nb.cells])
    assert "Ada" not in outputs and "Grace" not in outputs
    assert "Ada" in ran.log.read_text() and "Grace" in ran.log.read_text()
    assert stat.S_IMODE(ran.log.stat().st_mode) == 0o600
    assert capfd.readouterr() == ("", "")


def test_an_expected_exception_is_recorded_and_the_run_goes_on(run: Execute) -> None:
    """The tag raises-exception makes an error part of the plan."""
    ran = run(tagged("raise ValueError('Ada')", "raises-exception"), "print('after')")
    assert ran.outcome.status == "completed"
    assert ran.statuses == ["completed", "completed"]
    assert ran.outcome.cells[0].exception_name == "ValueError"
    assert ran.nb.cells[0].metadata.papermill.exception is True
    assert "Ada" not in str(ran.nb.cells[0].outputs)


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import os; os._exit(9)", "exit code 9"),
        ("import os; os._exit(0)", "exit code 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
    ],
)
def test_a_kernel_that_dies_is_a_crash_with_its_cause(run: Execute, source: str, cause: str) -> None:
    """The cell that ran failed, the later ones never ran, and what was printed before is kept."""
    ran = run("ok = 1", f"print('before', flush=True); import time; time.sleep(.3)\n{source}", "never = 1")
    assert ran.outcome.status == "crashed"
    assert ran.outcome.reason.startswith(f"the kernel died while cell 2 ran ({cause})")
    assert ran.statuses == ["completed", "failed", "pending"]
    assert ran.nb.metadata.papermill.exception is True
    assert ran.printed(1) == "before\n"


def test_a_kernel_that_dies_between_two_cells_leaves_the_next_one_pending(run: Execute) -> None:
    """A cell that was never sent is not called failed."""
    ran = run(
        "import os, threading; threading.Timer(.2, os._exit, (5,)).start()",
        "never = 1",
        event=lambda kind, facts: time.sleep(1) if kind == "cell_ended" else None,
    )
    assert ran.outcome.reason == "the kernel died before cell 2 ran (exit code 5)"
    assert (ran.outcome.status, ran.statuses) == ("crashed", ["completed", "pending"])


def test_memory_that_runs_out_is_a_crash(run: Execute) -> None:
    """A MemoryError is the polite form of the kernel being killed."""
    ran = run("raise MemoryError", "never = 1")
    assert (ran.outcome.status, ran.statuses) == ("crashed", ["failed", "pending"])
    assert ran.outcome.reason == "cell 1 ran out of memory (MemoryError)"


def test_a_cell_that_takes_too_long_is_killed_with_its_children(run: Execute, tmp_path: Path) -> None:
    """The limit of a cell ends the whole process group, even where SIGTERM is ignored."""
    ran = run(
        "import subprocess, signal, time, os\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '300'])\nopen('pid', 'w').write(str(child.pid))\n"
        "print('working', flush=True)\ntime.sleep(300)",
        "never = 1",
        limits=Limits(cell_s=1),
    )
    assert (ran.outcome.status, ran.outcome.reason) == ("crashed", "cell 1 ran longer than 1 s")
    assert ran.statuses == ["failed", "pending"]
    assert ran.printed(0) == "working\n"
    child = int((tmp_path / "pid").read_text())
    assert wait_until(lambda: not process_exists(child))


def test_a_notebook_that_takes_too_long_is_ended_at_the_cell_it_reached(run: Execute) -> None:
    """The limit of the run counts all cells."""
    ran = run(*["import time; time.sleep(.4)"] * 5, limits=Limits(run_s=1))
    assert ran.outcome.status == "crashed"
    assert ran.outcome.reason.startswith("the notebook ran longer than 1 s, at cell ")
    reached = ran.statuses.index("failed")
    assert ran.outcome.cell == reached
    assert ran.statuses == ["completed"] * reached + ["failed"] + ["pending"] * (4 - reached)


@pytest.mark.parametrize("source", ["quit()", "exit()", "exit(3)", "get_ipython().ask_exit()"])
def test_quitting_ends_the_run_as_failed(run: Execute, source: str) -> None:
    """IPython would go on with the next cell; a publish step must not."""
    ran = run("ok = 1", source, "print('published')")
    assert (ran.outcome.status, ran.outcome.reason) == ("failed", "cell 2 called quit()")
    assert ran.statuses == ["completed", "failed", "pending"]
    assert ran.nb.cells[2].outputs == []


@pytest.mark.parametrize(
    "source", ["import sys; sys.exit(0)", "import sys; sys.exit(3)", "raise SystemExit('Ada')"]
)
def test_leaving_by_sys_exit_ends_the_run_as_failed(run: Execute, source: str) -> None:
    """Even with code 0: the notebook did not run to its end."""
    ran = run(source, "print('published')")
    assert (ran.outcome.status, ran.outcome.reason) == ("failed", "cell 1 called sys.exit()")
    assert ran.statuses == ["failed", "pending"]
    assert "Ada" not in str(ran.nb.cells[0].outputs)


def test_quitting_inside_an_expected_exception_still_ends_the_run(run: Execute) -> None:
    """The tag covers errors, not leaving."""
    ran = run(tagged("quit()", "raises-exception"), "print('published')")
    assert (ran.outcome.status, ran.statuses) == ("failed", ["failed", "pending"])


def test_a_question_to_the_user_is_an_error_and_does_not_wait(run: Execute) -> None:
    """Nobody sits at a scheduled run."""
    ran = run("input('go on?')")
    assert ran.outcome.reason == "cell 1 raised StdinNotImplementedError"


def test_the_kernel_has_exactly_the_given_environment_and_folder(run: Execute, tmp_path: Path) -> None:
    """Nothing of the supervisor's environment is there, not even in /proc."""
    os.environ["CTNB_PORTAL_TOKEN"] = "hunter2hunter2"
    try:
        with KernelPool(()) as fresh:
            ran = run(
                "import os; print(sorted(os.environ), os.getcwd())\n"
                "print(b'hunter2' in open('/proc/self/environ', 'rb').read())",
                pool=fresh,
            )
    finally:
        del os.environ["CTNB_PORTAL_TOKEN"]
    assert ran.printed(0) == f"['CTNB_TEST', 'PATH'] {tmp_path}\nFalse\n"


def test_temporary_files_go_where_the_environment_says(run: Execute, tmp_path: Path) -> None:
    """A kernel forked ahead of time has not settled on another folder."""
    ran = run("import tempfile; print(tempfile.gettempdir())", env={"TMPDIR": str(tmp_path)})
    assert ran.printed(0) == f"{tmp_path}\n"


def test_tables_show_their_columns_and_never_a_row(run: Execute) -> None:
    """Displayed, printed, formatted or returned: a table is its shape and types."""
    ran = run(
        "import pandas as pd, pyarrow as pa, duckdb\nfrom IPython.display import display\n"
        "df = pd.DataFrame({'name': ['Ada', 'Grace'], 'age': [41, 42]})",
        "df.head()",
        "display(df, df['name'])\nprint(df)\nprint(df['name'], f'{df.age}')",
        "pa.table(df)",
        "duckdb.sql('select * from df')",
        "df.values.tolist()",
        "df.style",
        "df.iloc[0, 0]",
        "relation = duckdb.sql('select * from df')\nprint(relation)\nrelation.show()\nprint(pa.table(df))",
    )
    assert ran.outcome.status == "completed"
    assert ran.nb.cells[1].outputs[0].data["text/plain"].split("\n") == [
        "DataFrame: 2 rows, 2 columns (rows are not shown in a record)",
        "  name: str",
        "  age: int64",
    ]
    outputs = str([cell.outputs for cell in ran.nb.cells])
    assert "Ada" not in outputs and "Grace" not in outputs
    assert outputs.count("Table: 2 rows") == 1 and outputs.count("Relation: rows not counted") == 2


def test_tables_are_summarised_when_pandas_is_imported_late(run: Execute, tmp_path: Path) -> None:
    """Without a fork server nothing is loaded ahead; the summaries come all the same."""
    ran = run(
        "import sys; print('pandas' in sys.modules)\nimport pandas as pd\nprint(pd.DataFrame({'a': ['Ada']}))",
        pool=None,
    )
    assert ran.printed(0).split("\n")[:2] == [
        "False",
        "DataFrame: 1 row, 1 column (rows are not shown in a record)",
    ]


def test_stderr_and_file_descriptors_stay_private(run: Execute, capfd: pytest.CaptureFixture[str]) -> None:
    """Warnings, logging and what a child process writes go to the log alone."""
    ran = run(
        "import sys, os, warnings, logging, subprocess\nwarnings.warn('Ada')\nlogging.error('Grace')\n"
        "os.write(1, b'Edith\\n')\nsubprocess.run(['echo', 'Joan'])\nprint('42 rows')"
    )
    outputs = str(ran.nb.cells[0].outputs)
    assert [name for name in ("Ada", "Grace", "Edith", "Joan") if name in outputs] == []
    assert ran.printed(0) == "42 rows\n"
    assert "on stderr (kept in the private work folder)" in outputs
    assert [name for name in ("Ada", "Grace", "Edith", "Joan") if name not in ran.log.read_text()] == []
    assert capfd.readouterr() == ("", "")


def test_a_token_is_nowhere_in_the_notebooks_outputs(run: Execute) -> None:
    """Printed in halves, returned, put in a dict, shown as a page, and raised."""
    token = "tok-3f9a77c2e1-Zq"
    ran = run(
        "import time, base64\nfrom IPython.display import display, HTML\nt = 'tok-3f9a77' + 'c2e1-Zq'",
        "print(t[:8], end='', flush=True); time.sleep(.3); print(t[8:])",
        "print(base64.b64encode(('user:' + t).encode()).decode())\ndisplay(HTML(t), {'t': t})",
        "display({'text/markdown': t}, raw=True, metadata={'ctnb': {'safe': True}})",
        "raise ValueError(t)",
        secrets=(token,),
    )
    outputs = str([cell.outputs for cell in ran.nb.cells])
    assert ran.printed(1) == "[secret]\n"
    assert token not in outputs and token[:8] not in outputs and token[8:] not in outputs
    assert outputs.count("[secret]") == 3


def test_forty_cells_without_secrets_are_unchanged(run: Execute) -> None:
    """Scrubbing, with secrets known, alters nothing else, to the byte."""
    lines = [f"row count {n}: {n * 977:,} é ✓ \t{n}-{n}-2026 100%\r\n" for n in range(40)]
    ran = run(*[f"print({line!r}, end='')\n{n}" for n, line in enumerate(lines)], secrets=("unseen-secret",))
    assert [ran.printed(n) for n in range(40)] == lines
    assert [cell.outputs[1].data["text/plain"] for cell in ran.nb.cells] == [str(n) for n in range(40)]


def test_a_flood_of_output_is_cut(run: Execute) -> None:
    """Five megabytes of text in one cell leave about twenty kilobytes."""
    ran = run("for _ in range(50_000): print('x' * 99)\n1")
    assert ran.outcome.status == "completed"
    assert len(ran.text) < 30_000
    assert "5,000,000 bytes were printed" in ran.printed(0)


def test_what_is_printed_is_redacted(run: Execute) -> None:
    """The caller's redactor knows the table's values."""
    ran = run("print('Ada has 41 rows')", redact=lambda text: text.replace("Ada", "[a value]"))
    assert ran.printed(0) == "[a value] has 41 rows\n"


def test_the_supervisor_ticks_while_a_cell_runs_and_output_is_not_held_up(
    run: Execute, tmp_path: Path
) -> None:
    """A tick that blocks for long lets the cell's messages through, and no two ticks run at once."""
    active, most, answered = [0], [0], threading.Event()

    def tick() -> None:
        active[0] += 1
        most[0] = max(most[0], active[0])
        if (tmp_path / "ask").exists() and not answered.is_set():
            time.sleep(0.5)
            (tmp_path / "answer").write_text("yes")
            answered.set()
        active[0] -= 1

    ran = run(
        "import pathlib, time\npathlib.Path('ask').touch()\n"
        "while not pathlib.Path('answer').exists(): print('waiting'); time.sleep(.1)\nprint('answered')",
        tick=tick,
    )
    assert ran.printed(0).endswith("waiting\nanswered\n")
    assert most == [1]


def test_what_a_tick_raises_reaches_the_caller_after_the_kernel_was_ended(
    run: Execute, tmp_path: Path
) -> None:
    """A supervisor's own failure is not the notebook's."""

    def tick() -> None:
        if (tmp_path / "pid").exists():
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run(
            "import os, time\nopen('pid.new', 'w').write(str(os.getpid()))\n"
            "os.rename('pid.new', 'pid')\ntime.sleep(60)",
            tick=tick,
        )
    pid = int((tmp_path / "pid").read_text())
    assert wait_until(lambda: not process_exists(pid))


def test_the_notebook_is_saved_while_a_long_cell_runs(run: Execute, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save in the middle says running, with what was printed so far, and the last one says completed."""
    monkeypatch.setattr("ctnb.kernels.execution.SAVE_EVERY_S", 0.2)
    saved: list[tuple[str, str]] = []

    def save(nb: Any) -> None:
        cell = nb.cells[0]
        saved.append((cell.metadata.papermill.status, "".join(o.text for o in cell.outputs)))

    run("import time\nfor n in range(5): print(n, flush=True); time.sleep(.3)", save=save)
    assert saved[0][0] == "running"
    assert saved[-2][1].startswith("0\n1\n")
    assert saved[-1] == ("completed", "0\n1\n2\n3\n4\n")


def test_old_outputs_and_errors_of_a_template_are_gone(run: Execute) -> None:
    """What the notebook said before is not part of this run."""
    old = new_code_cell("1/0", outputs=[nbformat.v4.new_output("stream", text="old")], execution_count=7)
    ran = run("raise ValueError", old)
    assert ran.nb.cells[1].outputs == []
    assert ran.nb.cells[1].execution_count is None


def test_a_kernel_that_is_not_registered_is_a_wrong_name(run: Execute) -> None:
    """Found before any cell runs, with the nearest name."""
    with pytest.raises(NameUnknown, match="There is no kernel 'pythn3'"):
        run("1", kernel_name="pythn3")


def test_r_that_quits_inside_python_is_a_crash_with_its_exit_code(run: Execute) -> None:
    """R's quit() through rpy2 ends the process with no reply."""
    ran = run(
        "import os\nos.environ['RPY2_CFFI_MODE'] = 'ABI'\nimport rpy2.robjects as ro\nro.r('quit(status=4)')",
        "1",
    )
    assert (ran.outcome.status, ran.statuses) == ("crashed", ["failed", "pending"])
    assert ran.outcome.reason == "the kernel died while cell 1 ran (exit code 4)"
