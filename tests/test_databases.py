"""Queries on SQLite and DuckDB: what comes back, what may not be asked, and how far a high-water mark goes."""

from __future__ import annotations

import importlib
import json
import sqlite3
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from error_texts import assert_text, whole_story
from querying import NAME, Asking, cells, table

from ctnb import datasets
from ctnb.contracts.places import Connection, Query
from ctnb.errors import (
    ContractInvalid,
    CtnbError,
    NameUnknown,
    NothingNew,
    SourceFailed,
    SourceInvalid,
    UsageError,
)
from ctnb.places import databases, queries
from ctnb.places.drivers import sqlserver
from ctnb.places.fetched import Progress, Request

ROWS = """
CREATE TABLE permits (id INTEGER, town VARCHAR, fee DECIMAL(18,2), issued DATE, seen TIMESTAMP, open BOOLEAN);
INSERT INTO permits VALUES
  (1, 'Andover', 12.50, '2026-01-02', '2026-01-02 03:04:05.123456', true),
  (2, '', NULL, '2026-01-03', '2026-01-03 00:00:00', false),
  (3, 'Groton, "City" of', 99.00, NULL, NULL, NULL)
"""

COLUMNS = [
    {"name": "id", "type": "integer"}, {"name": "town", "type": "text"}, {"name": "fee", "type": "money"},
    {"name": "issued", "type": "date"}, {"name": "seen", "type": "timestamp"}, {"name": "open", "type": "boolean"},
]  # fmt: skip
TYPED = [
    (1, "Andover", Decimal("12.50"), date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5, 123456), True),
    (2, None, None, date(2026, 1, 3), datetime(2026, 1, 3), False),
    (3, 'Groton, "City" of', Decimal("99.00"), None, None, None),
]


def sqlite_file(path: Path) -> None:
    """The permits in SQLite."""
    with sqlite3.connect(path) as connection:
        connection.executescript(ROWS)
    connection.close()


def duckdb_file(path: Path) -> None:
    """The permits in DuckDB."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(ROWS)


MADE: dict[str, Callable[[Path], None]] = {"sqlite": sqlite_file, "duckdb": duckdb_file}


@pytest.fixture(params=MADE)
def asking(request: pytest.FixtureRequest, tmp_path: Path) -> Asking:
    """A project with a database of either kind."""
    MADE[request.param](tmp_path / "permits.db")
    return Asking(tmp_path, Connection(kind=request.param, path="permits.db"))


def digest(asking: Asking) -> bytes:
    """The database's bytes."""
    return (asking.project / "permits.db").read_bytes()


def test_the_rows_of_a_query_become_a_table(asking: Asking) -> None:
    """Types come from the contract; decimals, dates, times and truths are what the database has."""
    reading = asking.read("SELECT * FROM permits ORDER BY id;\n-- the end", COLUMNS)
    assert TYPED == table(reading)
    assert (3, 0) == (reading.rows_read, reading.rows_rejected)


def test_nothing_and_an_empty_text_are_kept_apart_in_the_snapshot(asking: Asking) -> None:
    """What the database sent is kept, even where the contract sees no difference."""
    fetched = asking.fetch("SELECT town FROM permits UNION ALL SELECT NULL ORDER BY 1")
    assert {None, "", "Andover", 'Groton, "City" of'} == {row[0] for row in cells(fetched)}


def test_parameters_are_data(asking: Asking) -> None:
    """A value that looks like SQL is compared, not run; a text in quotation marks and a cast are no parameter."""
    query = "SELECT id, ':town' AS literal FROM permits WHERE town = :town /* :no */ -- :neither ; \n"
    assert [("1", ":town")] == cells(asking.fetch(query, parameters={"town": "Andover"}))
    before = digest(asking)
    attack = "x' OR 1=1; DROP TABLE permits; --"
    assert [] == cells(asking.fetch(query, parameters={"town": attack}))
    assert before == digest(asking)


