"""
Making a plan: what the portal has, what it must have afterwards, and why that cannot be.

The rows that must be there afterwards are worked out in full and hashed, so that reading back can tell
"applied" from "not applied" and from "somebody else was here", also after a process was killed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctnb import digests, tables
from ctnb.contracts import publication
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import KEYED, WHOLE, FilteredView, Metadata, Mode
from ctnb.portals import attaching, differences, gates, mapping, readback
from ctnb.portals.attaching import FileChange
from ctnb.portals.differences import Difference
from ctnb.portals.interface import Attachments, Change, Described, Portal, There
from ctnb.portals.mapping import Fields
from ctnb.portals.plans import AttachedFile, Mapped, Plan, Removal
from ctnb.tables import Table
from ctnb.values import Kind, parquet_type, quote_name, quote_text

if TYPE_CHECKING:
    import duckdb

MEMORY_MB = 300
"""What DuckDB keeps in memory; more goes to the work folder."""


@dataclass(frozen=True)
class Wanted:
    """What a dataset asks of a portal."""

    title: str
    description: str
    table: Table
    columns: tuple[Column, ...]
    """All columns of the published dataset; `table` has them all, or the key alone to delete."""
    key: str | None
    """The row identifier, if the contract has one."""
    mode: Mode
    public: bool
    metadata: Metadata = field(default_factory=Metadata)
    told: publication.Portal = field(default_factory=publication.Portal)
    """What the contract says of columns, periods and removals."""
    views: tuple[FilteredView, ...] = ()
    approved: frozenset[str] = frozenset()
    """Columns that the newest release did not have, in a structure that was approved."""
    removal: Literal["free", "asked"] = "free"
    """asked: published rows go only within the contract's bounds, or for a reason that somebody gave."""
    removal_reason: str = ""
    words: Literal["free", "told", "needed"] = "free"
    """Whether words that are missing are told, or stop a dataset that is to be open."""
    may_open: bool = True
    """Whether a dataset that is private may be opened to everybody by this sending."""
    shared_with: int = 0
    """How many reviewers get to read it while it is private."""
    files: Attachments | None = None
    """Files beside the rows; None where there are none, nor ever were."""
    federated_to: tuple[str, ...] = ()
    """Other portals that show what is public on this one."""

    @property
    def fields(self) -> Fields:
        """The columns that the portal gets, and their names there."""
        return mapping.fields(self.columns, self.told)

    @property
    def described(self) -> Described:
        """What the portal is told of it, rows aside, under the portal's names."""
        fields = self.fields
        key = (fields.field(self.key),) if self.key else ()
        return Described(self.title, self.description, fields.theirs, key, self.metadata)


@dataclass(frozen=True)
class Target:
    """Where it goes."""

    portal: Portal
    dataset_id: str | None
    """None: not there yet."""


@dataclass(frozen=True)
class Kept:
    """The newest release's rows, which stand in for the portal's as long as its version is the one noted."""

    table: Table
    dataset_id: str
    version: str


@dataclass(frozen=True)
class Planned:
    """A plan with the tables it was made of: `there`, `data` and `expected` of `connection`."""

    plan: Plan
    wanted: Wanted
    connection: duckdb.DuckDBPyConnection
    folder: Path
    """Where the tables of changes are written."""
    files: tuple[FileChange, ...] = ()
    """What has to be done about the files beside the rows."""

    @property
    def attaching(self) -> Attachments | None:
        """The files beside the rows, where something has to be done about them."""
        return self.wanted.files if any(one.todo for one in self.files) else None

    def changes(self, token: str) -> list[Change]:
        """
        What has to be sent, in this order; nothing when the portal has what it must have.

        Raises RecordBroken when the table's file is another than the one that was opened, and reviewed.
        """
        if self.plan.before == self.plan.expected:
            return []
        wanted = self.wanted
        made = differences.changes(
            self.connection, wanted.mode, wanted.table, wanted.fields, wanted.key, token, self.folder
        )
        tables.check_file(wanted.table)  # the plan and the changes were read from it since it was opened
        return made

    def settled(self) -> Planned:
        """The plan when what is there turns out to be what was to be there: nothing is left to do."""
        self.connection.execute("CREATE OR REPLACE VIEW expected AS SELECT * FROM there")
        plan = replace(
            self.plan, expected=self.plan.before, rows_after=self.plan.rows_before, rows_added=0, rows_changed=0,
            rows_removed=0, problems=(),
        )  # fmt: skip
        return replace(self, plan=plan)

    def keep(self, path: Path) -> Table:
        """Write the whole dataset as it is on the portal afterwards to `path`; columns left out are empty."""
        wanted, sent = self.wanted, {column.name for column in self.wanted.fields.columns}
        listed = ", ".join(
            quote_name(c.name)
            if c.name in sent
            else f"CAST(NULL AS {parquet_type(c.kind)}) AS {quote_name(c.name)}"
            for c in wanted.columns
        )
        return tables.write(self.connection, f"SELECT {listed} FROM expected", wanted.columns, path)


