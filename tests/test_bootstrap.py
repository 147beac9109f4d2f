"""bootstrap.py sets a project up with real venvs and a real pip, from packages made here: no network."""

import ast
import hashlib
import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[1] / "bootstrap.py"
WANTED = {"packages": "p1", "project": "m1"}

# A build backend in the project's own folder: what hatchling does, without hatchling.
BACKEND = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    import tomllib
    project = tomllib.load(open("pyproject.toml", "rb"))["project"]
    stem = project["name"].replace("-", "_") + "-1.0"
    info = stem + ".dist-info/"
    with zipfile.ZipFile(folder + "/" + stem + "-py3-none-any.whl", "w") as wheel:
        wheel.writestr(project["name"].replace("-", "_") + ".py", project.get("description", ""))
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: %s\\nVersion: 1.0\\n" % project["name"])
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\nctnb = ctnb:main\\n")
        wheel.writestr(info + "RECORD", "")
    return stem + "-py3-none-any.whl"
build_editable = build_wheel
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "{name}"
version = "1.0"
description = '''{code}'''
"""
CTNB = """
import os, sys
def main():
    import needle, rpy2_rinterface
    print("ctnb", sys.argv[1:], os.environ["RPY2_CFFI_MODE"], "{mark}")
    return 5
"""


def test_the_first_call_sets_up_and_becomes_the_command(ready: Path) -> None:
    """Wheels, a package built here and ctnb are there; arguments and exit code pass through."""
    done = bootstrap(ready, "run", "deaths", "--dry-run")
    assert (done.stdout, done.returncode) == ("ctnb ['run', 'deaths', '--dry-run'] ABI one\n", 5)


def test_a_second_set_up_does_nothing(ready: Path) -> None:
    """No stage runs: the line at the end is all it says, and nothing in .venv is touched."""
    stamp = ready / ".venv" / "ctnb-ready"
    before = stamp.stat().st_mtime_ns
    done = bootstrap(ready, "setup")
    assert done.stdout.splitlines() == [f"ctnb is set up: {ready / '.venv' / 'bin' / 'ctnb'}"]
    assert stamp.stat().st_mtime_ns == before


def test_new_metadata_installs_the_project_again_and_nothing_else(ready: Path) -> None:
    """A new entry point costs a second, not a new environment."""
    write_project(ready, mark="two")
    done = bootstrap(ready, "setup")
    assert stages(done.stdout) == ["ctnb itself"]
    assert bootstrap(ready, "x").stdout == "ctnb ['x'] ABI two\n"
    write_project(ready, mark="one")
    assert stages(bootstrap(ready, "setup").stdout) == ["ctnb itself"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (None, "missing"),
        ({}, "foreign"),
        ({"ctnb-unfinished": ""}, "unfinished"),
        ({"ctnb-unfinished": "", "ctnb-ready": "packages p1\nproject m1\n"}, "unfinished"),
        ({"ctnb-ready": "packages p1\nproject m1\n"}, "outdated"),
        ({"ctnb-ready": "packages p1\nproject m1\n", "bin/python": ""}, "ready"),
        ({"ctnb-ready": "packages p0\nproject m1\n", "bin/python": ""}, "outdated"),
        ({"ctnb-ready": "packages p1\nproject m0\n", "bin/python": ""}, "project changed"),
        ({"ctnb-ready": "", "bin/python": ""}, "outdated"),
    ],
)
def test_the_state_of_an_environment_is_told_from_its_marks(
    files: dict[str, str] | None, expected: str, script: ModuleType, tmp_path: Path
) -> None:
    """Only a finished environment of the same lock is used; one whose Python is gone is not."""
    venv = tmp_path / ".venv"
    for name, text in (files or {}).items():
        (venv / name).parent.mkdir(parents=True, exist_ok=True)
        (venv / name).write_text(text, encoding="utf-8")
    if files == {}:
        venv.mkdir()
    assert script.state(venv, WANTED) == expected


def test_an_environment_made_by_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Nobody's own .venv is deleted; the text says what to do."""
    project = make_project(tmp_path)
    (project / ".venv").mkdir()
    (project / ".venv" / "mine").write_text("x", encoding="utf-8")
    done = bootstrap(project, "setup")
    assert done.returncode == 3
    assert "was not made by this set-up" in done.stderr
    assert (project / ".venv" / "mine").exists()


