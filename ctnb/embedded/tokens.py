"""A text as tokens, and a cursor over them that parsers build on; the text itself is never in an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
NESTING_LIMIT = 60


class Malformed(ValueError):
    """Text that is not in the language. Never carries the text."""


@dataclass(frozen=True)
class Token:
    """One word of the text."""

    kind: str
    """The name of the pattern's group that found it."""
    text: str
    start: int
    end: int

    @property
    def at(self) -> int:
        """Where it stands in the text, counted from 1."""
        return self.start + 1


class Cursor:
    """The tokens that `pattern`, whose groups are named, finds in `text`, and how far they were read."""

    def __init__(self, pattern: re.Pattern[str], text: str) -> None:
        """Raises Malformed where the pattern finds no token."""
        self.text = text
        self.tokens = list(_tokens(pattern, text))
        self.position = 0
        self.depth = 0

    def finish(self, tree: T) -> T:
        """`tree`, when nothing is left. Raises Malformed."""
        if self.position != len(self.tokens):
            raise Malformed
        return tree

    def items(self, one: Callable[[], T]) -> Iterator[T]:
        """One or more, with commas between them."""
        yield one()
        while self.take(","):
            yield one()

    def deeper(self, part: Callable[[], T]) -> T:
        """What `part` reads, one level further down. Raises Malformed below NESTING_LIMIT."""
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            raise Malformed
        tree = part()
        self.depth -= 1
        return tree

    def peek(self) -> Token | None:
        """The next token, which stays."""
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def peek_is(self, word: str) -> bool:
        """Whether the next token is this word or sign."""
        token = self.peek()
        return token is not None and token.kind in ("name", "sign") and token.text.lower() == word

    def take(self, word: str) -> bool:
        """Step over this word or sign, if it is next."""
        found = self.peek_is(word)
        self.position += found
        return found

    def expect(self, word: str) -> None:
        """Step over this word or sign. Raises Malformed when it is not next."""
        if not self.take(word):
            raise Malformed

    def next(self, *kinds: str) -> Token:
        """Step over a token, of these kinds where any are named. Raises Malformed when there is none."""
        token = self.peek()
        if token is None or (kinds and token.kind not in kinds):
            raise Malformed
        self.position += 1
        return token


def _tokens(pattern: re.Pattern[str], text: str) -> Iterator[Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = pattern.match(text, position, end)
        if match is None or match.lastgroup is None:
            raise Malformed
        yield Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup), match.end())
        position = match.end()
