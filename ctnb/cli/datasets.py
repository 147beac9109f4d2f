"""Commands about datasets: check one, edit a step's notebook."""

from __future__ import annotations

import sys

import click

from ctnb import datasets, settings
from ctnb.cli import printing


@click.command()
@click.argument("slug")
def check(slug: str) -> None:
    """Check dataset SLUG without writing anything: a line for each thing."""
    from ctnb import checks

    project = settings.project()
    found = checks.check(project, datasets.dataset(slug, project.notebooks))
    for line in found:
        mark = click.style("ok  ", fg="green") if line.ok else click.style("look", fg="yellow")
        click.echo(f"{mark} {line.what}" + (f"\n     {line.remedy}" if line.remedy and not line.ok else ""))
    sys.exit(0 if all(line.ok for line in found) else 1)


@click.command()
@click.argument("slug")
@click.argument("step")
def edit(slug: str, step: str) -> None:
    """Copy the template of STEP into the folder of dataset SLUG; the copy is used from now on."""
    from ctnb import templates

    project = settings.project()
    copy = templates.edit(project, datasets.dataset(slug, project.notebooks), step)
    click.echo(f"{printing.relative(copy)}: edit it in JupyterLab; runs of {slug} use it from now on.")
