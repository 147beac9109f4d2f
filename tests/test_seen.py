"""What earlier reviews of the same process found in texts: the same findings, fewer texts tested."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import review_tables

from ctnb.privacy import seen
from ctnb.privacy.reviews import Review
from ctnb.privacy.seen import Seen

COLUMNS = [
    review_tables.column("town"),
    review_tables.column("note", role="free_text"),
    review_tables.column("number", "integer"),
    review_tables.column("case_id", "code"),
]
PLANTED = (
    "ask wanda.tremaine@pobox.example.net", "her number 123-45-6789 is wrong", "call (860) 555-0142", "Mary Smith",
    "seen by Robert Johnson at the desk", "nothing", "",
)  # fmt: skip
Row = tuple[Any, ...]


def row(dice: random.Random) -> Row:
    """A row in which something may be planted."""
    note = dice.choice(PLANTED) if dice.random() < 0.1 else f"seen at {dice.randrange(10_000)}"
    number = dice.randrange(1_010_001, 899_999_999) if dice.random() < 0.5 else dice.randrange(100)
    return (dice.choice(["Hartford", "Madison", "James"]), note, number, f"{dice.randrange(10**9):09}")


def review(folder: Path, rows: list[Row]) -> Review:
    """The review of `rows`."""
    cells = {column.name: [one[at] for one in rows] for at, column in enumerate(COLUMNS)}
    return review_tables.reviewed(review_tables.made(folder, COLUMNS, cells), unit="person")


@pytest.mark.parametrize("seed", range(4))
def test_a_review_that_remembers_says_what_one_says_that_does_not(tmp_path: Path, seed: int) -> None:
    """Rows come, go and change, identifiers among them; each review's digest is that of a review from nothing."""
    dice, memory = random.Random(seed), Seen()
    rows = [row(dice) for _ in range(dice.choice([0, 1, 60]))]
    for _ in range(4):
        rows = [one for one in rows if dice.random() < 0.8] + [row(dice) for _ in range(dice.randrange(25))]
        with seen.used(memory):
            remembered = review(tmp_path, rows)
        assert review(tmp_path, rows).digest == remembered.digest


def test_only_new_texts_are_tested(tmp_path: Path) -> None:
    """Of 400 rows and one more, the second review tests the texts of the one."""
    dice, memory = random.Random(1), Seen()
    rows = [row(dice) for _ in range(400)]
    with seen.used(memory):
        review(tmp_path, rows)
        before = memory.tested
        review(tmp_path, [*rows, ("Hartford", "seen at the new bridge", 5_551_234, "000000001")])
    assert before > 800
    assert memory.tested - before == 3


def other_role() -> list[Any]:
    """The columns, where the number is a measure: its leading zero is not given back any more."""
    return [
        column.model_copy(update={"role": "measure"}) if column.name == "number" else column
        for column in COLUMNS
    ]


def fewer() -> list[Any]:
    """The columns without the first."""
    return COLUMNS[1:]


@pytest.mark.parametrize("changed", [other_role, fewer])
def test_nothing_is_known_of_other_columns(tmp_path: Path, changed: Callable[[], list[Any]]) -> None:
    """What a text is tested for depends on its column: another contract begins from nothing."""
    dice, memory = random.Random(2), Seen()
    rows = [row(dice) for _ in range(50)]
    with seen.used(memory):
        review(tmp_path, rows)
        before = memory.tested
        columns = changed()
        place = {column.name: at for at, column in enumerate(COLUMNS)}
        cells = {column.name: [one[place[column.name]] for one in rows] for column in columns}
        again = review_tables.reviewed(review_tables.made(tmp_path, columns, cells))
    assert again.digest == review_tables.reviewed(review_tables.made(tmp_path, columns, cells)).digest
    assert memory.tested > before


def test_more_texts_than_are_kept_are_tested_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; the review is the same."""
    monkeypatch.setattr(seen, "MOST_TEXTS", 10)
    dice, memory = random.Random(3), Seen()
    rows = [row(dice) for _ in range(50)]
    with seen.used(memory):
        first = review(tmp_path, rows)
        before = memory.tested
        second = review(tmp_path, rows)
    assert first.digest == second.digest
    assert memory.texts is None
    assert memory.tested == 2 * before
