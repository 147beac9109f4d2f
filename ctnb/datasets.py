"""
A dataset: the folder `notebooks/<slug>/` and its `dataset.yml`, which holds the contract.

The contract says which columns are read, with their types, scales, roles and constraints, and, where a
transform changes the shape, which columns come out. Its parts are in `ctnb.contracts`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ctnb import documents
from ctnb.contracts.columns import Column
from ctnb.contracts.drift import Drift
from ctnb.contracts.guards import Guards
from ctnb.contracts.publication import KEYED, FilteredView, Metadata, Period, Portal
from ctnb.contracts.references import Reference
from ctnb.contracts.rejects import Rejects
from ctnb.contracts.row_rules import RowRule, check_rules
from ctnb.contracts.sources import Source
from ctnb.contracts.transforms import Transform, Unit
from ctnb.digests import of_bytes
from ctnb.errors import ContractInvalid, NameUnknown, UsageError

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
DEVICES = frozenset(
    ["con", "prn", "aux", "nul"] + [f"com{n}" for n in range(1, 10)] + [f"lpt{n}" for n in range(1, 10)]
)


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
    guards: Guards = Guards()
    drift: Drift = Drift()
    columns: tuple[Column, ...] = Field(min_length=1, description="The columns that are read.")
    row_rules: tuple[RowRule, ...] = Field(
        (), description="Conditions that every row which is read must meet; a row that does not is a reject."
    )
    unique: tuple[Annotated[tuple[str, ...], Field(min_length=2)], ...] = Field(
        (),
        description="Groups of columns whose values together stand once among the rows that are read, e.g. "
        "[[town, year]]; a row with an empty cell in them is not compared.",
    )
    references: dict[str, Reference] = Field(
        default_factory=dict, description="Reference tables that constraints name."
    )
    transform: Transform = Transform()
    key: tuple[str, ...] = Field(
        (), description="The column that identifies a row on the portal: its row identifier.", max_length=1
    )
    policy: str = Field("default", description="Which policy of ctnb.yml the review uses.")
    deterministic: bool = Field(True, description="false lets SQL run on many threads; the record says so.")
    metadata: Metadata = Metadata()
    portal: Portal = Portal()
    views: tuple[FilteredView, ...] = Field(
        (), description="Parts of the dataset that the portal shows as pages of their own."
    )
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
        if self.portal.mode in KEYED and not self.key:
            raise ValueError(f"portal mode {self.portal.mode} needs a key: the column that identifies a row")
        again = any(part.folder and part.folder.take == "all" for part in self.source.parts)
        if again and self.portal.mode == "append":
            raise ValueError(
                "folder take: all reads released files again; to append the new ones, say take: new"
            )
        return self

    @model_validator(mode="after")
    def _publication_agrees(self) -> Self:
        out = {column.name: column for column in self.published_columns}
        portal = self.portal
        for name in (*portal.mapping, *portal.leave_out, *(name for one in self.views for name in one.where)):
            if name not in out and not name.endswith("_suppressed"):
                raise ValueError(f"portal or views: '{name}' is not one of the columns that come out")
        for name in (*self.key, *([portal.period.column] if portal.period else ())):
            if name in portal.leave_out:
                raise ValueError(f"portal: leave_out: '{name}' is needed to publish")
        for period in filter(None, (portal.period, *(one.newest for one in self.views))):
            _check_period(period, out)
        if len({one.name for one in self.views}) < len(self.views):
            raise ValueError("views: two have the same name")
        return self

    @model_validator(mode="after")
    def _rules_agree(self) -> Self:
        read = {column.name: column for column in self.columns}
        check_rules(self.row_rules, self.columns)
        for name in (*(name for group in self.unique for name in group), *self.rejects.null_columns):
            if name not in read:
                raise ValueError(f"'{name}' is not one of the columns that are read")
        for name in self.rejects.null_columns:
            if read[name].constraints.required or name in self.key:
                raise ValueError(
                    f"null_columns: '{name}' is required or the key: its cells cannot become empty"
                )
        for column in self.columns:
            told = column.constraints.reference
            if isinstance(told, str) and told not in self.references:
                raise ValueError(f"the reference '{told}' of {column.name} is not one of references:")
        if any(column.constraints.reference for column in self.transform.columns or ()):
            raise ValueError("transform.columns: a reference is for columns that are read")
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
    def reference_tables(self) -> tuple[Reference, ...]:
        """The reference tables that columns which are read name, each once."""
        return tuple(dict.fromkeys(filter(None, map(self.reference_of, self.read_columns))))

    def reference_of(self, column: Column) -> Reference | None:
        """The reference table of `column`."""
        told = column.constraints.reference
        return self.references[told] if isinstance(told, str) else told

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


def whole(dataset: Dataset) -> Dataset:
    """`dataset` as one that publishes all its rows in place of those that are there, whatever its mode is."""
    told = dataset.contract.portal.model_copy(update={"mode": "replace", "period": None})
    return replace(dataset, contract=dataset.contract.model_copy(update={"portal": told}))


def slugs(notebooks: Path) -> list[str]:
    """The slugs of all datasets in the folder `notebooks`, sorted."""
    return sorted(path.parent.name for path in notebooks.glob("*/dataset.yml"))


def schema() -> dict[str, Any]:
    """The JSON Schema of dataset.yml, for editors that complete and check it."""
    made = Contract.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "dataset.yml"
    return made


def _check_period(period: Period, columns: dict[str, Column]) -> None:
    column = columns.get(period.column)
    if column is None:
        raise ValueError(f"period: '{period.column}' is not one of the columns that come out")
    if period.by not in ("value", "range") and column.type not in ("date", "timestamp"):
        raise ValueError(f"period: by {period.by} is for dates; '{period.column}' is {column.type}")


def _first_double(names: list[str]) -> str | None:
    return next((name for place, name in enumerate(names) if name in names[:place]), None)
