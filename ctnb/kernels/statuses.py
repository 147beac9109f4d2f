"""Writing into a notebook, where papermill's readers look, what became of it and of each cell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from nbformat.notebooknode import NotebookNode

from ctnb import clock
from ctnb.kernels.outcomes import CellOutcome, Outcome


class Progress:
    """The times and statuses of a notebook and its code cells, kept in the notebook as they happen."""

    def __init__(self, nb: NotebookNode) -> None:
        """Mark every code cell as pending and take its old outputs away."""
        self._nb = nb
        self._cells = {i: CellOutcome(i, "pending") for i, cell in enumerate(nb.cells) if _is_code(cell)}
        self._started = clock.now()
        for index in self._cells:
            nb.cells[index].outputs, nb.cells[index].execution_count = [], None
            nb.cells[index].metadata.papermill = NotebookNode(_facts("pending"))
        self._write_notebook(None, None)

    @property
    def cells(self) -> tuple[CellOutcome, ...]:
        """Every code cell's outcome so far."""
        return tuple(self._cells.values())

    def start(self, index: int) -> None:
        """The cell was sent to the kernel."""
        self._set(CellOutcome(index, "running", clock.now()), exception=None)

    def end(self, index: int, status: str, exception_name: str | None = None) -> CellOutcome:
        """The cell ended; `status` is completed, failed or interrupted."""
        started = self._cells[index].started
        ended = CellOutcome(index, status, started, clock.now(), exception_name)
        self._set(ended, exception=status != "completed" or exception_name is not None)
        return ended

    def break_off(self) -> None:
        """The supervisor itself failed: a cell that ran was interrupted."""
        for cell in self.cells:
            if cell.status == "running":
                self.end(cell.index, "interrupted")

    def finish(self, outcome: Outcome) -> None:
        """The notebook ended."""
        self._write_notebook(clock.now(), outcome)

    def _set(self, cell: CellOutcome, *, exception: bool | None) -> None:
        self._cells[cell.index] = cell
        facts = _facts(cell.status, cell.started, cell.ended, exception)
        if cell.exception_name and cell.status == "completed":
            facts["expected_exception"] = cell.exception_name
        self._nb.cells[cell.index].metadata.papermill = NotebookNode(facts)

    def _write_notebook(self, ended: dt.datetime | None, outcome: Outcome | None) -> None:
        known = self._nb.metadata.setdefault("papermill", NotebookNode())
        failed = outcome is not None and outcome.status != "completed"
        known.update(_times(self._started, ended), exception=True if failed else None)
        if outcome is not None:
            known.update(status=outcome.status, reason=outcome.reason)


def code_cells(nb: NotebookNode) -> Sequence[tuple[int, NotebookNode]]:
    """The code cells of `nb` with their places among all cells."""
    return [(index, cell) for index, cell in enumerate(nb.cells) if _is_code(cell)]


def expects_exception(cell: NotebookNode) -> bool:
    """Whether the cell says, by Jupyter's tag, that its error is part of the plan."""
    return "raises-exception" in (cell.metadata.get("tags") or ())


def _is_code(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code")


def _facts(
    status: str,
    started: dt.datetime | None = None,
    ended: dt.datetime | None = None,
    exception: bool | None = None,
) -> dict[str, Any]:
    return {"exception": exception, **_times(started, ended), "status": status}


def _times(started: dt.datetime | None, ended: dt.datetime | None) -> dict[str, Any]:
    return {
        "start_time": clock.stamp(started) if started else None,
        "end_time": clock.stamp(ended) if ended else None,
        "duration": (ended - started).total_seconds() if started and ended else None,
    }
