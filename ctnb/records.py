"""
Records: what a run leaves in `runs/<dataset>/<run>/`.

`run.json` is written by the supervisor alone, when something happens, whole or not at all. A seal lists every
file of the record with its digest in run.json and puts the digest of run.json into the ledger; the sealed
form is kept beside it as `seals/<n>.json`, so that a run which waits and goes on can still be verified at
each seal.
"""

from __future__ import annotations

import json
import platform
import re
import secrets
import zlib
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from ctnb import clock, documents, ledger
from ctnb.digests import canonical_json, of_bytes, of_file
from ctnb.drift.headers import HeaderChange
from ctnb.errors import NameUnknown, RecordBroken
from ctnb.privacy.decisions import Person
from ctnb.settings import Project

STEPS = ("read", "transform", "privacy_review", "publish")
LINES = "lines.json"
TEXTS = (".json", ".jsonl", ".ipynb", ".html")
RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")

Status = Literal[
    "running", "open", "released", "rehearsed", "blocked", "waiting", "refused", "expired", "stopped",
    "failed", "crashed", "interrupted",
]  # fmt: skip
ENDED: frozenset[str] = frozenset(
    ["released", "rehearsed", "blocked", "refused", "expired", "stopped", "failed", "crashed", "interrupted"]
)


class RejectFact(documents.Form):
    """Rows set aside by one rule because of one column."""

    column: str
    rule: str
    rows: int


class ColumnFact(documents.Form):
    """What became of the cells of one column that was read."""

    name: str
    type: str
    converted: int
    empty: int
    failed: int
    nulled: int = Field(0, description="Cells that failed and became empty, in rows that go on.")


class NulledFact(documents.Form):
    """Cells of one column that became empty because of one rule, in rows that go on."""

    column: str
    rule: str
    cells: int


class JoinFact(documents.Form):
    """How many rows found their key in one lookup."""

    name: str
    matched: int
    unmatched: int


class SourceFile(documents.Form):
    """One file that was read, as it was fetched."""

    name: str
    bytes: int
    digest: str = Field(description="Keyed digest of its bytes.")


class ReadFacts(documents.Form):
    """What the read step did."""

    source: str = Field(description="The source's file name, or how many files there were.")
    told: bool = Field(description="Whether somebody named this source in place of the contract's.")
    bytes: int
    digest: str = Field(
        description="Keyed digest of the source's bytes; of several files over their digests."
    )
    files: tuple[SourceFile, ...] = Field((), description="Each file that was read, lookups too.")
    modified: str | None = Field(None, description="When the source was last changed, as its place says.")
    notes: tuple[str, ...] = Field((), description="What a person should know of the source.")
    encoding: str
    rows_read: int
    rows_kept: int
    rows_rejected: int
    rejects: tuple[RejectFact, ...] = ()
    left_out: dict[str, int] = Field(
        default_factory=dict, description="Rows left out by a named rule, by rule."
    )
    columns: tuple[ColumnFact, ...] = ()
    nulled: tuple[NulledFact, ...] = Field((), description="Cells that became empty, by column and rule.")
    joins: tuple[JoinFact, ...] = Field((), description="What became of each lookup.")
    drift: tuple[HeaderChange, ...] = Field(
        (), description="How the source's header was not the contract's, and what became of that."
    )

    @property
    def closes(self) -> bool:
        """Whether rows read = rows kept + rows rejected + rows left out by a named rule."""
        return self.rows_read == self.rows_kept + self.rows_rejected + sum(self.left_out.values())


