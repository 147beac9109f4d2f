"""`ctnb`: the commands, loaded when they are used, and the one place where unknown errors are caught."""

from __future__ import annotations

import errno
import io
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

SAID = {
    "init": "Make FOLDER a project: ctnb.yml, notebooks/, runs/ and a .gitignore.",
    "doctor": "Check this machine and project: a line each, with the remedy.",
    "demo": "A real flow from a synthetic file to a release: blocked, mended, decided, published, verified.",
    "test": "Run ctnb's own tests, all that take seconds; ARGUMENTS go to pytest.",
    "schemas": "Write the JSON Schemas of dataset.yml, ctnb.yml and run.json into FOLDER, for editors.",
    "new": "Propose dataset SLUG from all rows of a source, or from what a portal has: a dataset.yml to correct.",
    "check": "Check dataset SLUG without writing anything: a line for each thing.",
    "edit": "Copy the template of STEP into the folder of dataset SLUG; the copy is used from now on.",
    "releases": "List the releases of dataset SLUG, newest first, and which is on which portal.",
    "restore": "Publish the rows of an earlier release of dataset SLUG again, reviewed anew under today's policy.",
    "copy": "Copy dataset SLUG, its newest release's rows, or both, to another portal or under another name.",
    "push": "Push the JSON lines of FILE (- is standard input) to dataset SLUG, reviewed with what is published.",
    "dictionary": "Data dictionaries: what the columns of a dataset mean.",
    "run": "Run the steps of dataset SLUG: read, transform, privacy review, publish.",
    "runs": "The records of runs.",
    "report": "Say where the report of a run lies.",
    "review": "Show the privacy review of a run: findings and what to do about each.",
    "decide": "Decide about the review of a run that waits.",
    "portal": "Portals: check one, serve the embedded one, take a dataset's rows off and bring them back.",
}
"""What each command says of itself, so that `ctnb --help` imports none of them."""


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with what they say of themselves, none of them loaded."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SAID.items()))

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
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may hold letters that a Windows code page lacks
        sys.stdout.reconfigure(errors="backslashreplace")
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
        if _is_full(error):
            click.echo("There is no space left on the disk that ctnb writes to.", err=True)
            click.echo("Make room, then do this again.", err=True)
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), 1
            )  # what is left of the output is not tried again at the end
            sys.exit(3)
        click.echo(f"A mistake in ctnb: {type(error).__name__}. With --debug it shows where.", err=True)
        sys.exit(70)
    sys.exit(code if isinstance(code, int) else 0)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a quota, a limit of a file's size."""


def _is_full(error: BaseException) -> bool:
    """Whether a full disk, a quota or a limit is behind an error: of this process's own writing, or of DuckDB's."""
    said = os.strerror(errno.ENOSPC)
    while True:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        if said in str(error):
            return True
        before = error.__cause__ or error.__context__
        if before is None:
            return False
        error = before


def _is_ours(error: click.ClickException) -> bool:
    from ctnb.errors import CtnbError

    return isinstance(error, CtnbError)
