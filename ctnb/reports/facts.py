"""What a report says of a run: counts, names and sentences, never a cell of data."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["block", "wait", "note"]

STATUSES = (
    "released", "rehearsed", "blocked", "waiting", "refused",
    "expired", "stopped", "failed", "crashed", "interrupted",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody who started a run or decided."""

    name: str
    """As the record has it."""
    established: str
    """How it is known, e.g. "operating-system account, uid 1000"."""


@dataclass(frozen=True)
class Digest:
    """One digest of one thing."""

    label: str
    """What was hashed, e.g. "table, content"."""
    algorithm: str
    """For example "HMAC-SHA256" or "ctnb-table/1"."""
    hex: str
    """The digest in hexadecimal."""


@dataclass(frozen=True)
class Matched:
    """How many rows found their key in one lookup."""

    name: str
    matched: int
    unmatched: int


@dataclass(frozen=True)
class SourceFacts:
    """The bytes the run read."""

    file_name: str
    """Without its folder."""
    bytes: int
    rows: int | None = None
    """Rows read; None when reading did not end."""
    digest: Digest | None = None
    notes: tuple[str, ...] = ()
    """What a person should know of it."""
    lookups: tuple[Matched, ...] = ()
    """What was looked up in other sources."""


@dataclass(frozen=True)
class Count:
    """A number with its name, e.g. "rows kept" or "cells suppressed in deaths"."""

    label: str
    value: int


@dataclass(frozen=True)
class StepFacts:
    """One step of the run."""

    name: str
    """read, transform, privacy review or publish."""
    status: str
    """completed, failed, crashed, interrupted, skipped, not run..."""
    started: dt.datetime | None = None
    duration_s: float | None = None
    reason: str = ""
    """Why it ended as it did, where it did not complete."""
    page: str | None = None
    """The executed notebook's HTML, relative to the report."""
    counts: tuple[Count, ...] = ()


@dataclass(frozen=True)
class RowAccount:
    """Where every row went."""

    read: int
    rejected: tuple[Count, ...] = ()
    """By rule."""
    nulled: tuple[Count, ...] = ()
    """Cells that did not fit and became empty, by column and rule."""
    removed: tuple[Count, ...] = ()
    """By named rule of the transform."""
    added: tuple[Count, ...] = ()
    """Rows that a pivot made of cells beyond one for each row, by rule."""
    repaired: tuple[Count, ...] = ()
    """Cells that a rule repaired or left as they were, by column and kind of damage."""
    rows: int | None = None
    """Rows after the transform; None when it did not end."""
    stands_for: int | None = None
    """What the count column of an aggregate adds up to; its rows are then called groups."""
    stands_for_what: str = "rows"
    suppressed: tuple[Count, ...] = ()
    """Cells, by column."""
    published: int | None = None
    """Rows published; None when nothing was."""
    closes: bool = True
    """Whether in + added = out + rejected + removed was checked and holds."""
    reason: str = ""
    """Why it does not close, as the analyst wrote it."""


@dataclass(frozen=True)
class RejectFacts:
    """Rows set aside by one rule in one column."""

    rule: str
    column: str
    rows: int


@dataclass(frozen=True)
class GuardFacts:
    """What one guard said of the run's data."""

    guard: str
    outcome: Literal["held", "tripped", "overridden", "not applicable"]
    text: str


@dataclass(frozen=True)
class OverrideFacts:
    """Somebody's word that a guard does not count for this run."""

    guard: str
    by: Person
    when: dt.datetime
    reason: str


@dataclass(frozen=True)
class FindingFacts:
    """What one privacy rule found."""

    rule: str
    columns: tuple[str, ...]
    severity: Severity
    count: int | None = None
    """How many rows or cells; None where counting makes no sense."""
    of: int | None = None
    """Out of how many."""
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class RuleFacts:
    """One rule the review asked, and how that ended."""

    rule: str
    answer: Literal["clean", "found", "skipped"]
    reason: str = ""
    """Why it was skipped."""


@dataclass(frozen=True)
class ColumnFacts:
    """One column of the table reviewed."""

    name: str
    type: str
    role: str
    """Empty when it has none, which blocks publishing."""
    description: str = ""
    empty_share: float | None = None
    """From 0 to 1."""
    distinct: str = ""
    """A band, e.g. "11-100": the exact count of a small column is a fact about people."""


