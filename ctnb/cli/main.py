"""`ctnb`: the commands, loaded when they are used, and the one place where unknown errors are caught."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from ctnb import __version__

COMMANDS = {
    "init": "ctnb.cli.projects:init",
    "doctor": "ctnb.cli.projects:doctor",
    "demo": "ctnb.cli.projects:demo",
    "test": "ctnb.cli.projects:test",
    "schemas": "ctnb.cli.projects:schemas",
    "new": "ctnb.cli.proposals:new",
    "check": "ctnb.cli.datasets:check",
    "edit": "ctnb.cli.datasets:edit",
    "releases": "ctnb.cli.releases:releases",
    "restore": "ctnb.cli.releases:restore",
    "copy": "ctnb.cli.releases:copy",
    "push": "ctnb.cli.pushes:push",
    "dictionary": "ctnb.cli.dictionaries:dictionary",
    "run": "ctnb.cli.running:run",
    "runs": "ctnb.cli.runs:runs",
    "report": "ctnb.cli.runs:report",
    "review": "ctnb.cli.reviews:review",
    "decide": "ctnb.cli.reviews:decide",
    "portal": "ctnb.cli.portals:portal",
}


class Lazy(click.Group):
    """A group whose commands are imported when they are called, so that `ctnb --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        found: click.Command = getattr(import_module(module), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command for a misspelt one."""
        from ctnb.errors import NameUnknown

        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise NameUnknown("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ctnb")
@click.option("--debug", is_flag=True, help="Show the traceback of a mistake in ctnb; it may quote data.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Read, transform, review for privacy and publish open data, in notebooks that keep a record."""
    ctx.obj = debug


def main() -> None:
    """Run the command line; every end has an exit code of the reference's table."""
    os.environ.setdefault("RPY2_CFFI_MODE", "ABI")
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"{'' if _is_ours(error) else 'Error: '}{error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:  # the one place: a traceback may quote data, only --debug shows it
        if "--debug" in sys.argv:
            raise
        click.echo(f"A mistake in ctnb: {type(error).__name__}. With --debug it shows where.", err=True)
        sys.exit(70)
    sys.exit(code if isinstance(code, int) else 0)


def _is_ours(error: click.ClickException) -> bool:
    from ctnb.errors import CtnbError

    return isinstance(error, CtnbError)
