"""Commands about data dictionaries: export what the columns mean, import it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ctnb import datasets, documents, settings
from ctnb.cli import printing


@click.group()
def dictionary() -> None:
    """Data dictionaries: what the columns of a dataset mean."""


@dictionary.command()
@click.argument("slug")
@click.option(
    "--as",
    "form",
    required=True,
    type=click.Choice(["table-schema", "csv", "xlsx", "html", "markdown"]),
    help="How it is written.",
)
@click.option(
    "--to", "target", metavar="PATH", help="The file to write; SLUG-dictionary beside you when not given."
)
@click.option(
    "--source", is_flag=True, help="The Table Schema of the source's file, not of what is published."
)
def export(slug: str, form: str, target: str | None, source: bool) -> None:
    """Write the data dictionary of dataset SLUG; `--to -` writes it to standard output."""
    from ctnb.dictionaries import exchanging
    from ctnb.errors import UsageError

    if source and form != "table-schema":
        raise UsageError("--source is for --as table-schema.", hint="Leave it out.")
    contract = datasets.dataset(slug, settings.project().notebooks).contract
    content = exchanging.export(contract, form, source=source)
    if target == "-":
        sys.stdout.buffer.write(content)
        return
    path = Path(target or f"{slug}-dictionary{exchanging.FORMS[form][0]}")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent}.", hint="Make it, or choose another --to.")
    documents.write_bytes(path, content)
    click.echo(f"{printing.relative(path.resolve())}: written.")


@dictionary.command("import")
@click.argument("slug")
@click.argument("file", metavar="FILE")
@click.option("--overwrite", is_flag=True, help="Also replace titles and descriptions that are there.")
@click.option("--sheet", help="A workbook's sheet, by its name or its number from 1.")
def import_(slug: str, file: str, overwrite: bool, sheet: str | None) -> None:
    """Take titles and descriptions of columns from FILE into dataset.yml of dataset SLUG."""
    from ctnb.dictionaries import exchanging

    project = settings.project()
    made = exchanging.take(
        project, datasets.dataset(slug, project.notebooks), Path(file), overwrite=overwrite,
        sheet=int(sheet) if sheet and sheet.isdecimal() else sheet,
    )  # fmt: skip
    click.echo(f"Descriptions set: {_listed(made.described)}. Titles set: {_listed(made.titled)}.")
    if made.kept:
        click.echo(f"Kept as they were: {_listed(made.kept)}. --overwrite replaces them.")
    for name, kind in made.refused:
        click.echo(
            f"Not taken for {name}: the text holds what looks like {kind}. Write it by hand if it is meant."
        )
    for place in made.unmatched:
        click.echo(f"No column of the contract is meant by {place} of the file.")
    for note in made.notes:
        click.echo(note)
    if made.missing:
        click.echo(f"Without a description: {_listed(made.missing)}.")


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{len(names)} ({', '.join(names[:12])}{more})" if names else "none"
