"""SoQL trees to SQL over one source: an allow-list of operators and functions, every value bound."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .answers import Refused, modern
from .catalogue import View
from .cells import CHECKBOX, FIXED, NUMBER, TEXT, TYPES, CellType, Maltyped, Stored, cell_type, store
from .decimals import pack
from .identifiers import ALPHABET, ROW_ID
from .soql import Apply, Field, Literal, Node, Star
from .soql_functions import FUNCTIONS, Function, fits
from .spatial import parse_wkt
from .tokens import Malformed

SYSTEM_FIELDS = {
    ":id": ("rid", TEXT),
    ":created_at": ("created_at", FIXED),
    ":updated_at": ("updated_at", FIXED),
    ":version": ("row_version(rid, updated_at)", TEXT),
}
WILDCARD_LIMIT = 8
"""Each further % in a LIKE multiplies the time it can take."""
SQL_LIMIT = 500_000
"""Characters of one piece of SQL: an alias of aliases of aliases doubles with each."""
_COMPARISONS = {"=", "!=", "<", "<=", ">", ">="}


@dataclass(frozen=True)
class Source:
    """What a statement reads: a view's table, or the rows of the statement before it."""

    uid: str
    """The dataset's, for messages."""
    relation: str
    """What stands behind FROM."""
    values: tuple[Any, ...]
    """Bound in `relation`."""
    columns: Mapping[str, tuple[str, CellType]]
    """SQL and type by field name, in the dataset's order."""
    system: Mapping[str, tuple[str, CellType]] = field(default_factory=dict)
    """The same of system fields."""
    table: bool = False
    """Whether each row has a `sid` and a `rid`."""


@dataclass(frozen=True)
class Sql:
    """A piece of SQL with its values and its type; `kind` None is the null literal."""

    text: str
    values: tuple[Any, ...]
    kind: CellType | None
    literal: Literal | None = None


def source_of(view: View) -> Source:
    """A view's table as a source."""
    columns = {column.field_name: (column.sql, column.kind) for column in view.columns}
    return Source(view.uid, view.table, (), columns, SYSTEM_FIELDS, table=True)


def is_aggregate(node: Node) -> bool:
    """Whether a tree holds an aggregate function."""
    if not isinstance(node, Apply):
        return False
    known = FUNCTIONS.get(node.name)
    return (known is not None and known.aggregate) or any(is_aggregate(part) for part in node.arguments)


