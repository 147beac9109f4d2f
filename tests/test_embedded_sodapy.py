"""sodapy 2.2.0, unmodified and over plain HTTP, against the embedded portal: its behaviours S1 to S26."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from faults import Fault, faulty
from portal_fixture import Running, running_portal

from ctnb.embedded.accounts import add_account, add_app_token, add_oauth_token

pytestmark = pytest.mark.servers
MAIL, PASSWORD = "soda@agency.example", "a long enough password"
ROWS = 1234


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal that fails on demand, with a publisher who signs in by mail address and password."""
    with running_portal(tmp_path_factory.mktemp("portal"), "--faults") as running:
        add_account(running.file, "Soda", "publisher", mail=MAIL, password=PASSWORD)
        yield running


def connect(portal: Running, token: str | None = None, **signed: Any) -> Any:
    """sodapy, told by its own option to speak http; its warning about tokens is no failure."""
    from requests.adapters import HTTPAdapter
    from sodapy import Socrata

    domain = portal.url.removeprefix("http://")
    adapter = {"prefix": "http://", "adapter": HTTPAdapter()}
    return Socrata(domain, token, session_adapter=adapter, **signed)


@pytest.fixture(scope="module")
def client(portal: Running) -> Iterator[Any]:
    """Signed in as the publisher, with an app token, as a context manager."""
    with connect(portal, add_app_token(portal.file), username=MAIL, password=PASSWORD) as signed:
        yield signed


@pytest.fixture(scope="module")
def anybody(portal: Running) -> Any:
    """Nobody in particular."""
    return connect(portal)


@pytest.fixture(scope="module")
def songs(portal: Running) -> str:
    """A public dataset of 1,234 songs with a row identifier."""
    columns = (("id", "number"), ("name", "text"), ("plays", "number"), ("place", "point"))
    uid = portal.create(*columns, key="id", public=True, name="Songs")
    lines = "".join(f"{n},Song {n:04},{n % 10},POINT (-72.{n % 9} 41.5)\n" for n in range(ROWS))
    headers = {"Content-Type": "text/csv"}
    path, body = f"/resource/{uid}.json", f"id,name,plays,place\n{lines}".encode()
    assert portal.ask("POST", path, data=body, headers=headers).json()["Rows Created"] == ROWS
    return uid


@pytest.fixture
def towns(portal: Running) -> str:
    """A public dataset of three towns that a test may change."""
    uid = portal.create(("id", "number"), ("town", "text"), key="id", public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"id": n, "town": f"Town {n}"} for n in (1, 2, 3)])
    return uid


def test_s1_get_gives_a_thousand_rows(anybody: Any, songs: str) -> None:
    """A list of dicts, numbers as text."""
    found = anybody.get(songs)
    assert (len(found), {type(row) for row in found}) == (1000, {dict})
    assert {type(row["plays"]) for row in found} == {str}


def test_s2_get_takes_where_order_limit_and_the_rest(anybody: Any, songs: str) -> None:
    """Clauses, plain filters and a whole query."""
    found = anybody.get(songs, where="plays > 7", order="id DESC", limit=5, select="id, plays")
    assert [row["id"] for row in found] == ["1229", "1228", "1219", "1218", "1209"]
    assert anybody.get(songs, id=7, select="name") == [{"name": "Song 0007"}]
    assert anybody.get(songs, q="0042", select="id") == [{"id": "42"}]
    grouped = anybody.get(songs, select="plays, count(*) as n", group="plays", order="plays", limit=1)
    assert grouped == [{"plays": "0", "n": "124"}]
    assert anybody.get(songs, query="SELECT max(id) AS top WHERE plays = 3") == [{"top": "1233"}]
    assert len(anybody.get(songs, offset=1200, order=":id")) == 34
    shown = anybody.get(songs, limit=1, exclude_system_fields=False)[0]
    assert {":id", ":created_at", ":updated_at"} <= set(shown)


