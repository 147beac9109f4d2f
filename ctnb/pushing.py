"""
Pushing records as they arrive: checked against the contract, reviewed with what is published, sent in batches.

Each batch is a run with a record: the newest release with the batch applied is reviewed anew and published as its
difference. A batch is acknowledged only when the portal confirmed it; until then it lies in the spool.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ctnb import (
    answering,
    clock,
    datasets,
    digests,
    documents,
    flows,
    gathering,
    leases,
    reads,
    records,
    releases,
    restoring,
    settings,
    spools,
    stepfiles,
    tables,
)
from ctnb.contracts.columns import Column
from ctnb.contracts.sources import Source
from ctnb.datasets import Dataset
from ctnb.errors import NameUnknown, SourceInvalid, UsageError
from ctnb.guards import REMOVED
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.privacy import decisions
from ctnb.publishing import target
from ctnb.records import Override, ReadFacts, RejectFact
from ctnb.settings import Project
from ctnb.spools import Batch
from ctnb.stepfiles import TableRef
from ctnb.supervision import Supervisor
from ctnb.values import parquet_type, parse_sql, quote_name

BATCH_ROWS = 1_000
BATCH_FILE = "batch.jsonl"

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


@dataclass(frozen=True)
class Pushed:
    """What became of everything that was pushed."""

    lines: int
    refused: int
    """Lines that are no JSON object of the contract's names; kept beside the spool, with reasons."""
    delivered: tuple[Delivered, ...]
    waiting: int
    """Batches that no portal has confirmed yet; the next push tries again."""
    exit_code: int
    """0 when everything was confirmed; else that of the first batch that was not."""


def push(
    slug: str, lines: Iterable[bytes], *, delete: Delete | None = None, reason: str = "", portal: str = "",
    batch_rows: int = BATCH_ROWS, project: Project | None = None,
    told: Callable[[Delivered], None] = lambda one: None,
) -> Pushed:  # fmt: skip
    """
    Push the JSON `lines` to the dataset `slug`, in batches of `batch_rows`, after what waits from before.

    Without `delete` each is a record under the contract's names: added, or put in place of the one with its key.
    To delete they name records by their key, by values of theirs, or by the portal's record id; that takes a
    `reason`. `told` is called with each batch as it is confirmed or not. When the portal does not answer, batches
    stay on disk. Raises UsageError, NameUnknown, ContractInvalid before anything is read.
    """
    project = project or settings.project()
    dataset = _pushed(datasets.dataset(slug, project.notebooks))
    name = portal or dataset.contract.portal.name
    _check(project, dataset, name, delete, reason)
    head = {"format": 1, "delete": delete, "portal": name, "reason": reason.strip()}
    done: list[Delivered] = []
    count = refused = 0
    with ExitStack() as stack:
        stack.enter_context(flows.hold_dataset(project, slug))
        leases.reap(project)
        done += _deliver_all(project, dataset, told)
        for numbered in _chunks(lines, batch_rows):
            good, bad = _parsed(dataset, numbered, delete)
            count, refused = count + len(numbered), refused + len(bad)
            spools.set_aside(project, slug, bad)
            if good:
                spools.add(project, slug, head, good)
            if all(one.release or one.useless for one in done):
                done += _deliver_all(project, dataset, told)
    waits = len(spools.waiting(project, slug))
    failed = next((one for one in done if not one.release), None)
    code = _code(project, failed) if failed else 0
    return Pushed(count, refused, tuple(done), waits, code or (6 if refused else 0))


def _code(project: Project, failed: Delivered) -> int:
    return records.find(project, failed.run).exit_code or 3


