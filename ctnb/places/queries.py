"""
Queries: a file with one SELECT whose `:name` parameters are values, never text of the query.

The text is cut into tokens only as far as is needed to tell a parameter, a semicolon or a word from what stands
in quotation marks and comments; what a database then makes of it, it decides itself, in a read-only session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path

from ctnb.errors import ContractInvalid, SourceInvalid

Value = str | int | float | bool | date | datetime
"""What a parameter can be."""

QUERY_LIMIT_BYTES = 1 << 20
READING_WORDS = frozenset(["select", "with", "values", "table", "from"])
"""What a statement that only reads begins with."""


@dataclass(frozen=True)
class Dialect:
    """How a database's SQL writes what is no plain word."""

    quotes: tuple[str, ...] = (r"'(?:[^']|'')*'", r'"(?:[^"]|"")*"')
    """Regular expressions of texts and of quoted names."""
    comments: tuple[str, ...] = (r"--[^\n]*", r"/\*.*?\*/")
    """Regular expressions of comments."""
    nested: bool = False
    """Whether a comment between /* and */ can hold another."""
    refused: frozenset[str] = frozenset()
    """Words that a query cannot have outside quotation marks, because they write where no session forbids it."""


@dataclass(frozen=True)
class Parameter:
    """A place in a query where a value goes."""

    name: str


@dataclass(frozen=True)
class Statement:
    """A query cut at its parameters."""

    pieces: tuple[str | Parameter, ...]
    """Its text and its parameters, in order; without a semicolon at the end."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, each once, in order of first appearance."""
        return tuple(dict.fromkeys(piece.name for piece in self.pieces if isinstance(piece, Parameter)))

    def text(self, placed: Callable[[str], str]) -> str:
        """The query with what `placed` gives in place of each parameter; the parameter's name is told."""
        return "".join(piece if isinstance(piece, str) else placed(piece.name) for piece in self.pieces)


def load(path: str, folder: Path, roots: Iterable[Path], dialect: Dialect) -> Statement:
    """
    The query in the file `path`, relative to the dataset's `folder` and below it or one of `roots`.

    Raises ContractInvalid when it is not there, is no text or is not one statement, SourceInvalid when it is no
    SELECT.
    """
    found = (folder / path).resolve()
    if not any(found.is_relative_to(root.resolve()) for root in (folder, *roots)):
        raise ContractInvalid(
            "The query lies outside the dataset's folder.",
            hint="Put it into the dataset's folder, and its path there under source: database: query:.",
        )
    if not found.is_file():
        raise ContractInvalid(
            f"The query {found.name} is not there.", hint="Correct source: database: query: in dataset.yml."
        )
    try:
        text = found.read_bytes()[: QUERY_LIMIT_BYTES + 1].decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text or len(text) > QUERY_LIMIT_BYTES:
        raise ContractInvalid(f"The query {found.name} is no UTF-8 text.", hint="Save it as UTF-8.")
    return parsed(text.replace("\r\n", "\n"), dialect, found.name)


def parsed(text: str, dialect: Dialect, name: str = "query") -> Statement:
    """The statement `text`, whose file is called `name`. Raises ContractInvalid, SourceInvalid."""
    pieces: list[str | Parameter] = []
    words: list[str] = []
    ended = at = 0
    while at < len(text):
        kind, end = _token(text, at, dialect)
        token = text[at:end]
        if kind == "open":
            raise ContractInvalid(
                f"The query {name} has a quotation mark or a comment that is never closed, at line "
                f"{text.count(chr(10), 0, at) + 1}.",
                hint="Close it.",
            )
        if kind == "end":
            ended = 1
        elif kind != "blank" and ended:
            raise ContractInvalid(
                f"The query {name} has more than one statement.", hint="Keep one SELECT in each file."
            )
        if kind == "word":
            words.append(token.lower())
        if kind != "end":
            pieces.append(Parameter(token[1:]) if kind == "parameter" else token)
        at = end
    _refuse_what_writes(words, dialect, name)
    return Statement(_joined(pieces))


def bound(statement: Statement, given: Mapping[str, Value], name: str) -> dict[str, Value]:
    """
    The values of the parameters of `statement`, the query in the file `name`.

    Raises ContractInvalid for one that the query does not name, and for one that is not given.
    """
    for wanted in statement.names:
        if wanted not in given:
            raise ContractInvalid(
                f"The query {name} names :{wanted}, and dataset.yml gives no value for it.",
                hint=f"Give it under source: database: parameters:, e.g. {{{wanted}: 2026}}.",
            )
    unused = sorted(set(given) - set(statement.names))
    if unused:
        raise ContractInvalid(
            f"The query {name} does not name :{unused[0]}, for which there is a value.",
            hint=f"Write :{unused[0]} into the query, or take its value out of dataset.yml.",
        )
    return dict(given)


def _refuse_what_writes(words: list[str], dialect: Dialect, name: str) -> None:
    first = words[0] if words else ""
    if first in READING_WORDS and dialect.refused.isdisjoint(words):
        return
    if not words:
        raise ContractInvalid(f"The query {name} is empty.", hint="Write one SELECT into it.")
    raise SourceInvalid(
        f"The query {name} is not one that only reads.",
        hint="A source's query is one SELECT; what changes a database is done elsewhere.",
    )


@cache
def _pattern(dialect: Dialect) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<blank>\s+|{'|'.join(dialect.comments)})"
        rf"|(?P<quoted>{'|'.join(dialect.quotes)})"
        r"|(?P<cast>::|:=)"
        r"|(?P<parameter>:[A-Za-z_][A-Za-z0-9_]*)"
        r"|(?P<end>;)"
        r"|(?P<number>[0-9][\w.]*)"
        r"|(?P<word>[^\W\d][\w$]*|/\*M?!)"  # MariaDB runs what stands in /*! */
        r"|(?P<open>['\"`]|/\*)"
        r"|(?P<mark>.)",
        re.DOTALL,
    )


def _token(text: str, at: int, dialect: Dialect) -> tuple[str, int]:
    """What kind of token begins at `at`, and where it ends."""
    if dialect.nested and text.startswith("/*", at):
        return _nested_comment(text, at)
    found = _pattern(dialect).match(text, at)
    assert found is not None  # noqa: S101  # its last branch takes anything
    return str(found.lastgroup), found.end()


def _nested_comment(text: str, at: int) -> tuple[str, int]:
    depth = 0
    for mark in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if mark.group() == "/*" else -1
        if not depth:
            return "blank", at + mark.end()
    return "open", len(text)


def _joined(pieces: list[str | Parameter]) -> tuple[str | Parameter, ...]:
    """Neighbouring texts as one."""
    made: list[str | Parameter] = []
    for piece in pieces:
        if isinstance(piece, str) and made and isinstance(made[-1], str):
            made[-1] += piece
        else:
            made.append(piece)
    return tuple(made)
