"""Data dictionaries: written safely in every form, and read back into dataset.yml without losing a comment."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner
from conftest import SLUG
from hypothesis import given
from hypothesis import strategies as st

from ctnb import datasets
from ctnb.cli.main import cli
from ctnb.contracts.columns import Column, Constraints
from ctnb.datasets import Contract
from ctnb.dictionaries import entries, exchanging, reading, table_schemas, writing
from ctnb.dictionaries.reading import Said
from ctnb.errors import ContractInvalid, NameUnknown, SourceInvalid
from ctnb.settings import Project

CANARY = "Xanthippe Quill"
NASTY = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x", "'=1", " =1", '=HYPERLINK("http://x")', "<script>x</script>",
    "a | b", "a\\|b", "*a*", "`x`", "https://x.example", "00123", "line\nline", "&amp;", "[a](b)", "1. x",
)  # fmt: skip

DATASET = """\
# Deaths, invented
format: 1
title: Deaths by town
description: Counts of deaths.
unit: group
source:
  path: data/counts.csv  # relative
columns:
  - name: town
    header: Town
    type: text
    role: plain
    constraints: {required: true, values: [Andover, "=Ansonia"]}
    description: ""  # to be written

  # counts are by residence
  - name: deaths
    header: Number of deaths
    type: integer
    role: measure
    description: How many died.

  - name: rate
    type: number
    scale: 1
    role: measure
transform:
  rules:
    - drop: [rate]
    - suppress: deaths
metadata:
  row_label: A town
