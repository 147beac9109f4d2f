"""
The rows of a Socrata dataset, every one of them once.

Protocol: dev.socrata.com, "Paging Through Data", "System Fields", "SoQL Queries", "Response Codes". Pages have
a total order, which ends in `:id` (or is that of the groups), and what the portal counts before and after must
be what arrived: a portal neither freezes a dataset while it is read nor says that a page is short.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ctnb import clock, digests
from ctnb.clients.getting import Getter, check_way, is_private_way
from ctnb.contracts.places import SocrataRows
from ctnb.errors import ContractInvalid, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import customs, socrata_addresses
from ctnb.places.fetched import Fetched, Progress, Request
from ctnb.places.socrata_addresses import Asked
from ctnb.places.socrata_cells import SYSTEM_FIELDS, Field, Layout
from ctnb.places.socrata_portals import Portal, View
from ctnb.snapshots import Writer

READINGS = 3
"""How often a dataset is read anew because it changed meanwhile."""
_QUOTED = re.compile(r"'(?:[^']|'')*'|`[^`]*`")
_AGGREGATE = re.compile(
    r"\b(count|sum|avg|min|max|median|stddev_\w+|var_\w+|regr_\w+|extent|convex_hull)\s*\(", re.IGNORECASE
)
_DISTINCT = re.compile(r"\s*distinct\b", re.IGNORECASE)


class _Changed(Exception):
    """The dataset is not what it was when the reading began; the text says in what respect."""


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


def _entered(place: SocrataRows, request: Request, asked: Asked) -> tuple[Portal, View]:
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
) -> Portal:
    getter = Getter(
        asked.origin, auth=account, headers={"X-App-Token": token} if token else None,
        timeout_s=place.timeout_s, wait_s=place.wait_s,
        ca_file=request.project / place.ca_file if place.ca_file else None,
    )  # fmt: skip
    return Portal(getter, asked)


def _read(
    portal: Portal, view: View, count: int, writer: Writer, size: int, what: str, request: Request
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


def _fields(portal: Portal, view: View) -> Sequence[Field]:
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


def _check_unchanged(portal: Portal, view: View, count: int) -> None:
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


def _notes(view: View, layout: Layout, asked: Asked) -> tuple[str, ...]:
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
