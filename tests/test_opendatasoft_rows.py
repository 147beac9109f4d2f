"""Reading a dataset of an Opendatasoft portal: against a server built from the vendor's documentation."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from error_texts import assert_text, whole_story
from loopback import Question, Reply, Served, serving

from ctnb import clock, secrets
from ctnb.contracts.places import OpendatasoftRows
from ctnb.errors import ContractInvalid, CtnbError, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import opendatasoft_rows
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.opendatasoft_addresses import Asked, asked

CANARY = "zyxwyn.quillfeatherax@pobox-canary.net"
"""What an answer of a portal may quote, and no message may."""
SECRET = "hunter2-secret"
BASE = "/api/explore/v2.1/catalog/datasets/town-budgets"
FIELDS = {
    "town": "text", "code": "text", "people": "int", "paid": "double", "day": "date", "at": "datetime",
    "spot": "geo_point_2d", "area": "geo_shape", "tags": "text", "never": "text",
}  # fmt: skip
FULL = {
    "town": 'Ann "Nan"\nof Derby', "code": "06418", "people": 12, "paid": 41.5, "day": "2024-02-29",
    "at": "2024-02-29T18:05:09+00:00", "spot": {"lon": -73.08, "lat": 41.32},
    "area": {"type": "Feature", "geometry": {"type": "Point", "coordinates": [-73, 41]}, "properties": {}},
    "tags": ["a", "b"], "never": None,
}  # fmt: skip


class Portal:
    """The part of the Explore API that is asked: metadata, a count, and exports as JSON Lines and CSV."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = [FULL, {"town": "", "code": None}, {"people": 0}]
        self.fields = dict(FIELDS)
        self.metas = {"data_processed": "2024-03-01T06:00:00+00:00", "modified": "2024-02-29T23:00:00+00:00"}
        self.key = ""
        """The key that opens the dataset; open to all when empty."""
        self.faults: dict[str, list[Reply]] = {
            "": [],
            "/records": [],
            "/exports/jsonl": [],
            "/exports/csv": [],
        }
        self.afterwards: list[Any] = []
        """What happens after each next export."""

    def __call__(self, question: Question) -> Reply:
        rest = question.path.removeprefix(BASE)
        if self.faults[rest]:
            return self.faults[rest].pop(0)
        if self.key and question.headers.get("authorization") != f"Apikey {self.key}":
            return Reply(b'{"error":"API key is not valid"}', 401)
        names = question.query.get("select", "").replace(" ", "").split(",")
        names = names if names[0] else list(self.fields)
        if rest == "":
            fields = [
                {"name": name, "label": name.title(), "type": kind} for name, kind in self.fields.items()
            ]
            return Reply(json.dumps({"fields": fields, "metas": {"default": self.metas}}).encode())
        if rest == "/records":
            return Reply(json.dumps({"total_count": len(self.found(question)), "results": []}).encode())
        if rest == "/exports/csv":
            return Reply((",".join(names) + "\n").encode(), kind="text/csv; charset=utf-8")
        lines = [
            json.dumps({name: one[name] for name in names if name in one}) + "\n"
            for one in self.found(question)
        ]
        if self.afterwards:
            self.afterwards.pop(0)()
        return Reply("".join(lines).encode(), kind="application/jsonl")

    def found(self, question: Question) -> list[dict[str, Any]]:
        """The records under refine=name:"value" and where=name > number."""
        found = self.records
        if facet := re.fullmatch(r'(\w+):"(.*)"', question.query.get("refine", "")):
            found = [one for one in found if one.get(facet[1]) == facet[2]]
        if more := re.fullmatch(r"(\w+) > (\d+)", question.query.get("where", "")):
            found = [one for one in found if (one.get(more[1]) or 0) > int(more[2])]
        return found


@pytest.fixture
def told() -> Iterator[tuple[Portal, Served]]:
    """The portal, running."""
    portal = Portal()
    with serving(portal) as served:
        yield portal, served


