"""Queries on real PostgreSQL and MariaDB servers: types, accounts, TLS, what writes, and connections that end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import database_servers as servers
import flow_projects as fp
import pytest
from database_servers import PASSWORD_VARIABLE, READER_PASSWORD, Server
from error_texts import assert_text, whole_story
from querying import Asking, cells, header, table

from ctnb.errors import ContractInvalid, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places.fetched import Progress
from ctnb.settings import Project

pytestmark = pytest.mark.servers

PERMITS = """
CREATE TABLE permits (
  id BIGINT, small SMALLINT, town VARCHAR(80), remark TEXT, fee DECIMAL(18,2), share DOUBLE PRECISION, issued DATE,
  seen TIMESTAMP({fraction}) NULL, open BOOLEAN
)"""
ROWS = """
INSERT INTO permits VALUES
  (9007199254740993, -3, 'Andover', 'Said "fine",
on two lines', 12.50, 0.1, '2026-01-02', '2026-01-02 03:04:05.123456', true),
  (2, 0, '', '', -0.01, 1e20, '0001-01-01', '2026-01-03 00:00:00', false),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 32767, ' Old Saybrook ', 'Zoë ☃ 100 % :name', 9999999999999999.99, -2.5e-7, '9999-12-31',
   '2026-01-03 23:59:59', true)"""

COLUMNS = [
    {"name": "id", "type": "integer"}, {"name": "small", "type": "integer"}, {"name": "town", "type": "text"},
    {"name": "remark", "type": "text"}, {"name": "fee", "type": "money"}, {"name": "share", "type": "text"},
    {"name": "issued", "type": "date"}, {"name": "seen", "type": "timestamp"}, {"name": "open", "type": "boolean"},
]  # fmt: skip
TYPED = [
    (2, 0, None, None, Decimal("-0.01"), 1e20, date(1, 1, 1), datetime(2026, 1, 3), False),
    (3, None, None, None, None, None, None, None, None),
    (4, 32767, " Old Saybrook ", "Zoë ☃ 100 % :name", Decimal("9999999999999999.99"), -2.5e-7, date(9999, 12, 31),
     datetime(2026, 1, 3, 23, 59, 59), True),
    (9007199254740993, -3, "Andover", 'Said "fine",\non two lines', Decimal("12.50"), 0.1, date(2026, 1, 2),
     datetime(2026, 1, 2, 3, 4, 5, 123456), True),
]  # fmt: skip

SEQUENCE = "CREATE SEQUENCE numbers"
FUNCTION = {
    "postgresql": "CREATE FUNCTION add_one() RETURNS int LANGUAGE sql AS 'DELETE FROM permits; SELECT 1'",
    "mariadb": "CREATE FUNCTION add_one() RETURNS int DETERMINISTIC BEGIN DELETE FROM permits; RETURN 1; END",
}
MANY = {
    "postgresql": "SELECT i AS id, repeat('x', 1000) AS remark FROM generate_series(1, 2000000) AS i",
    "mariadb": "SELECT seq AS id, repeat('x', 1000) AS remark FROM seq_1_to_2000000",
}
SLEEP = {"postgresql": "SELECT pg_sleep(60)::text AS a", "mariadb": "SELECT id, sleep(30) AS a FROM permits"}


def filled(server: Server) -> Server:
    """The server with its rows."""
    server.run(PERMITS.format(fraction=6), ROWS, SEQUENCE, FUNCTION[server.kind])
    return server


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server with rows."""
    with servers.postgresql() as server:
        yield filled(server)


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Server]:
    """A MariaDB server with rows."""
    with servers.mariadb() as server:
        yield filled(server)


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    """Either."""
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret that the connection names."""
    monkeypatch.setenv(PASSWORD_VARIABLE, READER_PASSWORD)


@pytest.fixture
def asking(server: Server, tmp_path: Path) -> Asking:
    """A project whose connection leads to the server."""
    return Asking(tmp_path, server.connection())


def permits(server: Server) -> list[tuple[Any, ...]]:
    """The rows as the server has them."""
    return server.run("SELECT * FROM permits ORDER BY id")


def test_every_type_comes_through_the_contract(asking: Asking) -> None:
    """Digits, days, moments, line ends and letters are what the server has; nothing stays nothing."""
    reading = asking.read("SELECT * FROM permits ORDER BY id -- in this order", COLUMNS)
    seen = [(*row[:5], row[5] and float(row[5]), *row[6:]) for row in table(reading)]
    assert TYPED == seen
    assert (4, 0) == (reading.rows_read, reading.rows_rejected)


def test_the_columns_tell_their_types(asking: Asking) -> None:
    """For proposals: what the contract would call each column."""
    fetched = asking.fetch("SELECT id, fee, share, issued, seen, town FROM permits")
    expected = {"id": "integer", "fee": "number", "share": "number", "issued": "date", "seen": "timestamp"}
    assert {**expected, "town": "text"} == dict(fetched.types)
    assert 4 == fetched.rows


def test_nothing_and_an_empty_text_are_kept_apart_in_the_snapshot(asking: Asking) -> None:
    """What the server sent is kept, even where the contract sees no difference; also in a table of one column."""
    fetched = asking.fetch("SELECT town FROM permits ORDER BY id")
    if fetched.format == "csv":
        assert b'town\n""\n\n Old Saybrook \nAndover\n' == fetched.snapshots[0].path.read_bytes()
    else:
        assert [("",), (None,), (" Old Saybrook ",), ("Andover",)] == cells(fetched)
    reading = asking.read("SELECT town FROM permits ORDER BY id", [{"name": "town", "type": "text"}])
    assert [(None,), (None,), (" Old Saybrook ",), ("Andover",)] == table(reading)


def test_moments_with_a_zone_are_in_utc(asking: Asking) -> None:
    """Whatever zone the server and its tables are in."""
    if asking.connection.kind == "postgresql":
        query = "SELECT TIMESTAMPTZ '2026-06-01 12:00:00.5-04' AS at, current_setting('timezone') AS zone"
    else:
        query = "SELECT CAST('2026-06-01 16:00:00.5' AS DATETIME(1)) AS at, @@time_zone AS zone"
    [(at, zone)] = cells(asking.fetch(query))
    assert "2026-06-01 16:00:00.5" == at
    assert zone in ("UTC", "+00:00")


def test_types_without_a_contract_type_are_text(asking: Asking) -> None:
    """JSON, arrays, intervals and bits are read as text or digits; bytes are hexadecimal."""
    if asking.connection.kind == "postgresql":
        query = """SELECT '{"a": [1]}'::jsonb AS a, ARRAY[1,2] AS b, '\\xab01'::bytea AS c, INTERVAL '3 days' AS d,
          '12.5'::money AS e, '10.0.0.1'::inet AS f, 'NaN'::numeric AS g, (1,'x') AS h, TIME '12:30' AS i"""
        row = ('{"a": [1]}', "{1,2}", "ab01", "P3D", "12.50", "10.0.0.1", "NaN", "(1,x)", "12:30:00")
    else:
        query = """SELECT JSON_OBJECT('a', 1) AS a, b'101' AS b, x'ab01' AS c, TIME '12:30:00' AS d, 7 = 7 AS e,
          CAST(0.10 AS DECIMAL(5,2)) AS f, CAST(18446744073709551615 AS UNSIGNED) AS g"""
        row = ('{"a": 1}', "05", "ab01", "12:30:00", "1", "0.10", "18446744073709551615")
    assert [row] == cells(asking.fetch(query))


def test_parameters_are_data(asking: Asking, server: Server) -> None:
    """A value that looks like SQL is compared, not run."""
    before = permits(server)
    query = "SELECT id, ':town' AS a, '100 %' AS b FROM permits WHERE town = :town /* :no */ -- :neither ;\n"
    assert [("9007199254740993", ":town", "100 %")] == cells(
        asking.fetch(query, parameters={"town": "Andover"})
    )
    for attack in (
        "x' OR '1'='1",
        "x\\' OR 1=1; DROP TABLE permits; -- ",
        "') TO PROGRAM 'true' --",
        "%s",
        "\\",
    ):
        assert [] == cells(asking.fetch(query, parameters={"town": attack}))
    assert before == permits(server)


@pytest.mark.parametrize("value", [7, -7, 2**62, 1.5, 'it\'s \\ "100 %" :x\n', "☃", ""])
def test_parameters_arrive_as_they_are(asking: Asking, value: Any) -> None:
    """Numbers as numbers and every character of a text."""
    kind = {"int": "DECIMAL(30,0)", "float": "DECIMAL(5,1)", "str": "CHAR(40)"}[type(value).__name__]
    query = f"SELECT TRIM(CAST(:value AS {kind})) AS a, CASE WHEN :value = :value THEN 'same' END AS b"
    if isinstance(value, (int, float)):
        query = query.replace("TRIM", "")
    [(seen, same)] = cells(asking.fetch(query, parameters={"value": value}))
    expected = value.strip(" ") if isinstance(value, str) else str(value)
    assert (expected or None, "same") == (seen or None, same)


WRITES = [
    "INSERT INTO permits (id) VALUES (9)",
    "UPDATE permits SET id = 9 RETURNING id",
    "DELETE FROM permits RETURNING id",
    "SELECT nextval('numbers') AS a",
    "SELECT NEXTVAL(numbers) AS a",
    "WITH gone AS (DELETE FROM permits RETURNING id) SELECT * FROM gone",
    "SELECT add_one() AS a",
    "COMMIT;",
    "COMMIT; DELETE FROM permits",
    "SELECT 1 AS a; DELETE FROM permits",
    "SELECT id INTO more FROM permits",
    "SELECT id FROM permits INTO OUTFILE '{folder}/out.csv'",
    "SELECT 1 AS a) TO PROGRAM 'touch {folder}/out.csv' --",
    "SELECT 1 AS a) TO '{folder}/out.csv' --",
    "COPY permits TO '{folder}/out.csv'",
    "SET TRANSACTION READ WRITE",
    "SELECT set_config('transaction_read_only', 'off', false) AS a, add_one() AS b",
    "DO $$ BEGIN DELETE FROM permits; END $$",
    "DROP TABLE permits",
]


@pytest.mark.parametrize("query", WRITES)
def test_a_query_that_writes_changes_nothing(asking: Asking, server: Server, query: str) -> None:
    """Refused here or by the server, though the account may write; no row, no file, no number is gone."""
    before = permits(server)
    with pytest.raises((SourceInvalid, ContractInvalid)):
        asking.fetch(query.format(folder=server.folder))
    assert before == permits(server)
    assert not (server.folder / "out.csv").exists()
    assert [] == asking.left()


def test_a_comment_that_mariadb_runs_is_refused(mariadb: Server, tmp_path: Path) -> None:
    """What stands in /*! */ is no comment to it, and INTO OUTFILE writes where no transaction forbids it."""
    for comment in (
        "/*! INTO OUTFILE '{}' */",
        "/*M!100100 INTO OUTFILE '{}' */",
        "/*!50000 INTO OUTFILE '{}'*/",
    ):
        with pytest.raises(SourceInvalid):
            query = f"SELECT id FROM permits {comment.format(mariadb.folder / 'out.csv')}"
            Asking(tmp_path, mariadb.connection()).fetch(query)
    assert not (mariadb.folder / "out.csv").exists()


def test_what_a_read_only_transaction_lets_pass_is_undone(postgresql: Server, tmp_path: Path) -> None:
    """PostgreSQL 15 makes a large object in one; the transaction is never committed."""
    Asking(tmp_path, postgresql.connection()).fetch("SELECT lo_create(0)::text AS a")
    assert [(0,)] == postgresql.run("SELECT count(*) FROM pg_largeobject_metadata")


def test_the_server_refuses_what_writes(asking: Asking) -> None:
    """The message says that the session may only read."""
    with pytest.raises(SourceInvalid) as caught:
        asking.fetch("SELECT add_one() AS a")
    assert_text("database-writes", caught.value)


def test_what_the_server_says_is_not_repeated(asking: Asking) -> None:
    """Its text can quote a cell; SQLSTATE or number, and the line, do not."""
    cast = "town::int" if asking.connection.kind == "postgresql" else "JSON_VALUE(town, nothing)"
    with pytest.raises(SourceInvalid) as caught:
        asking.fetch(f"SELECT {cast} AS a FROM permits")
    assert "Andover" not in whole_story(caught.value)
    assert [] == asking.left()


def test_a_mistake_in_the_query_is_told_with_its_line(asking: Asking, server: Server) -> None:
    """Where the server says it."""
    with pytest.raises(SourceInvalid) as caught:
        asking.fetch("SELECT id,\n  :a AS a,\n  nothing_of_this_name\nFROM permits", parameters={"a": "x"})
    assert_text(f"database-refused-{server.kind}", caught.value)


def test_a_wrong_password_names_the_secret(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not its value, nor what the server said."""
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong-Grault-3")
    with pytest.raises(UsageError) as caught:
        asking.fetch("SELECT 1 AS a")
    assert_text("database-account", caught.value)
    assert "Grault" not in whole_story(caught.value)
    assert [] == asking.left()


