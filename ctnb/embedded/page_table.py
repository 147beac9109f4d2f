"""The rows of a dataset's page: search, filters, order, the table and the way through its pages."""

from __future__ import annotations

from html import escape

from .catalogue import Column, View
from .cells import Stored
from .page_cells import cell_html, is_measure
from .page_filters import BLANK, FILLED, Asked, address, verbs
from .page_mirrors import Overview
from .page_rows import COUNT_LIMIT, END, PAGE_ROWS, Page
from .page_shell import counted

_BLANKS = ((FILLED, "(not empty)"), (BLANK, "(empty)"))


def rows_section(view: View, asked: Asked, page: Page, overview: Overview) -> str:
    """Everything about the rows."""
    return (
        '<section class="card section" id="rows" aria-labelledby="rows-title">'
        '<div class="head"><h2 id="rows-title">Rows</h2>'
        f'<span class="lead">{_found(asked, page, overview)}</span></div>'
        f"{_form(view, asked, overview)}{_chips(view, asked)}{_table(view, asked, page, overview)}"
        f"{_pager(view, asked, page)}</section>"
    )


def _found(asked: Asked, page: Page, overview: Overview) -> str:
    many = page.found > COUNT_LIMIT and page.found == COUNT_LIMIT + 1 and page.first is None
    found = f"more than {COUNT_LIMIT:,}" if many else f"{page.found:,}"
    text = f"{found} of {counted(overview.rows, 'row')}" if asked.narrowed else counted(overview.rows, "row")
    if asked.sort is not None:
        name = escape(asked.sort.name or asked.sort.field_name)
        text += f", by {name}, {'highest' if asked.descending else 'lowest'} first"
    return text


def _form(view: View, asked: Asked, overview: Overview) -> str:
    fields = "".join(_field(column, asked, overview) for column in view.columns)
    opened = " open" if asked.filters or asked.wrong else ""
    wrong = "".join(
        f'<p class="wrong" role="alert">{escape(one.column.name)}: that is not a '
        f"{'number' if one.column.kind.soda == 'number' else 'day or a text of this column'}, so it was left out.</p>"
        for one in asked.wrong
    )
    return (
        f'<form class="asking" action="/d/{view.uid}#rows" role="search" aria-label="Rows of this dataset">'
        '<div class="search"><label class="hidden" for="words">Search the rows</label>'
        f'<input id="words" name="q" type="search" placeholder="Search the rows" value="{escape(asked.words)}">'
        "<button>Search</button></div>"
        f'<details class="filters"{opened}><summary>Filter and sort</summary><div class="fields">{fields}</div>'
        f'<div class="fields order">{_sorting(view, asked)}</div>'
        f'<div class="actions"><button>Apply</button>'
        f'<a class="button quiet" href="/d/{view.uid}#rows">Clear all</a></div>'
        f"</details></form>{wrong}"
    )


def _field(column: Column, asked: Asked, overview: Overview) -> str:
    """The controls of one column, as its type has them."""
    own = {one.verb: one.value for one in (*asked.filters, *asked.wrong) if one.column.id == column.id}
    name = escape(column.name or column.field_name)
    if "from" in verbs(column):
        parts = "".join(_input(column, verb, own.get(verb, "")) for verb in ("from", "to"))
        return f'<fieldset><legend>{name}</legend><div class="pair">{parts}</div></fieldset>'
    choices = overview.choices.get(column.id, ())
    if "has" in verbs(column) and not choices and "is" not in own:
        label = f'<label for="{column.sql}-has">{name}</label>'
        return f'<div class="field">{label}{_text_input(column, own.get("has", ""))}</div>'
    label = f'<label for="{column.sql}-is">{name}</label>'
    return f'<div class="field">{label}{_select(column, choices, own.get("is", ""))}</div>'


def _input(column: Column, verb: str, value: str) -> str:
    form = 'type="date"' if column.kind.soda != "number" else 'type="text" inputmode="decimal"'
    key = f"{column.sql}-{verb}"
    return (
        f'<div><label for="{key}">{verb.capitalize()}</label>'
        f'<input id="{key}" {form} name="f.{column.field_name}.{verb}" value="{escape(value)}"></div>'
    )


def _text_input(column: Column, value: str) -> str:
    key = f"{column.sql}-has"
    return (
        f'<input id="{key}" type="text" name="f.{column.field_name}.has" placeholder="Contains" '
        f'value="{escape(value)}">'
    )


def _select(column: Column, choices: tuple[str, ...], chosen: str) -> str:
    options = [("", "Any"), *((f"={text}", text) for text in choices)]
    if column.kind.soda == "boolean":
        options += [("=true", "Yes"), ("=false", "No")]
    options += _BLANKS
    if chosen and chosen not in dict(options):
        options.append((chosen, chosen.removeprefix("=")))
    shown = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(word)}</option>'
        for value, word in options
    )
    return f'<select id="{column.sql}-is" name="f.{column.field_name}.is">{shown}</select>'


