"""SODA 3 reading: /api/v3/views/<view>/query and /export, for whoever has a token or an account."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from .accounts import identify, unauthorized
from .answers import Answer, Call, Names, decode, modern, route
from .catalogue import readable
from .freshness import Headers, cache_headers, not_modified, refuse_unmatched
from .queries import DEFAULT_LIMIT, Parameters, Query, read_query
from .renderings import FORMATS, JSON_V3, encoded
from .soda_read import answer_rows, soda_headers
from .soql import Selected, Star

PAGE_LIMIT = 50_000
_OPTIONS = (
    "query", "page", "includeSystem", "includeSynthetic", "orderingSpecifier", "timeout", "parameters",
)  # fmt: skip
_FORMATS = {**{name: FORMATS[name] for name in ("csv", "geojson")}, "json": JSON_V3}


@dataclass(frozen=True)
class _Asked:
    """What the options of a request say."""

    query: str
    page: tuple[int, int] | None
    """Its number, from 1 on, and its rows."""
    system: bool


def query(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST or GET /api/v3/views/<view>/query[.json|.csv|.geojson]: a page, or 1,000 rows without LIMIT and page."""
    return _answer(call, connection, names, DEFAULT_LIMIT)


def export(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST or GET /api/v3/views/<view>/export[.json|.csv|.geojson]: every row of the query, without pages."""
    return _answer(call, connection, names, None)


def _answer(call: Call, connection: sqlite3.Connection, names: Names, limit: int | None) -> Answer:
    _refuse_anonymous(call, connection)
    view = readable(call, connection, names["view"])
    form = _FORMATS.get(names.get("extension", "json"))
    if form is None:
        raise modern(406, "req.not-acceptable", f"The formats are {', '.join(_FORMATS)}", accept="json")
    asked = _body_options(call) if call.method == "POST" else _query_options(call)
    if limit is None and asked.page is not None:
        raise _wrong("page", "An export has no pages")
    headers = cache_headers(view, call, f"v3 {names.get('extension', 'json')}", weak=True)
    refuse_unmatched(call, headers)
    if not_modified(view, call, headers):
        return Answer(304, b"", form.content_type, headers)
    text, compiled = answer_rows(call, connection, view, _paged(asked, limit), form)
    headers = _as_v3(headers) + soda_headers(compiled.outputs)
    return Answer(200, encoded(text), form.content_type, tuple(dict(headers).items()))


def _refuse_anonymous(call: Call, connection: sqlite3.Connection) -> None:
    """Raises Refused: 401 without an account and an app token, 403 for a token that is not known."""
    token = call.option("app_token")
    if token:
        identify(connection, {"X-App-Token": token}, "")
    if call.account is None and not (token or call.headers.get("X-App-Token") or call.option("$$app_token")):
        raise unauthorized("A user or an application token is needed")


def _paged(asked: _Asked, limit: int | None) -> Query:
    """The query with its page; pages are of the rows that the query's own LIMIT leaves."""
    found = read_query(Parameters({"$query": asked.query}, ()), limit=None)
    last = found.statements[-1]
    if asked.system and not last.groups and len(found.statements) == 1:
        last = replace(last, selected=(Selected(Star(system=True), None), *last.selected))
    statements = [*found.statements[:-1], last]
    if asked.page is not None:
        number, size = asked.page
        first, own = (number - 1) * size, last.limit
        rows = size if own is None else max(0, min(size, own - first))
        statements[-1] = replace(last, limit=rows, offset=(last.offset or 0) + first)
    elif last.limit is None:
        statements[-1] = replace(last, limit=limit)
    return replace(found, statements=tuple(statements))


def _body_options(call: Call) -> _Asked:
    body = decode(call.body, exact=False) if call.body.strip() else {}
    if not isinstance(body, dict):
        raise modern(400, "req.content.json.not-object", "The body is not an object")
    for name in body:
        if name not in _OPTIONS:
            raise _wrong(name, "Unrecognized parameter")
    if body.get("parameters"):
        raise _wrong("parameters", "This portal's queries have no parameters")
    page = body.get("page")
    if page is not None and not isinstance(page, dict):
        raise _wrong("page", "page is an object with pageNumber and pageSize")
    number, size = (None, None) if page is None else (page.get("pageNumber", 1), page.get("pageSize", 1000))
    return _Asked(_text(body.get("query")), _page(number, size), body.get("includeSystem") is True)


def _query_options(call: Call) -> _Asked:
    """The same options in the address of a GET."""
    given = dict(call.query)
    known = {*_OPTIONS, "pageNumber", "pageSize", "app_token", "$$app_token"} - {"page"}
    for name in given:
        if name not in known:
            raise _wrong(name, "Unrecognized parameter")
    paged = "pageNumber" in given or "pageSize" in given
    number, size = (given.get("pageNumber", "1"), given.get("pageSize", "1000")) if paged else (None, None)
    system = given.get("includeSystem", "").lower() == "true"
    return _Asked(_text(given.get("query")), _page(number, size), system)


def _text(given: object) -> str:
    if given is not None and not isinstance(given, str):
        raise _wrong("query", "query is a SoQL statement")
    return given if given and given.strip() else "SELECT *"


def _page(number: object, size: object) -> tuple[int, int] | None:
    if number is None:
        return None
    whole = [int(str(one)) if re.fullmatch(r"\d{1,9}", str(one), re.ASCII) else 0 for one in (number, size)]
    if whole[0] < 1:
        raise _wrong("pageNumber", "pageNumber is a whole number from 1 on")
    if not 1 <= whole[1] <= PAGE_LIMIT:
        raise _wrong("pageSize", f"pageSize is a whole number from 1 to {PAGE_LIMIT}")
    return whole[0], whole[1]


def _wrong(name: str, message: str) -> Any:
    return modern(400, "req.bad-parameter", message, parameter=name)


def _as_v3(headers: Headers) -> Headers:
    """The headers as SODA 3 writes them."""
    kept = [(name, value) for name, value in headers if not name.startswith("X-SODA2")]
    named = "X-SODA2-Fields, X-SODA2-Types, and X-SODA2-Legacy-Types are deprecated"
    return (*kept, ("x-soda2-data-out-of-date", "[]"), ("X-SODA2-Warning", named))


ROUTES = (
    route("POST", "/api/v3/views/{view}/query{extension}", query),
    route("GET", "/api/v3/views/{view}/query{extension}", query),
    route("POST", "/api/v3/views/{view}/export{extension}", export),
    route("GET", "/api/v3/views/{view}/export{extension}", export),
)
