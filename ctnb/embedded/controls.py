"""
DataSync's control file: what to do with a file, how it is written, and each cell read as it says.

Source: DataSync's documentation, resources/control-config.md.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import json
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .catalogue import Column, View
from .cells import Maltyped, Stored, store

ACTIONS = ("replace", "upsert", "append", "delete")
CELL_LIMIT = 16 * 2**20
_FORMATS = ["ISO8601", "MM/dd/yy", "MM/dd/yyyy"]
_KNOWN = {
    "useSocrataGeocoding", "columns", "skip", "fixedTimestampFormat", "floatingTimestampFormat", "timezone",
    "separator", "quote", "escape", "encoding", "emptyTextIsNull", "trimWhitespace", "trimServerWhitespace",
    "ignoreColumns", "setAsideErrors", "syntheticLocations", "syntheticPoints", "overrides", "hasHeaderLine",
}  # fmt: skip
_PARTS = ("address", "city", "state", "zip")
_JODA = (
    ("yyyy", "%Y"), ("yy", "%y"), ("y", "%Y"), ("MMMM", "%B"), ("MMM", "%b"), ("MM", "%m"), ("M", "%m"), ("dd", "%d"),
    ("d", "%d"), ("HH", "%H"), ("H", "%H"), ("hh", "%I"), ("h", "%I"), ("mm", "%M"), ("m", "%M"), ("ss", "%S"),
    ("s", "%S"), ("SSS", "%f"), ("SS", "%f"), ("S", "%f"), ("a", "%p"), ("EEEE", "%A"), ("EEE", "%a"), ("E", "%a"),
    ("ZZ", "%z"), ("Z", "%z"),
)  # fmt: skip
"""Patterns of Joda-Time and what they are to strptime."""


class UnreadableError(ValueError):
    """A control file or a file that cannot be read by it; says why by positions and field names, never by a cell."""


@dataclass(frozen=True)
class Control:
    """One control file."""

    action: str
    opaque: str | None
    """What the client knows its commit by."""
    replace_queued: bool
    """Jobs of this dataset that have not begun are given up."""
    options: dict[str, Any]
    unknown: tuple[str, ...]
    """Keys that this portal leaves out of account, which the log says."""

    def option(self, name: str, default: Any, column: str = "") -> Any:
        """An option, for one column where the overrides say so."""
        own = (self.options.get("overrides") or {}).get(column) or {}
        value = own.get(name, self.options.get(name))
        return default if value is None else value


@dataclass
class Rows:
    """What a file holds."""

    columns: tuple[Column, ...]
    rows: list[tuple[Stored, ...]]
    wrong: list[int] = field(default_factory=list)
    """How many cells were wrong in each row that was set aside."""


def read_control(value: object, tabs: bool = False) -> Control:
    """The control of a commit; `tabs` where the file is separated by them. Raises UnreadableError."""
    if not isinstance(value, dict):
        raise UnreadableError("The commit has no control file")
    action = str(value.get("action", "")).lower()
    options = value.get("tsv" if tabs and value.get("tsv") else "csv") or value.get("tsv") or {}
    if action not in ACTIONS or not isinstance(options, dict):
        raise UnreadableError("The action of a control file is Replace, Upsert, Append or Delete")
    control = Control(
        action,
        value.get("opaque") if isinstance(value.get("opaque"), str) else None,
        value.get("replacePreviousQueued") is True,
        {"separator": "\t" if tabs else ",", **options},
        tuple(sorted(options.keys() - _KNOWN)),
    )
    zone = str(control.option("timezone", "UTC"))
    if zone != "UTC" and zone not in zoneinfo.available_timezones():
        raise UnreadableError("The timezone of the control file is not known")
    return control


def read_rows(view: View, control: Control, content: bytes) -> Rows:
    """
    The rows of a file as the store holds them.

    Without `setAsideErrors` the first wrong row ends the reading. Raises UnreadableError.
    """
    lines = _lines(control, content)
    for _ in range(int(control.option("skip", 0))):
        next(lines, None)
    header = control.option("columns", None) or next(lines, None)
    if header is None:
        raise UnreadableError("The file has no header")
    plan = _Plan(view, control, [str(name).strip().lower() for name in header])
    rows = Rows(plan.columns, [])
    aside = bool(control.option("setAsideErrors", False))
    for number, cells in enumerate(lines, 1):
        if not any(cells):
            continue
        row, wrong = plan.row(cells)
        if not wrong:
            rows.rows.append(row)
        elif aside:
            rows.wrong.append(len(wrong))
        else:
            raise UnreadableError(f"Row {number} is wrong: {'; '.join(wrong)}")
    return rows


class _Plan:
    """Where each column of the dataset comes from in a line of the file."""

    def __init__(self, view: View, control: Control, header: list[str]) -> None:
        self.control, self.width = control, len(header)
        ignored = {str(name).lower() for name in control.option("ignoreColumns", [])}
        made = {
            **(control.options.get("syntheticLocations") or {}),
            **(control.options.get("syntheticPoints") or {}),
        }
        sources = {str(name).lower() for parts in made.values() for name in parts.values()}
        if len(set(header)) != len(header):
            raise UnreadableError("The header names a column twice")
        self.at: dict[str, int] = {name: place for place, name in enumerate(header)}
        unknown = [
            place + 1 for name, place in self.at.items() if not view.column(name) and name not in sources
        ]
        unknown = [place for place in unknown if header[place - 1] not in ignored]
        if unknown:
            raise UnreadableError(f"The dataset has no column for column {unknown[0]} of the file")
        self.made = {name.lower(): parts for name, parts in made.items()}
        self.columns = tuple(
            column
            for column in view.columns
            if column.field_name in self.made
            or (column.field_name in self.at and column.field_name not in ignored)
        )
        self.identifier = view.identifier
        self._check(view)

    def _check(self, view: View) -> None:
        given = {column.field_name for column in self.columns}
        if view.identifier is not None and view.identifier.field_name not in given:
            raise UnreadableError(f"The file lacks the row identifier '{view.identifier.field_name}'")
        missing = [column.field_name for column in view.columns if column.field_name not in given]
        if view.identifier is None and missing and self.control.action != "delete":
            raise UnreadableError(
                f"The file lacks columns of a dataset without a row identifier: {', '.join(missing)}"
            )
        if view.identifier is None and self.control.action == "delete":
            raise UnreadableError("Rows are deleted by row identifier, and the dataset has none")

    def row(self, cells: list[str]) -> tuple[tuple[Stored, ...], list[str]]:
        """The stored cells, and what is wrong with them."""
        if len(cells) != self.width:
            return (), [f"it has {len(cells)} cells and the header has {self.width}"]
        row, wrong = [], []
        deleting = self.control.action == "delete"
        for column in self.columns:
            own = self.identifier is not None and column.id == self.identifier.id
            stored: Stored = None
            if not deleting or own:
                try:
                    stored = self.cell(column, cells)
                except Maltyped:
                    wrong.append(f"'{column.field_name}' is not a {column.kind.soda}")
                    continue
            if own and stored is None:
                wrong.append(f"the row identifier '{column.field_name}' is blank")
            row.append(stored)
        return tuple(row), wrong

    def cell(self, column: Column, cells: list[str]) -> Stored:
        name, control = column.field_name, self.control
        if name in self.made:
            return _location(column, self.made[name], {key: cells[at] for key, at in self.at.items()})
        text = cells[self.at[name]]
        if control.option("trimWhitespace", True, name):
            text = text.strip()
        if text == "" and (column.kind.soda != "text" or control.option("emptyTextIsNull", True, name)):
            return None
        if column.kind.soda in ("floating_timestamp", "fixed_timestamp"):
            return _moment(column, text, control)
        return store(column.kind, text)


def _lines(control: Control, content: bytes) -> Iterator[list[str]]:
    text: str | None = None
    with contextlib.suppress(LookupError, UnicodeDecodeError):  # its text would quote the file
        text = content.decode(str(control.option("encoding", "utf-8"))).removeprefix("\ufeff")
    if text is None:
        raise UnreadableError("The file is not in the encoding that the control file names")
    csv.field_size_limit(CELL_LIMIT)
    reader: Iterator[list[str]] | None = None
    with contextlib.suppress(TypeError):
        quote, escape = control.option("quote", '"'), control.option("escape", "\\")
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=control.option("separator", ","),
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            escapechar=escape or None,
        )
    if reader is None:
        raise UnreadableError("separator, quote and escape of a control file are one character each")
    return _guarded(reader)


def _guarded(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    while True:
        broken = False
        cells: list[str] | None = None
        try:
            cells = next(reader, None)
        except csv.Error:
            broken = True
        if broken:
            raise UnreadableError("The file is not well-formed")
        if cells is None:
            return
        yield cells


def _moment(column: Column, text: str, control: Control) -> Stored:
    """A timestamp in the first of the formats that fits; one without a zone is in the control's."""
    fixed = column.kind.soda == "fixed_timestamp"
    formats = control.option(
        "timestampFormat",
        control.option("fixedTimestampFormat" if fixed else "floatingTimestampFormat", _FORMATS),
        column.field_name,
    )
    zone = str(control.option("timezone", "UTC", column.field_name))
    for form in formats if isinstance(formats, list) else [formats]:
        with contextlib.suppress(ValueError):  # Maltyped is one; its text would quote the value
            moment = _parsed(text, str(form))
            if fixed and moment.tzinfo is None:
                moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone))
            return store(column.kind, moment.isoformat(timespec="milliseconds"))
    raise Maltyped


