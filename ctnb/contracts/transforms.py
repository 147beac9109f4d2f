"""The transform of a contract: its script, what comes out, and the rules applied last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

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


class Pivot(documents.Form):
    """Which columns are pivoted, and into what."""

    columns: tuple[str, ...] = Field((), description="The columns whose cells become rows, by name.")
    pattern: str | None = Field(
        None,
        description="Or a regular expression that their whole headers match; what its ( ) holds is the name's text.",
    )
    names_to: Column | str = Field(
        description="The new column that says which column a cell was in, by its header: a name (then it is text), "
        "or a column with a type, e.g. {name: year, type: integer}."
    )
    values_to: Column | str = Field(
        description="The new column of the cells: a name, or a column with label, role and description; it has the "
        "type of the pivoted columns."
    )
    drop_empty: bool = Field(False, description="Leave the rows of empty cells out; they are counted.")

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if bool(self.columns) == bool(self.pattern):
            raise ValueError("says which columns by one of columns: and pattern:")
        try:
            groups = re.compile(self.pattern or "").groups
        except re.error:
            raise ValueError("pattern: is not a regular expression") from None
        if groups > 1:
            raise ValueError("pattern: has more than one ( )")
        return self


class PivotLonger(documents.Form):
    """A wide table made long: one row for each cell of the columns named, which must have one type."""

    pivot_longer: Pivot


UNTOUCHED = "left as they are"
"""What the record calls the cells that a repair looked at, found wrong and could not mend."""


class RepairZip(documents.Form):
    """ZIP codes whose leading zero a spreadsheet took: 9999 becomes 09999, 99999999 becomes 09999-9999."""

    repair_zip: str = Field(description="The column, of type code or text. Other cells stay as they are.")
    nine_digits: bool = Field(False, description="Also write 999999999 as 99999-9999.")


Rule = Suppress | Keep | Drop | PivotLonger | RepairZip
RULES: dict[str, type[Rule]] = {
    "suppress": Suppress, "keep": Keep, "drop": Drop, "pivot_longer": PivotLonger, "repair_zip": RepairZip,
}  # fmt: skip
"""Every rule, by the key that names it."""


def _rule_word(rule: Any) -> str | None:
    """Which rule a mapping is, by the key that names it, so that an error speaks of that rule alone."""
    if isinstance(rule, documents.Form):
        return next(word for word, form in RULES.items() if isinstance(rule, form))
    keys = rule if isinstance(rule, Mapping) else ()
    return next((word for word in RULES if word in keys), None)


AnyRule = Annotated[
    Annotated[Suppress, Tag("suppress")]
    | Annotated[Keep, Tag("keep")]
    | Annotated[Drop, Tag("drop")]
    | Annotated[PivotLonger, Tag("pivot_longer")]
    | Annotated[RepairZip, Tag("repair_zip")],
    Discriminator(
        _rule_word,
        custom_error_type="rule",
        custom_error_message=f"a rule is one of {', '.join(f'{word}:' for word in RULES)}",
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
