"""Kernels are started quickly, and are gone with all they started when they or their supervisor end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from ctnb.kernels.execution import Limits, Outcome, execute
from ctnb.kernels.pools import KernelPool

HERE = Path(__file__).parent
SLEEPER = (
    "import subprocess, os, time\n"
    "child = subprocess.Popen(['sleep', '300'])\n"
    "open('pids.new', 'w').write(f'{os.getpid()} {child.pid}')\n"
    "os.rename('pids.new', 'pids')\n"
    "print('working', flush=True)\n"
    "time.sleep(300)"
)


def run(pool: KernelPool | None, folder: Path, *sources: str, **options: Any) -> tuple[Any, Outcome]:
    """Execute the cells in `folder` and return the notebook and its outcome."""
    nb = new_notebook(cells=[new_code_cell(source) for source in sources])
    told: dict[str, Any] = {
        "kernel_name": "python3",
        "env": {"PATH": os.environ["PATH"], "HOME": str(folder)},
        "event": lambda kind, facts: None,
    }
    outcome = execute(
        nb,
        **{**told, **options},
        cwd=folder,
        limits=Limits(),
        secrets=(),
        log_path=folder / "kernel.log",
        save=lambda _: None,
        tick=None,
        pool=pool,
    )
    return nb, outcome


def printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def process_exists(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(true: Callable[[], bool], wait_s: float = 20) -> bool:
    deadline = time.monotonic() + wait_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


class Supervisor:
    """A supervisor in a process of its own, at work on a cell that sleeps."""

    def __init__(self, folder: Path, *, source: str = SLEEPER, how: str = "fork") -> None:
        self.folder = folder
        (folder / "tmp").mkdir()
        env = {**os.environ, "PYTHONPATH": str(HERE.parent), "TMPDIR": str(folder / "tmp")}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "supervisor_process.py"), str(folder), source, how],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert wait_until((folder / "pids").exists)
        self.pids = [int(pid) for pid in (folder / "pids").read_text().split()]

    def end(self, number: int) -> tuple[bytes, bytes]:
        """Send a signal and return what it wrote until it ended."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)

    @property
    def outcome(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "outcome.json").read_text()))

    @property
    def notebook(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "out.ipynb").read_text()))

    def all_gone(self) -> bool:
        return wait_until(lambda: not any(map(process_exists, self.pids)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_supervisor_that_is_asked_to_end_ends_the_kernel_and_says_so(
    tmp_path: Path, number: signal.Signals, how: str
) -> None:
    """Ctrl-C or a request to end: the running cell is interrupted, later ones never ran, nothing is left."""
    supervisor = Supervisor(tmp_path, how=how)
    assert supervisor.end(number) == (b"", b"")
    assert supervisor.process.returncode == 0
    outcome, notebook = supervisor.outcome, supervisor.notebook
    assert (outcome["status"], outcome["signal"], outcome["cell"]) == ("interrupted", number.name, 1)
    assert outcome["reason"] == f"interrupted by {number.name}"
    statuses = [cell["metadata"]["papermill"]["status"] for cell in notebook["cells"]]
    assert statuses == ["completed", "interrupted", "pending"]
    assert notebook["metadata"]["papermill"]["exception"] is True
    assert notebook["cells"][1]["outputs"][0]["text"] == ["working\n"]
    assert supervisor.all_gone()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_second_signal_ends_a_kernel_that_ignores_the_first(tmp_path: Path) -> None:
    """Ctrl-C twice, and a kernel deaf to SIGTERM is killed."""
    supervisor = Supervisor(
        tmp_path, source="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER
    )
    supervisor.process.send_signal(signal.SIGINT)
    supervisor.end(signal.SIGTERM)
    assert (supervisor.outcome["status"], supervisor.outcome["signal"]) == ("interrupted", "SIGINT")
    assert supervisor.all_gone()


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_supervisor_killed_at_once_takes_its_kernel_with_it(tmp_path: Path, how: str) -> None:
    """kill -9 runs no code of the supervisor; kernel and children go all the same."""
    supervisor = Supervisor(tmp_path, how=how)
    supervisor.end(signal.SIGKILL)
    assert supervisor.all_gone()
    assert not (tmp_path / "outcome.json").exists()


def test_a_supervisor_killed_at_once_leaves_no_socket_folder(tmp_path: Path) -> None:
    """The fork server cleans up after both."""
    supervisor = Supervisor(tmp_path)
    supervisor.end(signal.SIGKILL)
    assert wait_until(lambda: list((tmp_path / "tmp").iterdir()) == [])


def test_the_former_signal_handlers_are_back_after_a_run(tmp_path: Path) -> None:
    """A library leaves no handler behind."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(None, tmp_path, "1")
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_a_signal_that_comes_too_late_to_end_the_run_reaches_the_caller(tmp_path: Path) -> None:
    """Ctrl-C while the last record is written is not swallowed."""

    def interrupt_at_the_end(kind: str, facts: dict[str, Any]) -> None:
        if kind == "ended":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(None, tmp_path, "1", event=interrupt_at_the_end)


def test_a_notebook_runs_outside_the_main_thread(tmp_path: Path) -> None:
    """Where no handler can be installed, everything else is the same."""
    statuses: list[str] = []
    thread = threading.Thread(target=lambda: statuses.append(run(None, tmp_path, "1")[1].status))
    thread.start()
    thread.join(60)
    assert statuses == ["completed"]


def test_each_kernel_of_a_pool_starts_afresh(tmp_path: Path) -> None:
    """Nothing of one notebook is in the next: no name, no environment, no sequence of random numbers."""
    probe = (
        "import os, random, numpy\n"
        "print('seen' in globals(), os.environ.get('SEEN'), random.random(), numpy.random.random())\n"
        "seen = os.environ['SEEN'] = 'yes'"
    )
    with KernelPool(("numpy",)) as pool:
        pool.prepare()
        lines = [printed(run(pool, tmp_path, probe)[0].cells[0]).split() for _ in range(3)]
    assert [line[:2] for line in lines] == [["False", "None"]] * 3
    assert len({line[2] for line in lines}) == len({line[3] for line in lines}) == 3


def test_what_a_kernel_started_is_gone_when_the_pool_is_left(tmp_path: Path) -> None:
    """A notebook that completes leaves no process behind either."""
    with KernelPool(()) as pool:
        _, outcome = run(pool, tmp_path, SLEEPER.replace("time.sleep(300)", ""))
        assert outcome.status == "completed"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert wait_until(lambda: not any(map(process_exists, pids)))


@pytest.mark.parametrize("fork", [True, False])
def test_what_a_notebook_registers_for_the_end_is_done(tmp_path: Path, fork: bool) -> None:
    """A kernel that ended well ran its exit functions: files are flushed, databases closed."""
    with KernelPool((), fork=fork) as pool:
        run(pool, tmp_path, "import atexit, pathlib; atexit.register(pathlib.Path('done').touch)")
    assert (tmp_path / "done").exists()


def test_a_prepared_kernel_that_nobody_used_is_gone_when_the_pool_is_left(tmp_path: Path) -> None:
    """Preparing one kernel too many costs nothing later."""
    with KernelPool(()) as pool:
        run(pool, tmp_path, "1")
        pool.prepare()
        process = pool._prepared.process if pool._prepared else None
        assert process is not None and wait_until(lambda: process.pid is not None)
    assert wait_until(lambda: not process_exists(process.pid or 0))


def test_notebooks_run_side_by_side_in_one_pool(tmp_path: Path) -> None:
    """Four threads, four kernels, four answers."""
    answers: dict[int, str] = {}

    def work(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        answers[number] = printed(
            run(pool, folder, f"import time; time.sleep(.2); print({number})")[0].cells[0]
        )

    with KernelPool(()) as pool:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert answers == {number: f"{number}\n" for number in range(4)}


def test_a_fork_server_with_a_thread_is_not_used(tmp_path: Path) -> None:
    """Forking beside a running thread is unsafe: kernels are ordinary processes then, and work."""
    (tmp_path / "threadful.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    os.environ["PYTHONPATH"], former = str(tmp_path), os.environ.get("PYTHONPATH")
    try:
        with KernelPool(("threadful",)) as pool:
            _, outcome = run(pool, tmp_path, "1")
            assert (outcome.status, pool.forks) == ("completed", False)
            assert pool.unfit == "a module started a thread (2 are there)"
    finally:
        del os.environ["PYTHONPATH"]
        if former is not None:
            os.environ["PYTHONPATH"] = former


def test_a_module_that_is_not_there_is_not_preloaded(tmp_path: Path) -> None:
    """A missing module is no reason to go without a fork server."""
    with KernelPool(("no_such_module_at_all",)) as pool:
        assert run(pool, tmp_path, "1")[1].status == "completed"
        assert pool.forks


def test_a_fork_server_that_dies_takes_its_kernel_along_and_the_next_one_is_spawned(tmp_path: Path) -> None:
    """The running notebook is a crash; the pool goes on without forking."""
    with KernelPool(()) as pool:

        def kill_when_started(kind: str, facts: dict[str, Any]) -> None:
            if kind == "cell_started" and pool._zygote is not None:
                os.kill(pool._zygote.pid, signal.SIGKILL)

        nb, outcome = run(pool, tmp_path, "import time; time.sleep(60)", event=kill_when_started)
        assert outcome.status == "crashed"
        assert nb.cells[0].metadata.papermill.status == "failed"
        assert run(pool, tmp_path, "1")[1].status == "completed"
        assert pool.unfit == "the fork server ended"


def test_a_kernel_that_cannot_start_is_a_crash(tmp_path: Path) -> None:
    """A registered kernel whose program fails: no cell ran, and the reason names how it ended."""
    spec = tmp_path / "jupyter" / "kernels" / "broken"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-c", "raise SystemExit(3)", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "x"}))
    os.environ["JUPYTER_PATH"] = str(tmp_path / "jupyter")
    try:
        nb, outcome = run(None, tmp_path, "1", kernel_name="broken")
    finally:
        del os.environ["JUPYTER_PATH"]
    assert (outcome.status, outcome.cell) == ("crashed", None)
    assert outcome.reason == "the kernel ended before it answered (exit code 3)"
    assert nb.cells[0].metadata.papermill.status == "pending"


def test_a_kernel_of_another_kernelspec_runs_through_the_fork_server(tmp_path: Path) -> None:
    """Any registered program that speaks Jupyter's protocol is a kernel, and goes with its supervisor."""
    spec = tmp_path / "jupyter" / "kernels" / "other"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "x"}))
    os.environ["JUPYTER_PATH"] = str(tmp_path / "jupyter")
    try:
        with KernelPool(()) as pool:
            nb, outcome = run(pool, tmp_path, "print('hello')", "quit()", "1", kernel_name="other")
    finally:
        del os.environ["JUPYTER_PATH"]
    assert printed(nb.cells[0]) == "hello\n"
    assert outcome.reason == "cell 2 called quit()"
