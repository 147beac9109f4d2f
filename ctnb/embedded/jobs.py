"""Revisions applied: the jobs of DSMAPI, and what a portal that asks for approval says instead."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

from .accounts import publisher
from .answers import Account, Answer, Call, Names, as_json, route
from .applying import apply_revision
from .drafts import (
    BASE,
    Draft,
    add,
    author,
    check_output,
    children,
    keep,
    load,
    missing,
    numbers,
    refused,
    revision_of,
    stamp,
    still_open,
    view_of,
)
from .uploads import read_object, workshop_of


def apply(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    PUT /revision/<view>/<seq>/apply: a job that the worker does in its turn.

    Asked again while the job is under way, the answer is that job. Where the portal asks for approval, the
    first call submits the revision, and the call of another publisher is the approval.
    """
    account = publisher(call)
    revision, body = (
        revision_of(connection, view_of(connection, names["view"]), names["seq"]),
        read_object(call),
    )
    under_way = running(connection, revision)
    if under_way is not None:
        return as_json(describe_job(names["view"], revision, under_way))
    revision = still_open(revision)
    chosen = body.get("output_schema_id", revision.document["output_schema_id"])
    if chosen is not None:
        check_output(connection, revision, chosen)
    revision = keep(connection, "revisions", revision, output_schema_id=chosen)
    submission = waiting(revision)
    asked = workshop_of(call).approval or call.fault == "approval" or submission is not None
    if asked and (submission is None or submission["submitter"]["id"] == account.uid):
        submit(call, connection, revision, account)
        params = {"fourfour": names["view"], "revision_seq": revision.document["revision_seq"]}
        message = "The revision was submitted for approval"
        return as_json({"key": "approval_submitted", "params": params, "message": message})
    if submission is not None:
        revision = decide(call, connection, revision, account, "approved")
    return as_json(describe_job(names["view"], revision, start(call, connection, revision)))


def start(call: Call, connection: sqlite3.Connection, revision: Draft) -> Draft:
    """A new job that applies the revision with the output schema it names."""
    now = stamp(call.now)
    document = {
        "job_uuid": str(uuid.uuid4()),
        "status": "initializing",
        "log": [],
        "output_schema_id": revision.document["output_schema_id"],
        "created_at": now,
        "created_by": author(call),
        "updated_at": now,
        "finished_at": None,
        "request_id": call.headers.get("X-Socrata-RequestId", "")[:64],
        "_fails": call.fault == "failure",
    }
    job = add(connection, "jobs", revision.id, document)
    workshop_of(call).later(apply_revision, job.id)
    return job


def show_job(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /revision/<view>/<seq>/apply/<job>."""
    publisher(call)
    revision = revision_of(connection, view_of(connection, names["view"]), names["seq"])
    job = load(connection, "jobs", names["job"])
    if job.parent != revision.id:
        raise missing("jobs")
    return as_json(describe_job(names["view"], revision, job), 202)


def describe_job(uid: str, revision: Draft, job: Draft) -> dict[str, Any]:
    """A job with its link."""
    show = f"{BASE}/revision/{uid}/{revision.document['revision_seq']}/apply/{job.id}"
    return {"resource": job.shown(), "links": {"show": show}}


def running(connection: sqlite3.Connection, revision: Draft) -> Draft | None:
    """The job of a revision that has not ended."""
    jobs = children(connection, "jobs", revision.id)
    return next((job for job in jobs if not job.document["finished_at"]), None)


def waiting(revision: Draft) -> dict[str, Any] | None:
    """The submission of a revision that nobody has decided yet."""
    found: dict[str, Any] | None = revision.document.get("_submission")
    return found if found is not None and found["outcome"]["status"] == "pending" else None


def submit(
    call: Call, connection: sqlite3.Connection, revision: Draft, account: Account, notes: str = ""
) -> Draft:
    """Ask for the approval of a revision; once asked for, it stays asked for. Raises Refused (409)."""
    if waiting(revision) is not None:
        return revision
    if running(connection, still_open(revision)) is not None:
        raise refused(409, "revision_applying", "The revision is being applied")
    submission = {
        "id": numbers(connection),
        "submitter": {"id": account.uid, "displayName": account.name},
        "submittedAt": stamp(call.now),
        "notes": notes[:10_000],
        "outcome": {"status": "pending", "startedAt": None, "endedAt": None, "decidedBy": None},
    }
    return keep(connection, "revisions", revision, _submission=submission)


def decide(
    call: Call, connection: sqlite3.Connection, revision: Draft, account: Account, status: str
) -> Draft:
    """Approve or reject what was submitted; whoever submitted it cannot. Raises Refused (403, 409)."""
    submission = waiting(revision)
    if submission is None:
        raise refused(409, "not_submitted", "The revision does not wait for approval")
    if submission["submitter"]["id"] == account.uid:
        raise refused(403, "own_submission", "Another publisher decides about a submission")
    who = {"id": account.uid, "displayName": account.name}
    outcome = {**submission["outcome"], "status": status, "endedAt": stamp(call.now), "decidedBy": who}
    return keep(connection, "revisions", revision, _submission={**submission, "outcome": outcome})


_APPLY = f"{BASE}/revision/{{view}}/{{seq}}/apply"
ROUTES = (
    route("PUT", _APPLY, apply, writes=True),
    route("GET", f"{_APPLY}/{{job}}", show_job),
)
