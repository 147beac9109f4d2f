"""Workbooks: xlsx, xls, xlsb and ods, one sheet each, every cell as text."""

from __future__ import annotations

import datetime as dt
import io
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow.parquet as pq
import pytest
import reading_files
from biff12 import xlsb
from error_texts import whole_story
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from ctnb.datasets import Contract, Dataset
from ctnb.errors import SourceInvalid
from ctnb.proposals import proposing
from ctnb.reads import Reading
from ctnb.settings import Project
from ctnb.sources import workbook_files, workbooks
from ctnb.sources.opened import Asked
from ctnb.sources.workbook_shape import listed

CANARY = "Xanthippe Quill"


def contract(*columns: dict[str, Any], name: str = "a.xlsx", **source: Any) -> Contract:
    """A contract with `columns` over a workbook; rows may be rejected."""
    return Contract.model_validate(
        {
            "format": 1,
            "title": "A",
            "source": {"path": name, **source},
            "columns": columns,
            "rejects": {"at_most_share": 1},
        }
    )


def text(*headers: str) -> list[dict[str, Any]]:
    """Text columns with these headers."""
    return [{"name": f"x{n}", "header": header, "type": "text"} for n, header in enumerate(headers, 1)]


def book(*sheets: Sequence[Sequence[Any]]) -> openpyxl.Workbook:
    """A workbook with these sheets, of rows of cells."""
    made = openpyxl.Workbook()
    made.remove(made.active)
    for number, rows in enumerate(sheets, 1):
        sheet = made.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(list(row))
    return made


def saved(made: openpyxl.Workbook) -> bytes:
    """The bytes of a workbook."""
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def reading(folder: Path, source: openpyxl.Workbook | bytes, under: Contract) -> Reading:
    """What reading `source` gives."""
    dataset = Dataset("sample", folder / "notebooks" / "sample", under, "")
    work = folder / "work"
    dataset.folder.mkdir(parents=True, exist_ok=True)
    work.mkdir(exist_ok=True)
    content = source if isinstance(source, bytes) else saved(source)
    (dataset.folder / under.source.path).write_bytes(content)
    return reading_files.read(dataset, work, [])


def rows(found: Reading) -> list[tuple[Any, ...]]:
    """The rows of the table."""
    return [tuple(row.values()) for row in pq.read_table(found.table.path).to_pylist()]


def rejects(found: Reading) -> list[tuple[Any, ...]]:
    """Row, column and rule of each line of the rejects file."""
    assert found.rejects_path is not None
    return [(r["row"], r["column"], r["rule"]) for r in pq.read_table(found.rejects_path).to_pylist()]


CELLS = [
    (7, "7"),
    (7.0, "7"),
    (-0.0, "0"),
    (0.1, "0.1"),
    (1e-7, "0.0000001"),
    (1e20, "100000000000000000000"),
    (2**53, "9007199254740992"),
    (0.66, "0.66"),
    (True, "true"),
    (False, "false"),
    ("06103", "06103"),
    ("two\nlines", "two\nlines"),
    (" x", " x"),
    ("TRUE", "TRUE"),
    ("=not counted", "=not counted"),
    (dt.date(2020, 1, 2), "2020-01-02"),
    (dt.datetime(2020, 1, 2, 3, 4, 5), "2020-01-02 03:04:05"),
    (dt.datetime(2020, 1, 2, 3, 4, 5, 500_000), "2020-01-02 03:04:05.500"),
    (dt.time(3, 4, 5), "03:04:05"),
    (dt.date(1900, 1, 1), "1900-01-01"),
    (dt.date(1900, 3, 1), "1900-03-01"),
    (dt.date(9999, 12, 31), "9999-12-31"),
]


@pytest.mark.parametrize(("cell", "expected"), CELLS, ids=repr)
def test_a_cell_is_its_value_as_text(tmp_path: Path, cell: object, expected: str) -> None:
    """Whole numbers have no point, dates are ISO 8601, text is left as it is."""
    made = book([["h", "b"], [None, "x"]])
    made.active["A2"].value = cell
    if isinstance(cell, str):
        made.active["A2"].data_type = "s"
    assert [(expected, "x")] == rows(reading(tmp_path, made, contract(*text("h", "b"))))


