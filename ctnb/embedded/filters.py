"""
Filtered views: the query that each has, compiled anew whenever the view is read.

A filtered view is one whose document names `modifyingViewUid`, the view it is of, and `queryString`, SoQL that
leaves some of the rows (WHERE) and some of the columns (SELECT). Its rows are read from a SELECT in parentheses in
place of a table, so whatever reads rows reads those of a filtered view, and its dataset's new rows at once. The
values of the query stand in that SELECT as hexadecimal digits, so that no text of a caller is ever SQL.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from .answers import Refused, legacy
from .catalogue import Column, View
from .compiler import Compiler, Sql
from .soql import Field, Star, Statement, parse_query
from .tokens import Malformed

_OPERATORS = {
    "EQUALS": "=", "NOT_EQUALS": "!=", "LESS_THAN": "<", "LESS_THAN_OR_EQUALS": "<=", "GREATER_THAN": ">",
    "GREATER_THAN_OR_EQUALS": ">=",
}  # fmt: skip
_TESTS = {"IS_BLANK": "IS NULL", "IS_NOT_BLANK": "IS NOT NULL"}
CONDITION_DEPTH = 20


def narrowed(view: View, parent: View, query: str) -> View:
    """`view` with the columns and rows of `parent` that `query` leaves, or with its `fault` when it does not fit."""
    try:
        statement = _statement(query)
        columns = _columns(parent, statement)
        where = _condition(parent, query, statement)
        source = parent.table
    except Refused as refused:
        nothing = _selection(parent.columns, f"rows_{parent.base.id} WHERE 0")
        same = replace(view, columns=parent.columns, identifier=parent.identifier)
        return replace(same, selection=nothing, fault=refused)
    selection = _selection(columns, source + where)
    kept = {column.id for column in columns}
    own = parent.identifier if parent.identifier is not None and parent.identifier.id in kept else None
    return replace(view, columns=columns, identifier=own, selection=selection)


def checked_query(parent: View, body: dict[str, Any]) -> str:
    """
    The SoQL that a caller gives for a filtered view of `parent`. Raises Refused (400) when it does not fit.

    `queryString` or `query` is SoQL: a statement, or only WHERE and a condition. `query` or `viewFilter` may be an
    object with the `filterCondition` that the vendor's pages send.
    """
    given = next((body[key] for key in ("queryString", "query", "viewFilter") if body.get(key)), "")
    if isinstance(given, dict):
        condition = given.get("filterCondition")
        given = f"SELECT * WHERE {_soql(parent, condition, 0)}" if condition else ""
    if not isinstance(given, str):
        raise legacy(400, "invalid_request", "The query of a filtered view is SoQL", parameter="query")
    query = _whole(given)
    statement = _statement(query)
    _columns(parent, statement)
    _condition(parent, query, statement)
    return query


def _selection(columns: tuple[Column, ...], source: str) -> str:
    names = ", ".join(["sid", "rid", "created_at", "updated_at", *(column.sql for column in columns)])
    return f"(SELECT {names} FROM {source})"


def _whole(text: str) -> str:
    """A statement, when only a part of one was given."""
    text = text.strip()
    first = text.split(None, 1)[0].lower() if text else ""
    if first == "select":
        return text
    if first in ("where", ""):
        return f"SELECT * {text}".strip()
    return f"SELECT * WHERE {text}"


def _statement(query: str) -> Statement:
    statements: list[Statement] = []
    with contextlib.suppress(Malformed):  # refused below, without the cause
        statements = parse_query(query)
    if not statements:
        message = f'Could not parse SoQL query "{query}"'
        raise legacy(400, "query.compiler.malformed", message, query=query)
    one = statements[0]
    more = one.distinct or one.groups or one.having or one.ordered or one.search or len(statements) > 1
    if more or one.limit is not None or one.offset is not None:
        message = "A filtered view here selects columns and takes rows with WHERE, and nothing more"
        raise legacy(400, "invalid_request", message, parameter="query")
    return one


def _columns(parent: View, statement: Statement) -> tuple[Column, ...]:
    if not statement.selected or [one.node for one in statement.selected] == [Star()]:
        return parent.columns
    columns = []
    for one in statement.selected:
        column = parent.column(one.node.name) if isinstance(one.node, Field) and one.alias is None else None
        if column is None:
            message = "A filtered view here selects columns of its dataset, by their field names"
            raise legacy(400, "query.soql.no-such-column", message, dataset=parent.uid)
        columns.append(column)
    return tuple(columns)


def _condition(parent: View, query: str, statement: Statement) -> str:
    if statement.where is None:
        return ""
    condition: Sql | None = None
    with contextlib.suppress(Malformed):  # refused below, without the cause
        condition = Compiler(parent, query).condition(statement.where)
    if condition is None:
        raise legacy(400, "query.compiler.malformed", f'Could not parse SoQL query "{query}"', query=query)
    return f" WHERE {_inlined(condition)}"


def _inlined(condition: Sql) -> str:
    """The condition with its values in the places they were bound to."""
    parts = condition.text.split("?")
    if len(parts) != len(condition.values) + 1:
        raise legacy(
            400, "invalid_request", "That condition cannot be kept in a filtered view", parameter="query"
        )
    values = [*map(_literal, condition.values), ""]
    return "".join(part + value for part, value in zip(parts, values, strict=True))


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (bool, int)):
        return str(int(value))
    return f"CAST(X'{str(value).encode().hex()}' AS TEXT)"


def _soql(parent: View, condition: object, depth: int) -> str:
    """The SoQL of a `filterCondition`: a tree of operators, columns and literals."""
    if not isinstance(condition, dict) or depth > CONDITION_DEPTH:
        raise _no_condition()
    operator, parts = str(condition.get("value", "")).upper(), condition.get("children")
    if condition.get("type") != "operator" or not isinstance(parts, list) or not parts:
        raise _no_condition()
    if operator in ("AND", "OR"):
        inner = [_soql(parent, part, depth + 1) for part in parts]
        return "(" + f" {operator} ".join(inner) + ")"
    column, texts = _place(parent, parts[0]), [_text(part) for part in parts[1:]]
    if operator in _TESTS and not texts:
        return f"`{column.field_name}` {_TESTS[operator]}"
    if operator in _OPERATORS and len(texts) == 1:
        return f"`{column.field_name}` {_OPERATORS[operator]} {texts[0]}"
    if operator == "BETWEEN" and len(texts) == 2:
        return f"`{column.field_name}` BETWEEN {texts[0]} AND {texts[1]}"
    if operator == "STARTS_WITH" and len(texts) == 1:
        return f"starts_with(`{column.field_name}`, {texts[0]})"
    raise _no_condition()


def _place(parent: View, part: object) -> Column:
    wanted = (part.get("columnId"), part.get("columnFieldName")) if isinstance(part, dict) else ()
    for column in parent.columns:
        if column.id in wanted or column.field_name in wanted:
            return column
    raise _no_condition()


def _text(part: object) -> str:
    value = part.get("value") if isinstance(part, dict) else None
    if isinstance(value, (str, int, float)):
        return "'" + str(value).replace("'", "''") + "'"
    raise _no_condition()


def _no_condition() -> Refused:
    operators = ", ".join(["AND", "OR", *_OPERATORS, "BETWEEN", "STARTS_WITH", *_TESTS])
    message = f"A filterCondition is a tree of operators ({operators}) over columns and literals"
    return legacy(400, "invalid_request", message, parameter="query")
