"""
A client for Socrata's publishing interface, DSMAPI v1, as the embedded portal speaks it too.

Protocol: dev.socrata.com, "Publishing API": a revision is a draft of a change; a source is an upload within it,
sent in chunks; an input schema is what was read of it; an output schema is what its columns become; to apply a
revision is a job. Every resource comes as `{"resource": {...}, "links": {...}}`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from ctnb.clients.answers import not_understood, objects, understood
from ctnb.clients.exchanges import Exchange, said
from ctnb.clients.waiting import Patience, insisted, watched
from ctnb.errors import ApprovalAwaited, PortalFailed, PublishRefused

BASE = "/api/publishing/v1"
Action = Literal["update", "replace", "delete"]
T = TypeVar("T")

PARSING: Mapping[str, Any] = {"trim_whitespace": False, "remove_empty_rows": False}
"""Parse options that leave texts and rows as they were sent."""

CHUNK_BYTES = 4 << 20
PARALLEL = 4
FIRST_POLL_S, LAST_POLL_S = 0.1, 10.0
STILL_S, PATIENCE_S = 3600.0, 12 * 3600.0
"""How long a portal may say the same of its work on a revision, and how long it may work in all."""


@dataclass(frozen=True)
class Revision:
    """One draft of a change of a dataset."""

    dataset_id: str
    seq: int
    notes: str
    closed: bool
    """Applied or discarded."""
    job: int | None
    """The newest attempt to apply it."""
    status: str
    """What became of that attempt: initializing, creating_columns, upserting, finishing, successful, failure."""
    finished: bool
    """Whether that attempt is over."""

    @property
    def path(self) -> str:
        """Its address."""
        return f"{BASE}/revision/{self.dataset_id}/{self.seq}"


@dataclass(frozen=True)
class Source:
    """One upload."""

    id: int
    finished: bool
    failed: bool
    committed: bool
    """Whether every byte has arrived."""
    schema: int | None
    """The newest input schema."""
    columns: tuple[str, ...] = ()
    """The field names that the portal gave its columns, in the order of the file."""
    rows: int = 0
    wrong_rows: int = 0
    """Rows with too few or too many cells, which the portal sets aside."""


@dataclass(frozen=True)
class Output:
    """What the columns of an upload become."""

    id: int
    rows: int
    errors: Mapping[str, int] = field(default_factory=dict)
    """Cells that do not convert, by column; their rows would be set aside."""


class Dsmapi:
    """The publishing interface of one portal."""

    def __init__(self, exchange: Exchange, *, poll_s: float = FIRST_POLL_S) -> None:
        """`poll_s` is the first pause between two questions for what is under way; it grows to LAST_POLL_S."""
        self._exchange = exchange
        self._poll_s = poll_s

    def revisions(self, dataset_id: str, *, still_open: bool = False) -> list[Revision]:
        """The revisions of a dataset, oldest first. Raises PortalFailed."""
        query = {"open": "true"} if still_open else None
        answer = self._exchange.get(f"{BASE}/revision/{quote(dataset_id)}", query)
        found = [_revision(one) for one in (objects(said(answer)) if answer is not None else [])]
        return sorted(found, key=lambda one: one.seq)

    def revision(self, dataset_id: str, seq: int) -> Revision:
        """The revision `seq`. Raises PortalFailed."""
        answer = self._exchange.get(f"{BASE}/revision/{quote(dataset_id)}/{seq}")
        return _revision(said(answer) if answer is not None else {})

    def open(self, dataset_id: str, action: Action, notes: str) -> Revision:
        """A new revision, sent once; `notes` find it again. Raises PortalFailed."""
        body = {"action": {"type": action, "permission": None}, "metadata": {}, "notes": notes}
        made = _revision(self._exchange.write("POST", f"{BASE}/revision/{quote(dataset_id)}", body))
        return _revision(self._exchange.rewrite("PUT", made.path, {"notes": notes}))

    def discard(self, revision: Revision) -> None:
        """Close a revision without applying it. Raises PortalFailed."""
        self._exchange.rewrite("DELETE", revision.path)

    def add_source(self, revision: Revision, filename: str) -> Source:
        """A new upload of `revision`; `filename` is all it tells of where it comes from. Raises PortalFailed."""
        kind = {"type": "upload", "filename": filename}
        body = {"source_type": kind, "parse_options": dict(PARSING)}
        return _source(self._exchange.rewrite("POST", f"{revision.path}/source", body))

    def source(self, number: int) -> Source:
        """An upload as it is now. Raises PortalFailed."""
        answer = self._exchange.get(f"{BASE}/source/{number}")
        return _source(said(answer) if answer is not None else {})

    @understood
    def initiate(self, source: Source, content_type: str) -> tuple[int, int]:
        """Say what the bytes will be; returns a chunk's bytes and how many chunks go at once. Raises PortalFailed."""
        told = self._exchange.rewrite(
            "POST", f"{BASE}/source/{source.id}/initiate", {"content_type": content_type}
        )
        size, parallel = told.get("preferred_chunk_size"), told.get("preferred_upload_parallelism")
        return int(size or CHUNK_BYTES), min(int(parallel or PARALLEL), PARALLEL)

    def upload(
        self, source: Source, chunks: Iterable[bytes], parallel: int, *, arrived: Container[int] = (),
        done: Callable[[int], None] = lambda _: None,
    ) -> tuple[int, int]:  # fmt: skip
        """
        Send `chunks`, `parallel` at a time, and commit; returns the bytes of the file and those sent now.

        A chunk is tried again, for it may arrive twice; those `arrived` in an earlier attempt are not sent again.
        `done` is called with the number of each that has arrived. No more chunks are in memory than go at once,
        and one. Raises PortalFailed.
        """
        offset = sent = 0
        last = -1
        waiting: deque[tuple[int, Future[Any]]] = deque()
        with ThreadPoolExecutor(parallel, "chunk") as pool:
            try:
                for last, chunk in enumerate(chunks):
                    if last not in arrived:
                        path = f"{BASE}/source/{source.id}/chunk/{last}/{offset}"
                        waiting.append((last, pool.submit(self._chunk, path, last, chunk)))
                        sent += len(chunk)
                    offset += len(chunk)
                    while len(waiting) >= parallel:
                        _settle(waiting, done)
                while waiting:
                    _settle(waiting, done)
            finally:
                for _, future in waiting:
                    future.cancel()
        self._commit(source, last, offset)
        return offset, sent

    def parsed(self, source: Source) -> Source:
        """The upload once the portal has read it. Raises PortalFailed, PublishRefused when it could not."""

        def ask() -> tuple[Any, Source]:
            answer = self._exchange.get(f"{BASE}/source/{source.id}")
            told = said(answer) if answer is not None else {}
            found = _source(told)
            if found.id != source.id:
                raise not_understood()
            return told, found

        for found in self._watched(ask, "reading the upload"):
            if found.failed:
                raise PublishRefused(
                    "The portal could not read the rows it was sent.",
                    hint="Nothing was published; try again.",
                )
            if found.finished and found.schema is not None:
                return found
        raise AssertionError  # watching raises before it ends

    @understood
    def transform(self, source: Source, columns: Sequence[Mapping[str, Any]]) -> Output:
        """
        The upload with `columns`, once the portal has worked them out.

        Raises PortalFailed, PublishRefused when a column could not be worked out at all.
        """
        path = f"{BASE}/source/{source.id}/schema/{source.schema}"
        made = self._exchange.rewrite("POST", path, {"output_columns": list(columns), "sort_bys": []})
        number = int(made["resource"]["id"])

        @understood
        def ask() -> tuple[Any, Mapping[str, Any]]:
            answer = self._exchange.get(f"{path}/output/{number}")
            told = (said(answer) if answer is not None else {})["resource"]
            if int(told["id"]) != number or not objects(told["output_columns"]):
                raise not_understood()
            return told, told

        for told in self._watched(ask, "working out the columns"):
            failed = {
                one["field_name"] for one in told["output_columns"] if one["transform"].get("failed_at")
            }
            if failed:
                ours = [str(one["field_name"]) for one in columns if one["field_name"] in failed]
                raise PublishRefused(
                    f"The portal could not work out the columns {', '.join(ours) or '(others than were sent)'}.",
                    hint="Nothing was published. Compare their types with the portal's.",
                )
            if told.get("completed_at"):
                return _output(told)
        raise AssertionError  # watching raises before it ends

    @understood
    def attach(self, revision: Revision, name: str, content_type: str, content: bytes) -> str:
        """
        Upload a file for `revision` and return its id; it is attached once `set_attachments` names it.

        A second one, after an answer that was lost, is named by nobody. Raises PortalFailed.
        """
        path, headers = f"{revision.path}/attachment", {"X-File-Name": name}
        told = self._exchange.rewrite("POST", path, content, kind=content_type, headers=headers)
        return str(told["file_id"])

    def set_attachments(self, revision: Revision, listed: Sequence[Mapping[str, Any]]) -> None:
        """Make `listed` the attachments that the dataset has once `revision` is applied. Raises PortalFailed."""
        self._exchange.rewrite("PATCH", revision.path, {"attachments": list(listed)})

    @understood
    def apply(self, revision: Revision, output: int | None) -> int | None:
        """
        Ask to apply `revision`, once; returns the number of the job.

        `output` is None for one that changes no rows. None: the portal asks for an approval first. Raises
        PortalFailed.
        """
        body = {} if output is None else {"output_schema_id": output}
        told = self._exchange.write("PUT", f"{revision.path}/apply", body)
        if "resource" not in told:
            if told.get("key") == "approval_submitted":
                return None
            raise PortalFailed(
                "The portal did not say what becomes of the revision.", hint="Try again later."
            )
        return int(told["resource"]["id"])

    @understood
    def applied(self, revision: Revision, job: int) -> Mapping[str, int]:
        """
        Wait until the job is over; returns the counts that the portal gives.

        Raises PublishRefused when it failed, with the portal's rows as they were, and PortalFailed.
        """

        @understood
        def ask() -> tuple[Any, Mapping[str, Any]]:
            told = self._exchange.rewrite("GET", f"{revision.path}/apply/{job}")["resource"]
            if int(told["id"]) != job or not isinstance(told["status"], str):
                raise not_understood()
            return told, told

        for told in self._watched(ask, "applying the revision"):
            if told.get("status") == "failure":
                raise PublishRefused(
                    f"The portal could not apply revision {revision.seq}.",
                    hint="The published rows are as they were. The revision on the portal says why.",
                )
            if told.get("finished_at"):
                return _counts(told)
        raise AssertionError  # watching raises before it ends

    def _chunk(self, path: str, number: int, chunk: bytes) -> None:
        """Send the chunk with this `number`; one that the portal does not say it has is sent again."""

        @understood
        def once() -> None:
            told = self._exchange.rewrite("POST", path, chunk, kind="application/octet-stream")
            if int(told["resource"]["seq_num"]) != number:
                raise not_understood()

        insisted(once, self._exchange.pause_s)

    def _commit(self, source: Source, last: int, size: int) -> None:
        """Say that every byte is sent; after an answer that was lost, look whether it was heard."""
        path, broken = f"{BASE}/source/{source.id}/chunk/{last}/{size}/commit", None
        try:
            self._exchange.write("POST", path)
        except PortalFailed as error:
            broken = error
        if broken is not None and not self.source(source.id).committed:
            raise broken

    def _watched(self, ask: Callable[[], tuple[Any, T]], what: str) -> Iterator[T]:
        """What `ask` makes of the portal's word, until it is done. Raises PortalFailed."""
        patience = Patience(STILL_S, PATIENCE_S, self._poll_s, LAST_POLL_S)
        return watched(ask, what, patience, pause_s=self._exchange.pause_s)


