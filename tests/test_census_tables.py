"""Reading tables of the Census Bureau's data API: against a server built from its documentation."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from error_texts import assert_text, whole_story
from loopback import Question, Reply, Served, serving
from pydantic import ValidationError

from ctnb import secrets
from ctnb.contracts.places import Census
from ctnb.errors import ContractInvalid, CtnbError, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import census_tables
from ctnb.places.fetched import Fetched, Request

KEY = "k3y-of-the-agency"
TOWNS = {"04300": ("Ansonia", "18902"), "19550": ("Derby", "12339"), "08000": ("Bethany", "5297")}


class Api:
    """The data API as its user guide describes it: an array of arrays, the header first, all cells text."""

    def __init__(self) -> None:
        self.variables: dict[str, dict[str, str]] = {
            "NAME": {"label": "Geographic Area Name", "predicateType": "string"},
            "GEO_ID": {"label": "Geography", "predicateType": "string"},
            **{
                f"B01001_{n:03d}E": {
                    "label": "Estimate!!Total:", "predicateType": "int",
                    "attributes": f"B01001_{n:03d}EA,B01001_{n:03d}M,B01001_{n:03d}MA",
                }
                for n in range(1, 121)
            },
            "B19013_001E": {"label": "Median income", "predicateType": "float", "attributes": "B19013_001EA"},
        }  # fmt: skip
        self.cells: dict[tuple[str, str], str | None] = {}
        """Cells other than the usual ones, by variable and town."""
        self.towns = [dict(TOWNS)]
        """The towns of each next answer; the last of them goes on."""
        self.faults: list[Reply] = []
        """Replies that come before the true ones."""

    def __call__(self, question: Question) -> Reply:
        if question.path.endswith("/variables.json"):
            return Reply(json.dumps({"variables": self.variables}).encode())
        if self.faults:
            return self.faults.pop(0)
        names = question.query["get"].split(",")
        if len(names) > 50:
            return Reply(b"error: more than 50 variables", 400, "text/plain")
        if names == ["group(B01001)"]:
            names = ["GEO_ID", "NAME", *(f"B01001_{n:03d}E" for n in range(1, 5))]
        extra = [name for name in question.query if name not in ("get", "for", "in", "key")]
        header = [*names, *extra, "state", "county", "county subdivision"]
        towns = self.towns.pop(0) if len(self.towns) > 1 else self.towns[0]
        rows = [
            [
                *(self.cell(name, code) for name in names),
                *(question.query[name] for name in extra),
                "09",
                "170",
                code,
            ]
            for code in towns
        ]
        return Reply(json.dumps([header, *rows]).encode())

    def cell(self, name: str, code: str) -> str | None:
        """One cell of a town."""
        if (name, code) in self.cells:
            return self.cells[name, code]
        town, people = TOWNS[code]
        if name in ("NAME", "GEO_ID"):
            return town if name == "NAME" else f"0600000US09170{code}"
        return str(int(people) + int(name.partition("_")[2][:3]))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Api, Served]]:
    """The API, running."""
    monkeypatch.delenv("CENSUS_API_KEY", raising=False)
    api = Api()
    with serving(api) as served:
        yield api, served


def fetch(tmp_path: Path, served: Served, more: dict[str, Any] | None = None, **keys: Any) -> Fetched:
    """What the source gives; `more` goes to the request."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    request = Request(
        work=work, folder=tmp_path, project=tmp_path, roots=(), secret=secrets.value, **(more or {})
    )
    said = {
        "vintage": 2023, "dataset": "acs/acs5", "variables": ["NAME", "B01001_001E"], "url": f"{served.url}/data",
        "geography": "county subdivision:*", "within": ["state:09", "county:170"], **keys,
    }  # fmt: skip
    return census_tables.fetch(Census.model_validate(said), request)


