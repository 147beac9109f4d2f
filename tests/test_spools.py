"""Batches on disk: in their order, each number once, readable by their owner alone, whoever else writes."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from ctnb import settings, spools
from ctnb.settings import Project

HEAD = {"format": 1, "delete": None, "portal": "local", "reason": ""}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without anything."""
    (tmp_path / "ctnb.yml").write_text("format: 1\n", encoding="utf-8")
    return settings.load(tmp_path)


def test_a_batch_gives_back_the_records_that_went_in(project: Project) -> None:
    """Also those with characters at which other software ends a line."""
    records = [{"note": "a\u2028b\u2029c\x85d\x0be\x1cf"}, {"note": None}, {"note": "line\nline\r\nline"}]
    batch = spools.add(project, "counters", HEAD, records)
    assert (batch.records(), batch.count(), batch.head["portal"]) == (records, 3, "local")
    assert stat.S_IMODE(batch.path.stat().st_mode) == 0o600


def test_a_number_is_never_given_twice(project: Project) -> None:
    """Not after a batch was confirmed, set aside or given up."""
    first = spools.add(project, "counters", HEAD, [{}])
    first.remove()
    second = spools.add(project, "counters", HEAD, [{}])
    second.set_aside()
    third = spools.add(project, "counters", HEAD, [{}])
    third.set_aside(spools.DISCARDED)
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    (spools.folder(project, "counters") / "last").unlink()  # as a project from before had none
    assert spools.add(project, "counters", HEAD, [{}]).number == 4


def test_several_who_write_at_once_get_a_number_each(project: Project) -> None:
    """Eight writers with five batches each: forty batches."""

    def write(who: int) -> None:
        for number in range(5):
            spools.add(project, "counters", HEAD, [{"who": who, "number": number}])

    threads = [threading.Thread(target=write, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = spools.waiting(project, "counters")
    assert [batch.number for batch in found] == list(range(1, 41))
    told = sorted((one["who"], one["number"]) for batch in found for one in batch.records())
    assert told == [(who, number) for who in range(8) for number in range(5)]


def test_notes_beside_a_batch_go_with_it(project: Project) -> None:
    """Also when a kill came between the batch and its notes."""
    batch = spools.add(project, "counters", HEAD, [{}])
    batch.begun("20261121T110512Z-7f3a", "")
    batch.hold({"status": "blocked"})
    assert (batch.began, batch.held) == (spools.Began("20261121T110512Z-7f3a", ""), {"status": "blocked"})
    batch.path.unlink()
    assert spools.waiting(project, "counters") == []
    assert not list(spools.folder(project, "counters").glob("00*"))


def test_a_note_of_an_older_version_names_its_run(project: Project) -> None:
    """It did not say on top of which release."""
    batch = spools.add(project, "counters", HEAD, [{}])
    batch.path.with_suffix(".run").write_text("20261121T110512Z-7f3a", encoding="utf-8")
    assert batch.began == spools.Began("20261121T110512Z-7f3a", "")


def test_a_receipt_that_a_kill_tore_hides_no_other(project: Project) -> None:
    """The next one begins a line of its own."""
    spools.note(project, "counters", {"batch": 1, "release": "a"})
    path = spools.folder(project, "counters") / "receipts.jsonl"
    with path.open("ab") as stream:
        stream.write(b'{"batch": 2, "rel')
    spools.note(project, "counters", {"batch": 3, "release": "c"})
    assert {number: one["release"] for number, one in spools.receipts(project, "counters").items()} == {
        1: "a", 3: "c"
    }  # fmt: skip


def test_lines_that_are_no_records_are_counted(project: Project) -> None:
    """One line each, whatever they hold."""
    spools.set_aside(project, "counters", [{"line": 1, "text": "a\u2028b"}, {"line": 2, "text": "c\nd"}])
    path, number = spools.refused_lines(project, "counters")
    assert number == 2
    assert [json.loads(line)["line"] for line in path.read_text(encoding="utf-8").splitlines()] == [1, 2]
