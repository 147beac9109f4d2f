"""The views API of the embedded portal: columns, working copies, readers, attachments, files, filtered views."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from portal_fixture import Running, running_portal

from ctnb.embedded.accounts import add_account

REAL_KEYS = (
    "id name assetType averageRating createdAt description diciBackend displayType downloadCount "
    "hideFromCatalog hideFromDataJson locale locked newBackend numberOfComments oid provenance "
    "publicationAppendEnabled publicationDate publicationGroup publicationStage rowClass "
    "rowIdentifierColumnId rowsUpdatedAt rowsUpdatedBy tableId totalTimesRated viewCount "
    "viewLastModified viewType approvals clientContext columns grants metadata owner query rights "
    "tableAuthor tags flags "
)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture
def towns(portal: Running) -> str:
    """A public dataset of three towns with a row identifier."""
    uid = portal.create(("town", "text"), ("year", "number"), ("open", "checkbox"), key="town", public=True)
    rows = [{"town": "Bethel", "year": 2023, "open": True}, {"town": "Avon", "year": 2024}]
    portal.ask("POST", f"/resource/{uid}.json", json=[*rows, {"town": "Kent", "year": 2024, "open": False}])
    return uid


def view_of(portal: Running, uid: str, *, signed: bool = True) -> dict[str, Any]:
    """The metadata of a view."""
    return dict(portal.ask("GET", f"/api/views/{uid}.json", signed=signed).json())


def filtered(portal: Running, uid: str, query: object, **more: object) -> requests.Response:
    """A filtered view of `uid`."""
    body = {"name": "A part", "modifyingViewUid": uid, "query": query, **more}
    return portal.ask("POST", "/api/views.json", json=body)


def share(portal: Running, uid: str, value: str = "public.read") -> None:
    """Make a view public, or private again."""
    answer = portal.ask("PUT", f"/api/views/{uid}.json?method=setPermission&value={value}")
    assert (answer.status_code, answer.text) == (200, "")


def status(portal: Running, path: str, auth: tuple[str, str] | None = None) -> int:
    """The status of a GET as somebody else."""
    return requests.get(portal.url + path, auth=auth, timeout=60).status_code


def test_a_view_has_the_keys_of_a_real_one(portal: Running, towns: str) -> None:
    """Those of the recorded answer of a real portal, except its most frequent cells."""
    view = view_of(portal, towns, signed=False)
    assert set(REAL_KEYS.split()) - set(view) == set()
    assert view["grants"] == [{"inherited": False, "type": "viewer", "flags": ["public"]}]
    assert (view["assetType"], view["viewType"], view["rights"]) == ("dataset", "tabular", ["read"])
    assert not any("cachedContents" in column for column in view["columns"])


def test_every_word_is_read_changed_and_written_back(portal: Running, towns: str) -> None:
    """The whole answer with one change sent back changes that one thing only."""
    before, copy = view_of(portal, towns), view_of(portal, towns)
    changed = {
        **copy,
        "description": "Towns & years",
        "tags": ["a", "b"],
        "attributionLink": "https://x.example/",
    }
    changed["metadata"] = {**before["metadata"], "rowLabel": "A town", "custom_fields": {"G": {"F": "v"}}}
    changed["columns"][1]["description"] = "The year"
    answer = portal.ask("PUT", f"/api/views/{towns}.json", json=changed).json()
    after = view_of(portal, towns)
    moved = {key for key in after if after[key] != before.get(key)}
    assert moved - {"viewLastModified"} == {"description", "tags", "attributionLink", "metadata", "columns"}
    assert (answer["metadata"]["rowLabel"], after["columns"][1]["description"]) == ("A town", "The year")
    assert after["rowIdentifierColumnId"] == before["rowIdentifierColumnId"]


def test_views_are_listed_in_pages(tmp_path: Path) -> None:
    """`limit` and `page` as the vendor counts them, and only what the caller may read."""
    with running_portal(tmp_path) as portal:
        uids = [portal.create(("a", "text"), public=bool(n % 2), name=f"Dataset {n}") for n in range(5)]
        pages = [portal.ask("GET", f"/api/views.json?limit=2&page={page}").json() for page in (1, 2, 3, 4)]
        assert [len(page) for page in pages] == [2, 2, 1, 0]
        assert {view["id"] for page in pages for view in page} == set(uids)
        seen = portal.ask("GET", "/api/views.json", signed=False).json()
        assert {view["id"] for view in seen} == {uids[1], uids[3]}
        assert portal.ask("GET", "/api/views.json?count=true", signed=False).json() == {"count": 2}
        assert portal.ask("GET", "/api/views.json?limit=0").status_code == 400


def test_columns_change_on_a_working_copy_only(portal: Running, towns: str) -> None:
    """A published dataset answers 409; its copy takes a column, loses one, renames and moves one."""
    path = f"/api/views/{towns}"
    wanted = {"name": "Note", "dataTypeName": "text"}
    refused = portal.ask("POST", f"{path}/columns.json", json=wanted)
    assert (refused.status_code, refused.json()["errorCode"]) == (
        409,
        "soda.dataset.incorrect-lifecycle-stage",
    )
    copy = portal.ask("POST", f"{path}/publication.json?method=copy").json()
    assert (copy["publicationStage"], copy["publicationGroup"]) == (
        "unpublished",
        view_of(portal, towns)["tableId"],
    )
    ids = {column["fieldName"]: column["id"] for column in copy["columns"]}
    own = f"/api/views/{copy['id']}/columns"
    assert portal.ask("POST", f"{own}.json", json=wanted).json()["fieldName"] == "note"
    assert portal.ask("DELETE", f"{own}/{ids['open']}.json").status_code == 200
    assert portal.ask("DELETE", f"{own}/{ids['town']}.json").status_code == 400
    moved = {"fieldName": "fiscal_year", "position": 1, "description": "To June"}
    assert portal.ask("PUT", f"{own}/{ids['year']}.json", json=moved).json()["position"] == 1
    assert portal.ask("PUT", f"{own}/{ids['year']}.json", json={"dataTypeName": "text"}).status_code == 400
    assert [c["fieldName"] for c in portal.ask("GET", f"{own}.json").json()] == [
        "fiscal_year",
        "town",
        "note",
    ]
    assert portal.rows(copy["id"])[0] == {"town": "Bethel", "fiscal_year": "2023"}


def test_a_published_copy_takes_the_place_of_its_dataset(portal: Running, towns: str) -> None:
    """Same 4x4, same column ids, same readers; the copy's own 4x4 ends. Until then readers see the old rows."""
    before = view_of(portal, towns)
    rids = [row[":id"] for row in portal.rows(towns, select=":id")]
    copy = portal.ask("POST", f"/api/views/{towns}/publication.json?method=copy").json()["id"]
    assert portal.ask("POST", f"/api/views/{towns}/publication.json?method=copy").status_code == 409
    portal.ask("POST", f"/api/views/{copy}/columns.json", json={"name": "Note", "dataTypeName": "text"})
    portal.ask("POST", f"/resource/{copy}.json", json=[{"town": "Kent", "note": "new"}, {"town": "Lyme"}])
    portal.ask("PUT", f"/api/views/{copy}.json", json={"description": "Later"})
    assert (len(portal.rows(towns)), view_of(portal, towns)["description"]) == (3, "")
    assert status(portal, f"/resource/{copy}.json") == 403
    assert portal.ask("GET", f"/api/geocoding/{copy}.json?method=pending").json() == {"view": 0}
    published = portal.ask("POST", f"/api/views/{copy}/publication.json").json()
    assert (published["id"], published["publicationStage"], published["description"]) == (
        towns,
        "published",
        "Later",
    )
    assert [c["id"] for c in published["columns"][:3]] == [c["id"] for c in before["columns"]]
    assert published["rowIdentifierColumnId"] == before["rowIdentifierColumnId"]
    assert status(portal, f"/api/views/{copy}.json", portal.auth) == 404
    rows = portal.rows(towns, select=":id, town, note")
    assert [row[":id"] for row in rows[:3]] == rids
    assert [(row["town"], row.get("note")) for row in rows[2:]] == [("Kent", "new"), ("Lyme", None)]
    again = portal.ask("POST", f"/resource/{towns}.json", json={"town": "Lyme", "year": 2025}).json()
    assert (again["Rows Updated"], again["Rows Created"]) == (1, 0)


