"""
Publishing a dataset: the machine of its states, and the work of making a new table of records.

    idle, error, limit_reached --publish--> queued --> processing --> idle | error | limit_reached
    queued, processing --abort--> aborting_processing --> idle
    idle, error, limit_reached --unpublish--> queued --> deleting --> idle

Readers see the records of before until the new table is complete; then one transaction changes all. Source: the
vendor's automation API, "Retrieve dataset status".
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .answers import Refused
from .fetching import Unfetched, fetch
from .ods_answers import automation_error, moment
from .ods_fields import Schema, as_document, configure, found
from .ods_records import Faults, Records, record_id
from .ods_store import Dataset, Resource, by_number, drop_records, keep, resources, sweep_files
from .ods_values import guess
from .workshop import Ended, Workshop

RESTING = ("idle", "error", "limit_reached")
BATCH_ROWS = 5_000
SAMPLE_ROWS = 1_000
"""How many rows of a source its fields' types are guessed from."""
CELL_LIMIT_BYTES = 32 * 2**20


class Unreadable(Exception):
    """A source that cannot be read; the text says why and quotes none of it."""


def need_status(dataset: Dataset, *allowed: str) -> None:
    """Raises OdsRefused (400) unless the dataset is in one of the states `allowed`."""
    current = dataset.status["status"]
    if current not in allowed:
        raise wrong_status(current, allowed)


def wrong_status(current: str, allowed: tuple[str, ...]) -> Refused:
    """400 invalid_dataset_status."""
    must = ", ".join(allowed)
    message = f"Invalid precondition, dataset status is '{current}' but must be one of '{must}'"
    return automation_error(400, "invalid_dataset_status", message)


def move(connection: sqlite3.Connection, dataset: Dataset, status: str, now: float, **more: Any) -> Dataset:
    """Put a dataset into another state; `more` are its message and its records' errors."""
    before = dataset.status
    cleared: dict[str, Any] = (
        {"message": None, "records_errors": [], "errors": 0} if status == "queued" else {}
    )
    changed = {**before, **cleared, **more, "status": status, "previous": before["status"], "since": now}
    return keep(connection, dataset, status=changed)


def describe_status(dataset: Dataset, sources: list[Resource], now: float) -> dict[str, Any]:
    """The status as automation shows it; `params` names realtime resources that received nothing for too long."""
    status = dataset.status
    following = {"queued": status.get("aim", "processing"), "aborting_processing": "idle"}
    alerts = [alert for one in sources if (alert := inactivity(one, now))]
    return {
        "name": status["status"],
        "status": status["status"],
        "previous": status["previous"],
        "next": following.get(status["status"]),
        "since": moment(status["since"]),
        "is_published": dataset.is_published,
        "message": status["message"],
        "records_errors": status["records_errors"],
        "params": {"inactivity": alerts} if alerts else {},
    }


def inactivity(resource: Resource, now: float) -> dict[str, Any] | None:
    """What is known of a resource's alert of inactivity, where one is set: threshold in minutes, and whether."""
    threshold = (resource.document.get("alerting") or {}).get("inactivity_minutes")
    if threshold is None:
        return None
    since = resource.last_push if resource.last_push is not None else resource.document["created_at"]
    last = None if resource.last_push is None else moment(resource.last_push)
    return {
        "resource_uid": resource.uid,
        "inactivity_minutes": threshold,
        "last_received_at": last,
        "is_inactive": now - since > 60 * threshold,
    }


def process(workshop: Workshop, number: int) -> None:
    """A piece of work: publish or unpublish the dataset in row `number`, which was queued."""
    with workshop.store.writing() as connection:
        dataset = by_number(connection, number)
        if dataset is None or dataset.status["status"] not in ("queued", "processing", "deleting"):
            dataset = dataset if dataset and dataset.status["status"] == "aborting_processing" else None
        elif dataset.status["status"] == "queued":
            aim = dataset.status.get("aim", "processing")
            dataset = move(connection, dataset, aim, workshop.clock())
    if dataset is None:
        return
    workshop.pause(workshop.processing_s)
    if dataset.status["status"] == "deleting":
        with workshop.store.writing() as connection:
            _unpublish(connection, number, workshop.clock())
        return
    try:
        _Publishing(workshop, number).run()
    except Ended:
        raise
    except Exception:  # a bug or a full disk: a dataset does not wait for ever, and the log has the place
        with workshop.store.writing() as connection:
            fallen = by_number(connection, number)
            if fallen is not None:
                drop_records(connection, number, but=fallen.table)
                move(connection, fallen, "error", workshop.clock(), message="The processing broke off.")
        raise


def _unpublish(connection: sqlite3.Connection, number: int, now: float) -> None:
    dataset = by_number(connection, number)
    if dataset is None:
        return
    drop_records(connection, number)
    connection.execute("DELETE FROM ods_contents WHERE dataset = ?", (number,))
    dataset = keep(connection, dataset, live=None, updated_at=now, data_processed=None)
    move(connection, dataset, "idle", now)


