"""Progress bars: how far a fetch is, on a terminal or in a notebook; anywhere else nothing is said."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from ctnb.places.fetched import Progress

NARROW = 40
"""Characters of a file's name that a bar shows."""


class Meter(Protocol):
    """One bar somewhere."""

    def show(self, seen: Progress) -> None:
        """Show how far it is."""

    def close(self) -> None:
        """It goes no further."""


class Bar:
    """
    Shows what it is told, one bar at a time; a bar goes as soon as what it shows is complete.

    Where the place does not say how much there is, neither a share nor a time left is made up.
    """

    def __init__(self) -> None:
        self._kind = OnTerminal if _is_terminal() else InNotebook if _is_kernel() else None
        self._what = ""
        self._meter: Meter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def show(self, seen: Progress) -> None:
        """Show how far `seen.what` is."""
        if self._kind is None:
            return
        if self._meter is None or self._what != seen.what:
            self.close()
            self._what, self._meter = seen.what, self._kind(seen)
        self._meter.show(seen)
        if seen.done == seen.total:
            self.close()

    def close(self) -> None:
        """End the bar that is shown, if any."""
        if self._meter is not None:
            self._meter.close()
            self._meter = None


class OnTerminal:
    """A bar on standard error, which goes when it is closed."""

    def __init__(self, seen: Progress) -> None:
        from tqdm import tqdm

        self._bar = type("Unwatched", (tqdm,), {"monitor_interval": 0})(  # no thread beside it
            total=seen.total, desc=_shortened(seen.what), unit=_unit(seen), unit_scale=True, leave=False,
            file=sys.stderr, dynamic_ncols=True,
        )  # fmt: skip

    def show(self, seen: Progress) -> None:
        """Show how far it is; a download that begins anew goes back."""
        self._bar.total = seen.total
        self._bar.update(seen.done - self._bar.n)
        if seen.done == seen.total:
            self._bar.refresh()

    def close(self) -> None:
        """Take it away."""
        self._bar.close()


class InNotebook:
    """A line in a cell's output that changes in place; it stays with its last state."""

    def __init__(self, seen: Progress) -> None:
        from IPython.display import display

        self._began = time.monotonic()
        self._handle: Any = display(self._bundle(seen), raw=True, display_id=True)

    def show(self, seen: Progress) -> None:
        """Show how far it is."""
        self._handle.update(self._bundle(seen), raw=True)

    def close(self) -> None:
        """Leave it as it is."""

    def _bundle(self, seen: Progress) -> dict[str, str]:
        from tqdm import tqdm

        text = tqdm.format_meter(
            seen.done, seen.total, time.monotonic() - self._began, prefix=_shortened(seen.what), unit=_unit(seen),
            unit_scale=True, ncols=100,
        )  # fmt: skip
        return {"text/plain": str(text).rstrip()}


def _shortened(what: str) -> str:
    return what if len(what) <= NARROW else f"...{what[3 - NARROW :]}"


def _unit(seen: Progress) -> str:
    return "B" if seen.unit == "bytes" else f" {seen.unit}"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _is_kernel() -> bool:
    """Whether this process is a notebook's kernel, which can change what it displayed."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None
