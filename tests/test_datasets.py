"""The contract: what dataset.yml may say, and how it is told what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import DATASET_YML, SLUG
from error_texts import assert_text

from ctnb import datasets
from ctnb.datasets import Dataset
from ctnb.errors import ContractInvalid, NameUnknown, UsageError
from ctnb.settings import Project

TOWN = "    header: Town\n    type: text\n    role: plain\n"
DEATHS = "    header: Deaths\n    type: integer\n    role: measure\n"


def loaded(project: Project, text: str) -> Dataset:
    """The sample dataset with `text` as its dataset.yml."""
    (project.notebooks / SLUG / "dataset.yml").write_text(text, encoding="utf-8")
    return datasets.dataset(SLUG, project.notebooks)


def refusal(project: Project, text: str) -> str:
    """What is said of `text` as a dataset.yml."""
    with pytest.raises(ContractInvalid) as caught:
        loaded(project, text)
    return str(caught.value)


def test_a_contract_is_read_with_its_defaults(project: Project) -> None:
    """What is not said has one meaning."""
    contract = datasets.dataset(SLUG, project.notebooks).contract
    assert (
        contract.portal.name,
        contract.portal.mode,
        contract.portal.public,
    ) == ("local", "replace", True)
    assert contract.rejects.at_most_share == 0.0
    assert contract.columns == contract.read_columns == contract.published_columns
    assert contract.unit_out == "group"


def test_an_unknown_key_is_told_with_its_line_and_the_nearest_one(project: Project) -> None:
    """A misspelt key is an error, not a wish that is not heard."""
    with pytest.raises(ContractInvalid) as caught:
        loaded(project, DATASET_YML.replace("    role: measure", "    rloe: measure"))
    assert_text("contract-unknown-key", caught.value)


def test_every_problem_is_told_at_once(project: Project) -> None:
    """Nobody wants to correct a file one error at a time."""
    told = refusal(project, DATASET_YML.replace("title:", "titel:").replace("type: integer", "type: integre"))
    assert "line 3, titel: unknown key, did you mean 'title'?" in told
    assert "line 18, columns.2.type: expected 'text', 'code', 'integer'" in told
    assert "title: missing" in told


RULES = DATASET_YML + "transform:\n  rules:\n"

BROKEN = [
    (DATASET_YML.replace("format: 1", "format: 2"), "line 2, format: expected 1"),
    (DATASET_YML.replace("title: Sample counts", "title: ''"), "title: expected at least 1 character"),
    (DATASET_YML.replace("title: Sample counts", "title: 7"), "title: expected text; put it in quotation"),
    (DATASET_YML.replace("unit: group", "unit: grupp"), "unit: expected 'person', 'group' or 'other'"),
    (DATASET_YML.replace("name: town", "name: Town"), "columns.0.name: a column's name is lower case"),
    (DATASET_YML.replace("name: zip", "name: town"), "columns: the name 'town' stands twice"),
    (DATASET_YML.replace(TOWN, TOWN + "    scale: 2\n"), "columns.0: type text has no scale"),
    (DATASET_YML.replace("type: text", "type: money\n    scale: 3"), "columns.0: money has scale 2"),
    (DATASET_YML.replace(TOWN, TOWN + "    format: YYYY\n"), "columns.0: type text has no format"),
    (DATASET_YML.replace("type: text", "type: date\n    format: MM/DD"), "names at least the year"),
    (DATASET_YML.replace("type: text", "type: date\n    format: M/D/YYYY"), "a date format is made of"),
    (DATASET_YML.replace("type: text", "type: number\n    scale: 13"), "expected less than or equal to 12"),
    (DATASET_YML.replace("type: text", "type: text\n    position: 0"), "expected greater than 0"),
    (DATASET_YML.replace(TOWN, TOWN + "    constraints: {minimum: 1}\n"), "type text has no minimum"),
    (DATASET_YML.replace(DEATHS, DEATHS + "    constraints: {maximum: .inf}\n"), "expected a finite number"),
    (DATASET_YML.replace(DEATHS, DEATHS + "    constraints: {max_length: 3}\n"), "has no max_length"),
    (DATASET_YML.replace(TOWN, TOWN + "    constraints: {pattern: '('}\n"), "not a regular expression"),
    (DATASET_YML.replace(TOWN, TOWN + "    constraints: {pattern: '(?=a)a'}\n"), "it has no look-around"),
    (DATASET_YML.replace(TOWN, TOWN + "    constraints: {values: a}\n"), "expected a list, e.g. [a, b]"),
    (DATASET_YML.replace(TOWN, TOWN + "    constraints: []\n"), "expected a mapping of keys to values"),
    (DATASET_YML.replace("path: data/counts.csv", "path: a\n  delimiter: ';;'"), "expected at most 1 char"),
    (DATASET_YML + "key: [nobody]\n", "'nobody' is not one of the columns that come out"),
    (DATASET_YML + "key: [town, zip]\n", "expected at most 1 item"),
    (DATASET_YML + "portal: {mode: upsert}\n", "portal mode upsert needs a key"),
    (DATASET_YML + "portal: {mode: delete}\n", "portal mode delete needs a key"),
    (DATASET_YML + "rejects: {at_most_share: 1.5}\n", "expected less than or equal to 1"),
    (DATASET_YML + "transform: {count: nobody}\n", "'nobody' is not one of the columns that come out"),
    (
        RULES + "    - supress: deaths\n",
        "a rule is one of suppress:, keep:, drop:, pivot_longer:, repair_zip:",
    ),
    (RULES + "    - suppress\n", "a rule is one of suppress:, keep:, drop:, pivot_longer:, repair_zip:"),
    (RULES + "    - suppress: deaths\n      at_mots: 5\n", "unknown key, did you mean 'at_most'?"),
    (RULES + "    - keep: a > 1\n      nmae: b\n", "unknown key, did you mean 'name'?"),
    (RULES + "    - drop: []\n", "transform.rules.0.drop.drop: expected at least 1 item"),
    ("format: 1\n", "columns: missing"),
]


@pytest.mark.parametrize(("text", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_a_contract_that_cannot_be_kept_is_refused(project: Project, text: str, told: str) -> None:
    """Each rule of the contract says in plain words what it wants."""
    assert told in refusal(project, text)


def test_a_value_of_the_contract_is_not_quoted(project: Project) -> None:
    """What stands where a number or a list should be may have been pasted from data."""
    told = refusal(project, DATASET_YML.replace("type: integer", "type: Xanthippe Quill"))
    assert "Xanthippe" not in told


def test_to_delete_the_key_alone_is_read(project: Project) -> None:
    """A file of identifiers to delete needs no other column of the contract."""
    contract = loaded(project, DATASET_YML + "key: [zip]\nportal: {mode: delete}\n").contract
    assert [column.name for column in contract.read_columns] == ["zip"]
    assert contract.unit_out == "other"


def test_the_columns_of_the_transform_are_those_that_come_out(project: Project) -> None:
    """A transform that changes the shape says so, and the key is one of its columns."""
    more = "transform:\n  columns:\n    - {name: total, type: integer}\n  unit: other\nkey: [total]\n"
    contract = loaded(project, DATASET_YML + more).contract
    assert [column.name for column in contract.published_columns] == ["total"]
    assert contract.unit_out == "other"


def test_a_missing_dataset_offers_the_nearest(project: Project) -> None:
    """A misspelt slug is answered with a name that exists."""
    with pytest.raises(NameUnknown) as caught:
        datasets.dataset("sample-count", project.notebooks)
    assert_text("dataset-unknown", caught.value)


@pytest.mark.parametrize("slug", ["", "Sample", "a_b", "-a", "a" * 61, "con", "lpt1", "../x", "a/b", "é"])
def test_what_cannot_be_a_folder_everywhere_is_no_slug(slug: str) -> None:
    """Slugs are folders on Windows too."""
    with pytest.raises(UsageError, match="is not a dataset's slug"):
        datasets.check_slug(slug)


def test_a_script_that_is_named_and_missing_is_refused(project: Project) -> None:
    """A contract that names transform.R means it."""
    dataset = loaded(project, DATASET_YML + "transform: {use: transform.R}\n")
    with pytest.raises(ContractInvalid, match="which is not there"):
        _ = dataset.script


def test_two_scripts_need_a_word_which(project: Project) -> None:
    """ctnb does not choose between R and SQL."""
    dataset = datasets.dataset(SLUG, project.notebooks)
    assert dataset.script is None
    (dataset.folder / "transform.sql").write_text("SELECT * FROM data")
    assert dataset.folder / "transform.sql" == dataset.script
    (dataset.folder / "transform.R").write_text("")
    with pytest.raises(ContractInvalid, match="has both"):
        _ = dataset.script
    assert loaded(project, DATASET_YML + "transform: {use: none}\n").script is None


def test_the_datasets_of_this_project_have_contracts_that_hold() -> None:
    """What ships can be read."""
    notebooks = Path(__file__).parent.parent / "notebooks"
    for slug in datasets.slugs(notebooks):
        assert datasets.dataset(slug, notebooks).contract.columns
