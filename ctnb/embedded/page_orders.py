"""
Orders of rows that pages have gone deep into: the numbers of all rows that were asked for, in the order asked for.

A page far into a sorted dataset costs a sort of all its rows; the next one, or the one before, is then a slice.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

DEEP_ROWS = 1_000
"""A page that starts behind so many rows has the whole order worked out."""
KEPT_ROWS = 8_000_000
"""Row numbers that all orders together may hold, eight bytes each; the one used longest ago goes first."""


class Orders:
    """The orders that are kept. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def known(self, question: Hashable) -> Any:
        """The row numbers that `question` finds, in its order, as a numpy array; None when they are not kept."""
        with self._lock:
            if question in self._kept:
                self._kept.move_to_end(question)
            return self._kept.get(question)

    def made(self, question: Hashable, work: Callable[[], Any]) -> Any:
        """As `known`, worked out by `work` where they are not kept; kept unless they are too many."""
        found = self.known(question)
        if found is None:
            found = work()
            with self._lock:
                self._kept[question] = found
                while sum(map(len, self._kept.values())) > KEPT_ROWS:
                    self._kept.popitem(last=False)
        return found


def place_of(order: Any, number: int) -> int | None:
    """The place of row `number` in `order`, from 0; None when it is not among them."""
    found = (order == number).nonzero()[0]
    return int(found[0]) if len(found) else None
