"""
ctnb's papermill engine.

papermill loads this module through its entry point `papermill.engine`. Loading it also makes it papermill's
default, for notebooks with `metadata.ctnb` alone: so `papermill templates/read.ipynb out.ipynb -p dataset
SLUG` is as safe as `ctnb run` without `--engine`, and every other notebook goes to nbclient unchanged.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from papermill.engines import NBClientEngine, papermill_engines

if TYPE_CHECKING:
    from ctnb.supervision import Supervisor
    from ctnb.templates import Template


class CtnbEngine(NBClientEngine):  # type: ignore[misc]  # papermill ships no types
    """Executes a step's notebook under ctnb's supervision, and any other notebook as papermill always did."""

    @classmethod
    def execute_notebook(
        cls, nb: Any, kernel_name: str, output_path: str | None = None, **options: Any
    ) -> Any:
        """
        Execute `nb`; a step's notebook joins or starts a run and leaves a record.

        Raises CtnbError with the exit code of the run's status; papermill's command line prints its one line.
        """
        if "ctnb" not in nb.metadata:
            return NBClientEngine.execute_notebook(nb, kernel_name, output_path=output_path, **options)
        supervisor = options.get("supervisor")
        if supervisor is not None:
            return _step_of_run(supervisor, nb, options["template"])
        return _plain(nb, output_path)


papermill_engines.register(None, CtnbEngine)


def _step_of_run(at: Supervisor, nb: Any, template: Template) -> Any:
    from ctnb.declarations import declared
    from ctnb.supervision import perform

    known = declared(nb)
    told = {"dataset": at.dataset.slug, "run": at.record.run, "source": at.source}
    given = {name: value for name, value in told.items() if name in known}
    perform(at, template.step, nb, origin=template.origin, digest=template.digest, given=given)
    if at.failure is not None:
        raise at.failure
    return nb  # without outputs: papermill raises for error outputs, quoting them, also for expected ones


def _plain(nb: Any, output_path: str | None) -> Any:
    """One step under plain papermill: a run of its own process, or the next step of an open one."""
    from ctnb import datasets, flows, leases, settings, withheld
    from ctnb.supervision import bare, check_parameters

    given = dict(nb.metadata.get("papermill", {}).get("parameters", {}))
    step = str(nb.metadata["ctnb"].get("step", ""))
    project = settings.project(_start_folder(nb))
    slug = str(check_parameters(nb, given, withheld.values(project)).get("dataset", ""))
    nb = bare(nb, given)
    dataset = datasets.dataset(slug, project.notebooks)
    with ExitStack() as stack:
        stack.enter_context(flows.hold_dataset(project, slug))
        leases.reap(project)
        at = _joined(stack, project, dataset, step, given)
        at.source = str(given.get("source", ""))
        made = nb
        with flows.ending_well(at):
            made = flows.one_step(at, step, nb, given)
        record = flows.finish(at)
        _write_output(made, output_path)
    print(f"ctnb: run {record.run} {record.status}. {record.reason}", file=sys.stderr)  # noqa: T201 - papermill's log
    if at.failure is not None:
        raise at.failure
    return _calm(made)


def _start_folder(nb: Any) -> Path | None:
    """Where to look for the project: where the notebook lies, unless the working folder is in one."""
    told = nb.metadata.get("papermill", {}).get("input_path")
    if os.environ.get("CTNB_PROJECT") or not told:
        return None
    here = Path.cwd()
    if any((folder / "ctnb.yml").is_file() for folder in (here, *here.parents)):
        return None
    return Path(told).resolve().parent


def _joined(stack: ExitStack, project: Any, dataset: Any, step: str, given: dict[str, Any]) -> Supervisor:
    """The run that a step under plain papermill belongs to: the newest open one; `read` starts a new one."""
    from ctnb import flows, records
    from ctnb.errors import NameUnknown, UsageError

    if step not in records.STEPS:
        raise NameUnknown("step", step, records.STEPS)
    told = str(given.get("run", ""))
    if step == "read" and not told:
        return flows.open_run(stack, project, dataset, how="papermill")
    mine = [
        r
        for r in records.all_records(project)
        if r.dataset == dataset.slug and r.status in ("open", "waiting")
    ]
    mine = [record for record in mine if not told or record.run == told]
    if not mine:
        raise UsageError(
            f"There is no open run of {dataset.slug} for the step {step} to join.",
            hint="Run the read notebook first; a run is open until it has published or failed.",
        )
    _check_order(mine[-1], step)
    return flows.join_run(stack, project, dataset, mine[-1])


def _check_order(record: Any, step: str) -> None:
    """Raise UsageError when a step before `step` is not done: the run stays open for it."""
    from ctnb import records
    from ctnb.errors import UsageError

    done = {one.step for one in record.steps if one.status == "completed"}
    for earlier in records.STEPS[: records.STEPS.index(step)]:
        if earlier not in done:
            raise UsageError(
                f"Run {record.run} has not done {earlier} yet, which comes before {step}.",
                hint=f"Execute {earlier}.ipynb first; the run stays open.",
            )


def _write_output(nb: Any, output_path: str | None) -> None:
    """papermill writes its output in place and only at the end; a local path is written whole, also on failure."""
    import nbformat

    from ctnb import documents

    if output_path and "://" not in output_path and output_path != "-":
        documents.write_text(Path(output_path), nbformat.writes(nb))


def _calm(nb: Any) -> Any:
    """`nb` with expected errors as text: papermill raises for error outputs, the supervisor has judged them."""
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [_calm_output(one) for one in cell.outputs]
            if cell.metadata.get("papermill", {}).get("status") == "completed":
                cell.metadata.papermill.exception = False
    return nb


def _calm_output(output: Any) -> Any:
    from nbformat.v4 import new_output

    if output.output_type != "error":
        return output
    said = f"{output.ename} was raised, as the cell expects\n"
    return new_output("stream", name="stdout", text=said)
