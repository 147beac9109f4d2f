"""Commands about releases: list them, restore one, copy one elsewhere."""

from __future__ import annotations

import sys
from typing import Any

import click

from ctnb import datasets, settings
from ctnb.cli import printing
from ctnb.cli.runs import as_json


@click.command()
@click.argument("slug")
@as_json
def releases(slug: str, json_: bool) -> None:
    """List the releases of dataset SLUG, newest first, and which is on which portal."""
    from ctnb import releases as kept

    project = settings.project()
    datasets.dataset(slug, project.notebooks)
    found = kept.listing(project, slug)
    if json_:
        told = {"releases": [one.to_json() for one in found.releases], "broken": list(found.broken)}
        printing.as_json(told)
    elif found.releases:
        rows = [
            [one.release, one.at[:19] + "Z", one.portal, one.mode, one.rows, one.by, one.state]
            for one in found.releases
        ]
        printing.table(["release", "at", "portal", "mode", "rows", "by", ""], rows)
    elif not found.broken:
        click.echo(f"{slug} has no release yet.")
    found.raise_if_broken()


@click.command()
@click.argument("slug")
@click.option("--to", required=True, metavar="RELEASE", help="The release, or the run that made it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; people will read it.")
@click.option("--portal", default="", metavar="NAME", help="Another portal than the one it was released on.")
@click.option("--dry-run", is_flag=True, help="Plan without sending anything.")
@as_json
def restore(slug: str, to: str, reason: str, portal: str, dry_run: bool, json_: bool) -> None:
    """Publish the rows of an earlier release of dataset SLUG again, reviewed anew under today's policy."""
    from ctnb import restoring

    project = settings.project()
    record = restoring.restore(
        slug, to=to, reason=reason, portal=portal, dry_run=dry_run, project=project,
        progress=None if json_ else printing.Steps(),
    )  # fmt: skip
    if json_:
        printing.as_json(record)
    else:
        printing.run_result(project, record)
    sys.exit(record.exit_code or 0)


@click.command()
@click.argument("slug")
@click.option("--to", required=True, metavar="PORTAL", help="The portal of ctnb.yml that gets the copy.")
@click.option("--from", "source", default="", metavar="PORTAL", help="Another portal than the dataset's own.")
@click.option(
    "--as", "name", default="", metavar="NEW-SLUG", help="Under this name, as a dataset of its own."
)
@click.option("--what", type=click.Choice(["both", "schema", "data"]), default="both", show_default=True)
def copy(slug: str, to: str, source: str, name: str, what: Any) -> None:
    """Copy dataset SLUG, its newest release's rows, or both, to another portal or under another name."""
    from ctnb import copying

    project = settings.project()
    done = copying.copy(
        slug, to=to, source=source, name=name, what=what, project=project, progress=printing.Steps()
    )
    if done.record is None:
        click.echo(f"{done.slug} is on {done.portal} as {done.dataset_id}: private, without rows.")
        return
    printing.run_result(project, done.record)
    sys.exit(done.record.exit_code or 0)
