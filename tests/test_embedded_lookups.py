"""How the embedded portal finds the rows of a large dataset: the same rows by every way, and indexes when asked for."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from portal_fixture import Running, running_portal

from ctnb.embedded.accounts import add_account
from ctnb.embedded.answers import Account
from ctnb.embedded.catalogue import View, add_column, add_view, find
from ctnb.embedded.compiler import source_of
from ctnb.embedded.decimals import pack
from ctnb.embedded.identifiers import new_row_id
from ctnb.embedded.lookups import INDEXES, LARGE_ROWS, drop_indexes, make_index, prepared
from ctnb.embedded.queries import compile_query, read_query, sort_parameters
from ctnb.embedded.store import Store
from ctnb.embedded.workshop import Workshop

ROWS = 45_000
COLUMNS = (("n", "number"), ("town", "text"), ("day", "calendar_date"), ("fee", "number"), ("note", "text"))
WAIT_S = 60.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a dataset of many rows, some cells of which are blank, written in no order."""
    file = tmp_path_factory.mktemp("store") / "portal.sqlite"
    add_account(file, "Pat Publisher", "publisher")
    made = Store(file)
    fill(made)
    yield made
    made.close()


def fill(store: Store) -> None:
    """The dataset's rows."""
    rnd = random.Random(4)
    with store.writing() as connection:
        uid = connection.execute("SELECT uid FROM accounts").fetchone()[0]
        view = add_view(connection, {"name": "Many"}, Account("k", uid, "Pat", "publisher"), 0.0)
        for at, (name, kind) in enumerate(COLUMNS, 1):
            wanted = {"name": name, "fieldName": name, "dataTypeName": kind}
            add_column(connection, view, wanted, at)
        view = the_view(connection)
        names = ", ".join(column.sql for column in view.columns)
        statement = (
            f"INSERT INTO {view.table} (sid, rid, created_at, updated_at, {names}) VALUES (?,?,?,?,?,?,?,?,?)"
        )
        connection.executemany(statement, (row(rnd, sid) for sid in range(1, ROWS + 1)))
        connection.execute("UPDATE views SET next_sid = ?", (ROWS + 1,))


def row(rnd: random.Random, sid: int) -> tuple[object, ...]:
    """One row: its stored cells."""
    town = None if rnd.random() < 0.1 else f"Town {rnd.randrange(50):02d}"
    day = f"20{rnd.randrange(10, 25)}-{rnd.randrange(1, 13):02d}-01T00:00:00.000"
    fee = pack(f"{rnd.randrange(-1000, 100_000) / 100:.2f}")
    stamp = "2024-01-01T00:00:00.000Z"
    return (sid, new_row_id(sid), stamp, stamp, pack(str(sid)), town, day, fee, "long " * 100)


def the_view(connection: sqlite3.Connection) -> View:
    """The dataset."""
    view = find(connection, connection.execute("SELECT uid FROM views").fetchone()[0])
    assert view is not None
    return view


@pytest.fixture(scope="module")
def workshop(store: Store) -> Iterator[Workshop]:
    """The worker that makes indexes, which have been made on every column but the first."""
    made = Workshop(store, time.time)
    with store.reading() as connection:
        columns = the_view(connection).columns
    for column in columns[1:]:
        make_index(made, column.id)
    yield made
    made.close()


def made_indexes(connection: sqlite3.Connection) -> set[str]:
    """The columns that have an index of their own."""
    view = the_view(connection)
    by_sql = {column.sql: column.field_name for column in view.columns}
    names = connection.execute(
        "SELECT name FROM pragma_index_list(?) WHERE origin = 'c'", (view.table,)
    ).fetchall()
    held = [
        connection.execute("SELECT name FROM pragma_index_info(?)", (name[0],)).fetchone()[0]
        for name in names
    ]
    return {by_sql[one] for one in held}