@pytest.mark.parametrize(
    ("value", "text"), [(7, "7"), (1.5, "1.5"), (True, "1"), ("it's 100 % :x", "it's 100 % :x")]
)
def test_parameters_keep_their_type(asking: Asking, value: Any, text: str) -> None:
    """Numbers are numbers and texts are texts, whatever marks they hold."""
    [(seen,)] = cells(asking.fetch("SELECT :value AS value", parameters={"value": value}))
    assert seen in (text, str(value).lower() if value is True else text)


@pytest.mark.parametrize(
    ("query", "parameters"),
    [("SELECT 1 AS a", {"town": "x"}), ("SELECT 1 AS a WHERE :town = 'x'", {}), ("SELECT :a", {"A": 1})],
)
def test_parameters_and_query_name_the_same(asking: Asking, query: str, parameters: dict[str, Any]) -> None:
    """A value that nothing names, and a name without value, are mistakes."""
    with pytest.raises(ContractInvalid):
        asking.fetch(query, parameters=parameters)


WRITES = [
    "INSERT INTO permits (id) VALUES (9)",
    "UPDATE permits SET id = 9 RETURNING id",
    "DELETE FROM permits",
    "WITH x AS (SELECT 1) DELETE FROM permits",
    "CREATE TABLE more AS SELECT 1",
    "DROP TABLE permits",
    "ATTACH 'other.db' AS other",
    "PRAGMA user_version = 7",
    "COMMIT;",
    "COPY permits TO 'out.csv'",
    "VACUUM INTO 'out.db'",
    "-- SELECT\n/* SELECT */ DELETE FROM permits",
]


@pytest.mark.parametrize("query", WRITES)
def test_a_query_that_writes_is_refused(asking: Asking, query: str) -> None:
    """It changes nothing, and no snapshot is left."""
    before, files = digest(asking), sorted(asking.project.iterdir())
    with pytest.raises(SourceInvalid):
        asking.fetch(query)
    assert before == digest(asking)
    assert [] == asking.left()
    assert {path.name for path in files} | {"notebooks", "work"} == {p.name for p in asking.project.iterdir()}


@pytest.mark.parametrize(
    "query",
    ["SELECT 1 AS a; SELECT 2 AS b", "SELECT 1 AS a; DROP TABLE permits", "", "-- nothing", "SELECT 'a"],
)
def test_a_query_is_one_statement(asking: Asking, query: str) -> None:
    """Two statements, none, and a quotation mark that is never closed are refused before anything is asked."""
    with pytest.raises(ContractInvalid):
        asking.fetch(query)


@pytest.mark.parametrize(
    ("kind", "text", "names"),
    [
        ("postgresql", r"SELECT E'\':a', $x$ :b $x$, a::int, $$:c$$, /* /* :d */ :e */ :f", ["f"]),
        ("postgresql", "SELECT ':a''' || \":b\" || :c -- :d", ["c"]),
        ("mariadb", r"""SELECT ':a\':b', "\":d", `:e`, :f, 1--1, :g -- :h""", ["f", "g"]),
        ("mariadb", "SELECT 1 # :c\n, :d", ["d"]),
        ("sqlite", "SELECT [:a], `:b`, :c /* :d */", ["c"]),
        ("duckdb", "SELECT $$:a$$, b[1 : 2], {'c' : :d}, e::INT", ["d"]),
        ("sqlserver", "SELECT [:a]]:b], N':c', :d /* /* :e */ :f */", ["d"]),
        ("oracle", "SELECT q'[it's :a]', nq'!:b!', ':c', :d FROM dual", ["d"]),
    ],
)
def test_parameters_are_told_from_what_is_quoted(kind: str, text: str, names: list[str]) -> None:
    """By each database's own rules for texts, names and comments."""
    driver = importlib.import_module(f"ctnb.places.drivers.{databases.DRIVERS[kind]}")
    statement = queries.parsed(text, driver.DIALECT)
    assert names == list(statement.names)
    assert text == statement.text(lambda name: f":{name}")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS a INTO copied", "SELECT 1 AS a DROP TABLE permits", "WITH x AS (SELECT 1 AS a) DELETE FROM x",
        "SELECT 1 AS a EXEC remove_all", "SELECT * FROM OPENROWSET('a', 'b', 'c')",
    ],
)  # fmt: skip
def test_words_that_write_are_refused_where_no_session_is_read_only(query: str) -> None:
    """SQL Server has no read-only transaction and needs no semicolon between statements."""
    with pytest.raises(SourceInvalid):
        queries.parsed(query, sqlserver.DIALECT)
    assert () == queries.parsed("SELECT [drop], 'insert into' AS a FROM t -- delete", sqlserver.DIALECT).names


