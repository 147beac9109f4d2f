"""What becomes of rows and cells that do not fit the contract."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ctnb import documents

CellRule = Literal["type", "values", "minimum", "maximum", "pattern", "max_length", "reference"]
"""The rules that judge one cell by itself: where one is broken, the cell alone may be emptied."""


class Rejects(documents.Form):
    """How many rows may be set aside before the run fails, and whether single cells are emptied instead."""

    policy: Literal["set aside", "stop", "null the cell"] = Field(
        "set aside",
        description="set aside: a row that does not fit is left out, up to at_most_share of all; stop: one such "
        "row fails the run; null the cell: a cell that does not fit becomes empty and its row goes on, where it may.",
    )
    at_most_share: float = Field(
        0.0, description="The largest share of rejected rows, from 0 to 1.", ge=0, le=1
    )
    null_columns: tuple[str, ...] = Field(
        (),
        description="null the cell: the columns whose cells may become empty; when none is given, every column "
        "that is neither required nor the key.",
    )
    null_rules: tuple[CellRule, ...] = Field(
        ("type", "values", "minimum", "maximum", "pattern", "max_length", "reference"),
        description="null the cell: the rules for which a cell may become empty; for others its row is a reject.",
    )
    nulled_at_most_share: float = Field(
        0.05, description="null the cell: the largest share of one column's cells, from 0 to 1.", ge=0, le=1
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.policy == "stop" and self.at_most_share:
            raise ValueError("policy: stop allows no reject; take at_most_share: out, or set the rows aside")
        told = {"null_columns", "null_rules", "nulled_at_most_share"} & self.model_fields_set
        if told and self.policy != "null the cell":
            raise ValueError(f"{', '.join(sorted(told))}: only with policy: null the cell")
        return self
