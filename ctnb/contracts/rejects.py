"""What becomes of rows that do not fit the contract."""

from __future__ import annotations

from pydantic import Field

from ctnb import documents


class Rejects(documents.Form):
    """How many rows may be set aside before the run fails."""

    at_most_share: float = Field(
        0.0, description="The largest share of rejected rows, from 0 to 1.", ge=0, le=1
    )
