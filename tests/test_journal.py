"""The journal of a sending."""

from __future__ import annotations

import os
from pathlib import Path

from ctnb.portals.journal import Journal


def test_steps_are_read_back_in_order(tmp_path: Path) -> None:
    """Each change has its own steps, oldest first."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.note("a", "creating")
    journal.note("b", "sending", bytes=7)
    journal.note("a", "applying", revision=3)
    assert [step["state"] for step in journal.steps("a")] == ["creating", "applying"]
    last = journal.last("a")
    assert last is not None
    assert last["revision"] == 3


def test_a_line_that_a_kill_cut_off_is_not_read(tmp_path: Path) -> None:
    """Half a line says nothing, and the next step has a line of its own."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.note("a", "creating")
    with journal.path.open("a", encoding="utf-8") as stream:
        stream.write('{"token": "a", "state": "app')
    assert [step["state"] for step in journal.steps("a")] == ["creating"]
    journal.note("a", "applying")
    assert [step["state"] for step in journal.steps("a")] == ["creating", "applying"]


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """A change's facts may tell how many rows are to be published."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.note("a", "creating")
    assert os.stat(journal.path).st_mode & 0o777 == 0o600
