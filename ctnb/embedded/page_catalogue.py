"""The catalogue: every dataset the caller may read, searched, filtered by category and sorted."""

from __future__ import annotations

import sqlite3
import urllib.parse
from collections import Counter
from collections.abc import Callable
from html import escape
from typing import Any

from .answers import Answer, Call, Names
from .catalogue import View
from .listings import listed, search
from .page_about import size_text
from .page_cells import day_html, short
from .page_mirrors import Mirrors
from .page_shell import counted, page
from .uploads import workshop_of

LISTED = 25
"""Datasets on one page."""
_SUMMARY_LETTERS = 240
_ORDERS: dict[str, tuple[str, Callable[[tuple[View, int]], Any]]] = {
    "updated": ("Newest data", lambda one: (-one[0].rows_updated_at, -one[0].id)),
    "name": ("Title", lambda one: (one[0].name.casefold(), one[0].id)),
    "rows": ("Most rows", lambda one: (-one[1], one[0].name.casefold())),
}


def catalogue_page(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /: `?q=` searches, `?category=` filters, `?sort=updated|name|rows` sorts, `?page=` turns the pages."""
    words, category = " ".join(call.option("q").split()), call.option("category")
    order = call.option("sort") if call.option("sort") in _ORDERS else "updated"
    mirrors = workshop_of(call).mirrors
    every = listed(connection, call.account)
    matching = search(every, words)
    shown = [view for view in matching if not category or _category(view) == category]
    sized = [(view, count(connection, view, mirrors)) for view in shown if view.fault is None]
    sized.sort(key=_ORDERS[order][1])
    query = [("q", words), ("category", category), ("sort", "" if order == "updated" else order)]
    body = (
        f"{_hero(every, words, query)}"
        f'<div class="wide">{_categories(matching, category, query)}'
        f"{_listing(sized, call, order, query)}</div>"
    )
    return page("Datasets", body, call.account)


def count(connection: sqlite3.Connection, view: View, mirrors: Mirrors) -> int:
    """How many rows a view has; counted once for each version."""
    return mirrors.overview(connection, view, whole=False).rows


def badge(view: View) -> str:
    """The mark of a dataset that not everybody sees."""
    if view.stage != "published":
        return '<span class="badge held">Draft</span>'
    return (
        '<span class="badge held">Private</span>'
        if not view.public
        else '<span class="badge open">Public</span>'
    )


def _hero(every: list[View], words: str, query: list[tuple[str, str]]) -> str:
    kept = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in query[1:] if value
    )
    newest = f", data updated {day_html(max(view.rows_updated_at for view in every))}" if every else ""
    return (
        '<div class="hero"><div class="wide"><h1>Datasets</h1>'
        f'<p class="lead">{counted(len(every), "dataset")}{newest}</p>'
        '<form class="search" role="search" action="/">'
        '<label class="hidden" for="q">Search datasets</label>'
        '<input id="q" name="q" type="search" placeholder="Search titles, descriptions and columns" '
        f'value="{escape(words)}">{kept}<button>Search</button></form></div></div>'
    )


def _categories(matching: list[View], chosen: str, query: list[tuple[str, str]]) -> str:
    counts = Counter(_category(view) for view in matching if _category(view))
    if chosen and chosen not in counts:
        counts[chosen] = 0
    if not counts:
        return ""
    items = [("", "All categories", len(matching))]
    items += [
        (name, name, number) for name, number in sorted(counts.items(), key=lambda one: one[0].casefold())
    ]
    links = "".join(
        f'<li><a class="chip" href="{_address(query, category=name)}"'
        f"{' aria-current=true' if name == chosen else ''}>{escape(word)} "
        f'<span class="count">{number:,}</span></a></li>'
        for name, word, number in items
    )
    return f'<nav aria-label="Categories"><ul class="chips">{links}</ul></nav>'


def _listing(sized: list[tuple[View, int]], call: Call, order: str, query: list[tuple[str, str]]) -> str:
    text = call.option("page", "1")
    last = max(1, -(-len(sized) // LISTED))
    at = min(max(int(text), 1), last) if text.isascii() and text.isdigit() and len(text) < 7 else 1
    items = "".join(_item(view, rows) for view, rows in sized[(at - 1) * LISTED : at * LISTED])
    words, category = query[0][1], query[1][1]
    found = counted(len(sized), "dataset") + (" found" if words or category else "")
    orders = "".join(
        f'<li><a href="{_address(query, sort=key if key != "updated" else "")}"'
        f"{' aria-current=true' if key == order else ''}>{word}</a></li>"
        for key, (word, _) in _ORDERS.items()
    )
    head = (
        f'<div class="head"><h2>{found}</h2>'
        f'<nav class="orders" aria-label="Order of datasets"><span>Sort by</span><ul>{orders}</ul></nav></div>'
    )
    clear = ' <a href="/">Show all datasets</a>' if words or category else ""
    reason = "Nothing fits this search." if words or category else "Nothing is published here yet."
    listing = f'<ul class="list">{items}</ul>' if items else f'<p class="card">{reason}{clear}</p>'
    return head + listing + _turner(at, last, query)


def _turner(at: int, last: int, query: list[tuple[str, str]]) -> str:
    if last == 1:
        return ""
    parts = []
    for word, number, rel in (("Previous", at - 1, "prev"), ("Next", at + 1, "next")):
        if 1 <= number <= last:
            link = _address(query, page=str(number))
            parts.append(f'<a class="button quiet" rel="{rel}" href="{link}">{word}</a>')
        else:
            parts.append(f'<span class="button off">{word}</span>')
    parts.insert(1, f'<span class="where">Page {at:,} of {last:,}</span>')
    return f'<nav class="pager" aria-label="Pages of datasets">{"".join(parts)}</nav>'


def _item(view: View, rows: int) -> str:
    description = " ".join(str(view.document.get("description") or "").split())
    about = [escape(fact) for fact in (_category(view), str(view.document.get("attribution") or "")) if fact]
    tags = "".join(f"<li>{escape(one)}</li>" for one in about)
    mark = "" if view.public else " " + badge(view)
    text = f'<p dir="auto">{escape(short(description, _SUMMARY_LETTERS))}</p>' if description else ""
    blob = view.document.get("_blob")
    facts = (
        f"<div><dt>File</dt><dd>{size_text(blob['size'])}</dd></div>"
        if isinstance(blob, dict)
        else f'<div class="figure"><dt>Rows</dt><dd>{rows:,}</dd></div>'
        f"<div><dt>Columns</dt><dd>{len(view.columns):,}</dd></div>"
    ) + f"<div><dt>Updated</dt><dd>{day_html(view.rows_updated_at)}</dd></div>"
    return (
        '<li class="card item"><div class="said">'
        f'<h3 dir="auto"><a href="/d/{view.uid}">{escape(view.name)}</a>{mark}</h3>'
        f"{text}"
        f'<ul class="facts">{tags}</ul></div><dl class="figures">{facts}</dl></li>'
    )


def _category(view: View) -> str:
    return str(view.document.get("category") or "")


def _address(query: list[tuple[str, str]], **changes: str) -> str:
    pairs = {**dict(query), **changes}
    text = urllib.parse.urlencode({name: value for name, value in pairs.items() if value})
    return escape(f"/{'?' if text else ''}{text}")
