"""SoQL trees to SQL over one view's table: an allow-list of operators and functions, every value bound."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .answers import Refused, modern
from .catalogue import View
from .cells import CHECKBOX, FIXED, NUMBER, TEXT, CellType, Maltyped, store
from .decimals import pack
from .soql import Apply, Field, Literal, Malformed, Node, Star

SYSTEM_FIELDS = {
    ":id": ("rid", TEXT),
    ":created_at": ("created_at", FIXED),
    ":updated_at": ("updated_at", FIXED),
}
WILDCARD_LIMIT = 8
"""Each further % in a LIKE multiplies the time it can take."""
_COMPARISONS = {"=", "!=", "<", "<=", ">", ">="}


@dataclass(frozen=True)
class Sql:
    """A piece of SQL with its values and its type; `kind` None is the null literal."""

    text: str
    values: tuple[Any, ...]
    kind: CellType | None
    literal: Literal | None = None


@dataclass(frozen=True)
class Function:
    """A SoQL function: what it takes, gives and is in SQL."""

    takes: tuple[str, ...]
    """Types by their X-SODA2 words; `any` takes all."""
    gives: CellType | None
    """None: the type of its first argument."""
    sql: str
    aggregate: bool = False


FUNCTIONS = {
    "lower": Function(("text",), TEXT, "to_lower({0})"),
    "upper": Function(("text",), TEXT, "to_upper({0})"),
    "starts_with": Function(("text", "text"), CHECKBOX, "(substr({0}, 1, length({1})) = {1})"),
    "count": Function(("any",), NUMBER, "num_of(count({0}))", aggregate=True),
    "sum": Function(("number",), NUMBER, "num_sum({0})", aggregate=True),
    "avg": Function(("number",), NUMBER, "num_avg({0})", aggregate=True),
    "min": Function(("any",), None, "min({0})", aggregate=True),
    "max": Function(("any",), None, "max({0})", aggregate=True),
}


def is_aggregate(node: Node) -> bool:
    """Whether a tree holds an aggregate function."""
    if not isinstance(node, Apply):
        return False
    known = FUNCTIONS.get(node.name)
    return (known is not None and known.aggregate) or any(is_aggregate(part) for part in node.arguments)


def field_names(node: Node) -> set[str]:
    """The columns a tree names outside its aggregates."""
    if isinstance(node, Field):
        return {node.name}
    if not isinstance(node, Apply) or (node.name in FUNCTIONS and FUNCTIONS[node.name].aggregate):
        return set()
    return set().union(*(field_names(part) for part in node.arguments))


class Compiler:
    """Compiles trees over one view; `line` is the clause's text, for error positions."""

    def __init__(self, view: View, line: str = "", aliases: dict[str, Node] | None = None) -> None:
        self.view = view
        self.line = line
        self.aliases = aliases or {}

    def compile(self, node: Node) -> Sql:
        """The SQL of a tree. Raises Refused (400) for unknown names and types that do not meet."""
        if isinstance(node, Literal):
            return self.literal(node)
        if isinstance(node, Field):
            return self.field(node)
        if isinstance(node, Star):
            raise Malformed
        special = _OPERATORS.get(node.name)
        if special is not None:
            return special(self, node)
        if node.name in _COMPARISONS:
            return self.comparison(node)
        return self.function(node)

    def condition(self, node: Node) -> Sql:
        """The SQL of a tree that must be true or false."""
        compiled = self.compile(node)
        if compiled.kind is not CHECKBOX:
            raise self.mismatch(node)
        return compiled

    def literal(self, node: Literal) -> Sql:
        if node.kind == "null":
            return Sql("NULL", (), None)
        if node.kind == "number":
            packed = pack(node.value)
            if packed is None:
                raise Malformed
            return Sql("?", (packed,), NUMBER, node)
        if node.kind == "checkbox":
            return Sql("?", (int(node.value == "true"),), CHECKBOX, node)
        return Sql("?", (node.value,), TEXT, node)

    def field(self, node: Field) -> Sql:
        if node.name in SYSTEM_FIELDS:
            column, kind = SYSTEM_FIELDS[node.name]
            return Sql(column, (), kind)
        known = self.view.column(node.name)
        if known is not None:
            return Sql(known.sql, (), known.kind)
        if node.name in self.aliases:
            return Compiler(self.view, self.line).compile(self.aliases[node.name])
        raise self.no_such("column", node.name, node.at)

    def comparison(self, node: Apply) -> Sql:
        left, right = self.meeting(node, *node.arguments)
        sign = "<>" if node.name == "!=" else node.name
        return Sql(f"({left.text} {sign} {right.text})", left.values + right.values, CHECKBOX)

    def meeting(self, node: Node, *parts: Node) -> list[Sql]:
        """The parts, compiled, with text literals read as the type of the others."""
        compiled = [self.compile(part) for part in parts]
        kinds = [part.kind for part in compiled if part.kind is not None and part.literal is None]
        kind = kinds[0] if kinds else next((part.kind for part in compiled if part.kind is not None), None)
        if kind is None:
            return compiled
        return [self.coerced(node, part, kind) for part in compiled]

    def coerced(self, node: Node, part: Sql, kind: CellType) -> Sql:
        if part.kind is None or part.kind.soda == kind.soda:
            return part
        if part.literal is None or part.literal.kind != "text":
            raise self.mismatch(node)
        stored = None
        with contextlib.suppress(Maltyped):
            stored = store(kind, part.literal.value)
        if stored is None:
            raise self.mismatch(node)
        return Sql("?", (stored,), kind, part.literal)

    def function(self, node: Apply) -> Sql:
        known = FUNCTIONS.get(node.name)
        if known is None:
            raise self.no_such("function", node.name, node.at)
        if node.arguments == (Star(),) and node.name == "count":
            return Sql("num_of(count(*))", (), NUMBER)
        if len(node.arguments) != len(known.takes):
            raise self.mismatch(node)
        parts = [self.compile(argument) for argument in node.arguments]
        for part, taken in zip(parts, known.takes, strict=True):
            if taken != "any" and part.kind is not None and part.kind.soda != taken:
                raise self.mismatch(node)
        return _filled(known, parts)

    def no_such(self, what: str, name: str, at: int) -> Refused:
        """400: a column or function that is not there, in the coordinator's words."""
        line = self.line or name
        code = f"query.soql.no-such-{what}"
        position = {"row": 1, "column": at or 1, "line": line}
        shown = f"Map(row -> 1, column -> {at or 1}, line -> {line!r})"
        message = f"Query coordinator error: {code}; No such {what}: {name}; position: {shown}"
        data = {what: name, "dataset": self.view.uid, "position": position}
        return modern(400, code, message, **data)

    def mismatch(self, node: Node) -> Refused:
        """400: types that do not meet."""
        code, name = "query.soql.type-mismatch", getattr(node, "name", "")
        message = f"Query coordinator error: {code}; Type mismatch for {name or 'a literal'}"
        return modern(400, code, message, dataset=self.view.uid, function=name)