def test_a_database_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    """As an account that is not let in: the server does not always tell them apart."""
    with pytest.raises(UsageError):
        Asking(tmp_path, server.connection(database="nothing")).fetch("SELECT 1 AS a")


def test_a_server_that_is_not_there_can_be_tried_again(server: Server, tmp_path: Path) -> None:
    """Unreachable is not wrong."""
    with pytest.raises(SourceFailed) as caught:
        Asking(tmp_path, server.connection(port=9)).fetch("SELECT 1 AS a")
    assert_text("database-unreachable", caught.value)


def test_a_certificate_must_be_trusted(server: Server, tmp_path: Path) -> None:
    """By an authority that is named, for the host that is named; require only wants TLS."""
    for told in ({"ca_file": None}, {"host": "127.0.0.2"}):
        with pytest.raises(SourceFailed) as caught:
            Asking(tmp_path, server.connection(**told)).fetch("SELECT 1 AS a")
        if "ca_file" in told:
            assert_text("database-certificate", caught.value)
    for tls in ("require", "off"):
        told = {"tls": tls, "ca_file": None}
        assert [("1",)] == cells(Asking(tmp_path, server.connection(**told)).fetch("SELECT 1 AS a"))


def test_a_query_that_takes_too_long_is_ended(asking: Asking) -> None:
    """By the server itself."""
    with pytest.raises(SourceFailed, match="took longer than 1 s"):
        asking.fetch(SLEEP[asking.connection.kind], timeout_s=1)
    assert [] == asking.left()


