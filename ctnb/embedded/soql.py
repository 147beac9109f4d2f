"""SoQL expressions: text to tokens to a tree. No text reaches SQL; `compiler` translates the tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
NESTING_LIMIT = 60


class Malformed(ValueError):
    """Text that is not SoQL. Never carries the text."""


@dataclass(frozen=True)
class Literal:
    """A value: text, number text, true, false or null."""

    kind: str
    value: str


@dataclass(frozen=True)
class Field:
    """A column by its field name, or a system field such as `:id`."""

    name: str
    at: int = field(default=0, compare=False)
    """Where it stands in the text, counted from 1."""


@dataclass(frozen=True)
class Star:
    """`*`, the view's columns, or `:*`, the system fields."""

    system: bool = False


@dataclass(frozen=True)
class Apply:
    """A function or an operator on its arguments; operators are lower-case words such as `and`, `is null`."""

    name: str
    arguments: tuple[Node, ...]
    at: int = field(default=0, compare=False)


Node = Literal | Field | Star | Apply


@dataclass(frozen=True)
class Selected:
    """One item of $select."""

    node: Node
    alias: str | None


@dataclass(frozen=True)
class Ordered:
    """One item of $order."""

    node: Node
    descending: bool
    nulls_first: bool


@dataclass(frozen=True)
class Token:
    """One word of the text."""

    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |'(?P<text>(?:[^']|'')*)' | `(?P<quoted>:?[A-Za-z_@-][A-Za-z0-9_@-]*)`
    |(?P<name>:@?[A-Za-z_][A-Za-z0-9_]*|[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>:\*|<=|>=|!=|<>|==|[-+=<>(),*]))""",
    re.X | re.S,
)
_COMPARISONS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_RESERVED = {"and", "or", "not", "is", "in", "like", "between", "as", "asc", "desc", "null", "true", "false"}


def parse_condition(text: str) -> Node:
    """The tree of a $where or $having. Raises Malformed."""
    parser = _Parser(text)
    return parser.finish(parser.disjunction())


def parse_select(text: str) -> list[Selected]:
    """The items of a $select. Raises Malformed."""
    parser = _Parser(text)
    return parser.finish(list(parser.items(parser.selected)))


def parse_order(text: str) -> list[Ordered]:
    """The items of an $order. Raises Malformed."""
    parser = _Parser(text)
    return parser.finish(list(parser.items(parser.ordered)))


def parse_group(text: str) -> list[Node]:
    """The items of a $group. Raises Malformed."""
    parser = _Parser(text)
    return parser.finish(list(parser.items(parser.disjunction)))


def _tokens(text: str) -> Iterator[Token]:
    position, text = 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise Malformed
        yield Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1)
        position = match.end()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.position = 0
        self.depth = 0

    def finish(self, tree: T) -> T:
        if self.position != len(self.tokens):
            raise Malformed
        return tree

    def items(self, one: Callable[[], T]) -> Iterator[T]:
        yield one()
        while self.take(","):
            yield one()

    def selected(self) -> Selected:
        for sign, system in (("*", False), (":*", True)):
            if self.take(sign):
                return Selected(Star(system), None)
        node = self.disjunction()
        return Selected(node, self.name().text.lower() if self.take("as") else None)

    def ordered(self) -> Ordered:
        node = self.disjunction()
        descending = not self.take("asc") and self.take("desc")
        nulls_first = descending
        if self.take("null") or self.take("nulls"):
            nulls_first = self.take("first")
            if not nulls_first and not self.take("last"):
                raise Malformed
        return Ordered(node, descending, nulls_first)

    def disjunction(self) -> Node:
        return self.chain("or", lambda: self.chain("and", self.negation))

    def chain(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self.take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Apply(word, tuple(parts))

    def negation(self) -> Node:
        if not self.take("not"):
            return self.predicate()
        return Apply("not", (self.deeper(self.negation),))

    def predicate(self) -> Node:
        left = self.primary()
        sign = self.peek()
        if sign is not None and sign.kind == "sign" and sign.text in _COMPARISONS:
            self.position += 1
            return Apply(_COMPARISONS[sign.text], (left, self.primary()), sign.at)
        if self.take("is"):
            negated = self.take("not")
            self.expect("null")
            return Apply("is not null" if negated else "is null", (left,))
        if self.peek_is("not") and self.position + 1 < len(self.tokens):
            self.position += 1
            return Apply("not", (self.word_predicate(left),))
        if self.peek_is("in") or self.peek_is("like") or self.peek_is("between"):
            return self.word_predicate(left)
        return left

    def word_predicate(self, left: Node) -> Node:
        if self.take("in"):
            self.expect("(")
            values = list(self.items(self.primary))
            self.expect(")")
            return Apply("in", (left, *values))
        if self.take("like"):
            return Apply("like", (left, self.primary()))
        self.expect("between")
        low = self.primary()
        self.expect("and")
        return Apply("between", (left, low, self.primary()))

    def primary(self) -> Node:
        token = self.next()
        if token.kind == "text":
            return Literal("text", token.text.replace("''", "'"))
        if token.kind == "number":
            return Literal("number", token.text)
        if token.kind == "sign":
            return self.signed(token)
        if token.kind == "name" and token.text.lower() in ("true", "false", "null"):
            return Literal("null" if token.text.lower() == "null" else "checkbox", token.text.lower())
        if token.kind == "name" and token.text.lower() in _RESERVED:
            raise Malformed
        if token.kind == "name" and self.take("("):
            return Apply(token.text.lower(), self.arguments(), token.at)
        return Field(token.text.lower(), token.at)

    def signed(self, token: Token) -> Node:
        if token.text == "(":
            inner = self.deeper(self.disjunction)
            self.expect(")")
            return inner
        number = self.next() if token.text in ("-", "+") else token
        if number.kind != "number":
            raise Malformed
        return Literal("number", token.text.replace("+", "") + number.text)

    def arguments(self) -> tuple[Node, ...]:
        if self.take(")"):
            return ()
        if self.take("*"):
            self.expect(")")
            return (Star(),)
        arguments = self.deeper(lambda: list(self.items(self.disjunction)))
        self.expect(")")
        return tuple(arguments)

    def deeper(self, part: Callable[[], T]) -> T:
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            raise Malformed
        tree = part()
        self.depth -= 1
        return tree

    def peek(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def peek_is(self, word: str) -> bool:
        token = self.peek()
        return token is not None and token.kind in ("name", "sign") and token.text.lower() == word

    def take(self, word: str) -> bool:
        found = self.peek_is(word)
        self.position += found
        return found

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise Malformed

    def next(self) -> Token:
        token = self.peek()
        if token is None:
            raise Malformed
        self.position += 1
        return token

    def name(self) -> Token:
        token = self.next()
        if token.kind not in ("name", "quoted") or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", token.text):
            raise Malformed
        return token
