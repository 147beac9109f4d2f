"""Opendatasoft's own client in JavaScript, unmodified, asks the embedded portal's explore interface."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from node_clients import run_client
from ods_fixture import Ods, realtime
from portal_fixture import Running, running_portal

from ctnb.embedded.ods_keys import add_api_key

pytestmark = pytest.mark.servers

ROWS = [
    {"town": "Derby", "people": 12325, "day": "2024-03-04", "spot": "41.32,-73.08"},
    {"town": "Ansonia", "people": 18918, "day": "2023-12-31", "spot": "41.34,-73.07"},
    {"town": "New Haven", "people": 134023, "day": "2024-12-25", "spot": "41.31,-72.92"},
]
Query = list[list[Any]]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def towns(portal: Running) -> Ods:
    """Three towns; the name is a facet."""
    bootstrap = {"town": "a", "people": 1, "day": "2024-01-01", "spot": {"lat": 1.0, "lon": 1.0}}
    made = realtime(portal, bootstrap, "town", dataset_id="towns", published=False)
    made.annotate("town", "facet")
    metadata = {"publisher": {"value": "Office of Policy"}, "keyword": {"value": ["towns", "people"]}}
    assert (
        made.ask("PUT", "metadata/default/", json={"title": {"value": "Towns"}, **metadata}).status_code
        == 200
    )
    made.publish()
    assert made.push(ROWS).status_code == 200
    realtime(portal, [{"n": 1}], dataset_id="secret", restricted=True)
    return made


def ask(portal: Running, *queries: Query, **more: Any) -> list[Any]:
    """What the client gives back for each query."""
    return run_client("api_client.js", {"domain": portal.url, "queries": list(queries), **more})


def function(name: str, *arguments: Any) -> dict[str, Any]:
    """One of the client's own functions as an argument."""
    return {"call": name, "arguments": arguments}


def test_it_reads_records_by_its_query_builder(portal: Running, towns: Ods) -> None:
    """Conditions that its functions make, groups with aliases, orders, windows; every address ends in a slash."""
    records: Query = [["dataset", "towns"], ["records"]]
    name = function("field", "town")
    since = function("date", {"year": 2024, "month": 1, "day": 1})
    either = function("one", "people > 100000", function("not", "people > 15000"))
    found = ask(
        portal,
        [*records, ["where", "town:'Derby'"], ["groupBy", "town as name, people"], ["limit", 1]],
        [*records, ["where", function("all", "day >= date'2024-01-01'", either)], ["orderBy", "-people"],
         ["select", function("list", name, "people")], ["limit", 2], ["offset", 0]],
        [*records, ["select", "count(*) as n"], ["groupBy", function("lower", "town")], ["orderBy", "n desc"]],
        [*records, ["where", since], ["limit", 1]],
        [*records, ["refine", "town:Ansonia"], ["select", "people"], ["lang", "en"], ["timezone", "US/Eastern"]],
    )  # fmt: skip
    first, second, third, fourth, fifth = (one.get("body", one) for one in found)
    assert {"total_count": 1, "results": [{"name": "Derby", "people": 12325, "count(*)": 1}]} == first
    assert [{"town": "New Haven", "people": 134023}, {"town": "Derby", "people": 12325}] == second["results"]
    assert {"lower(town)": "derby", "n": 1} in third["results"]
    assert (400, "ODSQLError") == (fourth["status"], fourth["details"]["error_code"])
    assert [{"people": 18918}] == fifth["results"]


def test_it_reads_the_catalogue(portal: Running, towns: Ods) -> None:
    """Datasets whole or by their metadata, facets of the catalogue and of a dataset, without what is restricted."""
    found = ask(
        portal,
        [["datasets"], ["where", 'search(*, "towns")'], ["orderBy", "modified desc"]],
        [["datasets"], ["select", "dataset_id, default.title as name, records_count"], ["refine", "keyword:people"]],
        [["datasets"], ["select", "count(*) as n"], ["groupBy", "publisher"]],
        [["datasets"], ["exclude", "features:geo"]],
        [["facets"], ["facet", "keyword"], ["facet", "features"]],
        [["dataset", "towns"], ["facets"]],
        [["dataset", "towns"], ["itself"]],
    )  # fmt: skip
    whole, chosen, grouped, excluded, facets, towns_facets, itself = (one["body"] for one in found)
    assert [("towns", "Towns")] == [
        (one["dataset_id"], one["metas"]["default"]["title"]) for one in whole["results"]
    ]
    assert [{"dataset_id": "towns", "name": "Towns", "records_count": 3}] == chosen["results"]
    assert [{"publisher": "Office of Policy", "n": 1}] == grouped["results"]
    assert {"total_count": 0, "results": []} == excluded
    values = {one["name"]: [value["name"] for value in one["facets"]] for one in facets["facets"]}
    assert {"keyword": ["people", "towns"], "features": ["analyze", "geo", "timeserie"]} == values
    assert ["Ansonia", "Derby", "New Haven"] == [one["name"] for one in towns_facets["facets"][0]["facets"]]
    assert whole["results"][0] == itself


def test_its_errors_are_of_the_kind_it_expects(portal: Running, towns: Ods) -> None:
    """Not found, not authenticated, a wrong query: the details are explore's envelope."""
    missing, wrong, hidden = ask(
        portal,
        [["dataset", "nope"], ["records"]],
        [["dataset", "towns"], ["records"], ["select", "nope"]],
        [["dataset", "secret"], ["records"]],
    )
    assert (404, "NotFoundResource") == (missing["status"], missing["details"]["error_code"])
    assert (400, "ODSQLError") == (wrong["status"], wrong["details"]["error_code"])
    assert (403, "ForbiddenAccess") == (hidden["status"], hidden["details"]["error_code"])
    (bad,) = ask(portal, [["datasets"]], apiKey="0" * 56)
    assert (401, {"error": "API key is not valid"}) == (bad["status"], bad["details"])
    key = add_api_key(portal.file, portal.key_id, "explore_restricted_dataset")
    known, seen = ask(
        portal, [["dataset", "secret"], ["itself"]], [["datasets"], ["select", "dataset_id"]], apiKey=key
    )
    assert "secret" == known["body"]["dataset_id"]
    assert [{"dataset_id": "secret"}, {"dataset_id": "towns"}] == sorted(seen["body"]["results"], key=str)


def test_it_exports_records_and_the_catalogue(portal: Running, towns: Ods) -> None:
    """Each format that it names and the portal makes is answered; the others are refused by name."""
    forms = ("json", "geojson", "csv", "jsonl", "xlsx", "parquet", "kml", "gpx", "shp", "mvt")
    catalogue = ("csv", "json", "xlsx", "rdf", "ttl", "data.json", "rss", "dcat", "dcat-ap-ch")
    queries = [[["dataset", "towns"], ["export", form], ["limit", 1]] for form in forms]
    found = ask(portal, *queries, *([["export", form]] for form in catalogue), text=True)
    states = dict(zip([*forms, *(f"catalogue {form}" for form in catalogue)], found, strict=True))
    assert {"mvt", "catalogue dcat-ap-ch"} == {name for name, one in states.items() if one["body"][0] == 400}
    text = states["catalogue csv"]["body"][1].removeprefix("\ufeff")
    (row,) = csv.DictReader(io.StringIO(text), delimiter=";")
    assert ("towns", "Towns", "towns,people", "3") == (
        row["datasetid"], row["default.title"], row["default.keyword"], row["default.records_count"],
    )  # fmt: skip
