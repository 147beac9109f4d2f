"""The pages people read: the catalogue and one per dataset. Plain HTML, no script, everything escaped."""

from __future__ import annotations

import datetime as dt
import functools
import sqlite3
import urllib.parse
from html import escape

from .accounts import unauthorized
from .answers import HTML, Account, Action, Answer, Call, Names, Refused, legacy, not_permitted, route
from .catalogue import Column, View, count_rows, find
from .cells import Stored
from .listings import listed, search
from .page_cells import cell_html, safe_link
from .page_rows import PAGE_ROWS, Page, read_page
from .page_style import CSS

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "private, no-cache, must-revalidate"),
    ("X-Frame-Options", "DENY"),
)
_TYPES = {
    "text": "Text", "number": "Number", "money": "Money", "percent": "Percent", "checkbox": "Yes or no",
    "calendar_date": "Date", "date": "Date and time (UTC)", "url": "Web address", "location": "Location",
    "point": "Point",
}  # fmt: skip


def catalogue_page(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /: every dataset the caller may read, searched with ?q=."""
    words = call.option("q")
    views = search(listed(connection, call.account), words)
    items = "".join(_item(connection, view) for view in views)
    found = _count(len(views), "dataset") + (" found" if words else "")
    listing = f'<ul class="list">{items}</ul>' if views else _nothing(words)
    body = (
        "<h1>Datasets</h1>"
        '<form class="search" role="search" action="/"><label class="hidden" for="q">Search datasets</label>'
        '<input id="q" name="q" type="search" placeholder="Title or column" '
        f'value="{escape(words)}"><button>Search</button></form><p class="lead">{found}</p>{listing}'
    )
    return _html("Datasets", body, call.account)


def dataset_page(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /d/<view>: title, description, metadata, rows and columns of one dataset."""
    view = _readable(call, connection, names["view"])
    sort = view.column(call.option("sort"))
    descending = call.option("dir") == "desc"
    after, before = call.option("after"), call.option("before")
    page = read_page(connection, view, sort, descending, after=after, before=before)
    rows = count_rows(connection, view)
    body = (
        f'<p class="trail"><a href="/">Datasets</a></p><h1>{escape(view.name)}</h1>'
        f"<p>{_badge(view)}</p>{_paragraphs(view)}{_downloads(view)}"
        '<section class="card section" aria-label="About this dataset">'
        f"{_facts(view, rows)}</section>"
        f"{_rows_section(view, page, rows, sort, descending)}{_columns_section(view)}"
    )
    return _html(view.name, body, call.account)


def sign_in(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /sign-in: the browser asks for key id and secret, then the catalogue with private datasets."""
    if call.account is None:
        raise unauthorized("Sign in with a key id as the name and its secret as the password.")
    return Answer(303, b"", HTML, (("Location", "/"),))


def _guarded(action: Action) -> Action:
    """Refusals as pages."""

    @functools.wraps(action)
    def guarded(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
        try:
            return action(call, connection, names)
        except Refused as refused:
            return _refusal(refused, call.account)

    return guarded


def _refusal(refused: Refused, account: Account | None) -> Answer:
    titles = {401: "Sign in to read this", 403: "You may not read this", 404: "There is nothing here"}
    title = titles.get(refused.status, "That did not work")
    body = f'<h1>{title}</h1><p class="lead">{escape(refused.what)}</p><p><a href="/">All datasets</a></p>'
    page = _html(title, body, account)
    return Answer(refused.status, page.body, HTML, refused.headers)


def _readable(call: Call, connection: sqlite3.Connection, name: str) -> View:
    view = find(connection, name)
    if view is None:
        raise legacy(404, "not_found", "No dataset has this address.")
    if view.readable(call.account):
        return view
    if call.account is None:
        raise unauthorized("This dataset is private.")
    raise not_permitted("This dataset is private, and your account was not given it.")


def _html(title: str, body: str, account: Account | None) -> Answer:
    if account is None:
        who = '<a href="/sign-in">Sign in</a>'
    else:
        who = f"{escape(account.name)}, {escape(account.role)}"
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} - Open data portal</title><link rel="icon" href="data:,">'
        f"<style>{CSS}</style></head>"
        '<body><a class="skip" href="#main">Skip to the content</a>'
        '<header class="bar"><div class="wide"><a class="brand" href="/">Open data portal</a>'
        f'<span class="who">{who}</span></div></header><main id="main" class="wide">{body}</main>'
        '<footer><div class="wide">Served by the embedded portal of ctnb. '
        '<a href="/data.json">data.json</a></div></footer></body></html>'
    )
    return Answer(200, text.encode("utf-8", "replace"), HTML)


def _nothing(words: str) -> str:
    if words:
        words = 'No dataset holds all of these words. <a href="/">Show all datasets</a>'
    return f'<div class="card"><p>{words or "Nothing is published here yet."}</p></div>'


def _item(connection: sqlite3.Connection, view: View) -> str:
    description = " ".join(str(view.document.get("description") or "").split())
    short = description if len(description) <= 240 else description[:239].rstrip() + "…"
    facts = [_count(count_rows(connection, view), "row"), f"Updated {_day(view.rows_updated_at)}"]
    facts.insert(0, str(view.document.get("category") or ""))
    shown = "".join(f"<li>{escape(fact)}</li>" for fact in facts if fact)
    badge = "" if view.public else " " + _badge(view)
    return (
        f'<li class="card"><h2><a href="/d/{view.uid}">{escape(view.name)}</a>{badge}</h2>'
        f'<p>{escape(short)}</p><ul class="facts">{shown}</ul></li>'
    )


def _badge(view: View) -> str:
    if view.stage != "published":
        return '<span class="badge private">Draft</span>'
    return (
        '<span class="badge public">Public</span>'
        if view.public
        else '<span class="badge private">Private</span>'
    )


def _paragraphs(view: View) -> str:
    text = str(view.document.get("description") or "").replace("\r\n", "\n")
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    return "".join(f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in parts)


def _downloads(view: View) -> str:
    links = [("", "Download CSV", f"/api/views/{view.uid}/rows.csv?accessType=DOWNLOAD")]
    links.append(("quiet", "JSON", f"/resource/{view.uid}.json?$limit=1000000000"))
    if any(column.kind.name == "point" for column in view.columns):
        links.append(("quiet", "GeoJSON", f"/resource/{view.uid}.geojson?$limit=1000000000"))
    links.append(("quiet", "Metadata", f"/api/views/{view.uid}.json"))
    shown = "".join(f'<a class="button {form}" href="{escape(url)}">{word}</a>' for form, word, url in links)
    return f'<div class="actions">{shown}</div>'


def _facts(view: View, rows: int) -> str:
    document, metadata = view.document, view.document.get("metadata") or {}
    facts: list[tuple[str, object]] = [("Rows", f"{rows:,}"), ("Columns", f"{len(view.columns):,}")]
    facts.append(("Data updated", _day(view.rows_updated_at)))
    facts.append(("Created", _day(view.created_at)))
    facts += [("Category", document.get("category")), ("Licence", document.get("license"))]
    facts.append(("Each row is", metadata.get("rowLabel")))
    facts.append(("Row identifier", view.identifier.name if view.identifier else None))
    facts.append(("Keywords", ", ".join(map(str, document.get("tags") or []))))
    facts.append(("Dataset id", view.uid))
    facts += _custom(metadata.get("custom_fields"))
    shown = [
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(fact))}</dd></div>" for name, fact in facts if fact
    ]
    return f"<dl>{''.join(shown)}{_attribution(view)}</dl>"


def _attribution(view: View) -> str:
    name, link = view.document.get("attribution"), view.document.get("attributionLink")
    if not name and not link:
        return ""
    return f"<div><dt>Source</dt><dd>{safe_link(str(link or ''), str(name or link))}</dd></div>"


def _custom(fields: object) -> list[tuple[str, object]]:
    if not isinstance(fields, dict):
        return []
    groups = [group for group in fields.values() if isinstance(group, dict)]
    return [(str(name), fact) for group in groups for name, fact in group.items()]


def _rows_section(view: View, page: Page, rows: int, sort: Column | None, descending: bool) -> str:
    heads = "".join(_head(view, column, sort, descending) for column in view.columns)
    lines = "".join(_line(view, row) for row in page.rows)
    shown = f"{len(page.rows):,} of {_count(rows, 'row')}" if rows > PAGE_ROWS else _count(rows, "row")
    order = f", sorted by {escape(sort.name)}, {'highest' if descending else 'lowest'} first" if sort else ""
    if not page.rows:
        table = '<p class="lead">There are no rows.</p>'
    else:
        table = (
            '<div class="scroll" role="region" tabindex="0" aria-labelledby="rows-title"><table class="data">'
            f'<caption class="hidden">Rows{order}</caption><thead><tr>{heads}</tr></thead>'
            f"<tbody>{lines}</tbody></table></div>"
        )
    head = f'<div class="head"><h2 id="rows-title">Rows</h2><span class="lead">{shown}{order}</span></div>'
    pager = _pager(view, page, sort, descending)
    return f'<section class="card section" id="rows">{head}{table}{pager}</section>'


def _line(view: View, row: tuple[Stored, ...]) -> str:
    cells = zip(view.columns, row, strict=True)
    return f"<tr>{''.join(cell_html(column.kind, cell) for column, cell in cells)}</tr>"


def _head(view: View, column: Column, sort: Column | None, descending: bool) -> str:
    sorted_here = sort is not None and sort.id == column.id
    turn = {"sort": column.field_name, "dir": "desc" if sorted_here and not descending else "asc"}
    mark = (" ▼" if descending else " ▲") if sorted_here else ""
    state = f' aria-sort="{"descending" if descending else "ascending"}"' if sorted_here else ""
    form = ' class="number"' if column.kind.soda == "number" else ""
    name = escape(column.name or column.field_name)
    address = escape(_address(view, turn))
    link = f'<a href="{address}">{name}<span aria-hidden="true">{mark}</span></a>'
    return f'<th scope="col"{form}{state}>{link}</th>'


def _pager(view: View, page: Page, sort: Column | None, descending: bool) -> str:
    if page.previous is None and page.next is None:
        return ""
    order = {"sort": sort.field_name, "dir": "desc" if descending else "asc"} if sort else {}
    parts = []
    for word, name, key, rel in (
        ("Previous", "before", page.previous, "prev"),
        ("Next", "after", page.next, "next"),
    ):
        if key is None:
            parts.append(f'<span class="off">{word}</span>')
        else:
            address = escape(_address(view, {**order, name: key}))
            parts.append(f'<a class="button quiet" rel="{rel}" href="{address}">{word}</a>')
    return f'<nav class="pager" aria-label="Pages of rows">{"".join(parts)}</nav>'


def _address(view: View, query: dict[str, str]) -> str:
    return f"/d/{view.uid}?{urllib.parse.urlencode(query)}#rows"


def _columns_section(view: View) -> str:
    lines = "".join(
        f'<tr><th scope="row">{escape(column.name)}</th><td><code>{escape(column.field_name)}</code></td>'
        f"<td>{_TYPES.get(column.kind.name, column.kind.name.capitalize())}</td>"
        f"<td>{escape(column.description) or '<span class=none>No description</span>'}</td></tr>"
        for column in view.columns
    )
    heads = "".join(f'<th scope="col">{word}</th>' for word in ("Name", "Field name", "Type", "Description"))
    table = f'<table class="stack"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'
    head = f'<div class="head"><h2>Columns</h2><span class="lead">{_count(len(view.columns), "column")}</span></div>'
    return f'<section class="card section">{head}<div class="scroll">{table}</div></section>'


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _day(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment.day} {moment:%B %Y}"


ROUTES = (
    route("GET", "/", _guarded(catalogue_page)),
    route("GET", "/d/{view}", _guarded(dataset_page)),
    route("GET", "/sign-in", _guarded(sign_in)),
)