def test_files_cannot_be_read_by_a_query(tmp_path: Path) -> None:
    """DuckDB's own functions for files, extensions and settings are closed; SQLite's PRAGMA functions too."""
    (tmp_path / "secret.csv").write_text("a\nMarianne Quillfeather\n")
    for kind, asked in {
        "duckdb": [
            f"SELECT * FROM read_csv('{tmp_path}/secret.csv')", f"FROM '{tmp_path}/secret.csv'",
            "SELECT * FROM glob('*')", f"SELECT * FROM read_text('{tmp_path}/secret.csv')",
        ],
        "sqlite": ["SELECT * FROM pragma_user_version", "SELECT load_extension('x') AS a"],
    }.items():  # fmt: skip
        MADE[kind](tmp_path / f"{kind}.db")
        asking = Asking(tmp_path, Connection(kind=kind, path=f"{kind}.db"))
        for query in asked:
            with pytest.raises(SourceInvalid) as caught:
                asking.fetch(query)
            assert "Quillfeather" not in whole_story(caught.value)


def test_what_the_database_says_is_not_repeated(asking: Asking) -> None:
    """The text of its error can quote a cell; its kind is told."""
    query = "SELECT CAST(town AS INTEGER) AS a, abs(-9223372036854775807 - id) AS b FROM permits"
    with pytest.raises(SourceInvalid) as caught:
        asking.fetch(query)
    assert "Andover" not in whole_story(caught.value)
    assert [] == asking.left()


def test_an_unknown_column_is_the_query_s_mistake(asking: Asking) -> None:
    """The message says which database and what kind of mistake."""
    with pytest.raises(SourceInvalid) as caught:
        asking.fetch("SELECT nothing_of_this_name FROM permits")
    assert_text(f"database-refused-{asking.connection.kind}", caught.value)


def test_two_columns_of_one_name_are_refused(asking: Asking) -> None:
    """By place, because a name can come from anywhere."""
    with pytest.raises(SourceInvalid, match="Columns 1 and 3 of the query have the same name"):
        asking.fetch("SELECT id, town, id FROM permits")


def test_rows_are_counted_as_they_come(asking: Asking) -> None:
    """Whoever watches sees rows of an unknown total."""
    seen: list[Progress] = []
    fetched = asking.fetch("SELECT * FROM permits", seen=seen)
    assert [(NAME, None, "rows")] == list({(one.what, one.total, one.unit) for one in seen})
    assert 3 == seen[-1].done == fetched.rows


def test_a_query_that_takes_too_long_is_ended(asking: Asking) -> None:
    """Trying again may help: it is no mistake of the data."""
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT (i + 1) % 1000 FROM n) SELECT count(*) AS c FROM n"
    )
    with pytest.raises(SourceFailed, match=r"took longer than 0\.2 s"):
        asking.fetch(endless, timeout_s=0.2)
    assert [] == asking.left()


def test_the_query_lies_in_the_datasets_folder(asking: Asking) -> None:
    """Neither `..` nor a link leads out."""
    (asking.project / "outside.sql").write_text("SELECT 1 AS a")
    (asking.folder / "link.sql").symlink_to(asking.project / "outside.sql")
    for path in ("../../outside.sql", str(asking.project / "outside.sql"), "link.sql", "missing.sql"):
        with pytest.raises(ContractInvalid):
            _fetch_file(asking, path)


def _fetch_file(asking: Asking, path: str) -> None:
    request = Request(
        work=asking.work, folder=asking.folder, project=asking.project, roots=(),
        connections={NAME: asking.connection},
    )  # fmt: skip
    databases.fetch(Query(connection=NAME, query=path), request)


