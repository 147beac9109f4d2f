"""The rows that must be there afterwards, by mode, and the fewest changes that bring them there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import duckdb
import pytest

from ctnb import tables
from ctnb.contracts import publication
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Mode, Period
from ctnb.portals import differences, mapping
from ctnb.portals.interface import Change
from ctnb.tables import Table

COLUMNS = (
    Column(name="id", type="code", role="plain"),
    Column(name="year", type="integer", role="plain"),
    Column(name="day", type="date", role="plain"),
    Column(name="deaths", type="integer", role="measure"),
)
FIELDS = mapping.fields(COLUMNS, publication.Portal())
THERE = """
    ('a', 2020, DATE '2020-01-05', 1), ('b', 2021, DATE '2021-01-31', 2), ('c', 2021, DATE '2021-02-01', NULL),
    ('d', NULL, NULL, 4)
"""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB whose table `there` has four rows."""
    with tables.connect() as made:
        made.execute(f"CREATE TABLE there AS SELECT * FROM {given(THERE)}")
        yield made


def given(values: str) -> str:
    """The SQL rows `values`, typed."""
    casts = "CAST(id AS VARCHAR) AS id, year::BIGINT AS year, day::DATE AS day, deaths::BIGINT AS deaths"
    return f"(SELECT {casts} FROM (VALUES {values}) AS given(id, year, day, deaths))"


def table(connection: duckdb.DuckDBPyConnection, folder: Path, values: str) -> Table:
    """The rows to publish, as a table and as `data`."""
    made = tables.write(connection, f"SELECT * FROM {given(values)}", COLUMNS, folder / "data.parquet")
    tables.load(connection, made)
    return made


def planned(
    connection: duckdb.DuckDBPyConnection, mode: Mode, key: str | None = "id", period: Period | None = None
) -> tuple[int, ...]:
    """Rows before, after, added, changed, removed, unchanged; there are no problems."""
    assert differences.expect(connection, mode, COLUMNS, key, period) == []
    return astuple(differences.count(connection, COLUMNS, key))


def changes(
    connection: duckdb.DuckDBPyConnection, mode: Mode, of: Table, folder: Path, key: str | None = "id"
) -> list[tuple[str, list[tuple[object, ...]]]]:
    """What would be sent: kinds, and rows by their first column."""
    made = differences.changes(connection, mode, of, FIELDS, key, "token", folder)
    return [(one.kind, sent(one)) for one in made]


def sent(change: Change) -> list[tuple[object, ...]]:
    """The rows of a change."""
    return sorted(tuple(row.values()) for row in change.table.arrow().to_pylist())


CHANGED = (
    "('a', 2020, DATE '2020-01-05', 1), ('b', 2021, DATE '2021-01-31', 3), ('e', 2022, DATE '2022-01-01', 5)"
)


@pytest.mark.parametrize(
    ("mode", "counts"),
    [
        ("replace", (4, 3, 1, 1, 2, 1)),
        ("sync", (4, 3, 1, 1, 2, 1)),
        ("upsert", (4, 5, 1, 1, 0, 3)),
    ],
)
def test_counts_by_the_key(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, mode: Mode, counts: tuple[int, ...]
) -> None:
    """A row whose key stays and whose values do not is changed, neither added nor removed."""
    table(connection, tmp_path, CHANGED)
    assert planned(connection, mode) == counts


