"""Commands about portals."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from ctnb import settings
from ctnb.cli import lifecycle, printing
from ctnb.cli.portal_accounts import account
from ctnb.errors import UsageError

PORT = 8321
PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def portal() -> None:
    """Portals: check one, serve the embedded one, take a dataset's rows off and bring them back."""


portal.add_command(account)


portal.add_command(lifecycle.disable)
portal.add_command(lifecycle.enable)
portal.add_command(lifecycle.unpublish)
portal.add_command(lifecycle.empty)
portal.add_command(lifecycle.recover)
portal.add_command(lifecycle.schedule)


@portal.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 is any free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you know why not.")
@click.option(
    "--name",
    "names",
    multiple=True,
    help="A further host name to answer to; again for more. Needed off loopback.",
)
@click.option("--tls", is_flag=True, help="Speak https, with a certificate of the portal's own.")
@click.option("--certificate", type=PEM, help="A PEM certificate to speak https with instead.")
@click.option("--key", type=PEM, help="The PEM key of --certificate.")
@click.option("--cors", is_flag=True, help="Let pages of any site read what anybody may read.")
@click.option("--approval", is_flag=True, help="A revision needs a second publisher to be applied.")
@click.option("--faults", is_flag=True, help="Publishers may ask for faults at /_faults.")
@click.option(
    "--fetch", is_flag=True, help="Publishers may have URLs read; reaches what this machine reaches."
)
@click.option("--log", is_flag=True, help="Show a line for each request, without its address.")
def serve(port: int, certificate: Path | None, key: Path | None, log: bool, **more: Any) -> None:
    """Serve the embedded portal until Ctrl-C."""
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key go together.")
    from ctnb.embedded.server import serve as serve_portal
    from ctnb.portals import local

    project = settings.project()
    if running := local.address(project):
        raise UsageError(
            f"The embedded portal runs already, at {running}.",
            hint="Use it there, or end it first. A run that started it for itself ends it soon.",
        )
    local.credentials(project)
    if log:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    address_file = local.address_file(project)
    serve_portal(
        local.file(project), port=port, certificate=certificate, key=key, address_file=address_file,
        listening=_listening, **more,
    )  # fmt: skip


def _listening(url: str) -> None:
    click.echo(f"The embedded portal: {url}/   (Ctrl-C ends it)")


@portal.command()
@click.argument("name")
def check(name: str) -> None:
    """Check the portal NAME of ctnb.yml without writing anything: a line for each thing."""
    from ctnb.checks import portals

    printing.checked(portals.of_portal(settings.project(), name))
