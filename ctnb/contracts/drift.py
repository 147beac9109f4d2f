"""The drift of a contract: what becomes of a run whose data are not built like the last release's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ctnb import documents

Treatment = Literal["accept", "hold", "stop"]
"""accept: go on and note it; hold: go on, but somebody must decide about the review; stop: do not go on."""


class SourceDrift(documents.Form):
    """The header of the source against the columns of the contract."""

    added: Treatment = Field(
        "hold", description="A header that the contract does not have: it is left out, unless this is stop."
    )
    removed: Treatment = Field(
        "stop",
        description="A column that the source no longer has: it is empty, unless this is stop; a required "
        "column and the key always stop.",
    )
    renamed: Treatment = Field(
        "stop",
        description="A column that seems to have another header now: it is read from there, unless this is stop.",
    )


class TableDrift(documents.Form):
    """The table to be published against the last release on the portal; stop blocks the review."""

    added: Treatment = Field("hold", description="A column that the last release did not have.")
    removed: Treatment = Field("hold", description="A column that is gone.")
    renamed: Treatment = Field("hold", description="A column that seems to have another name now.")
    retyped: Treatment = Field("hold", description="A column of another type or scale.")
    category: Treatment = Field("hold", description="New categories in a quasi-identifier.")
    empty: Treatment = Field("hold", description="Many more or fewer empty cells in a column.")
    distribution: Treatment = Field("hold", description="The values of a column are spread otherwise.")
    rows: Treatment = Field("accept", description="Many more or fewer rows.")
    empty_points: float = Field(
        10.0, description="How many percentage points the share of empty cells may move.", ge=0, le=100
    )
    stability: float = Field(
        0.25, description="From which population stability index a distribution has shifted.", gt=0
    )
    rows_share: float = Field(
        0.2, description="By what share of its rows the table may grow or shrink.", ge=0
    )


class Drift(documents.Form):
    """What becomes of a run whose source or table is not what it was."""

    source: SourceDrift = SourceDrift()
    table: TableDrift = TableDrift()
