"""A read request's parameters, compiled to one SQL statement and the columns it answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from .answers import modern
from .catalogue import View
from .compiler import Source, source_of
from .soql import (
    Apply,
    Field,
    Literal,
    Node,
    Selected,
    Star,
    Statement,
    parse_condition,
    parse_group,
    parse_order,
    parse_query,
    parse_select,
)
from .statements import Compiled, Output, compile_statement, malformed
from .tokens import Malformed

__all__ = ["Compiled", "Output", "Parameters", "Query", "compile_query", "read_query", "sort_parameters"]

T = TypeVar("T")
DEFAULT_LIMIT = 1000
_CLAUSES = ("$select", "$where", "$order", "$group", "$having", "$limit", "$offset", "$q", "$query")
_OPTIONS = ("$$app_token", "$$exclude_system_fields", "$$version", "$$bom")
_BESIDE_QUERY = ("$query", "$order", "$limit", "$offset")


@dataclass(frozen=True)
class Parameters:
    """A query string, sorted: clauses and options by lower-case name, and plain filters."""

    clauses: dict[str, str]
    filters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Query:
    """What is asked: statements, each over the rows of the one before, and plain filters of the first."""

    statements: tuple[Statement, ...]
    lines: dict[str, str]
    """The texts of the clauses, for positions in messages."""
    filters: tuple[Node, ...] = ()


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


def read_query(parameters: Parameters, *, limit: int | None = DEFAULT_LIMIT) -> Query:
    """
    The parsed query of a request; `limit` holds where it names none (None: every row). Raises Refused (400).

    Beside $query stand only $order, $limit and $offset, which hold where the statement has no such clause: a
    widely used client adds them to every address, to page.
    """
    clauses = parameters.clauses
    if "$query" in clauses:
        return _whole(parameters, limit)
    selected = _parsed(clauses, "$select", parse_select) or Statement()
    statement = Statement(
        selected.selected,
        selected.distinct,
        where=_parsed(clauses, "$where", parse_condition),
        groups=tuple(_parsed(clauses, "$group", parse_group) or ()),
        having=_parsed(clauses, "$having", parse_condition),
        ordered=tuple(_parsed(clauses, "$order", parse_order) or ()),
        search=clauses.get("$q"),
        limit=_number(clauses, "$limit", limit),
        offset=_number(clauses, "$offset", None),
    )
    if clauses.get("$$exclude_system_fields", "true").lower() == "false":
        statement = _with_system_fields(statement)
    filters = tuple(
        Apply("=", (Field(name.lower(), 1), Literal("text", value))) for name, value in parameters.filters
    )
    return Query((statement,), clauses, filters)


def compile_query(
    view: View, query: Query, *, source: Source | None = None, key: str | None = None
) -> Compiled:
    """
    The SELECT for `query` over `view`, or over `source`, which reads the same rows. Raises Refused (400).

    `key` is the SQL of what names a row; see `statements.Compiled.keyed`.
    """
    source = source_of(view) if source is None else source
    first, *rest = query.statements
    compiled = compile_statement(source, first, lines=query.lines, filters=query.filters, key=key)
    for statement in rest:
        if compiled.keyed:
            compiled = compile_statement(source, first, lines=query.lines, filters=query.filters)
        compiled = compile_statement(compiled.source(view.uid), statement, lines=query.lines)
    return compiled


def _whole(parameters: Parameters, limit: int | None) -> Query:
    clauses = parameters.clauses
    beside = [name for name in clauses if name in _CLAUSES and name not in _BESIDE_QUERY]
    beside += [name for name, _ in parameters.filters]
    if beside:
        message = "$query is a whole statement; write the other clauses into it"
        raise modern(400, "req.bad-parameter", message, parameter=beside[0])
    text = clauses["$query"]
    statements = _parsed(clauses, "$query", parse_query) or []
    last = statements[-1]
    given = {"$order": last.ordered, "$limit": last.limit, "$offset": last.offset}
    for name, own in given.items():
        if name in clauses and own not in ((), None):
            raise modern(400, "req.bad-parameter", f"{name} stands in $query already", parameter=name)
    ordered = last.ordered or tuple(_parsed(clauses, "$order", parse_order) or ())
    offset = _number(clauses, "$offset", None) if last.offset is None else last.offset
    most = _number(clauses, "$limit", limit) if last.limit is None else last.limit
    statements[-1] = replace(last, ordered=ordered, limit=most, offset=offset)
    return Query(tuple(statements), {"$query": text})


def _with_system_fields(statement: Statement) -> Statement:
    """`$$exclude_system_fields=false`, of 2.0: system fields before the others, unless rows are grouped."""
    selected = statement.selected or (Selected(Star(), None),)
    named = any(one.node in (Field(":id"), Star(system=True)) for one in selected)
    if named or statement.groups or any(isinstance(one.node, Apply) for one in selected):
        return statement
    return replace(statement, selected=(Selected(Star(system=True), None), *selected))


def _parsed(clauses: dict[str, str], clause: str, parse: Callable[[str], T]) -> T | None:
    if clause not in clauses:
        return None
    try:
        return parse(clauses[clause])
    except Malformed:
        pass
    raise malformed(
        clauses[clause] if clause == "$query" else f"{clause.removeprefix('$')} {clauses[clause]}"
    )


def _number(clauses: dict[str, str], clause: str, default: int | None) -> int | None:
    if clause not in clauses:
        return default
    text = clauses[clause].strip()
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise modern(400, "req.bad-parameter", f"{clause} is a whole number", parameter=clause)
    return int(text)
