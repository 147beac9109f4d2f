"""What is wrong with a machine is named, with its remedy, and a broken machine breaks nothing."""

import datetime as dt
import json
import os
import sys
from pathlib import Path

import pytest

from ctnb import doctor, ledger
from ctnb.doctor import Check, SecretSeen
from ctnb.errors import PortalFailed

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("rinterface", "r", "ok"),
    [
        ("3.6.3", (4, 2, 2), True),
        ("3.6.5", (4, 2, 2), True),
        ("3.6.6", (4, 2, 2), False),
        ("3.6.7", (4, 4, 3), False),
        ("3.6.7", (4, 5, 0), True),
        ("3.6.7", (5, 0), True),
        ("3.6.3", (4, 5, 0), True),
        ("3.10", (4, 2, 2), False),
        ("3.6.6.dev1", (4, 2, 2), False),
        (None, (4, 2, 2), True),
        ("3.6.7", None, True),
    ],
)
def test_rpy2_is_held_against_r_by_their_versions(
    rinterface: str | None, r: tuple[int, ...] | None, ok: bool
) -> None:
    """rpy2-rinterface 3.6.6 and newer needs R_getVar, which R has since 4.5."""
    assert doctor.pairing(rinterface, r).ok == ok


def test_a_bad_pairing_comes_with_the_exact_cure() -> None:
    """The remedy can be pasted: this Python's pip and the versions that load."""
    remedy = doctor.pairing("3.6.7", (4, 2, 2)).remedy
    assert f'"{sys.executable}" -m pip install --no-deps "rpy2==3.6.4" "rpy2-rinterface==3.6.3"' in remedy


def test_the_cure_names_the_versions_of_the_lock() -> None:
    """When the lock moves on, so must the remedy."""
    lock = (Path(__file__).resolve().parents[1] / "requirements.lock").read_text(encoding="utf-8")
    pins = {line.split(" ", 1)[0] for line in lock.splitlines() if line.startswith("rpy2")}
    assert pins == set(doctor.RPY2_FOR_OLDER_R)


def test_this_machine_passes_what_the_tests_need() -> None:
    """Python, R, rpy2 and the kernel are there: a subprocess loads R for real."""
    found = by_name(doctor.examine(None))
    needed = ("Python", "R", "rpy2 and R", "rpy2", "kernel")
    assert dict.fromkeys(needed, True) == {name: found[name].ok for name in needed}
    assert found["rpy2"].seen.startswith("loads R version ")


def test_an_old_python_is_told_to_be_replaced() -> None:
    """3.10 is too old, 3.11 is not."""
    assert [doctor.python(version).ok for version in ((3, 10, 9), (3, 11, 0))] == [False, True]