def test_without_a_key_a_changed_row_is_one_more_and_one_less(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Nobody can tell which row became which; equal rows are counted as often as they stand."""
    table(connection, tmp_path, CHANGED)
    assert planned(connection, "replace", None) == (4, 3, 2, 0, 3, 1)


def test_a_sync_sends_the_difference_alone(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """New and changed rows whole and gone ones by their key, as one change, for a portal that can do both at once."""
    of = table(connection, tmp_path, CHANGED)
    planned(connection, "sync")
    (change,) = differences.changes(connection, "sync", of, FIELDS, "id", "token", tmp_path)
    assert (change.kind, [row[0] for row in sent(change)], change.gone is not None) == (
        "upsert",
        ["b", "e"],
        True,
    )
    come, gone = change.halves()
    assert [(one.kind, one.gone) for one in (come, gone)] == [("upsert", None), ("delete", None)]
    assert (sent(come), sent(gone)) == (sent(change), [("c",), ("d",)])


def test_a_sync_that_only_takes_rows_away_deletes(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """There is no empty upsert."""
    of = table(connection, tmp_path, "('a', 2020, DATE '2020-01-05', 1)")
    planned(connection, "sync")
    assert changes(connection, "sync", of, tmp_path) == [("delete", [("b",), ("c",), ("d",)])]


def test_a_sync_of_the_same_rows_sends_nothing(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Neither an empty upsert nor an empty deletion."""
    of = table(connection, tmp_path, THERE)
    assert planned(connection, "sync") == (4, 4, 0, 0, 0, 4)
    assert changes(connection, "sync", of, tmp_path) == []


@pytest.mark.parametrize(
    ("period", "kept"),
    [
        (Period(column="year"), ["a", "d", "x", "y"]),
        (Period(column="day", by="month"), ["a", "b", "d", "x", "y"]),
        (Period(column="day", by="year"), ["a", "d", "x", "y"]),
        (Period(column="day", by="range"), ["a", "b", "d", "x", "y"]),
        (Period(column="day", by="day"), ["a", "b", "c", "d", "x", "y"]),
    ],
)
def test_a_period_is_replaced_by_its_new_rows(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, period: Period, kept: list[str]
) -> None:
    """The period is that of the new rows; rows of other periods, and of none, stay."""
    second = "2021-02-02" if period.by == "day" else "2021-02-01"
    table(connection, tmp_path, f"('x', 2021, DATE '2021-02-27', 7), ('y', 2021, DATE '{second}', 8)")
    planned(connection, "replace-period", "id", period)
    assert [row[0] for row in connection.execute("SELECT id FROM expected ORDER BY id").fetchall()] == kept


def test_a_period_is_sent_as_a_difference_with_a_key_and_whole_without(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A portal cannot delete by a filter: without a row identifier all rows are sent."""
    of = table(connection, tmp_path, "('b', 2021, DATE '2021-01-31', 9)")
    planned(connection, "replace-period", "id", Period(column="year"))
    (change,) = differences.changes(connection, "replace-period", of, FIELDS, "id", "token", tmp_path)
    assert [[row[0] for row in sent(one)] for one in change.halves()] == [["b"], ["c"]]
    whole = changes(connection, "replace-period", of, tmp_path, None)
    assert [(kind, len(rows)) for kind, rows in whole] == [("replace", 3)]


def test_rows_of_no_period_and_keys_of_another_stop_it(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A key that is published in another period would stand there twice."""
    table(connection, tmp_path, "('a', 2021, NULL, 1), ('x', NULL, NULL, 1)")
    assert differences.expect(connection, "replace-period", COLUMNS, "id", Period(column="year")) == [
        "1 rows belong to no period: year is empty",
        "1 rows have keys that are published in another period",
    ]


def test_what_is_sent_has_the_portal_s_names(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """The key too; a column that is left out is not sent."""
    of = table(connection, tmp_path, CHANGED)
    told = publication.Portal(mapping={"id": "case_id", "deaths": "n"}, leave_out=("day",))
    fields = mapping.fields(COLUMNS, told)
    differences.expect(connection, "replace", fields.columns, "id")
    (change,) = differences.changes(connection, "replace", of, fields, "id", "token", tmp_path)
    assert [column.name for column in change.table.columns] == ["case_id", "year", "n"]
    assert (change.key, change.table.rows) == (("case_id",), 3)
    assert [column.name for column in change.columns] == ["case_id", "year", "n"]


def test_each_change_has_a_token_of_its_own(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """So that a portal tells the upserts from the deletions when one of them is tried again."""
    of = table(connection, tmp_path, CHANGED)
    planned(connection, "sync")
    (change,) = differences.changes(connection, "sync", of, FIELDS, "id", "token", tmp_path)
    assert [one.token for one in change.halves()] == ["token-both-upsert", "token-both-delete"]
