"""
The queries of explore: select, where, group_by, order_by, refine, exclude, limit and offset over one table.

Source: the vendor's Explore API v2.1. Errors name the clause and the names in it, never a cell.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from . import ods_functions, ods_ranges, ods_times
from .answers import Call, Refused
from .ods_answers import explore_error
from .ods_compiler import Compiler, Sql, Values, Wrong, is_aggregate
from .ods_fields import Field
from .ods_odsql import (
    Apply,
    Item,
    Literal,
    Name,
    Node,
    Star,
    parse_condition,
    parse_items,
    parse_order,
)
from .tokens import Malformed

T = TypeVar("T")
LIMIT, GROUP_LIMIT = 100, 20_000
WINDOW, GROUP_WINDOW = 10_000, 20_000
DEFAULT_LIMIT = 10
LANGUAGES = (
    "ar", "ca", "da", "de", "el", "en", "es", "eu", "fi", "fr", "it", "nb", "nl", "pt", "sv",
)  # fmt: skip
_NOTHING: Values = ()
_MORE = {**ods_ranges.FUNCTIONS, **ods_times.FUNCTIONS}
_PERIOD = re.compile(r"\d{4}(?:[/-]\d{1,2}){0,2}", re.ASCII)


@dataclass(frozen=True)
class Output:
    """A column of an answer."""

    name: str
    kind: str
    separator: str = ""
    label: str = ""


@dataclass(frozen=True)
class Question:
    """A query as SQL."""

    outputs: tuple[Output, ...]
    columns: Sql
    """What is selected."""
    sql: str
    """Without its limit."""
    values: Values
    count_sql: str
    count_values: Values
    grouped: bool
    zone: str


@dataclass
class _Asked:
    """What is asked of one table."""

    call: Call
    table: str
    fields: tuple[Field, ...]
    zone: str

    def question(self) -> Question:
        select = self.items("select")
        groups = self.items("group_by")
        aliases = {one.alias: one.node for one in (*select, *groups) if one.alias}
        grouped = bool(groups) or any(is_aggregate(one.node) for one in select)
        keys = [self.compiled("group_by", one.node) for one in groups]
        columns = self.columns(select, groups, grouped)
        ranges = [one for one in keys if one.kind.startswith(ods_ranges.KIND)]
        apart = (Sql(f"{one.text} IS NOT NULL", one.values, "boolean") for one in ranges)
        where = [*self.conditions(), *apart]
        if not columns:  # `exclude(*)`; or a dataset that was published before it had a field
            if self.fields:
                raise malformed("No field is selected", "select")
            where = [*where, Sql("0", (), "boolean")]
        order = self.order(aliases, grouped)
        chosen = _joined(", ", [sql for _, sql in columns] or [Sql("NULL", (), "")])
        text, values = f"SELECT {chosen.text} FROM {self.table}", chosen.values
        if where:
            text, values = _more(text, values, " WHERE ", _joined(" AND ", where))
        matching, matching_values = text, values
        if keys:
            text, values = _more(text, values, " GROUP BY ", _joined(", ", keys))
            matching, matching_values = text, values
        if not order:
            order = [Sql(one.text, one.values, "") for one in keys] if grouped else [Sql("sid", (), "")]
        if order:
            text, values = _more(text, values, " ORDER BY ", _joined(", ", order))
        outputs = tuple(output for output, _ in columns)
        count = f"SELECT count(*) FROM ({matching})"
        return Question(outputs, chosen, text, values, count, matching_values, grouped, self.zone)

    def items(self, clause: str) -> list[Item]:
        text = self.call.option(clause).strip()
        return self.guarded(clause, lambda: parse_items(text)) if text else []

    def columns(self, select: list[Item], groups: list[Item], grouped: bool) -> list[tuple[Output, Sql]]:
        if grouped:
            counted = [Item(Apply("count", (Star(),)), None, "count(*)")] if not select else []
            chosen = [*groups, *select, *counted]
            loose = {one.node.name for one in select if isinstance(one.node, Name)}
            kept = {one.node.name for one in groups if isinstance(one.node, Name)}
            kept |= {one.alias for one in groups if one.alias}
            if loose - kept:
                message = f"The field {min(loose - kept)} is neither grouped by nor aggregated"
                raise malformed(message, "select")
        else:
            chosen = self.expanded(select)
        made: dict[str, tuple[Output, Sql]] = {}
        for one in chosen:
            sql = self.compiled("select", one.node, {item.alias: item.node for item in groups if item.alias})
            known = next(
                (f for f in self.fields if isinstance(one.node, Name) and f.name == one.node.name), None
            )
            name = one.alias or one.text.strip("`")
            label = known.label if known and not one.alias else name
            made.setdefault(name, (Output(name, sql.kind, sql.separator, label), sql))
        return list(made.values())

    def expanded(self, select: list[Item]) -> list[Item]:
        """The selected expressions, with `*`, include() and exclude() made into fields."""
        everything = [Item(Name(one.name), None, one.name) for one in self.fields]
        if not select:
            return everything
        chosen: list[Item] = []
        for one in select:
            pattern = _pattern(one.node)
            if isinstance(one.node, Star):
                chosen += everything
            elif pattern is None:
                chosen.append(one)
            elif pattern[0] == "include":
                chosen += [item for item in everything if fnmatchcase(item.text, pattern[1])]
            else:
                chosen = [item for item in chosen or everything if not fnmatchcase(item.text, pattern[1])]
        return chosen

    def conditions(self) -> list[Sql]:
        parts = []
        for text in [value for key, value in self.call.query if key == "where" and value.strip()]:
            tree = self.guarded("where", functools.partial(parse_condition, text))
            if is_aggregate(tree):
                raise malformed("where takes no aggregate", "where")
            parts.append(self.guarded("where", functools.partial(self.compiler().condition, tree)))
        return [*parts, *self.refined("refine", False), *self.refined("exclude", True)]

    def refined(self, clause: str, excluded: bool) -> list[Sql]:
        """refine=field:value; of a field that is `disjunctive`, one value is enough."""
        by_field: dict[str, list[Sql]] = {}
        for text in [value for key, value in self.call.query if key == clause]:
            name, separator, value = text.partition(":")
            known = next((one for one in self.fields if one.name == name), None)
            if not separator or known is None or "facet" not in known.annotations:
                raise explore_error(
                    400, "InvalidRESTParameterError", f"{clause} takes facet:value; unknown facet"
                )
            by_field.setdefault(name, []).append(self.facet(known, value.strip("\"'")))
        parts = []
        for name, one in by_field.items():
            known = next(field for field in self.fields if field.name == name)
            found = _joined(" OR " if "disjunctive" in known.annotations or excluded else " AND ", one)
            text = f"(NOT coalesce(({found.text}), 0))" if excluded else f"({found.text})"
            parts.append(Sql(text, found.values, "boolean"))
        return parts

    def facet(self, known: Field, value: str) -> Sql:
        if known.type in ("date", "datetime") and _PERIOD.fullmatch(value):
            period = "-".join(part.zfill(2) for part in re.split("[/-]", value))
            text, values = known.column, _NOTHING
            if known.type == "datetime":
                text, values = f"ods_local({known.column}, ?)", (self.zone,)
            return Sql(f"(substr({text}, 1, ?) = ?)", (*values, len(period), period), "boolean")
        tree = Apply("=", (Name(known.name), Literal("text", value)))
        return self.compiled("refine", tree)

    def order(self, aliases: dict[str, Node], grouped: bool) -> list[Sql]:
        text = self.call.option("order_by").strip()
        parts = []
        for one in self.guarded("order_by", lambda: parse_order(text)) if text else []:
            if is_aggregate(one.node) and not grouped:
                raise malformed("An aggregate needs group_by", "order_by")
            sql = self.compiled("order_by", one.node, aliases)
            direction = "DESC" if one.descending else "ASC"
            parts.append(Sql(f"{sql.text} {direction} NULLS LAST", sql.values, sql.kind))
        return parts

    def compiler(self, aliases: dict[str, Node] | None = None) -> Compiler:
        return Compiler(self.fields, self.zone, aliases, now=self.call.now, more=_MORE)

    def compiled(self, clause: str, node: Node, aliases: dict[str, Node] | None = None) -> Sql:
        return self.guarded(clause, lambda: self.compiler(aliases).compile(node))

    def guarded(self, clause: str, job: Callable[[], T]) -> T:
        try:
            return job()
        except Wrong as wrong:
            refused = malformed(str(wrong), clause)
        except Malformed:
            message = f"ODSQL query is malformed: syntax error. Clause(s) containing the error(s): {clause}."
            refused = explore_error(400, "ODSQLSyntaxError", message)
        raise refused


def _joined(between: str, parts: list[Sql]) -> Sql:
    """Pieces of SQL as one."""
    values = tuple(value for part in parts for value in part.values)
    return Sql(between.join(part.text for part in parts), values, "")


def _more(text: str, values: Values, word: str, piece: Sql) -> tuple[str, Values]:
    return text + word + piece.text, values + piece.values


def register(connection: sqlite3.Connection) -> None:
    """Teach `connection` every function that a question may call."""
    for module in (ods_functions, ods_ranges, ods_times):
        module.register(connection)


def ask(call: Call, table: str, fields: tuple[Field, ...]) -> Question:
    """The question that a request's parameters ask of `table`. Raises OdsRefused (400)."""
    return _Asked(call, table, fields, zone(call)).question()


