"""transform.sql: one SELECT over data, every door closed, and errors that quote no cell."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from ctnb.datasets import Contract, Dataset
from ctnb.errors import StepFailed, TransformInvalid
from ctnb.tables import Table, connect, write
from ctnb.transforms.apply import Transformed, transform
from ctnb.transforms.sql import LOG

COLUMNS = [{"name": "town", "type": "text"}, {"name": "deaths", "type": "integer"}]


def dataset_of(folder: Path, **transform: Any) -> Dataset:
    """A dataset in `folder` with a transform."""
    contract = {
        "format": 1,
        "title": "T",
        "source": {"path": "x.csv"},
        "columns": COLUMNS,
        "transform": transform,
    }
    return Dataset("towns", folder, Contract.model_validate(contract), "sha256:0")


def table_of(folder: Path) -> Table:
    """Three rows, one of them with a name that no message may say."""
    rows = "SELECT * FROM (VALUES ('Mary Roe', 2), ('Ashford', 3), (NULL, NULL)) AS t(town, deaths)"
    with connect() as connection:
        return write(connection, rows, dataset_of(folder).contract.columns, folder / "read.parquet")


def answered(folder: Path, sql: str, **transform_keys: Any) -> Transformed:
    """The table that `sql` makes of the three rows."""
    home = folder / "dataset"
    home.mkdir(exist_ok=True)
    (home / "transform.sql").write_text(sql, encoding="utf-8")
    return transform(table_of(folder), dataset_of(home, **transform_keys), folder)


def test_a_select_with_parts_and_comments_is_answered(tmp_path: Path) -> None:
    """WITH, comments, a semicolon at the end and non-ASCII text are SQL as analysts write it."""
    sql = (
        "-- by tówn\nWITH a AS (SELECT *, 'é' AS e FROM data)\n"
        "SELECT deaths + 1 AS deaths, town || e AS town FROM a; -- end\n"
    )
    made = answered(tmp_path, sql)
    rows = [tuple(row.values()) for row in made.table.arrow().to_pylist()]
    assert rows == [("Mary Roeé", 3), ("Ashfordé", 4), (None, None)]
    assert (made.how, made.accounted) == ("transform.sql", True)
    assert made.script_digest is not None and made.script_digest.startswith("sha256:")


def test_an_aggregate_in_sql_closes_its_account(tmp_path: Path) -> None:
    """count(*) gives DuckDB's BIGINT and sum its HUGEINT; both are integers of the contract."""
    sql = "SELECT coalesce(town, 'Unknown') AS town, sum(1) AS n FROM data GROUP BY 1"
    columns = [{"name": "town", "type": "text"}, {"name": "n", "type": "integer"}]
    made = answered(tmp_path, sql, unit="group", count="n", columns=columns)
    assert (made.rows_in, made.rows_out, made.counted, made.accounted) == (3, 3, 3, True)


def test_the_same_select_gives_the_same_digest(tmp_path: Path) -> None:
    """One thread and a fixed seed: random() and the order of sums repeat."""
    sql = "SELECT town, CAST(1000 * random() AS BIGINT) AS deaths FROM data"
    assert answered(tmp_path, sql).table.digest == answered(tmp_path, sql).table.digest


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('dataset/transform.sql')",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT getenv('PATH') AS town, 1 AS deaths",
        "SELECT * FROM connection",
        "SELECT * FROM table",
        "SELECT load_extension('httpfs')",
    ],
)
def test_a_select_reaches_nothing_but_data(tmp_path: Path, sql: str) -> None:
    """No file, network, extension, environment or variable of the program."""
    with pytest.raises(StepFailed, match=r"transform\.sql.*: DuckDB stopped with \w+Exception"):
        answered(tmp_path, sql)


@pytest.mark.parametrize(
    "sql,words",
    [
        ("", "holds 0 statements"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("COPY data TO 'out.csv'", "must be one SELECT"),
        ("DROP TABLE data", "must be one SELECT"),
        ("ATTACH 'x.db'", "must be one SELECT"),
        ("SET threads = 8", "must be one SELECT"),
        ("INSTALL httpfs", "must be one SELECT"),
    ],
)
def test_what_is_not_one_select_is_refused(tmp_path: Path, sql: str, words: str) -> None:
    """Statements that change, attach or set something do not run at all."""
    with pytest.raises(TransformInvalid, match=words):
        answered(tmp_path, sql)
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == ["transform.sql"]


def test_an_error_says_kind_and_line_and_keeps_its_text_private(tmp_path: Path) -> None:
    """DuckDB's conversion error quotes the cell; only the file of mode 0600 does here."""
    with pytest.raises(StepFailed) as failed:
        answered(tmp_path, "SELECT town,\n  CAST(town AS INTEGER) AS deaths\nFROM data")
    assert str(failed.value).startswith("transform.sql, line 2: DuckDB stopped with ConversionException.")
    assert "Mary" not in str(failed.value)
    assert failed.value.__context__ is None and failed.value.__cause__ is None
    log = tmp_path / LOG
    assert "Mary Roe" in log.read_text() and stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "sql,words",
    [
        ("SELECT town FROM data", "missing deaths"),
        ('SELECT *, 1 AS "Mary Roe" FROM data', "its columns number 3"),
        ("SELECT town, town AS deaths FROM data", r"deaths \(2 of type integer\)"),
        ("SELECT town, deaths / 2 AS deaths FROM data", r"deaths \(1 of type integer\)"),
        ("SELECT [town] AS town, deaths FROM data", r"town \(3 of type text\)"),
        ("SELECT town, deaths, deaths FROM data", "its columns number 3|there twice"),
    ],
)
def test_a_result_that_does_not_fit_names_columns_and_counts(tmp_path: Path, sql: str, words: str) -> None:
    """The contract's columns by name, others by their place, values never."""
    with pytest.raises(TransformInvalid, match=words) as refused:
        answered(tmp_path, sql)
    assert "Mary" not in str(refused.value)