class Compiler:
    """Compiles trees over one source; `line` is the clause's text, for error positions."""

    def __init__(
        self, source: Source | View, line: str = "", aliases: Mapping[str, Node] | None = None
    ) -> None:
        self.source = source_of(source) if isinstance(source, View) else source
        self.line = line
        self.aliases = aliases or {}
        self.busy: set[str] = set()
        """Aliases that are being compiled; in their own expression their name is a column's."""
        self.made: dict[str, Sql] = {}

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
            made = special(self, node)
        else:
            made = self.comparison(node) if node.name in _COMPARISONS else self.function(node)
        if len(made.text) > SQL_LIMIT:
            raise Malformed
        return made

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
        name = node.name.lower()
        if name in self.aliases and name not in self.busy:
            return self.alias(name)
        known = self.source.columns.get(name) or self.source.system.get(name)
        if known is None:
            raise self.no_such("column", node.name, node.at)
        return Sql(known[0], (), known[1])

    def alias(self, name: str) -> Sql:
        if name not in self.made:
            self.busy.add(name)
            self.made[name] = self.compile(self.aliases[name])
            self.busy.discard(name)
        return self.made[name]

    def comparison(self, node: Apply) -> Sql:
        left, right = self.meeting(node, *node.arguments)
        sign = "<>" if node.name == "!=" else node.name
        values = left.values + right.values
        if self.source.table and left.text == "rid" and right.literal and ROW_ID.fullmatch(str(values[0])):
            return _by_row_id(sign, str(values[0]))
        return Sql(f"({left.text} {sign} {right.text})", values, CHECKBOX)

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
        text = part.literal.value if part.literal is not None and part.literal.kind == "text" else None
        stored = None if text is None else _stored(kind, text)
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
        if known.aggregate and any(is_aggregate(argument) for argument in node.arguments):
            raise self.no_aggregate("an aggregate")
        parts = [self.compile(argument) for argument in node.arguments]
        fitting = [self.fitting(node, part, taken) for part, taken in zip(parts, known.takes, strict=True)]
        return filled(known, fitting)

    def fitting(self, node: Apply, part: Sql, taken: str) -> Sql:
        """An argument as the function takes it; a text literal is read as what is asked for."""
        if part.kind is None or fits(taken, part.kind.soda):
            return part
        text = part.literal.value if part.literal is not None and part.literal.kind == "text" else None
        if text is not None and taken in ("shape", "place", "point"):
            shape = parse_wkt(text)
            if shape is not None and fits(taken, shape[0]):
                return Sql("?", (shape[1],), TYPES[shape[0]], part.literal)
        wanted = {"number": NUMBER, "moment": TYPES["calendar_date"]}.get(taken)
        if wanted is None:
            raise self.mismatch(node)
        return self.coerced(node, part, wanted)

    def no_such(self, what: str, name: str, at: int) -> Refused:
        """400: a column or function that is not there, in the coordinator's words."""
        line = self.line or name
        code = f"query.soql.no-such-{what}"
        position = {"row": 1, "column": at or 1, "line": line}
        shown = f"Map(row -> 1, column -> {at or 1}, line -> {line!r})"
        message = f"Query coordinator error: {code}; No such {what}: {name}; position: {shown}"
        data = {what: name, "dataset": self.source.uid, "position": position}
        return modern(400, code, message, **data)

    def mismatch(self, node: Node) -> Refused:
        """400: types that do not meet."""
        code, name = "query.soql.type-mismatch", getattr(node, "name", "")
        message = f"Query coordinator error: {code}; Type mismatch for {name or 'a literal'}"
        return modern(400, code, message, dataset=self.source.uid, function=name)

    def no_aggregate(self, where: str) -> Refused:
        """400: an aggregate function where none can be."""
        code = "query.soql.aggregate-function-not-allowed"
        message = f"Query coordinator error: {code}; Aggregate function not allowed in {where}"
        return modern(400, code, message, dataset=self.source.uid)


def _stored(kind: CellType, text: str) -> Stored:
    """What a text literal is as `kind`, or None; a moment without a zone is one of UTC."""
    forms = (text, f"{text}Z", f"{text}T00:00:00Z") if kind is FIXED else (text,)
    for form in forms:
        with contextlib.suppress(Maltyped):
            return store(kind, form)
    return None


def filled(known: Function, parts: list[Sql]) -> Sql:
    """The function's SQL; an argument that stands twice in it brings its values twice."""
    values: tuple[Any, ...] = ()
    for place in re.findall(r"\{(\d)\}", known.sql):
        values += parts[int(place)].values
    kind = known.gives or next((part.kind for part in parts[:1]), None)
    return Sql(known.sql.format(*(part.text for part in parts)), values, kind)


def _by_row_id(sign: str, rid: str) -> Sql:
    """A comparison of `:id`, which sorts as `sid` does: the number in it bounds the rows that are read."""
    letters = rid.removeprefix("row-").replace("~", "")
    number = 0
    for letter in letters:
        number = number * 32 + ALPHABET.index(letter)
    bound = {"=": "=", "<": "<=", "<=": "<=", ">": ">=", ">=": ">="}.get(sign)
    if bound is None:
        return Sql(f"(rid {sign} ?)", (rid,), CHECKBOX)
    return Sql(f"(sid {bound} ? AND rid {sign} ?)", (number >> 20, rid), CHECKBOX)


def _joined(parts: list[Sql]) -> tuple[str, tuple[Any, ...]]:
    return ", ".join(part.text for part in parts), sum((part.values for part in parts), ())


def _first_kind(parts: list[Sql]) -> CellType | None:
    return next((part.kind for part in parts if part.kind is not None), None)


def _boolean(compiler: Compiler, node: Apply) -> Sql:
    parts = [compiler.condition(part) for part in node.arguments]
    text = f" {node.name.upper()} ".join(part.text for part in parts)
    return Sql(f"({text})", _joined(parts)[1], CHECKBOX)


