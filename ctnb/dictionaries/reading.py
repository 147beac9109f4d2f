"""
Data dictionaries that somebody wrote, read: which columns they name, with titles and descriptions.

A table of CSV or a workbook, a table in HTML or Markdown, or a Table Schema. The table's own headers say which of its
columns hold names, titles and descriptions.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from ctnb import tables
from ctnb.dictionaries.table_schemas import from_schema
from ctnb.dictionaries.writing import bare_cell
from ctnb.errors import SourceInvalid
from ctnb.sources import texts
from ctnb.sources.formats import SUFFIXES, open_source
from ctnb.sources.opened import Asked

SIZE_LIMIT_BYTES = 64 << 20
ROWS_LIMIT = 20_000

_NAMES = (
    "name", "field", "field name", "column", "column name", "variable", "variable name", "api field name",
    "api name", "attribute", "attribute name", "header",
)  # fmt: skip
_TITLES = ("title", "label", "display name", "column title", "field title", "variable label", "alias")
_DESCRIPTIONS = (
    "description", "column description", "field description", "definition", "meaning", "explanation",
    "data element definition", "variable description",
)  # fmt: skip

_DELIMITED = (".csv", ".txt", ".tsv", ".tab")

Row = tuple[int, Sequence[str]]
"""Where a row stands in the file, from 1, and its cells."""


@dataclass(frozen=True)
class Said:
    """What a dictionary says of one column."""

    place: int
    """Its row in the file, or its field's number, from 1."""
    name: str
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class Read:
    """A dictionary that was read."""

    said: tuple[Said, ...]
    what: str
    """What its places count: row or field."""
    notes: tuple[str, ...] = ()
    """What was left out of it, by place."""


def read(path: Path, work: Path, *, sheet: str | int | None = None) -> Read:
    """
    The dictionary in the file `path`; `work` is a private folder for copies.

    Raises SourceInvalid when it is none that can be read, or its columns are not known by their headers.
    """
    if not path.is_file():
        raise SourceInvalid(f"The file {path.name} is not there.", hint="Give the path of a data dictionary.")
    if path.stat().st_size > SIZE_LIMIT_BYTES:
        raise SourceInvalid(f"The file is larger than {SIZE_LIMIT_BYTES >> 20} MB: it is no dictionary.")
    copy = work / f"dictionary{path.suffix.lower()}"
    shutil.copyfile(path, copy)
    suffix = copy.suffix
    if suffix == ".json":
        return _of_schema(copy)
    if suffix in (".html", ".htm", ".md", ".markdown"):
        text = texts.as_utf8(copy, "auto").path.read_text(encoding="utf-8-sig")
        found = _html_rows(text) if suffix.startswith(".htm") else _markdown_rows(text)
        return Read(tuple(_said(found, str)), "row")
    if suffix in SUFFIXES and suffix not in (".json", ".jsonl", ".geojson"):
        return _of_table(copy, work, sheet)
    raise SourceInvalid(
        f"A data dictionary is not read from a file with the suffix '{path.suffix}'.",
        hint="CSV, XLSX, HTML, Markdown and Table Schema (.json) are.",
    )


def _of_table(path: Path, work: Path, sheet: str | int | None) -> Read:
    opened = open_source(path, path.name, Asked(sheet=_sheet(path, sheet)))
    with tables.connect(work) as connection:
        loaded = opened.load(connection, work)
        found = connection.execute(f"SELECT * FROM numbered ORDER BY _row LIMIT {ROWS_LIMIT + 1}").fetchall()
    if len(found) > ROWS_LIMIT:
        raise SourceInvalid(f"The file has more than {ROWS_LIMIT:,} rows: it is no dictionary.")
    at_sheet = path.suffix not in _DELIMITED
    rows: list[Row] = [(0, opened.header)]
    rows += [(number if at_sheet else number + 1, [cell or "" for cell in cells]) for number, *cells in found]
    notes = [
        f"{misfit.rule.capitalize()} in row {misfit.row + 1}: left out." for misfit in loaded.misfits[:20]
    ]
    return Read(tuple(_said(rows, str if at_sheet else bare_cell)), "row", (*notes, *loaded.notes))


