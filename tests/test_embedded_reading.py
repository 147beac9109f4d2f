"""What the embedded portal answers to SODA 2 reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from portal_fixture import Running, running_portal

ROWS: list[dict[str, Any]] = [
    {"id": 1, "town": "Avon", "sold": "2020-03-01", "price": "100.50", "open": True},
    {"id": 2, "town": "Bethel", "price": "9"},
    {"id": 3, "town": "avon", "sold": "2021-01-05T10:00:00", "price": "-20", "open": False},
]
COLUMNS = (
    ("id", "number"),
    ("town", "text"),
    ("sold", "calendar_date"),
    ("price", "number"),
    ("open", "checkbox"),
)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def sales(portal: Running) -> str:
    """A public dataset of three rows."""
    uid = portal.create(*COLUMNS, key="id", public=True)
    assert portal.ask("POST", f"/resource/{uid}.json", json=ROWS).json()["Rows Created"] == 3
    return uid


def get(portal: Running, path: str, **options: Any) -> Any:
    """An anonymous GET."""
    return portal.ask("GET", path, signed=False, **options)


def towns(portal: Running, sales: str, **parameters: str) -> list[str]:
    """The towns of the rows that answer."""
    return [row.get("town", "") for row in portal.rows(sales, **parameters)]


def test_json_rows_are_framed_as_the_vendor_frames_them(portal: Running, sales: str) -> None:
    """Numbers are strings, nulls are left out, booleans are real, a row to a line."""
    expected = (
        '[{"id":"1","town":"Avon","sold":"2020-03-01T00:00:00.000","price":"100.5","open":true}\n'
        ',{"id":"2","town":"Bethel","price":"9"}\n'
        ',{"id":"3","town":"avon","sold":"2021-01-05T10:00:00.000","price":"-20","open":false}\n]\n'
    )
    assert expected == get(portal, f"/resource/{sales}.json?$order=:id").text


def test_no_rows_are_an_empty_list_and_a_line_end(portal: Running, sales: str) -> None:
    """The body that sent a client into a loop once."""
    assert get(portal, f"/resource/{sales}.json?$limit=0").text == "[]\n"


def test_csv_quotes_everything_but_null(portal: Running, sales: str) -> None:
    """Header and cells are quoted, a null is nothing between commas."""
    answer = get(portal, f"/resource/{sales}.csv?$order=:id&$limit=2")
    expected = (
        '"id","town","sold","price","open"\n"1","Avon","2020-03-01T00:00:00.000","100.5","true"\n'
        '"2","Bethel",,"9",\n'
    )
    assert (expected, "text/csv; charset=UTF-8") == (answer.text, answer.headers["Content-Type"])


def test_headers_name_fields_and_types(portal: Running, sales: str) -> None:
    """X-SODA2-Fields and -Types, in the vendor's words."""
    headers = get(portal, f"/resource/{sales}.json").headers
    assert headers["X-SODA2-Fields"] == '["id","town","sold","price","open"]'
    assert headers["X-SODA2-Types"] == '["number","text","floating_timestamp","number","boolean"]'
    assert headers["X-SODA2-Data-Out-Of-Date"] == "false"
    assert headers["Content-Type"] == "application/json;charset=utf-8"


def test_long_field_headers_are_left_out_with_a_warning(portal: Running) -> None:
    """Clients must live without them."""
    uid = portal.create(
        *((f"a_column_with_a_rather_long_name_{at}", "text") for at in range(150)), public=True
    )
    headers = get(portal, f"/resource/{uid}.json").headers
    assert "X-SODA2-Fields" not in headers
    assert "suppressed for being too large" in headers["X-SODA2-Warning"]


def test_names_of_parameters_come_encoded_raw_and_in_any_case(portal: Running, sales: str) -> None:
    """`%24limit`, `$limit` and `$LIMIT` are one parameter."""
    paths = ("?%24limit=1&%24order=:id", "?$LIMIT=1&$order=:id", "?$limit=1&%24Order=%3Aid")
    assert [len(get(portal, f"/resource/{sales}.json{path}").json()) for path in paths] == [1, 1, 1]


def test_etag_and_date_answer_304(portal: Running, sales: str) -> None:
    """A copy that is still good is not sent again; another question has another tag."""
    path = f"/resource/{sales}.json"
    first = get(portal, path)
    again = get(portal, path, headers={"If-None-Match": first.headers["ETag"]})
    other = get(portal, path + "?$limit=1", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("price > 9", ["Avon"]),
        ("price >= 9 AND town != 'Avon'", ["Bethel"]),
        ("price < '0' or town = 'Bethel'", ["Bethel", "avon"]),
        ("NOT (price > 9)", ["Bethel", "avon"]),
        ("sold IS NULL", ["Bethel"]),
        ("sold is not null", ["Avon", "avon"]),
        ("town IN ('Avon', 'Bethel')", ["Avon", "Bethel"]),
        ("town not in ('Avon')", ["Bethel", "avon"]),
        ("town LIKE 'A%'", ["Avon"]),
        ("lower(town) = 'avon'", ["Avon", "avon"]),
        ("upper(town) like '_VON'", ["Avon", "avon"]),
        ("starts_with(town, 'Be')", ["Bethel"]),
        ("sold BETWEEN '2021-01-01' AND '2021-12-31'", ["avon"]),
        ("price between -20 and 9", ["Bethel", "avon"]),
        ("`town` = 'it''s'", []),
        ("open = true", ["Avon"]),
        ("open", ["Avon"]),
    ],
)
def test_where_selects(portal: Running, sales: str, where: str, expected: list[str]) -> None:
    """Comparison, logic, null, lists, patterns, ranges and functions."""
    assert expected == towns(portal, sales, where=where)


