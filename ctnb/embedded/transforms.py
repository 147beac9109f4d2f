"""
Transforms compiled to SQL over the columns of an upload: every value beside the error that made it.

A part that costs something is a column of its own in a layer of subqueries, so that it is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .cells import CHECKBOX, NUMBER, TEXT, CellType, cell_type
from .decimals import pack
from .soql import Apply, Field, Literal, Node, Star, parse_expression
from .tokens import Malformed
from .workshop import quoted

UNABLE = "Unable to convert"
"""How the text of a conversion error starts; clients look for it."""


class Mistaken(ValueError):
    """An expression that cannot be compiled; says why, by names of columns and functions."""


@dataclass(frozen=True)
class Part:
    """A piece of SQL, the SQL of its error (`NULL` for none), its type, and the layer it is known from."""

    sql: str
    error: str
    kind: CellType | None
    """None: the null literal."""
    depth: int


@dataclass(frozen=True)
class Column:
    """An output column: SQL names of its value and its error, and its type."""

    value: str
    error: str
    kind: CellType


class Plan:
    """
    Compiles the expressions of one output schema over `columns`: SQL name and type by field name.

    `made` gives, for expressions that were worked out before (as `canonical` has them), the SQL names of the
    value and of the error.
    """

    def __init__(
        self,
        columns: Mapping[str, tuple[str, CellType]],
        made: Mapping[Node, tuple[str, str]] = MappingProxyType({}),
    ) -> None:
        self.columns = {name.lower(): known for name, known in columns.items()}
        self.made = made
        self.layers: list[dict[str, str]] = []
        self.outputs: list[Column] = []

    def add(self, expression: str) -> Column:
        """Compile one more output column. Raises Mistaken."""
        try:
            tree = parse_expression(expression)
            known = self.made.get(canonical(tree))
            part = self.part(tree) if known is None else self.known(tree, *known)
        except Malformed:
            raise Mistaken("The expression cannot be parsed") from None
        number = len(self.outputs) + 1
        self.outputs.append(Column(f"v{number}", f"e{number}", part.kind or TEXT))
        self._final = [*getattr(self, "_final", []), (part.sql, part.error)]
        return self.outputs[-1]

    def sql(self, source: str) -> str:
        """One SELECT over the relation `source`: v1, e1, v2, e2 ..., and whether the row is `bad`."""
        inner = f"SELECT * FROM {source}"
        for layer in self.layers:
            named = ", ".join(f"{text} AS {name}" for text, name in layer.items())
            inner = f"SELECT *, {named} FROM ({inner})"
        pieces = [
            f"CAST({value} AS VARCHAR) AS v{at}, CAST({error} AS VARCHAR) AS e{at}"
            for at, (value, error) in enumerate(self._final, 1)
        ]
        errors = [f"{error} IS NOT NULL" for _, error in self._final if error != "NULL"]
        return f"SELECT {', '.join(pieces)}, {' OR '.join(errors) or 'false'} AS bad FROM ({inner})"

    def let(self, sql: str, depth: int) -> tuple[str, int]:
        """Name `sql`, which uses what is known at `depth`; its name and the depth it is known at."""
        while len(self.layers) <= depth:
            self.layers.append({})
        layer = self.layers[depth]
        return layer.setdefault(sql, f"t{depth}_{len(layer)}"), depth + 1

    def known(self, tree: Node, value: str, error: str) -> Part:
        """A column that was worked out before. Raises Mistaken."""
        return Part(value, error, Plan(self.columns).part(tree).kind, 0)

    def part(self, node: Node) -> Part:
        """The SQL of a tree. Raises Mistaken."""
        if isinstance(node, Literal):
            return _literal(node)
        if isinstance(node, Field):
            known = self.columns.get(node.name.lower())
            if known is None:
                raise Mistaken(f"There is no column '{node.name}' in the source")
            return Part(known[0], "NULL", known[1], 0)
        if isinstance(node, Star):
            raise Malformed
        if node.name == "case":
            return self.case(node)
        parts = [self.part(argument) for argument in node.arguments]
        if node.name.startswith("to_") or node.name in CONVERSIONS:
            return self.converted(node.name, parts)
        work = OPERATORS.get(node.name)
        if work is None:
            raise Mistaken(f"There is no function '{node.name}'")
        return work(self, node.name, parts)

    def converted(self, name: str, parts: list[Part]) -> Part:
        kind = cell_type(CONVERSIONS.get(name, name.removeprefix("to_")))
        if kind is None or not 1 <= len(parts) <= 2 or parts[0].kind is None:
            raise Mistaken(f"There is no function '{name}' of these arguments")
        given, form = parts[0], parts[1] if len(parts) == 2 else None
        if given.kind is not None and given.kind.soda == kind.soda:
            return given
        text = _as_text(given) if given.kind is not TEXT else given.sql
        if kind.soda == "text":
            return Part(text, given.error, TEXT, given.depth)
        value, depth = self.number(text, given.depth) if kind.soda == "number" else ("", given.depth)
        if not value:
            value, depth = self.let(_conversion(kind, text, form, name), given.depth)
        message = quoted(f"{UNABLE} to {kind.name}")
        failed = f"CASE WHEN {text} IS NOT NULL AND {value} IS NULL THEN {message} END"
        error, depth = self.let(_first(given.error, failed), depth)
        return Part(value, error, kind, depth)

    def number(self, text: str, depth: int) -> tuple[str, int]:
        """The packed number of a text, in steps that are worked out once each; null when it is none."""
        whole, _ = self.let(f"number_whole({text})", depth)
        fraction, after = self.let(f"number_fraction({text})", depth)
        body, after = self.let(f"number_body({whole}, {fraction})", after)
        return self.let(f"number_packed({text}, {body})", after)

    def case(self, node: Apply) -> Part:
        """case(condition, value, ..., true, value): the errors of the branches not taken do not count."""
        parts = [self.part(argument) for argument in node.arguments]
        if not parts or len(parts) % 2:
            raise Mistaken("case takes pairs of a condition and a value")
        pairs = list(zip(parts[::2], parts[1::2], strict=True))
        kind = next((value.kind for _, value in pairs if value.kind is not None), None)
        if any(test.kind is not CHECKBOX or value.kind not in (kind, None) for test, value in pairs):
            raise Mistaken("case takes pairs of a condition and a value, all values of one type")
        depth = max(part.depth for part in parts)
        values = " ".join(f"WHEN {test.sql} = '1' THEN {value.sql}" for test, value in pairs)
        errors = " ".join(
            f"WHEN {test.error} IS NOT NULL THEN {test.error} WHEN {test.sql} = '1' THEN {value.error}"
            for test, value in pairs
        )
        value, after = self.let(f"CASE {values} END", depth)
        error, after = self.let(f"CASE {errors} END", depth)
        return Part(value, error, kind, after)


def canonical(node: Node) -> Node:
    """`node` with one name for a column and for a conversion: two that are equal are worked out alike."""
    if isinstance(node, Field):
        return Field(node.name.lower())
    if isinstance(node, Apply):
        name = f"to_{CONVERSIONS[node.name]}" if node.name in CONVERSIONS else node.name
        return Apply(name, tuple(canonical(argument) for argument in node.arguments))
    return node


def _literal(node: Literal) -> Part:
    if node.kind == "null":
        return Part("NULL", "NULL", None, 0)
    if node.kind == "number":
        packed = pack(node.value)
        if packed is None:
            raise Malformed
        return Part(quoted(packed), "NULL", NUMBER, 0)
    if node.kind == "checkbox":
        return Part("'1'" if node.value == "true" else "'0'", "NULL", CHECKBOX, 0)
    return Part(quoted(node.value), "NULL", TEXT, 0)


def _as_text(part: Part) -> str:
    soda = "" if part.kind is None else part.kind.soda
    form = {"number": "number_text({})", "boolean": "checkbox_text({})", "url": "url_text({})"}
    return form.get(soda, "{}").format(part.sql)


_STAMP_WORDS = {
    "{YYYY}": "%Y", "{YY}": "%y", "{M}": "%m", "{0M}": "%m", "{Mshort}": "%b", "{Mfull}": "%B",
    "{D}": "%d", "{0D}": "%d", "{h24}": "%H", "{0h24}": "%H", "{h12}": "%I", "{0h12}": "%I",
    "{m}": "%M", "{0m}": "%M", "{s}": "%S", "{0s}": "%S", "{AM}": "%p", "{am}": "%p", "{Z}": "%z",
}  # fmt: skip
"""The words of a timestamp's form, as the vendor's documentation of transforms spells them."""


def _conversion(kind: CellType, text: str, form: Part | None, name: str) -> str:
    if form is not None and form.sql != "'{iso}'":
        if kind.name not in ("calendar_date", "date") or form.kind is not TEXT or form.sql[0] != "'":
            raise Mistaken(f"There is no function '{name}' of these arguments")
        pattern = form.sql.replace("%", "%%")
        for word, sign in _STAMP_WORDS.items():
            pattern = pattern.replace(word, sign)
        end = " || 'Z'" if kind.name == "date" else ""
        return f"strftime(try_strptime({text}, {pattern}), '%Y-%m-%dT%H:%M:%S.%g'){end}"
    fast = {"calendar_date": "calendar_date_of", "checkbox": "checkbox_of", "point": "point_stored"}
    return f"{fast.get(kind.name, f'store_{kind.name}')}({text})"


def _first(*errors: str) -> str:
    """The SQL of the first error there is."""
    kept = list(dict.fromkeys(error for error in errors if error != "NULL"))
    return kept[0] if len(kept) == 1 else f"coalesce({', '.join(kept)})" if kept else "NULL"


Operator = Callable[[Plan, str, list[Part]], Part]


def _need(name: str, parts: list[Part], *kinds: str) -> None:
    """The arguments have these types, by their X-SODA2 words. Raises Mistaken."""
    found = [part.kind.soda if part.kind else None for part in parts]
    fits = len(found) == len(kinds) and all(
        wanted in ("any", one) or one is None for one, wanted in zip(found, kinds, strict=True)
    )
    if not fits:
        given = ", ".join(one or "null" for one in found)
        raise Mistaken(f"'{name}' does not take ({given})")


def _together(parts: list[Part]) -> tuple[str, int]:
    return _first(*(part.error for part in parts)), max((part.depth for part in parts), default=0)


def _simple(sql: str, gives: CellType, *takes: str) -> Operator:
    """A function that cannot fail: `sql` with a place for each argument."""

    def work(plan: Plan, name: str, parts: list[Part]) -> Part:
        _need(name, parts, *takes)
        error, depth = _together(parts)
        value, after = plan.let(sql.format(*(part.sql for part in parts)), depth)
        return Part(value, error, gives, after)

    return work


def _arithmetic(function: str) -> Operator:
    def work(plan: Plan, name: str, parts: list[Part]) -> Part:
        if len(parts) == 1:
            parts = [Part(quoted(pack("0") or ""), "NULL", NUMBER, 0), *parts]
        _need(name, parts, "number", "number")
        error, depth = _together(parts)
        one, two = (part.sql for part in parts)
        value, after = plan.let(f"{function}({one}, {two})", depth)
        failed = f"CASE WHEN {one} IS NOT NULL AND {two} IS NOT NULL AND {value} IS NULL THEN 'No result' END"
        error, after = plan.let(_first(error, failed), after)
        return Part(value, error, NUMBER, after)

    return work


def _joined(plan: Plan, name: str, parts: list[Part]) -> Part:
    if len(parts) != 2:
        raise Mistaken(f"'{name}' takes two arguments")
    error, depth = _together(parts)
    texts = [part.sql if part.kind is TEXT else _as_text(part) for part in parts]
    value, after = plan.let(f"({texts[0]} || {texts[1]})", depth)
    return Part(value, error, TEXT, after)


def _compared(plan: Plan, name: str, parts: list[Part]) -> Part:
    _need(name, parts, "any", "any")
    kinds = {part.kind.soda for part in parts if part.kind is not None}
    if len(kinds) > 1:
        raise Mistaken(f"'{name}' does not take ({', '.join(sorted(kinds))})")
    error, depth = _together(parts)
    sign = "<>" if name == "!=" else name
    value, after = plan.let(_check(f"{parts[0].sql} {sign} {parts[1].sql}"), depth)
    return Part(value, error, CHECKBOX, after)


def _check(condition: str) -> str:
    return f"CASE WHEN {condition} THEN '1' WHEN NOT ({condition}) THEN '0' END"


def _logic(plan: Plan, name: str, parts: list[Part]) -> Part:
    _need(name, parts, *("boolean" for _ in parts))
    error, depth = _together(parts)
    tests = [f"({part.sql} = '1')" for part in parts]
    text = f"NOT {tests[0]}" if name == "not" else f" {name.upper()} ".join(tests)
    value, after = plan.let(_check(f"({text})"), depth)
    return Part(value, error, CHECKBOX, after)


def _null_test(plan: Plan, name: str, parts: list[Part]) -> Part:
    _need(name, parts, "any")
    value, after = plan.let(_check(f"{parts[0].sql} {name.upper()}"), parts[0].depth)
    return Part(value, parts[0].error, CHECKBOX, after)


def _one_of(plan: Plan, name: str, parts: list[Part]) -> Part:
    if len(parts) < 2 or len({part.kind for part in parts}) > 1:
        raise Mistaken("'in' takes values of one type")
    error, depth = _together(parts)
    inside = ", ".join(part.sql for part in parts[1:])
    value, after = plan.let(_check(f"{parts[0].sql} IN ({inside})"), depth)
    return Part(value, error, CHECKBOX, after)


def _coalesced(plan: Plan, name: str, parts: list[Part]) -> Part:
    kinds = list({part.kind for part in parts if part.kind is not None})
    if len(kinds) != 1:
        raise Mistaken(f"'{name}' takes values of one type")
    error, depth = _together(parts)
    value, after = plan.let(f"coalesce({', '.join(part.sql for part in parts)})", depth)
    return Part(value, error, kinds[0], after)


def _forgiven(plan: Plan, name: str, parts: list[Part]) -> Part:
    """forgive(expression): its error becomes null."""
    if len(parts) != 1:
        raise Mistaken(f"'{name}' takes one argument")
    (part,) = parts
    value, after = plan.let(f"CASE WHEN {part.error} IS NULL THEN {part.sql} END", part.depth)
    return Part(value, "NULL", part.kind, after)


def _failed(plan: Plan, name: str, parts: list[Part]) -> Part:
    """error('message'): the row has that error."""
    _need(name, parts, "text")
    return Part("NULL", parts[0].sql, None, parts[0].depth)


def _geocoded(plan: Plan, name: str, parts: list[Part]) -> Part:
    """geocode(address, city, state, zip): a stand-in that answers (0, 0); nothing is looked up anywhere."""
    _need(name, parts, *("text" for _ in parts))
    error, depth = _together(parts)
    known = " OR ".join(f"{part.sql} IS NOT NULL" for part in parts) or "false"
    value, after = plan.let(f"CASE WHEN {known} THEN store_point('POINT (0 0)') END", depth)
    return Part(value, error, cell_type("point"), after)


CONVERSIONS = {"to_boolean": "checkbox", "to_floating_timestamp": "calendar_date"}
OPERATORS: dict[str, Operator] = {
    "+": _arithmetic("num_add"),
    "-": _arithmetic("num_subtract"),
    "negative": _arithmetic("num_subtract"),
    "*": _arithmetic("num_multiply"),
    "/": _arithmetic("num_divide"),
    "%": _arithmetic("num_remainder"),
    "^": _arithmetic("num_power"),
    "||": _joined,
    "concat": _joined,
    **dict.fromkeys(("=", "!=", "<", "<=", ">", ">="), _compared),
    **dict.fromkeys(("and", "or", "not"), _logic),
    **dict.fromkeys(("is null", "is not null"), _null_test),
    "in": _one_of,
    "coalesce": _coalesced,
    "forgive": _forgiven,
    "error": _failed,
    "geocode": _geocoded,
    "lower": _simple("lower({})", TEXT, "text"),
    "upper": _simple("upper({})", TEXT, "text"),
    "title_case": _simple("title_case({})", TEXT, "text"),
    "trim": _simple("trim({})", TEXT, "text"),
    "length": _simple("store_number(CAST(length({}) AS VARCHAR))", NUMBER, "text"),
    "replace": _simple("replace({}, {}, {})", TEXT, "text", "text", "text"),
    "contains": _simple(_check("contains({0}, {1})"), CHECKBOX, "text", "text"),
    "starts_with": _simple(_check("starts_with({0}, {1})"), CHECKBOX, "text", "text"),
    "left_pad": _simple(
        "CASE WHEN length({0}) < number_text({1})::INT AND number_text({1})::INT < 10000"
        " THEN lpad({0}, number_text({1})::INT, {2}) ELSE {0} END",
        TEXT, "text", "number", "text",
    ),
    "substring": _simple(
        "substr({}, 1 + number_text({})::INT, number_text({})::INT)", TEXT, "text", "number", "number"
    ),
    "make_point": _simple("point_of({}, {})", cell_type("point") or TEXT, "number", "number"),
    "hash": _simple("CASE lower({1}) WHEN 'md5' THEN md5({0}) ELSE sha256({0}) END", TEXT, "text", "text"),
}  # fmt: skip