class _Publishing:
    """One publish: rows of files go into a new table batch by batch; the last transaction adds what was pushed."""

    def __init__(self, workshop: Workshop, number: int) -> None:
        self.workshop, self.number = workshop, number
        self.bodies: dict[int, bytes] = {}
        self.faults = Faults()
        self.reached = False
        self.aborted = False

    def run(self) -> None:
        failure, records = "", None
        try:
            self.fetch()
            records = self.begin()
            if records is not None:
                self.stage(records)
        except Unreadable as error:
            failure = str(error)
        with self.workshop.store.writing() as connection:
            dataset = by_number(connection, self.number)
            if dataset is None:
                return
            if records is not None and not failure:
                self.switch(connection, dataset, records.schema, records.table)
                return
            drop_records(connection, self.number, but=dataset.table)
            move(connection, dataset, "error", self.workshop.clock(), message=failure)

    def fetch(self) -> None:
        """Read the resources that are a URL. Raises Unreadable."""
        with self.workshop.store.reading() as connection:
            sources = [one for one in resources(connection, self.number) if url_of(one.document)]
        for source in sources:
            self.workshop.folder.mkdir(mode=0o700, exist_ok=True)
            file, failure = self.workshop.folder / f"ods-{source.id}", ""
            try:
                limit = self.workshop.upload_limit
                fetch(url_of(source.document), file, limit=limit, check=self.workshop.check)
                self.bodies[source.id] = file.read_bytes()
            except Unfetched as error:
                failure = str(error)
            finally:
                file.unlink(missing_ok=True)
            if failure:
                raise Unreadable(f"{failure}.")

    def body(self, connection: sqlite3.Connection, source: Resource) -> bytes:
        """The bytes of a resource, uploaded or fetched. Raises Unreadable."""
        return self.bodies[source.id] if source.id in self.bodies else body_of(connection, source)

    def begin(self) -> Records | None:
        """Find the fields and make the table. Raises Unreadable."""
        with self.workshop.store.writing() as connection:
            dataset = by_number(connection, self.number)
            if dataset is None:
                return None
            drop_records(connection, self.number, but=dataset.table)
            self.sources = resources(connection, self.number)
            schema = schema_of(connection, dataset, self.sources, self.body)
            if any("at most" in problem for problem in schema.problems):
                raise Unreadable(" ".join(schema.problems))
            dataset = keep(connection, dataset, generation=dataset.generation + 1)
            table = f"ods_rows_{self.number}_{dataset.generation}"
            records = Records(connection, self.number, table, schema, self.faults)
            records.create()
            return records

    def stage(self, staged: Records) -> None:
        """Write the rows of every file. Raises Unreadable."""
        limit = self.workshop.records_limit
        for source in self.sources:
            if source.kind == "realtime":
                continue
            with self.workshop.store.reading() as connection:
                body = self.body(connection, source)
            rows = csv_rows(body, source.document["params"])
            while batch := list(itertools.islice(rows, BATCH_ROWS)):
                self.workshop.check()
                now = self.workshop.clock()
                with self.workshop.store.writing() as connection:
                    if self.stopped(connection):
                        return
                    records = Records(connection, self.number, staged.table, staged.schema, self.faults)
                    room = len(batch) if limit is None else max(limit - records.count(), 0)
                    self.reached = self.reached or room < len(batch)
                    records.write_rows(now, batch[:room], source.id)
                if self.reached:
                    return

    def stopped(self, connection: sqlite3.Connection) -> bool:
        dataset = by_number(connection, self.number)
        self.aborted = dataset is None or dataset.status["status"] == "aborting_processing"
        return self.aborted

    def switch(self, connection: sqlite3.Connection, dataset: Dataset, schema: Schema, table: str) -> None:
        """Add the pushed records that were published, by the new fields, and publish the table."""
        now = self.workshop.clock()
        records = Records(connection, self.number, table, schema, self.faults)
        _carry_over(connection, dataset, records)
        for source in self.sources:
            if source.kind == "realtime":
                _rename_backups(connection, source, schema)
        live = {
            "fields": as_document(schema.fields),
            "table": table,
            "metadata": dataset.document["metadata"],
        }
        drop_records(connection, self.number, but=table)
        dataset = keep(
            connection, dataset, live=live, data_processed=now, metadata_processed=now, updated_at=now
        )
        sweep_files(connection, dataset)
        self.stopped(connection)
        status = "limit_reached" if self.reached and not self.aborted else "idle"
        said = [*schema.problems]
        if self.reached:
            said.append(f"The dataset holds the {self.workshop.records_limit} records that its plan allows.")
        if self.faults.count:
            said.append(f"Values of the wrong type were left empty: {self.faults.count}.")
        more = {"records_errors": self.faults.shown, "errors": self.faults.count}
        move(connection, dataset, status, now, message=" ".join(said) or None, **more)


