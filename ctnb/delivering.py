"""
Delivering one batch of pushed records: a run with a record, whose table is the newest release with the batch applied.

It is reviewed anew and published as its difference. What is held for a person is not tried again before something
changed that could make it pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ctnb import (
    __version__,
    answering,
    clock,
    digests,
    documents,
    flows,
    gathering,
    ledger,
    reads,
    records,
    releases,
    restoring,
    stepfiles,
    tables,
)
from ctnb.contracts.columns import Column
from ctnb.contracts.sources import Source
from ctnb.datasets import Contract, Dataset
from ctnb.errors import CtnbError, NameUnknown, PortalFailed, PublishRefused, SourceInvalid, UsageError
from ctnb.guards import REMOVED
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.privacy import decisions
from ctnb.privacy.seen import Seen, used
from ctnb.publishing import target
from ctnb.records import Override, ReadFacts, RejectFact, RunRecord
from ctnb.settings import Project
from ctnb.spools import Batch
from ctnb.stepfiles import TableRef
from ctnb.supervision import Supervisor
from ctnb.values import parquet_type, parse_sql, quote_name

BATCH_FILE = "batch.jsonl"
HELD = frozenset(["waiting", "blocked", "refused"])
"""What a review leaves a batch in: it waits for a person."""

Delete = Literal["key", "values", "id"]


@dataclass(frozen=True)
class Delivered:
    """What became of one batch."""

    batch: int
    records: int
    """Records in it."""
    rejected: int
    """Those that do not fit the contract, or, to delete, that are not published."""
    run: str
    status: str
    release: str | None
    """The release that confirms it; None when it was not confirmed."""
    why: str = ""
    """Why it was not confirmed."""
    useless: bool = False
    """Whether none of it fits the contract: it is set aside, and the next batch is tried."""
    exit_code: int = 0
    """Of its run; 3 when trying again may help."""
    hint: str = ""
    """What to do about it."""
    deletes: bool = False
    """Whether its records are deleted."""


def prepared(dataset: Dataset) -> Dataset:
    """
    `dataset` as its records are pushed: rows that do not fit are set aside, and the difference is what is sent.

    Raises UsageError for a dataset whose rows are transformed: records that arrive are not.
    """
    contract = dataset.contract
    if dataset.script or contract.transform.rules or contract.transform.columns:
        raise UsageError(
            f"{dataset.slug} has a transform, which records that are pushed do not pass through.",
            hint="Let whatever makes the records write them into the dataset's source, and publish that by "
            f"ctnb run {dataset.slug}; or push to a dataset whose columns are published as they are (transform: "
            "{use: none}), and let this one read from there.",
        )
    mode = "sync" if contract.key else "replace"
    told = contract.portal.model_copy(update={"mode": mode, "period": None})
    rejects = contract.rejects.model_copy(update={"policy": "set aside", "at_most_share": 1.0})
    made = contract.model_copy(
        update={
            "portal": told,
            "rejects": rejects,
            "source": Source(path=BATCH_FILE, nulls=contract.source.nulls),
        }
    )
    return replace(dataset, contract=made)


def deliver(
    project: Project, dataset: Dataset, batch: Batch, *, again: bool = False, seen: Seen | None = None
) -> Delivered:  # fmt: skip
    """
    Deliver one batch as a run, or go on with the run that was killed while it did. The caller holds the dataset.

    A batch that waits for a person is only tried when something changed since; so is one whose data or settings are
    wrong, when this process tries it `again`. `seen` is what the detectors found
    in texts that earlier batches left as they are. Why it is not confirmed is written beside the batch.
    """
    held = batch.held
    waits = held.get("status") in HELD or (again and held.get("exit_code") != PortalFailed.exit_code)
    if held and waits and held["marker"] == _marker(project, dataset, batch):
        return _from_held(batch, held)
    try:
        found = _deliver(project, dataset, batch, seen)
    except CtnbError as error:  # before there was a run that could say it
        found = Delivered(
            batch.number, batch.count(), 0, "", "failed", None, error.what, exit_code=error.exit_code,
            hint=error.hint, deletes=bool(batch.head["delete"]),
        )  # fmt: skip
    if not found.release and not found.useless:
        facts = {key: value for key, value in asdict(found).items() if key in _HELD_FACTS}
        marker = _marker(project, dataset, batch)
        batch.hold({**facts, "marker": marker, "since": held.get("since") or clock.stamp()})
    return found


_HELD_FACTS = ("run", "status", "why", "hint", "rejected", "exit_code")


def _from_held(batch: Batch, held: Mapping[str, Any]) -> Delivered:
    return Delivered(
        batch.number, batch.count(), int(held["rejected"]), str(held["run"]), str(held["status"]), None,
        str(held["why"]), exit_code=int(held["exit_code"]), hint=str(held["hint"]), deletes=bool(batch.head["delete"]),
    )  # fmt: skip


def _marker(project: Project, dataset: Dataset, batch: Batch) -> str:
    """What has to change before a batch that waits for a person is worth trying again."""
    portal = str(batch.head["portal"])
    base = releases.newest(project, dataset.slug, portal)
    entries = ledger.entries(project.ledger)
    decided = sum(one.kind == decisions.KIND and one.facts.get("dataset") == dataset.slug for one in entries)
    record = record_of(project, batch)
    said = [
        dataset.fingerprint, project.fingerprint, __version__, base.facts.release if base else "", decided,
        record.status if record else "",
    ]  # fmt: skip
    return digests.of_bytes(digests.canonical_json(said))


def record_of(project: Project, batch: Batch) -> RunRecord | None:
    """The record of the run that began to deliver the batch."""
    try:
        return records.find(project, batch.began.run) if batch.began else None
    except NameUnknown:
        return None


def _deliver(project: Project, dataset: Dataset, batch: Batch, seen: Seen | None) -> Delivered:
    with ExitStack() as stack:
        at = _joined(stack, project, dataset, batch) or _begun(stack, project, dataset, batch)
        with flows.ending_well(at), used(seen):
            if at.record.release is None:
                if at.table_ref("transform") is None:
                    _apply(at, batch)
                answering.publish_table(at)
        if at.record.release and at.failure is None and at.record.status == "released":
            record = at.record
        else:
            record = flows.finish(at)
    read = record.read
    return Delivered(
        batch.number, read.rows_read if read else batch.count(), read.rows_rejected if read else 0, record.run,
        record.status, record.release.release if record.release else None, "" if record.release else record.reason,
        record.release is None and isinstance(at.failure, SourceInvalid), record.exit_code or 0,
        "" if record.release else _hint(record, at.failure), bool(batch.head["delete"]),
    )  # fmt: skip


def _hint(record: RunRecord, failure: CtnbError | None) -> str:
    """What to do about a batch that was not confirmed; a run's own words speak of its source."""
    if record.status == "waiting":
        return (
            f"ctnb review {record.run} says what was found. Decide: ctnb decide {record.run} approve --standing "
            f'--reason "..."; then: ctnb push {record.dataset}'
        )
    if record.status in HELD:
        return f"ctnb review {record.run} says what was found."
    return failure.hint if failure else ""