def approval_awaited(revision: Revision) -> ApprovalAwaited:
    """What ends a run whose revision waits for the portal's own approver."""
    return ApprovalAwaited(
        f"Revision {revision.seq} of {revision.dataset_id} was submitted; the portal asks for an approval.",
        hint="Somebody who may approve has to, on the portal. Then go on with this run at publish.",
    )


def _settle(waiting: deque[tuple[int, Future[Any]]], done: Callable[[int], None]) -> None:
    """Wait for at least one of the chunks under way and say which arrived. Raises what sending it raised."""
    wait([future for _, future in waiting], return_when=FIRST_COMPLETED)
    for one in [pair for pair in waiting if pair[1].done()]:
        waiting.remove(one)
        one[1].result()
        done(one[0])


@understood
def _revision(told: Mapping[str, Any]) -> Revision:
    one = told["resource"]
    jobs = sorted(one.get("task_sets") or [], key=lambda job: int(job["id"]))
    job = jobs[-1] if jobs else {}
    over = bool(job.get("finished_at")) or job.get("status") in ("successful", "failure")
    return Revision(
        str(one["fourfour"]), int(one["revision_seq"]), str(one.get("notes") or ""), bool(one.get("closed_at")),
        int(job["id"]) if job else None, str(job.get("status") or ""), over,
    )  # fmt: skip


