"""Commands about a dataset on its portal between releases; `ctnb portal` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_REASON = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept for good.")
_PORTAL = click.option(
    "--portal", "name", default="", metavar="NAME", help="Another portal than the dataset's own."
)
_PRIVACY = click.option(
    "--privacy", is_flag=True, help="It protects people: these rows come back by a new decision alone."
)
_YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("slug")
@_REASON
@_PORTAL
def disable(slug: str, reason: str, name: str) -> None:
    """Let the portal refuse pushes to dataset SLUG; its rows stay."""
    from ctnb import lifecycle

    done = lifecycle.disable(slug, reason=reason, portal=name)
    click.echo(f"{done.portal} refuses pushes now; its {done.rows:,} rows stay.")


@click.command()
@click.argument("slug")
@_REASON
@_PORTAL
def enable(slug: str, reason: str, name: str) -> None:
    """Let the portal take pushes to dataset SLUG again, reviewed under today's policy."""
    from ctnb import lifecycle

    done = lifecycle.enable(slug, reason=reason, portal=name)
    click.echo(f"{done.portal} takes pushes again.")


@click.command()
@click.argument("slug")
@_REASON
@_PRIVACY
@_PORTAL
@_YES
def unpublish(slug: str, reason: str, privacy: bool, name: str, yes: bool) -> None:
    """Take dataset SLUG off its portal; its rows are kept here first."""
    from ctnb import lifecycle

    _ask(slug, name, "unpublish", yes)
    _tell(slug, lifecycle.unpublish(slug, reason=reason, privacy=privacy, portal=name))


@click.command()
@click.argument("slug")
@_REASON
@_PRIVACY
@_PORTAL
@_YES
def empty(slug: str, reason: str, privacy: bool, name: str, yes: bool) -> None:
    """Delete every row of dataset SLUG on its portal; they are kept here first."""
    from ctnb import lifecycle

    _ask(slug, name, "empty", yes)
    _tell(slug, lifecycle.empty(slug, reason=reason, privacy=privacy, portal=name))


@click.command()
@click.argument("slug")
@_REASON
@_PORTAL
def recover(slug: str, reason: str, name: str) -> None:
    """Bring back what an Opendatasoft portal has in its backup of dataset SLUG, reviewed under today's policy."""
    from ctnb import lifecycle

    done = lifecycle.recover(slug, reason=reason, portal=name)
    click.echo(f"{done.rows:,} rows are back on {done.portal}: exactly those of release {done.kept}.")


@click.command()
@click.argument("slug", default="", metavar="[SLUG]")
@click.argument("words", default="", metavar='["daily 06:30"]')
@click.option("--all", "every", is_flag=True, help="Write those of every dataset anew, for a line of cron.")
@_PORTAL
def schedule(slug: str, words: str, every: bool, name: str) -> None:
    """Set when an Opendatasoft portal processes dataset SLUG, in the agency's time; without WORDS write it anew."""
    from ctnb import portal_schedules
    from ctnb.errors import CtnbError

    if every == bool(slug) or (every and name):
        raise click.UsageError("Name a dataset, or give --all, which takes every dataset on every portal.")
    if not every:
        _scheduled(slug, portal_schedules.set_schedule(slug, words, portal=name))
        return
    found = portal_schedules.set_all()
    for one, done in found:
        if isinstance(done, CtnbError):
            click.echo(f"{one}: {done.format_message()}", err=True)
        else:
            _scheduled(one, done)
    if not found:
        click.echo("No dataset has a schedule on a portal.")
    failed = [done for _, done in found if isinstance(done, CtnbError)]
    if failed:
        raise SystemExit(max(error.exit_code for error in failed))


def _scheduled(slug: str, done: Any) -> None:
    """Say how a schedule stands on the portal now."""
    told = "is set already" if done.already else "is set"
    click.echo(f"{slug}: {done.words} ({done.zone}) {told}: {done.cron} in Paris time.")
    if done.until:
        click.echo(
            f"  until {done.until}, when the clocks change: the next run writes it anew, or ctnb portal schedule --all."
        )
    if done.others:
        click.echo(f"  {done.others} other schedules of the dataset are left as they are.")


def _ask(slug: str, name: str, what: str, yes: bool) -> None:
    """Say what will be lost, and ask unless told not to."""
    from ctnb import lifecycle

    lost = lifecycle.lost(slug, portal=name)
    who = "everybody can see" if lost.public else "are private"
    click.echo(
        f"{lost.rows:,} rows on {lost.portal}, which {who}, will be gone from there ({lost.dataset_id})."
    )
    if lost.columns:
        click.echo(f"{lost.columns} columns there that dataset.yml does not have cannot be kept.")
    if not yes:
        click.confirm(f"{what} {slug}?", abort=True)


def _tell(slug: str, done: Any) -> None:
    where = f"kept here as release {done.kept}" if done.kept else "there was nothing to keep"
    click.echo(f"{done.what}: {done.rows:,} rows on {done.portal}; {where}.")
    if done.unfit or done.columns:
        click.echo(
            f"  Not kept: {done.unfit:,} cells that do not fit the types here, {done.columns} columns."
        )
    if done.kept:
        click.echo(f"  To bring them back: ctnb restore {slug} --to {done.kept} --reason TEXT")
