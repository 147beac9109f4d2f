"""Planning and sending, against the embedded portal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from error_texts import assert_text
from portal_fixture import Running, running_portal

from ctnb import digests, tables
from ctnb.clients.socrata import Credentials, Socrata
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Mode
from ctnb.errors import PublishRefused
from ctnb.portals import planning, plans, sending, soda
from ctnb.portals.journal import Journal
from ctnb.portals.planning import Target, Wanted
from ctnb.portals.plans import Plan
from ctnb.portals.socrata import SocrataPortal
from ctnb.tables import Table
from ctnb.values import TYPES

TOKEN = "hmac-sha256:of-a-test"
COLUMNS = (
    Column(name="town", label="Town", type="text", role="plain", description="A town."),
    Column(name="id", label="Id", type="code", role="plain"),
    Column(name="deaths", label="Deaths", type="integer", role="measure"),
)
START = "('Hartford', '01', 12), ('New Haven', '02', NULL)"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for all tests here; each makes datasets of its own."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture
def client(portal: Running) -> Socrata:
    """The publisher's client."""
    return Socrata(portal.url, Credentials(portal.key_id, portal.key_secret))


def table(folder: Path, values: str, columns: tuple[Column, ...] = COLUMNS) -> Table:
    """A table of the SQL rows `values`."""
    names = ", ".join(column.name for column in columns)
    with tables.connect() as connection:
        query = f"SELECT * FROM (VALUES {values}) AS given({names})"
        return tables.write(connection, query, columns, folder / f"{next(NUMBERS)}.parquet")


def wanted(of: Table, mode: Mode = "replace", key: str | None = "id", *, public: bool = True) -> Wanted:
    """What a dataset asks of the portal."""
    return Wanted("Sample", "Invented", of, COLUMNS, key, mode, public)


def portal_of(client: Socrata) -> SocrataPortal:
    """The portal as publishing knows it."""
    return SocrataPortal("local", client)


def published(target: Target, ask: Wanted) -> tuple[Target, Plan]:
    """Plan, prepare and send, as publishing does; each with a token of its own."""
    plan = planning.make(target, ask)
    sending.check(plan)
    token = f"token-{next(NUMBERS)}"
    there = sending.prepare(target, ask, token, lambda _: None)
    journal = Journal(ask.table.path.with_suffix(".jsonl"))
    send(there, ask, token, journal)
    return there, plan


def send(target: Target, ask: Wanted, token: str, journal: Journal) -> int:
    """Plan, send and read back; the rows that are there then."""
    with planning.opened(target, ask) as planned:
        return sending.send(target, planned, token, journal).rows


def digest_there(portal: SocrataPortal, uid: str, columns: Sequence[Column]) -> tuple[int, str]:
    """Rows and content digest of what the portal has, typed by `columns`."""
    with tables.connect() as connection:
        portal.load(uid, columns, connection, "back")
        kinds = [(column.name, column.kind) for column in columns]
        rows = connection.execute("SELECT count(*) FROM back").fetchall()[0][0]
        return rows, digests.of_table(connection, "back", kinds)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty journal."""
    return Journal(tmp_path / "sending.jsonl")


@pytest.fixture
def there(client: Socrata, tmp_path: Path) -> Target:
    """A dataset of two rows on the portal."""
    return published(Target(portal_of(client), None), wanted(table(tmp_path, START)))[0]


def rows(portal: Running, target: Target) -> list[tuple[object, ...]]:
    """What the portal has, by identifier."""
    found = portal.rows(str(target.dataset_id), order="id")
    return [(row.get("town"), row["id"], row.get("deaths")) for row in found]


def counts(plan: Plan) -> tuple[int, int, int, int, int]:
    """Rows before, added, changed, removed and after."""
    return plan.rows_before, plan.rows_added, plan.rows_changed, plan.rows_removed, plan.rows_after


def test_a_first_publish_creates_the_dataset(
    portal: Running, client: Socrata, tmp_path: Path, journal: Journal
) -> None:
    """Columns, types, titles and the row identifier are the contract's; the rows are read back."""
    noted: list[str] = []
    ask, target = wanted(table(tmp_path, START)), Target(portal_of(client), None)
    plan = planning.make(target, ask)
    assert counts(plan) == (0, 2, 0, 0, 2)
    assert plan.problems == ()
    there = sending.prepare(target, ask, TOKEN, noted.append)
    assert noted == [there.dataset_id]
    assert send(there, ask, TOKEN, journal) == 2
    assert rows(portal, there) == [("Hartford", "01", "12"), ("New Haven", "02", None)]
    view = client.view(noted[0])
    assert view is not None
    assert [(f.field_name, f.name, f.data_type) for f in view.fields] == [
        ("town", "Town", "text"),
        ("id", "Id", "text"),
        ("deaths", "Deaths", "number"),
    ]
    assert (view.row_identifier, view.public) == ("id", True)


