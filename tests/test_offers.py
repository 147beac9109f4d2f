"""Rules that a proposal offers: they are right when uncommented, through a whole run, and never applied unasked."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from reading_files import read

from ctnb import datasets, flows
from ctnb.datasets import Dataset
from ctnb.proposals import proposing
from ctnb.proposals.proposing import Proposal
from ctnb.settings import Project
from ctnb.transforms.apply import Transformed, transform

ZIPS = ["06103", "6103", "61031234", "06510-0001", "065100001", ""]


def proposed(project: Project, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Proposal:
    """A proposal for a file of these rows."""
    path = project.notebooks / "sources" / "wide.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return proposing.propose(project, "wide", str(path))


def uncommented(project: Project, made: Proposal) -> Dataset:
    """The dataset after a person took away the marks before the offered rules, and said what a row is."""
    text = made.path.read_text(encoding="utf-8")
    head, _, offered = text.partition("# transform:\n")
    block, _, tail = offered.partition("\nmetadata:")
    assert all(line.startswith("# ") for line in block.splitlines() if line)
    block = re.sub(r"(?m)^# ", "", block)
    made.path.write_text(
        f"{head}transform:\n{block}\nmetadata:{tail}".replace("# unit: person", "unit: group")
    )
    return datasets.dataset("wide", project.notebooks)


def transformed(dataset: Dataset, work: Path) -> Transformed:
    """What reading and transforming gives."""
    return transform(read(dataset, work).table, dataset, work)


def rows_of(made: Transformed) -> list[tuple[object, ...]]:
    """All rows, in the order of the table."""
    return [tuple(row.values()) for row in made.table.arrow().to_pylist()]


def test_a_table_of_years_is_offered_whole(project: Project, tmp_path: Path) -> None:
    """Uncommented it makes one row of each cell, and the account closes."""
    made = proposed(
        project, ["Town", "2020", "2021", "2022"], [["Avon", "1", "", "3"], ["Bolton", "4", "5", "6"]]
    )
    assert made.draft.offers[0].name == "pivot_longer"
    assert datasets.dataset("wide", project.notebooks).contract.transform.rules == ()
    after = transformed(uncommented(project, made), tmp_path)
    assert rows_of(after) == [
        ("Avon", 2020, 1), ("Avon", 2021, None), ("Avon", 2022, 3),
        ("Bolton", 2020, 4), ("Bolton", 2021, 5), ("Bolton", 2022, 6),
    ]  # fmt: skip
    assert (after.rows_in, after.added, after.rows_out) == (2, {"pivot_longer to year, value": 4}, 6)
    assert {column.role for column in after.table.columns[1:]} == {"plain", "measure"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["1/31/2024", "2/29/2024", "3/31/2024"], ("date", "2024-01-31")),
        (["2024-01-31", "2024-02-29", "2024-03-31"], ("date", "2024-01-31")),
        (["1/2/2024", "2/2/2024", "3/2/2024"], ("text", "1/2/2024")),
        (["FY2020", "FY2021", "FY2022"], ("text", "FY2020")),
        (["Jan 2024", "Feb 2024", "Mar 2024"], ("text", "Jan 2024")),
    ],
)
def test_headers_become_days_only_where_they_can_be_read_in_one_way(
    project: Project, tmp_path: Path, headers: list[str], expected: tuple[str, str]
) -> None:
    """Where day and month could be either, they stay text and a person is asked."""
    made = proposed(project, ["Town", *headers], [["Avon", "1.5", "2", "3.25"]])
    after = transformed(uncommented(project, made), tmp_path)
    assert (after.table.columns[1].type, str(rows_of(after)[0][1])) == expected
    asks = any("day or the month first" in why for why in made.draft.offers[0].why)
    assert asks == (headers[0] == "1/2/2024")
    assert after.table.columns[2].kind.scale == 2


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2.5", ""], "number"),
        (["$1,000.00", "", "7"], "money"),
        (["", "", "12"], "integer"),
        (["1.5%", "2%", ""], "percent"),
    ],
)
def test_columns_of_years_get_one_type_where_one_holds_them_all(
    project: Project, tmp_path: Path, cells: list[str], expected: str
) -> None:
    """So that what is offered works as it stands, and next year's column has a type."""
    made = proposed(project, ["Town", "2020", "2021", "2022"], [["Avon", *cells], ["Bolton", *cells]])
    assert {column.choice.kind.type for column in made.draft.columns[1:]} == {expected}
    assert transformed(uncommented(project, made), tmp_path).rows_out == 6


