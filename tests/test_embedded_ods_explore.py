"""The embedded portal's explore interface: records, ODSQL, exports, facets, the catalogue and its errors."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from ods_fixture import EXPLORE, Ods, realtime
from portal_fixture import running_portal

BOOTSTRAP = {
    "town": "a", "people": 1, "paid": 1.5, "day": "2024-01-01", "at": "2024-01-01T00:00:00Z",
    "spot": {"lat": 1.0, "lon": 1.0}, "tags": "a", "open": "true",
}  # fmt: skip
ROWS = [
    {"town": "Derby", "people": 12325, "paid": 2.25, "day": "2024-03-04", "at": "2024-03-04T03:06:07Z",
     "spot": "41.32,-73.08", "tags": "river;rail", "open": True},
    {"town": "Ansonia", "people": 18918, "paid": -1, "day": "2023-12-31", "at": "2024-01-01T02:00:00Z",
     "spot": "41.34,-73.07", "tags": "river", "open": False},
    {"town": 'Söüth "Port"', "people": 0, "paid": 10.5, "day": "2024-12-25"},
    {"town": "New Haven", "spot": "41.31,-72.92", "tags": "rail;harbor"},
]  # fmt: skip
NEAR = "geom'POINT(-73.08 41.32)'"
BOX = "geom'POLYGON((-73.2 41.2, -73.0 41.2, -73.0 41.4, -73.2 41.4, -73.2 41.2))'"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ods]:
    """Four towns with one field of each type."""
    with running_portal(tmp_path_factory.mktemp("portal")) as portal:
        made = realtime(portal, BOOTSTRAP, "town", published=False)
        made.annotate("tags", "multivalued", ";")
        for name in ("town", "day", "tags"):
            made.annotate(name, "facet")
        made.annotate("town", "disjunctive")
        assert made.publish()["message"] is None
        assert made.push(ROWS).status_code == 200
        yield made


def ask(data: Ods, path: str = "/records", **parameters: Any) -> requests.Response:
    """One anonymous question to a dataset."""
    return data.portal.ask("GET", f"{EXPLORE}/{data.dataset_id}{path}", signed=False, params=parameters)


def towns(data: Ods, **parameters: Any) -> list[str]:
    """The towns that answer a question, as they come."""
    answer = ask(data, **{"limit": 100, "select": "town", **parameters})
    assert answer.status_code == 200, answer.text
    return [one["town"] for one in answer.json()["results"]]


def test_records_come_in_pages_with_their_types(data: Ods) -> None:
    """Points are objects, texts of many lists, moments UTC; what is missing is null."""
    answer = ask(data, limit=1).json()
    first = {**ROWS[0], "at": "2024-03-04T03:06:07+00:00", "spot": {"lon": -73.08, "lat": 41.32},
             "tags": ["river", "rail"], "open": "true"}  # fmt: skip
    assert {"total_count": 4, "results": [first]} == answer
    assert ["New Haven"] == [one["town"] for one in ask(data, limit=10, offset=3).json()["results"]]
    assert {"total_count": 4, "results": []} == ask(data, limit=0).json()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("town = 'Derby'", ["Derby"]),
        ('town:"Derby"', ["Derby"]),
        ("town = 'S\u00f6\u00fcth \\\"Port\\\"'", ['Söüth "Port"']),
        ("town != 'Derby' and people > 0", ["Ansonia"]),
        ("people >= 12325 and not paid < 0", ["Derby"]),
        ("people in (0, 12325)", ["Derby", 'Söüth "Port"']),
        ("people in [0..12325[", ['Söüth "Port"']),
        ("paid in ]-1 TO 10.5]", ["Derby", 'Söüth "Port"']),
        ("people is null", ["New Haven"]),
        ("people is not null and tags is not null", ["Derby", "Ansonia"]),
        ("day > date'2024' and day < date'2024/04'", ["Derby"]),
        ("day = '2023-12-31'", ["Ansonia"]),
        ("year(day) = 2024 and month(day) = 12", ['Söüth "Port"']),
        ("at < date'2024-01-02'", ["Ansonia"]),
        ("tags = 'rail'", ["Derby", "New Haven"]),
        ("town like 'haven'", ["New Haven"]),
        ("'sou* port'", ['Söüth "Port"']),
        ("search(town, tags, 'harbor')", ["New Haven"]),
        ("startswith(town, 'New')", ["New Haven"]),
        ("open is true", ["Derby"]),
        ("length(town) > 8", ['Söüth "Port"', "New Haven"]),
        ("(people + 1) / 2 > 9000", ["Ansonia"]),
        (f"within_distance(spot, {NEAR}, 5km)", ["Derby", "Ansonia"]),
        (f"distance(spot, {NEAR}) > 10000", ["New Haven"]),
        (f"within(spot, {BOX})", ["Derby", "Ansonia"]),
        ("in_bbox(spot, 41.0, -73.0, 42.0, -72.0)", ["New Haven"]),
        (f"disjoint(spot, {BOX}) and spot is not null", ["New Haven"]),
        ("open", ["Derby"]),
        ("'rail' in tags", ["Derby", "New Haven"]),
        ("day:['2024-01-01' TO '2024-06-01'[", ["Derby"]),
        ("day > now(years=-100) and day < now(days=+1, hour=0)", ["Derby", "Ansonia", 'Söüth "Port"']),
        (
            "day > now(year=2024, month=12, day=1) and day < now(year=2024, month=12, day=31)",
            ['Söüth "Port"'],
        ),
        ("date_format(day, 'dd/MM/yy') = '04/03/24'", ["Derby"]),
        ("ifnull(people, 7) = 7", ["New Haven"]),
    ],
)
def test_a_condition_finds_its_records(data: Ods, where: str, expected: list[str]) -> None:
    """Each operator and function of ODSQL that is spoken."""
    assert expected == towns(data, where=where)


def test_expressions_are_selected_under_their_names(data: Ods) -> None:
    """Without an alias the name is the text of the expression; include and exclude choose fields."""
    select = "people * 2, upper(town) as loud, year(day)"
    assert {"people * 2": 24650, "loud": "DERBY", "year(day)": 2024} == ask(data, select=select).json()[
        "results"
    ][0]
    assert ["people", "paid"] == list(ask(data, select="include(p*)").json()["results"][0])
    chosen = "include(*), exclude(*a*s), exclude(o*), exclude(`day`), exclude(at), exclude(spot)"
    assert ["town", "people", "paid"] == list(ask(data, select=chosen).json()["results"][0])


def test_aggregates_and_groups(data: Ods) -> None:
    """One row without group_by; a row for each group with it, ordered as asked."""
    select = "count(*) as n, sum(people) as s, avg(paid) as a, min(day) as first, max(people) as m"
    select += ", count(distinct open) as d"
    expected = {"n": 4, "s": 31243, "a": 11.75 / 3, "first": "2023-12-31", "m": 18918, "d": 2}
    assert [expected] == ask(data, select=select).json()["results"]
    grouped = ask(data, select="count(*) as n", group_by="year(day) as y", order_by="n desc").json()[
        "results"
    ]
    assert [{"y": 2024, "n": 2}] == grouped[:1]
    assert {(2023, 1), (None, 1)} == {(one["y"], one["n"]) for one in grouped[1:]}
    assert {"year(day)", "count(*)"} == set(ask(data, group_by="year(day)").json()["results"][0])


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("range(people, 10000)", [("[0, 9999]", 1), ("[10000, 19999]", 2)]),
        ("range(paid, 2.5)", [("[-2.5, 0.0[", 1), ("[0.0, 2.5[", 1), ("[10.0, 12.5[", 1)]),
        ("RANGE(people, *, 1, 15000)", [("[*, 0]", 1), ("[1, 14999]", 1)]),
        ("range(paid, 0, 5, *)", [("[0, 5[", 1), ("[5, *[", 1)]),
        ("range(day, 1 month)", [
            ("[2023-12-01T00:00:00.000Z, 2024-01-01T00:00:00.000Z[", 1),
            ("[2024-03-01T00:00:00.000Z, 2024-04-01T00:00:00.000Z[", 1),
            ("[2024-12-01T00:00:00.000Z, 2025-01-01T00:00:00.000Z[", 1),
        ]),
        ("range(at, 12h)", [
            ("[2024-01-01T00:00:00.000Z, 2024-01-01T12:00:00.000Z[", 1),
            ("[2024-03-04T00:00:00.000Z, 2024-03-04T12:00:00.000Z[", 1),
        ]),
        ("range(day, 1 week)", [
            ("[2023-12-25T00:00:00.000Z, 2024-01-01T00:00:00.000Z[", 1),
            ("[2024-03-04T00:00:00.000Z, 2024-03-11T00:00:00.000Z[", 1),
            ("[2024-12-23T00:00:00.000Z, 2024-12-30T00:00:00.000Z[", 1),
        ]),
        ("range(day, *, date'2024-01-01', *)", [("[*, 2024-01-01[", 1), ("[2024-01-01, *[", 2)]),
        ("date_format(day, \"'Q' EEEE\")", [("Q Monday", 1), ("Q Sunday", 1), ("Q Wednesday", 1), (None, 1)]),
    ],
)  # fmt: skip
def test_ranges_are_groups_in_their_order(
    data: Ods, group: str, expected: list[tuple[str | None, int]]
) -> None:
    """Of one width or between bounds; what is in none of them is in no group."""
    answer = ask(data, select="count(*) as n", group_by=f"{group} as span")
    assert answer.status_code == 200, answer.text
    found = [(one["span"], one["n"]) for one in answer.json()["results"]]
    assert expected == sorted(found, key=lambda one: (one[0] is None, found.index(one)))


def test_ranges_follow_the_time_zone(data: Ods) -> None:
    """A day in New York begins five hours after one in UTC; exports hold the groups as texts."""
    parameters = {
        "group_by": "range(at, 1 day) as span",
        "order_by": "span desc",
        "timezone": "America/New_York",
    }
    spans = [one["span"] for one in ask(data, **parameters).json()["results"]]
    assert "[2023-12-31T00:00:00.000-05:00, 2024-01-01T00:00:00.000-05:00[" == spans[1]
    for form in ("csv", "parquet", "xlsx", "json"):
        assert 200 == ask(data, f"/exports/{form}", **parameters).status_code


def test_a_page_of_groups_may_hold_as_many_as_the_limit(data: Ods) -> None:
    """20,000 from the first one on, as a number or as -1; not behind an offset."""
    for limit in (20_000, -1):
        assert 4 == ask(data, group_by="town", limit=limit).json()["total_count"]
        assert 400 == ask(data, group_by="town", limit=limit, offset=1).status_code


def test_percentiles_and_a_random_order(data: Ods) -> None:
    """Between two values in proportion; the same seed gives the same order."""
    select = "percentile(people, 50) as half, percentile(people, 0) as least, median(people) as m"
    assert [{"half": 12325, "least": 0, "m": 12325}] == ask(data, select=select).json()["results"]
    assert towns(data, order_by="random(3)") == towns(data, order_by="random(3)")
    assert sorted(towns(data)) == sorted(towns(data, order_by="random(4)"))


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        ("group_by", "range(people, 0)"),
        ("group_by", "range(day, 2 weeks)"),
        ("group_by", "range(people, 5, 1)"),
        ("group_by", "range(town, 5)"),
        ("where", "day > now(weekday=1)"),
        ("where", "day > now(month=13)"),
        ("where", "day > now(5)"),
        ("select", "date_format(day, 'canary')"),
        ("select", "percentile(people, 101) as p"),
        ("order_by", "random(town)"),
    ],
)
def test_ranges_and_times_that_cannot_be_are_refused(data: Ods, clause: str, text: str) -> None:
    """400 with the clause, not the literal."""
    answer = ask(data, **{clause: text})
    assert (400, "ODSQLError") == (answer.status_code, answer.json()["error_code"])
    assert clause in answer.json()["message"] and "canary" not in answer.text


def test_records_are_ordered_and_nulls_come_last(data: Ods) -> None:
    """By fields and expressions, up and down."""
    assert ["Ansonia", "Derby", 'Söüth "Port"', "New Haven"] == towns(data, order_by="people desc")
    assert ['Söüth "Port"', "Derby", "Ansonia", "New Haven"] == towns(data, order_by="people")
    assert ["Ansonia", "Derby"] == towns(data, order_by="-year(at), town", where="at is not null")


def test_times_are_shown_and_cut_in_the_zone_asked_for(data: Ods) -> None:
    """In New York the first moment of 2024 UTC is still 2023."""
    shown = ask(data, select="at, year(at) as y", where="town='Ansonia'", timezone="America/New_York").json()
    assert [{"at": "2023-12-31T21:00:00-05:00", "y": 2023}] == shown["results"]
    assert ["Ansonia"] == towns(data, where="at < date'2024'", timezone="US/Eastern")
    assert [] == towns(data, where="at < date'2024'")


def test_facets_refine_and_exclude(data: Ods) -> None:
    """Facets count values, dates by year; refine takes them, two of a disjunctive facet as either."""
    shown = {one["name"]: one["facets"] for one in ask(data, "/facets").json()["facets"]}
    assert ["day", "tags", "town"] == sorted(shown)
    assert [("2024", 2), ("2023", 1)] == [(one["name"], one["count"]) for one in shown["day"]]
    assert [("rail", 2), ("river", 2), ("harbor", 1)] == [
        (one["name"], one["count"]) for one in shown["tags"]
    ]
    assert ["Derby", 'Söüth "Port"'] == towns(data, refine="day:2024")
    assert ["Derby"] == towns(data, refine="day:2024/03")
    assert ["Derby", "Ansonia"] == towns(data, refine=["town:Derby", "town:Ansonia"])
    assert ["Derby"] == towns(data, refine=["tags:river", "tags:rail"])
    assert ["Ansonia", 'Söüth "Port"'] == towns(data, exclude="tags:rail")


@pytest.mark.parametrize(
    ("parameters", "status", "code", "message"),
    [
        ({"select": "notafield"}, 400, "ODSQLError", "ODSQL query is malformed: Unknown field: notafield."
         " Clause(s) containing the error(s): select."),
        ({"where": "town = "}, 400, "ODSQLSyntaxError", "ODSQL query is malformed"),
        ({"where": "drop(town)"}, 400, "ODSQLError", "Unknown function: drop"),
        ({"where": "people = 'secret-cell'"}, 400, "ODSQLError", "compared with a number"),
        ({"where": "count(*) > 1"}, 400, "ODSQLError", "where"),
        ({"select": "town", "group_by": "day"}, 400, "ODSQLError", "town"),
        ({"order_by": "town,"}, 400, "ODSQLSyntaxError", "order_by"),
        ({"limit": 99999}, 400, "InvalidRESTParameterError", "99999 was found but -1 <= limit <= 100 is expected."),
        ({"offset": 9950, "limit": 50}, 400, "InvalidRESTParameterError", "10000"),
        ({"limit": "x"}, 400, "InvalidRESTParameterError", "whole number"),
        ({"timezone": "Nowhere"}, 400, "InvalidRESTParameterError", "time zone"),
        ({"lang": "xx"}, 400, "InvalidRESTParameterError", "lang"),
        ({"refine": "people:1"}, 400, "InvalidRESTParameterError", "refine"),
        ({"where": "(" * 100 + "1=1" + ")" * 100}, 400, "ODSQLSyntaxError", "where"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_asked(
    data: Ods, parameters: dict[str, Any], status: int, code: str, message: str
) -> None:
    """error_code and message, as the live portals answered; a literal is never sent back."""
    answer = ask(data, **parameters)
    assert (status, code) == (answer.status_code, answer.json()["error_code"])
    assert message in answer.json()["message"]
    assert "secret-cell" not in answer.text


def test_what_is_not_there_and_what_is_not_open(data: Ods) -> None:
    """404 names the dataset asked for; a key that is not valid is 401 in its own envelope."""
    nope = data.portal.ask("GET", f"{EXPLORE}/nope/records")
    assert (404, {"error_code": "NotFoundResource", "message": "The requested dataset nope does not exist."}) == (
        nope.status_code, nope.json(),
    )  # fmt: skip
    assert (404, "NotFoundResource") == (
        ask(data, "/records/" + "0" * 40).status_code, ask(data, "/records/" + "0" * 40).json()["error_code"],
    )  # fmt: skip
    bad = ask(data, apikey="abc")
    assert (401, {"error": "API key is not valid"}) == (bad.status_code, bad.json())
    wrong = ask(data, "/exports/doc")
    assert (400, "InvalidExportFormat") == (wrong.status_code, wrong.json()["error_code"])
    posted = data.portal.ask("POST", f"{EXPLORE}/{data.dataset_id}/records")
    assert (405, "method_not_allowed") == (posted.status_code, posted.json()["error_code"])


def test_groups_reach_further_than_records(data: Ods) -> None:
    """20,000 with group_by, 100 without; an export has no limit."""
    assert 200 == ask(data, group_by="town", limit=19_999).status_code
    assert 400 == ask(data, group_by="town", limit=20_001).status_code
    assert 2 == len(ask(data, "/exports/json", limit=2).json())
    assert 4 == len(ask(data, "/exports/json").json())


def test_csv_has_a_mark_and_semicolons_unless_told(data: Ods) -> None:
    """As since v2.1; points as `lat, lon`, lists by the separator asked for."""
    answer = ask(data, "/exports/csv")
    assert answer.content.startswith(b"\xef\xbb\xbftown;people;")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert ("Derby", "41.32, -73.08", "river,rail") == (rows[0]["town"], rows[0]["spot"], rows[0]["tags"])
    assert ('Söüth "Port"', "") == (rows[2]["town"], rows[2]["spot"])
    plain = ask(
        data, "/exports/csv", with_bom="false", delimiter=",", quote_all="true", select="town", limit=1
    )
    assert b'"town"\r\n"Derby"\r\n' == plain.content
    assert (400, "InvalidRESTParameterError") == (
        ask(data, "/exports/csv", delimiter="x").status_code,
        ask(data, "/exports/csv", delimiter="x").json()["error_code"],
    )


def test_every_export_holds_every_record(data: Ods) -> None:
    """JSON, JSON lines, GeoJSON, Parquet with its types, a workbook."""
    import pyarrow.parquet as pq

    names = [one["rel"] for one in ask(data, "/exports").json()["links"]]
    kinds = "csv geojson gpx json jsonl jsonld kml n3 parquet rdfxml shp turtle xlsx"
    assert ["self", *kinds.split()] == sorted(names, key=lambda name: (name != "self", name))
    records = ask(data, "/exports/json").json()
    assert records == [json.loads(line) for line in ask(data, "/exports/jsonl").content.splitlines()]
    features = ask(data, "/exports/geojson").json()["features"]
    assert [-73.08, 41.32] == features[0]["geometry"]["coordinates"]
    assert [False, False, True, False] == [one["geometry"] is None for one in features]
    table = pq.read_table(io.BytesIO(ask(data, "/exports/parquet").content))
    assert ["string", "int64", "double", "date32[day]", "timestamp[ms, tz=UTC]"] == [
        str(one) for one in table.schema.types[:5]
    ]
    assert [one["people"] for one in records] == table.column("people").to_pylist()
    with zipfile.ZipFile(io.BytesIO(ask(data, "/exports/xlsx").content)) as book:
        assert book.read("xl/worksheets/sheet1.xml").count(b"<row ") == 5


def test_a_question_narrows_an_export(data: Ods) -> None:
    """where, select and order_by hold for exports too."""
    answer = ask(data, "/exports/jsonl", where="people > 0", select="town", order_by="town")
    assert [{"town": "Ansonia"}, {"town": "Derby"}] == [
        json.loads(line) for line in answer.content.splitlines()
    ]


def test_linked_data_hold_every_record(data: Ods) -> None:
    """JSON-LD, RDF/XML and Turtle: a property for each field, one of many values several times, blanks left out."""
    from defusedxml import ElementTree

    chosen = {"select": "town, tags, people * 2", "order_by": "town"}
    graph = ask(data, "/exports/jsonld", **chosen).json()
    base = f"{data.portal.url}/ld/ontologies/{data.dataset_id}/"
    assert {"town": base + "town", "tags": base + "tags", "people * 2": base + "people_2"} == graph[
        "@context"
    ]
    assert {"town": "Ansonia", "tags": ["river"], "people * 2": 37836} == graph["@graph"][0]
    assert {"town": "New Haven", "tags": ["rail", "harbor"]} == graph["@graph"][2]
    parsed = ElementTree.fromstring(ask(data, "/exports/rdfxml", **chosen).content)
    assert [1, 2, 2, 0] == [len(one.findall(f"{{{base}}}tags")) for one in parsed]
    turtle = ask(data, "/exports/turtle", **chosen)
    assert turtle.text == ask(data, "/exports/n3", **chosen).text
    assert '[] f:town "Söüth \\"Port\\"" ; f:people_2 "0" .' in turtle.content.decode()


def test_one_record_has_its_id_and_time(data: Ods) -> None:
    """_id is the id that a delete takes."""
    made = hashlib.sha1(b'["Derby"]').hexdigest()
    shown = ask(data, f"/records/{made}", select="town").json()
    assert (made, "Derby", ["_id", "_timestamp", "_size", "town"]) == (
        shown["_id"],
        shown["town"],
        list(shown),
    )


def test_the_catalogue_is_asked_by_metadata(data: Ods) -> None:
    """One dataset with its fields, counts and moments; conditions over titles and counts."""
    one = ask(data, "").json()
    assert (4, data.uid, data.dataset_id) == (
        one["metas"]["default"]["records_count"], one["dataset_uid"], one["dataset_id"],
    )  # fmt: skip
    assert [(name, kind) for name, kind in zip(BOOTSTRAP, _KINDS, strict=True)] == [
        (field["name"], field["type"]) for field in one["fields"]
    ]
    assert one["metas"]["default"]["data_processed"].endswith("+00:00")

    def found(where: str) -> int:
        return int(data.portal.ask("GET", EXPLORE, params={"where": where}).json()["total_count"])

    assert (1, 0, 1) == (
        found("title like 'budgets'"),
        found("records_count > 4"),
        found(f"dataset_id='{data.dataset_id}'"),
    )


_KINDS = ("text", "int", "double", "date", "datetime", "geo_point_2d", "text", "text")


def test_links_lead_to_every_record(data: Ods) -> None:
    """With include_links the metadata name where records and exports are."""
    said = ask(data, "", include_links="true").json()
    links = {one["rel"]: one["href"] for one in said["links"]}
    lines = requests.get(links["exports"] + "/jsonl", params={"limit": -1, "timezone": "UTC"}, timeout=60)
    assert said["metas"]["default"]["records_count"] == len(lines.content.splitlines())
