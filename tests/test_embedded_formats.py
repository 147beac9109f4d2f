"""The formats that the embedded portal reads out: XML, RDF, exports, by Accept, and a caller's own copy."""

from __future__ import annotations

import csv
import email.utils
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from defusedxml import ElementTree
from portal_fixture import Running, running_portal

COLUMNS = (
    ("id", "number"),
    ("town", "text"),
    ("sold", "calendar_date"),
    ("seen", "date"),
    ("open", "checkbox"),
    ("site", "url"),
    ("spot", "location"),
    ("place", "point"),
)
FULL: dict[str, Any] = {
    "id": 1,
    "town": 'A "B" & <C>,\nD',
    "sold": "2020-03-01T14:05:06",
    "seen": "2020-03-01T14:05:06.250Z",
    "open": False,
    "site": {"url": "https://example.org/?a=1&b=2", "description": "Home"},
    "spot": {
        "latitude": "41.5",
        "longitude": "-72.25",
        "human_address": '{"address": "1 Main St", "city": "Avon"}',
    },
    "place": {"type": "Point", "coordinates": [-72.8, 41.8]},
}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def sales(portal: Running) -> str:
    """A public dataset: a row with a cell of every type, and a row of blanks."""
    uid = portal.create(*COLUMNS, key="id", public=True, resourceName="all-types")
    assert portal.ask("POST", f"/resource/{uid}.json", json=[FULL, {"id": 2}]).json()["Rows Created"] == 2
    return uid


def get(portal: Running, path: str, **options: Any) -> Any:
    """An anonymous GET."""
    return portal.ask("GET", path, signed=False, **options)


def test_xml_is_as_recorded(portal: Running, sales: str) -> None:
    """Rows in rows, with their names as attributes; blanks have no element; times no milliseconds."""
    answer = get(portal, f"/resource/{sales}.xml?$order=id")
    assert answer.headers["Content-Type"] == "text/xml;charset=utf-8"
    assert answer.headers["X-SODA2-Warning"].endswith("are deprecated")
    assert json.loads(answer.headers["X-SODA2-Fields"])[:2] == ["id", "town"]
    rows = ElementTree.fromstring(answer.content).find("rows")
    full, blank = list(rows)
    assert full.get("_id").startswith("row-")
    assert full.get("_position") == "0"
    assert len(full.get("_uuid")) == 36
    assert full.get("_address") == f"{portal.url}/resource/{sales}/1"
    assert [child.tag for child in blank] == ["id"]
    assert (full.findtext("town"), full.findtext("sold"), full.findtext("seen")) == (
        FULL["town"], "2020-03-01T14:05:06", "2020-03-01T14:05:06.250Z",
    )  # fmt: skip
    assert full.find("site").attrib == FULL["site"]
    assert full.find("spot").get("latitude") == "41.5"
    assert full.findtext("place") == "POINT (-72.8 41.8)"


def test_xml_of_groups_has_no_names_of_rows(portal: Running, sales: str) -> None:
    """What is counted is no row of the dataset."""
    answer = get(portal, f"/resource/{sales}.xml?$select=count(*) as n")
    assert answer.text == "<response><rows><row><n>2</n></row></rows></response>\n"


def test_signs_that_xml_cannot_hold_are_replaced(portal: Running) -> None:
    """A control character would make the whole answer unreadable."""
    uid = portal.create(("a", "text"), public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "x\u0001y"}])
    for path in (f"/resource/{uid}.xml", f"/resource/{uid}.rdf", f"/api/views/{uid}/rows.xml"):
        assert "x\ufffdy" in "".join(ElementTree.fromstring(get(portal, path).content).itertext())


def test_rdf_names_dataset_rows_and_fields(portal: Running, sales: str) -> None:
    """One element a row, with its id, its dataset, and a cell an element."""
    answer = get(portal, f"/resource/{sales}.rdf?$order=id")
    assert answer.headers["Content-Type"] == "application/rdf+xml;charset=utf-8"
    root = ElementTree.fromstring(answer.content)
    full, blank = list(root)
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    own = f"{{{portal.url}/resource/{sales}/}}"
    assert full.get(f"{rdf}about") == f"{portal.url}/resource/{sales}/1"
    assert full.findtext("{http://www.socrata.com/rdf/terms#}rowID") == "1"
    member = full.find("{http://www.w3.org/2000/01/rdf-schema#}member")
    assert member.get(f"{rdf}resource") == f"{portal.url}/resource/{sales}"
    assert (full.findtext(f"{own}town"), blank.find(f"{own}town")) == (FULL["town"], None)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("application/vnd.geo+json", "application/vnd.geo+json"),
        ("text/xml", "text/xml"),
        ("application/rdf+xml", "application/rdf+xml"),
        ("application/json, text/xml, application/xml, */*", "application/json"),
    ],
)
def test_accept_chooses_where_no_extension_does(
    portal: Running, sales: str, accept: str, content_type: str
) -> None:
    """By weight, then by order; anything is JSON."""
    answer = get(portal, f"/resource/{sales}", headers={"Accept": accept})
    assert (200, content_type) == (answer.status_code, answer.headers["Content-Type"].partition(";")[0])


