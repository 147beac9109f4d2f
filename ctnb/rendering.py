"""A record's pages: each executed notebook as HTML, and the one-page report filled from the record."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from urllib.parse import urlsplit

from ctnb import answering, clock, documents, ledger, records, releases, stepfiles, tables
from ctnb.digests import KEYED
from ctnb.privacy import decisions
from ctnb.privacy.reviews import Review
from ctnb.records import RunRecord, StepRecord
from ctnb.reports import facts as page
from ctnb.reports.notebooks import to_html
from ctnb.reports.pages import report
from ctnb.settings import Project
from ctnb.values import quote_name

REPORT = "report.html"

LIMITS = (
    "Whoever holds the operating-system account that ran this could have written all of it; only an anchor "
    "outside (a mailed or published ledger head) shows otherwise.",
    "What happened inside a notebook's kernel is the notebook's own word; table, digests, review and sending "
    "are the supervisor's.",
    "A cleared review says that the rules listed found nothing more; it does not say that nobody can ever be "
    "recognised with knowledge from elsewhere.",
)


def render(project: Project, record: RunRecord) -> None:
    """Write the HTML of each executed notebook and report.html into the record's folder."""
    place = records.folder(project, record.dataset, record.run)
    for step in record.steps:
        notebook = place / step.notebook
        if notebook.is_file():
            title = f"{record.title}: {_words(step.step)}"
            documents.write_text(notebook.with_suffix(".html"), to_html(notebook, title=title, report=REPORT))
    documents.write_text(place / REPORT, report(report_facts(project, record)))


def report_facts(project: Project, record: RunRecord) -> page.ReportFacts:
    """What the report of `record` says: read from the record, the ledger and the last release."""
    place = records.folder(project, record.dataset, record.run)
    review = answering.load_review(place / answering.FINDINGS) if record.review else None
    table = _table(project, record)
    action, command = _next(record)
    return page.ReportFacts(
        slug=record.dataset, title=record.title, agency=project.settings.agency, run=record.run,
        status=record.status, verdict=record.reason, started_by=_person(record.by),
        started=clock.parse(record.started), ended=clock.parse(record.ended) if record.ended else None,
        next_action=action, next_by="a reviewer" if record.status == "waiting" else "", next_command=command,
        source=_source(record), steps=_steps(place, record),
        account=_account(record), rejects=_rejects(record), guards=_guards(record), overrides=_overrides(record),
        reviewed=review is not None,
        findings=_findings(review), rules=_rules(review), columns=_columns(table),
        decisions=_decisions(project, record, review), plan=_plan(record), release=_release(project, record),
        changes=_changes(project, record, table), digests=_digests(record),
        environment=tuple(record.versions.items()), limits=LIMITS, files=_files(place, record),
    )  # fmt: skip


def _next(record: RunRecord) -> tuple[str, str]:
    """What has to be done, and the command that does it where there is one."""
    if record.status == "waiting":
        return "Read this report, then approve or refuse.", f'ctnb decide {record.run} approve --reason "..."'
    action, colon, command = record.next.partition(": ctnb ")
    return (f"{action}:", f"ctnb {command}") if colon else (record.next, "")


def _words(step: str) -> str:
    return step.replace("_", " ")


def _person(person: decisions.Person) -> page.Person:
    established = "operating-system account" + (
        f", uid {person.uid}" if person.uid is not None else f", {person.how}"
    )
    return page.Person(person.name, established)


def _source(record: RunRecord) -> page.SourceFacts | None:
    read = record.read
    if read is None or not read.source:
        return None
    return page.SourceFacts(
        read.source, read.bytes, read.rows_read, _digest("Bytes of the source", read.digest), read.notes,
        tuple(page.Matched(one.name, one.matched, one.unmatched) for one in read.joins),
    )  # fmt: skip


def _steps(place: Path, record: RunRecord) -> tuple[page.StepFacts, ...]:
    """Every step of a run: what did not begin is said too."""
    begun = {step.step for step in record.steps}
    missing = [page.StepFacts(_words(step), "not run") for step in records.STEPS if step not in begun]
    return (*(_step(place, record, step) for step in record.steps), *missing)


def _step(place: Path, record: RunRecord, step: StepRecord) -> page.StepFacts:
    html = Path(step.notebook).with_suffix(".html").name
    started = clock.parse(step.started)
    ended = clock.parse(step.ended) if step.ended else None
    return page.StepFacts(
        _words(step.step), step.status, started, (ended - started).total_seconds() if ended else None, step.reason,
        html if (place / html).is_file() else None, _step_counts(record, step),
    )  # fmt: skip


