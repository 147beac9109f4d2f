"""Rules, what they found, and the case they are asked about. A finding is counts, never a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from ctnb.attachments import Attachment
from ctnb.contracts.columns import Column
from ctnb.contracts.drift import TableDrift
from ctnb.contracts.publication import Mode
from ctnb.contracts.transforms import Unit
from ctnb.drift.headers import HeaderChange
from ctnb.settings import Policy, Severity
from ctnb.tables import Table

if TYPE_CHECKING:
    import duckdb

    from ctnb.privacy.detection import Scan

Outcome = Literal["hit", "clean", "skipped"]
Fact = int | float | str
WORST_FIRST: tuple[Severity, ...] = ("block", "wait", "note")


@dataclass(frozen=True)
class Rule:
    """One question of the privacy review."""

    id: str
    """Its name in findings, policies and decisions."""
    question: str
    """What is asked, as people read it."""
    severity: Severity
    """What a hit means, where the policy says nothing else."""
    remedy: str
    """What to do about a hit."""
    direct: bool = False
    """It looks for direct identifiers: under a standing decision its hits may not rise at all."""
    fixed: bool = False
    """No policy makes it milder."""
    once: bool = False
    """A standing decision never covers it: somebody looks at it each time."""


_TABLE = (
    Rule("not-computed", "Could every rule be computed?", "block",
         "Repair the table or the contract and run again; what could not be asked is not assumed to be safe.",
         fixed=True),
    Rule("policy-unfit", "Does the policy name only rules that exist, and none milder than allowed?", "block",
         "Correct severities: of the policy in ctnb.yml; the reference lists the rules.", fixed=True),
    Rule("no-unit", "Does the contract say what one row is?", "block",
         "Write unit: person, group or other in dataset.yml (transform: unit: when the transform changes it).",
         fixed=True),
    Rule("no-role", "Has every column a role?", "block",
         "Give each of these columns a role in dataset.yml: identifier, quasi, sensitive, free_text, measure or "
         "plain.", fixed=True),
)  # fmt: skip
_IDENTIFIERS = (
    Rule("identifier-published", "Is a column with the role identifier still in the table?", "block",
         "Leave the column out: drop: under rules: in dataset.yml.", direct=True),
    Rule("ssn-header", "Does a column's name or header say Social Security number?", "block",
         "Leave the column out; if it is something else, give it a name that says so.", direct=True),
    Rule("ssn-content", "Do cells hold Social Security numbers, also inside text or longer numbers?", "block",
         "Leave the column out, or remove the numbers in the transform.", direct=True, fixed=True),
    Rule("ssn-possible", "Could a column of nine-digit numbers be Social Security numbers?", "wait",
         "Find out what the numbers are; leave the column out if they belong to people.", direct=True),
    Rule("email-content", "Do cells hold e-mail addresses?", "block",
         "Leave the column out, or remove the addresses in the transform.", direct=True),
    Rule("phone-content", "Do cells hold telephone numbers?", "wait",
         "Leave the column out if the numbers belong to people; a number of an office may be approved.",
         direct=True),
    Rule("name-content", "Do cells look like names of persons, or hold them inside text?", "wait",
         "Leave the column out, or take the names out in the transform; names of record may be approved.",
         direct=True),
    Rule("identifier-header", "Does a column's name or header say direct identifier?", "wait",
         "Leave the column out, or make it coarser; approve if it does not describe a person.", direct=True),
    Rule("file-content", "Are files published, which the review cannot look into?", "wait",
         "Have somebody open the files before they go out, or leave the column out; approve once that is done.",
         direct=True, once=True),
    Rule("attachment", "Are files attached beside the rows, which the review cannot look into?", "wait",
         "Have somebody open the run's copies, below .ctnb/work/RUN/privacy_review/attachments/, or take the files out "
         "of portal: attachments:; approve once that is done.", direct=True),
    Rule("free-text", "Is free text published about people?", "wait",
         "Leave free text out: that is the default. Keep it only after somebody has read it."),
)  # fmt: skip
_RISK = (
    Rule("small-class", "Does every person share their quasi-identifiers with enough others?", "block",
         "Make the quasi-identifiers coarser, leave one out, or publish counts instead of people."),
    Rule("no-quasi", "Are there quasi-identifiers in a table of people?", "wait",
         "Give age, sex, race, place and dates the role quasi; a table of people without any is rare."),
    Rule("one-value", "Do people who share their quasi-identifiers also share one sensitive value?", "wait",
         "Make the sensitive column coarser or the classes larger, or approve with the reason it tells nothing."),
)  # fmt: skip
_CELLS = (
    Rule("no-count", "Does an aggregate say which column counts its people?", "block",
         "Write transform: count: with the name of a number column in dataset.yml.", fixed=True),
    Rule("small-cell", "Are small counts published?", "block",
         "Add the rule suppress: with the count column under rules: in dataset.yml; zeros stay."),
    Rule("bare-suppressed", "Is a count marked as suppressed still there?", "block",
         "Empty the cell wherever the mark is true.", fixed=True),
    Rule("unmarked-blank", "Is a count blank without a mark that it was suppressed?", "wait",
         "Say in the transform whether these are zeros, unknown or suppressed."),
    Rule("small-measure", "Are there small whole numbers in other measures of an aggregate?", "wait",
         "Suppress them with their own rule if they count people."),
    Rule("measure-beside-suppressed", "Does another measure stand beside a suppressed count?", "wait",
         "Name it under also: of the suppress rule if the count can be worked out from it."),
    Rule("complementary-unchecked", "Can suppressed cells be worked out from what is published?", "wait",
         "Complementary suppression was not checked: see whether totals or other tables give the cells away."),
)  # fmt: skip

_CHANGES = (
    Rule("structure-changed", "Are the columns, their types and roles those of the last release?", "wait",
         "Look at the whole review again: it is about another structure than the one approved before.",
         fixed=True, once=True),
    Rule("drift-source", "Is the source's header the contract's?", "wait",
         "Bring columns: in dataset.yml up to date, or list headers under source: ignore:.", once=True),
    Rule("drift-added", "Are there columns that the last release did not have?", "wait",
         "Approve if the column is to be published; else leave it out.", once=True),
    Rule("drift-removed", "Are columns of the last release gone?", "wait",
         "Approve if the column is to go; who uses the data will miss it.", once=True),
    Rule("drift-renamed", "Do columns of the last release seem to have other names?", "wait",
         "Keep the published name where it is the same column; approve if it is not, or is to be renamed.",
         once=True),
    Rule("drift-retyped", "Have columns other types than in the last release?", "wait",
         "Keep the published type, or approve the new one.", once=True),
    Rule("drift-category", "Have quasi-identifiers categories that the last release did not have?", "wait",
         "Find out whether they are right: a misspelt one, or a small group, stands out.", once=True),
    Rule("drift-empty", "Has the share of empty cells moved?", "wait",
         "Find out why cells are empty, or no longer are; approve if that is right.", once=True),
    Rule("drift-distribution", "Are the values of a column spread otherwise?", "wait",
         "Find out what changed in the source; approve if that is right.", once=True),
    Rule("drift-rows", "Are there many more or fewer rows?", "wait",
         "Find out where they come from or went; approve if that is right.", once=True),
)  # fmt: skip

RULES: Mapping[str, Rule] = MappingProxyType(
    {rule.id: rule for rule in (*_TABLE, *_IDENTIFIERS, *_RISK, *_CELLS, *_CHANGES)}
)
"""Every rule, in the order in which a review tells them."""

ATTACHMENT = "attachment"
"""The rule that is asked where files are attached alone: a dataset without any has the digests it always had."""


def asked_of(attachments: Sequence[Attachment]) -> Mapping[str, Rule]:
    """The rules that are asked about a table with these `attachments`."""
    return {name: rule for name, rule in RULES.items() if attachments or name != ATTACHMENT}


@dataclass(frozen=True)
class Finding:
    """What one rule found in one column, or in several together."""

    rule: str
    """The rule's id."""
    columns: tuple[str, ...]
    """The contract's names of the columns it is about."""
    severity: Severity
    """What it means under the policy."""
    count: int
    """Rows, cells or columns hit."""
    of: int
    """Rows, cells or columns examined."""
    text: str
    """One sentence with counts and column names."""
    remedy: str
    """What to do."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """More counts, by name."""

    @property
    def direct(self) -> bool:
        """Whether it is about direct identifiers; a rule that is not known counts as one."""
        return self.rule not in RULES or RULES[self.rule].direct

    @property
    def key(self) -> str:
        """What makes it the same finding in another review: its rule and columns."""
        return f"{self.rule}:{','.join(self.columns)}"

    def to_json(self) -> dict[str, Any]:
        """It as JSON's types."""
        return {
            "rule": self.rule, "columns": list(self.columns), "severity": self.severity, "count": self.count,
            "of": self.of, "text": self.text, "remedy": self.remedy, "facts": dict(self.facts),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """What `to_json` wrote. Raises KeyError or TypeError when it is not that."""
        return cls(**{**data, "columns": tuple(data["columns"])})


@dataclass(frozen=True)
class Asked:
    """That a rule was asked, and what came of it."""

    rule: str
    """The rule's id."""
    outcome: Outcome
    """hit: it has findings; clean: it has none; skipped: it was not asked."""
    reason: str
    """Why it was skipped; empty otherwise."""
    examined: int
    """Rows, cells or columns looked at."""


@dataclass(frozen=True)
class Answer:
    """What a rule says of a case."""

    findings: tuple[Finding, ...] = ()
    examined: int = 0
    """Rows, cells or columns looked at."""
    skipped: str = ""
    """Why the question does not apply; empty when it was asked."""


@dataclass(frozen=True)
class Last:
    """The last release on the portal, and what dataset.yml makes of drift."""

    release: str | None = None
    """Its name; None when there is none."""
    table: Table | None = None
    """Its rows; None when they are no longer kept."""
    mode: Mode = "replace"
    """What publishing does now."""
    drift: TableDrift = field(default_factory=TableDrift)
    changes: tuple[HeaderChange, ...] = ()
    """How the source's header was not the contract's."""


@dataclass(frozen=True)
class Case:
    """What the rules are asked about: an opened table and what is declared of it."""

    connection: duckdb.DuckDBPyConnection = field(repr=False)
    """A locked DuckDB in which the table is called `data`."""
    table: Table
    unit: Unit | None
    """What one row is."""
    count_column: str | None
    """The column that says how many people a row of an aggregate stands for."""
    policy: Policy
    last: Last = field(default_factory=Last)
    attachments: tuple[Attachment, ...] = ()
    """The files that are published beside the rows."""

    @cached_property
    def scans(self) -> Mapping[str, Scan]:
        """What the detectors counted, by column; counted on first use."""
        from ctnb.privacy.detection import scans

        return scans(self)

    def with_role(self, role: str | None) -> tuple[str, ...]:
        """The names of the columns with `role`."""
        return tuple(column.name for column in self.table.columns if column.role == role)

    def column(self, name: str | None) -> Column | None:
        """The contract of column `name`, or None."""
        return next((column for column in self.table.columns if column.name == name), None)

    def numbers(self, query: str, parameters: Sequence[object] = ()) -> tuple[int, ...]:
        """The one row of whole numbers that `query` gives."""
        row = self.connection.execute(query, list(parameters)).fetchone()
        return tuple(int(number or 0) for number in row or ())

    def finding(
        self, rule: str, columns: Sequence[str], count: int, of: int, text: str, /, **facts: Fact
    ) -> Finding:
        """A finding of `rule`, with the severity that the policy gives it."""
        severity = severity_of(RULES[rule], self.policy)
        return Finding(rule, tuple(columns), severity, count, of, text, RULES[rule].remedy, facts)


def severity_of(rule: Rule, policy: Policy) -> Severity:
    """The severity of `rule` under `policy`; a fixed rule is never made milder."""
    told = policy.severities.get(rule.id, rule.severity)
    return min(told, rule.severity, key=WORST_FIRST.index) if rule.fixed else told


def listed(names: Sequence[str], most: int = 6) -> str:
    """Column names as people read them: a, b and c, or the first few and how many more."""
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 row, 2,000 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def reference() -> str:
    """The reference page that lists every rule, as Markdown."""
    lines = [
        "# Rules of the privacy review", "",
        "Made from `ctnb.privacy.findings.RULES`; change it there.", "",
        "A rule's severity can be changed per policy (`severities:` in `ctnb.yml`), except that a fixed rule "
        "is never made milder. Hits of a direct rule may not rise at all under a standing decision, and a rule "
        "marked once is never covered by one. A standing decision covers attachments as long as not a byte of them "
        "changes; the rule is asked where there are any. What drift: of dataset.yml says of a drift rule "
        "counts where it is stricter.", "",
        "| rule | question | severity | | what to do |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for rule in RULES.values():
        marks = ", ".join(
            word for word, on in (("direct", rule.direct), ("fixed", rule.fixed), ("once", rule.once)) if on
        )
        lines.append(f"| `{rule.id}` | {rule.question} | {rule.severity} | {marks} | {rule.remedy} |")
    return "\n".join(lines) + "\n"
