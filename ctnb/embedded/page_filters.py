"""
What a reader asks of a dataset's rows: words to search for, filters on columns, and an order.

Everything stands in the query string: `q`, `sort`, `dir`, and for a column `f.<field>` with `.is` (one of its
texts, or blank or not), `.has` (letters in it), `.from` and `.to` (numbers and days, both included).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from .answers import Call
from .catalogue import Column, View
from .decimals import pack
from .page_cells import day_text

BLANK, FILLED = "blank", "filled"
"""The values of `.is` for empty cells and for the others; a text is written behind a `=`."""
WORDS = 20
"""Words of a search beyond these are not looked for."""


@dataclass(frozen=True)
class Filter:
    """One condition on one column."""

    column: Column
    verb: str
    """is, has, from or to."""
    value: str

    @property
    def name(self) -> str:
        """Its name in the query string."""
        return f"f.{self.column.field_name}.{self.verb}"

    @property
    def words(self) -> str:
        """What it asks, for people."""
        name = self.column.name or self.column.field_name
        if self.verb != "is" or self.value[:1] == "=":
            return f"{name} {self._verb} {self._value}"
        return f"{name} is {'empty' if self.value == BLANK else 'not empty'}"

    @property
    def _verb(self) -> str:
        if self.column.kind.soda == "number":
            return {"from": "at least", "to": "at most"}.get(self.verb, "is")
        return "contains" if self.verb == "has" else self.verb

    @property
    def _value(self) -> str:
        if self.column.kind.soda == "boolean":
            return {"=true": "yes", "=false": "no"}.get(self.value, self.value)
        day = _day(self.value) if self.verb in ("from", "to") else None
        return self.value.removeprefix("=") if day is None else day_text(day)


@dataclass(frozen=True)
class Asked:
    """Which rows, in which order."""

    words: str = ""
    filters: tuple[Filter, ...] = ()
    wrong: tuple[Filter, ...] = ()
    """Filters whose value the column's type does not hold; they are named on the page and left out."""
    sort: Column | None = None
    descending: bool = False

    @property
    def narrowed(self) -> bool:
        """Whether some rows may be left out."""
        return bool(self.words or self.filters)

    def query(
        self, *, order: bool = True, without: Filter | None = None, words: bool = True
    ) -> list[tuple[str, str]]:
        """The query string that asks the same, as pairs."""
        pairs = [("q", self.words)] if self.words and words else []
        pairs += [(one.name, one.value) for one in self.filters if one is not without]
        if order and self.sort is not None:
            pairs += [("sort", self.sort.field_name), ("dir", "desc" if self.descending else "asc")]
        return pairs


@dataclass(frozen=True)
class Condition:
    """A part of a WHERE, with its values; the same text is good for SQLite and DuckDB."""

    sql: str
    values: tuple[str | int, ...] = ()


def read_asked(call: Call, view: View) -> Asked:
    """What the query string asks of `view`; what it does not know is left alone."""
    filters: list[Filter] = []
    wrong: list[Filter] = []
    for name, value in call.query:
        parts = name.split(".")
        column = view.column(parts[1]) if len(parts) == 3 and parts[0] == "f" else None
        if column is None or parts[2] not in verbs(column) or not value.strip():
            continue
        one = Filter(column, parts[2], value if parts[2] == "is" else value.strip())
        (filters if condition(one) is not None else wrong).append(one)
    sort = view.column(call.option("sort"))
    words = " ".join(call.option("q").split())
    return Asked(words, tuple(filters), tuple(wrong), sort, sort is not None and call.option("dir") == "desc")


def verbs(column: Column) -> tuple[str, ...]:
    """What can be asked of a column of this type."""
    if column.kind.soda in ("text", "url"):
        return ("is", "has")
    if column.kind.soda in ("number", "floating_timestamp", "fixed_timestamp"):
        return ("is", "from", "to")
    return ("is",)


