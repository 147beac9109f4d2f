"""One cell of a page: aligned, readable, inert."""

from __future__ import annotations

import json
import urllib.parse
from html import escape

from .cells import CellType, Stored

CELL_LETTERS = 300
"""A longer cell ends in an ellipsis on the page; downloads hold it whole."""


def cell_html(kind: CellType, stored: Stored) -> str:
    """The table cell for a stored value."""
    if stored is None:
        return '<td class="none"><span class="hidden">blank</span></td>'
    if kind.soda == "number":
        return f'<td class="number">{escape(kind.text(stored))}</td>'
    if kind.soda in ("floating_timestamp", "fixed_timestamp"):
        return f'<td class="date">{escape(_day(str(stored)))}</td>'
    if kind.soda == "boolean":
        return f"<td>{'Yes' if stored else 'No'}</td>"
    if kind.soda == "url":
        parts = json.loads(str(stored))
        url = str(parts.get("url", ""))
        return f"<td>{safe_link(url, str(parts.get('description') or url))}</td>"
    return f"<td>{escape(_short(kind.text(stored)))}</td>"


def safe_link(url: str, words: str) -> str:
    """A link when `url` is plain http or https, else only the words, escaped."""
    shown = escape(_short(words))
    if any(letter.isspace() or ord(letter) < 32 for letter in url):
        return shown
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return shown
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return shown
    return f'<a rel="noopener noreferrer nofollow" href="{escape(url)}">{shown}</a>'


def _short(text: str) -> str:
    return text if len(text) <= CELL_LETTERS else text[: CELL_LETTERS - 1] + "…"


def _day(stored: str) -> str:
    """A date without its midnight, a time without its empty fraction."""
    day, _, rest = stored.partition("T")
    zone = " UTC" if rest.endswith("Z") else ""
    time = rest.removesuffix("Z").removesuffix(".000")
    return day if time == "00:00:00" and not zone else f"{day} {time.removesuffix(':00')}{zone}"
