"""SODA 3 reading: queries with pages, and exports, for whoever has a token or an account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from portal_fixture import Running, running_portal

from ctnb.embedded.accounts import add_app_token


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def token(portal: Running) -> str:
    """An app token."""
    return add_app_token(portal.file)


@pytest.fixture(scope="module")
def numbers(portal: Running) -> str:
    """A public dataset of 1,200 rows."""
    uid = portal.create(("n", "number"), ("spot", "location"), public=True)
    rows: list[dict[str, Any]] = [{"n": at} for at in range(1200)]
    rows[0]["spot"] = {"latitude": "41.5", "longitude": "-72.25"}
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    return uid


def post(
    portal: Running, uid: str, body: object, *, signed: bool = True, what: str = "query.json", **more: Any
) -> Any:
    """A SODA 3 request."""
    return portal.ask("POST", f"/api/v3/views/{uid}/{what}", signed=signed, json=body, **more)


def test_a_token_or_an_account_is_needed(portal: Running, numbers: str, token: str) -> None:
    """401 for nobody, 403 for a token that is not known; a header and the address both carry one."""
    path = f"/api/v3/views/{numbers}/query.json"
    nobody = post(portal, numbers, {"query": "select n"}, signed=False)
    assert (nobody.status_code, nobody.json()["code"]) == (401, "authentication_required")
    unknown = post(portal, numbers, {}, signed=False, headers={"X-App-Token": "nonsense"})
    assert (unknown.status_code, unknown.json()["message"]) == (403, "Invalid app_token specified")
    assert portal.ask("GET", f"{path}?app_token=nonsense", signed=False).status_code == 403
    known = [
        post(portal, numbers, {}, signed=False, headers={"X-App-Token": token}),
        portal.ask("GET", path, signed=False, headers={"X-App-Token": token}),
        portal.ask("GET", path, signed=False, params={"app_token": token}),
        portal.ask("GET", path, signed=False, params={"$$app_token": token}),
        portal.ask("GET", path),
    ]
    assert [answer.status_code for answer in known] == [200] * 5


def test_a_token_opens_nothing_private(portal: Running, token: str) -> None:
    """It names a program, not a person."""
    uid = portal.create(("a", "text"))
    assert post(portal, uid, {}, signed=False, headers={"X-App-Token": token}).status_code == 403


def test_rows_are_framed_as_recorded(portal: Running, numbers: str) -> None:
    """A line each between brackets on lines of their own; places as numbers; its own headers."""
    answer = post(portal, numbers, {"query": "SELECT * WHERE n < 2 ORDER BY n"})
    assert answer.text == '[\n{"n":"0","spot":{"latitude":41.5,"longitude":-72.25}},\n{"n":"1"}\n]\n'
    assert answer.headers["ETag"].startswith('W/"')
    assert answer.headers["x-soda2-data-out-of-date"] == "[]"
    assert answer.headers["X-SODA2-Fields"] == '["n","spot"]'
    assert answer.headers["X-SODA2-Types"] == '["number","location"]'
    assert post(portal, numbers, {"query": "SELECT * WHERE n < 0"}).text == "[\n]\n"


def test_pages_come_in_order_until_one_is_empty(portal: Running, numbers: str) -> None:
    """As the clients of SODA 3 read: page after page of the same query, by its body alone."""
    seen: list[str] = []
    for number in range(1, 20):
        body = {
            "query": "SELECT * WHERE n >= 100",
            "page": {"pageNumber": number, "pageSize": 500},
            "includeSynthetic": False,
        }
        page = post(portal, numbers, body).json()
        if not page:
            break
        seen += [row["n"] for row in page]
    assert seen == [str(at) for at in range(100, 1200)]


def test_a_page_is_of_the_rows_that_a_limit_leaves(portal: Running, numbers: str) -> None:
    """LIMIT and OFFSET are the query's own; pages cut what they leave."""
    pages = [
        post(portal, numbers, {"query": "select n order by n desc limit 5 offset 1",
                               "page": {"pageNumber": number, "pageSize": 3}}).json()
        for number in (1, 2, 3)
    ]  # fmt: skip
    assert [[row["n"] for row in page] for page in pages] == [["1198", "1197", "1196"], ["1195", "1194"], []]


def test_a_get_says_the_same_in_its_address(portal: Running, numbers: str) -> None:
    """query, pageNumber, pageSize."""
    params = {"query": "select n order by n", "pageNumber": "2", "pageSize": "2"}
    answer = portal.ask("GET", f"/api/v3/views/{numbers}/query.json", params=params)
    assert [row["n"] for row in answer.json()] == ["2", "3"]


def test_without_a_page_a_query_has_a_thousand_rows_and_an_export_all(portal: Running, numbers: str) -> None:
    """An export is the whole dataset, as CSV with quoted field names."""
    assert len(post(portal, numbers, {}).json()) == 1000
    exported = post(portal, numbers, {"query": "select n"}, what="export.csv")
    assert exported.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert exported.text.splitlines() == ['"n"', *(f'"{at}"' for at in range(1200))]
    assert len(portal.ask("GET", f"/api/v3/views/{numbers}/export.json").json()) == 1200


def test_system_fields_come_when_asked_for(portal: Running, numbers: str) -> None:
    """Before the others."""
    (row,) = post(portal, numbers, {"query": "select n where n = 7", "includeSystem": True}).json()
    assert list(row) == [":id", ":created_at", ":updated_at", ":version", "n"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "select nope"}, "query.soql.no-such-column"),
        ({"query": "select n where"}, "query.compiler.malformed"),
        ({"query": 5}, "req.bad-parameter"),
        ({"frobnicate": 1}, "req.bad-parameter"),
        ({"page": 1}, "req.bad-parameter"),
        ({"page": {"pageNumber": 0, "pageSize": 1}}, "req.bad-parameter"),
        ({"page": {"pageNumber": 1, "pageSize": "many"}}, "req.bad-parameter"),
        ({"page": {"pageNumber": 1, "pageSize": 10**6}}, "req.bad-parameter"),
        ({"parameters": {"a": 1}}, "req.bad-parameter"),
        ([], "req.content.json.not-object"),
    ],
)
def test_a_wrong_body_is_refused(portal: Running, numbers: str, body: object, code: str) -> None:
    """Queries as in SODA 2, and options that are not known or not numbers."""
    answer = post(portal, numbers, body)
    found = answer.json()
    assert (400, code) == (answer.status_code, found.get("errorCode") or found.get("code"))


def test_broken_json_formats_and_pages_of_exports(portal: Running, numbers: str) -> None:
    """400, 406, 400."""
    broken = portal.ask("POST", f"/api/v3/views/{numbers}/query.json", data=b"{")
    assert (broken.status_code, broken.json()["errorCode"]) == (400, "req.body.malformed-json")
    assert post(portal, numbers, {}, what="query.xml").status_code == 406
    assert post(portal, numbers, {"page": {"pageNumber": 1}}, what="export.csv").status_code == 400
    assert post(portal, "aaaa-aaaa", {}).status_code == 404


def test_a_good_copy_is_not_sent_again(portal: Running, numbers: str) -> None:
    """By its weak tag; another body is another question."""
    tag = post(portal, numbers, {"query": "select n limit 1"}).headers["ETag"]
    headers = {"If-None-Match": tag}
    assert post(portal, numbers, {"query": "select n limit 1"}, headers=headers).status_code == 304
    assert post(portal, numbers, {"query": "select n limit 2"}, headers=headers).status_code == 200
