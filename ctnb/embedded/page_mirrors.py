"""
What makes the pages of a large dataset fast: a mirror of its cells in memory, column by column.

A page asks the mirror which rows it shows and how many there are, and reads those rows from the store. A mirror is of
exactly one version of a dataset and answers for no other; it is made in the background when a page is first
asked for, and until it is there the store answers, slower. Nothing of it is ever written to disk.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ctnb.values import text_array

from .catalogue import View
from .drafts import view_by_number
from .page_filters import searched_texts
from .page_orders import Orders
from .store import Store

log = logging.getLogger("ctnb.embedded")

SMALL_ROWS = 20_000
"""A dataset up to this long is read from the store, which is fast enough."""
MEMORY = "1GB"
"""What all mirrors may take; a dataset that does not fit is read from the store."""
MIRRORS = 16
"""How many datasets have a mirror at a time; the one that was looked at longest ago goes first."""
CELLS = 100_000_000
"""A dataset of more cells is read from the store."""
CHOICES = 50
"""A column with at most this many different texts is filtered by choosing one."""
CHOICE_LETTERS = 80
_BATCH_ROWS = 50_000
_SCHEMA = "mirrors"
_VERSIONS = 500
_MACROS = ("to_lower(x) AS lower(x)",)


@dataclass(frozen=True)
class Overview:
    """What is counted once for each version of a dataset."""

    rows: int
    blanks: dict[int, int] = field(default_factory=dict)
    """Empty cells by column id; without the columns of a large dataset whose mirror is not there yet."""
    choices: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """The different texts of a column that has few, in order, by column id."""
    ranges: dict[int, tuple[str, str]] = field(default_factory=dict)
    """The stored forms of the lowest and the highest number, by column id."""


class Gone(Exception):
    """A mirror that cannot answer: it made room for another, or the question needs more memory than there is."""


class Source:
    """Where a page asks its questions; the same SQL is asked of the store and of a mirror."""

    joined = ""
    """The column that holds every text of a row, in lower case, if there is one."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self.table = table
        self._connection = connection

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row of the answer."""
        return [tuple(row) for row in self._connection.execute(sql, tuple(values))]


class Mirror(Source):
    """A dataset's cells in DuckDB."""

    joined = "texts"

    def __init__(self, engine: Any, table: str) -> None:
        self.table = table
        self._engine = engine

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """
        Every row of the answer, on a cursor of its own, since readers ask at the same time.

        Raises Gone, without its cause, whose text may quote the data.
        """
        found: list[tuple[Any, ...]] = self._asked(sql, values, lambda cursor: cursor.fetchall())
        return found

    def numbers(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The column `sid` of the answer as a numpy array. Raises Gone, as `ask`."""
        return self._asked(sql, values, lambda cursor: cursor.fetchnumpy()["sid"])

    def _asked(self, sql: str, values: Sequence[Any], taken: Callable[[Any], Any]) -> Any:
        import duckdb

        try:
            with self._engine.cursor() as cursor:
                return taken(cursor.execute(sql, list(values)))
        except duckdb.Error:
            pass  # its text may quote the data
        raise Gone


class Mirrors:
    """The mirrors that are there, and what was counted. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._maker = ThreadPoolExecutor(1, "mirrors")
        self._engine: Any = None
        self._made: OrderedDict[int, tuple[int, Mirror | None]] = OrderedDict()
        self._making: set[tuple[int, int]] = set()
        self._overviews: OrderedDict[tuple[int, int], Overview] = OrderedDict()
        self._counts: OrderedDict[tuple[int, int, Hashable], int] = OrderedDict()
        self._ended = False
        self.orders = Orders()

    def find(self, view: View) -> Mirror | None:
        """The mirror of this version of `view`, or None; then one is being made, unless it did not fit."""
        with self._lock:
            version, mirror = self._made.get(view.id, (-1, None))
            if version == view.version:
                self._made.move_to_end(view.id)
                return mirror
            wanted = (view.id, view.version)
            if self._ended or wanted in self._making:
                return None
            self._making.add(wanted)
        with contextlib.suppress(RuntimeError):  # the portal is ending
            self._maker.submit(self._make, *wanted)
        return None

    def overview(self, connection: sqlite3.Connection, view: View, *, whole: bool = True) -> Overview:
        """The counts of this version of `view`; only the rows when `whole` is false or would take long."""
        key = (view.id, view.version)
        with self._lock:
            known = self._overviews.get(key)
        if known is not None and (known.blanks or not whole or known.rows > SMALL_ROWS):
            return known
        source = Source(connection, view.table)
        rows = known.rows if known else int(source.ask(f"SELECT count(*) FROM {view.table}")[0][0])
        found = summarise(source, view, rows) if whole and rows <= SMALL_ROWS else Overview(rows)
        self._keep(key, found)
        return found

    def counted(self, view: View, question: Hashable, count: Callable[[], int]) -> int:
        """How many rows `question` finds in this version of `view`: `count` is asked once, not for every page."""
        key = (view.id, view.version, question)
        with self._lock:
            known = self._counts.get(key)
        if known is None:
            known = count()
            with self._lock:
                self._counts[key] = known
                while len(self._counts) > _VERSIONS:
                    self._counts.popitem(last=False)
        return known

    def close(self) -> None:
        """Drop every mirror and wait for the one that is being made."""
        self._ended = True
        self._maker.shutdown(cancel_futures=True)
        if self._engine is not None:
            self._engine.close()

    def _keep(self, key: tuple[int, int], overview: Overview) -> None:
        with self._lock:
            known = self._overviews.get(key)
            if known is None or not known.blanks:
                self._overviews[key] = overview
            while len(self._overviews) > _VERSIONS:
                self._overviews.popitem(last=False)

    def _make(self, number: int, version: int) -> None:
        """Mirror one dataset, if it still is at `version`; a failure is remembered, so that it is not repeated."""
        mirror: Mirror | None = None
        try:
            with self._store.reading() as connection:
                connection.set_progress_handler(None, 0)  # the limit is for questions of callers
                view = view_by_number(connection, number)
                if view is None or view.version != version:
                    self._forget(number, version)
                    return
                rows = self.overview(connection, view, whole=False).rows
                if rows * len(view.columns) <= CELLS:
                    mirror = self._filled(connection, view)
                    self._keep((number, version), summarise(mirror, view, rows))
        except Exception as error:  # noqa: BLE001  too large, or the portal is ending; the text may quote data
            log.info("no mirror of a dataset for its pages: %s", type(error).__name__)
            self._drop(f"{_SCHEMA}.v{number}_{version}")
            mirror = None
        self._replace(number, version, mirror)

    def _forget(self, number: int, version: int) -> None:
        with self._lock:
            self._making.discard((number, version))

    def _replace(self, number: int, version: int, mirror: Mirror | None) -> None:
        with self._lock:
            self._making.discard((number, version))
            gone = [self._made.pop(number)] if number in self._made else []
            self._made[number] = (version, mirror)
            while len(self._made) > MIRRORS:
                gone.append(self._made.popitem(last=False)[1])
        for _, old in gone:
            if old is not None:
                self._drop(old.table)

    def _drop(self, table: str) -> None:
        if self._engine is not None:
            with contextlib.suppress(Exception):  # it was not there, or the portal is ending
                self._engine.execute(f"DROP TABLE IF EXISTS {table}")

    def _filled(self, connection: sqlite3.Connection, view: View) -> Mirror:
        import pyarrow as pa

        engine, table = self._opened(), f"{_SCHEMA}.v{view.id}_{view.version}"
        checks = {column.sql for column in view.columns if column.kind.name == "checkbox"}
        names = [column.sql for column in view.columns]
        form = pa.schema(
            [("sid", pa.int64()), *((n, pa.int8() if n in checks else pa.string()) for n in names)]
        )
        typed = [f"{name} {'TINYINT' if name in checks else 'VARCHAR'}" for name in names]
        fields = ", ".join(["sid BIGINT", *typed, f"{Mirror.joined} VARCHAR"])
        engine.execute(f"CREATE OR REPLACE TABLE {table} ({fields})")
        texts = f"concat_ws(chr(10), {', '.join(searched_texts(view)) or 'NULL'})"
        cursor = connection.execute(f"SELECT {', '.join(['sid', *names])} FROM {view.table} ORDER BY sid")
        while rows := cursor.fetchmany(_BATCH_ROWS):
            if self._ended:
                raise InterruptedError
            cells = [
                text_array(one)
                if kind == pa.string()
                else text_array(None if cell is None else str(cell) for cell in one).cast(kind)
                for one, kind in zip(zip(*rows, strict=True), form.types, strict=True)
            ]
            engine.register("batch", pa.Table.from_arrays(cells, schema=form))
            engine.execute(f"INSERT INTO {table} SELECT *, lower({texts}) FROM batch")
            engine.unregister("batch")
        return Mirror(engine, table)

    def _opened(self) -> Any:
        """The DuckDB that holds the mirrors: in memory, without a place to spill to, reaching nothing."""
        if self._engine is None:
            import duckdb

            config = {
                "memory_limit": MEMORY, "threads": 2, "temp_directory": "",
                "autoinstall_known_extensions": False, "autoload_known_extensions": False,
            }  # fmt: skip
            engine = duckdb.connect(config=config)
            engine.execute(f"ATTACH ':memory:' AS {_SCHEMA} (COMPRESS)")
            for macro in _MACROS:
                engine.execute(f"CREATE MACRO {macro}")
            engine.execute("SET enable_external_access = false")
            engine.execute("SET lock_configuration = true")
            self._engine = engine
        return self._engine


def summarise(source: Source, view: View, rows: int) -> Overview:
    """Count empty cells, and find the columns of few texts and the ranges of numbers."""
    columns = view.columns
    if not columns:
        return Overview(rows)
    counts = ", ".join(f"count({column.sql})" for column in columns)
    filled = source.ask(f"SELECT {counts} FROM {source.table}")[0]
    blanks = {column.id: rows - int(count) for column, count in zip(columns, filled, strict=True)}
    numbers = [column for column in columns if column.kind.soda == "number" and blanks[column.id] < rows]
    ends = ", ".join(f"min({column.sql}), max({column.sql})" for column in numbers)
    found = source.ask(f"SELECT {ends} FROM {source.table}")[0] if numbers else ()
    ranges = {column.id: (found[2 * at], found[2 * at + 1]) for at, column in enumerate(numbers)}
    texts = [column for column in columns if column.kind.soda == "text" and blanks[column.id] < rows]
    choices = {column.id: few for column in texts if (few := _choices(source, column.sql))}
    return Overview(rows, blanks, choices, ranges)


def _choices(source: Source, column: str) -> tuple[str, ...]:
    """The different texts of a column, in order, or nothing when there are many or one is long."""
    distinct = f"SELECT DISTINCT {column} FROM {source.table} WHERE {column} IS NOT NULL AND {column} <> ''"
    found = sorted(str(row[0]) for row in source.ask(f"{distinct} LIMIT {CHOICES + 1}"))
    few = len(found) <= CHOICES and all(len(text) <= CHOICE_LETTERS for text in found)
    return tuple(found) if few and found else ()
