"""Rules of dataset.yml and the account of rows: what goes on, what is withheld, and that it adds up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctnb.datasets import Contract, Dataset
from ctnb.errors import AccountOpen, ContractInvalid, TransformInvalid
from ctnb.tables import Table, connect, write
from ctnb.transforms.apply import Transformed, finish, transform

COLUMNS = [
    {"name": "town", "type": "text"},
    {"name": "deaths", "type": "integer"},
    {"name": "rate", "type": "number", "scale": 1},
]
TOWNS = [
    ("Ashford", 0, 0.0),
    ("Bethel", 1, 0.5),
    ("Canton", 5, 2.5),
    ("Derby", 6, 3.0),
    ("Essex", None, None),
]


def dataset_of(folder: Path, transform: dict[str, Any] | None = None, **more: Any) -> Dataset:
    """A dataset whose folder is `folder`."""
    contract = {"format": 1, "title": "Towns", "source": {"path": "x.csv"}, "columns": COLUMNS} | more
    return Dataset(
        "towns", folder, Contract.model_validate(contract | {"transform": transform or {}}), "sha256:0"
    )


def table_of(folder: Path, rows: Sequence[tuple[Any, ...]] = TOWNS) -> Table:
    """The table that the rules are applied to."""
    columns = dataset_of(folder).contract.columns
    with connect() as connection:
        connection.execute("CREATE TABLE t (town VARCHAR, deaths BIGINT, rate DECIMAL(18, 1))")
        if rows:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        return write(connection, "SELECT * FROM t", columns, folder / "read.parquet")


def ruled(folder: Path, *rules: dict[str, Any], rows: Sequence[tuple[Any, ...]] = TOWNS) -> Transformed:
    """The table after `rules`."""
    return transform(table_of(folder, rows), dataset_of(folder, {"rules": rules}), folder)


def rows_of(made: Transformed) -> list[tuple[Any, ...]]:
    """All rows, in the order of the table."""
    return [tuple(row.values()) for row in made.table.arrow().to_pylist()]


def test_without_rules_the_table_goes_on_as_it_is(tmp_path: Path) -> None:
    """Nothing to do changes neither content nor digest."""
    table = table_of(tmp_path)
    made = transform(table, dataset_of(tmp_path), tmp_path)
    assert (made.table.digest, made.how, made.accounted, made.removed) == (table.digest, "none", True, {})


def test_suppress_withholds_1_to_the_bound_and_keeps_zeros(tmp_path: Path) -> None:
    """Small counts become null with true beside them; 0, 6 and empty cells stay."""
    made = ruled(tmp_path, {"suppress": "deaths", "at_most": 5})
    assert [(row[1], row[2]) for row in rows_of(made)] == [
        (0, False), (None, True), (None, True), (6, False), (None, False),
    ]  # fmt: skip
    assert [column.name for column in made.table.columns] == ["town", "deaths", "deaths_suppressed", "rate"]
    assert made.suppressed == {"deaths": 2}


def test_suppress_withholds_what_is_computed_from_the_count(tmp_path: Path) -> None:
    """A rate beside a withheld count would give the count back."""
    made = ruled(tmp_path, {"suppress": "deaths", "at_most": 5, "also": ["rate"]})
    assert [row[3] for row in rows_of(made)] == [0.0, None, None, 3.0, None]
    assert made.suppressed == {"deaths": 2, "rate": 2}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.none() | st.integers(-3, 12), max_size=20), bound=st.integers(1, 9))
def test_suppress_holds_for_any_counts(tmp_path: Path, counts: list[int | None], bound: int) -> None:
    """No count from 1 to the bound goes on; every other cell does, unchanged."""
    rows = [(f"t{place}", count, None) for place, count in enumerate(counts)]
    made = ruled(tmp_path, {"suppress": "deaths", "at_most": bound}, rows=rows)
    small = [count is not None and 1 <= count <= bound for count in counts]
    assert [row[1:3] for row in rows_of(made)] == [
        (None if is_small else count, is_small) for count, is_small in zip(counts, small, strict=True)
    ]
    assert (made.suppressed, made.rows_out, made.accounted) == ({"deaths": sum(small)}, len(counts), True)


def test_suppressing_twice_keeps_the_marks_of_the_first(tmp_path: Path) -> None:
    """A second rule over the same column adds to the first."""
    made = ruled(tmp_path, {"suppress": "deaths", "at_most": 1}, {"suppress": "deaths", "at_most": 5})
    assert [row[2] for row in rows_of(made)] == [False, True, True, False, False]
    assert made.suppressed == {"deaths": 2}


def test_keep_removes_and_counts_by_name(tmp_path: Path) -> None:
    """Rows for which the condition is false or unknown are removed, and the account closes."""
    made = ruled(
        tmp_path,
        {"keep": "deaths > 0 -- known", "name": "some deaths"},
        {"keep": "town <> 'Bethel'", "name": "no Bethel"},
    )
    assert [row[0] for row in rows_of(made)] == ["Canton", "Derby"]
    assert made.removed == {"some deaths": 2, "no Bethel": 1}
    assert (made.rows_in, made.rows_out, made.accounted, made.counted) == (5, 2, True, None)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.none() | st.integers(0, 9), max_size=20),
    first=st.integers(0, 9),
    second=st.integers(0, 9),
)
def test_rows_in_are_rows_out_and_removed(
    tmp_path: Path, counts: list[int | None], first: int, second: int
) -> None:
    """However rules cut, each row is out or counted once."""
    rows = [(f"t{place}", count, None) for place, count in enumerate(counts)]
    made = ruled(
        tmp_path,
        {"keep": f"deaths >= {first}", "name": "a"},
        {"keep": f"deaths <= {second} OR deaths IS NULL", "name": "b"},
        rows=rows,
    )
    assert made.rows_in == made.rows_out + sum(made.removed.values())


def test_drop_takes_columns_and_their_marks_away(tmp_path: Path) -> None:
    """A dropped count leaves no mark of its suppression behind."""
    made = ruled(tmp_path, {"suppress": "deaths"}, {"drop": ["deaths"]})
    assert [column.name for column in made.table.columns] == ["town", "rate"]


@pytest.mark.parametrize(
    "rule,words",
    [
        ({"suppress": "death"}, "'death', which is not there.*\n.*'deaths'"),
        ({"drop": ["nothing"]}, "'nothing', which is not there"),
        ({"suppress": "deaths", "also": ["rat"]}, "'rat', which is not there"),
        ({"suppress": "rate"}, "needs a count, and 'rate' has type number"),
        ({"keep": "deaths >", "name": "half"}, "'half' cannot be used: ParserException"),
        ({"keep": "1) ; DROP TABLE result; SELECT (1", "name": "two"}, "'two' cannot be used"),
        ({"keep": "CAST(town AS INTEGER) > 1", "name": "cast"}, "'cast' cannot be used: ConversionException"),
        (
            {"keep": "town IN (SELECT content FROM read_text('/etc/passwd'))", "name": "file"},
            "'file' cannot be used",
        ),
    ],
)
def test_a_rule_that_cannot_be_applied_is_named_and_quotes_no_cell(
    tmp_path: Path, rule: dict[str, Any], words: str
) -> None:
    """A misspelt column gets a suggestion; SQL that fails, its kind of failure alone."""
    with pytest.raises(ContractInvalid, match=words) as refused:
        ruled(tmp_path, rule)
    assert "Ashford" not in str(refused.value) and refused.value.__context__ is None


def test_the_key_cannot_be_dropped(tmp_path: Path) -> None:
    """Without its key a published row could not be found again."""
    dataset = dataset_of(tmp_path, {"rules": [{"drop": ["town"]}]}, key=["town"])
    with pytest.raises(ContractInvalid, match="'town', which is the key"):
        transform(table_of(tmp_path), dataset, tmp_path)


COUNTED = {
    "unit": "group", "count": "n",
    "columns": [{"name": "town", "type": "text"}, {"name": "n", "type": "integer"}],
}  # fmt: skip


def test_an_aggregate_closes_over_its_count(tmp_path: Path) -> None:
    """The sum of the count column is the rows that came in, before suppression."""
    frame = pd.DataFrame({"n": [2, 3], "town": ["a", "b"]})
    dataset = dataset_of(tmp_path, COUNTED | {"rules": [{"suppress": "n", "at_most": 5}]}, unit="person")
    made = finish(frame, table_of(tmp_path), dataset, tmp_path)
    assert (made.rows_in, made.rows_out, made.counted, made.accounted, made.how) == (
        5,
        2,
        5,
        True,
        "notebook",
    )
    assert rows_of(made) == [("a", None, True), ("b", None, True)]


def test_groups_that_a_rule_removes_are_counted_by_the_rows_they_stand_for(tmp_path: Path) -> None:
    """Counted and removed are the rows that came in, whatever the order of the rules."""
    frame = pd.DataFrame({"n": [2, 3], "town": ["a", "b"]})
    rules = [{"suppress": "n", "at_most": 2}, {"keep": "town <> 'a'", "name": "not a"}]
    made = finish(frame, table_of(tmp_path), dataset_of(tmp_path, COUNTED | {"rules": rules}), tmp_path)
    assert (made.counted, made.removed, made.rows_out, made.accounted) == (3, {"not a": 2}, 1, True)


def test_an_aggregate_that_loses_people_is_open(tmp_path: Path) -> None:
    """The numbers are said, and the way out."""
    frame = pd.DataFrame({"n": [2, None], "town": ["a", "Mary Roe"]})
    with pytest.raises(AccountOpen, match="5 came in, the column n counts 2") as opened:
        finish(frame, table_of(tmp_path), dataset_of(tmp_path, COUNTED), tmp_path)
    assert "unaccounted" in opened.value.hint and "Mary" not in str(opened.value)


def test_rows_that_vanish_without_a_rule_are_open(tmp_path: Path) -> None:
    """A notebook that filters by itself is told to use a keep rule."""
    table = table_of(tmp_path)
    with pytest.raises(AccountOpen, match="5 came in and 4 came out of notebook"):
        finish(table.df().head(4), table, dataset_of(tmp_path), tmp_path)


def test_another_unit_without_a_count_is_open_even_when_the_numbers_agree(tmp_path: Path) -> None:
    """Five people and five towns are not the same five."""
    table = table_of(tmp_path)
    dataset = dataset_of(tmp_path, {"unit": "other"}, unit="person")
    with pytest.raises(
        AccountOpen, match="cannot be accounted for: 5 rows of unit person became 5 of unit other"
    ):
        finish(table.df(), table, dataset, tmp_path)


def test_a_reason_lets_an_open_account_pass_and_it_stays_marked(tmp_path: Path) -> None:
    """Not accounted for is shown, not hidden."""
    table = table_of(tmp_path)
    dataset = dataset_of(tmp_path, {"unaccounted": "Only the newest row of each town is published."})
    made = finish(table.df().head(2), table, dataset, tmp_path)
    assert (made.accounted, made.rows_out) == (False, 2)


@pytest.mark.parametrize(
    "frame,words",
    [
        ({"town": ["a"] * 5, "deaths": [1] * 5}, "missing rate"),
        (
            {"town": ["a"] * 5, "deaths": [1] * 5, "rate": [1.0] * 5, "Mary Roe": [1] * 5},
            "its columns number 4",
        ),
        ({"town": ["a"] * 5, "deaths": ["Mary"] * 5, "rate": [1.0] * 5}, r"deaths \(5 of type integer\)"),
        (
            {"town": ["a"] * 5, "deaths": [1.5, 2, 3, 4, 5], "rate": [1.0] * 5},
            r"deaths \(1 of type integer\)",
        ),
        ({"town": ["a"] * 5, "deaths": [1] * 5, "rate": [float("inf")] * 5}, r"rate \(5 of type number\)"),
        ({"town": [{"Mary": 1}] * 5, "deaths": [1] * 5, "rate": [1.0] * 5}, r"town \(5 of type text\)"),
        ({"town": ["a", 1, 2, 3, 4], "deaths": [1] * 5, "rate": [1.0] * 5}, "one type in each column"),
    ],
)
def test_a_result_that_does_not_fit_the_contract_is_refused(
    tmp_path: Path, frame: dict[str, Any], words: str
) -> None:
    """Which columns and how many values; never a value or an unknown name."""
    with pytest.raises(TransformInvalid, match=words) as refused:
        finish(pd.DataFrame(frame), table_of(tmp_path), dataset_of(tmp_path), tmp_path)
    assert "Mary" not in str(refused.value) and refused.value.__context__ is None


def test_results_are_converted_where_nothing_is_lost(tmp_path: Path) -> None:
    """2022.0 is the text 2022, doubles round to the scale, NaN is empty."""
    frame = pd.DataFrame(
        {"rate": [0.14, 0.15000001, float("nan"), 1, 2], "deaths": ["1", "2", "3", "4", "1,000"]}
    )
    frame["town"] = [2022.0, 1.5, None, 3.0, 4.0]
    made = finish(frame, table_of(tmp_path), dataset_of(tmp_path), tmp_path)
    assert [row[0] for row in rows_of(made)] == ["2022", "1.5", None, "3", "4"]
    assert [row[1] for row in rows_of(made)] == [1, 2, 3, 4, 1000]
    assert made.table.sql("SELECT CAST(rate AS VARCHAR) AS r FROM data")["r"].tolist()[:2] == ["0.1", "0.2"]


@pytest.mark.parametrize(
    "constraints,words",
    [
        ({"required": True}, r"town \(required: 1 rows\)"),
        ({"unique": True}, r"town \(unique: 2 rows\)"),
        ({"values": ["Mary Roe"]}, r"town \(values: 2 rows\)"),
        ({"pattern": "M.*"}, r"town \(pattern: 2 rows\)"),
        ({"max_length": 7}, r"town \(max_length: 2 rows\)"),
    ],
)
def test_a_result_that_breaks_a_constraint_is_refused_with_counts(
    tmp_path: Path, constraints: dict[str, Any], words: str
) -> None:
    """A column that comes out keeps what the contract says of it; empty cells break only required."""
    columns = [{"name": "town", "type": "text", "constraints": constraints}]
    frame = pd.DataFrame({"town": ["Mary Roe", "Mary Roe", "Derby", "Essex", None]})
    if "unique" not in constraints:
        frame["town"] = ["Mary Roe", "Mary Sue", "Derby", "Essex", None]
    if "values" in constraints:
        frame["town"] = ["Mary Roe", "Mary Roe", "Derby", "Essex", None]
    with pytest.raises(TransformInvalid, match=words) as refused:
        finish(frame, table_of(tmp_path), dataset_of(tmp_path, {"columns": columns}), tmp_path)
    assert "Mary" not in str(refused.value)


def test_numbers_outside_their_bounds_are_refused(tmp_path: Path) -> None:
    """Minimum and maximum hold after the transform too."""
    limits = {"minimum": 1, "maximum": 5}
    columns = [*COLUMNS[:1], COLUMNS[1] | {"constraints": limits}, COLUMNS[2]]
    table = table_of(tmp_path)
    with pytest.raises(TransformInvalid, match=r"deaths \(minimum: 1 rows\), deaths \(maximum: 1 rows\)"):
        finish(table.df(), table, dataset_of(tmp_path, {"columns": columns}), tmp_path)


def test_a_condition_cannot_reach_the_variables_of_this_program(tmp_path: Path) -> None:
    """DuckDB would look up unknown names among Python's variables if it were let."""
    with pytest.raises(ContractInvalid, match="CatalogException"):
        ruled(tmp_path, {"keep": "deaths IN (SELECT 1 FROM stage)", "name": "frame"})


def test_identifiers_to_delete_go_through_without_the_transform(tmp_path: Path) -> None:
    """A file to delete has the key alone; neither script, rules nor count apply to it."""
    (tmp_path / "transform.sql").write_text("SELECT 1")
    keys = {"rules": [{"suppress": "n"}]} | COUNTED
    dataset = dataset_of(tmp_path, keys, key=["town"], portal={"mode": "delete"}, unit="person")
    with connect() as connection:
        table = write(
            connection, "SELECT 'a' AS town", dataset.contract.read_columns, tmp_path / "read.parquet"
        )
    made = transform(table, dataset, tmp_path)
    assert (made.table.digest, made.how, made.accounted, made.counted) == (table.digest, "none", True, None)