def test_the_file_of_a_database_lies_in_the_project(asking: Asking, tmp_path: Path) -> None:
    """Or below a root; and it is there, and is a database of its kind."""
    kind = asking.connection.kind
    inner = tmp_path / "inner"
    inner.mkdir()
    for path, error in {
        "../permits.db": UsageError,
        "missing.db": UsageError,
        "text.db": SourceInvalid,
    }.items():
        (inner / "text.db").write_text("no database\n" * 200)
        with pytest.raises(error):
            Asking(inner, Connection(kind=kind, path=path)).fetch("SELECT 1 AS a FROM permits")


def test_a_connection_that_is_not_there_is_named(asking: Asking) -> None:
    """With the ones that are."""

    request = Request(
        work=asking.work, folder=asking.folder, project=asking.project, roots=(), connections={}
    )
    with pytest.raises(NameUnknown):
        databases.fetch(Query(connection="other", query="rows.sql"), request)


MARKS = {
    "integer": ("id", 0, 3, 4),
    "date": ("issued", "2026-01-01", "2026-01-03", "2026-01-04"),
    "timestamp": ("seen", "2026-01-01", "2026-01-03T00:00:00", "2026-01-03 00:00:00.000001"),
}


@pytest.mark.parametrize("kind", MARKS)
def test_the_high_water_mark_moves_with_the_rows(asking: Asking, kind: str) -> None:
    """What came last time is not fetched again; nothing new ends the run; the mark keeps its type as JSON."""
    column, start, greatest, later = MARKS[kind]
    query = f"SELECT id, {column} FROM permits WHERE {column} > :high_water"
    if kind == "integer":
        query = "SELECT id FROM permits WHERE id > :high_water"
    place = {"high_water": column, "start": start}
    first = asking.fetch(query, **place)
    position = json.loads(json.dumps(first.position))
    told = position["high_water"]["value"]
    assert greatest == (str(told).replace(" ", "T") if kind == "timestamp" else told)
    with pytest.raises(NothingNew):
        asking.fetch(query, position=position, again=False, **place)
    assert [] == asking.left()
    again = asking.fetch(query, position=position, again=True, **place)
    assert (0, position) == (again.rows, again.position)
    _add(asking, column, later)
    assert 1 == asking.fetch(query, position=position, again=False, **place).rows


def _add(asking: Asking, column: str, value: Any) -> None:
    statement = f"INSERT INTO permits (id, {column}) VALUES (8, ?)" if column != "id" else None
    connect: Any = sqlite3.connect if asking.connection.kind == "sqlite" else duckdb.connect
    connection = connect(str(asking.project / "permits.db"))
    connection.execute(statement or "INSERT INTO permits (id) VALUES (?)", [value])
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("query", "column", "error"),
    [
        ("SELECT id FROM permits WHERE id > :high_water", "town", ContractInvalid),
        ("SELECT id, town FROM permits WHERE id > :high_water", "town", SourceInvalid),
        ("SELECT id, issued FROM permits WHERE id > :high_water", "issued", SourceInvalid),
        ("SELECT id FROM permits", "id", ContractInvalid),
    ],
)
def test_a_high_water_column_says_of_each_row_whether_it_is_new(
    asking: Asking, query: str, column: str, error: type[CtnbError]
) -> None:
    """It is in the result and in the query's condition, of a type that grows, and never empty."""
    with pytest.raises(error) as caught:
        asking.fetch(query, high_water=column, start=0)
    assert "Andover" not in whole_story(caught.value)
    assert [] == asking.left()


def test_a_mark_with_a_zone_is_in_utc(tmp_path: Path) -> None:
    """So that it means the same moment in every run."""
    MADE["duckdb"](tmp_path / "d.db")
    asking = Asking(tmp_path, Connection(kind="duckdb", path="d.db"))
    query = "SELECT TIMESTAMPTZ '2026-06-01 12:00:00-04' AS at WHERE TIMESTAMPTZ '2026-06-01 12:00:00-04' > :high_water"
    fetched = asking.fetch(query, high_water="at", start="2026-01-01")
    assert {"high_water": {"type": "timestamp", "value": "2026-06-01T16:00:00"}} == fetched.position
    with pytest.raises(NothingNew):
        asking.fetch(query, high_water="at", start="2026-01-01", position=fetched.position, again=False)