@pytest.mark.slow
def test_a_failing_pip_is_told_with_its_log(tmp_path: Path) -> None:
    """Other bytes than the lock's are refused; the message names the log; the next call starts anew."""
    project = make_project(tmp_path)
    lock = project / "requirements.lock"
    whole = lock.read_text(encoding="utf-8")
    lock.write_text(whole.replace("sha256:", "sha256:0000", 1)[: len(whole)], encoding="utf-8")
    done = bootstrap(project, "setup")
    log = project / ".ctnb" / "setup.log"
    assert done.returncode == 3
    assert str(log) in done.stderr
    assert "needle" in log.read_text(encoding="utf-8")
    assert (project / ".venv" / "ctnb-unfinished").exists()


@pytest.mark.slow
def test_a_set_up_killed_half_way_is_made_anew(tmp_path: Path) -> None:
    """kill -9 between the stages leaves a mark that the next call understands."""
    project = make_project(tmp_path)
    process = start(project, "setup", start_new_session=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ctnb: .venv"):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (project / ".venv" / "ctnb-unfinished").exists()
    done = bootstrap(project, "x")
    assert done.stdout.splitlines()[-1] == "ctnb ['x'] ABI one"
    assert not (project / ".venv" / "ctnb-unfinished").exists()


@pytest.mark.slow
def test_a_new_lock_makes_a_new_environment(tmp_path: Path) -> None:
    """Nothing of the old environment stays behind, a file of its user neither."""
    project = make_project(tmp_path)
    assert bootstrap(project, "setup").returncode == 0
    (project / ".venv" / "left").write_text("x", encoding="utf-8")
    with (project / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("# changed\n")
    assert stages(bootstrap(project, "setup").stdout) == [
        ".venv",
        "1 Python packages",
        "rpy2-rinterface",
        "ctnb itself",
    ]
    assert not (project / ".venv" / "left").exists()
    assert list((project / ".ctnb").glob("venv-*")) == []


@pytest.mark.slow
def test_two_set_ups_at_once_make_one_environment(tmp_path: Path) -> None:
    """The second waits and then finds everything done."""
    project = make_project(tmp_path)
    both = [start(project, "setup"), start(project, "setup")]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("ctnb: ready in" in text for text in said) == 1


# --- the system's packages


def test_missing_packages_are_announced_with_the_reason_and_then_installed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """apt-get is called without questions and without recommended packages."""
    said = (
        programs(tmp_path, monkeypatch, **{"apt-get": 'echo "$DEBIAN_FRONTEND $*" >> "$0.said"'})
        / "apt-get.said"
    )
    script.install_system_packages({"r-base-core": "R, for transform steps"}, tmp_path / "log", uid=0)
    assert said.read_text(encoding="utf-8").splitlines() == [
        "noninteractive -qq update",
        "noninteractive -qq install --yes --no-install-recommends r-base-core",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split(maxsplit=1) == ["r-base-core", "R, for transform steps"]
    assert lines[2].startswith("ctnb: system packages ")


def test_somebody_who_is_not_root_goes_through_sudo(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where sudo asks no password, it is used."""
    folder = programs(tmp_path, monkeypatch, sudo="exit 0")
    assert script.as_root({}, uid=1000) == [str(folder / "sudo"), "-n"]
    assert script.as_root({}, uid=0) == []


@pytest.mark.parametrize(("sudo", "reason"), [({"sudo": "exit 1"}, "sudo refused"), ({}, "there is no sudo")])
def test_without_an_administrator_the_exact_command_is_given(
    sudo: dict[str, str],
    reason: str,
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What to hand to an administrator can be pasted."""
    programs(tmp_path, monkeypatch, **sudo)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(script.SetupFailed) as caught:
        script.as_root({"r-base-core": "R", "python3.11-venv": "makes .venv"}, uid=1000)
    assert reason in str(caught.value)
    command = "apt-get update && apt-get install --no-install-recommends r-base-core python3.11-venv"
    assert f"Ask an administrator to run: {command}\n" in str(caught.value)


def test_a_system_without_apt_is_told_what_is_missing(tmp_path: Path) -> None:
    """Exit 3, R named, conda offered; nothing is made."""
    project = make_project(tmp_path)
    done = bootstrap(project, "setup", PATH=str(tmp_path))
    assert done.returncode == 3
    assert "R, for transform steps written in R" in done.stderr
    assert "conda env create -f environment.yml" in done.stderr
    assert not (project / ".venv").exists()


# --- the Python it runs on


def test_an_old_python_is_refused_before_anything_else(tmp_path: Path) -> None:
    """The text names what is needed and seen; exit 3."""
    code = (
        "import sys, runpy; sys.version_info = (3, 9, 2, 'final', 0);"
        f"sys.argv = ['bootstrap.py', 'setup']; runpy.run_path({str(BOOTSTRAP)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("ctnb needs Python 3.11 or newer; this is Python 3.9 (")


def test_an_old_python_can_read_the_file_that_refuses_it() -> None:
    """No syntax newer than 3.7, or the message above would be a SyntaxError."""
    tree = ast.parse(BOOTSTRAP.read_text(encoding="utf-8"), feature_version=(3, 7))
    assert "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_without_a_command_it_explains_itself(tmp_path: Path) -> None:
    """Exit 2 and the usage; nothing is set up."""
    done = bootstrap(make_project(tmp_path))
    assert done.returncode == 2
    assert "python3 bootstrap.py demo" in done.stdout


# --- a project in miniature


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project that has been set up once."""
    project = make_project(tmp_path_factory.mktemp("ready"))
    done = bootstrap(project, "setup")
    assert done.returncode == 0, done.stderr
    assert stages(done.stdout) == [".venv", "1 Python packages", "rpy2-rinterface", "ctnb itself"]
    yield project
    shutil.rmtree(project)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """bootstrap.py as a module."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", BOOTSTRAP)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_project(folder: Path) -> Path:
    """A project with one wheel and one package to build in its lock, and an R beside it."""
    project, packages = folder / "project", folder / "packages"
    project.mkdir()
    packages.mkdir()
    shutil.copy(BOOTSTRAP, project)
    write_project(project, mark="one")
    needle, built = make_wheel(packages), make_sdist(packages)
    text = f"# via nobody\n{pin('needle', needle)}    # via ctnb\n{pin('rpy2-rinterface', built)}"
    (project / "requirements.lock").write_text(text, encoding="utf-8")
    write_program(folder / "programs" / "R", "exit 0")
    return project


def write_project(project: Path, mark: str) -> None:
    code = CTNB.replace("{mark}", mark)
    (project / "pyproject.toml").write_text(PYPROJECT.format(name="ctnb", code=code), encoding="utf-8")
    (project / "backend.py").write_text(BACKEND, encoding="utf-8")


def make_wheel(folder: Path) -> Path:
    path, info = folder / "needle-1.0-py3-none-any.whl", "needle-1.0.dist-info/"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("needle.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: needle\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return path


def make_sdist(folder: Path) -> Path:
    stem = "rpy2_rinterface-1.0"
    source = folder / stem
    source.mkdir()
    (source / "pyproject.toml").write_text(
        PYPROJECT.format(name="rpy2-rinterface", code=""), encoding="utf-8"
    )
    (source / "backend.py").write_text(BACKEND.replace("[console_scripts]", "[none]"), encoding="utf-8")
    about = "Metadata-Version: 2.1\nName: rpy2-rinterface\nVersion: 1.0\n"
    (source / "PKG-INFO").write_text(about, encoding="utf-8")
    path = folder / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(source, arcname=stem)
    return path


def pin(name: str, path: Path) -> str:
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def start(
    project: Path, *arguments: str, start_new_session: bool = False, **environment: str
) -> subprocess.Popen:
    beside = project.parent
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(beside / "packages"), "PIP_CONFIG_FILE": os.devnull}
    path = f"{beside / 'programs'}{os.pathsep}{os.environ['PATH']}"
    # where R was loaded in this process before, it left its own variables behind
    machine = {name: value for name, value in os.environ.items() if not name.startswith("R_")}
    return subprocess.Popen(
        [sys.executable, str(project / "bootstrap.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**machine, "PATH": path, **offline, **environment},
        start_new_session=start_new_session,
    )


def bootstrap(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(project, *arguments, **environment)
    out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def stages(text: str) -> list[str]:
    lines = [line.removeprefix("ctnb: ") for line in text.splitlines() if " .." in line]
    return [line.split(" ..", 1)[0] for line in lines]


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> Path:
    """A PATH that holds `scripts` and the little they need."""
    path = folder / "only"
    path.mkdir()
    for name in ("sh", "env"):
        (path / name).symlink_to(shutil.which(name) or name)
    for name, body in scripts.items():
        write_program(path / name, body)
    monkeypatch.setenv("PATH", str(path))
    return path


def write_program(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(f"#!/bin/sh\n{body}\n"), encoding="utf-8")
    path.chmod(0o755)
