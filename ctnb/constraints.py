"""The constraints of a contract as SQL: the same for what is read and for what a transform made."""

from __future__ import annotations

from ctnb.contracts.columns import Column
from ctnb.values import canonical_sql, quote_text

Broken = tuple[str, str]
"""A rule, and SQL for whether a cell breaks it."""


def broken_sql(column: Column, value: str, relation: str) -> list[Broken]:
    """
    The rules that a cell of `column` may break, with those that need all rows of `relation`.

    `value` is SQL for the typed cell.
    """
    found = cell_rules(column, value)
    if column.constraints.unique:
        found.append(("unique", f"{value} IN ({repeated_sql([value], relation)})"))
    return found


def cell_rules(
    column: Column, value: str, *, empty: str | None = None, allowed: str | None = None
) -> list[Broken]:
    """
    The rules that a cell of `column` may break by itself.

    `value` is SQL for the typed cell, `empty` for whether the cell is empty (the value is NULL when None),
    `allowed` a query for the values of its reference table; without one a reference is not asked.
    Allowed values and patterns are held against canonical text.
    """
    limits, text = column.constraints, canonical_sql(column.kind, value)
    found = [("required", empty or f"{value} IS NULL")] if limits.required else []
    if limits.values is not None:
        listed = ", ".join(quote_text(word) for word in limits.values) or "NULL"
        found.append(("values", f"{text} NOT IN ({listed})"))
    if limits.minimum is not None:
        found.append(("minimum", f"{value} < {limits.minimum!r}"))
    if limits.maximum is not None:
        found.append(("maximum", f"{value} > {limits.maximum!r}"))
    if limits.pattern is not None:
        found.append(("pattern", f"NOT regexp_full_match({text}, {quote_text(limits.pattern)})"))
    if limits.max_length is not None:
        found.append(("max_length", f"length({value}) > {limits.max_length}"))
    if limits.reference is not None and allowed is not None:
        found.append(("reference", f"{value} NOT IN ({allowed})"))
    return found


def repeated_sql(values: list[str], relation: str) -> str:
    """A query for the values that stand together more than once in `relation`; an empty cell is not compared."""
    whole = " AND ".join(f"{value} IS NOT NULL" for value in values)
    return f"SELECT {', '.join(values)} FROM {relation} WHERE {whole} GROUP BY ALL HAVING count(*) > 1"
