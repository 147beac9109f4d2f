"""Commands about datasets: check one, edit a step's notebook."""

from __future__ import annotations

import click

from ctnb import datasets, settings
from ctnb.cli import printing


@click.command()
@click.argument("slug")
def check(slug: str) -> None:
    """Check dataset SLUG without writing anything: a line for each thing."""
    from ctnb.checks import datasets as checks

    project = settings.project()
    printing.checked(checks.check(project, datasets.dataset(slug, project.notebooks)))


@click.command()
@click.argument("slug")
@click.argument("step")
def edit(slug: str, step: str) -> None:
    """Copy the template of STEP into the folder of dataset SLUG; the copy is used from now on."""
    from ctnb import templates

    project = settings.project()
    copy = templates.edit(project, datasets.dataset(slug, project.notebooks), step)
    click.echo(f"{printing.relative(copy)}: edit it in JupyterLab; runs of {slug} use it from now on.")
