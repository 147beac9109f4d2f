"""Proposing a dataset: types from all rows, codes kept, days never guessed, nothing observed written."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ctnb import clock, datasets, documents, reads, settings
from ctnb.cli import main
from ctnb.errors import ContractInvalid, SourceInvalid, UsageError
from ctnb.proposals import naming, proposing, writing
from ctnb.proposals.proposing import Proposal
from ctnb.proposals.writing import Proposed
from ctnb.settings import Project


def written(project: Project, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """A CSV file in the folder for sources of the project."""
    path = project.notebooks / "sources" / name
    path.parent.mkdir(exist_ok=True)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def of_cells(project: Project, header: str, cells: Sequence[str]) -> Proposed:
    """What is proposed for one column, beside one that numbers the rows."""
    path = written(project, "one.csv", ["Row", header], [[f"r{n}", cell] for n, cell in enumerate(cells)])
    return proposing.propose(project, f"one-{clock.now():%H%M%S%f}-{len(cells)}", str(path)).draft.columns[1]


def kind_of(column: Proposed) -> tuple[str, int, str | None]:
    """Type, scale and format."""
    return column.choice.kind.type, column.choice.kind.scale, column.choice.kind.format


MONTHS = [f"{month:02}/{day:02}/2024" for month in range(1, 13) for day in (3, 11, 27)]


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("Deaths", ["1", "25", "1,300", "-4"], ("integer", 0, None)),
        ("Share", ["1.5", "2.25", "3"], ("number", 2, None)),
        ("Score", ["76.0", "56.0"], ("number", 1, None)),
        ("Sales", ["$1,234.00", "$5", ""], ("money", 2, None)),
        ("Balance", ["1,234.00", "(1,234.00)", "12.50"], ("money", 2, None)),
        ("Turnout", ["12.5%", "7%", "100 %"], ("percent", 1, None)),
        ("Issued", MONTHS, ("date", 0, "MM/DD/YYYY")),
        ("Issued", ["27/01/2024", "03/02/2024"], ("date", 0, "DD/MM/YYYY")),
        ("Issued", ["1/27/24", "12/3/23"], ("date", 0, "MM/DD/YY")),
        ("Issued", ["2024-01-27", "2023-12-03"], ("date", 0, None)),
        ("Issue date", ["20240127", "20231203"], ("date", 0, "YYYYMMDD")),
        ("Issued", ["27-Jan-2024", "03-Dec-2023"], ("date", 0, "DD-MMM-YYYY")),
        ("Seen", ["01/27/2024 01:02:03 PM", "12/03/2023 11:02:03 AM"], ("timestamp", 0, "MM/DD/YYYY hh:mm:ss AM")),
        ("Seen", ["2024-01-27T10:00:00.000", "2024-01-28 11:00:00"], ("timestamp", 0, None)),
        ("Page", ["https://example.org/a", "http://example.org"], ("url", 0, None)),
        ("Place", ["(41.5, -73.1)", "Hartford, CT\n(41.7, -72.6)"], ("point", 0, None)),
        ("Place", ["POINT (-73.1 41.5)", "POINT (-72.6 41.7)"], ("point", 0, None)),
        ("Open", ["Y", "N", ""], ("boolean", 0, None)),
        ("Is open", ["1", "0", "1"], ("boolean", 0, None)),
        ("Cocaine", ["Y", "", "Y"], ("text", 0, None)),
        ("Zip", ["06103", "06510"], ("code", 0, None)),
        ("Zip code", ["06103-1234", "06510"], ("code", 0, None)),
        ("Town", ["Avon", "Hartford"], ("text", 0, None)),
        ("Room", ["012", "7"], ("code", 0, None)),
        ("License number", ["12", "7"], ("code", 0, None)),
        ("Number of deaths", ["12", "7"], ("integer", 0, None)),
        ("Serial", [str(40_000 + n) for n in range(25)], ("code", 0, None)),
        ("Account", ["9" * 25, "8" * 25], ("code", 0, None)),
        ("Long", ["9" * 20, "8" * 21], ("code", 0, None)),
        ("Blank", ["", ""], ("text", 0, None)),
    ],
)  # fmt: skip
def test_the_type_is_the_most_specific_that_every_cell_fits(
    project: Project, header: str, cells: list[str], expected: tuple[str, int, str | None]
) -> None:
    """Numbers, amounts, days, moments, addresses, places, truths, codes, and text for the rest."""
    assert kind_of(of_cells(project, header, cells)) == expected


def test_the_last_row_of_many_decides(project: Project) -> None:
    """A sample would miss it."""
    cells = [str(number) for number in range(30_000)]
    assert kind_of(of_cells(project, "Deaths", cells)) == ("integer", 0, None)
    column = of_cells(project, "Deaths", [*cells, "none seen"])
    assert kind_of(column) == ("text", 0, None)
    assert column.choice.asks[0].startswith(
        "1 of 30,001 cells keep it from integer; their shapes: 'aaa… aaa…' (1)."
    )


def test_day_and_month_are_asked_never_guessed(project: Project) -> None:
    """Where no day is above 12 it stays text, and the question has its evidence."""
    column = of_cells(project, "Issued", ["01/02/2024", "11/12/2023"])
    assert kind_of(column) == ("text", 0, None)
    assert column.choice.asks == (
        "All 2 cells can be read as MM/DD/YYYY and as DD/MM/YYYY: no day is above 12. Which is it? It stays text "
        "until you say type: date and format:.",
    )
    mixed = of_cells(project, "Issued", ["01/27/2024", "27/01/2024", "02/03/2024", "02/04/2024"])
    assert kind_of(mixed) == ("text", 0, None)
    assert "MM/DD/YYYY does not fit 1; DD/MM/YYYY does not fit 1" in mixed.choice.asks[0]
