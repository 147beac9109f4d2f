"""The command that pushes records as they arrive."""

from __future__ import annotations

import json
import sys
from typing import Any, BinaryIO

import click


@click.command()
@click.argument("slug")
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@click.option(
    "--delete", type=click.Choice(["key", "values", "id"]), default=None,
    help="Delete the records that the lines name: by key, by values, or by the portal's record_id.",
)  # fmt: skip
@click.option("--reason", default="", metavar="TEXT", help="Why records are deleted.")
@click.option("--portal", default="", metavar="NAME", help="Another portal than the dataset's own.")
@click.option(
    "--batch", default=1_000, show_default=True, metavar="N", help="Records that are confirmed together."
)
@click.option("--json", "json_", is_flag=True, help="Print a line of JSON for each batch.")
def push(slug: str, file: BinaryIO, delete: Any, reason: str, portal: str, batch: int, json_: bool) -> None:
    """Push the JSON lines of FILE (- is standard input) to dataset SLUG, reviewed with what is published."""
    from dataclasses import asdict

    from ctnb import pushing

    def told(one: pushing.Delivered) -> None:
        if json_:
            click.echo(json.dumps(asdict(one)))
        elif one.release:
            kept = one.records - one.rejected
            click.echo(
                f"batch {one.batch}: {kept:,} of {one.records:,} records confirmed, release {one.release}"
            )
        else:
            click.echo(f"batch {one.batch}: {one.status}. {one.why}")

    done = pushing.push(
        slug, file, delete=delete, reason=reason, portal=portal, batch_rows=max(batch, 1), told=told
    )
    if done.refused:
        click.echo(
            f"{done.refused:,} of {done.lines:,} lines are no records; kept with their reasons.", err=True
        )
    if done.waiting:
        click.echo(f"{done.waiting:,} batches wait on disk for the next push.", err=True)
    sys.exit(done.exit_code)