def test_a_dataset_is_private_until_its_rows_are_compared(client: Socrata, tmp_path: Path) -> None:
    """Nobody sees a dataset between its making and its reading back."""
    there = sending.prepare(
        Target(portal_of(client), None),
        wanted(table(tmp_path, START)),
        f"token-{next(NUMBERS)}",
        lambda _: None,
    )
    view = client.view(str(there.dataset_id))
    assert view is not None
    assert not view.public


def test_a_plan_writes_nothing(portal: Running, there: Target, tmp_path: Path) -> None:
    """Planning reads, and the portal has what it had."""
    before = rows(portal, there)
    planning.make(there, wanted(table(tmp_path, "('X', '09', 1)")))
    assert rows(portal, there) == before


def test_replace_makes_the_rows_those_of_the_table(portal: Running, there: Target, tmp_path: Path) -> None:
    """Rows that are not in the table go; the plan says how many."""
    _, plan = published(there, wanted(table(tmp_path, "('Hartford', '01', 13), ('Norwalk', '03', 1)")))
    assert counts(plan) == (2, 1, 1, 1, 2)
    assert rows(portal, there) == [("Hartford", "01", "13"), ("Norwalk", "03", "1")]


def test_append_adds_rows(portal: Running, there: Target, tmp_path: Path) -> None:
    """What was published stays as it was."""
    _, plan = published(there, wanted(table(tmp_path, "('Norwalk', '03', 1)"), "append"))
    assert counts(plan) == (2, 1, 0, 0, 3)
    assert len(rows(portal, there)) == 3


def test_append_never_changes_a_published_row(portal: Running, there: Target, tmp_path: Path) -> None:
    """Keys that are there already stop it, with their count and without their values."""
    ask = wanted(
        table(tmp_path, "('Norwalk', '01', 1), ('Norwalk', '02', 1), ('Norwalk', '03', 1)"), "append"
    )
    before = rows(portal, there)
    with pytest.raises(PublishRefused) as caught:
        sending.check(planning.make(there, ask))
    assert_text("append-keys-there", caught.value)
    assert rows(portal, there) == before


def test_append_without_a_key_adds_equal_rows(client: Socrata, portal: Running, tmp_path: Path) -> None:
    """Without a row identifier a row that is there already is one more."""
    start = wanted(table(tmp_path, START), key=None)
    there, _ = published(Target(portal_of(client), None), start)
    published(there, wanted(table(tmp_path, "('Hartford', '01', 12)"), "append", None))
    assert [row[1] for row in rows(portal, there)] == ["01", "01", "02"]


def test_upsert_adds_and_changes_by_the_key(portal: Running, there: Target, tmp_path: Path) -> None:
    """An empty cell of the table clears the portal's."""
    _, plan = published(there, wanted(table(tmp_path, "(NULL, '01', 13), ('Norwalk', '03', 1)"), "upsert"))
    assert counts(plan) == (2, 1, 1, 0, 3)
    assert rows(portal, there) == [(None, "01", "13"), ("New Haven", "02", None), ("Norwalk", "03", "1")]


