"""The command that proposes a dataset from its source."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ctnb import settings
from ctnb.bars import Bar
from ctnb.cli import printing
from ctnb.contracts.publication import Mode

if TYPE_CHECKING:
    from ctnb.adopting import Adopted
    from ctnb.proposals.places import Told
    from ctnb.proposals.proposing import Proposal

MODES = get_args(Mode)
SECRETS = ("user", "password", "passphrase", "token", "key")
"""What a source may keep secret, each with an option that names the secret."""


def _pairs(_: click.Context, option: click.Parameter, told: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE options as a mapping; a value is never quoted."""
    if not all("=" in one for one in told):
        raise click.BadParameter("written NAME=VALUE", param=option)
    return {name: value for name, _, value in (one.partition("=") for one in told)}


@click.command()
@click.argument("slug")
@click.option("--source", metavar="WHERE", help="A file, folder, address, or connection:NAME.")
@click.option("--from-portal", metavar="WHERE", help="Adopt what a portal has: its address, or its id there.")
@click.option("--portal", default="", metavar="NAME", help="The portal of ctnb.yml that it is published on.")
@click.option("--id", "dataset_id", default="", help="The id that the dataset has on the portal already.")
@click.option("--mode", type=click.Choice(MODES), help="What publishing does to the rows that are there.")
@click.option("--pattern", help="Of a folder: which files, e.g. *.csv; the newest is read.")
@click.option("--query", type=click.Path(path_type=Path), help="For a connection: a file with one SELECT.")
@click.option("--format", help="What kind of file, where its name does not say.")
@click.option("--delimiter", help="What separates cells, where it is not seen.")
@click.option("--encoding", help="utf-8, utf-16 or cp1252, where it is not seen.")
@click.option("--sheet", help="A workbook's sheet, by its name or its number from 1.")
@click.option("--layer", help="A geographic file's layer, by its name or its number from 1.")
@click.option("--labels", is_flag=True, help="Take a statistics file's value labels instead of the codes.")
@click.option("--member", help="Which file of an archive.")
@click.option(
    "--place",
    type=click.Choice(["web", "socrata", "opendatasoft"]),
    help="What an https address is, if not seen.",
)
@click.option("--user", help="The user, where it is no secret.")
@click.option("--user-secret", metavar="NAME", help="The secret that holds the user; a name, never a value.")
@click.option("--password-secret", metavar="NAME", help="The secret that holds the password.")
@click.option("--passphrase-secret", metavar="NAME", help="SFTP: the secret that opens the private key.")
@click.option("--token-secret", metavar="NAME", help="Web, Socrata: the secret that holds the token.")
@click.option("--key-secret", metavar="NAME", help="Opendatasoft: the secret that holds the API key.")
@click.option("--key-file", help="SFTP: a private key, relative to the project.")
@click.option("--fingerprint", help="SFTP: the host key's, SHA256:...")
@click.option("--ca-file", help="Certificates to trust instead of the system's, PEM.")
@click.option("--no-tls", is_flag=True, help="FTP: send password and rows in the clear.")
@click.option(
    "--option", "options", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="S3, Azure, ..."
)
@click.option(
    "--option-secret",
    "secret_options",
    multiple=True,
    callback=_pairs,
    metavar="NAME=SECRET",
    help="The same.",
)
def new(
    slug: str, source: str | None, from_portal: str | None, portal: str, dataset_id: str, mode: str | None,
    **said: Any,
) -> None:  # fmt: skip
    """Propose dataset SLUG from all rows of a source, or from what a portal has: a dataset.yml to correct."""
    from ctnb import adopting
    from ctnb.proposals import proposing

    if (source is None) == (from_portal is None):
        raise click.UsageError("Say where its rows come from: either --source or --from-portal.")
    project = settings.project()
    if from_portal is not None:
        if dataset_id or mode:
            raise click.UsageError("--id and --mode go with --source: what is adopted says them itself.")
        _print_adopted(slug, adopting.adopt(project, slug, from_portal, portal=portal))
        return
    to = adopting.destination(project, slug, portal, dataset_id, mode)
    with Bar() as bar:
        made = proposing.propose(
            project, slug, source or "", _told(said), progress=bar.show, destination=to.destination
        )
    adopting.note(project, slug, to)
    _print(slug, made)
    for line in to.differs(made.draft):
        click.echo(f"  {line}")


def _told(said: dict[str, Any]) -> Told:
    from ctnb.proposals.places import Told

    secrets = {name: secret for name in SECRETS if (secret := said.pop(f"{name}_secret"))}
    return Told(tls=not said.pop("no_tls"), secrets=secrets, **said)


def _print_adopted(slug: str, made: Adopted) -> None:
    click.echo(f"{printing.relative(made.path)}: adopted from {made.there.url}. Read it and correct it.")
    click.echo(f"  {made.there.rows:,} rows kept as its first release, {made.record.run}")
    click.echo(f"  {len(made.draft.columns)} columns")
    for name in made.draft.destination.ignore:
        click.echo(f"  left alone, because no contract has its type: {name}")
    click.echo("Only you can answer:")
    for question in made.questions:
        click.echo(f"  - {question}")
    click.echo(f"Then: ctnb check {slug}")


def _print(slug: str, made: Proposal) -> None:
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
    for offer in draft.offers:
        click.echo(f"  offered, not applied: {offer.name}")
    click.echo("Only you can answer:")
    for question in made.questions:
        click.echo(f"  - {question}")
    click.echo(f"Then: ctnb check {slug}")