def test_s3_csv_is_a_list_of_lists(anybody: Any, songs: str) -> None:
    """A header and 1,000 rows."""
    found = anybody.get(songs, content_type="csv", order="id")
    assert (found[0], len(found)) == (["id", "name", "plays", "place"], 1001)
    assert found[1] == ["0", "Song 0000", "0", "POINT (-72 41.5)"]


def test_s4_geojson_is_a_feature_collection(anybody: Any, songs: str) -> None:
    """One feature for each row."""
    found = anybody.get(songs, content_type="geojson", limit=2, order="id")
    assert (found["type"], len(found["features"])) == ("FeatureCollection", 2)
    assert found["features"][1]["geometry"] == {"type": "Point", "coordinates": [-72.1, 41.5]}


def test_s5_one_row_is_a_dict(anybody: Any, songs: str) -> None:
    """By its row identifier."""
    assert anybody.get(f"{songs}/7")["name"] == "Song 0007"


def test_s6_an_unknown_dataset_is_not_found(anybody: Any) -> None:
    """The exception carries the status and the server's words."""
    with pytest.raises(requests.HTTPError) as raised:
        anybody.get("songs")
    assert str(raised.value).startswith("404 Client Error: Not Found")
    assert raised.value.response.json()["code"] == "dataset.missing"


def test_s7_get_all_yields_every_row_once(anybody: Any, songs: str) -> None:
    """Page by page without an order of its own, until a short page."""
    assert sorted(int(row["id"]) for row in anybody.get_all(songs)) == list(range(ROWS))
    assert len(list(anybody.get_all(songs, limit=500, where="plays < 5"))) == 619


def test_s8_a_full_last_page_is_followed_by_an_empty_one(portal: Running, anybody: Any, songs: str) -> None:
    """1,200 rows in pages of 600 are three requests."""
    portal.ask("DELETE", "/_faults")
    found = list(anybody.get_all(songs, limit=600, where="id < 1200"))
    seen = [one for one in portal.ask("GET", "/_faults").json()["requests"] if songs in one["path"]]
    assert (len(found), len(seen)) == (1200, 3)


def test_s9_datasets_are_listed(portal: Running, anybody: Any, client: Any) -> None:
    """As many as asked for; all of them, however many pages that takes; by words and categories."""
    uids = [
        portal.create(("a", "text"), public=True, name=f"Listed {n}", category="Listed") for n in range(110)
    ]
    assert len(anybody.datasets(limit=7)) == 7
    found = anybody.datasets(categories=["Listed"], order="name")
    assert [one["resource"]["id"] for one in found] == [
        uid for _, uid in sorted(zip(map(str, range(110)), uids, strict=True))
    ]
    assert len(anybody.datasets(q="Listed 109")) == 1
    assert len(client.datasets(ids=uids[:3], only=["dataset"])) == 3


def test_s10_upsert_without_a_content_type(client: Any, towns: str) -> None:
    """A list, and one dict."""
    told = client.upsert(towns, [{"id": 4, "town": "Four"}, {"id": 5, "town": "Five"}])
    assert (told["Rows Created"], told["Errors"]) == (2, 0)
    assert client.upsert(towns, {"id": 6, "town": "Six"})["Rows Created"] == 1


def test_s11_upsert_of_a_csv_file(client: Any, towns: str, tmp_path: Path) -> None:
    """An open file, a text buffer; a plain text is refused by sodapy itself."""
    (tmp_path / "towns.csv").write_text("id,town\n4,Four\n1,One\n", encoding="utf-8")
    with (tmp_path / "towns.csv").open("rb") as file:
        told = client.upsert(towns, file)
    assert (told["Rows Created"], told["Rows Updated"]) == (1, 1)
    assert client.upsert(towns, io.StringIO("id,town\n9,Nine\n"))["Rows Created"] == 1
    with pytest.raises(Exception, match="Unrecognized payload"):
        client.upsert(towns, "id,town\n1,x\n")


