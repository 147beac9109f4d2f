"""Drift: what is not as it was is counted and named by the contract's names, and treated as dataset.yml says."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from review_tables import column, found, made, reviewed

from ctnb.contracts.columns import Column, Constraints
from ctnb.contracts.drift import SourceDrift, TableDrift
from ctnb.drift import headers, measures, structure
from ctnb.drift.headers import HeaderChange, Matched
from ctnb.drift.renames import guesses
from ctnb.privacy.changes import MEANS, QUESTIONS
from ctnb.privacy.findings import Last
from ctnb.privacy.reviews import Review
from ctnb.settings import Policy
from ctnb.tables import Table, opened

Treated = Literal["accept", "hold", "stop"]
TREATMENTS: tuple[Treated, ...] = ("accept", "hold", "stop")
CANARY = "Xanthippe Quillfeather"
CONTRACT = [column("date"), column("town", header="Residence Town"), column("sex"), column("age")]


def matched(header: list[str], columns: list[Column] | None = None, **treatments: Treated) -> Matched:
    """What matching a header with the contract gives, under these treatments."""
    return headers.match(header, columns or CONTRACT, ["spare"], SourceDrift(**treatments), ["age"])


def told(found: Matched) -> list[tuple[str, str, int | None, str]]:
    """The changes, in short."""
    return [(one.kind, one.column, one.place, one.treatment) for one in found.changes]


def test_a_header_that_fits_has_not_drifted() -> None:
    """Blanks around headers, another order and headers that are ignored are no drift."""
    found = matched(["age", " sex ", "spare", "Residence Town", "date"])
    assert found == Matched({"date": 4, "town": 3, "sex": 1, "age": 0})


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_a_header_that_was_added_is_left_out_unless_it_stops(treatment: Treated) -> None:
    """It may be a cell, so it is told by place and shape."""
    found = matched(["date", "Residence Town", "sex", CANARY, "age"], added=treatment)
    assert CANARY not in repr(found) and CANARY[:4] not in str([one.text for one in found.changes])
    if treatment == "stop":
        assert found.problems == ("column 4 is not in the contract (shape 'Aaaa… Aaaa…')",)
    else:
        assert (found.problems, told(found)) == ((), [("added", "", 4, treatment)])
        assert found.places == {"date": 0, "town": 1, "sex": 2, "age": 4}


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_a_column_that_was_removed_is_empty_unless_it_stops(treatment: Treated) -> None:
    """It has no place."""
    found = matched(["date", "Residence Town", "age"], removed=treatment)
    if treatment == "stop":
        assert found.problems == ("sex is missing",)
    else:
        assert (found.problems, told(found)) == ((), [("removed", "sex", None, treatment)])
        assert "sex" not in found.places


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_a_column_that_seems_renamed_is_read_unless_it_stops(treatment: Treated) -> None:
    """The guess is a question, and the new header is told by place and shape."""
    found = matched(["date", "Residence Towns", "sex", "age"], renamed=treatment)
    if treatment == "stop":
        assert found.problems == (
            "town is missing; is it column 2 (shape 'Aaaa… Aaaa…') under another header?",
        )
    else:
        assert (found.problems, told(found)) == ((), [("renamed", "town", 2, treatment)])
        assert found.places["town"] == 1
        assert found.changes[0].text.endswith("is it that column under another header?")


def test_a_required_column_and_the_key_stop_whatever_is_said() -> None:
    """An empty cell would be no cell there."""
    required = column("sex", constraints=Constraints(required=True))
    columns = [column("date"), required, column("age")]
    assert matched(["date", "age"], columns, removed="accept").problems == ("sex is missing",)
    assert matched(["date", "sex"], columns, removed="accept").problems == ("age is missing",)


def test_whoever_corrects_a_header_is_told_of_everything() -> None:
    """What stops comes first; what would go on is told beside it."""
    found = matched(["date", "zzz", "sex", "age", "1"])
    assert found.problems == (
        "town is missing", "column 2 is not in the contract (shape 'aaa')",
        "column 5 is not in the contract (shape '9')",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("column", "shape"), [("town'); --", ""), ("", "Hartford"), ("", "219-09-9999"), ("", "a" * 25)]
)
def test_a_change_holds_no_cell(column: str, shape: str) -> None:
    """A kernel may write anything; only a contract's name and a masked shape go into the record."""
    with pytest.raises(ValueError, match="String should"):
        HeaderChange(kind="added", column=column, place=1, shape=shape, treatment="hold")


def test_the_likest_name_in_its_place_is_guessed() -> None:
    """Each new name is one column at most; a name that is not alike is none, wherever it stands."""
    old, new = ["date", "tramadol", "city", "other"], ["date", "tramad", "place", "other"]
    assert guesses(old, new, {0: 0, 3: 3}, [1, 2]) == {1: 1}
    assert guesses(["date of death", "b"], ["b", "death date"], {1: 0}, [1]) == {}
    assert guesses(["Analogue"], ["Analog", "ANALOGUE"], {}, [0, 1]) == {0: 1}