def test_a_head_has_the_headers_alone(portal: Running, sales: str) -> None:
    """As a GET, without its body."""
    answer = portal.ask("HEAD", f"/resource/{sales}.json", signed=False)
    assert (200, b"", '"number"') == (
        answer.status_code,
        answer.content,
        answer.headers["X-SODA2-Types"][1:9],
    )


def test_a_key_in_an_address_is_encoded(portal: Running) -> None:
    """So that the address of a row in XML and RDF is one, and answers."""
    uid = portal.create(("name", "text"), key="name", public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"name": "A & B/é?"}])
    row = ElementTree.fromstring(get(portal, f"/resource/{uid}.xml").content).find("rows")[0]
    assert row.get("_address") == f"{portal.url}/resource/{uid}/A%20%26%20B%2F%C3%A9%3F"
    assert row.get("_address") in get(portal, f"/resource/{uid}.rdf").text


def test_what_is_not_acceptable_is_406(portal: Running, sales: str) -> None:
    """A format that there is not, by Accept or by extension."""
    answers = [
        get(portal, f"/resource/{sales}", headers={"Accept": "image/png"}),
        get(portal, f"/resource/{sales}.xls"),
        get(portal, f"/api/views/{sales}/rows.xls"),
    ]
    assert [(one.status_code, one.json()["errorCode"]) for one in answers] == [
        (406, "req.not-acceptable")
    ] * 3


def test_every_address_has_the_same_rows(portal: Running, sales: str) -> None:
    """By 4x4, by resource name, and by the platform's other addresses."""
    addresses = (
        f"/resource/{sales}.json",
        "/resource/all-types.json",
        f"/id/{sales}",
        f"/api/id/{sales}.json",
    )
    texts = {get(portal, address, headers={"Accept": "application/json"}).text for address in addresses}
    assert len(texts) == 1
    assert get(portal, "/resource/all-types/1.json").json()["town"] == FULL["town"]


def test_rows_csv_is_the_download(portal: Running, sales: str) -> None:
    """Display names, dates of the US, descriptions with addresses, places on lines of their own."""
    answer = get(portal, f"/api/views/{sales}/rows.csv?accessType=DOWNLOAD")
    header, full, blank = csv.reader(io.StringIO(answer.text))
    assert header == [name for name, _ in COLUMNS]
    assert full == [
        "1", FULL["town"], "03/01/2020 02:05:06 PM", "03/01/2020 02:05:06 PM", "false",
        "Home (https://example.org/?a=1&b=2)", "1 Main St\nAvon\n(41.5, -72.25)", "POINT (-72.8 41.8)",
    ]  # fmt: skip
    assert blank == ["2"] + [""] * 7


def test_rows_json_has_metadata_and_lists(portal: Running, sales: str) -> None:
    """The core's older form: eight columns of its own before each row's cells."""
    answer = get(portal, f"/api/views/{sales}/rows.json")
    body = answer.json()
    columns = [column["name"] for column in body["meta"]["view"]["columns"]]
    assert columns == ["sid", "id", "position", "created_at", "created_meta", "updated_at", "updated_meta", "meta",
                       *(name for name, _ in COLUMNS)]  # fmt: skip
    full, blank = body["data"]
    assert full[0].startswith("row-")
    assert full[3] == pytest.approx(time.time(), abs=600)
    assert full[8:] == [
        "1", FULL["town"], "2020-03-01T14:05:06", 1583071506, False,
        ["https://example.org/?a=1&b=2", "Home"],
        ['{"address": "1 Main St", "city": "Avon"}', "41.5", "-72.25", None, False],
        "POINT (-72.8 41.8)",
    ]  # fmt: skip
    assert blank[8:] == ["2"] + [None] * 7
    empty = portal.create(("a", "text"), public=True)
    assert get(portal, f"/api/views/{empty}/rows.json").json()["data"] == []


def test_rows_xml_is_the_download(portal: Running, sales: str) -> None:
    """Rows within a row."""
    answer = get(portal, f"/api/views/{sales}/rows.xml")
    rows = list(ElementTree.fromstring(answer.content).find("row"))
    assert [row.findtext("id") for row in rows] == ["1", "2"]
    assert rows[0].get("_address") == f"{portal.url}/resource/_{sales}/1"