def test_s12_an_upsert_updates_by_row_identifier(client: Any, towns: str) -> None:
    """Nothing is doubled."""
    assert client.upsert(towns, [{"id": 1, "town": "Uno"}])["Rows Updated"] == 1
    assert [row["town"] for row in client.get(towns, order="id")] == ["Uno", "Town 2", "Town 3"]


def test_s13_rows_are_deleted_by_an_upsert(client: Any, towns: str) -> None:
    """By `:id`, and by the row identifier; one that is gone already counts in Errors."""
    sid = client.get(towns, select=":id", where="id = 1")[0][":id"]
    assert client.upsert(towns, [{":id": sid, ":deleted": True}])["Rows Deleted"] == 1
    told = client.upsert(towns, [{"id": 2, ":deleted": True}, {"id": 2, ":deleted": True}])
    assert (told["Rows Deleted"], told["Errors"]) == (1, 1)
    assert [row["id"] for row in client.get(towns)] == ["3"]


def test_s14_replace_leaves_only_the_new_rows(client: Any, towns: str) -> None:
    """From a list, and from a CSV."""
    assert client.replace(towns, [{"id": 8, "town": "Eight"}])["Rows Created"] == 1
    assert client.get(towns) == [{"id": "8", "town": "Eight"}]
    client.replace(towns, io.StringIO("id,town\n9,Nine\n"))
    assert client.get(towns) == [{"id": "9", "town": "Nine"}]


def test_s15_one_row_and_a_whole_dataset_are_deleted(client: Any, towns: str) -> None:
    """Then the dataset is not found."""
    assert client.delete(towns, row_id=2).status_code == 200
    assert [row["id"] for row in client.get(towns, order="id")] == ["1", "3"]
    assert client.delete(towns).status_code == 200
    with pytest.raises(requests.HTTPError, match="404 Client Error"):
        client.get(towns)


def test_s16_an_upsert_without_login_is_forbidden(anybody: Any, towns: str) -> None:
    """In the words of the vendor's server."""
    with pytest.raises(requests.HTTPError) as raised:
        anybody.upsert(towns, [{"id": 9}])
    assert (
        str(raised.value) == "403 Client Error: Forbidden.\n\tYou must be logged in to access this resource"
    )


def test_s17_create_makes_an_unpublished_dataset(client: Any) -> None:
    """With columns, tags, category and row identifier."""
    columns = [
        {"fieldName": "delegation", "name": "Delegation", "dataTypeName": "text"},
        {"fieldName": "members", "name": "Members", "dataTypeName": "number"},
    ]
    words = {"description": "Made by a test", "tags": ["politics"], "category": "Government"}
    for new_backend in (False, True):
        made = client.create(
            "Foo", columns=columns, row_identifier="delegation", new_backend=new_backend, **words
        )
        assert (len(made["id"]), made["publicationStage"]) == (9, "unpublished")
        assert made["rowIdentifierColumnId"] == made["columns"][0]["id"]
        assert (made["category"], made["tags"]) == ("Government", ["politics"])


def test_s18_publish_answers_with_the_view(client: Any) -> None:
    """Published from then on."""
    made = client.create("Bar", columns=[{"fieldName": "a", "name": "A", "dataTypeName": "text"}])
    published = client.publish(made["id"])
    assert (published["id"], published["publicationStage"]) == (made["id"], "published")


def test_s19_permission_is_set_and_taken_back(client: Any, anybody: Any, towns: str) -> None:
    """An empty answer; public, then closed to anybody."""
    assert (client.set_permission(towns, "private").status_code, client.set_permission(towns).text) == (
        200,
        "",
    )
    with pytest.raises(requests.HTTPError, match="403 Client Error: Forbidden"):
        anybody.get(towns)
    assert client.set_permission(towns, "public").status_code == 200
    assert len(anybody.get(towns)) == 3


def test_s20_metadata_is_read_and_updated(client: Any, towns: str) -> None:
    """The changed keys come back; columns stay as they were."""
    before = client.get_metadata(towns)
    changes = {"category": "Education", "attributionLink": "https://ct.example/"}
    told = client.update_metadata(towns, changes)
    assert {key: told[key] for key in changes} == changes
    assert (told["columns"], told["metadata"]) == (before["columns"], before["metadata"])
    assert client.get_metadata(towns)["category"] == "Education"


