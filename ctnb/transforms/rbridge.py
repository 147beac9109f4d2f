"""
R in a step's kernel: a transform.R is played over a table, and RSocrata's calls are answered.

The only module that imports rpy2, and only inside functions. What R prints, warns and says in errors may quote
data; it goes to `transform.R.log` in the work folder, readable by its owner only.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb.errors import CtnbError, OutsideFailed, StepFailed, TransformInvalid
from ctnb.transforms.vectors import Vector, arrow, text_cells, vectors

if TYPE_CHECKING:
    import pyarrow as pa

    from ctnb.tables import Table

LOG = "transform.R.log"
_STACK_BYTES = 16 * 1024 * 1024
"""R's own limit where the system sets none."""
_OPTIONS = ("rpy2", "--quiet", "--vanilla")
_CLASSES = frozenset(
    {
        "simpleError", "packageNotFoundError", "stackOverflowError", "CStackOverflowError",
        "expressionStackOverflowError", "missingArgError", "getvarError", "parseError", "rlang_error",
        "vctrs_error", "dplyr_error",
    }
)  # fmt: skip
"""Condition classes that are named in a message; any other could be a text of the script's own making."""

_REFUSALS = {
    "second source": (
        "transform.R reads two sources with read.socrata; ctnb has one table to give.",
        "Keep one read.socrata in it; bring the other source in as a file of its own beside it.",
    ),
    "query": (
        "transform.R asks read.socrata for a selection ($where, $select, $limit ...) of the table.",
        "Read the whole dataset and select in R, or keep rows with a rule in dataset.yml.",
    ),
    "no data frame": (
        "transform.R handed over something that is not a data frame.",
        "Give write.socrata, or return from transform(df), a data frame.",
    ),
    "no result": (
        "transform.R neither calls write.socrata nor defines a function transform(df).",
        "End the script with write.socrata(...), or define transform <- function(df) ... .",
    ),
    "several results": (
        "transform.R calls write.socrata more than once; a dataset has one table.",
        "Keep one call in it; make a dataset of its own for each of the others.",
    ),
}


@dataclass(frozen=True)
class Played:
    """What a transform.R left behind."""

    frame: pa.Table
    """The data frame it handed over."""
    mode: str | None
    """The update_mode of its write.socrata; None for a transform(df)."""
    warnings: int
    """How many warnings R gave; their texts are in the log."""


def play(script: Path, table: Table, folder: Path) -> Played:
    """
    Run the R `script` unchanged over `table`, with the script's folder as R's working folder.

    Writes what R says to `transform.R.log` in `folder`. Raises StepFailed when R fails or quits,
    TransformInvalid when the result is not one data frame, OutsideFailed when R cannot be loaded.
    """
    columns = vectors(table)
    r = _loaded()
    names = [column.name for column in table.columns]
    with _logged(folder / LOG):
        answer = r.play(script, names, columns, table.rows)
    outcome = answer.text("outcome")
    if outcome != "ok":
        raise _failure(outcome, answer, script, folder)
    modes = answer.texts("modes")
    return Played(answer.frame(), modes[0] if modes else None, answer.number("warnings"))


class _R:
    """The loaded interpreter and bridge.R in an environment of its own."""

    def __init__(self) -> None:
        import rpy2.rinterface as rinterface

        self.rinterface = rinterface
        source = resources.files("ctnb.transforms").joinpath("bridge.R")
        with resources.as_file(source) as path:
            make = rinterface.evalr(
                "function(path) { made <- new.env(parent = baseenv()); sys.source(path, made); made }"
            )
            self.bridge: Any = make(str(path))
        self.bridge["speak_utf8"]()

    def play(self, script: Path, names: list[str], columns: list[Vector], rows: int) -> _Answer:
        """Call the bridge's `play`."""
        give = self.rinterface
        given = give.ListSexpVector([self._column(column) for column in columns])
        result = self.bridge["play"](
            str(script), str(script.parent), give.StrSexpVector(names), given, give.IntSexpVector([rows])
        )
        return _Answer(result)

    def _column(self, column: Vector) -> Any:
        raw = self.rinterface.ByteSexpVector
        return self.rinterface.ListSexpVector(
            [self.rinterface.StrSexpVector([column.kind]), raw(column.data), raw(column.lengths)]
        )


