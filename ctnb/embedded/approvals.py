"""
The queue of approvals of a dataset: revisions that were submitted, and what became of them.

The addresses and the words of `method` are those of the vendor's own clients (github.com/socrata-platform/exsoda,
approvals.ex); what the answers hold is documented nowhere, so their keys are this portal's.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from .accounts import publisher
from .answers import Answer, Call, Names, as_json, legacy, route
from .catalogue import View
from .drafts import Draft, children, keep, revision_of, stamp, view_of
from .jobs import decide, describe_job, start, submit, waiting
from .uploads import read_object, workshop_of

_OUTCOMES = ("approved", "rejected")


def show(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    GET /api/views/<view>/approvals: every submission, the newest first; `?status=pending` for those that wait.

    `?method=guidance_v2&assetId=<view>:<seq>` says whether applying that revision needs approval.
    """
    publisher(call)
    view = view_of(connection, names["view"])
    if call.option("method") == "guidance_v2":
        return as_json(_guidance(call, connection, view))
    if call.option("method"):
        raise _wrong("method", "The methods of reading are none and guidance_v2")
    found = [one for one in children(connection, "revisions", view.id) if one.document.get("_submission")]
    shown = [_describe(view, one) for one in reversed(found)]
    wanted = call.option("status")
    return as_json([one for one in shown if not wanted or one["outcome"]["status"] == wanted])


def ask(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /api/views/<view>/approvals?method=startWorkflowSubmission: {"assetId", "notes"}."""
    account = publisher(call)
    if call.option("method") != "startWorkflowSubmission":
        raise _wrong("method", "The method of asking is startWorkflowSubmission")
    view, body = view_of(connection, names["view"]), read_object(call)
    revision = _revision(connection, view, str(body.get("assetId", "")))
    revision = submit(call, connection, revision, account, str(body.get("notes") or ""))
    return as_json(_describe(view, revision))


def answer(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT .../approvals/<submission>?method=updateOutcomeStart, or updateOutcomeEnd&status=approved|rejected."""
    account = publisher(call)
    view = view_of(connection, names["view"])
    revision = _submitted(connection, view, int(names["job"]))
    method, status = call.option("method"), call.option("status")
    if method == "updateOutcomeStart" and (submission := waiting(revision)) is not None:
        outcome = {**submission["outcome"], "startedAt": stamp(call.now)}
        revision = keep(connection, "revisions", revision, _submission={**submission, "outcome": outcome})
        return as_json(_describe(view, revision))
    if method != "updateOutcomeEnd" or status not in _OUTCOMES:
        raise _wrong("status", "An outcome starts, or ends as approved or rejected")
    revision = decide(call, connection, revision, account, status)
    told = _describe(view, revision)
    if status == "approved":
        told["job"] = describe_job(view.uid, revision, start(call, connection, revision))
    return as_json(told)


def withdraw(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE .../approvals/<view>:<seq>?method=deleteExternalAssetSubmissions: no more asked for."""
    publisher(call)
    view = view_of(connection, names["view"])
    if call.option("method") != "deleteExternalAssetSubmissions":
        raise _wrong("method", "The method of withdrawing is deleteExternalAssetSubmissions")
    revision = _revision(connection, view, names["config"])
    if waiting(revision) is not None:
        keep(connection, "revisions", revision, _submission=None)
    return as_json({})


def _guidance(call: Call, connection: sqlite3.Connection, view: View) -> dict[str, Any]:
    revision = _revision(connection, view, call.option("assetId"))
    needed = workshop_of(call).approval or waiting(revision) is not None
    expected = "submit_for_approval" if needed else "apply"
    return {"expectedAction": expected, "submission": _submission(revision)}


def _describe(view: View, revision: Draft) -> dict[str, Any]:
    seq = revision.document["revision_seq"]
    told = {"assetId": f"{view.uid}:{seq}", "fourfour": view.uid, "revision_seq": seq}
    return {**(_submission(revision) or {}), **told}


def _submission(revision: Draft) -> dict[str, Any] | None:
    found: dict[str, Any] | None = revision.document.get("_submission")
    return found


def _revision(connection: sqlite3.Connection, view: View, asset: str) -> Draft:
    uid, _, seq = asset.partition(":")
    if uid != view.uid or not seq.isdecimal() or len(seq) > 9:
        raise _wrong("assetId", "An assetId is the dataset's id, a colon and the number of a revision")
    return revision_of(connection, view, seq)


def _submitted(connection: sqlite3.Connection, view: View, number: int) -> Draft:
    for revision in children(connection, "revisions", view.id):
        if (found := _submission(revision)) is not None and found["id"] == number:
            return revision
    raise legacy(404, "not_found", "Not found", id=str(number))


def _wrong(parameter: str, message: str) -> Exception:
    return legacy(400, "invalid_request", message, parameter=parameter)


_QUEUE = "/api/views/{view}/approvals"
ROUTES = (
    route("GET", _QUEUE, show),
    route("GET", f"{_QUEUE}/", show),
    route("POST", _QUEUE, ask, writes=True),
    route("POST", f"{_QUEUE}/", ask, writes=True),
    route("PUT", f"{_QUEUE}/{{job}}", answer, writes=True),
    route("DELETE", f"{_QUEUE}/{{config}}", withdraw, writes=True),
)