def test_texts_that_do_not_sort_by_time_are_no_mark(tmp_path: Path) -> None:
    """SQLite compares its dates as texts: T and blank between day and hour sort apart."""
    with sqlite3.connect(tmp_path / "permits.db") as connection:
        connection.executescript(
            "CREATE TABLE t (at TEXT); INSERT INTO t VALUES ('2026-01-02T01:00:00'), ('2026-01-02 09:00:00')"
        )
    asking = Asking(tmp_path, Connection(kind="sqlite", path="permits.db"))
    with pytest.raises(SourceInvalid, match="do not sort by time"):
        asking.fetch("SELECT at FROM t WHERE at > :high_water", high_water="at", start="2026-01-01")


@pytest.mark.parametrize("keys", [{"high_water": "id"}, {"start": 0}])
def test_a_high_water_column_starts_somewhere(keys: dict[str, Any]) -> None:
    """Without a start the first condition would hold for no row, for ever."""

    with pytest.raises(ValueError, match="go together"):
        Query(connection="a", query="b.sql", **keys)


def test_values_that_no_contract_type_takes_are_text(tmp_path: Path) -> None:
    """Bytes are hexadecimal; lists and structures as DuckDB writes them; big whole numbers keep their digits."""
    MADE["duckdb"](tmp_path / "d.db")
    asking = Asking(tmp_path, Connection(kind="duckdb", path="d.db"))
    query = """SELECT '\\xAB\\x01'::BLOB AS bytes, [1, 2] AS list, {'a' : 'b'} AS structure,
      170141183460469231731::HUGEINT AS huge,
      TIMESTAMP '2026-01-02 03:04:05.5' AS at, '12:30:00'::TIME AS hour, INTERVAL 3 DAY AS span"""
    [row] = cells(asking.fetch(query))
    assert (
        "ab01",
        "[1, 2]",
        "{'a': b}",
        "170141183460469231731",
        "2026-01-02 03:04:05.5",
        "12:30:00",
        "3 days",
    ) == row


def test_sqlite_keeps_what_each_cell_is(tmp_path: Path) -> None:
    """A column of SQLite's can hold anything; text is not changed, a number is written with all its digits."""
    MADE["sqlite"](tmp_path / "s.db")
    asking = Asking(tmp_path, Connection(kind="sqlite", path="s.db"))
    query = (
        "SELECT '007' AS a UNION ALL SELECT 0.1 UNION ALL SELECT x'ab01' UNION ALL SELECT 9007199254740993"
    )
    assert {"007", "0.1", "ab01", "9007199254740993"} == {row[0] for row in cells(asking.fetch(query))}


@pytest.mark.parametrize(
    ("kind", "library"),
    [
        ("postgresql", "psycopg"),
        ("mariadb", "pymysql"),
        ("sqlserver", "mssql_python"),
        ("oracle", "oracledb"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, library: str
) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, library, None)
    asking = Asking(tmp_path, Connection(kind=kind, host="127.0.0.1", database="a"))
    with pytest.raises(UsageError, match=rf"need the Python package {library}") as caught:
        asking.fetch("SELECT 1 AS a")
    assert f"pip install 'ctnb[{kind}]'" in caught.value.hint
    assert [] == asking.left()


def test_a_date_of_dataset_yml_is_compared_as_a_date(asking: Asking) -> None:
    """Written in quotation marks, as a start and as a parameter."""
    (asking.folder / "dataset.yml").write_text(
        "format: 1\ntitle: Rows\nsource:\n  database:\n    connection: records\n    query: rows.sql\n"
        "    high_water: issued\n    start: '2026-01-01'\n    parameters: {last: '2026-01-03'}\n"
        "columns:\n  - {name: issued, type: date, role: plain}\n"
    )
    place = datasets.dataset("rows", asking.project / "notebooks").contract.source.database
    assert place is not None
    query = "SELECT issued FROM permits WHERE issued > :high_water AND issued <= :last ORDER BY 1"
    fetched = asking.fetch(query, parameters=place.parameters, high_water="issued", start=place.start)
    assert [("2026-01-02",), ("2026-01-03",)] == cells(fetched)
