"""The row account as a picture: boxes from left to right, what left the way beneath them."""

from __future__ import annotations

from ctnb.reports.facts import Count, RowAccount
from ctnb.reports.markup import Html, badge, h, joined, number


def flow(account: RowAccount) -> Html:
    """Read, kept, after transform, published; with every row and cell that did not come along."""
    rejected, removed = _sum(account.rejected), _sum(account.removed)
    unit = "rows" if account.stands_for is None else "groups"
    stages = [
        _stage("read", account.read, "rows"),
        _stage(
            "kept", account.read - rejected, "rows", _exits("set aside", "rows", account.rejected),
            _exits("emptied", "cells", account.nulled),
        ),
        _stage(
            "after transform", account.rows, unit,
            _stands_for(account), _exits("added by rule", "rows", account.added, "+"),
            _exits("removed by rule", "rows", account.removed),
            _exits("repaired, or damaged and left", "cells", account.repaired, ""),
            _exits("suppressed", "cells", account.suppressed),
        ),
        _stage("published", account.published, unit),
    ]  # fmt: skip
    return joined((_closing(account, rejected, removed), h("ol", stages, class_="p-flow"), _bar(account)))


def _stage(name: str, count: int | None, unit: str, *notes: Html | None) -> Html:
    shown = "–" if count is None else number(count)
    return h(
        "li",
        h(
            "div",
            h("span", name),
            h("strong", shown),
            h("small", unit if count is not None else "not reached" if name != "published" else "nothing"),
            class_="p-stage",
        ),
        notes,
    )


def _exits(words: str, unit: str, counts: tuple[Count, ...], sign: str = "−") -> Html | None:
    if not counts:
        return None
    return h(
        "div",
        h("p", h("strong", f"{sign} {number(_sum(counts))}".strip()), f" {unit} {words}"),
        h("ul", [h("li", h("code", one.label), " ", number(one.value)) for one in counts if one.label]),
        class_="p-exit",
    )


def _stands_for(account: RowAccount) -> Html | None:
    if account.stands_for is None:
        return None
    return h("p", f"stand for {number(account.stands_for)} {account.stands_for_what}", class_="p-note")


def _closing(account: RowAccount, rejected: int, removed: int) -> Html:
    if not account.closes:
        why = f" Reason given: {account.reason}" if account.reason else " No reason was given."
        return h("p", badge("bad", "not accounted for"), " Rows in and rows out do not close.", why)
    added = _sum(account.added)
    left = account.read + added - rejected - removed
    came = f" {number(account.read)} read{f' + {number(added)} added by rule' if added else ''}"
    parts = [f"{number(rejected)} set aside", f"{number(removed)} removed by rule", f"{number(left)} kept"]
    if account.rows is None:  # the transform did not end: it can have removed nothing
        del parts[1]
    return h("p", badge("good", "closes"), f"{came} = {' + '.join(parts)}.", _groups(account))


def _groups(account: RowAccount) -> str | None:
    if account.rows is None or account.stands_for is None:
        return None
    said = f" {number(account.rows)} groups stand for {number(account.stands_for)} {account.stands_for_what}"
    hidden = _sum(account.suppressed)
    return f"{said}; {number(hidden)} of their cells are suppressed." if hidden else f"{said}."


def _bar(account: RowAccount) -> Html | None:
    """How much of what was read came along; the sentence above says the same in numbers."""
    if not account.read or not account.closes or not (account.rejected or account.removed):
        return None
    rejected, removed = _sum(account.rejected), _sum(account.removed)
    whole = account.read + _sum(account.added)
    parts = (("good", whole - rejected - removed), ("warn", removed), ("bad", rejected))
    x, drawn = 0.0, []
    for tone, rows in parts:
        width = 1000 * rows / whole
        drawn.append(h("rect", x=f"{x:.2f}", y=0, width=f"{width:.2f}", height=8, class_=f"p-{tone}"))
        x += width
    return h(
        "svg", drawn, class_="p-bar", viewBox="0 0 1000 8", preserveAspectRatio="none", aria_hidden="true"
    )


def _sum(counts: tuple[Count, ...]) -> int:
    return sum(one.value for one in counts)
