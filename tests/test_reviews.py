"""The review as a whole: what blocks, waits and clears, and that what cannot be asked blocks."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from review_tables import column, found, made, reviewed

from ctnb import clock
from ctnb.errors import RecordBroken
from ctnb.privacy.findings import asked_of, reference
from ctnb.privacy.reviews import Review, headline
from ctnb.settings import Policy
from ctnb.tables import Table

TOWN, COUNT = column("town"), column("deaths", "integer", "measure")
FLAG = column("deaths_suppressed", "boolean")
PAGE = Path(__file__).parent.parent / "docs" / "reference" / "privacy-rules.md"


def aggregate(folder: Path, counts: list[int | None], flags: list[bool] | None = None, **more: Any) -> Review:
    """The review of an aggregate with `counts`."""
    cells = {"town": [f"Town {'ABCDEFGHIJ'[at]}" for at in range(len(counts))], "deaths": counts}
    cells["deaths_suppressed"] = flags or [False] * len(counts)
    table = made(folder, [TOWN, COUNT, FLAG], cells)
    return reviewed(table, **{"unit": "group", "count_column": "deaths", **more})


def rules(review: Review) -> list[tuple[str, str]]:
    """Rule and severity of each finding, in their order."""
    return [(finding.rule, finding.severity) for finding in review.findings]


def test_an_aggregate_without_small_cells_is_clear(tmp_path: Path) -> None:
    """Zeros may stay, and six is not small."""
    review = aggregate(tmp_path, [0, 6, 100])
    assert (review.state, review.findings) == ("clear", ())


def test_counts_from_one_to_five_block(tmp_path: Path) -> None:
    """Connecticut's rule; zeros are counted apart."""
    review = aggregate(tmp_path, [0, 1, 5, 6])
    (finding,) = review.findings
    assert (review.state, finding.rule, finding.count, finding.of) == ("blocked", "small-cell", 2, 4)
    assert finding.facts == {"small_cell": 5, "zeros": 1, "suppressed": 0}


def test_suppressed_cells_wait_for_a_decision(tmp_path: Path) -> None:
    """Nobody has checked yet that they cannot be worked out."""
    review = aggregate(tmp_path, [0, None, None, 60], [False, True, True, False])
    assert rules(review) == [("complementary-unchecked", "wait")]
    assert review.findings[0].text == (
        "deaths has 2 suppressed cells of 4; complementary suppression was not checked."
    )


def test_a_marked_cell_that_still_shows_its_count_blocks(tmp_path: Path) -> None:
    """The mark alone hides nothing."""
    assert rules(aggregate(tmp_path, [0, 90], [False, True])) == [("bare-suppressed", "block")]


def test_a_blank_count_without_a_mark_waits(tmp_path: Path) -> None:
    """Zero, unknown or suppressed: somebody has to say."""
    assert rules(aggregate(tmp_path, [None, 90])) == [("unmarked-blank", "wait")]


@pytest.mark.parametrize("count", [None, "town", "gone"])
def test_an_aggregate_without_a_count_column_blocks(tmp_path: Path, count: str | None) -> None:
    """None named, one that holds text, one that is not there."""
    assert ("no-count", "block") in rules(aggregate(tmp_path, [9], count_column=count))


def test_other_measures_with_small_or_telling_numbers_wait(tmp_path: Path) -> None:
    """A second count, and a measure beside a suppressed cell."""
    women = column("women", "integer", "measure")
    cells = {"town": ["A", "B"], "deaths": [None, 90], "deaths_suppressed": [True, False], "women": [3, 40]}
    table = made(tmp_path, [TOWN, COUNT, FLAG, women], cells)
    review = reviewed(table, unit="group", count_column="deaths")
    assert rules(review) == [
        ("small-measure", "wait"), ("measure-beside-suppressed", "wait"), ("complementary-unchecked", "wait"),
    ]  # fmt: skip


def test_columns_without_a_role_block(tmp_path: Path) -> None:
    """One finding names them all."""
    table = made(
        tmp_path,
        [column("a", role=None), column("b", role=None), TOWN],
        {"a": ["x"], "b": ["x"], "town": ["x"]},
    )
    (finding,) = reviewed(table).findings
    assert (finding.rule, finding.severity, finding.columns) == ("no-role", "block", ("a", "b"))
    assert finding.text == "2 of 3 columns have no role: a and b."


