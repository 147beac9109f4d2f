"""Tables that a cell showed, laid out as the report's own: cards on a phone, long ones folded."""

from __future__ import annotations

import re
from html import unescape

from ctnb.reports.markup import Html, escape, h
from ctnb.reports.tables import FOLD_ROWS, counted, folded

_TABLE = re.compile(r"<table>(<thead><tr>.*?</tr></thead>)?<tbody>(.*?)</tbody></table>", re.DOTALL)
_HEAD = re.compile(r"<th(?: scope=\"col\")?>([^<]*)</th>")
_ROW = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)
_CELL = re.compile(r"<td>(.*?)</td>", re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?\Z")


def laid_out(html: Html) -> Html:
    """
    `html`, cleaned already, with each plain table (cells without attributes) told how to stand on a phone.

    Tables of any other form stay as they are.
    """
    return Html(_TABLE.sub(_table, html))


def _table(found: re.Match[str]) -> str:
    rows = [_CELL.findall(row) for row in _ROW.findall(found[2])]
    heads = _HEAD.findall(found[1] or "")
    plain = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    nested = any("<t" in cell for row in rows for cell in row)
    if (
        nested
        or plain != "".join(found[2].split("\n"))
        or any(len(row) != len(heads or rows[0]) for row in rows)
    ):
        return found[0]
    if not heads:
        return h("table", h("tbody", [_fact(row) for row in rows]), class_="p-pairs")
    numbers = [all(_NUMBER.match(row[place]) for row in rows) for place in range(len(heads))]
    content = h(
        "table",
        h(
            "thead",
            h("tr", [_head(*one) for one in zip(heads, numbers, strict=True)], role="row"),
            role="rowgroup",
        ),
        h("tbody", [_row(heads, numbers, row) for row in rows], role="rowgroup"),
        role="table",
    )
    if len(rows) <= FOLD_ROWS:
        return content
    return folded(Html(f"{counted(len(rows), 'row')}: {', '.join(heads)}"), content, rows=len(rows))


def _fact(row: list[str]) -> Html:
    """A row of a table without a head: a name and what it is, or, where the name is empty, a sentence."""
    shown = row if row[0].strip() else row[1:]
    span = len(row) - len(shown) + 1
    first = h("td", Html(shown[0]), colspan=span if span > 1 else None) if shown else Html("")
    return h("tr", first, [h("td", Html(cell)) for cell in shown[1:]])


def _head(text: str, is_number: bool) -> Html:
    return h("th", Html(text), scope="col", role="columnheader", class_="p-number" if is_number else None)


def _row(heads: list[str], numbers: list[bool], row: list[str]) -> Html:
    cells = [
        Html(
            f'<td role="cell" data-label="{escape(unescape(head))}"{_kind(is_number)}>'
            f"{f'<div>{cell}</div>' if cell else ''}</td>"
        )
        for head, is_number, cell in zip(heads, numbers, row, strict=True)
    ]
    return h("tr", cells, role="row")


def _kind(is_number: bool) -> str:
    return ' class="p-number"' if is_number else ""
