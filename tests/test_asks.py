"""Asks and answers: how a step's kernel talks to its supervisor; step.json, which tells it what it is."""

from __future__ import annotations

import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ctnb import asks, stepfiles
from ctnb.errors import CtnbError, NameUnknown, PublishRefused
from ctnb.stepfiles import Step, TableRef


@pytest.fixture
def step(tmp_path: Path) -> Step:
    """A step whose files are written."""
    (tmp_path / "read").mkdir()
    made = Step(
        str(tmp_path), "sample", "20261121T110512Z-7f3a", "read", str(tmp_path), str(tmp_path / "read"), "local",
        table=TableRef("a.parquet", "sha256:1", "sha256:2"), parameters={"note": 'é"\n'}, secrets=("NAME",),
    )  # fmt: skip
    stepfiles.write_step(made)
    return made


def supervised(step: Step, reply: Any) -> threading.Thread:
    """A thread that answers the next ask of `step` with `reply`."""

    def serve() -> None:
        while not (pending := asks.pending(Path(step.folder))):
            time.sleep(0.002)
        if isinstance(reply, CtnbError):
            asks.answer_error(pending[0], reply)
        else:
            asks.answer(pending[0], {"said": stepfiles.read_json(pending[0]), "reply": reply})

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_question_gets_its_own_answer(step: Step) -> None:
    """One after the other, each with what was asked."""
    for reply in ("first", "second"):
        thread = supervised(step, reply)
        found = asks.ask(step, "review", table="a.parquet")
        thread.join()
        assert found == {"said": {"what": "review", "table": "a.parquet"}, "reply": reply}
    assert asks.pending(Path(step.folder)) == []


@pytest.mark.parametrize(
    "error", [PublishRefused("No.", hint="Do."), NameUnknown("portal", "stat", ["state"]), CtnbError("Odd.")]
)
def test_an_error_of_the_supervisor_is_raised_in_the_kernel(step: Step, error: CtnbError) -> None:
    """The same kind, the same text and the same exit code."""
    thread = supervised(step, error)
    with pytest.raises(type(error)) as caught:
        asks.ask(step, "publish")
    thread.join()
    assert (str(caught.value), caught.value.exit_code) == (str(error), error.exit_code)


def test_a_step_is_told_what_it_is(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reads what the supervisor wrote, and only their owner may."""
    assert stepfiles.current_step() is None
    monkeypatch.setenv("CTNB_STEP", str(step.path("step.json")))
    assert stepfiles.current_step() == step
    assert stat.S_IMODE(step.path("step.json").stat().st_mode) == 0o600


def test_what_an_earlier_attempt_left_is_taken_away(step: Step) -> None:
    """A step that is run again does not find old answers or an old result."""
    for name in ("asks/0001.json", "answers/0001.json", "result.json"):
        stepfiles.write_json(step.path(name), {})
    stepfiles.write_step(step)
    assert [path.name for path in Path(step.folder).rglob("*.json")] == ["step.json"]
