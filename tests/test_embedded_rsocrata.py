"""
What RSocrata sees on the wire: the requests that version 1.7.15-1 sends, one test for each of its behaviours.

The numbers are those of the behaviours in the client's own tests and issues. What happens after the answer has
arrived (types of R, warnings) is the client's; here is shown what it makes them of.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from faults import Fault, faulty
from portal_fixture import Running, running_portal

from ctnb.embedded.accounts import add_app_token

HEADERS = {
    "User-Agent": "RSocrata/1.7.15.1 (Linux/6.1; R/4.2.2-Patched)",
    "Accept": "application/json, text/xml, application/xml, */*",
}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module, which can be told to fail."""
    with running_portal(tmp_path_factory.mktemp("portal"), "--faults") as running:
        yield running


@pytest.fixture(scope="module")
def numbers(portal: Running) -> str:
    """A public dataset of 2,500 rows with a ZIP code, a date, and a column that is blank at first."""
    uid = portal.create(
        ("n", "number"), ("zip", "text"), ("day", "calendar_date"), ("late", "text"), public=True
    )
    rows: list[dict[str, Any]] = [
        {"n": at, "zip": f"06{at % 1000:03d}", "day": "2012-09-14T22:38:01"} for at in range(2500)
    ]
    rows[-1]["late"] = "here"
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    return uid


def sent(portal: Running, path: str, **options: Any) -> requests.Response:
    """A GET as the client sends it: the address is not encoded again."""
    return requests.get(portal.url + path, headers=HEADERS, timeout=60, **options)


def pages(portal: Running, address: str, parsed: Any) -> list[list[Any]]:
    """The pages of the client's loop: the server's own page, then 50,000 rows from there on, until one is empty."""
    first = sent(portal, address)
    assert first.status_code == 200, first.text
    found = [parsed(first)]
    while found[-1]:
        offset = sum(map(len, found))
        glue = "&" if "?" in address else "?"
        found.append(parsed(sent(portal, f"{address}{glue}$limit=50000&$offset={offset}")))
    return found


def rows_of_json(answer: requests.Response) -> list[Any]:
    """The rows of a JSON answer."""
    return list(answer.json())


def rows_of_csv(answer: requests.Response) -> list[Any]:
    """The rows of a CSV answer, below its header."""
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_r1_a_dataset_in_three_requests(portal: Running, numbers: str) -> None:
    """2,500 rows: the first 1,000, the others, and an empty page."""
    found = pages(portal, f"/resource/{numbers}.json?$order=:id", rows_of_json)
    assert [len(page) for page in found] == [1000, 1500, 0]
    assert [row["n"] for page in found for row in page] == [str(at) for at in range(2500)]


def test_r2_the_same_as_csv(portal: Running, numbers: str) -> None:
    """As many rows, the header on every page."""
    found = pages(portal, f"/resource/{numbers}.csv?$order=:id", rows_of_csv)
    assert [len(page) for page in found] == [1000, 1500, 0]


def test_r3_a_dataset_without_rows_in_one_request(portal: Running) -> None:
    """`[]` and a line end, which once made it loop for ever; a CSV has its header."""
    uid = portal.create(("a", "text"), ("b", "number"), public=True)
    assert sent(portal, f"/resource/{uid}.json?$order=:id").text == "[]\n"
    assert sent(portal, f"/resource/{uid}.csv?$order=:id").text == '"a","b"\n'


def test_r4_a_limit_in_either_case(portal: Running, numbers: str) -> None:
    """`$LIMIT` is `$limit`."""
    for address in ("$limit=500", "$LIMIT=500", "%24limit=500&%24%24app_token=&$order=:id"):
        assert len(sent(portal, f"/resource/{numbers}.json?{address}").json()) == 500


def test_r5_a_limit_above_the_default(portal: Running, numbers: str) -> None:
    """1,001 rows in one answer."""
    assert len(sent(portal, f"/resource/{numbers}.json?$limit=1001&$order=:id").json()) == 1001