def test_a_structure_is_compared_by_names_types_and_roles() -> None:
    """Another order is no change; a renamed column keeps its type."""
    old = [
        column("town", role="quasi"),
        column("year", "integer"),
        column("deaths", "integer"),
        column("rate"),
    ]
    new = [
        column("rate", "number", scale=1), column("town", role="plain"), column("years", "integer"),
        column("births", "integer"),
    ]  # fmt: skip
    found = structure.compare(old, new)
    assert (found.added, found.removed, found.renamed) == (("births",), ("deaths",), (("year", "years"),))
    assert found.retyped == (structure.Retyped("rate", "text", "number of scale 1"),)
    assert found.regarded == ("town",)
    assert set(found.changed) == {"births", "deaths", "years", "rate", "town"}
    assert structure.compare(old, list(reversed(old))) == structure.Structure()


def test_the_stability_index_is_that_of_the_formula() -> None:
    """The sum over bins of (q - p) ln(q / p), with half a cell added to each bin."""
    before, now = (50, 50), (80, 20)
    p, q = (50.5 / 101, 50.5 / 101), (80.5 / 101, 20.5 / 101)
    expected = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert measures.stability_index(before, now) == pytest.approx(expected)
    assert measures.stability_index((3, 0, 9), (3, 0, 9)) == 0


def test_what_comes_by_chance_is_near_the_chi_squared_quantile() -> None:
    """The 0.999 quantiles of 1, 9 and 19 degrees of freedom are 10.83, 27.88 and 43.82."""
    for bins, quantile in ((2, 10.83), (10, 27.88), (20, 43.82)):
        cells = [100] * bins
        size = 100 * bins
        assert measures.by_chance(cells, cells) == pytest.approx(2 / size * quantile, rel=0.04)


@pytest.fixture(scope="module")
def folder() -> Any:
    """A folder for tables."""
    with TemporaryDirectory() as made:
        yield Path(made)


Cell = st.one_of(st.none(), st.sampled_from(["a", "b", CANARY, ""]), st.text(max_size=4))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(Cell, st.one_of(st.none(), st.integers(-9, 9)), st.booleans()), max_size=40))
def test_a_table_has_not_drifted_from_itself(folder: Path, rows: list[tuple[Any, ...]]) -> None:
    """Whatever its cells are: no finding about change."""
    columns = [column("town", role="quasi"), column("n", "integer", "measure"), column("yes", "boolean")]
    cells = {one.name: [row[place] for row in rows] for place, one in enumerate(columns)}
    table = made(folder, columns, cells)
    review = reviewed(table, last=Last("r1", table))
    assert [one.rule for one in review.findings if one.rule in QUESTIONS] == []
    assert review.base_release == "r1"


def of_change(review: Review) -> dict[str, str]:
    """The rules about change that hit, with their severities."""
    return {one.rule: one.severity for one in review.findings if one.rule in QUESTIONS}


