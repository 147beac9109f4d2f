"""
A change sent by a draft revision: streamed, checked, applied and waited for, once for its token.

The revision's notes carry the token, so that a later attempt finds it whatever was lost on the way; the journal
says how far the upload came. A revision that was applied is never made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ctnb.clients.dsmapi import Action, Dsmapi, Output, Revision, Source, approval_awaited
from ctnb.errors import PortalFailed, PublishRefused
from ctnb.portals import attaching, uploads
from ctnb.portals.interface import Change, Sent
from ctnb.portals.journal import Journal
from ctnb.portals.socrata_attachments import Filing
from ctnb.portals.uploads import Upload

NOTES = "Sent by ctnb. "
"""How the notes of ctnb's revisions begin; the token follows."""

FILENAME = "rows.csv"
LEFT_OPEN = ("opening", "uploading", "chunk", attaching.SENT, "applying", "submitted")
"""The states after which a revision may still be open."""

ACTIONS: Mapping[str, Action] = {
    "replace": "replace", "append": "update", "upsert": "update", "delete": "delete",
}  # fmt: skip


@dataclass(frozen=True)
class Sending:
    """One change on its way."""

    dsmapi: Dsmapi
    dataset_id: str
    change: Change | None
    """None: files change, and no rows."""
    known: Mapping[str, Mapping[str, Any]]
    """The portal's columns by field name, whose formats stay."""
    journal: Journal
    token: str
    """The idempotency key."""
    filing: Filing | None = None
    """Files that are attached by the same revision."""

    @property
    def notes(self) -> str:
        """What finds the revision again."""
        return NOTES + self.token

    @property
    def action(self) -> Action:
        """What the revision does."""
        return ACTIONS[self.change.kind] if self.change else "update"

    @property
    def rows(self) -> int:
        """How many rows go with it."""
        return self.change.table.rows if self.change else 0

    def note(self, state: str, **facts: Any) -> None:
        """Write a step down before it is taken."""
        self.journal.note(self.token, state, **facts)


def send(sending: Sending) -> Sent:
    """
    Bring `sending` to its end, from wherever an earlier attempt left it.

    Raises PublishRefused when the portal rejects rows (with counts by column), ApprovalAwaited, PortalFailed.
    """
    found = [one for one in sending.dsmapi.revisions(sending.dataset_id) if one.notes == sending.notes]
    for revision in reversed(found):
        if revision.status == "successful":
            return _already(sending, revision)
        if revision.closed:
            continue
        if revision.job is not None and not revision.finished:
            sending.dsmapi.applied(revision, revision.job)
            return _already(sending, revision)
        if revision.status == "failure":
            sending.dsmapi.discard(revision)
            continue
        if _submitted(sending, revision):
            raise approval_awaited(revision)
        return _carry_out(sending, revision)
    _supersede(sending.dsmapi, sending.dataset_id, but=sending.notes)
    sending.note("opening")
    revision = sending.dsmapi.open(sending.dataset_id, sending.action, sending.notes)
    return _carry_out(sending, revision)


def settle(dsmapi: Dsmapi, dataset_id: str, journal: Journal) -> None:
    """Wait for the revision of the journal that an earlier attempt was applying, or an approver applies."""
    last = journal.newest()
    if last is None or last["state"] not in ("applying", "submitted"):
        return
    listed = {one.seq: one for one in dsmapi.revisions(dataset_id)}
    revision = listed.get(int(last["revision"]))
    if revision is not None and revision.job is not None and not revision.finished:
        with suppress(PublishRefused):  # what became of it is seen in the rows
            dsmapi.applied(revision, revision.job)


def supersede(dsmapi: Dsmapi, dataset_id: str, journal: Journal) -> None:
    """Discard the revision that an earlier sending left open, before rows are sent in another way."""
    last = journal.newest()
    if last is not None and last["state"] in LEFT_OPEN:
        _supersede(dsmapi, dataset_id)


def _supersede(dsmapi: Dsmapi, dataset_id: str, but: str = "") -> None:
    """
    Discard ctnb's open revisions: applied later, they would put older rows in the place of newer ones.

    Raises PortalFailed while one is being applied.
    """
    for revision in dsmapi.revisions(dataset_id, still_open=True):
        if revision.closed or not revision.notes.startswith(NOTES) or revision.notes == but:
            continue
        if revision.job is not None and not revision.finished:
            raise PortalFailed(
                f"Revision {revision.seq} of {dataset_id} is being applied.",
                hint="Try again when it is done.",
            )
        dsmapi.discard(revision)