@pytest.mark.parametrize("kind", MANY)
def test_a_server_that_dies_half_way_leaves_nothing(kind: str, tmp_path: Path) -> None:
    """Killed while rows come: no snapshot, and trying again may help."""
    with getattr(servers, kind)() as server:
        asking, seen = Asking(tmp_path, server.connection()), Watcher(server)
        with pytest.raises(SourceFailed) as caught:
            asking.fetch(MANY[kind], seen=seen)
        assert_text("database-broke-off", caught.value)
        assert seen.killed
        assert [] == asking.left()


class Watcher(list[Progress]):
    """Kills the server when the first rows are seen."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.killed = server, threading.Event()

    def append(self, seen: Progress) -> None:
        super().append(seen)
        if seen.done and not self.killed.is_set():
            self.server.kill()
            self.killed.set()


def test_rows_that_change_meanwhile_are_not_seen(asking: Asking, server: Server) -> None:
    """One transaction, one state of the database."""
    server.run("CREATE TABLE IF NOT EXISTS growing (id BIGINT)", "DELETE FROM growing")
    server.run("INSERT INTO growing VALUES (1), (2)")
    count = "(SELECT count(*) FROM growing)"
    sleep = "pg_sleep(0.2)::text" if server.kind == "postgresql" else "sleep(0.2)"
    adding = threading.Thread(target=server.run, args=("INSERT INTO growing VALUES (3)",))
    adding.start()
    rows = cells(asking.fetch(f"SELECT {count} AS a, {sleep} AS b, {count} AS c FROM growing"))
    adding.join()
    assert {(len(rows), len(rows))} == {(int(row[0]), int(row[2])) for row in rows}


MARKS = {
    "id": (0, 9007199254740993),
    "issued": ("0001-01-01", "9999-12-31"),
    "seen": ("2026-01-01", "2026-01-03T23:59:59"),
}


@pytest.mark.parametrize("column", MARKS)
def test_the_high_water_mark_keeps_its_type(asking: Asking, column: str) -> None:
    """As JSON and back it finds nothing that it found before."""
    start, greatest = MARKS[column]
    query = f"SELECT id, {column} FROM permits WHERE {column} > :high_water"
    query = "SELECT id FROM permits WHERE id > :high_water" if column == "id" else query
    place = {"high_water": column, "start": start}
    position = json.loads(json.dumps(asking.fetch(query, **place).position))
    assert greatest == position["high_water"]["value"]
    with pytest.raises(NothingNew):
        asking.fetch(query, position=position, again=False, **place)
    empty = asking.fetch(query, position=position, **place)
    assert (0, position) == (empty.rows, empty.position)
    assert column in header(empty)


def test_a_mark_beside_hard_texts_is_found(postgresql: Server, tmp_path: Path) -> None:
    """Line ends, quotation marks and commas in other columns, and a zone in its own."""
    query = """SELECT E'a\\r\\n"b", c' AS text, '' AS "Nothing, here", at FROM (VALUES
      (TIMESTAMPTZ '2026-06-01 12:00:00.25-04'), (TIMESTAMPTZ '2025-06-01 12:00:00Z')) AS v(at)
      WHERE at > :high_water"""
    asking = Asking(tmp_path, postgresql.connection())
    place: dict[str, Any] = {"high_water": "at", "start": "2026-01-01"}
    fetched = asking.fetch(query, **place)
    assert (1, "2026-06-01T16:00:00.250000") == (fetched.rows, fetched.position["high_water"]["value"])
    with pytest.raises(NothingNew):
        asking.fetch(query, position=fetched.position, again=False, **place)


DATASET = """\
format: 1
title: Counts by town
unit: other
source:
  database: {connection: records, query: counts.sql, high_water: id, start: 0}