def make(target: Target, wanted: Wanted, work: Path | None = None, kept: Kept | None = None) -> Plan:
    """The plan for publishing `wanted` to `target`. Reads the portal, writes nothing. Raises PortalFailed."""
    with opened(target, wanted, work, kept) as planned:
        return planned.plan


@contextmanager
def opened(
    target: Target, wanted: Wanted, work: Path | None = None, kept: Kept | None = None
) -> Iterator[Planned]:
    """
    The plan for publishing `wanted` to `target`, with the tables it was made of.

    Reads the portal, unless it says that the `kept` release is what it has; writes to `work` alone (a temporary
    folder when None). Raises PortalFailed.
    """
    there = target.portal.there(target.dataset_id) if target.dataset_id else None
    mapped = mapping.compare(wanted.columns, target.portal, there, wanted.told, wanted.approved)
    problems = [*_mode_problems(wanted, there), *mapping.problems(mapped, wanted.told, there)]
    if target.dataset_id and there is None:
        problems.append(f"the portal has no dataset {target.dataset_id}, which portal.yml names")
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        connection = stack.enter_context(tables.connect(folder, threads=2, memory_mb=MEMORY_MB))
        source = f"read_parquet({quote_text(str(wanted.table.path))})"
        connection.execute(f"CREATE VIEW data AS SELECT * FROM {source}")
        lost, standing = _load_there(connection, target.portal, there, wanted, mapped, kept)
        if lost:
            problems.append(f"{lost} cells of the portal do not fit the contract's types")
        problems += differences.expect(
            connection, wanted.mode, wanted.fields.columns, wanted.key, wanted.told.period
        )
        made = _plan(connection, target, wanted, there, mapped, problems, standing)
        files = _files(target, wanted, there)
        shown = tuple(AttachedFile(one.name, one.verdict, one.size) for one in files)
        yield Planned(replace(made, attachments=shown), wanted, connection, folder, files)


def _files(target: Target, wanted: Wanted, there: There | None) -> tuple[FileChange, ...]:
    """What has to be done about the files beside the rows. Raises PortalFailed."""
    if wanted.files is None:
        return ()
    if there is None:
        return attaching.difference((), wanted.files, lambda _: "")
    return attaching.compare(target.portal, there.id, wanted.files)


def _load_there(
    connection: duckdb.DuckDBPyConnection, portal: Portal, there: There | None, wanted: Wanted,
    mapped: Sequence[Mapped], kept: Kept | None,
) -> tuple[int, Table | None]:  # fmt: skip
    """
    Make the table `there` under our names, new columns empty.

    Returns how many cells do not fit, and the kept table where that stands in.
    """
    fields, added = wanted.fields, set(mapping.to_add(mapped))
    known = Fields(tuple(c for c in fields.columns if c.name not in added), fields.to_field)
    if there is None or not mapping.usable(mapped):
        _make_empty(connection, fields.columns, "there")
        return 0, None
    lost, name, standing = 0, "there_known", None
    if kept and _stands_in(kept, there, known.columns):
        source = f"read_parquet({quote_text(str(kept.table.path))})"
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
        standing = kept.table
    else:
        lost = readback.load(connection, portal, there.id, known, name)
    listed = ", ".join(
        f"CAST(NULL AS {parquet_type(c.kind)}) AS {quote_name(c.name)}"
        if c.name in added
        else quote_name(c.name)
        for c in fields.columns
    )
    connection.execute(f"CREATE VIEW there AS SELECT {listed} FROM {name}")
    return lost, standing


def _stands_in(kept: Kept, there: There, columns: Sequence[Column]) -> bool:
    """Whether the kept release is what the portal has: the version that was noted with it, and as many rows."""
    kinds = dict(kept.table.kinds)
    return (
        bool(kept.version)
        and (kept.dataset_id, kept.version, kept.table.rows) == (there.id, there.version, there.rows)
        and all(column.name in kinds and _same(kinds[column.name], column.kind) for column in columns)
    )


def _same(one: Kind, other: Kind) -> bool:
    return (one.type, one.scale) == (other.type, other.scale)


def _make_empty(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], name: str) -> None:
    typed = ", ".join(f"{quote_name(column.name)} {parquet_type(column.kind)}" for column in columns)
    connection.execute(f"CREATE TABLE {quote_name(name)} ({typed})")


