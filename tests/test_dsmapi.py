"""Sending by draft revisions, against the embedded portal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from portal_fixture import Running, running_portal

from ctnb import digests, tables
from ctnb.clients.dsmapi import Dsmapi
from ctnb.clients.socrata import Credentials, Socrata
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Metadata
from ctnb.embedded.accounts import add_account
from ctnb.errors import ApprovalAwaited, PublishRefused
from ctnb.portals import revisions, uploads
from ctnb.portals.interface import Change, Described, Kind
from ctnb.portals.journal import Journal
from ctnb.portals.socrata import SocrataPortal
from ctnb.tables import Table

COLUMNS = (
    Column(name="town", label="Town", type="text", role="plain", description="A town."),
    Column(name="id", label="Id", type="code", role="plain"),
    Column(name="deaths", label="Deaths", type="integer", role="measure"),
)
START = "('Hartford', '01', 12), ('New Haven', '02', NULL)"
NUMBERS = itertools.count()
SOCRATA_TYPES = (
    "text", "code", "integer", "number", "money", "percent", "date", "timestamp", "boolean", "url", "point"
)  # fmt: skip
TYPED = tuple(Column(name=f"a_{kind}", type=kind, role="plain") for kind in SOCRATA_TYPES)  # type: ignore[arg-type]  # the keys are the literal's
FULL = (
    "(' Ünï \"quoted\"\n', '06103', 9007199254740993, -0.000001, 1234.50, 0.10, DATE '1899-12-31', "
    "TIMESTAMP '2020-02-29 23:59:59.999', true, 'https://example.org/a?b=c', 'POINT (-72.685100 41.763700)'), "
    "('-', '0', -1, 0, -0.01, 100, DATE '2020-02-29', TIMESTAMP '1970-01-01', false, 'http://example.org/', "
    "'POINT (0.000000 -41.000000)'), "
    "('', '', 1, 1, 1, 1, NULL, NULL, NULL, NULL, NULL), (',', 'a\rb', 1, 1, 1, 1, NULL, NULL, NULL, NULL, NULL), "
    "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for all tests here; each makes datasets of its own."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


def portal_at(running: Running, one_request_bytes: int = 0) -> SocrataPortal:
    """The portal as publishing knows it; by default no table fits one request."""
    client = Socrata(running.url, Credentials(running.key_id, running.key_secret))
    return SocrataPortal("local", client, one_request_bytes=one_request_bytes)


@pytest.fixture
def portal(running: Running) -> SocrataPortal:
    """A portal that takes no row in a request."""
    return portal_at(running)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty journal."""
    return Journal(tmp_path / "sending.jsonl")


def table(folder: Path, values: str, columns: tuple[Column, ...] = COLUMNS) -> Table:
    """A table of the SQL rows `values`."""
    names = ", ".join(column.name for column in columns)
    with tables.connect() as connection:
        query = f"SELECT * FROM (VALUES {values}) AS given({names})"
        return tables.write(connection, query, columns, folder / f"{next(NUMBERS)}.parquet")


def dataset(portal: SocrataPortal, columns: tuple[Column, ...] = COLUMNS, key: tuple[str, ...] = ()) -> str:
    """A new, empty dataset."""
    described = Described("Sample", "Invented", columns, key, Metadata())
    return portal.create(described, f"creation-{next(NUMBERS)}")


def change(of: Table, kind: Kind = "replace", key: tuple[str, ...] = (), token: str = "") -> Change:
    """A change with a token of its own."""
    return Change(kind, of, of.columns, key, token or f"token-{next(NUMBERS)}")


def rows(running: Running, uid: str) -> list[tuple[object, ...]]:
    """What the portal has, by identifier."""
    return [(row.get("town"), row["id"], row.get("deaths")) for row in running.rows(uid, order="id")]


def digest(portal: SocrataPortal, uid: str, columns: tuple[Column, ...]) -> str:
    """The content digest of what the portal has."""
    with tables.connect() as connection:
        assert portal.load(uid, columns, connection, "there") == 0
        return digests.of_table(connection, "there", [(c.name, c.kind) for c in columns])


