"""Where, how and under which words a dataset is published."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ctnb import documents

Mode = Literal["replace", "append", "upsert", "delete"]


class Portal(documents.Form):
    """Where and how the dataset is published."""

    name: str = Field("local", description="A portal of ctnb.yml; local is the embedded portal.")
    mode: Mode = Field("replace", description="What publishing does to the rows that are there.")
    public: bool = Field(True, description="Whether the published dataset is open to everybody.")


class Metadata(documents.Form):
    """What people read about the dataset on the portal."""

    category: str = Field("", description="The portal's category, e.g. Public Safety.")
    tags: tuple[str, ...] = Field((), description="Words that people search for.")
    row_label: str = Field("", description="What one row is, in words.")
    license: str = Field("", description="Under which licence the data may be used, e.g. Public Domain.")
    attribution: str = Field("", description="The agency that answers for the data.")
    contact: str = Field("", description="Whom to ask.")
    update_frequency: str = Field("", description="How often it is brought up to date, in words.")
