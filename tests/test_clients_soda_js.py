"""soda-js, Socrata's own client in JavaScript, unmodified, reads from and writes to the embedded portal over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from node_clients import run_client
from portal_fixture import Running, running_portal

from ctnb.embedded.accounts import add_app_token

pytestmark = pytest.mark.servers

ROWS = [
    {"code": at, "town": ("Ansonia", "Derby", "O'Brien's Corner")[at % 3], "zip": f"0640{at}"}
    for at in range(9)
]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal over TLS: the client speaks nothing else."""
    patch = pytest.MonkeyPatch()
    with running_portal(tmp_path_factory.mktemp("portal"), "--tls") as running:
        patch.setenv("REQUESTS_CA_BUNDLE", str(running.file.with_suffix(".certificate.pem")))
        yield running
    patch.undo()


@pytest.fixture
def towns(portal: Running) -> str:
    """A public dataset of nine rows with a row identifier."""
    uid = portal.create(("code", "number"), ("town", "text"), ("zip", "text"), key="code", public=True)
    assert portal.ask("POST", f"/resource/{uid}.json", json=ROWS).json()["Rows Created"] == 9
    return uid


def run(portal: Running, uid: str, role: str, *steps: list[list[Any]], **more: Any) -> list[Any]:
    """Steps of one role on a dataset: for each the event, the body and the status."""
    request = {
        "site": portal.url.removeprefix("https://"),
        "username": portal.key_id,
        "password": portal.key_secret,
        "steps": [{"role": role, "dataset": uid, "calls": calls} for calls in steps],
        **more,
    }
    return run_client("soda_js.js", request, portal.file.with_suffix(".certificate.pem"))


def test_the_consumer_asks_by_every_clause(portal: Running, towns: str) -> None:
    """where in each of its forms, select, group, having, order, limit, offset, q and a whole query."""
    either = {"call": "or", "arguments": ["code > 7", "code = 0"]}
    found = run(
        portal,
        towns,
        "consumer",
        [["where", "code < 5", {"town": "Derby"}], ["select", "code"], ["order", "code desc"], ["getRows"]],
        [["where", either], ["select", "code", "zip"], ["order", "code"], ["getRows"]],
        [["select", "town", "count(*) as n"], ["group", "town"], ["having", "n > 1"], ["order", "town"],
         ["limit", 1], ["offset", 2], ["getRows"]],
        [["q", "ansonia"], ["select", "code"], ["order", "code"], ["getRows"]],
        [["soql", "select max(code) as top where town = 'O''Brien''s Corner'"], ["getRows"]],
    )  # fmt: skip
    assert [
        ["success", [{"code": "4"}, {"code": "1"}], 200],
        ["success", [{"code": "0", "zip": "06400"}, {"code": "8", "zip": "06408"}], 200],
        ["success", [{"town": "O'Brien's Corner", "n": "3"}], 200],
        ["success", [{"code": "0"}, {"code": "3"}, {"code": "6"}], 200],
        ["success", [{"top": "8"}], 200],
    ] == found


def test_the_consumer_is_told_what_is_wrong(portal: Running, towns: str) -> None:
    """A column, a dataset and a token that are not there: its error event has the portal's envelope."""
    column = run(portal, towns, "consumer", [["where", "nope = 1"], ["getRows"]])[0]
    missing = run(portal, "aaaa-aaaa", "consumer", [["getRows"]])[0]
    token = run(portal, towns, "consumer", [["getRows"]], token="nope")[0]
    assert ("error", 400, "query.soql.no-such-column") == (column[0], column[2], column[1]["errorCode"])
    assert ("error", 404, "dataset.missing") == (missing[0], missing[2], missing[1]["code"])
    assert ("error", 403, "Invalid app_token specified") == (token[0], token[2], token[1]["message"])
    good = run(portal, towns, "consumer", [["limit", 1], ["getRows"]], token=add_app_token(portal.file))
    assert ["success", 200] == [good[0][0], good[0][2]]


def test_the_producer_adds_updates_replaces_and_deletes(portal: Running, towns: str) -> None:
    """Its five operations, of one row and of many, by the row identifier."""
    found = run(
        portal,
        towns,
        "producer",
        [["upsert", {"code": 1, "zip": "06999"}]],
        [["upsert", [{"code": 2, ":deleted": True}, {"code": 20, "town": "Shelton"}]]],
        [["add", [{"code": 21, "town": "Milford", "zip": "06460"}]]],
        [["update", 3, {"town": "Orange"}]],
        [["replace", 4, {"code": 4, "zip": "06404"}]],
        [["delete", 5]],
        [["delete", 99]],
    )
    assert [200, 200, 200, 200, 200, 200, 404] == [status for _, _, status in found]
    assert (1, 1, 1) == (
        found[0][1]["Rows Updated"],
        found[1][1]["Rows Deleted"],
        found[1][1]["Rows Created"],
    )
    assert "soda.row.not-found" == found[6][1]["errorCode"]
    rows = {row.pop("code"): row for row in portal.rows(towns)}
    assert {"0", "1", "3", "4", "6", "7", "8", "20", "21"} == set(rows)
    assert {"town": "Derby", "zip": "06999"} == rows["1"]
    assert {"town": "Orange", "zip": "06403"} == rows["3"]
    assert {"zip": "06404"} == rows["4"]


def test_the_producer_cannot_take_every_row_away(portal: Running, towns: str) -> None:
    """truncate(), a DELETE of the whole resource, is refused, and the rows stay; so are wrong credentials."""
    refused = run(portal, towns, "producer", [["truncate"]])[0]
    assert ("error", 405) == (refused[0], refused[2])
    nobody = run(portal, towns, "producer", [["upsert", {"code": 1}]], password="wrong")[0]
    assert ("error", 401, "authentication_required") == (nobody[0], nobody[2], nobody[1]["code"])
    assert 9 == len(requests.get(f"{portal.url}/resource/{towns}.json", timeout=60).json())