class TransformFacts(documents.Form):
    """What the transform step did."""

    how: str = Field(description="none, transform.sql, transform.R or notebook.")
    script_digest: str | None = None
    rows_in: int
    rows_out: int
    added: dict[str, int] = Field(
        default_factory=dict, description="Rows that a pivot made of cells beyond one for each row, by rule."
    )
    removed: dict[str, int] = Field(default_factory=dict, description="Rows removed, by the rule's name.")
    repaired: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="Cells that a rule repaired, by column and kind of damage."
    )
    suppressed: dict[str, int] = Field(default_factory=dict, description="Cells suppressed, by column.")
    counted: int | None = Field(None, description="For an aggregate: how many rows its groups stand for.")
    accounted: bool
    unaccounted: str | None = Field(None, description="Why rows are not accounted for.")

    @property
    def closes(self) -> bool:
        """Whether rows in and added are the rows out, or those that groups count, and the removed ones."""
        out = self.rows_out if self.counted is None else self.counted
        return self.rows_in + sum(self.added.values()) == out + sum(self.removed.values())


class GuardFact(documents.Form):
    """What one guard said of a run's data."""

    guard: str
    outcome: Literal["held", "tripped", "overridden", "not applicable"]
    what: str = Field(description="What was seen and what the limit is, or why it does not apply.")


class Override(documents.Form):
    """Somebody's word that a guard does not count for this run."""

    guard: str
    reason: str
    by: Person
    at: str


class TableFacts(documents.Form):
    """A table that a step wrote."""

    rows: int
    columns: tuple[str, ...]
    digest: str = Field(description="Keyed content digest.")
    file_digest: str = Field(description="Keyed digest of the Parquet file's bytes.")


class StepRecord(documents.Form):
    """One step: a notebook executed once."""

    step: str
    status: Literal["running", "completed", "failed", "crashed", "interrupted", "skipped"]
    reason: str = ""
    started: str
    ended: str | None = None
    notebook: str = Field(description="The executed notebook's file name in the record.")
    template: str = Field(description="Where the notebook came from: dataset, project, package or path.")
    template_digest: str
    kernel: str
    table: TableFacts | None = None


class ReviewFacts(documents.Form):
    """The review that counts, computed by the supervisor."""

    state: Literal["clear", "waiting", "blocked"]
    digest: str
    findings: int
    file_digest: str


class SendFacts(documents.Form):
    """What was about to be sent, written before sending, so that a killed run knows where it stood."""

    portal: str
    dataset_id: str
    mode: str
    before: str = Field(description="Keyed content digest of the portal's rows before.")
    expected: str = Field(description="Keyed content digest that the portal must have afterwards.")
    rows_before: int | None = Field(None, description="How many rows the portal had before.")


class AttachmentFacts(documents.Form):
    """A file that was released beside the rows."""

    name: str
    bytes: int
    digest: str = Field(description="Plain SHA-256 of its bytes.")
    id: str = Field(description="What the portal calls it.")


