"""pivot_longer: a wide table made long, with every row and every empty cell accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctnb.datasets import Contract, Dataset
from ctnb.errors import ContractInvalid, TransformInvalid
from ctnb.tables import Table, connect, write
from ctnb.transforms.apply import Transformed, transform

YEARS = ("2020", "2021", "2022")
ROWS = [("Avon", 1, 2, 3), ("Bolton", 4, None, 6)]


def dataset_of(folder: Path, *rules: dict[str, Any], **more: Any) -> Dataset:
    """A dataset with one column for each year."""
    years = [{"name": f"y{year}", "header": year, "type": "integer", "role": "measure"} for year in YEARS]
    columns = [{"name": "town", "type": "text", "role": "plain"}, *years]
    contract = {"format": 1, "title": "Wide", "source": {"path": "x.csv"}, "columns": columns} | more
    rest = {"rules": rules} | more.get("transform", {})
    return Dataset("wide", folder, Contract.model_validate(contract | {"transform": rest}), "sha256:0")


def table_of(folder: Path, dataset: Dataset, rows: Sequence[tuple[Any, ...]] = ROWS) -> Table:
    """The wide table as it was read."""
    with connect() as connection:
        connection.execute("CREATE TABLE t (town VARCHAR, y2020 BIGINT, y2021 BIGINT, y2022 BIGINT)")
        if rows:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        return write(connection, "SELECT * FROM t", dataset.contract.columns, folder / "read.parquet")


def pivoted(folder: Path, pivot: dict[str, Any], *rules: dict[str, Any], **more: Any) -> Transformed:
    """The wide table after a pivot and other `rules`."""
    dataset = dataset_of(folder, {"pivot_longer": pivot}, *rules, **more)
    return transform(table_of(folder, dataset), dataset, folder)


def rows_of(made: Transformed) -> list[tuple[Any, ...]]:
    """All rows, in the order of the table."""
    return [tuple(row.values()) for row in made.table.arrow().to_pylist()]


PIVOT = {"columns": ["y2020", "y2021", "y2022"], "names_to": "year", "values_to": "permits"}


def test_each_cell_becomes_a_row_under_its_header(tmp_path: Path) -> None:
    """In the order of the rows and the columns; the new columns' types and roles are derived."""
    made = pivoted(tmp_path, PIVOT)
    assert rows_of(made) == [
        ("Avon", "2020", 1), ("Avon", "2021", 2), ("Avon", "2022", 3),
        ("Bolton", "2020", 4), ("Bolton", "2021", None), ("Bolton", "2022", 6),
    ]  # fmt: skip
    assert [(column.name, column.type, column.role) for column in made.table.columns] == [
        ("town", "text", "plain"), ("year", "text", "plain"), ("permits", "integer", "measure"),
    ]  # fmt: skip
    assert (made.rows_in, made.added, made.removed, made.rows_out, made.accounted) == (
        2, {"pivot_longer to year, permits": 4}, {}, 6, True,
    )  # fmt: skip


def test_empty_cells_are_left_out_by_name_when_asked(tmp_path: Path) -> None:
    """The account closes with them."""
    made = pivoted(tmp_path, PIVOT | {"drop_empty": True})
    assert len(rows_of(made)) == made.rows_out == 5
    assert made.removed == {"pivot_longer: permits is empty": 1}


def test_a_pattern_chooses_columns_and_cuts_what_is_told_of_them(tmp_path: Path) -> None:
    """By whole headers; what its brackets hold is converted to the type of the new column."""
    year = {"name": "year", "type": "integer", "role": "plain", "description": "The year."}
    permits = {"name": "permits", "type": "integer", "role": "measure", "label": "Permits issued"}
    made = pivoted(tmp_path, {"pattern": "20(2[01])", "names_to": year, "values_to": permits})
    assert [column.name for column in made.table.columns] == ["town", "y2022", "year", "permits"]
    assert rows_of(made)[0] == ("Avon", 3, 20, 1)
    assert made.table.column("permits").label == "Permits issued"
    assert made.table.column("year").description == "The year."


