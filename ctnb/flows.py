"""
Flows: the steps of one dataset, in order, as one run with a record.

A waiting run ends its process; after a decision the same run goes on at publish. Running a finished run's
steps again is a new run with a parent. A newer run expires an older one that waits.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import nbformat

from ctnb import (
    answering,
    clock,
    datasets,
    guards,
    leases,
    papermills,
    records,
    rendering,
    settings,
    templates,
    withheld,
)
from ctnb.contracts.publication import WHOLE
from ctnb.datasets import Dataset
from ctnb.errors import (
    ApprovalAwaited,
    CtnbError,
    Interrupted,
    NameUnknown,
    ReviewNotCleared,
    Terminated,
    UsageError,
)
from ctnb.kernels.pools import KernelPool
from ctnb.locks import hold
from ctnb.privacy import decisions
from ctnb.privacy.decisions import Clearance
from ctnb.privacy.reviews import Review
from ctnb.records import STEPS, ReleaseFacts, RunRecord
from ctnb.settings import Project
from ctnb.supervision import Progress, Supervisor, perform

LOCK_S = 10.0
SCHEDULED = ("ctnb run", "ctnb restore", "papermill")
"""Runs at whose end the portal's own schedule is looked at; records that are pushed come too often for that."""

LATER = (
    "ctnb.engine", "duckdb", "pyarrow.parquet", "mistune", "pygments.formatters", "pygments.lexers.python",
)  # fmt: skip
"""What every run needs between its first kernel and its report."""


def load() -> None:
    """Import what a run needs later: nothing is lost where its first kernel has to be waited for."""
    papermills.execute_notebook()
    for name in LATER:
        import_module(name)


def run(
    slug: str, *, project: Project | None = None, to: str | None = None, from_step: str = "read",
    run: str | None = None, source: str = "", portal: str = "", dry_run: bool = False,
    overrides: Iterable[tuple[str, str]] = (), replay_rejects: str = "", progress: Progress | None = None,
    pool: KernelPool | None = None,
) -> RunRecord:  # fmt: skip
    """
    Run the steps of dataset `slug` and return the sealed record, whatever its status.

    `to` ends a rehearsal after that step, `dry_run` plans without sending. `from_step` with `run` goes on with
    a waiting run at publish, or starts a new run from a finished one's tables. `source` is read in place of
    the contract's, `portal` is published to in place of the dataset's. `overrides` are guards that do not count
    for this run, each with its reason. `replay_rejects` is a run of which what was set aside is read again.
    Raises UsageError, NameUnknown, ContractInvalid, SettingsInvalid, LockHeld before anything is recorded.
    """
    project = project or settings.project()
    for step in filter(None, (to, from_step)):
        if step not in STEPS:
            raise NameUnknown("step", step, STEPS)
    dataset = datasets.dataset(slug, project.notebooks)
    project.portal(portal or dataset.contract.portal.name)
    passed = guards.taken(overrides)
    if replay_rejects and (source or run or from_step != "read"):
        raise UsageError(
            "--replay-rejects begins a run of its own: it goes with no --source, --from or --run."
        )
    with ExitStack() as stack:
        stack.enter_context(hold_dataset(project, slug))
        leases.reap(project)
        if replay_rejects:
            at = _replaying(stack, project, dataset, replay_rejects, portal)
        else:
            at = _supervisor(stack, project, dataset, from_step, run, source, portal)
        at.progress, at.dry_run = progress or at.progress, dry_run
        at.pool = pool or stack.enter_context(KernelPool())
        at.update(
            to=to, dry_run=dry_run, status="running", ended=None, overrides=(*at.record.overrides, *passed)
        )  # fmt: skip
        with ending_well(at):
            _steps(at, from_step, to)
        return finish(at)


@contextmanager
def ending_well(at: Supervisor) -> Iterator[None]:
    """Ctrl-C and SIGTERM between cells end the run as the record says, not the process alone."""

    def terminate(number: int, frame: object) -> None:
        raise Terminated("The run was asked to end (SIGTERM).")

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, terminate) if main else None
    try:
        yield
    except CtnbError as error:
        at.failure = error
    except KeyboardInterrupt:
        at.failure = Interrupted("The run was interrupted (Ctrl-C).")
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
        _close_steps(at)