def _step_counts(record: RunRecord, step: StepRecord) -> tuple[page.Count, ...]:
    read, transform = record.read, record.transform
    if step.step == "read" and read:
        return (page.Count("rows read", read.rows_read), page.Count("rows rejected", read.rows_rejected))
    if step.step == "transform" and transform:
        return (page.Count("rows in", transform.rows_in), page.Count("rows out", transform.rows_out))
    if step.step == "privacy_review" and record.review:
        return (page.Count("findings", record.review.findings),)
    if step.step == "publish" and record.release:
        return (page.Count("rows sent", record.release.rows_sent),)
    return ()


def _account(record: RunRecord) -> page.RowAccount | None:
    read, transform = record.read, record.transform
    if read is None:
        return None
    rejected: dict[str, int] = {}
    for one in read.rejects:
        rejected[one.rule] = rejected.get(one.rule, 0) + one.rows
    if len(read.rejects) > 1:  # a row may break several rules: the sum over rules is not a number of rows
        rejected = {"": read.rows_rejected}
    rejected |= {f"left out: {rule}": rows for rule, rows in read.left_out.items()}
    removed = transform.removed if transform else {}
    suppressed = transform.suppressed if transform else {}
    return page.RowAccount(
        read=read.rows_read, rejected=_counts(rejected), removed=_counts(removed),
        nulled=_counts({f"{one.column}: {one.rule}": one.cells for one in read.nulled}),
        added=_counts(transform.added if transform else {}),
        repaired=_repaired(transform.repaired if transform else {}),
        rows=transform.rows_out if transform else None, stands_for=transform.counted if transform else None,
        suppressed=_counts(suppressed), published=record.release.rows_sent if record.release else None,
        closes=transform.accounted if transform else True,
        reason=(transform.unaccounted or "") if transform else "",
    )  # fmt: skip


def _repaired(repaired: dict[str, dict[str, int]]) -> tuple[page.Count, ...]:
    return _counts(
        {f"{column}: {kind}": n for column, kinds in repaired.items() for kind, n in kinds.items() if n}
    )


def _counts(counts: dict[str, int]) -> tuple[page.Count, ...]:
    return tuple(page.Count(label, value) for label, value in counts.items())


def _rejects(record: RunRecord) -> tuple[page.RejectFacts, ...]:
    rejects = record.read.rejects if record.read else ()
    return tuple(page.RejectFacts(one.rule, one.column, one.rows) for one in rejects)


def _guards(record: RunRecord) -> tuple[page.GuardFacts, ...]:
    return tuple(page.GuardFacts(one.guard, one.outcome, one.what) for one in record.guards)


def _overrides(record: RunRecord) -> tuple[page.OverrideFacts, ...]:
    return tuple(
        page.OverrideFacts(one.guard, _person(one.by), clock.parse(one.at), one.reason)
        for one in record.overrides
    )


def _findings(review: Review | None) -> tuple[page.FindingFacts, ...]:
    return tuple(
        page.FindingFacts(f.rule, f.columns, f.severity, f.count, f.of, f.text, f.remedy)
        for f in (review.findings if review else ())
    )


def _rules(review: Review | None) -> tuple[page.RuleFacts, ...]:
    answers = {"hit": "found", "clean": "clean", "skipped": "skipped"}
    return tuple(
        page.RuleFacts(asked.rule, answers[asked.outcome], asked.reason)  # type: ignore[arg-type]  # one of the three
        for asked in (review.asked if review else ())
    )


def _table(project: Project, record: RunRecord) -> tables.Table | None:
    """The table to be published, while the private work folder still has it."""
    ref = project.private_folder("work", record.run, "transform") / "table.json"
    if record.transform is None or not ref.is_file():
        return None
    said = stepfiles.read_json(ref)
    return tables.open_table(Path(said["path"])) if Path(said["path"]).is_file() else None


def _columns(table: tables.Table | None) -> tuple[page.ColumnFacts, ...]:
    if table is None:
        return ()
    parts = ", ".join(
        f"count({quote_name(c.name)}), approx_count_distinct({quote_name(c.name)})" for c in table.columns
    )
    with tables.opened(table) as connection:
        row = connection.execute(f"SELECT {parts} FROM data").fetchall()[0]
    made = []
    for place, column in enumerate(table.columns):
        filled, distinct = row[2 * place], row[2 * place + 1]
        share = 1 - filled / table.rows if table.rows else None
        made.append(
            page.ColumnFacts(
                column.name, column.type, column.role or "", column.description, share, _band(distinct)
            )
        )
    return tuple(made)


