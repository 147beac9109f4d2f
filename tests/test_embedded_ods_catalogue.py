"""The catalogue of the embedded portal's explore interface: its queries, facets and exports; older addresses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import openpyxl
import pytest
import requests
from defusedxml import ElementTree
from ods_fixture import Ods, realtime
from portal_fixture import Running, running_portal

CATALOGUE = "/api/explore/v2.1/catalog"
DCAT = "{http://www.w3.org/ns/dcat#}"
DCT = "{http://purl.org/dc/terms/}"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Towns with metadata, a dataset without any, and a restricted one."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def towns(portal: Running) -> Ods:
    """Three towns, one of them without people."""
    made = realtime(
        portal,
        {"town": "a", "people": 1, "spot": {"lat": 1.0, "lon": 1.0}},
        "town",
        dataset_id="towns",
        published=False,
    )
    made.annotate("town", "facet")
    described = {
        "title": {"value": 'Towns & "people"'},
        "description": {"value": "<p>Who lives where</p>"},
        "publisher": {"value": "Office of Policy"},
        "keyword": {"value": ["towns", "people"]},
    }
    assert made.ask("PUT", "metadata/default/", json=described).status_code == 200
    made.publish()
    rows = [
        {"town": "Derby", "people": 12325, "spot": "41.3,-73"},
        {"town": "Ansonia", "people": 18918},
        {"town": "=1"},
    ]
    assert made.push(rows).status_code == 200
    realtime(portal, [{"n": 1}], dataset_id="plain")
    realtime(portal, [{"n": 1}], dataset_id="secret", restricted=True)
    return made


def ask(portal: Running, path: str, *, signed: bool = False, **parameters: Any) -> requests.Response:
    """One question to the catalogue."""
    return portal.ask("GET", CATALOGUE + path, signed=signed, params=parameters)


def test_datasets_are_asked_by_their_metadata(portal: Running, towns: Ods) -> None:
    """select, where, group_by, order_by, refine and exclude; a field of metadata goes by its template too."""
    found = ask(
        portal, "/datasets", select="dataset_id, default.publisher as by", order_by="dataset_id desc"
    ).json()
    assert [{"dataset_id": "towns", "by": "Office of Policy"}, {"dataset_id": "plain", "by": None}] == found[
        "results"
    ]
    grouped = ask(portal, "/datasets", select="count(*) as n", group_by="features", signed=True).json()[
        "results"
    ]
    assert {3} == {sum(one["n"] for one in grouped)}
    refined = ask(portal, "/datasets", refine="keyword:people", exclude="features:timeserie").json()
    assert ["towns"] == [one["dataset_id"] for one in refined["results"]]
    wrong = ask(portal, "/datasets", where="nope = 1")
    assert (400, "ODSQLError") == (wrong.status_code, wrong.json()["error_code"])


def test_facets_of_the_catalogue_count_datasets(portal: Running, towns: Ods) -> None:
    """Each value of a keyword counts for itself; a condition holds for them too."""
    shown = {one["name"]: one["facets"] for one in ask(portal, "/facets").json()["facets"]}
    assert [("people", 1), ("towns", 1)] == [(one["value"], one["count"]) for one in shown["keyword"]]
    assert {"features", "modified", "publisher", "keyword", "theme", "language", "license"} == set(shown)
    few = ask(portal, "/facets", facet="features", where="records_count > 2").json()["facets"]
    assert [("features", ["analyze", "geo"])] == [
        (one["name"], [v["name"] for v in one["facets"]]) for one in few
    ]


def test_exports_of_the_catalogue_are_listed_and_others_refused(portal: Running, towns: Ods) -> None:
    """A link for each; a format that is none and a wrong limit are 400."""
    links = ask(portal, "/exports").json()["links"]
    assert ["self", "csv", "json", "xlsx", "data.json", "rss", "rdf", "dcat", "ttl"] == [
        one["rel"] for one in links
    ]
    assert all(requests.get(one["href"], timeout=60).status_code == 200 for one in links)
    assert "InvalidExportFormat" == ask(portal, "/exports/doc").json()["error_code"]
    assert 400 == ask(portal, "/exports/csv", limit=-2).status_code


def test_the_catalogue_as_tables(portal: Running, towns: Ods) -> None:
    """CSV and Excel have a row for each dataset, with the id and the metadata by template and field."""
    answer = ask(
        portal, "/exports/csv", delimiter=",", with_bom="false", order_by="-dataset_id", list_separator="|"
    )
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert ["towns", "plain"] == [row["datasetid"] for row in rows]
    assert ('Towns & "people"', "towns|people", "3") == (
        rows[0]["default.title"], rows[0]["default.keyword"], rows[0]["default.records_count"],
    )  # fmt: skip
    assert ask(portal, "/exports/csv").content.startswith(b"\xef\xbb\xbfdatasetid;")
    book = openpyxl.load_workbook(
        io.BytesIO(ask(portal, "/exports/xlsx", where="dataset_id='towns'").content)
    )
    header, one = book.active.iter_rows(values_only=True)  # type: ignore[union-attr]  # a new book has a sheet
    assert "towns,people" == dict(zip(header, one, strict=True))["default.keyword"]
    listed = ask(portal, "/exports/json", order_by="dataset_id").json()
    assert listed == ask(portal, "/datasets", order_by="dataset_id").json()["results"]


def test_the_catalogue_as_feeds(portal: Running, towns: Ods) -> None:
    """data.json without what is restricted, RSS with dates, DCAT as RDF/XML: markup in titles stays text."""
    inventory = ask(portal, "/exports/data.json", signed=True).json()
    assert {"towns", "plain"} == {
        one["identifier"].rstrip("/").rsplit("/", 1)[1] for one in inventory["dataset"]
    }
    feed = ElementTree.fromstring(ask(portal, "/exports/rss", where="dataset_id='towns'").content)
    (item,) = feed.iter("item")
    assert 'Towns & "people"' == item.findtext("title")
    assert parsedate_to_datetime(str(item.findtext("pubDate"))).year > 2000
    rdf = ElementTree.fromstring(ask(portal, "/exports/rdf", signed=True).content)
    assert {"towns", "plain", "secret"} == {
        one.findtext(f"{DCT}identifier") for one in rdf.iter(f"{DCAT}Dataset")
    }
    turtle = ask(portal, "/exports/ttl").text
    assert 'dct:title "Towns & \\"people\\""' in turtle and "secret" not in turtle


def test_the_older_download_takes_its_own_parameters(portal: Running, towns: Ods) -> None:
    """csv_separator, q, refine.<facet>, sort the other way round; no byte order mark; JSON with fields and an id."""
    address = portal.url + "/explore/dataset/towns/download/"
    answer = requests.get(address, params={"csv_separator": ",", "sort": "people"}, timeout=60)
    assert (
        'Ansonia,18918,\r\nDerby,12325,"41.3, -73.0"\r\n=1,,\r\n'
        == answer.content.decode().partition("\r\n")[2]
    )
    (one,) = requests.get(address, params={"format": "json", "refine.town": "Ansonia"}, timeout=60).json()
    assert ("towns", {"town": "Ansonia", "people": 18918}, 40) == (
        one["datasetid"],
        one["fields"],
        len(one["recordid"]),
    )
    found = requests.get(
        address.rstrip("/"), params={"format": "geojson", "q": "derby", "rows": 5}, timeout=60
    ).json()
    assert [[-73.0, 41.3]] == [feature["geometry"]["coordinates"] for feature in found["features"]]
    wrong = requests.get(address, params={"format": "doc"}, timeout=60)
    assert (400, ["error"]) == (wrong.status_code, list(wrong.json()))


def test_the_older_download_answers_a_stranger_with_a_page(portal: Running, towns: Ods) -> None:
    """Without the right to read: 200 and HTML, as clients know it; what is not there is 404."""
    address = portal.url + "/explore/dataset/secret/download/"
    hidden = requests.get(address, params={"format": "csv"}, timeout=60)
    assert (200, "text/html") == (hidden.status_code, hidden.headers["Content-Type"].partition(";")[0])
    assert 200 == requests.get(address, params={"format": "json"}, auth=portal.auth, timeout=60).status_code
    missing = requests.get(portal.url + "/explore/dataset/nope/download/", timeout=60)
    assert (404, {"error": "The requested dataset nope does not exist."}) == (
        missing.status_code,
        missing.json(),
    )
    bad = requests.get(address, params={"apikey": "nope"}, timeout=60)
    assert (401, {"error": "API key is not valid"}) == (bad.status_code, bad.json())
    page = requests.get(portal.url + "/explore/dataset/towns/", timeout=60)
    assert "towns" == json.loads(page.content)["dataset_id"]
