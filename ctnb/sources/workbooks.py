"""
Workbooks: xlsx, xls, xlsb and ods, one sheet each, every cell as text.

fastexcel gives the cells as text straight to Arrow. A cell's text is its value, not what its format shows:
numbers in their shortest exact form, dates in ISO 8601, truth as true and false, errors as #N/A and the like,
which no type but text takes. Macros, links to other files and formulas are not run: a formula's value is
the one stored with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb.errors import SourceInvalid
from ctnb.sources import workbook_files
from ctnb.sources.opened import Asked, Loaded
from ctnb.sources.workbook_shape import HeaderPlace, Row, find_footer, find_header, join_header, listed
from ctnb.values import quote_text

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

HEAD_ROWS = 60
"""Rows among which a header is looked for, counted from the first that is not blank."""
TAIL_ROWS = 60
"""Rows among which totals and footnotes are looked for."""
BATCH_ROWS = 20_480
"""Rows that one thread of DuckDB takes at a time."""

_ERRORS = {
    "Div0": "#DIV/0!", "NA": "#N/A", "Name": "#NAME?", "Null": "#NULL!", "Num": "#NUM!", "Ref": "#REF!",
    "Value": "#VALUE!", "GettingData": "#GETTING_DATA",
}  # fmt: skip
_MIDNIGHT = " 00:00:00"
_DAY_ZERO = "1899-12-31 "


@dataclass(frozen=True)
class Workbook:
    """One sheet of a workbook, its header found."""

    sheet: pa.Table = field(repr=False)
    """All cells as text; row 0 is the sheet's first row. Columns without header and cells are gone."""
    place: HeaderPlace
    """Where the header stands."""
    header: tuple[str, ...] = field(repr=False)
    """The header's cells; a header of two rows is joined, e.g. `Deaths / 2019`."""
    notes: tuple[str, ...] = ()
    """What a reader of the record should know of the workbook."""
    encoding: str = ""
    """Empty: workbooks say themselves how text is encoded."""

    def load(self, connection: duckdb.DuckDBPyConnection, work: Path) -> Loaded:
        """
        Bring the records into `connection` as `numbered`; see `Opened.load`.

        `_row` is the row on the sheet. Blank rows are no records.
        """
        names = [f"c{place}" for place in range(1, len(self.header) + 1)]
        self._load_filled(connection, names)
        rows = connection.execute("SELECT count(*) FROM filled").fetchall()[0][0]
        tail = connection.execute(
            f"SELECT * FROM filled WHERE rowid >= {rows - TAIL_ROWS} ORDER BY _row"
        ).fetchall()
        footer = find_footer([(row[0], row[1:]) for row in tail], len(names))
        end = min(footer, default=None)
        ends = "" if end is None else f" WHERE _row < {end}"
        connection.execute(f"CREATE VIEW numbered AS SELECT * FROM filled{ends}")
        at = {"title rows": self._title_rows()}
        for rule in ("totals", "footnotes"):
            at[rule] = sorted(row for row, found in footer.items() if found == rule)
        at = {rule: rows for rule, rows in at.items() if rows}
        notes = (f"Left out as {rule}: {listed(rows)} of the sheet." for rule, rows in at.items())
        return Loaded(
            left_out={rule: len(rows) for rule, rows in at.items()}, left_out_at=at, typed_dates=True,
            notes=(*self.notes, *notes),
        )  # fmt: skip

    def _load_filled(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> None:
        """The table `filled`: the rows below the header that are not blank, with their rows on the sheet."""
        import pyarrow as pa

        body = self.sheet.slice(self.place.last + 1)
        first = self.place.last + 2
        numbers = pa.array(range(first, first + body.num_rows), pa.int64())
        whole = body.append_column("_row", numbers)
        batches = pa.Table.from_batches(whole.to_batches(max_chunksize=BATCH_ROWS), whole.schema)
        connection.register("sheet", batches)
        cells = ", ".join(_cell(body.column(place)).format(name) for place, name in enumerate(names))
        blank = " AND ".join(f"coalesce(trim({name}, ' \t\r\n'), '') = ''" for name in names)
        connection.execute(f"CREATE TABLE filled AS SELECT _row, {cells} FROM sheet WHERE NOT ({blank})")
        connection.unregister("sheet")

    def _title_rows(self) -> list[int]:
        above = self.sheet.slice(0, self.place.first)
        return [n for n, row in enumerate(_rows(above), 1) if any((cell or "").strip() for cell in row)]


def opener(kind: str) -> Callable[[Path, Asked], Workbook]:
    """What opens workbooks of `kind`: xlsx, xls, xlsb or ods."""

    def opened(path: Path, asked: Asked) -> Workbook:
        workbook_files.check(path, kind)
        return _opened(path, asked)

    return opened


def _opened(path: Path, asked: Asked) -> Workbook:
    reader = _trying(lambda: _fastexcel().read_excel(path.read_bytes()))
    sheet, notes = _chosen(reader, asked.sheet, path)
    table = _texts(sheet)
    place = _header_place(table, asked.header_row)
    table = _without_empty_columns(table, place)
    header = join_header(_rows(table.slice(place.first, place.last - place.first + 1)))
    return Workbook(table, place, header, notes)


def _chosen(reader: Any, wanted: str | int | None, path: Path) -> tuple[Any, tuple[str, ...]]:
    """The sheet that is `wanted`, or the only visible one with rows. Raises SourceInvalid."""
    names = reader.sheet_names
    if wanted is not None:
        place = _place(names, wanted)
        return _loaded(reader, place), _hidden_notes(workbook_files.hidden_sheets(path), place + 1)
    sheets = [(place, _loaded(reader, place)) for place in range(len(names))]
    filled = [(place, sheet) for place, sheet in sheets if sheet.height]
    visible = [sheet for _, sheet in filled if sheet.visible == "visible"]
    if len(visible) != 1:
        raise SourceInvalid(
            f"The workbook has {len(visible)} visible sheets with rows, of {len(names)} sheets.",
            hint="Say which: source: sheet: in dataset.yml, its name or its number from 1.",
        )
    hidden = [place + 1 for place, sheet in filled if sheet.visible != "visible"]
    return visible[0], (f"Hidden, with rows, and not read: {listed(hidden, 'sheet')}.",) if hidden else ()


def _hidden_notes(hidden: Sequence[int], read: int) -> tuple[str, ...]:
    """What to say of the `hidden` sheets where a person chose the sheet number `read`."""
    others = [place for place in hidden if place != read]
    notes = [f"Hidden, and read because dataset.yml says so: sheet {read}."] if read in hidden else []
    return (*notes, *([f"Hidden, and not read: {listed(others, 'sheet')}."] if others else []))


def _place(names: list[str], wanted: str | int) -> int:
    if isinstance(wanted, int) and wanted <= len(names):
        return wanted - 1
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    raise SourceInvalid(
        f"The workbook's {len(names)} sheets have none that is {wanted!r}, as dataset.yml says.",
        hint="Correct source: sheet:. A number counts from 1, hidden sheets too; a name is written exactly, "
        "in quotation marks where it looks like a number.",
    )


def _loaded(reader: Any, place: int) -> Any:
    return _trying(lambda: reader.load_sheet(place, header_row=None, skip_rows=0, dtypes="string"))


def _texts(sheet: Any) -> pa.Table:
    """The cells of `sheet` as text; what fastexcel has no text for, errors above all, gets one here."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    batch, troubles = _trying(sheet.to_arrow_with_errors)
    columns = [column.cast(pa.string()) for column in batch.columns]
    places: dict[int, list[tuple[int, str]]] = {}
    for error in troubles.errors if troubles else ():
        row, column = error.offset_position
        places.setdefault(column, []).append((row, _told(error.detail)))
    for column, cells in places.items():
        mask = np.zeros(batch.num_rows, dtype=bool)
        mask[[row for row, _ in cells]] = True
        columns[column] = pc.replace_with_mask(
            columns[column], pa.array(mask), pa.array([text for _, text in sorted(cells)], pa.string())
        )
    return pa.table(columns, names=[f"c{place}" for place in range(1, len(columns) + 1)])


def _told(detail: str) -> str:
    """The text of a cell from fastexcel's words on why it has none, e.g. `... but got 'Error(NA)'`."""
    if found := re.search(r"got 'Error\((\w+)\)", detail):
        return _ERRORS.get(found[1], "#ERROR!")
    if found := re.search(r"Iso\(\"(.*)\"\)", detail):
        return found[1]
    if found := re.search(r"value: (-?[0-9.e+-]+)", detail):
        return found[1]  # a date beyond the calendar: Excel shows ####
    return "#ERROR!"


def _header_place(table: pa.Table, wanted: int | tuple[int, int] | None) -> HeaderPlace:
    if wanted is not None:
        first, last = (wanted, wanted) if isinstance(wanted, int) else wanted
        if first > last or last - first > 1 or last > table.num_rows:
            raise SourceInvalid(
                f"The sheet's {table.num_rows:,} rows have no header at {wanted}, as dataset.yml says.",
                hint="Correct source: header_row: a row of the sheet from 1, or two that follow one another.",
            )
        return HeaderPlace(first - 1, last - 1)
    start = _first_filled(table)
    found = find_header(_rows(table.slice(start, HEAD_ROWS)))
    if found is None:
        raise SourceInvalid(
            "The sheet has no header row: all its cells are blank.", hint="Choose another sheet."
        )
    return HeaderPlace(found.first + start, found.last + start)


def _first_filled(table: pa.Table) -> int:
    for start in range(0, table.num_rows, HEAD_ROWS):
        for place, row in enumerate(_rows(table.slice(start, HEAD_ROWS))):
            if any((cell or "").strip() for cell in row):
                return start + place
    return 0


def _without_empty_columns(table: pa.Table, place: HeaderPlace) -> pa.Table:
    below = table.slice(place.first)
    kept = [i for i, column in enumerate(below.columns) if column.null_count < below.num_rows]
    return table.select(kept).rename_columns([f"c{n}" for n in range(1, len(kept) + 1)])


def _cell(column: pa.ChunkedArray) -> str:
    """SQL, with {} for the name, for the text of cells that fastexcel writes as whole timestamps."""
    import pyarrow.compute as pc

    cases = ""
    if pc.any(pc.ends_with(column, _MIDNIGHT)).as_py():
        cases += (
            " WHEN regexp_full_match({0}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} 00:00:00') THEN left({0}, 10)"
        )
    if pc.any(pc.starts_with(column, _DAY_ZERO)).as_py():
        cases += f" WHEN starts_with({{0}}, {quote_text(_DAY_ZERO)}) THEN substr({{0}}, {len(_DAY_ZERO) + 1})"
    if pc.any(pc.equal(column, "-0")).as_py():
        cases += " WHEN {0} = '-0' THEN '0'"
    if not cases and not pc.any(pc.equal(column, "")).as_py():
        return "{0}"
    return f"CASE{cases} WHEN {{0}} <> '' THEN {{0}} END AS {{0}}"


def _rows(table: pa.Table) -> list[Row]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _trying(what: Callable[[], Any]) -> Any:
    """What `what` gives. Raises SourceInvalid in place of the reader's error, whose text may quote a cell."""
    try:
        return what()
    except _fastexcel().FastExcelError as error:
        locked = "password" in str(error).lower()
    except BaseException as error:  # a panic of the reader's is no Exception; anything else goes on
        if type(error).__name__ != "PanicException":
            raise
        locked = False
    raise workbook_files.locked() if locked else workbook_files.damaged()


def _fastexcel() -> Any:
    import fastexcel

    return fastexcel
