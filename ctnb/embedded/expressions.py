"""
The expressions of a transform, text to tree: columns, literals, functions, arithmetic, `||`, comparisons.

The trees are those of `soql`; an operator is an Apply whose name is the operator. No text reaches SQL.
"""

from __future__ import annotations

import re

from .soql import NESTING_LIMIT, Apply, Field, Literal, Malformed, Node, Token

LENGTH_LIMIT = 10_000
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |'(?P<text>(?:[^']|'')*)' | `(?P<quoted>[^`]+)` | (?P<name>:?@?[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||::|<=|>=|!=|<>|==|[-+*/%^=<>(),]))""",
    re.X | re.S,
)
_LEVELS = (
    {"or": "or"},
    {"and": "and"},
    {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="},
    {"+": "+", "-": "-", "||": "||"},
    {"*": "*", "/": "/", "%": "%"},
    {"^": "^"},
)
"""Operators from the loosest to the tightest; all of them take the left side first."""
_COMPARING = 2


def parse_expression(text: str) -> Node:
    """The tree of a transform's expression. Raises Malformed, which never carries the text."""
    if len(text) > LENGTH_LIMIT:
        raise Malformed
    parser = _Parser(text)
    tree = parser.level(0)
    if parser.tokens[parser.position :]:
        raise Malformed
    return tree


def fields_of(node: Node) -> set[str]:
    """The names of the columns that a tree uses."""
    if isinstance(node, Field):
        return {node.name}
    return set().union(*map(fields_of, node.arguments)) if isinstance(node, Apply) else set()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[Token] = []
        self.position = self.depth = 0
        at, text = 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise Malformed
            start = match.start(match.lastgroup) + 1
            self.tokens.append(Token(match.lastgroup, match[match.lastgroup], start))
            at = match.end()

    def level(self, number: int) -> Node:
        if number == len(_LEVELS):
            return self.unary()
        self.depth += 1
        if self.depth > NESTING_LIMIT * len(_LEVELS):
            raise Malformed
        left = self.level(number + 1)
        while (token := self.operator(_LEVELS[number])) is not None:
            right = self.level(number + 1)
            left = Apply(_LEVELS[number][token.text.lower()], (left, right), token.at)
        if number == _COMPARING:
            left = self.tested(left)
        self.depth -= 1
        return left

    def operator(self, level: dict[str, str]) -> Token | None:
        token = self.peek()
        if token is None or token.kind not in ("sign", "name") or token.text.lower() not in level:
            return None
        self.position += 1
        return token

    def tested(self, left: Node) -> Node:
        """`is null`, `is not null`, `in (...)` behind an expression."""
        if self.take("is"):
            negated = self.take("not")
            self.expect("null")
            return Apply("is not null" if negated else "is null", (left,))
        negated = self.take("not")
        if self.take("in"):
            self.expect("(")
            found = Apply("in", (left, *self.arguments()))
            return Apply("not", (found,)) if negated else found
        if negated:
            raise Malformed
        return left

    def unary(self) -> Node:
        if self.take("not"):
            return Apply("not", (self.level(_COMPARING),))
        if self.take("-"):
            return Apply("negative", (self.unary(),))
        self.take("+")
        node = self.primary()
        while self.take("::"):
            node = Apply(f"to_{self.next('name').text.lower()}", (node,))
        return node

    def primary(self) -> Node:
        token = self.next("text", "number", "quoted", "name", "sign")
        if token.kind in ("text", "number"):
            return Literal(token.kind, token.text.replace("''", "'"))
        if token.kind == "quoted":
            return Field(token.text, token.at)
        if token.kind == "sign":
            if token.text != "(":
                raise Malformed
            inner = self.level(0)
            self.expect(")")
            return inner
        word = token.text.lower()
        if word in ("true", "false", "null"):
            return Literal("null" if word == "null" else "checkbox", word)
        return Apply(word, self.arguments(), token.at) if self.take("(") else Field(word, token.at)

    def arguments(self) -> tuple[Node, ...]:
        if self.take(")"):
            return ()
        found = [self.level(0)]
        while self.take(","):
            found.append(self.level(0))
        self.expect(")")
        return tuple(found)

    def peek(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def take(self, word: str) -> bool:
        token = self.peek()
        found = token is not None and token.kind in ("name", "sign") and token.text.lower() == word
        self.position += found
        return found

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise Malformed

    def next(self, *kinds: str) -> Token:
        token = self.peek()
        if token is None or token.kind not in kinds:
            raise Malformed
        self.position += 1
        return token
