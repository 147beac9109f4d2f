"""
A client for Socrata's SODA 2 and views interfaces, as the embedded portal speaks them too.

Protocol: dev.socrata.com, "Producer API", "Paging", "System fields", "Response codes". Credentials are sent
as HTTP Basic (API key id and secret, or user name and password) and never stand in a URL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
from tenacity import stop_after_attempt

from ctnb.clients.getting import PATIENCE_S, AgainError, repeating, retry_after
from ctnb.errors import PortalFailed

PAGE_ROWS = 20_000
ATTEMPTS = 4
AGAIN = frozenset([429, 500, 502, 503, 504])


@dataclass(frozen=True)
class Credentials:
    """An account of a portal."""

    key_id: str
    """API key id, or user name."""
    key_secret: str = field(repr=False)
    """API key secret, or password."""


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
        self, url: str, credentials: Credentials | None, *, timeout_s: float = 60.0, pause_s: float = 0.2
    ) -> None:
        """
        `url` is the portal's address without a path; `timeout_s` the seconds to wait for each answer, `pause_s`
        those before the first repetition of a reading; each next pause is about twice as long, 10 s at most, or what
        the portal asks for.
        """
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._session = requests.Session()
        self._session.trust_env = False
        if credentials:
            self._session.auth = (credentials.key_id, credentials.key_secret)

    def view(self, dataset_id: str) -> View | None:
        """The dataset's metadata; None when the portal has no such dataset. Raises PortalFailed."""
        answer = self._get(f"/api/views/{dataset_id}.json", missing=True)
        return None if answer is None else _view(_said(answer))

    def create(
        self, name: str, description: str, fields: Sequence[FieldSpec], row_identifier: str | None
    ) -> View:
        """Create a dataset: a working copy that nobody else sees, published private. Raises PortalFailed."""
        columns = [
            {
                "fieldName": f.field_name,
                "name": f.name,
                "dataTypeName": f.data_type,
                "description": f.description,
            }
            for f in fields
        ]
        body: dict[str, Any] = {"name": name, "description": description, "columns": columns}
        if row_identifier:
            body["metadata"] = {"rowIdentifier": row_identifier}
        made = self._send("POST", "/api/views.json", body)
        dataset_id = str(made["id"])
        published = self._send("POST", f"/api/views/{dataset_id}/publication.json", None)
        found = self.view(str(published.get("id", dataset_id)))
        if found is None:
            raise PortalFailed("The portal does not know the dataset it just created.", hint="Try again.")
        self.set_public(found.id, False)
        return found

    def describe(self, dataset_id: str, changes: Mapping[str, Any]) -> None:
        """Change metadata; only the keys given. Raises PortalFailed."""
        self._send("PUT", f"/api/views/{dataset_id}.json", dict(changes))

    def set_public(self, dataset_id: str, public: bool) -> None:
        """Open the dataset to everybody, or close it. Raises PortalFailed."""
        value = "public.read" if public else "private"
        self._send("PUT", f"/api/views/{dataset_id}.json?method=setPermission&value={value}", None)

    def count(self, dataset_id: str) -> int:
        """How many rows the dataset has. Raises PortalFailed."""
        answer = self._get(f"/resource/{dataset_id}.json", {"$select": "count(*) as n"})
        rows = _said(answer) if answer is not None else []
        return int(rows[0]["n"]) if rows else 0

    def question(self, dataset_id: str, select: str) -> dict[str, Any]:
        """The one row that answers the aggregates of `select`, a SoQL list of columns. Raises PortalFailed."""
        answer = self._get(f"/resource/{dataset_id}.json", {"$select": select})
        rows = _said(answer) if answer is not None else []
        return dict(rows[0]) if rows else {}

    def rows(self, dataset_id: str, fields: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
        """
        All rows, in pages, ordered by `:id` so that none is missed or met twice; an empty cell has no key.

        Raises PortalFailed.
        """
        select = ",".join(f"`{name}`" for name in fields)
        offset = 0
        while True:
            query = {"$select": select, "$order": ":id", "$limit": PAGE_ROWS, "$offset": offset}
            answer = self._get(f"/resource/{dataset_id}.json", query)
            page: list[dict[str, Any]] = _said(answer) if answer is not None else []
            if page:
                yield page
            if len(page) < PAGE_ROWS:
                return
            offset += len(page)

    def replace(self, dataset_id: str, body: bytes) -> Upserted:
        """All rows at once become those of `body`, a JSON array. Not retried. Raises PortalFailed."""
        return self._write("PUT", dataset_id, body)

    def upsert(self, dataset_id: str, body: bytes) -> Upserted:
        """Insert, update by row identifier, or delete (`:deleted`) the rows of `body`. Raises PortalFailed."""
        return self._write("POST", dataset_id, body)

    def _write(self, method: str, dataset_id: str, body: bytes) -> Upserted:
        said = self._send(method, f"/resource/{dataset_id}.json", body)
        done = Upserted(
            *(int(said.get(name, 0)) for name in ("Rows Created", "Rows Updated", "Rows Deleted", "Errors"))
        )
        if done.errors:
            raise PortalFailed(
                f"The portal reports {done.errors} errors for rows it was sent, in an answer that says 200.",
                hint="Nothing was released. Compare the portal's rows with the last release before trying again.",
            )
        return done

    def _get(
        self, path: str, query: Mapping[str, Any] | None = None, *, missing: bool = False
    ) -> requests.Response | None:
        retrying = repeating(stop_after_attempt(ATTEMPTS), self._pause_s)
        try:
            return retrying(self._get_once, path, query, missing)
        except AgainError as again:
            told = str(again)
        raise PortalFailed(f"The portal did not answer: {told}, {ATTEMPTS} times.", hint="Try again later.")

    def _get_once(
        self, path: str, query: Mapping[str, Any] | None, missing: bool
    ) -> requests.Response | None:
        try:
            answer = self._session.get(self.url + path, params=query, timeout=self._timeout_s)
        except requests.RequestException as error:
            kind = type(error).__name__
        else:
            if answer.status_code in AGAIN or answer.status_code == 202:
                raise AgainError(f"status {answer.status_code}", _wait_s(answer))
            if missing and answer.status_code == 404:
                return None
            self._check(answer)
            return answer
        raise AgainError(kind)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | bytes | None) -> dict[str, Any]:
        """A write, once: whether it took effect after a broken answer is for the caller to read back."""
        content = json.dumps(body).encode() if isinstance(body, Mapping) else body
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            answer = self._session.request(
                method,
                self.url + path,
                data=content,
                headers=headers,
                timeout=self._timeout_s,
                allow_redirects=False,  # a redirected write becomes a GET, which changes nothing and says 200
            )
        except requests.RequestException as error:
            kind = type(error).__name__
        else:
            self._check(answer)
            said = _said(answer) if answer.content.strip() else {}
            return said if isinstance(said, dict) else {}
        raise PortalFailed(
            f"The portal did not answer a write ({kind}).", hint="Run publish again: it reads first."
        )

    def _check(self, answer: requests.Response) -> None:
        if answer.status_code in (200, 201, 202):
            if "json" in answer.headers.get("Content-Type", "json") or not answer.content:
                return
            raise PortalFailed(f"The portal answered with {answer.headers['Content-Type']}, not JSON.")
        code = error_code(answer.content)
        raise PortalFailed(
            f"The portal refused: status {answer.status_code}{f', {code}' if code else ''}.",
            hint=_ADVICE.get(answer.status_code, "Try again later; if it stays, tell the portal's administrators."),
            status=answer.status_code, code=code,
        )  # fmt: skip