def test_every_type_comes_back_as_it_was_sent(
    portal: SocrataPortal, tmp_path: Path, journal: Journal
) -> None:
    """By CSV and transforms too the table of types holds digit for digit, and an empty text is not null."""
    uid, given = dataset(portal, TYPED), table(tmp_path, FULL, TYPED)
    sent = portal.send(uid, change(given), journal)
    assert (sent.rows, sent.already, sent.reference) == (5, False, "0")
    assert digest(portal, uid, TYPED) == given.digest


def test_rows_are_appended_without_a_row_identifier(
    portal: SocrataPortal, running: Running, tmp_path: Path, journal: Journal
) -> None:
    """Each change adds its rows, and the same change with the same token only once."""
    uid = dataset(portal)
    first = change(table(tmp_path, START), "append")
    assert not portal.send(uid, first, journal).already
    assert portal.send(uid, first, journal).already
    portal.send(uid, change(table(tmp_path, START), "append"), journal)
    assert [row[1] for row in rows(running, uid)] == ["01", "01", "02", "02"]


def test_an_append_without_a_key_goes_by_a_revision_however_small(
    running: Running, tmp_path: Path, journal: Journal
) -> None:
    """A request that is lost could not be told from one that was not; a revision is found by its notes."""
    portal = portal_at(running, 1 << 20)
    uid = dataset(portal)
    assert portal.send(uid, change(table(tmp_path, START), "append"), journal).reference == "0"
    assert portal.send(uid, change(table(tmp_path, START)), journal).reference == ""
    assert len(rows(running, uid)) == 2


def test_rows_are_changed_and_deleted_by_their_key(
    portal: SocrataPortal, running: Running, tmp_path: Path, journal: Journal
) -> None:
    """Upsert clears with an empty cell; delete takes the key alone; the row identifier stays."""
    uid = dataset(portal, key=("id",))
    portal.send(uid, change(table(tmp_path, START), "replace", ("id",)), journal)
    more = table(tmp_path, "(NULL, '01', 13), ('Norwalk', '03', 1)")
    portal.send(uid, change(more, "upsert", ("id",)), journal)
    assert rows(running, uid) == [(None, "01", "13"), ("New Haven", "02", None), ("Norwalk", "03", "1")]
    gone = table(tmp_path, "('02'), ('03')", COLUMNS[1:2])
    portal.send(uid, change(gone, "delete", ("id",)), journal)
    assert rows(running, uid) == [(None, "01", "13")]
    there = portal.there(uid)
    assert there is not None
    assert there.key == ("id",)


def test_cells_that_do_not_convert_are_counted_and_nothing_is_applied(
    portal: SocrataPortal, running: Running, tmp_path: Path, journal: Journal
) -> None:
    """Errors are read before anything is applied; the message names columns and counts, never a cell."""
    uid = dataset(portal, (COLUMNS[0], COLUMNS[1], Column(name="place", type="url", role="plain")))
    wrong = (COLUMNS[1], Column(name="place", type="point", role="plain"))
    given = table(tmp_path, "('01', 'POINT (Xanthippe Quill)'), ('02', 'POINT (1.000000 2.000000)')", wrong)
    with pytest.raises(PublishRefused) as caught:
        portal.send(uid, change(given, "append"), journal)
    assert caught.value.what == "The portal would set rows aside: 1 cells of place."
    assert running.rows(uid) == []
    assert Dsmapi(portal.client.exchange).revisions(uid, still_open=True) == []


def test_texts_alone_are_between_quotes(tmp_path: Path) -> None:
    """Quotes around numbers, dates and yes or no are bytes for nothing; numbers never get an exponent."""
    small = Column(name="small", type="number", role="plain", scale=12)
    given = table(tmp_path, f"{FULL.split('), ')[0]}, 0.000000000001)", (*TYPED, small))
    lines = b"".join(uploads.prepare(given).chunks(1000)).decode().split("\n", 1)[1]
    assert lines == (
        '" Ünï ""quoted""\n","06103",9007199254740993,-0.000001,1234.50,0.10,1899-12-31,"2020-02-29T23:59:59.999",'
        'true,"https://example.org/a?b=c","POINT (-72.685100 41.763700)","0.000000000001"\n'
    )


