"""What an Opendatasoft portal is asked in ODSQL: sums over all rows, and the rows of a filtered view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ctnb.clients.answers import understood
from ctnb.contracts.columns import NUMERIC, Column
from ctnb.portals.interface import Part, Summary


def totals(columns: Sequence[Column]) -> str:
    """The `select` that counts rows and cells, sums numbers and finds the first and last of moments."""
    asked = ["count(*) as n"]
    for at, column in enumerate(columns):
        field = f"`{column.name}`"
        asked.append(f"count({field}) as n_{at}")
        if column.type in NUMERIC:
            asked.append(f"sum({field}) as s_{at}")
        if column.type in ("date", "timestamp"):
            asked += [f"min({field}) as min_{at}", f"max({field}) as max_{at}"]
    return ", ".join(asked)


@understood
def summary(said: Mapping[str, Any], columns: Sequence[Column]) -> Summary:
    """What the answer to `totals` says."""
    rows = int(said.get("n") or 0)
    empty = {one.name: rows - int(said.get(f"n_{at}") or 0) for at, one in enumerate(columns)}
    totals, extremes = {}, {}
    for at, column in enumerate(columns):
        if column.type in NUMERIC:
            unit = Decimal(1).scaleb(-column.kind.scale)
            totals[column.name] = Decimal(repr(said.get(f"s_{at}") or 0)).quantize(unit)
        if column.type in ("date", "timestamp") and said.get(f"min_{at}") is not None:
            extremes[column.name] = tuple(
                _moment(column, str(said[f"{edge}_{at}"])) for edge in ("min", "max")
            )
    return Summary(rows, empty, totals, extremes)  # type: ignore[arg-type]  # two edges each


def _moment(column: Column, text: str) -> str:
    """A portal's date or time as canonical text."""
    if column.type == "date":
        return text[:10]
    whole, _, fine = text.removesuffix("Z").removesuffix("+00:00").partition(".")
    return f"{whole}.{fine.ljust(6, '0')}"


def where(part: Part) -> str:
    """A part's conditions in ODSQL."""
    said = []
    for one in part.conditions:
        values = [_literal(one.column, value) for value in one.values]
        test = f"{one.column.name} {one.test} {values[0]}"
        said.append(test if len(values) == 1 else f"{one.column.name} in ({', '.join(values)})")
    return " and ".join(said)


def _literal(column: Column, value: str) -> str:
    if column.type in NUMERIC:
        return value
    if column.type in ("date", "timestamp"):
        return f"date'{value}'"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
