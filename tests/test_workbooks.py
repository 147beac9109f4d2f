"""Workbooks: xlsx, xls, xlsb and ods, one sheet each, every cell as text."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from ctnb import reads
from ctnb.datasets import Contract, Dataset
from ctnb.reads import Reading

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
    return reads.read(dataset, work, [])


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


def test_a_rejected_row_is_told_by_its_row_on_the_sheet(tmp_path: Path) -> None:
    """Whoever mends it finds it there."""
    columns = [*text("Town", "Code"), {"name": "deaths", "header": "Deaths", "type": "boolean"}]
    found = reading(tmp_path, book(REPORT), contract(*columns))
    assert [("Andover", "001", True)] == rows(found)
    assert [(7, "deaths", "type boolean")] == rejects(found)
