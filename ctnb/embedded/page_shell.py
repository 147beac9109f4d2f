"""What every page of the portal has around it: head, bar, foot, style sheet, and the headers that confine it."""

from __future__ import annotations

import functools
import hashlib
import sqlite3
from html import escape

from .answers import HTML, Account, Action, Answer, Call, Names, Refused, legacy
from .page_style import CSS

POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "private, no-cache, must-revalidate"),
    ("X-Frame-Options", "DENY"),
    ("Vary", "Authorization"),
)
_SHEET = CSS.encode()
_SHEET_ADDRESS = f"/portal.css?v={hashlib.sha256(_SHEET).hexdigest()[:12]}"
_PROGRAMS = frozenset(
    {"api", "resource", "id", "views", "datasync", "data.json", "download", "_faults", "portal.css"}
)
"""What the paths begin with that programs ask for; a browser is answered there as they are."""
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16'"
    " rx='3' fill='%230b5394'/%3E%3Cpath d='M4 12V8m4 4V4m4 8V6' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"
)


def page(title: str, body: str, account: Account | None, *, status: int = 200) -> Answer:
    """A whole page; `body` is HTML, `title` is text."""
    if account is None:
        who = '<a href="/sign-in">Sign in</a>'
    else:
        who = f'<span>{escape(account.name)} <span class="role">{escape(account.role)}</span></span>'
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{escape(title)} | Open data portal</title><link rel="icon" href="{_ICON}">'
        f'<link rel="stylesheet" href="{_SHEET_ADDRESS}"></head>'
        '<body><a class="skip" href="#main">Skip to the content</a>'
        '<header class="bar"><div class="wide"><a class="brand" href="/">Open data portal</a>'
        f'<div class="who">{who}</div></div></header><main id="main">{body}</main>'
        '<footer><div class="wide"><span>Served by the embedded portal of ctnb.</span> '
        '<span>For programs: <a href="/data.json">data.json</a>, '
        '<a href="/api/catalog/v1">catalogue API</a></span></div></footer></body></html>'
    )
    return Answer(status, text.encode("utf-8", "replace"), HTML)


def guarded(action: Action) -> Action:
    """`action`, with its refusals as pages."""

    @functools.wraps(action)
    def guarded(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
        try:
            return action(call, connection, names)
        except Refused as refused:
            return refusal(refused, call.account)
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
        message = (
            "This took longer than the portal lets a question take. Ask for less, or try again in a minute."
        )
        return refusal(legacy(503, "request-timeout", message), call.account)

    return guarded


def style_sheet(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /portal.css: the one style sheet; its address changes with it."""
    kept = (("Cache-Control", "public, max-age=31536000, immutable"),)
    return Answer(200, _SHEET, "text/css; charset=utf-8", kept)


def counted(number: int, word: str) -> str:
    """A number with its noun."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def for_people(path: str, accept: str) -> bool:
    """Whether a browser asked for a page: it says so, and the address is none of a program's."""
    return "text/html" in accept and path.partition("/")[2].partition("/")[0] not in _PROGRAMS


def broken() -> Answer:
    """The page of a mistake of the portal's own; what it was is in its log alone."""
    message = "The portal made a mistake or its disk is full; its log says where. Nothing was changed."
    return refusal(legacy(500, "internal_error", message), None)


def refusal(refused: Refused, account: Account | None) -> Answer:
    """A refusal as a page."""
    titles = {
        500: "Something went wrong here",
        503: "That took too long",
        401: "Sign in to read this",
        403: "You may not read this",
        404: "There is nothing here",
    }
    title = titles.get(refused.status, "That did not work")
    button = '<a class="button" href="/sign-in">Sign in</a> ' if refused.status == 401 else ""
    body = (
        f'<div class="wide refusal"><h1>{title}</h1><p class="lead">{escape(refused.what)}</p>'
        f'<p>{button}<a class="button quiet" href="/">All datasets</a></p></div>'
    )
    answer = page(title, body, account, status=refused.status)
    return Answer(answer.status, answer.body, HTML, refused.headers)
