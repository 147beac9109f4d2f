"""
What ctnb asks of a portal, whichever kind it is.

A kind of portal is one class that does what `Portal` says; `tests/portal_conformance.py` holds each to it. Columns are
always named as the portal's fields: names are mapped before anything here is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Protocol

from ctnb.attachments import Copy
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Metadata
from ctnb.tables import Table

if TYPE_CHECKING:
    import duckdb

    from ctnb.portals.journal import Journal

Kind = Literal["replace", "append", "upsert", "delete"]


@dataclass(frozen=True)
class PortalField:
    """One column of a dataset on a portal."""

    name: str
    """Its name in the portal's interface."""
    title: str
    """What people read."""
    type: str
    """The portal's own word for its type."""
    description: str = ""


@dataclass(frozen=True)
class Described:
    """What a portal is told of a dataset, rows aside."""

    title: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """The row identifier, or the unique-id fields; empty when rows have none."""
    metadata: Metadata


@dataclass(frozen=True)
class There:
    """What a portal says of a dataset, rows aside."""

    id: str
    title: str
    url: str
    """Where people see it."""
    fields: tuple[PortalField, ...]
    key: tuple[str, ...]
    public: bool
    rows: int
    version: str
    """Moves whenever rows do; compared, never interpreted. Empty where a portal has no such thing."""
    described: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Its metadata under the names of `Metadata`, with title and description."""
    audience: tuple[str, ...] = ()
    """Who else sees it, in words: federated domains, people it is shared with."""


@dataclass(frozen=True)
class PortalFile:
    """A file that is attached to a dataset on a portal."""

    name: str
    """Its file name."""
    id: str
    """What the portal calls its bytes, which never become others."""


@dataclass(frozen=True)
class Attachments:
    """The files that are to be attached to a dataset; those that others attached stay."""

    wanted: tuple[Copy, ...]
    known: Mapping[str, str] = field(default_factory=dict)
    """Plain digests of what releases attached, by the portal's id: read back and compared then."""
    sent: Mapping[str, str] = field(default_factory=dict)
    """The same of what was ever sent, compared or not."""


@dataclass(frozen=True)
class Change:
    """One change of a dataset's rows, which a portal takes whole or not at all where it can."""

    kind: Kind
    table: Table
    """The rows; to delete, the key's columns alone."""
    columns: tuple[Column, ...]
    """Those of the whole dataset."""
    key: tuple[str, ...]
    token: str
    """The idempotency key: the same for this change of this release, however often it is tried."""
    gone: Table | None = None
    """To upsert: the keys of rows that go in the same step, where the portal can do both at once."""
    files: Attachments | None = None
    """Files that are to change with the rows, where the portal can do both at once; `attach` does the rest."""

    def halves(self) -> tuple[Change, Change]:
        """The same as two changes, for a portal that cannot do both at once: rows that come, then rows that go."""
        if self.gone is None:
            raise ValueError("There is nothing to divide.")
        come = replace(self, gone=None, files=None, token=f"{self.token}-upsert")
        return come, replace(self, kind="delete", table=self.gone, gone=None, token=f"{self.token}-delete")


@dataclass(frozen=True)
class Sent:
    """What became of a change."""

    rows: int
    bytes: int
    """What was sent, as it went over the wire."""
    requests: int
    already: bool = False
    """The portal had it from an earlier attempt; nothing was sent again."""
    reference: str = ""
    """What the portal calls this change, e.g. a revision's number; empty where it has no word for it."""


@dataclass(frozen=True)
class Summary:
    """Rows told by counts and sums, which a portal computes without handing them out."""

    rows: int
    empty: Mapping[str, int]
    """Empty cells, by column."""
    totals: Mapping[str, Decimal]
    """The sum of each integer, number, money and percent column, exact at its scale."""
    extremes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The first and last of each date and timestamp column, in canonical text. Private: cells."""


@dataclass(frozen=True)
class Condition:
    """What the rows of a filtered view have in one column."""

    column: Column
    """As the portal's field."""
    test: Literal["=", ">=", "<="]
    values: tuple[str, ...]
    """Canonical texts; for = the row has one of them, otherwise there is one."""


