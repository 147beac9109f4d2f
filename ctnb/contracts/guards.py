"""The guards of a contract: what ends a run before anything of it is published."""

from __future__ import annotations

from pydantic import Field

from ctnb import documents


class Guards(documents.Form):
    """When the data of a run are not to be trusted; a person may override each guard, with a reason."""

    row_drop: float = Field(
        0.2,
        description="The largest share of rows, from 0 to 1, that may be gone since the last release (mode replace).",
        ge=0,
        le=1,
    )
    allow_empty: bool = Field(False, description="true where a source or a table without rows is right.")
    promised_days: int | None = Field(
        None, description="The source is never older than this many days; not asked when not given.", ge=0
    )
