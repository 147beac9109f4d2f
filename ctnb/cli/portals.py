"""Commands about portals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from ctnb import settings
from ctnb.cli import lifecycle, printing
from ctnb.cli.portal_accounts import account
from ctnb.embedded.flags import FLAGS, given
from ctnb.errors import UsageError

PORT = 8321
KINDS: Mapping[str, click.ParamType[Any]] = {
    "port": click.IntRange(0, 65535),
    "whole": click.IntRange(min=0),
    "seconds": click.FloatRange(min=0),
    "file": click.Path(exists=True, dir_okay=False, path_type=Path),
}


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


def _portal_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the embedded portal's own list, on `command`."""
    for flag in reversed(FLAGS):
        default: Any = {"port": PORT, "host": "127.0.0.1"}.get(flag.field)
        more: dict[str, Any] = {"is_flag": True} if flag.kind == "yes" else {"type": KINDS.get(flag.kind)}
        if flag.kind == "texts":
            more = {"multiple": True}
        if default is not None:
            more |= {"default": default, "show_default": True}
        command = click.option(flag.name, flag.field, help=flag.help, **more)(command)
    return command


@portal.command()
@_portal_options
@click.option("--log", is_flag=True, help="Show a line for each request, without its address.")
def serve(log: bool, **told: Any) -> None:
    """Serve the embedded portal until Ctrl-C."""
    try:
        options = given(told)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
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
    serve_portal(local.file(project), address_file=address_file, listening=_listening, **options)


def _listening(url: str) -> None:
    click.echo(f"The embedded portal: {url}/   (Ctrl-C ends it)")


@portal.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy the embedded portal to the new FILE, for its owner only, while it is served or not."""
    from ctnb.embedded.backups import back_up
    from ctnb.portals import local

    size = back_up(local.file(settings.project()), file)
    click.echo(
        f"{file}: {size:,} bytes. To go back: end the portal, put it in place of .ctnb/portal/portal.sqlite, and "
        "remove the -wal and -shm beside it."
    )


@portal.command()
@click.argument("name")
def check(name: str) -> None:
    """Check the portal NAME of ctnb.yml without writing anything: a line for each thing."""
    from ctnb.checks import portals

    printing.checked(portals.of_portal(settings.project(), name))
