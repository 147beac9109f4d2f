"""Reading a dataset of a Socrata portal: against the embedded portal, and against portals that fail."""

from __future__ import annotations

import base64
import contextlib
import csv
import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import reading_files
from error_texts import assert_text, whole_story
from loopback import Question, Reply, Served, serving
from portal_fixture import Running, running_portal
from pydantic import ValidationError
from real_data import real_data_folder
from ruamel.yaml import YAML

from ctnb import secrets
from ctnb.contracts.places import SocrataRows
from ctnb.datasets import Contract, Dataset
from ctnb.errors import ContractInvalid, CtnbError, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import customs, socrata_rows
from ctnb.places.fetched import Fetched, Progress, Request

CANARY = "zyxwyn.quillfeatherax@pobox-canary.net"
"""What an answer of a portal may quote, and no message may."""
SECRET = "hunter2-secret"
ASKED = f"town = '{SECRET}'"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One embedded portal for all tests."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(autouse=True)
def no_customs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account of whoever runs the tests is not used."""
    for name in (*(one for pair in customs.SOCRATA_ACCOUNTS for one in pair), *customs.SOCRATA_TOKENS):
        monkeypatch.delenv(name, raising=False)


def request(tmp_path: Path, **more: Any) -> Request:
    """A request as the supervisor makes it."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return Request(work=work, folder=tmp_path, project=tmp_path, roots=(), secret=secrets.value, **more)


def fetch(tmp_path: Path, dataset: str, told: dict[str, Any] | None = None, **keys: Any) -> Fetched:
    """What the source gives; `told` goes to the request."""
    return socrata_rows.fetch(SocrataRows(dataset=dataset, **keys), request(tmp_path, **(told or {})))


def records(fetched: Fetched) -> list[dict[str, str]]:
    """The snapshot's rows by column."""
    with fetched.snapshots[0].path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def filled(portal: Running, rows: list[dict[str, Any]], *columns: tuple[str, str], **more: Any) -> str:
    """A public dataset of the portal with `rows`; its id."""
    uid = portal.create(*columns, **{"public": True, **more})
    answer = portal.ask("PUT", f"/resource/{uid}.json", json=rows)
    assert answer.status_code == 200, answer.text
    return uid


EVERY_TYPE = (
    ("name", "text"), ("zip", "text"), ("n", "number"), ("ok", "checkbox"), ("day", "calendar_date"),
    ("at", "calendar_date"), ("moment", "date"), ("site", "url"), ("place", "location"), ("spot", "point"),
    ("area", "polygon"), ("never", "text"),
)  # fmt: skip
SQUARE = {"type": "Polygon", "coordinates": [[[-72, 41], [-71, 41], [-71, 42], [-72, 41]]]}


@pytest.fixture(scope="module")
def every_type(portal: Running) -> str:
    """A dataset with a column of every type, one of them null in every row."""
    home = {"address": "83 Elm Street", "city": "Derby", "state": "CT", "zip": "06418"}
    full = {
        "name": 'Ann "Nan"\nof Derby, CT', "zip": "06418", "n": "41.5", "ok": True, "day": "2024-02-29T00:00:00.000",
        "at": "2024-02-29T13:05:09.000", "moment": "2024-02-29T18:05:09.000Z",
        "site": {"url": "https://ct.gov/a?b=1", "description": "The page"},
        "place": {"latitude": "41.32", "longitude": "-73.08", "human_address": json.dumps(home)},
        "spot": {"type": "Point", "coordinates": [-73.08, 41.32]}, "area": SQUARE,
    }  # fmt: skip
    return filled(portal, [full, {"name": "", "ok": False, "at": "2024-03-01T00:00:00.000"}, {"zip": "0"}],
                  *EVERY_TYPE)  # fmt: skip


def test_every_type_of_cell_arrives_as_text_under_its_column(
    portal: Running, every_type: str, tmp_path: Path
) -> None:
    """Parts of links and places have columns of their own; what is null everywhere is there too."""
    first, second, third = records(fetch(tmp_path, every_type, domain=portal.url))
    assert {
        "name": 'Ann "Nan"\nof Derby, CT', "zip": "06418", "n": "41.5", "ok": "true", "day": "2024-02-29T00:00:00.000",
        "at": "2024-02-29T13:05:09.000", "moment": "2024-02-29T18:05:09.000", "site": "https://ct.gov/a?b=1",
        "site.description": "The page", "place": "POINT (-73.08 41.32)", "place.address": "83 Elm Street",
        "place.city": "Derby", "place.state": "CT", "place.zip": "06418", "spot": "POINT (-73.08 41.32)",
        "area": json.dumps(SQUARE, separators=(",", ":")), "never": "",
    } == first  # fmt: skip
    assert (second["ok"], third["zip"], third["ok"], list(first)) == ("false", "0", "", list(third))