def test_a_large_table_goes_in_chunks_of_bounded_size(tmp_path: Path) -> None:
    """The pieces are as long as asked for and the same each time, whatever the rows are."""
    with tables.connect() as connection:
        query = "SELECT 'Town ' || i AS town, 'c' || i AS id, i AS deaths FROM range(60000) AS r(i)"
        given = tables.write(connection, query, COLUMNS, tmp_path / "large.parquet")
    upload = uploads.prepare(given)
    pieces = list(upload.chunks(100_000))
    assert {len(piece) for piece in pieces[:-1]} == {100_000}
    whole = b"".join(pieces)
    assert whole == b"".join(upload.chunks(777_777))
    lines = whole.decode().splitlines()
    assert (lines[0], lines[1], lines[60000]) == (
        '"town","id","deaths"', '"Town 0","c0",0', '"Town 59999","c59999",59999'
    )  # fmt: skip


def test_a_sign_that_stands_for_an_empty_text_is_refused(tmp_path: Path) -> None:
    """It could not be told from an empty text on the portal."""
    with pytest.raises(PublishRefused, match="Texts of town are a sign"):
        uploads.prepare(table(tmp_path, f"('{uploads.EMPTY_TEXT}', '1', 1)"))


def test_a_timestamp_finer_than_the_portals_is_refused(tmp_path: Path) -> None:
    """Nothing is rounded on the way without being asked."""
    at = (Column(name="moment", type="timestamp", role="plain"),)
    with pytest.raises(PublishRefused, match="Timestamps of moment are finer"):
        uploads.prepare(table(tmp_path, "(TIMESTAMP '2020-01-01 00:00:00.000001')", at))


def test_an_upload_goes_on_where_it_broke_off(
    portal: SocrataPortal, running: Running, tmp_path: Path, journal: Journal
) -> None:
    """Chunks that had arrived are not sent again; what came of them is whole."""
    uid, given = dataset(portal), change(table(tmp_path, START), "append")
    dsmapi = Dsmapi(portal.client.exchange)
    revision = dsmapi.open(uid, "update", revisions.NOTES + given.token)
    source = dsmapi.add_source(revision, "rows.csv")
    dsmapi.initiate(source, uploads.CONTENT_TYPE)
    pieces = list(uploads.prepare(given.table).chunks(10))
    facts = {"chunk_bytes": 10, "parallel": 2, "file": uploads.file_of(given.table)}
    journal.note(given.token, "uploading", revision=revision.seq, source=source.id, **facts)
    for number, piece in enumerate(pieces[:2]):
        path = f"/api/publishing/v1/source/{source.id}/chunk/{number}/{10 * number}"
        assert running.ask("POST", path, data=piece).status_code == 200
        journal.note(given.token, "chunk", source=source.id, number=number)
    sent = portal.send(uid, given, journal)
    assert (sent.requests, sent.bytes) == (len(pieces) - 2, sum(map(len, pieces[2:])))
    assert [row[1] for row in rows(running, uid)] == ["01", "02"]


def test_an_upload_that_the_portal_lost_is_begun_anew(
    portal: SocrataPortal, running: Running, tmp_path: Path, journal: Journal
) -> None:
    """What the journal says had arrived and is not there any more is sent again."""
    uid, given = dataset(portal), change(table(tmp_path, START), "append")
    dsmapi = Dsmapi(portal.client.exchange)
    revision = dsmapi.open(uid, "update", revisions.NOTES + given.token)
    source = dsmapi.add_source(revision, "rows.csv")
    dsmapi.initiate(source, uploads.CONTENT_TYPE)
    facts = {"chunk_bytes": 10, "parallel": 2, "file": uploads.file_of(given.table)}
    journal.note(given.token, "uploading", revision=revision.seq, source=source.id, **facts)
    journal.note(given.token, "chunk", source=source.id, number=0)
    portal.send(uid, given, journal)
    assert [row[1] for row in rows(running, uid)] == ["01", "02"]


