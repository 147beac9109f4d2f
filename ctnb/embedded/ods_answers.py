"""
How Opendatasoft's interfaces answer: their addresses, and an envelope of errors for each.

Source: the vendor's documentation of push, automation and explore, and recorded errors of live portals.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

from .answers import JSON, Action, Answer, Call, Refused, Route

PUSH = "/api/push/1.0/"
AUTOMATION = "/api/automation/"
EXPLORE = "/api/explore/"
MANAGEMENT = "/api/management/"
PAGE = "/explore/dataset/"
_PREFIXES = (PUSH, AUTOMATION, EXPLORE, MANAGEMENT, PAGE)
_VERSIONED = {AUTOMATION: r"v?1\.0/", EXPLORE: r"v2\.[01]/", MANAGEMENT: r"v2/", PUSH: "", PAGE: ""}
_PAGE_LIMIT = 1000
_NAME = r"[A-Za-z0-9_.@-]{1,200}"


class OdsRefused(Refused):
    """A request that one of these interfaces answers with an error, in the envelope of that interface."""

    def answer(self) -> Answer:
        """The error as compact JSON."""
        return Answer(self.status, json.dumps(self.body, ensure_ascii=False).encode(), JSON, self.headers)


def speaks(path: str) -> bool:
    """Whether `path` belongs to one of Opendatasoft's interfaces."""
    return path.startswith(_PREFIXES)


def ods_route(
    method: str, prefix: str, path: str, action: Action, *, writes: bool = False, slash: bool | None = None
) -> Route:
    """
    A Route below `prefix`; `{name}` in `path` is one segment.

    Push and what automation writes end in a slash and answer 301 without it; explore and what automation reads
    take both forms, as clients in use call them, and so does `slash` False.
    """
    reads = prefix in (EXPLORE, PAGE) or (prefix == AUTOMATION and method == "GET")
    loose = reads if slash is None else not slash
    form = re.sub(r"\{(\w+)\}", rf"(?P<\1>{_NAME})", path.rstrip("/").replace(".", r"\."))
    end = "" if not path.endswith("/") and not loose else "/?" if loose else "/"
    pattern = re.compile(re.escape(prefix) + _VERSIONED[prefix] + form + end)
    return Route(method, prefix + path, pattern, action, writes, identifies=False)


def unfound(path: str, query: str, known: bool, routes: Iterable[Route]) -> Refused:
    """301 to the form with a slash, 405 where the address is `known` under another method, else 404."""
    if not known and not path.endswith("/") and any(one.pattern.fullmatch(path + "/") for one in routes):
        target = urllib.parse.quote(path) + "/" + (f"?{query}" if query else "")
        return OdsRefused(301, {}, (("Location", target),))
    if known:
        return failed(path, 405, "method_not_allowed", "This address does not take that method.")
    return failed(path, 404, "not_found", "Not found.")


def failed(path: str, status: int, code: str, message: str) -> Refused:
    """An error in the envelope of the interface that `path` belongs to."""
    if path.startswith(PUSH):
        return push_error(status, message)
    if path.startswith((EXPLORE, PAGE)):
        return explore_error(status, code, message)
    if path.startswith(MANAGEMENT):
        return management_error(status, code, message)
    return automation_error(status, code, message)


def push_error(status: int, message: str) -> Refused:
    """An error of the push interface; its body is not documented, and this is our choice."""
    return OdsRefused(status, {"error": message})


def automation_error(status: int, code: str, message: str, detail: object = None) -> Refused:
    """An error of the automation interface."""
    body: dict[str, Any] = {"error_code": code, "message": message}
    return OdsRefused(status, body if detail is None else {**body, "detail": detail})


def invalid(**detail: str) -> Refused:
    """400 validation_error, with what is wrong by field."""
    words = {name: [text] for name, text in detail.items()}
    return automation_error(400, "validation_error", "Invalid input", words)


def absent() -> Refused:
    """404 of the automation interface."""
    return automation_error(404, "not_found", "Not found.")


def explore_error(status: int, code: str, message: str) -> Refused:
    """An error of the explore interface."""
    return OdsRefused(status, {"error_code": code, "message": message})


def management_error(status: int, key: str, message: str, **params: str) -> Refused:
    """An error of the older management interface."""
    body = {"status_code": status, "message": message, "raw_params": params, "raw_message": message}
    return OdsRefused(status, {**body, "error_key": key})


def bad_key() -> Refused:
    """401 for a key that is not valid, as every interface that takes API keys answers it."""
    return OdsRefused(401, {"error": "API key is not valid"})


def read_json(call: Call) -> Any:
    """The JSON of a request's body, whatever its Content-Type. Raises OdsRefused (400), without its text."""
    try:
        return json.loads(call.body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        pass  # refused below: the cause quotes the body
    raise failed(call.path, 400, "parse_error", "The request body is not well-formed JSON.")


def read_object(call: Call) -> dict[str, Any]:
    """The JSON object of a request's body; an empty body is an empty one. Raises OdsRefused (400)."""
    body = read_json(call) if call.body.strip() else {}
    if not isinstance(body, dict):
        raise failed(call.path, 400, "validation_error", "The request body is not a JSON object.")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def page(call: Call, items: Sequence[Any]) -> dict[str, Any]:
    """`items` cut by `limit` (20, at most 1000, 0 only counts) and `offset`, with links to the pages beside."""
    limit, offset = _whole(call, "limit", 20), _whole(call, "offset", 0)
    if limit > _PAGE_LIMIT:
        raise invalid(limit=f"Ensure this value is less than or equal to {_PAGE_LIMIT}.")
    kept = [(key, value) for key, value in call.query if key not in ("limit", "offset", "apikey", "pushkey")]

    def link(start: int) -> str:
        query = urllib.parse.urlencode([*kept, ("limit", limit), ("offset", start)])
        return f"{call.origin}{call.path}?{query}"

    following = link(offset + limit) if limit and offset + limit < len(items) else None
    previous = link(max(offset - limit, 0)) if limit and offset else None
    results = list(items[offset : offset + limit])
    return {"total_count": len(items), "next": following, "previous": previous, "results": results}


def _whole(call: Call, name: str, default: int) -> int:
    text = call.option(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise invalid(**{name: "A valid integer is required."})
    return int(text)


def moment(now: float) -> str:
    """A time as automation writes it: UTC, with Z."""
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_offset(now: float) -> str:
    """A time as explore writes it: UTC, with +00:00."""
    return dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds")
