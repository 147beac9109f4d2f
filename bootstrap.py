"""
Set the project up, once, and start it: python3 bootstrap.py COMMAND [ARGUMENT ...]

    python3 bootstrap.py demo      set up when needed, then `ctnb demo`; so too test, doctor, run ...
    python3 bootstrap.py setup     set up and no more

`make demo` and `make test` call this; on Windows say `py bootstrap.py demo`. It needs Python 3.11 and nothing
else. What it makes: `.venv` from requirements.lock, and on Debian and Ubuntu the missing one of R and
python3-venv. Exit codes: 2 wrong usage, 3 something outside failed, otherwise those of the command.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)

# Before anything that an old Python could stumble over: no newer syntax may appear in this file.
if sys.version_info < OLDEST_PYTHON:
    newer = next(filter(shutil.which, ("python3.14", "python3.13", "python3.12", "python3.11")), None)
    remedy = "Install a newer one, or: conda env create -f environment.yml"
    if newer:
        remedy = f"Run: make PYTHON={newer} demo   (or: {newer} bootstrap.py demo)"
    seen = f"{sys.version_info[0]}.{sys.version_info[1]} ({sys.executable})"
    sys.stderr.write(f"ctnb needs Python 3.11 or newer; this is Python {seen}.\n  {remedy}\n")
    sys.exit(3)

PROJECT = Path(__file__).resolve().parent
READY = "ctnb-ready"  # in .venv: the digests of what it was made from, written last
UNFINISHED = "ctnb-unfinished"  # in .venv from its first moment until it is ready
BUILT_HERE = ("rpy2-rinterface",)  # the packages without a wheel; see requirements.in
WHY = {
    "r-base-core": "R, for transform steps written in R",
    "venv": "makes .venv, the Python environment of this project alone",
}


class SetupFailed(Exception):
    """Set-up cannot go on; the text says why and what to do."""


def main(arguments: list[str]) -> int:
    """Set up when needed, then become `ctnb ARGUMENTS`; returns the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 2
    try:
        set_up(PROJECT)
    except SetupFailed as error:
        print(f"ctnb: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nctnb: set-up was interrupted; the same command starts it again.", file=sys.stderr)
        return 130
    if arguments == ["setup"]:
        print(f"ctnb is set up: {command_path(PROJECT)}")
        return 0
    return become(command_path(PROJECT), arguments)


def become(program: Path, arguments: list[str]) -> int:
    """Replace this process with `program`; where a system cannot (Windows), wait for it."""
    sys.stdout.flush()
    environment = {**os.environ, "RPY2_CFFI_MODE": "ABI"}
    if os.name == "posix":
        os.execve(program, [str(program), *arguments], environment)
    return subprocess.call([program, *arguments], env=environment)


# --- what is there, and what has to be done


def set_up(project: Path) -> None:
    """Bring `.venv` and the system's packages to what the lock asks for; quick when they are."""
    wanted = digests(project)
    if state(project / ".venv", wanted) == "ready":
        return
    private = project / ".ctnb"
    private.mkdir(mode=0o700, exist_ok=True)
    with only_one(private / "setup.lock"):
        do_stages(project, wanted)


def do_stages(project: Path, wanted: dict[str, str]) -> None:
    """The stages of set-up that are not done yet, a line of progress each."""
    venv, began = project / ".venv", time.monotonic()
    seen = state(venv, wanted)  # again: another set-up may have finished while this one waited
    if seen == "ready":
        return
    if seen == "foreign":
        raise SetupFailed(
            f"{venv} was not made by this set-up, so it is left alone.\n"
            "  Rename or remove it, then run the command again."
        )
    log = project / ".ctnb" / "setup.log"
    log.write_text("", encoding="utf-8")
    install_system_packages(missing_system_packages(), log)
    if seen != "project changed":
        make_venv(project, log)
        install_packages(project, log)
    install_project(project, log)
    write_stamp(venv, wanted)
    say(f"ready in {time.monotonic() - began:.0f} s")


def state(venv: Path, wanted: dict[str, str]) -> str:
    """Which of missing, foreign, unfinished, outdated, project changed or ready `venv` is."""
    if not os.path.lexists(venv):
        return "missing"
    if (venv / UNFINISHED).exists():
        return "unfinished"
    try:
        lines = (venv / READY).read_text(encoding="utf-8").splitlines()
    except OSError:
        return "foreign"
    seen = dict(line.split(" ", 1) for line in lines if " " in line)
    if not python_path(venv).exists() or seen.get("packages") != wanted["packages"]:
        return "outdated"
    return "ready" if seen == wanted else "project changed"