def test_older_drafts_are_discarded_before_a_newer_change(
    portal: SocrataPortal, running: Running, tmp_path: Path, journal: Journal
) -> None:
    """A draft that a killed run left would put older rows in the place of newer ones, were it applied later."""
    uid = dataset(portal)
    dsmapi = Dsmapi(portal.client.exchange)
    left = dsmapi.open(uid, "replace", revisions.NOTES + "an-older-token")
    other = dsmapi.open(uid, "replace", "Somebody else's draft")
    portal.send(uid, change(table(tmp_path, START)), journal)
    still_open = [one.seq for one in dsmapi.revisions(uid, still_open=True)]
    assert still_open == [other.seq]
    assert dsmapi.revision(uid, left.seq).closed


def test_a_portal_that_asks_for_approval_is_waited_for(tmp_path: Path, journal: Journal) -> None:
    """The change is submitted once, and told as waiting until the approver applies it; that is waited for, too."""
    with running_portal(tmp_path, "--approval") as running:
        portal = portal_at(running)
        uid, given = dataset(portal), change(table(tmp_path, START), "append")
        for _ in range(2):
            with pytest.raises(ApprovalAwaited, match=r"Revision 0 of .* was submitted"):
                portal.send(uid, given, journal)
        assert rows(running, uid) == []
        assert [step["state"] for step in journal.steps(given.token)].count("submitted") == 1
        approver = add_account(running.file, "Ada Approver", "publisher")
        (waits,) = running.ask("GET", f"/api/views/{uid}/approvals?status=pending").json()
        outcome = f"/api/views/{uid}/approvals/{waits['id']}?method=updateOutcomeEnd&status=approved"
        assert requests.put(running.url + outcome, auth=approver, timeout=60).ok
        portal.settle(uid, journal)
        assert len(rows(running, uid)) == 2
        assert portal.send(uid, given, journal).already


def test_words_are_changed_without_losing_others(portal: SocrataPortal, running: Running) -> None:
    """Nested metadata is written whole, with what other programs keep in it; column words too."""
    uid = dataset(portal)
    theirs = {"custom_fields": {"Agency": {"Name": "OPM"}, "Details": {"Update Frequency": "Daily"}}}
    kept = running.ask("GET", f"/api/views/{uid}.json").json()["metadata"]["custom_fields"]
    theirs["custom_fields"] |= kept
    assert running.ask("PUT", f"/api/views/{uid}.json", json={"metadata": theirs}).status_code == 200
    words = Metadata(
        category="Health", tags=("a", "b"), row_label="Death", license="Public Domain", attribution="OPM",
        contact="data@example.org", update_frequency="Monthly",
    )  # fmt: skip
    columns = (Column(name="town", label="Name of the town", type="text", description="Where."), *COLUMNS[1:])
    portal.describe(uid, Described("New title", "New words", columns, (), words))
    there = portal.there(uid)
    assert there is not None
    assert there.described == {
        "title": "New title", "description": "New words", "category": "Health", "tags": ("a", "b"),
        "row_label": "Death", "license": "Public Domain", "attribution": "OPM", "contact": "data@example.org",
        "update_frequency": "Monthly",
    }  # fmt: skip
    assert (there.fields[0].title, there.fields[0].description) == ("Name of the town", "Where.")
    said = running.ask("GET", f"/api/views/{uid}.json").json()["metadata"]["custom_fields"]
    assert (said["Agency"], said["Details"]) == ({"Name": "OPM"}, {"Update Frequency": "Monthly"})


def test_a_dataset_is_found_by_the_token_of_its_creation(portal: SocrataPortal, running: Running) -> None:
    """Also when the process died before it was published; it is never made twice."""
    described = Described("Sample", "", COLUMNS, (), Metadata())
    assert portal.find("a-token-of-creation") is None
    uid = portal.create(described, "a-token-of-creation")
    assert portal.find("a-token-of-creation") == uid