@dataclass(frozen=True)
class DecisionFacts:
    """One person's word on the review."""

    verdict: Literal["approve", "refuse"]
    by: Person
    when: dt.datetime
    reason: str
    kind: Literal["one-time", "standing"] = "one-time"
    conditions: tuple[str, ...] = ()
    expires: dt.date | None = None
    four_eyes: bool = True
    """Whether it was another person than who started the run."""
    state: str = "valid"
    """valid, stale or expired."""
    eyes_reason: str = ""
    """Why another person was not needed, where that is so."""


@dataclass(frozen=True)
class ReleaseFacts:
    """What was published where, and what was read back."""

    portal: str
    dataset_id: str
    url: str
    mode: str
    """replace, append, upsert or delete."""
    rows_before: int | None
    rows_after: int
    equal: bool
    """Whether the read-back was equal to the table reviewed."""
    digest: Digest | None = None
    """Plain: what is public can be checked by anybody."""
    url_note: str = ""
    """When the address answers, where it does not always."""


@dataclass(frozen=True)
class MappedFacts:
    """A column that is not the portal's as it is."""

    column: str
    field: str
    ours: str
    theirs: str
    verdict: str
    """only here, only there, or type differs."""
    settled: str = ""
    """mapped, ignored, left out or added; empty when it stops the plan."""


@dataclass(frozen=True)
class PlanFacts:
    """What publishing was going to change on the portal."""

    portal: str
    mode: str
    dataset_id: str | None = None
    audience: tuple[str, ...] = ()
    rows_before: int = 0
    rows_sent: int = 0
    rows_added: int = 0
    rows_changed: int = 0
    rows_removed: int = 0
    rows_after: int = 0
    fitting: int = 0
    """How many columns fit."""
    columns: tuple[MappedFacts, ...] = ()
    """The others."""
    words_changed: tuple[str, ...] = ()
    words_missing: tuple[str, ...] = ()
    removal_by: str = ""
    removal_reason: str = ""
    views: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    attachments: tuple[tuple[str, str, int], ...] = ()
    """Name, what becomes of it and bytes of each file beside the rows."""


@dataclass(frozen=True)
class Retyped:
    """A column whose type changed."""

    column: str
    before: str
    after: str


@dataclass(frozen=True)
class ChangeFacts:
    """This table against the last release."""

    since: str | None = None
    """The last release (its run id); None: this is the first."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[Retyped, ...] = ()
    rows_before: int | None = None
    rows_after: int | None = None
    same_content: bool | None = None
    """Whether the content digests are equal; None when they were not compared."""


@dataclass(frozen=True)
class FileFacts:
    """One file of the record."""

    path: str
    """Relative to the report."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ReportFacts:
    """All that one report says."""

    slug: str
    title: str
    agency: str
    run: str
    status: str
    """One of `STATUSES`."""
    verdict: str
    """One sentence: why this status."""
    started_by: Person
    started: dt.datetime
    ended: dt.datetime | None = None
    next_action: str = ""
    """What must happen now, as a sentence; empty when nothing must."""
    next_by: str = ""
    """By whom, e.g. "a reviewer other than the person who started the run"."""
    next_command: str = ""
    """The exact command."""
    source: SourceFacts | None = None
    steps: tuple[StepFacts, ...] = ()
    account: RowAccount | None = None
    rejects: tuple[RejectFacts, ...] = ()
    guards: tuple[GuardFacts, ...] = ()
    overrides: tuple[OverrideFacts, ...] = ()
    reviewed: bool = False
    """Whether the review ended; without it, no finding means nothing."""
    findings: tuple[FindingFacts, ...] = ()
    rules: tuple[RuleFacts, ...] = ()
    columns: tuple[ColumnFacts, ...] = ()
    decisions: tuple[DecisionFacts, ...] = ()
    plan: PlanFacts | None = None
    release: ReleaseFacts | None = None
    changes: ChangeFacts | None = None
    digests: tuple[Digest, ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=())
    """Names and versions."""
    limits: tuple[str, ...] = ()
    """What this record cannot prove, a sentence each."""
    files: tuple[FileFacts, ...] = ()