def _carry_over(connection: sqlite3.Connection, dataset: Dataset, records: Records) -> None:
    """The pushed records of the published table, read by the new fields."""
    if not dataset.table:
        return
    rows = connection.execute(
        f"SELECT at, resource, raw FROM {dataset.table} WHERE raw IS NOT NULL ORDER BY sid"
    ).fetchall()
    known = {one.id for one in resources(connection, dataset.id)}
    for resource, group in itertools.groupby(rows, key=lambda row: int(row["resource"])):
        if resource in known:
            records.write_texts(((row["at"], row["raw"]) for row in group), resource)


def _rename_backups(connection: sqlite3.Connection, source: Resource, schema: Schema) -> None:
    """Backups are found by the ids that the fields now give."""
    rows = connection.execute("SELECT id, rid, raw FROM ods_backups WHERE resource = ?", (source.id,))
    changed = [
        (made, row["id"])
        for row in rows.fetchall()
        if (made := record_id(schema, json.loads(row["raw"]))) != row["rid"]
    ]
    connection.executemany("UPDATE ods_backups SET rid = ? WHERE id = ?", changed)


def schema_of(
    connection: sqlite3.Connection,
    dataset: Dataset,
    sources: list[Resource],
    body: Callable[[sqlite3.Connection, Resource], bytes],
) -> Schema:
    """The fields that the sources and the configured steps give. Raises Unreadable."""
    samples: dict[str, list[Any]] = {}
    for source in sources:
        rows: Iterator[Mapping[str, Any]]
        if source.kind == "realtime":
            rows = iter(source.document["params"]["bootstrap"])
        else:
            rows = csv_rows(body(connection, source), source.document["params"], header_row=True)
        for row in itertools.islice(rows, SAMPLE_ROWS):
            for name, value in row.items():
                samples.setdefault(name, []).append(value)
    kinds = {name: guess(values) for name, values in samples.items()}
    return configure(found(kinds), dataset.document["fields"])


def url_of(document: Mapping[str, Any]) -> str:
    """The URL of a resource that is one, else empty."""
    source = document["datasource"]
    if source.get("type") != "http":
        return ""
    return str(source["connection"]["url"]).rstrip("/") + str(source.get("relative_url") or "")


def body_of(connection: sqlite3.Connection, source: Resource) -> bytes:
    """The bytes of a resource's file. Raises Unreadable."""
    if url_of(source.document):
        raise Unreadable("The resource is read from its URL when the dataset is published.")
    uid = source.document["datasource"]["file"]["uid"]
    query = "SELECT body FROM ods_files WHERE uid = ? AND dataset = ?"
    row = connection.execute(query, (uid, source.dataset)).fetchone()
    if row is None:
        raise Unreadable("The file of a resource is not there any more.")
    return bytes(row["body"])


def csv_rows(body: bytes, params: Mapping[str, Any], *, header_row: bool = False) -> Iterator[dict[str, Any]]:
    """
    The rows of a CSV file by its headers; `header_row` gives one row of nulls first, so that headers are known.

    `params` are those of the extractor: separator, encoding, doublequote, headers_first_row, first_row_no.
    Raises Unreadable.
    """
    csv.field_size_limit(CELL_LIMIT_BYTES)
    text = None
    try:
        encoding = str(params.get("encoding") or "utf-8")
        text = io.StringIO(
            body.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding), newline=""
        )
    except (UnicodeDecodeError, LookupError):
        pass  # told below: the cause quotes the file
    if text is None:
        raise Unreadable("The file is not in the encoding that the resource names.")
    separator = str(params.get("separator") or ",")
    if len(separator) != 1:
        raise Unreadable("The separator of a CSV file is one character.")
    reader = csv.reader(text, delimiter=separator, doublequote=bool(params.get("doublequote", True)))
    skipped = max(int(params.get("first_row_no") or 1) - 1, 0)
    lines: Iterator[list[str]] = itertools.islice(_lines(reader), skipped, None)
    first = next(lines, None)
    if first is None:
        return
    header = first
    if not params.get("headers_first_row", True):
        header = [f"column_{number}" for number in range(1, len(first) + 1)]
        lines = itertools.chain([first], lines)
    if header_row:
        yield dict.fromkeys(header)
    for cells in lines:
        if len(cells) > len(header):
            raise Unreadable("A row of the file has more cells than its header.")
        padded = [*cells, *[""] * (len(header) - len(cells))]
        yield {name: cell or None for name, cell in zip(header, padded, strict=True)}


def _lines(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The lines that are not blank. Raises Unreadable."""
    while True:
        cells: list[str] | None = []
        broken = False
        try:
            cells = next(reader, None)
        except csv.Error:
            broken = True
        if broken:
            raise Unreadable("The file is not well-formed CSV.")
        if cells is None:
            return
        if cells:
            yield cells
