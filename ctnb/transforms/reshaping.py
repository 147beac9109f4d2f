"""The rule pivot_longer: a wide table made long, one row for each cell, with every row accounted for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctnb.contracts.columns import Column
from ctnb.contracts.transforms import Pivot
from ctnb.errors import ContractInvalid
from ctnb.values import TYPES, Kind, parquet_type, parse_sql, quote_name, quote_text

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Longer:
    """A pivot, decided."""

    query: str
    """SQL that makes the long relation of the wide one."""
    columns: tuple[Column, ...]
    """The columns that come out."""
    pivoted: tuple[str, ...]
    """The columns that are pivoted: every row becomes as many as they are."""
    new: tuple[Column, Column]
    """The new columns: of the headers, and of the cells."""
    rule: str
    """What the record calls it."""


def chosen(pivot: Pivot, columns: Sequence[Column]) -> dict[str, str]:
    """
    The columns of `columns` that `pivot` means, in their order, each with what goes into names_to.

    Names that are not there are for the caller to find. Raises ContractInvalid when there are none, or two of
    them would be told by the same text.
    """
    found: dict[str, str] = {}
    for column in columns:
        header = (column.header or column.name).strip()
        fits = re.fullmatch(pivot.pattern, header) if pivot.pattern else None
        if fits:
            found[column.name] = (fits[1] or "") if fits.re.groups else header
        elif column.name in pivot.columns:
            found[column.name] = header
    if not found:
        raise ContractInvalid(
            "The pattern of the rule pivot_longer matches no column's header.",
            hint="It must match whole headers, e.g. (20[0-9]{2}) for years.",
        )
    if len(set(found.values())) < len(found):
        raise ContractInvalid(
            "The rule pivot_longer would call two columns the same in names_to.",
            hint="Let the pattern's ( ) hold what tells them apart, or give them different headers.",
        )
    return found


def longer(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], pivot: Pivot, passed: str
) -> Longer:
    """
    The pivot of `relation`, which has `columns` and, to go along, the column `passed`.

    Raises ContractInvalid when the columns do not agree in type or role, a header does not fit the type of
    names_to, or a new name is there already.
    """
    texts = chosen(pivot, columns)
    values = _values(pivot.values_to, [column for column in columns if column.name in texts])
    names = _names(pivot.names_to)
    kept = tuple(column for column in columns if column.name not in texts)
    for new in (names.name, values.name):
        if new in [column.name for column in kept] or names.name == values.name:
            raise ContractInvalid(
                f"The rule pivot_longer makes a column '{new}', and there is one already.",
                hint="Choose other names under names_to: and values_to:.",
            )
    said = _typed(connection, names, texts)
    listed = ", ".join(quote_name(one) for one in (*(column.name for column in kept), passed))
    cells = ", ".join(quote_name(name) for name in texts)
    query = (
        f"SELECT {listed}, unnest([{', '.join(said)}]) AS {quote_name(names.name)}, "
        f"unnest([{cells}]) AS {quote_name(values.name)} FROM {quote_name(relation)}"
    )
    rule = f"pivot_longer to {names.name}, {values.name}"
    return Longer(query, (*kept, names, values), tuple(texts), (names, values), rule)


def _names(told: Column | str) -> Column:
    """The column of the headers; by a name alone it is text, and what stood in a header is no secret."""
    return Column(name=told, type="text", role="plain") if isinstance(told, str) else told


def _values(told: Column | str, wide: Sequence[Column]) -> Column:
    """The column of the cells: as told, with the type that the pivoted columns have."""
    first = wide[0]
    kinds = {(column.type, column.kind.scale) for column in wide}
    if len(kinds) > 1:
        listed = ", ".join(sorted({column.type for column in wide}))
        raise ContractInvalid(
            f"The columns of the rule pivot_longer have different types or scales ({listed}).",
            hint="Give them one type under columns:, or pivot those of each type by themselves.",
        )
    if not isinstance(told, str):
        if (told.type, told.kind.scale) not in kinds:
            raise ContractInvalid(
                f"The rule pivot_longer makes '{told.name}' of type {told.type} from cells of type {first.type}.",
                hint="values_to: must have the type and scale of the pivoted columns.",
            )
        return told
    if len({(column.role, column.precision) for column in wide}) > 1:
        raise ContractInvalid(
            "The columns of the rule pivot_longer have different roles.",
            hint="Say which role the new column has: values_to: {name: ..., type: ..., role: ...}.",
        )
    scaled = TYPES[first.type].default_scale is not None and first.type != "money"
    return Column(
        name=told, type=first.type, scale=first.kind.scale if scaled else None, role=first.role,
        precision=first.precision,
    )  # fmt: skip


def _typed(connection: duckdb.DuckDBPyConnection, names: Column, texts: dict[str, str]) -> list[str]:
    """SQL for each header's text as a value of the column `names`."""
    kind = Kind(names.kind.type, names.kind.scale, names.kind.format)
    made = []
    for name, text in texts.items():
        value = f"CAST({parse_sql(kind, quote_text(text))} AS {parquet_type(kind)})"
        if connection.execute(f"SELECT {value} IS NULL").fetchall()[0][0]:
            raise ContractInvalid(
                f"The header of the column '{name}' is no {names.type}, which names_to of pivot_longer says.",
                hint="Choose another type, or let the pattern's ( ) hold only what is one.",
            )
        made.append(value)
    return made
