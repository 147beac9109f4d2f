"""A column of the contract: its name, header, type, role and constraints."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ctnb import documents
from ctnb.contracts.references import Reference
from ctnb.values import TYPES, Kind, strptime_format

FIELD = re.compile(r"[a-z_][a-z0-9_]{0,62}")

Type = Literal[
    "text",
    "code",
    "integer",
    "number",
    "money",
    "percent",
    "date",
    "timestamp",
    "boolean",
    "url",
    "point",
    "file",
]
Role = Literal["identifier", "quasi", "sensitive", "free_text", "measure", "plain"]

NUMERIC = frozenset(["integer", "number", "money", "percent"])
TEXTUAL = frozenset(["text", "code", "url"])


class Constraints(documents.Form):
    """What a value of a column must satisfy; a row that does not is set aside as a reject."""

    required: bool = Field(False, description="An empty cell is a reject.")
    unique: bool = Field(False, description="A value that stands twice is a reject, every row of it.")
    values: tuple[str, ...] | None = Field(None, description="The allowed values, as canonical text.")
    minimum: float | None = Field(None, description="The smallest allowed number.", allow_inf_nan=False)
    maximum: float | None = Field(None, description="The largest allowed number.", allow_inf_nan=False)
    pattern: str | None = Field(
        None, description="A regular expression (RE2) that the whole text must match."
    )
    max_length: int | None = Field(None, description="The most characters of a text.", gt=0)
    reference: Reference | str | None = Field(
        None,
        description="A file whose column holds the allowed values, e.g. {path: towns.csv, column: Town}; or the "
        "name of one under references:.",
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None and not _is_re2(pattern):
            raise ValueError("not a regular expression that RE2 knows; it has no look-around and no \\1")
        return pattern


class Column(documents.Form):
    """One column of the contract."""

    name: str = Field(description="The name it is published under: lower case letters, digits and _.")
    header: str | None = Field(None, description="Its header in the source, when not the name.")
    position: int | None = Field(
        None, description="Its place in the source, from 1, where headers are blank or double.", gt=0
    )
    label: str | None = Field(
        None, description="Its title for people; the header or the name when not given."
    )
    type: Type = Field(description="One of the contract types.")
    scale: int | None = Field(
        None, description="Digits after the decimal point, for number and percent.", ge=0, le=12
    )
    format: str | None = Field(
        None, description="How dates are written in the source, e.g. MM/DD/YYYY; ISO 8601 when not given."
    )
    role: Role | None = Field(
        None, description="What the column is to a person. Without one nothing is published."
    )
    precision: str | None = Field(
        None, description="For geography and dates: how fine, e.g. town, county, day, year."
    )
    description: str = Field("", description="What the column means, for people who use the data.")
    constraints: Constraints = Field(Constraints(), description="What its values must satisfy.")

    @field_validator("name")
    @classmethod
    def _name_is_a_field(cls, name: str) -> str:
        if not FIELD.fullmatch(name):
            raise ValueError(
                "a column's name is lower case letters, digits and _, and does not start with a digit"
            )
        return name

    @model_validator(mode="after")
    def _type_fits(self) -> Self:
        row = TYPES[self.type]
        if self.scale is not None and row.default_scale is None:
            raise ValueError(f"type {self.type} has no scale")
        if self.type == "money" and self.scale not in (None, 2):
            raise ValueError("money has scale 2")
        if self.format is not None:
            if self.type not in ("date", "timestamp"):
                raise ValueError(f"type {self.type} has no format")
            strptime_format(self.format)
        self._check_limits()
        return self

    def _check_limits(self) -> None:
        limits, numeric = self.constraints, self.type in NUMERIC
        if not numeric and (limits.minimum is not None or limits.maximum is not None):
            raise ValueError(f"type {self.type} has no minimum and no maximum")
        if limits.max_length is not None and self.type not in TEXTUAL:
            raise ValueError(f"type {self.type} has no max_length")

    @property
    def kind(self) -> Kind:
        """The type with its scale and format, as `ctnb.values` takes it."""
        default = TYPES[self.type].default_scale or 0
        return Kind(self.type, default if self.scale is None else self.scale, self.format)

    @property
    def title(self) -> str:
        """The name that people read."""
        return (self.label or self.header or self.name).strip()


@cache
def _is_re2(pattern: str) -> bool:
    """Whether DuckDB, whose expressions are RE2's, can use `pattern`."""
    import duckdb

    try:
        duckdb.connect().execute("SELECT regexp_full_match('', ?)", [pattern])
    except duckdb.Error:
        return False
    return True
