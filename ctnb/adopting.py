"""
Adopting a dataset that a portal has already: its columns, words and row identifier become a dataset.yml, its rows the
first release.

Nothing is sent. The release's record says that ctnb did not review it: others made it public, or kept it private.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ctnb import datasets, documents, flows, keeping, publishing, releases, snapshots, tables
from ctnb.contracts.columns import Column, Type
from ctnb.contracts.places import OpendatasoftRows
from ctnb.contracts.publication import Portal as ContractPortal
from ctnb.contracts.sources import Source
from ctnb.errors import NameUnknown, PortalFailed, UsageError
from ctnb.places import opendatasoft_addresses, socrata_addresses
from ctnb.places.fetched import Fetched
from ctnb.portals import local, mapping
from ctnb.portals.interface import Portal, There
from ctnb.proposals import naming, proposing, writing
from ctnb.proposals.places import Located
from ctnb.proposals.types import Choice
from ctnb.proposals.writing import Destination, Draft
from ctnb.records import RunRecord
from ctnb.settings import Project
from ctnb.tables import Table
from ctnb.values import Kind, canonical_sql, parquet_type, quote_name, quote_text

if TYPE_CHECKING:
    import duckdb

HOW = "ctnb new"
"""What the record of an adoption says it is."""
_WIDEST: tuple[Type, ...] = ("text", "number", "timestamp", "boolean", "url", "point", "integer", "date")
"""Contract types, of those that are one type of a portal's the one that takes every cell first."""
_SCALES = (0, 1, 2, 3, 4, 5, 6)


@dataclass(frozen=True)
class Adopted:
    """What `adopt` wrote and found."""

    path: Path
    """The dataset.yml."""
    draft: Draft
    """What it says."""
    portal: str
    there: There
    questions: tuple[str, ...]
    """What only a person can answer."""
    record: RunRecord
    """The sealed record of the first release."""


@dataclass(frozen=True)
class _Taken:
    """The portal's rows, in the connection's table `there` under the portal's names."""

    connection: duckdb.DuckDBPyConnection
    there: There
    kinds: Mapping[str, Kind]
    """The contract type of each field, by its name."""
    names: Mapping[str, str]
    """Our name of each field, by the portal's."""
    ignore: tuple[str, ...]


@dataclass(frozen=True)
class Going:
    """Where a proposed dataset goes, before its columns are known."""

    destination: Destination
    portal: Portal | None = None
    there: There | None = None
    """What the portal has under the id that was given; None without one."""

    def differs(self, draft: Draft) -> list[str]:
        """What of the proposed columns is not as the portal has it, a line each."""
        if self.portal is None or self.there is None:
            return []
        columns = [
            Column.model_validate({"name": one.name, "type": one.choice.kind.type, "label": one.header})
            for one in draft.columns
        ]
        found = mapping.compare(columns, self.portal, self.there, ContractPortal(name=self.portal.name))
        return [
            f"{one.column or one.field}: {one.verdict}"
            + (f" ({one.ours} here, {one.theirs} there)" if one.ours and one.theirs else "")
            for one in found
            if one.verdict != "fits"
        ]


def destination(project: Project, slug: str, portal: str, dataset_id: str, mode: str | None) -> Going:
    """
    Where the new dataset `slug` goes: to `portal`, and there to `dataset_id` where that is not empty.

    Raises UsageError when the portal has no dataset with that id, NameUnknown, SettingsInvalid, PortalFailed.
    """
    proposing.free_folder(project, slug)
    name = portal or (_portal_of(project, dataset_id) if dataset_id else "local")
    project.portal(name)
    if not dataset_id:
        return Going(Destination(name, mode or Destination().mode))
    found = place(project, dataset_id, name)[1]
    with publishing.opened(project, name) as opened:
        there = _there(opened, found)
    key = there.key[0] if len(there.key) == 1 else ""
    told = Destination(
        name, mode or ("upsert" if key else "replace"), there.public, key, there.described,
        descriptions={field.name: field.description for field in there.fields if field.description},
    )  # fmt: skip
    return Going(told, opened, there)


def note(project: Project, slug: str, going: Going) -> None:
    """Write the id that was given beside the dataset.yml that has been written."""
    if going.there is not None:
        dataset = datasets.dataset(slug, project.notebooks)
        releases.note_dataset_id(project, dataset, going.destination.portal, going.there.id)