def test_null_and_empty_text_are_told_apart(portal: Running, every_type: str, tmp_path: Path) -> None:
    """A null has nothing between the commas, an empty text its quotation marks."""
    lines = fetch(tmp_path, every_type, domain=portal.url).snapshots[0].path.read_text().splitlines()
    assert (lines[3].startswith('"",,,"false",'), lines[4].startswith(',"0",')) == (True, True)


def test_types_come_from_the_metadata(portal: Running, every_type: str, tmp_path: Path) -> None:
    """A column of days that are all at midnight is one of dates; one other time makes it one of timestamps."""
    assert {
        "name": "text", "zip": "text", "n": "number", "ok": "boolean", "day": "date", "at": "timestamp",
        "moment": "timestamp", "site": "url", "site.description": "text", "place": "point", "place.address": "text",
        "place.city": "text", "place.state": "text", "place.zip": "code", "spot": "point", "area": "text",
        "never": "text",
    } == fetch(tmp_path, every_type, domain=portal.url).types  # fmt: skip


@pytest.fixture(scope="module")
def towns(portal: Running) -> str:
    """A public dataset of 60,000 rows; its 4x4."""
    rows = [{"n": n, "town": f"Town {n % 169}", "code": f"{n:05d}"} for n in range(60_000)]
    return filled(portal, rows, ("n", "number"), ("town", "text"), ("code", "text"))


def test_every_row_of_many_pages_arrives_once(portal: Running, towns: str, tmp_path: Path) -> None:
    """60,000 rows in pages of 7,000: none twice, none missing, and whoever watches sees rows."""
    seen: list[Progress] = []
    fetched = fetch(tmp_path, towns, {"progress": seen.append}, domain=portal.url, page_rows=7_000)
    codes = [row["code"] for row in records(fetched)]
    assert [f"{n:05d}" for n in range(60_000)] == sorted(codes)
    assert (60_000, "csv", f"{towns}.csv") == (fetched.rows, fetched.format, fetched.snapshots[0].name)
    assert (9, (60_000, 60_000, "rows")) == (len(seen), (seen[-1].done, seen[-1].total, seen[-1].unit))


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        ({"where": "n < 500"}, 500),
        ({"where": "town = 'Town 7' and n < 338"}, 2),
        ({"where": "n < 0"}, 0),
        ({"q": "town 168", "where": "n < 1000"}, 5),
        ({"select": "town, code", "where": "n < 1001"}, 1001),
        ({"select": "town, count(*) as cases, max(n) as top", "group": "town"}, 169),
        ({"select": "town, count(*) as cases", "group": "town", "having": "cases > 355"}, 5),
        ({"select": "count(*) as cases, min(code) as least"}, 1),
    ],
)  # fmt: skip
def test_clauses_choose_columns_and_rows(
    portal: Running, towns: str, tmp_path: Path, keys: dict[str, str], rows: int
) -> None:
    """What the portal gives for the same clauses arrives, in pages of 100, and its count with it."""
    order = "least" if "least" in keys.get("select", "") else keys.get("group", ":id")
    expected = portal.rows(towns, **keys, limit="70000", order=order)
    fetched = fetch(tmp_path, towns, domain=portal.url, page_rows=100, **keys)
    found = records(fetched)
    assert (rows, rows, expected) == (fetched.rows, len(found), found)


def test_the_address_of_an_old_script_keeps_its_filters(portal: Running, towns: str, tmp_path: Path) -> None:
    """Clauses and plain filters in a copied address count."""
    address = f"{portal.url}/resource/{towns}.json?$where=n%20<%20400&town=Town%205"
    assert {"5", "174", "343"} == {row["n"] for row in records(fetch(tmp_path, address))}


@pytest.mark.parametrize(
    "page", ["/d/{}", "/Category/Name/{}/about_data", "/resource/{}.csv", "/api/views/{}"]
)
def test_pages_that_people_copy_are_read(portal: Running, every_type: str, tmp_path: Path, page: str) -> None:
    """The whole dataset, whatever page it was copied from."""
    assert fetch(tmp_path, portal.url + page.format(every_type)).rows == 3


def test_system_fields_come_when_they_are_selected(portal: Running, every_type: str, tmp_path: Path) -> None:
    """They are left out otherwise."""
    fetched = fetch(tmp_path, every_type, domain=portal.url, select=":id, :updated_at, zip")
    found = records(fetched)
    assert [":id", ":updated_at", "zip"] == list(found[0])
    assert (True, {":id": "text", ":updated_at": "timestamp", "zip": "text"}) == (
        all(row[":id"].startswith("row-") for row in found), fetched.types,
    )  # fmt: skip