def test_geojson_has_nulls_and_other_columns(portal: Running, sales: str) -> None:
    """A feature without a place has none; a dataset without geometry has features without any."""
    features = get(portal, f"/resource/{sales}.geojson?$select=id,town,place&$order=id").json()["features"]
    assert [feature["geometry"] for feature in features] == [FULL["place"], None]
    assert features[1]["properties"] == {"id": "2", "town": None}
    empty = get(portal, f"/resource/{sales}.geojson?$where=id=9").json()
    assert (empty["type"], empty["features"]) == ("FeatureCollection", [])


def test_the_geographic_download_is_every_row(portal: Running, sales: str) -> None:
    """As agencies' scripts ask for it, in the formats that the vendor's page offers."""
    address = f"/api/geospatial/{sales}?method=export&format="
    assert len(get(portal, address + "GeoJSON").json()["features"]) == 2
    assert get(portal, address + "Shapefile").content[:2] == get(portal, address + "KMZ").content[:2] == b"PK"
    assert get(portal, address + "KML").content.count(b"<Placemark>") == 2
    assert get(portal, address + "GML").status_code == 406
    assert get(portal, f"/api/geospatial/{sales}").status_code == 400


@pytest.mark.parametrize(
    "path", ["/resource/{}.json", "/resource/{}.xml", "/api/views/{}/rows.csv", "/resource/{}/1.json"]
)
def test_a_good_copy_is_not_sent_again(portal: Running, sales: str, path: str) -> None:
    """304 by tag, weak or not, or among others; 412 when the caller asks for another state."""
    address = path.format(sales)
    first = get(portal, address)
    tag = first.headers["ETag"]
    assert "Last-Modified" in first.headers
    for header in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = get(portal, address, headers={"If-None-Match": header})
        assert (304, b"", tag) == (again.status_code, again.content, again.headers["ETag"])
    assert get(portal, address, headers={"If-None-Match": '"other"'}).status_code == 200
    refused = get(portal, address, headers={"If-Match": '"other"'})
    assert (412, "precondition-failed") == (refused.status_code, refused.json()["errorCode"])
    assert get(portal, address, headers={"If-Match": tag}).status_code == 200


def test_a_date_is_trusted_once_no_second_write_can_share_it(portal: Running, sales: str) -> None:
    """Dates have whole seconds: right after a write a copy of the same second may be old."""
    future = email.utils.formatdate(time.time() + 100, usegmt=True)
    past = email.utils.formatdate(time.time() - 100_000, usegmt=True)
    uid = portal.create(("a", "text"), public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "x"}])
    assert get(portal, f"/resource/{uid}.json", headers={"If-Modified-Since": future}).status_code == 200
    assert get(portal, f"/resource/{sales}.json", headers={"If-Modified-Since": past}).status_code == 200
    assert get(portal, f"/resource/{sales}.json", headers={"If-Modified-Since": "soon"}).status_code == 200


def test_a_write_makes_another_tag(portal: Running) -> None:
    """So a copy is never taken for what was written since."""
    uid = portal.create(("a", "text"), public=True)
    tags = []
    for text in "xy":
        portal.ask("POST", f"/resource/{uid}.json", json=[{"a": text}])
        tags.append(get(portal, f"/resource/{uid}.json").headers["ETag"])
    assert tags[0] != tags[1]


def test_long_headers_are_left_out_with_a_warning(portal: Running) -> None:
    """As the vendor's server does over 5,000 characters; the rows come all the same."""
    names = [f"a_column_with_a_long_name_{at:03d}" for at in range(150)]
    uid = portal.create(*((name, "text") for name in names), public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{names[0]: "x"}])
    for extension in ("json", "csv", "xml"):
        answer = get(portal, f"/resource/{uid}.{extension}")
        assert answer.headers["X-SODA2-Warning"] == (
            "X-SODA2-Fields, X-SODA2-Types, and X-SODA2-Legacy-Types are deprecated and have been suppressed for"
            " being too large"
        )
        assert "X-SODA2-Fields" not in answer.headers
        assert "x" in answer.text


def test_a_private_dataset_is_read_by_nobody_else_in_any_format(portal: Running) -> None:
    """Every address of the rows asks who is calling."""
    uid = portal.create(("a", "text"))
    paths = [
        *(f"/resource/{uid}.{extension}" for extension in ("json", "csv", "geojson", "xml", "rdf")),
        *(f"/api/views/{uid}/rows.{extension}" for extension in ("json", "csv", "xml")),
        f"/id/{uid}", f"/api/id/{uid}.json", f"/resource/{uid}/row-2222~2222~2222.json",
    ]  # fmt: skip
    assert [get(portal, path).status_code for path in paths] == [403] * len(paths)
