"""The catalogues of the embedded portal: /api/catalog/v1 and /data.json."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from portal_fixture import Running, running_portal

from ctnb.embedded.accounts import add_account

RSOCRATA_COLUMNS = (
    "issued modified keyword @type landingPage theme title accessLevel distribution description identifier "
    "publisher contactPoint license"
)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal with a few datasets, one of them private, one hidden, one filtered."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def uids(portal: Running) -> dict[str, str]:
    """Their ids by name."""
    fields = {"custom_fields": {"Dataset Information": {"Agency": "OPM"}}}
    words: dict[str, dict[str, Any]] = {
        "Deaths": {"category": "Health", "tags": ["opioid", "deaths"], "attribution": "OCME"},
        "Lottery": {"category": "Business", "license": "Public Domain", "metadata": fields},
        "Schools": {"category": "Health", "description": "Opioid lessons"},
        "Secret": {},
        "Hidden": {"hideFromCatalog": True},
    }
    made = {
        name: portal.create(("town", "text"), ("year", "number"), name=name, public=name != "Secret", **more)
        for name, more in words.items()
    }
    body = {"name": "Newest", "modifyingViewUid": made["Deaths"], "query": "WHERE year > 2020"}
    made["Newest"] = portal.ask("POST", "/api/views.json", json=body).json()["id"]
    portal.ask("PUT", f"/api/views/{made['Newest']}.json?method=setPermission&value=public.read")
    return made


def found(portal: Running, *, signed: bool = False, **parameters: object) -> list[str]:
    """The names that a search of the catalogue gives, in its order."""
    answer = portal.ask("GET", "/api/catalog/v1", signed=signed, params=parameters)
    assert answer.status_code == 200, answer.text
    return [result["resource"]["name"] for result in answer.json()["results"]]


def test_the_catalogue_lists_what_the_caller_may_read(portal: Running, uids: dict[str, str]) -> None:
    """Private and hidden ones only for those who may; a viewer sees what it was given."""
    assert sorted(found(portal)) == ["Deaths", "Lottery", "Newest", "Schools"]
    assert sorted(found(portal, signed=True)) == [
        "Deaths",
        "Hidden",
        "Lottery",
        "Newest",
        "Schools",
        "Secret",
    ]
    auth = add_account(portal.file, "Vic", "viewer", mail="vic@x.example")
    portal.ask("POST", f"/api/views/{uids['Secret']}/grants", json={"userEmail": "vic@x.example"})
    answer = requests.get(f"{portal.url}/api/catalog/v1?q=secret", auth=auth, timeout=60).json()
    assert [result["resource"]["id"] for result in answer["results"]] == [uids["Secret"]]


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"q": "opioid"}, ["Deaths", "Schools"]),
        ({"q": "opioid deaths nothing", "min_should_match": "2"}, ["Deaths"]),
        ({"categories": "health"}, ["Deaths", "Schools"]),
        ({"categories": ["Health", "Business"]}, ["Deaths", "Lottery", "Schools"]),
        ({"tags": "opioid"}, ["Deaths"]),
        ({"only": "filters"}, ["Newest"]),
        ({"only": "dataset"}, ["Deaths", "Lottery", "Schools"]),
        ({"derived": "true"}, ["Newest"]),
        ({"attribution": "OCME"}, ["Deaths"]),
        ({"license": "public domain"}, ["Lottery"]),
        ({"column_names": "town,year"}, ["Deaths", "Lottery", "Newest", "Schools"]),
        ({"column_names": "zip"}, []),
        ({"public": "false"}, []),
        ({"Dataset-Information_Agency": "OPM"}, ["Lottery"]),
        ({"Dataset-Information_Agency": "DPH"}, []),
        ({"domains": "data.ct.gov"}, []),
        ({"visibility": "open", "published": "true", "derived": "false"}, ["Deaths", "Lottery", "Schools"]),
    ],
)  # fmt: skip
def test_the_catalogue_is_searched_as_the_discovery_api_is(
    portal: Running, uids: dict[str, str], parameters: dict[str, Any], names: list[str]
) -> None:
    """Each parameter narrows the list; several values of one widen it."""
    assert sorted(found(portal, **parameters)) == names


def test_the_catalogue_is_ordered_and_paged(portal: Running, uids: dict[str, str]) -> None:
    """By name both ways, page by page, with the size of the whole."""
    names = ["Deaths", "Lottery", "Newest", "Schools"]
    assert found(portal, order="name") == names
    assert found(portal, order="name DESC") == names[::-1]
    pages = [found(portal, order="name", limit=2, offset=offset) for offset in (0, 2, 4)]
    assert pages == [names[:2], names[2:], []]
    host = portal.url.partition("://")[2]
    answer = portal.ask("GET", f"/api/catalog/v1?domains={host}&limit=1", signed=False).json()
    assert (answer["resultSetSize"], len(answer["results"])) == (4, 1)
    assert found(portal, ids=f"{uids['Deaths']},{uids['Lottery']}", order="name") == names[:2]
    assert found(portal, derived_from=uids["Deaths"]) == ["Newest"]
    wrong = ("order=colour", "limit=many", "public=perhaps", "min_should_match=most")
    assert [portal.ask("GET", f"/api/catalog/v1?q=a&{query}").status_code for query in wrong] == [400] * 4


def test_a_result_says_what_clients_look_for(portal: Running, uids: dict[str, str]) -> None:
    """Resource, classification, metadata, links and people; never a cell."""
    answer = portal.ask("GET", f"/api/catalog/v1?ids={uids['Newest']},{uids['Lottery']}&order=name").json()
    lottery, newest = answer["results"]
    assert (newest["resource"]["type"], newest["resource"]["parent_fxf"]) == ("filter", [uids["Deaths"]])
    assert lottery["classification"]["domain_metadata"] == [
        {"key": "Dataset-Information_Agency", "value": "OPM"}
    ]
    assert lottery["metadata"] == {"domain": portal.url.partition("://")[2], "license": "Public Domain"}
    assert lottery["resource"]["columns_datatype"] == ["Text", "Number"]
    assert lottery["permalink"] == f"{portal.url}/d/{uids['Lottery']}"
    assert lottery["owner"]["display_name"] == "Pat Publisher"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", lottery["resource"]["updatedAt"])


def test_data_json_is_project_open_data(portal: Running, uids: dict[str, str]) -> None:
    """The catalogue's five keys, the fourteen columns RSocrata makes, and what the schema 1.1 asks of their values."""
    answer = portal.ask("GET", "/data.json")
    body = answer.json()
    assert {"@context", "@id", "@type", "conformsTo", "describedBy", "dataset"} == set(body)
    datasets = {one["title"]: one for one in body["dataset"]}
    assert sorted(datasets) == ["Deaths", "Lottery", "Newest", "Schools"]
    assert all(sorted(one) == sorted(RSOCRATA_COLUMNS.split()) for one in datasets.values())
    for one in datasets.values():
        assert one["description"] and one["keyword"] and one["publisher"]["name"]
        assert one["contactPoint"]["hasEmail"].startswith("mailto:")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", one["modified"])
    assert datasets["Lottery"]["license"] == "https://creativecommons.org/publicdomain/mark/1.0/"
    assert (datasets["Lottery"]["theme"], datasets["Newest"]["license"]) == (["Business"], None)


def test_every_distribution_of_data_json_can_be_read(portal: Running, uids: dict[str, str]) -> None:
    """Each address answers with its media type."""
    listed = [
        one for entry in portal.ask("GET", "/data.json").json()["dataset"] for one in entry["distribution"]
    ]
    answers = [requests.get(one["downloadURL"], timeout=60) for one in listed]
    assert {answer.status_code for answer in answers} == {200}
    assert len(answers) == 12