def records(fetched: Fetched) -> list[dict[str, str]]:
    """The snapshot's rows by column."""
    with fetched.snapshots[0].path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_table_arrives_with_its_codes(told: tuple[Api, Served], tmp_path: Path) -> None:
    """The question is put as the guide says, and codes keep their zeros."""
    _, served = told
    fetched = fetch(tmp_path, served)
    assert {
        "NAME": "Ansonia", "B01001_001E": "18903", "state": "09", "county": "170", "county subdivision": "04300",
    } == records(fetched)[0]  # fmt: skip
    assert ("/data/2023/acs/acs5", {
        "get": "NAME,B01001_001E", "for": "county subdivision:*", "in": "state:09 county:170",
    }) == (served.asked[-1].path, served.asked[-1].query)  # fmt: skip
    assert (3, "csv", {"NAME": "text", "B01001_001E": "integer", "state": "code", "county": "code",
                       "county subdivision": "code"}) == (fetched.rows, fetched.format, fetched.types)  # fmt: skip


def test_more_than_fifty_variables_are_asked_for_by_parts(told: tuple[Api, Served], tmp_path: Path) -> None:
    """120 variables in three requests, put together by place, whatever the order of the rows."""
    api, served = told
    api.towns = [dict(TOWNS), dict(reversed(TOWNS.items())), dict(TOWNS)]
    names = [f"B01001_{n:03d}E" for n in range(1, 121)]
    found = records(fetch(tmp_path, served, variables=["NAME", *names]))
    assert ["NAME", *names, "state", "county", "county subdivision"] == list(found[0])
    assert [[str(int(people) + n) for n in range(1, 121)] for _, people in TOWNS.values()] == [
        [row[name] for name in names] for row in found
    ]


@pytest.mark.parametrize("gone", ["19550", "04300"])
def test_parts_with_other_places_are_refused(told: tuple[Api, Served], tmp_path: Path, gone: str) -> None:
    """A place that is missing in one answer is not filled with nothing."""
    api, served = told
    api.towns = [dict(TOWNS), {code: town for code, town in TOWNS.items() if code != gone}]
    with pytest.raises(SourceFailed, match="gave other places"):
        fetch(tmp_path, served, variables=[f"B01001_{n:03d}E" for n in range(1, 61)])
    assert [] == list((tmp_path / "work").iterdir())


def test_rows_that_share_a_place_cannot_be_put_together(told: tuple[Api, Served], tmp_path: Path) -> None:
    """One request gives them as they are; two have nothing to match them by."""
    api, served = told
    row = ["1", "09", "170", "04300"]
    twice = json.dumps([["B01001_001E", "state", "county", "county subdivision"], row, row]).encode()
    api.faults = [Reply(twice)]
    assert fetch(tmp_path, served, variables=["B01001_001E"]).rows == 2
    names = [f"B01001_{n:03d}E" for n in range(1, 51)]
    api.faults = [Reply(json.dumps([[*names, "state"], ["1"] * 50 + ["09"], ["2"] * 50 + ["09"]]).encode())]
    with pytest.raises(SourceInvalid, match="several rows for one place"):
        fetch(tmp_path, served, variables=[*names, "NAME"])


def test_a_group_gives_all_its_variables(told: tuple[Api, Served], tmp_path: Path) -> None:
    """It is asked for alone, and what it shares with the others comes once."""
    fetched = fetch(tmp_path, told[1], variables=["NAME", "group(B01001)", "B19013_001E"])
    names = ["NAME", "B19013_001E", "GEO_ID", *(f"B01001_{n:03d}E" for n in range(1, 5))]
    assert [*names, "state", "county", "county subdivision"] == list(records(fetched)[0])
    assert ("code", "number") == (fetched.types["GEO_ID"], fetched.types["B19013_001E"])


def test_filters_are_sent_and_come_back_as_columns(told: tuple[Api, Served], tmp_path: Path) -> None:
    """As the API repeats them."""
    assert {"2"} == {row["SEX"] for row in records(fetch(tmp_path, told[1], predicates={"SEX": "2"}))}