"""


@pytest.fixture
def deaths(project: Project) -> Project:
    """The project with a dataset that has rules and an undescribed column."""
    (project.notebooks / SLUG / "dataset.yml").write_text(DATASET, encoding="utf-8")
    return project


def contract(*columns: dict[str, Any], **more: Any) -> Contract:
    """A contract with these columns."""
    told = columns or ({"name": "town", "type": "text"},)
    return Contract.model_validate(
        {"format": 1, "title": "A", "source": {"path": "a.csv"}, "columns": told, **more}
    )


def described(*texts: str) -> Contract:
    """A contract with a column for each text, which is its label and description."""
    return contract(
        *(
            {"name": f"c{n}", "type": "text", "label": text, "description": text}
            for n, text in enumerate(texts)
        )
    )


def read_back(folder: Path, name: str, content: bytes) -> tuple[Said, ...]:
    """What the dictionary `content` says."""
    path = folder / name
    path.write_bytes(content)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return reading.read(path, work).said


def run(*words: str) -> str:
    """What the command line prints; it must end well."""
    found = CliRunner().invoke(cli, [*words], catch_exceptions=False)
    assert 0 == found.exit_code
    return found.output


# Table Schema

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(str.strip)
FORMATS = st.sampled_from(
    [None, "MM/DD/YYYY", "YYYY", "DD.MM.YY", "YYYYMMDD", "MMM DD, YYYY", "MM/DD/YYYY hh:mm AM"]
)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    """A column of any type with any constraint that fits it."""
    kind = draw(st.sampled_from(sorted(table_schemas.TYPES)))
    numeric, textual = kind in ("integer", "number", "money", "percent"), kind in ("text", "code", "url")
    limits = Constraints(
        required=draw(st.booleans()),
        unique=draw(st.booleans()),
        values=draw(st.none() | st.lists(TEXTS, max_size=3).map(tuple)),
        minimum=draw(st.none() | st.floats(-1e6, 1e6)) if numeric else None,
        maximum=draw(st.none() | st.floats(-1e6, 1e6)) if numeric else None,
        pattern=draw(st.sampled_from([None, "[0-9]{5}", "a|b"])),
        max_length=draw(st.none() | st.integers(1, 99)) if textual else None,
    )
    return Column(
        name=draw(NAMES),
        header=draw(st.none() | TEXTS),
        position=draw(st.none() | st.integers(1, 9)),
        label=draw(st.none() | TEXTS),
        type=kind,  # type: ignore[arg-type]  # one of the literal's own words
        scale=draw(st.none() | st.integers(0, 6)) if kind in ("number", "percent") else None,
        format=draw(FORMATS) if kind in ("date", "timestamp") else None,
        role=draw(st.sampled_from([None, "identifier", "quasi", "measure", "plain"])),
        precision=draw(st.sampled_from([None, "town", "year"])),
        description=draw(TEXTS),
        constraints=limits,
    )


@given(
    columns=st.lists(columns(), min_size=1, max_size=5, unique_by=(lambda c: c.name, lambda c: c.header or c.name)),
    source=st.booleans(), keyed=st.booleans(), nulls=st.lists(TEXTS, max_size=3, unique=True),
)  # fmt: skip
def test_a_contract_comes_back_from_its_table_schema(
    columns: list[Column], source: bool, keyed: bool, nulls: list[str]
) -> None:
    """Whatever the columns, both ways lose nothing; through text, as programs exchange it."""
    names = [column.name for column in columns]
    given_ = Contract.model_validate(
        {
            "format": 1, "title": "A", "source": {"path": "a.csv", "nulls": nulls}, "key": names[:1] if keyed else [],
            "columns": [column.model_dump() for column in columns],
            "unique": [names[:2]] if len(names) > 1 else [],
        }
    )  # fmt: skip
    schema = table_schemas.from_schema(
        json.loads(table_schemas.as_json(table_schemas.to_schema(given_, source=source)))
    )
    assert (given_.columns, given_.key, given_.unique, ()) == (
        schema.columns,
        schema.key,
        schema.unique,
        schema.lost,
    )
    assert schema.nulls == (tuple(nulls) if source else ("",))


def test_a_source_is_described_with_its_headers_formats_and_nulls() -> None:
    """Another program can check the file with it; a reference tells the file's name and not its folder."""
    given_ = contract(
        {"name": "died", "header": "Date of death", "type": "date", "format": "MM/DD/YYYY",
         "constraints": {"required": True}},
        {"name": "town", "header": "Town", "type": "text",
         "constraints": {"reference": {"path": "//server/share/Town List.csv", "column": "Name"}}},
        source={"path": "a.csv", "nulls": ["", "N/A"]}, key=["town"],
    )  # fmt: skip
    made = table_schemas.to_schema(given_, source=True)
    assert {"name": "Date of death", "type": "date", "format": "%m/%d/%Y", "title": "Date of death",
            "constraints": {"required": True},
            "ctnb": {"name": "died", "header": "Date of death", "type": "date", "format": "MM/DD/YYYY"},
            } == made["fields"][0]  # fmt: skip
    assert (["", "N/A"], ["Town"]) == (made["missingValues"], made["primaryKey"])
    reference = {"resource": "town-list", "fields": ["Name"]}
    assert [{"fields": ["Town"], "reference": reference}] == made["foreignKeys"]
    published = json.dumps(table_schemas.to_schema(given_))
    assert "server" not in published
    assert '"format": "default"' in published
    numbers = contract(
        {"name": "paid", "type": "money", "constraints": {"minimum": 0, "maximum": 9.5}},
        {"name": "b", "type": "boolean"},
    )
    paid, truth = table_schemas.to_schema(numbers, source=True)["fields"]
    assert (",", False, {"minimum": 0, "maximum": 9.5}) == (
        paid["groupChar"],
        paid["bareNumber"],
        paid["constraints"],
    )
    assert {"yes", "Yes", "YES", "1"} <= set(truth["trueValues"])
    back = table_schemas.from_schema(made)
    assert (given_.columns, ()) == (back.columns, back.lost)