def test_r6_the_order_that_it_adds_is_obeyed(portal: Running, numbers: str) -> None:
    """Raw, as it appends it, behind names that it encoded."""
    answer = sent(portal, f"/resource/{numbers}.json?%24where=n%20%3E%205&%24limit=10&$order=:id")
    assert [row["n"] for row in answer.json()] == [str(at) for at in range(6, 16)]


def test_r7_an_order_of_the_user_is_obeyed(portal: Running, numbers: str) -> None:
    """Descending, by number."""
    answer = sent(portal, f"/resource/{numbers}.json?%24order=n%20desc&$limit=2")
    assert [row["n"] for row in answer.json()] == ["2499", "2498"]


def test_r8_a_count_is_one_row_and_one_column(portal: Running, numbers: str) -> None:
    """Without an order, which counts cannot have; its second page is empty, though it names an offset."""
    address = f"/resource/{numbers}.json?%24select=count%28%2A%29"
    assert sent(portal, address).text == '[{"count":"2500"}\n]\n'
    assert sent(portal, f"{address}&$limit=50000&$offset=1").json() == []
    named = sent(portal, f"/resource/{numbers}.json?%24select=count(n)").json()
    assert named == [{"count_n": "2500"}]
    ordered = sent(portal, f"{address}&$order=:id")
    assert (400, "query.soql.column-not-in-group-bys") == (ordered.status_code, ordered.json()["errorCode"])


def test_r9_a_condition_and_a_token_both_count(portal: Running, numbers: str) -> None:
    """The token in the address, encoded, beside a condition."""
    token = add_app_token(portal.file)
    address = f"/resource/{numbers}.json?%24where=n%20%3E%202490.0&%24%24app_token={token}&$order=:id"
    assert len(sent(portal, address).json()) == 9
    assert sent(portal, address.replace(token, "wrong")).status_code == 403


def test_r10_one_dollar_before_the_token_is_an_error(portal: Running, numbers: str) -> None:
    """400, and the token is not in the answer."""
    answer = sent(portal, f"/resource/{numbers}.json?$app_token=a-secret")
    assert (400, "req.bad-parameter") == (answer.status_code, answer.json()["errorCode"])
    assert "a-secret" not in answer.text


@pytest.mark.parametrize("accept", ["DOWNLOAD", ""])
def test_r11_what_it_makes_of_addresses_for_people(portal: Running, numbers: str, accept: str) -> None:
    """It asks for the CSV of the 4x4 in them; the download itself answers too."""
    assert len(rows_of_csv(sent(portal, f"/resource/{numbers}.csv?$order=:id"))) == 1000
    query = f"?accessType={accept}" if accept else ""
    assert len(rows_of_csv(sent(portal, f"/api/views/{numbers}/rows.csv{query}"))) == 2500


@pytest.mark.parametrize("name", ["433-bgaj", "4334-!gaj", "4334-bgaj"])
def test_r12_an_id_that_is_none_is_not_found(portal: Running, name: str) -> None:
    """The client refuses the first two by itself; the portal answers 404 to all."""
    assert sent(portal, f"/resource/{name}.json").status_code == 404


def test_r13_dates_in_both_forms_are_the_same_moment(portal: Running, numbers: str) -> None:
    """Typed floating in the header, ISO in JSON and CSV, US in the download: one wall clock, no zone."""
    answer = sent(portal, f"/resource/{numbers}.json?$limit=1&$order=:id")
    types = dict(
        zip(
            json.loads(answer.headers["X-SODA2-Fields"]),
            json.loads(answer.headers["X-SODA2-Types"]),
            strict=True,
        )
    )
    assert types["day"] == "floating_timestamp"
    assert answer.json()[0]["day"] == "2012-09-14T22:38:01.000"
    assert (
        rows_of_csv(sent(portal, f"/resource/{numbers}.csv?$limit=1"))[0]["day"] == "2012-09-14T22:38:01.000"
    )
    assert rows_of_csv(sent(portal, f"/api/views/{numbers}/rows.csv"))[0]["day"] == "09/14/2012 10:38:01 PM"


