"""
What a step shows of its work: names and counts, never a cell.

Everything here carries the mark that lets it through the engine's wall against previews of data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ctnb.contracts.sources import Source
from ctnb.datasets import Dataset
from ctnb.portals.plans import Plan, Receipt
from ctnb.privacy.reviews import Review, headline
from ctnb.reads import account_sentence, tellings
from ctnb.tables import Table

if TYPE_CHECKING:
    from ctnb.steps import Desk

SAFE = {"ctnb": {"safe": True}}

Rows = Sequence[Sequence[object]]


def show(thing: Any, what: str, at: Desk) -> None:
    """Show `thing`: a dataset, table, review, plan or receipt; `what` names a part of it."""
    kind = next((kind for kind in _SHOWERS if isinstance(thing, kind)), None)
    if kind is None:
        _put("ctnb.show shows datasets, tables, reviews, plans and receipts.")
        return
    _SHOWERS[kind](thing, what, at)


def _dataset(dataset: Dataset, what: str, at: Desk) -> None:
    contract = dataset.contract
    script = dataset.script
    _put(
        f"{contract.title} ({dataset.slug})",
        ["", ""],
        [
            ["source", _source(contract.source)],
            ["columns read", len(contract.read_columns)],
            ["one row is", contract.unit or "not declared"],
            ["transform", script.name if script else "rules only" if contract.transform.rules else "none"],
            ["policy", contract.policy],
            ["publishes to", f"{contract.portal.name}, {contract.portal.mode}"],
        ],
    )


def _source(source: Source) -> str:
    """Where rows come from, in a few words without an address."""
    if source.path is not None:
        return source.path.rsplit("/", 1)[-1]
    return f"{len(source.union)} sources" if source.union else source.place


def _table(table: Table, what: str, at: Desk) -> None:
    reading, made = at.readings.get(table.digest), at.transformed.get(table.digest)
    if what == "rejects" and reading:
        for told in tellings.rejects_told(reading, at.project.root):
            _put(*told)
    elif what == "columns" and reading:
        for told in tellings.columns_told(reading):
            _put(*told)
    elif what == "closing" and reading:
        _put(account_sentence(reading.table.rows, reading.rows_rejected, reading.left_out))
    elif what == "rules" and made:
        rows = [["added", rule, count] for rule, count in made.added.items()]
        rows += [["removed", rule, count] for rule, count in made.removed.items()]
        rows += [
            ["repaired cells", f"{column}: {kind}", count]
            for column, kinds in made.repaired.items()
            for kind, count in kinds.items()
        ]
        rows += [["suppressed cells", column, count] for column, count in made.suppressed.items()]
        _put(f"Transform: {made.how}", ["what", "rule or column", "count"], rows)
    elif what == "closing" and made:
        _put(_transform_sentence(made))
    else:
        listed = [[c.name, c.type, c.role or "no role", c.description] for c in table.columns]
        _put(
            f"{table.rows:,} rows, {len(table.columns)} columns",
            ["column", "type", "role", "description"],
            listed,
        )


def _transform_sentence(made: Any) -> str:
    removed, added = sum(made.removed.values()), sum(made.added.values())
    came = f"{made.rows_in:,} rows in{f' + {added:,} added' if added else ''}"
    if made.counted is not None:
        whole = f"{came} = {made.counted:,} counted in {made.rows_out:,} groups + {removed:,} removed"
    elif made.accounted:
        whole = f"{came} = {made.rows_out:,} out + {removed:,} removed"
    else:
        whole = f"{made.rows_in:,} rows in, {made.rows_out:,} out: not accounted for"
    hidden = sum(made.suppressed.values())
    return f"{whole}; {hidden:,} cells suppressed" if hidden else whole


def _review(review: Review, what: str, at: Desk) -> None:
    if what == "findings":
        rows = [
            [f.severity, f.rule, ", ".join(f.columns), f.count, f.of, f.text, f.remedy]
            for f in review.findings
        ]
        _put("Findings", ["severity", "rule", "columns", "count", "of", "what", "remedy"], rows)
    elif what == "rules":
        _put("Rules asked", ["rule", "outcome", "why"], [[a.rule, a.outcome, a.reason] for a in review.asked])
    elif what == "closing":
        _put(f"The review is {review.state}: {len(review.findings)} findings over {review.rows:,} rows")
    else:
        _put(f"The review is {review.state}", ["", ""], [["", line] for line in headline(review)])


def _plan(plan: Plan, what: str, at: Desk) -> None:
    header = ["our column", "portal field", "type here", "type there", "verdict"]
    named = [
        [m.column, m.field, m.ours, m.theirs, f"{m.verdict}, {m.settled}" if m.settled else m.verdict]
        for m in sorted(plan.mapping, key=lambda one: one.verdict == "fits")
    ]
    _put(
        f"Columns: {sum(m.verdict == 'fits' for m in plan.mapping)} of {len(plan.mapping)} fit", header, named
    )
    rows: list[Sequence[object]] = [
        ["portal", plan.portal], ["dataset", plan.dataset_id or "to be created, private first"],
        ["mode", plan.mode], ["who will see it", ", ".join(plan.audience)],
        ["rows there now", plan.rows_before], ["rows to send", plan.rows_sent], ["added", plan.rows_added],
        ["changed", plan.rows_changed], ["removed", plan.rows_removed], ["unchanged", plan.rows_unchanged],
        ["rows afterwards", plan.rows_after],
    ]  # fmt: skip
    if plan.removal.reason:
        rows.append([f"rows may go, says {plan.removal.by}", plan.removal.reason])
    if plan.opening:
        rows.append(["open to everybody", "after a second decision, about exactly these rows"])
    for name, told in (
        ("new columns there", plan.columns_added), ("words that change", plan.words_changed),
        ("words still missing", plan.words_missing), ("filtered views", plan.views),
    ):  # fmt: skip
        if told:
            rows.append([name, ", ".join(told)])
    rows += [
        [f"attachment {one.verdict}", f"{one.name}, {one.size:,} bytes" if one.size else one.name]
        for one in plan.attachments
    ]
    rows += [["to know", note] for note in plan.notes]
    _put("Plan", ["", ""], [*rows, *(["problem", problem] for problem in plan.problems)])


def _receipt(receipt: Receipt, what: str, at: Desk) -> None:
    if what == "closing":
        done = (
            f"{receipt.rows_after:,} rows on {receipt.portal}, read back and equal"
            if receipt.sent
            else receipt.why
        )
        if receipt.opening:
            _put(f"A private draft: {done}. Everybody may see it once that is decided")
        else:
            _put(f"Released: {done}" if receipt.sent else f"Nothing was sent. {done}")
        return
    _put(
        "Receipt" if receipt.sent else "Nothing was sent",
        ["", ""],
        [
            ["why", receipt.why], ["portal", receipt.portal], ["dataset", receipt.dataset_id], ["mode", receipt.mode],
            ["rows before", receipt.rows_before], ["rows sent", receipt.rows_sent],
            ["rows read back", receipt.rows_after],
            ["equal", "yes" if receipt.equal else "no"],
        ],
    )  # fmt: skip


_SHOWERS: dict[type, Callable[[Any, str, Any], None]] = {
    Dataset: _dataset, Table: _table, Review: _review, Plan: _plan, Receipt: _receipt,
}  # fmt: skip


def _put(title: str, header: Sequence[str] = (), rows: Rows = ()) -> None:
    """Publish a titled table to the notebook; plain text where there is none."""
    text = "\n".join([title, *("  ".join(_cell(cell) for cell in row) for row in rows)])
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import publish_display_data
    except ImportError:
        return
    if get_ipython() is not None:
        publish_display_data({"text/plain": text, "text/html": _html(title, header, rows)}, metadata=SAFE)


def _html(title: str, header: Sequence[str], rows: Rows) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header) if any(header) else ""
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = (
        f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"
        if rows
        else ""
    )
    return f"<p><strong>{escape(title)}</strong></p>{table}"


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
