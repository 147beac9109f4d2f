"""
A dataset on a Socrata portal, as one account sees it: metadata, a count, pages, and what a refusal means.

Protocol: dev.socrata.com, "Paging Through Data", "SoQL Queries", "Response Codes".
"""

from __future__ import annotations

import csv
import email.utils
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ctnb import clock
from ctnb.clients.getting import Answer, Getter, TooLarge, not_json
from ctnb.clients.socrata import error_code
from ctnb.errors import SourceFailed, SourceInvalid, UsageError
from ctnb.places import socrata_addresses
from ctnb.places.socrata_addresses import Asked
from ctnb.places.socrata_cells import Field

_SAME_SECOND_S = 2


ROWS = "ctnb_rows"
"""The alias of a count: one that a column could be called would stand for it in the filters too."""


@dataclass(frozen=True)
class View:
    """What the portal's metadata say of a dataset."""

    fields: tuple[Field, ...]
    updated: int | None
    """`rowsUpdatedAt`: when its rows were changed, in seconds since 1970."""
    settled: bool
    """Whether no later change can have the same second as `updated`."""


@dataclass
class Portal:
    """A dataset on its portal, as one account sees it."""

    getter: Getter
    asked: Asked
    behind: bool = False
    """Whether an answer said that it lags behind the last change."""
    moments: set[str] = field(default_factory=set)
    """When the rows were last changed, as the answers say."""

    def view(self) -> View:
        """The dataset's metadata. Raises SourceInvalid, SourceFailed, UsageError."""
        answer = self._said(f"/api/views/{self.asked.dataset}.json", {})
        return _view(answer, self.asked)

    def count(self) -> int:
        """How many rows there are under the filters, groups not counted."""
        query = {"$select": f"count(*) as {ROWS}", **self._parameters("where", "q")}
        said = self._rows(self._said(self._path("json"), query))
        try:
            return int(said[0][ROWS])
        except (IndexError, KeyError, ValueError, TypeError):
            pass
        raise not_json(self.getter.who, "")

    def columns(self) -> tuple[str, ...]:
        """The names of the columns that the clauses give: the header of the same question asked for CSV."""
        names = ("select", "where", "group", "having", "q")
        answer = self._said(self._path("csv"), {**self._parameters(*names), "$limit": "1"})
        kind = answer.headers.get("Content-Type", "")
        if "csv" not in kind:
            raise not_json(self.getter.who, kind.partition(";")[0])
        lines = answer.content.decode("utf-8-sig", "replace").splitlines()
        return tuple(next(csv.reader(lines), ()))

    def pages(self, order: str | None, total: int | None, size: int) -> Iterator[list[Mapping[str, Any]]]:
        """The rows by `size` or fewer, until `total` are there, or a page is empty."""
        query = self._parameters("select", "where", "group", "having", "q")
        query |= {"$order": order} if order else {}
        at = 0
        while total is None or at < total:
            try:
                answer = self._said(self._path("json"), {**query, "$limit": str(size), "$offset": str(at)})
            except TooLarge:
                size = _halved(size)
                continue
            page = self._rows(answer)
            if not page:
                return
            at += len(page)
            yield page

    def _rows(self, answer: Answer) -> list[Mapping[str, Any]]:
        self.behind |= answer.headers.get("X-SODA2-Data-Out-Of-Date", "").lower() == "true"
        self.moments.add(answer.headers.get("X-SODA2-Truth-Last-Modified", ""))
        said = answer.json()
        if not isinstance(said, list) or not all(isinstance(row, dict) for row in said):
            raise not_json(self.getter.who, "")
        return said

    def _path(self, form: str) -> str:
        return f"/resource/{self.asked.dataset}.{form}"

    def _parameters(self, *names: str) -> dict[str, str]:
        told = self.asked.clauses
        return {**self.asked.filters, **{f"${name}": told[name] for name in names if name in told}}

    def _said(self, path: str, query: Mapping[str, str]) -> Answer:
        answer = self.getter.get(path, query)
        if answer.status == 200:
            return answer
        raise _refusal(answer, self.asked)


def _view(answer: Answer, asked: Asked) -> View:
    said = answer.json()
    if not isinstance(said, dict) or not isinstance(said.get("columns", []), list):
        raise not_json(answer.who, "")
    children = [one for one in said.get("childViews") or [] if isinstance(one, str)]
    if said.get("viewType", "tabular") != "tabular" or not said.get("columns"):
        shown = ", ".join(one for one in children if socrata_addresses.IDENTIFIER.fullmatch(one))
        raise SourceInvalid(
            f"{asked.dataset} on {answer.who} is no table: a map, a file, a link or a story.",
            hint=f"Its rows lie in {shown}." if shown else "Use the address of the dataset that it shows.",
        )
    updated = said.get("rowsUpdatedAt")
    updated = updated if isinstance(updated, int) else None
    return View(tuple(map(_field, said["columns"])), updated, _is_settled(answer, updated))


def _field(said: Mapping[str, Any]) -> Field:
    shown = said.get("format")
    style = shown.get("precisionStyle") if isinstance(shown, dict) else ""
    return Field(str(said.get("fieldName", "")), str(said.get("dataTypeName", "")), str(style or ""))


def _is_settled(answer: Answer, updated: int | None) -> bool:
    """By the portal's own clock: a second that is not over can see one more change."""
    try:
        asked_at = email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        asked_at = clock.now().timestamp()
    return updated is None or asked_at - updated >= _SAME_SECOND_S


def _halved(size: int) -> int:
    if size == 1:
        raise SourceInvalid(
            "A single row of the dataset is larger than ctnb takes.",
            hint="Leave its largest column out by select:.",
        )
    return size // 2


def _refusal(answer: Answer, asked: Asked) -> Exception:
    """What a status other than 200 means for whoever wrote the contract."""
    code = error_code(answer.content)
    said = f"status {answer.status}{f', {code}' if code else ''}"
    if answer.status in (401, 403):
        return UsageError(
            f"{answer.who} does not let this account read {asked.dataset} ({said}).",
            hint="A private dataset needs user: and password: of an account (or an API key) that may read it. An app "
            "token alone opens nothing, and a wrong one is refused too.",
        )
    if answer.status == 404:
        return SourceInvalid(
            f"{answer.who} has no dataset {asked.dataset}, or hides it from this account.",
            hint="Open its address in a browser; a dataset that was made anew has another id.",
        )
    if answer.status == 400:
        return SourceInvalid(
            f"{answer.who} does not understand the source's clauses ({said}).",
            hint="Correct select:, where:, group:, having: in dataset.yml; columns go by their field names.",
        )
    return SourceFailed(f"{answer.who} refused: {said}.", hint="Try again later.")
