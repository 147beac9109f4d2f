"""What a notebook was allowed, and what became of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

CELL_S = 3600.0
RUN_S = 4 * 3600.0
START_S = 60.0
OUTPUT_BYTES = 20_000
IMAGE_BYTES = 2_000_000
CELL_OUTPUTS = 200
NOTEBOOK_BYTES = 10_000_000


@dataclass(frozen=True)
class Limits:
    """How long a notebook may run and how much of its output is kept."""

    cell_s: float = CELL_S
    """Seconds one cell may run."""
    run_s: float = RUN_S
    """Seconds all cells may run."""
    start_s: float = START_S
    """Seconds a kernel may take to answer for the first time."""
    output_bytes: int = OUTPUT_BYTES
    """Bytes of text kept of one output."""
    image_bytes: int = IMAGE_BYTES
    """Bytes of an image; a larger one is left out."""
    cell_outputs: int = CELL_OUTPUTS
    """Outputs kept of one cell."""
    notebook_bytes: int = NOTEBOOK_BYTES
    """Bytes of outputs kept of the whole notebook."""


@dataclass(frozen=True)
class CellOutcome:
    """What became of one code cell."""

    index: int
    """Its place among the notebook's cells, from 0."""
    status: str
    """completed, failed, pending (it never ran) or interrupted."""
    started: dt.datetime | None = None
    """When it was sent to the kernel."""
    ended: dt.datetime | None = None
    """When its reply came, or its end was seen."""
    exception_name: str | None = None
    """The type of what it raised, expected (tag raises-exception) or not."""


@dataclass(frozen=True)
class Outcome:
    """What became of a notebook. Holds no text that a cell made."""

    status: str
    """completed, failed, crashed (died, memory, timeout) or interrupted."""
    reason: str
    """One sentence; cells are counted as Jupyter does, In [1] being the first code cell."""
    cell: int | None = None
    """The cell that ended the run, its place among the notebook's cells from 0."""
    exception_name: str | None = None
    """The type of the exception that ended the run."""
    signal: str | None = None
    """SIGINT or SIGTERM when the supervisor was asked to end."""
    cells: tuple[CellOutcome, ...] = ()
    """Every code cell, in order."""
    peak_memory_bytes: int | None = None
    """The most memory the kernel held, where the system tells."""


@dataclass(frozen=True)
class KernelExit:
    """How a kernel's process ended."""

    code: int | None = None
    """Its exit code, when it ended by itself."""
    signal: int | None = None
    """The signal that ended it."""
    peak_bytes: int | None = None
    """The most memory it held."""

    def text(self) -> str:
        """For example "signal 9" or "exit code 1"; "cause unknown" when nobody saw it."""
        if self.signal is not None:
            return f"signal {self.signal}"
        return "cause unknown" if self.code is None else f"exit code {self.code}"
