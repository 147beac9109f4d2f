"""What the supervisor does when a step's kernel asks: review, plan, publish."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctnb import (
    asks,
    attachments,
    clock,
    clock_changes,
    digests,
    documents,
    gathering,
    guards,
    publishing,
    releases,
    reviewing,
    stepfiles,
    tables,
    withdrawals,
)
from ctnb.attachments import Copy
from ctnb.errors import (
    ContractInvalid,
    CtnbError,
    DataInvalid,
    GuardTripped,
    Interrupted,
    RecordBroken,
    ReviewNotCleared,
    StepFailed,
)
from ctnb.kernels import ticking
from ctnb.places import fetching
from ctnb.places.fetched import Progress
from ctnb.places.fetching import Gathered
from ctnb.places.folders import Outcome
from ctnb.portals import plans
from ctnb.portals.plans import Plan, Receipt
from ctnb.privacy.decisions import Clearance
from ctnb.privacy.reviews import Review
from ctnb.records import AttachmentFacts, PlanFacts, ReleaseFacts, ReviewFacts, SendFacts
from ctnb.releases import Release
from ctnb.tables import Table

if TYPE_CHECKING:
    from ctnb.supervision import Supervisor

FINDINGS = "findings.json"
FETCHED = gathering.FETCHED


def answer_pending(at: Supervisor, step: str) -> None:
    """Answer every open ask of `step`; called often, from one thread at a time."""
    for path in asks.pending(at.folder(step)):
        try:
            value = _answer(at, step, stepfiles.read_json(path))
        except CtnbError as error:
            asks.answer_error(path, error)
        except Exception as error:  # noqa: BLE001 - the kernel waits for an answer; the text may quote data
            log_mistake(at, step, error)
            asks.answer_error(path, StepFailed(f"The supervisor failed with {type(error).__name__}."))
        else:
            asks.answer(path, value)


def review_that_counts(at: Supervisor) -> Review:
    """
    The review of the table to be published, computed here over the Parquet file and written to the record.

    It is computed once for a run, with the attached files as they are then: copies of them are what is sent. A table
    that changed since is refused with RecordBroken.
    """
    table = table_to_publish(at)
    path = at.place / FINDINGS
    if at.record.review and path.is_file():
        found = load_review(path)
        if found.table_digest == digests.keyed(table.digest, at.project.key):
            return found
    work = at.folder("privacy_review")
    copies = attachments.gather(at.project, at.dataset, work)
    found = reviewing.review(
        at.project,
        at.dataset,
        table,
        run=at.record.run,
        portal=at.record.portal,
        changes=at.record.read.drift if at.record.read else (),
        work=work,
        attachments=attachments.said(copies, at.project.key),
    )
    text = json.dumps(found.to_json(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    documents.write_text(path, text)
    facts = ReviewFacts(
        state=found.state,
        digest=found.digest,
        findings=len(found.findings),
        file_digest=digests.of_file(path),
    )
    at.update(review=facts)
    return found


def load_review(path: Path) -> Review:
    """The review in the record's findings.json. Raises RecordBroken."""
    try:
        return Review.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise RecordBroken(f"{path.parent.name}/{path.name} is not a review.", hint="Restore it from a copy.")


def clearance(at: Supervisor, review: Review) -> Clearance:
    """Whether `review` lets this run publish now; rows that come back after a withdrawal need a new decision."""
    found = publishing.clearance(at.project, at.dataset, review, at.record.portal)
    if not at.record.restores:
        return found
    return withdrawals.after_withdrawal(at.project, _restored(at), found, at.record.run)


def _restored(at: Supervisor) -> Release:
    """The release that this run restores. Raises RecordBroken when its record is gone."""
    known = releases.of_dataset(at.project, at.dataset.slug)
    found = [one for one in known if one.facts.release == at.record.restores]
    if not found:
        raise RecordBroken("The record of the release to restore is gone.", hint="Restore it from a copy.")
    return found[0]


