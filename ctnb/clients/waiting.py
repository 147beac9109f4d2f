"""
Waiting for what a portal is at work on: as long as it says something new, and not for ever.

An answer that is no answer (a page with 200, a list, another type) may be a hiccup of something in between: it is
asked for again, a few times, and then ends the waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from ctnb.errors import PortalFailed

T = TypeVar("T")

STRANGE = 4
"""How many answers in a row may say nothing that can be understood before that is the end."""


@dataclass(frozen=True)
class Patience:
    """How long is waited for one thing, in seconds."""

    still_s: float
    """While the portal says the same."""
    most_s: float
    """In all, whatever it says."""
    first_s: float
    """The first pause between two questions."""
    last_s: float
    """The longest."""
    share: float = 0.1
    """A pause is this share of the time waited so far, so that no more than that is waited in vain."""


def insisted(ask: Callable[[], T], pause_s: float) -> T:
    """
    The answer of `ask`, asked again where it said something strange, after `pause_s` seconds, then twice that...

    Raises PortalFailed: at once for a refusal, for the last of STRANGE strange answers in a row.
    """
    for attempt in range(1, STRANGE):
        try:
            return ask()
        except PortalFailed as error:
            if not error.facts.get("strange"):
                raise
        time.sleep(pause_s * 2 ** (attempt - 1))
    return ask()


def watched(
    ask: Callable[[], tuple[Any, T]], what: str, patience: Patience, *, pause_s: float
) -> Iterator[T]:
    """
    What `ask` makes of the portal's word, again and again; `ask` gives that word too, to see whether it moves.

    Whoever calls stops once it is done. Raises PortalFailed when the portal is still `what` ("applying the revision")
    after so much patience.
    """
    began = moved = time.monotonic()
    last: Any = None
    while True:
        told, made = insisted(ask, pause_s)
        yield made
        now = time.monotonic()
        if told != last:
            last, moved = told, now
        if now - moved >= patience.still_s:
            raise PortalFailed(
                f"The portal is {what}, it says, but has said nothing new for {_length(patience.still_s)}.",
                hint="Look at the dataset's page there. Publish again later: what arrived is found there.",
            )
        if now - began >= patience.most_s:
            raise PortalFailed(
                f"The portal was still {what} after {_length(patience.most_s)}.",
                hint="Publish again later: what arrived is found there.",
            )
        time.sleep(min(max(patience.first_s, patience.share * (now - began)), patience.last_s))


def _length(seconds: float) -> str:
    return f"{seconds / 3600:g} hours" if seconds >= 7200 else f"{seconds / 60:g} minutes"
