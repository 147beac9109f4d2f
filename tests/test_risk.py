"""Classes of people who are alike, against counts by hand and by plain Python."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from review_tables import column, found, made, reviewed

from ctnb.privacy.findings import Finding
from ctnb.settings import Policy
from ctnb.tables import Table

SEX, TOWN, CAUSE = (
    column("sex", role="quasi"),
    column("town", role="quasi"),
    column("cause", role="sensitive"),
)


def small_class(table: Table, smallest: int = 3) -> Finding | None:
    """The finding about small classes, if there is one."""
    review = reviewed(table, unit="person", policy=Policy(smallest_class=smallest))
    return next(iter(found(review, "small-class")), None)


def people(folder: Path, rows: list[tuple[str | None, str | None, str | None]]) -> Table:
    """A table of people with sex, town and cause."""
    cells = {name: [row[at] for row in rows] for at, name in enumerate(("sex", "town", "cause"))}
    return made(folder, [SEX, TOWN, CAUSE], cells)


def test_a_class_below_the_smallest_blocks_with_its_counts(tmp_path: Path) -> None:
    """Three alike, two alike, one alone."""
    table = people(tmp_path, [("F", "Kent", "a")] * 3 + [("M", "Kent", "a")] * 2 + [("F", "Avon", "b")])
    finding = small_class(table)
    assert finding is not None
    assert (finding.severity, finding.count, finding.of) == ("block", 3, 6)
    assert finding.facts == {
        "k": 1, "unique_rows": 1, "rows_in_small_classes": 3, "small_classes": 2, "classes": 3,
        "smallest_class": 3,
    }  # fmt: skip


def test_classes_of_the_smallest_size_do_not_block(tmp_path: Path) -> None:
    """The smallest size itself is enough."""
    assert small_class(people(tmp_path, [("F", "Kent", "a")] * 3 + [("M", "Kent", "b")] * 3)) is None


def test_a_blank_is_a_value_of_its_own(tmp_path: Path) -> None:
    """A blank does not hide among the values, in one quasi-identifier or in two."""
    rows: list[tuple[str | None, str | None, str | None]] = [("F", "Kent", "a")] * 3
    finding = small_class(
        people(tmp_path, [*rows, (None, "Kent", "a"), (None, None, "a"), (None, None, "a")])
    )
    assert finding is not None
    assert (finding.facts["k"], finding.facts["unique_rows"], finding.facts["classes"]) == (1, 1, 3)


def test_counts_agree_with_plain_python_in_any_order(tmp_path: Path) -> None:
    """Four random tables, each shuffled: the finding is the same, and so is the review's digest."""
    dice = random.Random(20261121)
    for _ in range(4):
        values = [dice.choice(["F", "M", None]) for _ in range(60)]
        towns = [dice.choice(["Kent", "Avon", "Bozrah", None]) for _ in range(60)]
        rows = [(sex, town, dice.choice("ab")) for sex, town in zip(values, towns, strict=True)]
        shuffled = dice.sample(rows, len(rows))
        one, other = people(tmp_path, rows), people(tmp_path, shuffled)
        finding, sizes = small_class(one, 6), Counter((sex, town) for sex, town, _ in rows)
        expected = sum(size for size in sizes.values() if size < 6)
        assert (finding.count if finding else 0) == expected
        assert reviewed(one, unit="person").digest == reviewed(other, unit="person").digest


def test_people_without_quasi_identifiers_wait(tmp_path: Path) -> None:
    """A table of people with nothing declared is not safe, it is undeclared."""
    review = reviewed(made(tmp_path, [column("town")], {"town": ["Kent"]}), unit="person")
    assert [(one.rule, one.severity) for one in review.findings] == [("no-quasi", "wait")]


def test_classes_that_share_one_sensitive_value_wait(tmp_path: Path) -> None:
    """One class of two: three of six rows give their cause away."""
    rows: list[tuple[str | None, str | None, str | None]] = [("F", "Kent", "a")] * 3
    table = people(tmp_path, [*rows, ("M", "Kent", "a"), ("M", "Kent", "b"), ("M", "Kent", None)])
    (finding,) = found(reviewed(table, unit="person", policy=Policy(smallest_class=3)), "one-value")
    assert (finding.columns, finding.count, finding.of) == (("cause",), 3, 6)
    assert finding.text == "In 1 of 2 classes all rows share one value of cause: 3 of 6 rows."


def test_a_class_with_a_blank_and_a_value_does_not_share_one(tmp_path: Path) -> None:
    """A blank is a value of its own here too; a class of blanks shares it."""
    rows: list[tuple[str | None, str | None, str | None]] = [("F", "Kent", "a"), ("F", "Kent", None)]
    assert found(reviewed(people(tmp_path, rows), unit="person"), "one-value") == []
    blank: list[tuple[str | None, str | None, str | None]] = [("F", "Kent", None)] * 2
    (finding,) = found(reviewed(people(tmp_path, blank), unit="person"), "one-value")
    assert finding.count == 2