def _not(compiler: Compiler, node: Apply) -> Sql:
    part = compiler.condition(node.arguments[0])
    return Sql(f"(NOT {part.text})", part.values, CHECKBOX)


def _null_test(compiler: Compiler, node: Apply) -> Sql:
    part = compiler.compile(node.arguments[0])
    return Sql(f"({part.text} {node.name.upper()})", part.values, CHECKBOX)


def _in(compiler: Compiler, node: Apply) -> Sql:
    first, *rest = compiler.meeting(node, *node.arguments)
    inside, values = _joined(rest)
    return Sql(f"({first.text} IN ({inside}))", first.values + values, CHECKBOX)


def _between(compiler: Compiler, node: Apply) -> Sql:
    if len(node.arguments) != 3:
        raise compiler.mismatch(node)
    parts = compiler.meeting(node, *node.arguments)
    one, low, high = parts
    return Sql(f"({one.text} BETWEEN {low.text} AND {high.text})", _joined(parts)[1], CHECKBOX)


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


def _case(compiler: Compiler, node: Apply) -> Sql:
    """case(condition, value, ...): the value of the first condition that is true, or null."""
    tests = [compiler.condition(part) for part in node.arguments[::2]]
    if not tests or len(node.arguments) % 2:
        raise compiler.mismatch(node)
    results = compiler.meeting(node, *node.arguments[1::2])
    pairs = list(zip(tests, results, strict=True))
    text = " ".join(f"WHEN {test.text} THEN {result.text}" for test, result in pairs)
    values = sum((test.values + result.values for test, result in pairs), ())
    return Sql(f"CASE {text} END", values, _first_kind(results))


def _among(compiler: Compiler, node: Apply) -> Sql:
    """coalesce, greatest and least: of values of one type, nulls passed over."""
    if not node.arguments:
        raise compiler.mismatch(node)
    parts = compiler.meeting(node, *node.arguments)
    if node.name == "coalesce" and len(parts) == 1:
        return parts[0]
    text, values = _joined(parts)
    return Sql(f"{node.name}({text})", values, _first_kind(parts))


def _concatenated(compiler: Compiler, node: Apply) -> Sql:
    """`||`, and concat: null when one side is."""
    parts = [_as_text(compiler.compile(part)) for part in node.arguments]
    if len(parts) < 2:
        raise compiler.mismatch(node)
    return Sql(f"({' || '.join(part.text for part in parts)})", _joined(parts)[1], TEXT)


def _as_text(part: Sql) -> Sql:
    soda = "" if part.kind is None else part.kind.soda
    forms = {"number": "number_text({})", "boolean": "CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"}
    return Sql(forms.get(soda, "{}").format(part.text), part.values, TEXT)


def _converted(compiler: Compiler, node: Apply) -> Sql:
    """`::type` and to_...(x): from text, and to text; null where the text is no such value."""
    word = node.name.removeprefix("to_")
    kind = cell_type(word)
    if kind is None or kind.name not in ("text", "number", "calendar_date", "date", "checkbox"):
        raise compiler.no_such("function", node.name, node.at)
    if len(node.arguments) != 1:
        raise compiler.mismatch(node)
    part = compiler.compile(node.arguments[0])
    if part.kind is None or part.kind.soda == kind.soda:
        return Sql(part.text, part.values, kind)
    if kind.soda == "text":
        return _as_text(part)
    if part.kind.soda != "text":
        raise compiler.mismatch(node)
    text = f"store_{kind.name}({part.text})"
    return Sql(f"CAST({text} AS INTEGER)" if kind is CHECKBOX else text, part.values, kind)


_CONVERSIONS = (
    "text", "number", "boolean", "checkbox", "calendar_date", "floating_timestamp", "date", "fixed_timestamp",
)  # fmt: skip
_OPERATORS: dict[str, Callable[[Compiler, Apply], Sql]] = {
    "and": _boolean,
    "or": _boolean,
    "not": _not,
    "is null": _null_test,
    "is not null": _null_test,
    "in": _in,
    "between": _between,
    "like": _like,
    "case": _case,
    **dict.fromkeys(("coalesce", "greatest", "least"), _among),
    **dict.fromkeys(("||", "concat"), _concatenated),
    **{f"to_{word}": _converted for word in _CONVERSIONS},
}
