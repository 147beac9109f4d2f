"""Where, how and under which words a dataset is published."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import Field, model_validator

from ctnb import documents

Mode = Literal["replace", "append", "upsert", "delete", "replace-period", "sync"]

KEYED: frozenset[str] = frozenset(["upsert", "delete", "sync"])
"""Modes that need a row identifier."""
WHOLE: frozenset[str] = frozenset(["replace", "sync"])
"""Modes after which the portal has exactly the rows of the table."""

By = Literal["value", "day", "month", "quarter", "year", "range"]


class Period(documents.Form):
    """A stretch of time, or a set of values, of one column."""

    column: str = Field(description="The column that says to which period a row belongs.")
    by: By = Field(
        "value",
        description="value: equal cells are one period; day, month, quarter or year: those of a date; range: all "
        "from the first to the last value that is there.",
    )


class Removes(documents.Form):
    """How many published rows a release may take away without somebody saying why each time."""

    rows: int | None = Field(None, description="At most so many rows.", ge=1)
    share: float | None = Field(
        None, description="At most this share of the published rows, from 0 to 1.", gt=0, le=1
    )
    reason: str = Field(description="Why published rows go, as a sentence.", min_length=10)

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.rows is None and self.share is None:
            raise ValueError("removes: needs a bound: rows: or share:")
        return self


FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}(?<![. ])")
"""What an attachment may be called: names that each portal, each system and a header keep as they are."""


class Attached(documents.Form):
    """A file that people download beside the rows: a data dictionary, a README."""

    path: str = Field(
        min_length=1,
        description="The file, relative to the dataset's folder; ../ may lead up to the project's folder.",
    )
    name: str = Field("", description="What the portal calls it; its own file name when left out.")

    @property
    def shown(self) -> str:
        """What the portal calls it."""
        return self.name or PurePosixPath(self.path).name

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "\\" in self.path or PurePosixPath(self.path).is_absolute() or re.match("[A-Za-z]:", self.path):
            raise ValueError("path: is relative to the dataset's folder, its parts divided by /")
        if not FILE_NAME.fullmatch(self.shown):
            raise ValueError(
                "an attachment's name has letters, digits, spaces and . _ - alone, at most 100; write another as name:"
            )
        return self


class Portal(documents.Form):
    """Where and how the dataset is published."""

    name: str = Field("local", description="A portal of ctnb.yml; local is the embedded portal.")
    mode: Mode = Field("replace", description="What publishing does to the rows that are there.")
    public: bool = Field(True, description="Whether the published dataset is open to everybody.")
    period: Period | None = Field(
        None,
        description="For mode replace-period: rows there that belong to a period of the new rows go, e.g. "
        "{column: year} or {column: date, by: month}.",
    )
    removes: Removes | None = Field(
        None,
        description="How many published rows a release may take away, and why; without it a person says so.",
    )
    mapping: dict[str, str] = Field(
        default_factory=dict,
        description="Our column: the portal's field, where their names or types are not the same.",
    )
    ignore: tuple[str, ...] = Field(
        (), description="Fields of the portal that we do not have and leave alone."
    )
    leave_out: tuple[str, ...] = Field((), description="Columns of ours that the portal does not get.")
    attachments: tuple[Attached, ...] = Field(
        (),
        description="Files that people download beside the rows; others on the portal are left alone.",
        max_length=20,
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.mode == "replace-period") != (self.period is not None):
            raise ValueError("mode replace-period and period: go together")
        if len(set(self.mapping.values())) < len(self.mapping):
            raise ValueError("mapping: two columns have the same field")
        for name in self.leave_out:
            if name in self.mapping:
                raise ValueError(f"leave_out: '{name}' stands in mapping: too")
        for name in self.ignore:
            if name in self.mapping.values():
                raise ValueError(f"ignore: '{name}' stands in mapping: too")
        if len({one.shown.lower() for one in self.attachments}) < len(self.attachments):
            raise ValueError("attachments: two have the same name; capital letters do not count")
        return self


class FilteredView(documents.Form):
    """A part of the dataset that the portal shows as a page of its own, brought up to date with each release."""

    name: str = Field(min_length=1, max_length=200, description="What people read as its name.")
    newest: Period | None = Field(
        None, description="Its newest period alone, e.g. {column: year} or {column: date, by: year}."
    )
    where: dict[str, str | int | bool | tuple[str | int, ...]] = Field(
        default_factory=dict, description="Column: the value, or the values, that its rows have."
    )

    @model_validator(mode="after")
    def _filters(self) -> Self:
        if not self.newest and not self.where:
            raise ValueError("a view needs newest: or where:")
        if self.newest and self.newest.by == "range":
            raise ValueError("newest: by range is all rows; say value, day, month, quarter or year")
        return self


class Metadata(documents.Form):
    """What people read about the dataset on the portal."""

    category: str = Field("", description="The portal's category, e.g. Public Safety.")
    tags: tuple[str, ...] = Field((), description="Words that people search for.")
    row_label: str = Field("", description="What one row is, in words.")
    license: str = Field("", description="Under which licence the data may be used, e.g. Public Domain.")
    attribution: str = Field("", description="The agency that answers for the data.")
    contact: str = Field("", description="Whom to ask.")
    update_frequency: str = Field("", description="How often it is brought up to date, in words.")
    citation: str = Field(
        "", description="How to cite the dataset; made of attribution, title and address when empty."
    )
