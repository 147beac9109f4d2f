"""
SoQL: text to tokens to a tree. No text reaches SQL; `compiler` and `transforms` translate the tree.

The grammar is the vendor's: a statement's clauses, or the text of one clause; operators from the loosest to
the tightest are `or`, `and`, `not`, comparisons and tests, `+ - ||`, `* / %`, `^`, signs, `::type`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .tokens import NESTING_LIMIT, Cursor, Malformed, Token

CHAIN_LIMIT = 100
"""Arithmetic operators in one row, each of which makes the tree one deeper."""
LENGTH_LIMIT = 100_000
"""Characters of a query's text."""
EXPRESSION_LIMIT = 10_000
"""Characters of a transform's."""


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
    """`*`, the view's columns, or `:*`, the system fields, without those in `(except ...)`."""

    system: bool = False
    without: tuple[str, ...] = ()


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
class Statement:
    """The clauses of one statement; None and empty are clauses that it does not have."""

    selected: tuple[Selected, ...] = ()
    distinct: bool = False
    where: Node | None = None
    groups: tuple[Node, ...] = ()
    having: Node | None = None
    ordered: tuple[Ordered, ...] = ()
    search: str | None = None
    limit: int | None = None
    """Rows."""
    offset: int | None = None
    """Rows."""


_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |'(?P<text>(?:[^']|'')*)' | `(?P<quoted>[^`]+)`
    |(?P<name>:@?[A-Za-z_][A-Za-z0-9_]*|[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||\|>|::|:\*|<=|>=|!=|<>|==|[-+*/%^=<>(),]))""",
    re.X | re.S,
)
_COMPARISONS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_ARITHMETIC: tuple[frozenset[str], ...] = (
    frozenset({"+", "-", "||"}),
    frozenset({"*", "/", "%"}),
    frozenset({"^"}),
)
"""Operators from the loosest to the tightest; all of them take the left side first."""
_RESERVED = {"and", "or", "not", "is", "in", "like", "between", "as", "asc", "desc", "null", "true", "false"}


def parse_query(text: str) -> list[Statement]:
    """The statements of a $query: one, or several joined by `|>`. Raises Malformed."""
    parser = _Parser(text)
    statements = [parser.statement()]
    while parser.take("|>"):
        statements.append(parser.statement())
    return parser.finish(statements)


def parse_expression(text: str) -> Node:
    """The tree of a transform's expression. Raises Malformed, which never carries the text."""
    if len(text) > EXPRESSION_LIMIT:
        raise Malformed
    return parse_condition(text)


def parse_condition(text: str) -> Node:
    """The tree of a $where or $having. Raises Malformed."""
    parser = _Parser(text)
    return parser.finish(parser.disjunction())


def parse_select(text: str) -> Statement:
    """A statement with the items of a $select, `distinct` perhaps. Raises Malformed."""
    parser = _Parser(text)
    distinct = parser.distinct()
    return parser.finish(Statement(tuple(parser.items(parser.selected)), distinct))


def parse_order(text: str) -> list[Ordered]:
    """The items of an $order. Raises Malformed."""
    parser = _Parser(text)
    return parser.finish(list(parser.items(parser.ordered)))


def parse_group(text: str) -> list[Node]:
    """The items of a $group. Raises Malformed."""
    parser = _Parser(text)
    return parser.finish(list(parser.items(parser.disjunction)))


def fields_of(node: Node) -> set[str]:
    """The names of the columns that a tree uses."""
    if isinstance(node, Field):
        return {node.name}
    return set().union(*map(fields_of, node.arguments)) if isinstance(node, Apply) else set()


