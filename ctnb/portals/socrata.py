"""A Socrata portal as `ctnb.portals.interface.Portal`: rows by SODA 2, all or nothing, or by a revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ctnb.clients.answers import understood
from ctnb.clients.dsmapi import Dsmapi
from ctnb.clients.socrata import Socrata, View
from ctnb.contracts.columns import NUMERIC, Column
from ctnb.errors import PortalFailed
from ctnb.portals import (
    attaching,
    revisions,
    socrata_attachments,
    socrata_copies,
    socrata_metadata,
    socrata_views,
    soda,
)
from ctnb.portals.interface import (
    Attachments,
    Change,
    Described,
    Part,
    PortalField,
    PortalFile,
    Sent,
    Summary,
    There,
)
from ctnb.portals.revisions import Sending
from ctnb.portals.socrata_attachments import Filing
from ctnb.values import TYPES

if TYPE_CHECKING:
    import duckdb

    from ctnb.portals.journal import Journal

ONE_REQUEST_BYTES = 10 << 20
SUMMED_COLUMNS = 20
"""How many columns one question for counts and sums names; addresses have a length."""


class SocrataPortal:
    """One Socrata portal, as one account sees it."""

    kind = "socrata"

    def __init__(self, name: str, client: Socrata, *, one_request_bytes: int = ONE_REQUEST_BYTES) -> None:
        """`one_request_bytes` is the largest body that goes in one request."""
        self.name = name
        self.url = client.url
        self.client = client
        self._dsmapi = Dsmapi(client.exchange)
        self._one_request_bytes = one_request_bytes

    def address(self, dataset_id: str) -> str:
        """Where people see the dataset."""
        return f"{self.url}/d/{dataset_id}"

    def type_of(self, column: Column) -> str:
        """Socrata's dataTypeName for `column`."""
        return TYPES[column.type].soda

    def there(self, dataset_id: str) -> There | None:
        """What the portal says of a dataset; None when it has no such dataset. Raises PortalFailed."""
        view = self.client.view(dataset_id)
        return None if view is None else self._there(view)

    def load(
        self, dataset_id: str, columns: Sequence[Column], connection: duckdb.DuckDBPyConnection, name: str
    ) -> int:
        """
        Read all rows into `connection` as the table `name`; returns how many cells do not fit `columns`.

        Raises PortalFailed, also when rows were written while they were read.
        """
        before = self._version(dataset_id)
        pages = self.client.rows(dataset_id, [column.name for column in columns])
        lost = soda.load(connection, name, columns, pages)
        if self._version(dataset_id) != before:
            raise PortalFailed(
                "The portal's rows changed while they were read.", hint="Somebody else writes; try again."
            )
        return lost

    def summary(self, dataset_id: str, columns: Sequence[Column]) -> Summary:
        """Counts, empty cells, sums and extremes, computed by the portal. Raises PortalFailed."""
        said: dict[str, Any] = {}
        for at in range(0, max(len(columns), 1), SUMMED_COLUMNS):
            part = columns[at : at + SUMMED_COLUMNS]
            asked = ["count(*) as n", *(f"count(`{c.name}`) as n_{at + i}" for i, c in enumerate(part))]
            for place, column in enumerate(part, at):
                if column.type in NUMERIC:
                    asked.append(f"sum(`{column.name}`) as s_{place}")
                if column.type in ("date", "timestamp"):
                    asked += [f"{edge}(`{column.name}`) as {edge}_{place}" for edge in ("min", "max")]
            said |= self.client.question(dataset_id, ",".join(asked))
        return _summary(said, columns)

    def settle(self, dataset_id: str, journal: Journal) -> None:
        """Wait for a revision that an earlier sending left under way. Raises PortalFailed."""
        revisions.settle(self._dsmapi, dataset_id, journal)

    @understood
    def find(self, token: str) -> str | None:
        """The id of the dataset that `create` made for `token`, also when its answer was lost. Raises PortalFailed."""
        own = (view for view in self.client.views() if socrata_metadata.token_of(view) == token)
        found = next(own, None)
        if found is None:
            return None
        if found.get("publicationStage") == "unpublished":
            return self.client.publish(str(found["id"]))
        return str(found["id"])

    def create(self, described: Described, token: str) -> str:
        """Create a private dataset without rows and return its id. Raises PortalFailed."""
        words = socrata_metadata.creation(described, token)
        key = described.key[0] if described.key else None
        return self.client.publish(self.client.create(words, soda.fields(described.columns), key))

    @understood
    def describe(self, dataset_id: str, described: Described) -> None:
        """Bring title, description, metadata and columns' words up to date. Raises PortalFailed."""
        view = self.client.view(dataset_id)
        document = view.document if view else {}
        changes = socrata_metadata.changes(document, described)
        if changes:
            self.client.describe(dataset_id, changes)
        for number, words in socrata_metadata.column_changes(document, described):
            self.client.describe_column(dataset_id, number, words)

    def send(self, dataset_id: str, change: Change, journal: Journal) -> Sent:
        """
        Carry out `change`: in one all-or-nothing request where twice is once and it fits, else by a revision.

        Files that change with the rows are attached by the same revision, which such a change therefore becomes.
        A revision cannot upsert and delete: where one request cannot, that becomes two, and readers see the state
        between.
        Raises PublishRefused when the portal rejects rows, ApprovalAwaited, PortalFailed.
        """
        fits = (change.gone or not change.files) and (change.kind == "replace" or change.key)
        body = soda.encode_change(change, self._one_request_bytes) if fits else None
        if body is None and change.gone:
            done = [self.send(dataset_id, half, journal) for half in change.halves()]
            return _together(done)
        if body is None:
            view = self.client.view(dataset_id)
            columns = view.document.get("columns", []) if view else []
            known = {str(column["fieldName"]): column for column in columns}
            filing = Filing(self.client.exchange, dataset_id, change.files) if change.files else None
            sending = Sending(self._dsmapi, dataset_id, change, known, journal, change.token, filing)
            return revisions.send(sending)
        revisions.supersede(self._dsmapi, dataset_id, journal)
        journal.note(change.token, "sending", bytes=len(body))
        gone = change.gone.rows if change.gone else 0
        if change.kind == "replace":
            self.client.replace(dataset_id, body)
        elif change.kind == "delete":
            self.client.delete(dataset_id, body, change.table.rows)
        else:
            self.client.upsert(dataset_id, body, gone)
        return Sent(change.table.rows + gone, len(body), 1)

    def attached(self, dataset_id: str) -> tuple[PortalFile, ...]:
        """The files that are attached to the dataset. Raises PortalFailed."""
        return socrata_attachments.attached(self.client.exchange, dataset_id)

    def attachment_digest(self, dataset_id: str, file: PortalFile) -> str:
        """SHA-256 of a file's bytes as the portal hands them out. Raises PortalFailed."""
        return socrata_attachments.digest(self.client.exchange, dataset_id, file)

    def attach(self, dataset_id: str, files: Attachments, token: str, journal: Journal) -> None:
        """Make `files` those that are attached, by a revision of its own. Raises ApprovalAwaited, PortalFailed."""
        if any(one.todo for one in attaching.compare(self, dataset_id, files)):
            filing = Filing(self.client.exchange, dataset_id, files)
            revisions.send(Sending(self._dsmapi, dataset_id, None, {}, journal, f"{token}:files", filing))

    def set_public(self, dataset_id: str, public: bool) -> None:
        """Open the dataset to everybody, or close it. Raises PortalFailed."""
        self.client.set_public(dataset_id, public)

    def share(self, dataset_id: str, people: Sequence[str]) -> None:
        """Let exactly these accounts (mail addresses) read the dataset while it is private. Raises PortalFailed."""
        socrata_views.share(self.client.exchange, dataset_id, people)

    def add_fields(self, dataset_id: str, columns: Sequence[Column], journal: Journal) -> None:
        """Add columns, empty in every row. Raises PublishRefused, PortalFailed."""
        socrata_copies.add_fields(self.client.exchange, dataset_id, columns, journal)

    def show(self, dataset_id: str, parts: Sequence[Part], known: Mapping[str, str]) -> dict[str, str]:
        """Make filtered views, or bring them up to date; returns their ids by name. Raises PortalFailed."""
        return socrata_views.show(self.client.exchange, dataset_id, parts, known)

    @understood
    def _there(self, view: View) -> There:
        fields = tuple(PortalField(f.field_name, f.name, f.data_type, f.description) for f in view.fields)
        key = (view.row_identifier,) if view.row_identifier else ()
        rows, words = self.client.count(view.id), socrata_metadata.said_of(view.document)
        url = self.address(view.id)
        readers = socrata_views.readers(view.document)
        audience = (
            (f"{readers} {'person' if readers == 1 else 'people'} it is shared with",) if readers else ()
        )
        return There(view.id, view.name, url, fields, key, view.public, rows, view.version, words, audience)

    def _version(self, dataset_id: str) -> tuple[str, int]:
        view = self.client.view(dataset_id)
        return (view.version if view else ""), self.client.count(dataset_id)


def _together(done: Sequence[Sent]) -> Sent:
    """What became of a change that went as several."""
    return Sent(
        rows=sum(one.rows for one in done), bytes=sum(one.bytes for one in done),
        requests=sum(one.requests for one in done), already=all(one.already for one in done),
        reference=", ".join(one.reference for one in done if one.reference),
    )  # fmt: skip


@understood
def _summary(said: Mapping[str, Any], columns: Sequence[Column]) -> Summary:
    rows = int(said["n"])
    empty = {column.name: rows - int(said[f"n_{at}"]) for at, column in enumerate(columns)}
    totals = {
        column.name: Decimal(str(said.get(f"s_{at}") or 0))
        for at, column in enumerate(columns)
        if column.type in NUMERIC
    }
    extremes = {
        column.name: (_moment(column, said[f"min_{at}"]), _moment(column, said[f"max_{at}"]))
        for at, column in enumerate(columns)
        if said.get(f"min_{at}")
    }
    return Summary(rows, empty, totals, extremes)


def _moment(column: Column, text: str) -> str:
    """A date or timestamp of the portal in canonical text."""
    if column.type == "date":
        return text[:10]
    seconds, _, fraction = text.partition(".")
    return f"{seconds}.{fraction.ljust(6, '0')}"
