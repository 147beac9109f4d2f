"""Proposing a dataset: types from all rows, codes kept, days never guessed, nothing observed written."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]  # it has no types
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from ctnb import clock, datasets, documents, settings
from ctnb.cli import main
from ctnb.errors import ContractInvalid, SourceInvalid, UsageError
from ctnb.proposals import naming, proposing, writing
from ctnb.proposals.places import Told
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


def test_damaged_codes_are_named_and_a_repair_is_offered_not_applied(project: Project) -> None:
    """ZIP codes of four and eight digits, FIPS codes that lost the zero of 09, ids a spreadsheet cut."""
    zips = of_cells(project, "Mail Zip", ["6103", "06510", "65101234"])
    assert kind_of(zips) == ("code", 0, None)
    assert zips.choice.why == (
        "ZIP damage: 1 cell has 4 digits: they lost their leading zero.",
        "ZIP damage: 1 cell has 8 digits: ZIP+4 that lost its leading zero.",
        "The repair that is offered under transform: below is not applied.",
    )
    fips = of_cells(project, "Town FIPS", ["911002060", "911005910"])
    assert "FIPS damage: 2 cells begin with 9 and have 9 digits" in fips.choice.why[0]
    cut = of_cells(project, "Reference", ["4.01E+15", "4.02E+15", "12"])
    assert kind_of(cut) == ("text", 0, None)
    assert "a spreadsheet cut long numbers" in cut.choice.asks[0]


def test_words_for_nothing_are_proposed_only_where_they_keep_a_column_from_its_type(project: Project) -> None:
    """N/A in a column of numbers is empty; in a column of words nobody knows, so a person is asked."""
    rows = [["12", "N/A"], ["N/A", "Avon"], ["-", "Bolton"]]
    path = written(project, "nulls.csv", ["Visits", "Town"], rows)
    made = proposing.propose(project, "visits", str(path))
    assert [kind_of(column)[0] for column in made.draft.columns] == ["integer", "text"]
    assert made.draft.nulls == ("-", "N/A")
    assert made.draft.asks == ("The words under nulls: also stand in town (1): empty there too?",)
    contract = datasets.dataset("visits", project.notebooks).contract
    assert contract.source.nulls == ("", "-", "N/A")
    words = written(project, "words.csv", ["Town"], [["N/A"], ["Avon"]])
    assert proposing.propose(project, "words", str(words)).draft.nulls == ()


def test_blank_double_long_and_reserved_headers_get_names(project: Project) -> None:
    """Each name is free, fits the contract and is found again by header or position."""
    header = ["", "Town", "Town", "order", "% of Total", "2020zip5", "Ünïcode Été", "x " * 60, "Town 2"]
    path = written(project, "headers.csv", header, [["a"] * 9])
    contract = datasets.dataset(_proposed(project, path), project.notebooks).contract
    names = [column.name for column in contract.columns]
    assert names[:7] == [
        "column_1",
        "town",
        "town_2",
        "order_column",
        "percent_of_total",
        "y2020zip5",
        "unicode_ete",
    ]
    assert len(names[7]) <= naming.LONGEST
    assert names[8] == "town_2_2"
    assert [column.position for column in contract.columns] == [1, 2, 3, *[None] * 6]


def _proposed(project: Project, path: Path) -> str:
    return proposing.propose(project, "headers", str(path)).path.parent.name


def test_a_wide_table_is_recognised(project: Project) -> None:
    """Years or days as headers: the question is asked in the file and at the end of the command."""
    path = written(project, "wide.csv", ["Town", "2020", "2021", "2022"], [["Avon", "1", "2", "3"]])
    made = proposing.propose(project, "wide", str(path))
    assert made.draft.asks[0].startswith("3 headers are years or dates (columns 2 to 4): a wide table")
    assert [column.name for column in made.draft.columns] == ["town", "y2020", "y2021", "y2022"]


def test_a_source_like_another_dataset_brings_the_question_whether_to_append(project: Project) -> None:
    """By headers, whatever their case."""
    path = written(project, "more.csv", ["TOWN", "Zip", "deaths"], [["Avon", "06001", "1"]])
    made = proposing.propose(project, "more-counts", str(path))
    assert "100% of the columns are those of the dataset sample-counts" in made.draft.asks[0]


def test_roles_have_reasons_and_are_left_open_where_unsure(project: Project) -> None:
    """Identifiers by header and by content, traits, places and days of people, remarks; the rest is asked."""
    header = ["Patient Name", "Contact", "Age", "Town", "Date of visit", "Remarks", "Outcome"]
    row = ["Rosa Diaz", "rosa@example.org", "44", "Avon", "01/27/2024", "said " * 20, "home"]
    path = written(project, "people.csv", header, [row] * 6)
    made = proposing.propose(project, "people", str(path))
    roles = [column.suggestion.role for column in made.draft.columns]
    assert roles == ["identifier", "identifier", "quasi", "quasi", "quasi", "free_text", None]
    assert all(column.suggestion.why for column in made.draft.columns)
    assert "Which role have outcome?" in made.questions
    counts = written(project, "counts.csv", ["Town", "Year", "Permits"], [["Avon", "2020", "4"]])
    plain = proposing.propose(project, "permits", str(counts)).draft.columns
    assert [column.suggestion.role for column in plain] == ["plain", "plain", "measure"]


def test_no_cell_is_written(project: Project) -> None:
    """Neither in the file nor on the terminal: no smallest, no largest, no category, no odd one out."""
    rows = [[f"SECRET{n}", str(777_000 + n), "03/04/2031"] for n in range(5)] + [["SECRETX", "ODDONE", "x"]]
    path = written(project, "cells.csv", ["Thing", "Amount", "When"], rows)
    made = proposing.propose(project, "cells", str(path))
    said = made.path.read_text(encoding="utf-8") + repr(made)
    assert [word for word in ("SECRET", "777", "ODDONE", "2031") if word in said] == []
    assert "unit: person" in said
    assert datasets.dataset("cells", project.notebooks).contract.unit is None


@pytest.mark.parametrize(
    ("header", "row"),
    [(["Ann", "ann@example.org"], ["Bob", "b@example.org"]), (["7", "12.5"], ["8", "13.5"])],
)
def test_a_file_without_a_header_row_is_refused(project: Project, header: list[str], row: list[str]) -> None:
    """Its first row would be written into the contract."""
    path = written(project, "bare.csv", header, [row, row])
    with pytest.raises(SourceInvalid, match="the first row seems to be data"):
        proposing.propose(project, "bare", str(path))
    assert not (project.notebooks / "bare").exists()


def test_a_dataset_that_is_there_is_never_overwritten(project: Project) -> None:
    """Nor is anything left behind when it is refused."""
    before = sorted(project.notebooks.rglob("*"))
    with pytest.raises(UsageError, match="There is a dataset sample-counts already"):
        proposing.propose(project, "sample-counts", str(project.notebooks / "sample-counts/data/counts.csv"))
    assert sorted(project.notebooks.rglob("*")) == before
    assert not list(project.private.glob("new-*"))


def test_records_of_another_width_are_counted_and_asked_about(project: Project) -> None:
    """They are not let pass: the contract accepts no reject until a person says so."""
    path = project.notebooks / "ragged.csv"
    path.write_text("Town,Visits\nAvon,1\nBolton\nCanton,3,4\n", encoding="utf-8")
    made = proposing.propose(project, "ragged", str(path))
    assert made.account == "3 rows read = 1 kept + 2 rejected"
    assert datasets.dataset("ragged", project.notebooks).contract.rejects.at_most_share == 0


@pytest.mark.parametrize("mark", [";", "\t", "|", ","])
def test_the_delimiter_is_seen_and_written_where_it_is_unusual(project: Project, mark: str) -> None:
    """By the first records."""
    path = project.notebooks / "marks.csv"
    path.write_text(f"Town{mark}Place\nAvon{mark}Main St, 4\n".replace(", 4", " 4" if mark == "," else ", 4"))
    made = proposing.propose(project, "marks", str(path))
    assert made.draft.source.delimiter == (None if mark == "," else mark)
    assert [column.name for column in made.draft.columns] == ["town", "place"]


def test_the_command_says_what_it_did_and_what_it_asks(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with 0: a question is no mistake."""
    monkeypatch.chdir(project.root)
    outside = project.root / "incoming"
    outside.mkdir()
    (outside / "a.csv").write_text("Town,Visits\nAvon,1\nBolton,2\n", encoding="utf-8")
    done = CliRunner().invoke(main.cli, ["new", "visits", "--source", "incoming/a.csv"])
    assert done.exit_code == 0, done.output
    assert "2 rows read = 2 kept + 0 rejected" in done.output
    assert "list its folder in ctnb.yml, roots: [incoming]" in done.output
    assert "What is one row: person, group or other?" in done.output
    assert 'path: "../../incoming/a.csv"' in (project.notebooks / "visits/dataset.yml").read_text(
        encoding="utf-8"
    )