FOREIGN: dict[str, Any] = {
    "primaryKey": ["id", "year"],
    "missingValues": ["", "-99"],
    "foreignKeys": [{"fields": "town", "reference": {"resource": "towns", "fields": "name"}}],
    "fields": [
        {
            "name": "id",
            "type": "string",
            "title": "Identifier",
            "constraints": {"pattern": "[A-Z]+", "minLength": 2},
        },
        {"name": "Year of Death", "type": "year"},
        {"name": "year", "type": "integer", "constraints": {"minimum": "1900", "enum": [1900, 1901]}},
        {"name": "when", "type": "datetime", "format": "%d.%m.%Y %H:%M"},
        {"name": "odd", "type": "date", "format": "%j %Y"},
        {"name": "town", "type": "string", "constraints": {"pattern": "(?=x)"}},
        {"name": "site", "type": "string", "format": "uri", "description": "Where"},
        {"name": "place", "type": "geopoint"},
        {"name": "alive", "type": "boolean", "trueValues": ["Y", "oui"]},
        {"name": "secret", "type": "string", "ctnb": {"name": "secret", "type": "no such type"}},
    ],
}


def test_a_schema_of_another_program_is_taken_as_far_as_it_goes() -> None:
    """What a contract cannot say is told by place, and nothing is guessed."""
    made = table_schemas.from_schema({"name": "p", "resources": [{"schema": FOREIGN}]})
    kinds = [(column.name, column.header, column.type, column.format) for column in made.columns]
    assert kinds == [
        ("id", None, "text", None),
        ("year_of_death", "Year of Death", "integer", None),
        ("year", None, "integer", None),
        ("when", None, "timestamp", "DD.MM.YYYY hh:mm"),
        ("odd", None, "date", None),
        ("town", None, "text", None),
        ("site", None, "url", None),
        ("place", None, "text", None),
        ("alive", None, "boolean", None),
        ("secret", None, "text", None),
    ]
    assert "Identifier" == made.columns[0].label
    assert (1900.0, ("1900", "1901")) == (
        made.columns[2].constraints.minimum,
        made.columns[2].constraints.values,
    )
    assert ((), (("id", "year"),), ("", "-99")) == (made.key, made.unique, made.nulls)
    assert made.lost == (
        "Field 1: its constraint minLength is not held.",
        "Field 5: the way its dates are written cannot be said in a contract.",
        "Field 6: its constraint pattern is not held.",
        "Field 8: a contract has no type like its own, so it is text.",
        "Field 9: its words for true and false are not all those of a contract.",
        "Field 10: its property ctnb, or its name, cannot be used.",
        "Foreign keys: name the file with the values under constraints: reference:.",
        "The primary key has several fields; in a contract they are unique together.",
    )


@pytest.mark.parametrize(
    "given_", [[], {}, {"fields": []}, {"fields": ["a"]}, None, 1, {"resources": [{}, {}]}]
)
def test_what_is_no_table_schema_is_refused(given_: Any) -> None:
    """Any JSON but a schema."""
    with pytest.raises(SourceInvalid, match=r"is no Table Schema|describes 2 tables"):
        table_schemas.from_schema(given_)


# what is written


def test_a_dictionary_explains_what_is_published(deaths: Project) -> None:
    """A dropped column is not in it, and the flag of a suppressed one is."""
    made = entries.dictionary(datasets.dataset(SLUG, deaths.notebooks).contract)
    assert ["town", "deaths", "deaths_suppressed"] == [row[0] for row in made.rows]
    town = dict(zip(entries.HEADERS, made.rows[0], strict=True))
    assert ("Town", "text", "yes", "Andover; =Ansonia") == tuple(
        town[key] for key in ("title", "type", "required", "allowed values")
    )
    assert (("One row is", "A town"),) == made.facts


def test_a_workbook_holds_no_formula_and_no_link(tmp_path: Path) -> None:
    """Text that Excel would compute stays text, in every cell."""
    made = described(*NASTY)
    path = tmp_path / "a.xlsx"
    path.write_bytes(exchanging.export(made, "xlsx"))
    book = openpyxl.load_workbook(path)
    cells = [cell for sheet in book for row in sheet for cell in row if cell.value is not None]
    assert {"s"} == {cell.data_type for cell in cells}
    assert [] == [cell.coordinate for cell in cells if cell.hyperlink]
    assert "=1+1" in [cell.value for cell in cells]