def _filled(known: Function, parts: list[Sql]) -> Sql:
    """The function's SQL; an argument that stands twice in it brings its values twice."""
    values: tuple[Any, ...] = ()
    for piece in known.sql.split("{")[1:]:
        values += parts[int(piece[0])].values
    return Sql(known.sql.format(*(part.text for part in parts)), values, known.gives or parts[0].kind)


def _boolean(compiler: Compiler, node: Apply) -> Sql:
    parts = [compiler.condition(part) for part in node.arguments]
    text = f" {node.name.upper()} ".join(part.text for part in parts)
    return Sql(f"({text})", sum((part.values for part in parts), ()), CHECKBOX)


def _not(compiler: Compiler, node: Apply) -> Sql:
    part = compiler.condition(node.arguments[0])
    return Sql(f"(NOT {part.text})", part.values, CHECKBOX)


def _null_test(compiler: Compiler, node: Apply) -> Sql:
    part = compiler.compile(node.arguments[0])
    return Sql(f"({part.text} {node.name.upper()})", part.values, CHECKBOX)


def _in(compiler: Compiler, node: Apply) -> Sql:
    first, *rest = compiler.meeting(node, *node.arguments)
    inside = ", ".join(part.text for part in rest)
    values = first.values + sum((part.values for part in rest), ())
    return Sql(f"({first.text} IN ({inside}))", values, CHECKBOX)


def _between(compiler: Compiler, node: Apply) -> Sql:
    one, low, high = compiler.meeting(node, *node.arguments)
    values = one.values + low.values + high.values
    return Sql(f"({one.text} BETWEEN {low.text} AND {high.text})", values, CHECKBOX)


def _like(compiler: Compiler, node: Apply) -> Sql:
    """LIKE minds case in SoQL and not in SQLite; GLOB does, and is given the pattern in its own signs."""
    one, pattern = (compiler.compile(part) for part in node.arguments)
    if pattern.literal is None or pattern.kind is not TEXT or one.kind is None or one.kind.soda != "text":
        raise compiler.mismatch(node)
    signs = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    glob = re.sub(r"\*+", "*", "".join(signs.get(letter, letter) for letter in pattern.literal.value))
    if pattern.literal.value.count("%") > WILDCARD_LIMIT:
        raise Malformed
    return Sql(f"({one.text} GLOB ?)", (*one.values, glob), CHECKBOX)


_OPERATORS: dict[str, Callable[[Compiler, Apply], Sql]] = {
    "and": _boolean,
    "or": _boolean,
    "not": _not,
    "is null": _null_test,
    "is not null": _null_test,
    "in": _in,
    "between": _between,
    "like": _like,
}
