"""One cell of a page: aligned, readable, inert."""

from __future__ import annotations

import datetime as dt
import json
import re
import urllib.parse
from html import escape

from .catalogue import Column
from .cells import Stored
from .decimals import unpack

CELL_LETTERS = 80
"""A longer cell is clipped, and opens."""
CLIPPED_LETTERS = 46
OPEN_LETTERS = 10_000
"""What an opened cell shows at most; downloads hold it whole."""
_CODES = re.compile(
    r"(?:(?:^|_)(?:id|code|codes|year|yr|fy|sfy|zip|zipcode|zip5|fips|geoid|naics|phone|fax|tract|ward|district"
    r"|precinct|route|key|uid|ein|npi|latitude|longitude|lat|lon)|_(?:number|no|num))$"
)
"""Field names that end like this hold numbers that are names rather than amounts."""
_YEARS = (1500, 2200)


def is_measure(column: Column, lowest_and_highest: tuple[str, str] | None, *, identifier: bool) -> bool:
    """
    Whether the numbers of a column are amounts, which thousands separators make easier to read.

    They are not when the column's format says `noCommas`, when it identifies rows, when its field name is that
    of a code or a year, or when all of them are years.
    """
    if column.kind.name in ("money", "percent"):
        return True
    if (
        identifier
        or str(column.format.get("noCommas", "")).lower() == "true"
        or _CODES.search(column.field_name)
    ):
        return False
    if lowest_and_highest is None:
        return True
    ends = [unpack(end) for end in lowest_and_highest]
    return not all(re.fullmatch(r"\d{4}", end) and _YEARS[0] <= int(end) <= _YEARS[1] for end in ends)


def cell_html(column: Column, stored: Stored, *, measure: bool) -> str:
    """The table cell for a stored value; `measure`: a number with thousands separators."""
    kind = column.kind
    if stored is None or stored == "":
        return '<td class="none"><span class="hidden">empty</span></td>'
    if kind.soda == "number":
        return f'<td class="number">{escape(number_text(column, str(stored), measure=measure))}</td>'
    if kind.soda in ("floating_timestamp", "fixed_timestamp"):
        return f'<td class="date">{_moment(str(stored))}</td>'
    if kind.soda == "boolean":
        return f"<td>{'Yes' if stored else 'No'}</td>"
    if kind.soda == "url":
        parts = json.loads(str(stored))
        url = str(parts.get("url", ""))
        return f'<td class="link">{safe_link(url, str(parts.get("description") or _bare(url)))}</td>'
    if kind.soda == "location":
        return f'<td class="place">{escape(kind.text(stored)).replace(chr(10), "<br>")}</td>'
    if kind.soda == "point":
        return f'<td class="date">{escape(_point(str(stored)))}</td>'
    if kind.soda not in ("text", "number"):
        return f"<td>{escape(kind.name.capitalize())}{_clipped(kind.text(stored), 0)}</td>"
    return f'<td dir="auto">{_clipped(kind.text(stored), CELL_LETTERS)}</td>'


def number_text(column: Column, stored: str, *, measure: bool) -> str:
    """A stored number for people: a real minus sign, thousands separators, cents, a currency or percent sign."""
    text = unpack(stored)
    whole, _, fraction = text.removeprefix("-").partition(".")
    style = column.format.get("precisionStyle")
    if column.kind.name == "money" or style == "currency":
        fraction, before, after = fraction.ljust(2, "0"), "$", ""
    else:
        before, after = "", "%" if column.kind.name == "percent" or style == "percentage" else ""
    grouped = f"{int(whole):,}" if measure and len(whole) < 400 else whole
    sign = "\N{MINUS SIGN}" if text[0] == "-" else ""
    return f"{sign}{before}{grouped}{'.' if fraction else ''}{fraction}{after}"


def safe_link(url: str, words: str) -> str:
    """A link when `url` is plain http or https, else only the words, escaped."""
    shown = escape(short(words, CELL_LETTERS))
    if any(letter.isspace() or ord(letter) < 32 for letter in url):
        return shown
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return shown
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return shown
    return f'<a rel="noopener noreferrer nofollow" href="{escape(url)}">{shown}</a>'


def short(text: str, letters: int) -> str:
    """The text, cut behind a word, with an ellipsis, where it is longer than `letters`."""
    if len(text) <= letters:
        return text
    words = text[:letters].rpartition(" ")[0]
    cut = words if len(words) > letters // 2 else text[: letters - 1]
    return cut.rstrip(" ,;:.") + "…"


def day_text(day: dt.date) -> str:
    """A day as it is written in Connecticut: Nov 21, 2026."""
    return f"{day:%b} {day.day}, {day.year}"


def day_html(seconds: float) -> str:
    """The UTC day of a moment, in seconds since 1970."""
    day = dt.datetime.fromtimestamp(seconds, dt.UTC).date()
    return f'<time datetime="{day.isoformat()}">{day_text(day)}</time>'


def _clipped(text: str, letters: int) -> str:
    if letters and len(text) <= letters:
        return escape(text).replace("\n", "<br>")
    whole = text if len(text) <= OPEN_LETTERS else f"{text[:OPEN_LETTERS]}… (downloads hold the rest)"
    first = escape(short(" ".join(text[: 2 * letters].split()), CLIPPED_LETTERS)) if letters else ""
    shown = f'<span class="first">{first}</span> <span class="more">Show all</span>'
    return f'<details class="long"><summary>{shown}</summary><div>{escape(whole)}</div></details>'


def _bare(url: str) -> str:
    return re.sub(r"^https?://(www\.)?", "", url).rstrip("/")


def _point(stored: str) -> str:
    """Latitude and longitude, as maps take them."""
    longitude, latitude = json.loads(stored, parse_float=str, parse_int=str)["coordinates"][:2]
    return f"{latitude}, {longitude}"


def _moment(stored: str) -> str:
    """A date without its midnight, a time without its empty fraction."""
    day, _, rest = stored.partition("T")
    zone = " UTC" if rest.endswith("Z") else ""
    shown = day_text(dt.date.fromisoformat(day))
    hour, minute, second = rest.removesuffix("Z").split(":")
    if (hour, minute, float(second)) != ("00", "00", 0) or zone:
        clock = f"{(int(hour) - 1) % 12 + 1}:{minute}" + (
            "" if float(second) == 0 else f":{second.removesuffix('.000')}"
        )
        shown += f", {clock} {'AM' if int(hour) < 12 else 'PM'}{zone}"
    return f'<time datetime="{escape(stored)}">{shown}</time>'
