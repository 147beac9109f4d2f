"""
Row rules: conditions over the columns of one row, in SQL.

A condition is parsed by DuckDB and walked: it is one expression of comparisons, arithmetic, CASE and the functions
of a short list, over columns of the contract. A query, an aggregate or a function that reads anything else is
refused before a row is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field, field_validator

from ctnb import documents
from ctnb.contracts.columns import Column
from ctnb.errors import suggest
from ctnb.values import parquet_type, quote_name

CLASSES = frozenset(
    ["COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "OPERATOR", "FUNCTION", "CASE", "CAST", "BETWEEN", "TYPE"]
)  # fmt: skip
_FUNCTIONS = """
    + - * / % || // ~~ !~~ ~~* !~~* ~~~ abs round floor ceil ceiling trunc sign mod greatest least nullif
    lower upper trim ltrim rtrim length strlen left right substring substr replace concat
    contains starts_with ends_with prefix suffix regexp_matches regexp_full_match
    year month day hour minute second quarter week dayofweek isodow dayofyear last_day make_date
    date_part datepart date_trunc datetrunc date_diff datediff date_sub datesub date_add strftime
    to_days to_weeks to_months to_years to_hours to_minutes to_seconds
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Scalar functions that give the same answer each time; operators stand here under the names DuckDB gives them."""


class RowRule(documents.Form):
    """A condition that every row must meet."""

    rule: str = Field(
        description="The rule's name, as the record counts it, e.g. ends after it starts.",
        min_length=1, max_length=60,
    )  # fmt: skip
    must: str = Field(
        description="A SQL condition over the columns, e.g. end_date >= start_date.",
        min_length=1, max_length=2000,
    )  # fmt: skip
    if_unknown: Literal["keep", "reject"] = Field(
        "keep", description="What becomes of a row for which an empty cell leaves the condition open."
    )

    @field_validator("must")
    @classmethod
    def _is_one_expression(cls, must: str) -> str:
        _parsed(must)
        return must


def check_rules(rules: Sequence[RowRule], columns: Sequence[Column]) -> None:
    """Raise ValueError when a rule stands twice, names an unknown column or is no condition."""
    if not rules:
        return
    import duckdb

    names = [rule.rule for rule in rules]
    if len(set(names)) < len(names):
        raise ValueError("row_rules: a rule's name stands twice")
    cells = ", ".join(f"CAST(NULL AS {parquet_type(c.kind)}) AS {quote_name(c.name)}" for c in columns)
    for rule in rules:
        compiled(rule, {column.name: column.name for column in columns})
        with duckdb.connect() as connection:
            connection.execute("SET enable_external_access=false")
            try:
                query = f"DESCRIBE SELECT ({_sql(_parsed(rule.must))}) FROM (SELECT {cells})"
                made = connection.execute(query).fetchall()[0][1]
            except duckdb.Error as error:
                made = type(error).__name__
        if made != "BOOLEAN":
            raise ValueError(
                f"row_rules: '{rule.rule}' is no condition over the columns' types: {_kind(made)}"
            )


def compiled(rule: RowRule, names: Mapping[str, str]) -> str:
    """
    SQL for whether a row breaks `rule`; `names` has for each column of the contract its name in the relation.

    Raises ValueError when the rule names a column that `names` has not.
    """
    tree = json.loads(json.dumps(_parsed(rule.must)))
    for node in _nodes(tree):
        if node["class"] == "COLUMN_REF":
            name = node["column_names"][0]
            if name not in names:
                near = suggest(name, names)
                told = f", did you mean '{near[0]}'?" if near else ""
                raise ValueError(f"row_rules: '{rule.rule}' names '{name}', which is no column{told}")
            node["column_names"] = [names[name]]
    return f"NOT coalesce({_sql(tree)}, {str(rule.if_unknown == 'keep').lower()})"


@lru_cache(maxsize=256)
def _parsed(must: str) -> Any:
    """The tree of the expression `must`. Raises ValueError when it is not one expression of what is allowed."""
    import duckdb

    with duckdb.connect() as connection:
        row = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT (\n{must}\n)"]).fetchall()[0]
    said = json.loads(row[0])
    if said["error"] or len(said["statements"]) != 1:
        raise ValueError("not one SQL condition, e.g. end_date >= start_date")
    query = said["statements"][0]["node"]
    if (
        query["type"] != "SELECT_NODE"
        or query["from_table"]["type"] != "EMPTY"
        or len(query["select_list"]) != 1
    ):
        raise ValueError("not one SQL condition, e.g. end_date >= start_date")  # fmt: skip
    for node in _nodes(query):
        _check_node(node)
    return query["select_list"][0]


def _check_node(node: dict[str, Any]) -> None:
    if node["class"] not in CLASSES:
        raise ValueError(f"a condition over one row has no {node['class'].lower()}")
    if node["class"] == "FUNCTION":
        name = node["function_name"].lower()
        plain = not (node.get("filter") or node.get("distinct") or node.get("schema") or node.get("catalog"))
        if name not in FUNCTIONS or not plain:
            raise ValueError(f"the function {name} is not allowed in a row rule")
    if node["class"] == "COLUMN_REF" and len(node["column_names"]) != 1:
        raise ValueError("a column is named without a table")
    if node["class"] == "CAST":
        node["try_cast"] = True  # a cast that fails would quote the cell


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every part of an expression's tree that has a class."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _sql(tree: Any) -> str:
    """The expression as SQL again, as the parser wrote it and not as a person did."""
    import duckdb

    node: dict[str, Any] = {
        "type": "SELECT_NODE", "modifiers": [], "cte_map": {"map": []}, "select_list": [tree],
        "from_table": {"type": "EMPTY", "alias": "", "sample": None}, "where_clause": None,
        "group_expressions": [], "group_sets": [], "aggregate_handling": "STANDARD_HANDLING", "having": None,
        "sample": None, "qualify": None,
    }  # fmt: skip
    whole = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
    with duckdb.connect() as connection:
        row = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(whole)]).fetchall()[0]
    return str(row[0]).removeprefix("SELECT ")


def _kind(made: str) -> str:
    return made if made.endswith(("Error", "Exception")) else f"it gives {made}, not true or false"