def test_delete_takes_a_file_of_identifiers(portal: Running, there: Target, tmp_path: Path) -> None:
    """One column, the key, is enough."""
    identifiers = table(tmp_path, "('02')", COLUMNS[1:2])
    _, plan = published(there, wanted(identifiers, "delete"))
    assert counts(plan) == (2, 0, 0, 1, 1)
    assert rows(portal, there) == [("Hartford", "01", "12")]


PROBLEMS: list[tuple[str, Mode, str | None, str]] = [
    ("('X', '03', 1)", "upsert", None, "upsert needs a row identifier"),
    ("('X', '03', 1)", "delete", None, "delete needs a row identifier"),
    ("('X', '03', 1)", "delete", "id", "1 of the identifiers to delete are not published"),
    ("('X', '03', 1), ('Y', '03', 2)", "upsert", "id", "1 rows repeat a value of the key id"),
    ("('X', NULL, 1)", "replace", "id", "1 rows have no value of the key id"),
    ("('X', '03', 1)", "replace", None, "the contract's key is none, the portal's row identifier is id"),
    ("('X', '03', 1)", "replace", "town", "the contract's key is town, the portal's row identifier is id"),
]


@pytest.mark.parametrize(("values", "mode", "key", "told"), PROBLEMS)
def test_a_plan_that_cannot_be_applied_says_why(
    there: Target, tmp_path: Path, values: str, mode: Mode, key: str | None, told: str
) -> None:
    """Problems are counted and named before anything is sent."""
    plan = planning.make(there, wanted(table(tmp_path, values), mode, key))
    assert told in "; ".join(plan.problems)


def test_columns_that_differ_are_named(portal: Running, client: Socrata, tmp_path: Path) -> None:
    """A column of another type, one only here and one only there stop the plan."""
    uid = portal.create(("town", "number"), ("id", "text"), ("extra", "text"), key="id")
    plan = planning.make(Target(portal_of(client), uid), wanted(table(tmp_path, START)))
    assert [problem.partition(" (")[0] for problem in plan.problems] == [
        "town: type differs", "deaths: only here", "extra: only there"
    ]  # fmt: skip
    assert [one.verdict for one in plan.mapping] == ["type differs", "fits", "only here", "only there"]


def test_a_dataset_that_the_portal_lost_is_a_problem(client: Socrata, tmp_path: Path) -> None:
    """An id in portal.yml that leads nowhere is not taken for a first publish."""
    plan = planning.make(Target(portal_of(client), "zzzz-zzzz"), wanted(table(tmp_path, START)))
    assert "the portal has no dataset zzzz-zzzz, which portal.yml names" in plan.problems


def test_what_is_read_back_must_be_what_was_planned(
    portal: Running, there: Target, tmp_path: Path, journal: Journal
) -> None:
    """Somebody else's write between plan and comparison is found, and nothing is called released."""
    ask = wanted(table(tmp_path, "('Norwalk', '03', 1)"), "append", public=False)
    with planning.opened(there, ask) as planned:
        other = [{"town": "Elsewhere", "id": "99", "deaths": "5"}]
        assert portal.ask("POST", f"/resource/{there.dataset_id}.json", json=other).status_code == 200
        with pytest.raises(PublishRefused) as caught:
            sending.send(there, planned, TOKEN, journal)
    assert_text("read-back-differs", caught.value)


def test_other_values_in_as_many_rows_are_found(
    portal: Running, there: Target, tmp_path: Path, journal: Journal
) -> None:
    """Counting rows is not comparing them."""
    ask = wanted(table(tmp_path, "('Hartford', '01', 14)"), "upsert")
    with planning.opened(there, ask) as planned:
        other = [{"id": "02", "town": "Elsewhere"}]
        assert portal.ask("POST", f"/resource/{there.dataset_id}.json", json=other).status_code == 200
        with pytest.raises(PublishRefused, match="2 read; town: 1 cells of other values"):
            sending.send(there, planned, TOKEN, journal)


def test_nothing_is_sent_when_the_portal_has_it_already(
    there: Target, tmp_path: Path, journal: Journal
) -> None:
    """A run that was killed after sending finds its rows there and goes on."""
    ask = wanted(table(tmp_path, START))
    plan = planning.make(there, ask)
    assert plan.before == plan.expected
    assert send(there, ask, TOKEN, journal) == 2
    assert [step["state"] for step in journal.steps(TOKEN)] == ["compared"]