def table_to_publish(at: Supervisor) -> Table:
    """The transform's table, its digests checked. Raises RecordBroken."""
    ref = at.table_ref("transform")
    if ref is None:
        raise RecordBroken("The table of this run is gone.", hint="Run the dataset again from the read step.")
    return tables.open_table(Path(ref.path), file_digest=ref.file_digest, digest=ref.digest)


def fetched(at: Supervisor) -> Gathered:
    """What this run fetched for its read step. Raises StepFailed when nothing was."""
    path = at.folder("read") / FETCHED
    if not path.is_file():
        raise StepFailed("The read step read no source.", hint="Use the table of ctnb.read(ds).")
    return fetching.gathered_from_json(stepfiles.read_json(path))


def _position(at: Supervisor) -> dict[str, Any]:
    """
    Where the source came to with this run's rows; with a file that somebody named, where it was before.

    Nothing for a run from before there were positions.
    """
    if at.record.restores:
        return dict(_restored(at).facts.position)
    base = releases.newest(at.project, at.dataset.slug, at.record.portal)
    if at.record.how == "ctnb push":  # records that arrived by themselves are not the source's
        return dict(base.facts.position) if base else {}
    if not (at.folder("read") / FETCHED).is_file():
        return {}
    gathered = fetched(at)
    if not gathered.told:
        return dict(gathered.position)
    return dict(base.facts.position) if base else {}


def _fetch(at: Supervisor, told: str) -> Any:
    """Fetch the source for the kernel, which has no credentials."""
    (at.folder("read") / FETCHED).unlink(missing_ok=True)
    base = releases.newest(at.project, at.dataset.slug, at.record.portal)
    position, folder = base.facts.position if base else {}, at.folder("read")
    if at.record.parent and at.record.replay:
        from ctnb import replays  # rare, and it brings all of reading with it

        replay = replays.Replay(at.record.parent, at.record.replay)
        gathered = replays.gather(at.project, at.dataset, replay, folder, position=position)
    else:
        gathered = gathering.gather(
            at.project, at.dataset, folder, told=told, again=base is None, position=position,
            progress=lambda seen: _tell(at, seen), moves=_may_move(at),
        )  # fmt: skip
    made = gathered.to_json()
    stepfiles.write_json(at.folder("read") / FETCHED, made)
    return made


def settle(at: Supervisor) -> None:
    """
    What becomes of the source's files when the run ends: those of a release, or those with wrong data.

    Raises SourceFailed when one could not be moved, SourceInvalid.
    """
    if at.record.replay == "rejects":
        return  # it read rows of an earlier run, no file of the source
    steps, error, path = at.record.steps, at.failure, at.folder("read") / FETCHED
    wrong = isinstance(error, DataInvalid) and not isinstance(error, (ContractInvalid, GuardTripped))
    outcome: Outcome = "released" if at.record.release else "failed"
    position: Mapping[str, Any] = {}
    if at.record.release:
        position = at.record.release.position
    elif wrong and steps and steps[-1].step == "read" and path.is_file():
        position = fetched(at).position
    if position and _may_move(at):
        moved = gathering.settle(at.project, at.dataset, at.folder("read"), position, outcome)
        if moved:
            at.event("files moved", {"files": moved, "outcome": outcome})


def keep_schedule(at: Supervisor) -> str:
    """
    See to it that the portal's schedule is what portal.yml says, when either clock has changed since it was written.

    A run that released writes it anew and notes that; any other says that it is off. Never fails: returns what is left
    to do, empty when nothing is.
    """
    project, name = at.project, at.record.portal
    told = f"ctnb portal schedule {at.dataset.slug}"
    try:
        if not clock_changes.kept(at.dataset, name):
            return ""
        with publishing.target(project, at.dataset, name) as there:
            if there.dataset_id is None:
                return ""
            if at.record.release:
                renewed = clock_changes.renew(project, at.dataset, there.portal, there.dataset_id)
                if renewed:
                    at.event("schedule written anew", {"words": renewed.words, "cron": renewed.cron})
                return ""
            found = clock_changes.standing(project, at.dataset, there.portal, there.dataset_id)
    except CtnbError as error:
        at.event("schedule not looked at", {"why": error.what})
        return f"The schedule could not be looked at: {error.what} Later: {told}"
    return "" if found is None or found.holds else f"Its {found.told}. Write it anew: {told}"


