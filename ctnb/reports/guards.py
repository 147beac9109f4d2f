"""What the guards said of the run's data, and which of them somebody overrode."""

from __future__ import annotations

from ctnb.reports.facts import GuardFacts, OverrideFacts, ReportFacts
from ctnb.reports.markup import Html, badge, h, joined
from ctnb.reports.tables import Heading, code, facts, moment, table

TONES = {"held": "good", "tripped": "bad", "overridden": "warn", "not applicable": "idle"}


def guards(run: ReportFacts) -> Html | None:
    """Every guard with its outcome, then each override with its reason; None before any was asked."""
    if not run.guards and not run.overrides:
        return None
    return joined((_listed(run.guards), [_override(one) for one in run.overrides]))


def _listed(asked: tuple[GuardFacts, ...]) -> Html | None:
    if not asked:
        return None
    cells = [(code(one.guard), badge(TONES[one.outcome], one.outcome), one.text) for one in asked]
    return table("Guards", [Heading("Guard"), Heading("Outcome"), Heading("What was seen")], cells)


def _override(one: OverrideFacts) -> Html:
    return h(
        "article",
        h("h3", badge("warn", "overridden"), " ", code(one.guard), f" by {one.by.name}"),
        h("blockquote", one.reason),
        facts(("Person established by", one.by.established), ("When", moment(one.when))),
        class_="p-decision",
    )
