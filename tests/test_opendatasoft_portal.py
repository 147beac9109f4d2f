"""Publishing to Opendatasoft, against the embedded portal: pushed or as a file, taken back, read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ods_fixture
import pytest
from ods_fixture import Ods
from portal_fixture import Running, running_portal

from ctnb import digests, tables
from ctnb.clients.opendatasoft import Opendatasoft, push_place
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Metadata
from ctnb.embedded.accounts import add_account
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import PortalFailed, PublishRefused, SettingsInvalid
from ctnb.portals import opendatasoft_records
from ctnb.portals.interface import Change, Condition, Described, Kind, Part, Sent
from ctnb.portals.journal import Journal
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.portals.undoing import Undo
from ctnb.tables import Table
from ctnb.values import TYPES

COLUMNS = (
    Column(name="id", type="code", role="plain", label="Id"),
    Column(name="town", type="text", role="plain", label="Town", description="Where it was."),
    Column(name="n", type="integer", role="measure", label="Number"),
)
BOOTSTRAP = {"id": "0", "town": "x", "n": 1}
START = "('01', 'Andover', 1), ('02', 'Bolton', 2), ('03', NULL, 3)"
CELLS = {
    "text": "'Ünï \"q\"'", "code": "'06103'", "integer": "9007199254740993", "number": "-0.000001",
    "money": "1234.50", "percent": "0.10", "date": "DATE '1899-12-31'",
    "timestamp": "TIMESTAMP '2020-02-29 23:59:59.999'", "boolean": "true", "url": "'https://example.org/a?b=c'",
    "point": "'POINT (-72.685100 41.763700)'", "file": "'data:image/png;base64,aGVsbG8='",
}  # fmt: skip
SAMPLE = {
    "text": "a", "code": "a", "integer": 1, "number": 1.5, "money": 1.5, "percent": 1.5, "date": "2020-01-02",
    "timestamp": "2020-01-02T03:04:05+00:00", "boolean": "true", "url": "https://example.org", "point": "41.0,-72.0",
    "file": {"content": "aGVsbG8=", "content-type": "image/png"},
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running embedded portal."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def key(running: Running) -> str:
    """An API key that may publish."""
    return add_api_key(running.file, running.key_id)


@dataclass
class Place:
    """A dataset as ctnb publishes to it."""

    portal: OpendatasoftPortal
    dataset_id: str
    journal: Journal
    folder: Path
    key: tuple[str, ...]
    columns: tuple[Column, ...] = COLUMNS

    def table(self, rows: str, columns: Sequence[Column] | None = None) -> Table:
        """A table of SQL rows."""
        columns = columns or self.columns
        names = ", ".join(column.name for column in columns)
        with tables.connect() as connection:
            query = f"SELECT * FROM (VALUES {rows}) t({names})"
            return tables.write(connection, query, columns, self.folder / "table.parquet")

    def change(
        self, kind: Kind, rows: str, token: str = "token", columns: Sequence[Column] | None = None
    ) -> Change:
        """A change of the dataset."""
        return Change(kind, self.table(rows, columns), self.columns, self.key, token)

    def send(
        self, kind: Kind, rows: str, token: str = "token", columns: Sequence[Column] | None = None
    ) -> Sent:
        """Send a change."""
        return self.portal.send(self.dataset_id, self.change(kind, rows, token, columns), self.journal)

    def rows(self) -> list[tuple[object, ...]]:
        """What the portal has, sorted."""
        with tables.connect() as connection:
            lost = self.portal.load(self.dataset_id, self.columns, connection, "there")
            assert lost == 0
            return connection.execute("SELECT * FROM there ORDER BY ALL").fetchall()


def client(running: Running, key: str) -> Opendatasoft:
    """A client that is quick to look again."""
    return Opendatasoft(running.url, key, pause_s=0.01, poll_s=0.02, process_s=20)


def pushed(running: Running, key: str, folder: Path, *ids: str, slug: str = "towns") -> tuple[Place, Ods]:
    """A dataset with a realtime source."""
    made = ods_fixture.realtime(
        running, BOOTSTRAP, *ids, dataset_id=f"{slug}-{folder.name[-12:].strip('_-')}", restricted=True
    )
    where, _, push_key = (running.url + made.push_path).partition("?pushkey=")
    portal = OpendatasoftPortal(
        "city", client(running, key), push_place(where, push_key), visible_s=20, poll_s=0.02
    )
    for column in COLUMNS:
        made.type(column.name, TYPES[column.type].opendatasoft)
    made.publish()
    return Place(portal, made.uid, Journal(folder / "city.jsonl"), folder, ids), made


@pytest.fixture
def keyed(running: Running, key: str, tmp_path: Path) -> Place:
    """A realtime dataset whose records are told apart by id."""
    return pushed(running, key, tmp_path, "id", slug="keyed")[0]


@pytest.fixture
def bare(running: Running, key: str, tmp_path: Path) -> Place:
    """A realtime dataset whose records are told apart by all their values."""
    return pushed(running, key, tmp_path, slug="bare")[0]


@pytest.fixture
def filed(running: Running, key: str, tmp_path: Path) -> Place:
    """A dataset that ctnb creates, whose rows are a file."""
    portal = OpendatasoftPortal("city", client(running, key), visible_s=20, poll_s=0.02)
    made = portal.create(Described("Towns, as a file", "", COLUMNS, (), Metadata()), f"token of {tmp_path}")
    return Place(portal, made, Journal(tmp_path / "city.jsonl"), tmp_path, ())


ALL = [("01", "Andover", 1), ("02", "Bolton", 2), ("03", None, 3)]


def test_rows_come_back_as_they_were_pushed(keyed: Place) -> None:
    """An empty cell stays one; a code keeps its zero."""
    sent = keyed.send("replace", START)
    assert (sent.rows, sent.requests) == (3, 1)
    assert keyed.rows() == ALL


def test_a_replace_is_sent_as_the_difference(keyed: Place) -> None:
    """One changed, one new, one gone: two records pushed and one deleted."""
    keyed.send("replace", START)
    sent = keyed.send("replace", "('01', 'Andover', 1), ('02', 'Bolton', 9), ('04', 'Canton', 4)", "other")
    assert (sent.rows, sent.requests) == (3, 2)
    assert keyed.rows() == [("01", "Andover", 1), ("02", "Bolton", 9), ("04", "Canton", 4)]


def test_upsert_overwrites_by_unique_id_and_delete_needs_the_key_alone(keyed: Place) -> None:
    """A record is replaced whole; what is deleted is written as it was pushed."""
    keyed.send("replace", START)
    keyed.send("upsert", "('02', NULL, 7), ('05', 'Durham', 5)", "second")
    assert keyed.rows() == [("01", "Andover", 1), ("02", None, 7), ("03", None, 3), ("05", "Durham", 5)]
    keyed.send("delete", "('01'), ('03')", "third", COLUMNS[:1])
    assert keyed.rows() == [("02", None, 7), ("05", "Durham", 5)]


def test_without_a_unique_id_a_changed_row_leaves_no_ghost(bare: Place) -> None:
    """All values make the identity: the old record is deleted as it was pushed."""
    bare.send("replace", START)
    bare.send("replace", "('01', 'Andover', 1), ('02', 'Bolton', 9)", "other")
    assert bare.rows() == [("01", "Andover", 1), ("02", "Bolton", 9)]


def test_rows_that_repeat_are_refused_where_the_portal_would_keep_one(bare: Place) -> None:
    """Nothing is sent; the count is said."""
    with pytest.raises(PublishRefused, match="1 rows repeat others"):
        bare.send("append", "('01', 'Andover', 1), ('01', 'Andover', 1)")
    assert bare.rows() == []


def test_the_same_change_sent_again_sends_nothing(keyed: Place) -> None:
    """What is there already is found by comparing."""
    keyed.send("replace", START)
    assert keyed.send("replace", START).already


def test_a_file_is_uploaded_processed_and_switched_in(filed: Place) -> None:
    """A dataset without a realtime source: each change is the whole file."""
    assert filed.rows() == []
    filed.send("replace", START)
    assert filed.rows() == ALL
    filed.send("append", "('04', 'Canton', 4)", "more")
    assert filed.rows() == [*ALL, ("04", "Canton", 4)]
    assert len(filed.portal.client.resources(filed.dataset_id)) == 1


def test_a_dataset_is_found_again_by_its_token(filed: Place) -> None:
    """After a kill between creating it and writing its id down, it is not made twice."""
    assert filed.portal.find(f"token of {filed.folder}") == filed.dataset_id
    assert filed.portal.find("another token") is None


def test_what_the_portal_says_of_a_dataset(filed: Place) -> None:
    """Private until it is opened; fields, counts, version and words as they are there."""
    before = filed.portal.there(filed.dataset_id)
    assert before is not None
    assert (before.rows, before.public, [one.type for one in before.fields]) == (
        0,
        False,
        ["text", "text", "int"],
    )
    filed.send("replace", START)
    words = Metadata(tags=("towns",), attribution="Office", license="CC BY 4.0", category="Health")
    filed.portal.describe(filed.dataset_id, Described("Towns", "Of the state", COLUMNS, (), words))
    filed.portal.set_public(filed.dataset_id, True)
    there = filed.portal.there(filed.dataset_id)
    assert there is not None
    assert (there.rows, there.public, there.title) == (3, True, "Towns")
    assert [(one.name, one.title, one.type) for one in there.fields][1] == ("town", "Town", "text")
    assert there.described["license"] == "CC BY 4.0"
    assert there.described["tags"] == ("towns",)
    assert there.version > before.version


def test_a_licence_that_the_portal_does_not_know_is_refused_by_name(filed: Place) -> None:
    """Its own words for licences are listed."""
    with pytest.raises(PublishRefused, match="does not know the license"):
        filed.portal.describe(filed.dataset_id, Described("Towns", "", COLUMNS, (), Metadata(license="Mine")))


def test_a_summary_is_computed_by_the_portal(keyed: Place) -> None:
    """Counts, empty cells and sums, without handing out rows."""
    keyed.send("replace", START)
    found = keyed.portal.summary(keyed.dataset_id, COLUMNS)
    assert (found.rows, dict(found.empty), dict(found.totals)) == (3, {"id": 0, "town": 1, "n": 0}, {"n": 6})


def test_every_type_comes_back_as_it_was_pushed(running: Running, key: str, tmp_path: Path) -> None:
    """The table of types holds in both directions, files too."""
    typed = tuple(Column(name=f"a_{kind}", type=kind, role="plain") for kind in TYPES)  # type: ignore[arg-type]  # the keys are the literal's
    made = ods_fixture.realtime(
        running, {f"a_{kind}": SAMPLE[kind] for kind in TYPES}, dataset_id="typed", published=False
    )
    for column in typed:
        made.type(column.name, TYPES[column.type].opendatasoft)
    made.publish()
    where, _, push_key = (running.url + made.push_path).partition("?pushkey=")
    portal = OpendatasoftPortal(
        "city", client(running, key), push_place(where, push_key), visible_s=20, poll_s=0.02
    )
    place = Place(portal, made.uid, Journal(tmp_path / "city.jsonl"), tmp_path, (), typed)
    rows = f"({', '.join(CELLS[kind] for kind in TYPES)}), ({', '.join('NULL' for _ in TYPES)})"
    change = place.change("replace", rows)
    portal.send(made.uid, change, place.journal)
    with tables.connect() as connection:
        assert portal.load(made.uid, typed, connection, "there") == 0
        assert digests.of_table(connection, "there", change.table.kinds) == change.table.digest


def test_pushes_are_split_below_the_limit(keyed: Place) -> None:
    """Each body is smaller than the portal takes; together they are all rows."""
    rows = ", ".join(f"('{n:05}', '{'x' * 100}', {n})" for n in range(100))
    with tables.connect() as connection:
        tables.load(connection, keyed.table(rows), "data")
        bodies = list(opendatasoft_records.bodies(connection, "data", COLUMNS, 5_000))
    assert sum(number for number, _ in bodies) == 100
    assert max(len(body) for _, body in bodies) <= 5_000
    assert len(bodies) > 2


def test_a_record_that_no_push_holds_is_told_by_count_and_column(keyed: Place) -> None:
    """Never by its value; nothing is sent."""
    with pytest.raises(PublishRefused, match=r"town: 1 rows are larger than 4\.5 MB") as refused:
        keyed.send("replace", f"('01', '{'y' * 4_600_000}', 1), ('02', 'Bolton', 2)")
    assert "yyy" not in str(refused.value)
    assert keyed.rows() == []


def test_numbers_that_no_double_keeps_are_refused(running: Running, key: str, tmp_path: Path) -> None:
    """Digits are not lost without a word."""
    fine = (Column(name="n", type="number", scale=6, role="plain"),)
    place = Place(
        OpendatasoftPortal("city", client(running, key)), "", Journal(tmp_path / "j"), tmp_path, (), fine
    )
    with tables.connect() as connection:
        tables.load(connection, place.table("(123456789012.345678), (0.1)"), "data")
        assert opendatasoft_records.misfits(connection, "data", fine) == [
            "n: 1 numbers have more digits than the portal's doubles keep"
        ]


def test_a_change_that_broke_off_is_taken_back(keyed: Place) -> None:
    """Half of it had arrived: the old rows come back and the new ones go, before anything else is planned."""
    keyed.send("replace", START)
    half = keyed.change(
        "replace", "('01', 'Andover', 8), ('09', 'Weston', 9), ('10', 'Wilton', 10)", "broken"
    )
    with tables.connect() as connection:
        tables.load(connection, half.table, "expected")
        keyed.portal.load(keyed.dataset_id, COLUMNS, connection, "there")
        connection.execute("CREATE TABLE came AS SELECT * FROM expected EXCEPT ALL SELECT * FROM there")
        connection.execute("CREATE TABLE gone AS SELECT * FROM there EXCEPT ALL SELECT * FROM expected")
        kinds = half.table.kinds
        before, after = (digests.of_table(connection, name, kinds) for name in ("there", "expected"))
        Undo.write(keyed.journal, connection, half, before=before, expected=after)
        first = next(opendatasoft_records.bodies(connection, "(SELECT * FROM came WHERE n < 10)", COLUMNS))
    assert keyed.portal.place is not None
    keyed.portal.client.push(keyed.portal.place, first[1])
    assert ("09", "Weston", 9) in keyed.rows()
    keyed.portal.settle(keyed.dataset_id, keyed.journal)
    assert keyed.rows() == ALL
    assert Undo.of(keyed.journal) is None
    assert (keyed.journal.last("broken") or {})["state"] == "taken back"


def test_a_push_that_is_disabled_or_with_a_wrong_key_fails_without_its_address(
    running: Running, key: str, tmp_path: Path
) -> None:
    """The key stands in no message."""
    place, made = pushed(running, key, tmp_path, "id", slug="off")
    assert made.ask("POST", f"resources/{made.resource}/disable/").status_code == 200
    with pytest.raises(PortalFailed, match="status 403"):
        place.send("replace", START)
    assert place.portal.place is not None
    wrong = push_place(place.portal.place.url, "f" * 56)
    with pytest.raises(PortalFailed, match="status 401") as failed:
        place.portal.client.push(wrong, b"[]")
    assert "f" * 56 not in f"{failed.value!r} {failed.value.__cause__!r} {failed.value.__context__!r}"


@pytest.mark.parametrize(
    "told", ["https://x.example/explore/dataset/a/", "http://x.example/api/push/1.0/a/realtime/push/", "x"]
)
def test_what_is_no_push_address_is_refused(told: str) -> None:
    """Neither is one that would send the key in the clear."""
    with pytest.raises(SettingsInvalid):
        push_place(told, "k")


def test_an_address_without_its_slash_becomes_the_one_with_it() -> None:
    """A redirected push would lose its records."""
    made = push_place("https://x.example/api/push/1.0/a/realtime/push?pushkey=no", "k")
    assert made.url == "https://x.example/api/push/1.0/a/realtime/"


def test_a_filtered_view_is_an_address_that_the_portal_answers(keyed: Place) -> None:
    """It keeps no views, but filters by what stands in the address."""
    keyed.send("replace", START)
    few = Part(
        "Few", (Condition(COLUMNS[2], "<=", ("2",)), Condition(COLUMNS[1], "=", ("Andover", "Canton")))
    )
    assert (
        keyed.portal.show(keyed.dataset_id, [few], {}) == {}
    )  # an address holds cells of rows that nobody may read
    keyed.portal.set_public(keyed.dataset_id, True)
    shown = keyed.portal.show(keyed.dataset_id, [few], {})
    answer = keyed.portal.client._session.get(
        keyed.portal.url + shown["Few"], headers=keyed.portal.client._headers, timeout=30
    )
    assert [row["id"] for row in answer.json()["results"]] == ["01"]


def test_readers_of_a_private_dataset_are_exactly_those_named(running: Running, filed: Place) -> None:
    """Somebody who is no longer named may not read it any more."""
    add_account(running.file, "Rita Reader", "viewer", mail="rita@example.org", password="pw-Rita-12345")
    filed.portal.share(filed.dataset_id, ["rita@example.org"])
    filed.portal.share(filed.dataset_id, ["rita@example.org"])
    there = filed.portal.there(filed.dataset_id)
    assert there is not None
    assert there.audience == ("1 account it is shared with",)  # never a mail address: run.json keeps it
    filed.portal.share(filed.dataset_id, [])
    after = filed.portal.there(filed.dataset_id)
    assert after is not None
    assert after.audience == ()


def test_a_field_that_only_the_portal_has_stops_a_push(keyed: Place) -> None:
    """Records are replaced whole: it would be emptied."""
    keyed.send("replace", START)
    fewer = Place(keyed.portal, keyed.dataset_id, keyed.journal, keyed.folder, keyed.key, COLUMNS[:2])
    with pytest.raises(PublishRefused, match="1 fields that the contract does not have"):
        fewer.send("upsert", "('01', 'Weston')")


def test_a_file_gets_new_columns_and_a_realtime_source_does_not(filed: Place, keyed: Place) -> None:
    """The fields of a realtime source are those of its bootstrap data."""
    more = (*COLUMNS, Column(name="year", type="integer", role="plain"))
    filed.send("replace", START)
    filed.portal.add_fields(filed.dataset_id, more[3:], filed.journal)
    wider = Place(filed.portal, filed.dataset_id, filed.journal, filed.folder, (), more)
    wider.send("append", "('04', 'Canton', 4, 2020)", "more")
    assert wider.rows() == [*((*row, None) for row in ALL), ("04", "Canton", 4, 2020)]
    with pytest.raises(PublishRefused, match="own pages alone: year"):
        keyed.portal.add_fields(keyed.dataset_id, more[3:], keyed.journal)


def test_the_certificates_under_ca_file_are_trusted(tmp_path: Path) -> None:
    """A portal with an agency's own certificate is reached by them, and refused with what to do without them."""
    with running_portal(tmp_path, "--tls") as running:
        key = add_api_key(running.file, running.key_id)
        trusted = running.file.with_suffix(".certificate.pem")
        found = Opendatasoft(running.url, key, ca_file=trusted).dataset("nothing")
        with pytest.raises(PortalFailed) as failed:
            Opendatasoft(running.url, key, pause_s=0).dataset("nothing")
    assert (found, "ca_file:" in (failed.value.hint or "")) == (None, True)
