"""One SoQL statement over one source, compiled: its columns, conditions, groups, order and limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .answers import Refused, legacy, modern
from .cells import TEXT, CellType
from .compiler import Compiler, Source, Sql, is_aggregate
from .soql import Apply, Field, Node, Ordered, Selected, Star, Statement
from .tokens import Malformed

SEARCH_WORDS = 20
_LIKE = r"{} LIKE ? ESCAPE '\'"


@dataclass(frozen=True)
class Output:
    """One column of an answer."""

    name: str
    kind: CellType


@dataclass(frozen=True)
class Compiled:
    """One SELECT with its values, and the columns of its rows, which it calls o1, o2, ..."""

    sql: str
    values: tuple[Any, ...]
    outputs: tuple[Output, ...]
    keyed: bool = False
    """Whether behind the outputs each row has its `rid` and its identifier's stored value."""

    def source(self, uid: str) -> Source:
        """Its rows, for the statement that follows."""
        columns = {output.name: (f"o{at}", output.kind) for at, output in enumerate(self.outputs, 1)}
        return Source(uid, f"({self.sql})", self.values, columns)


def malformed(query: str) -> Refused:
    """400: text that is not SoQL, sent back to who sent it."""
    return legacy(400, "query.compiler.malformed", f'Could not parse SoQL query "{query}"', query=query)


def compile_statement(
    source: Source,
    statement: Statement,
    *,
    lines: Mapping[str, str],
    filters: Sequence[Node] = (),
    key: str | None = None,
) -> Compiled:
    """
    The SELECT for `statement`; `filters` are further conditions, each a comparison of a column.

    `lines` are the texts of the clauses (`$select`..., or `$query`), for positions in messages. With `key`, the
    SQL of a row identifier or of `rid`, an answer that is rows of the source is keyed. Raises Refused (400).
    """
    return _Statement(source, statement, lines).compiled(filters, key)


