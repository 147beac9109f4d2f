"""
Data dictionaries as CSV, XLSX, HTML and Markdown.

Each is safe where staff open it: no cell of CSV or XLSX is ever a formula, and in HTML and Markdown text is text.
"""

from __future__ import annotations

import csv
import io
import re

from ctnb.dictionaries.entries import HEADERS, Dictionary
from ctnb.reports.markup import document, h, visible

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]|'*\s+[=+\-@]")
"""What a spreadsheet may take for a formula, with apostrophes that were put before it already."""
_MARKS = re.compile(r"([\\`*_{}\[\]<>|~#&!])")
_LONGEST = 32_000
"""Characters of an Excel cell: 32,767, less an ellipsis."""


def safe_cell(text: str) -> str:
    """
    `text` as a CSV cell that no spreadsheet takes for a formula: with an apostrophe before =, +, -, @, tab or CR.

    Text that begins so with apostrophes gets one more, so that `bare_cell` gives back what was there.
    The rule is OWASP's for CSV injection.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def bare_cell(text: str) -> str:
    """What `safe_cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def as_csv(dictionary: Dictionary) -> bytes:
    """The dictionary as CSV in UTF-8, with the mark by which Excel knows it."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(HEADERS)
    writer.writerows([safe_cell(cell) for cell in row] for row in dictionary.rows)
    return stream.getvalue().encode("utf-8-sig")


def as_xlsx(dictionary: Dictionary) -> bytes:
    """The dictionary as a workbook: the sheet Columns, then the sheet Dataset."""
    import xlsxwriter

    stream = io.BytesIO()
    book = xlsxwriter.Workbook(
        stream,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    head = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    body = book.add_format({"text_wrap": True, "valign": "top", "num_format": "@"})
    columns = book.add_worksheet("Columns")
    for place, header in enumerate(HEADERS):
        columns.write_string(0, place, header, head)
        columns.set_column(place, place, 60 if header == "description" else 22, body)
    for number, row in enumerate(dictionary.rows, 1):
        for place, cell in enumerate(row):
            if cell:
                columns.write_string(number, place, _cut(cell), body)
    columns.freeze_panes(1, 1)
    columns.autofilter(0, 0, max(1, len(dictionary.rows)), len(HEADERS) - 1)
    about = book.add_worksheet("Dataset")
    about.set_column(0, 0, 22, head)
    about.set_column(1, 1, 100, body)
    facts = (("Title", dictionary.title), ("Description", dictionary.description), *dictionary.facts)
    for number, (name, text) in enumerate(facts):
        about.write_string(number, 0, name, head)
        about.write_string(number, 1, _cut(text), body)
    book.close()
    return stream.getvalue()


def as_html(dictionary: Dictionary) -> bytes:
    """The dictionary as one page without scripts that opens nothing else."""
    facts = [[h("dt", name), h("dd", text)] for name, text in dictionary.facts]
    head = h("tr", [h("th", header, scope="col") for header in HEADERS])
    rows = [
        h("tr", h("th", h("code", row[0]), scope="row"), [h("td", _lines(cell)) for cell in row[1:]])
        for row in dictionary.rows
    ]
    page = document(
        f"Data dictionary: {dictionary.title}",
        h(
            "main",
            h("h1", dictionary.title),
            [h("p", part) for part in dictionary.description.split("\n\n") if part.strip()],
            h("dl", facts) if facts else None,
            h("h2", "Columns"),
            h("div", h("table", h("thead", head), h("tbody", rows)), style="overflow-x: auto"),
        ),
    )
    return page.encode("utf-8", "replace")


def as_markdown(dictionary: Dictionary) -> bytes:
    """The dictionary as a page of Markdown with a table."""
    lines = [f"# {_plain(dictionary.title)}", ""]
    lines += [_plain(dictionary.description), ""] if dictionary.description else []
    lines += [f"- {_plain(name)}: {_plain(text)}" for name, text in dictionary.facts]
    lines += [""] if dictionary.facts else []
    lines += [f"| {' | '.join(HEADERS)} |", f"|{' --- |' * len(HEADERS)}"]
    lines += [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in dictionary.rows]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _cut(text: str) -> str:
    clean = visible(text)
    return clean if len(clean) <= _LONGEST else f"{clean[:_LONGEST]}…"


def _lines(text: str) -> list[object]:
    """`text` with its line breaks."""
    parts: list[object] = []
    for line in text.split("\n"):
        parts += [h("br"), line]
    return parts[1:]


def _plain(text: str) -> str:
    """`text` as Markdown that is shown as it is, on one line."""
    escaped = _MARKS.sub(r"\\\1", visible(text).strip())
    return re.sub(r"\s*\n\s*", "<br>", escaped)
