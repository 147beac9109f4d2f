"""The synthetic deaths file: byte for byte from its seed, with the real file's columns and habits."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path

import pytest
from real_data import real_data_folder

from ctnb.datasets import Dataset, dataset
from ctnb.demo import deaths
from ctnb.settings import load
from ctnb.tables import Table, connect, write
from ctnb.transforms.apply import Transformed, transform
from ctnb.values import parse_sql, quote_name, quote_text

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
COMMITTED = NOTEBOOKS / "overdose-deaths" / "data" / "accidental-drug-related-deaths.csv"


def file_of(which: str) -> Path:
    """The synthetic or the real file."""
    real = "accidental-drug-related-deaths-2012-2022.csv"
    return COMMITTED if which == "synthetic" else real_data_folder() / real


def rows() -> list[dict[str, str]]:
    """The synthetic file, parsed."""
    return list(csv.DictReader(io.StringIO(COMMITTED.read_text(encoding="utf-8"), newline="")))


def typed(source: Path, ds: Dataset, folder: Path) -> Table:
    """`source` under the contract's types, without the reader; a cell that does not convert fails."""
    columns = ds.contract.columns
    with connect() as connection:
        connection.execute(
            f"CREATE TABLE t AS SELECT * FROM read_csv({quote_text(str(source))}, all_varchar=true, header=false,"
            f" skip=1, names={[c.name for c in columns]}, quote='\"', escape='\"', strict_mode=true)"
        )
        made = {c.name: parse_sql(c.kind, quote_name(c.name)) for c in columns}
        counts = ", ".join(f"count({quote_name(name)}) - count({sql})" for name, sql in made.items())
        lost = connection.execute(f"SELECT {counts} FROM t").fetchall()[0]
        assert {name: count for name, count in zip(made, lost, strict=True) if count} == {}
        listed = ", ".join(f"{sql} AS {quote_name(name)}" for name, sql in made.items())
        return write(connection, f"SELECT {listed} FROM t", columns, folder / "read.parquet")


def by_town(source: Path, folder: Path) -> Transformed:
    """Deaths by year, town and substance of `source`."""
    ds = dataset("overdose-deaths-by-town", NOTEBOOKS)
    return transform(typed(source, ds, folder), ds, folder)


def test_the_committed_file_is_what_the_seed_makes() -> None:
    """The same bytes on every machine and Python."""
    assert COMMITTED.read_bytes() == deaths.content()


def test_another_seed_makes_another_file() -> None:
    """The seed is what decides."""
    assert deaths.content(50, seed=1) != deaths.content(50, seed=2)


def test_writing_makes_the_folder_and_the_whole_file(tmp_path: Path) -> None:
    """The script's door: a path that is not there yet."""
    deaths.write(tmp_path / "data" / "d.csv", rows=10)
    assert (tmp_path / "data" / "d.csv").read_bytes() == deaths.content(10)


def test_the_file_has_the_habits_of_the_real_one() -> None:
    """Headers, spellings, blanks, odd flags, line breaks in cells, all years, dates MM/DD/YYYY."""
    people = rows()
    assert (len(people), list(people[0])) == (deaths.ROWS, list(deaths.HEADERS))
    assert len({person["Race"] for person in people} - {""}) == 14
    assert {person["Date"][-4:] for person in people} == {str(year) for year in range(2012, 2023)}
    assert all(re.fullmatch(r"\d\d/\d\d/\d{4}", person["Date"]) for person in people)
    assert any("\n(" in person["ResidenceCityGeo"] for person in people)
    assert {"Y", "y", ""} <= {person["Gabapentin"] for person in people} | {
        person["Heroin/Morph/Codeine"] for person in people
    }
    assert [header for header in deaths.HEADERS if all(person[header] for person in people)] == [
        "Date", "Date Type", "Cause of Death",
    ]  # fmt: skip
    assert len(COMMITTED.read_bytes()) < 1_000_000


def test_single_people_stand_out() -> None:
    """Age, sex, race and residence city name single people, as in the real file."""
    keys = Counter((p["Age"], p["Sex"], p["Race"], p["Residence City"]) for p in rows())
    assert sum(1 for count in keys.values() if count == 1) > 500


def test_no_row_of_the_real_file_is_in_it() -> None:
    """Every row is invented: none agrees with a real one in date, age, sex, race, town and cause."""
    known = ("Date", "Age", "Sex", "Race", "Residence City", "Cause of Death")
    with file_of("real").open(encoding="utf-8", newline="") as stream:
        real = {tuple(person[header] for header in known) for person in csv.DictReader(stream)}
    assert {tuple(person[header] for header in known) for person in rows()} & real == set()


@pytest.mark.parametrize("slug", ["overdose-deaths", "overdose-deaths-by-town"])
def test_the_contract_names_every_header_in_order(slug: str) -> None:
    """Both datasets read the same columns, the trailing blank of a header included."""
    columns = dataset(slug, NOTEBOOKS).contract.columns
    assert tuple(column.header for column in columns) == deaths.HEADERS
    assert [column.name for column in columns if column.role is None or not column.description] == []


@pytest.mark.parametrize("which,count", [("synthetic", deaths.ROWS), ("real", 10_654)])
def test_every_cell_fits_the_contract(tmp_path: Path, which: str, count: int) -> None:
    """No cell of either file would be a reject."""
    table = typed(file_of(which), dataset("overdose-deaths", NOTEBOOKS), tmp_path)
    assert (table.rows, len(table.columns)) == (count, 48)


@pytest.mark.parametrize("which", ["synthetic", "real"])
def test_the_script_counts_each_person_once_and_small_cells_are_withheld(tmp_path: Path, which: str) -> None:
    """The RSocrata script runs on both files, the account closes, small and large cells are there."""
    made = by_town(file_of(which), tmp_path)
    assert (made.how, made.accounted, made.counted) == ("transform.R", True, made.rows_in)
    assert made.messages == ("write.socrata(..., REPLACE) answered by ctnb",)
    cells = made.table.df()
    assert cells["id"].is_unique and re.fullmatch(r"20\d\d-[A-Z_]+-[A-Z_]+", cells["id"][0])
    withheld = cells["deaths_suppressed"]
    assert made.suppressed == {"deaths": int(withheld.sum())} and withheld.any() and not withheld.all()
    assert cells.loc[~withheld, "deaths"].min() > 5
    assert "2022-HARTFORD-FENTANYL" in set(cells.loc[~withheld, "id"])
    assert {"Unknown", "Elsewhere"} & set(cells["town"])


def test_towns_and_substances_are_from_fixed_lists(tmp_path: Path) -> None:
    """Nothing that somebody typed reaches the published table: 169 towns, Unknown, Elsewhere."""
    cells = by_town(file_of("real"), tmp_path).table.df()
    script = (NOTEBOOKS / "overdose-deaths-by-town" / "transform.R").read_text(encoding="utf-8")
    listed = re.search(r"towns <- c\((.*?)\n\)", script, re.DOTALL)
    towns = set(re.findall(r'"([^"]+)"', listed[1])) if listed else set()
    assert len(towns) == 169
    assert set(cells["town"]) - towns == {"Unknown", "Elsewhere"}
    assert cells["substance"].nunique() == 8


def test_the_project_settings_load() -> None:
    """ctnb.yml at the root is a project with the embedded portal and the default policy."""
    project = load(ROOT)
    assert (project.settings.agency, project.portal("local").kind) == ("Example agency", "embedded")
    assert project.policy("default").small_cell == 5