def _carry_out(sending: Sending, revision: Revision) -> Sent:
    """Upload, transform, check, attach, apply."""
    output, size, requests = None, 0, 0
    if sending.change:
        output, size, requests = _brought(sending, sending.change, revision)
    if sending.filing:
        there = attaching.arrived(sending.journal.steps(sending.token), revision.seq)
        sending.filing.put(sending.dsmapi, revision, there, sending.note)
    sending.note("applying", revision=revision.seq)
    job = sending.dsmapi.apply(revision, output)
    if job is None:
        sending.note("submitted", revision=revision.seq)
        raise approval_awaited(revision)
    sending.dsmapi.applied(revision, job)
    sending.note("applied", revision=revision.seq)
    return Sent(sending.rows, size, requests, reference=str(revision.seq))


def _brought(sending: Sending, change: Change, revision: Revision) -> tuple[int, int, int]:
    """The output schema that holds every row of `change`, the bytes sent now and in how many requests."""
    upload = uploads.prepare(change.table)
    source, size, requests = _uploaded(sending, change, revision, upload)
    source = sending.dsmapi.parsed(source)
    if len(source.columns) != len(change.table.columns):
        raise PortalFailed("The portal read other columns than were sent.", hint="Try again.")
    wanted = upload.output_columns(source.columns, change.key, sending.known)
    output = sending.dsmapi.transform(source, wanted)
    _check(sending, change, revision, source, output)
    return output.id, size, requests


def _uploaded(
    sending: Sending, change: Change, revision: Revision, upload: Upload
) -> tuple[Source, int, int]:
    """The source with every byte of the file, the bytes sent now and in how many requests."""
    begun = _begun(sending, change, revision)
    if begun is not None:
        source, chunk_bytes, parallel, arrived = begun
        if source.committed:
            return source, 0, 0
        try:
            return _sent(sending, source, upload, chunk_bytes, parallel, arrived)
        except PortalFailed as error:
            if not 400 <= int(error.facts.get("status") or 0) < 500:
                raise
        # the portal does not know that upload any more: begin another
    source = sending.dsmapi.add_source(revision, FILENAME)
    chunk_bytes, parallel = sending.dsmapi.initiate(source, uploads.CONTENT_TYPE)
    file = uploads.file_of(change.table)
    sending.note("uploading", revision=revision.seq, source=source.id, chunk_bytes=chunk_bytes,
                 parallel=parallel, file=file)  # fmt: skip
    return _sent(sending, source, upload, chunk_bytes, parallel, frozenset())


def _sent(
    sending: Sending, source: Source, upload: Upload, chunk_bytes: int, parallel: int, arrived: frozenset[int]
) -> tuple[Source, int, int]:
    made = 0

    def done(number: int) -> None:
        nonlocal made
        made += 1
        sending.note("chunk", source=source.id, number=number)

    chunks = upload.chunks(chunk_bytes)
    _, sent = sending.dsmapi.upload(source, chunks, parallel, arrived=arrived, done=done)
    return source, sent, made


def _begun(
    sending: Sending, change: Change, revision: Revision
) -> tuple[Source, int, int, frozenset[int]] | None:
    """The upload that an earlier attempt began from the same file, and the chunks that had arrived."""
    steps = sending.journal.steps(sending.token)
    begun = [step for step in steps if step["state"] == "uploading" and step["revision"] == revision.seq]
    if not begun or begun[-1]["file"] != uploads.file_of(change.table):
        return None
    last = begun[-1]
    try:
        source = sending.dsmapi.source(int(last["source"]))
    except PortalFailed as error:
        if error.facts.get("status") != 404:
            raise
        return None
    if source.failed:
        return None
    arrived = frozenset(
        int(step["number"]) for step in steps if step["state"] == "chunk" and step["source"] == source.id
    )
    return source, int(last["chunk_bytes"]), int(last["parallel"]), arrived


def _check(sending: Sending, change: Change, revision: Revision, source: Source, output: Output) -> None:
    """No row may be set aside: the portal would apply the others. Raises PublishRefused."""
    ours = {column.name for column in change.table.columns}  # another name may be a cell
    problems = [
        f"{count:,} cells of {name if name in ours else 'some column'}"
        for name, count in output.errors.items()
    ]
    if source.wrong_rows:
        problems.append(f"{source.wrong_rows:,} rows with other than {len(source.columns)} cells")
    if not problems and output.rows != change.table.rows:
        problems.append(f"{abs(output.rows - change.table.rows):,} rows more or less than were sent")
    if problems:
        sending.dsmapi.discard(revision)
        raise PublishRefused(
            f"The portal would set rows aside: {'; '.join(problems)}.",
            hint="Nothing was published. Compare these columns' types with the portal's.",
        )


def _submitted(sending: Sending, revision: Revision) -> bool:
    """Whether an earlier attempt handed the revision to the portal's approver."""
    last = sending.journal.last(sending.token)
    return last is not None and last["state"] == "submitted" and last["revision"] == revision.seq


def _already(sending: Sending, revision: Revision) -> Sent:
    return Sent(sending.rows, 0, 0, already=True, reference=str(revision.seq))