def test_a_missing_r_is_one_line_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With an empty PATH nothing is found, and every other check is still made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("R_HOME", raising=False)
    found = by_name(doctor.examine(None))
    assert (found["R"].ok, found["R"].seen) == (False, "not found")
    assert "Install R 4.2 or newer" in found["R"].remedy
    assert found["rpy2 and R"].ok
    assert not found["rpy2"].ok
    assert "does not load: " in found["rpy2"].seen


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for R is a shell script")
@pytest.mark.parametrize(
    ("says", "ok", "seen"),
    [
        ("R version 4.1.3 (2022-03-10)", False, "4.1.3 "),
        ("R version 4.6.0 (2026-04-24)", True, "4.6.0 "),
        ("who knows", False, "does not tell its version"),
    ],
)
def test_the_version_of_r_is_read_and_judged(
    says: str, ok: bool, seen: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R itself is asked, and one that is too old or says nothing is not enough."""
    program = tmp_path / "R"
    program.write_text(f"#!/bin/sh\necho '{says}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.r()
    assert check.ok == ok
    assert seen in check.seen


def test_folders_that_can_be_written_are_fine_and_left_as_they_were(tmp_path: Path) -> None:
    """The doctor tries to write and leaves nothing, not even the folders that are missing."""
    (tmp_path / "runs").mkdir()
    found = by_name(doctor.examine(tmp_path))
    seen = {name: found[name].seen for name in ("runs/", "notebooks/", ".ctnb/")}
    later = "will be made on first use"
    assert seen == {"runs/": "can be written", "notebooks/": later, ".ctnb/": later}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["runs"]


@pytest.mark.parametrize("name", ["runs", "notebooks", ".ctnb"])
def test_a_folder_that_cannot_be_written_is_named(name: str, tmp_path: Path) -> None:
    """A file in a folder's place stops everybody, root included."""
    (tmp_path / name).write_text("", encoding="utf-8")
    check = doctor.private_folder(tmp_path / name)
    assert not check.ok
    assert f"Rename or remove {tmp_path / name}." == check.remedy


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write")
def test_a_folder_that_refuses_files_gives_the_systems_reason() -> None:
    """The kernel's own folder under /proc takes no files, from root neither."""
    check = doctor.folder(Path("/proc/self"))
    assert not check.ok
    assert check.seen.startswith("cannot be written: ")


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_private_folder_that_others_may_look_into_is_refused(tmp_path: Path) -> None:
    """.ctnb holds originals and a key: 0700, and the remedy is the chmod."""
    private = tmp_path / ".ctnb"
    private.mkdir(mode=0o700)
    assert doctor.private_folder(private).ok
    private.chmod(0o750)
    check = doctor.private_folder(private)
    assert (False, f"Run: chmod 700 {private}") == (check.ok, check.remedy)


def test_a_nearly_full_disk_is_refused() -> None:
    """2 GB are asked for."""
    assert [doctor.disk(size).ok for size in (1_999_999_999, 2_000_000_000)] == [False, True]


def test_secrets_are_named_and_never_shown_and_the_portal_tells_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a secret's reference and whether it is set come out; the caller asks the portal."""
    monkeypatch.setenv("CT_KEY", "tip-top-secret")
    secrets = [SecretSeen("data.ct.gov", "CT_KEY", True), SecretSeen("data.ct.gov", "CT_TOKEN", False)]
    checks = doctor.examine(None, secrets=lambda: secrets, portal=lambda: "http://127.0.0.1:8017")
    found = by_name(checks)
    assert [found["secret CT_KEY"].ok, found["secret CT_TOKEN"].ok] == [True, False]
    assert "Set the environment variable CT_TOKEN" in found["secret CT_TOKEN"].remedy
    assert found["portal"] == Check("portal", True, "http://127.0.0.1:8017 answers")
    assert "tip-top-secret" not in repr(checks)


def test_a_check_that_breaks_is_one_line_and_breaks_no_other() -> None:
    """An error of ctnb passes on its hint; an unforeseen one tells its kind, never its text."""

    def broken() -> list[SecretSeen]:
        raise ValueError("123-45-6789")

    def fail() -> str:
        raise PortalFailed("The portal local does not answer.", hint="Start it: ctnb portal serve")

    checks = doctor.examine(None, secrets=broken, portal=fail)
    found = by_name(checks)
    assert found["credentials"].seen == "could not be checked: ValueError"
    assert found["portal"] == Check(
        "portal",
        False,
        "could not be checked: The portal local does not answer.",
        "Start it: ctnb portal serve",
    )
    assert found["Python"].ok
    assert "123-45-6789" not in repr(checks)


@pytest.mark.parametrize(
    ("now", "newest", "ok"),
    [
        (NOON, None, True),
        (NOON, NOON - dt.timedelta(days=1), True),
        (NOON, NOON + dt.timedelta(minutes=4), True),
        (NOON, NOON + dt.timedelta(minutes=6), False),
        (dt.datetime(2000, 1, 1, tzinfo=dt.UTC), None, False),
    ],
)
def test_a_clock_behind_the_ledger_or_ctnb_itself_is_wrong(
    now: dt.datetime, newest: dt.datetime | None, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five minutes of difference between machines are forgiven."""
    monkeypatch.delenv("CTNB_NOW", raising=False)
    assert doctor.time_of_day(now, newest).ok == ok


def test_the_newest_line_of_the_real_ledger_is_what_the_clock_is_held_against(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A ledger line from the future is found."""
    path = tmp_path / "runs" / "ledger.jsonl"
    monkeypatch.setenv("CTNB_NOW", "2090-01-01T00:00:00.000000Z")
    ledger.append(path, "pause", {"dataset": "deaths"})
    monkeypatch.delenv("CTNB_NOW")
    check = doctor.time_of_day(NOON, doctor.newest_entry(tmp_path))
    assert not check.ok
    assert "before the ledger's newest line (2090-01-01T00:00:00Z)" in check.seen


def test_a_ledger_that_does_not_verify_does_not_stop_the_doctor(tmp_path: Path) -> None:
    """The line about the clock says so; the others are there, a file in a folder's place among them."""
    (tmp_path / "notebooks").write_text("", encoding="utf-8")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "ledger.jsonl").write_text(json.dumps({"seq": 1}) + "\n", encoding="utf-8")
    found = by_name(doctor.examine(tmp_path))
    assert [found[name].ok for name in ("clock", "runs/", "notebooks/")] == [False, True, False]


def test_a_clock_told_by_a_variable_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """CTNB_NOW is for rehearsals; a record made under it would not be true."""
    monkeypatch.setenv("CTNB_NOW", "2026-11-21T12:00:00.000000Z")
    check = doctor.time_of_day(NOON, None)
    assert (check.ok, check.remedy) == (False, "Unset CTNB_NOW: records need the real time.")


@pytest.mark.parametrize(
    ("zone", "ok"),
    [
        ("America/New_York", True),
        ("", True),
        (":UTC", True),
        ("EST5EDT,M3.2.0,M11.1.0", True),
        ("Amerika/Neuyork", False),
    ],
)
def test_a_time_zone_that_the_system_does_not_know_is_named(zone: str, ok: bool) -> None:
    """An unknown TZ silently means UTC, and a schedule would run at another hour."""
    assert doctor.time_zone(zone).ok == ok


def by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}
