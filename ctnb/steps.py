"""
What a notebook calls: `ctnb.dataset`, `read`, `table`, `transform`, `review`, `plan`, `publish`, `show`, `done`.

In a step the kernel was told who it is (`CTNB_STEP`); it asks the supervisor to review and to send. Without
that it is a draft: things go to `.ctnb/drafts/`, nothing to `runs/` or the ledger, and publishing reaches the
embedded portal only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ctnb import asks, datasets, settings, stepfiles, tables
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError, TooManyRejects, UsageError
from ctnb.settings import Project
from ctnb.stepfiles import Step
from ctnb.tables import Table

if TYPE_CHECKING:
    import pandas as pd

    from ctnb.places.fetching import Gathered
    from ctnb.portals.plans import Plan, Receipt
    from ctnb.privacy.reviews import Review
    from ctnb.reads import Reading
    from ctnb.transforms.apply import Transformed

Given = ParamSpec("Given")
Made = TypeVar("Made")


@dataclass
class Desk:
    """What this kernel knows about its own work; one per process."""

    step: Step | None
    project: Project
    readings: dict[str, Reading] = field(default_factory=dict)
    """By the digest of the table that came out."""
    transformed: dict[str, Transformed] = field(default_factory=dict)
    """By the digest of the table that came out."""

    def folder(self, dataset: str) -> Path:
        """Where this kernel writes: the step's folder, or the dataset's drafts."""
        return Path(self.step.folder) if self.step else self.project.private_folder("drafts", dataset)


_desk: Desk | None = None


def desk() -> Desk:
    """This kernel's desk."""
    global _desk
    if _desk is None:
        step = stepfiles.current_step()
        _desk = Desk(step, settings.load(Path(step.project)) if step else settings.project())
    return _desk


