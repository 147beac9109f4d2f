"""The command that runs a dataset's steps. It imports nothing before their kernels have begun to load."""

from __future__ import annotations

import sys

import click

from ctnb.kernels.pools import KernelPool


@click.command()
@click.argument("slug")
@click.option("--to", metavar="STEP", help="Rehearse: end after this step.")
@click.option("--from", "from_step", metavar="STEP", default="read", help="Begin at this step of --run.")
@click.option("--run", "run_id", metavar="RUN", help="The run to go on with.")
@click.option(
    "--source", default="", metavar="PATH", help="Read this file in place of the one in dataset.yml."
)
@click.option("--portal", default="", metavar="NAME", help="Publish to this portal of ctnb.yml.")
@click.option("--dry-run", is_flag=True, help="Plan the publishing, send nothing.")
@click.option(
    "--replay-rejects", default="", metavar="RUN", help="Read again what this run set aside, in a new run."
)
@click.option(
    "--override",
    "overrides",
    nargs=2,
    multiple=True,
    metavar="GUARD REASON",
    help="Let this guard not count for this run, and say why; can be given again.",
)
@click.option(
    "--removes", default="", metavar="REASON", help="Let this run take published rows away, and say why."
)
@click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")
def run(
    slug: str, to: str | None, from_step: str, run_id: str | None, source: str, portal: str, dry_run: bool,
    replay_rejects: str, overrides: tuple[tuple[str, str], ...], removes: str, json_: bool,
) -> None:  # fmt: skip
    """Run the steps of dataset SLUG: read, transform, privacy review, publish."""
    with KernelPool() as pool:  # starts while everything else is imported
        from ctnb import flows, settings
        from ctnb.cli import printing
        from ctnb.guards import REMOVED

        flows.load()
        project = settings.project()
        progress = None if json_ else printing.Steps()
        overrides += ((REMOVED, removes),) if removes else ()
        record = flows.run(
            slug, project=project, to=to, from_step=from_step, run=run_id, source=source, portal=portal,
            dry_run=dry_run, overrides=overrides, replay_rejects=replay_rejects, progress=progress, pool=pool,
        )  # fmt: skip
    if json_:
        printing.as_json(record)
    else:
        click.echo(f"  run {record.run}")
        printing.run_result(project, record)
    sys.exit(record.exit_code or 0)
