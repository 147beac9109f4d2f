"""Commands about privacy reviews and decisions."""

from __future__ import annotations

import click

from ctnb import settings
from ctnb.cli import printing
from ctnb.cli.runs import as_json


@click.command()
@click.argument("run_id", metavar="RUN")
@as_json
def review(run_id: str, json_: bool) -> None:
    """Show the privacy review of a run: findings and what to do about each."""
    from ctnb import deciding

    project = settings.project()
    found = deciding.review_of(project, run_id)
    if json_:
        printing.as_json(found.to_json())
        return
    count = printing.counted(len(found.findings), "finding")
    click.echo(f"The review is {found.state}: {count} over {found.rows:,} rows.")
    for finding in found.findings:
        click.echo(f"  {finding.severity:<6} {finding.text}")
        click.echo(f"         {finding.remedy}")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("verdict", type=click.Choice(["approve", "refuse"]))
@click.option("--reason", required=True, metavar="TEXT", help="Why; people will read it.")
@click.option("--conditions", default="", metavar="TEXT", help="On which conditions.")
@click.option(
    "--standing", is_flag=True, help="For every later table of the same structure, within what was found."
)
def decide(run_id: str, verdict: str, reason: str, conditions: str, standing: bool) -> None:
    """Decide about the review of a run that waits."""
    from ctnb import deciding

    project = settings.project()
    made = deciding.decide(project, run_id, verdict, reason=reason, conditions=conditions, standing=standing)
    click.echo(
        f"{made.decision.verdict}d by {made.decision.by.name} (established by {made.decision.by.how})."
    )
    click.echo(f"  decision {made.decision.id}, until {made.decision.expires[:10]}")
    click.echo(f"  four eyes: {made.decision.four_eyes}")
    click.echo(f"  next: {made.next}")
