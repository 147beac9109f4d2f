"""Asking the supervisor: the kernel's side of asks and answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ctnb import errors, stepfiles
from ctnb.stepfiles import Step

POLL_S = 0.01


def ask(step: Step, what: str, **facts: Any) -> Any:
    """
    Put the question `what` to the supervisor and wait for its answer.

    There is no time limit here: the supervisor ends the step when the cell takes too long. Raises the error
    that the supervisor answered with.
    """
    asks, answers = step.path("asks"), step.path("answers")
    number = len(list(asks.glob("*.json"))) + 1
    stepfiles.write_json(asks / f"{number:04}.json", {"what": what, **facts})
    answer = answers / f"{number:04}.json"
    while not answer.exists():
        time.sleep(POLL_S)
    said = stepfiles.read_json(answer)
    if "error" in said:
        raise _error(said["error"])
    return said["answer"]


def pending(folder: Path) -> list[Path]:
    """The asks in the step's `folder` that have no answer yet, oldest first."""
    answered = {path.name for path in (folder / "answers").glob("*.json")}
    return sorted(path for path in (folder / "asks").glob("*.json") if path.name not in answered)


def answer(path: Path, value: Any) -> None:
    """Answer the ask in the file `path`."""
    stepfiles.write_json(path.parent.parent / "answers" / path.name, {"answer": value})


def answer_error(path: Path, error: errors.CtnbError) -> None:
    """Answer the ask in the file `path` with an error."""
    told = {"kind": type(error).__name__, "what": error.what, "hint": error.hint}
    stepfiles.write_json(path.parent.parent / "answers" / path.name, {"error": told})


def _error(told: dict[str, str]) -> errors.CtnbError:
    kind = getattr(errors, told["kind"], errors.CtnbError)
    made: errors.CtnbError = kind.__new__(kind)
    errors.CtnbError.__init__(made, told["what"], hint=told["hint"])
    return made
