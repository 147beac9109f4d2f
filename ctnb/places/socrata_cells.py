"""
A row of a Socrata dataset as one line of CSV: every column always there, null and empty text told apart.

Types: dev.socrata.com, "Data Types". A value with parts becomes several columns: the column itself holds what
people mean by it (the address of a link, the point of a place), its parts follow as `name.part`. Whatever is
not known is compact JSON, so that nothing is lost.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctnb.places import csv_lines

Texts = tuple[str | None, ...]
MIDNIGHT = "T00:00:00.000"
SYSTEM_FIELDS = {":id": "text", ":created_at": "date", ":updated_at": "date", ":version": "text"}
"""The columns that a portal adds to each row, with their `dataTypeName`."""

_CONTRACT_TYPES = {
    "number": "number", "stars": "number", "money": "money", "percent": "percent", "checkbox": "boolean",
    "date": "timestamp", "url": "url", "point": "point", "location": "point",
}  # fmt: skip
_STYLES = {"currency": "money", "percentage": "percent"}


@dataclass(frozen=True)
class Field:
    """A column as the portal's metadata has it."""

    name: str
    """Its `fieldName`."""
    type: str
    """Its `dataTypeName`; empty where it is not known, as for an expression."""
    style: str = ""
    """How the portal shows its numbers: `precisionStyle`."""


@dataclass
class Layout:
    """The columns of a snapshot, and what was seen of them while rows were written."""

    fields: Sequence[Field]
    odd: Counter[str] = field(default_factory=Counter)
    """Cells with parts that the type does not have, which are left out, by column."""
    timed: set[str] = field(default_factory=set)
    """Columns of days with a time that is not midnight."""
    _cells: list[tuple[str, int, Callable[[Any], Texts]]] = field(init=False)

    def __post_init__(self) -> None:
        self._cells = [(one.name, len(_headers(one)), self._splitter(one)) for one in self.fields]

    @property
    def header(self) -> str:
        """The first line of the snapshot."""
        return csv_lines.line([header for one in self.fields for header in _headers(one)])

    @property
    def names(self) -> frozenset[str]:
        """The keys that a row can have."""
        return frozenset(one.name for one in self.fields)

    @property
    def types(self) -> dict[str, str]:
        """The contract types of the columns by header, as far as they are known."""
        known: dict[str, str] = {}
        for one in self.fields:
            if one.type:
                known |= zip(_headers(one), self._contract_types(one), strict=True)
        return known

    def lines(self, rows: Iterable[Mapping[str, Any]]) -> bytes:
        """The lines of the snapshot for `rows`, in which a missing key is null."""
        made = []
        for row in rows:
            texts: list[str | None] = []
            for name, width, split in self._cells:
                value = row.get(name)
                texts += (None,) * width if value is None else split(value)
            made.append(csv_lines.line(texts))
        return "".join(made).encode()

    def _contract_types(self, one: Field) -> Sequence[str]:
        if one.type == "calendar_date":
            return ["timestamp" if one.name in self.timed else "date"]
        if one.type == "number":
            return [_STYLES.get(one.style, "number")]
        parts = ["code" if part == "zip" else "text" for part in _PARTS.get(one.type, ())]
        return [_CONTRACT_TYPES.get(one.type, "text"), *parts]

    def _splitter(self, one: Field) -> Callable[[Any], Texts]:
        if one.type == "calendar_date":
            return lambda value: self._day(one.name, value)
        if one.type == "date":
            return lambda value: (csv_lines.text(value).removesuffix("Z"),)
        if one.type not in _PARTS:
            return lambda value: (csv_lines.text(value),)
        return lambda value: self._parts(one, value)

    def _day(self, name: str, value: Any) -> Texts:
        text = csv_lines.text(value)
        if not text.endswith(MIDNIGHT):
            self.timed.add(name)
        return (text,)

    def _parts(self, one: Field, value: Any) -> Texts:
        parts = _PARTS[one.type]
        if not isinstance(value, dict):
            return (csv_lines.text(value), *(None,) * len(parts))
        if one.type == "location":
            texts, known = _location(value)
        else:
            own = _OWN[one.type]
            texts, known = tuple(_optional(value.get(part)) for part in (own, *parts)), {own, *parts}
        if value.keys() - known:
            self.odd[one.name] += 1
        return texts


_OWN = {"url": "url", "document": "file_id", "phone": "phone_number"}
"""The part of a value that the column itself holds."""
_PARTS: dict[str, tuple[str, ...]] = {
    "url": ("description",),
    "document": ("filename", "content_type"),
    "phone": ("phone_type",),
    "location": ("address", "city", "state", "zip"),
}
"""The further columns of a type."""


def _headers(one: Field) -> list[str]:
    return [one.name, *(f"{one.name}.{part}" for part in _PARTS.get(one.type, ()))]


def _location(value: Mapping[str, Any]) -> tuple[Texts, set[str]]:
    """A place's point and the parts of its address; an address of another form is kept as it is."""
    known = {"latitude", "longitude", "human_address", "needs_recoding"}
    north, east = _optional(value.get("latitude")), _optional(value.get("longitude"))
    point = f"POINT ({east} {north})" if north and east else None
    if bool(north) != bool(east):
        known -= {"latitude", "longitude"}  # half a point
    return (point, *_address(_optional(value.get("human_address")))), known


def _address(written: str | None) -> Texts:
    """The parts of a `human_address`, which is JSON inside a text."""
    if not written:
        return (None,) * len(_PARTS["location"])
    try:
        said = json.loads(written)
    except ValueError:
        said = None
    names = _PARTS["location"]
    if isinstance(said, dict) and said.keys() <= set(names):
        return tuple(_optional(said.get(name)) for name in names)
    return written, None, None, None


def _optional(value: Any) -> str | None:
    return None if value is None else csv_lines.text(value)
