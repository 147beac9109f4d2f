"""Verifying: one byte of any file of a record, a file more or less, and the name of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import flow_projects as fp
import pytest

from ctnb import deciding, settings, verification
from ctnb.kernels.pools import KernelPool
from ctnb.records import RunRecord
from ctnb.settings import Project

LINES = ("run.json", "findings.json", "events.jsonl", "ledger.jsonl")
"""Text files where the line of a change can be told."""


@dataclass(frozen=True)
class Released:
    """A project with a released run that waited for a decision."""

    project: Project
    record: RunRecord
    place: Path


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    """One run, decided about and released; every test leaves it as it was."""
    project = fp.make(tmp_path_factory.mktemp("verification") / "project", small=True, bad=2, share=0.5)
    with KernelPool() as pool:
        waiting = fp.run(project, pool)
        deciding.decide(project, waiting.run, "approve", reason="Withheld counts cannot be worked out")
        record = fp.run(project, pool, from_step="publish", run=waiting.run)
    assert record.status == "released", record.reason
    assert verification.verify(project).faults == ()
    yield Released(project, record, fp.place(project, record))


def files(released: Released) -> list[Path]:
    """Every file of the record, and the ledger."""
    return [path for path in sorted(released.place.rglob("*")) if path.is_file()] + [released.project.ledger]


def flipped(path: Path, at: int) -> bytes:
    """Change the byte at `at` of the file; returns what was there."""
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
    return before


def test_one_byte_of_any_file_is_found_and_the_file_is_named(released: Released) -> None:
    """In the middle of each file, notebooks, pages, seals and all."""
    missed = {}
    for path in files(released):
        at = len(path.read_bytes()) // 2
        before = flipped(path, at)
        faults = verification.verify(released.project).faults
        path.write_bytes(before)
        if path.name not in {fault.file.rsplit("/", 1)[-1] for fault in faults}:
            missed[path.name] = [str(fault) for fault in faults]
    assert missed == {}
    assert verification.verify(released.project).faults == ()


@pytest.mark.parametrize("name", LINES)
def test_the_line_of_a_change_is_named(released: Released, name: str) -> None:
    """For the record's own text files: the first line that differs, or that does not fit the chain."""
    path = released.project.ledger if name == "ledger.jsonl" else released.place / name
    content = path.read_bytes()
    lines = content.split(b"\n")
    number = len(lines) // 2
    at = sum(len(line) + 1 for line in lines[: number - 1]) + len(lines[number - 1]) // 2
    before = flipped(path, at)
    faults = verification.verify(released.project).faults
    path.write_bytes(before)
    assert (name, number) in {(fault.file.rsplit("/", 1)[-1], fault.line) for fault in faults}


def test_a_file_more_and_a_file_less_are_named(released: Released) -> None:
    """Also a seal, and the whole folder."""
    extra = released.place / "extra.txt"
    extra.write_text("x")
    assert [f.file.rsplit("/", 1)[-1] for f in verification.verify(released.project).faults] == ["extra.txt"]
    extra.unlink()
    for name in ("2-transform.ipynb", "findings.json", "seals/1.json", "decision.json", "report.html"):
        path = released.place / name
        before = path.read_bytes()
        path.unlink()
        named = {fault.file for fault in verification.verify(released.project).faults}
        path.write_bytes(before)
        assert any(file.endswith(name) for file in named), name
    aside = released.project.root / "aside"
    shutil.move(released.place, aside)
    gone = verification.verify(released.project).faults
    shutil.move(aside, released.place)
    assert gone[0].file == "ledger.jsonl"
    assert f"its record {released.record.run} is gone" in gone[0].what


def test_a_record_written_anew_with_another_status_does_not_verify(released: Released) -> None:
    """Whoever edits run.json by hand has not got the ledger's line for it."""
    path = released.place / "run.json"
    before = path.read_bytes()
    told = json.loads(before)
    told["status"] = "rehearsed"
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    faults = verification.verify(released.project).faults
    path.write_bytes(before)
    assert ("run.json", True) in {(f.file.rsplit("/", 1)[-1], f.line is not None) for f in faults}


def test_a_kept_table_that_changed_is_found(released: Released) -> None:
    """The released rows are hashed again, and so are the tables of the work folder."""
    private = released.project.root / ".ctnb"
    kept = private / "releases" / fp.SLUG / f"{released.record.run}-2.parquet"
    read = private / "work" / released.record.run / "read" / "read.parquet"
    for path in (kept, read):
        before = flipped(path, path.stat().st_size // 3)
        faults = verification.verify(released.project).faults
        path.write_bytes(before)
        assert [fault.file.rsplit("/", 1)[-1] for fault in faults] == ["run.json"], path.name


def test_what_cannot_be_known_is_said(released: Released, tmp_path: Path) -> None:
    """Without the work folder tables cannot be hashed again; without an anchor the ledger could be another."""
    copy = tmp_path / "copy"
    shutil.copytree(released.project.root, copy)
    shutil.rmtree(copy / ".ctnb" / "work")
    shutil.rmtree(copy / ".ctnb" / "releases")
    found = verification.verify(settings.load(copy))
    assert found.faults == ()
    said = " ".join(found.unknown)
    assert "no anchor: lines after 0 could have been cut or rewritten" in said
    assert "the table of step read cannot be hashed again" in said
    assert "the released table is no longer kept" in said
