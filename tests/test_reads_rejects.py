"""The private file of what did not fit: read again, exported to be mended, and of an older format."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_reads import ALL_REJECTED, contract, reading, rejects, rows, text
from test_reads_several import parts, union

from ctnb import reads
from ctnb.datasets import Contract, Dataset
from ctnb.errors import RecordBroken, SourceInvalid, UsageError
from ctnb.places.fetched import Fetched
from ctnb.places.fetching import Gathered
from ctnb.reads import Reading, exports, lines, replayed
from ctnb.snapshots import Snapshot, Writer

DAYS = [{"name": "day", "type": "date", "format": "MM/DD/YYYY"}, {"name": "n", "type": "integer"}]


def replay(found: Reading, folder: Path, under: Contract) -> Reading:
    """What reading the rejects of `found` again gives."""
    assert found.rejects_path is not None
    work = folder / "again"
    work.mkdir()
    with Writer(work, "rejected-rows") as writer:
        writer.write(found.rejects_path.read_bytes())
        taken = writer.done()
    dataset = Dataset("sample", folder, under, "")
    return reads.read(dataset, Gathered((Fetched((taken,), format=replayed.FORMAT),)), work, run="later")


def workbook(*records: list[Any]) -> bytes:
    """A workbook of these rows."""
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for record in records:
        book.active.append(record)
    book.save(stream)
    return stream.getvalue()


def test_rejects_are_read_again_each_under_its_file_s_header_and_settings(tmp_path: Path) -> None:
    """A workbook's dates stay dates, a part's nulls stay nulls, empty cells stay empty."""
    source = parts({"path": "a.xlsx", "ignore": ["x"]}, {"path": "b.csv", "nulls": ["-"]})
    files: dict[str, str | bytes] = {
        "a.xlsx": workbook(["x", "day", "n"], ["p", date(2020, 2, 1), "many"], [None, date(2020, 2, 2), 5]),
        "b.csv": "n,day\nmany,-\n7,3/1/2020\nmany,3/2/2020\n1,2,3\n",
    }
    first = union(tmp_path, files, contract(*DAYS, source=source, **ALL_REJECTED))
    assert (4, 2) == (first.rows_rejected, first.table.rows)
    mended = [DAYS[0], {"name": "n", "type": "text"}]
    again = replay(first, tmp_path, contract(*mended, source=source, **ALL_REJECTED))
    assert [(date(2020, 2, 1), "many"), (None, "many"), (date(2020, 3, 2), "many")] == rows(again)
    assert (4, 1) == (again.rows_read, again.rows_rejected)
    assert [(4, "", "too many cells")] == rejects(again)
    assert again.rejects_path is not None
    assert [("b.csv", "later")] == [(one.file, one.run) for one in lines.load_lines(again.rejects_path)]


def test_emptied_cells_are_not_read_again(tmp_path: Path) -> None:
    """Their rows went on."""
    said = {"policy": "null the cell", "nulled_at_most_share": 1.0, "at_most_share": 1.0}
    columns = [
        {"name": "a", "type": "code", "constraints": {"required": True}},
        {"name": "n", "type": "integer"},
    ]
    found = reading(tmp_path, "a,n\nx,many\n,few\n", contract(*columns, rejects=said))
    again = replay(found, tmp_path, contract(*columns, rejects=said))
    assert (1, 1) == (again.rows_read, again.rows_rejected)


def test_a_new_reading_takes_the_rejects_of_an_older_one_away(tmp_path: Path) -> None:
    """In a draft the same folder is read into again."""
    under = contract({"name": "n", "type": "integer"}, **ALL_REJECTED)
    first = reading(tmp_path, "n\nx\n", under)
    assert first.rejects_path is not None
    reading(tmp_path, "n\n1\n", under)
    assert not first.rejects_path.exists()


def older(folder: Path) -> Path:
    """A rejects file as format 1 was."""
    said = {
        "row": pa.array([2, 3], pa.int64()), "column": ["n", ""], "rule": ["type integer", "too many cells"],
        "original": [json.dumps({"_row": 2, "c1": "=x", "c2": None}), json.dumps(["1", "2", "3"])],
    }  # fmt: skip
    path = folder / "older.parquet"
    pq.write_table(pa.table(said).replace_schema_metadata({"format": "1"}), path)
    return path


def exported(rejected: Path, target: Path) -> list[list[str]]:
    """The rows of the CSV file that is written for a person."""
    exports.write_originals(rejected, target, never_below=target.parent / "runs")
    with target.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_a_file_of_the_first_format_is_listed_and_exported_still(tmp_path: Path) -> None:
    """It has no headers, so columns are called by their places; it cannot be read again."""
    path = older(tmp_path)
    told = [(one.row, one.file, one.rule, one.done) for one in lines.load_lines(path)]
    assert [(2, "", "type integer", "set aside"), (3, "", "too many cells", "set aside")] == told
    assert [
        ["ctnb_file", "ctnb_row", "ctnb_rules", "column 1", "column 2", "column 3"],
        ["", "2", "n: type integer", "'=x", "", ""],
        ["", "3", "too many cells", "1", "2", "3"],
    ] == exported(path, tmp_path / "out.csv")
    taken = Snapshot(path, path.name, 1, "", told=False)
    dataset = Dataset("sample", tmp_path, contract(*text("a")), "")
    with pytest.raises(SourceInvalid, match="do not say which headers"):
        reads.read(dataset, Gathered((Fetched((taken,), format=replayed.FORMAT),)), tmp_path)


def test_an_export_holds_every_header_and_no_formula(tmp_path: Path) -> None:
    """Files of other columns stand in one table; what a spreadsheet would compute is text; a long row stays long."""
    files = {"a.csv": 'a,b\n"=1+1",x\n1,2,@3\n', "b.csv": 'b,note,a\n"\t+",-5,@x\n'}
    source = parts("a.csv", {"path": "b.csv", "ignore": ["note"]})
    columns = [{"name": name, "type": "integer"} for name in ("a", "b")]
    found = union(tmp_path, files, contract(*columns, source=source, **ALL_REJECTED))
    assert found.rejects_path is not None
    assert [
        ["ctnb_file", "ctnb_row", "ctnb_rules", "a", "b", "note"],
        ["a.csv", "1", "a: type integer; b: type integer", "'=1+1", "x", ""],
        ["a.csv", "2", "too many cells", "1", "2", "", "'@3"],
        ["b.csv", "1", "a: type integer; b: type integer", "'@x", "'\t+", "'-5"],
    ] == exported(found.rejects_path, tmp_path / "out.csv")


def test_originals_go_neither_into_records_nor_over_a_file(tmp_path: Path) -> None:
    """runs/ is handed to reviewers; a link into it does not help, and no file is lost."""
    path, runs = older(tmp_path), tmp_path / "runs"
    runs.mkdir()
    (tmp_path / "link").symlink_to(runs)
    for target in (runs / "x.csv", tmp_path / "link" / "x.csv", path, tmp_path / "nowhere" / "x.csv"):
        with pytest.raises(UsageError):
            exports.write_originals(path, target, never_below=runs)
    assert [] == list(runs.iterdir())


def test_what_is_no_rejects_file_is_refused(tmp_path: Path) -> None:
    """A damaged file is an error with a hint, not a traceback."""
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordBroken, match="not a file of rejects"):
        lines.load_lines(tmp_path / "x.parquet")