def _close_steps(at: Supervisor) -> None:
    """No step stays `running` in the record of a run that ended."""
    for step in at.record.steps:
        if step.status == "running":
            reason = at.failure.what if at.failure else ""
            at.update_step(step.step, status="interrupted", reason=reason, ended=clock.stamp())


@contextmanager
def hold_dataset(project: Project, slug: str) -> Iterator[None]:
    """Hold the lock of one dataset: its runs never overlap."""
    with hold(project.private_folder("locks") / f"dataset-{slug}.lock", LOCK_S):
        yield


def open_run(
    stack: ExitStack,
    project: Project,
    dataset: Dataset,
    *,
    how: str,
    portal: str = "",
    source: str = "",
    parent: str | None = None,
) -> Supervisor:
    """Start a new run of `dataset`, its lease held by `stack`; older runs that wait or are open end now."""
    refuse_unfinished(project, dataset)
    expire_older(project, dataset.slug)
    return begin_run(stack, project, dataset, how=how, portal=portal, source=source, parent=parent)


def begin_run(
    stack: ExitStack, project: Project, dataset: Dataset, *, how: str, portal: str = "", source: str = "",
    parent: str | None = None,
) -> Supervisor:  # fmt: skip
    """Start a new run of `dataset`, its lease held by `stack`, whatever older runs wait for."""
    run = records.new_run()
    stack.enter_context(leases.held(project, run))
    record = RunRecord(
        run=run, dataset=dataset.slug, title=dataset.contract.title, status="running",
        by=decisions.whoami(), host=records.host(), how=how, started=clock.stamp(), parent=parent,
        portal=portal or dataset.contract.portal.name, contract_digest=dataset.fingerprint,
        settings_digest=project.fingerprint, versions=records.versions(),
    )  # fmt: skip
    records.write(project, record)
    at = Supervisor(project, dataset, record, source=source, secrets=withheld.values(project, dataset))
    at.event("run started", {"how": how})
    return at


def join_run(stack: ExitStack, project: Project, dataset: Dataset, record: RunRecord) -> Supervisor:
    """Go on with a run that waits or is open; one that restores replaces all rows, as it began to."""
    stack.enter_context(leases.held(project, record.run))
    dataset = datasets.whole(dataset) if record.restores else dataset
    return Supervisor(project, dataset, record, secrets=withheld.values(project, dataset))


def refuse_unfinished(project: Project, dataset: Dataset) -> None:
    """
    Raise UsageError when an earlier run was interrupted while it appended, or its draft waits to be opened.

    Whether its rows arrived is only known by going on with that run; a new one could append them twice. A new run
    would also end the one that waits, and then add to rows that nobody can decide about any more.
    """
    adds = dataset.contract.portal.mode not in WHOLE
    for record in records.all_records(project):
        if record.dataset == dataset.slug and record.status == "waiting" and record.draft and adds:
            raise UsageError(
                f"The rows of run {record.run} are a private draft on {record.portal}, which waits for a decision.",
                hint=f'Decide first: ctnb decide {record.run} approve --reason "..."',
            )
        unfinished = record.status == "interrupted" and record.send and not record.release
        if record.dataset == dataset.slug and unfinished and record.send and record.send.mode == "append":
            raise UsageError(
                f"Run {record.run} was interrupted while it appended; its rows may have arrived.",
                hint=f"Go on with it first: ctnb run {dataset.slug} --from publish --run {record.run}",
            )


def expire_older(project: Project, slug: str) -> None:
    """End the runs of dataset `slug` that wait for a decision or are open: a newer one begins."""
    for record in records.all_records(project):
        if record.dataset == slug and record.status in ("waiting", "open"):
            with leases.held(project, record.run):
                _expire(project, records.find(project, record.run))


def _expire(project: Project, record: RunRecord) -> None:
    if record.status not in ("waiting", "open"):
        return  # somebody decided while its lease was waited for
    ended = record.model_copy(
        update={
            "status": "expired" if record.status == "waiting" else "interrupted", "ended": clock.stamp(),
            "reason": "A newer run of the dataset began.", "next": "", "exit_code": 1,
        }
    )  # fmt: skip
    rendering.render(project, ended)
    records.seal(project, records.write(project, ended))


def publish_alone(at: Supervisor) -> RunRecord:
    """Perform the publish step of a run whose table was brought from elsewhere, and end the run."""
    with ending_well(at):
        _steps(at, "publish", None)
    return finish(at)