def digests(project: Path) -> dict[str, str]:
    """What `.venv` depends on: the lock, the Python and the place; and the project's own metadata."""
    import tomllib  # not at the top, where an old Python would fail before it is told why

    lock = (project / "requirements.lock").read_bytes()
    python = f"{sys.implementation.cache_tag} {sys.base_prefix} {project}".encode()
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [settings.get("build-system"), settings.get("project"), settings.get("tool", {}).get("hatch")]
    return {
        "packages": hashlib.sha256(lock + python).hexdigest(),
        "project": hashlib.sha256(repr(parts).encode()).hexdigest(),
    }


def write_stamp(venv: Path, wanted: dict[str, str]) -> None:
    """Say that `venv` is whole; the mark goes last, so that a stop in between means: not whole."""
    part = venv / (READY + ".part")
    part.write_text("".join(f"{name} {digest}\n" for name, digest in wanted.items()), encoding="utf-8")
    os.replace(part, venv / READY)
    (venv / UNFINISHED).unlink(missing_ok=True)


@contextlib.contextmanager
def only_one(path: Path):
    """Hold a lock that the system releases when this process dies; a second set-up waits."""
    if os.name != "posix":  # Windows refuses the rename of a folder in use, which serves as well
        yield
        return
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up of this project is at work; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- the system's packages: R and python3-venv