def _plan(
    connection: duckdb.DuckDBPyConnection, target: Target, wanted: Wanted, there: There | None,
    mapped: Sequence[Mapped], problems: Sequence[str], standing: Table | None,
) -> Plan:  # fmt: skip
    columns = wanted.fields.columns
    counted = differences.count(connection, columns, wanted.key)
    public = wanted.public and (wanted.may_open or (there is not None and there.public))
    removal = _removal(wanted, counted)
    missing = (
        gates.missing(wanted.title, wanted.description, wanted.metadata, columns)
        if wanted.words != "free"
        else ()
    )
    found = [*problems]
    if there is not None and there.public and not wanted.public and not wanted.may_open:
        found.append(
            f"it is public on {target.portal.name}, and private by dataset.yml: everybody would see the rows before "
            "it is made private (take it down first: ctnb portal unpublish; or say portal: public: true)"
        )
    if removal.problem:
        found.append(removal.problem)
    if missing and wanted.words == "needed" and wanted.public:
        found.append(f"it cannot go public before these are written in dataset.yml: {gates.told(missing)}")
    same = wanted.table if wanted.mode in WHOLE else None
    before = _digest(connection, "there", columns, standing)
    return Plan(
        portal=target.portal.name, url=target.portal.url, dataset_id=target.dataset_id, mode=wanted.mode,
        public=public, mapping=tuple(mapped), rows_before=counted.before,
        rows_sent=_rows_to_send(wanted, counted), rows_added=counted.added, rows_changed=counted.changed,
        rows_removed=counted.removed, rows_after=counted.after, problems=tuple(found), before=before,
        expected=_digest(connection, "expected", columns, same), rows_unchanged=counted.unchanged,
        columns_added=mapping.to_add(mapped), words_changed=_words_changed(wanted, there), words_missing=tuple(
            one.what for one in missing
        ), removal=removal, audience=_audience(wanted, there, public), views=tuple(one.name for one in wanted.views),
        opening="" if public == wanted.public else "waits", notes=_notes(wanted, mapped, public),
    )  # fmt: skip


def _digest(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], same: Table | None
) -> str:
    """The content digest of `relation`: that of the table `same`, whose rows it has, where the columns are its own."""
    if same and [(c.name, c.type, c.kind.scale) for c in columns] == [
        (c.name, c.type, c.kind.scale) for c in same.columns
    ]:
        return same.digest
    return digests.of_table(connection, relation, [(column.name, column.kind) for column in columns])


def _rows_to_send(wanted: Wanted, counted: Difference) -> int:
    if wanted.mode in ("sync", "replace-period") and wanted.key:
        return counted.added + counted.changed + counted.removed
    return counted.after if wanted.mode == "replace-period" else wanted.table.rows


def _removal(wanted: Wanted, counted: Difference) -> Removal:
    """What is taken away of published rows, and who says that it may be."""
    gone, bound = counted.removed, wanted.told.removes
    if not gone or wanted.removal == "free":
        return Removal(gone, "", "", "")
    if wanted.removal_reason:
        return Removal(gone, "a person", wanted.removal_reason, "")
    share = gone / counted.before
    within = (
        bound and (bound.rows is None or gone <= bound.rows) and (bound.share is None or share <= bound.share)
    )
    if bound and within:
        return Removal(gone, "dataset.yml", bound.reason, "")
    why = "more than portal: removes: of dataset.yml allows" if bound else "and nobody has said why"
    problem = (
        f"it takes away {gone:,} of {counted.before:,} published rows, {why} (declare portal: removes: with a bound "
        'and a reason, or give one for this run: --removes "why"; append and upsert take no row away)'
    )
    return Removal(gone, "", "", problem)


def _mode_problems(wanted: Wanted, there: There | None) -> list[str]:
    problems = []
    if wanted.mode in KEYED and not wanted.key:
        problems.append(f"{wanted.mode} needs a row identifier: name the contract's key:")
    if wanted.mode == "delete" and there is None:
        problems.append("there is nothing to delete from: the dataset is not on the portal")
    if there is not None and wanted.described.key != there.key:
        theirs = ", ".join(map(wanted.fields.column, there.key))
        problems.append(
            f"the contract's key is {wanted.key or 'none'}, the portal's row identifier is {theirs or 'none'}"
        )
    return problems


def _words_changed(wanted: Wanted, there: There | None) -> tuple[str, ...]:
    """The words of the metadata that will be others, by the contract's names."""
    if there is None or not there.described:
        return ()
    ours = {"title": wanted.title, **wanted.metadata.model_dump(exclude={"citation"})}
    return tuple(
        name
        for name, text in ours.items()
        if name in there.described and text and text != there.described[name]
    )


def _audience(wanted: Wanted, there: There | None, public: bool) -> tuple[str, ...]:
    """Who will see the result, in words."""
    also = there.audience if there else ()
    if public:
        return ("everybody", *_federated(wanted), *also)
    who = f"{wanted.shared_with} reviewer{'' if wanted.shared_with == 1 else 's'}"
    shared = (f"{who}, until it is released",) if wanted.shared_with else ()
    return ("accounts of the portal that may read it", *shared, *also)


def _federated(wanted: Wanted) -> tuple[str, ...]:
    """The portals that show what is public on this one, as ctnb.yml names them."""
    names = ", ".join(wanted.federated_to)
    return (f"visitors of {names}, to which the portal is federated",) if names else ()


def _notes(wanted: Wanted, mapped: Sequence[Mapped], public: bool) -> tuple[str, ...]:
    """What somebody should know who reads the plan."""
    ignored = [one.field for one in mapped if one.settled == "ignored"]
    notes = []
    if ignored and wanted.mode == "replace":
        notes.append(f"mode replace empties the fields that are ignored: {', '.join(ignored)}")
    if wanted.public and not public:
        notes += [f"once it is public, seen by {who}, too" for who in _federated(wanted)]
    return tuple(notes)