def _band(count: int) -> str:
    for low, high in ((0, 1), (2, 10), (11, 100), (101, 1000), (1001, 10_000)):
        if count <= high:
            return f"{low:,}-{high:,}"
    return "over 10,000"


def _decisions(project: Project, record: RunRecord, review: Review | None) -> tuple[page.DecisionFacts, ...]:
    if review is None:
        return ()
    found = [
        decisions.from_entry(entry) for entry in ledger.entries(project.ledger) if entry.kind == "decision"
    ]
    mine = [one for one in found if one.run == record.run or one.id == record.decision]
    return tuple(_decision(one, review) for one in mine)


OPENS = "This is the decision that everybody may see the rows."


def _decision(one: decisions.Decision, review: Review) -> page.DecisionFacts:
    expires = _moment(one.expires)
    late = expires is not None and expires < clock.now()
    told = [text for text in (OPENS if one.about == "public" else "", one.conditions) if text]
    stale = one.kind == "one-time" and one.subject.review_digest != review.digest
    return page.DecisionFacts(
        one.verdict, _person(one.by), _moment(one.at) or clock.now(), one.reason, one.kind,
        tuple(told), expires.date() if expires else None,
        one.four_eyes == "yes", "expired" if late else "stale" if stale else "valid",
        "" if one.four_eyes == "yes" else one.four_eyes,
    )  # fmt: skip


def _moment(told: object) -> dt.datetime | None:
    if told is None or isinstance(told, dt.datetime):
        return told
    return clock.parse(str(told))


def _plan(record: RunRecord) -> page.PlanFacts | None:
    made = record.plan
    if made is None:
        return None
    told = made.model_dump(exclude={"columns"})
    return page.PlanFacts(**told, columns=tuple(page.MappedFacts(*one) for one in made.columns))


def _release(project: Project, record: RunRecord) -> page.ReleaseFacts | None:
    made = record.release
    if made is None:
        return None
    known = project.settings.portals.get(made.portal)
    url, note = made.url, ""
    if known.kind == "embedded" if known else made.portal == "local":
        # It may take another port each time: only the path lasts.
        url, note = urlsplit(made.url).path, "on the embedded portal, while ctnb portal serve runs"
    return page.ReleaseFacts(
        made.portal, made.dataset_id, url, made.mode, made.rows_before, made.rows_after, True,
        _digest("Content of the released table", made.digest), note,
    )  # fmt: skip


def _changes(project: Project, record: RunRecord, table: tables.Table | None) -> page.ChangeFacts | None:
    """This table against the last release before it."""
    earlier = [r for r in releases.of_dataset(project, record.dataset) if r.run < record.run]
    earlier = [release for release in earlier if release.facts.portal == record.portal]
    if table is None:
        return None
    if not earlier:
        return page.ChangeFacts(rows_after=table.rows)
    base = earlier[-1]
    before = releases.table(base)
    if before is None:
        return page.ChangeFacts(since=base.run, rows_before=base.facts.rows_after, rows_after=table.rows)
    old, new = ({c.name: c.type for c in one.columns} for one in (before, table))
    return page.ChangeFacts(
        since=base.run, added=tuple(n for n in new if n not in old), removed=tuple(n for n in old if n not in new),
        retyped=tuple(page.Retyped(n, old[n], new[n]) for n in new if n in old and old[n] != new[n]),
        rows_before=before.rows, rows_after=record.plan.rows_after if record.plan else table.rows,
        same_content=before.digest == table.digest,
    )  # fmt: skip


def _digests(record: RunRecord) -> tuple[page.Digest, ...]:
    found = [("dataset.yml", record.contract_digest), ("ctnb.yml", record.settings_digest)]
    if record.transform and record.transform.script_digest:
        found.append((f"Script {record.transform.how}", record.transform.script_digest))
    for step in record.steps:
        if step.table:
            found.append((f"Table after {_words(step.step)}", step.table.digest))
    if record.review:
        found.append(("Review", record.review.digest))
    return tuple(digest for label, text in found if (digest := _digest(label, text)))


def _digest(label: str, text: str) -> page.Digest | None:
    algorithm = "HMAC-SHA256" if text.startswith(KEYED) else "SHA-256"
    return page.Digest(label, algorithm, text.split(":", 1)[-1]) if text else None


def _files(place: Path, record: RunRecord) -> tuple[page.FileFacts, ...]:
    """The files beside the report; the report itself and run.json cannot list their own digests."""
    from ctnb.digests import of_file

    own = {REPORT, "run.json", "events.jsonl"}
    paths = [path for path in sorted(place.iterdir()) if path.is_file() and path.name not in own]
    return tuple(page.FileFacts(p.name, p.stat().st_size, of_file(p).split(":")[1]) for p in paths)
