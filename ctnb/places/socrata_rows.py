"""
The rows of a Socrata dataset, every one of them once.

Protocol: dev.socrata.com, "Paging Through Data", "System Fields", "SoQL Queries", "Response Codes". Pages have
a total order, which ends in `:id` (or is that of the groups), and what the portal counts before and after must
be what arrived: a portal neither freezes a dataset while it is read nor says that a page is short.
"""

from __future__ import annotations

import csv
import email.utils
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctnb import clock, digests
from ctnb.clients.getting import Answer, Getter, TooLarge, check_way, is_private_way, not_json
from ctnb.clients.socrata import error_code
from ctnb.contracts.places import SocrataRows
from ctnb.errors import ContractInvalid, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import customs, socrata_addresses
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.socrata_addresses import Asked
from ctnb.places.socrata_cells import SYSTEM_FIELDS, Field, Layout
from ctnb.snapshots import Writer

READINGS = 3
"""How often a dataset is read anew because it changed meanwhile."""
_QUOTED = re.compile(r"'(?:[^']|'')*'|`[^`]*`")
_AGGREGATE = re.compile(
    r"\b(count|sum|avg|min|max|median|stddev_\w+|var_\w+|regr_\w+|extent|convex_hull)\s*\(", re.IGNORECASE
)
_DISTINCT = re.compile(r"\s*distinct\b", re.IGNORECASE)
_SAME_SECOND_S = 2


class _Changed(Exception):
    """The dataset is not what it was when the reading began; the text says in what respect."""


@dataclass(frozen=True)
class _View:
    """What the portal's metadata say of a dataset."""

    fields: tuple[Field, ...]
    updated: int | None
    """`rowsUpdatedAt`: when its rows were changed, in seconds since 1970."""
    settled: bool
    """Whether no later change can have the same second as `updated`."""


@dataclass
class _Portal:
    """A dataset on its portal, as one account sees it."""

    getter: Getter
    asked: Asked
    behind: bool = False
    """Whether an answer said that it lags behind the last change."""
    moments: set[str] = field(default_factory=set)
    """When the rows were last changed, as the answers say."""

    def view(self) -> _View:
        """The dataset's metadata. Raises SourceInvalid, SourceFailed, UsageError."""
        answer = self._said(f"/api/views/{self.asked.dataset}.json", {})
        return _view(answer, self.asked)

    def count(self) -> int:
        """How many rows there are under the filters, groups not counted."""
        query = {"$select": "count(*) as n", **self._parameters("where", "q")}
        said = self._rows(self._said(self._path("json"), query))
        try:
            return int(said[0]["n"])
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


def fetch(place: SocrataRows, request: Request) -> Fetched:
    """
    Every row of the dataset under its clauses, as one CSV file with the columns in the portal's order.

    A point is `POINT (longitude latitude)`, other geometries are GeoJSON; links, places, documents and phone
    numbers have further columns for their parts. Raises NothingNew when neither the rows' time nor their count
    nor the question changed since the last release, SourceFailed when the dataset changes while it is read,
    SourceInvalid, ContractInvalid, UsageError.
    """
    asked = _asked(place)
    portal, view = _entered(place, request, asked)
    told = json.dumps([asked.origin, asked.dataset, asked.parameters], sort_keys=True)
    question = digests.of_bytes(told.encode())
    count = portal.count()
    position = {"rows_updated_at": view.updated, "count": count, "question": question}
    if not request.again and view.updated is not None and dict(request.position) == position:
        raise NothingNew(f"The dataset {asked.dataset} has not changed since the last release.")
    what = f"{portal.getter.who} {asked.dataset}"
    with Writer(request.work, f"{asked.dataset}.csv", request.prefix) as writer:
        for _ in range(READINGS):
            try:
                layout, rows = _read(portal, view, count, writer, place.page_rows, what, request)
                _check_unchanged(portal, view, count)
            except _Changed as change:
                told = str(change)
                view, count = portal.view(), portal.count()
                continue
            position |= {"rows_updated_at": view.updated, "count": count}
            return Fetched(
                (writer.done(),), "csv", position=position if view.settled else {}, rows=rows,
                modified=None if view.updated is None else clock.stamp_of(view.updated),
                notes=_notes(view, layout, asked), types=layout.types,
            )  # fmt: skip
    raise SourceFailed(
        f"The dataset {asked.dataset} changed while it was read, {READINGS} times: {told}.",
        hint="Nothing was kept. Try again when nobody writes to it.",
    )


def _asked(place: SocrataRows) -> Asked:
    names = socrata_addresses.CLAUSES
    asked = socrata_addresses.asked(
        place.dataset, place.domain, {name: getattr(place, name) for name in names}
    )
    if _DISTINCT.match(asked.clauses.get("select", "")):
        raise ContractInvalid(
            "The source's select: begins with distinct, which has no order to page by.",
            hint="Write the same columns under select: and under group:.",
        )
    return asked