@pytest.mark.parametrize("code", sorted(census_tables.STAND_INS))
def test_numbers_that_stand_for_the_want_of_one_are_null(
    told: tuple[Api, Served], tmp_path: Path, code: str
) -> None:
    """Each of the Bureau's codes, counted by variable, without the places."""
    api, served = told
    api.cells = {
        ("B01001_001E", "04300"): code, ("B01001_001E", "19550"): code, ("B19013_001E", "04300"): f"{code}.0",
        ("B19013_001E", "08000"): "(X)", ("B01001_001M", "08000"): "***", ("B19013_001E", "19550"): None,
    }  # fmt: skip
    fetched = fetch(tmp_path, served, variables=["B01001_001E", "B01001_001M", "B19013_001E"])
    assert [["", "18903", ""], ["", "12340", ""], ["5298", "", ""]] == [
        [row[name] for name in ("B01001_001E", "B01001_001M", "B19013_001E")] for row in records(fetched)
    ]
    assert ["2 cells of B01001_001E", "2 cells of B19013_001E", "1 cells of B01001_001M"] == [
        note.partition(" are empty")[0] for note in fetched.notes
    ]


def test_an_annotation_that_was_asked_for_keeps_its_text(told: tuple[Api, Served], tmp_path: Path) -> None:
    """It says why the number is missing."""
    api, served = told
    api.cells = {("B01001_001EA", code): "***" for code in TOWNS}
    fetched = fetch(tmp_path, served, variables=["B01001_001EA"])
    assert ({"***"}, (), "text") == (
        {row["B01001_001EA"] for row in records(fetched)}, fetched.notes, fetched.types["B01001_001EA"],
    )  # fmt: skip


def test_the_table_of_the_last_release_is_nothing_new(told: tuple[Api, Served], tmp_path: Path) -> None:
    """By its cells: the API does not say when it was changed."""
    api, served = told
    position = {"position": fetch(tmp_path, served).position}
    with pytest.raises(NothingNew, match="that of the last release"):
        fetch(tmp_path, served, position)
    assert fetch(tmp_path, served, {**position, "again": True}).rows == 3
    api.cells["B01001_001E", "04300"] = "18904"
    assert fetch(tmp_path, served, position).rows == 3


def test_a_time_series_has_no_vintage(told: tuple[Api, Served], tmp_path: Path) -> None:
    """Its path has none."""
    fetch(tmp_path, told[1], vintage=None, dataset="timeseries/poverty/saipe")
    assert told[1].asked[-1].path == "/data/timeseries/poverty/saipe"


FAULTS = [
    (Reply(b"", 204), SourceInvalid, "has no rows for that question about 2023/acs/acs5"),
    (Reply(b"<html><h1>404</h1></html>", 404, "text/html"), SourceInvalid, "has no dataset 2023/acs/acs5"),
    (Reply(b"error: unknown variable 'B01001_001E'", 400, "text/plain"), SourceInvalid, "no variable B01001_001E"),
    (Reply(b"error: unknown variable 'zyxwyn_canary'", 400, "text/plain"), SourceInvalid, "does not understand"),
    (Reply(b"error: unknown/unsupported geography heirarchy", 400, "text/plain"), SourceInvalid, "that geography"),
    (Reply(b"error: zyxwyn_canary", 400, "text/plain"), SourceInvalid, "does not understand"),
    (Reply(b"", 302, headers={"Location": "/data/invalid_key.html"}), UsageError, "refused the API key"),
    (Reply(b"", 302, headers={"Location": "/data/missing_key.html"}), UsageError, "refused the API key"),
    (Reply(b"", 302, headers={"Location": "/elsewhere?zyxwyn_canary"}), SourceFailed, "has moved"),
    (Reply(b"<html><title>Invalid Key</title></html>", 200, "text/html"), UsageError, "refused the API key"),
    (Reply(b"<html>zyxwyn_canary</html>", 200, "text/html"), SourceFailed, "with text/html"),
    (Reply(b'[["NAME","zyxwyn_canary'), SourceFailed, "with something torn"),
    (Reply(b'[["NAME","state"],["zyxwyn_canary"]]'), SourceFailed, "with something torn"),
    (Reply(b'[["NAME","state"],["zyxwyn_canary","09"]]'), SourceInvalid, "without the variable B01001_001E"),
    (Reply(b"x", 418), SourceFailed, "status 418"),
    (Reply(b"", 429, headers={"Retry-After": "86400"}), SourceFailed, "left alone"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "kind", "match"), FAULTS, ids=[f"{f[0].status}: {f[2]}" for f in FAULTS])
