"""
Guards: whether the data of a run are to be trusted, asked by the supervisor after each step that made a table.

Each guard compares counts, times and digests with limits and with the last release on the same portal. One
that trips ends the run, unless somebody overrode it for this run with a reason, which the record keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctnb import __version__, attachments, clock, digests, records, releases, tables, templates
from ctnb.contracts.guards import Guards
from ctnb.contracts.publication import WHOLE
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError, GuardTripped, NameUnknown, NothingNew
from ctnb.privacy import decisions
from ctnb.records import GuardFact, Override, ReadFacts, RunRecord
from ctnb.settings import Project
from ctnb.tables import Table

if TYPE_CHECKING:
    from ctnb.portals.plans import Plan
    from ctnb.supervision import Supervisor

ZERO, DROP, AGE = "zero-rows", "row-drop", "source-age"
DUPLICATE, KEYS = "duplicate-snapshot", "key-collisions"
REMOVED = "rows-removed"

GUARDS: Mapping[str, str] = {
    ZERO: "Look at the source; where no rows are right, write guards: allow_empty: true in dataset.yml.",
    DROP: "Look at the source; where that many rows may go, raise guards: row_drop: in dataset.yml.",
    AGE: "Ask for a newer file; where an older one is right, raise guards: promised_days: in dataset.yml.",
    DUPLICATE: "",
    KEYS: "Correct the transform, or name another column under key: in dataset.yml.",
    REMOVED: "Append or upsert, or declare portal: removes: in dataset.yml.",
}
"""Every guard with what to do about it, in the order in which they are asked."""


@dataclass(frozen=True)
class Answer:
    """What one guard says."""

    guard: str
    outcome: Literal["held", "tripped", "not applicable"]
    what: str
    """Counts and limit, or why it does not apply."""


def taken(overrides: Iterable[tuple[str, str]]) -> tuple[Override, ...]:
    """
    The guards to override, each with its reason, as somebody told them just now.

    Raises NameUnknown for a guard that does not exist, UsageError for a reason that does not do.
    """
    made = []
    for guard, reason in overrides:
        if guard not in GUARDS:
            raise NameUnknown("guard", guard, GUARDS)
        decisions.check_reason(reason)
        made.append(Override(guard=guard, reason=reason.strip(), by=decisions.whoami(), at=clock.stamp()))
    return tuple(made)


def check(at: Supervisor, step: str) -> None:
    """
    Ask the guards about what `step` handed over and note what they say in the record.

    Raises GuardTripped when one trips that nobody overrode; NothingNew when the only one is the guard against
    publishing the same bytes again.
    """
    if step not in ("read", "transform"):
        return
    answers = _after_read(at) if step == "read" else _after_transform(at)
    overridden = {override.guard for override in at.record.overrides}
    noted = {one.guard: one for one in at.record.guards}
    noted |= {one.guard: _fact(one, overridden) for one in answers}
    at.update(guards=tuple(noted[guard] for guard in GUARDS if guard in noted))
    tripped = [one for one in answers if one.outcome == "tripped" and one.guard not in overridden]
    for one in tripped:
        at.event("guard tripped", {"guard": one.guard, "what": one.what})
    if tripped:
        raise _error(at.dataset.slug, tripped)


def recipe(project: Project, dataset: Dataset) -> str:
    """
    A digest of all that makes a release of the source: contract, settings, script, notebooks, attached files and ctnb.

    Raises ContractInvalid when a file cannot be attached.
    """
    notebooks = [templates.look_up(project, dataset, step).digest for step in ("read", "transform")]
    script = digests.of_file(dataset.script) if dataset.script else None
    parts = [dataset.fingerprint, project.fingerprint, script, *notebooks, __version__]
    if files := attachments.digest_of(project, dataset):
        parts.append(files)
    return digests.of_bytes(digests.canonical_json(parts))


def zero_rows(rows: int, what: str, limits: Guards) -> Answer:
    """Whether there are no rows of `what`, where the contract does not allow that."""
    if rows or limits.allow_empty:
        return Answer(ZERO, "held", f"{rows:,} rows of {what}{'' if rows else ', which is allowed'}.")
    return Answer(ZERO, "tripped", f"There are no rows of {what}.")


def row_drop(rows: int, before: int, limits: Guards) -> Answer:
    """Whether many fewer `rows` were kept than the `before` of the last release's reading."""
    gone = max(0, before - rows)
    share = gone / before if before else 0.0
    what = f"{rows:,} rows were kept, {before:,} for the last release: {share:.1%} fewer"
    if share <= limits.row_drop:
        return Answer(DROP, "held", f"{what if gone else what.partition(':')[0]}.")
    return Answer(DROP, "tripped", f"{what}, and at most {limits.row_drop:.0%} is allowed.")


def source_age(modified: str | None, limits: Guards) -> Answer:
    """Whether the source was `modified` (UTC, ISO 8601) longer ago than promised."""
    if limits.promised_days is None:
        return Answer(AGE, "not applicable", "The contract promises no age.")
    if modified is None:
        return Answer(AGE, "not applicable", "The source's place does not say when it was changed.")
    days = (clock.now() - clock.parse(modified)).total_seconds() / 86_400
    what = f"The source was last changed on {modified[:10]}, {max(0, int(days)):,} days ago"
    if days <= limits.promised_days:
        return Answer(AGE, "held", f"{what}.")
    return Answer(AGE, "tripped", f"{what}; it is promised to be at most {limits.promised_days:,} days old.")