def test_a_copy_may_leave_the_rows_behind(portal: Running, towns: str) -> None:
    """`copySchema` copies columns and identifier; deleting the copy leaves the dataset alone."""
    copy = portal.ask("POST", f"/api/views/{towns}/publication.json?method=copySchema").json()
    assert [c["fieldName"] for c in copy["columns"]] == ["town", "year", "open"]
    assert (portal.rows(copy["id"]), "rowIdentifierColumnId" in copy) == ([], True)
    assert portal.ask("DELETE", f"/api/views/{copy['id']}.json").status_code == 200
    assert len(portal.rows(towns)) == 3
    assert portal.ask("POST", f"/api/views/{towns}/publication.json?method=mirror").status_code == 400


def test_the_history_tells_that_a_copy_was_published(portal: Running, towns: str) -> None:
    """A line with who did it, before the dataset's own beginning; what was written to the copy goes with it."""
    copy = portal.ask("POST", f"/api/views/{towns}/publication.json?method=copy").json()["id"]
    portal.ask("POST", f"/resource/{copy}.json", json=[{"town": "Lyme"}])
    portal.ask("POST", f"/api/views/{copy}/publication.json")
    lines = re.findall(r'data-label="What">([^<]*)<', portal.ask("GET", f"/d/{towns}").text)
    assert lines == ["Published a working copy", "Rows added", "Created"]