def test_an_empty_dataset_has_its_columns(portal: Running, tmp_path: Path) -> None:
    """No row, every column."""
    uid = filled(portal, [], ("town", "text"), ("n", "number"))
    fetched = fetch(tmp_path, uid, domain=portal.url)
    assert (0, b'"town","n"\n') == (fetched.rows, fetched.snapshots[0].path.read_bytes())


def test_a_private_dataset_needs_its_account(
    portal: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By reference in the contract; or, where it names none, in either custom of environment variables."""
    uid = filled(portal, [{"town": "Derby"}], ("town", "text"), public=False)
    with pytest.raises(UsageError, match="does not let this account read"):
        fetch(tmp_path, uid, domain=portal.url)
    monkeypatch.setenv("READER_ID", portal.key_id)
    monkeypatch.setenv("READER_SECRET", portal.key_secret)
    named = {"user": {"secret": "READER_ID"}, "password": {"secret": "READER_SECRET"}}
    assert fetch(tmp_path, uid, domain=portal.url, **named).rows == 1
    for user, password in customs.SOCRATA_ACCOUNTS:
        with monkeypatch.context() as patched:
            patched.setenv(user, portal.key_id)
            patched.setenv(password, portal.key_secret)
            assert fetch(tmp_path, uid, domain=portal.url).rows == 1


def test_a_wrong_password_is_told_without_it(
    portal: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account's secret stands in no message, and a wrong one is no reason to try another."""
    monkeypatch.setenv("READER_SECRET", SECRET)
    monkeypatch.setenv("SOCRATA_USERNAME", portal.key_id)
    monkeypatch.setenv("SOCRATA_PASSWORD", portal.key_secret)
    uid = filled(portal, [{"town": "Derby"}], ("town", "text"), public=False)
    with pytest.raises(UsageError) as caught:
        fetch(tmp_path, uid, domain=portal.url, user="pat", password={"secret": "READER_SECRET"})
    assert SECRET not in whole_story(caught.value)


# --- A portal that does what it is told ---------------------------------------------------------

UPDATED = 1_700_000_000
VIEW = {
    "id": "abcd-1234", "viewType": "tabular", "rowsUpdatedAt": UPDATED,
    "columns": [
        {"fieldName": "town", "dataTypeName": "text"},
        {"fieldName": "paid", "dataTypeName": "number", "format": {"precisionStyle": "currency"}},
    ],
}  # fmt: skip


class Portal:
    """A small portal; a test changes what it says."""

    def __init__(self) -> None:
        self.view: dict[str, Any] = dict(VIEW)
        self.rows: list[dict[str, Any]] = [{"town": f"Town {n}", "paid": f"{n}"} for n in range(10)]
        self.faults: dict[str, list[Reply]] = {"view": [], "count": [], "page": []}
        """Replies that come before the true ones, by what was asked."""
        self.before_page: list[Any] = []
        """What happens before each next page is made."""

    def __call__(self, question: Question) -> Reply:
        what = "view" if "/api/views/" in question.path else "page"
        what = "count" if question.query.get("$select", "").startswith("count(*)") else what
        if self.faults[what]:
            return self.faults[what].pop(0)
        if what == "view":
            return reply(self.view)
        if what == "count":
            return reply([{"ctnb_rows": str(len(self.rows))}])
        if self.before_page:
            self.before_page.pop(0)()
        start = int(question.query["$offset"])
        return reply(self.rows[start : start + int(question.query["$limit"])])


def reply(content: Any, **more: Any) -> Reply:
    """A good answer."""
    return Reply(json.dumps(content).encode(), **more)


@pytest.fixture
def told() -> Iterator[tuple[Portal, Served]]:
    """The small portal, running."""
    portal = Portal()
    with serving(portal) as served:
        yield portal, served


def test_what_did_not_change_is_nothing_new(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """By the rows' time and count; another question, more rows, a later time, or again: all are read."""
    portal, served = told
    first = fetch(tmp_path, "abcd-1234", domain=served.url)
    position = {"position": first.position}
    assert (UPDATED, 10, "2023-11-14T22:13:20.000000Z") == (
        first.position["rows_updated_at"], first.position["count"], first.modified,
    )  # fmt: skip
    with pytest.raises(NothingNew, match="has not changed since the last release"):
        fetch(tmp_path, "abcd-1234", position, domain=served.url)
    assert fetch(tmp_path, "abcd-1234", {**position, "again": True}, domain=served.url).rows == 10
    assert fetch(tmp_path, "abcd-1234", position, domain=served.url, where="true").rows == 10
    portal.rows.append({"town": "Derby"})
    assert fetch(tmp_path, "abcd-1234", position, domain=served.url).rows == 11
    portal.rows.pop()
    portal.view["rowsUpdatedAt"] = UPDATED + 1
    assert fetch(tmp_path, "abcd-1234", position, domain=served.url).rows == 10


def test_a_change_in_the_second_of_the_reading_is_not_missed(
    told: tuple[Portal, Served], tmp_path: Path
) -> None:
    """Times have whole seconds: while one is not over, nothing is remembered that would hide a later change."""
    portal, served = told
    portal.faults["view"] = [reply(VIEW, headers={"Date": "Tue, 14 Nov 2023 22:13:21 GMT"})]
    assert fetch(tmp_path, "abcd-1234", domain=served.url).position == {}


def test_order_is_total_and_pages_go_on_until_every_row_is_there(
    told: tuple[Portal, Served], tmp_path: Path
) -> None:
    """A portal that gives fewer rows than asked for is asked on, ordered by :id or by the groups."""
    portal, served = told
    portal.faults["page"] = [reply(portal.rows[:3])]
    assert fetch(tmp_path, "abcd-1234", domain=served.url, page_rows=4).rows == 10
    pages = [one.query for one in served.asked if "$offset" in one.query]
    assert [("0", ":id"), ("3", ":id"), ("7", ":id")] == [(one["$offset"], one["$order"]) for one in pages]


def test_rows_that_come_meanwhile_are_read_anew(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """A change between two pages is seen in the count, and the second reading is whole."""
    portal, served = told
    portal.before_page = [lambda: None, lambda: portal.rows.insert(0, {"town": "New Town"})]
    fetched = fetch(tmp_path, "abcd-1234", domain=served.url, page_rows=5)
    names = [row["town"] for row in records(fetched)]
    assert (11, 11, 11) == (fetched.rows, len(set(names)), fetched.position["count"])


def test_rows_that_change_without_their_number_are_seen_by_their_time(
    told: tuple[Portal, Served], tmp_path: Path
) -> None:
    """One row taken out and one put in leave the count as it was."""
    portal, served = told

    def changed() -> None:
        portal.rows = [*portal.rows[1:], {"town": "New Town"}]
        portal.view = {**portal.view, "rowsUpdatedAt": UPDATED + 60}

    portal.before_page = [lambda: None, changed]
    fetched = fetch(tmp_path, "abcd-1234", domain=served.url, page_rows=5)
    assert (10, UPDATED + 60) == (
        len({row["town"] for row in records(fetched)}),
        fetched.position["rows_updated_at"],
    )


def test_a_dataset_that_never_rests_is_refused(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """After three readings, with nothing left behind."""
    portal, served = told
    portal.before_page = [lambda: portal.rows.append({"town": CANARY})] * 20
    with pytest.raises(
        SourceFailed, match=r"changed while it was read, 3 times: .* rows were counted"
    ) as caught:
        fetch(tmp_path, "abcd-1234", domain=served.url)
    assert ("pobox-canary" in whole_story(caught.value), []) == (False, list((tmp_path / "work").iterdir()))


@pytest.mark.parametrize(
    ("headers", "told_why"),
    [
        ({"X-SODA2-Data-Out-Of-Date": "true"}, "has not caught up"),
        ({"X-SODA2-Truth-Last-Modified": "Sun, 27 Apr 2025 15:12:10 GMT"}, "of different times"),
    ],
)
def test_rows_older_than_the_portal_says_are_not_taken(
    told: tuple[Portal, Served], tmp_path: Path, headers: dict[str, str], told_why: str
) -> None:
    """A copy that lags behind its last change would be remembered as the newest."""
    portal, served = told
    portal.faults["page"] = [reply(portal.rows, headers=headers) for _ in range(3)]
    with pytest.raises(SourceFailed, match=told_why):
        fetch(tmp_path, "abcd-1234", domain=served.url)


def test_a_column_that_appears_meanwhile_is_not_left_out(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """The rows have a key that the metadata did not list, until they are asked again."""
    portal, served = told
    wider = {**VIEW, "columns": [*VIEW["columns"], {"fieldName": "zip", "dataTypeName": "text"}]}  # type: ignore[misc]
    portal.rows[7]["zip"] = "06418"
    portal.faults["view"] = [reply(VIEW)]
    portal.view = wider
    assert [""] * 7 + ["06418"] + [""] * 2 == [
        row["zip"] for row in records(fetch(tmp_path, "abcd-1234", domain=served.url))
    ]


def test_computed_columns_are_left_out_and_counted(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """They are the portal's, not the publisher's."""
    portal, served = told
    region = {"fieldName": ":@computed_region_dam5_q64j", "dataTypeName": "number"}
    portal.view["columns"] = [*portal.view["columns"], region]
    portal.rows[0][":@computed_region_dam5_q64j"] = "7"
    fetched = fetch(tmp_path, "abcd-1234", domain=served.url)
    assert (["town", "paid"], 1) == (list(records(fetched)[0]), len(fetched.notes))


def test_old_types_keep_their_parts(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """Documents, photos, phones; a place whose address has another form; parts that nobody knows are counted."""
    portal, served = told
    kinds = {"doc": "document", "photo": "photo", "call": "phone", "place": "location", "what": "blob"}
    portal.view["columns"] = [{"fieldName": name, "dataTypeName": kind} for name, kind in kinds.items()]
    portal.rows = [
        {
            "doc": {"file_id": "f1", "filename": "a.gif", "content_type": "image/gif"}, "photo": "p1",
            "call": {"phone_number": "860-555-0100", "phone_type": "Work"}, "what": {"b": [1, 2.5]},
            "place": {"latitude": "41", "longitude": "-73", "human_address": "1 Main", "needs_recoding": False},
        },
        {"place": {"longitude": "-73", "machine": 1}, "doc": "f2"},
    ]  # fmt: skip
    fetched = fetch(tmp_path, "abcd-1234", domain=served.url)
    first, second = records(fetched)
    assert ["f1", "a.gif", "image/gif", "p1", "860-555-0100", "Work", "POINT (-73 41)", "1 Main", "", "", "",
            '{"b":[1,2.5]}'] == list(first.values())  # fmt: skip
    assert (("f2", ""), ("1 cells of place have parts that its type does not have; they are left out.",)) == (
        (second["doc"], second["place"]), fetched.notes,
    )  # fmt: skip


@pytest.mark.parametrize(
    "waiting",
    [
        Reply(b"{}", 202, headers={"Retry-After": "0"}),
        Reply(
            b"{}",
            202,
            headers={"Retry-After": "0", "Location": "/resource/abcd-1234.json?$offset=0&$limit=99"},
        ),
        Reply(b'{"ticket": "T1"}', 202, headers={"Retry-After": "0"}),
        Reply(b"busy", 429, "text/plain", {"Retry-After": "0"}),
        Reply(b"busy", 429, "text/plain", {"Retry-After": "Tue, 14 Nov 2000 22:13:21 GMT"}),
        Reply(b"<html>", 503, "text/html", {"Retry-After": "0"}),
        Reply(b'[{"town": "Town 0"}]', cut=9, headers={"Retry-After": "0"}),
    ],
    ids=["202", "202 elsewhere", "202 with a ticket", "429", "429 until a day", "503", "torn"],
)
def test_a_busy_portal_is_asked_again(told: tuple[Portal, Served], tmp_path: Path, waiting: Reply) -> None:
    """202 is not an answer, and neither is a page that breaks off."""
    portal, served = told
    portal.faults["page"] = [waiting, waiting]
    assert fetch(tmp_path, "abcd-1234", domain=served.url).rows == 10
    if b"ticket" in waiting.content:
        assert [one.query["ticket"] for one in served.asked if "ticket" in one.query] == ["T1", "T1"]


def test_a_portal_that_never_gets_ready_is_left(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """Waiting for 202 ends after wait_s."""
    portal, served = told
    portal.faults["count"] = [Reply(b"{}", 202)] * 9
    with pytest.raises(SourceFailed, match=r"still preparing the rows after 0\.1 seconds"):
        fetch(tmp_path, "abcd-1234", domain=served.url, wait_s=0.1)


HTML = Reply(f"<html>{CANARY}</html>".encode(), kind="text/html; charset=utf-8")
FAULTS = [
    ("view", HTML, SourceFailed, "with text/html where JSON was expected"),
    ("page", HTML, SourceFailed, "with text/html where JSON was expected"),
    ("page", Reply(f'[{{"town": "{CANARY}'.encode()), SourceFailed, "with something torn"),
    ("page", Reply(f'{{"town": "{CANARY}"}}'.encode()), SourceFailed, "with something torn"),
    ("count", Reply(b'[{"ctnb_rows": "many"}]'), SourceFailed, "with something torn"),
    ("view", Reply(b'{"code": "authentication_required"}', 401), UsageError, "401, authentication_required"),
    ("view", Reply(b'{"code": "permission_denied", "error": true}', 403), UsageError, "403, permission_denied"),
    ("page", Reply(b'{"message": "%s", "error": true}' % CANARY.encode(), 403), UsageError, "status 403"),
    ("view", Reply(b'{"code": "not_found"}', 404), SourceInvalid, "has no dataset abcd-1234"),
    ("count", Reply(b'{"errorCode": "query.soql.no-such-column", "message": "%s"}' % CANARY.encode(), 400),
     SourceInvalid, "400, query.soql.no-such-column"),
    ("page", Reply(b"", 429, headers={"Retry-After": "86400"}), SourceFailed, "left alone for 86,400 seconds"),
    ("view", Reply(b"", 301, headers={"Location": "https://data.example.gov/x?secret=" + SECRET}), SourceFailed,
     "it points to https://data.example.gov"),
    ("view", Reply(b'{"id": "abcd-1234", "viewType": "geo", "childViews": ["wxyz-9876"]}'), SourceInvalid, "wxyz-9876"),
    ("view", Reply(b'{"id": "abcd-1234", "viewType": "href", "columns": []}'), SourceInvalid, "is no table"),
    ("view", Reply(b"[]"), SourceFailed, "with something torn"),
    ("page", Reply(b"x", 418), SourceFailed, "status 418"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "fault", "kind", "match"), FAULTS, ids=[f"{f[0]}: {f[3]}" for f in FAULTS])
def test_a_refusal_is_told_without_what_the_portal_quotes(
    told: tuple[Portal, Served], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    where: str, fault: Reply, kind: type[CtnbError], match: str,
) -> None:  # fmt: skip
    """One message: which portal, which status, what to do; no row, no address, no half-written snapshot."""
    portal, served = told
    portal.faults[where] = [fault]
    with caplog.at_level(logging.DEBUG, "ctnb"), pytest.raises(kind, match=match) as caught:
        fetch(tmp_path, "abcd-1234", domain=served.url, where=ASKED)
    text = whole_story(caught.value) + caplog.text
    assert (False, False, []) == (
        "pobox-canary" in text,
        SECRET in text,
        list((tmp_path / "work").iterdir()),
    )


def test_a_portal_that_is_not_there_is_told_without_its_address(tmp_path: Path) -> None:
    """The exceptions of requests quote what was asked for; none of them is in the chain."""
    with serving(Portal()) as served:
        url = served.url
    with pytest.raises(SourceFailed, match="did not answer: ConnectionError, 4 times") as caught:
        fetch(tmp_path, "abcd-1234", domain=url, where=ASKED)
    assert SECRET not in whole_story(caught.value)


def test_a_page_too_large_for_memory_is_asked_for_in_halves(
    told: tuple[Portal, Served], tmp_path: Path
) -> None:
    """Rows with large shapes come in smaller pages."""
    portal, served = told
    portal.rows = [{"town": "x" * (12 << 20)} for _ in range(6)]
    fetched = fetch(tmp_path, "abcd-1234", domain=served.url, page_rows=8)
    sizes = [int(one.query["$limit"]) for one in served.asked if "$offset" in one.query]
    assert (6, [8, 4, 4]) == (fetched.rows, sizes)


def test_a_token_is_sent_as_a_header_and_stands_in_no_address(
    told: tuple[Portal, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by the contract, or by custom."""
    _, served = told
    monkeypatch.setenv("SOCRATA_APP_TOKEN", "tok-by-custom")
    monkeypatch.setenv("MINE", "tok-by-name")
    fetch(tmp_path, "abcd-1234", domain=served.url)
    fetch(tmp_path, "abcd-1234", domain=served.url, app_token={"secret": "MINE"})
    sent = [one.headers.get("x-app-token") for one in served.asked]
    assert ({"tok-by-custom", "tok-by-name"}, False) == (
        set(sent), any("tok-" in str(one.query) for one in served.asked),
    )  # fmt: skip


def test_a_proxy_does_not_stand_between_this_machine_and_itself(
    told: tuple[Portal, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded portal is reached, whatever the environment says of proxies."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch(tmp_path, "abcd-1234", domain=told[1].url).rows == 10


def test_an_account_is_not_sent_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this machine itself is reached without TLS."""
    monkeypatch.setenv("MINE", SECRET)
    with pytest.raises(UsageError, match="in the clear"):
        fetch(
            tmp_path, "abcd-1234", domain="http://data.example.gov", user="pat", password={"secret": "MINE"}
        )


def test_a_token_that_no_header_carries_is_told_without_it(
    told: tuple[Portal, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library below would quote it; a line end behind it, as files have one, does not matter."""
    monkeypatch.setenv("MINE", f"{SECRET}\n")
    assert fetch(tmp_path, "abcd-1234", domain=told[1].url, app_token={"secret": "MINE"}).rows == 10
    monkeypatch.setenv("MINE", f"{SECRET}\u20ac")
    with pytest.raises(UsageError, match="sent as X-App-Token") as caught:
        fetch(tmp_path, "abcd-1234", domain=told[1].url, app_token={"secret": "MINE"})
    assert SECRET not in whole_story(caught.value)


def test_a_password_may_hold_any_letter(
    told: tuple[Portal, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes as UTF-8, as RFC 7617 has it."""
    monkeypatch.setenv("MINE", "h\u00fcnter\u20ac")
    fetch(tmp_path, "abcd-1234", domain=told[1].url, user="pat", password={"secret": "MINE"})
    sent = told[1].asked[-1].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "pat:h\u00fcnter\u20ac"


def test_user_and_password_stand_together() -> None:
    """One of them alone is a mistake in the contract."""
    with pytest.raises(ValidationError, match="stand together"):
        SocrataRows(dataset="abcd-1234", user="pat")


def test_the_texts_of_the_main_errors(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """A change of wording is a change to review."""
    portal, served = told
    portal.before_page = [lambda: portal.rows.append({"town": "New Town"})] * 3
    with pytest.raises(SourceFailed) as changed:
        fetch(tmp_path, "abcd-1234", domain=served.url)
    assert_text("socrata-changed", changed.value)
    portal.faults["view"] = [Reply(b'{"code": "permission_denied", "error": true}', 403)]
    with pytest.raises(UsageError) as private:
        fetch(tmp_path, "abcd-1234", domain=served.url)
    assert_text("socrata-private", private.value, portal=served.url.removeprefix("http://"))
    with pytest.raises(ContractInvalid) as address:
        fetch(tmp_path, "https://data.ct.gov/browse")
    assert_text("socrata-address", address.value)


def test_the_pages_show_contracts_that_are_valid() -> None:
    """Every block of dataset.yml in the three pages on portals."""
    for name in ("socrata", "opendatasoft", "the-census"):
        page = Path(__file__).parents[1] / "docs" / "how-to" / f"read-from-{name}.md"
        blocks = re.findall(
            r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        assert blocks
        for block in blocks:
            said = {"columns": [{"name": "a", "type": "text"}], **YAML(typ="safe").load(block)}
            assert (
                Contract.model_validate({"format": 1, "title": "A", **said}).source.place in name + "census"
            )


def test_distinct_is_refused(tmp_path: Path) -> None:
    """It has no total order; the same rows come by group."""
    with pytest.raises(ContractInvalid, match="begins with distinct"):
        fetch(tmp_path, "abcd-1234", domain="data.ct.gov", select="distinct town")


def test_certificates_of_ones_own_must_be_there(tmp_path: Path) -> None:
    """A path that leads nowhere is told before anything is asked."""
    with pytest.raises(UsageError, match=r"agency\.pem under ca_file: is not there"):
        fetch(tmp_path, "abcd-1234", domain="data.ct.gov", ca_file="agency.pem")


def test_recorded_answers_of_a_real_portal_are_read(tmp_path: Path) -> None:
    """Metadata and a page of data.cityofnewyork.us, as it gave them in 2025."""

    def recorded(name: str) -> bytes:
        text = (real_data_folder() / "recorded" / f"{name}.yaml").read_text(encoding="utf-8")
        return str(YAML(typ="safe").load(text)["interactions"][0]["response"]["body"]["string"]).encode()

    view, page = recorded("socrata-get-metadata-and-attachments"), recorded("socrata-get")
    rows = len(json.loads(page))

    def answer(question: Question) -> Reply:
        if "views" in question.path:
            return Reply(view)
        if "$offset" in question.query:
            return Reply(page, kind="application/json;charset=utf-8")
        return Reply(b'[{"ctnb_rows": "%d"}]' % rows)

    with serving(answer) as served:
        fetched = fetch(tmp_path, "uczf-rk3c", domain=served.url)
    first = records(fetched)[0]
    assert (1000, {"countid": "19831896", "id": "100009425", "date": "2023-06-03T00:00:00.000", "counts": "27",
                   "status": "0"}) == (fetched.rows, first)  # fmt: skip
    assert {
        "countid": "number",
        "id": "number",
        "date": "timestamp",
        "counts": "number",
        "status": "number",
    } == (dict(fetched.types))


def test_a_recorded_missing_dataset_is_told(tmp_path: Path) -> None:
    """The error as the real portal gives it."""
    path = real_data_folder() / "recorded" / "socrata-get-missing.yaml"
    body = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["interactions"][0]["response"]["body"][
        "string"
    ]
    with (
        serving(lambda question: Reply(str(body).encode(), 404)) as served,
        pytest.raises(SourceInvalid, match="has no dataset abcd-1234"),
    ):
        fetch(tmp_path, "abcd-1234", domain=served.url)


def test_a_portal_is_read_under_a_contract(portal: Running, every_type: str, tmp_path: Path) -> None:
    """What was published comes back with its types: a day is a date, a code keeps its zero, a place is a point."""
    types = {
        "name": "text", "zip": "code", "n": "number", "ok": "boolean", "day": "date", "at": "timestamp",
        "moment": "timestamp", "site": "url", "place": "point", "spot": "point", "never": "text",
    }  # fmt: skip
    contract = Contract.model_validate(
        {
            "format": 1, "title": "A", "columns": [{"name": name, "type": kind} for name, kind in types.items()],
            "source": {
                "socrata": {"dataset": f"{portal.url}/d/{every_type}"},
                "ignore": ["site.description", "place.address", "place.city", "place.state", "place.zip", "area"],
            },
        }
    )  # fmt: skip
    folder = tmp_path / "notebooks" / "sample"
    folder.mkdir(parents=True)
    reading = reading_files.read(Dataset("sample", folder, contract, ""), tmp_path)
    assert (3, 0) == (reading.rows_read, reading.rows_rejected)
    assert [
        ("06418", Decimal("41.500000"), True, date(2024, 2, 29), datetime(2024, 2, 29, 13, 5, 9),
         "POINT (-73.080000 41.320000)"),
        (None, None, False, None, datetime(2024, 3, 1), None), ("0", None, None, None, None, None),
    ] == [
        tuple(row[name] for name in ("zip", "n", "ok", "day", "at", "place"))
        for row in pq.read_table(reading.table.path).to_pylist()
    ]  # fmt: skip


def test_memory_holds_a_page_and_not_the_dataset(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """A dataset of 80 MB, in pages of 2 MB, takes less than 20 MB on its way."""
    portal, served = told
    long = "x" * 10_000
    portal.rows = [{"town": long, "paid": str(n)} for n in range(8_000)]
    tracemalloc.start()
    try:
        fetched = fetch(tmp_path, "abcd-1234", domain=served.url, page_rows=200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (True, True) == (fetched.snapshots[0].bytes > 80_000_000, peak < 20_000_000)


@pytest.mark.slow
def test_a_run_reads_a_private_portal_and_the_next_one_stops(portal: Running, tmp_path: Path) -> None:
    """The whole way, by the command: the account stays with the supervisor, and what did not change ends the run."""
    uid = portal.create(("town", "text"), ("n", "number"), ("day", "calendar_date"))
    rows = [{"town": f"Town {n % 5}", "n": n, "day": "2024-02-29"} for n in range(500)]
    assert portal.ask("PUT", f"/resource/{uid}.json", json=rows).status_code == 200
    with contextlib.closing(sqlite3.connect(portal.file)) as store, store:  # a second that is over
        store.execute("UPDATE views SET rows_updated_at = rows_updated_at - 60")
    source = {"socrata": {"dataset": f"{portal.url}/d/{uid}"}}
    columns = [
        {"name": "town", "type": "text", "role": "plain"}, {"name": "n", "type": "integer", "role": "measure"},
        {"name": "day", "type": "date", "role": "plain"},
    ]  # fmt: skip
    told = {"format": 1, "title": "Things", "unit": "other", "source": source, "columns": columns}
    (tmp_path / "notebooks" / "things").mkdir(parents=True)
    (tmp_path / "notebooks" / "things" / "dataset.yml").write_text(json.dumps(told))
    settings = {"format": 1, "agency": "Example", "portals": {"local": {"kind": "embedded"}}}
    (tmp_path / "ctnb.yml").write_text(json.dumps(settings))
    account = {"MY_SOCRATA_USERNAME": portal.key_id, "MY_SOCRATA_PASSWORD": portal.key_secret}
    runs = [
        subprocess.run(
            [sys.executable, "-m", "ctnb", "run", "things"], cwd=tmp_path, env={**os.environ, **account},
            capture_output=True, text=True, check=False,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [0, 5] == [run.returncode for run in runs]
    assert ("500 rows read = 500 kept", "has not changed since the last release") == (
        re.findall("500 rows read = 500 kept", runs[0].stdout)[0],
        re.findall("has not changed since the last release", runs[1].stdout)[0],
    )
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [] == [path.name for path in written if portal.key_secret.encode() in path.read_bytes()]
