"""Commands about the accounts of the embedded portal."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from ctnb import settings
from ctnb.portals import local


@click.group()
def account() -> None:
    """The accounts of the embedded portal: who may rehearse, and who may read its drafts."""


@account.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "publisher"]), default="viewer", show_default=True)
@click.option("--mail", help="The address it is given datasets by, and signs in with.")
@click.option(
    "--password", is_flag=True, help="Ask for a password, or read one line where nobody is there to ask."
)
def add(name: str, role: str, mail: str | None, password: bool) -> None:
    """Add the account NAME; its key id and key secret are shown this once."""
    from ctnb.embedded.accounts import add_account

    project = settings.project()
    given = _password() if password else None
    key_id, secret = add_account(local.file(project), name, role, mail=mail, password=given)
    click.echo(f"{name}, {role}, was added to the embedded portal. Its secret is not kept: note it now.")
    click.echo(f"  key id      {key_id}")
    click.echo(f"  key secret  {secret}")


@account.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(as_json: bool) -> None:
    """List the accounts; no secret is among them."""
    from ctnb.embedded.accounts import list_accounts

    found = list_accounts(local.file(settings.project()))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], ensure_ascii=False, indent=2))
        return
    if not found:
        click.echo("The embedded portal has no accounts yet.")
    for one in found:
        signs = "key or password" if one.password else "key"
        click.echo(f"  {one.name:<24} {one.role:<10} {one.key_id}  {signs:<15}  {one.mail}".rstrip())


@account.command("remove")
@click.argument("which", metavar="KEY-ID|MAIL|NAME")
def remove(which: str) -> None:
    """Remove an account, its tokens and what it was given to read; what it published stays."""
    from ctnb.embedded.accounts import remove_account

    gone = remove_account(local.file(settings.project()), which)
    click.echo(f"{gone.name}, {gone.role}, was removed from the embedded portal.")


@account.command("app-token")
def app_token() -> None:
    """Add a token that names a program, for X-App-Token; it opens nothing by itself."""
    from ctnb.embedded.accounts import add_app_token

    click.echo(add_app_token(local.file(settings.project())))


@account.command("api-key")
@click.argument("which", metavar="KEY-ID|MAIL|NAME")
@click.option("--permission", "permissions", multiple=True, help="Again for more; without it, all of them.")
def api_key(which: str, permissions: tuple[str, ...]) -> None:
    """Add an Opendatasoft API key that acts as an account; it is shown this once."""
    from ctnb.embedded.accounts import find_account
    from ctnb.embedded.ods_keys import add_api_key

    file = local.file(settings.project())
    click.echo(add_api_key(file, find_account(file, which).key_id, *permissions))


def _password() -> str:
    """Asked for twice on a terminal, never shown; else the next line of the standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
