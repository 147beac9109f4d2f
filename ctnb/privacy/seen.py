"""
What the detectors found in texts that they have looked at, for as long as one process publishes batch after batch.

A test of the detectors depends on a text and its column alone, so a text that stays in the table is not tested again;
what is counted is counted over the whole table each time. It lives in memory only: on disk somebody could change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MOST_TEXTS = 2_000_000
"""Of more different texts none are kept: each is a few dozen bytes of memory."""


@dataclass
class Seen:
    """The different texts of a table's columns and what each test said of them."""

    columns: tuple[str, ...] = ()
    """The columns in their order, with all that their texts depend on: of other columns nothing is known."""
    texts: pa.Table | None = None
    """Place of the column, text and tests; None: nothing is known."""
    tested: int = 0
    """How many different texts were tested so far, by all reviews together."""

    def of(self, columns: tuple[str, ...]) -> pa.Table | None:
        """What is known of exactly these columns."""
        return self.texts if columns == self.columns else None

    def keep(self, columns: tuple[str, ...], texts: pa.Table, tested: int) -> None:
        """Remember the `texts` of a review, of which `tested` were new."""
        self.tested += tested
        self.columns, self.texts = columns, texts if texts.num_rows <= MOST_TEXTS else None


_NOW: ContextVar[Seen | None] = ContextVar("seen", default=None)


@contextmanager
def used(seen: Seen | None) -> Iterator[None]:
    """Let the reviews of the body use, and add to, what was `seen`."""
    token = _NOW.set(seen)
    try:
        yield
    finally:
        _NOW.reset(token)


def now() -> Seen | None:
    """What this review may use; None: it tests every text."""
    return _NOW.get()


def make_tested(
    connection: duckdb.DuckDBPyConnection, columns: tuple[str, ...], tests: str, flags: Sequence[str],
    before: Callable[[], None],
) -> None:  # fmt: skip
    """
    Make `tested` of the table `cells` (c the column's place, v a text, n how often): each with what `tests` say.

    `tests` is SQL over `fresh`, the cells that are not known (and r, their numbers); `flags` names what it gives, and
    `before` is called between making `fresh` and testing it. `columns` says all that the texts depend on.
    """
    memory = now()
    if memory is None:
        connection.execute("CREATE OR REPLACE TEMP VIEW fresh AS SELECT rowid AS r, * FROM cells")
        before()
        connection.execute(f"CREATE OR REPLACE TEMP VIEW tested AS {tests}")
        return
    known, listed, new, again = memory.of(columns), ", ".join(flags), "cells", ""
    if known is not None:
        connection.register("known", known)
        new = "cells ANTI JOIN known USING (c, v)"
        again = f" UNION ALL SELECT c, v, n, {listed} FROM cells JOIN known USING (c, v)"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE fresh AS SELECT row_number() OVER () AS r, * FROM {new}"
    )
    before()
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE tested AS SELECT c, v, n, {listed} FROM ({tests}){again}"
    )
    kept = connection.sql(f"SELECT c, v, {listed} FROM tested").to_arrow_table()
    memory.keep(columns, kept, connection.execute("SELECT count(*) FROM fresh").fetchall()[0][0])
