"""A read request's parameters, compiled to one SQL statement and the columns it answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .answers import Refused, legacy, modern
from .catalogue import View
from .cells import TEXT, CellType
from .compiler import SYSTEM_FIELDS, Compiler, Sql, field_names, is_aggregate
from .soql import (
    Apply,
    Field,
    Literal,
    Malformed,
    Node,
    Ordered,
    Selected,
    Star,
    parse_condition,
    parse_group,
    parse_order,
    parse_select,
)

T = TypeVar("T")
DEFAULT_LIMIT = 1000
_CLAUSES = ("$select", "$where", "$order", "$group", "$having", "$limit", "$offset", "$q")
_OPTIONS = ("$$app_token", "$$exclude_system_fields", "$$version", "$$bom")


@dataclass(frozen=True)
class Output:
    """One column of an answer."""

    name: str
    kind: CellType


@dataclass(frozen=True)
class Question:
    """One statement with its values, and the columns of its rows."""

    sql: str
    values: tuple[Any, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Parameters:
    """A query string, sorted: clauses and options by lower-case name, and plain filters."""

    clauses: dict[str, str]
    filters: tuple[tuple[str, str], ...]


def sort_parameters(query: Sequence[tuple[str, str]]) -> Parameters:
    """Tell clauses from filters. Raises Refused (400) for an unknown `$` name, without its value."""
    clauses: dict[str, str] = {}
    filters: list[tuple[str, str]] = []
    for name, value in query:
        if not name.startswith("$"):
            filters.append((name, value))
        elif name.lower() in (*_CLAUSES, *_OPTIONS):
            clauses[name.lower()] = value
        else:
            raise modern(400, "req.bad-parameter", "Unrecognized parameter", parameter=name)
    return Parameters({name: value for name, value in clauses.items() if value.strip()}, tuple(filters))


def compile_question(view: View, parameters: Parameters) -> Question:
    """The statement for `parameters` over `view`. Raises Refused (400)."""
    return _Question(view, parameters).compiled()


class _Question:
    def __init__(self, view: View, parameters: Parameters) -> None:
        self.view = view
        self.clauses = parameters.clauses
        self.filters = parameters.filters
        self.selected = self.parsed("$select", parse_select) or [Selected(Star(), None)]
        self.groups = self.parsed("$group", parse_group) or []
        self.aliases = {one.alias: one.node for one in self.selected if one.alias}
        self.grouped = bool(self.groups) or any(is_aggregate(one.node) for one in self.selected)

    def compiled(self) -> Question:
        names, pieces = self.select()
        where, having = self.conditions(), self.having()
        group = [self.sql("$group", node) for node in self.groups]
        order = self.order()
        clauses = [("WHERE", " AND ", where), ("GROUP BY", ", ", group), ("HAVING", " AND ", having)]
        clauses.append(("ORDER BY", ", ", order))
        sql = f"SELECT {', '.join(piece.text for piece in pieces)} FROM {self.view.table}"
        values = sum((piece.values for piece in pieces), ())
        for word, glue, parts in clauses:
            if parts:
                sql += f" {word} {glue.join(part.text for part in parts)}"
                values += sum((part.values for part in parts), ())
        values += (self.number("$limit", DEFAULT_LIMIT), self.number("$offset", 0))
        outputs = tuple(Output(name, piece.kind or TEXT) for name, piece in zip(names, pieces, strict=True))
        return Question(f"{sql} LIMIT ? OFFSET ?", values, outputs)

    def select(self) -> tuple[list[str], list[Sql]]:
        names: list[str] = []
        pieces: list[Sql] = []
        for one in self.expanded():
            if self.grouped:
                self.refuse_ungrouped(one.node)
            names.append(one.alias or _default_name(one.node))
            pieces.append(self.sql("$select", one.node, aliases=False))
        if len(set(names)) != len(names):
            raise modern(400, "query.soql.duplicate-alias", "Two selected columns have the same name")
        return names, pieces

    def expanded(self) -> list[Selected]:
        items: list[Selected] = []
        for one in self.selected:
            if isinstance(one.node, Star):
                system = one.node.system
                names = list(SYSTEM_FIELDS) if system else [column.field_name for column in self.view.columns]
                items += [Selected(Field(name), None) for name in names]
            else:
                items.append(one)
        wanted = self.clauses.get("$$exclude_system_fields", "true").lower() == "false"
        if wanted and not self.grouped and all(one.node != Field(":id") for one in items):
            items = [Selected(Field(name), None) for name in SYSTEM_FIELDS] + items
        return items or [Selected(Field(":id"), None)]

    def refuse_ungrouped(self, node: Node) -> None:
        grouped = [
            self.aliases.get(part.name, part) if isinstance(part, Field) else part for part in self.groups
        ]
        loose = field_names(node) - {part.name for part in grouped if isinstance(part, Field)}
        if node not in grouped and loose:
            code, name = "query.soql.column-not-in-group-bys", min(loose)
            message = f"Query coordinator error: {code}; Column not in group bys: {name}"
            raise modern(400, code, message, column=name, dataset=self.view.uid)

    def conditions(self) -> list[Sql]:
        parts = []
        if node := self.parsed("$where", parse_condition):
            if is_aggregate(node):
                raise modern(400, "query.soql.aggregate-function-not-allowed", "$where takes no aggregate")
            parts.append(self.guarded("$where", lambda compiler: compiler.condition(node)))
        for name, value in self.filters:
            equal = Apply("=", (Field(name.lower()), Literal("text", value)))
            parts.append(Compiler(self.view, name).compile(equal))
        return parts + self.search()

    def search(self) -> list[Sql]:
        columns = [column.sql for column in self.view.columns if column.kind.soda == "text"]
        parts = []
        for word in self.clauses.get("$q", "").lower().split()[:20]:
            found = " OR ".join(f"instr(to_lower({column}), ?) > 0" for column in columns) or "0"
            parts.append(Sql(f"({found})", (word,) * len(columns), None))
        return parts

    def having(self) -> list[Sql]:
        node = self.parsed("$having", parse_condition)
        if node is None:
            return []
        if not self.grouped:
            raise modern(400, "query.soql.having-without-group-by", "$having needs a $group or an aggregate")
        return [self.guarded("$having", lambda compiler: compiler.condition(node))]

    def order(self) -> list[Sql]:
        ordered: list[Ordered] = self.parsed("$order", parse_order) or []
        parts = []
        for one in ordered:
            piece = self.sql("$order", one.node)
            direction = "DESC" if one.descending else "ASC"
            nulls = "FIRST" if one.nulls_first else "LAST"
            parts.append(Sql(f"{piece.text} {direction} NULLS {nulls}", piece.values, piece.kind))
        return parts

    def sql(self, clause: str, node: Node, *, aliases: bool = True) -> Sql:
        return self.guarded(clause, lambda compiler: compiler.compile(node), aliases=aliases)

    def guarded(self, clause: str, job: Callable[[Compiler], Sql], *, aliases: bool = True) -> Sql:
        known = self.aliases if aliases else {}
        try:
            return job(Compiler(self.view, self.clauses.get(clause, ""), known))
        except Malformed:
            pass
        raise self.malformed(clause)

    def parsed(self, clause: str, parse: Callable[[str], T]) -> T | None:
        if clause not in self.clauses:
            return None
        try:
            return parse(self.clauses[clause])
        except Malformed:
            pass
        raise self.malformed(clause)

    def malformed(self, clause: str) -> Refused:
        query = f"{clause.removeprefix('$')} {self.clauses.get(clause, '')}"
        return legacy(400, "query.compiler.malformed", f'Could not parse SoQL query "{query}"', query=query)

    def number(self, clause: str, default: int) -> int:
        text = self.clauses.get(clause, str(default)).strip()
        if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
            raise modern(400, "req.bad-parameter", f"{clause} is a whole number", parameter=clause)
        return int(text)


def _default_name(node: Node) -> str:
    if isinstance(node, Field):
        return node.name
    if not isinstance(node, Apply):
        return "literal"
    parts = [_default_name(part) for part in node.arguments if not isinstance(part, Star)]
    return re.sub(r"[^a-z0-9_]+", "_", "_".join([node.name, *parts])).strip("_")
