"""ODSQL trees to SQL over one table of records: an allow-list of operators and functions, every value bound."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .ods_fields import Field
from .ods_odsql import Apply, Literal, Name, Node, Star
from .ods_values import TYPES, Unfit
from .tokens import Malformed

Values = tuple[Any, ...]
_NUMBERS = ("int", "double")
_TIMES = ("date", "datetime")
_PARTS = {
    "year": (1, 4),
    "month": (6, 2),
    "day": (9, 2),
    "hour": (12, 2),
    "minute": (15, 2),
    "second": (18, 2),
}
_COMPARED = ("int", "double", "text", "date", "datetime", "boolean")
AGGREGATES = ("count", "sum", "avg", "min", "max", "median", "percentile")


class Wrong(ValueError):
    """A query that cannot be asked; the text names fields and functions of the query, never data."""


@dataclass(frozen=True)
class Sql:
    """A piece of SQL with its values and its type: a field type, `boolean`, or `null`."""

    text: str
    values: Values
    kind: str
    separator: str = ""


def is_aggregate(node: Node) -> bool:
    """Whether a tree holds an aggregate."""
    if not isinstance(node, Apply):
        return False
    return node.name in AGGREGATES or any(is_aggregate(part) for part in node.arguments)


class Compiler:
    """Compiles trees over fields; datetimes are read and cut in the time of `zone`."""

    def __init__(
        self,
        fields: tuple[Field, ...],
        zone: str,
        aliases: Mapping[str, Node] | None = None,
        *,
        now: float = 0.0,
        more: Mapping[str, Callable[[Compiler, Node], Sql]] | None = None,
    ) -> None:
        """`now` is in seconds since 1970; `more` are functions beside those of this module."""
        self.fields = {one.name: one for one in fields}
        self.zone = zone
        self.aliases = aliases or {}
        self.now = now
        self.more = more or {}

    def compile(self, node: Node) -> Sql:
        """The SQL of a tree. Raises Wrong for unknown names and types that do not meet, Malformed."""
        if isinstance(node, Literal):
            return self.literal(node)
        if isinstance(node, Name):
            return self.name(node)
        if isinstance(node, Star):
            raise Malformed
        if node.name.startswith("range "):
            return self.range(node)
        known = self.more.get(node.name) or _FUNCTIONS.get(node.name)
        if known is None:
            raise Wrong(f"Unknown function: {node.name}")
        return known(self, node)

    def condition(self, node: Node) -> Sql:
        """The SQL of a tree that is true or false; a text alone searches every text field."""
        if isinstance(node, Literal) and node.kind == "text":
            return self.search([one for one in self.fields.values() if one.type == "text"], node.value)
        compiled = self.compile(node)
        if compiled.kind == "text" and isinstance(node, Name):  # a truth is kept as the words true and false
            return Sql(f"({compiled.text} = 'true')", compiled.values, "boolean")
        if compiled.kind != "boolean":
            raise Wrong("A condition is expected")
        return compiled

    def literal(self, node: Literal) -> Sql:
        if node.kind == "null":
            return Sql("NULL", (), "null")
        if node.kind == "number":
            whole = re.fullmatch(r"-?\d{1,18}", node.value, re.ASCII)
            return Sql("?", (int(node.value) if whole else float(node.value),), "int" if whole else "double")
        if node.kind == "boolean":
            return Sql("?", (int(node.value == "true"),), "boolean")
        if node.kind == "date":
            return Sql("?", (self.moment(node.value),), "datetime")
        if node.kind == "text":
            return Sql("?", (node.value,), "text")
        raise Malformed

    def moment(self, text: str) -> str:
        """A date literal as a stored datetime; `2024` and `2024/03` are their first moments. Raises Wrong."""
        import datetime as dt
        import zoneinfo

        written = text.strip().replace("/", "-")
        if match := re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", written, re.ASCII):
            year, month, day = (int(part or 1) for part in match.groups())
            written = f"{year:04d}-{month:02d}-{day:02d}"
        made = None
        with contextlib.suppress(ValueError, OverflowError):
            made = dt.datetime.fromisoformat(written)
            if made.tzinfo is None:
                made = made.replace(tzinfo=zoneinfo.ZoneInfo(self.zone))
            made = made.astimezone(dt.UTC)
        if made is None:
            raise Wrong("A date literal is not a date")
        return str(TYPES["datetime"].read(made.isoformat()))

    def name(self, node: Name) -> Sql:
        known = self.fields.get(node.name)
        if known is not None:
            return Sql(known.column, (), known.type, known.separator)
        if node.name in self.aliases:
            fields = tuple(self.fields.values())
            plain = Compiler(fields, self.zone, now=self.now, more=self.more)
            return plain.compile(self.aliases[node.name])
        raise Wrong(f"Unknown field: {node.name}")

    def meeting(self, first: Sql, other: Node) -> Sql:
        """A value compared with `first`, in its type. Raises Wrong."""
        if isinstance(other, Literal) and other.kind in ("text", "date", "number"):
            made = self.as_type(first.kind, other)
            if made is not None:
                return made
        compiled = self.compile(other)
        same = compiled.kind == first.kind or "null" in (compiled.kind, first.kind)
        if same or {compiled.kind, first.kind} <= set(_NUMBERS) or {compiled.kind, first.kind} <= set(_TIMES):
            return compiled
        raise Wrong(f"A value of type {compiled.kind} cannot be compared with one of type {first.kind}")

    def as_type(self, kind: str, literal: Literal) -> Sql | None:
        if kind in _TIMES and literal.kind in ("text", "date"):
            stored = self.moment(literal.value)
            if kind == "datetime":
                return Sql("?", (stored,), kind)
            from .ods_functions import local

            return Sql("?", (str(local(stored, self.zone))[:10],), kind)
        if kind in _NUMBERS and literal.kind == "text":
            with contextlib.suppress(Unfit):
                return Sql("?", (TYPES["double"].read(literal.value),), "double")
            raise Wrong("A text is compared with a number")
        return None

    def compared(self, node: Apply) -> Sql:
        first, second = node.arguments
        if isinstance(first, Literal) and not isinstance(second, Literal):
            flipped = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(node.name, node.name)
            return self.compared(Apply(flipped, (second, first)))
        left = self.compile(first)
        if left.kind not in _COMPARED:
            raise Wrong(f"A field of type {left.kind} cannot be compared")
        right = self.meeting(left, second)
        if left.separator and node.name in ("=", "!="):
            return self.among(left, right, node.name)
        sign = "<>" if node.name == "!=" else node.name
        text = f"({left.text} {sign} {right.text})"
        if sign == "<>":  # the vendor's != takes records without the field, as a search does
            text = f"({left.text} IS NOT {right.text})"
        return Sql(text, left.values + right.values, "boolean")

    def among(self, left: Sql, right: Sql, sign: str) -> Sql:
        """Whether one of the values of a text of many is another text."""
        text = f"(instr(? || {left.text} || ?, ? || {right.text} || ?) {'>' if sign == '=' else '='} 0)"
        mark = left.separator
        return Sql(text, (mark, *left.values, mark, mark, *right.values, mark), "boolean")

    def range(self, node: Apply) -> Sql:
        first = self.compile(node.arguments[0])
        low, high = (self.meeting(first, part) for part in node.arguments[1:])
        signs = (">=" if node.name[6] == "[" else ">", "<=" if node.name[7] == "]" else "<")
        text = f"({first.text} {signs[0]} {low.text} AND {first.text} {signs[1]} {high.text})"
        return Sql(text, (*first.values, *low.values, *first.values, *high.values), "boolean")

    def contained(self, node: Apply) -> Sql:
        first, *rest = node.arguments
        parts = [self.compared(Apply("=", (first, one))) for one in rest]
        return Sql(
            f"({' OR '.join(one.text for one in parts)})", sum((one.values for one in parts), ()), "boolean"
        )

    def search(self, fields: list[Field], wanted: str) -> Sql:
        whole = " || ' ' || ".join(f"coalesce({one.column}, '')" for one in fields) or "''"
        return Sql(f"ods_words({whole}, ?)", (wanted,), "boolean")

    def searched(self, node: Apply) -> Sql:
        """search(field, ..., "words"), search(*, "words"), search("words")."""
        *named, wanted = node.arguments
        if not isinstance(wanted, Literal) or wanted.kind != "text":
            raise Malformed
        if not named or named == [Star()]:
            return self.condition(wanted)
        names = [one.name for one in named if isinstance(one, Name)]
        if len(names) != len(named):
            raise Malformed
        return self.search([self.field(name, "text") for name in names], wanted.value)

    def field(self, name: str, *kinds: str) -> Field:
        known = self.fields.get(name)
        if known is None:
            raise Wrong(f"Unknown field: {name}")
        if known.type not in kinds:
            raise Wrong(f"The field {name} is not of type {' or '.join(kinds)}")
        return known

    def geo(self, node: Apply, count: int) -> tuple[Field, list[Literal]]:
        first, *rest = node.arguments
        if (
            not isinstance(first, Name)
            or not all(isinstance(one, Literal) for one in rest)
            or len(rest) != count
        ):
            raise Malformed
        return self.field(first.name, "geo_point_2d"), [one for one in rest if isinstance(one, Literal)]


def _boolean(compiler: Compiler, node: Apply) -> Sql:
    parts = [compiler.condition(part) for part in node.arguments]
    text = f" {node.name.upper()} ".join(part.text for part in parts)
    return Sql(f"({text})", sum((part.values for part in parts), ()), "boolean")


def _not(compiler: Compiler, node: Apply) -> Sql:
    part = compiler.condition(node.arguments[0])
    return Sql(f"(NOT coalesce({part.text}, 0))", part.values, "boolean")


def _null_test(compiler: Compiler, node: Apply) -> Sql:
    part = compiler.compile(node.arguments[0])
    return Sql(f"({part.text} {node.name.upper()})", part.values, "boolean")


def _is(compiler: Compiler, node: Apply) -> Sql:
    part, truth = compiler.compile(node.arguments[0]), compiler.compile(node.arguments[1])
    if part.kind == "text":  # a truth is kept as the words true and false
        part = Sql(f"({part.text} = 'true')", part.values, "boolean")
    return Sql(f"({part.text} = {truth.text})", part.values + truth.values, "boolean")


def _like(compiler: Compiler, node: Apply) -> Sql:
    one, wanted = compiler.compile(node.arguments[0]), node.arguments[1]
    if one.kind != "text" or not isinstance(wanted, Literal) or wanted.kind != "text":
        raise Wrong("like compares a text field with a text")
    return Sql(f"ods_words({one.text}, ?)", (*one.values, wanted.value), "boolean")


def _starts(compiler: Compiler, node: Apply) -> Sql:
    one, wanted = (compiler.compile(part) for part in _exactly(node, 2))
    if (one.kind, wanted.kind) != ("text", "text"):
        raise Wrong(f"{node.name} compares a text field with a text")
    return Sql(f"ods_prefix({one.text}, {wanted.text})", one.values + wanted.values, "boolean")


def _within_distance(compiler: Compiler, node: Apply) -> Sql:
    field, (center, reach) = compiler.geo(node, 2)
    if center.kind != "geom" or reach.kind != "distance":
        raise Malformed
    lon, lat = _numbers(center.value, "POINT")[0]
    text = f"(ods_distance({field.column}, ?, ?) <= ?)"
    return Sql(text, (lon, lat, float(reach.value)), "boolean")


def _distance(compiler: Compiler, node: Apply) -> Sql:
    field, (center,) = compiler.geo(node, 1)
    lon, lat = _numbers(center.value, "POINT")[0]
    return Sql(f"ods_distance({field.column}, ?, ?)", (lon, lat), "double")


def _inside(compiler: Compiler, node: Apply) -> Sql:
    field, (shape,) = compiler.geo(node, 1)
    if shape.kind != "geom":
        raise Malformed
    rings = [_numbers(ring, "") for ring in re.findall(r"\(([^()]+)\)", _body(shape.value, "POLYGON"))]
    if not rings:
        raise Malformed
    return Sql(f"ods_inside({field.column}, ?)", (json.dumps(rings),), "boolean")


def _disjoint(compiler: Compiler, node: Apply) -> Sql:
    crossed = _inside(compiler, node)
    return Sql(f"(NOT {crossed.text})", crossed.values, "boolean")


def _in_bbox(compiler: Compiler, node: Apply) -> Sql:
    field, corners = compiler.geo(node, 4)
    if any(one.kind != "number" for one in corners):
        raise Malformed
    values = tuple(float(one.value) for one in corners)
    return Sql(f"ods_bbox({field.column}, ?, ?, ?, ?)", values, "boolean")


def _body(text: str, word: str) -> str:
    match = re.fullmatch(rf"\s*{word}\s*\((.*)\)\s*", text, re.I | re.S)
    if match is None:
        raise Malformed
    return match[1]


def _numbers(text: str, word: str) -> list[tuple[float, float]]:
    """The pairs of longitude and latitude in well-known text."""
    pairs = []
    for part in (_body(text, word) if word else text).split(","):
        match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s+(-?\d+(?:\.\d+)?)\s*", part, re.ASCII)
        if match is None:
            raise Malformed
        pairs.append((float(match[1]), float(match[2])))
    return pairs


def _part(compiler: Compiler, node: Apply) -> Sql:
    (one,) = (compiler.compile(part) for part in _exactly(node, 1))
    if one.kind not in _TIMES:
        raise Wrong(f"{node.name} takes a field of type date or datetime")
    text, values = one.text, one.values
    if one.kind == "datetime" and compiler.zone != "UTC":
        text, values = f"ods_local({text}, ?)", (*values, compiler.zone)
    start, length = _PARTS[node.name]
    if one.kind == "date" and start > 10:
        return Sql("0", (), "int")
    return Sql(f"CAST(substr({text}, {start}, {length}) AS INTEGER)", values, "int")


def _text_function(sql: str, kind: str) -> Callable[[Compiler, Apply], Sql]:
    def made(compiler: Compiler, node: Apply) -> Sql:
        (one,) = (compiler.compile(part) for part in _exactly(node, 1))
        if one.kind != "text":
            raise Wrong(f"{node.name} takes a text")
        return Sql(f"{sql}({one.text})", one.values, kind)

    return made


def _arithmetic(compiler: Compiler, node: Apply) -> Sql:
    left, right = (compiler.compile(part) for part in node.arguments)
    if not {left.kind, right.kind} <= set(_NUMBERS):
        raise Wrong(f"{node.name} takes numbers")
    if node.name == "/":
        divided = f"(CAST({left.text} AS REAL) / nullif({right.text}, 0))"
        return Sql(divided, left.values + right.values, "double")
    kind = "int" if {left.kind, right.kind} == {"int"} else "double"
    return Sql(f"({left.text} {node.name} {right.text})", left.values + right.values, kind)


def _percentile(compiler: Compiler, node: Apply) -> Sql:
    one, share = _exactly(node, 2)
    compiled = compiler.compile(one)
    if compiled.kind not in _NUMBERS or not isinstance(share, Literal) or share.kind != "number":
        raise Wrong("percentile takes a field of numbers and a number from 0 to 100")
    if not 0 <= float(share.value) <= 100:
        raise Wrong("percentile takes a number from 0 to 100")
    return Sql(f"ods_percentile({compiled.text}, ?)", (*compiled.values, float(share.value)), "double")


def _if_null(compiler: Compiler, node: Apply) -> Sql:
    one, other = _exactly(node, 2)
    first = compiler.compile(one)
    second = compiler.meeting(first, other)
    return Sql(f"coalesce({first.text}, {second.text})", first.values + second.values, first.kind)


def _random(compiler: Compiler, node: Apply) -> Sql:
    (seed,) = _exactly(node, 1)
    if not isinstance(seed, Literal) or seed.kind != "number" or not seed.value.isdecimal():
        raise Wrong("random takes a whole number")
    first = next(iter(compiler.fields.values()))
    whole = " || ".join(f"coalesce({one.column}, '')" for one in compiler.fields.values()) or first.column
    return Sql(f"ods_random({whole}, ?)", (int(seed.value),), "int")


def _aggregate(compiler: Compiler, node: Apply) -> Sql:
    (argument,) = _exactly(node, 1)
    if node.name == "count":
        return _count(compiler, argument)
    one = compiler.compile(argument)
    if node.name in ("min", "max"):
        if one.kind not in _COMPARED:
            raise Wrong(f"{node.name} takes no field of type {one.kind}")
        return Sql(f"{node.name}({one.text})", one.values, one.kind)
    if one.kind not in _NUMBERS:
        raise Wrong(f"{node.name} takes numbers")
    if node.name == "sum":
        return Sql(f"sum({one.text})", one.values, one.kind)
    return Sql(f"{'ods_median' if node.name == 'median' else 'avg'}({one.text})", one.values, "double")


def _count(compiler: Compiler, argument: Node) -> Sql:
    if isinstance(argument, Star):
        return Sql("count(*)", (), "int")
    if isinstance(argument, Apply) and argument.name == "distinct":
        one = compiler.compile(argument.arguments[0])
        return Sql(f"count(DISTINCT {one.text})", one.values, "int")
    one = compiler.compile(argument)
    return Sql(f"count({one.text})", one.values, "int")


def _exactly(node: Apply, count: int) -> tuple[Node, ...]:
    if len(node.arguments) != count:
        raise Wrong(f"The function {node.name} takes {count} arguments")
    return node.arguments


_FUNCTIONS: dict[str, Callable[[Compiler, Apply], Sql]] = {
    **dict.fromkeys(("and", "or"), _boolean),
    "not": _not,
    **dict.fromkeys(("is null", "is not null"), _null_test),
    "is": _is,
    **dict.fromkeys(("=", "!=", "<", "<=", ">", ">="), Compiler.compared),
    "in": Compiler.contained,
    "like": _like,
    "search": Compiler.searched,
    "suggest": _like,
    "startswith": _starts,
    "within_distance": _within_distance,
    "distance": _distance,
    **dict.fromkeys(("within", "intersects"), _inside),
    "in_bbox": _in_bbox,
    **dict.fromkeys(_PARTS, _part),
    "length": _text_function("length", "int"),
    "lower": _text_function("to_lower", "text"),
    "upper": _text_function("to_upper", "text"),
    **dict.fromkeys(("+", "-", "*", "/"), _arithmetic),
    **dict.fromkeys(AGGREGATES, _aggregate),
    "percentile": _percentile,
    "ifnull": _if_null,
    "random": _random,
    "disjoint": _disjoint,
}
