"""
The review: every rule asked about one table under one policy, and what they found.

A rule that cannot be computed blocks. The order of the rows never matters, and neither does when or in which
run the question was asked: two reviews with one digest say the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ctnb import clock
from ctnb.attachments import Attachment
from ctnb.contracts.transforms import Unit
from ctnb.digests import canonical_json, of_bytes
from ctnb.errors import RecordBroken
from ctnb.privacy import cells, changes, detection, headers, risk
from ctnb.privacy.findings import (
    ATTACHMENT,
    RULES,
    WORST_FIRST,
    Answer,
    Asked,
    Case,
    Finding,
    Last,
    asked_of,
    counted,
    listed,
    severity_of,
)
from ctnb.settings import Policy, Severity
from ctnb.tables import Table, opened
from ctnb.values import quote_name

State = Literal["blocked", "waiting", "clear"]
FORMAT = 1
_THREADS = 4
_VERBS: Mapping[Severity, tuple[str, str]] = {
    "block": ("blocks", "block"),
    "wait": ("waits for a decision", "wait for a decision"),
    "note": ("is noted", "are noted"),
}


@dataclass(frozen=True)
class Review:
    """All findings for one table under one policy."""

    dataset: str
    """The dataset's slug."""
    run: str
    """The run that asked; it is not part of the digest."""
    policy: str
    """The policy's name."""
    policy_digest: str
    contract_digest: str
    transform_digest: str | None
    """Of the transform's script; None when there is none."""
    table_digest: str
    """The table's content digest, keyed: the table is not released yet."""
    rows: int
    columns: tuple[str, ...]
    """The contract's names of the table's columns."""
    unit: str | None
    """What one row is."""
    findings: tuple[Finding, ...]
    """Worst first."""
    asked: tuple[Asked, ...]
    """Every rule, in the order of the reference."""
    at: str
    """When, UTC; it is not part of the digest."""
    base_release: str | None = None
    """The release that the table was compared with; None when there was none."""
    attachments: tuple[Attachment, ...] = ()
    """The files that are published beside the rows, with keyed digests."""

    @property
    def state(self) -> State:
        """blocked, waiting for a decision, or clear: the worst of the findings."""
        severities = {finding.severity for finding in self.findings}
        return "blocked" if "block" in severities else "waiting" if "wait" in severities else "clear"

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of everything but `at` and `run`, as `sha256:` and 64 hex digits."""
        kept = {key: value for key, value in self.to_json().items() if key not in ("at", "run")}
        return of_bytes(canonical_json(kept))

    def to_json(self) -> dict[str, Any]:
        """It as JSON's types."""
        return {
            "format": FORMAT, "dataset": self.dataset, "run": self.run, "state": self.state,
            "policy": self.policy, "policy_digest": self.policy_digest,
            "contract_digest": self.contract_digest, "transform_digest": self.transform_digest,
            "table_digest": self.table_digest, "rows": self.rows, "columns": list(self.columns),
            "unit": self.unit, "base_release": self.base_release,
            "findings": [finding.to_json() for finding in self.findings],
            "asked": [vars(one) for one in self.asked], "at": self.at,
            **({"attachments": [asdict(one) for one in self.attachments]} if self.attachments else {}),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Review:
        """What `to_json` wrote. Raises RecordBroken when it is not that, or its state is not what its findings say."""
        try:
            return _from_json(data)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        raise RecordBroken("A review in the record is not a review.", hint="Restore the file, or run again.")


def review(
    table: Table, *, dataset: str, run: str, unit: Unit | None, count_column: str | None, key: tuple[str, ...],
    policy_name: str, policy: Policy, contract_digest: str, transform_digest: str | None, table_digest: str,
    work: Path | None, last: Last | None = None, attachments: tuple[Attachment, ...] = (),
) -> Review:  # fmt: skip
    """
    Ask every privacy rule about `table` and return what they found.

    Nothing is written, except for DuckDB's spill below `work` (none when it is None), and nothing is raised
    for a finding. `unit` and `count_column` are what the contract says comes out of the transform, `key` the
    row identifier. `table_digest` is keyed by the caller and only kept. `last` is the release to compare with.
    `attachments`, whose digests are keyed, go out beside it.
    """
    last = last or Last()
    answers = _answers(table, unit, count_column, key, policy, work, last, attachments)
    findings = sorted((found for one in answers.values() for found in one.findings), key=_worst_first)
    return Review(
        dataset, run, policy_name, policy_digest(policy, attachments), contract_digest, transform_digest,
        table_digest, table.rows, tuple(column.name for column in table.columns), unit, tuple(findings),
        tuple(_asked(rule, answers) for rule in asked_of(attachments)), clock.stamp(), last.release, attachments,
    )  # fmt: skip


def policy_digest(policy: Policy, attachments: Sequence[Attachment] = ()) -> str:
    """SHA-256 of a policy's settings and of the rules that are asked about a table with these `attachments`."""
    rules = [
        [rule.id, rule.severity, rule.direct, rule.fixed, rule.once]
        for rule in asked_of(attachments).values()
    ]
    return of_bytes(canonical_json([policy.model_dump(mode="json"), rules]))


def headline(review: Review) -> tuple[str, str, str]:
    """Three lines that say why a review blocks, waits or clears: the state, the worst finding, what to do."""
    first = f"{review.dataset} is {review.state}: {_tally(review)}."
    if review.state == "clear":
        asked = sum(one.outcome != "skipped" for one in review.asked)
        return (
            first,
            f"{counted(asked, 'rule')} asked about {counted(review.rows, 'row')} and "
            f"{counted(len(review.columns), 'column')}; none blocks or waits.",
            "It may be published; no decision is needed.",
        )
    worst = review.findings[0]
    more = "" if review.state == "blocked" else " Or let a reviewer decide: ctnb decide."
    return first, worst.text, worst.remedy + more


def _tally(review: Review) -> str:
    """How many findings there are of each severity, in words."""
    parts: list[str] = []
    for severity, (one, more) in _VERBS.items():
        number = sum(finding.severity == severity for finding in review.findings)
        if number:
            subject = f"{number:,}" if parts else counted(number, "finding")
            parts.append(f"{subject} {one if number == 1 else more}")
    return ", ".join(parts) or "no findings"


def _ask_policy(case: Case) -> Answer:
    told = case.policy.severities
    unknown = [rule for rule in told if rule not in RULES]
    milder = [one for one in told if one in RULES and severity_of(RULES[one], case.policy) != told[one]]
    if not unknown and not milder:
        return Answer(examined=len(told))
    text = (
        f"Of {counted(len(told), 'changed rule')} of the policy, {len(unknown)} do not exist and "
        f"{len(milder)} would be milder than a fixed rule allows."
    )
    return Answer((case.finding("policy-unfit", (), len(unknown) + len(milder), len(told), text),), len(told))


def _ask_unit(case: Case) -> Answer:
    if case.unit is not None:
        return Answer(examined=1)
    return Answer((case.finding("no-unit", (), 1, 1, "The contract does not say what one row is."),), 1)


def _ask_role(case: Case) -> Answer:
    number, bare = len(case.table.columns), case.with_role(None)
    if not bare:
        return Answer(examined=number)
    have = "has" if len(bare) == 1 else "have"
    text = f"{len(bare)} of {counted(number, 'column')} {have} no role: {listed(bare)}."
    return Answer((case.finding("no-role", bare, len(bare), number, text),), number)


def _ask_identifier(case: Case) -> Answer:
    number, found = len(case.table.columns), case.with_role("identifier")
    made = tuple(
        case.finding(
            "identifier-published", [name], 1, 1, f"{name} has the role identifier and is published."
        )
        for name in found
    )
    return Answer(made, number)


def _ask_file_content(case: Case) -> Answer:
    """Whether columns of the type file hold any: their bytes are encoded, so no other rule sees what is in them."""
    names = [column.name for column in case.table.columns if column.type == "file"]
    if not names:
        return Answer(skipped="no column holds files")
    written = case.numbers(f"SELECT {', '.join(f'count({quote_name(name)})' for name in names)} FROM data")
    rows = case.table.rows
    made = tuple(
        case.finding(
            "file-content", [name], number, rows,
            f"{name} holds a file in {number:,} of {counted(rows, 'row')}; no rule can look into files.",
        )
        for name, number in zip(names, written, strict=True)
        if number
    )  # fmt: skip
    return Answer(made, rows * len(names))


def _ask_attachment(case: Case) -> Answer:
    """Whether files go out beside the rows: by name, size and digest, never by what is in them."""
    files = case.attachments
    if not files:
        return Answer(skipped="no files are attached")
    named = ", ".join(f"{one.name} ({counted(one.size, 'byte')})" for one in files)
    text = f"{counted(len(files), 'file')} attached beside the rows: {named}; no rule can look into files."
    facts = {f"digest of {one.name}": one.digest for one in files}
    return Answer((case.finding(ATTACHMENT, (), len(files), len(files), text, **facts),), len(files))


def _ask_free_text(case: Case) -> Answer:
    if case.unit != "person":
        reason = (
            "the unit is not declared"
            if case.unit is None
            else f"one row is not a person (unit: {case.unit})"
        )
        return Answer(skipped=reason)
    made = tuple(_free_text(case, name) for name in case.with_role("free_text"))
    return Answer(made, len(case.table.columns))


def _free_text(case: Case, name: str) -> Finding:
    found = case.scans.get(name)
    written = found.cells if found else 0
    text = f"{name} is free text about people, written in {written:,} of {counted(case.table.rows, 'row')}."
    return case.finding("free-text", [name], written, case.table.rows, text)


_QUESTIONS: Mapping[str, Callable[[Case], Answer]] = MappingProxyType({
    "policy-unfit": _ask_policy,
    "no-unit": _ask_unit,
    "no-role": _ask_role,
    "identifier-published": _ask_identifier,
    "ssn-header": headers.ask_ssn_header,
    "ssn-content": detection.ask_ssn_content,
    "ssn-possible": detection.ask_ssn_possible,
    "email-content": detection.ask_email_content,
    "phone-content": detection.ask_phone_content,
    "name-content": detection.ask_name_content,
    "identifier-header": headers.ask_identifier_header,
    "file-content": _ask_file_content,
    ATTACHMENT: _ask_attachment,
    "free-text": _ask_free_text,
    "small-class": risk.ask_small_class,
    "no-quasi": risk.ask_no_quasi,
    "one-value": risk.ask_one_value,
    "no-count": cells.ask_no_count,
    "small-cell": cells.ask_small_cell,
    "bare-suppressed": cells.ask_bare_suppressed,
    "unmarked-blank": cells.ask_unmarked_blank,
    "small-measure": cells.ask_small_measure,
    "measure-beside-suppressed": cells.ask_measure_beside,
    "complementary-unchecked": cells.ask_complementary,
    **changes.QUESTIONS,
})  # fmt: skip
"""Who answers each rule; not-computed is what is left when one cannot."""


def _answers(
    table: Table, unit: Unit | None, count_column: str | None, key: tuple[str, ...], policy: Policy,
    work: Path | None, last: Last, attachments: tuple[Attachment, ...],
) -> dict[str, Answer]:  # fmt: skip
    """What every rule says, and under not-computed which could not say anything."""
    rules = [rule for rule in _QUESTIONS if rule in asked_of(attachments)]
    try:
        beside = {"base": last.table} if last.table else {}
        with opened(
            table, beside=beside, threads=min(_THREADS, os.cpu_count() or 1), work=work
        ) as connection:
            case = Case(connection, table, unit, count_column, policy, last, attachments)
            answers = {rule: _answer(case, rule) for rule in rules}
            failed = [_failed(case, rule, len(rules)) for rule, one in answers.items() if one is None]
            failed += _misfits(case, key, len(rules))
    except Exception as trouble:  # noqa: BLE001 - whatever keeps the table shut, the review must block
        found = _unopened(type(trouble).__name__, len(rules))
        return {"not-computed": Answer((found,), len(rules))}
    kept = {rule: one for rule, one in answers.items() if one is not None}
    return {"not-computed": Answer(tuple(failed), len(rules)), **kept}


def _answer(case: Case, rule: str) -> Answer | None:
    """What one rule says; None when it cannot. The cause may quote data, and is not kept."""
    try:
        return _QUESTIONS[rule](case)
    except Exception:  # noqa: BLE001 - a rule that fails in any way blocks, and the others are still asked
        return None


def _failed(case: Case, rule: str, number: int) -> Finding:
    text = f"The rule {rule} could not be computed: {RULES[rule].question}"
    return case.finding("not-computed", (), 1, number, text, rule=rule)


def _unopened(error: str, number: int) -> Finding:
    rule = RULES["not-computed"]
    text = f"None of {number} rules could be computed: the table could not be opened ({error})."
    return Finding(rule.id, (), "block", number, number, text, rule.remedy, {"error": error})


def _misfits(case: Case, key: tuple[str, ...], number: int) -> list[Finding]:
    """What of the table is not as its handle says: without that, no count means anything."""
    declared = [column.name for column in case.table.columns]
    there = [str(row[0]) for row in case.connection.execute("DESCRIBE data").fetchall()]
    (rows,) = case.numbers("SELECT count(*) FROM data")
    problems = [
        ("its columns are not those of its contract", sorted(there) != sorted(declared)),
        ("its rows are not as many as its handle says", rows != case.table.rows),
        ("the row identifier is not one of its columns", not set(key) <= set(declared)),
    ]
    return [
        case.finding("not-computed", (), 1, number, f"The table does not fit: {what}.", misfit=what)
        for what, wrong in problems
        if wrong
    ]


def _asked(rule: str, answers: Mapping[str, Answer]) -> Asked:
    answer = answers.get(rule)
    if answer is None:
        return Asked(rule, "skipped", "it could not be computed", 0)
    if answer.skipped:
        return Asked(rule, "skipped", answer.skipped, 0)
    return Asked(rule, "hit" if answer.findings else "clean", "", answer.examined)


def _worst_first(finding: Finding) -> tuple[int, int, int, tuple[str, ...], str]:
    return (
        WORST_FIRST.index(finding.severity), list(RULES).index(finding.rule), -finding.count, finding.columns,
        finding.text,
    )  # fmt: skip


def _from_json(data: Mapping[str, Any]) -> Review:
    facts = {key: value for key, value in data.items() if key not in ("format", "state")}
    made = Review(
        **{
            **facts,
            "columns": tuple(data["columns"]),
            "findings": tuple(Finding.from_json(one) for one in data["findings"]),
            "asked": tuple(Asked(**one) for one in data["asked"]),
            "attachments": tuple(Attachment(**one) for one in data.get("attachments", ())),
        }
    )
    if data["format"] != FORMAT or data["state"] != made.state:
        raise ValueError("another format, or a state that its findings do not give")
    return made
