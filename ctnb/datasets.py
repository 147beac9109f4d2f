"""
A dataset: the folder `notebooks/<slug>/` and its `dataset.yml`, which holds the contract.

The contract says which columns are read, with their types, scales, roles and constraints, and, where a
transform changes the shape, which columns come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ctnb import documents
from ctnb.digests import of_bytes
from ctnb.errors import ContractInvalid, NameUnknown, UsageError
from ctnb.sources.opened import Asked
from ctnb.values import TYPES, Kind, strptime_format

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
FIELD = re.compile(r"[a-z_][a-z0-9_]{0,62}")
DEVICES = frozenset(
    ["con", "prn", "aux", "nul"] + [f"com{n}" for n in range(1, 10)] + [f"lpt{n}" for n in range(1, 10)]
)

Type = Literal[
    "text", "code", "integer", "number", "money", "percent", "date", "timestamp", "boolean", "url", "point"
]
Role = Literal["identifier", "quasi", "sensitive", "free_text", "measure", "plain"]
Unit = Literal["person", "group", "other"]
Mode = Literal["replace", "append", "upsert", "delete"]
SourceFormat = Literal[
    "csv", "tsv", "fixed", "json", "jsonl", "geojson", "parquet", "xlsx", "xls", "xlsb", "ods"
]
Place = Annotated[int, Field(gt=0)]

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


class Source(documents.Form):
    """Where rows come from."""

    path: str = Field(description="The file, relative to the dataset's folder, or below a root of ctnb.yml.")
    format: SourceFormat | None = Field(
        None, description="What kind of file; by its suffix when not given. fixed has no suffix of its own."
    )
    delimiter: str | None = Field(
        None, description="What separates cells; a comma for csv, a tab for tsv.", min_length=1, max_length=1
    )
    encoding: Literal["auto", "utf-8", "cp1252"] = Field(
        "auto", description="auto: UTF-8, and where it is not, cp1252."
    )
    records: str | None = Field(
        None,
        description="The key that holds the array of records in a JSON object, e.g. data or result.records.",
        min_length=1,
    )
    widths: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (), description="How many characters each column of a fixed-width file has, e.g. [5, 30, 8]."
    )
    header: bool = Field(
        True,
        description="false: a fixed-width file without a header; its columns are column 1, column 2, ...",
    )
    member: str | None = Field(
        None, description="Which file of a zip archive is read; the only one when not given.", min_length=1
    )
    sheet: Place | Annotated[str, Field(min_length=1)] | None = Field(
        None, description="A workbook's sheet: its name, or its number from 1; the only one with rows."
    )
    header_row: Place | tuple[Place, Place] | None = Field(
        None,
        description="The row of the sheet that is the header, from 1, or [first, last]; found if not given.",
    )
    nulls: tuple[str, ...] = Field(("",), description="Texts that mean an empty cell.")
    ignore: tuple[str, ...] = Field((), description="Headers of the source that are left out on purpose.")

    @model_validator(mode="after")
    def _keys_fit_the_format(self) -> Self:
        fixed = self.format == "fixed"
        if fixed and not self.widths:
            raise ValueError("format fixed needs widths: how many characters each column has")
        if not fixed and (self.widths or not self.header):
            raise ValueError("widths: and header: false are for format: fixed")
        return self

    @property
    def asked(self) -> Asked:
        """What concerns the opening of the file."""
        return Asked(
            self.delimiter,
            self.encoding,
            sheet=self.sheet,
            header_row=self.header_row,
            records=self.records,
            widths=self.widths,
            header=self.header,
            member=self.member,
        )


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


class Rejects(documents.Form):
    """How many rows may be set aside before the run fails."""

    at_most_share: float = Field(
        0.0, description="The largest share of rejected rows, from 0 to 1.", ge=0, le=1
    )


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


class Contract(documents.Form):
    """`dataset.yml`, whole."""

    format: Literal[1] = Field(description="The version of this file's form.")
    title: str = Field(min_length=1, description="What people read as its name.")
    description: str = Field("", description="What the data are, for people who use them.")
    unit: Unit | None = Field(
        None, description="What one row is: person, group or other. Without it nothing is published."
    )
    source: Source
    rejects: Rejects = Rejects()
    columns: tuple[Column, ...] = Field(min_length=1, description="The columns that are read.")
    transform: Transform = Transform()
    key: tuple[str, ...] = Field(
        (), description="The column that identifies a row on the portal: its row identifier.", max_length=1
    )
    policy: str = Field("default", description="Which policy of ctnb.yml the review uses.")
    deterministic: bool = Field(True, description="false lets SQL run on many threads; the record says so.")
    metadata: Metadata = Metadata()
    portal: Portal = Portal()
    owners: tuple[str, ...] = Field((), description="Who answers for the dataset in the agency.")

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for columns, where in (
            (self.columns, "columns"),
            (self.transform.columns or (), "transform.columns"),
        ):
            twice = _first_double([column.name for column in columns])
            if twice:
                raise ValueError(f"{where}: the name '{twice}' stands twice")
        out = {column.name for column in self.published_columns}
        for name in (*self.key, *filter(None, [self.transform.count])):
            if name not in out:
                raise ValueError(f"'{name}' is not one of the columns that come out")
        if self.portal.mode in ("upsert", "delete") and not self.key:
            raise ValueError(f"portal mode {self.portal.mode} needs a key: the column that identifies a row")
        return self

    @property
    def deletes(self) -> bool:
        """Whether the source is a file of identifiers to delete: one column, the key, and no transform."""
        return self.portal.mode == "delete"

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """The columns that are read: all, or the key alone to delete."""
        if not self.deletes:
            return self.columns
        return tuple(column for column in self.published_columns if column.name in self.key)

    @property
    def published_columns(self) -> tuple[Column, ...]:
        """The columns that come out of the transform's script, before its rules."""
        return self.transform.columns or self.columns

    @property
    def unit_out(self) -> Unit | None:
        """What one row is after the transform; identifiers to delete are no people."""
        return "other" if self.deletes else self.transform.unit or self.unit

    @property
    def count_out(self) -> str | None:
        """The column of the transform's result that says how many rows a group stands for."""
        return None if self.deletes else self.transform.count