def _pushed(dataset: Dataset) -> Dataset:
    """
    `dataset` as its records are pushed: rows that do not fit are set aside, and the difference is what is sent.

    Raises UsageError for a dataset whose rows are transformed: records that arrive are not.
    """
    contract = dataset.contract
    if dataset.script or contract.transform.rules or contract.transform.columns:
        raise UsageError(
            f"{dataset.slug} has a transform, which records that are pushed do not pass through.",
            hint="Push to a dataset whose columns are published as they are; suppression needs whole tables.",
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


def _check(project: Project, dataset: Dataset, portal: str, delete: Delete | None, reason: str) -> None:
    kind = project.portal(portal).kind
    if kind != "opendatasoft" and not dataset.contract.key:
        raise UsageError(
            f"{dataset.slug} has no key:, by which {portal} would know a record again.",
            hint="Name the column that identifies a row as key: in dataset.yml.",
        )
    if delete == "key" and not dataset.contract.key:
        raise UsageError(
            f"{dataset.slug} has no key: to delete by.", hint="Delete by values: --delete values"
        )
    if delete == "id" and kind != "opendatasoft":
        raise UsageError(
            f"{portal} has no record ids of Opendatasoft's kind.", hint="Delete by key: --delete key"
        )
    if delete:
        decisions.check_reason(reason)
    if releases.newest(project, dataset.slug, portal) is None:
        raise UsageError(
            f"{dataset.slug} has no release on {portal} yet.",
            hint=f"The first rows are published by a run, which is reviewed: ctnb run {dataset.slug}",
        )


def _chunks(lines: Iterable[bytes], size: int) -> Iterator[list[tuple[int, bytes]]]:
    """The lines that are not blank, with their numbers from 1, `size` at a time."""
    chunk: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            chunk.append((number, line))
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _parsed(
    dataset: Dataset, numbered: Sequence[tuple[int, bytes]], delete: Delete | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines as records under the contract's names; and those that are none, with reasons and their text."""
    columns = dataset.contract.columns
    names = {name: column.name for column in columns for name in (column.header, column.name) if name}
    if delete == "id":
        names = {"record_id": "record_id"}
    good, bad = [], []
    for number, line in numbered:
        why, record = _record(line, names, dataset.contract.key if delete == "key" else ())
        if why:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            bad.append({"at": clock.stamp(), "line": number, "why": why, "text": text})
        else:
            good.append(record)
    return good, bad


def _record(line: bytes, names: Mapping[str, str], key: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Why a line is no record (empty when it is one), and the record."""
    try:
        said = json.loads(line)
    except ValueError:
        return "not JSON", {}
    if not isinstance(said, dict) or not said:
        return "not a JSON object with a value", {}
    if strange := [name for name in said if name not in names]:
        return f"{len(strange)} names that the contract does not have", {}
    record = {names[name]: value for name, value in said.items()}
    if key and set(record) != set(key):
        return "not the key alone", {}
    return "", record


def _deliver_all(project: Project, dataset: Dataset, told: Callable[[Delivered], None]) -> list[Delivered]:
    """Deliver what waits, in its order, until something is not confirmed."""
    done: list[Delivered] = []
    for batch in spools.waiting(project, dataset.slug):
        found = _deliver(project, dataset, batch)
        done.append(found)
        told(found)
        if found.release:
            batch.remove()
        elif found.useless:
            batch.set_aside()
        else:
            break
    return done


def _deliver(project: Project, dataset: Dataset, batch: Batch) -> Delivered:
    """Deliver one batch as a run, or go on with the run that was killed while it did."""
    with ExitStack() as stack:
        at = _joined(stack, project, dataset, batch) or _begun(stack, project, dataset, batch)
        with flows.ending_well(at):
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
        batch.number, read.rows_read if read else len(batch.records()), read.rows_rejected if read else 0, record.run,
        record.status, record.release.release if record.release else None, "" if record.release else record.reason,
        record.release is None and isinstance(at.failure, SourceInvalid),
    )  # fmt: skip


def _joined(stack: ExitStack, project: Project, dataset: Dataset, batch: Batch) -> Supervisor | None:
    """The run that began to deliver the batch, where it may have sent something or waits for a decision."""
    if batch.run is None:
        return None
    try:
        record = records.find(project, batch.run)
    except NameUnknown:
        return None
    if record.release or record.status == "waiting" or (record.status == "interrupted" and record.send):
        return flows.join_run(stack, project, dataset, record)
    return None


def _begun(stack: ExitStack, project: Project, dataset: Dataset, batch: Batch) -> Supervisor:
    head = batch.head
    at = flows.open_run(stack, project, dataset, how="ctnb push", portal=str(head["portal"]))
    batch.begun(at.record.run)
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
    folder, contract = at.folder("read"), at.dataset.contract
    headers = {column.name: column.header or column.name for column in contract.columns}
    path = folder / BATCH_FILE
    lines = ({headers[name]: one.get(name) for name in headers} for one in batch.records())
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    documents.write_text(path, text, mode=0o600)
    gathered = gathering.gather(at.project, at.dataset, folder, told=str(path))
    made = reads.read(at.dataset, gathered, folder, run=at.record.run)
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