def test_a_csv_holds_no_cell_that_a_spreadsheet_computes() -> None:
    """Each begins with an apostrophe then, which the import takes away again."""
    content = exchanging.export(described(*NASTY), "csv")
    assert content.startswith(b"\xef\xbb\xbf")
    cells = [cell for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) for cell in row]
    assert [] == [
        cell for cell in cells if cell.lstrip()[:1] in ("=", "+", "-", "@") or cell[:1] in ("\t", "\r")
    ]


@given(st.text(max_size=20))
def test_a_safe_cell_comes_back_as_it_was(text: str) -> None:
    """Also one that begins with apostrophes."""
    assert text == writing.bare_cell(writing.safe_cell(text))


class Elements(HTMLParser):
    """The names of the elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        self.seen.add(tag)


def test_a_page_has_no_element_that_came_from_text() -> None:
    """Nothing in it runs or loads, in HTML and in Markdown as GitHub shows it."""
    made = described(*NASTY, "<img src=x onerror=y>", "</td><script>z</script>")
    page = exchanging.export(made, "html").decode()
    assert {"script", "img", "a", "iframe"}.isdisjoint(Elements(page).seen)
    assert "default-src 'none'" in page
    assert re.search(r"https?://", re.sub(r"https://(x\.example|\.\.\.)|http://x", "", page)) is None
    import mistune

    shown = str(mistune.create_markdown(plugins=["table"])(exchanging.export(made, "markdown").decode()))
    assert {"script", "img", "a", "em", "code"}.isdisjoint(Elements(shown).seen)
    assert len(made.columns) + 1 == shown.count("<tr>")


@pytest.mark.parametrize("form", exchanging.FORMS)
def test_every_form_is_read_back(tmp_path: Path, form: str) -> None:
    """Names, titles and descriptions come out of each form as they went in."""
    made = described(*(text for text in NASTY if text == text.strip() and "\r" not in text))
    suffix = exchanging.FORMS[form][0]
    found = read_back(tmp_path, f"a{suffix}", exchanging.export(made, form))
    expected = [(column.name, column.label, column.description) for column in made.columns]
    assert expected == [(said.name, said.title, said.description) for said in found]


def test_a_form_that_is_not_there_is_told() -> None:
    """With the nearest one."""
    with pytest.raises(NameUnknown, match="Did you mean 'markdown'"):
        exchanging.export(contract(), "markdwn")


def test_rules_that_do_not_fit_are_told_by_the_dictionary_too() -> None:
    """It has no columns then that could be explained."""
    with pytest.raises(ContractInvalid, match="names the column 'x'"):
        exchanging.export(contract(transform={"rules": [{"drop": ["x"]}]}), "csv")


# what is read


def write_csv(project: Project, text: str) -> Path:
    """A dictionary beside the project."""
    path = project.root / "dictionary.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_import_sets_what_is_empty_and_reports_the_rest(
    deaths: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments stay, a description that is there stays, names that match nothing are told by place."""
    monkeypatch.chdir(deaths.root)
    path = write_csv(
        deaths,
        f"Field Name,Display name,Definition\nTOWN,Town of residence,Where they lived\n{CANARY},x,y\n"
        "Number of deaths,,Persons who died\nrate,,Per 100\nnobody,,z\n",
    )
    before = (deaths.notebooks / SLUG / "dataset.yml").read_text(encoding="utf-8")
    said = run("dictionary", "import", SLUG, str(path))
    assert said.splitlines() == [
        "Descriptions set: 2 (town, rate). Titles set: 1 (town).",
        "Kept as they were: 1 (deaths). --overwrite replaces them.",
        "No column of the contract is meant by rows 3 and 6 of the file.",
    ]
    after = (deaths.notebooks / SLUG / "dataset.yml").read_text(encoding="utf-8")
    columns = {column.name: column for column in datasets.dataset(SLUG, deaths.notebooks).contract.columns}
    assert ("Where they lived", "Town of residence") == (columns["town"].description, columns["town"].label)
    assert ("How many died.", "Per 100") == (columns["deaths"].description, columns["rate"].description)
    comments = re.compile(r"#.*")
    assert comments.findall(before) == comments.findall(after)
    assert (
        after.index("# to be written")
        < after.index("# counts are by residence")
        < after.index("name: deaths")
    )
    run("dictionary", "import", SLUG, str(path), "--overwrite")
    columns = {column.name: column for column in datasets.dataset(SLUG, deaths.notebooks).contract.columns}
    assert "Persons who died" == columns["deaths"].description