def noted(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """Leave the text of ctnb's own errors, which is safe, where the supervisor finds it."""

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        try:
            return function(*args, **kwargs)
        except CtnbError as error:
            _note_failure(error)
            raise

    return call


@noted
def parameters() -> dict[str, Any]:
    """The parameters this step was started with; none in a draft."""
    step = desk().step
    return dict(step.parameters) if step else {}


@noted
def dataset(slug: str = "") -> Dataset:
    """
    The dataset `slug`; in a step, the step's own.

    An empty slug in a draft means the dataset in whose folder the notebook lies. Raises UsageError, NameUnknown,
    ContractInvalid.
    """
    at = desk()
    if at.step and slug not in ("", at.step.dataset):
        raise UsageError(
            f"This step belongs to the dataset '{at.step.dataset}'.", hint="Start a run for the other one."
        )
    slug = at.step.dataset if at.step else slug or _slug_here(at.project)
    return datasets.dataset(slug, at.project.notebooks)


@noted
def read(ds: Dataset, *, source: str = "") -> Table:
    """
    Read the dataset's source, or the file `source` in its place, into a table.

    In a step the supervisor fetches it, who has the credentials; in a draft this process does. Raises
    SourceInvalid, SourceFailed, TooManyRejects, NothingNew.
    """
    from ctnb import reads

    at = desk()
    gathered = _gather(at, ds, source or (at.step.source if at.step else ""))
    try:
        run = at.step.run if at.step else "draft"
        reading = reads.read(ds, gathered, at.folder(ds.slug), run=run)
    except TooManyRejects as trouble:
        _note_rejects(at, trouble)
        raise
    at.readings[reading.table.digest] = reading
    return reading.table


@noted
def table(ds: Dataset | None = None) -> Table:
    """
    The step's input, its digests checked; in a draft the newest table of the dataset's drafts.

    Raises UsageError when there is none yet, RecordBroken when it changed since it was written.
    """
    at = desk()
    if at.step:
        if at.step.table is None:
            raise UsageError("This step has no input.", hint="Run the steps before it first.")
        ref = at.step.table
        return tables.open_table(Path(ref.path), file_digest=ref.file_digest, digest=ref.digest)
    ds = ds or dataset()
    drafts = [at.folder(ds.slug) / name for name in ("transform.parquet", "read.parquet")]
    present = [path for path in drafts if path.is_file()]
    if not present:
        raise UsageError(f"There is no draft table of {ds.slug} yet.", hint="Run the read notebook first.")
    return tables.open_table(max(present, key=lambda path: path.stat().st_mtime_ns))


@noted
def transform(given: Table | pd.DataFrame, ds: Dataset) -> Table:
    """
    Apply the dataset's script and rules to a table; or, given a DataFrame, the rules alone.

    Raises TransformInvalid, AccountOpen, StepFailed (the script's own error, named without its message).
    """
    from ctnb.transforms import apply

    at = desk()
    if isinstance(given, Table):
        done_so_far = apply.transform(given, ds, at.folder(ds.slug))
    else:
        done_so_far = apply.finish(given, _read_table(at, ds), ds, at.folder(ds.slug))
    at.transformed[done_so_far.table.digest] = done_so_far
    return done_so_far.table


@noted
def review(given: Table, ds: Dataset) -> Review:
    """The privacy review of a table: in a step the supervisor's, in a draft computed here. Nothing is raised."""
    from ctnb.privacy.reviews import Review

    at = desk()
    if at.step:
        return Review.from_json(asks.ask(at.step, "review", digest=given.digest))
    from ctnb import attachments, reviewing

    changes = tuple(change for reading in at.readings.values() for change in reading.drift)
    work = at.folder(ds.slug)
    copies = attachments.gather(at.project, ds, work)
    return reviewing.review(
        at.project, ds, given, run="draft", portal="local", changes=changes, work=work,
        attachments=attachments.said(copies, at.project.key),
    )  # fmt: skip


@noted
def plan(given: Table, ds: Dataset) -> Plan:
    """What publishing the table would change on the portal. Writes nothing."""
    from ctnb.portals import plans

    at = desk()
    if at.step:
        return plans.plan_from_json(asks.ask(at.step, "plan", digest=given.digest))
    from ctnb import attachments, publishing

    copies = attachments.gather(at.project, ds, at.folder(ds.slug))
    return publishing.draft_plan(at.project, ds, given, copies)


@noted
def publish(given: Table, reviewed: Review) -> Receipt:
    """
    Publish the table under its review.

    In a step the supervisor sends, reads back and compares. In a draft it reaches the embedded portal only,
    and only when the review is clear; otherwise nothing is sent and the receipt says why.
    Raises ReviewNotCleared, PublishRefused, PortalFailed.
    """
    from ctnb.portals import plans

    at = desk()
    if at.step:
        return plans.receipt_from_json(
            asks.ask(at.step, "publish", digest=given.digest, review=reviewed.digest)
        )
    from ctnb import attachments, publishing

    ds = datasets.dataset(reviewed.dataset, at.project.notebooks)
    copies = attachments.of_review(reviewed.attachments, at.folder(ds.slug), at.project.key)
    return publishing.draft_publish(at.project, ds, given, reviewed, copies)


def show(thing: Any, what: str = "") -> None:
    """Show counts and names, never values, of what a step made; these stay in the record."""
    from ctnb import displays

    displays.show(thing, what, desk())


@noted
def done(thing: Any) -> None:
    """Close the step: hand its result to the supervisor and show the closing counts."""
    from ctnb import displays

    at = desk()
    if at.step:
        stepfiles.write_json(at.step.path("result.json"), _result(at, thing))
    displays.show(thing, "closing", at)


def _result(at: Desk, thing: Any) -> dict[str, Any]:
    """What the kernel says it did; the supervisor checks it."""
    made: dict[str, Any] = {"format": 1}
    if isinstance(thing, Table):
        made["table"] = {"path": str(thing.path), "file_digest": thing.file_digest, "digest": thing.digest}
        if thing.digest in at.readings:
            made["read"] = _reading_facts(at.readings[thing.digest])
        if thing.digest in at.transformed:
            made["transform"] = _transform_facts(at.transformed[thing.digest])
    return made


def _read_table(at: Desk, ds: Dataset) -> Table:
    """The table that a DataFrame was made from: the step's input, or the draft that was read."""
    if at.step:
        return table(ds)
    return tables.open_table(at.folder(ds.slug) / "read.parquet")


def _gather(at: Desk, ds: Dataset, told: str) -> Gathered:
    """What there is to read: fetched by the supervisor, or in a draft here."""
    from ctnb.places import fetching

    if at.step:
        return fetching.gathered_from_json(asks.ask(at.step, "fetch", source=told))
    from ctnb import gathering
    from ctnb.bars import Bar

    with Bar() as bar:
        return gathering.gather(at.project, ds, at.folder(ds.slug), told=told, progress=bar.show)


def _reading_facts(reading: Reading) -> dict[str, Any]:
    return {
        "encoding": reading.encoding, "rows_read": reading.rows_read, "rows_rejected": reading.rows_rejected,
        "rejects": [asdict(one) for one in reading.rejects], "left_out": dict(reading.left_out),
        "columns": [asdict(one) for one in reading.columns], "nulled": [asdict(one) for one in reading.nulled],
        "joins": [asdict(one) for one in reading.joins], "notes": list(reading.notes),
        "drift": [one.model_dump(mode="json") for one in reading.drift],
    }  # fmt: skip


def _transform_facts(made: Transformed) -> dict[str, Any]:
    return {
        "how": made.how, "script_digest": made.script_digest, "rows_in": made.rows_in, "rows_out": made.rows_out,
        "added": dict(made.added), "removed": dict(made.removed), "suppressed": dict(made.suppressed),
        "repaired": {column: dict(kinds) for column, kinds in made.repaired.items()}, "counted": made.counted,
        "accounted": made.accounted,
    }  # fmt: skip


def _note_rejects(at: Desk, trouble: TooManyRejects) -> None:
    """Leave the counts of a refused reading where the supervisor finds them."""
    if at.step:
        facts = {
            "rows_read": trouble.facts["total"], "rows_rejected": trouble.facts["rejected"],
            "rejects": [asdict(one) for one in trouble.facts["counts"]],
        }  # fmt: skip
        stepfiles.write_json(at.step.path("rejects.json"), facts)


def _note_failure(error: CtnbError) -> None:
    step = desk().step
    if step:
        told = {
            "kind": type(error).__name__,
            "what": error.what,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        stepfiles.write_json(step.path("failure.json"), told)


def _slug_here(project: Project) -> str:
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if folder.parent == project.notebooks:
            return folder.name
    raise UsageError(
        "Which dataset? This notebook lies in no dataset's folder.", hint='Set dataset = "its-slug".'
    )