def test_a_table_that_does_not_fit_one_request_goes_by_a_revision(
    portal: Running, there: Target, tmp_path: Path, journal: Journal, client: Socrata
) -> None:
    """All or nothing too, whatever its size."""
    ask = wanted(table(tmp_path, "('Norwalk', '03', 1)"))
    small = Target(SocrataPortal("local", client, one_request_bytes=10), there.dataset_id)
    assert send(small, ask, TOKEN, journal) == 1
    assert rows(portal, there) == [("Norwalk", "03", "1")]
    assert [step["state"] for step in journal.steps(TOKEN)] == [
        "opening", "uploading", "chunk", "applying", "applied", "compared"
    ]  # fmt: skip


def test_a_dataset_can_be_closed_again(there: Target, client: Socrata, tmp_path: Path) -> None:
    """Who may see it is part of what is published."""
    published(there, wanted(table(tmp_path, START), public=False))
    view = client.view(str(there.dataset_id))
    assert view is not None
    assert not view.public


TYPED = tuple(
    Column(name=f"a_{kind}", type=kind, role="plain")  # type: ignore[arg-type]  # the keys are the literal's
    for kind in TYPES
    if kind != "file"
)
FULL = (
    "(' Ünï \"quoted\"\n', '06103', 9007199254740993, -0.000001, 1234.50, 0.10, DATE '1899-12-31', "
    "TIMESTAMP '2020-02-29 23:59:59.999', true, 'https://example.org/a?b=c', 'POINT (-72.685100 41.763700)'), "
    "('-', '0', -1, 0, -0.01, 100, DATE '2020-02-29', TIMESTAMP '1970-01-01', false, 'http://example.org/', "
    "'POINT (0.000000 -41.000000)'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
)


def test_every_type_comes_back_as_it_was_sent(client: Socrata, tmp_path: Path) -> None:
    """The table of types holds in both directions, digit for digit."""
    ask = Wanted("Typed", "", table(tmp_path, FULL, TYPED), TYPED, None, "replace", False)
    there, _ = published(Target(portal_of(client), None), ask)
    found = digest_there(portal_of(client), str(there.dataset_id), TYPED)
    assert found == (3, ask.table.digest)


def test_a_small_number_is_written_without_an_exponent(client: Socrata, tmp_path: Path) -> None:
    """0.000000000001 is not 1E-12 on the way."""
    fine = (Column(name="n", type="number", scale=12, role="plain"),)
    ask = Wanted("Fine", "", table(tmp_path, "(0.000000000001), (0)", fine), fine, None, "replace", False)
    there, _ = published(Target(portal_of(client), None), ask)
    assert digest_there(portal_of(client), str(there.dataset_id), fine) == (
        2,
        ask.table.digest,
    )


def test_a_timestamp_finer_than_the_portals_is_refused(client: Socrata, tmp_path: Path) -> None:
    """Nothing is rounded on the way without being asked."""
    at = (Column(name="moment", type="timestamp", role="plain"),)
    given = table(tmp_path, "(TIMESTAMP '2020-01-01 00:00:00.000001')", at)
    with pytest.raises(PublishRefused, match="finer than the portal's milliseconds"):
        published(Target(portal_of(client), None), Wanted("At", "", given, at, None, "replace", False))


def test_a_kernel_gets_a_plan_without_its_digests(there: Target, tmp_path: Path) -> None:
    """Plain digests stay with the supervisor; the rest travels as JSON."""
    plan = planning.make(there, wanted(table(tmp_path, START)))
    assert plans.plan_from_json(plans.plan_to_json(plan)) == replace(plan, before="", expected="")


def test_a_file_as_a_cell_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """Socrata has a type for documents and no way to write one with its row."""
    scans = (Column(name="scan", type="file", role="plain"),)
    given = table(tmp_path, "('data:image/png;base64,aGVsbG8=')", scans)
    with pytest.raises(PublishRefused, match="not as cells of a row"):
        soda.encode(given)