TOWN = column("town", role="quasi")
NUMBER = column("n", "integer", "measure")
OLD = {"town": ["Andover", "Bolton"] * 100, "n": list(range(200))}
CHANGES: dict[str, tuple[list[Column], dict[str, list[Any]]]] = {
    "added": ([TOWN, NUMBER, column("more")], {**OLD, "more": ["x"] * 200}),
    "removed": ([TOWN], {"town": OLD["town"]}),
    "renamed": ([TOWN, column("nn", "integer", "measure")], {"town": OLD["town"], "nn": OLD["n"]}),
    "retyped": ([TOWN, column("n", "text", "measure")], {**OLD, "n": [str(n) for n in OLD["n"]]}),
    "category": ([TOWN, NUMBER], {**OLD, "town": [CANARY, *OLD["town"][1:]]}),
    "empty": ([TOWN, NUMBER], {**OLD, "n": [None if n % 9 == 0 else n for n in range(200)]}),
    "distribution": ([TOWN, NUMBER], {**OLD, "n": [n + 150 for n in range(200)]}),
    "rows": ([TOWN, NUMBER], {"town": OLD["town"][:150], "n": [n * 4 // 3 for n in range(150)]}),
}
STRUCTURAL = ("added", "removed", "renamed", "retyped")


def review_after(folder: Path, kind: str, policy: Policy | None = None, **treatments: Any) -> Review:
    """The review of a table that has drifted in one way from the last release."""
    base = made(folder, [TOWN, NUMBER], OLD)
    columns, cells = CHANGES[kind]
    return reviewed(
        made(folder, columns, cells), policy=policy, last=Last("r1", base, drift=TableDrift(**treatments))
    )


@pytest.mark.parametrize("treatment", TREATMENTS)
@pytest.mark.parametrize("kind", CHANGES)
def test_each_kind_of_drift_is_treated_as_the_contract_says(
    folder: Path, kind: str, treatment: Treated
) -> None:
    """accept notes, hold waits, stop blocks; a changed structure waits whatever is said. No cell is quoted."""
    review = review_after(folder, kind, **{kind: treatment})
    expected = {f"drift-{kind}": MEANS[treatment]}
    if kind in STRUCTURAL:
        expected["structure-changed"] = "wait"
    assert of_change(review) == expected
    text = str(review.to_json()["findings"])
    assert not [word for word in (CANARY, "Xanthippe", "Andover", "Bolton") if word in text]


def test_a_policy_may_be_stricter_than_the_contract_and_not_milder(folder: Path) -> None:
    """ctnb.yml is the agency's word, dataset.yml the dataset's."""
    stricter = Policy(severities={"drift-category": "block"})
    milder = Policy(severities={"drift-category": "note"})
    assert of_change(review_after(folder, "category", stricter)) == {"drift-category": "block"}
    assert of_change(review_after(folder, "category", milder)) == {"drift-category": "wait"}


def test_counts_say_how_much_has_drifted(folder: Path) -> None:
    """Categories, rows, points and bins, never a value."""
    (category,) = found(review_after(folder, "category"), "drift-category")
    assert (category.count, category.of, category.facts) == (1, 3, {"rows": 1})
    (empty,) = found(review_after(folder, "empty"), "drift-empty")
    assert (empty.count, empty.of, empty.facts["points"]) == (23, 200, 11.5)
    (shift,) = found(review_after(folder, "distribution"), "drift-distribution")
    assert sum(map(int, str(shift.facts["bins_before"]).split())) == 200
    assert sum(map(int, str(shift.facts["bins_now"]).split())) == 200


def test_another_role_is_another_structure(folder: Path) -> None:
    """What was plain and is sensitive now is to be looked at again."""
    base = made(folder, [TOWN], {"town": ["a"]})
    now = made(folder, [column("town", role="sensitive")], {"town": ["a"]})
    assert of_change(reviewed(now, last=Last("r1", base))) == {"structure-changed": "wait"}


def test_without_a_release_nothing_is_compared_and_that_is_said(folder: Path) -> None:
    """A batch is compared with no other batch; rows that are gone are a reason to look."""
    table = made(folder, [TOWN], {"town": ["a"]})

    def reasons(last: Last) -> dict[str, str]:
        return {one.rule: one.reason for one in reviewed(table, last=last).asked if one.rule in QUESTIONS}

    assert reasons(Last())["drift-category"] == "there is no earlier release on this portal"
    batch = reasons(Last("r1", table, "append"))
    assert (batch["drift-rows"], batch["drift-added"]) == (
        "mode append publishes a batch, which is compared with no other", "",
    )  # fmt: skip
    assert of_change(reviewed(table, last=Last("r1"))) == {"structure-changed": "wait"}
    assert set(reasons(Last("r1", table, "delete")).values()) == {
        "", "a file of identifiers to delete is compared with no release"
    }  # fmt: skip


def test_what_the_source_s_header_did_stands_in_the_review(folder: Path) -> None:
    """A header that was held waits for a decision, one that was accepted is noted."""
    table = made(folder, [TOWN], {"town": ["a"]})
    changes = (
        HeaderChange(kind="added", place=4, shape="Aaaa", treatment="hold"),
        HeaderChange(kind="added", place=7, shape="Aa", treatment="hold"),
        HeaderChange(kind="removed", column="town", treatment="accept"),
    )
    review = reviewed(table, last=Last(changes=changes))
    assert [(one.severity, one.columns, one.count, one.text) for one in found(review, "drift-source")] == [
        ("wait", (), 2, "2 columns of the source, number 4 and 7, are not in the contract and left out."),
        ("note", ("town",), 1, "Town is missing from the source: its cells are empty."),
    ]


def shift_of(folder: Path, before: list[Any], now: list[Any], type: str = "integer") -> measures.Shift | None:
    """The shift of one column."""
    one = column("c1", type)
    tables: list[Table] = [made(folder, [one], {"c1": cells}) for cells in (before, now)]
    with opened(tables[1], beside={"base": tables[0]}) as connection:
        return measures.shift(connection, one)


def test_a_few_rows_do_not_make_a_shift(folder: Path) -> None:
    """Ten cells move an index over 0.25 by chance, so it has to be more than chance."""
    found = shift_of(folder, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [1, 1, 2, 3, 3, 5, 6, 9, 9, 9])
    assert found is not None
    assert 0.25 < found.index <= found.chance


def test_dates_and_empty_columns_have_no_distribution(folder: Path) -> None:
    """A date moves with time; without a cell on one side there is nothing to compare."""
    assert shift_of(folder, [None, None], [1, 2]) is None
    assert shift_of(folder, ["a"], ["b"], type="url") is None