def adopt(project: Project, slug: str, where: str, *, portal: str = "") -> Adopted:
    """
    Take over the dataset that `where` means on a portal: an address, or an id with the `portal` of ctnb.yml.

    Writes notebooks/<slug>/dataset.yml as a proposal, notes the id beside it, keeps the rows as first release.
    Raises UsageError when there is such a dataset already or the portal has none with that id, NameUnknown,
    SettingsInvalid, PortalFailed; nothing is written then.
    """
    folder = proposing.free_folder(project, slug)
    name, dataset_id = place(project, where, portal)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="new-", dir=project.private)))
        there = stack.enter_context(publishing.opened(project, name))
        connection = stack.enter_context(tables.connect(work, threads=2))
        taken = _take(connection, there, dataset_id)
        draft = _draft(project, slug, taken, name, work)
        text = writing.text(draft)
        columns = _columns(text, slug, work)
        table = _table(taken, columns, work / "release.parquet")
        folder.mkdir(parents=True, exist_ok=True)
        documents.write_text(folder / "dataset.yml", text)
        record = _release(project, slug, name, taken.there, table)
    return Adopted(folder / "dataset.yml", draft, name, taken.there, proposing.questions(draft), record)


def place(project: Project, where: str, portal: str = "") -> tuple[str, str]:
    """
    The name in ctnb.yml of the portal that `where` is on, and the dataset's id there.

    Raises UsageError, NameUnknown; no message quotes an address.
    """
    name = portal or _portal_of(project, where)
    kind = project.portal(name).kind
    if "://" not in where:
        return name, _identifier(kind, where.strip())
    if kind == "opendatasoft":
        return name, opendatasoft_addresses.asked(OpendatasoftRows(dataset=where)).dataset
    return name, socrata_addresses.asked(where, None, {}).dataset


def _identifier(kind: str, told: str) -> str:
    """`told` where it is a dataset's id; an address without https:// may carry a token. Raises UsageError."""
    addresses = opendatasoft_addresses if kind == "opendatasoft" else socrata_addresses
    if addresses.IDENTIFIER.fullmatch(told):
        return told if kind == "opendatasoft" else told.lower()
    raise UsageError(
        "That is neither the id nor the address of a dataset.",
        hint="Write an id such as abcd-1234, or the whole address, beginning with https://.",
    )


def _portal_of(project: Project, where: str) -> str:
    """The portal at the address `where`, or the only one there is for an id."""
    known = {name: told.url for name, told in project.settings.portals.items() if told.url}
    if "://" not in where:
        if len(known) == 1:
            return next(iter(known))
        if not known:
            return "local"
        raise UsageError("Which portal has this id?", hint=f"Add --portal, one of: {', '.join(known)}.")
    host = urlsplit(where).netloc.rpartition("@")[2].lower()
    for name, url in (*known.items(), ("local", local.address(project) or "")):
        if urlsplit(url).netloc.lower() == host:
            return name
    raise NameUnknown("portal", "that address", [*known, "local"])


def _take(connection: duckdb.DuckDBPyConnection, portal: Portal, dataset_id: str) -> _Taken:
    there = _there(portal, dataset_id)
    types = {portal.type_of(Column(name="a", type=type_)): type_ for type_ in reversed(_WIDEST)}
    fitting = [field for field in there.fields if field.type in types]
    if not fitting:
        raise PortalFailed(f"The dataset {dataset_id} has no column of a type that contracts have.")
    columns = [Column.model_construct(name=field.name, type=types[field.type]) for field in fitting]
    lost = portal.load(there.id, columns, connection, "there")
    if lost:
        raise PortalFailed(
            f"{lost:,} cells of the portal do not fit the types that the portal says.",
            hint="Numbers of more than 12 digits before the point, or 6 behind it, cannot be adopted.",
        )
    kinds = {column.name: _kind(connection, column) for column in columns}
    names = dict(zip(kinds, naming.names(list(kinds)), strict=True))
    ignore = tuple(field.name for field in there.fields if field.name not in kinds)
    return _Taken(connection, there, kinds, names, ignore)


def _there(portal: Portal, dataset_id: str) -> There:
    there = portal.there(dataset_id)
    if there is None:
        raise UsageError(
            f"The portal {portal.name} has no dataset {dataset_id} that this account may see.",
            hint="Check the id, and whether the account of ctnb.yml was given access.",
        )
    return there


