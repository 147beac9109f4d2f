"""
Supervising one step: a fresh kernel, the notebook in it, and a record of what really happened.

The supervisor runs no analyst's code. It alone writes run.json, computes the review that counts and sends.
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctnb import (
    answering,
    clock,
    declarations,
    documents,
    errors,
    guards,
    records,
    redaction,
    results,
    stepfiles,
    withheld,
)  # fmt: skip
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError, GuardTripped, NothingNew, StepCrashed, StepFailed, UsageError
from ctnb.kernels.execution import execute
from ctnb.kernels.outcomes import Limits, Outcome
from ctnb.kernels.pools import KernelPool
from ctnb.privacy.decisions import Decision
from ctnb.records import RunRecord, StepRecord
from ctnb.settings import Project
from ctnb.stepfiles import Step, TableRef

Progress = Callable[[str, Mapping[str, Any]], None]

PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "R_HOME",
    "R_LIBS", "R_LIBS_USER", "R_LIBS_SITE", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT",
    "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "NUMBER_OF_PROCESSORS", "PYTHONPATH",
)  # fmt: skip
"""The environment variables a kernel sees, beside those made for it: no credentials among them."""


@dataclass
class Supervisor:
    """One process at work on one run."""

    project: Project
    dataset: Dataset
    record: RunRecord
    pool: KernelPool | None = None
    progress: Progress = lambda kind, facts: None
    source: str = ""
    """A file to read in place of the contract's source."""
    dry_run: bool = False
    failure: CtnbError | None = None
    """Why the run ended, when it did not end well."""
    secrets: list[str] = field(default_factory=list)

    @property
    def work(self) -> Path:
        """The run's private work folder."""
        return self.project.work(self.record.run)

    @property
    def place(self) -> Path:
        """The record's folder."""
        return records.folder(self.project, self.dataset.slug, self.record.run)

    def folder(self, step: str) -> Path:
        """The private folder of one step."""
        return self.project.private_folder("work", self.record.run, step)

    def update(self, **changes: Any) -> None:
        """Change the record and write it."""
        self.record = records.write(self.project, self.record.model_copy(update=changes))

    def event(self, kind: str, facts: Mapping[str, Any] | None = None) -> None:
        """Note what happened, in the record and for whoever watches."""
        records.event(self.project, self.record, kind, facts)
        self.progress(kind, facts or {})

    def note_decision(self, decision: Decision) -> None:
        """Put the decision that counts into the record."""
        text = (
            json.dumps(decision.to_json(), indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"
        )
        documents.write_text(self.place / "decision.json", text)

    def step(self, name: str) -> StepRecord:
        """The record of step `name`; the last one, when it ran again."""
        return next(step for step in reversed(self.record.steps) if step.step == name)

    def update_step(self, name: str, **changes: Any) -> None:
        """Change the record of the last step called `name`."""
        steps = list(self.record.steps)
        place = max(i for i, step in enumerate(steps) if step.step == name)
        steps[place] = steps[place].model_copy(update=changes)
        self.update(steps=tuple(steps))

    def table_ref(self, step: str) -> TableRef | None:
        """The table that `step` wrote, with its plain digests."""
        path = self.folder(step) / "table.json"
        return TableRef(**stepfiles.read_json(path)) if path.is_file() else None

    def input_of(self, step: str) -> TableRef | None:
        """The table that `step` starts from."""
        if step == "read":
            return None
        return self.table_ref("read") if step == "transform" else self.table_ref("transform")


def perform(
    at: Supervisor, step: str, notebook: Any, *, origin: str, digest: str, given: Mapping[str, Any]
) -> Any:
    """
    Execute `notebook` as `step` of the run and return the executed notebook.

    `given` are parameters; they are checked before a kernel starts. On any failure the record says what
    happened, `at.failure` holds the error, and the notebook as far as it came is returned.
    Raises NameUnknown and UsageError for parameters, before the step is recorded.
    """
    values = check_parameters(notebook, given, at.secrets)
    prepared = _prepared(notebook, values, given)
    _begin(at, step, prepared, origin, digest)
    began = time.monotonic()
    outcome = _execute(at, step, prepared, values)
    _save(at, step, prepared)
    failure = _conclude(at, step, outcome)
    status = _step_status(outcome, failure)
    reason = "" if failure is None else failure.what if outcome.status != "crashed" else outcome.reason
    at.update_step(step, status=status, reason=reason, ended=clock.stamp())
    at.failure = failure
    at.event("step ended", {"step": step, "status": status, "seconds": round(time.monotonic() - began, 3)})
    return prepared


def _step_status(outcome: Outcome, failure: CtnbError | None) -> str:
    """What a step came to; a guard ends the run, not the step that handed over what it looked at."""
    if outcome.status != "completed":
        return outcome.status
    return "completed" if failure is None or isinstance(failure, (GuardTripped, NothingNew)) else "failed"


def check_parameters(notebook: Any, given: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """
    `given` over the defaults that `notebook` declares; `known` are the secrets that none may hold.

    Raises NameUnknown, UsageError.
    """
    values = declarations.check(given, declarations.declared(notebook))
    for name, value in values.items():
        text = json.dumps(value, ensure_ascii=False, default=str)
        if any(secret and json.dumps(secret, ensure_ascii=False)[1:-1] in text for secret in known):
            raise UsageError(
                f"Parameter '{name}' holds a secret.",
                hint="Name secrets in ctnb.yml; they are never parameters.",
            )
    return values


def _prepared(notebook: Any, values: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """A copy of `notebook` without outputs, with the one cell that loads the parameters."""
    import nbformat

    made = bare(notebook, given)
    tagged = [i for i, c in enumerate(made.cells) if declarations.TAG in c.metadata.get("tags", [])]
    loads = nbformat.v4.new_code_cell(declarations.CELL_SOURCE, id=declarations.CELL_ID)
    loads.metadata["tags"] = [declarations.INJECTED_TAG]
    if values:
        made.cells.insert((tagged[0] + 1) if tagged else 0, loads)
    return made


def bare(notebook: Any, given: Mapping[str, Any]) -> Any:
    """A copy of `notebook` without outputs, without papermill's cell of parameters and without their values."""
    made = copy.deepcopy(notebook)
    made.cells = [c for c in made.cells if declarations.INJECTED_TAG not in c.metadata.get("tags", [])]
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    told = {
        name: value if not value or name in ("dataset", "run") else "(given)" for name, value in given.items()
    }
    kept = made.metadata.get("papermill", {})
    made.metadata["papermill"] = {**kept, "parameters": told}
    for name in ("input_path", "output_path"):
        if made.metadata.papermill.get(name):
            made.metadata.papermill[name] = Path(str(made.metadata.papermill[name])).name
    return made


def _begin(at: Supervisor, step: str, notebook: Any, origin: str, digest: str) -> None:
    kernel = str(notebook.metadata.get("kernelspec", {}).get("name", "python3"))
    number = records.STEPS.index(step) + 1
    made = StepRecord(
        step=step, status="running", started=clock.stamp(), notebook=f"{number}-{step}.ipynb", template=origin,
        template_digest=digest, kernel=kernel,
    )  # fmt: skip
    earlier = records.STEPS[: number - 1]
    kept = tuple(one for one in at.record.steps if one.step in earlier)
    at.update(status="running", steps=(*kept, made), **_taken_back(at, step))
    at.event("step started", {"step": step})


def _taken_back(at: Supervisor, step: str) -> dict[str, None]:
    """What the record said of `step` and of the steps after it: done again, their tables are others."""
    for later in records.STEPS[records.STEPS.index(step) :]:
        (at.folder(later) / "table.json").unlink(missing_ok=True)
    facts = {"read": ("read", "transform", "review"), "transform": ("transform", "review")}
    return dict.fromkeys(facts.get(step, ()))


def _execute(at: Supervisor, step: str, notebook: Any, values: Mapping[str, Any]) -> Outcome:
    folder = at.folder(step)
    for name in ("failure.json", "rejects.json"):
        (folder / name).unlink(missing_ok=True)
    told = Step(
        project=str(at.project.root), dataset=at.dataset.slug, run=at.record.run, step=step, work=str(at.work),
        folder=str(folder), portal=at.record.portal, source=at.source, table=at.input_of(step),
        parameters=dict(values), secrets=tuple(withheld.names(at.project, at.dataset)),
    )  # fmt: skip
    path = stepfiles.write_step(told)
    limits = at.project.settings.runs
    return execute(
        notebook, kernel_name=at.step(step).kernel, cwd=at.dataset.folder, env=_environment(at.work, path),
        limits=Limits(cell_s=limits.cell_timeout_s, run_s=limits.run_timeout_s), secrets=at.secrets,
        log_path=folder / "kernel.log", save=lambda nb: _autosave(folder, nb),
        event=lambda kind, facts: _event(at, step, kind, facts),
        tick=lambda: answering.answer_pending(at, step), pool=at.pool,
    )  # fmt: skip


def _event(at: Supervisor, step: str, kind: str, facts: Mapping[str, Any]) -> None:
    """Note what a kernel did; while it works, the next step's kernel is made ready."""
    at.event(kind.replace("_", " "), {"step": step, **facts})
    if kind == "kernel_started" and at.pool and step != records.STEPS[-1]:
        at.pool.prepare()


def _environment(work: Path, step: Path) -> dict[str, str]:
    """A kernel's whole environment."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    scratch = work / "tmp"
    for folder in (scratch, work / "ipython"):
        folder.mkdir(mode=0o700, exist_ok=True)
    made = {
        stepfiles.ENVIRONMENT: str(step), "TMPDIR": str(scratch), "TMP": str(scratch), "TEMP": str(scratch),
        "IPYTHONDIR": str(work / "ipython"), "MPLCONFIGDIR": str(work / "ipython"), "TZ": "UTC",
        "LANG": passed.get("LANG", "C.UTF-8"), "PYTHONUTF8": "1", "RPY2_CFFI_MODE": "ABI",
        "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    if "CTNB_NOW" in os.environ:
        made["CTNB_NOW"] = os.environ["CTNB_NOW"]
    return {**passed, **made}


def _autosave(folder: Path, notebook: Any) -> None:
    """The notebook so far goes to the private folder: it has not been redacted yet."""
    import nbformat

    documents.write_text(folder / "autosave.ipynb", nbformat.writes(notebook), mode=0o600)


def _save(at: Supervisor, step: str, notebook: Any) -> None:
    """The executed notebook goes into the record, once its outputs are redacted."""
    import nbformat

    redact = redaction.redactor([at.folder(name) for name in records.STEPS])
    redaction.redact_outputs(notebook, redact)
    if step == "read" and not (at.folder("read") / redaction.READ_TABLE).is_file():
        redaction.withhold_printed(notebook)
    documents.write_text(at.place / at.step(step).notebook, nbformat.writes(notebook) + "\n")
    with suppress(FileNotFoundError):
        (at.folder(step) / "autosave.ipynb").unlink()


def _conclude(at: Supervisor, step: str, outcome: Outcome) -> CtnbError | None:
    """What the step came to; the facts go into the record."""
    if outcome.status != "completed":
        results.note_rejects(at, step)
        return _failure(at, step, outcome)
    try:
        results.take(at, step)
        guards.check(at, step)
    except CtnbError as error:
        return error
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        answering.log_mistake(at, step, error)  # a kernel may write anything; the text may quote it
    else:
        return None
    return StepFailed(
        f"Step {step} left a result that cannot be used.",
        hint="Close it with ctnb.done(...), and write nothing by hand.",
    )


def _failure(at: Supervisor, step: str, outcome: Outcome) -> CtnbError:
    if outcome.status == "interrupted":
        ended = errors.Terminated if outcome.signal == "SIGTERM" else errors.Interrupted
        how = "it was asked to end (SIGTERM)" if outcome.signal == "SIGTERM" else "Ctrl-C"
        return ended(f"The run was interrupted in step {step.replace('_', ' ')}: {how}.")
    said = stepfiles.read_told(at.folder(step) / "failure.json")
    own = outcome.status == "failed" and "kind" in said and said["kind"] == outcome.exception_name
    redact = redaction.redactor([at.folder(name) for name in records.STEPS])
    if own and (error := _own_error(said, redact)):
        return error
    hint = f"The whole text is in {at.folder(step) / 'kernel.log'}, which only you can read."
    kind = StepCrashed if outcome.status == "crashed" else StepFailed
    return kind(f"Step {step}: {outcome.reason}.".replace("..", "."), hint=hint)


def _own_error(said: Mapping[str, Any], redact: redaction.Redactor) -> CtnbError | None:
    """An error of ctnb's own that the kernel raised, its words redacted; None for any other."""
    kind = getattr(errors, str(said["kind"]), None)
    if not isinstance(kind, type) or not issubclass(kind, CtnbError) or issubclass(kind, errors.Interrupted):
        return None
    made: CtnbError = kind.__new__(kind)
    CtnbError.__init__(made, redact(str(said.get("what", ""))), hint=redact(str(said.get("hint", ""))))
    return made