@pytest.mark.parametrize("error", ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"])
def test_an_error_in_a_cell_is_not_an_empty_cell(tmp_path: Path, error: str) -> None:
    """A number that could not be computed is a reject, row for row."""
    made = book([["h", "n"], ["a", 1], ["b", error], ["c", 3]])
    made.active["B3"].data_type = "e"
    columns = [{"name": "h", "type": "text"}, {"name": "n", "type": "integer"}]
    found = reading(tmp_path, made, contract(*columns))
    assert [("a", 1), ("c", 3)] == rows(found)
    assert [(3, "n", "type integer")] == rejects(found)
    assert [("a", "1"), ("b", error), ("c", "3")] == rows(reading(tmp_path, made, contract(*text("h", "n"))))


def test_the_calendar_of_old_macs_is_read_right(tmp_path: Path) -> None:
    """Workbooks from 1904 on count days from another day."""
    made = book([["h"], [dt.date(2020, 1, 2)]])
    made.epoch = CALENDAR_MAC_1904
    made.active["A2"].value = dt.date(2020, 1, 2)
    assert [("2020-01-02",)] == rows(reading(tmp_path, made, contract(*text("h"))))


def test_a_cell_that_is_a_date_is_one_whatever_the_format(tmp_path: Path) -> None:
    """A column may hold real dates and dates as text; a time of day does not fit a date."""
    cells = [dt.date(2020, 1, 2), "01/03/2020", "2020-01-04", "4.1.2020", dt.datetime(2020, 1, 5, 6, 7)]
    columns = [{"name": "d", "type": "date", "format": "MM/DD/YYYY"}]
    found = reading(tmp_path, book([["d"], *[[cell] for cell in cells]]), contract(*columns))
    assert [(dt.date(2020, 1, day),) for day in (2, 3, 4)] == rows(found)
    assert [(5, "d", "type date"), (6, "d", "type date")] == rejects(found)


def test_a_timestamp_at_midnight_is_a_timestamp(tmp_path: Path) -> None:
    """Excel keeps no difference between a day and its first moment."""
    cells = [dt.datetime(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5, 120_000), "1/3/2020 04:05"]
    columns = [{"name": "t", "type": "timestamp", "format": "MM/DD/YYYY hh:mm"}]
    found = reading(tmp_path, book([["t"], *[[cell] for cell in cells]]), contract(*columns))
    assert [
        (dt.datetime(2020, 1, 2),),
        (dt.datetime(2020, 1, 2, 3, 4, 5, 120_000),),
        (dt.datetime(2020, 1, 3, 4, 5),),
    ] == rows(found)


REPORT = [
    ["Deaths by town"],
    ["Department of Examples", None, "2020"],
    [],
    ["Town", "Code", "Deaths"],
    ["Andover", "001", 1],
    [],
    ["Ansonia", "002", 2],
    ["Total", None, 3],
    [],
    ["Note: counts are preliminary."],
    ["* by place of residence"],
]


def test_titles_totals_and_footnotes_are_left_out_by_name(tmp_path: Path) -> None:
    """What people put around a table is counted, so that the account closes; blank rows are no rows."""
    found = reading(tmp_path, book(REPORT), contract(*text("Town", "Code", "Deaths")))
    assert [("Andover", "001", "1"), ("Ansonia", "002", "2")] == rows(found)
    assert {"title rows": 2, "totals": 1, "footnotes": 2} == dict(found.left_out)
    assert (7, 0) == (found.rows_read, found.rows_rejected)


def test_what_is_left_out_is_named_by_its_place_alone(tmp_path: Path) -> None:
    """A person finds the notes on the sheet; the record does not quote them."""
    path = tmp_path / "a.xlsx"
    path.write_bytes(saved(book(REPORT)))
    with duckdb.connect() as connection:
        found = workbooks.opener("xlsx")(path, Asked()).load(connection, tmp_path)
    assert {"title rows": [1, 2], "totals": [8], "footnotes": [10, 11]} == dict(found.left_out_at)
    assert found.notes == (
        "Left out as title rows: rows 1 and 2 of the sheet.",
        "Left out as totals: row 8 of the sheet.",
        "Left out as footnotes: rows 10 and 11 of the sheet.",
    )


def test_a_proposal_asks_for_the_notes_and_copies_none(project: Project) -> None:
    """They may name a person: who writes the description reads them on the sheet."""
    path = project.notebooks / "report.xlsx"
    path.write_bytes(saved(book([[f"Prepared by {CANARY}"], *REPORT])))
    made = proposing.propose(project, "report", str(path))
    asked = "Notes were left out: rows 1 to 3, 11 and 12 of the sheet. Do they belong into description:?"
    assert any(question.startswith(asked) for question in made.questions)
    assert CANARY not in made.path.read_text(encoding="utf-8") + repr(made)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([3], "row 3"),
        ([3, 4], "rows 3 and 4"),
        ([1, 2, 3, 9], "rows 1 to 3 and 9"),
        ([1, 3, 5, 6], "rows 1, 3, 5 and 6"),
        (list(range(1, 30, 2)), "rows 1, 3, 5, 7, 9, 11, 13, 15 and 7 more"),
    ],
)
def test_places_are_listed_as_people_write_them(numbers: list[int], text: str) -> None:
    """Runs are put together, and there are never more than a line of them."""
    assert text == listed(numbers)


