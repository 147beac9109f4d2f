"""What a portal that fails on demand says: errors in each dialect's envelope, and answers that are not quite true."""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
from dataclasses import replace
from typing import Any

from .answers import HTML, JSON, Answer, encode
from .faults import Fault

OUT_OF_DATE = "X-SODA2-Data-Out-Of-Date"
_TRUTH = ("X-SODA2-Truth-Last-Modified", "X-SODA2-Truth-Version", OUT_OF_DATE)
_GAP = re.compile(r"[\ufeff,\s]*")
_TICKET = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPENDATASOFT = ("/api/automation/", "/api/push/", "/api/explore/", "/api/v2/")
_MODERN = {
    408: ("request-timeout", "Request timed out"),
    409: ("soda.dataset.cannot-acquire-write-lock", "The dataset is being written by someone else"),
    429: ("too-many-requests", "Too many requests"),
    503: ("service-unavailable", "The service is not available"),
}
_GATEWAY = {502: "Bad Gateway", 504: "Gateway Time-out"}


def said(fault: Fault, path: str, origin: str) -> Answer:
    """What is answered instead of the truth: a status, Opendatasoft's quota, a page with 200, or 202."""
    headers = (("Retry-After", fault.retry_after),) if fault.retry_after else ()
    if fault.kind == "accepted":
        return _accepted(fault, path, origin, headers)
    if fault.kind == "quota":
        return _quota(headers)
    status = 200 if fault.kind == "html" else fault.status
    if fault.body is not None:
        return Answer(
            status, fault.body.encode(), HTML if fault.kind == "html" else fault.content_type, headers
        )
    if fault.kind == "html":
        return Answer(200, _page("Sign in"), HTML, headers)
    if status in _GATEWAY:
        return Answer(status, _page(f"{status} {_GATEWAY[status]}"), "text/html", headers)
    return Answer(status, encode(_envelope(status, path)), JSON, headers)


def _envelope(status: int, path: str) -> dict[str, Any]:
    code, message = _MODERN.get(status, ("internal-error", "Internal error"))
    if path.startswith("/api/publishing/"):
        return {"key": code.replace("-", "_"), "message": message, "params": {}}
    if path.startswith(_OPENDATASOFT):
        known = {"error_code": code.replace("-", "_"), "message": message}
        return {**known, "trace_id": secrets.token_hex(16)} if status >= 500 else known
    return {"message": message, "errorCode": code, "data": {}}


def _page(title: str) -> bytes:
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()


def _accepted(fault: Fault, path: str, origin: str, headers: tuple[tuple[str, str], ...]) -> Answer:
    """202 in the two forms that the vendor's Java client reads: a ticket, or an address in a header."""
    ticket = (
        f"{secrets.token_hex(4)}-{'-'.join(secrets.token_hex(2) for _ in range(3))}-{secrets.token_hex(6)}"
    )
    if fault.location:
        address = ("Location", f"{origin}{path}?ticket={ticket}")
        return Answer(202, b"{}\n", JSON, (address, *(headers or (("Retry-After", "1"),))))
    message = "The request is being processed; ask again with the ticket"
    body = {"code": "accepted", "error": False, "message": message, "ticket": ticket}
    return Answer(202, encode(body), JSON, headers)


def ticket_of(parameter: tuple[str, str]) -> bool:
    """Whether a parameter of a query is the ticket of a 202, which the request itself knows nothing of."""
    name, value = parameter
    return name == "ticket" and _TICKET.fullmatch(value) is not None


def _quota(headers: tuple[tuple[str, str], ...]) -> Answer:
    """Opendatasoft's answer to one call too many (spec opendatasoft 1.8)."""
    reset = "2017-10-17T00:00:00Z"
    body = {
        "errorcode": 10002,
        "error": "Too many requests on the domain. Please contact the domain administrator.",
        "call_limit": 10000,
        "limit_time_unit": "day",
        "reset_time": reset,
    }
    counted = (("X-RateLimit-Limit", "10000"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", reset))
    return Answer(429, encode(body), JSON, (*counted, *headers))


def out_of_date(now: Answer, earlier: Answer) -> Answer:
    """The earlier rows with the headers of a copy that lags behind the truth."""
    truth = {name: value for name, value in now.headers if name in _TRUTH} | {OUT_OF_DATE: "true"}
    kept = tuple((name, value) for name, value in earlier.headers if name not in truth)
    return replace(earlier, headers=(*kept, *truth.items()))


def with_errors(answer: Answer, count: int) -> Answer:
    """A report of rows written that counts `count` more `Errors`."""
    if answer.status != 200 or not count:
        return answer
    report = json.loads(answer.body if isinstance(answer.body, bytes) else b"{}")
    if "Errors" not in report:
        return answer
    return replace(answer, body=encode({**report, "Errors": int(report["Errors"]) + count}))


def without_last_rows(body: bytes, content_type: str, count: int) -> tuple[bytes, int]:
    """A body of JSON, CSV or TSV without its last `count` rows, and how many those were."""
    text = body.decode("utf-8", "surrogateescape")
    find = _csv_ends if content_type.startswith(("text/csv", "text/tab")) else _json_ends
    ends, closing = find(text)
    rows = len(ends) - 1
    left_out = min(count, rows)
    if rows <= 0:
        return body, 0
    return (text[: ends[rows - left_out]] + closing).encode("utf-8", "surrogateescape"), left_out


def _json_ends(text: str) -> tuple[list[int], str]:
    """Where the array begins and where each of its elements ends; nothing for what is not an array."""
    at, decoder = _gap_end(text, 0), json.JSONDecoder()
    ends: list[int] = []
    if not text.startswith("[", at):
        return [], ""
    at += 1
    ends.append(at)
    try:
        while True:
            at = _gap_end(text, at)
            if text.startswith("]", at):
                return ends, "]"
            _, at = decoder.raw_decode(text, at)
            ends.append(at)
    except ValueError:
        return [], ""  # the route itself refuses it


def _gap_end(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return at if found is None else found.end()


def _csv_ends(text: str) -> tuple[list[int], str]:
    """Where the header and each record of a CSV text end."""
    lines = list(io.StringIO(text, newline=""))
    places, at = [0], 0
    for line in lines:
        at += len(line)
        places.append(at)
    reader = csv.reader(lines)
    try:
        return [places[reader.line_num] for record in reader if record], ""
    except csv.Error:
        return [], ""


def unfinished(answer: Answer) -> Answer:
    """A revision, source, schema or job as it looked before it was finished."""
    if not isinstance(answer.body, bytes) or not answer.content_type.startswith("application/json"):
        return answer
    return replace(answer, body=encode(_under_way(json.loads(answer.body or b"{}"))))


def _under_way(value: Any) -> Any:
    if isinstance(value, list):
        return [_under_way(one) for one in value]
    if not isinstance(value, dict):
        return value
    shown = {name: _under_way(one) for name, one in value.items()}
    for name in ("finished_at", "completed_at"):
        if name in shown:
            shown[name] = None
    if "job_uuid" in shown:
        shown["status"] = "upserting"
    return shown