def test_an_undeclared_unit_blocks(tmp_path: Path) -> None:
    """Without it nobody knows which rules apply."""
    assert rules(reviewed(made(tmp_path, [TOWN], {"town": ["x"]}), unit=None)) == [("no-unit", "block")]


def test_a_published_identifier_blocks(tmp_path: Path) -> None:
    """Its role says that it must not be there."""
    table = made(tmp_path, [column("case_no", role="identifier")], {"case_no": ["A-1"]})
    assert rules(reviewed(table)) == [("identifier-published", "block")]


def test_free_text_about_people_waits(tmp_path: Path) -> None:
    """Leaving it out is the default."""
    columns = [column("sex", role="quasi"), column("note", role="free_text")]
    table = made(tmp_path, columns, {"sex": ["F"] * 6, "note": ["x", None, "y", "z", None, "x"]})
    (finding,) = found(reviewed(table, unit="person"), "free-text")
    assert (finding.severity, finding.count, finding.of) == ("wait", 4, 6)


def test_files_wait_for_somebody_who_opened_them(tmp_path: Path) -> None:
    """An address in a file's bytes is seen by no other rule; a column without files is clean, and none is skipped."""
    sent = "data:text/plain;base64,Si4gUm9lLCBqLnJvZUBleGFtcGxlLm9yZw=="
    columns = [TOWN, column("scan", "file"), column("photo", "file")]
    table = made(
        tmp_path, columns, {"town": ["x", "y", "z"], "scan": [sent, None, sent], "photo": [None] * 3}
    )
    review = reviewed(table)
    assert rules(review) == [("file-content", "wait")]
    (finding,) = review.findings
    assert (finding.columns, finding.count, finding.of, finding.direct) == (("scan",), 2, 3, True)
    assert finding.text == "scan holds a file in 2 of 3 rows; no rule can look into files."
    assert "Si4gUm9l" not in json.dumps(review.to_json())
    asked = {one.rule: one.outcome for one in aggregate(tmp_path, [6]).asked}
    assert asked["file-content"] == "skipped"


def test_every_rule_is_asked_or_says_why_not(tmp_path: Path) -> None:
    """One line per rule, in the order of the reference; a skipped one has a reason."""
    review = aggregate(tmp_path, [6])
    assert [one.rule for one in review.asked] == list(asked_of(()))
    assert [one.rule for one in review.asked if (one.outcome == "skipped") != bool(one.reason)] == []


def test_a_table_that_does_not_open_blocks(tmp_path: Path) -> None:
    """What could not be asked is not assumed to be safe."""
    table = made(tmp_path, [TOWN], {"town": ["x"]})
    table.path.write_bytes(b"not a table")
    review = reviewed(table)
    assert rules(review) == [("not-computed", "block")]
    assert [one.outcome for one in review.asked] == ["hit"] + ["skipped"] * (len(asked_of(())) - 1)


@pytest.mark.parametrize("wrong", ["rows", "columns", "key"])
def test_a_table_that_is_not_what_its_handle_says_blocks(tmp_path: Path, wrong: str) -> None:
    """More rows, other columns, or a row identifier that is not there."""
    table = made(tmp_path, [TOWN], {"town": ["x", "y"]})
    changed: dict[str, Table] = {
        "rows": replace(table, rows=3), "columns": replace(table, columns=(column("city"),)), "key": table,
    }  # fmt: skip
    review = reviewed(changed[wrong], key=("id",) if wrong == "key" else ())
    assert (review.state, {finding.rule for finding in review.findings}) == ("blocked", {"not-computed"})


def test_one_rule_that_fails_blocks_and_the_others_are_still_asked(tmp_path: Path) -> None:
    """A count column that is a number only in the contract."""
    table = made(tmp_path, [TOWN, column("deaths", "text", "measure")], {"town": ["x"], "deaths": ["many"]})
    told = replace(table, columns=(TOWN, COUNT))
    review = reviewed(told, unit="group", count_column="deaths")
    failed = [finding.facts["rule"] for finding in found(review, "not-computed")]
    assert (review.state, "small-cell" in failed, "no-role" in failed) == ("blocked", True, False)
    assert "many" not in json.dumps(review.to_json())


def test_a_policy_makes_a_rule_stricter_or_milder_but_never_a_fixed_one(tmp_path: Path) -> None:
    """A fixed rule keeps its severity, and the attempt blocks by itself."""
    table = made(tmp_path, [column("note")], {"note": ["j.roe@example.org, 123-45-6789"]})
    policy = Policy(severities={"email-content": "note", "ssn-content": "note"})
    assert rules(reviewed(table, policy=policy)) == [
        ("policy-unfit", "block"), ("ssn-content", "block"), ("email-content", "note"),
    ]  # fmt: skip


