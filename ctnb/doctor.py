"""
What is wrong with this machine, and the remedy: the checks behind `ctnb doctor`.

`examine` never raises for a broken machine; a check that cannot be made is a line that says so.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ctnb import clock, ledger

OLDEST_PYTHON = (3, 11)
OLDEST_R = (4, 2)
FREE_BYTES = 2_000_000_000
"""Below this many free bytes a run of a large file may end half-way."""
NOT_BEFORE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""ctnb is newer than this, so a clock that shows an earlier time is wrong."""
CLOCK_SLACK = dt.timedelta(minutes=5)
PUBLIC_TIME_ZONE = "America/New_York"
COMMAND_TIMEOUT_S = 60.0

# rpy2-rinterface asks R for R_getVar since 3.6.6; R has it since 4.5.0 (R NEWS, C-level facilities).
RINTERFACE_WITH_GETVAR = (3, 6, 6)
R_WITH_GETVAR = (4, 5)
RPY2_FOR_OLDER_R = ("rpy2==3.6.4", "rpy2-rinterface==3.6.3", "rpy2-robjects==3.6.3")

_LOAD_RPY2 = "import rpy2.robjects as r; print(r.r('R.version.string')[0])"


@dataclass(frozen=True)
class Check:
    """One question about the machine, and its answer."""

    name: str
    """What was looked at, in a word or two."""
    ok: bool
    """Whether ctnb can work with what was seen."""
    seen: str
    """What was seen; never the value of a secret."""
    remedy: str = ""
    """What to do, as a command where there is one; empty when nothing has to be done."""


@dataclass(frozen=True)
class SecretSeen:
    """A secret that ctnb.yml refers to by name, and whether it is there."""

    portal: str
    """The portal that needs it."""
    name: str
    """The reference: an environment variable, or a key of the secrets file."""
    is_set: bool
    """Whether it has a value. The value itself never comes here."""


def examine(
    project_root: Path | None,
    *,
    secrets: Callable[[], Iterable[SecretSeen]] | None = None,
    portal: Callable[[], str] | None = None,
) -> list[Check]:
    """
    Look at everything ctnb needs, a line each, for the project at `project_root` (None: in no project).

    `secrets` lists the references of ctnb.yml; `portal` returns the address that answered, or raises.
    Writes nothing that stays. Raises nothing.
    """
    found: list[Check] = []
    for name, question in _questions(project_root, secrets, portal):
        found.extend(_asked(name, question))
    return found


def _questions(
    root: Path | None,
    secrets: Callable[[], Iterable[SecretSeen]] | None,
    portal: Callable[[], str] | None,
) -> list[tuple[str, Callable[[], list[Check]]]]:
    questions: list[tuple[str, Callable[[], list[Check]]]] = [
        ("Python", lambda: [python(sys.version_info[:3])]),
        ("R", lambda: [r()]),
        ("rpy2 and R", lambda: [pairing(_installed("rpy2-rinterface"), r_version())]),
        ("rpy2", lambda: [_rpy2()]),
        ("kernel", lambda: [_kernel()]),
        ("clock", lambda: [time_of_day(clock.now(), newest_entry(root))]),
        ("time zone", lambda: [time_zone(os.environ.get("TZ", ""))]),
    ]
    if root is None:
        questions.append(("project", lambda: [Check("project", True, "none here; `ctnb init` makes one")]))
    else:
        questions += _project_questions(root)
    if secrets is not None:
        questions.append(("credentials", lambda: [_secret(seen) for seen in secrets()]))
    if portal is not None:
        questions.append(("portal", lambda: [Check("portal", True, f"{portal()} answers")]))
    return questions


def _project_questions(root: Path) -> list[tuple[str, Callable[[], list[Check]]]]:
    return [
        ("runs/", lambda: [folder(root / "runs")]),
        ("notebooks/", lambda: [folder(root / "notebooks")]),
        (".ctnb/", lambda: [private_folder(root / ".ctnb")]),
        ("disk", lambda: [disk(shutil.disk_usage(root).free)]),
    ]


def _asked(name: str, question: Callable[[], list[Check]]) -> list[Check]:
    try:
        return question()
    except Exception as error:  # noqa: BLE001 - a broken machine is what this is for: each check fails alone
        what = str(getattr(error, "what", "")) or type(error).__name__
        remedy = str(getattr(error, "hint", "")) or f"Look at {name} by hand, then run `ctnb doctor` again."
        return [Check(name, False, f"could not be checked: {what}", remedy)]