def test_a_refusal_is_told_without_the_key_and_without_a_cell(
    told: tuple[Api, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    fault: Reply, kind: type[CtnbError], match: str,
) -> None:  # fmt: skip
    """The key stands in the address, and the address in no message, log line or exception chain."""
    api, served = told
    monkeypatch.setenv("MINE", KEY)
    api.faults = [fault]
    with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=match) as caught:
        fetch(tmp_path, served, key={"secret": "MINE"})
    story = whole_story(caught.value) + caplog.text
    assert (KEY, False, False) == (served.asked[-1].query["key"], KEY in story, "zyxwyn_canary" in story)
    assert ([], True) == (list((tmp_path / "work").iterdir()), "urllib3" in caplog.text)


def test_an_api_that_is_not_there_is_told_without_the_key(
    told: tuple[Api, Served],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The exceptions of requests quote the address with the key in it."""
    api, served = told
    monkeypatch.setenv("CENSUS_API_KEY", KEY)
    api.faults = [Reply(b'[["NAME"', cut=3, headers={"Content-Length": "99"})] * 4
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceFailed, match="4 times") as caught:
        fetch(tmp_path, served)
    assert (5, False) == (len(served.asked), KEY in whole_story(caught.value) + caplog.text)


def test_the_key_by_custom_is_used(
    told: tuple[Api, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CENSUS_API_KEY, as the R packages have it."""
    monkeypatch.setenv("CENSUS_API_KEY", KEY)
    fetch(tmp_path, told[1])
    assert told[1].asked[-1].query["key"] == KEY


def test_the_key_is_not_sent_in_the_clear(
    told: tuple[Api, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this machine itself is reached without TLS."""
    monkeypatch.setenv("CENSUS_API_KEY", KEY)
    with pytest.raises(UsageError, match="in the clear"):
        fetch(tmp_path, told[1], url="http://api.census.gov/data")


@pytest.mark.parametrize(
    "keys", [{"dataset": "acs/../../x"}, {"url": "api.census.gov"}, {"url": "https://a@b/data"}]
)
def test_a_wrong_address_is_told(told: tuple[Api, Served], tmp_path: Path, keys: dict[str, str]) -> None:
    """Before anything is asked."""
    with pytest.raises(ContractInvalid):
        fetch(tmp_path, told[1], **keys)
    assert told[1].asked == []


def test_the_key_is_no_filter() -> None:
    """What has a key of its own in dataset.yml does not stand among the filters."""
    with pytest.raises(ValidationError, match="get, for, in and key have keys of their own"):
        Census(dataset="a", variables=("B",), geography="us:*", predicates={"key": "x"})


def test_the_texts_of_the_main_errors(told: tuple[Api, Served], tmp_path: Path) -> None:
    """A change of wording is a change to review."""
    api, served = told
    api.faults = [Reply(b"", 302, headers={"Location": "/data/missing_key.html"})]
    with pytest.raises(UsageError) as key:
        fetch(tmp_path, served)
    assert_text("census-key", key.value, api=served.url.removeprefix("http://"))
    api.faults = [Reply(b"", 204)]
    with pytest.raises(SourceInvalid) as nothing:
        fetch(tmp_path, served)
    assert_text("census-no-rows", nothing.value, api=served.url.removeprefix("http://"))
