"""Building HTML so that what is not HTML is always escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)

_STROKES = {
    "check": "M4.6 8.4 7 10.8 11.5 5.6",
    "cross": "M5.3 5.3 10.7 10.7M10.7 5.3 5.3 10.7",
    "dash": "M4.8 8H11.2",
    "clock": "M8 4.4V8.3L10.6 9.9",
    "none": "",
}
_VOID = {"meta", "br", "hr", "img", "link", "col"}
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def h(element: str, /, *parts: object, **attributes: str | int | None) -> Html:
    """
    The `element` around `parts`, each escaped unless it is Html; None leaves a part or attribute out.

    Underscores in attribute names become hyphens, and `class_` is `class`.
    """
    opened = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in _VOID:
        return Html(f"<{element}{opened}>")
    return Html(f"<{element}{opened}>{joined(parts)}</{element}>")


def joined(parts: object) -> Html:
    """`parts`, nested as deeply as they are, one after the other."""
    if parts is None:
        return Html("")
    if isinstance(parts, Html):
        return parts
    if isinstance(parts, Iterable) and not isinstance(parts, str):
        return Html("".join(joined(part) for part in parts))
    return Html(escape(str(parts)))


def escape(text: str) -> str:
    """`text` as HTML text or attribute; characters that hide or turn text are shown by their number."""
    return html.escape(visible(text), quote=True)


def visible(text: str) -> str:
    """
    `text` with every character that hides or turns other text replaced by its number.

    A right-to-left override makes a page, or code, read as something else than it is (CVE-2021-42574).
    """
    return _INVISIBLE.sub(_by_number, text)


def document(title: str, *body: object) -> str:
    """A whole page: the policy first in its head, our one style sheet, no script."""
    head = h(
        "head",
        Html(f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">'),
        h("meta", charset="utf-8"),
        h("meta", name="referrer", content="no-referrer"),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("title", title),
        Html(f"<style>\n{_style()}</style>"),
    )
    return f"<!DOCTYPE html>\n{h('html', head, h('body', *body), lang='en')}\n"


def icon(shape: str) -> Html:
    """A small disc in the text's colour with a `shape` of `_STROKES` on it; it only repeats what a word says."""
    disc = h("circle", cx=8, cy=8, r=8, fill="currentColor")
    stroke = h(
        "path", d=_STROKES[shape], fill="none", stroke="#fff", stroke_width=2,
        stroke_linecap="round", stroke_linejoin="round",
    )  # fmt: skip
    return h("svg", disc, stroke, class_="p-icon", viewBox="0 0 16 16", aria_hidden="true")


def badge(tone: str, words: str, *, large: bool = False) -> Html:
    """`words` beside an icon, coloured: good, plain, warn, bad or idle."""
    shape = {"good": "check", "plain": "dash", "warn": "clock", "bad": "cross", "idle": "none"}[tone]
    size = " p-large" if large else ""
    return h("span", icon(shape), " ", words, class_=f"p-badge p-{tone}{size}")


def number(count: int) -> str:
    """1234567 as 1,234,567."""
    return f"{count:,}"


@cache
def _style() -> str:
    return files("ctnb.reports").joinpath("style.css").read_text(encoding="utf-8")


def _by_number(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"
