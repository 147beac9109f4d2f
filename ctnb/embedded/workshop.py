"""Where uploads are kept and worked on: a folder beside the portal's file, DuckDB, and one worker."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .page_mirrors import Mirrors
from .store import Store

log = logging.getLogger("ctnb.embedded")

CHUNK_BYTES = 4 * 2**20
UPLOAD_LIMIT_BYTES = 16 * 2**30
MEMORY = "256MB"
"""What DuckDB holds before it writes to disk."""
THREADS = 2


class Ended(Exception):
    """The portal is ending; what was under way is taken up again at the next start."""


class Workshop:
    """
    The folder of uploads, and the worker that parses, transforms and applies them one at a time.

    One worker means that two revisions never interleave. A piece of work is named by the number of its row in
    the store, which says whether it is still to be done; so it can be taken up again after a kill.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        *,
        chunk_bytes: int = CHUNK_BYTES,
        approval: bool = False,
        upload_limit: int = UPLOAD_LIMIT_BYTES,
        fetch: bool = False,
        processing_s: float = 0.0,
        records_limit: int | None = None,
        strict_push: bool = False,
    ) -> None:
        self.store, self.clock = store, clock
        self.chunk_bytes, self.approval = chunk_bytes, approval
        self.upload_limit, self.fetch = upload_limit, fetch
        self.processing_s, self.records_limit, self.strict_push = processing_s, records_limit, strict_push
        self.folder = store.file.with_name(store.file.name + ".uploads")
        self.mirrors = Mirrors(store)
        self._worker = ThreadPoolExecutor(1, "worker")
        self._ending = threading.Event()
        self._engine: Any = None

    def place(self, source: int) -> Path:
        """The folder of one source, made for its owner only."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        folder = self.folder / f"source-{source}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def forget(self, source: int) -> None:
        """Delete the files of one source."""
        shutil.rmtree(self.folder / f"source-{source}", ignore_errors=True)

    def sweep(self, known: set[int]) -> None:
        """Delete the files of every source that is not `known`."""
        if not self.folder.exists():
            return
        for folder in self.folder.iterdir():
            name, _, number = folder.name.partition("-")
            if name == "source" and number.isdecimal() and int(number) not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def later(self, work: Callable[[Workshop, int], None], number: int) -> Future[None]:
        """Have `work` done on the row `number` when its turn comes."""
        return self._worker.submit(self._do, work, number)

    def _do(self, work: Callable[[Workshop, int], None], number: int) -> None:
        try:
            self.store.settle()  # the transaction that asked for this work
            if not self._ending.is_set():
                work(self, number)
        except Ended:
            pass
        except Exception as error:  # noqa: BLE001  the worker outlives any work; the text may quote data
            log.error("%s in %s", type(error).__name__, work.__name__)

    def engine(self) -> Any:
        """A DuckDB connection that spills to the folder of uploads and reaches nothing else."""
        self.check()
        self._engine = engine(self.folder)
        return self._engine

    def check(self) -> None:
        """Raises Ended when the portal is ending."""
        if self._ending.is_set():
            raise Ended

    def pause(self, seconds: float) -> None:
        """Let a piece of work last longer. Raises Ended when the portal is ending."""
        self._ending.wait(seconds)
        self.check()

    def close(self) -> None:
        """Stop the work under way and wait for the worker."""
        self._ending.set()
        if self._engine is not None:
            import duckdb

            with contextlib.suppress(duckdb.ConnectionException):  # its work is done, and it is closed
                self._engine.interrupt()
        self._worker.shutdown(cancel_futures=True)
        self.mirrors.close()


def engine(folder: Path) -> Any:
    """A DuckDB connection of its own, with a bound on its memory."""
    import duckdb

    config = {
        "memory_limit": MEMORY,
        "threads": THREADS,
        "temp_directory": str(folder / "spill"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    return duckdb.connect(config=config)


def engine_error() -> type[Exception]:
    """What DuckDB raises for a file that is not as it was said to be."""
    import duckdb

    kind: type[Exception] = duckdb.InvalidInputException
    return kind


def sweep_uploads(workshop: Workshop, number: int) -> None:
    """A piece of work: delete the files of sources that are gone, as those of a deleted dataset are."""
    with workshop.store.reading() as connection:
        known = uploads_of(connection)
    workshop.sweep(known)


def uploads_of(connection: sqlite3.Connection) -> set[int]:
    """The numbers of every source in the store."""
    return {int(row[0]) for row in connection.execute("SELECT id FROM sources")}


def quoted(text: str | Path) -> str:
    """`text` as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"