@understood
def _source(told: Mapping[str, Any]) -> Source:
    one = told["resource"]
    schemas = sorted(one.get("schemas") or [], key=lambda schema: int(schema["id"]))
    newest = schemas[-1] if schemas else {}
    columns = sorted(newest.get("input_columns") or [], key=lambda column: int(column["position"]))
    return Source(
        int(one["id"]), bool(one.get("finished_at")), bool(one.get("failed_at")),
        one.get("filesize") is not None or bool(one.get("finished_at") or schemas),
        int(newest["id"]) if newest else None, tuple(str(column["field_name"]) for column in columns),
        int(newest.get("total_rows") or 0), int(newest.get("num_row_errors") or 0),
    )  # fmt: skip


def _output(told: Mapping[str, Any]) -> Output:
    errors = {
        str(one["field_name"]): int(one["transform"].get("error_count") or 0)
        for one in told["output_columns"]
    }
    wrong = {name: count for name, count in errors.items() if count}
    if told.get("error_count") and not wrong:
        wrong = {"": int(told["error_count"])}
    return Output(int(told["id"]), int(told.get("total_rows") or 0), wrong)


def _counts(job: Mapping[str, Any]) -> Mapping[str, int]:
    for entry in job.get("log") or []:
        details = entry.get("details")
        if entry.get("stage") == "successful" and isinstance(details, dict):
            return {str(name): count for name, count in details.items() if isinstance(count, int)}
    return {}
