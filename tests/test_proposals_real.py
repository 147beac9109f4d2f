"""
Proposals over real files, of Connecticut and of published examples.

The types were written down from the files themselves, column by column, and not from what is proposed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reading_files import read

from ctnb import datasets
from ctnb.contracts.columns import Column
from ctnb.proposals import proposing
from ctnb.proposals.places import Told
from ctnb.proposals.proposing import Proposal
from ctnb.settings import Project

MARKS = (
    "Heroin", "Heroin death certificate (DC)", "Cocaine", "Fentanyl", "Fentanyl Analogue", "Oxycodone",
    "Oxymorphone", "Ethanol", "Hydrocodone", "Benzodiazepine", "Methadone", "Meth/Amphetamine", "Amphet", "Tramad",
    "Hydromorphone", "Morphine (Not Heroin)", "Xylazine", "Gabapentin", "Opiate NOS", "Heroin/Morph/Codeine",
    "Other Opioid",
)  # fmt: skip
"""Y or nothing, and here and there a remark: a blank may mean no or unknown, so they are no truths."""

DEATHS = {
    "Date": "date MM/DD/YYYY", "Date Type": "text", "Age": "integer", "Sex": "text", "Race": "text",
    "Ethnicity": "text", "Residence City": "text", "Residence County": "text", "Residence State": "text",
    "Injury City": "text", "Injury County": "text", "Injury State": "text", "Injury Place": "text",
    "Description of Injury": "text", "Death City": "text", "Death County": "text", "Death State": "text",
    "Location": "text", "Location if Other": "text", "Cause of Death": "text", "Manner of Death": "text",
    "Other Significant Conditions ": "text", **dict.fromkeys(MARKS, "text"), "Any Opioid": "boolean", "Other": "text",
    "ResidenceCityGeo": "point", "InjuryCityGeo": "point", "DeathCityGeo": "point",
}  # fmt: skip

GAMES = (
    "Weekly",
    "Instant",
    "Daily",
    "Lotto",
    "Cash5",
    "Powerball",
    "Lucky-4-Life",
    "Mega Millions",
    "CSD",
    "Total",
)

FILES: dict[str, tuple[int, dict[str, str]]] = {
    "accidental-drug-related-deaths-2012-2022.csv": (10_654, DEATHS),
    # Below the years stand a total and three notes, which no number holds: it is text until they are gone.
    "lottery-sales-by-game.csv": (46, {"Fiscal Year": "text", **dict.fromkeys(GAMES, "money")}),
    "voting-locations.csv": (
        169,
        {
            "City or Town": "text", "Name of Early Voting Location": "text",
            "Address of Early Voting Location": "text",
        },
    ),
    "crosswalk/town-population-2023.csv": (169, {"geoid": "code", "town": "text", "population": "integer"}),
    "crosswalk/town-to-planning-region.csv": (
        169,
        {
            "town_name": "text", "town_fips_2020": "code", "town_fips_2022": "code", "ce_name_2022": "text",
            "ce_fips_2022": "code",
        },
    ),
    "crosswalk/zip-to-town-2020.csv": (
        289, {"2020zip5": "code", "Town_FIPS_22": "code", "Town_Name": "text"},
    ),
    "reference/adult.csv": (
        30_162,
        {
            "sex": "text", "age": "integer", "race": "text", "marital-status": "text", "education": "text",
            "native-country": "text", "workclass": "text", "occupation": "text", "salary-class": "text",
        },
    ),
    "reference/francdat.csv": (
        8,
        {
            "Num1": "number 2", "Key1": "code", "Num2": "number 2", "Key2": "code", "Key3": "code", "Key4": "code",
            "Num3": "integer", "w": "number 1",
        },
    ),
    "reference/students-math-score.csv": (
        216,
        {
            "Student": "number 1", "Teacher": "text", "Gender": "text", "Ethnic": "text", "Freeredu": "text",
            "Score": "number 1", "wesson": "text",
        },
    ),
    "reference/suda-guideline.csv": (
        10,
        {
            "residence": "text", "gender": "text", "education": "text", "labor": "text",
            "published_suda_score": "integer",
        },
    ),
    "reference/suppressed-4x4.csv": (
        16, {"row": "text", "column": "text", "count": "integer", "suppressed": "boolean"},
    ),
}  # fmt: skip


def said(column: Column) -> str:
    """The type of a column with what belongs to it."""
    scale = f" {column.kind.scale}" if column.type in ("number", "percent") else ""
    return f"{column.type}{scale}{f' {column.format}' if column.format else ''}"


def proposed(project: Project, real_data: Path, name: str) -> Proposal:
    """The proposal for one of the files, which lies outside the project."""
    return proposing.propose(project, "real", str(real_data / name), Told())


def test_every_file_of_the_folder_is_looked_at(real_data: Path) -> None:
    """None is left out of the list."""
    there = {path.relative_to(real_data).as_posix() for path in real_data.rglob("*.csv")}
    assert sorted(FILES) == sorted(there)


@pytest.mark.parametrize("name", FILES)
def test_the_proposed_contract_needs_no_correction_of_types(
    project: Project, real_data: Path, tmp_path: Path, name: str
) -> None:
    """Each column has the type that the file's cells have, and the contract as written reads every row."""
    rows, types = FILES[name]
    made = proposed(project, real_data, name)
    dataset = datasets.dataset("real", project.notebooks)
    columns = dataset.contract.columns
    headers = {(column.header or column.name): said(column) for column in columns}
    assert headers == {header.strip(): kind for header, kind in types.items()}
    assert made.account == f"{rows:,} rows read = {rows:,} kept + 0 rejected"
    reading = read(dataset, tmp_path, [(real_data / name).parent])
    assert (reading.rows_read, reading.rows_rejected, reading.table.rows) == (rows, 0, rows)


