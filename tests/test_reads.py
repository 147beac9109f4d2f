"""Reading: a source under its contract becomes a table and rejects, and every row is accounted for."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import reading_files
from conftest import DATASET_YML, SLUG
from error_texts import assert_text, whole_story
from hypothesis import given
from hypothesis import strategies as st

from ctnb import datasets
from ctnb.datasets import Contract, Dataset
from ctnb.errors import SourceInvalid, TooManyRejects
from ctnb.reads import Reading, RejectCount
from ctnb.settings import Project

CANARY = "Xanthippe Quill"
ALL_REJECTED = {"rejects": {"at_most_share": 1}}


def contract(*columns: dict[str, Any], **more: Any) -> Contract:
    """A contract with `columns`."""
    said = {"format": 1, "title": "A", "source": {"path": "a.csv"}, "columns": columns, **more}
    return Contract.model_validate(said)


def text(*names: str) -> list[dict[str, Any]]:
    """Text columns with these names."""
    return [{"name": name, "type": "text"} for name in names]


def reading(folder: Path, source: bytes | str, under: Contract, name: str = "a.csv") -> Reading:
    """What reading `source` gives."""
    dataset = Dataset("sample", folder / "notebooks" / "sample", under, "")
    work = folder / "work"
    dataset.folder.mkdir(parents=True, exist_ok=True)
    work.mkdir(exist_ok=True)
    (dataset.folder / name).write_bytes(source.encode() if isinstance(source, str) else source)
    return reading_files.read(dataset, work, [])


def rows(found: Reading) -> list[tuple[Any, ...]]:
    """The rows of the table."""
    return [tuple(row.values()) for row in pq.read_table(found.table.path).to_pylist()]


def rejects(found: Reading) -> list[tuple[Any, ...]]:
    """Row, column and rule of each line of the rejects file."""
    assert found.rejects_path is not None
    return [(r["row"], r["column"], r["rule"]) for r in pq.read_table(found.rejects_path).to_pylist()]


def test_a_source_is_read_under_its_contract(project: Project, tmp_path: Path) -> None:
    """Text first, types from the contract: a ZIP code keeps its zero."""
    found = reading_files.read(datasets.dataset(SLUG, project.notebooks), tmp_path, [])
    assert [("Hartford", "06103", 12), ("New Haven", "06510", 9), ("Bridgeport", "06604", 17)] == rows(found)
    assert (3, 0, None, "utf-8") == (
        found.rows_read,
        found.rows_rejected,
        found.rejects_path,
        found.encoding,
    )


def test_a_byte_order_mark_is_not_part_of_the_first_header(tmp_path: Path) -> None:
    """Excel writes one."""
    assert [("x", "y")] == rows(reading(tmp_path, b"\xef\xbb\xbfa,b\nx,y\n", contract(*text("a", "b"))))


def test_cp1252_is_read_where_utf8_is_not(tmp_path: Path) -> None:
    """Old exports hold Windows' letters and quotation marks."""
    found = reading(tmp_path, "a,b\ncaf\xe9,\u201cx\u201d\n".encode("cp1252"), contract(*text("a", "b")))
    assert "cp1252" == found.encoding
    assert [("café", "“x”")] == rows(found)


def test_cp1252_that_is_also_utf8_is_read_as_the_contract_says(tmp_path: Path) -> None:
    """Two letters of cp1252 may look like one of UTF-8."""
    under = contract(*text("a"), source={"path": "a.csv", "encoding": "cp1252"})
    assert [("Ã©",)] == rows(reading(tmp_path, "a\né\n", under))


def test_a_source_that_is_not_what_the_contract_says_is_refused(tmp_path: Path) -> None:
    """encoding: utf-8 is a promise."""
    under = contract(*text("a"), source={"path": "a.csv", "encoding": "utf-8"})
    with pytest.raises(SourceInvalid, match="is not UTF-8"):
        reading(tmp_path, b"a\n\xe9\n", under)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("a\nx\n".encode("utf-32"), "UTF-32"),
        (b"a\nx\0y\n", "zero bytes"),
        (b"a\n\xe9\0\n", "zero bytes"),
        (b"a\n\xe9\x81\n", "neither UTF-8 nor cp1252"),
        (b"", "is empty"),
        (b"\n\na\n", "no header row"),
        (b'a\n"' + b"x" * (17 << 20), "than 16 MB"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, source: bytes, told: str) -> None:
    """Bytes that are no delimited text end the run with a hint."""
    with pytest.raises(SourceInvalid, match=told):
        reading(tmp_path, source, contract(*text("a")))


