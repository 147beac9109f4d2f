"""Commands about the records of runs: list, show, compare, verify."""

from __future__ import annotations

import sys

import click

from ctnb import settings
from ctnb.cli import printing
from ctnb.errors import UsageError

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")


@click.group()
def runs() -> None:
    """The records of runs."""


@runs.command("list")
@click.option("--dataset", metavar="SLUG", help="Of this dataset only.")
@click.option("--status", help="With this status only.")
@as_json
def list_(dataset: str | None, status: str | None, json_: bool) -> None:
    """List runs, newest first."""
    from ctnb import indexes, leases

    project = settings.project()
    leases.reap(project)
    found = indexes.list_runs(project, dataset, status)
    if json_:
        printing.as_json(found)
    elif not found:
        click.echo("There are no runs.")
    else:
        rows = [[r.run, r.dataset, r.status, r.started[:19] + "Z", r.by.name] for r in found]
        printing.table(["run", "dataset", "status", "started", "by"], rows)


@runs.command()
@click.argument("run_id", metavar="RUN")
@as_json
def show(run_id: str, json_: bool) -> None:
    """Show one run: its steps, counts, review and release."""
    from ctnb import leases, records

    project = settings.project()
    leases.reap(project)
    record = records.find(project, run_id)
    if json_:
        printing.as_json(record)
        return
    click.echo(f"{record.run}  {record.title}")
    for step in record.steps:
        click.echo(f"  {step.step.replace('_', ' '):<15} {step.status:<11} {step.reason}".rstrip())
    printing.run_result(project, record)


@runs.command()
@click.argument("one")
@click.argument("other")
@as_json
def diff(one: str, other: str, json_: bool) -> None:
    """Compare two runs: what differs in their records."""
    from ctnb import comparing, records

    project = settings.project()
    found = comparing.compare(records.find(project, one), records.find(project, other))
    if json_:
        printing.as_json({difference.what: [difference.one, difference.other] for difference in found})
    elif not found:
        click.echo("The two records say the same.")
    else:
        printing.table(["what", one, other], [[d.what, d.one, d.other] for d in found])


@runs.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@as_json
def verify(run_id: str | None, json_: bool) -> None:
    """Verify the ledger and every record, or one: derive again whatever can be."""
    from dataclasses import asdict

    from ctnb import leases, verification

    project = settings.project()
    leases.reap(project)
    found = verification.verify(project, run_id)
    if json_:
        printing.as_json(asdict(found))
    else:
        click.echo(
            f"{found.lines:,} lines of the ledger, {found.runs:,} records, {found.files:,} files checked."
        )
        for fault in found.faults:
            click.echo(f"  does not verify: {fault}")
        for sentence in found.unknown:
            click.echo(f"  cannot be known: {sentence}")
    if found.faults:
        sys.exit(4)
    if not json_:
        click.echo("Everything that can be derived again verifies.")


@runs.command()
@click.argument("run_id", metavar="RUN")
@click.option("--rows", "rows_", is_flag=True, help="List each row: its file, number, column and rule.")
@click.option("--csv", "csv_", metavar="PATH", help="Write the originals into this new file, to mend them.")
def rejects(run_id: str, rows_: bool, csv_: str | None) -> None:
    """Count what a run set aside or emptied, and say where the originals lie."""
    from ctnb import records, rejections

    project = settings.project()
    record = records.find(project, run_id)
    found = rejections.of_run(project, record)
    click.echo(f"{found.read.rows_rejected:,} of {found.read.rows_read:,} rows rejected.")
    if found.counts:
        printing.table(["column", "rule", "what became of them", "count", "share"], found.counts)
        click.echo(
            f"Originals, private: {found.path}"
            if found.path
            else "The originals are gone with the work folder."
        )
    if rows_:
        header = ["file", "row", "column", "rule", "what became of it"]
        printing.table(header, [[*row[:1], str(row[1]), *row[2:]] for row in rejections.rows(found)])
    if csv_:
        written = rejections.write(project, found, csv_)
        click.echo(f"{written:,} records written to {csv_}, which only you can read.")


@runs.command()
def reindex() -> None:
    """Build the index anew from the records."""
    from ctnb import indexes

    click.echo(f"{indexes.reindex(settings.project()):,} runs indexed.")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--open", "open_", is_flag=True, help="Open it in the browser.")
def report(run_id: str, open_: bool) -> None:
    """Say where the report of a run lies."""
    from ctnb import records

    project = settings.project()
    record = records.find(project, run_id)
    path = records.folder(project, record.dataset, record.run) / "report.html"
    if not path.is_file():
        raise UsageError(f"Run {record.run} has no report: it is {record.status}.")
    click.echo(printing.relative(path))
    if open_:
        click.launch(path.as_uri())