class _Answer:
    """The list that the bridge's `play` gave, read by name."""

    def __init__(self, given: Any) -> None:
        self._given = dict(zip(given.names, given, strict=True))

    def text(self, name: str) -> str:
        """The one text called `name`."""
        return self.texts(name)[0]

    def texts(self, name: str) -> list[str]:
        """The texts called `name`."""
        return [str(one) for one in self._given[name]]

    def number(self, name: str) -> int:
        """The whole number called `name`."""
        return int(self._given[name][0])

    def frame(self) -> pa.Table:
        """The data frame called `frame`."""
        frame = dict(zip(self._given["frame"].names, self._given["frame"], strict=True))
        return arrow(text_cells(_taken(frame["names"])), [_taken(column) for column in frame["columns"]])


def _taken(column: Any) -> Vector:
    import numpy as np

    kind, data, lengths = column
    return Vector(str(kind[0]), np.asarray(data).tobytes(), np.asarray(lengths).tobytes())


_started: list[_R] = []
"""R, once started: a process can hold one."""


def _loaded() -> _R:
    if not _started:
        reason = _start()
        if reason:
            raise OutsideFailed(
                f"R could not be loaded ({reason}); transform.R needs it.",
                hint="Run ctnb doctor: it checks R and its pairing with rpy2, and says how to repair them.",
            )
        _started.append(_R())
    return _started[0]


def _start() -> str | None:
    """Start R without profiles, saved data or prompts; the kind of the failure, if it fails."""
    os.environ["RPY2_CFFI_MODE"] = "ABI"
    libraries = os.environ.get("LD_LIBRARY_PATH")
    try:
        from rpy2.rinterface_lib import embedded

        if not embedded.rpy2_embeddedR_isinitialized:
            embedded.set_initoptions(_OPTIONS)
        import rpy2.rinterface as rinterface

        rinterface.initr(interactive=False, _c_stack_limit=_stack_bytes())
    except Exception as trouble:  # noqa: BLE001  # rpy2 fails to load in many ways: ImportError, OSError, ffi's own
        return type(trouble).__name__
    finally:
        _restore_libraries(libraries)
    return None


def _restore_libraries(before: str | None) -> None:
    """
    Put LD_LIBRARY_PATH back: rpy2 leaves R's own in the environment.

    A Python that this process starts afterwards could otherwise load another libpython and not start.
    """
    if before is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = before


def _stack_bytes() -> int:
    """
    How much of the C stack R may use, in bytes; -1 does not look.

    Without a limit an endless recursion in a script kills the kernel. R measures from the start of the main
    thread, so that only there the limit means something.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return -1
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return soft * 3 // 4 if soft != resource.RLIM_INFINITY else _STACK_BYTES


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send what R, and programs it starts, write to the private file `path` instead of the kernel's outputs."""
    from rpy2.rinterface_lib import callbacks

    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    names = ("consolewrite_print", "consolewrite_warnerror", "consoleread", "showmessage")
    before = {name: getattr(callbacks, name) for name in names}

    def keep(text: str) -> None:
        os.write(log, text.encode("utf-8", "replace"))

    for name in names:
        setattr(callbacks, name, keep)
    callbacks.consoleread = lambda prompt: "\n"
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(log, number)
        yield
    finally:
        for number, old in zip((1, 2), saved, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(log)
        for name, function in before.items():
            setattr(callbacks, name, function)


def _failure(outcome: str, answer: _Answer, script: Path, folder: Path) -> CtnbError:
    if outcome in _REFUSALS:
        return TransformInvalid(_REFUSALS[outcome][0], hint=_REFUSALS[outcome][1])
    line = answer.number("line")
    place = f"transform.R, line {line}" if line else "transform.R"
    seen = f"The whole message is in {LOG} in the work folder {folder.name}."
    if outcome == "quit":
        return StepFailed(
            f"transform.R called quit() in line {line}.", hint="Take it out: a step ends by itself."
        )
    if outcome == "syntax":
        return StepFailed(f"{place}: this is not R.", hint=seen)
    text = script.read_text(encoding="utf-8", errors="replace")
    missing = answer.text("missing")
    if _is_name(missing) and re.search(rf"\b{re.escape(missing)}\b", text):
        return StepFailed(
            f"{place}: the R package {missing} is not installed.",
            hint=f"Install it in R: install.packages('{missing}').",
        )
    known = next((name for name in answer.texts("class") if name in _CLASSES), "error")
    return StepFailed(f"{place}: R stopped with {known}.", hint=seen)


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9.]{1,60}", text) is not None