def test_a_header_alone_is_a_table_of_no_rows(tmp_path: Path) -> None:
    """Nothing to report is a result."""
    found = reading(tmp_path, book([["h", "b"]]), contract(*text("h", "b")))
    assert ([], 0) == (rows(found), found.rows_read)


def test_many_rows_keep_their_order_and_their_numbers(tmp_path: Path) -> None:
    """A long sheet is read by several threads; a blank row in the middle counts for the numbers alone."""
    sheet = [["n"], *([number] for number in range(2, 30_000)), [], ["x"]]
    found = reading(tmp_path, book(sheet), contract({"name": "n", "type": "integer"}))
    assert [(number,) for number in range(2, 30_000)] == rows(found)
    assert [(30_001, "n", "type integer")] == rejects(found)


def test_a_rejected_row_is_told_by_its_row_on_the_sheet(tmp_path: Path) -> None:
    """Whoever mends it finds it there."""
    columns = [*text("Town", "Code"), {"name": "deaths", "header": "Deaths", "type": "boolean"}]
    found = reading(tmp_path, book(REPORT), contract(*columns))
    assert [("Andover", "001", True)] == rows(found)
    assert [(7, "deaths", "type boolean")] == rejects(found)


HEADERS = [
    ("spans two columns", [["Town", "Deaths", None], [None, 2019, 2020], ["a", 1, 2]],
     ["Town", "Deaths / 2019", "Deaths / 2020"], {}),
    ("groups above", [["A report"], [None, "Deaths", None], ["Town", "men", "women"], ["a", 1, 2]],
     ["Town", "Deaths / men", "Deaths / women"], {"title rows": 1}),
    ("a title above", [["A report"], ["Town", "men", "women"], ["a", 1, 2]], ["Town", "men", "women"],
     {"title rows": 1}),
    ("blank and double headers", [["Town", None, "Town"], ["a", 1, 2]], ["Town", "", "Town"], {}),
    ("an empty column between", [["Town", None, "men", "women"], ["a", None, 1, 2], ["b", None, 3, 4]],
     ["Town", "men", "women"], {}),
    ("a line break in a header", [["Town\nname", "men", "women"], ["a", 1, 2]],
     ["Town name", "men", "women"], {}),
    ("one column", [["Town"], ["a"], ["b"]], ["Town"], {}),
    ("not at A1", [[], [], [None, None, "Town", "men"], [None, None, "a", 1]], ["Town", "men"], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sheet", "headers", "left_out"), [h[1:] for h in HEADERS], ids=[h[0] for h in HEADERS]
)
def test_the_header_is_found(
    tmp_path: Path, sheet: list[list[Any]], headers: list[str], left_out: dict[str, int]
) -> None:
    """Among titles, over two rows, with blanks: the first row nearly as full as the fullest one."""
    columns = [{**column, "position": n} for n, column in enumerate(text(*headers), 1)]
    found = reading(tmp_path, book(sheet), contract(*columns))
    assert left_out == dict(found.left_out)
    assert "a" == rows(found)[0][0]
    assert tuple(headers) == tuple(workbooks.opener("xlsx")(found.gathered.snapshots[0].path, Asked()).header)


@pytest.mark.parametrize(
    ("header_row", "headers", "titles"), [(3, ["y", "2"], 2), ([2, 3], ["x / y", "1 / 2"], 1)]
)
def test_the_header_may_be_told(tmp_path: Path, header_row: Any, headers: list[str], titles: int) -> None:
    """By the sheet's row numbers, one row or two; what stands above is titles."""
    sheet = [["w", 0], ["x", 1], ["y", 2], ["z", 3]]
    found = reading(tmp_path, book(sheet), contract(*text(*headers), header_row=header_row))
    assert [("z", "3")] == rows(found)
    assert {"title rows": titles} == dict(found.left_out)


@pytest.mark.parametrize("header_row", [9, [2, 4], [3, 2]])
def test_a_header_that_is_not_there_is_refused(tmp_path: Path, header_row: Any) -> None:
    """The contract's row must be on the sheet."""
    with pytest.raises(SourceInvalid, match="have no header at"):
        reading(tmp_path, book([["a"], ["b"]]), contract(*text("a"), header_row=header_row))


TAILS = [
    ("a lone cell right below may be data", [["c", None]], 3, {}),
    ("a lone cell apart is a note", [[], ["Provisional"]], 2, {"footnotes": 1}),
    ("a mark makes a note", [["* provisional"], ["Source: a register"]], 2, {"footnotes": 2}),
    ("totals", [["Subtotal", 3], ["Grand Total:", 3]], 2, {"totals": 2}),
    ("a total in the middle is data", [["Total", 3], ["c", 4]], 4, {}),
    ("a town that begins like a total", [["Totally", 3]], 3, {}),
]  # fmt: skip


@pytest.mark.parametrize(("tail", "kept", "left_out"), [t[1:] for t in TAILS], ids=[t[0] for t in TAILS])
def test_only_what_is_surely_no_row_is_left_out(
    tmp_path: Path, tail: list[list[Any]], kept: int, left_out: dict[str, int]
) -> None:
    """What is not recognised stays a row, for the contract to judge."""
    found = reading(tmp_path, book([["Town", "n"], ["a", 1], ["b", 2], *tail]), contract(*text("Town", "n")))
    assert (kept, left_out) == (found.table.rows, dict(found.left_out))
    assert found.rows_read == kept + sum(left_out.values())


def test_a_sheet_is_never_chosen_in_silence(tmp_path: Path) -> None:
    """Two visible sheets with rows: the contract must say which, and no name of a sheet is told."""
    made = book([["h"], ["first"]], [["h"], ["second"]])
    made.create_sheet("blank")
    made.worksheets[0].title = CANARY
    with pytest.raises(SourceInvalid, match="2 visible sheets with rows, of 3 sheets") as caught:
        reading(tmp_path, made, contract(*text("h")))
    assert CANARY not in whole_story(caught.value)
    assert [("second",)] == rows(reading(tmp_path, made, contract(*text("h"), sheet=2)))
    assert [("first",)] == rows(reading(tmp_path, made, contract(*text("h"), sheet=CANARY)))


@pytest.mark.parametrize("sheet", [3, "Sheet", "2"])
def test_a_sheet_that_is_not_there_is_refused(tmp_path: Path, sheet: Any) -> None:
    """By name, exactly; by number, from 1."""
    made = book([["h"], ["x"]], [["h"], ["y"]])
    made.worksheets[0].title = CANARY
    with pytest.raises(SourceInvalid, match="none that is") as caught:
        reading(tmp_path, made, contract(*text("h"), sheet=sheet))
    assert CANARY not in whole_story(caught.value)


def test_hidden_sheets_are_told_and_not_read(tmp_path: Path) -> None:
    """A hidden look-up list does not make a workbook ambiguous."""
    made = book([["h"], ["shown"]], [["h"], ["hidden"]], [["h"], ["very hidden"]])
    made.worksheets[1].sheet_state, made.worksheets[2].sheet_state = "hidden", "veryHidden"
    path = tmp_path / "a.xlsx"
    path.write_bytes(saved(made))
    opened = workbooks.opener("xlsx")
    assert ("Hidden, with rows, and not read: sheets 2 and 3.",) == opened(path, Asked()).notes
    assert ("Hidden, and not read: sheets 2 and 3.",) == opened(path, Asked(sheet=1)).notes
    told = ("Hidden, and read because dataset.yml says so: sheet 2.", "Hidden, and not read: sheet 3.")
    assert told == opened(path, Asked(sheet="Sheet 2")).notes
    assert [("shown",)] == rows(reading(tmp_path, made, contract(*text("h"))))


def test_a_merged_cell_has_its_value_once(tmp_path: Path) -> None:
    """The cells that Excel shows as one are empty but the first: nothing is filled in unasked."""
    made = book([["Town", "n"], ["a", 1], [None, 2]])
    made.active.merge_cells("A2:A3")
    assert [("a", "1"), (None, "2")] == rows(reading(tmp_path, made, contract(*text("Town", "n"))))


def damaged(content: bytes, part: str) -> bytes:
    """The workbook `content` with half of `part` gone."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[: len(old.read(name)) // 2] if name == part else old.read(name))
    return made.getvalue()


PLAIN = saved(book([["h"], [CANARY]]))
FAR = book([["h"], ["x"]])
FAR.active["XFD1048576"] = 1
COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)
ENCRYPTED = io.BytesIO()
with zipfile.ZipFile(ENCRYPTED, "w") as _archive:
    _archive.writestr("content.xml", "x")
    _archive.writestr("META-INF/manifest.xml", "<manifest:encryption-data/>")

BAD = [
    ("text", "a.xlsx", f"<html>{CANARY}".encode(), "no workbook: perhaps a web page"),
    ("text as xls", "a.xls", f"h\n{CANARY}".encode(), "no workbook: perhaps a web page"),
    ("cut short", "a.xlsx", PLAIN[:2000], "is damaged"),
    ("a torn sheet", "a.xlsx", damaged(PLAIN, "xl/worksheets/sheet1.xml"), "is damaged"),
    ("a torn list of sheets", "a.xlsx", damaged(PLAIN, "xl/workbook.xml"), "is damaged"),
    ("a password", "a.xlsx", COMPOUND + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
    ("a password of ods", "a.ods", ENCRYPTED.getvalue(), "protected by a password"),
    ("xls as xlsx", "a.xlsx", COMPOUND, r"not xlsx: it is an old workbook"),
    ("xlsx as ods", "a.ods", PLAIN, r"not ods: it is a workbook of kind xlsx"),
    ("a damaged xls", "a.xls", COMPOUND, "is damaged"),
    ("no cell", "a.xlsx", saved(openpyxl.Workbook()), "0 visible sheets with rows"),
    ("a far cell", "a.xlsx", saved(FAR), "reaches to row 1,048,576 and column 16,384"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "told"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_is_no_readable_workbook_is_refused(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    """One clear message each, which quotes nothing."""
    with pytest.raises(SourceInvalid, match=told) as caught:
        reading(tmp_path, content, contract(*text("h"), name=name))
    assert CANARY not in whole_story(caught.value)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive says how large its members are."""
    monkeypatch.setattr(workbook_files, "INFLATED_BYTES", 1 << 20)
    made = io.BytesIO(PLAIN)
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/image1.png", bytes(2 << 20))
    with pytest.raises(SourceInvalid, match="unpacks to 2 MB"):
        reading(tmp_path, made.getvalue(), contract(*text("h")))


def test_an_old_xls_is_read(tmp_path: Path) -> None:
    """Titles, texts with zeros, dates and errors come out as from xlsx. The file was made with xlwt."""
    content = (Path(__file__).parent / "vectors" / "types.xls").read_bytes()
    found = reading(tmp_path, content, contract(*text("code", "n", "d", "t", "ok"), name="a.xls"))
    assert [
        ("007", "7", "2020-01-02", "2020-01-02 03:04:05", "true"),
        ("06103", "1.5", "1999-12-31", "1999-12-31 23:59:59", "false"),
        ("x", "#N/A", None, None, None),
    ] == rows(found)
    assert {"title rows": 1} == dict(found.left_out)


NAMES = "".join(
    f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "table", "text")
)
ODS_CELLS = [
    ('office:value-type="string"><text:p>007</text:p>', "007"),
    ('office:value-type="float" office:value="7"><text:p>7.00</text:p>', "7"),
    ('office:value-type="percentage" office:value="0.66"><text:p>66 %</text:p>', "0.66"),
    ('office:value-type="currency" office:value="12.5"><text:p>$12.50</text:p>', "12.5"),
    ('office:value-type="date" office:date-value="2020-01-02"><text:p>1/2/20</text:p>', "2020-01-02"),
    ('office:value-type="boolean" office:boolean-value="true"><text:p>TRUE</text:p>', "true"),
    ('office:value-type="time" office:time-value="PT03H04M05S"><text:p>03:04</text:p>', "PT03H04M05S"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "expected"), ODS_CELLS)