def _joined(stack: ExitStack, project: Project, dataset: Dataset, batch: Batch) -> Supervisor | None:
    """
    The run that began to deliver the batch, where it may have sent something or waits for a decision.

    Not when another release came since: its table was made on top of an older one. Raises PublishRefused when only
    a key could tell whether the records arrived before that, and there is none.
    """
    began, record = batch.began, record_of(project, batch)
    if began is None or record is None:
        return None
    base = releases.newest(project, dataset.slug, str(batch.head["portal"]))
    moved = began.base and (base is None or base.facts.release != began.base)
    waits = record.status == "waiting" and record.contract_digest == dataset.fingerprint and not moved
    broken = record.status == "interrupted" and record.send
    if record.release or waits or (broken and not moved):
        return flows.join_run(stack, project, dataset, record)
    if broken and not dataset.contract.key and not batch.head["delete"]:
        raise PublishRefused(
            f"Run {record.run} was interrupted while it sent batch {batch.number}, another release came since, and "
            f"{dataset.slug} has no key by which its records would be known again.",
            hint="Look on the portal whether they are there. If so, ctnb push --discard; else push them once more "
            "after discarding.",
        )
    return None


def _begun(stack: ExitStack, project: Project, dataset: Dataset, batch: Batch) -> Supervisor:
    head = batch.head
    base = releases.newest(project, dataset.slug, str(head["portal"]))
    at = flows.open_run(stack, project, dataset, how="ctnb push", portal=str(head["portal"]))
    batch.begun(at.record.run, base.facts.release if base else "")
    if head["reason"]:
        why = Override(guard=REMOVED, reason=head["reason"], by=at.record.by, at=clock.stamp())
        at.update(overrides=(why,))
    return at


def _apply(at: Supervisor, batch: Batch) -> None:
    """
    Make the newest release with the batch applied the table of the run, and account for every record.

    Raises SourceInvalid when none of the batch fits, PortalFailed, PublishRefused.
    """
    base = releases.newest(at.project, at.dataset.slug, at.record.portal)
    if base is None:
        raise UsageError("There is no release to add to.", hint=f"Run it first: ctnb run {at.dataset.slug}")
    kept = restoring.kept(base)
    columns = restoring.columns_today(at.dataset.contract, kept, base)
    delete = batch.head["delete"]
    with tables.connect(at.folder("transform"), threads=2) as connection:
        tables.load(connection, kept, "base")
        if delete:
            found = _delete(connection, at, batch, delete)
            query, read = found.query, found.facts
        else:
            read = _read(at, batch)
            tables.load(connection, tables.open_table(at.folder("read") / "read.parquet"), "batch")
            key = ", ".join(map(quote_name, at.dataset.contract.key))
            names = ", ".join(quote_name(column.name) for column in columns)
            connection.execute(
                _NEWEST.format(key=key) if key else "CREATE VIEW latest AS SELECT * FROM batch"
            )
            stay = (
                f"SELECT {names} FROM base ANTI JOIN latest USING ({key})"
                if key
                else f"SELECT {names} FROM base"
            )
            query = f"{stay} UNION ALL SELECT {names} FROM latest"
        at.update(read=read)
        made = tables.write(connection, query, columns, at.folder("transform") / "transform.parquet")
    stepfiles.write_json(
        at.folder("transform") / "table.json", asdict(TableRef(str(made.path), made.file_digest, made.digest))
    )


