"""What a check says: a line for each thing that was looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ctnb import secrets
from ctnb.errors import CtnbError
from ctnb.secrets import SecretReference


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    ok: bool
    remedy: str = ""


def tried(what: str, look: Callable[[], object]) -> Line:
    """The line `what`, which is not well when `look` raises an error of ctnb's."""
    try:
        look()
    except CtnbError as error:
        return Line(what, False, error.format_message())
    return Line(what, True)


def named(what: str, reference: SecretReference) -> Line:
    """Whether the secret `reference`, which is `what`, is set; its name is shown, never its value."""
    return tried(f"{what}: the secret {reference.secret}", lambda: secrets.value(reference))
