"""What has changed since the last release: drift of source and table, and a structure to be looked at again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ctnb.contracts.columns import Column
from ctnb.contracts.drift import Treatment
from ctnb.drift import measures, structure
from ctnb.drift.headers import HeaderChange
from ctnb.drift.structure import Structure
from ctnb.privacy.findings import RULES, WORST_FIRST, Answer, Case, Fact, Finding, counted, listed
from ctnb.settings import Severity

MEANS: Mapping[Treatment, Severity] = MappingProxyType({"accept": "note", "hold": "wait", "stop": "block"})
"""What a treatment of dataset.yml makes of a finding; the project's policy may be stricter."""


def ask_structure(case: Case) -> Answer:
    """Whether the columns, their types and their roles are those of the last release."""
    last = case.last
    if last.release is None or last.mode == "delete":
        return Answer(skipped=_no_base(case))
    number = len(case.table.columns)
    if last.table is None:
        text = "The rows of the last release are no longer kept, so its structure cannot be compared."
        return Answer((case.finding("structure-changed", (), 1, 1, text),), number)
    changed = _structure(case).changed
    if not changed:
        return Answer(examined=number)
    text = (
        f"The structure is not that of the last release: {counted(len(changed), 'column')} changed "
        f"({listed(changed)}). What was approved before was approved for another structure."
    )
    return Answer((case.finding("structure-changed", changed, len(changed), number, text),), number)


def ask_source(case: Case) -> Answer:
    """Whether the source's header was the contract's."""
    changes = case.last.changes
    added = [one for one in changes if one.kind == "added"]
    found = [_header(case, one) for one in changes if one.kind != "added"]
    for treatment in ("accept", "hold"):
        some = [one for one in added if one.treatment == treatment]
        if some:
            places = listed([str(one.place) for one in some])
            text = (
                f"{counted(len(some), 'column')} of the source, number {places}, "
                f"{'is' if len(some) == 1 else 'are'} not in the contract and left out."
            )
            found.append(_drifted(case, "drift-source", treatment, (), len(some), len(some), text))
    return Answer(tuple(found), len(case.table.columns))


def ask_added(case: Case) -> Answer:
    """Whether there are columns that the last release did not have."""
    return _of_structure(case, "added", lambda found: [
        ((name,), f"{name} is new: the last release did not have it.") for name in found.added
    ])  # fmt: skip


def ask_removed(case: Case) -> Answer:
    """Whether columns of the last release are gone."""
    return _of_structure(case, "removed", lambda found: [
        ((name,), f"{name} is gone: the last release had it.") for name in found.removed
    ])  # fmt: skip


def ask_renamed(case: Case) -> Answer:
    """Whether columns of the last release seem to have other names now."""
    return _of_structure(case, "renamed", lambda found: [
        ((now,), f"{before} is gone and {now} is new: is it the same column under another name?")
        for before, now in found.renamed
    ])  # fmt: skip


def ask_retyped(case: Case) -> Answer:
    """Whether columns have other types than in the last release."""
    return _of_structure(case, "retyped", lambda found: [
        ((one.column,), f"{one.column} is of type {one.after} and was {one.before}.") for one in found.retyped
    ])  # fmt: skip


def ask_category(case: Case) -> Answer:
    """Whether quasi-identifiers have categories that the last release did not have."""
    return _of_columns(
        case, lambda column: column.role == "quasi" and column.type in measures.CATEGORICAL, _category
    )


def ask_empty(case: Case) -> Answer:
    """Whether the share of empty cells moved in a column."""
    if why := _why_not(case):
        return Answer(skipped=why)
    both = _both(case)
    counts = measures.empty_cells(case.connection, both)
    found = []
    for name, one in counts.items():
        if abs(one.points) <= case.last.drift.empty_points:
            continue
        text = (
            f"{name} has {one.now:,} empty cells in {one.rows_now:,} rows; the last release had {one.before:,} in "
            f"{one.rows_before:,}: {one.points:+.1f} percentage points."
        )
        found.append(
            _drifted(
                case, "drift-empty", case.last.drift.empty, (name,), one.now, one.rows_now, text,
                empty_before=one.before, rows_before=one.rows_before, points=round(one.points, 1),
            )
        )  # fmt: skip
    return Answer(tuple(found), len(both))


def ask_distribution(case: Case) -> Answer:
    """Whether the values of a column are spread otherwise."""
    return _of_columns(case, lambda column: column.role not in ("identifier", "free_text"), _shifted)


def ask_rows(case: Case) -> Answer:
    """Whether there are many more or fewer rows."""
    if (why := _why_not(case)) or case.last.table is None:
        return Answer(skipped=why)
    before, now, limit = case.last.table.rows, case.table.rows, case.last.drift.rows_share
    share = abs(now - before) / before if before else float(now > 0)
    if share <= limit:
        return Answer(examined=now)
    text = (
        f"{counted(now, 'row')}, and {before:,} in the last release: {(now - before) / max(before, 1):+.1%}."
    )
    found = _drifted(
        case, "drift-rows", case.last.drift.rows, (), now, max(now, before), text, rows_before=before
    )
    return Answer((found,), now)


