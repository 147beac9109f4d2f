"""The sections of a report, each from the run's facts; None where a run has nothing to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from ctnb.reports import account
from ctnb.reports.facts import (
    ChangeFacts,
    ColumnFacts,
    Count,
    DecisionFacts,
    Digest,
    Matched,
    ReleaseFacts,
    ReportFacts,
    StepFacts,
)
from ctnb.reports.findings import findings
from ctnb.reports.guards import guards
from ctnb.reports.markup import Html, badge, h, joined, number
from ctnb.reports.plans import plan
from ctnb.reports.tables import (
    Heading,
    bytes_text,
    code,
    counted,
    duration,
    facts,
    folded,
    moment,
    names,
    share,
    table,
)

STEP_TONES = {
    "completed": "good",
    "failed": "bad",
    "crashed": "bad",
    "interrupted": "warn",
    "waiting": "warn",
}
ROLES = ("", "identifier", "free_text", "sensitive", "quasi", "measure", "plain")
"""Worst first: a column without a role blocks publishing."""

FOLD_APPENDIX = 4
"""More versions or files are folded: a reviewer decides without them."""


def changes(run: ReportFacts) -> Html | None:
    """What a reader of the last release would see change."""
    now = run.changes
    if now is None:
        return None
    if now.since is None:
        first = (
            "This is the first release of this dataset"
            if run.release
            else "Nothing of it was released before"
        )
        return h("p", f"{first}: there is nothing to compare with.")
    same = not (now.added or now.removed or now.retyped)
    return joined(
        (
            h("p", "Compared with release ", code(now.since), "."),
            facts(
                ("Structure", "same columns, same types" if same else None),
                ("Columns added", names(now.added)),
                ("Columns removed", names(now.removed)),
                ("Types changed", [_retyped(now)] if now.retyped else None),
                ("Rows", _rows_before_after(now.rows_before, now.rows_after)),
                ("Content", _content(now)),
            ),
        )
    )


def columns(run: ReportFacts) -> Html | None:
    """The table that was reviewed, column by column, worst role first."""
    if not run.columns:
        return None
    counts = Counter(one.role for one in run.columns)
    unknown = tuple(role for role in counts if role not in ROLES)
    by_role = ", ".join(
        f"{counts[role]} {role or 'without a role'}" for role in ROLES + unknown if counts[role]
    )
    order = {role: place for place, role in enumerate(ROLES + unknown)}
    shown = sorted(run.columns, key=lambda one: order[one.role])
    headings = [Heading("Column"), Heading("Type"), Heading("Role"), Heading("Empty", "number"),
                Heading("Distinct", "number"), Heading("Description")]  # fmt: skip
    content = table("Columns, those that need most care first", headings, [_column(one) for one in shown])
    return folded(f"{counted(len(shown), 'column')}: {by_role}", content, rows=len(shown))


def rows(run: ReportFacts) -> Html | None:
    """Where every row went, and which were set aside."""
    if run.account is None:
        return None
    flow = account.flow(run.account)
    if not run.rejects:
        return flow
    read = run.account.read
    headings = [Heading("Rule"), Heading("Column"), Heading("Rows", "number"), Heading("Share", "number")]
    ordered = sorted(run.rejects, key=lambda one: (-one.rows, one.rule, one.column))
    cells = [
        (code(one.rule), code(one.column), number(one.rows), share(one.rows, read) if read else "")
        for one in ordered
    ]
    total = sum(one.rows for one in run.rejects)
    listed = table("Rows set aside", headings, cells)
    return joined(
        (flow, folded(f"{counted(total, 'row')} set aside, by rule and column", listed, rows=len(cells)))
    )


def decisions(run: ReportFacts) -> Html:
    """Who decided what, for how long, and why."""
    if not run.decisions:
        return h("p", "None yet." if run.status == "waiting" else "None was recorded for this run.")
    return joined([_decision(one) for one in run.decisions])


def release(run: ReportFacts) -> Html:
    """What is on the portal now because of this run."""
    if run.release is None:
        return h("p", "Nothing was published by this run.")
    return _release(run.release)


def steps(run: ReportFacts) -> Html | None:
    """The notebooks, in order, with what was read."""
    source = run.source
    headings = [Heading("Step"), Heading("Status"), Heading("Started"), Heading("Took", "number"),
                Heading("What happened")]  # fmt: skip
    read = source and facts(
        ("Source", code(source.file_name)),
        ("Size", [bytes_text(source.bytes), h("small", f" ({number(source.bytes)} bytes)")]),
        ("Rows", None if source.rows is None else number(source.rows)),
        (source.digest.label, _digest(source.digest)) if source.digest else ("", None),
        *((f"Lookup {one.name}", _matched(one)) for one in source.lookups),
        ("To know", h("ul", [h("li", note) for note in source.notes]) if source.notes else None),
    )
    listed = table("Steps of this run", headings, [_step(one) for one in run.steps]) if run.steps else None
    return joined((read, listed)) or None


def limits(run: ReportFacts) -> Html | None:
    """What this record cannot prove."""
    return h("ul", [h("li", sentence) for sentence in run.limits]) if run.limits else None


def reproduction(run: ReportFacts) -> Html | None:
    """Digests and versions."""
    digests = facts(*((one.label, _digest(one)) for one in run.digests)) if run.digests else None
    versions = facts(*((name, version) for name, version in run.environment))
    made_with = folded(
        counted(len(run.environment), "version") + " of what ran",
        versions,
        rows=len(run.environment),
        fold_rows=FOLD_APPENDIX,
    )
    return joined((digests, made_with if run.environment else None)) or None


def files(run: ReportFacts) -> Html | None:
    """Every file of the record, to open or to check."""
    if not run.files:
        return None
    headings = [Heading("File"), Heading("Bytes", "number"), Heading("SHA-256")]
    cells = [
        (_link(one.path, code(one.path)), number(one.bytes), h("code", one.sha256, class_="p-hex"))
        for one in run.files
    ]
    listed = table("Files of this record", headings, cells)
    return folded(counted(len(cells), "file"), listed, rows=len(cells), fold_rows=FOLD_APPENDIX)


ALL: tuple[tuple[str, str, Callable[[ReportFacts], Html | None]], ...] = (
    ("changes", "What changed since the last release", changes),
    ("findings", "Privacy review", findings),
    ("columns", "Columns", columns),
    ("rows", "Where the rows went", rows),
    ("guards", "Guards on the data", guards),
    ("decisions", "Decisions", decisions),
    ("plan", "What publishing changes", plan),
    ("release", "Release", release),
    ("steps", "Source and steps", steps),
    ("limits", "What this record cannot prove", limits),
    ("digests", "Digests and versions", reproduction),
    ("files", "Files of this record", files),
)
"""Name, title and maker of each section, in the order in which a reviewer asks."""


def _column(one: ColumnFacts) -> tuple[object, ...]:
    role = code(one.role) if one.role else badge("bad", "no role")
    empty = "" if one.empty_share is None else share(round(one.empty_share * 1_000_000), 1_000_000)
    return code(one.name), code(one.type), role, empty, one.distinct, one.description


def _decision(one: DecisionFacts) -> Html:
    good = one.verdict == "approve" and one.state == "valid"
    tone = "good" if good else "bad" if one.verdict == "refuse" else "warn"
    words = {"approve": "approved", "refuse": "refused"}[one.verdict]
    state = "" if one.state == "valid" else f", now {one.state}"
    return h(
        "article",
        h("h3", badge(tone, words + state), f" by {one.by.name}"),
        h("blockquote", one.reason),
        facts(
            ("Person established by", one.by.established),
            ("When", moment(one.when)),
            ("Kind", one.kind),
            ("Expires", one.expires.isoformat() if one.expires else "never"),
            ("Four eyes", _four_eyes(one)),
            ("Conditions", h("ul", [h("li", text) for text in one.conditions]) if one.conditions else None),
        ),
        class_="p-decision",
    )


def _four_eyes(one: DecisionFacts) -> Html | str:
    if one.four_eyes:
        return joined((badge("good", "yes"), " another person than who started the run"))
    if one.eyes_reason:
        return one.eyes_reason
    return joined((badge("warn", "no"), " the same person started the run"))


def _matched(one: Matched) -> str:
    return f"{number(one.matched)} rows with a match, {number(one.unmatched)} without"


def _release(one: ReleaseFacts) -> Html:
    same, differs = "equal to the table reviewed", "NOT equal to the table reviewed"
    return facts(
        ("Read back", badge("good", same) if one.equal else badge("bad", differs)),
        ("Portal", code(one.portal)),
        ("Dataset", code(one.dataset_id)),
        ("Address", [_address(one.url), h("small", f" {one.url_note}") if one.url_note else None]),
        ("Mode", one.mode),
        ("Rows", _rows_before_after(one.rows_before, one.rows_after)),
        (one.digest.label, _digest(one.digest)) if one.digest else ("", None),
    )


def _step(one: StepFacts) -> tuple[object, ...]:
    counts = ", ".join(f"{number(count.value)} {_plural(count)}" for count in one.counts)
    return (
        _link(one.page, one.name) if one.page else one.name,
        badge(STEP_TONES.get(one.status, "idle"), one.status),
        moment(one.started) if one.started else "",
        "" if one.duration_s is None else duration(one.duration_s),
        joined((one.reason, h("br") if one.reason and counts else None, counts)),
    )


def _plural(count: Count) -> str:
    """1 findings as 1 finding; only the first word is a noun that is counted."""
    noun, *rest = count.label.split(" ")
    return " ".join([noun.removesuffix("s"), *rest]) if count.value == 1 else count.label


def _retyped(now: ChangeFacts) -> Html:
    return h("ul", [h("li", code(one.column), f": {one.before} → {one.after}") for one in now.retyped])


def _content(now: ChangeFacts) -> str | None:
    if now.same_content is None:
        return None
    return "the same, digest for digest" if now.same_content else "different"


def _rows_before_after(before: int | None, after: int | None) -> Html | None:
    if after is None:
        return None
    if before is None:
        return joined(f"{number(after)} (new)")
    change = "no change" if before == after else f"{after - before:+,}"
    return joined((f"{number(before)} → {number(after)} ", h("small", f"({change})")))


def _digest(one: Digest) -> Html:
    return joined((h("small", f"{one.algorithm} "), h("code", one.hex, class_="p-hex")))


def _link(path: str, shown: object) -> Html:
    """A link to a file of the record; quoting makes sure that it can be nothing but a relative path."""
    return h("a", shown, href=quote(path.replace("\\", "/").lstrip("/")))


def _address(url: str) -> Html:
    """A link when it leads to a web page, text when it does not."""
    try:
        web = urlsplit(url).scheme in ("http", "https")
    except ValueError:
        web = False
    return h("a", url, href=url, rel="noopener noreferrer", class_="p-bare") if web else code(url)