def test_a_header_alone_is_a_table_of_no_rows(tmp_path: Path) -> None:
    """Nothing to report is a result."""
    found = reading(tmp_path, "a,b\n", contract(*text("a", "b")))
    assert ([], 0, 0) == (rows(found), found.rows_read, found.table.rows)


def test_line_breaks_and_quotation_marks_inside_quotes_belong_to_the_cell(tmp_path: Path) -> None:
    """A cell may hold a whole address."""
    found = reading(tmp_path, 'a,b\r\n"x\r\ny, ""z""",2\r\n', contract(*text("a", "b")))
    assert [('x\r\ny, "z"', "2")] == rows(found)


def test_blank_and_double_headers_are_told_apart_by_position(tmp_path: Path) -> None:
    """Where names do not tell, places do."""
    columns = [
        {"name": "first", "header": "Town", "position": 1, "type": "text"},
        {"name": "second", "header": "Town", "position": 2, "type": "text"},
        {"name": "third", "header": "", "position": 3, "type": "text"},
    ]
    assert [("x", "y", "z")] == rows(reading(tmp_path, "Town,Town,\nx,y,z\n", contract(*columns)))


def test_a_double_header_without_positions_is_refused(tmp_path: Path) -> None:
    """ctnb does not choose one of two columns."""
    with pytest.raises(SourceInvalid, match="the header of town stands 2 times"):
        reading(tmp_path, "town,town\nx,y\n", contract(*text("town")))


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    """Headers say which column is which."""
    assert [("x", "y")] == rows(reading(tmp_path, " b ,a\ny,x\n", contract(*text("a", "b"))))


def test_an_unknown_header_is_told_by_place_and_shape(tmp_path: Path) -> None:
    """A header that the contract does not know may be a cell: a file without header, for instance."""
    with pytest.raises(SourceInvalid) as caught:
        reading(tmp_path, f"a,{CANARY}\n1,2\n", contract(*text("a", "b")))
    assert "Xanthippe" not in whole_story(caught.value)
    assert "Quill" not in whole_story(caught.value)
    assert_text("source-header", caught.value)


def test_many_problems_of_a_header_are_cut_short(tmp_path: Path) -> None:
    """A wrong file does not fill the screen."""
    with pytest.raises(SourceInvalid, match="and 13 more"):
        reading(tmp_path, ",".join(f"x{n}" for n in range(20)) + "\n", contract(*text("a")))


def test_a_header_may_be_left_out_on_purpose(tmp_path: Path) -> None:
    """ignore: names what is not wanted."""
    under = contract(*text("a"), source={"path": "a.csv", "ignore": ["Notes"]})
    assert [("x",)] == rows(reading(tmp_path, "a, Notes \nx,y\n", under))


def test_texts_that_mean_nothing_are_empty(tmp_path: Path) -> None:
    """nulls: are compared without blanks around them; an empty cell is always empty."""
    under = contract(*text("a"), source={"path": "a.csv", "nulls": ["NA", "-"]})
    found = reading(tmp_path, "a\nNA\n - \n\nna\n \n", under)
    assert [(None,), (None,), (None,), ("na",), (None,)] == rows(found)
    assert (1, 4, 0) == (found.columns[0].converted, found.columns[0].empty, found.columns[0].failed)


@pytest.mark.parametrize(
    ("name", "source", "more"),
    [
        ("a.tsv", "a\tb\nx,1\ty\n", {}),
        ("a.txt", "a\tb\nx,1\ty\n", {"format": "tsv"}),
        ("a.csv", "a;b\nx,1;y\n", {"delimiter": ";"}),
        ("a.csv", "a|b\nx,1|y\n", {"delimiter": "|"}),
    ],
)
def test_cells_may_be_separated_by_other_marks(tmp_path: Path, name: str, source: str, more: Any) -> None:
    """By the suffix, the format, or the delimiter."""
    under = contract(*text("a", "b"), source={"path": name, **more})
    assert [("x,1", "y")] == rows(reading(tmp_path, source, under, name))


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """A kind of file that ctnb does not know is not guessed at."""
    with pytest.raises(SourceInvalid, match=r"not known by its suffix .\.dbf."):
        reading(tmp_path, "a\n", contract(*text("a"), source={"path": "a.dbf"}), "a.dbf")


RAGGED = 'a,b\n1,2\n3\n4,5,6\n\n7,8,\n"9"x,10\n11,12\n'


