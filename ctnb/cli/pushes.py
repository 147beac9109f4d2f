"""The command that pushes records as they arrive."""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ctnb.errors import OutsideFailed, UsageError

if TYPE_CHECKING:
    from ctnb.backlogs import Backlog, Waits
    from ctnb.delivering import Delivered
    from ctnb.pushing import Pushed, Refused

SHOWN = 20
"""So many refused lines are told one by one; the others are counted."""


@click.command()
@click.argument("slug")
@click.argument("file", type=click.File("rb"), metavar="[FILE|-]", required=False)
@click.option(
    "--delete", type=click.Choice(["key", "values", "id"]), default=None,
    help="Delete the records that the lines name: by key, by values, or by the portal's record_id.",
)  # fmt: skip
@click.option(
    "--reason", default="", metavar="TEXT", help="Why records are deleted, or a batch is discarded."
)
@click.option("--portal", default="", metavar="NAME", help="Another portal than the dataset's own.")
@click.option(
    "--batch", default=1_000, show_default=True, metavar="N", help="Records that are confirmed together."
)
@click.option(
    "--every", default=10.0, show_default=True, metavar="SECONDS",
    help="A batch goes when its first record is so old, however few follow.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="End at the first line that is no record.")
@click.option("--status", is_flag=True, help="Say what waits, since when and why, in counts; push nothing.")
@click.option(
    "--discard", is_flag=True, help="Give up the batch that is in the way; its records stay in a file."
)
@click.option(
    "--number", type=int, default=None, metavar="N", help="With --discard: the batch of this number."
)
@click.option("--json", "json_", is_flag=True, help="Print JSON: a line for each batch, or the status.")
def push(
    slug: str, file: BinaryIO | None, delete: Any, reason: str, portal: str, batch: int, every: float,
    strict: bool, status: bool, discard: bool, number: int | None, json_: bool,
) -> None:  # fmt: skip
    """
    Push the JSON lines of FILE (- is standard input) to dataset SLUG, reviewed with what is published.

    Without FILE it delivers what waits on disk from before.
    """
    if status:
        _status(slug, json_)
        return
    if discard:
        _discard(slug, reason, number)
        return
    from ctnb import arrivals, backlogs, pushing

    if file is None and not backlogs.backlog(slug).waiting:
        raise UsageError(
            f"Nothing to push, and nothing waits for {slug}.",
            hint=f"Name a file, or - for a pipe: ctnb push {slug} -",
        )
    done = pushing.push(
        slug, _lines(file, arrivals.lines) if file else (), delete=delete, reason=reason, portal=portal,
        batch_rows=max(batch, 1), every_s=max(every, 0.0), strict=strict, endless=not (file is None or _is_file(file)),
        told=_json if json_ else _told, refuse=_Refused(),
    )  # fmt: skip
    _sum_up(slug, done)
    sys.exit(done.exit_code)


def _lines(file: BinaryIO, lines: Any) -> Any:
    """The lines as they come; of something that is no open file, as it gives them."""
    try:
        return lines(file.fileno())
    except (OSError, AttributeError):
        return file


def _is_file(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, AttributeError):
        return True


class _Refused:
    """Tells the first lines that are no records, as they come."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, one: Refused) -> None:
        self._told += 1
        if self._told <= SHOWN:
            click.echo(f"line {one.line:,}: {one.why}", err=True)
        elif self._told == SHOWN + 1:
            click.echo("more lines are no records: they are counted at the end", err=True)


def _counted(number: int, one: str, more: str = "") -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _waiting(batches: int) -> str:
    return f"{_counted(batches, 'batch waits', 'batches wait')}" if batches else "nothing waits"


def _json(one: Delivered) -> None:
    from dataclasses import asdict

    click.echo(json.dumps(asdict(one)))


def _told(one: Delivered) -> None:
    if one.release:
        fits = one.records - one.rejected
        what = "deleted and confirmed" if one.deletes else "confirmed"
        text = (
            f"batch {one.batch}: {fits:,} of {_counted(one.records, 'record')} {what}, release {one.release}"
        )
        if one.rejected:
            why = "not published" if one.deletes else f"set aside: ctnb runs rejects {one.run}"
            text += f"; {one.rejected:,} {why}"
        click.echo(text)
        return
    click.echo(f"batch {one.batch}: {one.status}. {one.why}", err=True)
    if one.hint:
        click.echo(f"  {one.hint}", err=True)


def _sum_up(slug: str, done: Pushed) -> None:
    """What was confirmed and what was not, once, on standard error."""
    if done.why:
        click.echo(done.why, err=True)
    if done.exit_code:
        confirmed = _counted(done.confirmed, "record")
        click.echo(f"{confirmed} confirmed; lines up to {done.last_line:,} were taken.", err=True)
    if done.refused:
        where = f".ctnb/spool/{slug}/refused.lines"
        verb = "is no record" if done.refused == 1 else "are no records"
        text = f"{done.refused:,} of {_counted(done.lines, 'line')} {verb} of the contract; kept in {where}"
        click.echo(f"{text} with their reasons.", err=True)
    if done.waiting:
        text = f"{_waiting(done.waiting)} on disk for the next push"
        click.echo(f"{text}; ctnb push {slug} --status says why.", err=True)


def _status(slug: str, json_: bool) -> None:
    from ctnb import backlogs

    found = backlogs.backlog(slug)
    if json_:
        click.echo(json.dumps(found.to_json()))
        return
    records = _counted(sum(one.records for one in found.waiting), "record")
    click.echo(f"{slug}: {_waiting(len(found.waiting))}{', ' + records if found.waiting else ''}.")
    for one in found.waiting:
        _waits(slug, one)
    _beside(found)


def _waits(slug: str, one: Waits) -> None:
    what = _counted(one.records, "record") + (" to delete" if one.deletes else "")
    since = f"{one.since[:19]}Z" if one.since else "a version that did not note when"
    click.echo(f"  batch {one.batch}: {one.status}; {what} for {one.portal}, since {since}")
    if one.why:
        click.echo(f"    {one.why}")
    if one.hint:
        click.echo(f"    {one.hint}")
    if one.why and one.exit_code != OutsideFailed.exit_code:
        click.echo(f'    Or give it up: ctnb push {slug} --discard --reason "..."')


def _beside(found: Backlog) -> None:
    place = found.refused_file.parent
    if found.refused_lines:
        text = _counted(found.refused_lines, "line was no record", "lines were no records")
        click.echo(f"  {text} of the contract: {found.refused_file}")
    if found.aside:
        text = _counted(found.aside, "batch", "batches")
        click.echo(f"  {text} without a record that fits the contract: {place / 'refused'}")
    if found.discarded:
        click.echo(f"  {_counted(found.discarded, 'batch', 'batches')} discarded: {place / 'discarded'}")


def _discard(slug: str, reason: str, number: int | None) -> None:
    from ctnb import backlogs

    done = backlogs.discard(slug, reason=reason, batch=number)
    click.echo(f"batch {done.batch}: discarded, {_counted(done.records, 'record')}; kept in {done.file}")
    click.echo(f"  After mending: tail -n +2 {done.file.name} | ctnb push {slug} -; then delete the file.")
    if done.waiting:
        click.echo(f"  {_waiting(done.waiting)} behind it; to deliver: ctnb push {slug}")
