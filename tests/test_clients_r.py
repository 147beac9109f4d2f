"""R's httr and jsonlite send the embedded portal what R scripts send to Socrata: RSocrata is made of the two."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from portal_fixture import Running, running_portal
from prerequisites import lacking

pytestmark = pytest.mark.servers

SCRIPT = Path(__file__).parent / "clients" / "httr_requests.R"
COLUMNS = ("n", "number"), ("zip", "text"), ("day", "calendar_date"), ("spot", "location"), ("late", "text")
SPOT = {"latitude": "41.5", "longitude": "-72.5"}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture
def numbers(portal: Running) -> str:
    """2,500 rows with a row identifier; the last one alone has a cell in `late`."""
    uid = portal.create(*COLUMNS, key="n", public=True)
    rows: list[dict[str, Any]] = [
        {"n": at, "zip": f"06{at % 1000:03d}", "day": "2012-09-14T22:38:01", "spot": SPOT}
        for at in range(2500)
    ]
    rows[-1]["late"] = "here"
    assert portal.ask("POST", f"/resource/{uid}.json", json=rows).status_code == 200
    return uid


def run(portal: Running, action: str, path: str, *, signed: bool = False) -> Any:
    """What the script prints."""
    program = shutil.which("Rscript")
    if program is None:
        lacking("Rscript, with the packages httr and jsonlite")
    auth = portal.auth if signed else ()
    command = [program, "--vanilla", str(SCRIPT), action, portal.url + path, *auth]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "there is no package called" in done.stderr:
        lacking("the R packages httr and jsonlite")
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_every_row_arrives_as_json(portal: Running, numbers: str) -> None:
    """Three requests; numbers are texts, a ZIP keeps its zero, places are flattened, types come in the headers."""
    read = run(portal, "read", f"/resource/{numbers}.json")
    assert (2500, 3) == (read["rows"], read["requests"])
    assert ["n", "zip", "day", "spot.latitude", "spot.longitude", "late"] == read["columns"]
    assert {"character"} == set(read["classes"])
    assert ("0", "06000", "2012-09-14T22:38:01.000", "41.5") == (
        read["first"]["n"], read["first"]["zip"], read["first"]["day"], read["first"]["spot.latitude"],
    )  # fmt: skip
    assert ["n", "zip", "day", "spot", "late"] == read["fields"]
    assert ["number", "text", "floating_timestamp", "location", "text"] == read["types"]


def test_every_row_arrives_as_csv(portal: Running, numbers: str) -> None:
    """As many; read.csv guesses, so that a ZIP loses its zero."""
    read = run(portal, "read", f"/resource/{numbers}.csv")
    assert (2500, 3, 6000) == (read["rows"], read["requests"], read["first"]["zip"])
    assert ["n", "zip", "day", "spot", "late"] == read["columns"]


def test_conditions_hold_on_every_page(portal: Running, numbers: str) -> None:
    """Encoded names beside raw ones."""
    read = run(portal, "read", f"/resource/{numbers}.json?%24where=n%20%3E%3D%201000")
    assert (1500, 3, "1000") == (read["rows"], read["requests"], read["first"]["n"])


def test_a_private_dataset_asks_who_calls(portal: Running) -> None:
    """403 for anybody, the rows for an account."""
    uid = portal.create(("n", "number"), ("zip", "text"))
    portal.ask("POST", f"/resource/{uid}.json", json=[{"n": 1, "zip": "06001"}])
    assert "403" in run(portal, "read", f"/resource/{uid}.json")["error"]
    assert 1 == run(portal, "read", f"/resource/{uid}.json", signed=True)["rows"]


def test_a_data_frame_is_upserted(portal: Running, numbers: str) -> None:
    """Rows are matched by the row identifier; NA is left out, so that an update keeps what was there."""
    sent = run(portal, "upsert", f"/resource/{numbers}.json", signed=True)
    assert (200, 1, 2, 0) == (
        sent["status"], sent["body"]["Rows Updated"], sent["body"]["Rows Created"], sent["body"]["Errors"],
    )  # fmt: skip
    one, *new = portal.rows(numbers, where="n = 1 or n >= 3000")
    assert ("06999", "2024-02-29T00:00:00.000", "41.5") == (one["zip"], one["day"], one["spot"]["latitude"])
    assert [{"n": "3000", "zip": "06001", "day": "2024-03-01T00:00:00.000"},
            {"n": "3001", "day": "2024-03-02T00:00:00.000"}] == new  # fmt: skip


def test_a_data_frame_replaces_every_row(portal: Running, numbers: str) -> None:
    """PUT; without an account 403 in the answer, and nothing changes."""
    assert 403 == run(portal, "replace", f"/resource/{numbers}.json")["status"]
    assert [{"count": "2500"}] == portal.rows(numbers, select="count(*)")
    assert 200 == run(portal, "replace", f"/resource/{numbers}.json", signed=True)["status"]
    assert ["1", "3000", "3001"] == [row["n"] for row in portal.rows(numbers)]


def test_the_inventory_is_a_data_frame(portal: Running, numbers: str) -> None:
    """data.json has the attributes and the fourteen columns that ls.socrata makes a table of."""
    found = run(portal, "list", "/data.json")
    assert {"@context", "@id", "@type", "conformsTo", "describedBy", "dataset"} == set(found["names"])
    assert ("data.frame", 14) == (found["kind"], len(found["columns"]))
