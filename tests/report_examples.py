"""Facts of made-up runs, for the tests of the report's pages."""

from __future__ import annotations

import dataclasses
import datetime as dt

from ctnb.reports.facts import (
    ChangeFacts,
    ColumnFacts,
    Count,
    DecisionFacts,
    Digest,
    FileFacts,
    FindingFacts,
    Person,
    RejectFacts,
    ReleaseFacts,
    ReportFacts,
    Retyped,
    RowAccount,
    RuleFacts,
    SourceFacts,
    StepFacts,
)

RUN = "20261121T110512Z-7f3a"
START = dt.datetime(2026, 11, 21, 11, 5, 12, tzinfo=dt.UTC)
HEX = "9f2c4b1d7e8a" * 5 + "0a1b"

STEPS = tuple(
    StepFacts(name, "completed", START + dt.timedelta(seconds=place * 2), 1.4, page=f"steps/{place}-{name}.html",
              counts=counts)
    for place, (name, counts) in enumerate(
        [
            ("read", (Count("rows kept", 10_600), Count("rows set aside", 54))),
            ("transform", (Count("rows", 1_284),)),
            ("privacy review", (Count("rules asked", 5),)),
        ],
        start=1,
    )
)  # fmt: skip

COLUMNS = (
    ColumnFacts("year", "integer", "plain", "Year of the death", 0.0, "11-100"),
    ColumnFacts(
        "town", "text", "quasi", "Town of residence, one of Connecticut's 169 or Unknown", 0.002, "101-1,000"
    ),
    ColumnFacts("substance", "text", "sensitive", "Substance found", 0.0, "11-100"),
    ColumnFacts("deaths", "integer", "measure", "Deaths; empty where 1 to 5", 0.31, "11-100"),
    ColumnFacts("deaths_suppressed", "boolean", "plain", "True where deaths was hidden", 0.0, "2-10"),
)


def waiting() -> ReportFacts:
    """An aggregate with small cells hidden, waiting for a decision."""
    return ReportFacts(
        slug="accidental-drug-deaths",
        title="Accidental drug-related deaths by year, town and substance",
        agency="Office of the Chief Medical Examiner",
        run=RUN,
        status="waiting",
        verdict="One finding needs a decision: 212 cells of deaths were small and are hidden.",
        next_action="Read the findings below and decide.",
        next_by="a reviewer other than the person who started the run",
        next_command=f'ctnb decide {RUN} approve --reason "..."',
        started_by=Person("M. Rivera", "operating-system account, uid 1000"),
        started=START,
        ended=START + dt.timedelta(seconds=9.3),
        source=SourceFacts("accidental-drug-deaths.csv", 4_213_222, 10_654, Digest("Bytes", "HMAC-SHA256", HEX)),
        steps=(*STEPS, StepFacts("publish", "not run", reason="waits for a decision")),
        account=RowAccount(
            read=10_654,
            rejected=(Count("type.date", 50), Count("constraint.required", 4)),
            removed=(Count("outside-connecticut", 312),),
            rows=1_284,
            stands_for=10_288,
            stands_for_what="deaths",
            suppressed=(Count("deaths", 212),),
        ),
        rejects=(RejectFacts("type.date", "date_of_death", 50), RejectFacts("constraint.required", "town", 4)),
        reviewed=True,
        findings=(
            FindingFacts("cells.small", ("deaths",), "wait", 212, 1_284, "Cells from 1 to 5 are hidden.",
                         "Approve if hiding is enough, or group towns."),
            FindingFacts("geography.fine", ("town",), "note", text="Towns are finer than counties."),
        ),
        rules=(
            RuleFacts("cells.small", "found"),
            RuleFacts("geography.fine", "found"),
            RuleFacts("identifiers.header", "clean"),
            RuleFacts("identifiers.content", "clean"),
            RuleFacts("drift.differencing", "skipped", "There is no earlier release to compare with."),
        ),
        columns=COLUMNS,
        changes=ChangeFacts(
            since="20260821T060000Z-11aa",
            added=("deaths_suppressed",),
            retyped=(Retyped("town", "code", "text"),),
            rows_before=1_201,
            rows_after=1_284,
            same_content=False,
        ),
        digests=(Digest("Table, content", "HMAC-SHA256", HEX), Digest("Review", "SHA-256", HEX[::-1])),
        environment=(("ctnb", "0.1.0"), ("Python", "3.11.2"), ("R", "4.2.2"), ("DuckDB", "1.4.1")),
        limits=(
            "Whoever holds this operating-system account could have rewritten everything after ledger line 41.",
            "That no rule found a name does not prove that there is none.",
        ),
        files=(
            FileFacts("run.json", 5_210, HEX),
            FileFacts("findings.json", 1_022, HEX[::-1]),
            FileFacts("steps/1-read.ipynb", 8_400, HEX),
        ),
    )  # fmt: skip


def released() -> ReportFacts:
    """The same, approved and published."""
    run = waiting()
    assert run.account is not None
    approved = DecisionFacts(
        "approve",
        Person("A. Chen", "operating-system account, uid 1001"),
        START,
        "Small cells are hidden and totals do not give them away.",
        conditions=("Review again when a town is added.",),
        expires=dt.date(2027, 11, 21),
    )
    release = ReleaseFacts(
        "local", "abcd-1234", "http://127.0.0.1:8123/d/abcd-1234", "replace", 1_201, 1_284, True,
        Digest("Content", "ctnb-table/1", HEX),
    )  # fmt: skip
    return dataclasses.replace(
        run,
        status="released",
        verdict="Released to local and read back: 1,284 rows, equal to the table reviewed.",
        next_action="",
        next_by="",
        next_command="",
        steps=(*STEPS, StepFacts("publish", "completed", START, 2.1, page="steps/4-publish.html")),
        account=dataclasses.replace(run.account, published=1_284),
        decisions=(approved,),
        release=release,
    )


def blocked() -> ReportFacts:
    """Person-level rows that may not be published."""
    run = waiting()
    unique = FindingFacts(
        "risk.smallest-class", ("age", "sex", "race", "residence_city"), "block", 4_315, 10_654,
        "Rows that are alone in their class (k = 1; the policy asks for 6).",
        "Aggregate, or group ages and drop residence_city.",
    )  # fmt: skip
    return dataclasses.replace(
        run,
        status="blocked",
        verdict="4,315 rows are unique over age, sex, race and residence_city.",
        next_action="Group or drop columns in dataset.yml, then run again.",
        next_by="the analyst",
        next_command="ctnb run accidental-drug-deaths",
        findings=(unique, *run.findings),
    )