class _Parser(Cursor):
    def __init__(self, text: str) -> None:
        if len(text) > LENGTH_LIMIT:
            raise Malformed
        super().__init__(_TOKEN, text)

    def statement(self) -> Statement:
        self.expect("select")
        distinct = self.distinct()
        selected = tuple(self.items(self.selected))
        where = self.disjunction() if self.take("where") else None
        groups = tuple(self.items(self.disjunction)) if self.take_both("group", "by") else ()
        having = self.disjunction() if self.take("having") else None
        search = self.next("text").text.replace("''", "'") if self.take("search") else None
        ordered = tuple(self.items(self.ordered)) if self.take_both("order", "by") else ()
        if search is None and self.take("search"):
            search = self.next("text").text.replace("''", "'")
        limit, offset = self.count("limit"), self.count("offset")
        limit = self.count("limit") if limit is None else limit
        return Statement(selected, distinct, where, groups, having, ordered, search, limit, offset)

    def count(self, word: str) -> int | None:
        if not self.take(word):
            return None
        number = self.next("number").text
        if not re.fullmatch(r"\d{1,15}", number, re.ASCII):
            raise Malformed
        return int(number)

    def distinct(self) -> bool:
        following = self.tokens[self.position + 1 : self.position + 2]
        return (not following or following[0].text not in (",", "(")) and self.take("distinct")

    def selected(self) -> Selected:
        for sign, system in (("*", False), (":*", True)):
            if self.take(sign):
                return Selected(Star(system, self.without()), None)
        node = self.disjunction()
        return Selected(node, self.name().text.lower() if self.take("as") else None)

    def without(self) -> tuple[str, ...]:
        if not self.take("("):
            return ()
        self.expect("except")
        names = tuple(self.next("name", "quoted").text.lower() for _ in self.items(lambda: None))
        self.expect(")")
        return names

    def ordered(self) -> Ordered:
        node = self.disjunction()
        descending = not self.take("asc") and self.take("desc")
        nulls_first = descending
        if self.take("null") or self.take("nulls"):
            nulls_first = self.take("first")
            if not nulls_first:
                self.expect("last")
        return Ordered(node, descending, nulls_first)

    def disjunction(self) -> Node:
        return self.chain("or", self.conjunction)

    def conjunction(self) -> Node:
        return self.chain("and", self.negation)

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
        left = self.arithmetic(0)
        sign = self.peek()
        if sign is not None and sign.kind == "sign" and sign.text in _COMPARISONS:
            self.position += 1
            left = Apply(_COMPARISONS[sign.text], (left, self.arithmetic(0)), sign.at)
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
            values = list(self.items(self.disjunction))
            self.expect(")")
            return Apply("in", (left, *values))
        if self.take("like"):
            return Apply("like", (left, self.arithmetic(0)))
        self.expect("between")
        low = self.arithmetic(0)
        self.expect("and")
        return Apply("between", (left, low, self.arithmetic(0)))

    def arithmetic(self, level: int) -> Node:
        if level == len(_ARITHMETIC):
            return self.signed()
        left = self.arithmetic(level + 1)
        for _ in range(CHAIN_LIMIT):
            token = self.peek()
            if token is None or token.kind != "sign" or token.text not in _ARITHMETIC[level]:
                return left
            self.position += 1
            left = Apply(token.text, (left, self.arithmetic(level + 1)), token.at)
        raise Malformed

    def signed(self) -> Node:
        sign = self.peek()
        if self.take("-"):
            inner = self.deeper(self.signed)
            if isinstance(inner, Literal) and inner.kind == "number" and inner.value[0] != "-":
                return Literal("number", "-" + inner.value)
            return Apply("negative", (inner,), sign.at if sign else 0)
        if self.take("+"):
            return self.deeper(self.signed)
        node = self.primary()
        for _ in range(NESTING_LIMIT):
            if not self.take("::"):
                return node
            word = self.next("name")
            node = Apply(f"to_{word.text.lower()}", (node,), word.at)
        raise Malformed

    def primary(self) -> Node:
        token = self.next("text", "number", "quoted", "name", "sign")
        word = token.text.lower()
        if token.kind in ("text", "number"):
            return Literal(token.kind, token.text.replace("''", "'"))
        if token.kind == "quoted":
            return Field(token.text, token.at)
        if token.kind == "sign":
            return self.bracketed(token)
        if word in ("true", "false", "null"):
            return Literal("null" if word == "null" else "checkbox", word)
        if word in _RESERVED:
            raise Malformed
        if word == "case" and self.peek_is("when"):
            return self.deeper(lambda: self.case(token.at))
        if self.take("("):
            return self.applied(word, token.at)
        return Field(word, token.at)

    def bracketed(self, token: Token) -> Node:
        if token.text != "(":
            raise Malformed
        inner = self.deeper(self.disjunction)
        self.expect(")")
        return inner

    def case(self, at: int) -> Node:
        """`case when ... then ... else ... end`, as the function of the same name."""
        parts: list[Node] = []
        while self.take("when"):
            parts.append(self.disjunction())
            self.expect("then")
            parts.append(self.disjunction())
        if self.take("else"):
            parts += [Literal("checkbox", "true"), self.disjunction()]
        self.expect("end")
        return Apply("case", tuple(parts), at)

    def applied(self, name: str, at: int) -> Node:
        if self.take(")"):
            return Apply(name, (), at)
        if self.take("*"):
            self.expect(")")
            return Apply(name, (Star(),), at)
        name = f"{name} distinct" if self.distinct() else name
        arguments = self.deeper(lambda: tuple(self.items(self.disjunction)))
        self.expect(")")
        return Apply(name, arguments, at)

    def take_both(self, first: str, second: str) -> bool:
        if not self.take(first):
            return False
        self.expect(second)
        return True

    def name(self) -> Token:
        token = self.next("name", "quoted")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", token.text):
            raise Malformed
        return token
