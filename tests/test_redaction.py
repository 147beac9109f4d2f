"""Redaction: cells of a table that a notebook printed are taken out of what goes into the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
import reading_files

from ctnb import redaction, tables
from ctnb.contracts.columns import Column
from ctnb.datasets import Contract, Dataset
from ctnb.redaction import Redactor

COLUMNS = (
    Column(name="person", type="text", role="identifier"),
    Column(name="note", type="text", role="free_text"),
    Column(name="illness", type="code", role="sensitive"),
    Column(name="unknown", type="text"),
    Column(name="town", type="text", role="quasi"),
    Column(name="age", type="integer", role="identifier"),
)
ROW = "('Xanthippe Quill', 'She said \"no\".', 'F32.1', 'Quill', 'Hartford', 4711)"


@pytest.fixture
def redact(tmp_path: Path) -> Redactor:
    """What redacts one table of one row."""
    names = ", ".join(column.name for column in COLUMNS)
    with tables.connect() as connection:
        query = f"SELECT * FROM (VALUES {ROW}) AS given({names})"
        tables.write(connection, query, COLUMNS, tmp_path / "read.parquet")
    return redaction.redactor([tmp_path])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("row of Xanthippe Quill here", "row of [removed: a cell of person] here"),
        ('She said "no". F32.1', "[removed: a cell of note] [removed: a cell of illness]"),
        ("only Quill", "only [removed: a cell of unknown]"),
        ("Hartford, 4711", "Hartford, 4711"),
        ("abc", "abc"),
        ("nothing of it", "nothing of it"),
    ],
)
def test_cells_of_people_are_taken_out(redact: Redactor, text: str, expected: str) -> None:
    """Identifiers, sensitive columns, free text and columns without a role; the longest cell first."""
    assert redact(text) == expected


def test_a_parquet_file_that_is_no_step_s_table_is_left_alone(redact: Redactor, tmp_path: Path) -> None:
    """A source's snapshot, or what the analyst wrote there, is not ctnb's; a run once failed over it."""
    with tables.connect() as connection:
        connection.execute(f"COPY (SELECT 'Hartford' AS person) TO '{tmp_path / 'snapshot.parquet'}'")
    assert redact("Xanthippe Quill of Hartford") == "[removed: a cell of person] of Hartford"


def test_cells_of_rejected_rows_are_taken_out_too(tmp_path: Path) -> None:
    """A row that did not fit the contract is as private as one that did."""
    columns = [{"name": "n", "type": "integer"}, {"name": "a", "type": "text", "role": "plain"}]
    said = {"format": 1, "title": "A", "source": {"path": "a.csv"}, "columns": columns}
    contract = Contract.model_validate({**said, "rejects": {"at_most_share": 1}})
    folder, work = tmp_path / "notebooks" / "a", tmp_path / "work"
    folder.mkdir(parents=True)
    work.mkdir()
    (folder / "a.csv").write_text("n,a\nseven,Xanthippe\n1,2,Quillfeather\n")
    reading_files.read(Dataset("a", folder, contract, ""), work)
    redact = redaction.redactor([work])
    removed = "[removed: a cell of a rejected row]"
    assert redact("seven Xanthippe Quillfeather") == " ".join([removed] * 3)


def test_an_empty_cell_of_a_rejected_row_takes_no_word_out(tmp_path: Path) -> None:
    """It is no text: "none" stayed out of every message of a run whose rejected row had one."""
    columns = [{"name": "n", "type": "integer"}, {"name": "a", "type": "text", "role": "plain"}]
    said = {"format": 1, "title": "A", "source": {"path": "a.csv"}, "columns": columns}
    contract = Contract.model_validate({**said, "rejects": {"at_most_share": 1}})
    folder, work = tmp_path / "notebooks" / "a", tmp_path / "work"
    folder.mkdir(parents=True)
    work.mkdir()
    (folder / "a.csv").write_text("n,a\nseven,\n")
    reading_files.read(Dataset("a", folder, contract, ""), work)
    redact = redaction.redactor([work])
    assert redact("allowed: none, not true") == "allowed: none, not true"


def outputs(*made: Any) -> Any:
    """A notebook with one cell that has these outputs."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=list(made))])


NAME = "Xanthippe Quill"


def test_every_kind_of_output_is_redacted(redact: Redactor) -> None:
    """Streams, errors, tables as HTML, as JSON and as drawings."""
    data = {
        "text/plain": NAME,
        "text/html": f"<td>{NAME}</td>",
        "image/svg+xml": f"<text>{NAME}</text>",
        "application/json": {"rows": [{"a": NAME, NAME: 1}], "n": 1},
    }
    found = outputs(
        nbformat.v4.new_output("stream", text=f"{NAME}\n"),
        nbformat.v4.new_output("error", ename="KeyError", evalue=NAME, traceback=[f"KeyError: {NAME}"]),
        nbformat.v4.new_output("display_data", data=data),
        nbformat.v4.new_output("execute_result", data={"text/plain": NAME}, execution_count=1),
    )
    redaction.redact_outputs(found, redact)
    text = nbformat.writes(found)
    assert "Xanthippe" not in text
    assert text.count("[removed: a cell of person]") == 9


def test_what_ctnb_made_itself_and_pictures_stay(redact: Redactor) -> None:
    """ctnb's own outputs are made without cells, and base64 holds no text."""
    picture = {"image/png": "abcdQuillabcd"}
    found = outputs(
        nbformat.v4.new_output("display_data", data={"text/plain": NAME}, metadata={"ctnb": {"safe": True}}),
        nbformat.v4.new_output("display_data", data=picture),
    )
    redaction.redact_outputs(found, redact)
    shown = [output.data for output in found.cells[0].outputs]
    assert shown == [{"text/plain": NAME}, picture]