# --- Python and R


def python(version: tuple[int, ...]) -> Check:
    """Whether this Python is new enough."""
    remedy = "Install Python 3.11 or newer, or: conda env create -f environment.yml"
    ok = version >= OLDEST_PYTHON
    return Check("Python", ok, f"{_dotted(version)} ({sys.executable})", "" if ok else remedy)


def find_r(program: str = "R") -> Path | None:
    """R (or Rscript) on the path, under R_HOME, or where its Windows installer puts it; None when nowhere."""
    home = os.environ.get("R_HOME")
    found = shutil.which(program) or (shutil.which(program, path=Path(home) / "bin") if home else None)
    if found is None and os.name == "nt":
        programs = Path(os.environ.get("PROGRAMFILES", r"C:\Program Files")) / "R"
        found = max((str(path) for path in programs.glob(f"R-*/bin/{program}.exe")), default=None)
    return Path(found) if found else None


def r_version() -> tuple[int, ...] | None:
    """The version of the R that `find_r` finds; None when there is none or it does not say."""
    program = find_r()
    if program is None:
        return None
    answer = subprocess.run(
        [program, "--version"],
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
        timeout=COMMAND_TIMEOUT_S,
    )
    said = re.search(r"R version (\d+(?:\.\d+)+)", answer.stdout + answer.stderr)
    return _version(said[1]) if said else None


def r() -> Check:
    """Whether there is an R that is new enough."""
    program = find_r()
    if program is None:
        return Check("R", False, "not found", _install_r())
    version = r_version()
    if version is None:
        return Check("R", False, f"{program} does not tell its version", _install_r())
    ok = version >= OLDEST_R
    return Check("R", ok, f"{_dotted(version)} ({program})", "" if ok else "Install R 4.2 or newer.")


def _install_r() -> str:
    if shutil.which("apt-get"):
        return "Run: sudo apt-get install --no-install-recommends r-base-core"
    return "Install R 4.2 or newer from r-project.org, or: conda env create -f environment.yml"


def pairing(rinterface: str | None, r: tuple[int, ...] | None) -> Check:
    """Whether this rpy2-rinterface loads on this R (None: not installed); decided from versions alone."""
    name = "rpy2 and R"
    if rinterface is None or r is None:
        missing = "rpy2 is not installed" if rinterface is None else "there is no R"
        return Check(name, True, f"nothing to compare: {missing}")
    seen = f"rpy2-rinterface {rinterface}, R {_dotted(r)}"
    if _version(rinterface) < RINTERFACE_WITH_GETVAR or r >= R_WITH_GETVAR:
        return Check(name, True, seen)
    packages = " ".join(f'"{package}"' for package in RPY2_FOR_OLDER_R)
    return Check(
        name,
        False,
        f"{seen}: rpy2-rinterface 3.6.6 and newer needs R 4.5 or newer",
        f'Run: "{sys.executable}" -m pip install --no-deps {packages}   (or install R 4.5 or newer)',
    )


def _rpy2() -> Check:
    if importlib.util.find_spec("rpy2") is None:
        return _without_rpy2()
    try:
        answer = subprocess.run(
            [sys.executable, "-P", "-c", _LOAD_RPY2],
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=COMMAND_TIMEOUT_S,
            env={**os.environ, "RPY2_CFFI_MODE": "ABI"},
        )
    except subprocess.TimeoutExpired:
        return Check("rpy2", False, f"did not load within {COMMAND_TIMEOUT_S:.0f} s", _mend_rpy2())
    if answer.returncode == 0:
        return Check("rpy2", True, f"loads {answer.stdout.strip()}")
    reason = next((line for line in reversed(answer.stderr.splitlines()) if line.strip()), "no reason given")
    return Check("rpy2", False, f"does not load: {reason.strip()}", _mend_rpy2())


def _without_rpy2() -> Check:
    program = find_r("Rscript")
    if program is not None:
        return Check("rpy2", True, f"not installed; R runs through {program}")
    return Check("rpy2", False, "not installed, and there is no Rscript either", _mend_rpy2())


def _mend_rpy2() -> str:
    return "See the lines above about R and its pairing with rpy2; then: python3 bootstrap.py setup"


