"""What publishing was going to change on the portal: who sees it, rows, columns that need a word, and what stops it."""

from __future__ import annotations

from ctnb.reports.facts import PlanFacts, ReportFacts
from ctnb.reports.markup import Html, badge, h, joined, number
from ctnb.reports.tables import Heading, bytes_text, code, counted, facts, names, table

TONES = {"": "bad", "mapped": "warn", "ignored": "warn", "left out": "warn", "added": "good"}


def plan(run: ReportFacts) -> Html | None:
    """The newest plan of the run; None before there was one."""
    one = run.plan
    if one is None:
        return None
    return joined((_problems(one), _counts(one), _columns(one)))


def _problems(one: PlanFacts) -> Html | None:
    if not one.problems:
        return None
    return h("ul", [h("li", badge("bad", "stops"), " ", problem) for problem in one.problems])


def _counts(one: PlanFacts) -> Html | None:
    removed: object = number(one.rows_removed)
    if one.rows_removed and one.removal_reason:
        removed = f"{one.rows_removed:,}, allowed by {one.removal_by}: {one.removal_reason}"
    return facts(
        ("Portal", code(one.portal)),
        ("Dataset", code(one.dataset_id) if one.dataset_id else "to be created, private first"),
        ("Mode", one.mode),
        ("Who will see it", ", ".join(one.audience)),
        ("Rows there", number(one.rows_before)),
        ("Rows to send", number(one.rows_sent)),
        ("Added", number(one.rows_added)),
        ("Changed", number(one.rows_changed)),
        ("Removed", removed),
        ("Rows afterwards", number(one.rows_after)),
        ("Words that change", names(one.words_changed)),
        ("Words still missing", ", ".join(one.words_missing) or None),
        ("Filtered views", ", ".join(one.views) or None),
        ("Files beside the rows", _attachments(one)),
        ("To know", h("ul", [h("li", note) for note in one.notes]) if one.notes else None),
    )


def _attachments(one: PlanFacts) -> Html | None:
    if not one.attachments:
        return None
    lines = [
        h("li", code(name), f", {verdict}", f", {bytes_text(size)}" if size else "")
        for name, verdict, size in one.attachments
    ]
    return h("ul", lines)


def _columns(one: PlanFacts) -> Html | None:
    if not one.columns:
        return h("p", f"All {counted(one.fitting, 'column')} fit the portal's.") if one.fitting else None
    headings = [
        Heading("Column"),
        Heading("Field"),
        Heading("Type here"),
        Heading("Type there"),
        Heading("Verdict"),
    ]
    cells = [
        (
            code(m.column) if m.column else "", code(m.field) if m.field else "", m.ours, m.theirs,
            badge(TONES[m.settled], f"{m.verdict}, {m.settled}" if m.settled else m.verdict),
        )
        for m in one.columns
    ]  # fmt: skip
    return table(f"{counted(one.fitting, 'column')} fit; these do not", headings, cells)