@pytest.mark.parametrize("named", [["a"], {"id": "a"}, 5, "never-uploaded"])
def test_an_attachment_whose_file_is_not_here_is_refused(portal: Running, towns: str, named: object) -> None:
    """An id that is no text, or that nothing was uploaded under, is the caller's mistake; nothing changes."""
    wrong = {"metadata": {"attachments": [{"filename": "a.txt", "assetId": named}]}}
    answer = portal.ask("PUT", f"/api/views/{towns}.json", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "attachments" not in (view_of(portal, towns).get("metadata") or {})


def test_a_reader_named_by_mail_reads_until_it_is_taken_back(portal: Running, towns: str) -> None:
    """The grant stands in the view for publishers, and no mail address is shown to anybody else."""
    share(portal, towns, "private")
    reader = add_account(portal.file, "Rita Reviewer", "viewer", mail="Rita@Agency.example")
    path, body = f"/api/views/{towns}/grants", {"userEmail": "rita@agency.example", "type": "viewer"}
    assert status(portal, f"/resource/{towns}.json", reader) == 403
    given = [portal.ask("POST", path, json=body).json() for _ in "twice"][-1]
    uid = requests.get(f"{portal.url}/api/users/current.json", auth=reader, timeout=60).json()["id"]
    own = {"inherited": False, "type": "viewer", "userId": uid, "userEmail": "rita@agency.example"}
    assert given == [own] == view_of(portal, towns)["grants"] == portal.ask("GET", path).json()
    assert status(portal, f"/resource/{towns}.json", reader) == 200
    seen = requests.get(f"{portal.url}/api/views/{towns}.json", auth=reader, timeout=60)
    assert "agency.example" not in seen.text
    assert portal.ask("DELETE", path, json=body).json() == []
    assert status(portal, f"/resource/{towns}.json", reader) == 403
    assert requests.post(portal.url + path, auth=reader, json=body, timeout=60).status_code == 403


def test_a_reader_without_an_account_reads_once_there_is_one(portal: Running, towns: str) -> None:
    """The address is kept; nobody without an address profits from it."""
    share(portal, towns, "private")
    nameless = add_account(portal.file, "No Address", "viewer")
    path, mail = f"/api/views/{towns}/grants", f"later-{towns}@agency.example"
    given = portal.ask("POST", path, json={"userEmail": mail, "type": "viewer"}).json()
    assert given == [{"inherited": False, "type": "viewer", "userEmail": mail}]
    assert status(portal, f"/resource/{towns}.json", nameless) == 403
    later = add_account(portal.file, "Later", "viewer", mail=mail)
    assert status(portal, f"/resource/{towns}.json", later) == 200
    assert portal.ask("DELETE", path, params={"userEmail": mail, "type": "viewer"}).json() == []
    assert status(portal, f"/resource/{towns}.json", later) == 403
    wrong = [{"userEmail": "nobody", "type": "viewer"}, {"userEmail": mail, "type": "owner"}]
    assert [portal.ask("POST", path, json=body).status_code for body in wrong] == [400, 400]


def test_attachments_are_as_public_as_their_view(portal: Running, towns: str) -> None:
    """Uploaded, named in the metadata, listed and downloaded; unnamed they are for publishers."""
    content = bytes(range(256)) * 10
    upload = portal.ask(
        "POST", "/api/assets", files={"file": ("Données.xlsx", content, "application/x")}
    ).json()
    asset = f"/api/assets/{upload['id']}"
    assert (upload["nameForOutput"], upload["size"]) == ("Données.xlsx", 2560)
    assert [status(portal, asset), status(portal, asset, portal.auth)] == [403, 200]
    listed = [{"name": "Dictionary", "filename": "Données.xlsx", "assetId": upload["id"]}]
    metadata = {**view_of(portal, towns)["metadata"], "attachments": listed}
    told = portal.ask("PUT", f"/api/views/{towns}.json", json={"metadata": metadata}).json()
    assert told["metadata"]["attachments"] == listed
    path = f"/api/views/{towns}/files/{upload['id']}"
    for address in (path + "?download=true&filename=D.xlsx", asset + "?download=true"):
        got = requests.get(portal.url + address, timeout=60)
        assert (got.status_code, got.content) == (200, content)
        assert got.headers["Content-Type"] == "application/octet-stream"
        assert got.headers["Content-Disposition"].startswith('attachment; filename="Donn_es.xlsx"')
    share(portal, towns, "private")
    assert [status(portal, path), status(portal, asset)] == [403, 403]
    portal.ask("DELETE", f"/api/views/{towns}.json")
    assert status(portal, asset, portal.auth) == 404


def test_an_attachment_is_of_its_own_view_and_was_uploaded(portal: Running, towns: str) -> None:
    """Neither another view's address nor an id that nobody uploaded gives a file."""
    other = portal.create(("a", "text"), public=True)
    asset = portal.ask("POST", f"/api/views/{towns}/files.txt", files={"file": ("a.txt", b"x")})
    assert asset.headers["Content-Type"].startswith("text/plain")
    known = asset.json()["file"]
    assert portal.ask("GET", f"/api/views/{other}/files/{known}").status_code == 404
    unknown = {
        "attachments": [{"name": "b", "filename": "b", "assetId": "6ed2f73d-961f-4200-830e-9fed494e9515"}]
    }
    assert portal.ask("PUT", f"/api/views/{other}.json", json={"metadata": unknown}).status_code == 400
    assert "attachments" not in view_of(portal, other)["metadata"]
    assert portal.ask("POST", "/api/assets", signed=False, files={"file": ("a", b"x")}).status_code == 403


def test_a_dataset_may_be_a_file(portal: Running) -> None:
    """Made, downloaded, replaced as plain text, hidden and shared like any other."""
    made = portal.ask(
        "POST", "/api/imports2/?method=blob", files={"file": ("feed.zip", b"PK1", "application/zip")}
    )
    view = made.json()
    assert (view["name"], view["assetType"], view["viewType"]) == ("feed.zip", "file", "blobby")
    assert (view["blobFileSize"], view["blobMimeType"]) == (3, "application/zip")
    path = f"/api/views/{view['id']}"
    answer = portal.ask("POST", f"{path}.txt?method=replaceBlob&id=x", files={"file": ("feed2.zip", b"PK22")})
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    replaced = answer.json()
    assert (replaced["blobFileSize"], replaced["blobId"] != view["blobId"]) == (4, True)
    download = f"/download/{view['id']}/application%2Fzip"
    assert [status(portal, download), status(portal, f"/api/assets/{view['blobId']}", portal.auth)] == [
        403,
        404,
    ]
    share(portal, view["id"])
    assert requests.get(portal.url + download, timeout=60).content == b"PK22"
    assert requests.get(f"{portal.url}{path}/files/{replaced['blobId']}", timeout=60).content == b"PK22"
    assert filtered(portal, view["id"], "SELECT *").status_code == 400


def test_a_filtered_view_reads_its_dataset_anew(portal: Running, towns: str) -> None:
    """Rows by WHERE, columns by SELECT, in every rendering; new rows of the dataset are there at once."""
    made = filtered(portal, towns, "SELECT town, year WHERE year = 2024", description="The newest").json()
    uid = made["id"]
    assert (made["assetType"], made["modifyingViewUid"], made["publicationStage"]) == (
        "filter",
        towns,
        "published",
    )
    assert made["queryString"] == "SELECT town, year WHERE year = 2024"
    assert [column["fieldName"] for column in made["columns"]] == ["town", "year"]
    tag = portal.ask("GET", f"/resource/{uid}.json").headers["ETag"]
    assert portal.rows(uid) == [{"town": "Avon", "year": "2024"}, {"town": "Kent", "year": "2024"}]
    portal.ask("POST", f"/resource/{towns}.json", json={"town": "O'Lyme?", "year": 2024})
    assert portal.rows(uid, where="town > 'B'", select="count(*) as n") == [{"n": "2"}]
    assert portal.ask("GET", f"/resource/{uid}.json").headers["ETag"] != tag
    csv = portal.ask("GET", f"/api/views/{uid}/rows.csv").text
    assert csv.splitlines() == ["town,year", "Avon,2024", "Kent,2024", "O'Lyme?,2024"]
    assert portal.ask("GET", f"/resource/{uid}/Avon.json").json() == {"town": "Avon", "year": "2024"}
    assert portal.ask("GET", f"/resource/{uid}/Bethel.json").status_code == 404
    assert portal.ask("GET", f"/d/{uid}").status_code == 200


def test_a_filtered_view_keeps_any_text_a_value(portal: Running, towns: str) -> None:
    """Quotes, question marks and SQL in a condition are only a value."""
    hostile = "x'; DROP TABLE views; -- ?"
    portal.ask("POST", f"/resource/{towns}.json", json={"town": hostile, "year": 1})
    quoted = hostile.replace("'", "''")
    uid = filtered(portal, towns, f"where town = '{quoted}' or town = '?'").json()["id"]
    assert [row["town"] for row in portal.rows(uid)] == [hostile]


def test_a_filtered_view_shows_no_more_than_its_dataset(portal: Running, towns: str) -> None:
    """Public over a private dataset it is still private, in the catalogues too; and it goes with its dataset."""
    uid = filtered(portal, towns, "WHERE year = 2024").json()["id"]
    assert status(portal, f"/resource/{uid}.json") == 403
    share(portal, uid)
    assert status(portal, f"/resource/{uid}.json") == 200
    share(portal, towns, "private")
    reader = add_account(portal.file, "Filter Reader", "viewer")
    user = requests.get(f"{portal.url}/api/users/current.json", auth=reader, timeout=60).json()["id"]
    portal.ask("POST", f"/api/views/{uid}/grants", json={"userId": user, "type": "viewer"})
    paths = [
        f"/resource/{uid}.json",
        f"/api/views/{uid}.json",
        f"/api/views/{uid}/rows.csv",
        f"/id/{uid}.json",
    ]
    assert {status(portal, path, auth) for path in paths for auth in (None, reader)} == {403}
    lists = ("/api/catalog/v1", "/data.json", "/", "/api/views.json?limit=200")
    assert not any(uid in requests.get(portal.url + path, timeout=60).text for path in lists)
    portal.ask("DELETE", f"/api/views/{towns}.json")
    assert status(portal, f"/api/views/{uid}.json", portal.auth) == 404


def test_a_filtered_view_takes_no_rows_and_no_columns(portal: Running, towns: str) -> None:
    """Writes go to the dataset; its words are its own."""
    uid = filtered(portal, towns, "WHERE year = 2024").json()["id"]
    row, column = {"town": "X", "year": 1}, {"name": "Note", "dataTypeName": "text"}
    answers = [portal.ask(method, f"/resource/{uid}.json", json=[row]) for method in ("POST", "PUT")]
    answers.append(portal.ask("DELETE", f"/resource/{uid}/Avon.json"))
    answers.append(portal.ask("POST", f"/api/views/{uid}/columns.json", json=column))
    answers.append(portal.ask("POST", f"/api/views/{uid}/publication.json?method=copy"))
    answers.append(
        portal.ask("POST", f"/api/publishing/v1/revision/{uid}", json={"action": {"type": "replace"}})
    )
    assert [answer.status_code for answer in answers] == [400] * 6
    body = {**view_of(portal, uid), "name": "Renamed"}
    assert portal.ask("PUT", f"/api/views/{uid}.json", json=body).json()["name"] == "Renamed"
    assert len(portal.rows(towns)) == 3


def test_a_filtered_view_may_get_another_query(portal: Running, towns: str) -> None:
    """By SoQL, by a bare condition, by the condition tree of the vendor's pages; never one that does not fit."""
    uid = filtered(portal, towns, "year = 2023").json()["id"]
    path = f"/api/views/{uid}.json"
    changed = portal.ask("PUT", path, json={"queryString": "SELECT * WHERE open IS NULL"}).json()
    assert (changed["queryString"], portal.rows(uid)) == (
        "SELECT * WHERE open IS NULL",
        [{"town": "Avon", "year": "2024"}],
    )
    column = view_of(portal, towns)["columns"][0]["id"]
    literal = {"type": "literal", "value": "Kent"}
    tree = {
        "type": "operator",
        "value": "EQUALS",
        "children": [{"type": "column", "columnId": column}, literal],
    }
    told = portal.ask("PUT", path, json={"query": {"filterCondition": tree}}).json()
    assert (told["query"], [row["town"] for row in portal.rows(uid)]) == ({"filterCondition": tree}, ["Kent"])
    bad = [
        "WHERE nope = 1",
        "SELECT count(*)",
        "SELECT * ORDER BY year",
        "WHERE (",
        "SELECT town AS t",
        "WHERE town",
    ]
    assert [filtered(portal, towns, query).status_code for query in bad] == [400] * len(bad)
    assert portal.ask("PUT", path, json={"query": bad[0]}).status_code == 400
    assert [row["town"] for row in portal.rows(uid)] == ["Kent"]


def test_a_filtered_view_whose_column_went_says_so(portal: Running, towns: str) -> None:
    """Its metadata and the catalogue are still read; its rows are refused, not guessed."""
    uid = filtered(portal, towns, "WHERE open = true").json()["id"]
    copy = portal.ask("POST", f"/api/views/{towns}/publication.json?method=copy").json()
    gone = next(column["id"] for column in copy["columns"] if column["fieldName"] == "open")
    portal.ask("DELETE", f"/api/views/{copy['id']}/columns/{gone}.json")
    portal.ask("POST", f"/api/views/{copy['id']}/publication.json")
    answer = portal.ask("GET", f"/resource/{uid}.json")
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "query.soql.no-such-column")
    assert view_of(portal, uid)["queryString"] == "SELECT * WHERE open = true"
    assert portal.ask("GET", "/").status_code == 200


