"""
New columns of a Socrata dataset: added to a working copy, which then takes the dataset's place.

Protocol: dev.socrata.com, "Working copies". A dataset has one copy at a time. One that a break left open here is
discarded and begun anew, because its rows are as old as it is; one that may be somebody else's is left to people.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ctnb import clock
from ctnb.clients.answers import objects, understood
from ctnb.clients.exchanges import Exchange, said
from ctnb.contracts.columns import Column
from ctnb.errors import PortalFailed, PublishRefused
from ctnb.portals import soda
from ctnb.portals.journal import Journal

PAGE_VIEWS = 200
CONFLICT = 409
EARLIEST_S, LATEST_S = -60, 300
"""
Between which seconds after the journal's note the portal dates a copy whose opening was never answered; before the
note, because two clocks differ.
"""


@understood
def add_fields(exchange: Exchange, dataset_id: str, columns: Sequence[Column], journal: Journal) -> None:
    """
    Add those of `columns` that the dataset does not have, in one working copy that is published at once.

    A file beside `journal` says which copy is ctnb's own. Raises PublishRefused where a copy is open that may be
    somebody else's, PortalFailed.
    """
    view = _asked(exchange, f"/api/views/{dataset_id}.json")
    known = {str(one["fieldName"]) for one in view["columns"]}
    missing = [field for field in soda.fields(columns) if field.field_name not in known]
    if not missing:
        return
    own = Journal(journal.path.with_suffix(".copies.jsonl"))
    copies = [str(one["id"]) for one in _views(exchange) if _is_copy(one, view)]
    for copy in copies:
        if not _is_ours(exchange, copy, view, own, {field.field_name for field in missing}):
            raise _refused(dataset_id)
        exchange.rewrite("DELETE", f"/api/views/{copy}.json")
    own.note(dataset_id, "copying")
    copied = _open(exchange, dataset_id, own)
    own.note(dataset_id, "copied", copy=copied)
    for field in missing:
        body = {
            "fieldName": field.field_name, "name": field.name, "dataTypeName": field.data_type,
            "description": field.description,
        }  # fmt: skip
        exchange.write("POST", f"/api/views/{copied}/columns.json", body)
    exchange.write("POST", f"/api/views/{copied}/publication.json")


def _open(exchange: Exchange, dataset_id: str, own: Journal) -> str:
    """The id of a new working copy. Raises PublishRefused where somebody was quicker."""
    try:
        return str(exchange.write("POST", f"/api/views/{dataset_id}/publication.json?method=copy")["id"])
    except PortalFailed as failed:
        if getattr(failed, "status", None) != CONFLICT:
            raise
    own.note(dataset_id, "refused")
    raise _refused(dataset_id)


def _refused(dataset_id: str) -> PublishRefused:
    return PublishRefused(
        f"The dataset {dataset_id} has a working copy open, so no column can be added to it.",
        hint="Look at it on the portal: publish or discard it there, then publish again.",
    )


def _is_ours(
    exchange: Exchange, copy_id: str, view: Mapping[str, Any], own: Journal, missing: set[str]
) -> bool:
    """
    Whether an earlier attempt left this open copy of the dataset `view` there, and nobody else.

    Its id was noted; or its opening was noted, when no copy was open, and never answered: then it is this account's,
    of that very time, and has no other columns than the dataset and those `missing` from it.
    """
    last = own.last(str(view["id"]))
    if last is None or last["state"] != "copying":
        return last is not None and last.get("copy") == copy_id
    copy = _asked(exchange, f"/api/views/{copy_id}.json")
    account = _asked(exchange, "/api/users/current.json").get("id")
    after = dt.datetime.fromtimestamp(float(copy["createdAt"]), dt.UTC) - clock.parse(str(last["at"]))
    known = {str(one["fieldName"]) for one in view["columns"]} | missing
    return (
        account is not None
        and (copy.get("owner") or {}).get("id") == account
        and EARLIEST_S <= after.total_seconds() <= LATEST_S
        and {str(column["fieldName"]) for column in copy["columns"]} <= known
    )


def _is_copy(one: Mapping[str, Any], view: Mapping[str, Any]) -> bool:
    """Whether `one` is an open working copy of the published `view`."""
    group = view.get("publicationGroup")
    return group is not None and (one.get("publicationGroup"), one.get("publicationStage")) == (
        group,
        "unpublished",
    )


def _views(exchange: Exchange) -> Iterator[Mapping[str, Any]]:
    """What the portal says of each view that the account may see."""
    number = 1
    while True:
        answer = exchange.get("/api/views.json", {"limit": PAGE_VIEWS, "page": number}, missing=True)
        page = objects(said(answer)) if answer is not None else []
        yield from page
        if len(page) < PAGE_VIEWS:
            return
        number += 1


def _asked(exchange: Exchange, path: str) -> dict[str, Any]:
    answer = exchange.get(path)
    return dict(said(answer)) if answer is not None else {}
