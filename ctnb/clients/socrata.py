"""
A client for Socrata's SODA 2 and views interfaces, as the embedded portal speaks them too.

Protocol: dev.socrata.com, "Producer API", "Paging", "System fields", "Response codes". Credentials are sent
as HTTP Basic (API key id and secret, or user name and password) and never stand in a URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctnb.clients.answers import objects, understood
from ctnb.clients.exchanges import ATTEMPTS as ATTEMPTS
from ctnb.clients.exchanges import Credentials as Credentials
from ctnb.clients.exchanges import Exchange, said
from ctnb.clients.exchanges import error_code as error_code
from ctnb.errors import PortalFailed

PAGE_ROWS = 20_000
PAGE_VIEWS = 200


@dataclass(frozen=True)
class FieldSpec:
    """One column of a dataset on the portal."""

    field_name: str
    name: str
    data_type: str
    description: str = ""


@dataclass(frozen=True)
class View:
    """What the portal says of a dataset."""

    id: str
    name: str
    fields: tuple[FieldSpec, ...]
    row_identifier: str | None
    """Field name of the row identifier, if one is set."""
    public: bool
    version: str = ""
    """When its rows last changed, as the portal says it."""
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """All of it, as the portal says it."""


@dataclass(frozen=True)
class Upserted:
    """The portal's count of what a write did."""

    created: int
    updated: int
    deleted: int
    errors: int


