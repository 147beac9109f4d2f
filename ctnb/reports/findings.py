"""What the privacy rules found, worst first, and what they asked; findings of one kind stand together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from ctnb.reports.facts import FindingFacts, ReportFacts, RuleFacts
from ctnb.reports.markup import Html, badge, h, joined, number
from ctnb.reports.tables import Heading, code, counted, folded, names, share, table

SEVERITIES = {"block": ("bad", "blocks"), "wait": ("warn", "needs a decision"), "note": ("plain", "note")}

FOLD_FINDINGS = 6
"""More findings of one kind are folded under their number."""

NAMED_COLUMNS = 4
"""So many columns of a fold are named in its line."""

FOLD_COLUMNS = 6
"""More columns of one finding are folded under their number."""


def findings(run: ReportFacts) -> Html:
    """What the privacy rules found, what they asked, and what they could not ask."""
    if not run.reviewed:
        return h(
            "p",
            badge("idle", "not reviewed"),
            " The privacy review did not end. Nothing on this page says that the table is safe to publish.",
        )
    if not run.findings:
        shown = h("p", badge("good", "no finding"), " Every rule that was asked came back clean.")
    else:
        shown = joined((_tally(run.findings), [_kind(kind) for kind in _kinds(run.findings)]))
    return joined((shown, _rules(run.rules)))


def _kinds(found: Sequence[FindingFacts]) -> list[list[FindingFacts]]:
    """The findings that share severity, rule and remedy; the worst severity first."""
    order = list(SEVERITIES)

    def kind(one: FindingFacts) -> tuple[int, str, str]:
        return order.index(one.severity), one.rule, one.remedy

    ranked = sorted(found, key=lambda one: (*kind(one), -(one.count or 0), one.columns))
    return [list(group) for _, group in groupby(ranked, key=kind)]


def _tally(found: Sequence[FindingFacts]) -> Html:
    counts = Counter(one.severity for one in found)
    said = (
        (counts["block"], "blocks" if counts["block"] == 1 else "block"),
        (counts["wait"], "for a decision"),
        (counts["note"], "to note"),
    )
    listed = ", ".join(f"{number(count)} {words}" for count, words in said if count)
    return h("p", f"{counted(len(found), 'finding')}: {listed}.")


def _kind(found: list[FindingFacts]) -> Html:
    first = found[0]
    tone = SEVERITIES[first.severity][0]
    what = _single(first) if len(found) == 1 else _several(found)
    remedy = h("p", h("strong", "Remedy: "), first.remedy, class_="p-remedy") if first.remedy else None
    head = h("h3", badge(*SEVERITIES[first.severity]), " ", code(first.rule))
    return h("article", head, what, remedy, class_=f"p-finding p-{tone}")


def _single(one: FindingFacts) -> Html:
    listed = names(one.columns) or Html("The whole table")
    text = h("p", one.text) if one.text else None
    count = len(one.columns)
    if count <= FOLD_COLUMNS:
        return joined((h("p", listed, _of(one, before=": "), class_="p-where"), text))
    fold = folded(counted(count, "column"), h("p", listed), rows=count, fold_rows=FOLD_COLUMNS)
    return joined((text, h("p", _of(one), class_="p-where"), fold))


def _several(found: list[FindingFacts]) -> Html:
    headings = [Heading("Columns"), Heading("Count", "number"), Heading("What")]
    cells = [(names(one.columns) or "the whole table", _of(one), one.text) for one in found]
    listed = table(f"Findings of {found[0].rule}", headings, cells)
    columns = tuple(dict.fromkeys(name for one in found for name in one.columns))
    more = len(columns) - NAMED_COLUMNS
    said = f"{counted(len(found), 'finding')} in {counted(len(columns), 'column')}: "
    first = [
        said,
        names(columns[:NAMED_COLUMNS]) or "the whole table",
        f" and {more} more" if more > 0 else "",
    ]
    return folded(first, listed, rows=len(found), fold_rows=FOLD_FINDINGS)


def _of(one: FindingFacts, *, before: str = "") -> Html:
    if one.count is None:
        return Html("")
    if one.of is None:
        return joined((before, number(one.count)))
    return joined(
        (before, number(one.count), h("small", f" of {number(one.of)} ({share(one.count, one.of)})"))
    )


def _rules(asked: tuple[RuleFacts, ...]) -> Html | None:
    if not asked:
        return None
    answers = Counter(rule.answer for rule in asked)
    said = (
        f"{counted(len(asked), 'rule')} asked: {answers['clean']} clean, {answers['found']} with findings, "
    )
    tones = {"clean": "good", "found": "warn", "skipped": "idle"}
    words = {"clean": "clean", "found": "with findings", "skipped": "skipped"}
    cells = [(code(one.rule), badge(tones[one.answer], words[one.answer]), one.reason) for one in asked]
    listed = table("Rules asked", [Heading("Rule"), Heading("Answer"), Heading("Reason")], cells)
    fold = folded(f"{said}{answers['skipped']} skipped", listed, rows=len(cells), fold_rows=0)
    return joined((_skipped([rule for rule in asked if rule.answer == "skipped"]), fold))


def _skipped(rules: list[RuleFacts]) -> Html | None:
    """In the open, because silence would look like an answer; the rules of one reason in one line."""
    if not rules:
        return None
    by_reason: dict[str, list[str]] = {}
    for one in rules:
        by_reason.setdefault(one.reason, []).append(one.rule)
    lines = [h("li", names(tuple(listed)), f" – {reason}") for reason, listed in by_reason.items()]
    title = h("p", h("strong", f"{counted(len(rules), 'rule')} could not be asked:"))
    return h("div", title, h("ul", lines), class_="p-box p-idle p-skipped")
