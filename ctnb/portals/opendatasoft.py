"""
An Opendatasoft portal as `ctnb.portals.interface.Portal`: records pushed one by one, or a file processed whole.

A dataset with a realtime source has its push address in portal.yml: every change is worked out as records to push
and records to delete, and what a break leaves half done is taken back before the next. A dataset without one is a
file that is uploaded whole and switched in by the portal's processing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ctnb import digests, tables
from ctnb.clients.answers import understood
from ctnb.clients.opendatasoft import EXPLORE, Opendatasoft, PushPlace
from ctnb.clients.waiting import Patience, watched
from ctnb.contracts.columns import Column
from ctnb.errors import PortalFailed, PublishRefused, UsageError
from ctnb.portals import attaching, opendatasoft_attachments, opendatasoft_readers
from ctnb.portals import opendatasoft_records as records
from ctnb.portals.interface import Attachments, Change, Described, Part, PortalFile, Sent, Summary, There
from ctnb.portals.opendatasoft_metadata import bring_up_to_date, configure, fields_of, key_of, said_of
from ctnb.portals.opendatasoft_questions import summary, totals, where
from ctnb.portals.undoing import Undo
from ctnb.values import TYPES, Kind, quote_name

if TYPE_CHECKING:
    import duckdb

    from ctnb.portals.journal import Journal

READINGS = 3
"""How often rows are read anew because they changed meanwhile."""
VISIBLE_S = 600.0
"""Seconds in which more of what was pushed must be visible: a push is acknowledged before it is processed."""
MOST_S = 12 * 3600.0
"""Seconds in which all of it must be."""
FILE_NAME = "ctnb.csv"


@dataclass(frozen=True)
class _Known:
    """A dataset under both of its names."""

    uid: str
    """The permanent one, which the automation interface takes."""
    slug: str
    """The one in addresses, which explore takes."""
    published: bool
    restricted: bool
    title: str


class OpendatasoftPortal:
    """One Opendatasoft portal, as one API key sees it."""

    kind = "opendatasoft"

    def __init__(
        self, name: str, client: Opendatasoft, place: PushPlace | None = None, *, visible_s: float = VISIBLE_S,
        poll_s: float = 1.0,
    ) -> None:  # fmt: skip
        """
        `place` is where the dataset's records are pushed to; None for a dataset that is a file. `visible_s` are the
        seconds in which more pushed records must be visible, `poll_s` those between two looks.
        """
        self.name = name
        self.url = client.url
        self.client = client
        self.place = place
        self._visible_s, self._poll_s = visible_s, poll_s

    def address(self, dataset_id: str) -> str:
        """Where people see the dataset."""
        known = self._find(dataset_id)
        return f"{self.url}/explore/dataset/{known.slug if known else dataset_id}/"

    def type_of(self, column: Column) -> str:
        """Opendatasoft's field type for `column`."""
        return TYPES[column.type].opendatasoft

    @understood
    def there(self, dataset_id: str) -> There | None:
        """
        What the portal says of a dataset; None when it has no such dataset.

        One that is not published has no rows; its fields are those it is configured with. Raises PortalFailed.
        """
        known = self._find(dataset_id)
        if known is None:
            return None
        live = self.client.described(known.slug)
        steps = [] if live else self.client.listed(f"/datasets/{known.uid}/fields/")
        fields = fields_of(live, steps)
        metas = ((live or {}).get("metas") or {}).get("default") or {}
        return There(
            known.uid, known.title, f"{self.url}/explore/dataset/{known.slug}/", fields, key_of(live, steps),
            not known.restricted and live is not None, self.client.count(known.slug) if live else 0,
            str(metas.get("data_processed") or ""), said_of(self.client, known.uid),
            opendatasoft_readers.audience(self.client, known.uid) if known.restricted else (),
        )  # fmt: skip

    def load(
        self, dataset_id: str, columns: Sequence[Column], connection: duckdb.DuckDBPyConnection, name: str
    ) -> int:
        """
        Read all rows into `connection` as the table `name`; returns how many cells do not fit `columns`.

        A column that the portal does not have yet is empty.

        One export, held against the counts before and after. Raises PortalFailed when the rows do not stand still.
        """
        known = self._must(dataset_id)
        names = self._names(known, columns)
        for _ in range(READINGS):
            before = self.client.count(known.slug)
            pages = self.client.export(known.slug, names) if names else iter(())
            lost = records.load(
                connection, name, columns, pages, lambda told: self.client.file(known.slug, told)
            )
            rows = connection.execute(f"SELECT count(*) FROM {quote_name(name)}").fetchall()[0][0]
            if before == rows == self.client.count(known.slug):
                return lost
            connection.execute(f"DROP TABLE {quote_name(name)}")
        raise PortalFailed(
            f"The portal's rows changed while they were read, {READINGS} times.",
            hint="Somebody else pushes to this dataset; try again.",
        )

    def summary(self, dataset_id: str, columns: Sequence[Column]) -> Summary:
        """Counts, empty cells, sums and extremes, computed by the portal. Raises PortalFailed."""
        known, said = self._must(dataset_id), None
        if known.published:
            said = self.client.records(known.slug, select=totals(columns), limit="1")
        found = (said or {}).get("results") or [{}]
        return summary(found[0], columns)

    def find(self, token: str) -> str | None:
        """The id of the dataset that `create` made for `token`: its identifier ends in a mark of the token."""
        ending = f"-{_mark(token)}"
        ids = (
            str(one.get("uid"))
            for one in self.client.datasets()
            if str(one.get("dataset_id")).endswith(ending)
        )
        return next(ids, None)

    @understood
    def create(self, described: Described, token: str) -> str:
        """Create a restricted dataset without rows and return its uid. Raises PortalFailed."""
        slug = f"{_slug(described.title)}-{_mark(token)}"
        title = {"title": {"value": described.title}, "language": {"value": "en"}}
        body = {"dataset_id": slug, "is_restricted": True, "metadata": {"default": title}}
        made = self.client.ask("POST", "/datasets/", body)
        bring_up_to_date(self.client, str(made["uid"]), described)
        return str(made["uid"])

    @understood
    def describe(self, dataset_id: str, described: Described) -> None:
        """Bring title, description, metadata and columns' words up to date: read, changed, written."""
        known = self._must(dataset_id)
        fields, words = bring_up_to_date(self.client, known.uid, described)
        if fields and known.published:
            self.client.publish(known.uid)
        elif words and known.published:
            self.client.ask("POST", f"/datasets/{known.uid}/publish_metadata/", busy=True)

    def add_fields(self, dataset_id: str, columns: Sequence[Column], journal: Journal) -> None:
        """
        Add columns to a dataset that is a file: the next file has them.

        Raises PublishRefused for a realtime source, whose fields are those of its bootstrap data.
        """
        known = self._must(dataset_id)
        missing = [column.name for column in columns if column.name not in self._names(known, columns)]
        if self.place and missing:
            raise PublishRefused(
                f"A realtime source gets new fields on the portal's own pages alone: {', '.join(missing)}.",
                hint="Add them to its bootstrap data there, publish the dataset there, then publish again here.",
            )
        configure(self.client, known.uid, columns, ())

    def show(self, dataset_id: str, parts: Sequence[Part], known: Mapping[str, str]) -> dict[str, str]:
        """The addresses at which the portal filters by each part; none while rows are not open: they hold cells."""
        known_as = self._must(dataset_id)
        shown, path = [] if known_as.restricted else parts, f"{EXPLORE}/{known_as.slug}/records"
        return {one.name: f"{path}?{urlencode({'where': where(one)})}" for one in shown}

    def set_public(self, dataset_id: str, public: bool) -> None:
        """Open the dataset to everybody, or close it."""
        known = self._must(dataset_id)
        if known.restricted == public:
            self.client.ask("PUT", f"/datasets/{known.uid}/", {"is_restricted": not public})

    def share(self, dataset_id: str, people: Sequence[str]) -> None:
        """Let exactly these accounts (mail addresses) read the dataset while it is restricted. Raises PortalFailed."""
        opendatasoft_readers.share(self.client, self._must(dataset_id).uid, people)

    def attached(self, dataset_id: str) -> tuple[PortalFile, ...]:
        """The files that are attached to the dataset. Raises PortalFailed."""
        return opendatasoft_attachments.attached(self.client, self._must(dataset_id).uid)

    def attachment_digest(self, dataset_id: str, file: PortalFile) -> str:
        """SHA-256 of a file's bytes; empty where the portal does not hand them out. Raises PortalFailed."""
        return opendatasoft_attachments.digest(self.client, self._must(dataset_id).uid, file)

    def attach(self, dataset_id: str, files: Attachments, token: str, journal: Journal) -> None:
        """Make `files` those that are attached. Raises RecordBroken, PortalFailed."""
        known = self._must(dataset_id)
        changes = attaching.compare(self, dataset_id, files)
        opendatasoft_attachments.attach(self.client, known.uid, changes, f"{token}:files", journal)
        if known.published and any(one.todo for one in changes):
            self.client.ask("POST", f"/datasets/{known.uid}/publish_metadata/", busy=True)

    # -- between releases

    def switch(self, dataset_id: str, *, on: bool) -> None:
        """Let the realtime source take pushes, or refuse them. Raises UsageError, PortalFailed."""
        uid = self._must(dataset_id).uid
        path = f"/datasets/{uid}/resources/{self._realtime(uid)}/"
        self.client.ask("POST", f"{path}{'enable' if on else 'disable'}/", busy=True)

    def unpublish(self, dataset_id: str) -> None:
        """Take the dataset off the portal; the records of a realtime source go. Raises PortalFailed."""
        self.client.unpublish(self._must(dataset_id).uid)

    def recover(self, dataset_id: str) -> None:
        """Publish the dataset and bring back every record of its backup. Raises UsageError, PortalFailed."""
        known = self._must(dataset_id)
        if not known.published:
            self.client.publish(known.uid)
        path = f"/datasets/{known.uid}/resources/{self._realtime(known.uid)}/recover/"
        self.client.ask("POST", path, busy=True)
        self.client.settled(known.uid)

    def crons(self, dataset_id: str) -> list[str]:
        """The expressions by which the portal processes the dataset, in Paris time. Raises PortalFailed."""
        there = self.client.listed(f"/datasets/{self._must(dataset_id).uid}/schedules/")
        return [str(one.get("cron_schedule")) for one in there]

    @understood
    def schedule(self, dataset_id: str, cron: str, ours: Collection[str]) -> tuple[bool, int]:
        """
        Let the portal process the dataset by `cron`, in Paris time, in place of what is among `ours`.

        Returns whether it did already, and how many other schedules there are. Raises PortalFailed.
        """
        path = f"/datasets/{self._must(dataset_id).uid}/schedules/"
        there = self.client.listed(path)
        already = any(one.get("cron_schedule") == cron for one in there)
        if not already:
            self.client.ask("POST", path, {"cron_schedule": cron})
        for one in there:
            if one.get("cron_schedule") in ours and one.get("cron_schedule") != cron:
                self.client.ask("DELETE", f"{path}{one['uid']}/", missing=True)
        return already, sum(one.get("cron_schedule") not in {*ours, cron} for one in there)

    def record(self, dataset_id: str, record_id: str, columns: Sequence[Column]) -> dict[str, str | None]:
        """The cells of the record with the portal's own id, as text; none when there is no such record."""
        slug = self._must(dataset_id).slug
        said = self.client.record(slug, record_id)
        return records.texts(said, columns, lambda one: self.client.file(slug, one)) if said else {}

    @understood
    def _realtime(self, uid: str) -> str:
        """The uid of the dataset's only realtime source. Raises UsageError."""
        found = [str(one["uid"]) for one in self.client.resources(uid) if "realtime" in str(one.get("type"))]
        if len(found) != 1:
            raise UsageError(
                f"The dataset has {len(found)} realtime sources on the portal; one was expected.",
                hint="Do it on the portal's own pages.",
            )
        return found[0]

    # -- rows

    def settle(self, dataset_id: str, journal: Journal) -> None:
        """
        Wait for a processing that is under way, and take back what a break left half pushed.

        Rows that were published before come back and those of the broken change go, unless all of it arrived, or
        nothing.
        Raises PortalFailed.
        """
        known = self._must(dataset_id)
        self.client.settled(known.uid)
        undo = Undo.of(journal)
        if undo is None or self.place is None:
            return
        with tables.connect(undo.folder) as connection:
            self.load(dataset_id, undo.columns, connection, "there")
            found = digests.of_table(connection, "there", _kinds(undo.columns))
            if found not in (undo.before, undo.expected):
                tables.load(connection, undo.gone, "gone")
                tables.load(connection, undo.came, "came")
                self._push_all(connection, "gone", undo.columns)
                key = ", ".join(map(quote_name, undo.key))
                new = f"(SELECT * FROM came ANTI JOIN gone USING ({key}))" if key else "came"
                self._delete_all(connection, new, undo.columns)
                self._wait_visible(known, undo.columns, undo.before, undo.folder)
                journal.note(undo.token, "taken back", rows=undo.came.rows)
        undo.remove()

    def send(self, dataset_id: str, change: Change, journal: Journal) -> Sent:
        """
        Carry out `change`: pushed as a difference where there is a push address, else as a whole file.

        Raises PublishRefused for rows that the portal cannot hold, before anything is sent; PortalFailed.
        """
        known = self._must(dataset_id)
        self._check_whole(known, change.columns)
        last = journal.last(change.token)
        if last is not None and last["state"] in ("visible", "compared"):
            return Sent(change.table.rows, 0, 0, already=True)
        with tables.connect(change.table.path.parent, threads=2) as connection:
            tables.load(connection, change.table, "data")
            self.load(dataset_id, change.columns, connection, "there")
            again = (journal.last(change.token) or {}).get("state") == "visible"
            records.expect(connection, change, again=again)
            problems = records.misfits(connection, "expected", change.columns)
            if not change.key and self.place:
                problems += records.doubles(connection)
            if problems:
                raise PublishRefused(
                    f"The portal cannot hold these rows: {'; '.join(problems)}.",
                    hint="Nothing was sent. Correct them in the transform; a key: tells rows apart that are equal.",
                )
            if self.place is None:
                return self._send_file(connection, known, change, journal)
            return self._send_difference(connection, known, change, journal)

    def _send_difference(
        self, connection: duckdb.DuckDBPyConnection, known: _Known, change: Change, journal: Journal
    ) -> Sent:
        """Push what is new or changed, then delete what is not to be there, then wait until all of it shows."""
        columns, kinds = change.columns, _kinds(change.columns)
        key = ", ".join(map(quote_name, change.key))
        connection.execute("CREATE TABLE came AS SELECT * FROM expected EXCEPT ALL SELECT * FROM there")
        connection.execute("CREATE TABLE gone AS SELECT * FROM there EXCEPT ALL SELECT * FROM expected")
        over = f"(SELECT * FROM gone ANTI JOIN came USING ({key}))" if key else "gone"
        before, expected = (digests.of_table(connection, name, kinds) for name in ("there", "expected"))
        if before == expected:
            return Sent(change.table.rows, 0, 0, already=True)
        undo = Undo.write(journal, connection, change, before=before, expected=expected)
        journal.note(change.token, "pushing", dataset=known.uid)
        if not known.published:
            configure(self.client, known.uid, columns, change.key)
            self.client.publish(known.uid)
        pushed = self._push_all(connection, "came", columns)
        deleted = self._delete_all(connection, over, columns)
        self._wait_visible(self._must(known.uid), columns, expected, change.table.path.parent)
        journal.note(change.token, "visible", rows=pushed.rows + deleted.rows)
        undo.remove()
        size, requests = pushed.bytes + deleted.bytes, pushed.requests + deleted.requests
        return Sent(change.table.rows, size, requests)

    def _push_all(
        self, connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]
    ) -> Sent:
        return self._each(connection, relation, columns, self.client.push)

    def _delete_all(
        self, connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]
    ) -> Sent:
        return self._each(connection, relation, columns, self.client.delete)

    def _each(
        self, connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], write: Any
    ) -> Sent:
        rows = size = requests = 0
        for number, body in records.bodies(connection, relation, columns):
            write(self.place, body)
            rows, size, requests = rows + number, size + len(body), requests + 1
        return Sent(rows, size, requests)

    def _wait_visible(self, known: _Known, columns: Sequence[Column], expected: str, work: Path) -> None:
        """Look until the portal shows what was pushed. Raises PortalFailed when that moves no more for `visible_s`."""

        def ask() -> tuple[str, str]:
            with tables.connect(work, threads=2) as connection:
                self.load(known.uid, columns, connection, "shown")
                found = digests.of_table(connection, "shown", _kinds(columns))
            return found, found

        patience = Patience(self._visible_s, MOST_S, self._poll_s / 8, 8 * self._poll_s)
        what = "processing the records that it took"
        any(found == expected for found in watched(ask, what, patience, pause_s=self._poll_s))

    def _send_file(
        self, connection: duckdb.DuckDBPyConnection, known: _Known, change: Change, journal: Journal
    ) -> Sent:
        """Upload all rows as a file, let the portal process it, and read what it could not take."""
        rid = self._file_resource(known)
        path = change.table.path.parent / f".{FILE_NAME}.{_mark(change.token)}"
        try:
            records.write_csv(connection, "expected", change.columns, path)
            size = path.stat().st_size
            journal.note(change.token, "uploading", dataset=known.uid, bytes=size)
            with path.open("rb") as stream:
                uploaded = self.client.upload(known.uid, FILE_NAME, stream)
        finally:
            path.unlink(missing_ok=True)
        body = {
            "type": "csvfile", "title": FILE_NAME,
            "params": {"doublequote": True, "encoding": "utf-8", "first_row_no": 1, "headers_first_row": True,
                       "separator": ","},
            "datasource": {"type": "uploaded_file", "file": {"uid": uploaded}},
        }  # fmt: skip
        if not known.published:
            configure(self.client, known.uid, change.columns, change.key)
        journal.note(change.token, "processing", dataset=known.uid, file=uploaded)
        where = f"/datasets/{known.uid}/resources/"
        self.client.ask("PUT", f"{where}{rid}/", body) if rid else self.client.ask("POST", where, body)
        done = self.client.publish(known.uid)
        if done.errors:
            where = records.by_field(done.errors, change.columns)
            raise PublishRefused(
                f"The portal could not take {len(done.errors):,} records: {where}.",
                hint="Its list of them is on the dataset's page. Nothing is called released.",
            )
        return Sent(change.table.rows, size, 3, reference=uploaded)

    @understood
    def _file_resource(self, known: _Known) -> str:
        """The uid of the file source that ctnb made, empty when there is no source. Raises PublishRefused."""
        there = self.client.resources(known.uid)
        ours = [one for one in there if (one.get("datasource") or {}).get("type") == "uploaded_file"]
        if len(there) > 1 or len(ours) < len(there):
            raise PublishRefused(
                f"The dataset has {len(there)} sources, of which {len(ours)} are uploaded files; ctnb replaces one.",
                hint="For a realtime source write push_url: and push_key: into portal.yml; else take the others out.",
            )
        return str(ours[0]["uid"]) if ours else ""

    # -- what is known of a dataset

    @understood
    def _names(self, known: _Known, columns: Sequence[Column]) -> list[str]:
        """The names of those `columns` that the published dataset has."""
        there = (
            {one.name for one in fields_of(self.client.described(known.slug), [])}
            if known.published
            else set()
        )
        return [column.name for column in columns if column.name in there]

    def _check_whole(self, known: _Known, columns: Sequence[Column]) -> None:
        """Raise PublishRefused where the portal has fields that a change would empty: a record is replaced whole."""
        if not known.published:
            return
        ours = {column.name for column in columns}
        more = [one.name for one in fields_of(self.client.described(known.slug), []) if one.name not in ours]
        if more and self.place:
            raise PublishRefused(
                f"The portal has {len(more)} fields that the contract does not have; a push would empty them.",
                hint="Opendatasoft replaces records whole: write them into dataset.yml, or take them out there.",
            )

    @understood
    def _find(self, dataset_id: str) -> _Known | None:
        said = self.client.dataset(dataset_id)
        if said is None:
            return None
        title = ((said.get("metadata") or {}).get("default") or {}).get("title") or {}
        return _Known(
            str(said["uid"]), str(said["dataset_id"]), bool(said.get("is_published")),
            bool(said.get("is_restricted")), str(title.get("value") or ""),
        )  # fmt: skip

    def _must(self, dataset_id: str) -> _Known:
        known = self._find(dataset_id)
        if known is None:
            raise PortalFailed(
                "The portal has no such dataset any more.", hint="Check the dataset's id in portal.yml."
            )
        return known


def _kinds(columns: Sequence[Column]) -> list[tuple[str, Kind]]:
    return [(column.name, column.kind) for column in columns]


def _mark(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8")).hexdigest()[:8]


def _slug(title: str) -> str:
    """The title as an identifier: small letters, digits and -, at most 60."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-") or "dataset"