def _sorting(view: View, asked: Asked) -> str:
    columns = "".join(
        f'<option value="{column.field_name}"{" selected" if column is asked.sort else ""}>'
        f"{escape(column.name or column.field_name)}</option>"
        for column in view.columns
    )
    ways = "".join(
        f'<option value="{key}"{" selected" if asked.descending == (key == "desc") else ""}>{word}</option>'
        for key, word in (("asc", "Lowest first"), ("desc", "Highest first"))
    )
    return (
        '<div class="field"><label for="sort">Sort by</label><select id="sort" name="sort">'
        f'<option value="">The order they came in</option>{columns}</select></div>'
        f'<div class="field"><label for="dir">Order</label><select id="dir" name="dir">{ways}</select></div>'
    )


def _chips(view: View, asked: Asked) -> str:
    """What is asked now, each with a way to take it back."""
    chips: list[tuple[str, list[tuple[str, str]]]] = []
    if asked.words:
        chips.append((f"Rows with \u201c{asked.words}\u201d", asked.query(words=False)))
    chips += [(one.words, asked.query(without=one)) for one in asked.filters]
    if not chips:
        return ""
    links = "".join(
        f'<li><a class="chip" href="{escape(address(view, pairs))}"><span class="hidden">Remove: </span>{escape(words)}'
        ' <span class="cross" aria-hidden="true">\u00d7</span></a></li>'
        for words, pairs in chips
    )
    return f'<ul class="chips" aria-label="Filters in use">{links}</ul>'


def _table(view: View, asked: Asked, page: Page, overview: Overview) -> str:
    if not page.rows:
        return f'<p class="empty">{"No row fits." if asked.narrowed else "There are no rows yet."}</p>'
    measures = [_measure(view, column, overview) for column in view.columns]
    heads = "".join(_head(view, column, asked) for column in view.columns)
    lines = "".join(_line(view, row, measures) for row in page.rows)
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Table of rows"><table class="data">'
        f'<caption class="hidden">Rows of {escape(view.name)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _measure(view: View, column: Column, overview: Overview) -> bool:
    if column.kind.soda != "number":
        return False
    own = view.identifier is not None and view.identifier.id == column.id
    return is_measure(column, overview.ranges.get(column.id), identifier=own)


def _line(view: View, row: tuple[Stored, ...], measures: list[bool]) -> str:
    cells = zip(view.columns, row, measures, strict=True)
    return f"<tr>{''.join(cell_html(column, cell, measure=measure) for column, cell, measure in cells)}</tr>"


def _head(view: View, column: Column, asked: Asked) -> str:
    here = asked.sort is not None and asked.sort.id == column.id
    turn = [("sort", column.field_name), ("dir", "desc" if here and not asked.descending else "asc")]
    mark = ("\u25bc" if asked.descending else "\u25b2") if here else ""
    state = f' aria-sort="{"descending" if asked.descending else "ascending"}"' if here else ""
    form = ' class="number"' if column.kind.soda == "number" else ""
    name = escape(column.name or column.field_name)
    link = escape(address(view, [*asked.query(order=False), *turn]))
    shown = f'<a href="{link}">{name}<span class="mark" aria-hidden="true">{mark}</span></a>'
    return f'<th scope="col"{form}{state}>{shown}</th>'


def _pager(view: View, asked: Asked, page: Page) -> str:
    if page.previous is None and page.next is None:
        return ""
    query = asked.query()
    steps = (
        ("First", query if page.previous else None, ""),
        ("Previous", [*query, ("before", page.previous)] if page.previous else None, "prev"),
        ("Next", [*query, ("after", page.next)] if page.next else None, "next"),
        ("Last", [*query, ("before", END)] if page.next else None, ""),
    )
    links = []
    for word, pairs, rel in steps:
        form = f' rel="{rel}"' if rel else ""
        if pairs is None:
            links.append(f'<span class="button off">{word}</span>')
        else:
            links.append(f'<a class="button quiet"{form} href="{escape(address(view, pairs))}">{word}</a>')
    where = ""
    if page.first is not None:
        last = page.first + len(page.rows) - 1
        where = f'<span class="where">Rows {page.first:,} to {last:,} of {page.found:,}</span>'
    parts = "".join(links)
    return f'<nav class="pager" aria-label="Pages of rows">{parts}{where}{_jump(view, asked, page)}</nav>'


def _jump(view: View, asked: Asked, page: Page) -> str:
    """To a row by its place; only where finding it is quick."""
    if page.first is None or page.found <= 4 * PAGE_ROWS:
        return ""
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in asked.query()
    )
    return (
        f'<form class="jump" action="/d/{view.uid}#rows">{kept}<label for="at">Go to row</label>'
        '<input id="at" name="at" type="text" inputmode="numeric" pattern="[0-9,]*" size="9">'
        '<button class="quiet">Go</button></form>'
    )
