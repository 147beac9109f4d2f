"""Commands about the project and the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from ctnb import settings
from ctnb.errors import CtnbError


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Make FOLDER a project: ctnb.yml, notebooks/, runs/ and a .gitignore."""
    from ctnb import projects

    made = projects.init(folder)
    click.echo(f"A project in {made.root}: datasets go to notebooks/, records to runs/.")


@click.command()
def doctor() -> None:
    """Check this machine and project: a line each, with the remedy."""
    from ctnb import projects

    try:
        project = settings.project()
    except CtnbError:
        project = None
    found = projects.examine(project)
    for check in found:
        mark = click.style("ok  ", fg="green") if check.ok else click.style("look", fg="yellow")
        click.echo(f"{mark} {check.name}: {check.seen}" + ("" if check.ok else f"\n     {check.remedy}"))
    sys.exit(0 if all(check.ok for check in found) else 3)


@click.command()
def demo() -> None:
    """A real flow from a synthetic file to a release: blocked, mended, decided, published, verified."""
    from ctnb.cli import demonstration

    sys.exit(demonstration.run(settings.project()))


@click.command()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run ctnb's own tests, all that take seconds; ARGUMENTS go to pytest."""
    here = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "not slow and not browser and not servers",
        "-n",
        str(min(4, os.cpu_count() or 1)),
    ]
    sys.exit(subprocess.call([*command, "--dist", "loadfile", *arguments], cwd=here))


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="docs/reference/schemas")
def schemas(folder: Path) -> None:
    """Write the JSON Schemas of dataset.yml, ctnb.yml and run.json into FOLDER, for editors."""
    from ctnb import schemas as known

    for path in known.write(folder):
        click.echo(str(path))