def test_a_filtered_view_of_a_filtered_view(portal: Running, towns: str) -> None:
    """Both conditions hold."""
    first = filtered(portal, towns, "WHERE year = 2024").json()["id"]
    second = filtered(portal, first, "WHERE town = 'Kent'").json()["id"]
    assert [row["town"] for row in portal.rows(second)] == ["Kent"]


def test_a_filtered_view_of_a_copy_becomes_one_of_its_dataset(portal: Running, towns: str) -> None:
    """When the copy is published; with a copy that is deleted it goes."""
    copies = [f"/api/views/{towns}/publication.json?method=copy"] * 2
    first = portal.ask("POST", copies[0]).json()["id"]
    kept = filtered(portal, first, "WHERE town = 'Kent'").json()["id"]
    portal.ask("POST", f"/api/views/{first}/publication.json")
    assert (view_of(portal, kept)["modifyingViewUid"], len(portal.rows(kept))) == (towns, 1)
    second = portal.ask("POST", copies[1]).json()["id"]
    gone = filtered(portal, second, "WHERE town = 'Avon'").json()["id"]
    portal.ask("DELETE", f"/api/views/{second}.json")
    assert [status(portal, f"/api/views/{uid}.json", portal.auth) for uid in (gone, kept, towns)] == [
        404,
        200,
        200,
    ]


