"""The source of a contract: where its rows come from, and how its files are written."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ctnb import documents
from ctnb.contracts.places import (
    Address,
    Census,
    Folder,
    Ftp,
    OpendatasoftRows,
    Query,
    Sftp,
    SocrataRows,
    Web,
)
from ctnb.sources.opened import Asked

PLACES = (
    "path", "folder", "web", "ftp", "sftp", "address", "database", "socrata", "opendatasoft", "census",
)  # fmt: skip
"""The keys of a source of which exactly one says where its rows lie; or union, for several sources."""

SourceFormat = Literal[
    "csv", "tsv", "fixed", "json", "jsonl", "geojson", "parquet", "xlsx", "xls", "xlsb", "ods",
    "sas7bdat", "xpt", "sav", "por", "dta", "shp", "gpkg", "kml",
]  # fmt: skip
Ordinal = Annotated[int, Field(gt=0)]

ROWS = frozenset(["database", "socrata", "opendatasoft", "census"])
"""The places that give rows rather than a file."""

OF_FILES = frozenset(
    [
        "format", "delimiter", "encoding", "records", "widths", "header", "member", "sheet", "header_row",
        "labels", "layer",
    ]
)  # fmt: skip
"""The keys of a source that say how a file is written."""


class Source(documents.Form):
    """Where rows come from."""

    path: str | None = Field(
        None, description="A file, relative to the dataset's folder, or below a root of ctnb.yml."
    )
    folder: Folder | None = Field(None, description="A folder that files are put into.")
    web: Web | None = Field(None, description="A file behind an HTTP(S) address.")
    ftp: Ftp | None = Field(None, description="A file on an FTP server.")
    sftp: Sftp | None = Field(None, description="A file on an SFTP server.")
    address: Address | None = Field(None, description="A file at an address of fsspec's: S3, Azure, ...")
    database: Query | None = Field(None, description="A query on a database of ctnb.yml.")
    socrata: SocrataRows | None = Field(None, description="A dataset of a Socrata portal.")
    opendatasoft: OpendatasoftRows | None = Field(None, description="A dataset of an Opendatasoft portal.")
    census: Census | None = Field(None, description="A table of the US Census Bureau's data API.")
    union: tuple[Source, ...] = Field(
        (), description="Several sources whose rows become one table under the contract, in this order."
    )
    joins: tuple[Join, ...] = Field((), description="Columns looked up by a key in other sources.")
    format: SourceFormat | None = Field(
        None, description="What kind of file; by its suffix when not given. fixed has no suffix of its own."
    )
    delimiter: str | None = Field(
        None, description="What separates cells; a comma for csv, a tab for tsv.", min_length=1, max_length=1
    )
    encoding: Literal["auto", "utf-8", "utf-16", "cp1252"] = Field(
        "auto", description="auto: as a byte order mark says, UTF-8, UTF-16, and where it is none, cp1252."
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
    sheet: Ordinal | Annotated[str, Field(min_length=1)] | None = Field(
        None, description="A workbook's sheet: its name, or its number from 1; the only one with rows."
    )
    header_row: Ordinal | tuple[Ordinal, Ordinal] | None = Field(
        None,
        description="The row of the sheet that is the header, from 1, or [first, last]; found if not given.",
    )
    labels: bool = Field(
        False, description="true: a statistics file's value labels are read in place of the codes."
    )
    layer: Ordinal | Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="A geographic file's layer: its name, or its number from 1; the only one with rows.",
    )
    nulls: tuple[str, ...] = Field(("",), description="Texts that mean an empty cell.")
    ignore: tuple[str, ...] = Field((), description="Headers of the source that are left out on purpose.")

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        told = [name for name in PLACES if getattr(self, name) is not None]
        if len(told) + bool(self.union) != 1:
            raise ValueError(f"says where its rows lie by exactly one of {', '.join(PLACES)} or union")
        if any(part.union or part.joins for part in self.union):
            raise ValueError("union: the sources in it have no union: and no joins: of their own")
        return self

    @property
    def parts(self) -> tuple[Source, ...]:
        """The sources whose rows become the table: those of the union, or this one."""
        return self.union or (self,)

    @property
    def place(self) -> str:
        """Which kind of place it names: one of `PLACES`, or union."""
        return next((name for name in PLACES if getattr(self, name) is not None), "union")

    @model_validator(mode="after")
    def _keys_fit_the_place(self) -> Self:
        told = sorted(self.model_fields_set & OF_FILES)
        if self.place in ROWS and told:
            raise ValueError(f"{self.place}: gives rows, not a file: it has no {', '.join(told)}")
        return self

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
            labels=self.labels,
            layer=self.layer,
        )


class Join(documents.Form):
    """Columns of another source, looked up by a key; each key stands there once."""

    name: str = Field(description="What the lookup is called in the record, e.g. town-codes.", min_length=1)
    source: Source
    on: dict[str, str] = Field(
        description="The key: headers of the rows, each with its header in the lookup.", min_length=1
    )
    take: tuple[str, ...] = Field(
        description="Headers of the lookup that are added to the rows.", min_length=1
    )
    missing: Literal["reject", "empty"] = Field(
        "reject", description="A row whose key is not in the lookup is a reject, or has empty cells there."
    )

    @model_validator(mode="after")
    def _is_one_source(self) -> Self:
        if self.source.union or self.source.joins:
            raise ValueError("source: has no union: and no joins:")
        return self


Source.model_rebuild()
