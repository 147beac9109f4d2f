"""The transform of a contract: its script, what comes out, and the rules applied last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from ctnb import documents
from ctnb.contracts.columns import Column

Unit = Literal["person", "group", "other"]


class Suppress(documents.Form):
    """Primary suppression: small counts become null, with true in `<column>_suppressed`; zeros stay."""

    suppress: str = Field(description="The count column.")
    at_most: int = Field(5, description="Counts from 1 to this are suppressed.", ge=1)
    also: tuple[str, ...] = Field(
        (), description="Columns computed from the count that are suppressed with it."
    )


class Keep(documents.Form):
    """Keep the rows for which a condition holds; the others are removed by this rule's name and counted."""

    keep: str = Field(description="A SQL condition over the columns.")
    name: str = Field(description="The rule's name, as the record counts it.")


class Drop(documents.Form):
    """Leave columns out."""

    drop: tuple[str, ...] = Field(description="Columns that do not go on.", min_length=1)


def _rule_word(rule: Any) -> str | None:
    """Which rule a mapping is, by the key that names it, so that an error speaks of that rule alone."""
    if isinstance(rule, documents.Form):
        return type(rule).__name__.lower()
    keys = rule if isinstance(rule, Mapping) else ()
    return next((word for word in ("suppress", "keep", "drop") if word in keys), None)


Rule = Suppress | Keep | Drop
AnyRule = Annotated[
    Annotated[Suppress, Tag("suppress")] | Annotated[Keep, Tag("keep")] | Annotated[Drop, Tag("drop")],
    Discriminator(
        _rule_word,
        custom_error_type="rule",
        custom_error_message="a rule is one of suppress:, keep: and drop:",
    ),
]


class Transform(documents.Form):
    """Table to table: a script (or none), then rules in their order."""

    use: Literal["transform.R", "transform.sql", "none"] | None = Field(
        None, description="The script in the dataset's folder; the one that is there when not given."
    )
    unit: Unit | None = Field(None, description="What one row is after the transform, when it changes.")
    count: str | None = Field(None, description="The column that says how many rows each group stands for.")
    columns: tuple[Column, ...] | None = Field(
        None, description="The columns that come out, when they change."
    )
    unaccounted: str | None = Field(
        None, description="Why the rows cannot be accounted for; shown in the record."
    )
    rules: tuple[AnyRule, ...] = Field((), description="Rules applied after the script, in order.")
