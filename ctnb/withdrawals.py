"""
What was done to a dataset on its portal beside releasing: disabled, unpublished, emptied, and why.

Each is a line of the ledger. Rows that were taken down to protect people come back only by a new decision about
them, whatever was decided before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from ctnb import ledger
from ctnb.ledger import Entry
from ctnb.privacy import decisions
from ctnb.privacy.decisions import Clearance
from ctnb.releases import LIFE, Release
from ctnb.settings import Project


def note(
    project: Project, dataset: str, portal: str, what: str, *, rows: int, reason: str, privacy: bool = False,
    release: Release | None = None, kept: str = "",
) -> Entry:  # fmt: skip
    """
    Write into the ledger that `what` was done to `dataset` on `portal`, to how many `rows` and why.

    `privacy` says that it was done to protect people, `release` which version was there, `kept` under which
    name its rows are kept here.
    """
    facts: dict[str, Any] = {
        "dataset": dataset, "portal": portal, "what": what, "rows": rows, "reason": reason.strip(),
        "privacy": privacy, "kept": kept, "by": asdict(decisions.whoami()),
        "release": release.facts.release if release else None,
        "digest": release.facts.digest if release else None,
    }  # fmt: skip
    return ledger.append(project.ledger, LIFE, facts)


def for_privacy(project: Project, release: Release) -> Entry | None:
    """The newest line that says that the rows of `release` were taken down to protect people."""
    return _newest(ledger.entries(project.ledger), release)


def _newest(entries: Iterable[Entry], release: Release) -> Entry | None:
    found = None
    for entry in entries:
        told = entry.facts
        if entry.kind == LIFE and told.get("privacy") and told.get("digest") == release.facts.digest:
            found = entry
    return found


def after_withdrawal(project: Project, release: Release, found: Clearance, run: str) -> Clearance:
    """
    `found` for bringing back `release` in `run`: not cleared where only an older decision, or none, clears it.

    Counts where the rows were taken down to protect people; else `found` itself.
    """
    entry = for_privacy(project, release) if found.cleared else None
    decided = found.decision
    if entry is None or (decided and decided.run == run and decided.at > entry.at):
        return found
    why = f"These rows were taken down to protect people on {entry.at[:10]}; bringing them back needs a new decision."
    return replace(found, cleared=False, why=why, state="waiting")