def one_step(at: Supervisor, step: str, notebook: Any, given: Mapping[str, Any]) -> Any:
    """
    Perform one step with a `notebook` that somebody gave to papermill; returns the executed notebook.

    Publishing is refused before a kernel starts unless the review is cleared: then `at.failure` says why.
    """
    if step == "publish" and not at.dry_run and _not_cleared(at):
        return notebook
    digest = templates.digest(json.loads(nbformat.writes(notebook)))
    made = perform(at, step, notebook, origin="path", digest=digest, given=given)
    if step == "privacy_review" and at.failure is None:
        _not_cleared(at)  # a schedule's next call must not begin: this one says so by its exit code
    return made


def finish(at: Supervisor) -> RunRecord:
    """Give the run its status, render its pages, seal it and return the record."""
    status, reason, following, code = _verdict(at)
    try:
        answering.settle(at)
    except CtnbError as error:  # the run is what it is; the next fetch tries again
        following = following or f"{error.what} {error.hint}"
        at.event("files not moved", {"why": error.what})
    if at.record.how in SCHEDULED and (off := answering.keep_schedule(at)):
        following = f"{following} {off}".strip()
    ended = None if status in ("waiting", "open") else clock.stamp()
    at.update(status=status, reason=reason, next=following, exit_code=code, ended=ended)
    at.event("run ended" if ended else "run waits", {"status": status})
    if status != "open":
        rendering.render(at.project, at.record)
        at.record = records.seal(at.project, at.record)
    return at.record


def _supervisor(
    stack: ExitStack,
    project: Project,
    dataset: Dataset,
    from_step: str,
    run: str | None,
    source: str,
    portal: str,
) -> Supervisor:
    if run is None:
        if from_step != "read":
            raise UsageError(
                f"--from {from_step} needs --run.", hint="Name the run to go on with: ctnb runs list"
            )
        return open_run(stack, project, dataset, how="ctnb run", portal=portal, source=source)
    record = records.find(project, run)
    if record.dataset != dataset.slug:
        raise UsageError(f"Run {record.run} belongs to the dataset '{record.dataset}'.")
    if from_step == "publish" and (record.status == "waiting" or _may_have_sent(record)):
        return join_run(stack, project, dataset, record)
    return _child(stack, project, dataset, record, from_step, source, portal)


def _replaying(stack: ExitStack, project: Project, dataset: Dataset, run: str, portal: str) -> Supervisor:
    """A new run whose source is what another run set aside."""
    portal = portal or dataset.contract.portal.name
    from ctnb import replays  # rare, and it brings all of reading with it

    found = replays.plan(project, dataset, run, portal)
    at = open_run(stack, project, dataset, how="ctnb run", portal=portal, parent=found.run)
    at.update(replay=found.kind)
    return at


def _may_have_sent(record: RunRecord) -> bool:
    """Whether `record` ended while it sent, so that only going on with it can tell what arrived."""
    if record.send is None or record.release:
        return False
    return record.status == "interrupted" or (
        record.send.mode == "append" and record.status in ("failed", "crashed")
    )


def _child(
    stack: ExitStack,
    project: Project,
    dataset: Dataset,
    parent: RunRecord,
    from_step: str,
    source: str,
    portal: str,
) -> Supervisor:
    """A new run that starts from the tables of a finished one."""
    at = open_run(stack, project, dataset, how="ctnb run", portal=portal, source=source, parent=parent.run)
    earlier = STEPS[: STEPS.index(from_step)]
    for step in (name for name in earlier if name in ("read", "transform")):
        _bring(project, at, parent, step)
    if "privacy_review" in earlier:
        answering.review_that_counts(at)
    return at


def _bring(project: Project, at: Supervisor, parent: RunRecord, step: str) -> None:
    ref = project.private_folder("work", parent.run, step) / "table.json"
    if not ref.is_file():
        raise UsageError(
            f"Run {parent.run} has no table of step {step} any more.", hint="Run the dataset again from read."
        )
    shutil.copyfile(ref, at.folder(step) / "table.json")
    fetched = ref.with_name(answering.FETCHED)
    if fetched.is_file():
        shutil.copyfile(fetched, at.folder(step) / answering.FETCHED)
    done = next(one for one in parent.steps if one.step == step)
    notebook = records.folder(project, parent.dataset, parent.run) / done.notebook
    shutil.copyfile(notebook, at.place / done.notebook)
    at.update(steps=(*at.record.steps, done), **{step: getattr(parent, step)})