class Attaching(documents.Form):
    """What says nothing of attachments where there are none, so that such records are as they always were."""

    @model_serializer(mode="wrap")
    def _brief(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        made: dict[str, Any] = dump(self)
        if not made.get("attachments"):
            made.pop("attachments", None)
        return made


class ReleaseFacts(Attaching):
    """What was released."""

    release: str
    portal: str
    url: str
    dataset_id: str
    mode: str
    public: bool
    rows_before: int
    rows_sent: int
    rows_after: int
    digest: str = Field(description="Plain content digest of the released table.")
    whole: str = Field(
        "",
        description="Plain content digest of the whole dataset as it is kept; empty when that is the table.",
    )
    version: str = Field("", description="The portal's version of exactly these rows; empty when not known.")
    decision: str | None = None
    opening: str | None = Field(None, description="The id of the decision that it may be public.")
    position: dict[str, Any] = Field(
        default_factory=dict, description="Where the source came to: the next run goes on from there."
    )
    attachments: tuple[AttachmentFacts, ...] = Field((), description="Files beside the rows.")
    at: str


class PlanFacts(Attaching):
    """What publishing was going to change on the portal, in counts."""

    portal: str
    dataset_id: str | None
    mode: str
    audience: tuple[str, ...]
    rows_before: int
    rows_sent: int
    rows_added: int
    rows_changed: int
    rows_removed: int
    rows_after: int
    columns: tuple[tuple[str, str, str, str, str, str], ...] = Field(
        description="Column, portal field, type here, type there, verdict, and what settles it; those that fit are "
        "left out."
    )
    fitting: int = Field(description="How many columns fit.")
    words_changed: tuple[str, ...] = ()
    words_missing: tuple[str, ...] = ()
    removal_reason: str = Field("", description="Why published rows may go.")
    removal_by: str = Field("", description="Who says so: dataset.yml, or a person.")
    views: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    attachments: tuple[tuple[str, str, int], ...] = Field(
        (),
        description="Name, what becomes of it (added, changed, removed, unchanged) and bytes of each file beside the "
        "rows.",
    )


class FileFacts(documents.Form):
    """A file of the record."""

    name: str
    bytes: int
    digest: str


class RunRecord(documents.Form):
    """`run.json`, whole."""

    format: Literal[1] = 1
    run: str
    dataset: str
    title: str
    status: Status
    reason: str = ""
    next: str = ""
    exit_code: int | None = None
    parent: str | None = None
    replay: Literal["rejects", "snapshots"] | None = Field(
        None, description="What of the parent was read again in place of the source."
    )
    by: Person
    host: str
    restores: str | None = Field(None, description="The earlier release whose rows are published again.")
    how: Literal[
        "ctnb run", "papermill", "ctnb restore", "ctnb push", "ctnb copy", "ctnb new", "ctnb portal"
    ]  # fmt: skip
    started: str
    ended: str | None = None
    to: str | None = Field(None, description="The step after which a rehearsal ends.")
    dry_run: bool = False
    portal: str
    contract_digest: str
    settings_digest: str
    steps: tuple[StepRecord, ...] = ()
    recipe: str = Field(
        "",
        description="Digest of all that makes a table of the source: contract, settings, script, notebooks.",
    )
    guards: tuple[GuardFact, ...] = Field((), description="What the guards on the run's data said.")
    overrides: tuple[Override, ...] = Field((), description="Guards that somebody overrode for this run.")
    read: ReadFacts | None = None
    transform: TransformFacts | None = None
    review: ReviewFacts | None = None
    decision: str | None = Field(None, description="The id of the decision that counts.")
    send: SendFacts | None = None
    plan: PlanFacts | None = Field(None, description="The newest plan that the publish step made.")
    draft: ReleaseFacts | None = Field(
        None,
        description="What is on the portal as a private draft, until somebody decides that it may be public.",
    )
    release: ReleaseFacts | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    files: tuple[FileFacts, ...] = ()
    seal: int = Field(0, description="How many times the record was sealed.")


def new_run() -> str:
    """A run id: UTC time to the second and four random hex digits, e.g. 20261121T110512Z-7f3a."""
    return f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def folder(project: Project, dataset: str, run: str) -> Path:
    """The folder of one record."""
    return project.runs / dataset / run


def write(project: Project, record: RunRecord) -> RunRecord:
    """Write run.json whole or not at all and return `record`."""
    place = folder(project, record.dataset, record.run)
    place.mkdir(parents=True, exist_ok=True)
    documents.write_bytes(place / "run.json", _encoded(record))
    return record


def load(path: Path) -> RunRecord:
    """The record in the file `path`. Raises RecordBroken."""
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise RecordBroken(f"{path.parent.name}/{path.name} is missing.") from None
    except (ValidationError, ValueError):
        pass
    raise RecordBroken(
        f"{path.parent.name}/{path.name} is not a record of a run.", hint="Restore it from a copy."
    )


def find(project: Project, run: str) -> RunRecord:
    """
    The record of `run`: an id, the end of one, or a dataset's slug for its newest run.

    Raises NameUnknown, also when the end fits several.
    """
    paths = sorted(project.runs.glob("*/*/run.json"))
    hits = [path for path in paths if path.parent.name == run]
    hits = hits or [path for path in paths if len(run) >= 4 and path.parent.name.endswith(run)]
    newest = [path for path in paths if path.parent.parent.name == run]
    if len(hits) == 1:
        return load(hits[0])
    if not hits and newest:
        return load(max(newest, key=lambda path: path.parent.name))
    raise NameUnknown("run", run, [path.parent.name for path in paths][-20:])


def find_folder(project: Project, run: str) -> Path:
    """The folder of the record that `run` names, as in `find`. Raises NameUnknown."""
    named = [path for path in project.runs.glob("*/*/") if path.name == run]
    if named:
        return named[0]
    record = find(project, run)
    return folder(project, record.dataset, record.run)


def all_records(project: Project) -> list[RunRecord]:
    """Every record of the project, oldest first."""
    found = map(load, project.runs.glob("*/*/run.json"))
    return sorted(found, key=lambda record: (record.started, record.run))


def event(project: Project, record: RunRecord, kind: str, facts: Mapping[str, Any] | None = None) -> None:
    """Append a line to the record's events.jsonl: what happened and when."""
    line = {"at": clock.stamp(), "kind": kind, **(facts or {})}
    with (folder(project, record.dataset, record.run) / "events.jsonl").open("ab") as stream:
        stream.write(canonical_json(line) + b"\n")


def seal(project: Project, record: RunRecord) -> RunRecord:
    """
    Seal `record`: list its files, write run.json and its sealed copy, and add a line to the ledger.

    A process killed in between leaves a record without its line; `verify` says so and the next command
    seals it again.
    """
    place = folder(project, record.dataset, record.run)
    number = record.seal + 1
    event(project, record, "sealed", {"status": record.status, "seal": number})
    _write_line_sums(place)
    files = tuple(_file_facts(place, path) for path in sorted(place.rglob("*")) if _is_sealed_file(path))
    sealed = record.model_copy(update={"files": files, "seal": number})
    content = _encoded(sealed)
    (place / "seals").mkdir(exist_ok=True)
    documents.write_bytes(place / "seals" / f"{number}.json", content, mode=0o444)
    documents.write_bytes(place / "run.json", content)
    line = {"dataset": sealed.dataset, "run": sealed.run, "seal": number, "status": sealed.status}
    ledger.append(project.ledger, "seal", {**line, "digest": of_bytes(content)})
    return sealed


def _write_line_sums(place: Path) -> None:
    """Write `lines.json`: a checksum of each line of each text file, so that a change can be told by its line."""
    (place / LINES).unlink(missing_ok=True)
    texts = [path for path in sorted(place.rglob("*")) if _is_sealed_file(path) and path.suffix in TEXTS]
    sums = {path.relative_to(place).as_posix(): line_sums(path.read_bytes()) for path in texts}
    documents.write_bytes(place / LINES, canonical_json({"format": 1, "lines": sums}) + b"\n")


def line_sums(content: bytes) -> str:
    """A CRC-32 of each line of `content`, in hex, one after the other: they locate a change, digests prove it."""
    return "".join(f"{zlib.crc32(line):08x}" for line in content.split(b"\n"))


def versions() -> dict[str, str]:
    """The versions that matter to what a run computed."""
    names = ("ctnb", "papermill", "nbclient", "ipykernel", "pandas", "pyarrow", "duckdb", "rpy2", "numpy")
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.release()}"}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def host() -> str:
    """The name of this machine."""
    return platform.node()


def _encoded(record: RunRecord) -> bytes:
    text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True)
    return text.encode("utf-8") + b"\n"


def _is_sealed_file(path: Path) -> bool:
    return path.is_file() and path.name != "run.json" and path.parent.name != "seals" and path.name[0] != "."


def _file_facts(place: Path, path: Path) -> FileFacts:
    return FileFacts(name=path.relative_to(place).as_posix(), bytes=path.stat().st_size, digest=of_file(path))