rejects: {at_most_share: 0}
columns:
  - {name: id, type: integer, role: plain, constraints: {required: true, unique: true}}
  - {name: people, type: integer, role: measure}
key: [id]
portal: {name: local, mode: append, public: true}
"""


def _project(folder: Path, server: Server) -> Project:
    told = server.connection().model_dump(mode="json", exclude_none=True)
    project = fp.make(folder, ctnb_yml=fp.CTNB_YML + f"connections:\n  records: {json.dumps(told)}\n")
    place = project.notebooks / fp.SLUG
    (place / "dataset.yml").write_text(DATASET)
    (place / "counts.sql").write_text("SELECT id, people FROM counts WHERE id > :high_water ORDER BY id\n")
    (place / "transform.sql").unlink()
    return project


def _releases(project: Project) -> list[tuple[int, int]]:
    """Of each release how many rows were sent, and its mark."""
    made = sorted((project.runs / fp.SLUG).glob("*/release.json"))
    said = [json.loads(path.read_text()) for path in made]
    return [(one["rows_sent"], one["position"]["1"]["high_water"]["value"]) for one in said]


@pytest.mark.slow
def test_a_run_fetches_what_came_since_the_last_release(server: Server, tmp_path: Path) -> None:
    """The mark moves with a release: a run that fails fetches the same rows again; one without rows stops."""
    server.run(
        "CREATE TABLE counts (id BIGINT, people VARCHAR(20))",
        "INSERT INTO counts VALUES (1, '700'), (2, '800')",
    )
    project = _project(tmp_path, server)
    secret = {PASSWORD_VARIABLE: READER_PASSWORD}

    def run() -> int:
        done = fp.ctnb(project, "run", fp.SLUG, **secret)
        assert READER_PASSWORD not in done.out + done.err
        return done.code

    assert 0 == run()
    assert [(2, 2)] == _releases(project)
    assert 5 == run()
    server.run("INSERT INTO counts VALUES (3, '900'), (4, 'many')")
    assert 6 == run()
    assert [(2, 2)] == _releases(project)
    server.run("UPDATE counts SET people = '1000' WHERE id = 4")
    assert 0 == run()
    assert [(2, 2), (2, 4)] == _releases(project)
    assert {} == fp.found_in(project.runs, [READER_PASSWORD, servers.OWNER_PASSWORD])