def test_r14_money_says_so_in_the_types(portal: Running) -> None:
    """The client takes the dollar sign off what is of type money; the portal sends plain digits."""
    uid = portal.create(("amount", "money"), public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{"amount": "15325.65"}])
    answer = sent(portal, f"/resource/{uid}.json?$order=:id")
    assert json.loads(answer.headers["X-SODA2-Types"]) == ["money"]
    assert answer.json() == [{"amount": "15325.65"}]
    query = "?$select=sum(amount)+as+total&$where=amount+%3E+5&$having=total+%3C+20000"
    assert portal.ask("GET", f"/resource/{uid}.json{query}").json() == [{"total": "15325.65"}]


def written(
    portal: Running, method: str, uid: str, rows: list[dict[str, Any]], auth: Any
) -> requests.Response:
    """What `write.socrata` sends: one request with every row, a token in the header."""
    headers = {**HEADERS, "Content-Type": "application/json", "X-App-Token": add_app_token(portal.file)}
    body = json.dumps(rows)
    return requests.request(
        method, f"{portal.url}/resource/{uid}.json", data=body, headers=headers, auth=auth, timeout=60
    )


def test_r18_an_upsert_adds_rows_and_changes_them_by_their_identifier(portal: Running) -> None:
    """A data frame's dates come with a blank and no zone; a missing cell keeps what was there."""
    uid = portal.create(("id", "number"), ("zip", "text"), ("d", "calendar_date"), key="id")
    first = [{"id": 1, "zip": "06001", "d": "2020-01-01 10:00:00"}, {"id": 2, "zip": "06002"}]
    assert written(portal, "POST", uid, first, portal.auth).status_code == 200
    again = written(portal, "POST", uid, [{"id": 1, "d": "2020-01-02"}, {"id": 3}], portal.auth)
    assert (again.status_code, again.json()["Rows Created"], again.json()["Rows Updated"]) == (200, 1, 1)
    assert portal.rows(uid) == [
        {"id": "1", "zip": "06001", "d": "2020-01-02T00:00:00.000"}, {"id": "2", "zip": "06002"}, {"id": "3"},
    ]  # fmt: skip


def test_r19_a_replace_leaves_the_data_frame_alone(portal: Running) -> None:
    """What was there before is gone."""
    uid = portal.create(("id", "number"), key="id")
    assert written(portal, "POST", uid, [{"id": 1}, {"id": 2}], portal.auth).status_code == 200
    assert written(portal, "PUT", uid, [{"id": 9}], portal.auth).status_code == 200
    assert portal.rows(uid) == [{"id": "9"}]


def test_r20_wrong_credentials_are_a_status(portal: Running) -> None:
    """The client hands the status on; nothing is written."""
    uid = portal.create(("id", "number"), key="id")
    answer = written(portal, "POST", uid, [{"id": 1}], ("nobody@example.org", "wrong"))
    assert answer.status_code in (401, 403)
    assert portal.rows(uid) == []


def test_r15_a_column_is_missing_where_it_is_blank(portal: Running, numbers: str) -> None:
    """On the first page no row has it, on the second one has: the client fills the gap."""
    first, second, _ = pages(portal, f"/resource/{numbers}.json?$order=:id", rows_of_json)
    assert {name for row in first for name in row} == {"n", "zip", "day"}
    assert {name for row in second for name in row} == {"n", "zip", "day", "late"}