@dataclass(frozen=True)
class Part:
    """A filtered view: rows of a dataset that meet all conditions."""

    name: str
    conditions: tuple[Condition, ...]


class Portal(Protocol):
    """One portal, as one account sees it. Everything that reaches it raises PortalFailed."""

    name: str
    """Its name in ctnb.yml."""
    url: str
    kind: str
    """The dialect it speaks: socrata or opendatasoft."""

    def address(self, dataset_id: str) -> str:
        """Where people see the dataset."""
        ...

    def type_of(self, column: Column) -> str:
        """The portal's type for `column`, from the table of types."""
        ...

    def there(self, dataset_id: str) -> There | None:
        """What the portal says of a dataset; None when it has no such dataset."""
        ...

    def load(
        self, dataset_id: str, columns: Sequence[Column], connection: duckdb.DuckDBPyConnection, name: str
    ) -> int:
        """
        Read all rows into `connection` as the table `name`, typed by `columns`; returns how many cells do not fit.

        Every row once: in a total order, counted before and after.
        """
        ...

    def summary(self, dataset_id: str, columns: Sequence[Column]) -> Summary:
        """The rows told by counts and sums, computed by the portal."""
        ...

    def settle(self, dataset_id: str, journal: Journal) -> None:
        """Wait for what an earlier sending left under way on the portal, so that the rows stand still."""
        ...

    def find(self, token: str) -> str | None:
        """The id of the dataset that `create` made for `token`, also when its answer was lost."""
        ...

    def create(self, described: Described, token: str) -> str:
        """Create a private dataset without rows and return its id; `token` finds it again."""
        ...

    def describe(self, dataset_id: str, described: Described) -> None:
        """Bring title, description, metadata and columns' words up to date: read, changed, written."""
        ...

    def add_fields(self, dataset_id: str, columns: Sequence[Column], journal: Journal) -> None:
        """
        Add columns, empty in every row, to a dataset that is there; one that it has already stays as it is.

        What is needed to go on after a break is noted beside `journal`.
        """
        ...

    def send(self, dataset_id: str, change: Change, journal: Journal) -> Sent:
        """
        Carry out `change`, exactly once for its token.

        `journal` is written before each step that cannot be undone, and read to go on after a break. Raises
        PublishRefused when the portal rejects rows, with counts and columns, never cells.
        """
        ...

    def attached(self, dataset_id: str) -> tuple[PortalFile, ...]:
        """The files that are attached to the dataset."""
        ...

    def attachment_digest(self, dataset_id: str, file: PortalFile) -> str:
        """SHA-256 of a file's bytes as the portal hands them out, plain; empty where it does not."""
        ...

    def attach(self, dataset_id: str, files: Attachments, token: str, journal: Journal) -> None:
        """
        Make `files` those that are attached, and leave alone what others attached under other names.

        Twice is once. Files of a private dataset are as private as its rows. Raises RecordBroken where the copy of
        one is not what was reviewed.
        """
        ...

    def set_public(self, dataset_id: str, public: bool) -> None:
        """Open the dataset to everybody, or close it."""
        ...

    def show(self, dataset_id: str, parts: Sequence[Part], known: Mapping[str, str]) -> dict[str, str]:
        """
        Make filtered views of the dataset, or bring those of the same names up to date; others are left alone.

        `known` are the ids of earlier ones by name; returns those of all `parts`. Where an id would
        be an address that holds cells of the rows, there are none while the dataset is private.
        """
        ...

    def share(self, dataset_id: str, people: Sequence[str]) -> None:
        """Let exactly these accounts (mail addresses) read the dataset while it is private; nobody when empty."""
        ...
