"""The one-page report of a run: what happened, what must happen next, then what a reviewer asks, in order."""

from __future__ import annotations

from ctnb.reports import sections
from ctnb.reports.facts import ReportFacts, RowAccount
from ctnb.reports.markup import Html, badge, document, h, number
from ctnb.reports.tables import code, duration, facts, moment

TONES = {
    "released": "good",
    "rehearsed": "plain",
    "blocked": "bad",
    "waiting": "warn",
    "refused": "bad",
    "expired": "warn",
    "stopped": "plain",
    "failed": "bad",
    "crashed": "bad",
    "interrupted": "warn",
}
"""The colour and icon beside each status; the status itself is always a word too."""


NO_END = {"waiting": "not yet: it goes on after the decision"}
"""What stands for the end of a run that may be without one."""


def report(run: ReportFacts) -> str:
    """The report of `run` as a self-contained page; the same facts give the same page."""
    shown = [(name, title, section) for name, title, make in sections.ALL if (section := make(run))]
    return document(
        f"{run.status}: {run.title} ({run.run})",
        h("a", "Skip to the findings", href="#findings", class_="p-skip"),
        _head(run),
        h(
            "nav",
            h("ul", [h("li", h("a", title, href=f"#{name}")) for name, title, _ in shown]),
            aria_label="Sections",
        ),
        h("main", [_section(name, title, section) for name, title, section in shown]),
        _foot(run),
    )


def _head(run: ReportFacts) -> Html:
    tone = TONES.get(run.status, "idle")
    return h(
        "header",
        h("p", run.agency, " · ", code(run.slug), class_="p-eyebrow"),
        h("h1", run.title),
        h(
            "div",
            h("p", badge(tone, run.status, large=True), class_="p-status"),
            h("p", run.verdict, class_="p-verdict"),
            _next(run),
            class_=f"p-box p-{tone}",
        ),
        _who(run),
        _numbers(run),
        class_="p-head",
    )


def _next(run: ReportFacts) -> Html | None:
    if not run.next_action and not run.next_command:
        return h("p", "Nothing has to be done.", class_="p-next")
    by = h("span", f" By {run.next_by}.") if run.next_by else None
    command = h("pre", code(run.next_command), class_="p-command", tabindex=0) if run.next_command else None
    return h("div", h("p", h("strong", "Next: "), run.next_action, by), command, class_="p-next")


def _who(run: ReportFacts) -> Html:
    took = duration((run.ended - run.started).total_seconds()) if run.ended else None
    person = run.started_by
    return facts(
        ("Run", code(run.run)),
        ("Started by", [person.name, h("small", f" ({person.established})")]),
        ("Started", moment(run.started)),
        (
            "Ended",
            [moment(run.ended), h("small", f" ({took})")]
            if run.ended
            else NO_END.get(run.status, "no end recorded"),
        ),
    )


def _numbers(run: ReportFacts) -> Html:
    """The few numbers a reviewer looks for first."""
    account = run.account
    blocking = sum(finding.severity == "block" for finding in run.findings)
    waiting = sum(finding.severity == "wait" for finding in run.findings)
    tiles = (
        ("rows read", account.read if account else None),
        ("rows set aside", sum(one.value for one in account.rejected) if account else None),
        (f"{_unit(account)} after transform", account.rows if account else None),
        ("findings that block", blocking if run.reviewed else None),
        ("findings for a decision", waiting if run.reviewed else None),
        (f"{_unit(account)} published", (account.published if account else None) or 0),
    )
    return h(
        "ul",
        [h("li", h("strong", "–" if count is None else number(count)), " ", name) for name, count in tiles],
        class_="p-tiles",
        aria_label="The run in numbers",
    )


def _unit(account: RowAccount | None) -> str:
    return "rows" if account is None or account.stands_for is None else "groups"


def _section(name: str, title: str, content: Html) -> Html:
    return h("section", h("h2", title, id=f"{name}-title"), content, id=name, aria_labelledby=f"{name}-title")


def _foot(run: ReportFacts) -> Html:
    return h(
        "footer",
        h(
            "p",
            "Made by ctnb from the files of run ",
            code(run.run),
            ". This page holds counts, names of columns and what people wrote; it holds no row of the data. ",
            "Check it with ",
            code("ctnb runs verify"),
            ".",
        ),
    )
