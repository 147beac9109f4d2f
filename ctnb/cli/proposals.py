"""The command that proposes a dataset from its source."""

from __future__ import annotations

from collections import Counter

import click

from ctnb import settings
from ctnb.cli import printing


@click.command()
@click.argument("slug")
@click.option("--source", required=True, metavar="PATH", help="The file whose rows the dataset will have.")
@click.option("--sheet", help="A workbook's sheet, by its name or its number from 1.")
@click.option("--member", help="Which file of an archive.")
def new(slug: str, source: str, sheet: str | None, member: str | None) -> None:
    """Propose dataset SLUG from all rows of a source: a dataset.yml to correct."""
    from ctnb.proposals import proposing

    made = proposing.propose(settings.project(), slug, source, sheet=sheet, member=member)
    draft = made.draft
    kinds = Counter(column.choice.kind.type for column in draft.columns)
    click.echo(f"{printing.relative(made.path)}: a proposal. Read it and correct it.")
    click.echo(f"  {made.account}")
    click.echo(
        f"  {len(draft.columns)} columns: {', '.join(f'{n} {kind}' for kind, n in kinds.most_common())}"
    )
    for note in draft.notes:
        click.echo(f"  {note}")
    for column in draft.columns:
        for why in column.choice.why:
            if "damage" in why:
                click.echo(f"  {column.name}: {why}")
    click.echo("Only you can answer:")
    for question in made.questions:
        click.echo(f"  - {question}")
    click.echo(f"Then: ctnb check {slug}")