def fetch(tmp_path: Path, served: Served, more: dict[str, Any] | None = None, **keys: Any) -> Fetched:
    """What the source gives; `more` goes to the request."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    request = Request(
        work=work, folder=tmp_path, project=tmp_path, roots=(), secret=secrets.value, **(more or {})
    )
    place = OpendatasoftRows(**{"dataset": f"{served.url}/explore/dataset/town-budgets/", **keys})
    return opendatasoft_rows.fetch(place, request)


def records(fetched: Fetched) -> list[dict[str, str]]:
    """The snapshot's rows by column."""
    with fetched.snapshots[0].path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_type_of_field_arrives_as_text(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """Places are WKT, times are UTC, lists and shapes are JSON; what is null everywhere is there too."""
    fetched = fetch(tmp_path, told[1])
    first, second, third = records(fetched)
    assert {
        "town": 'Ann "Nan"\nof Derby', "code": "06418", "people": "12", "paid": "41.5", "day": "2024-02-29",
        "at": "2024-02-29T18:05:09", "spot": "POINT (-73.08 41.32)",
        "area": json.dumps(FULL["area"], separators=(",", ":")), "tags": '["a","b"]', "never": "",
    } == first  # fmt: skip
    assert (3, "csv", "0", "2024-03-01T06:00:00.000000Z") == (
        fetched.rows, fetched.format, third["people"], fetched.modified,
    )  # fmt: skip
    assert fetched.snapshots[0].path.read_text().splitlines()[3].startswith('"",,,')
    assert second["code"] == ""


def test_types_come_from_the_metadata(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """By field name."""
    assert {
        "town": "text", "code": "text", "people": "integer", "paid": "number", "day": "date", "at": "timestamp",
        "spot": "point", "area": "text", "tags": "text", "never": "text",
    } == fetch(tmp_path, told[1]).types  # fmt: skip


def test_many_records_arrive_once_while_somebody_watches(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """12,000 of them, counted before and after."""
    portal, served = told
    portal.records = [{"code": f"{n:05d}"} for n in range(12_000)]
    seen: list[Progress] = []
    fetched = fetch(tmp_path, served, {"progress": seen.append})
    assert [f"{n:05d}" for n in range(12_000)] == [row["code"] for row in records(fetched)]
    assert [5_000, 10_000, 12_000] == [one.done for one in seen]


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        ({"where": "people > 5"}, 1),
        ({"refine": ["code:06418"]}, 1),
        ({"refine": ['code:"06418"'], "where": "people > 50"}, 0),
        ({"select": "code, people"}, 3),
        ({"select": "code, people", "where": "people > 50"}, 0),
    ],
)
def test_filters_choose_fields_and_records(
    told: tuple[Portal, Served], tmp_path: Path, keys: dict[str, Any], rows: int
) -> None:
    """A selection has its columns even where it has no record."""
    fetched = fetch(tmp_path, told[1], **keys)
    header = fetched.snapshots[0].path.read_text().splitlines()[0]
    wanted = '"code","people"' if "select" in keys else ",".join(f'"{name}"' for name in FIELDS)
    assert (rows, rows, wanted) == (fetched.rows, len(records(fetched)), header)


def test_what_did_not_change_is_nothing_new(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """By the times and the count; another question, or again: all is read."""
    portal, served = told
    position = {"position": fetch(tmp_path, served).position}
    with pytest.raises(NothingNew, match="has not changed"):
        fetch(tmp_path, served, position)
    assert fetch(tmp_path, served, {**position, "again": True}).rows == 3
    assert fetch(tmp_path, served, position, where="people > 5").rows == 1
    portal.metas["data_processed"] = "2024-03-02T06:00:00+00:00"
    assert fetch(tmp_path, served, position).rows == 3


@pytest.mark.parametrize(
    "torn",
    [
        Reply(b'{"town": "A"}\n{"town": "B"}\n'),
        Reply(b'{"town": "A"}\n{"tow'),
        Reply(b'{"town": "A"}\n{"town": "B"}\n{"town": "C"}\n', cut=20),
        Reply(b'{"town": "A"}\n[]\n{"town": "C"}\n'),
        Reply(b'{"town": "A", "zip": "06418"}\n' * 3),
    ],
    ids=["two of three", "torn record", "torn answer", "no record", "a new field"],
)
def test_an_export_that_is_not_whole_is_read_anew(
    told: tuple[Portal, Served], tmp_path: Path, torn: Reply
) -> None:
    """Once by itself; three times is too often, and leaves nothing."""
    portal, served = told
    portal.faults["/exports/jsonl"] = [torn]
    assert fetch(tmp_path, served).rows == 3
    portal.faults["/exports/jsonl"] = [torn] * 3
    (tmp_path / "again").mkdir()
    with pytest.raises(SourceFailed, match="could not be read whole, 3 times"):
        fetch(tmp_path / "again", served)
    assert [] == list((tmp_path / "again" / "work").iterdir())


def test_a_change_while_it_is_read_is_seen(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """By the count, or by when the data were processed."""
    portal, served = told

    def processed() -> None:
        portal.records[2] = {"people": 5}
        portal.metas = {**portal.metas, "data_processed": "2024-03-01T06:00:01+00:00"}

    portal.afterwards = [lambda: portal.records.append({"people": 4}), processed]
    fetched = fetch(tmp_path, served)
    assert ["12", "", "5", "4"] == [row["people"] for row in records(fetched)]
    assert fetched.position["processed"] == "2024-03-01T06:00:01+00:00"


HTML = Reply(f"<html>{CANARY}</html>".encode(), kind="text/html")
FAULTS = [
    ("", HTML, SourceFailed, "with text/html"),
    ("/exports/jsonl", HTML, SourceFailed, "with text/html"),
    ("/records", Reply(b'{"total_count": null}'), SourceFailed, "with something torn"),
    ("", Reply(b'{"fields": [{"label": "%s"}]}' % CANARY.encode()), SourceFailed, "with something torn"),
    ("", Reply(b'{"error":"API key is not valid"}', 401), UsageError, "status 401"),
    ("/records", Reply(b'{"error_code":"ForbiddenAccess","message":"%s"}' % CANARY.encode(), 403), UsageError,
     "403, ForbiddenAccess"),
    ("", Reply(b'{"error_code":"NotFoundResource"}', 404), SourceInvalid, "has no dataset town-budgets"),
    ("/exports/jsonl", Reply(b'{"error_code":"ODSQLError","message":"%s"}' % CANARY.encode(), 400), SourceInvalid,
     "400, ODSQLError"),
    ("/records", Reply(b'{"errorcode":10002,"error":"%s","reset_time":"2024-03-02T00:00:00Z"}' % CANARY.encode(), 429),
     SourceFailed, "left alone for 3,600 seconds"),
    ("/exports/jsonl", Reply(b'{"status_code":418,"error_key":"not_found"}', 418), SourceFailed, "418, not_found"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "fault", "kind", "match"), FAULTS, ids=[f"{f[0]}: {f[3]}" for f in FAULTS])
def test_a_refusal_is_told_without_what_the_portal_quotes(
    told: tuple[Portal, Served], tmp_path: Path, where: str, fault: Reply, kind: type[CtnbError], match: str,
) -> None:  # fmt: skip
    """Each of the vendor's envelopes gives one message, and no half-written snapshot."""
    portal, served = told
    portal.faults[where] = [fault]
    clock.fix(dt.datetime(2024, 3, 1, 23, tzinfo=dt.UTC))
    try:
        with pytest.raises(kind, match=match) as caught:
            fetch(tmp_path, served, where=f"people > '{SECRET}'")
    finally:
        clock.fix(None)
    story = whole_story(caught.value)
    assert (False, False, []) == (
        "pobox-canary" in story,
        SECRET in story,
        list((tmp_path / "work").iterdir()),
    )


def test_a_closed_dataset_opens_by_a_key_that_stands_in_no_address(
    told: tuple[Portal, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes as a header, and a wrong one is not told."""
    portal, served = told
    portal.key = SECRET
    monkeypatch.setenv("MINE", SECRET)
    assert fetch(tmp_path, served, key={"secret": "MINE"}).rows == 3
    assert not any(SECRET in str(one.query) for one in served.asked)
    monkeypatch.setenv("MINE", SECRET + "-wrong")
    with pytest.raises(UsageError) as caught:
        fetch(tmp_path, served, key={"secret": "MINE"})
    assert SECRET not in whole_story(caught.value)


def test_a_key_is_not_sent_in_the_clear(
    told: tuple[Portal, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this machine itself is reached without TLS."""
    monkeypatch.setenv("MINE", SECRET)
    with pytest.raises(UsageError, match="in the clear"):
        fetch(tmp_path, told[1], dataset="http://data.example.gov/explore/dataset/a/", key={"secret": "MINE"})


PORTAL = "https://data.example.gov"


@pytest.mark.parametrize(
    ("address", "refine"),
    [
        (f"{PORTAL}/explore/dataset/town-budgets/", ()),
        (f"{PORTAL}/explore/dataset/town-budgets/table/?sort=-day&disjunctive.town", ()),
        (f"{PORTAL}/explore/dataset/town-budgets/export/?refine.town=New%20Haven", ('town:"New Haven"',)),
        (f"{PORTAL}/explore/assets/town-budgets/", ()),
        (f"{PORTAL}{BASE}", ()),
        (f"{PORTAL}{BASE}/exports/csv?refine=town:Derby&lang=en", ('town:"Derby"',)),
    ],
)
def test_every_address_that_people_copy_means_its_dataset(address: str, refine: tuple[str, ...]) -> None:
    """Pages with their facets, and the API's own."""
    assert Asked(PORTAL, "town-budgets", refine=refine) == asked(OpendatasoftRows(dataset=address))


def test_an_identifier_needs_its_portal() -> None:
    """The id with the portal's host."""
    place = OpendatasoftRows(dataset="town-budgets", domain="data.example.gov", refine=["town:Derby"])
    assert Asked(PORTAL, "town-budgets", refine=('town:"Derby"',)) == asked(place)


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"dataset": "town-budgets"}, "has no portal"),
        ({"dataset": "town/budgets", "domain": "data.example.gov"}, "neither an address nor an id"),
        ({"dataset": "town-budgets", "domain": "data.example.gov/x"}, "not the name of a host"),
        ({"dataset": f"{PORTAL}/pages/home/"}, "has no dataset in it"),
        ({"dataset": f"{PORTAL}/explore/dataset/a/", "domain": "data.ny.gov"}, "two portals"),
        ({"dataset": "https://pat:hunter2-secret@data.example.gov/explore/dataset/a/"}, "has a user in it"),
        ({"dataset": f"{PORTAL}/explore/dataset/a/?q=flu"}, "has q, which"),
        ({"dataset": f"{PORTAL}/explore/dataset/a/?exclude.town=x"}, "has exclude, which"),
        ({"dataset": f"{PORTAL}{BASE}/records?limit=20"}, "has limit, which"),
        ({"dataset": f"{PORTAL}{BASE}/records?apikey=hunter2-secret"}, "has a key in it"),
        ({"dataset": f"{PORTAL}{BASE}/records?where=a", "where": "b"}, "says where twice"),
        ({"dataset": f"{PORTAL}/explore/dataset/a/", "select": "count(*) as n"}, "adds rows up"),
        ({"dataset": f"{PORTAL}/explore/dataset/a/", "refine": ["Derby"]}, "not written name:value"),
    ],
)
def test_a_wrong_address_is_told_and_not_quoted(keys: dict[str, Any], match: str) -> None:
    """What is wrong, and what was expected."""
    with pytest.raises(ContractInvalid, match=match) as caught:
        asked(OpendatasoftRows(**keys))
    assert SECRET not in str(caught.value)


def test_the_texts_of_the_main_errors(told: tuple[Portal, Served], tmp_path: Path) -> None:
    """A change of wording is a change to review."""
    portal, served = told
    portal.faults["/exports/jsonl"] = [Reply(b'{"town": "A"}\n')] * 3
    with pytest.raises(SourceFailed) as short:
        fetch(tmp_path, served)
    assert_text("opendatasoft-not-whole", short.value)
    portal.key = SECRET
    with pytest.raises(UsageError) as key:
        fetch(tmp_path, served)
    assert_text("opendatasoft-key", key.value, portal=served.url.removeprefix("http://"))
