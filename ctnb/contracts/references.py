"""Reference tables: files that hold the values a column may have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ctnb import documents
from ctnb.contracts.sources import Source, SourceFormat


class Reference(documents.Form):
    """A file of which one column holds the allowed values."""

    path: str = Field(
        description="The file, relative to the dataset's folder, or below a root of ctnb.yml.", min_length=1
    )
    column: str = Field(description="The header of the column with the allowed values.", min_length=1)
    format: SourceFormat | None = Field(None, description="What kind of file; by its suffix when not given.")
    delimiter: str | None = Field(None, description="What separates cells.", min_length=1, max_length=1)
    sheet: Annotated[int, Field(gt=0)] | Annotated[str, Field(min_length=1)] | None = Field(
        None, description="A workbook's sheet: its name, or its number from 1; the only one with rows."
    )

    @property
    def source(self) -> Source:
        """The file as a source."""
        return Source(path=self.path, format=self.format, delimiter=self.delimiter, sheet=self.sheet)