def malformed(message: str, clause: str) -> Refused:
    """400 ODSQLError."""
    text = f"ODSQL query is malformed: {message}. Clause(s) containing the error(s): {clause}."
    return explore_error(400, "ODSQLError", text)


def zone(call: Call) -> str:
    """The time zone asked for, UTC without one; the language is checked too. Raises OdsRefused (400)."""
    language = call.option("lang")
    if language and language not in LANGUAGES:
        raise _bad("lang", "it", f"one of {', '.join(LANGUAGES)}")
    name = call.option("timezone") or "UTC"
    known = re.fullmatch(r"[A-Za-z0-9_+/-]{1,60}", name, re.ASCII) and not name.startswith("/")
    try:
        if known:
            zoneinfo.ZoneInfo(name)
            return "UTC" if name in ("UTC", "Etc/UTC", "GMT") else name
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass  # refused below
    raise _bad("timezone", "it", "the name of a time zone")


def window(call: Call, grouped: bool) -> tuple[int, int]:
    """limit and offset of a page of records. Raises OdsRefused (400)."""
    most, reach = (GROUP_LIMIT, GROUP_WINDOW) if grouped else (LIMIT, WINDOW)
    limit, offset = whole(call, "limit", DEFAULT_LIMIT), whole(call, "offset", 0)
    if not -1 <= limit <= most:
        raise _bad("limit", str(limit), f"-1 <= limit <= {most}")
    limit = most if limit == -1 else limit
    whole_window = grouped and offset == 0  # as many groups as a page may have
    if not offset >= 0 or offset + limit >= reach + (limit == 0 or whole_window):
        raise _bad("offset + limit", str(offset + limit), f"0 <= offset + limit < {reach}")
    return limit, offset


def whole(call: Call, name: str, default: int) -> int:
    """A whole number among the parameters. Raises OdsRefused (400)."""
    text = call.option(name, str(default))
    if not re.fullmatch(r"-?\d{1,12}", text, re.ASCII):
        raise _bad(name, "it", "a whole number")
    return int(text)


def _bad(name: str, seen: str, expected: str) -> Refused:
    message = f"Invalid value for {name} API parameter: {seen} was found but {expected} is expected."
    return explore_error(400, "InvalidRESTParameterError", message)


def _pattern(node: Node) -> tuple[str, str] | None:
    if not isinstance(node, Apply) or node.name not in ("include", "exclude") or len(node.arguments) != 1:
        return None
    (one,) = node.arguments
    return (node.name, one.value) if isinstance(one, Literal) else None