class _Statement:
    def __init__(self, source: Source, statement: Statement, lines: Mapping[str, str]) -> None:
        self.source, self.statement, self.lines = source, statement, lines
        selected = statement.selected or (Selected(Star(), None),)
        self.aliases = {one.alias: one.node for one in selected if one.alias}
        nodes = [one.node for one in selected] + [one.node for one in statement.ordered]
        nodes += [statement.having] if statement.having is not None else []
        self.grouped = bool(statement.groups) or any(map(is_aggregate, nodes))
        self.selected = self.expanded(selected)

    def compiled(self, filters: Sequence[Node], key: str | None) -> Compiled:
        columns = [self.sql("$select", one.node, own=one.alias) for one in self.selected]
        outputs = tuple(map(Output, self.names(), (piece.kind or TEXT for piece in columns)))
        keyed = key is not None and self.source.table and not self.grouped and not self.statement.distinct
        where = self.conditions(filters)
        parts = [
            ("GROUP BY", ", ", [self.sql("$group", node) for node in self.statement.groups]),
            ("HAVING", " AND ", self.having()),
            ("ORDER BY", ", ", self.order()),
        ]
        named = [f"{piece.text} AS o{at}" for at, piece in enumerate(columns, 1)]
        named += ["rid", str(key)] if keyed else []
        if self.grouped and not self.statement.groups:
            named.append(
                "count(*)"
            )  # nobody sees it: an aggregate in HAVING or ORDER BY alone is none to SQLite
        sql = f"SELECT {'DISTINCT ' * self.statement.distinct}{', '.join(named)} FROM {self.source.relation}"
        values = sum((piece.values for piece in columns), ()) + self.source.values
        for word, glue, pieces in [("WHERE", " AND ", where), *parts]:
            if pieces:
                sql += f" {word} {glue.join(piece.text for piece in pieces)}"
                values += sum((piece.values for piece in pieces), ())
        limit, offset = self.statement.limit, self.statement.offset
        if limit is not None or offset is not None:
            sql += " LIMIT ? OFFSET ?"
            values += (-1 if limit is None else limit, offset or 0)
        return Compiled(sql, values, outputs, keyed)

    def expanded(self, selected: Sequence[Selected]) -> list[Selected]:
        items: list[Selected] = []
        for one in selected:
            if isinstance(one.node, Star):
                known = self.source.system if one.node.system else self.source.columns
                items += [Selected(Field(name), None) for name in known if name not in one.node.without]
            else:
                items.append(one)
        first = ":id" if self.source.table else next(iter(self.source.columns))
        return items or [Selected(Field(first), None)]

    def names(self) -> list[str]:
        """The outputs' names: an alias as given, any other made of the expression and numbered when taken."""
        given = [one.alias for one in self.selected if one.alias]
        given += [
            one.node.name.lower() for one in self.selected if not one.alias and isinstance(one.node, Field)
        ]
        if len(set(given)) != len(given):
            code, name = "query.soql.duplicate-alias", next(n for n in given if given.count(n) > 1)
            message = f"Query coordinator error: {code}; Duplicate alias: {name}"
            raise modern(400, code, message, name=name, dataset=self.source.uid)
        taken, names = set(given), []
        for one in self.selected:
            name = one.alias or default_name(one.node)
            if not one.alias and not isinstance(one.node, Field):
                number, stem = 0, name
                while name in taken:
                    number += 1
                    name = f"{stem}_{number}"
                taken.add(name)
            names.append(name)
        return names

    def conditions(self, filters: Sequence[Node]) -> list[Sql]:
        parts = []
        if self.statement.where is not None:
            where = self.resolved(self.statement.where)
            if is_aggregate(where):
                raise Compiler(self.source).no_aggregate("WHERE")
            parts.append(self.guarded("$where", lambda compiler: compiler.condition(where)))
        for node in filters:
            name = node.arguments[0].name if isinstance(node, Apply) else ""  # type: ignore[union-attr]
            parts.append(Compiler(self.source, name).condition(node))
        return parts + self.search()

    def search(self) -> list[Sql]:
        """$q: rows of which some text holds every word, in any case."""
        columns = [sql for sql, kind in self.source.columns.values() if kind.soda == "text"]
        parts = []
        for word in (self.statement.search or "").lower().split()[:SEARCH_WORDS]:
            one, value = "instr(to_lower({}), ?) > 0", word
            if word.isascii():  # SQLite's own LIKE takes A and a for the same, and nothing else
                one, value = _LIKE, "%" + re.sub(r"([%_\\])", r"\\\1", word) + "%"
            found = " OR ".join(one.format(column) for column in columns) or "0"
            parts.append(Sql(f"({found})", (value,) * len(columns), None))
        return parts

    def having(self) -> list[Sql]:
        node = self.statement.having
        if node is None:
            return []
        if not self.grouped:
            raise modern(400, "query.soql.having-without-group-by", "$having needs a $group or an aggregate")
        self.refuse_ungrouped(node)
        return [self.guarded("$having", lambda compiler: compiler.condition(node))]

    def order(self) -> list[Sql]:
        """
        The order asked for, and then that of writing, so that pages neither overlap nor miss a row.

        `:id` sorts as the number that the table is kept in order of.
        """
        parts = []
        for one in self.statement.ordered:
            if self.grouped:
                self.refuse_ungrouped(one.node)
            piece = self.sql("$order", one.node)
            if piece.text == "rid" and self.source.table:
                piece = replace(piece, text="sid")
            parts.append(replace(piece, text=_directed(piece.text, one)))
        if self.source.table and not self.grouped and not self.statement.distinct:
            back = bool(self.statement.ordered) and self.statement.ordered[-1].descending
            parts.append(Sql("sid DESC" if back else "sid", (), None))
        return parts

    def refuse_ungrouped(self, node: Node) -> None:
        groups = [self.resolved(group) for group in self.statement.groups]
        loose = _loose(self.resolved(node), groups)
        if loose is None:
            return
        code = "query.soql.column-not-in-group-bys"
        message = f"Query coordinator error: {code}; Column not in group bys: {loose}"
        raise modern(400, code, message, column=loose, dataset=self.source.uid)

    def resolved(self, node: Node) -> Node:
        """A tree without aliases at its top."""
        known = self.aliases.get(node.name) if isinstance(node, Field) else None
        if known is not None:
            return known
        if not isinstance(node, Apply):
            return node
        return Apply(node.name, tuple(self.resolved(part) for part in node.arguments), node.at)

    def sql(self, clause: str, node: Node, *, own: str | None = None) -> Sql:
        if clause == "$select" and self.grouped:
            self.refuse_ungrouped(node)
        if clause == "$group" and is_aggregate(self.resolved(node)):
            raise Compiler(self.source).no_aggregate("GROUP BY")
        return self.guarded(clause, lambda compiler: compiler.compile(node), own=own)

    def guarded(self, clause: str, job: Callable[[Compiler], Sql], *, own: str | None = None) -> Sql:
        line = self.lines.get("$query") or self.lines.get(clause, "")
        aliases = self.aliases
        if clause == "$select":  # a column may be selected under its own name, changed
            aliases = {n: tree for n, tree in aliases.items() if n != own and n not in self.source.columns}
        try:
            return job(Compiler(self.source, line, aliases))
        except Malformed:
            pass
        raise malformed(line if "$query" in self.lines else f"{clause.removeprefix('$')} {line}")


def default_name(node: Node) -> str:
    """What an expression without an alias is called: the names in it, joined by `_`."""
    if isinstance(node, Field):
        return node.name.lower()
    if not isinstance(node, Apply):
        return "literal"
    word = _WORDS.get(node.name, node.name)
    parts = [default_name(part) for part in node.arguments if not isinstance(part, Star)]
    return re.sub(r"[^a-z0-9_]+", "_", "_".join([word, *parts])).strip("_") or "column"


def _directed(text: str, one: Ordered) -> str:
    if text == "sid":
        return "sid DESC" if one.descending else "sid"
    direction = "DESC" if one.descending else "ASC"
    return f"{text} {direction} NULLS {'FIRST' if one.nulls_first else 'LAST'}"


def _loose(node: Node, groups: Sequence[Node]) -> str | None:
    """The first column of a tree that is neither grouped by nor in an aggregate."""
    if node in groups:
        return None
    if isinstance(node, Field):
        return node.name
    if not isinstance(node, Apply) or (is_aggregate(node) and not any(map(is_aggregate, node.arguments))):
        return None
    return next((name for part in node.arguments if (name := _loose(part, groups)) is not None), None)


_WORDS = {
    "+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo", "^": "power", "||": "concat",
    "=": "eq", "!=": "neq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte",
}  # fmt: skip