INSPECTIONS = """\
License number,Name of place,Town,Zip,Date,Score,Fee
0107,Blue Door,Avon,06001,01/09/2026,97,$120.00
0215,Harbor Grill,Essex,6426,02/03/2026,88,$120.00
0330,Mill House,Bolton,06043,02/24/2026,,$0.00
0418,Sun Cafe,Canton,06019,03/05/2026,91,$75.50
0502,North End Deli,Derby,06418,04/17/2026,79,"$1,120.00"
0611,Green Fork,Essex,6426,05/30/2026,93,$75.50
"""


def test_the_page_shows_what_the_command_says(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """How to start a dataset, word for word."""
    monkeypatch.chdir(project.root)
    folder = project.notebooks / "food-inspections"
    folder.mkdir()
    (folder / "inspections.csv").write_text(INSPECTIONS, encoding="utf-8")
    source = "notebooks/food-inspections/inspections.csv"
    done = CliRunner().invoke(main.cli, ["new", "food-inspections", "--source", source])
    page = (Path(__file__).parents[1] / "docs/how-to/start-a-dataset.md").read_text(encoding="utf-8")
    assert f"$ ctnb new food-inspections --source {source}\n{done.output}```" in page


@pytest.mark.parametrize(
    ("title", "header", "expected"),
    [
        ("sample counts", ["Town", "Zip", "Year", "Rate"], True),
        ("sample counts", ["Name", "Street", "Year", "Rate"], False),
        ("other things", ["TOWN", "zip ", "Deaths"], True),
        ("other things", ["Town", "Zip", "Year", "Rate"], False),
    ],
)
def test_appending_is_asked_about_by_columns_and_by_title(
    project: Project, title: str, header: list[str], expected: bool
) -> None:
    """Much the same columns do, and about half of them under much the same title."""
    path = written(project, f"{title}.csv", header, [["a"] * len(header), ["b"] * len(header)])
    asks = proposing.propose(project, "more", str(path)).draft.asks
    assert any("Should these rows be appended there" in ask for ask in asks) == expected


def test_a_question_of_days_counts_what_speaks_for_each_reading(project: Project) -> None:
    """Mixed days are never swapped: text, with the cells that each format does not fit."""
    cells = ["01/02/2024", "13/02/2024", "02/27/2024", "03/28/2024", "04/04/2024"] * 500
    column = of_cells(project, "Seen on", cells)
    assert kind_of(column) == ("text", 0, None)
    assert "MM/DD/YYYY does not fit 500; DD/MM/YYYY does not fit 1,000" in column.choice.asks[0]
    one_sided = of_cells(project, "Seen on", [*["01/02/2024"] * 30_000, "02/13/2024"])
    assert kind_of(one_sided) == ("date", 0, "MM/DD/YYYY")


def test_rows_in_another_order_are_proposed_alike(project: Project) -> None:
    """What is looked at more closely is chosen by the cells themselves, not by where they stand."""
    rows = [[f"r{n}", "" if n % 3 else f"{n % 40:03}", str(n * 7 % 90_001)] for n in range(60_000)]
    kinds = []
    for name, order in (("up", rows), ("down", rows[::-1])):
        made = proposing.propose(
            project, name, str(written(project, f"{name}.csv", ["Row", "Room", "Visits"], order))
        )
        kinds.append([(column.choice, column.suggestion) for column in made.draft.columns])
    assert kinds[0] == kinds[1]
    assert [choice.kind.type for choice, _ in kinds[0]] == ["text", "code", "integer"]


def test_a_table_of_few_different_rows_has_a_sample_too(project: Project) -> None:
    """Where hashes would leave out every row, rows are counted off."""
    rows = [["Avon", "rosa@example.org"] for _ in range(50_000)]
    made = proposing.propose(project, "same", str(written(project, "same.csv", ["Town", "Contact"], rows)))
    assert made.draft.columns[1].suggestion.role == "identifier"


def test_a_large_source_gets_the_same_proposal_without_a_second_reading(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns whose values repeat are counted once per value there."""
    rows = [[f"r{n}", ["Avon ", " Bolton"][n % 2], f"{n % 7:03}", str(n % 90)] for n in range(120_000)]
    path = written(project, "large.csv", ["Row", "Town", "Room", "Age"], rows)
    small = proposing.propose(project, "small", str(path))
    monkeypatch.setattr(proposing, "_READ_AGAIN_BYTES", 1)
    large = proposing.propose(project, "large", str(path))
    assert large.account == small.account == "120,000 rows read = 120,000 kept + 0 rejected"
    assert [kind_of(column)[0] for column in large.draft.columns] == ["text", "text", "code", "integer"]
    assert large.draft.keys == ("row",)


def test_a_workbook_and_an_archive_are_proposed_from_too(project: Project) -> None:
    """The sheet and the member that were named stand in the contract; an amount is no key."""
    book = openpyxl.Workbook()
    book.active.append(["Notes"])
    book.active.append(["none"])
    sheet = book.create_sheet("Permits")
    for row in (["Town", "Zip", "Fee"], ["Avon", "06001", 12.5], ["Bolton", "06043", 7]):
        sheet.append(row)
    book.save(project.notebooks / "permits.xlsx")
    with zipfile.ZipFile(project.notebooks / "both.zip", "w") as archive:
        archive.writestr("a.csv", "Town,Zip\nAvon,06001\n")
        archive.writestr("b.csv", "Year;Visits\n2020;7\n")
    made = proposing.propose(
        project, "permits", str(project.notebooks / "permits.xlsx"), Told(sheet="Permits")
    )
    assert [column.choice.kind.type for column in made.draft.columns] == ["text", "code", "number"]
    assert made.draft.keys == ("town", "zip")
    assert datasets.dataset("permits", project.notebooks).contract.source.sheet == "Permits"
    zipped = proposing.propose(project, "zipped", str(project.notebooks / "both.zip"), Told(member="a.csv"))
    assert datasets.dataset("zipped", project.notebooks).contract.source.member == "a.csv"
    assert [column.choice.kind.type for column in zipped.draft.columns] == ["text", "code"]


CELLS = st.one_of(
    st.sampled_from(
        ["", "0", "007", "1,234", "$5.00", "(3)", "12%", "N/A", "-", "Y", "n", "1/2/2024", "13/2/2024"]
    ),
    st.sampled_from(
        ["2024-02-29", "2023-02-29", "1E+15", "1e5", "06103", "(41.1, -72.2)", "01/02/2024 03:04 PM"]
    ),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=8),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
)


@limits(max_examples=25)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.text(max_size=20))
def test_whatever_the_cells_the_contract_reads_its_own_source(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], title: str
) -> None:
    """`propose` compares; a difference would be a mistake in ctnb. The text reads back as it was meant."""
    root = tmp_path_factory.mktemp("property")
    (root / "ctnb.yml").write_text("format: 1\n", encoding="utf-8")
    made = settings.load(root)
    made.notebooks.mkdir()
    header = ["Row", title.replace("\0", "").replace("\r", " ").replace("\n", " "), "Number"]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [header, *([f"r{n}", *row] for n, row in enumerate(rows))]
    )
    path = root / "any.csv"
    path.write_text(text.getvalue(), encoding="utf-8", errors="ignore")
    try:
        found = proposing.propose(made, "any", str(path))
    except SourceInvalid:
        return
    assert (found.rows_read, found.rows_rejected) == (len(rows), 0)


@given(st.text(max_size=30))
def test_any_text_is_written_so_that_yaml_reads_it_back(
    tmp_path_factory: pytest.TempPathFactory, told: str
) -> None:
    """Headers are other people's: colons, hashes, quotation marks, words that YAML takes for truths."""
    told = told.encode("utf-8", "ignore").decode()
    path = tmp_path_factory.mktemp("yaml") / "one.yml"
    path.write_text(f"header: {writing.scalar(told)}  # a comment\n", encoding="utf-8", newline="")
    assert documents.read(path, ContractInvalid)["header"] == told


@pytest.mark.parametrize(
    ("header", "rows", "mode", "key"),
    [
        ("Case No,Town", ("1001,Avon", "1002,Avon"), "upsert", ("case_no",)),
        ("Town,Kind", ("Avon,A", "Avon,A"), "append", ()),
    ],
)
def test_new_datasets_append_or_upsert(
    project: Project, header: str, rows: tuple[str, ...], mode: str, key: tuple[str, ...]
) -> None:
    """With a column that identifies rows they are upserted by it; without one they are added; nothing is replaced."""
    path = project.root / "new.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    proposing.propose(project, "new-rows", str(path))
    contract = datasets.dataset("new-rows", project.notebooks).contract
    assert (contract.portal.mode, contract.key) == (mode, key)
