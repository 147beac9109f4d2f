"""Tables, lists of facts and numbers, as every section of a report shows them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ctnb.reports.markup import Html, h, joined, number

FOLD_ROWS = 15
"""A longer table is folded under a line that says what it holds."""

LONG_CHARS = 30
"""A longer name must not widen its table."""


@dataclass(frozen=True)
class Heading:
    """The head of one column of a table."""

    text: str
    kind: str = "text"
    """text or number; numbers stand at the right."""


def table(caption: str, headings: Sequence[Heading], rows: Iterable[Sequence[object]]) -> Html:
    """
    A table whose first cell of each row is its header; on a phone each row becomes a card.

    The roles are said again in attributes because browsers drop them from a table laid out as cards.
    """
    head = [h("th", one.text, scope="col", role="columnheader", class_=_kind(one)) for one in headings]
    return h(
        "table",
        h("caption", caption),
        h("thead", h("tr", head, role="row"), role="rowgroup"),
        h("tbody", [_row(headings, row) for row in rows], role="rowgroup"),
        role="table",
        class_="p-narrow" if len(headings) <= 3 else None,
    )


def folded(summary: object, content: object, *, rows: int, fold_rows: int = FOLD_ROWS) -> Html:
    """`content` under a line to open it with; already open when it has at most `fold_rows` rows."""
    return h("details", h("summary", summary), content, open="open" if rows <= fold_rows else None)


def facts(*pairs: tuple[str, object]) -> Html:
    """Names with what they are, those that are None left out."""
    return h(
        "dl",
        [h("div", h("dt", name), h("dd", what)) for name, what in pairs if what is not None],
        class_="p-facts",
    )


def share(part: int, whole: int) -> str:
    """A part of a whole in per cent with one decimal; a small part is never shown as none."""
    if not whole:
        return ""
    if part in (0, whole):
        return "100%" if part else "0%"
    percent = 100 * part / whole
    if percent < 0.1:
        return "under 0.1%"
    if percent > 99.9:
        return "over 99.9%"
    return f"{percent:.1f}%"


def bytes_text(count: int) -> str:
    """4213222 as 4.2 MB (powers of ten)."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{number(count)} {'byte' if count == 1 else 'bytes'}"


def duration(seconds: float) -> str:
    """72.4 as 1 min 12 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def moment(when: dt.datetime) -> Html:
    """A time in UTC, to the second."""
    utc = when.astimezone(dt.UTC)
    return h(
        "time",
        f"{utc.day} {utc:%b %Y, %H:%M:%S} UTC",
        datetime=f"{utc:%Y-%m-%dT%H:%M:%SZ}",
    )


def code(text: str) -> Html:
    """A name, a path or a command as it is typed; a long one may break anywhere."""
    return h("code", text, class_="p-long" if len(text) > LONG_CHARS else None)


def names(listed: tuple[str, ...]) -> Html | None:
    """Names as they are typed, with commas between; None where there is none."""
    if not listed:
        return None
    return joined([[", " if place else "", code(name)] for place, name in enumerate(listed)])


def counted(number_of: int, what: str) -> str:
    """3 and "row" as 3 rows."""
    return f"{number(number_of)} {what}{'' if number_of == 1 else 's'}"


def _row(headings: Sequence[Heading], row: Sequence[object]) -> Html:
    first, *others = zip(headings, row, strict=True)
    cells = [
        h(
            "th",
            h("div", first[1]),
            scope="row",
            role="rowheader",
            data_label=first[0].text,
            class_=_kind(first[0]),
        )
    ]
    cells += [
        h(
            "td",
            h("div", content) if content else None,
            role="cell",
            data_label=heading.text,
            class_=_kind(heading),
        )
        for heading, content in others
    ]
    return h("tr", cells, role="row")


def _kind(heading: Heading) -> str | None:
    return f"p-{heading.kind}" if heading.kind != "text" else None
