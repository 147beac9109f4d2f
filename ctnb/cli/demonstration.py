"""`ctnb demo`: a real flow, told step by step."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from ctnb import datasets, deciding, flows, guards, verification
from ctnb.cli import printing
from ctnb.errors import NameUnknown, NothingNew
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.privacy.reviews import headline
from ctnb.records import RunRecord
from ctnb.settings import Project

PEOPLE = "overdose-deaths"
COUNTS = "overdose-deaths-by-town"
AGAIN = "The demonstration shows every step anew, on the file that it released before."
REASON = "Only counts leave, small ones are withheld; this is the demonstration on invented data."


def run(project: Project) -> int:
    """Show the whole flow and return the exit code: 0 when it ended with a verified release."""
    _need(project)
    began = time.monotonic()
    with KernelPool() as pool, local.running(project) as url:
        _say("1. Publish the file as it is: one row per person (all of them invented).")
        people = flows.run(PEOPLE, project=project, progress=printing.Steps(), pool=pool)
        _tell_review(project, people)
        _say("2. Publish counts instead: transform.R counts by year, town and substance; small counts go.")
        waiting = _count(project, pool)
        _tell_counts(waiting)
        released = _decide_and_publish(project, waiting, pool)
        _say("4. Verify the records: derive again whatever can be.")
        verified = _verify(project)
        _say(f"Done in {time.monotonic() - began:.0f} s.")
        _tell_places(project, people, released, url)
        good = people.status == "blocked" and released.status == "released" and verified
        if good and sys.stdin.isatty() and sys.stdout.isatty():
            _keep_serving(url)
    return 0 if good else 1


def _need(project: Project) -> None:
    known = datasets.slugs(project.notebooks)
    for slug in (PEOPLE, COUNTS):
        if slug not in known:
            raise NameUnknown("dataset", slug, known)


def _count(project: Project, pool: KernelPool) -> RunRecord:
    """The run of the counts; where the demonstration released them before, a guard is overridden for it."""
    record = flows.run(COUNTS, project=project, progress=printing.Steps(), pool=pool)
    if record.exit_code != NothingNew.exit_code:
        return record
    click.echo(f"  {click.style(record.status, fg='yellow', bold=True)}: {record.reason}")
    click.echo(f'  the demonstration goes on with: --override {guards.DUPLICATE} "{AGAIN}"')
    return flows.run(
        COUNTS, project=project, overrides=[(guards.DUPLICATE, AGAIN)], progress=printing.Steps(), pool=pool
    )


def _decide_and_publish(project: Project, waiting: RunRecord, pool: KernelPool) -> RunRecord:
    if waiting.status != "waiting":
        return waiting
    _say("3. Somebody reads the report and decides; then the same run goes on.")
    decided = deciding.decide(project, waiting.run, "approve", reason=REASON)
    click.echo(f'  approved by {decided.decision.by.name}: "{REASON}"')
    click.echo(f"  four eyes: {decided.decision.four_eyes}")
    record = flows.run(
        COUNTS, project=project, from_step="publish", run=waiting.run, progress=printing.Steps(), pool=pool
    )
    click.echo(f"  {click.style(record.status, fg='green', bold=True)}: {record.reason}")
    return record


def _tell_review(project: Project, record: RunRecord) -> None:
    click.echo(f"  {click.style(record.status, fg='red', bold=True)}:")
    if record.review is None:
        click.echo(f"    {record.reason}")
        return
    for line in headline(deciding.review_of(project, record.run)):
        click.echo(f"    {line}")


def _tell_counts(record: RunRecord) -> None:
    for line in printing.counts(record):
        click.echo(f"  {line}")
    click.echo(f"  {click.style(record.status, fg='yellow', bold=True)}: {record.reason}")


def _verify(project: Project) -> bool:
    found = verification.verify(project)
    click.echo(
        f"  {found.lines:,} lines of the ledger, {found.runs:,} records, {found.files:,} files checked"
    )
    for fault in found.faults:
        click.echo(f"  does not verify: {fault}")
    return not found.faults


def _tell_places(project: Project, people: RunRecord, released: RunRecord, url: str) -> None:
    for told, record in (
        ("the report of what was stopped", people),
        ("the report of what was released", released),
    ):
        click.echo(f"  {told}:\n    {printing.relative(_report(project, record))}")
    place = released.release.url.replace(url, "") if released.release else "/"
    click.echo(f"  the portal, while `ctnb portal serve` runs:\n    http://127.0.0.1:8321{place}")


def _report(project: Project, record: RunRecord) -> Path:
    return project.runs / record.dataset / record.run / "report.html"


def _keep_serving(url: str) -> None:
    click.echo(f"\nThe embedded portal still runs at {url}/ - Ctrl-C ends it.")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        click.echo("")


def _say(text: str) -> None:
    click.echo(f"\n{click.style(text, bold=True)}")