def _entered(place: SocrataRows, request: Request, asked: Asked) -> tuple[_Portal, _View]:
    """The dataset, by the contract's account; or by none, and where that is refused by a customary one."""
    account = None
    if place.user is not None and place.password is not None:
        account = request.text(place.user), request.secret(place.password)
    token = request.secret(place.app_token) if place.app_token else None
    if account or token:
        check_way(asked.origin)
    if place.user is not None or not is_private_way(asked.origin):
        portal = _portal(place, request, asked, account, token)
        return portal, portal.view()
    portal = _portal(place, request, asked, None, token or customs.socrata_token())
    customary = customs.socrata_account()
    if customary is None:
        return portal, portal.view()
    try:
        return portal, portal.view()
    except (UsageError, SourceInvalid):  # refused, or hidden from whoever has no account
        pass
    portal = _portal(place, request, asked, customary, token or customs.socrata_token())
    return portal, portal.view()


def _portal(
    place: SocrataRows, request: Request, asked: Asked, account: tuple[str, str] | None, token: str | None
) -> _Portal:
    getter = Getter(
        asked.origin, auth=account, headers={"X-App-Token": token} if token else None,
        timeout_s=place.timeout_s, wait_s=place.wait_s,
        ca_file=request.project / place.ca_file if place.ca_file else None,
    )  # fmt: skip
    return _Portal(getter, asked)


def _view(answer: Answer, asked: Asked) -> _View:
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
    return _View(tuple(map(_field, said["columns"])), updated, _is_settled(answer, updated))


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


def _read(
    portal: _Portal, view: _View, count: int, writer: Writer, size: int, what: str, request: Request
) -> tuple[Layout, int]:
    """Write every page; how the columns are laid out, and how many rows came."""
    clauses = portal.asked.clauses
    portal.behind, portal.moments = False, set()
    layout = Layout(_fields(portal, view))
    writer.restart()
    writer.write(layout.header.encode())
    alone = "group" not in clauses and bool(_AGGREGATE.search(_QUOTED.sub("", clauses.get("select", ""))))
    grouped = "group" in clauses
    order = clauses["group"] if grouped else None if alone else ":id"
    expected = 1 if alone else None if grouped else count
    rows = 0
    for page in portal.pages(order, expected, size):
        _check_keys(page, layout, anything=not clauses.get("select"))
        writer.write(layout.lines(page))
        rows += len(page)
        request.progress(Progress(what, rows, expected, "rows"))
    if not alone and not grouped and rows != count:
        raise _Changed(f"{count:,} rows were counted and {rows:,} came")
    return layout, rows


def _fields(portal: _Portal, view: _View) -> Sequence[Field]:
    """The columns of the answer: those of the metadata, or what the clauses make of them."""
    if not portal.asked.clauses.keys() & {"select", "group"}:
        return [one for one in view.fields if not one.name.startswith(":")]
    known = {one.name: one for one in view.fields}
    system = {name: Field(name, kind) for name, kind in SYSTEM_FIELDS.items()}
    return [known.get(name) or system.get(name) or Field(name, "") for name in portal.columns()]


def _check_keys(page: Sequence[Mapping[str, Any]], layout: Layout, *, anything: bool) -> None:
    """A key that is no column; where nothing was selected, system fields may be there and are left out."""
    seen = {name for row in page for name in row}
    if any(not (anything and name.startswith(":")) for name in seen - layout.names):
        raise _Changed("rows have a column that the metadata did not list")


def _check_unchanged(portal: _Portal, view: _View, count: int) -> None:
    after = portal.count()
    if after != count:
        raise _Changed(f"{count:,} rows were counted before and {after:,} after")
    last = portal.view()
    if (last.updated, last.fields) != (view.updated, view.fields):
        raise _Changed("the portal says that it was updated meanwhile")
    if portal.behind:
        raise _Changed("the portal has not caught up with its own last change")
    if len(portal.moments) > 1:
        raise _Changed("its pages are of different times")


def _halved(size: int) -> int:
    if size == 1:
        raise SourceInvalid(
            "A single row of the dataset is larger than ctnb takes.",
            hint="Leave its largest column out by select:.",
        )
    return size // 2


def _notes(view: _View, layout: Layout, asked: Asked) -> tuple[str, ...]:
    notes = [
        f"{cells:,} cells of {name} have parts that its type does not have; they are left out."
        for name, cells in sorted(layout.odd.items())
    ]
    regions = sum(one.name.startswith(":@") for one in view.fields)
    if regions and not asked.clauses.keys() & {"select", "group"}:
        notes.append(
            f"{regions} columns that the portal computes are left out; name them in select: to have them."
        )
    return tuple(notes)


def _refusal(answer: Answer, asked: Asked) -> Exception:
    """What a status other than 200 means for whoever wrote the contract."""
    code = error_code(answer.content)
    said = f"status {answer.status}{f', {code}' if code else ''}"
    if answer.status in (401, 403):
        return UsageError(
            f"{answer.who} does not let this account read {asked.dataset} ({said}).",
            hint="A private dataset needs user: and password: of an account (or an API key) that may read it; an app "
            "token alone opens nothing, and a wrong one closes everything.",
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
