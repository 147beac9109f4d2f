"""How the command line prints: runs in progress, records, tables of text."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, NoReturn

import click
from pydantic import BaseModel

from ctnb.bars import Bar
from ctnb.contracts.transforms import UNTOUCHED
from ctnb.places.fetched import Progress
from ctnb.reads import account_sentence
from ctnb.records import RunRecord
from ctnb.settings import Project

if TYPE_CHECKING:
    from ctnb.checks.lines import Line

MARKS = {
    "released": "green",
    "rehearsed": "green",
    "waiting": "yellow",
    "stopped": "yellow",
    "expired": "yellow",
}


class Steps:
    """Prints a line per step as a run goes; on a terminal the running step, and what it fetches, shows itself."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._bar = Bar()

    def __call__(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Take note of what happened in a run."""
        if kind == "fetching":
            self._bar.show(Progress(**facts))
            return
        self._bar.close()
        name = str(facts.get("step", "")).replace("_", " ")
        if kind == "step started" and self._live:
            click.echo(f"  {name:<15} ...\r", nl=False)
        elif kind == "step ended":
            mark = "done" if facts["status"] == "completed" else facts["status"]
            click.echo(f"  {name:<15} {mark:<11} {facts['seconds']:6.1f} s")


def run_result(project: Project, record: RunRecord) -> None:
    """What a run came to: status, why, what next, and where its report lies."""
    click.echo(
        f"  {click.style(record.status, fg=MARKS.get(record.status, 'red'), bold=True)}: {record.reason}"
    )
    for line in counts(record):
        click.echo(f"  {line}")
    for line in (*guards(record), *planned(record)):
        click.echo(f"  {line}")
    if record.next:
        click.echo(f"  next: {record.next}")
    report = project.runs / record.dataset / record.run / "report.html"
    if report.is_file():
        click.echo(f"  report: {relative(report)}")


def counts(record: RunRecord) -> list[str]:
    """The row account in a line or two."""
    lines, read, made = [], record.read, record.transform
    if read and not read.closes:
        lines.append(
            f"{read.rows_read:,} rows read, of which {read.rows_rejected:,} do not fit: none went on"
        )
    elif read:
        lines.append(account_sentence(read.rows_kept, read.rows_rejected, read.left_out))
        if read.nulled:
            emptied = sum(one.nulled for one in read.columns)
            lines.append(f"{emptied:,} cells that did not fit became empty")
    if made:
        hidden = sum(made.suppressed.values())
        groups = f"{made.rows_out:,} groups that count {made.counted:,}" if made.counted is not None else ""
        out = groups or f"{made.rows_out:,} rows"
        removed, added = sum(made.removed.values()), sum(made.added.values())
        came = f"{made.rows_in:,} rows in{f' + {added:,} added' if added else ''}"
        mended = sum(n for kinds in made.repaired.values() for kind, n in kinds.items() if kind != UNTOUCHED)
        repaired = f"; {mended:,} cells repaired" if mended else ""
        lines.append(f"{came} = {out} + {removed:,} removed; {hidden:,} cells suppressed{repaired}")
    return lines


def guards(record: RunRecord) -> list[str]:
    """A line for each guard that tripped, and for each that somebody overrode."""
    lines = [f"guard {one.guard} tripped: {one.what}" for one in record.guards if one.outcome == "tripped"]
    seen = {one.guard: one.what for one in record.guards if one.outcome == "overridden"}
    for one in record.overrides:
        what = seen.get(one.guard, "it did not trip.")
        lines.append(f'guard {one.guard} overridden by {one.by.name}: "{one.reason}" - {what}')
    return lines


def planned(record: RunRecord) -> list[str]:
    """What a dry run planned, a line for each thing that would change; nothing for other runs."""
    plan = record.plan
    if plan is None or not record.dry_run:
        return []
    where = plan.dataset_id or "a new dataset, private first"
    lines = [
        f"plan: {plan.mode} on {plan.portal}, {where}; {plan.rows_sent:,} rows to send",
        f"rows: {plan.rows_before:,} there now; {plan.rows_added:,} added, {plan.rows_changed:,} changed, "
        f"{plan.rows_removed:,} removed; {plan.rows_after:,} afterwards"
        if all(settled for *_, settled in plan.columns)
        else "rows: not compared with those there as long as columns do not fit",
        f"columns: {plan.fitting} of {plan.fitting + len(plan.columns)} fit",
    ]
    for ours, theirs, _, _, verdict, settled in plan.columns:
        lines.append(f"  {ours or theirs}: {verdict}{f', {settled}' if settled else ''}")
    for what, names in (
        ("words that change", plan.words_changed), ("words still missing", plan.words_missing),
        ("filtered views", plan.views), ("who will see it", plan.audience),
    ):  # fmt: skip
        if names:
            lines.append(f"{what}: {', '.join(names)}")
    if record.review and record.review.state != "clear":
        lines.append(f"review: {record.review.state}, {counted(record.review.findings, 'finding')}")
    return [*lines, *(f"to know: {one}" for one in plan.notes), *(f"problem: {one}" for one in plan.problems)]


def counted(count: int, noun: str) -> str:
    """A number and its noun: 1 finding, 2,000 findings."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns of text, as wide as they need to be."""
    cells = [[f"{cell:,}" if type(cell) is int else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    for row in [list(header), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_json(value: BaseModel | Sequence[BaseModel] | Mapping[str, Any]) -> None:
    """`value` as JSON, for programs."""
    if isinstance(value, BaseModel):
        click.echo(value.model_dump_json(indent=1))
    elif isinstance(value, Mapping):
        click.echo(json.dumps(value, indent=1, default=str))
    else:
        click.echo(json.dumps([one.model_dump(mode="json") for one in value], indent=1))


def relative(path: Path) -> str:
    """`path` as seen from the working folder, where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)


def checked(lines: Sequence[Line]) -> NoReturn:
    """Print what a check said, and end with 0 when all is well, else with 1."""
    for line in lines:
        mark = click.style("ok  ", fg="green") if line.ok else click.style("look", fg="yellow")
        click.echo(f"{mark} {line.what}")
        if line.remedy and not line.ok:
            click.echo(indent("\n".join(one.strip() for one in line.remedy.splitlines()), " " * 5))
    sys.exit(0 if all(line.ok for line in lines) else 1)