def test_rules_go_on_with_the_long_table(tmp_path: Path) -> None:
    """Suppression after a pivot sees the new column; a keep rule counts long rows."""
    made = pivoted(
        tmp_path,
        PIVOT | {"names_to": {"name": "year", "type": "integer", "role": "plain"}},
        {"keep": "year < 2022", "name": "until 2021"},
        {"suppress": "permits", "at_most": 2},
    )
    assert [row[2:] for row in rows_of(made)] == [(None, True), (None, True), (4, False), (None, False)]
    assert (made.added, made.removed) == ({"pivot_longer to year, permits": 4}, {"until 2021": 2})
    assert made.rows_in + 4 == made.rows_out + 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("AB"), *[st.none() | st.integers(0, 9)] * 3).map(tuple), max_size=12
    ),
    before=st.integers(0, 9), after=st.integers(0, 9), drop=st.booleans(), three=st.booleans(),
)  # fmt: skip
def test_rows_in_and_added_are_rows_out_and_removed(
    tmp_path: Path, rows: list[tuple[Any, ...]], before: int, after: int, drop: bool, three: bool
) -> None:
    """Whatever the cells, and whatever rules stand around the pivot."""
    columns = PIVOT["columns"] if three else PIVOT["columns"][:2]
    dataset = dataset_of(
        tmp_path,
        {"keep": f"y2022 <= {before}", "name": "before"},
        {"pivot_longer": PIVOT | {"columns": columns, "drop_empty": drop}},
        {"keep": f"permits <= {after} OR permits IS NULL", "name": "after"},
    )
    made = transform(table_of(tmp_path, dataset, rows), dataset, tmp_path)
    went_in = [row for row in rows if row[3] is not None and row[3] <= before]
    cells = [cell for row in went_in for cell in row[1 : 1 + len(columns)]]
    assert sum(made.added.values()) == len(went_in) * (len(columns) - 1)
    assert made.removed.get("pivot_longer: permits is empty", 0) == (cells.count(None) if drop else 0)
    assert made.rows_in + sum(made.added.values()) == made.rows_out + sum(made.removed.values())


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        ({"columns": ["y2020", "y2031"]}, {}, "'y2031', which is not there.*\n.*Did you mean"),
        ({"columns": ["town", "y2020"]}, {}, r"different types or scales \(integer, text\)"),
        ({"columns": [], "pattern": "FY.*"}, {}, "matches no column's header"),
        ({"columns": [], "pattern": "(20)2."}, {}, "call two columns the same"),
        ({"names_to": "town"}, {}, "makes a column 'town', and there is one already"),
        ({"names_to": "permits"}, {}, "makes a column 'permits', and there is one already"),
        ({"names_to": {"name": "day", "type": "date"}}, {}, "header of the column 'y2020' is no date"),
        ({"values_to": {"name": "permits", "type": "money"}}, {}, "of type money from cells of type integer"),
        ({}, {"key": ["town"]}, "several rows of each 'town', which is the key"),
        ({}, {"unit": "person"}, "several rows of one person"),
    ],
)
def test_a_pivot_that_would_tell_something_wrong_is_refused(
    tmp_path: Path, change: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    """Each with what to do about it, and no cell."""
    with pytest.raises(ContractInvalid, match=words) as refused:
        pivoted(tmp_path, PIVOT | change, **more)
    assert "Avon" not in str(refused.value)


def test_suppressed_columns_are_not_pivoted(tmp_path: Path) -> None:
    """Their marks would be lost."""
    dataset = dataset_of(tmp_path, {"suppress": "y2020"}, {"pivot_longer": PIVOT})
    with pytest.raises(ContractInvalid, match="stands after suppress"):
        transform(table_of(tmp_path, dataset), dataset, tmp_path)


def test_the_new_columns_keep_their_constraints(tmp_path: Path) -> None:
    """What the contract says of them holds, or the step fails."""
    permits = {"name": "permits", "type": "integer", "constraints": {"maximum": 3}}
    with pytest.raises(TransformInvalid, match=r"permits \(maximum: 2 rows\)"):
        pivoted(tmp_path, PIVOT | {"values_to": permits})


@pytest.mark.parametrize(
    "pivot",
    [
        {"names_to": "a", "values_to": "b"},
        {"names_to": "a", "values_to": "b", "columns": ["x"], "pattern": "x"},
        {"names_to": "a", "values_to": "b", "pattern": "("},
        {"names_to": "a", "values_to": "b", "pattern": "(a)(b)"},
    ],
)
def test_a_pivot_says_its_columns_in_one_way(tmp_path: Path, pivot: dict[str, Any]) -> None:
    """By columns: or by a pattern: that can be used."""
    with pytest.raises(ValueError, match="pattern:"):
        dataset_of(tmp_path, {"pivot_longer": pivot})
