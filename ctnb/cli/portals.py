"""Commands about portals."""

from __future__ import annotations

import click

from ctnb import settings
from ctnb.cli import lifecycle, printing
from ctnb.cli.portal_accounts import account

PORT = 8321


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
@click.option("--port", default=PORT, show_default=True, help="0 is any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you know why not.")
@click.option("--cors", is_flag=True, help="Let pages of any site read what anybody may read.")
def serve(port: int, host: str, cors: bool) -> None:
    """Serve the embedded portal until Ctrl-C."""
    from ctnb.embedded.server import serve as serve_portal
    from ctnb.portals import local

    project = settings.project()
    local.credentials(project)
    click.echo(
        f"The embedded portal: http://{host}:{port}/   (Ctrl-C ends it)" if port else "The embedded portal"
    )
    address_file = local.address_file(project)
    serve_portal(local.file(project), host=host, port=port, address_file=address_file, cors=cors)


@portal.command()
@click.argument("name")
def check(name: str) -> None:
    """Check the portal NAME of ctnb.yml without writing anything: a line for each thing."""
    from ctnb.checks import portals

    printing.checked(portals.of_portal(settings.project(), name))
