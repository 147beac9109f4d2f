"""The pages people read: the catalogue and one per dataset. Plain HTML, no script, everything escaped."""

from __future__ import annotations

import re
import sqlite3
from html import escape

from .accounts import unauthorized
from .answers import HTML, Answer, Call, Names, Route, legacy, not_permitted, route
from .catalogue import View, find
from .page_about import (
    columns_section,
    description,
    downloads,
    facts_section,
    files_section,
    history_section,
    is_file,
    programs_section,
    views_section,
)
from .page_catalogue import badge, catalogue_page
from .page_cells import day_html
from .page_filters import read_asked
from .page_history import events
from .page_mirrors import Overview
from .page_rows import Place, read_page
from .page_shell import HEADERS, guarded, page, style_sheet
from .page_table import rows_section
from .uploads import workshop_of

__all__ = ["HEADERS", "ROUTES"]


def dataset_page(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    GET /d/<view>: title, description, rows, metadata, columns, downloads and history of one dataset.

    The query string asks for rows as `page_filters` says; `after`, `before` and `at` name the page of them. A dataset
    that is a file has its download in their place.
    """
    view = _readable(call, connection, names["view"])
    after = (
        f"{files_section(view)}{views_section(connection, view, call.account)}"
        f"{history_section(events(connection, view))}"
    )
    if is_file(view):
        body = f'{_top(view)}<div class="wide">{facts_section(call, connection, view)}{after}</div>'
        return page(view.name, body, call.account)
    mirrors = workshop_of(call).mirrors
    asked = read_asked(call, view)
    overview = mirrors.overview(connection, view)
    rows = read_page(connection, view, asked, _place(call), mirrors, overview.rows)
    body = (
        f"{_top(view, overview)}"
        f'<div class="wide">{rows_section(view, asked, rows, overview)}'
        f"{facts_section(call, connection, view)}{columns_section(view, overview)}{after}"
        f"{programs_section(call, view)}</div>"
    )
    return page(view.name, body, call.account)


def sign_in(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /sign-in: the browser asks for key id and secret, then the catalogue with private datasets."""
    if call.account is None:
        raise unauthorized(
            "Sign in with a mail address and its password, or a key id as the name and its secret as the password."
        )
    return Answer(303, b"", HTML, (("Location", "/"),))


def named_page(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /<category>/<title>/<view>, as links of portals have it, also with /data or /about_data: the same page."""
    return Answer(302, b"", HTML, (("Location", f"/d/{names['view']}"),))


_OWN = "api|resource|id|datasync|d|views|download|explore|_faults"
_NAMED = re.compile(
    rf"/(?!(?:{_OWN})/)[^/]+/[^/]+/(?P<view>[a-z0-9]{{4}}-[a-z0-9]{{4}})(?:/(?:data|about_data|explore))?/?"
)


def _place(call: Call) -> Place:
    at = call.option("at").replace(",", "").strip()
    number = int(at) if at.isascii() and at.isdigit() and len(at) < 16 else 0
    return Place(call.option("after"), call.option("before"), number)


def _readable(call: Call, connection: sqlite3.Connection, name: str) -> View:
    view = find(connection, name)
    if view is None:
        raise legacy(404, "not_found", "No dataset has this address.")
    if view.readable(call.account):
        return view
    if call.account is None:
        raise unauthorized("This dataset is private.")
    raise not_permitted("This dataset is private, and your account was not given it.")


def _top(view: View, overview: Overview | None = None) -> str:
    """Title, marks, description, figures, downloads and links; without `overview`, of a dataset that is a file."""
    metadata = view.document.get("metadata") or {}
    category = str(view.document.get("category") or "")
    marks = badge(view) + (f' <span class="badge plain">{escape(category)}</span>' if category else "")
    parent = view.parent
    of = "" if parent is None else f'<p>A view of <a href="/d/{parent.uid}">{escape(parent.name)}</a>.</p>'
    label = str(metadata.get("rowLabel") or "")
    counts = (
        f"<div><dt>Rows</dt><dd>{overview.rows:,}</dd></div>"
        f"<div><dt>Columns</dt><dd>{len(view.columns):,}</dd></div>"
        if overview
        else ""
    )
    figures = f"{counts}<div><dt>Data updated</dt><dd>{day_html(view.rows_updated_at)}</dd></div>" + (
        f"<div><dt>Each row is</dt><dd>{escape(label)}</dd></div>" if label else ""
    )
    parts = {
        "rows": "Rows", "about": "About", "columns": "Columns", "history": "History", "programs": "API"
    }  # fmt: skip
    there = parts if overview else {"about": "About", "history": "History"}
    links = "".join(f'<li><a href="#{key}">{word}</a></li>' for key, word in there.items())
    return (
        '<div class="hero"><div class="wide"><p class="trail"><a href="/">Datasets</a></p>'
        f'<h1 dir="auto">{escape(view.name)}</h1><p class="marks">{marks}</p>{of}{description(view)}'
        f'<dl class="figures">{figures}</dl>{downloads(view)}'
        f'<nav class="parts" aria-label="On this page"><ul>{links}</ul></nav></div></div>'
    )


ROUTES = (
    route("GET", "/", guarded(catalogue_page)),
    route("GET", "/browse", guarded(catalogue_page)),
    route("GET", "/d/{view}", guarded(dataset_page)),
    Route("GET", "/<category>/<title>/<view>", _NAMED, named_page),
    route("GET", "/d/{view}/data", named_page),
    route("GET", "/d/{view}/about_data", named_page),
    route("GET", "/sign-in", guarded(sign_in)),
    route("GET", "/portal.css", style_sheet),
)
