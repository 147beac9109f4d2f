"""A place in a JSON text that is read piece by piece, so that a long array need not be in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from ctnb.errors import SourceInvalid

CHUNK_CHARACTERS = 1 << 20
RECORD_LIMIT = 16 << 20
"""Characters of the largest record, or of any other value, that is read."""

BLANKS = " \t\r\n"


class Number(str):
    """A number as it is written: 1.50 stays 1.50."""

    __slots__ = ()


class Doubled(dict[str, Any]):
    """An object in which a key stands twice; what the first one said is gone."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Doubled(made)


DECODER = json.JSONDecoder(
    parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=_object
)
"""Reads JSON without changing a number."""


@dataclass
class Cursor:
    """Reads values from `stream`, each in memory only while it is used."""

    stream: TextIO
    """UTF-8 text."""
    text: str = ""
    """What was read of it and is still needed."""
    at: int = 0
    """The place in `text`, in characters."""
    before_bytes: int = 0
    """Bytes of the source before `text`."""
    ended: bool = False
    """Whether `text` reaches to the end."""

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in BLANKS:
                    return self.text[self.at]
                self.at += 1
            if self.ended:
                return ""
            self._more()

    def take(self, mark: str) -> None:
        """Pass over `mark`. Raises SourceInvalid when something else is next."""
        if self.peek() != mark:
            raise self.trouble(f"expected {mark} and there is none")
        self.at += 1

    def value(self) -> tuple[str, Any]:
        """The next value, as text and as Python has it. Raises SourceInvalid."""
        self.peek()
        while True:
            try:
                found, end = DECODER.raw_decode(self.text, self.at)
                deep = False
            except json.JSONDecodeError:  # its text is safe, but it keeps the document
                end, deep = -1, False
            except RecursionError:
                end, deep = -1, True
            if deep:
                raise self.trouble("a value is nested too deeply")
            if end >= 0 and (end < len(self.text) or self.ended):
                raw, self.at = self.text[self.at : end], end
                return raw, found
            if self.ended:
                raise self.trouble("a value is torn or is not JSON")
            self._more()

    def items(self) -> Iterator[tuple[str, Any]]:
        """The values of the array that is next, as text and as Python has them. Raises SourceInvalid."""
        self.take("[")
        if self.peek() == "]":
            self.at += 1
            return
        while True:
            yield self.value()
            if self.peek() == "]":
                self.at += 1
                return
            self.take(",")

    def members(self) -> Iterator[str]:
        """The keys of the object that is next; whoever asks reads the value before asking for the next key."""
        self.take("{")
        if self.peek() == "}":
            self.at += 1
            return
        while True:
            if self.peek() != '"':
                raise self.trouble("expected a key in quotation marks")
            yield self.value()[1]
            if self.peek() == "}":
                self.at += 1
                return
            self.take(",")

    def trouble(self, what: str) -> SourceInvalid:
        """The error that says `what` is wrong here."""
        place = self.before_bytes + len(self.text[: self.at].encode())
        return SourceInvalid(
            f"The source is not whole JSON: {what}, at byte {place:,}.",
            hint="Export it anew; a download or a copy may have ended half-way.",
            place=place,
        )

    def _more(self) -> None:
        left = len(self.text) - self.at
        if left > RECORD_LIMIT:
            raise self.trouble(f"a value is torn, or larger than {RECORD_LIMIT >> 20} MB")
        self.before_bytes += len(self.text[: self.at].encode())
        more = self.stream.read(max(CHUNK_CHARACTERS, left))  # doubling: a long value is not tried too often
        self.text, self.at, self.ended = self.text[self.at :] + more, 0, not more