def _parsed(text: str, form: str) -> dt.datetime:
    if form == "ISO8601":
        return dt.datetime.fromisoformat(text)
    pattern = _strptime(form)
    try:
        return dt.datetime.strptime(text, pattern)
    except ValueError:
        if "%y" not in pattern:
            raise
    return dt.datetime.strptime(text, pattern.replace("%y", "%Y"))  # Joda reads four digits for yy too


def _strptime(form: str) -> str:
    """A pattern of Joda-Time as strptime has it; letters between quotation marks stand for themselves."""
    known = dict(_JODA)
    parts = [match.group() for match in re.finditer(r"'[^']*'|([A-Za-z])\1*|.", form, re.S)]
    return "".join(
        part[1:-1].replace("%", "%%") if part[0] == "'" else known.get(part, part.replace("%", "%%"))
        for part in parts
    )


def _location(column: Column, parts: dict[str, str], cells: dict[str, str]) -> Stored:
    """A location or a point made of several columns of the file."""
    found = {part: cells.get(str(name).lower(), "").strip() for part, name in parts.items()}
    place = {key: found[key] for key in ("latitude", "longitude") if found.get(key)}
    if column.kind.soda == "point":
        if len(place) != 2:
            return None
        return store(column.kind, f"POINT ({place['longitude']} {place['latitude']})")
    address = {part: found.get(part, "") for part in _PARTS}
    if not place and not any(address.values()):
        return None
    return store(column.kind, {**place, "human_address": json.dumps(address)})
