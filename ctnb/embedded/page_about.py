"""What a dataset's page says around its rows: what it is, its columns, files, views, downloads and history."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
import urllib.parse
from collections.abc import Sequence
from html import escape
from typing import Any

from .accounts import by_uid
from .answers import Account, Call
from .catalogue import View, filtered_views
from .page_cells import day_html, day_text, safe_link, short
from .page_history import Event
from .page_mirrors import Overview
from .page_shell import counted

_SHORT_TEXT = 700
_PROGRAMS_OWN = frozenset([("ctnb", "Creation")])
"""Custom fields, by set and name, that programs write for themselves; they say nothing to readers."""
_EVENTS = 15
_TYPES = {
    "text": "Text", "number": "Number", "money": "Money", "percent": "Percent", "checkbox": "Yes or no",
    "calendar_date": "Date", "date": "Date and time (UTC)", "url": "Web address", "location": "Location",
    "point": "Point", "html": "Formatted text", "email": "Mail address", "phone": "Phone number",
}  # fmt: skip
_DASH = "\N{EN DASH}"
_ABSENT = '<span class="none">Not given</span>'


def description(view: View) -> str:
    """The description in paragraphs; a long one opens."""
    text = str(view.document.get("description") or "").replace("\r\n", "\n").strip()
    if not text:
        return ""
    whole = "".join(
        f'<p dir="auto">{_linked(part)}</p>' for part in re.split(r"\n\s*\n", text) if part.strip()
    )
    if len(text) <= _SHORT_TEXT:
        return whole
    first = escape(short(" ".join(text[: 2 * _SHORT_TEXT].split()), _SHORT_TEXT))
    summary = f'<span class="first" dir="auto">{first}</span> <span class="more">Read all</span>'
    return f'<details class="long said"><summary>{summary}</summary><div>{whole}</div></details>'


def facts_section(call: Call, connection: sqlite3.Connection, view: View) -> str:
    """Licence, attribution, citation, row label, frequency, contact, who may see it, and what was added."""
    document, metadata = view.document, view.document.get("metadata") or {}
    custom = _custom(metadata.get("custom_fields"))
    frequency, contact = _taken(custom, "frequency"), _taken(custom, "contact")
    private = document.get("privateMetadata") or {}
    if contact is None and call.account is not None and call.account.role == "publisher":
        contact = private.get("contactEmail")
    facts: list[tuple[str, str]] = [
        ("Each row is", _said(metadata.get("rowLabel"))),
        ("Update frequency", _said(frequency)),
        ("Licence", _license(document)),
        ("Source", _attribution(view)),
        ("Contact", _said(contact)),
        ("Who may see it", escape(_readers(connection, view, call.account))),
        ("Row identifier", escape(view.identifier.name) if view.identifier else _ABSENT),
        ("Category", _said(document.get("category"))),
        ("Keywords", _said(", ".join(map(str, document.get("tags") or [])))),
        ("Created", day_html(view.created_at)),
        ("Published", _ABSENT if view.published_at is None else day_html(view.published_at)),
        ("Dataset id", f"<code>{view.uid}</code>"),
    ]
    facts += [(escape(name), _said(value)) for name, value in custom]
    shown = "".join(f'<div><dt>{name}</dt><dd dir="auto">{fact}</dd></div>' for name, fact in facts)
    cite = f'<div class="wholly"><dt>Cite as</dt><dd dir="auto">{escape(citation(call, view))}</dd></div>'
    return _section("about", "About this dataset", "", f"<dl>{shown}{cite}</dl>")


def citation(call: Call, view: View) -> str:
    """A citation of the data as they are today: author, year, title, portal, address, day."""
    author = str(view.document.get("attribution") or "").strip()
    updated = dt.datetime.fromtimestamp(view.rows_updated_at, dt.UTC)
    today = day_text(dt.datetime.fromtimestamp(call.now, dt.UTC).date())
    named = f"{author}. " if author else ""
    where = f"Open data portal. {call.origin}/d/{view.uid} (read {today})."
    return f"{named}{view.name} [Data set]. {updated.year}. {where}"


def columns_section(view: View, overview: Overview) -> str:
    """Name, field name, type, description and empty cells of each column."""
    words = ("Name", "Field name", "Type", "Description", "Empty cells")
    lines = "".join(
        f'<tr><th scope="row">{escape(column.name)}</th>'
        f'<td data-label="Field name"><code>{escape(column.field_name)}</code></td>'
        f'<td data-label="Type">{_TYPES.get(column.kind.name, column.kind.name.capitalize())}</td>'
        f'<td data-label="Description" dir="auto">{_linked(column.description) or _ABSENT}</td>'
        f'<td class="count" data-label="Empty cells">{_blanks(overview, column.id)}</td></tr>'
        for column in view.columns
    )
    body = _stack("Columns", words, lines)
    return _section("columns", "Columns", counted(len(view.columns), "column"), body)


def downloads(view: View) -> str:
    """A button for each form the rows can be had in; of a dataset that is a file, one for the file."""
    if is_file(view):
        return _actions([_whole_file(view), ("quiet", "Metadata", f"/api/views/{view.uid}.json")])
    links = [("", "Download CSV", f"/api/views/{view.uid}/rows.csv?accessType=DOWNLOAD")]
    links.append(("quiet", "JSON", f"/resource/{view.uid}.json?$limit=1000000000"))
    if any(column.kind.soda in _SHAPES for column in view.columns):
        links.append(("quiet", "GeoJSON", f"/resource/{view.uid}.geojson?$limit=1000000000"))
    links.append(("quiet", "XML", f"/resource/{view.uid}.xml?$limit=1000000000"))
    links.append(("quiet", "Metadata", f"/api/views/{view.uid}.json"))
    return _actions(links)


def is_file(view: View) -> bool:
    """Whether the dataset is a file, and so has no rows and columns."""
    return "_blob" in view.document


def size_text(size: int) -> str:
    """A number of bytes for people, in powers of 1,000: 999 bytes, 1.5 kB, 20 MB."""
    number, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB"):
        if number < 999.5:
            break
        number, unit = number / 1000, larger
    return f"{number:.1f} {unit}" if unit != "bytes" and number < 9.95 else f"{number:,.0f} {unit}"


def _actions(links: Sequence[tuple[str, str, str]]) -> str:
    """Buttons: the class, the word and the address of each."""
    shown = "".join(
        f'<a class="button {form}" href="{escape(url)}">{escape(word)}</a>' for form, word, url in links
    )
    return f'<div class="actions">{shown}</div>'


def _whole_file(view: View) -> tuple[str, str, str]:
    blob = view.document["_blob"]
    name = str(blob["filename"])
    query = urllib.parse.urlencode({"download": "true", "filename": name})
    word = f"Download {short(name, 60)} ({size_text(blob['size'])})"
    return "", word, f"/api/views/{view.uid}/files/{blob['id']}?{query}"


def programs_section(call: Call, view: View) -> str:
    """Where programs read the rows."""
    address = f"{call.origin}/resource/{view.uid}.json"
    body = (
        f"<p>SODA address: <code>{escape(address)}</code></p>"
        f"<p>The newest ten rows: <code>{escape(address)}?$order=:id desc&amp;$limit=10</code></p>"
    )
    return _section("programs", "For programs", "", body)


def files_section(view: View) -> str:
    """The attachments, if there are any."""
    attached = (view.document.get("metadata") or {}).get("attachments")
    items = (
        "".join(_file(view, one) for one in attached if isinstance(one, dict))
        if isinstance(attached, list)
        else ""
    )
    return _section("files", "Attachments", "", f'<ul class="plain">{items}</ul>') if items else ""


def views_section(connection: sqlite3.Connection, view: View, account: Account | None) -> str:
    """The filtered views made of this dataset that the caller may read."""
    made = [one for one in filtered_views(connection, view) if one.readable(account)]
    items = "".join(
        f'<li><a href="/d/{one.uid}">{escape(one.name)}</a> '
        f'<span class="none">{escape(short(str(one.document.get("description") or ""), 160))}</span></li>'
        for one in made
    )
    return (
        _section("views", "Views made of it", counted(len(made), "view"), f'<ul class="plain">{items}</ul>')
        if made
        else ""
    )


def history_section(events: list[Event]) -> str:
    """When, who, what and how many rows; the newest first."""
    lines = "".join(
        f'<tr><th scope="row">{_when(event.at)}</th><td data-label="What">{escape(event.what)}'
        f"{'' if event.number is None else f' <span class=none>revision {event.number}</span>'}</td>"
        f'<td data-label="Rows">{escape(event.rows) or _DASH}</td>'
        f'<td data-label="Who">{escape(event.who) or _DASH}</td></tr>'
        for event in events[:_EVENTS]
    )
    more = f"the newest {_EVENTS} of {len(events):,} changes" if len(events) > _EVENTS else ""
    return _section("history", "History", more, _stack("History", ("When", "What", "Rows", "Who"), lines))


def _stack(caption: str, heads: Sequence[str], lines: str) -> str:
    """A table whose rows stand one under the other on a phone."""
    named = "".join(f'<th scope="col">{word}</th>' for word in heads)
    table = (
        f'<caption class="hidden">{caption}</caption><thead><tr>{named}</tr></thead><tbody>{lines}</tbody>'
    )
    return f'<div class="scroll"><table class="stack">{table}</table></div>'


def _section(key: str, title: str, aside: str, body: str) -> str:
    head = f'<div class="head"><h2 id="{key}-title">{title}</h2><span class="lead">{aside}</span></div>'
    return f'<section class="card section" id="{key}" aria-labelledby="{key}-title">{head}{body}</section>'


_SHAPES = ("point", "multipoint", "line", "multiline", "polygon", "multipolygon")


def _blanks(overview: Overview, column: int) -> str:
    if column not in overview.blanks:
        return '<span class="none">not counted yet</span>'
    number = overview.blanks[column]
    if not number:
        return "None"
    share = number / overview.rows
    percent = (
        "all"
        if number == overview.rows
        else "under 1%"
        if share < 0.01
        else f"{min(round(100 * share), 99)}%"
    )
    return f"{number:,} <span class=none>({percent})</span>"


def _file(view: View, one: dict[str, Any]) -> str:
    name = str(one.get("filename") or one.get("name") or "file")
    asset, blob = one.get("assetId") or one.get("asset_id"), one.get("blobId") or one.get("blob_id")
    query = urllib.parse.urlencode({"download": "true", "filename": name})
    if asset:
        link = f"/api/views/{view.uid}/files/{urllib.parse.quote(str(asset), safe='')}?{query}"
    elif blob:
        link = f"/api/assets/{urllib.parse.quote(str(blob), safe='')}?{query}"
    else:
        return f"<li>{escape(name)}</li>"
    return f'<li><a href="{escape(link)}">{escape(str(one.get("name") or name))}</a></li>'


def _readers(connection: sqlite3.Connection, view: View, account: Account | None) -> str:
    if view.public:
        return "Everybody"
    base = "Publishers of this portal"
    if account is None or account.role != "publisher":
        return base + (" and the accounts it was given to" if view.users else "")
    named = [
        str(user.get("email") or by_uid(connection, str(user.get("id"))).get("displayName") or "an account")
        for user in view.users
    ]
    return f"{base}, and {', '.join(named)}" if named else base


def _license(document: dict[str, Any]) -> str:
    license_ = document.get("license")
    if isinstance(license_, dict):
        return safe_link(str(license_.get("termsLink") or ""), str(license_.get("name") or "")) or _ABSENT
    return _said(license_ or document.get("licenseId"))


def _attribution(view: View) -> str:
    name, link = view.document.get("attribution"), view.document.get("attributionLink")
    return safe_link(str(link or ""), str(name or link)) if name or link else _ABSENT


def _custom(fields: object) -> list[tuple[str, object]]:
    groups = (
        {key: group for key, group in fields.items() if isinstance(group, dict)}
        if isinstance(fields, dict)
        else {}
    )
    return [
        (str(name), value)
        for key, group in groups.items()
        for name, value in group.items()
        if (key, name) not in _PROGRAMS_OWN
    ]


def _taken(custom: list[tuple[str, object]], word: str) -> object:
    """The custom field whose name holds `word`, taken out of the list."""
    for at, (name, value) in enumerate(custom):
        if word in name.lower():
            del custom[at]
            return value
    return None


def _said(value: object) -> str:
    return _linked(str(value)) if value not in (None, "") else _ABSENT


def _linked(text: str) -> str:
    """Text with its web addresses as links, line ends kept."""
    parts = re.split(r"(https?://[^\s<>\"']+[^\s<>\"'.,;:!?)])", text.strip())
    shown = [
        safe_link(part, part) if at % 2 else escape(part).replace("\n", "<br>")
        for at, part in enumerate(parts)
    ]
    return "".join(shown)


def _when(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    clock = f"{(moment.hour - 1) % 12 + 1}:{moment:%M} {'AM' if moment.hour < 12 else 'PM'} UTC"
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{day_text(moment.date())}, {clock}</time>'