@dataclass(frozen=True)
class Dataset:
    """One dataset of a project."""

    slug: str
    """Its name in commands and folders."""
    folder: Path
    """`notebooks/<slug>/`, absolute."""
    contract: Contract
    """What `dataset.yml` says."""
    fingerprint: str
    """SHA-256 of the bytes of `dataset.yml`."""

    @property
    def script(self) -> Path | None:
        """The transform's script: the one the contract names, or the one there is; None for rules alone."""
        use = self.contract.transform.use
        if use == "none":
            return None
        names = [use] if use else ["transform.R", "transform.sql"]
        present = [self.folder / name for name in names if (self.folder / name).is_file()]
        if use and not present:
            raise ContractInvalid(
                f"dataset.yml of {self.slug} uses {use}, which is not there.",
                hint=f"Write {self.folder / use}.",
            )
        if len(present) > 1:
            raise ContractInvalid(
                f"{self.slug} has both transform.R and transform.sql.",
                hint="Say which under transform: use:.",
            )
        return present[0] if present else None

    def own_notebook(self, step: str) -> Path | None:
        """The dataset's edited copy of the template for `step`, if there is one."""
        copy = self.folder / f"{step}.ipynb"
        return copy if copy.is_file() else None


def check_slug(slug: str) -> str:
    """`slug` itself. Raises UsageError when it is not one, or is a name that Windows keeps for a device."""
    if not SLUG.fullmatch(slug) or slug in DEVICES:
        raise UsageError(
            f"'{slug}' is not a dataset's slug.",
            hint="A slug is 1 to 60 lower case letters, digits and -, e.g. accidental-drug-deaths.",
        )
    return slug


def dataset(slug: str, notebooks: Path) -> Dataset:
    """
    The dataset `slug` of the folder `notebooks`.

    Raises UsageError for a name that cannot be a slug, NameUnknown when there is no such dataset,
    ContractInvalid when its dataset.yml cannot be used.
    """
    folder = notebooks / check_slug(slug)
    path = folder / "dataset.yml"
    if not path.is_file():
        raise NameUnknown("dataset", slug, slugs(notebooks))
    contract = documents.parse(
        Contract, documents.read(path, ContractInvalid), f"dataset.yml of {slug}", ContractInvalid
    )
    return Dataset(slug, folder.resolve(), contract, of_bytes(path.read_bytes()))


def slugs(notebooks: Path) -> list[str]:
    """The slugs of all datasets in the folder `notebooks`, sorted."""
    return sorted(path.parent.name for path in notebooks.glob("*/dataset.yml"))


def schema() -> dict[str, Any]:
    """The JSON Schema of dataset.yml, for editors that complete and check it."""
    made = Contract.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "dataset.yml"
    return made


def _is_re2(pattern: str) -> bool:
    """Whether DuckDB, whose expressions are RE2's, can use `pattern`."""
    import duckdb

    try:
        duckdb.connect().execute("SELECT regexp_full_match('', ?)", [pattern])
    except duckdb.Error:
        return False
    return True


def _first_double(names: list[str]) -> str | None:
    return next((name for place, name in enumerate(names) if name in names[:place]), None)