def conditions(view: View, asked: Asked, *, joined: str = "") -> list[Condition]:
    """The conditions that a row must fulfil, all of them; `joined` is where every searched text stands, if it does."""
    filters = [found for one in asked.filters if (found := condition(one)) is not None]
    words = asked.words.lower().split()[:WORDS]
    return filters + [_word(view, word, joined) for word in words]


def condition(one: Filter) -> Condition | None:
    """A filter as a condition; None when the column's type does not hold its value."""
    column, soda = one.column.sql, one.column.kind.soda
    if one.verb == "is":
        return _is(one)
    if one.verb == "has":
        return Condition(f"instr(to_lower({_searched(one.column)}), ?) > 0", (one.value.lower(),))
    if soda == "number":
        packed = pack(_plain_number(one.value))
        sign = ">=" if one.verb == "from" else "<="
        return None if packed is None else Condition(f"{column} {sign} ?", (packed,))
    day = _day(one.value)
    if day is None:
        return None
    if one.verb == "from":
        return Condition(f"{column} >= ?", (day.isoformat(),))
    if day == dt.date.max:
        return Condition(f"{column} IS NOT NULL")
    return Condition(f"{column} < ?", ((day + dt.timedelta(days=1)).isoformat(),))


def address(view: View, pairs: Sequence[tuple[str, str]], anchor: str = "rows") -> str:
    """The address of a view's page with this query string."""
    query = urllib.parse.urlencode(pairs)
    return f"/d/{view.uid}{'?' if query else ''}{query}#{anchor}"


def _is(one: Filter) -> Condition | None:
    column, text = one.column.sql, one.column.kind.soda == "text"
    if one.value == BLANK:
        return Condition(f"({column} IS NULL OR {column} = '')" if text else f"{column} IS NULL")
    if one.value == FILLED:
        return Condition(f"({column} IS NOT NULL AND {column} <> '')" if text else f"{column} IS NOT NULL")
    if one.value[:1] != "=":
        return None
    value: str | int | None = one.value[1:]
    if one.column.kind.soda == "boolean":
        value = {"true": 1, "false": 0}.get(one.value[1:])
    elif one.column.kind.soda == "number":
        value = pack(_plain_number(one.value[1:]))
    elif not text:
        return None
    return None if value is None else Condition(f"{column} = ?", (value,))


def searched_texts(view: View) -> list[str]:
    """The SQL of every text that a search looks into."""
    return [_searched(column) for column in view.columns if column.kind.soda in ("text", "url", "location")]


def _word(view: View, word: str, joined: str) -> Condition:
    """A word in any text, or any number or day that it is."""
    texts = [joined] if joined else [f"to_lower({text})" for text in searched_texts(view)]
    parts = [f"instr({text}, ?) > 0" for text in texts]
    values: list[str | int] = [word] * len(texts)
    packed, day = pack(_plain_number(word)), _day(word)
    for column in view.columns:
        if column.kind.soda == "number" and packed is not None:
            parts.append(f"{column.sql} = ?")
            values.append(packed)
        elif column.kind.soda.endswith("_timestamp") and day is not None and day < dt.date.max:
            parts.append(f"({column.sql} >= ? AND {column.sql} < ?)")
            values += [day.isoformat(), (day + dt.timedelta(days=1)).isoformat()]
    return Condition(f"({' OR '.join(parts) or '1 = 0'})", tuple(values))


def _searched(column: Column) -> str:
    """The text of a cell; of a web address and a location without the names of its parts."""
    text = column.sql
    if column.kind.soda != "text":
        for part in ("url", "description", "latitude", "longitude", "human_address"):
            text = f"replace({text}, '\"{part}\":', '')"
    return text


def _plain_number(text: str) -> str:
    """A number as people write it, without separators, currency and percent signs."""
    return re.sub(r"[,$%\s]", "", text).replace("\N{MINUS SIGN}", "-")


def _day(text: str) -> dt.date | None:
    """A day written as browsers send it, or as Americans write it."""
    if american := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text, re.ASCII):
        text = f"{american[3]}-{american[1]:0>2}-{american[2]:0>2}"
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    with contextlib.suppress(ValueError):
        return dt.date.fromisoformat(text)
    return None
