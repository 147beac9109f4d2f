"""ODSQL, the query language of explore: text to tokens to a tree. `ods_compiler` makes SQL of the tree."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .tokens import Cursor, Malformed, Token


@dataclass(frozen=True)
class Literal:
    """A value: text, number, date, geom, distance (in metres), interval (of time), boolean or null."""

    kind: str
    value: str


@dataclass(frozen=True)
class Name:
    """A field, or the alias of a selected expression."""

    name: str


@dataclass(frozen=True)
class Star:
    """`*`."""


@dataclass(frozen=True)
class Apply:
    """A function or an operator on its arguments; operators are words such as `and`, `=`, `is null`, `range []`."""

    name: str
    arguments: tuple[Node, ...]


Node = Literal | Name | Star | Apply


@dataclass(frozen=True)
class Item:
    """An item of select or group_by: its tree, the alias given, and its text."""

    node: Node
    alias: str | None
    text: str


@dataclass(frozen=True)
class Ordered:
    """An item of order_by."""

    node: Node
    descending: bool


_TOKEN = re.compile(
    r"""\s*(?:(?P<special>(?:date|geom)(?:'[^']*'|"[^"]*"))
    |(?P<interval>\d{1,6}\s*(?:(?:millisecond|second|minute|hour|day|week|month|quarter|year)s?|ms|[shdwMqy])(?!\w))
    |(?P<distance>\d+(?:\.\d+)?(?:km|mm|cm|mi|yd|ft|in|m)(?![A-Za-z0-9_]))
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w))
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |`(?P<quoted>[A-Za-z0-9_.@-]+)`
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?)
    |(?P<sign>\.\.|<=|>=|!=|<>|[-+=<>:(),*/\[\]]))""",
    re.X | re.S,
)
_METRES = {
    "mm": 0.001, "cm": 0.01, "m": 1.0, "km": 1000.0, "in": 0.0254, "ft": 0.3048, "yd": 0.9144, "mi": 1609.344,
}  # fmt: skip
_COMPARISONS = {"=": "=", ":": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_RESERVED = {"and", "or", "not", "is", "in", "like", "as", "asc", "desc", "to"}


def parse_condition(text: str) -> Node:
    """The tree of a where clause. Raises Malformed."""
    parser = _Parser(_TOKEN, text)
    return parser.finish(parser.disjunction())


def parse_items(text: str) -> list[Item]:
    """The items of a select or group_by clause. Raises Malformed."""
    parser = _Parser(_TOKEN, text)
    return parser.finish(list(parser.items(parser.item)))


def parse_order(text: str) -> list[Ordered]:
    """The items of an order_by clause. Raises Malformed."""
    parser = _Parser(_TOKEN, text)
    return parser.finish(list(parser.items(parser.ordered)))


class _Parser(Cursor):
    def item(self) -> Item:
        start = self.position
        node: Node = Star() if self.take("*") else self.disjunction()
        written = self.text[self.tokens[start].start : self.tokens[self.position - 1].end].strip()
        return Item(node, self.word() if self.take("as") else None, written)

    def ordered(self) -> Ordered:
        minus = self.take("-")
        node = self.sum()
        return Ordered(node, (not self.take("asc") and self.take("desc")) or minus)

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
        left = self.sum()
        sign = self.peek()
        if sign is not None and sign.kind == "sign" and sign.text in _COMPARISONS:
            self.position += 1
            if sign.text == ":" and (self.peek_is("[") or self.peek_is("]")):
                return self.interval(left)
            return Apply(_COMPARISONS[sign.text], (left, self.sum()))
        if self.take("is"):
            negated = self.take("not")
            if self.take("null"):
                return Apply("is not null" if negated else "is null", (left,))
            truth = Apply("is", (left, self.truth()))
            return Apply("not", (truth,)) if negated else truth
        if self.peek_is("not"):
            self.position += 1
            return Apply("not", (self.contained(left),))
        if self.peek_is("in") or self.peek_is("like"):
            return self.contained(left)
        return left

    def truth(self) -> Node:
        word = self.next().text.lower()
        if word not in ("true", "false"):
            raise Malformed
        return Literal("boolean", word)

    def contained(self, left: Node) -> Node:
        if self.take("like"):
            return Apply("like", (left, self.primary()))
        self.expect("in")
        if self.take("("):
            values = list(self.items(self.primary))
            self.expect(")")
            return Apply("in", (left, *values))
        if not self.peek_is("[") and not self.peek_is("]"):
            return Apply("=", (self.primary(), left))  # a value in a field of many
        return self.interval(left)

    def interval(self, left: Node) -> Node:
        opened = self.next().text
        low = self.sum()
        if not self.take("..") and not self.take("to"):
            raise Malformed
        high, closed = self.sum(), self.next().text
        if opened not in "[]" or closed not in "[]":
            raise Malformed
        return Apply(f"range {opened}{closed}", (left, low, high))

    def sum(self) -> Node:
        return self.binary(("+", "-"), lambda: self.binary(("*", "/"), self.primary))

    def binary(self, signs: tuple[str, ...], part: Callable[[], Node]) -> Node:
        left = part()
        while (sign := self.peek()) is not None and sign.kind == "sign" and sign.text in signs:
            self.position += 1
            left = Apply(sign.text, (left, part()))
        return left

    def primary(self) -> Node:
        token = self.next()
        if token.kind == "special":
            return Literal(token.text[:4], token.text[5:-1])
        if token.kind == "text":
            return Literal("text", re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.S))
        if token.kind == "distance":
            number, unit = re.match(r"([\d.]+)(\w+)", token.text).groups()  # type: ignore[union-attr]  # its form
            return Literal("distance", str(float(number) * _METRES[unit]))
        if token.kind in ("number", "interval"):
            return Literal(token.kind, token.text)
        if token.kind == "sign":
            return self.signed(token)
        if token.kind == "quoted":
            return Name(token.text)
        return self.named(token)

    def named(self, token: Token) -> Node:
        word = token.text.lower()
        if word == "null":
            return Literal("null", "")
        if word in ("true", "false"):
            return Literal("boolean", word)
        if word in _RESERVED:
            raise Malformed
        if self.take("("):
            arguments = (self.pattern(),) if word in ("include", "exclude") else self.arguments()
            return Apply(word, arguments)
        return Name(token.text)

    def pattern(self) -> Node:
        """The names that include() and exclude() mean: `*` stands for any letters."""
        parts = []
        while not self.take(")"):
            token = self.next()
            if token.kind not in ("name", "quoted", "text", "number") and token.text != "*":
                raise Malformed
            parts.append(token.text.strip("\"'"))
        return Literal("text", "".join(parts))

    def signed(self, token: Token) -> Node:
        if token.text == "(":
            inner = self.deeper(self.disjunction)
            self.expect(")")
            return inner
        if token.text in ("-", "+"):
            number = self.next()
            if number.kind == "number":
                return Literal("number", token.text.replace("+", "") + number.text)
        raise Malformed

    def arguments(self) -> tuple[Node, ...]:
        if self.take(")"):
            return ()
        if self.take("distinct"):
            inner = self.deeper(self.sum)
            self.expect(")")
            return (Apply("distinct", (inner,)),)
        arguments = self.deeper(lambda: list(self.items(self.argument)))
        self.expect(")")
        return tuple(arguments)

    def argument(self) -> Node:
        return Star() if self.take("*") else self.disjunction()

    def word(self) -> str:
        return self.next("name", "quoted").text