def _may_move(at: Supervisor) -> bool:
    """Whether this run may move the source's files: a rehearsal may not, nor a release on another portal."""
    rehearsal = at.dry_run or at.record.to is not None
    return not rehearsal and at.record.portal == at.dataset.contract.portal.name


def _tell(at: Supervisor, seen: Progress) -> None:
    """Tell how far the fetch is. Raises Interrupted, which ends it, when its step was ended meanwhile."""
    if not ticking.wanted():
        raise Interrupted("The fetch was ended with its step.")
    at.progress("fetching", asdict(seen))


def _answer(at: Supervisor, step: str, said: Mapping[str, Any]) -> Any:
    if said["what"] == "fetch":
        if step != "read":
            raise StepFailed(f"The step {step} cannot read the source.", hint="Only the read step may.")
        return _fetch(at, str(said.get("source") or ""))
    table = table_to_publish(at)
    if said.get("digest") != table.digest:
        raise ReviewNotCleared(
            "That is not the table of this run.",
            hint="Publish what ctnb.table() gives; change it in the transform.",
        )
    if said["what"] == "review":
        return review_that_counts(at).to_json()
    if step != "publish":
        raise ReviewNotCleared(
            f"The step {step} cannot publish.", hint="Only the publish step may ask for that."
        )
    if said["what"] == "plan":
        return plans.plan_to_json(_plan(at, table))
    if said["what"] == "publish":
        return asdict(_publish(at, table))
    raise StepFailed("The kernel asked for something unknown.")


def _plan(at: Supervisor, table: Table) -> Plan:
    """What publishing `table` would change, the files that were reviewed with it too."""
    attaches = at.record.review or at.dataset.contract.portal.attachments
    copies = _copies(at, review_that_counts(at)) if attaches else ()
    return publishing.plan(at.project, at.dataset, table, at.record.portal, at.folder("publish"), copies)


def _copies(at: Supervisor, review: Review) -> tuple[Copy, ...]:
    """The copies of the attached files that were reviewed. Raises RecordBroken."""
    return attachments.of_review(review.attachments, at.folder("privacy_review"), at.project.key)


def publish_table(at: Supervisor) -> Receipt:
    """
    Publish the table of the run without a notebook that asks for it, through the same gate.

    Raises ReviewNotCleared, PublishRefused, PortalFailed.
    """
    return _publish(at, table_to_publish(at))