def _kernel() -> Check:
    from jupyter_client.kernelspec import KernelSpecManager

    command = f'Run: "{sys.executable}" -m ipykernel install --sys-prefix --name python3'
    if importlib.util.find_spec("ipykernel") is None:
        return Check("kernel", False, "ipykernel is not installed", "Run: python3 bootstrap.py setup")
    spec = KernelSpecManager().get_kernel_spec("python3")
    program = str(spec.argv[0])
    if program in ("python", "python3") or _same_program(program, sys.executable):
        return Check("kernel", True, f"python3 ({spec.resource_dir})")
    return Check("kernel", False, f"the kernel python3 starts another Python: {program}", command)


def _same_program(one: str, other: str) -> bool:
    # not resolved: an environment's python is a link to the system's, and it is the link that matters
    return os.path.normcase(Path(one).absolute()) == os.path.normcase(Path(other).absolute())


# --- the project's folders


def folder(path: Path) -> Check:
    """Whether files can be made in `path`, or `path` itself where it does not exist yet; leaves nothing."""
    name = f"{path.name}/"
    place = path if os.path.lexists(path) else path.parent
    if not place.is_dir():
        return Check(name, False, f"{place} is not a folder", f"Rename or remove {place}.")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Check(
            name, False, f"cannot be written: {reason}", f"Give your account write access to {place}."
        )
    return Check(name, True, "can be written" if place == path else "will be made on first use")


def private_folder(path: Path) -> Check:
    """Like `folder`, and nobody else may look into it (POSIX systems; elsewhere the folder's owner decides)."""
    written = folder(path)
    if not written.ok or not path.is_dir() or os.name != "posix":
        return written
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check(
            written.name, False, f"others may look into it (mode {mode:04o})", f"Run: chmod 700 {path}"
        )
    return Check(written.name, True, f"{written.seen}, by its owner only")


def disk(free_bytes: int) -> Check:
    """Whether there is room for a run."""
    ok = free_bytes >= FREE_BYTES
    remedy = f"Free some: a run of a large file may need {FREE_BYTES / 1e9:.0f} GB and more."
    return Check("disk", ok, f"{free_bytes / 1e9:.1f} GB free", "" if ok else remedy)


# --- credentials and the clock


def _secret(seen: SecretSeen) -> Check:
    name = f"secret {seen.name}"
    if seen.is_set:
        return Check(name, True, f"set, for portal {seen.portal}")
    remedy = f"Set the environment variable {seen.name}, or put it in the file that CTNB_SECRETS names."
    return Check(name, False, f"not set; portal {seen.portal} needs it", remedy)


def time_of_day(now: dt.datetime, newest: dt.datetime | None) -> Check:
    """Whether the clock may be right: not before ctnb was made nor before the newest line of the ledger."""
    seen = f"{clock.stamp(now)[:19]}Z"
    if os.environ.get("CTNB_NOW"):
        return Check(
            "clock", False, f"{seen}, told by CTNB_NOW", "Unset CTNB_NOW: records need the real time."
        )
    if now < NOT_BEFORE:
        return Check("clock", False, f"{seen}, before ctnb was made", "Set the system's clock.")
    if newest is not None and now + CLOCK_SLACK < newest:
        last = f"{clock.stamp(newest)[:19]}Z"
        return Check(
            "clock", False, f"{seen}, before the ledger's newest line ({last})", "Set the system's clock."
        )
    return Check("clock", True, seen)


def newest_entry(root: Path | None) -> dt.datetime | None:
    """When the newest line of the project's ledger was written; None without a line."""
    path = root / "runs" / "ledger.jsonl" if root else None
    if path is None or not path.exists():
        return None
    times = [clock.parse(entry.at) for entry in ledger.entries(path)]
    return max(times, default=None)


def time_zone(told: str) -> Check:
    """Whether the system knows its zones, and the one `told` by TZ (empty: not told)."""
    zoneinfo.ZoneInfo(PUBLIC_TIME_ZONE)
    told = told.removeprefix(":")
    is_rule = told.startswith("/") or re.match(r"(<[^>]+>|[A-Za-z]{3,})[+-]?\d", told)
    if told and not is_rule and told not in zoneinfo.available_timezones():
        return Check(
            "time zone", False, "TZ names a zone this system does not know", "Unset TZ or correct it."
        )
    return Check("time zone", True, dt.datetime.now().astimezone().tzname() or "unnamed")


# --- versions


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _version(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: 3.6.6.dev1 is (3, 6, 6)."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
