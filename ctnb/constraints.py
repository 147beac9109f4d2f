"""The constraints of a contract as SQL: the same for what is read and for what a transform made."""

from __future__ import annotations

from ctnb.contracts.columns import Column
from ctnb.values import canonical_sql, quote_text


def broken_sql(
    column: Column, value: str, relation: str, *, empty: str | None = None
) -> list[tuple[str, str]]:
    """
    Rule and SQL condition under which a cell of `column` breaks each of its constraints.

    `value` is SQL for the typed cell, `relation` for where it stands, `empty` for whether the cell is empty
    (the value is NULL when None). Allowed values and patterns are held against canonical text.
    """
    limits, text = column.constraints, canonical_sql(column.kind, value)
    found = [("required", empty or f"{value} IS NULL")] if limits.required else []
    if limits.values is not None:
        allowed = ", ".join(quote_text(word) for word in limits.values) or "NULL"
        found.append(("values", f"{text} NOT IN ({allowed})"))
    if limits.minimum is not None:
        found.append(("minimum", f"{value} < {limits.minimum!r}"))
    if limits.maximum is not None:
        found.append(("maximum", f"{value} > {limits.maximum!r}"))
    if limits.pattern is not None:
        found.append(("pattern", f"NOT regexp_full_match({text}, {quote_text(limits.pattern)})"))
    if limits.max_length is not None:
        found.append(("max_length", f"length({value}) > {limits.max_length}"))
    if limits.unique:
        twice = f"SELECT {value} FROM {relation} WHERE {value} IS NOT NULL GROUP BY ALL HAVING count(*) > 1"
        found.append(("unique", f"{value} IN ({twice})"))
    return found