def _no_base(case: Case) -> str:
    if case.last.mode == "delete":
        return "a file of identifiers to delete is compared with no release"
    return "there is no earlier release on this portal"


def _why_not(case: Case) -> str:
    """Why rows are not compared; empty when they are."""
    last = case.last
    if last.mode == "delete" or last.release is None:
        return _no_base(case)
    if last.table is None:
        return "the rows of the last release are no longer kept"
    return (
        ""
        if last.mode == "replace"
        else f"mode {last.mode} publishes a batch, which is compared with no other"
    )


def _structure(case: Case) -> Structure:
    if case.last.table is None:
        return Structure()
    return structure.compare(case.last.table.columns, case.table.columns)


def _of_structure(
    case: Case, kind: str, told: Callable[[Structure], list[tuple[tuple[str, ...], str]]]
) -> Answer:
    last = case.last
    if last.table is None or last.mode == "delete":
        return Answer(skipped=_no_base(case) if last.release is None else _why_not(case))
    treatment: Treatment = getattr(last.drift, kind)
    made = [
        _drifted(case, f"drift-{kind}", treatment, names, 1, 1, text)
        for names, text in told(_structure(case))
    ]
    return Answer(tuple(made), len(case.table.columns))


def _both(case: Case) -> list[Column]:
    """The columns that both tables have, with the same type."""
    before = {column.name: column.type for column in (case.last.table.columns if case.last.table else ())}
    return [column for column in case.table.columns if before.get(column.name) == column.type]


def _of_columns(
    case: Case, wanted: Callable[[Column], bool], ask: Callable[[Case, Column], Finding | None]
) -> Answer:
    if why := _why_not(case):
        return Answer(skipped=why)
    columns = [column for column in _both(case) if wanted(column)]
    found = [ask(case, column) for column in columns]
    return Answer(tuple(one for one in found if one), len(columns))


def _category(case: Case, column: Column) -> Finding | None:
    seen = measures.new_categories(case.connection, column)
    if not seen.new:
        return None
    text = (
        f"{column.name} has {seen.new:,} of {seen.of:,} categories that the last release did not have, in "
        f"{counted(seen.rows, 'row')}."
    )
    return _drifted(
        case,
        "drift-category",
        case.last.drift.category,
        (column.name,),
        seen.new,
        seen.of,
        text,
        rows=seen.rows,
    )


def _shifted(case: Case, column: Column) -> Finding | None:
    seen, limit = measures.shift(case.connection, column), case.last.drift.stability
    if seen is None or seen.index < limit or seen.index <= seen.chance:
        return None
    text = (
        f"The values of {column.name} are spread otherwise than in the last release: population stability index "
        f"{seen.index:.2f} over {len(seen.now)} bins; from {limit:g} on a distribution has shifted."
    )
    return _drifted(
        case, "drift-distribution", case.last.drift.distribution, (column.name,), sum(seen.now), case.table.rows,
        text, index=round(seen.index, 4), bins_before=_joined(seen.before), bins_now=_joined(seen.now),
    )  # fmt: skip


def _joined(cells: tuple[int, ...]) -> str:
    return " ".join(map(str, cells))


def _header(case: Case, one: HeaderChange) -> Finding:
    text = f"{one.text[:1].upper()}{one.text[1:]}"
    text = text if text.endswith("?") else f"{text}."
    return _drifted(case, "drift-source", one.treatment, (one.column,), 1, 1, text, kind=one.kind)


def _drifted(
    case: Case, rule: str, treatment: Treatment, columns: tuple[str, ...], count: int, of: int, text: str,
    **facts: Fact,
) -> Finding:  # fmt: skip
    """A finding as severe as the contract's treatment, or as the project's policy where that is stricter."""
    severity = MEANS[treatment]
    told = case.policy.severities.get(rule)
    worst = min(severity, told, key=WORST_FIRST.index) if told else severity
    return Finding(rule, columns, worst, count, of, text, RULES[rule].remedy, facts)


QUESTIONS: Mapping[str, Callable[[Case], Answer]] = MappingProxyType({
    "structure-changed": ask_structure,
    "drift-source": ask_source,
    "drift-added": ask_added,
    "drift-removed": ask_removed,
    "drift-renamed": ask_renamed,
    "drift-retyped": ask_retyped,
    "drift-category": ask_category,
    "drift-empty": ask_empty,
    "drift-distribution": ask_distribution,
    "drift-rows": ask_rows,
})  # fmt: skip
"""Who answers each rule about change."""
