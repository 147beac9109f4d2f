"""What the embedded portal does with SODA 2 writes and the views API."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from portal_fixture import Running, running_portal

BODY_LIMIT = 300_000


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal"), "--body-limit", str(BODY_LIMIT)) as running:
        yield running


def post(portal: Running, uid: str, rows: Any) -> dict[str, int]:
    """An upsert that must succeed."""
    answer = portal.ask("POST", f"/resource/{uid}.json", json=rows)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def counts(**changed: int) -> dict[str, int]:
    """The whole answer of an upsert, zero where nothing is said."""
    words = ("Errors", "Rows Deleted", "Rows Updated", "By SID", "Rows Created", "By RowIdentifier")
    return {word: changed.get(word.replace(" ", "_").lower(), 0) for word in words}


def test_rows_without_an_identifier_are_appended_each_time(portal: Running) -> None:
    """A retry doubles them, as on the real portal."""
    uid = portal.create(("a", "text"))
    assert [post(portal, uid, {"a": "x"}), post(portal, uid, [{"a": "x"}])] == [counts(rows_created=1)] * 2
    assert portal.rows(uid) == [{"a": "x"}, {"a": "x"}]


def test_upsert_by_identifier_merges_inserts_and_deletes(portal: Running) -> None:
    """Omitted cells stay, null clears, `:deleted` deletes, and a row that is gone counts as an error in a 200."""
    uid = portal.create(("id", "number"), ("a", "text"), ("b", "text"), key="id")
    post(portal, uid, [{"id": 1, "a": "x", "b": "y"}, {"id": "2.0", "a": "z"}, {"id": 3}])
    changes = [{"id": "1.00", "a": None}, {"id": 4, "b": "new"}, {"id": 3, ":deleted": True}]
    expected = counts(rows_updated=1, rows_created=1, rows_deleted=1, by_rowidentifier=2)
    assert post(portal, uid, changes) == expected
    assert portal.rows(uid) == [{"id": "1", "b": "y"}, {"id": "2", "a": "z"}, {"id": "4", "b": "new"}]
    assert post(portal, uid, [{"id": 3, ":deleted": True}]) == counts(errors=1)


def test_rows_are_named_by_system_id(portal: Running) -> None:
    """`:id` updates and deletes, counted as By SID; an unknown one is an error in a 200."""
    uid = portal.create(("a", "text"))
    post(portal, uid, [{"a": "x"}, {"a": "y"}])
    first, second = (row[":id"] for row in portal.rows(uid, select=":id"))
    changes = [{":id": first, "a": "z"}, {":id": second, ":deleted": True}, {":id": "row-none", "a": "q"}]
    assert post(portal, uid, changes) == counts(rows_updated=1, rows_deleted=1, by_sid=2, errors=1)
    assert portal.rows(uid) == [{"a": "z"}]


def test_replace_takes_csv_and_json(portal: Running) -> None:
    """PUT leaves exactly the rows of the body; CSV headers are field names or display names."""
    uid = portal.create(("id", "number"), ("sold", "calendar_date"), key="id")
    post(portal, uid, [{"id": 9}])
    body = 'Id,"sold"\r\n1,03/26/2014 10:38:01 PM\r\n"2",\r\n'.replace("Id", "id")
    answer = portal.ask("PUT", f"/resource/{uid}.json", data=body, headers={"Content-Type": "text/csv"})
    assert answer.json() == counts(rows_created=2, rows_deleted=1)
    assert portal.rows(uid) == [{"id": "1", "sold": "2014-03-26T22:38:01.000"}, {"id": "2"}]
    assert portal.ask("PUT", f"/resource/{uid}.json", json=[]).json() == counts(rows_deleted=2)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"id": 1, "n": "canary-7731"}, "soda.column.maltyped"),
        ({"id": 1, "n": True}, "soda.column.maltyped"),
        ({"id": 1, "canary-7731": "x"}, "soda.row.column-not-found"),
        ({"n": 1}, "soda.row.primary-key-nonexistent-or-null"),
        ({"id": None, "n": 1}, "soda.row.primary-key-nonexistent-or-null"),
        ({"id": 1, ":id": "row-2222~2222~2222"}, "req.bad-parameter"),
        ("canary-7731", "soda.row.upsert-row-not-an-object"),
    ],
)
def test_a_wrong_row_changes_nothing_and_is_not_quoted(portal: Running, row: Any, code: str) -> None:
    """400 with the documented code; the good rows before it are not written, by POST or by PUT."""
    uid = portal.create(("id", "number"), ("n", "number"), key="id")
    post(portal, uid, [{"id": 7, "n": 7}])
    for method in ("POST", "PUT"):
        answer = portal.ask(method, f"/resource/{uid}.json", json=[{"id": 5}, row])
        assert (400, code) == (answer.status_code, answer.json()["errorCode"])
        assert "canary-7731" not in answer.text
    assert portal.rows(uid) == [{"id": "7", "n": "7"}]
    assert "canary-7731" not in portal.log.read_text()


def test_broken_bodies_are_400_or_415(portal: Running) -> None:
    """JSON that ends early, ragged CSV, bytes that are no UTF-8, another content type."""
    uid = portal.create(("a", "text"))
    csv = {"Content-Type": "text/csv"}
    tries: list[tuple[bytes, dict[str, str], int, str]] = [
        (b'[{"a": "x"},', {}, 400, "req.body.malformed-json"),
        (b'[{"a": NaN}]', {}, 400, "req.body.malformed-json"),
        (b'[{"a": "half a pair \\ud800"}]', {}, 400, "req.body.malformed-json"),
        (b"[" * 100_000, {}, 400, "req.body.malformed-json"),
        (b"a\nx,y\n", csv, 400, "req.body.malformed-csv"),
        (b'a\n"x', csv, 400, "req.body.malformed-csv"),
        (b"a\n\xff\n", csv, 415, "req.content-type.unknown-charset"),
        (
            b"[]",
            {"Content-Type": "application/json; charset=klingon"},
            415,
            "req.content-type.unknown-charset",
        ),
        (
            b"[]",
            {"Content-Type": "application/json; charset=base64"},
            415,
            "req.content-type.unknown-charset",
        ),
        (b"[]", {"Content-Type": "json;;;"}, 400, "req.content-type.unparsable"),
        (b"<a/>", {"Content-Type": "text/xml"}, 415, "req.content-type.not-json"),
    ]
    for body, headers, status, code in tries:
        answer = portal.ask("POST", f"/resource/{uid}.json", data=body, headers=headers)
        assert (status, code) == (answer.status_code, answer.json()["errorCode"])
    assert portal.rows(uid) == []


def test_a_body_is_read_in_the_charset_it_names(portal: Running) -> None:
    """JSON and CSV; a byte order mark and a quoted name do not matter."""
    uid = portal.create(("a", "text"))
    tries = (
        ("text/csv; charset=windows-1252", "a\nMüller–1\n", "cp1252"),
        ('application/json; charset="ISO-8859-1"', '[{"a": "Müller-2"}]', "latin-1"),
        ("application/json;charset=UTF-8", '\ufeff[{"a": "Müller-3"}]', "utf-8"),
        ("text/csv;header=present", "\ufeffa\nMüller-4\n", "utf-8"),
    )
    for content_type, text, encoding in tries:
        sent = portal.ask(
            "POST",
            f"/resource/{uid}.json",
            data=text.encode(encoding),
            headers={"Content-Type": content_type},
        )
        assert counts(rows_created=1) == sent.json()
    assert ["Müller–1", "Müller-2", "Müller-3", "Müller-4"] == [row["a"] for row in portal.rows(uid)]


def test_a_body_over_the_limit_is_413(portal: Running) -> None:
    """Whether its length is announced or it comes in chunks."""
    uid = portal.create(("a", "text"))
    body = b'[{"a": "' + b"x" * BODY_LIMIT + b'"}]'
    for data in (body, iter([body[:1000], body[1000:]])):
        answer = portal.ask("POST", f"/resource/{uid}.json", data=data)
        assert (answer.status_code, answer.json()["errorCode"]) == (413, "req.body.too-large")
    assert portal.rows(uid) == []


def test_numbers_keep_every_digit_and_sort_as_numbers(portal: Running) -> None:
    """No binary double comes between; zeros at the end of a fraction are not kept."""
    uid = portal.create(("n", "number"))
    given = [
        "0.1",
        "-12345678901234567890.000000000000000001",
        "1e3",
        "17288925.00",
        "-0.5",
        "-0",
        "9007199254740993",
    ]
    raw = "[" + ",".join(f'{{"n": {text}}}' for text in given) + "]"
    headers = {"Content-Type": "application/json"}
    assert portal.ask("POST", f"/resource/{uid}.json", data=raw, headers=headers).status_code == 200
    kept = [
        "0.1",
        "-12345678901234567890.000000000000000001",
        "1000",
        "17288925",
        "-0.5",
        "0",
        "9007199254740993",
    ]
    assert [row["n"] for row in portal.rows(uid)] == kept
    ordered = [row["n"] for row in portal.rows(uid, order="n")]
    assert ordered == [kept[1], "-0.5", "0", "0.1", "1000", "17288925", "9007199254740993"]


def test_every_type_comes_back_as_the_vendor_renders_it(portal: Running) -> None:
    """What may be written is more than what is rendered."""
    kinds = ("text", "number", "checkbox", "calendar_date", "date", "url", "point", "location")
    uid = portal.create(*((kind, kind) for kind in kinds))
    address = '{"address":"450 Capitol Ave","city":"Hartford","state":"CT","zip":"06106"}'
    written = {
        "text": 6103, "number": "06103", "checkbox": "true", "calendar_date": "2014-10-13 09:05",
        "date": "2020-10-16T10:00:00.000-0800", "url": "The state (https://ct.gov)", "point": "(41.5, -72.5)",
        "location": {"latitude": 41.5, "longitude": "-72.5", "human_address": address},
    }  # fmt: skip
    post(portal, uid, written)
    expected = {
        "text": "6103", "number": "6103", "checkbox": True, "calendar_date": "2014-10-13T09:05:00.000",
        "date": "2020-10-16T18:00:00.000Z", "url": {"url": "https://ct.gov", "description": "The state"},
        "point": {"type": "Point", "coordinates": [-72.5, 41.5]},
        "location": {"latitude": "41.5", "longitude": "-72.5", "human_address": address},
    }  # fmt: skip
    assert portal.rows(uid) == [expected]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", "1,000"), ("number", "NaN"), ("number", "1e9999"), ("checkbox", "maybe"),
        ("calendar_date", "2020-02-30"), ("calendar_date", "2020-01-01T00:00:00Z"), ("date", "2020-01-01"),
        ("calendar_date", 20200101), ("url", {"href": "x"}), ("point", "POINT (a b)"), ("point", {"type": "Polygon"}),
        ("text", {"a": 1}), ("text", [1]),
    ],
)  # fmt: skip
def test_a_maltyped_value_is_refused(portal: Running, kind: str, value: object) -> None:
    """Each type holds what it says and nothing else."""
    uid = portal.create(("a", kind))
    answer = portal.ask("POST", f"/resource/{uid}.json", json={"a": value})
    assert (
        answer.status_code,
        answer.json()["errorCode"],
        answer.json()["data"]["field"],
    ) == (400, "soda.column.maltyped", "a")


def test_one_row_is_merged_replaced_and_deleted_by_its_address(portal: Running) -> None:
    """POST merges, PUT clears what is not named, DELETE answers 200 with nothing, then 404."""
    uid = portal.create(("id", "text"), ("a", "text"), ("b", "text"), key="id")
    post(portal, uid, [{"id": "k.1", "a": "x", "b": "y"}])
    path = f"/resource/{uid}/k.1.json"
    assert portal.ask("POST", path, json={"a": "z"}).json()["Rows Updated"] == 1
    assert portal.rows(uid) == [{"id": "k.1", "a": "z", "b": "y"}]
    assert portal.ask("PUT", path, json={"b": "w"}).json()["Rows Updated"] == 1
    assert portal.rows(uid) == [{"id": "k.1", "b": "w"}]
    assert [portal.ask("DELETE", path).status_code, portal.ask("DELETE", path).status_code] == [200, 404]


def test_metadata_merges_at_the_top_and_replaces_below(portal: Running) -> None:
    """As the vendor's PUT does, which corrupts a dataset when a client sends half of `metadata`."""
    uid = portal.create(("id", "number"), key="id", description="d", metadata={"rowLabel": "Sale", "x": 1})
    portal.ask(
        "PUT", f"/api/views/{uid}.json", json={"category": "Housing", "metadata": {"y": 2}, "rights": ["all"]}
    )
    view = portal.ask("GET", f"/api/views/{uid}.json").json()
    assert (view["description"], view["category"], view["metadata"]["y"]) == ("d", "Housing", 2)
    assert "rowLabel" not in view["metadata"]
    assert view["metadata"]["rowIdentifier"] == view["columns"][0]["id"]