def test_columns_of_several_types_are_told_before_they_are_pivoted(project: Project) -> None:
    """No type is invented for them."""
    made = proposed(project, ["Town", "2020", "2021", "2022"], [["Avon", "1", "closed", "3"]])
    assert "First give these columns one type; now they have integer, text." in made.draft.offers[0].why


def test_names_that_are_taken_are_not_made_again(project: Project, tmp_path: Path) -> None:
    """A column called year or value stays what it is."""
    made = proposed(project, ["Year", "Value", "2020", "2021", "2022"], [["old", "x", "1", "2", "3"]])
    after = transformed(uncommented(project, made), tmp_path)
    assert [column.name for column in after.table.columns] == ["year", "value", "year_of_value", "cell_value"]


def test_the_repair_of_zip_codes_is_offered_with_counts(project: Project, tmp_path: Path) -> None:
    """Uncommented it mends what is certain, and counts the rest."""
    made = proposed(project, ["Row", "Zip"], [[f"r{n}", cell] for n, cell in enumerate(ZIPS)])
    assert [offer.name for offer in made.draft.offers] == ["repair_zip: zip"]
    assert made.draft.offers[0].why[0].startswith("zip has 1 of 4 digits and 1 of 8 digits")
    after = transformed(uncommented(project, made), tmp_path)
    assert [row[1] for row in rows_of(after)] == [
        "06103",
        "06103",
        "06103-1234",
        "06510-0001",
        "065100001",
        None,
    ]
    assert after.repaired == {"zip": {"4 digits": 1, "8 digits": 1, "left as they are": 1}}


def test_nothing_is_offered_where_nothing_is_wrong(project: Project) -> None:
    """Whole ZIP codes, and two years only, which are a header nevertheless."""
    made = proposed(project, ["Zip", "2020", "2021"], [["06103", "1", "2"], ["06510", "3", "4"]])
    assert made.draft.offers == ()
    assert "transform:" not in made.path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_pivots_and_repairs_and_its_record_says_so(project: Project) -> None:
    """From the proposal to the review: rows added, cells repaired, and a report and a notebook that show both."""
    header = ["Town", "Zip", "2020", "2021", "2022"]
    made = proposed(
        project, header, [["Avon", "6001", "100", "", "300"], ["Bolton", "06043", "400", "500", "600"]]
    )
    text = made.path.read_text(encoding="utf-8").replace("drop_empty: false", "drop_empty: true")
    made.path.write_text(text, encoding="utf-8")
    uncommented(project, made)
    record = flows.run("wide", project=project, to="privacy_review")
    facts = record.transform
    assert facts is not None and record.status == "rehearsed", record.reason
    assert (facts.rows_in, facts.rows_out, facts.accounted, facts.closes) == (2, 5, True, True)
    assert facts.added == {"pivot_longer to year, value": 4}
    assert facts.removed == {"pivot_longer: value is empty": 1}
    assert facts.repaired == {"zip": {"4 digits": 1, "8 digits": 0, "left as they are": 0}}
    report = (project.runs / "wide" / record.run / "report.html").read_text(encoding="utf-8")
    for words in ("4 added by rule", "pivot_longer to year, value", "zip: 4 digits"):
        assert words in re.sub(r"<[^>]+>", "", report)
    notebook = next((project.runs / "wide" / record.run).glob("*transform.html")).read_text(encoding="utf-8")
    assert "2 rows in + 4 added = 5 out + 1 removed" in notebook