def test_a_policy_that_names_an_unknown_rule_blocks(tmp_path: Path) -> None:
    """A misspelt rule would otherwise be silently without effect."""
    table = made(tmp_path, [TOWN], {"town": ["x"]})
    assert rules(reviewed(table, policy=Policy(severities={"smal-cell": "block"}))) == [
        ("policy-unfit", "block")
    ]


def test_the_digest_forgets_when_and_in_which_run(tmp_path: Path) -> None:
    """Everything else counts."""
    table = made(tmp_path, [TOWN], {"town": ["x"]})
    review = reviewed(table)
    assert reviewed(table, run="20271121T110512Z-0000").digest == review.digest
    assert replace(review, at="2027-01-01T00:00:00.000000Z").digest == review.digest
    others = [
        reviewed(table, **{name: "other"}) for name in ("table_digest", "contract_digest", "transform_digest")
    ]
    others.append(reviewed(table, policy=Policy(small_cell=9)))
    assert review.digest not in {other.digest for other in others}


def test_the_order_of_rows_never_matters(tmp_path: Path) -> None:
    """Shuffled tables have equal findings."""
    dice = random.Random(7)
    for _ in range(3):
        counts = [dice.choice([0, 1, 4, 6, 30]) for _ in range(10)]
        first = aggregate(tmp_path, list(counts))
        assert aggregate(tmp_path, dice.sample(counts, 10)).findings == first.findings


def test_a_review_comes_back_from_json_as_it_was(tmp_path: Path) -> None:
    """Through text, with its digest."""
    review = aggregate(tmp_path, [3, None], [False, True])
    again = Review.from_json(json.loads(json.dumps(review.to_json())))
    assert (again, again.digest) == (review, review.digest)


def test_a_review_whose_state_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    """The state follows from the findings."""
    told = {**aggregate(tmp_path, [3]).to_json(), "state": "clear"}
    with pytest.raises(RecordBroken):
        Review.from_json(told)


def test_three_lines_say_why(tmp_path: Path) -> None:
    """The state, the worst finding, what to do."""
    assert headline(aggregate(tmp_path, [3, 60])) == (
        "deaths is blocked: 1 finding blocks.",
        "deaths shows 1 cell of 2 from 1 to 5; 0 zeros may stay.",
        "Add the rule suppress: with the count column under rules: in dataset.yml; zeros stay.",
    )
    assert headline(aggregate(tmp_path, [60]))[2] == "It may be published; no decision is needed."


def test_a_hostile_header_or_label_is_never_in_a_review(tmp_path: Path) -> None:
    """Only the contract's names are."""
    one = column("ssn", role=None, header="<script>SSN</script>", label="Roe's SSN 123-45-6789")
    text = json.dumps(reviewed(made(tmp_path, [one], {"ssn": ["x"]})).to_json())
    assert ("script" in text, "Roe" in text) == (False, False)


@pytest.mark.parametrize("name", ["class", "select", "group", "order", "c", "v", "n", "data", "rowid"])
def test_a_column_may_be_called_anything_a_contract_allows(tmp_path: Path, name: str) -> None:
    """Words of SQL and of our own queries."""
    columns = [column(name, role="quasi"), column(f"{name}_x", role="sensitive")]
    table = made(tmp_path, columns, {name: ["a"] * 6, f"{name}_x": list("abcabc")})
    assert reviewed(table, unit="person").findings == ()


def test_an_empty_table_is_clear(tmp_path: Path) -> None:
    """Nobody is in it."""
    table = made(tmp_path, [column("sex", role="quasi")], {"sex": []})
    assert reviewed(table, unit="person").state == "clear"


def test_the_time_is_the_clock_s(tmp_path: Path) -> None:
    """One clock."""
    clock.fix(clock.parse("2026-11-21T11:05:12Z"))
    try:
        assert reviewed(made(tmp_path, [TOWN], {"town": ["x"]})).at == "2026-11-21T11:05:12.000000Z"
    finally:
        clock.fix(None)


def test_the_reference_lists_every_rule_as_it_is() -> None:
    """The page is made from the table of rules."""
    assert PAGE.read_text(encoding="utf-8") == reference()
