"""
Publishing killed at every one of its steps, each in a process of its own: `python tests/exactly_once.py FACTS.json`.

A step is an fsync, a move of a file, or one side of an HTTP exchange; all are counted as they happen, so that none
is left out that somebody adds later. FACTS names the portal, its account, a folder, a mode and how many of the steps
to try (0: all). For each, a dataset of its own gets its first rows; a process publishes and is killed at that step,
or loses its connection there; then the same is run again until it is released. One JSON object per case is printed.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exactly_once_cases as cases
import requests
import requests.adapters
from exactly_once_cases import Case, Facts

from ctnb.clients import opendatasoft
from ctnb.errors import CtnbError
from ctnb.portals import soda

TRIES = 4


class Steps:
    """The steps of this process, counted; at step `at` the process is killed, or its connection reset."""

    def __init__(self, at: int, fault: str) -> None:
        self.at, self.fault, self.kinds = at, fault, []
        self.numbers = itertools.count(1)

    def watch(self) -> None:
        """Count from here on."""
        self._wrap(os, "fsync")
        for name in ("replace", "rename", "link"):
            self._wrap(os, name)
        adapter: Any = requests.adapters.HTTPAdapter
        send = adapter.send

        def sent(this: Any, *given: Any, **named: Any) -> Any:
            self.step("send")
            answer = send(this, *given, **named)
            self.step("answer")
            return answer

        adapter.send = sent

    def step(self, kind: str) -> None:
        """One step."""
        number = next(self.numbers)
        self.kinds.append(kind)
        if number != self.at:
            return
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in ("send", "answer"):
            raise requests.ConnectionError("reset")

    def _wrap(self, module: Any, name: str) -> None:
        own: Callable[..., Any] = getattr(module, name)

        def counted(*given: Any, **named: Any) -> Any:
            self.step(name)
            return own(*given, **named)

        setattr(module, name, counted)


def forked(work: Callable[[], None], told: Path) -> str:
    """How `work` ended in a process of its own: done, killed, or its error."""
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        code = 0
        try:
            work()
        except CtnbError as error:
            told.write_text(f"{type(error).__name__}: {error.what}")
            code = 1
        except BaseException:
            told.write_text(traceback.format_exc())
            code = 2
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return "done" if os.WEXITSTATUS(status) == 0 else told.read_text()


def attempt(case: Case, at: int, told: Path) -> Callable[[], None]:
    """One publishing, killed or cut off at step `at` (0: never), that leaves its steps in `told`."""

    def work() -> None:
        if case.facts.way == "revision":
            soda.encode_change = lambda change, limit: None  # type: ignore[assignment]  # nothing fits
        opendatasoft.POLL_S = 0.1
        steps = Steps(at, case.facts.fault)
        steps.watch()
        try:
            case.publish()
        finally:
            told.write_text(json.dumps(steps.kinds))

    return work


def load_libraries() -> None:
    """Import once what every attempt would import in its own process."""
    import duckdb  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401


def main(facts: Facts) -> None:
    """Count the steps of an undisturbed publishing, then disturb it at each."""
    os.environ.update(facts.environment)
    load_libraries()
    folder = Path(facts.folder)
    folder.mkdir(parents=True, exist_ok=True)
    told, listed = folder / "told.txt", folder / "steps.json"
    undisturbed = cases.case(facts, 0)
    undisturbed.prepare()
    how = forked(attempt(undisturbed, 0, listed), told)
    kinds = json.loads(listed.read_text())
    print(json.dumps({"step": 0, "how": [how], "kinds": kinds, **undisturbed.found()}), flush=True)
    wanted = [number for number, kind in enumerate(kinds, 1)
              if facts.fault == "kill" or kind in ("send", "answer")]  # fmt: skip
    if facts.sample:
        wanted = wanted[len(wanted) // facts.sample - 1 :: max(1, len(wanted) // facts.sample)]
    for number in wanted:
        case = cases.case(facts, number)
        case.prepare()
        how_each = [forked(attempt(case, number, listed), told)]
        while how_each[-1] != "done" and len(how_each) < TRIES:
            how_each.append(forked(attempt(case, 0, listed), told))
        print(json.dumps({"step": number, "kind": kinds[number - 1], "how": how_each, **case.found()}),
              flush=True)  # fmt: skip
        shutil.rmtree(case.root)


if __name__ == "__main__":
    main(Facts(**json.loads(Path(sys.argv[1]).read_text())))
