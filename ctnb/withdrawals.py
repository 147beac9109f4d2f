"""
What was done to a dataset on its portal beside releasing: disabled, unpublished, emptied, and why.

Each is a line of the ledger. Rows that were taken down to protect people come back only by a new decision about
them, whatever was decided before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from ctnb import ledger
from ctnb.ledger import Entry
from ctnb.privacy import decisions
from ctnb.privacy.decisions import Clearance
from ctnb.releases import BEGUN, LIFE, Release
from ctnb.settings import Project


def note(
    project: Project, dataset: str, portal: str, what: str, *, rows: int, reason: str, privacy: bool = False,
    release: Release | None = None, base: Release | None = None,
) -> Entry:  # fmt: skip
    """
    Write into the ledger that `what` was done, or is about to be, to `dataset` on `portal`, to how many `rows` and why.

    `privacy` says that it is done to protect people, `release` which version was there, `base` which one ctnb
    released last, where that is another.
    """
    facts: dict[str, Any] = {
        "dataset": dataset, "portal": portal, "what": what, "rows": rows, "reason": reason.strip(),
        "privacy": privacy, "by": asdict(decisions.whoami()),
        "release": release.facts.release if release else None,
        "digest": release.facts.digest if release else None,
        "base_digest": base.facts.digest if base else None,
    }  # fmt: skip
    return ledger.append(project.ledger, LIFE, facts)


def unfinished(project: Project, dataset: str, portal: str) -> Mapping[str, Any] | None:
    """What was about to be done to `dataset` on `portal`, where the ledger does not say that it was done."""
    last = None
    for entry in ledger.entries(project.ledger):
        if entry.kind == LIFE and (entry.facts.get("dataset"), entry.facts.get("portal")) == (
            dataset,
            portal,
        ):
            last = entry
    return last.facts if last and last.facts.get("what") in BEGUN else None


def for_privacy(project: Project, release: Release) -> Entry | None:
    """The newest line that says that the rows of `release` were taken down to protect people."""
    return _newest(ledger.entries(project.ledger), release)


def _newest(entries: Iterable[Entry], release: Release) -> Entry | None:
    found = None
    for entry in entries:
        told = entry.facts
        digests = (told.get("digest"), told.get("base_digest"))
        if entry.kind == LIFE and told.get("privacy") and release.facts.digest in digests:
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