def test_a_view_is_created_unpublished_and_private(portal: Running) -> None:
    """Then published, shared, hidden and deleted."""
    made = portal.ask("POST", "/api/views.json", json={"name": "A", "columns": []}).json()
    assert (made["publicationStage"], made["permissions"]["scope"]) == ("unpublished", "private")
    path = f"/api/views/{made['id']}"
    column = {"name": "Town", "fieldName": "town", "dataTypeName": "text"}
    assert portal.ask("POST", f"{path}/columns.json", json=column).json()["position"] == 1
    assert portal.ask("POST", f"{path}/publication.json").json()["publicationStage"] == "published"
    shared = portal.ask("PUT", f"{path}.json?method=setPermission&value=public.read")
    assert (shared.status_code, shared.text) == (200, "")
    assert portal.ask("GET", f"{path}.json", signed=False).json()["columns"][0]["fieldName"] == "town"
    assert portal.ask("PUT", f"{path}/permissions", json={"scope": "private"}).json() == {
        "scope": "private",
        "users": [],
    }
    assert portal.ask("DELETE", f"{path}.json").status_code == 200
    assert portal.ask("GET", f"{path}.json").status_code == 404


def test_an_identifier_must_be_unique_and_without_blanks(portal: Running) -> None:
    """Naming one later is refused when the rows do not allow it."""
    uid = portal.create(("a", "text"), ("b", "text"), ("c", "text"))
    post(portal, uid, [{"a": "1", "b": "1", "c": "1"}, {"a": "1", "c": "2"}])
    tries = [
        portal.ask("PUT", f"/api/views/{uid}.json", json={"metadata": {"rowIdentifier": name}})
        for name in "abc"
    ]
    codes = [answer.json().get("code") for answer in tries]
    assert codes == ["soda.column.not-unique", "soda.row.primary-key-nonexistent-or-null", None]


