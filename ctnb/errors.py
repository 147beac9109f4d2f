"""
Every error ctnb raises on purpose, and the exit code each one means.

    CtnbError
    ├── UsageError            2  the command, a parameter or a name is wrong
    │   ├── NameUnknown          a dataset, step, portal, key... that does not exist; carries suggestions
    │   └── SettingsInvalid      ctnb.yml cannot be used
    ├── OutsideFailed         3  something outside failed; trying again may help
    │   ├── PortalFailed         a portal answered with an error or not at all
    │   ├── SourceFailed         the place a source lies in could not be reached, or broke off
    │   └── LockHeld             another process works on the same dataset or ledger
    ├── RecordBroken          4  a record, a digest or the ledger does not verify
    ├── DataInvalid           6  the data or the contract is wrong
    │   ├── ContractInvalid      dataset.yml cannot be used
    │   ├── SourceInvalid        the source cannot be read under its contract
    │   ├── TooManyRejects       more rows were set aside than the contract allows
    │   ├── GuardTripped         the data of a run are not to be trusted, as a guard says
    │   ├── TransformInvalid     a transform's result does not fit the contract
    │   ├── AccountOpen          rows in and rows out do not close
    │   └── PublishRefused       the plan, the portal's columns or the read-back do not fit
    ├── ReviewNotCleared      1  the privacy review blocks, waits or was refused
    ├── ApprovalAwaited       1  the portal's own approver has to approve what was sent
    ├── StepFailed            7  a step's own code failed
    │   └── StepCrashed          its kernel died, ran out of memory or of time
    ├── NothingNew            5  there was nothing to do
    └── Interrupted         130  Ctrl-C
        └── Terminated      143  a request to end (SIGTERM)

Texts say what happened, what was expected and seen, and what to do. They never quote a cell of data.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar

import click


class CtnbError(click.ClickException):
    """
    Anything ctnb refuses or fails on purpose.

    It is a ClickException so that papermill's command line, which is click's, prints our one line and
    ends with our exit code instead of a traceback that could quote data.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, what: str, *, hint: str = "", **facts: Any) -> None:
        """`what` happened, as one sentence or more; `hint` is what to do; `facts` become attributes."""
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.facts = facts
        for name, fact in facts.items():
            setattr(self, name, fact)

    def format_message(self) -> str:
        """The text people read: what happened and, on a line of its own, what to do."""
        return f"{self.what}\n  {self.hint}" if self.hint else self.what

    def __str__(self) -> str:
        return self.format_message()


class UsageError(CtnbError):
    """The command, a parameter or a name is wrong."""

    exit_code = 2


class NameUnknown(UsageError):
    """A name that does not exist; the hint offers the nearest ones that do."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.suggestions = tuple(suggest(name, known))
        hint = f"Did you mean {_or(self.suggestions)}?" if self.suggestions else _list_known(kind, known)
        super().__init__(f"There is no {kind} '{name}'.", hint=hint)
        self.kind, self.name = kind, name


class SettingsInvalid(UsageError):
    """ctnb.yml cannot be used."""


class OutsideFailed(CtnbError):
    """Something outside ctnb failed; trying again may help."""

    exit_code = 3


class PortalFailed(OutsideFailed):
    """A portal answered with an error, or not at all."""


class SourceFailed(OutsideFailed):
    """The place a source lies in could not be reached, or broke off half-way."""


class LockHeld(OutsideFailed):
    """Another process works on the same dataset or ledger."""


class RecordBroken(CtnbError):
    """A record, a digest or the ledger does not verify."""

    exit_code = 4


class NothingNew(CtnbError):
    """There was nothing to do; the run stops on purpose."""

    exit_code = 5


class DataInvalid(CtnbError):
    """The data or the contract is wrong."""

    exit_code = 6


class ContractInvalid(DataInvalid):
    """dataset.yml cannot be used."""


class SourceInvalid(DataInvalid):
    """The source cannot be read under its contract."""


class TooManyRejects(DataInvalid):
    """More rows were set aside than the contract allows."""


class GuardTripped(DataInvalid):
    """A guard found that the data of a run are not to be trusted; somebody may override it."""


class TransformInvalid(DataInvalid):
    """A transform's result does not fit the contract."""


class AccountOpen(DataInvalid):
    """Rows in and rows out do not close."""


class PublishRefused(DataInvalid):
    """The plan, the portal's columns or the read-back do not fit."""


class ReviewNotCleared(CtnbError):
    """The privacy review blocks, waits for a decision, or was refused."""

    exit_code = 1


class ApprovalAwaited(CtnbError):
    """What was sent is on the portal as a draft, and the portal's own approver has to approve it."""

    exit_code = 1


class StepFailed(CtnbError):
    """A step's own code failed."""

    exit_code = 7


class StepCrashed(StepFailed):
    """A step's kernel died, ran out of memory or ran out of time."""


class Interrupted(CtnbError):
    """Ctrl-C ended the run."""

    exit_code = 130


class Terminated(Interrupted):
    """A request to end (SIGTERM) ended the run."""

    exit_code = 143


def suggest(name: str, known: Iterable[str]) -> list[str]:
    """The up to three names of `known` nearest to `name`, nearest first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(f"'{name}'" for name in names)


def _list_known(kind: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return f"Known: {', '.join(names)}." if names else f"There is no {kind} yet."