def test_an_ods_is_read(tmp_path: Path, cell: str, expected: str) -> None:
    """OpenDocument keeps the value beside what is shown; the value counts."""
    header = 'office:value-type="string"><text:p>h</text:p>'
    body = "".join(f"<table:table-row><table:table-cell {one}</table:table-cell></table:table-row>"
                   for one in (header, cell))  # fmt: skip
    sheet = f'<table:table table:name="A">{body}</table:table>'
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", f"<office:document-content{NAMES}><office:body><office:spreadsheet>"
                         f"{sheet}</office:spreadsheet></office:body></office:document-content>")  # fmt: skip
    assert [(expected,)] == rows(reading(tmp_path, made.getvalue(), contract(*text("h"), name="a.ods")))


def test_a_binary_workbook_is_read_like_the_others(tmp_path: Path) -> None:
    """Text, numbers, truth and blanks of an xlsb, beneath a title; a hidden sheet is told."""
    sheet = [["Deaths by town"], [], ["Town", "Code", "Deaths", "Final"],
             ["Andover", "001", 1.0, True], ["Ansonia é", None, 0.1, False]]  # fmt: skip
    content = xlsb(sheet, [["h"], ["x"]], hidden=[2])
    under = contract(*text("Town", "Code", "Deaths", "Final"), name="a.xlsb")
    found = reading(tmp_path, content, under)
    assert [("Andover", "001", "1", "true"), ("Ansonia é", None, "0.1", "false")] == rows(found)
    assert {"title rows": 1} == dict(found.left_out)
    path = tmp_path / "a.xlsb"
    path.write_bytes(content)
    opened = workbooks.opener("xlsb")
    assert ("Hidden, with rows, and not read: sheet 2.",) == opened(path, Asked()).notes


def test_a_damaged_binary_workbook_is_refused_or_read(tmp_path: Path) -> None:
    """Other bytes in its records are an error of ours, or other cells; never a traceback."""
    parts: dict[str, bytes] = {}
    with zipfile.ZipFile(
        io.BytesIO(xlsb([["Town", "n"], *[[CANARY, float(n)] for n in range(30)]]))
    ) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    chance, outcomes = random.Random(5), set()
    for _ in range(60):
        name = chance.choice(["xl/workbook.bin", "xl/worksheets/sheet1.bin"])
        content = bytearray(parts[name])
        for _ in range(chance.randrange(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path = tmp_path / "a.xlsb"
        with zipfile.ZipFile(path, "w") as archive:
            for one, whole in parts.items():
                archive.writestr(one, bytes(content) if one == name else whole)
        try:
            with duckdb.connect() as connection:
                workbooks.opener("xlsb")(path, Asked()).load(connection, tmp_path)
        except SourceInvalid as error:
            outcomes.add("refused")
            assert CANARY not in str(error)
        else:
            outcomes.add("read")
    assert {"refused", "read"} == outcomes