def missing_system_packages() -> dict[str, str]:
    """The Debian packages that have to be installed, and why."""
    missing = {}
    if importlib.util.find_spec("ensurepip") is None:
        missing[f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"] = WHY["venv"]
    if not r_is_there():
        missing["r-base-core"] = WHY["r-base-core"]
    return missing


def r_is_there() -> bool:
    """Whether R is on the path, under R_HOME, or where its Windows installer puts it."""
    home = os.environ.get("R_HOME")
    if shutil.which("R") or (home and shutil.which("R", path=os.path.join(home, "bin"))):
        return True
    programs = Path(os.environ.get("PROGRAMFILES", os.devnull)) / "R"
    return os.name == "nt" and any(programs.glob("R-*/bin/R.exe"))


def install_system_packages(missing: dict[str, str], log: Path, uid: int | None = None) -> None:
    """Install `missing` with apt-get, saying what and why first; raise SetupFailed where that cannot be."""
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise SetupFailed(advice_without_apt(missing))
    say("needs these packages of your system, and installs them with apt-get:")
    for name, why in missing.items():
        print(f"    {name:<16} {why}", flush=True)
    front = as_root(missing, os.geteuid() if uid is None else uid)
    prefix = [*front, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    with stage("system packages"):
        try:
            run([*prefix, "update"], log)
            run([*prefix, "install", "--yes", "--no-install-recommends", *missing], log)
        except SetupFailed as error:
            raise SetupFailed(f"{error}\n{administrator_hint(missing)}") from None


def as_root(missing: dict[str, str], uid: int) -> list[str]:
    """What user `uid` puts before a command so that it runs as root: nothing, or sudo."""
    if uid == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return [sudo, "-n"]
    if sudo and sys.stdin.isatty():
        say("sudo asks for your password")
        if subprocess.run([sudo, "-v"], check=False).returncode == 0:
            return [sudo, "-n"]
    reason = "sudo refused" if sudo else "there is no sudo"
    raise SetupFailed(f"installing them needs an administrator, and {reason}.\n{administrator_hint(missing)}")


def administrator_hint(missing: dict[str, str]) -> str:
    """The exact command an administrator has to give."""
    return (
        "  Ask an administrator to run: apt-get update && "
        f"apt-get install --no-install-recommends {' '.join(missing)}\n"
        "  Then run the same command again. Without an administrator: conda env create -f environment.yml"
    )


def advice_without_apt(missing: dict[str, str]) -> str:
    """What to do on a system that is neither Debian nor Ubuntu."""
    return (
        "these are missing, and this system has no apt-get to install them with:\n"
        + "".join(f"    {why}\n" for why in missing.values())
        + "  Install them as your system does (R 4.2 or newer, from r-project.org); then run this again.\n"
        "  Or let conda bring everything: conda env create -f environment.yml, conda activate ctnb, ctnb demo"
    )


# --- .venv


def make_venv(project: Path, log: Path) -> None:
    """Put a new environment in the place of any older one, marked unfinished from its first moment."""
    private, venv = project / ".ctnb", project / ".venv"
    for left in private.glob("venv-*"):
        shutil.rmtree(left)
    with stage(".venv"):
        if os.path.lexists(venv):
            retire(venv, private / "venv-old")
        new = private / "venv-new"
        new.mkdir()
        (new / UNFINISHED).write_text("", encoding="utf-8")
        os.replace(new, venv)
        # the base Python, for this one may live in the .venv that was just retired
        run([getattr(sys, "_base_executable", None) or sys.executable, "-m", "venv", str(venv)], log)


def retire(venv: Path, aside: Path) -> None:
    """Move `venv` away in one step, then remove it; a stop half-way leaves nothing in its place."""
    try:
        os.replace(venv, aside)
    except OSError as error:
        raise SetupFailed(
            f"{venv} has to be made anew and cannot be moved away ({error.strerror}).\n"
            "  Close what uses it (JupyterLab, a terminal, an editor), then run the command again."
        ) from None
    shutil.rmtree(aside)


def install_packages(project: Path, log: Path) -> None:
    """Install every package of the lock, hashes checked: wheels first, then what is built on this machine."""
    blocks = lock_blocks((project / "requirements.lock").read_text(encoding="utf-8"))
    built = {name: blocks.pop(name) for name in BUILT_HERE if name in blocks}
    with stage(f"{len(blocks)} Python packages"):
        pip_lock(project, "wheels.txt", blocks, ["--only-binary", ":all:"], log)
    if built:  # with the setuptools of the lock; an isolated build would fetch one that no hash vouches for
        with stage(", ".join(built)):
            pip_lock(project, "built.txt", built, ["--no-build-isolation"], log)


def lock_blocks(text: str) -> dict[str, str]:
    """A lock's text cut into one block for each package: its lines of name, marker and hashes."""
    blocks: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if line[:1].isalnum():
            name = line.split("==", 1)[0].strip()
        if name and not line.lstrip().startswith("#"):
            blocks[name] = blocks.get(name, "") + line
    return blocks


def pip_lock(project: Path, name: str, blocks: dict[str, str], options: list[str], log: Path) -> None:
    """Let pip install exactly `blocks`; the lock is complete, so nothing else is looked for."""
    part = project / ".venv" / name
    part.write_text("".join(blocks.values()), encoding="utf-8")
    pip(project, ["--require-hashes", "--no-deps", *options, "-r", str(part)], log)


def install_project(project: Path, log: Path) -> None:
    """Install ctnb itself, from its folder, so that an edit counts at once."""
    with stage("ctnb itself"):
        pip(project, ["--no-deps", "--no-build-isolation", "--editable", str(project)], log)


def pip(project: Path, arguments: list[str], log: Path) -> None:
    """Run pip of `.venv`; everything it says goes to `log`."""
    python = str(python_path(project / ".venv"))
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    run([python, "-I", "-m", "pip", "install", *quiet, *arguments], log)


def python_path(venv: Path) -> Path:
    """The interpreter of `venv`."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def command_path(project: Path) -> Path:
    """The ctnb command of the project's environment."""
    return (
        project / ".venv" / "Scripts" / "ctnb.exe" if os.name == "nt" else project / ".venv" / "bin" / "ctnb"
    )


# --- running and telling


def run(command: list[str], log: Path) -> None:
    """Run `command` with its output in `log`; raise SetupFailed with the last lines when it fails."""
    # PIP_USER would send packages outside .venv; ABI mode lets rpy2 do without a compiler
    environment = {**os.environ, "PIP_USER": "0", "RPY2_CFFI_MODE": "ABI"}
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(command)}\n".encode())
        file.flush()
        code = subprocess.call(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environment)
    if code:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-4:]
        raise SetupFailed(
            f"set-up stopped: {' '.join(command[:5])} ... ended with {code}.\n"
            + "".join(f"    | {line}\n" for line in last)
            + f"  Everything it said: {log}\n"
            "  When the cause is gone (network, disk), run the same command again."
        )


@contextlib.contextmanager
def stage(name: str):
    """Tell that a stage begins and, on the same line, how long it took."""
    print(f"ctnb: {name + ' ':.<32} ", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def say(text: str) -> None:
    """One line of progress."""
    print(f"ctnb: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