_NEWEST = (
    "CREATE TABLE latest AS SELECT * EXCLUDE (_at) FROM (SELECT *, row_number() OVER () AS _at FROM batch) "
    "QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _at DESC) = 1"
)
"""Of records with the same key the one that came last."""


def _read(at: Supervisor, batch: Batch) -> ReadFacts:
    """Type and check the records under the contract, as a run reads a source; those that do not fit are set aside."""
    folder, contract = at.folder("read"), _keys_needed(at.dataset.contract)
    headers = {column.name: column.header or column.name for column in contract.columns}
    path = folder / BATCH_FILE
    lines = ({headers[name]: one.get(name) for name in headers} for one in batch.records())
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    documents.write_text(path, text, mode=0o600)
    gathered = gathering.gather(at.project, at.dataset, folder, told=str(path))
    made = reads.read(replace(at.dataset, contract=contract), gathered, folder, run=at.record.run)
    rejects = tuple(RejectFact(column=one.column, rule=one.rule, rows=one.rows) for one in made.rejects)
    if made.table.rows == 0 and made.rows_rejected:
        raise SourceInvalid(
            f"None of the {made.rows_read:,} records of the batch fits the contract.",
            hint=f"ctnb runs rejects {at.record.run} says why; the batch is not tried again.",
        )
    return ReadFacts(
        source=f"batch {batch.number}", told=True, bytes=batch.path.stat().st_size,
        digest=digests.keyed(digests.of_file(batch.path), at.project.key), encoding="utf-8",
        rows_read=made.rows_read, rows_kept=made.table.rows, rows_rejected=made.rows_rejected, rejects=rejects,
    )  # fmt: skip


def _keys_needed(contract: Contract) -> Contract:
    """`contract` for records: each needs its key, and of those with one key the last counts."""
    columns = [
        column.model_copy(
            update={"constraints": column.constraints.model_copy(update={"required": True, "unique": False})}
        )
        if column.name in contract.key
        else column
        for column in contract.columns
    ]
    return contract.model_copy(update={"columns": tuple(columns)})


@dataclass(frozen=True)
class _Deletion:
    """The rows that stay, and how many of the batch's records name one."""

    query: str
    facts: ReadFacts


def _delete(connection: Any, at: Supervisor, batch: Batch, delete: Delete) -> _Deletion:
    """The base without the rows that the batch names; records that name none are counted as rejected."""
    told = batch.records()
    if delete == "id":
        told = _by_id(at, [str(one["record_id"]) for one in told])
    columns = {column.name: column for column in at.dataset.contract.columns}
    connection.execute("CREATE TABLE gone AS SELECT rowid AS r FROM base WHERE false")
    missing = 0
    for record in told:
        tests = [_same(columns[name], value) for name, value in record.items()]
        rows = connection.execute(
            f"SELECT rowid FROM base WHERE {' AND '.join(test for test, _ in tests) or 'false'}",
            [value for _, values in tests for value in values],
        ).fetchall()
        missing += not rows
        connection.executemany("INSERT INTO gone VALUES (?)", rows) if rows else None
    names = ", ".join(quote_name(name) for name in columns)
    facts = ReadFacts(
        source=f"batch {batch.number}", told=True, bytes=batch.path.stat().st_size,
        digest=digests.keyed(digests.of_file(batch.path), at.project.key), encoding="utf-8",
        rows_read=len(told), rows_kept=len(told) - missing, rows_rejected=missing,
        rejects=(RejectFact(column="", rule="not published", rows=missing),) if missing else (),
    )  # fmt: skip
    return _Deletion(f"SELECT {names} FROM base WHERE rowid NOT IN (SELECT r FROM gone)", facts)


def _same(column: Column, value: Any) -> tuple[str, list[str]]:
    """SQL for whether a row has `value` in `column`, typed as the contract types it; null is null."""
    name = quote_name(column.name)
    if value is None:
        return f"{name} IS NULL", []
    text = value if isinstance(value, str) else json.dumps(value)
    typed = f"CAST({parse_sql(column.kind, 'v')} AS {parquet_type(column.kind)})"
    return f"{name} = (SELECT {typed} FROM (SELECT CAST(? AS VARCHAR) AS v))", [text]


def _by_id(at: Supervisor, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The values of the records that the portal knows by these ids; an id that it does not know names no row."""
    with target(at.project, at.dataset, at.record.portal) as there:
        if not isinstance(there.portal, OpendatasoftPortal) or there.dataset_id is None:
            raise UsageError("Record ids are Opendatasoft's.", hint="Delete by key: --delete key")
        return [there.portal.record(there.dataset_id, one, at.dataset.contract.columns) for one in ids]