def test_a_write_moves_the_version_and_the_tag(portal: Running) -> None:
    """A cached copy ends with the write, also within one second."""
    uid = portal.create(("a", "text"))
    before = portal.ask("GET", f"/resource/{uid}.json").headers
    post(portal, uid, {"a": "x"})
    options = {"If-None-Match": before["ETag"], "If-Modified-Since": before["Last-Modified"]}
    after = portal.ask("GET", f"/resource/{uid}.json", headers=options)
    assert (after.status_code, after.json()) == (200, [{"a": "x"}])
    by_date = portal.ask(
        "GET", f"/resource/{uid}.json", headers={"If-Modified-Since": before["Last-Modified"]}
    )
    assert by_date.status_code == 200


def test_writers_never_interleave(portal: Running) -> None:
    """Eight clients replace the same rows: what stands at the end, and at every read, is one client's batch."""
    uid = portal.create(("who", "text"), ("n", "number"))
    seen: set[frozenset[str]] = set()

    def write(who: str) -> None:
        for _ in range(5):
            body = [{"who": who, "n": at} for at in range(40)]
            assert portal.ask("PUT", f"/resource/{uid}.json", json=body).status_code == 200
            seen.add(frozenset(row["who"] for row in portal.rows(uid)))

    threads = [threading.Thread(target=write, args=(f"w{at}",)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(one) for one in seen] == [1] * len(seen)
    assert len(portal.rows(uid)) == 40


def test_upserts_of_one_key_by_many_clients_leave_one_row(portal: Running) -> None:
    """No lost or doubled row."""
    uid = portal.create(("id", "number"), ("n", "number"), key="id")
    answers: list[requests.Response] = []

    def write(at: int) -> None:
        answers.append(
            portal.ask("POST", f"/resource/{uid}.json", json=[{"id": 1, "n": at}, {"id": 100 + at}])
        )

    threads = [threading.Thread(target=write, args=(at,)) for at in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer.json()["Rows Created"] for answer in answers) == 13
    assert portal.rows(uid, select="count(*)") == [{"count": "13"}]