def duplicate_snapshot(now: ReadFacts, recipe: str, released: RunRecord) -> Answer:
    """Whether the run `released` already published what these bytes and this `recipe` make."""
    before = released.read
    same_bytes = before is not None and [f.digest for f in now.files] == [f.digest for f in before.files]
    if not same_bytes:
        return Answer(DUPLICATE, "held", "The source has other bytes than for the last release.")
    if recipe != released.recipe:
        return Answer(
            DUPLICATE, "held", "The bytes are the last release's; contract, settings or script are not."
        )
    what = (
        f"Nothing is new: run {released.run} published these bytes under this contract, these settings and this "
        "script; publishing again would change nothing."
    )
    return Answer(DUPLICATE, "tripped", what)


def key_collisions(table: Table, key: Sequence[str]) -> Answer:
    """Whether rows of `table` share a value of its `key`, or have none."""
    if not key:
        return Answer(KEYS, "not applicable", "The contract has no key.")
    with tables.opened(table) as connection:
        empty, double = tables.key_collisions(connection, "data", key[0])
    if not empty and not double:
        return Answer(KEYS, "held", f"Each of {table.rows:,} rows has its own {key[0]}.")
    what = f"Of {table.rows:,} rows, {double:,} repeat a value of the key {key[0]} and {empty:,} have none."
    return Answer(KEYS, "tripped", what)


def _after_read(at: Supervisor) -> list[Answer]:
    """What the guards say of what was read."""
    read, limits = at.record.read, at.dataset.contract.guards
    if read is None:
        return []
    if not at.record.recipe:
        at.update(recipe=recipe(at.project, at.dataset))
    base = releases.newest(at.project, at.dataset.slug, at.record.portal)
    released = records.find(at.project, base.run) if base else None
    return [
        zero_rows(read.rows_kept, "the source", limits),
        _drop(at, read, released),
        source_age(read.modified, limits),
        _duplicate(at, read, released),
    ]


def _after_transform(at: Supervisor) -> list[Answer]:
    """What the guards say of the table to be published."""
    ref, contract = at.table_ref("transform"), at.dataset.contract
    if ref is None:
        return []
    table = tables.open_table(Path(ref.path), file_digest=ref.file_digest, digest=ref.digest)
    return [
        zero_rows(table.rows, "the table to be published", contract.guards),
        key_collisions(table, contract.key),
    ]


def rows_removed(at: Supervisor, plan: Plan) -> None:
    """Note in the record what the plan of publishing takes away, and whether that may be; the plan itself stops it."""
    removal, before = plan.removal, plan.rows_before
    if not removal.rows:
        return
    what = f"{removal.rows:,} of {before:,} published rows are taken away"
    if removal.problem:
        fact = GuardFact(guard=REMOVED, outcome="tripped", what=f"{what}, and that is not allowed.")
        at.event("guard tripped", {"guard": REMOVED, "what": fact.what})
    elif removal.by == "a person":
        fact = GuardFact(guard=REMOVED, outcome="overridden", what=f"{what}.")
    else:
        why = f"{what}, as {removal.by} allows: {removal.reason}"
        fact = GuardFact(guard=REMOVED, outcome="held", what=why)
    at.update(guards=(*(one for one in at.record.guards if one.guard != REMOVED), fact))


def removal_reason(record: RunRecord) -> str:
    """Why a person lets this run take published rows away; empty when nobody said so."""
    return next((one.reason for one in reversed(record.overrides) if one.guard == REMOVED), "")


def _drop(at: Supervisor, read: ReadFacts, released: RunRecord | None) -> Answer:
    mode = at.dataset.contract.portal.mode
    if mode not in WHOLE:
        return Answer(DROP, "not applicable", f"Mode {mode} publishes a batch, which is not compared.")
    if released is None or released.read is None:
        return Answer(DROP, "not applicable", "There is no release on this portal to compare with.")
    return row_drop(read.rows_kept, released.read.rows_kept, at.dataset.contract.guards)


def _duplicate(at: Supervisor, read: ReadFacts, released: RunRecord | None) -> Answer:
    if released is None:
        return Answer(DUPLICATE, "not applicable", "There is no release on this portal to compare with.")
    if at.dry_run or at.record.to:
        return Answer(DUPLICATE, "not applicable", "A rehearsal publishes nothing.")
    if at.record.parent:
        return Answer(
            DUPLICATE, "not applicable", "The run goes on from another run's tables, as it was told."
        )
    return duplicate_snapshot(read, at.record.recipe, released)


def _fact(one: Answer, overridden: set[str]) -> GuardFact:
    passed = one.outcome == "tripped" and one.guard in overridden
    return GuardFact(guard=one.guard, outcome="overridden" if passed else one.outcome, what=one.what)


def _error(slug: str, tripped: Sequence[Answer]) -> CtnbError:
    """The error for guards that tripped; the one against duplicates counts only when it is alone."""
    wrong = [one for one in tripped if one.guard != DUPLICATE]
    if not wrong:
        return NothingNew(tripped[0].what, hint=_how(slug, DUPLICATE, "To run all the same"))
    names = " and ".join(one.guard for one in wrong)
    head = f"The guard {names} stopped the run" if len(wrong) == 1 else f"The guards {names} stopped the run"
    hints = [f"{GUARDS[one.guard]} {_how(slug, one.guard, 'Or for this run alone')}" for one in wrong]
    return GuardTripped(
        f"{head}: {' '.join(one.what for one in wrong)}",
        hint=" ".join(hints), guards=tuple(one.guard for one in wrong),
    )  # fmt: skip


def _how(slug: str, guard: str, when: str) -> str:
    return f'{when}: ctnb run {slug} --override {guard} "why"'
