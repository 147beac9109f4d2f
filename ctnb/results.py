"""
What a step's kernel handed over, checked by the supervisor before it goes into the record.

Kernels are not trusted: tables are opened and hashed here, rows are added up here, and what cannot be checked
is taken as counts and names alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb import answering, digests, redaction, stepfiles, tables
from ctnb.errors import AccountOpen, StepFailed
from ctnb.records import ReadFacts, SourceFile, TableFacts, TransformFacts
from ctnb.tables import Table

if TYPE_CHECKING:
    from ctnb.supervision import Supervisor

NOTES, NOTE_CHARACTERS = 50, 300
"""How many notes of a kernel are taken, and how long they may be."""


def take(at: Supervisor, step: str) -> None:
    """Check what the kernel says it did and take it into the record. Raises StepFailed, RecordBroken, AccountOpen."""
    path = at.folder(step) / "result.json"
    if not path.is_file():
        raise StepFailed(
            f"Step {step} ended without closing.", hint="The notebook's last cell must be: ctnb.done(...)"
        )
    said = stepfiles.read_json(path)
    if step in ("read", "transform"):
        table = _own_table(at, step, said)
        if step == "read":
            at.update(read=_read_facts(at, said, table))
        else:
            at.update(transform=_transform_facts(at, said, table))
    elif step == "privacy_review":
        answering.review_that_counts(at)
    elif at.record.release is None and at.record.draft is None and not at.dry_run:
        raise StepFailed(
            "The publish notebook ended without publishing.", hint="It must call ctnb.publish(...)."
        )


def _own_table(at: Supervisor, step: str, said: Mapping[str, Any]) -> Table:
    """The table a step wrote, opened and hashed by the supervisor itself."""
    ref = said.get("table")
    if not ref:
        raise StepFailed(
            f"Step {step} closed without a table.", hint="Its last cell must be: ctnb.done(table)"
        )
    path = Path(ref["path"]).resolve()
    if not path.is_relative_to(at.work.resolve()):
        raise StepFailed(
            f"Step {step} closed with a table that is not its own.", hint="Use ctnb.read or ctnb.transform."
        )
    table = tables.open_table(path)
    _note_table(at, step, table)
    return table


def _note_table(at: Supervisor, step: str, table: Table) -> None:
    ref = {"path": str(table.path), "file_digest": table.file_digest, "digest": table.digest}
    stepfiles.write_json(at.folder(step) / "table.json", ref)
    key = at.project.key
    facts = TableFacts(
        rows=table.rows, columns=tuple(column.name for column in table.columns),
        digest=digests.keyed(table.digest, key), file_digest=digests.keyed(table.file_digest, key),
    )  # fmt: skip
    at.update_step(step, table=facts)


def _read_facts(at: Supervisor, said: Mapping[str, Any], table: Table) -> ReadFacts:
    told = dict(said.get("read") or {})
    if not told:
        raise StepFailed(
            "The read step closed with a table it did not read.", hint="Use the table of ctnb.read(ds)."
        )
    source = _source_facts(at)
    source["notes"] = tuple(dict.fromkeys((*source["notes"], *_notes(at, told.pop("notes", ())))))
    facts = ReadFacts(**source, **told, rows_kept=table.rows)
    known = {"", *(column.name for column in at.dataset.contract.columns)}
    if any(change.column not in known for change in facts.drift):
        raise ValueError("a column that is not the contract's")
    if not facts.closes:
        raise AccountOpen(
            f"Rows do not add up: {facts.rows_read:,} read, {facts.rows_kept:,} kept, "
            f"{facts.rows_rejected:,} rejected.",
            hint="Every row read is kept or rejected with a reason; look at the read notebook.",
        )
    return facts


def _notes(at: Supervisor, told: Any) -> list[str]:
    """What the reading noted of the source, as far as it is short words: a kernel may write anything."""
    notes = [str(one) for one in told] if isinstance(told, list) else []
    redact = redaction.redactor([at.folder("read")])
    return [redact(one) for one in notes if len(one) <= NOTE_CHARACTERS][:NOTES]


def _source_facts(at: Supervisor) -> dict[str, Any]:
    """What was read: the files that the supervisor fetched, hashed anew. Raises StepFailed."""
    gathered, key = answering.fetched(at), at.project.key
    files, plain = [], []
    for snapshot in gathered.snapshots:
        plain.append(digests.of_file(snapshot.path))
        files.append(
            SourceFile(name=snapshot.name, bytes=snapshot.bytes, digest=digests.keyed(plain[-1], key))
        )
        if plain[-1] != snapshot.digest:
            raise StepFailed("A snapshot changed while it was read.", hint="Read it with ctnb.read(ds) only.")
    whole = plain[0] if len(plain) == 1 else digests.of_bytes("\n".join(plain).encode())
    rows_from = [one for part in gathered.parts for one in part.snapshots]
    return {
        "source": files[0].name if len(rows_from) == 1 else f"{len(rows_from)} files", "told": gathered.told,
        "bytes": sum(one.bytes for one in files), "digest": digests.keyed(whole, key), "files": tuple(files),
        "modified": gathered.modified, "notes": gathered.notes,
    }  # fmt: skip


def _transform_facts(at: Supervisor, said: Mapping[str, Any], table: Table) -> TransformFacts:
    told = dict(said.get("transform") or {})
    if not told:
        raise StepFailed(
            "The transform step closed with a table it did not make.", hint="Use ctnb.transform(...)."
        )
    reason = at.dataset.contract.transform.unaccounted
    facts = TransformFacts(**told, unaccounted=None if told["accounted"] else reason)
    kept = at.record.read.rows_kept if at.record.read else facts.rows_in
    if facts.rows_in != kept or facts.rows_out != table.rows:
        raise AccountOpen(
            f"Rows do not add up: {kept:,} came in, {facts.rows_in:,} were taken; "
            f"{facts.rows_out:,} were to go out, {table.rows:,} did.",
            hint="Look at the transform notebook.",
        )
    if facts.accounted and not facts.closes:
        raise AccountOpen(
            f"Rows do not add up: {facts.rows_in:,} came in, {sum(facts.added.values()):,} were added and "
            f"{sum(facts.removed.values()):,} removed by rules; {facts.rows_out:,} went out.",
            hint="Look at the transform notebook.",
        )
    if not facts.accounted and not reason:
        raise AccountOpen(
            "The transform's rows are not accounted for.",
            hint="Name the column that counts rows under transform: count:, or say why not under unaccounted:.",
        )
    return facts


def note_rejects(at: Supervisor, step: str) -> None:
    """The counts that a refused reading left; they are shown as far as they are counts."""
    said = stepfiles.read_told(at.folder(step) / "rejects.json")
    if step != "read" or not said:
        return
    with suppress(ValueError, TypeError):
        facts = ReadFacts(
            source="", told=bool(at.source), bytes=0, digest="", encoding="", rows_kept=0, **said
        )
        at.update(read=facts)