def _steps(at: Supervisor, from_step: str, to: str | None) -> None:
    if at.record.parent and not at.record.restores:
        for brought in STEPS[: STEPS.index(from_step)]:
            guards.check(at, brought)
    for step in STEPS[STEPS.index(from_step) :]:
        if step == "publish" and not at.dry_run and _not_cleared(at):
            return
        try:
            _execute(at, templates.look_up(at.project, at.dataset, step))
        except CtnbError as error:  # a parameter or the portal's settings: the step never began
            at.failure = error
        if at.failure or step == to:
            return


def _execute(at: Supervisor, template: templates.Template) -> None:
    """Execute `template` by papermill, whose entry point finds ctnb's engine; the record's copy is the engine's."""
    papermills.execute_notebook()(
        str(template.path), None, engine_name="ctnb", progress_bar=False, supervisor=at, template=template
    )


def _not_cleared(at: Supervisor) -> bool:
    """Whether publishing must not begin; `at.failure` then says why."""
    try:
        review = answering.review_that_counts(at)
        found = answering.clearance(at, review)
    except CtnbError as error:
        at.failure = error
        return True
    if found.cleared:
        return False
    at.failure = ReviewNotCleared(_why_held(review, found), state=found.state)
    return True


def _why_held(review: Review, found: Clearance) -> str:
    """Why a review is not cleared, with what waits in it."""
    waiting = sum(finding.severity == "wait" for finding in review.findings)
    if found.state != "waiting" or not waiting:
        return found.why
    return f"{waiting} finding{'s wait' if waiting > 1 else ' waits'} for a decision. {found.why}"


def _verdict(at: Supervisor) -> tuple[str, str, str, int]:
    """Status, reason, what to do next, and exit code."""
    error, slug, run = at.failure, at.dataset.slug, at.record.run
    if isinstance(error, ReviewNotCleared):
        return _held_back(at, error)
    if isinstance(error, ApprovalAwaited):
        return "waiting", error.what, f"{error.hint} ctnb run {slug} --from publish --run {run}", 1
    if error is not None:
        status = {5: "stopped", 130: "interrupted", 143: "interrupted"}.get(error.exit_code, "failed")
        step = at.record.steps[-1] if at.record.steps else None
        if step and step.status == "crashed":
            status = "crashed"
        return (
            status,
            error.what,
            error.hint or f"Start it again: ctnb run {slug}",
            error.exit_code,
        )
    if at.record.release:
        release = at.record.release
        return "released", f"{release.rows_after:,} rows on {release.portal}, read back and equal.", "", 0
    if at.record.draft and not (at.record.to or at.dry_run):
        return _draft_waits(at.record, at.record.draft)
    if at.record.to or at.dry_run:
        stops = at.dry_run and at.record.plan and at.record.plan.problems
        then = "A run would stop there: settle the problems that the plan names." if stops else ""
        return "rehearsed", "A rehearsal: nothing was sent.", then or f"For real: ctnb run {slug}", 0
    return "open", f"Steps done: {len(at.record.steps)}.", f"The next notebook joins run {run}.", 0


def _draft_waits(record: RunRecord, draft: ReleaseFacts) -> tuple[str, str, str, int]:
    """The verdict of a run whose rows are on the portal and not open to everybody yet."""
    why = (
        f"{draft.rows_after:,} rows are a private draft on {draft.portal}, read back and equal; nobody has decided yet "
        "that they may be public."
    )
    run, slug = record.run, record.dataset
    decide = f"ctnb decide {run} approve --reason ...; then: ctnb run {slug} --from publish --run {run}"
    return "waiting", why, f"Look at {draft.url}, then decide: {decide}", 1


def _held_back(at: Supervisor, error: ReviewNotCleared) -> tuple[str, str, str, int]:
    state, slug, run = getattr(error, "state", "blocked"), at.dataset.slug, at.record.run
    if state in ("refused", "blocked"):
        return state, error.what, f"Change the transform or the contract, then: ctnb run {slug}", 1
    decide = (
        f"Decide: ctnb decide {run} approve --reason ...; then: ctnb run {slug} --from publish --run {run}"
    )
    return "waiting", error.what, decide, 1