def test_an_index_is_made_of_short_columns_only(store: Store, workshop: Workshop) -> None:
    """Of long texts it would take more room than the rows."""
    with store.reading() as connection:
        assert made_indexes(connection) == {"town", "day", "fee"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"$where": "town = 'Town 07'"},
        {"$where": "town = 'Town 07'", "$limit": "50", "$offset": "800"},
        {"$where": "town in ('Town 07', 'Town 08')", "$order": ":id"},
        {"$where": "town like 'Town 1%'", "$order": "fee desc"},
        {"$where": "town like '%7'"},
        {"$where": "town like 'Town _7'"},
        {"$where": "starts_with(town, 'Town 2')", "$order": "town desc, n"},
        {"$where": "starts_with(town, '')"},
        {"$where": "town is null"},
        {"$where": "town = null"},
        {"$where": "fee > 990"},
        {"$where": "fee > 500", "$order": ":id desc"},
        {"$where": "fee > -100 and town = 'Town 01' and day > '2020-01-01'"},
        {"$where": "fee < 0 or town = 'Town 01'"},
        {"$where": "not (fee > 0)"},
        {"$where": "fee between 1 and 2"},
        {"$where": "fee > 100", "$order": "day"},
        {"$where": "n > 44000"},
        {"$where": "n > 100", "$order": "fee"},
        {"$order": "fee"},
        {"$order": "fee desc, town"},
        {"$order": "town desc null last", "$offset": "40000"},
        {"$order": "town null first"},
        {"$select": "count(*) as rows", "$where": "town = 'Town 07'"},
        {"$select": "town, sum(fee) as total", "$where": "fee > 10", "$group": "town", "$order": "town"},
        {"$select": "distinct town", "$where": "day = '2015-03-01'", "$order": "town"},
        {"$select": "upper(town) as town, n", "$where": "town = 'TOWN 07'", "$order": "town"},
        {"$select": "n", "$q": "07"},
        {"town": "Town 07", "$order": "fee"},
        {"$query": "select town, fee where fee > 900 limit 500 |> select town, count(*) group by town order by town"},
    ],
)  # fmt: skip
def test_the_way_makes_no_difference(store: Store, workshop: Workshop, parameters: dict[str, str]) -> None:
    """Rows and their order are those of the table read from end to end, for every page."""
    query = read_query(sort_parameters(list(parameters.items())))
    with store.reading() as connection:
        view = the_view(connection)
        plain = compile_query(view, query, source=source_of(view))
        chosen = compile_query(view, query, source=prepared(workshop, connection, view, query))
        expected = [tuple(one) for one in connection.execute(plain.sql, plain.values)]
        found = [tuple(one) for one in connection.execute(chosen.sql, chosen.values)]
        assert expected == found


def test_a_filter_reads_by_its_index(store: Store, workshop: Workshop) -> None:
    """And a wide one in the order of writing, so that neither reads the whole table for a page."""
    plans = []
    for where in ("town = 'Town 07'", "fee > 10"):
        query = read_query(sort_parameters([("$where", where)]))
        with store.reading() as connection:
            view = the_view(connection)
            chosen = compile_query(view, query, source=prepared(workshop, connection, view, query))
            plan = connection.execute(f"EXPLAIN QUERY PLAN {chosen.sql}", chosen.values).fetchall()
            plans.append(" ".join(str(one[3]) for one in plan))
    assert "COVERING INDEX find_" in plans[0]
    assert "find_" not in plans[1]
    assert "TEMP B-TREE" not in plans[1]


def test_as_many_indexes_as_are_kept(tmp_path: Path) -> None:
    """The oldest goes when one more is asked for."""
    file = tmp_path / "portal.sqlite"
    store = Store(file)
    with store.writing() as connection:
        view = add_view(connection, {"name": "Wide"}, Account("k", "u", "Pat", "publisher"), 0.0)
        for at in range(INDEXES + 2):
            add_column(connection, view, {"name": f"a{at}", "fieldName": f"a{at}"}, at)
        columns = the_view(connection).columns
    workshop = Workshop(store, time.time)
    for column in columns:
        make_index(workshop, column.id)
    make_index(workshop, columns[-1].id)
    with store.writing() as connection:
        assert made_indexes(connection) == {f"a{at}" for at in range(2, INDEXES + 2)}
        drop_indexes(connection, the_view(connection))
        assert made_indexes(connection) == set()
    workshop.close()
    store.close()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal of its own."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


def waited_for(portal: Running, wanted: set[str]) -> set[str]:
    """The columns that have an index, once they are those wanted or time is up."""
    end = time.monotonic() + WAIT_S
    while True:
        with sqlite3.connect(f"file:{portal.file}?mode=ro", uri=True) as connection:
            connection.row_factory = sqlite3.Row
            found = made_indexes(connection)
        if found == wanted or time.monotonic() > end:
            return found
        time.sleep(0.05)


def test_a_question_over_the_wire_has_its_index_made(portal: Running) -> None:
    """In the background, once; a replace starts without, and its rows are found all the same."""
    uid = portal.create(("n", "number"), ("town", "text"), public=True)
    rows = [{"n": at, "town": f"Town {at % 40}"} for at in range(LARGE_ROWS + 10)]
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    counts = [len(portal.rows(uid, where="town = 'Town 3'")) for _ in range(2)]
    assert waited_for(portal, {"town"}) == {"town"}
    counts.append(len(portal.rows(uid, where="town = 'Town 3'")))
    portal.ask("PUT", f"/resource/{uid}.json", json=rows[:400])
    assert waited_for(portal, set()) == set()
    counts.append(len(portal.rows(uid, where="town = 'Town 3'")))
    assert counts == [501, 501, 501, 10]