def test_money_and_addresses_come_out_as_they_are(project: Project, real_data: Path, tmp_path: Path) -> None:
    """The first year's sales in cents; every address with the zero of its ZIP code."""
    proposed(project, real_data, "lottery-sales-by-game.csv")
    lottery = read(datasets.dataset("real", project.notebooks), tmp_path, [real_data]).table
    assert str(lottery.arrow().to_pylist()[0]["weekly"]) == "17288925.00"
    proposing.propose(project, "voting", str(real_data / "voting-locations.csv"))
    voting = read(datasets.dataset("voting", project.notebooks), tmp_path, [real_data]).table
    addresses = [row["address_of_early_voting_location"] for row in voting.arrow().to_pylist()]
    in_file = (real_data / "voting-locations.csv").read_text(encoding="utf-8-sig")
    assert sum(re.search(r"0[0-9]{4}", address) is not None for address in addresses) == len(
        re.findall(r"(?m)[ ,]0[0-9]{4}\b", in_file)
    )


def test_zip_codes_keep_their_zeros(project: Project, real_data: Path, tmp_path: Path) -> None:
    """All 289 of them."""
    proposed(project, real_data, "crosswalk/zip-to-town-2020.csv")
    zips = read(datasets.dataset("real", project.notebooks), tmp_path, [real_data]).table
    kept = zips.sql("SELECT count(*) AS n FROM data WHERE regexp_full_match(y2020zip5, '0[0-9]{4}')").iat[
        0, 0
    ]
    assert kept == 289


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("crosswalk/zip-to-town-2020.csv", {"town_fips_22": 289}),
        (
            "crosswalk/town-to-planning-region.csv",
            {"town_fips_2020": 169, "town_fips_2022": 169, "ce_fips_2022": 169},
        ),
        ("crosswalk/town-population-2023.csv", {}),
    ],
)
def test_fips_codes_that_lost_their_zero_are_named(
    project: Project, real_data: Path, name: str, damaged: dict[str, int]
) -> None:
    """As damage, with how many; those that kept it are not."""
    columns = proposed(project, real_data, name).draft.columns
    found = {
        column.name: int(why.split()[2].replace(",", ""))
        for column in columns
        for why in column.choice.why
        if why.startswith("FIPS damage:")
    }
    assert found == damaged


def test_what_a_file_hides_is_told(project: Project, real_data: Path) -> None:
    """A semicolon between cells; a total and notes below the table, by masked shape; roles with reasons."""
    adult = proposing.propose(project, "adult", str(real_data / "reference/adult.csv"))
    assert adult.draft.source.delimiter == ";"
    assert "Cells are separated by a semicolon." in adult.draft.notes
    lottery = proposing.propose(project, "lottery", str(real_data / "lottery-sales-by-game.csv"))
    asked = lottery.draft.columns[0].choice.asks[0]
    assert asked.startswith("4 of 46 cells keep it from integer; their shapes: 'Aaaa…' (1)")
    students = proposing.propose(project, "students", str(real_data / "reference/students-math-score.csv"))
    assert students.draft.columns[0].suggestion.role is None


def test_the_deaths_file_has_roles_with_reasons(project: Project, real_data: Path) -> None:
    """Traits, places and the day are quasi-identifiers, the cause of death is free text; no key is offered."""
    made = proposed(project, real_data, "accidental-drug-related-deaths-2012-2022.csv")
    roles = {column.name: column.suggestion.role for column in made.draft.columns}
    quasi = ("date", "age", "sex", "race", "ethnicity", "residence_city", "death_county", "injury_city_geo")
    assert {roles[name] for name in quasi} == {"quasi"}
    assert roles["cause_of_death"] == "free_text"
    assert roles["heroin"] is None
    assert all(column.suggestion.why for column in made.draft.columns)
    assert made.draft.keys == ()
