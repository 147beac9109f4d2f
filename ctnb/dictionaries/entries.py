"""The entries of a data dictionary: one for each column, as text for people."""

from __future__ import annotations

from dataclasses import dataclass

from ctnb.contracts.columns import Column
from ctnb.datasets import Contract
from ctnb.sources.number_texts import number_text
from ctnb.tables import connect
from ctnb.transforms.rules import STANDS_FOR, ruled
from ctnb.values import parquet_type, quote_name

HEADERS = (
    "name", "title", "type", "description", "format", "required", "unique", "allowed values", "minimum",
    "maximum", "pattern", "most characters", "precision",
)  # fmt: skip
"""The columns of a dictionary, in this order."""
SEPARATOR = "; "
"""Between allowed values."""

_FORMATS = {
    "integer": "whole number", "money": "US dollars, 2 decimals", "date": "YYYY-MM-DD",
    "timestamp": "YYYY-MM-DDThh:mm:ss", "boolean": "true or false", "url": "https://...",
    "point": "POINT (longitude latitude), WGS 84", "code": "text, leading zeros kept",
    "file": "data:<MIME type>;base64,<content>",
}  # fmt: skip


@dataclass(frozen=True)
class Dictionary:
    """A dataset's dictionary."""

    title: str
    description: str
    facts: tuple[tuple[str, str], ...]
    """More about the dataset: what it is called and what it is."""
    columns: tuple[Column, ...]
    """The columns that it explains."""

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A row of text for each column, with the cells of `HEADERS`."""
        return [_entry(column) for column in self.columns]


def dictionary(contract: Contract) -> Dictionary:
    """The dictionary of what is published under `contract`, after its transform and rules."""
    told = contract.metadata
    facts = (
        ("One row is", told.row_label), ("Category", told.category), ("Tags", ", ".join(told.tags)),
        ("License", told.license), ("Attribution", told.attribution), ("Contact", told.contact),
        ("Update frequency", told.update_frequency),
    )  # fmt: skip
    return Dictionary(
        contract.title,
        contract.description,
        tuple((name, text) for name, text in facts if text),
        published_columns(contract),
    )


def published_columns(contract: Contract) -> tuple[Column, ...]:
    """
    The columns that are published under `contract`: those of the transform, after its rules.

    The rules are tried on a table without rows. Raises ContractInvalid when they do not fit the columns.
    """
    columns = contract.published_columns
    rules = contract.transform.rules
    if not rules:
        return columns
    listed = ", ".join(f"{quote_name(column.name)} {parquet_type(column.kind)}" for column in columns)
    with connect() as connection:
        connection.execute(f'CREATE TABLE result ({listed}, "{STANDS_FOR}" BIGINT)')
        return ruled(connection, "result", columns, rules, contract.key).columns


def _entry(column: Column) -> tuple[str, ...]:
    limits = column.constraints
    return (
        column.name, column.title, column.type, column.description, format_words(column),
        "yes" if limits.required else "", "yes" if limits.unique else "",
        SEPARATOR.join(limits.values or ()), _number(limits.minimum), _number(limits.maximum),
        limits.pattern or "", str(limits.max_length or ""), column.precision or "",
    )  # fmt: skip


def format_words(column: Column) -> str:
    """How the values of `column` are written when published, in words."""
    if column.type in ("number", "percent"):
        decimals = f"{column.kind.scale} decimal{'' if column.kind.scale == 1 else 's'}"
        return decimals if column.type == "number" else f"percent, {decimals}; 66 % is 66"
    return _FORMATS.get(column.type, "")


def _number(value: float | None) -> str:
    return "" if value is None else number_text(value)