def test_ragged_rows_become_rejects_and_the_others_are_kept(tmp_path: Path) -> None:
    """One row of another width does not lose its neighbours; empty cells beyond the header do not count."""
    found = reading(tmp_path, RAGGED, contract(*text("a", "b"), **ALL_REJECTED))
    assert [("1", "2"), ("7", "8"), ("9x", "10"), ("11", "12")] == rows(found)
    assert [(2, "", "too few cells"), (3, "", "too many cells")] == rejects(found)
    assert (6, 2) == (found.rows_read, found.rows_rejected)


def test_a_row_reads_the_same_beside_a_ragged_one(tmp_path: Path) -> None:
    """The second, slower reading takes blank lines and trailing delimiters as the first does."""
    for under, source in (
        (contract(*text("a"), **ALL_REJECTED), "a\nx\n\n1,\ny\n"),
        (contract(*text("a", "b"), **ALL_REJECTED), "a,b\nx,y\n\n1,2,,\n3,\n"),
    ):
        alone = rows(reading(tmp_path, source, under))
        beside = rows(reading(tmp_path, source + "1,2,3\n", under))
        assert alone == beside


def test_the_rejects_file_holds_the_originals_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """What was set aside can be looked at in the private work folder, and nowhere else."""
    columns = [{"name": "a", "type": "text"}, {"name": "n", "type": "integer"}]
    found = reading(tmp_path, f"a,n\nx,1\n{CANARY},two\n", contract(*columns, **ALL_REJECTED))
    assert found.rejects_path is not None
    line = pq.read_table(found.rejects_path).to_pylist()[0]
    assert (2, "n", "type integer") == (line["row"], line["column"], line["rule"])
    assert {"_row": 2, "c1": CANARY, "c2": "two"} == json.loads(line["original"])
    assert 0o600 == found.rejects_path.stat().st_mode & 0o777
    assert b"2" == pq.read_metadata(found.rejects_path).metadata[b"format"]