def test_metadata_v1_reads_and_patches(portal: Running, towns: str) -> None:
    """Strict calls refuse unknown keys, validateOnly writes nothing, custom fields merge one by one."""
    path = f"/api/views/metadata/v1/{towns}"
    fields = {"Update": {"Frequency": "Daily", "Automation": "Yes"}}
    told = portal.ask("PATCH", path, json={"name": "Towns", "customFields": fields, "x": 1}).json()
    assert (told["name"], told["customFields"]) == ("Towns", fields)
    body = {"customFields": {"Update": {"Automation": None}}, "category": "Government"}
    portal.ask("PATCH", f"{path}?validateOnly=true", json=body)
    assert portal.ask("GET", path).json()["category"] is None
    portal.ask("PATCH", path, json=body)
    after = portal.ask("GET", path, signed=False).json()
    assert (after["customFields"], after["category"]) == ({"Update": {"Frequency": "Daily"}}, "Government")
    assert after["webUri"] == f"{portal.url}/d/{towns}"
    assert portal.ask("PATCH", f"{path}?strict=true", json={"id": "x"}).status_code == 400
    assert portal.ask("PATCH", path, signed=False, json=body).status_code == 403
    assert towns in [view["id"] for view in portal.ask("GET", "/api/views/metadata/v1?limit=1000").json()]


def test_replication_says_that_nothing_lags(portal: Running, towns: str) -> None:
    """One version number, which moves with the rows."""
    first = portal.ask("GET", f"/api/views/{towns}/replication.json").json()["truth_data_version"]
    portal.ask("POST", f"/resource/{towns}.json", json={"town": "New"})
    assert portal.ask("GET", f"/api/views/{towns}/replication.json").json()["truth_data_version"] > first
