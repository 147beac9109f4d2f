"""pandas reads the embedded portal by its addresses alone, as notebooks of other people do."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from ods_fixture import EXPLORE, realtime
from portal_fixture import Running, running_portal

COLUMNS = ("id", "number"), ("town", "text"), ("zip", "text"), ("day", "calendar_date"), ("open", "checkbox")


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def visits(portal: Running) -> str:
    """1,200 public rows, with quotes, line breaks and blanks among the texts."""
    uid = portal.create(*COLUMNS, key="id", public=True)
    towns = ("Derby", 'say "hi",\nthere', None)
    rows = [
        {"id": at, "town": towns[at % 3], "zip": f"0{6000 + at}", "day": "2024-02-29", "open": at % 2 == 0}
        for at in range(1200)
    ]
    assert portal.ask("POST", f"/resource/{uid}.json", json=rows).json()["Rows Created"] == 1200
    return uid


def test_rows_as_csv(portal: Running, visits: str) -> None:
    """1,000 without a limit; all with one, each ZIP as it was where it is read as text."""
    address = f"{portal.url}/resource/{visits}.csv"
    assert (1000, 5) == pd.read_csv(address).shape
    frame = pd.read_csv(f"{address}?$limit=5000&$order=id", dtype={"zip": str}, parse_dates=["day"])
    assert (1200, "06000", "07199") == (len(frame), frame["zip"].iloc[0], frame["zip"].iloc[-1])
    assert 'say "hi",\nthere' == frame["town"].iloc[1] and pd.isna(frame["town"].iloc[2])
    assert pd.Timestamp("2024-02-29") == frame["day"].max() and 600 == frame["open"].sum()


def test_the_export_as_csv(portal: Running, visits: str) -> None:
    """Every row without a limit, days as the United States write them."""
    frame = pd.read_csv(f"{portal.url}/api/views/{visits}/rows.csv?accessType=DOWNLOAD", dtype=str)
    assert (1200, "02/29/2024") == (len(frame), frame["day"].iloc[0])


def test_rows_as_json_and_xml(portal: Running, visits: str) -> None:
    """A condition, groups and names of their own; the rows of the XML."""
    address = f"{portal.url}/resource/{visits}.json?$select=town,count(*)%20as%20n&$group=town&$order=town"
    frame = pd.read_json(address, dtype={"n": int})
    assert [400, 400, 400] == list(frame["n"])
    xml = f"{portal.url}/resource/{visits}.xml?$where=id<5&$order=id"
    rows = pd.read_xml(xml, parser="etree", xpath="./rows/row", dtype={"zip": str})
    assert ["06000", "06001", "06002", "06003", "06004"] == list(rows["zip"])


def test_records_of_explore(portal: Running) -> None:
    """CSV with its separator and byte order mark, JSON lines, Parquet with types, Excel."""
    made = realtime(portal, {"town": "a", "people": 1, "day": "2024-01-01"}, "town")
    assert (
        made.push([{"town": "Derby", "people": 12325, "day": "2024-03-04"}, {"town": "=1+1"}]).status_code
        == 200
    )
    address = f"{portal.url}{EXPLORE}/{made.dataset_id}/exports"
    expected = [("Derby", 12325.0), ("=1+1", None)]
    for frame in (
        pd.read_csv(f"{address}/csv", sep=";", encoding="utf-8-sig"),
        pd.read_json(f"{address}/jsonl", lines=True),
        pd.read_parquet(f"{address}/parquet"),
        pd.read_excel(f"{address}/xlsx"),
    ):
        found = [
            (town, None if pd.isna(people) else people)
            for town, people in zip(frame["town"], frame["people"], strict=True)
        ]
        assert expected == found