def _publish(at: Supervisor, table: Table) -> Receipt:
    if at.dry_run:
        return _rehearsed(at, table)
    if at.record.release:
        raise StepFailed("This run has published already.", hint="Call ctnb.publish once.")
    review = review_that_counts(at)
    cleared = clearance(at, review)
    if not cleared.cleared:
        raise ReviewNotCleared(f"Nothing was sent: {cleared.why}", state=cleared.state)
    number, copies = f"{at.record.run}-{1 + (at.record.seal or 0)}", _copies(at, review)
    done = publishing.publish(
        at.project, at.dataset, table, review, at.record.portal, release=number, copies=copies,
        work=at.folder("publish"), sent=at.record.send, removes=guards.removal_reason(at.record),
        planned=lambda plan: _note_plan(at, plan),
        before_send=lambda plan, dataset_id: _note_send(at, plan, dataset_id),
    )  # fmt: skip
    receipt, decision = _from_the_first(at, done.receipt), done.clearance.decision
    facts = ReleaseFacts(
        release=number, portal=receipt.portal, url=receipt.url, dataset_id=receipt.dataset_id, mode=receipt.mode,
        public=receipt.public, rows_before=receipt.rows_before, rows_sent=receipt.rows_sent,
        rows_after=receipt.rows_after, digest=table.digest, whole=done.whole, version=done.delivered.version,
        decision=decision.id if decision else None, position=_position(at), at=clock.stamp(),
        opening=done.opened_by.decision.id if receipt.public and done.opened_by.decision else None,
        attachments=_attached(copies, done.delivered.files),
    )  # fmt: skip
    if receipt.opening:
        at.update(draft=facts)
        at.event("private draft", {"portal": facts.portal, "rows": facts.rows_after})
        return receipt
    text = json.dumps(facts.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    documents.write_text(at.place / "release.json", text)
    if decision:
        at.note_decision(decision)
    at.update(release=facts, decision=facts.decision)
    at.event("released", {"portal": facts.portal, "rows": facts.rows_after})
    if gone := releases.forget(at.project, at.dataset.slug, facts.portal):
        at.event("rows of old releases deleted", {"releases": len(gone)})
    return receipt


def _attached(copies: tuple[Copy, ...], ids: Mapping[str, str]) -> tuple[AttachmentFacts, ...]:
    """The files beside the rows that were released, with the `ids` that the portal gave them."""
    return tuple(
        AttachmentFacts(name=one.name, bytes=one.size, digest=one.digest, id=ids[one.name]) for one in copies
    )


def _note_plan(at: Supervisor, plan: Plan) -> None:
    """What publishing is going to change goes into the record, also when it then stops."""
    fits = [one for one in plan.mapping if one.verdict == "fits"]
    facts = PlanFacts(
        portal=plan.portal, dataset_id=plan.dataset_id, mode=plan.mode, audience=plan.audience,
        rows_before=plan.rows_before, rows_sent=plan.rows_sent, rows_added=plan.rows_added,
        rows_changed=plan.rows_changed, rows_removed=plan.rows_removed, rows_after=plan.rows_after,
        columns=tuple((m.column, m.field, m.ours, m.theirs, m.verdict, m.settled)
                      for m in plan.mapping if m.verdict != "fits"),
        fitting=len(fits), words_changed=plan.words_changed, words_missing=plan.words_missing,
        removal_reason=plan.removal.reason, removal_by=plan.removal.by, views=plan.views, notes=plan.notes,
        problems=plan.problems, attachments=tuple((a.name, a.verdict, a.size) for a in plan.attachments),
    )  # fmt: skip
    at.update(plan=facts)
    guards.rows_removed(at, plan)


def _note_send(at: Supervisor, plan: Plan, dataset_id: str) -> None:
    """Written before anything is sent, so that a killed run knows what was there and what was to be."""
    if at.record.send:
        return
    key = at.project.key
    facts = SendFacts(
        portal=plan.portal, dataset_id=dataset_id, mode=plan.mode, before=digests.keyed(plan.before, key),
        expected=digests.keyed(plan.expected, key), rows_before=plan.rows_before,
    )  # fmt: skip
    at.update(send=facts)
    at.event("sending", {"portal": plan.portal, "rows": plan.rows_sent, "mode": plan.mode})


def _from_the_first(at: Supervisor, receipt: Receipt) -> Receipt:
    """`receipt` with the rows that were there before the first attempt, which may have sent what a later one found."""
    before = at.record.send.rows_before if at.record.send else None
    return receipt if before is None else replace(receipt, rows_before=before)


def _rehearsed(at: Supervisor, table: Table) -> Receipt:
    plan = _plan(at, table)
    _note_plan(at, plan)
    return Receipt(
        False, "A dry run: nothing was sent.", plan.portal, plan.url, plan.dataset_id or "", plan.mode, plan.public,
        plan.rows_before, plan.rows_sent, plan.rows_before, False, "",
    )  # fmt: skip


def log_mistake(at: Supervisor, step: str, error: Exception) -> None:
    """The whole traceback of what should not happen goes to the step's private folder."""
    import traceback

    text = "".join(traceback.format_exception(error))
    documents.write_text(at.folder(step) / "supervisor.log", text, mode=0o600)
