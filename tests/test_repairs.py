"""repair_zip: lost zeros are put back where that is certain; everything is counted and the rest untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctnb.datasets import Contract, Dataset
from ctnb.errors import ContractInvalid
from ctnb.tables import connect, write
from ctnb.transforms.apply import Transformed, transform

CELLS = [
    "06103",
    "6103",
    "061031234",
    "61031234",
    "06103-1234",
    " 6510 ",
    "610",
    "CT 06103",
    None,
    "6103-1234",
]


def repaired(folder: Path, cells: list[str | None], kind: str = "code", **rule: Any) -> Transformed:
    """A column of ZIP codes after the rule."""
    columns = [{"name": "zip", "type": kind}]
    contract = {"format": 1, "title": "Zips", "source": {"path": "x.csv"}, "columns": columns}
    rules = {"rules": [{"repair_zip": "zip"} | rule]}
    dataset = Dataset("zips", folder, Contract.model_validate(contract | {"transform": rules}), "sha256:0")
    with connect() as connection:
        connection.execute("CREATE TABLE t (zip VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?)", [(cell,) for cell in cells])
        table = write(connection, "SELECT * FROM t", dataset.contract.columns, folder / "read.parquet")
    return transform(table, dataset, folder)


def zips(made: Transformed) -> list[str | None]:
    """The column, in the order of the table."""
    return [row["zip"] for row in made.table.arrow().to_pylist()]


def test_lost_zeros_are_put_back_and_counted_by_kind(tmp_path: Path) -> None:
    """Four and eight digits; whatever else is no ZIP code stays as it is and is counted too."""
    made = repaired(tmp_path, CELLS)
    assert zips(made) == [
        "06103", "06103", "061031234", "06103-1234", "06103-1234", "06510", "610", "CT 06103", None, "6103-1234",
    ]  # fmt: skip
    assert made.repaired == {"zip": {"4 digits": 2, "8 digits": 1, "left as they are": 4}}
    assert (made.rows_in, made.rows_out, made.accounted, made.removed) == (10, 10, True, {})


def test_nine_digits_get_their_hyphen_only_when_asked(tmp_path: Path) -> None:
    """They lost nothing."""
    made = repaired(tmp_path, CELLS, nine_digits=True)
    assert zips(made)[2] == "06103-1234"
    assert made.repaired == {"zip": {"4 digits": 2, "8 digits": 1, "9 digits": 1, "left as they are": 3}}


def test_repairing_twice_changes_nothing(tmp_path: Path) -> None:
    """What was repaired is right."""
    once = zips(repaired(tmp_path, CELLS))
    again = repaired(tmp_path, once)
    assert zips(again) == once
    assert again.repaired == {"zip": {"4 digits": 0, "8 digits": 0, "left as they are": 4}}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("0123456789- a", max_size=11), min_size=1, max_size=8))
def test_only_four_and_eight_digits_are_touched(tmp_path: Path, cells: list[str]) -> None:
    """Every other cell comes out as it went in."""
    made = repaired(tmp_path, list(cells), "text")
    damaged = [cell.strip().isdigit() and len(cell.strip()) in (4, 8) for cell in cells]
    touched = [before != after for before, after in zip(cells, zips(made), strict=True)]
    assert touched == damaged
    kinds = made.repaired["zip"]
    assert kinds["4 digits"] + kinds["8 digits"] == sum(damaged)


def test_a_number_is_no_zip_code(tmp_path: Path) -> None:
    """Its zeros are gone before the rule could see them."""
    dataset = {
        "columns": [{"name": "zip", "type": "integer"}],
        "transform": {"rules": [{"repair_zip": "zip"}]},
    }
    contract = Contract.model_validate({"format": 1, "title": "Zips", "source": {"path": "x.csv"}} | dataset)
    with connect() as connection:
        table = write(connection, "SELECT 6103 AS zip", contract.columns, tmp_path / "read.parquet")
    with pytest.raises(ContractInvalid, match="needs a code or text, and 'zip' has type integer"):
        transform(table, Dataset("zips", tmp_path, contract, "sha256:0"), tmp_path)