def _kind(connection: duckdb.DuckDBPyConnection, column: Column) -> Kind:
    """The narrowest contract type of the portal's that every cell of `column` fits."""
    name = quote_name(column.name)

    def all_fit(test: str) -> bool:
        query = f"SELECT count(*) FROM there WHERE {name} IS NOT NULL AND NOT ({test})"
        return not connection.execute(query).fetchall()[0][0]

    if column.type == "timestamp":
        return Kind("date" if all_fit(f"{name} = date_trunc('day', {name})") else "timestamp")
    if column.type != "number":
        return Kind(column.type)
    scale = next((digits for digits in _SCALES if all_fit(f"round({name}, {digits}) = {name}")), _SCALES[-1])
    return Kind("number", scale) if scale else Kind("integer")


def _draft(project: Project, slug: str, taken: _Taken, portal: str, work: Path) -> Draft:
    """What dataset.yml says: types from the portal, roles and questions from all rows."""
    there = taken.there
    fetched = Fetched((_texts(taken, work),), "parquet", rows=there.rows)
    at = Located(Source(path=f"{slug}.csv"), there.title, notes=(
        f"Adopted from {there.url}, {there.rows:,} rows, which are its first release.",
    ))  # fmt: skip
    draft = proposing.drafted(project, slug, at, fetched, work)
    ours = {column.header: column for column in draft.columns}
    columns = tuple(
        replace(
            ours[field], name=taken.names[field], header=taken.names[field], position=None, choice=Choice(kind),
        )
        for field, kind in taken.kinds.items()
    )  # fmt: skip
    asks = ("Where do new rows come from? (source:)", *draft.asks)
    return replace(
        draft,
        source=Source(path=f"{slug}.csv"),
        columns=columns,
        nulls=(),
        asks=asks,
        offers=(),
        rejects=0,
        title=there.title or draft.title,
        destination=_destination(taken, portal),
    )


def _destination(taken: _Taken, portal: str) -> Destination:
    there, names = taken.there, taken.names
    fields = {field.name: field for field in there.fields}
    key = names.get(there.key[0], "") if len(there.key) == 1 else ""
    return Destination(
        portal, "upsert" if key else "replace", there.public, key, there.described,
        {names[one]: fields[one].title for one in names if fields[one].title not in ("", names[one])},
        {names[one]: fields[one].description for one in names if fields[one].description},
        {ours: field for field, ours in names.items() if field != ours}, taken.ignore,
    )  # fmt: skip


def _texts(taken: _Taken, work: Path) -> snapshots.Snapshot:
    """The rows as a Parquet file of texts, which proposals look at."""
    cells = {name: f"CAST({quote_name(name)} AS {parquet_type(kind)})" for name, kind in taken.kinds.items()}
    listed = ", ".join(
        f"{canonical_sql(taken.kinds[name], cell)} AS {quote_name(name)}" for name, cell in cells.items()
    )
    path = work / "there.parquet"
    taken.connection.execute(f"COPY (SELECT {listed} FROM there) TO {quote_text(str(path))} (FORMAT parquet)")
    return snapshots.take(path, work)


def _columns(text: str, slug: str, work: Path) -> Sequence[Column]:
    """The columns of the proposed dataset.yml, which is read once before it is written where it counts."""
    folder = work / "notebooks" / slug
    folder.mkdir(parents=True)
    documents.write_text(folder / "dataset.yml", text)
    return datasets.dataset(slug, work / "notebooks").contract.published_columns


def _table(taken: _Taken, columns: Sequence[Column], path: Path) -> Table:
    theirs = {ours: field for field, ours in taken.names.items()}
    listed = ", ".join(f"{quote_name(theirs[c.name])} AS {quote_name(c.name)}" for c in columns)
    return tables.write(taken.connection, f"SELECT {listed} FROM there", columns, path)


def _release(project: Project, slug: str, portal: str, there: There, table: Table) -> RunRecord:
    """Note the id and seal the record of the first release."""
    dataset = datasets.dataset(slug, project.notebooks)
    with ExitStack() as stack:
        stack.enter_context(flows.hold_dataset(project, slug))
        at = flows.open_run(stack, project, dataset, how=HOW, portal=portal)
        releases.note_dataset_id(project, dataset, portal, there.id)
        return keeping.sealed(at, there, table)