def test_plain_filters_and_search(portal: Running, sales: str) -> None:
    """`field=value`, typed by its column, and `$q` in any case."""
    assert [row["id"] for row in get(portal, f"/resource/{sales}.json?price=9.00").json()] == ["2"]
    assert towns(portal, sales, q="AVON") == ["Avon", "avon"]


def test_order_is_numeric_with_nulls_last(portal: Running, sales: str) -> None:
    """Numbers sort as numbers, in both directions; nulls come last ascending and first descending."""
    assert towns(portal, sales, order="price") == ["avon", "Bethel", "Avon"]
    assert towns(portal, sales, order="price desc") == ["Avon", "Bethel", "avon"]
    assert towns(portal, sales, order="sold asc, town") == ["Avon", "avon", "Bethel"]
    assert towns(portal, sales, order="sold desc") == ["Bethel", "avon", "Avon"]


def test_select_aliases_stars_and_aggregates(portal: Running, sales: str) -> None:
    """Lists, AS, `:*` and the plain aggregates, exactly summed."""
    aggregates = "count(*), count(sold), sum(price) AS total, avg(price), min(sold), max(town)"
    expected = {
        "count": "3", "count_sold": "2", "total": "89.5", "avg_price": "29.8333333333333333333333333333",
        "min_sold": "2020-03-01T00:00:00.000", "max_town": "avon",
    }  # fmt: skip
    assert [expected] == portal.rows(sales, select=aggregates, order="count(*)")
    assert portal.rows(sales, select="town as place", limit="1") == [{"place": "Avon"}]
    first = portal.rows(sales, select=":*, *", limit="1")[0]
    assert list(first)[:5] == [":id", ":created_at", ":updated_at", ":version", "id"]


def test_groups_are_counted_and_filtered(portal: Running, sales: str) -> None:
    """$group, $having and an order by an alias."""
    found = portal.rows(
        sales, select="lower(town) as place, count(*) as n", group="place", having="count(*) > 1", order="n"
    )
    assert found == [{"place": "avon", "n": "2"}]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("$select=nope", "query.soql.no-such-column"),
        ("$where=nope(town)", "query.soql.no-such-function"),
        ("$where=town > 42", "query.soql.type-mismatch"),
        ("$where=town", "query.soql.type-mismatch"),
        ("$where=town >", "query.compiler.malformed"),
        ('$where=town = "Avon"', "query.compiler.malformed"),
        ("$where=sold > 'soon'", "query.soql.type-mismatch"),
        ("$select=town, count(*)", "query.soql.column-not-in-group-bys"),
        ("$app_token=secret", "req.bad-parameter"),
        ("$limit=many", "req.bad-parameter"),
        ("nope=1", "query.soql.no-such-column"),
        ("$where=town like '%25a%25b%25c%25d%25e%25f%25g%25h%25i'", "query.compiler.malformed"),
        ("$where=" + "(" * 500 + "1 = 1" + ")" * 500, "query.compiler.malformed"),
        ("$where=" + " AND ".join(["id = 1"] * 2500), "query.compiler.malformed"),
        ("$where=town = 'x'; DROP TABLE views", "query.compiler.malformed"),
    ],
)
def test_a_wrong_query_is_refused_with_its_documented_code(
    portal: Running, sales: str, query: str, code: str
) -> None:
    """Unknown names, columns, functions, and text that is not SoQL."""
    answer = get(portal, f"/resource/{sales}.json?{query}")
    body = answer.json()
    assert (400, code) == (answer.status_code, body.get("errorCode") or body.get("code"))
    assert "secret" not in answer.text


def test_the_two_error_envelopes(portal: Running, sales: str) -> None:
    """What is missing answers as recorded from a real portal; a wrong column as the 2.1 server answers."""
    missing = get(portal, "/resource/songs.json")
    recorded = (
        '{\n  "code" : "dataset.missing",\n  "error" : true,\n  "message" : "Not found",\n'
        '  "data" : {\n    "id" : "songs"\n  }\n}\n'
    )
    assert (404, recorded) == (missing.status_code, missing.text)
    view = get(portal, "/api/views/songs.json")
    assert (
        view.status_code,
        view.headers["X-Error-Code"],
        view.headers["X-Error-Message"],
    ) == (404, "not_found", "Not found")
    column = get(portal, f"/resource/{sales}.json?$select=nope").json()
    assert {"message", "errorCode", "data"} == column.keys()