class Socrata:
    """One portal, as one account sees it."""

    def __init__(
        self, url: str, credentials: Credentials | None, *, timeout_s: float = 60.0, pause_s: float = 0.2,
        ca_file: Path | None = None, soda: int = 2,
    ) -> None:  # fmt: skip
        """
        As Exchange takes them; `soda` 3 reads rows by the newer interface, which asks for an app token or an
        account. Raises UsageError when `ca_file` holds no certificates.
        """
        self.exchange = Exchange(url, credentials, timeout_s=timeout_s, pause_s=pause_s, ca_file=ca_file)
        self.url = self.exchange.url
        self._soda = soda
        self._has_token = bool(credentials and credentials.app_token)

    def view(self, dataset_id: str) -> View | None:
        """The dataset's metadata; None when the portal has no such dataset. Raises PortalFailed."""
        answer = self.exchange.get(f"/api/views/{dataset_id}.json", missing=True)
        return None if answer is None else _view(said(answer))

    def views(self) -> Iterator[Mapping[str, Any]]:
        """What the portal says of each dataset that the account may see. Raises PortalFailed."""
        number = 1
        while True:
            query = {"limit": PAGE_VIEWS, "page": number}
            answer = self.exchange.get("/api/views.json", query, missing=True)
            page = objects(said(answer)) if answer is not None else []
            yield from page
            if len(page) < PAGE_VIEWS:
                return
            number += 1

    @understood
    def create(
        self, words: Mapping[str, Any], fields: Sequence[FieldSpec], row_identifier: str | None
    ) -> str:
        """Create a dataset that nobody else sees: a working copy, whose id is returned. Raises PortalFailed."""
        columns = [
            {
                "fieldName": f.field_name,
                "name": f.name,
                "dataTypeName": f.data_type,
                "description": f.description,
            }
            for f in fields
        ]
        body: dict[str, Any] = {**words, "columns": columns}
        if row_identifier:
            body["metadata"] = {**body.get("metadata", {}), "rowIdentifier": row_identifier}
        return str(self.exchange.write("POST", "/api/views.json", body)["id"])

    @understood
    def publish(self, dataset_id: str) -> str:
        """Make the working copy a dataset, private; returns its id, which may be another. Raises PortalFailed."""
        published = self.exchange.write("POST", f"/api/views/{dataset_id}/publication.json")
        found = str(published.get("id", dataset_id))
        self.set_public(found, False)
        return found

    def describe(self, dataset_id: str, changes: Mapping[str, Any]) -> None:
        """Change metadata; only the keys given. Raises PortalFailed."""
        self.exchange.rewrite("PUT", f"/api/views/{dataset_id}.json", dict(changes))

    def describe_column(self, dataset_id: str, number: int, changes: Mapping[str, Any]) -> None:
        """Change the title or description of a column; only the keys given. Raises PortalFailed."""
        self.exchange.rewrite("PUT", f"/api/views/{dataset_id}/columns/{number}.json", dict(changes))

    def set_public(self, dataset_id: str, public: bool) -> None:
        """Open the dataset to everybody, or close it. Raises PortalFailed."""
        value = "public.read" if public else "private"
        self.exchange.rewrite("PUT", f"/api/views/{dataset_id}.json?method=setPermission&value={value}")

    @understood
    def count(self, dataset_id: str) -> int:
        """How many rows the dataset has. Raises PortalFailed."""
        rows = self._select(dataset_id, "count(*) as n")
        return int(rows[0]["n"]) if rows else 0

    def question(self, dataset_id: str, select: str) -> dict[str, Any]:
        """The one row that answers the aggregates of `select`, a SoQL list of columns. Raises PortalFailed."""
        rows = self._select(dataset_id, select)
        return rows[0] if rows else {}

    def rows(self, dataset_id: str, fields: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
        """
        All rows, in pages, ordered by `:id` so that none is missed or met twice; an empty cell has no key.

        Raises PortalFailed.
        """
        select, number = ",".join(f"`{name}`" for name in fields), 0
        while True:
            page = self._select(dataset_id, select, page=number)
            if page:
                yield page
            if len(page) < PAGE_ROWS:
                return
            number += 1

    def _select(self, dataset_id: str, select: str, page: int | None = None) -> list[dict[str, Any]]:
        """
        Rows of SODA 2; of SODA 3 where that was chosen, or where SODA 2 is gone and there is a token.

        dev.socrata.com, "SODA3": `POST /api/v3/views/<id>/query.json` with `query` and `page`, numbered from 1.
        """
        if self._soda == 2:
            query: dict[str, Any] = {"$select": select}
            if page is not None:
                query |= {"$order": ":id", "$limit": PAGE_ROWS, "$offset": page * PAGE_ROWS}
            path = f"/resource/{dataset_id}.json"
            answer = self.exchange.get(path, query, missing=self._has_token)
            if answer is not None:
                return objects(said(answer))
        body: dict[str, Any] = {"query": f"SELECT {select}", "includeSynthetic": False}
        if page is not None:
            body["query"] += " ORDER BY `:id`"
            body["page"] = {"pageNumber": page + 1, "pageSize": PAGE_ROWS}
        return objects(self.exchange.rewrite("POST", f"/api/v3/views/{dataset_id}/query.json", body))

    def replace(self, dataset_id: str, body: bytes) -> Upserted:
        """All rows at once become those of `body`, a JSON array. Not retried. Raises PortalFailed."""
        return self._write("PUT", dataset_id, body)

    def upsert(self, dataset_id: str, body: bytes, gone: int = 0) -> Upserted:
        """
        Insert, or update by row identifier, the rows of `body`. Not retried. Raises PortalFailed.

        `gone` of them are marked `:deleted`, and count as those of `delete` do.
        """
        return self._write("POST", dataset_id, body, keys=gone or -1)

    def delete(self, dataset_id: str, body: bytes, keys: int) -> Upserted:
        """
        Delete the rows that `body` marks `:deleted`, `keys` of them. Raises PortalFailed.

        A key that is gone already counts as one of `Errors` (dev.socrata.com, "upsert"): together with those
        deleted they must be all, and what is there afterwards is to be read back.
        """
        return self._write("POST", dataset_id, body, keys=keys)

    @understood
    def _write(self, method: str, dataset_id: str, body: bytes, keys: int = -1) -> Upserted:
        told = self.exchange.write(method, f"/resource/{dataset_id}.json", body)
        counts = told if isinstance(told, dict) else {}
        done = Upserted(
            *(int(counts.get(name, 0)) for name in ("Rows Created", "Rows Updated", "Rows Deleted", "Errors"))
        )
        if done.errors and done.errors + done.deleted != keys:
            raise PortalFailed(
                f"The portal reports {done.errors} errors for rows it was sent, in an answer that says 200.",
                hint="Nothing was released. Compare the portal's rows with the last release before trying again.",
            )
        return done


@understood
def _view(told: Mapping[str, Any]) -> View:
    columns = [column for column in told.get("columns", []) if not column["fieldName"].startswith(":")]
    fields = tuple(
        FieldSpec(c["fieldName"], c["name"], c["dataTypeName"], c.get("description", "")) for c in columns
    )
    wanted = told.get("rowIdentifierColumnId")
    row_identifier = next((c["fieldName"] for c in columns if wanted is not None and c["id"] == wanted), None)
    public = any("public" in grant.get("flags", []) for grant in told.get("grants", []))
    version = str(told.get("rowsUpdatedAt", ""))
    return View(str(told["id"]), str(told.get("name", "")), fields, row_identifier, public, version, told)