def _wait_s(answer: requests.Response) -> float | None:
    """The pause that the portal asks for, as long as somebody who publishes would wait."""
    told_s = retry_after(answer)
    return None if told_s is None else min(told_s, PATIENCE_S)


_ADVICE = {
    400: "The portal's columns or types differ from the contract's; compare them.",
    401: "Check the credentials that ctnb.yml names for this portal.",
    403: "The account may not do this; check its role and the dataset's permissions.",
    404: "Check the dataset's id in portal.yml.",
    409: "Somebody else writes to this dataset; try again.",
    413: "The table is too large for one request.",
}


def _said(answer: requests.Response) -> Any:
    """The JSON of an answer. Raises PortalFailed, without the text, when it is none."""
    try:
        return answer.json()
    except ValueError:  # carries the whole text
        pass
    raise PortalFailed(
        "The portal answered with something that says it is JSON and is not.", hint="Try again later."
    )


def error_code(content: bytes) -> str:
    """
    The machine-readable code in either of Socrata's error envelopes, empty where there is none.

    Messages may quote data and are left out.
    """
    try:
        said = json.loads(content)
    except ValueError:
        return ""
    code = said.get("code") or said.get("errorCode") if isinstance(said, dict) else ""
    return (
        code
        if isinstance(code, str)
        and len(code) < 80
        and code.replace(".", "").replace("-", "").replace("_", "").isalnum()
        else ""
    )


def _view(said: Mapping[str, Any]) -> View:
    columns = [column for column in said.get("columns", []) if not column["fieldName"].startswith(":")]
    fields = tuple(
        FieldSpec(c["fieldName"], c["name"], c["dataTypeName"], c.get("description", "")) for c in columns
    )
    wanted = said.get("rowIdentifierColumnId")
    row_identifier = next((c["fieldName"] for c in columns if wanted is not None and c["id"] == wanted), None)
    public = any("public" in grant.get("flags", []) for grant in said.get("grants", []))
    version = str(said.get("rowsUpdatedAt", ""))
    return View(str(said["id"]), str(said.get("name", "")), fields, row_identifier, public, version)