def test_one_row_is_an_object(portal: Running, sales: str) -> None:
    """By row identifier or by system id; 404 when there is none."""
    rid = portal.rows(sales, select=":id", limit="1")[0][":id"]
    assert get(portal, f"/resource/{sales}/{rid}.json").json()["town"] == "Avon"
    assert get(portal, f"/resource/{sales}/2.json").json() == {"id": "2", "town": "Bethel", "price": "9"}
    gone = get(portal, f"/resource/{sales}/99.json")
    assert (gone.status_code, gone.json()["errorCode"]) == (404, "soda.row.not-found")


def test_pages_by_id_neither_overlap_nor_miss(portal: Running) -> None:
    """Order and comparison of `:id` agree."""
    uid = portal.create(("n", "number"), public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"n": at} for at in range(50)])
    seen: list[str] = []
    last = "row-2222~2222~2222"
    while page := portal.rows(uid, select=":id, n", where=f":id > '{last}'", limit="7"):
        seen += [row["n"] for row in page]
        last = page[-1][":id"]
    assert [str(at) for at in range(50)] == seen


def test_export_has_display_names_and_us_dates(portal: Running, sales: str) -> None:
    """rows.csv is the file people download."""
    answer = get(portal, f"/api/views/{sales}/rows.csv?accessType=DOWNLOAD")
    assert answer.text.splitlines()[1:] == [
        "1,Avon,03/01/2020,100.5,true", "2,Bethel,,9,", "3,avon,01/05/2021 10:00:00 AM,-20,false",
    ]  # fmt: skip


def test_geojson_and_accept(portal: Running) -> None:
    """A point column is the geometry, its digits as written; Accept chooses where no extension does."""
    uid = portal.create(("name", "text"), ("place", "point"), public=True)
    place = {"type": "Point", "coordinates": [-72.6851, 41.76]}
    portal.ask("POST", f"/resource/{uid}.json", json=[{"name": "Hartford", "place": place}])
    answer = get(portal, f"/resource/{uid}.geojson")
    feature = {"type": "Feature", "geometry": place, "properties": {"name": "Hartford"}}
    assert answer.json()["features"] == [feature]
    assert answer.headers["Content-Type"] == "application/vnd.geo+json; charset=utf-8"
    csv = get(portal, f"/resource/{uid}", headers={"Accept": "text/csv"})
    assert csv.text == '"name","place"\n"Hartford","POINT (-72.6851 41.76)"\n'


def test_metadata_columns_and_catalogues(portal: Running, sales: str) -> None:
    """/api/views, columns.json, the discovery API and data.json name the dataset, without any cell."""
    view = get(portal, f"/api/views/{sales}.json")
    body = view.json()
    key = next(column["id"] for column in body["columns"] if column["fieldName"] == "id")
    assert (sales, key, key) == (body["id"], body["rowIdentifierColumnId"], body["metadata"]["rowIdentifier"])
    assert "Bethel" not in view.text
    assert get(portal, f"/api/views/{sales}/columns.json").json() == body["columns"]
    found = get(portal, f"/api/catalog/v1?ids={sales}").json()
    assert (1, sales) == (found["resultSetSize"], found["results"][0]["resource"]["id"])
    pages = [entry["landingPage"] for entry in get(portal, "/data.json").json()["dataset"]]
    assert f"{portal.url}/d/{sales}" in pages


def test_a_resource_name_reads_too(portal: Running) -> None:
    """`resourceName` stands for the 4x4."""
    uid = portal.create(("a", "text"), public=True, resourceName="towns")
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "x"}])
    assert get(portal, "/resource/towns.json").json() == [{"a": "x"}]


def test_addresses_that_people_copy_lead_to_the_page(portal: Running, sales: str) -> None:
    """By category and title, with and without what the portals' own tabs append; no other address is taken for one."""
    for path in (
        "/Housing-and-Development/Real-Estate-Sales/{}",
        "/Housing and Development/Real-Estate Sales/{}/about_data",
        "/dataset/Real-Estate-Sales/{}/data",
        "/d/{}/data",
        "/d/{}/about_data/",
    ):
        answer = get(portal, path.format(sales).rstrip("/"), allow_redirects=False)
        assert (302, f"/d/{sales}") == (answer.status_code, answer.headers["Location"])
    assert 200 == get(portal, f"/dataset/Sales/{sales}").status_code
    for path in ("/api/geospatial/{}", "/datasync/id/{}", "/resource/more/{}", "/a/b/c/{}"):
        assert get(portal, path.format(sales), allow_redirects=False).status_code in (400, 404, 405)


def test_metadata_are_found_below_views_too(portal: Running, sales: str) -> None:
    """The older address without /api, which clients in use still ask."""
    assert get(portal, f"/api/views/{sales}.json").json() == get(portal, f"/views/{sales}.json").json()