def test_s21_a_file_is_a_dataset(client: Any) -> None:
    """Created as JSON, replaced as plain text that holds JSON."""
    made = client.create_non_data_file({}, {"file": ("feed.zip", io.BytesIO(b"x" * 496))})
    assert (made["blobFileSize"], made["blobFilename"]) == (496, "feed.zip")
    replaced = client.replace_non_data_file(made["id"], {}, {"file": ("feed.zip", io.BytesIO(b"y" * 500))})
    assert (replaced["blobFileSize"], replaced["id"]) == (500, made["id"])


def test_s22_attachments_are_downloaded(client: Any, portal: Running, towns: str, tmp_path: Path) -> None:
    """Those with an assetId and those with a blobId, by bare requests without credentials."""
    assert client.download_attachments(towns, download_dir=str(tmp_path)) == []
    files = ({"file": (name, name.encode())} for name in ("a.txt", "b.txt"))
    ids = [portal.ask("POST", "/api/assets", files=file).json()["id"] for file in files]
    listed = [
        {"filename": "a.txt", "name": "A", "assetId": ids[0]},
        {"filename": "b.txt", "name": "B", "blobId": ids[1]},
    ]
    client.update_metadata(
        towns, {"metadata": {**client.get_metadata(towns)["metadata"], "attachments": listed}}
    )
    found = client.download_attachments(towns, download_dir=str(tmp_path))
    assert [Path(file).read_text() for file in found] == ["a.txt", "b.txt"]


def test_s23_any_text_comes_back_as_it_went(client: Any, towns: str) -> None:
    """Accents, emoji, quotes, line ends, in values and in a query."""
    texts = ["Žluťoučký kůň", "日本 🚲", 'O\'Brien "x"\nsecond line', " ", "\\n"]
    client.replace(towns, [{"id": n, "town": text} for n, text in enumerate(texts)])
    assert [row["town"] for row in client.get(towns, order="id")] == texts
    assert client.get(towns, town="日本 🚲", select="id") == [{"id": "1"}]
    client.update_metadata(towns, {"description": texts[0]})
    assert client.get_metadata(towns)["description"] == texts[0]


def test_s24_a_slow_answer_is_a_timeout(portal: Running, songs: str) -> None:
    """After the seconds the client was told."""
    hasty = connect(portal, timeout=0.2)
    with faulty(portal, Fault("slow", path="/resource/*", seconds=2.0)) as seen:
        with pytest.raises(requests.exceptions.ReadTimeout):
            hasty.get(songs)
        assert seen.hits() == [1]


def test_s25_a_wrong_app_token_is_forbidden(portal: Running, songs: str) -> None:
    """Not passed over."""
    with pytest.raises(requests.HTTPError, match="Invalid app_token specified"):
        connect(portal, "not-a-token").get(songs)


def test_s26_a_202_is_returned_as_it_is(portal: Running, anybody: Any, songs: str) -> None:
    """sodapy takes it for the answer."""
    body = '{"code":"accepted","error":false,"message":"Working on it"}'
    with faulty(portal, Fault("accepted", path="/resource/*", body=body)):
        assert anybody.get(songs)["code"] == "accepted"
    assert len(anybody.get(songs, limit=3)) == 3


def test_every_way_to_sign_in_works(portal: Running, towns: str, caplog: pytest.LogCaptureFixture) -> None:
    """Mail and password, key id and secret, OAuth token; without an app token only a warning."""
    token = add_oauth_token(portal.file, portal.key_id)
    key = {"username": portal.key_id, "password": portal.key_secret}
    signs: list[dict[str, str]] = [{"username": MAIL, "password": PASSWORD}, key, {"access_token": token}]
    for signed in signs:
        assert connect(portal, **signed).upsert(towns, {"id": 1, "town": "Uno"})["Rows Updated"] == 1
    assert "strict throttling" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