def _sheet(path: Path, wanted: str | int | None) -> str | int | None:
    """The sheet that is wanted; of a workbook as ctnb writes it the one called Columns."""
    if wanted is not None or path.suffix not in (".xlsx", ".xlsm"):
        return wanted
    import fastexcel

    try:
        names = fastexcel.read_excel(path.read_bytes()).sheet_names
    except fastexcel.FastExcelError:
        return None  # opening it says what is wrong
    return "Columns" if names == ["Columns", "Dataset"] else None


def _of_schema(path: Path) -> Read:
    try:
        given = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        given = None
    if given is None:
        raise SourceInvalid("The file is no JSON.", hint="A Table Schema is a JSON file.")
    schema = from_schema(given)
    said = (
        Said(place, column.name, column.label or "", column.description)
        for place, column in enumerate(schema.columns, 1)
    )
    return Read(tuple(said), "field", schema.lost)


def _said(rows: Iterable[Row], bare: Callable[[str], str]) -> Iterator[Said]:
    """What the rows of a table say, whose first row of known headers is the header. Raises SourceInvalid."""
    places: dict[str, int] | None = None
    for number, cells in rows:
        if places is None:
            places = _places(cells)
            continue
        name, title, description = (
            bare(cells[places[key]]).strip() if key in places and places[key] < len(cells) else ""
            for key in ("name", "title", "description")
        )
        if name or title or description:
            yield Said(number, name, title, description)
    if places is None:
        raise SourceInvalid(
            "The file has no table with a column of names and a column of descriptions or titles.",
            hint=f"Head them {', '.join(_NAMES[:3])} ...; {', '.join(_DESCRIPTIONS[:3])} ...; "
            f"{', '.join(_TITLES[:3])} ...",
        )


def _places(cells: Sequence[str]) -> dict[str, int] | None:
    """Where names, titles and descriptions stand; None where the row is no header of a dictionary."""
    words = [re.sub(r"[\W_]+", " ", cell.lower()).strip() for cell in cells]
    found = {}
    for key, known in (("name", _NAMES), ("title", _TITLES), ("description", _DESCRIPTIONS)):
        at = next((words.index(word) for word in known if word in words), None)
        if at is not None:
            found[key] = at
    return found if "name" in found and len(found) > 1 else None


class _Tables(HTMLParser):
    """Collects the rows of every table of a page, as text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A row or a cell begins, or a line in it."""
        if tag == "tr":
            self._close()
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self._close()
            self.cell = []
        elif tag == "br" and self.cell is not None:
            self.cell.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """A cell ends."""
        if tag in ("td", "th", "tr", "table"):
            self._close()

    def handle_data(self, data: str) -> None:
        """Text of a cell."""
        if self.cell is not None:
            self.cell.append(data)

    def _close(self) -> None:
        if self.cell is not None and self.rows:
            lines = ("".join(self.cell)).split("\n")
            self.rows[-1].append("\n".join(" ".join(line.split()) for line in lines).strip())
        self.cell = None


def _html_rows(text: str) -> list[Row]:
    parser = _Tables()
    parser.feed(text)
    parser.close()
    return list(enumerate(parser.rows[:ROWS_LIMIT], 1))


def _markdown_rows(text: str) -> Iterator[Row]:
    """The rows of pipe tables (GitHub Flavored Markdown, 4.10), by line."""
    for number, line in enumerate(text.splitlines()[:ROWS_LIMIT], 1):
        bare = line.strip()
        if bare.startswith("|") and not re.fullmatch(r"[|:\s-]+", bare):
            inner = bare[1:].removesuffix("|") if not bare.endswith("\\|") else bare[1:]
            yield number, [_shown(cell) for cell in re.split(r"(?<!\\)\|", inner)]


def _shown(cell: str) -> str:
    """What a cell of Markdown shows: without escapes, code marks and emphasis around all of it."""
    bare = cell.strip()
    marks = re.fullmatch(r"(`+|\*{1,2}|_{1,2})(.*)\1", bare)
    if marks and not bare.startswith("\\"):
        bare = marks[2].strip()
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", re.sub(r"<br\s*/?>", "\n", bare))
