"""
The rules of dataset.yml, applied in their order as SQL over one relation.

Decided here and run by the caller: `ruled` says which SQL and which columns come out, and counts what each
rule takes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ctnb.contracts.columns import Column
from ctnb.contracts.transforms import Drop, Keep, PivotLonger, RepairZip, Rule, Suppress
from ctnb.errors import ContractInvalid, suggest
from ctnb.tables import suppressed_flag
from ctnb.transforms import repairs, reshaping
from ctnb.transforms.conform import check_constraints
from ctnb.values import quote_name

if TYPE_CHECKING:
    import duckdb

STANDS_FOR = "stands for"
"""A column that goes along through the rules: how many rows of the input a row stands for."""


@dataclass(frozen=True)
class Ruled:
    """A relation after the rules."""

    query: str
    """SQL for its rows, with `columns`, without `STANDS_FOR`."""
    columns: tuple[Column, ...]
    """The columns that are left, with the flags of suppressed ones."""
    removed: Mapping[str, int]
    """Rows of the input removed, by rule: for an aggregate, the rows that the removed groups stand for."""
    suppressed: Mapping[str, int]
    """Cells made null, by column."""
    rows: int
    """Rows that are left."""
    counted: int
    """The rows of the input that the rows left stand for."""
    added: Mapping[str, int]
    """Rows that a pivot made beyond one for each row, by rule; they too are counted by what they stand for."""
    repaired: Mapping[str, Mapping[str, int]]
    """Cells repaired, by column and kind of damage."""


@dataclass
class _Stage:
    """Where the rules have got to."""

    connection: duckdb.DuckDBPyConnection
    relation: str
    columns: tuple[Column, ...]
    number: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, dict[str, int]] = field(default_factory=dict)

    def go_on(self, query: str) -> None:
        """Make `query` over the present relation the next one."""
        self.number += 1
        after = f"stage {self.number}"
        self.connection.execute(f"CREATE TABLE {quote_name(after)} AS {query}")
        self.connection.execute(f"DROP TABLE {quote_name(self.relation)}")
        self.relation = after

    def value(self, expression: str) -> int:
        """One whole number about the present relation."""
        rows = self.connection.execute(f"SELECT {expression} FROM {quote_name(self.relation)}").fetchall()
        return int(rows[0][0] or 0)

    def whole(self) -> int:
        """How many rows of the input the present relation stands for."""
        return self.value(f"sum({quote_name(STANDS_FOR)})")

    def check(self, names: Sequence[str], rule: str) -> None:
        """Raise ContractInvalid when the rule names a column that is not there."""
        known = [column.name for column in self.columns]
        for name in names:
            if name not in known:
                near = suggest(name, known)
                raise ContractInvalid(
                    f"The rule {rule} names the column '{name}', which is not there at that point.",
                    hint=f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known)}.",
                )


def ruled(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[Column],
    rules: Sequence[Rule],
    keep_columns: Sequence[str] = (),
    *,
    of_people: bool = False,
) -> Ruled:
    """
    Apply `rules` to the table `relation` of `connection`, which has `columns` and `STANDS_FOR`.

    Drops `relation` and leaves one table behind. `keep_columns` may not be dropped (the key); a table `of_people`
    may not be pivoted. Raises ContractInvalid when a rule names an unknown column, its condition is not SQL, or it
    does not fit the columns.
    """
    stage = _Stage(connection, relation, tuple(columns))
    for rule in rules:
        if isinstance(rule, Keep):
            _keep(stage, rule)
        elif isinstance(rule, Drop):
            _drop(stage, rule, keep_columns)
        elif isinstance(rule, PivotLonger):
            _pivot_longer(stage, rule, keep_columns, of_people=of_people)
        elif isinstance(rule, RepairZip):
            _repair_zip(stage, rule)
        else:
            _suppress(stage, rule)
    listed = ", ".join(quote_name(column.name) for column in stage.columns)
    return Ruled(
        f"SELECT {listed} FROM {quote_name(stage.relation)}", stage.columns, stage.removed, stage.suppressed,
        stage.value("count(*)"), stage.whole(), stage.added, stage.repaired,
    )  # fmt: skip


def _keep(stage: _Stage, rule: Keep) -> None:
    import duckdb

    before = stage.whole()
    query = f"SELECT * FROM {quote_name(stage.relation)} WHERE (\n{rule.keep}\n)"
    trouble = ""
    try:
        if len(stage.connection.extract_statements(query)) == 1:
            stage.go_on(query)
        else:
            trouble = "more than one statement"
    except duckdb.Error as error:  # its text may quote a cell: only the kind of error goes on
        trouble = type(error).__name__
    if trouble:
        raise ContractInvalid(
            f"The condition of the rule '{rule.name}' cannot be used: {trouble}.",
            hint="It is one SQL condition over the columns, e.g. year >= 2012.",
        )
    stage.removed[rule.name] = stage.removed.get(rule.name, 0) + before - stage.whole()


def _drop(stage: _Stage, rule: Drop, keep_columns: Sequence[str]) -> None:
    stage.check(rule.drop, "drop")
    key = next((name for name in rule.drop if name in keep_columns), None)
    if key:
        raise ContractInvalid(
            f"The rule drop takes away '{key}', which is the key.", hint="Keep it, or set another key:."
        )
    flags = {suppressed_flag(column).name for column in stage.columns if column.name in rule.drop}
    stage.columns = tuple(c for c in stage.columns if c.name not in flags | set(rule.drop))


def _pivot_longer(stage: _Stage, rule: PivotLonger, keep_columns: Sequence[str], *, of_people: bool) -> None:
    pivot = rule.pivot_longer
    stage.check(pivot.columns, "pivot_longer")
    made = reshaping.longer(stage.connection, stage.relation, stage.columns, pivot, STANDS_FOR)
    _check_pivot(stage, made, keep_columns, of_people=of_people)
    before = stage.whole()
    stage.go_on(made.query)
    stage.columns = made.columns
    stage.added[made.rule] = stage.added.get(made.rule, 0) + stage.whole() - before
    if pivot.drop_empty:
        values = made.new[1].name
        whole, name = stage.whole(), f"pivot_longer: {values} is empty"
        stage.go_on(f"SELECT * FROM {quote_name(stage.relation)} WHERE {quote_name(values)} IS NOT NULL")
        stage.removed[name] = stage.removed.get(name, 0) + whole - stage.whole()
    check_constraints(stage.connection, stage.relation, made.new)


def _check_pivot(
    stage: _Stage, made: reshaping.Longer, keep_columns: Sequence[str], *, of_people: bool
) -> None:
    """Raise ContractInvalid where rows made of cells would tell something wrong."""
    if of_people:
        raise ContractInvalid(
            "The rule pivot_longer would make several rows of one person, and the review counts rows as persons.",
            hint="Pivot tables of groups only: count first, and set transform: unit: group.",
        )
    if keep_columns:
        raise ContractInvalid(
            f"The rule pivot_longer makes several rows of each '{keep_columns[0]}', which is the key.",
            hint="Take key: away.",
        )
    flags = {suppressed_flag(column).name for column in stage.columns if column.name in made.pivoted}
    if flags & {column.name for column in stage.columns}:
        raise ContractInvalid(
            "The rule pivot_longer stands after suppress.", hint="Pivot first, then suppress the new column."
        )


def _repair_zip(stage: _Stage, rule: RepairZip) -> None:
    stage.check((rule.repair_zip,), "repair_zip")
    column = next(one for one in stage.columns if one.name == rule.repair_zip)
    if column.type not in ("code", "text"):
        raise ContractInvalid(
            f"The rule repair_zip needs a code or text, and '{column.name}' has type {column.type}.",
            hint="Give it type code: a ZIP code is no number.",
        )
    found = {kind: stage.value(f"count(*) FILTER ({test})") for kind, test in repairs.tests(rule).items()}
    before = stage.repaired.get(column.name, {})
    stage.repaired[column.name] = before | {kind: before.get(kind, 0) + n for kind, n in found.items()}
    listed = ", ".join(quote_name(name) for name in (*(one.name for one in stage.columns), STANDS_FOR))
    made = f"* REPLACE ({repairs.repaired_sql(rule)} AS {quote_name(column.name)})"
    stage.go_on(f"SELECT {made} FROM (SELECT {listed} FROM {quote_name(stage.relation)})")


def _suppress(stage: _Stage, rule: Suppress) -> None:
    stage.check((rule.suppress, *rule.also), "suppress")
    column = next(one for one in stage.columns if one.name == rule.suppress)
    if column.type != "integer":
        raise ContractInvalid(
            f"The rule suppress needs a count, and '{column.name}' has type {column.type}.",
            hint="Suppress an integer column; name what is computed from it under also:.",
        )
    flag = suppressed_flag(column)
    small = f"coalesce({quote_name(column.name)} BETWEEN 1 AND {rule.at_most}, false)"
    for name in (column.name, *rule.also):
        cells = stage.value(f"count({quote_name(name)}) FILTER (WHERE {small})")
        stage.suppressed[name] = stage.suppressed.get(name, 0) + cells
    known = flag.name in [one.name for one in stage.columns]
    marked = f"{small} OR {quote_name(flag.name)}" if known else small
    listed = [
        _withheld(one, small, (column.name, *rule.also)) for one in stage.columns if one.name != flag.name
    ]
    listed += [f"{marked} AS {quote_name(flag.name)}", quote_name(STANDS_FOR)]
    stage.go_on(f"SELECT {', '.join(listed)} FROM {quote_name(stage.relation)}")
    if not known:
        place = stage.columns.index(column) + 1
        stage.columns = (*stage.columns[:place], flag, *stage.columns[place:])


def _withheld(column: Column, small: str, names: Sequence[str]) -> str:
    name = quote_name(column.name)
    return f"CASE WHEN {small} THEN NULL ELSE {name} END AS {name}" if column.name in names else name
