"""Cleaning HTML that a cell made, so that nothing in it runs, loads or leads astray."""

from __future__ import annotations

import base64
import binascii
import re

import nh3

from ctnb.reports.markup import Html, visible

PAGE_PREFIX = "p-"
"""Class names of our own pages begin so; no output may use one and pass for a part of the page."""


def _words(text: str) -> set[str]:
    return set(text.split())


_TAGS = _words(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure"
    " h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strong sub summary sup"
    " table tbody td tfoot th thead tr tt u ul var"
)
_WITH_CONTENT = _words(
    "script style iframe object embed applet svg math template noscript noembed noframes head title"
    " form button select textarea option audio video canvas frameset xmp plaintext dialog"
)
_SHARED = {"class", "title", "scope", "colspan", "rowspan", "alt"}
_ATTRIBUTES = {"*": _SHARED, "a": {"href"}, "img": {"src"}}
_IMAGE = re.compile(r"data:(image/(?:png|jpeg));base64,([A-Za-z0-9+/=\s]+)\Z")
_STARTS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)


def clean(markup: str) -> Html:
    """
    `markup` with only what an allow-list names: text, tables, lists, links to the web and embedded images.

    Attributes kept: class, title, scope, colspan, rowspan, alt, href of links and src of PNG and JPEG data.
    """
    cleaned = nh3.clean(
        markup,
        tags=_TAGS,
        clean_content_tags=_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer",
        strip_comments=True,
    )
    return Html(visible(cleaned))


def image_uri(mime: str, encoded: str) -> str | None:
    """A data URI for a PNG or JPEG in base64; None when it is not one."""
    start = _STARTS.get(mime)
    text = "".join(encoded.split())
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return f"data:{mime};base64,{text}" if start and data.startswith(start) else None


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name == "src":
        found = _IMAGE.match(value)
        return image_uri(found[1], found[2]) if found else None
    if name == "href":
        return value if _LINK.match(value) else None
    if name == "class":
        return " ".join(word for word in value.split() if not word.startswith(PAGE_PREFIX)) or None
    return value