CONSTRAINTS = [
    ("required", {"type": "text", "constraints": {"required": True}}, ["x", " "], ["required"]),
    ("unique", {"type": "code", "constraints": {"unique": True}}, ["7", "8", " 7"], ["unique", "unique"]),
    ("unique null", {"type": "text", "constraints": {"unique": True}}, ["NULL", "NULL"], []),
    ("values", {"type": "code", "constraints": {"values": ["Y", "N"]}}, ["Y", "y"], ["values"]),
    ("values of a number", {"type": "money", "constraints": {"values": ["5.00"]}}, ["$5", "6"], ["values"]),
    (
        "values of a timestamp",
        {"type": "timestamp", "constraints": {"values": ["2020-01-01T00:00:00.000000"]}},
        ["2020-01-01 00:00", "2020-01-02 00:00"],
        ["values"],
    ),
    ("minimum", {"type": "integer", "constraints": {"minimum": 2}}, ["1", "2", "3"], ["minimum"]),
    ("maximum", {"type": "number", "constraints": {"maximum": 0.5}}, ["0.5", "0.500001"], ["maximum"]),
    ("pattern", {"type": "code", "constraints": {"pattern": "[0-9]{5}"}}, ["06103", "061034"], ["pattern"]),
    ("pattern of a date", {"type": "date", "constraints": {"pattern": "2020.*"}}, ["2020-01-01", "2021-01-01"],
     ["pattern"]),
    ("max_length", {"type": "text", "constraints": {"max_length": 2}}, ["éé", "abc"], ["max_length"]),
    ("type", {"type": "date", "format": "MM/DD/YYYY"}, ["1/2/2020", "13/1/2020"], ["type date"]),
    ("two rules", {"type": "code", "constraints": {"pattern": "x", "max_length": 1}}, ["yy"],
     ["pattern", "max_length"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "cells", "broken"), [c[1:] for c in CONSTRAINTS], ids=[c[0] for c in CONSTRAINTS]
)
def test_a_row_that_breaks_a_constraint_is_set_aside(
    tmp_path: Path, column: dict[str, Any], cells: list[str], broken: list[str]
) -> None:
    """Each constraint sets aside the rows that break it, names itself, and passes over empty cells."""
    under = contract(
        {"name": "a", **column},
        {"name": "b", "type": "text"},
        source={"path": "a.csv", "nulls": ["NULL"]},
        **ALL_REJECTED,
    )
    found = reading(tmp_path, "a,b\n" + "".join(f"{cell},x\n" for cell in cells), under)
    told = sorted(rule for _, _, rule in rejects(found)) if found.rows_rejected else []
    assert sorted(broken) == told
    assert found.table.rows + found.rows_rejected == found.rows_read == len(cells)


def test_more_rejects_than_allowed_end_the_run_with_counts_alone(tmp_path: Path) -> None:
    """The message names columns and rules, never a cell, and the rejects are kept."""
    columns = [{"name": "a", "type": "text"}, {"name": "n", "type": "integer"}]
    source = f"a,n\nx,1\n{CANARY},{CANARY}\n{CANARY}\n"
    with pytest.raises(TooManyRejects) as caught:
        reading(tmp_path, source, contract(*columns, rejects={"at_most_share": 0.5}))
    assert "Xanthippe" not in whole_story(caught.value)
    assert_text("too-many-rejects", caught.value)
    assert 2 == pq.read_table(tmp_path / "work" / "rejects.parquet").num_rows


def test_the_share_that_is_allowed_is_allowed(tmp_path: Path) -> None:
    """The limit itself is within the limit."""
    columns = [{"name": "n", "type": "integer"}]
    found = reading(tmp_path, "n\n1\nx\n", contract(*columns, rejects={"at_most_share": 0.5}))
    assert (RejectCount("n", "type integer", 1),) == found.rejects


def test_a_number_that_duckdb_would_cast_does_not_quote_a_cell(tmp_path: Path) -> None:
    """Everything that could fail over a cell is decided by the contract before a row is read."""
    columns = [{"name": "a", "type": "code", "constraints": {"pattern": "[A-Z]+", "max_length": 3}}]
    found = reading(tmp_path, f"a\n{CANARY}\nABC\n", contract(*columns, **ALL_REJECTED))
    assert [("ABC",)] == rows(found)


def test_to_delete_only_the_key_is_read(tmp_path: Path) -> None:
    """A one-column file of identifiers is enough, though the contract requires more."""
    columns = [
        {"name": "id", "type": "code"},
        {"name": "n", "type": "integer", "constraints": {"required": True}},
    ]
    found = reading(tmp_path, "id\n0007\n", contract(*columns, key=["id"], portal={"mode": "delete"}))
    assert [("0007",)] == rows(found)


def test_a_source_outside_the_project_is_refused(project: Project, tmp_path: Path) -> None:
    """A contract cannot read /etc."""
    path = project.notebooks / SLUG / "dataset.yml"
    path.write_text(DATASET_YML.replace("data/counts.csv", "/etc/passwd"), encoding="utf-8")
    with pytest.raises(SourceInvalid, match="outside the folders"):
        reading_files.read(datasets.dataset(SLUG, project.notebooks), tmp_path, [])


CELLS = st.text(st.sampled_from('xé1 ,"\n\r;\t'), max_size=5)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=6), st.booleans())
def test_every_record_is_kept_or_rejected(records: list[list[str]], ragged: bool) -> None:
    """What Python's csv module writes comes back cell by cell, and the sums close over ragged rows."""
    body = records if ragged else [[*record, "", ""][:2] for record in records]
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *body])
    with tempfile.TemporaryDirectory() as folder:
        found = reading(Path(folder), stream.getvalue(), contract(*text("a", "b"), **ALL_REJECTED))
        kept = rows(found)
    assert len(body) == found.rows_read == len(kept) + found.rows_rejected
    fits = [record for record in body if len(record) == 2 or (len(record) > 2 and not any(record[2:]))]
    assert [tuple(cell if cell.strip(" \t\r\n") else None for cell in record[:2]) for record in fits] == kept


@given(st.text(st.sampled_from('x1,"\n\r '), max_size=40))
def test_the_sums_close_over_any_text(body: str) -> None:
    """However odd the quoting, every record read is a row or a reject."""
    columns = [{"name": "a", "type": "text"}, {"name": "n", "type": "integer"}]
    with tempfile.TemporaryDirectory() as folder:
        found = reading(Path(folder), "a,n\n" + body, contract(*columns, **ALL_REJECTED))
    assert found.rows_read == found.table.rows + found.rows_rejected
    for column in found.columns:
        assert column.converted + column.empty + column.failed <= found.rows_read


def test_the_real_deaths_file_is_read_whole(real_data: Path, tmp_path: Path) -> None:
    """10,654 rows, 48 columns, no reject, under the contract that ships for the synthetic file."""
    dataset = datasets.dataset("overdose-deaths", Path(__file__).parent.parent / "notebooks")
    source = real_data / "accidental-drug-related-deaths-2012-2022.csv"
    found = reading_files.read(dataset, tmp_path, [], source=str(source))
    assert (10_654, 48, 0) == (found.table.rows, len(found.table.columns), found.rows_rejected)
    assert found.gathered.told