def test_text_that_identifies_somebody_is_not_taken(deaths: Project) -> None:
    """dataset.yml is in git and descriptions are published."""
    path = write_csv(deaths, "name,description\ntown,Ask jane.doe@example.org\n")
    made = exchanging.take(deaths, datasets.dataset(SLUG, deaths.notebooks), path)
    assert ((), (("town", "an e-mail address"),)) == (made.described, made.refused)
    assert "example.org" not in (deaths.notebooks / SLUG / "dataset.yml").read_text(encoding="utf-8")


def test_columns_of_a_transform_are_described_too(project: Project) -> None:
    """A column that is read and comes out under the same name has the description in both places."""
    text = DATASET.replace("rules:\n    - drop: [rate]\n    - suppress: deaths", "use: none")
    text = text.replace("transform:\n", "transform:\n  columns:\n    - {name: town, type: text}\n")
    path = project.notebooks / SLUG / "dataset.yml"
    path.write_text(text, encoding="utf-8")
    exchanging.take(
        project, datasets.dataset(SLUG, project.notebooks), write_csv(project, "name,description\ntown,T\n")
    )
    made = datasets.dataset(SLUG, project.notebooks).contract
    assert ("T", "T") == (made.columns[0].description, (made.transform.columns or ())[0].description)


def test_a_workbook_of_people_is_read_below_its_title(tmp_path: Path) -> None:
    """As agencies write them: a title, other columns, notes below."""
    book = openpyxl.Workbook()
    for row in (["Data dictionary"], [], ["#", "Column Name", "Type", "Description"], [1, "town", "text", "T"],
                [2, "deaths", "number", "D"]):  # fmt: skip
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    (tmp_path / "work").mkdir()
    found = reading.read(tmp_path / "a.xlsx", tmp_path / "work")
    assert [(4, "town", "T"), (5, "deaths", "D")] == [(s.place, s.name, s.description) for s in found.said]
    assert ("Left out as title rows: row 1 of the sheet.",) == found.notes


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", f"a,b\n{CANARY},1\n", "no table with a column of names"),
        ("a.html", f"<table><tr><td>{CANARY}</td></tr></table>", "no table with a column of names"),
        ("a.md", f"| {CANARY} | b |\n| - | - |\n", "no table with a column of names"),
        ("a.json", f"[{CANARY}", "is no JSON"),
        ("a.json", '{"a": 1}', "is no Table Schema"),
        ("a.docx", CANARY, "not read from a file with the suffix"),
        ("a.xlsx", CANARY, "is no workbook|not xlsx"),
    ],
)
def test_what_is_no_dictionary_is_told_without_its_text(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    """The message names what was expected."""
    with pytest.raises(SourceInvalid, match=told) as error:
        read_back(tmp_path, name, content.encode())
    assert CANARY not in str(error.value)


def test_the_command_writes_files_and_standard_output(
    deaths: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is chosen where none is given; a folder that is not there is an error."""
    monkeypatch.chdir(deaths.root)
    assert f"{SLUG}-dictionary.md: written.\n" == run("dictionary", "export", SLUG, "--as", "markdown")
    assert (
        (deaths.root / f"{SLUG}-dictionary.md").read_text(encoding="utf-8").startswith("# Deaths by town\n")
    )
    schema = json.loads(run("dictionary", "export", SLUG, "--as", "table-schema", "--source", "--to", "-"))
    assert ["Town", "Number of deaths", "rate"] == [field["name"] for field in schema["fields"]]
    found = CliRunner().invoke(cli, ["dictionary", "export", SLUG, "--as", "csv", "--to", "no/where.csv"])
    assert 2 == found.exit_code
    found = CliRunner().invoke(cli, ["dictionary", "export", SLUG, "--as", "csv", "--source"])
    assert 2 == found.exit_code