def test_r16_rows_come_without_their_types_when_those_are_long(portal: Running) -> None:
    """The client then warns that dates stay texts."""
    names = [f"a_column_with_a_long_name_{at:03d}" for at in range(150)]
    uid = portal.create(*((name, "text") for name in names), public=True)
    portal.ask("POST", f"/resource/{uid}.json", json=[{names[0]: "x"}])
    answer = sent(portal, f"/resource/{uid}.json?$order=:id")
    assert not {"X-SODA2-Fields", "X-SODA2-Types"} & set(answer.headers)
    assert answer.json() == [{names[0]: "x"}]


def test_r17_a_private_dataset_asks_for_a_password(portal: Running) -> None:
    """403 without, 3 rows of 2 columns with Basic."""
    uid = portal.create(("a", "text"), ("b", "number"))
    portal.ask("POST", f"/resource/{uid}.json", json=[{"a": "x", "b": at} for at in range(3)])
    address = f"/resource/{uid}.csv?$order=:id"
    assert sent(portal, address).status_code == 403
    found = rows_of_csv(sent(portal, address, auth=portal.auth))
    assert (3, {"a", "b"}) == (len(found), set(found[0]))


def test_r21_the_list_of_datasets_has_its_fourteen_columns(portal: Running, numbers: str) -> None:
    """`/data.json` with its five attributes, and the same keys in each dataset."""
    body = sent(portal, "/data.json").json()
    assert {"@context", "@id", "@type", "conformsTo", "describedBy", "dataset"} <= set(body)
    wanted = {
        "issued", "modified", "keyword", "@type", "landingPage", "theme", "title", "accessLevel", "distribution",
        "description", "identifier", "publisher", "contactPoint", "license",
    }  # fmt: skip
    entry = next(one for one in body["dataset"] if numbers in one["identifier"])
    assert wanted <= set(entry)


@pytest.mark.parametrize("status", [429, 500])
def test_r22_a_refusal_is_told_once(portal: Running, numbers: str, status: int) -> None:
    """The client gives up after one attempt; the next request is answered."""
    path = f"/resource/{numbers}.json"
    with faulty(portal, Fault("status", path=path, status=status)):
        assert sent(portal, f"{path}?$order=:id").status_code == status
        assert sent(portal, f"{path}?$order=:id").status_code == 200


def test_r23_a_zip_code_is_text_in_both_formats(portal: Running, numbers: str) -> None:
    """With its nought in JSON, and in CSV in quotes, which R's own reader takes no notice of."""
    address = f"/resource/{numbers}.json?$order=:id&$limit=1"
    assert sent(portal, address).json()[0]["zip"] == "06000"
    assert '"06000"' in sent(portal, address.replace(".json", ".csv")).text


def test_r24_a_location_has_the_names_that_become_columns(portal: Running) -> None:
    """latitude, longitude and human_address below the column's name; a point its type and coordinates."""
    uid = portal.create(("loc", "location"), ("p", "point"), ("w", "url"), public=True)
    spot = {"latitude": "41.5", "longitude": "-72.25", "human_address": '{"city": "Avon"}'}
    row = {"loc": spot, "p": "POINT (-72 41)", "w": {"url": "https://example.org"}}
    portal.ask("POST", f"/resource/{uid}.json", json=[row])
    (found,) = sent(portal, f"/resource/{uid}.json?$order=:id").json()
    assert (list(found["loc"]), list(found["p"]), list(found["w"])) == (
        ["latitude", "longitude", "human_address"], ["type", "coordinates"], ["url"],
    )  # fmt: skip
    assert all(isinstance(found["loc"][name], str) for name in found["loc"])


def test_r25_an_answer_that_is_not_ready_ends_after_its_polls(portal: Running, numbers: str) -> None:
    """202 as often as told, never for ever: then the rows."""
    path = f"/resource/{numbers}.json"
    with faulty(portal, Fault("accepted", path=path, times=2)):
        statuses = [sent(portal, f"{path}?$order=:id").status_code for _ in range(3)]
    assert statuses == [202, 202, 200]
