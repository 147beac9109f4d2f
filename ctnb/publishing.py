"""
Publishing a dataset's table: the gate, the plan, sending, and what is kept of it.

Only the supervisor calls this with credentials of a portal outside; a draft reaches the embedded portal alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ctnb import clock, digests, ledger, records, releases, secrets
from ctnb.clients.opendatasoft import Opendatasoft, push_place
from ctnb.clients.socrata import Credentials, Socrata
from ctnb.contracts.push_sources import push_source
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError, PublishRefused, ReviewNotCleared, SettingsInvalid
from ctnb.portals import local, planning, sending
from ctnb.portals.interface import Portal
from ctnb.portals.journal import Journal
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.portals.planning import Target, Wanted
from ctnb.portals.plans import Plan, Receipt
from ctnb.portals.socrata import SocrataPortal
from ctnb.privacy import decisions, reviews
from ctnb.privacy.decisions import Clearance
from ctnb.privacy.reviews import Review
from ctnb.records import RunRecord, SendFacts
from ctnb.settings import PortalSettings, Project
from ctnb.tables import Table


@dataclass(frozen=True)
class Published:
    """What publishing did, with what the record keeps."""

    receipt: Receipt
    plan: Plan
    clearance: Clearance


@contextmanager
def target(project: Project, dataset: Dataset, portal: str) -> Iterator[Target]:
    """
    The dataset's place on a portal; the embedded portal is started for the body when nothing answers.

    Raises NameUnknown, SettingsInvalid, UsageError (a secret that is not set), PortalFailed.
    """
    known = releases.dataset_id(project, dataset, portal)
    with opened(project, portal, dataset) as there:
        yield Target(there, known)


@contextmanager
def opened(project: Project, name: str, dataset: Dataset | None = None) -> Iterator[Portal]:
    """
    The portal `name` as the account of ctnb.yml; the embedded portal is started when nothing answers.

    Where records of `dataset` are pushed to on an Opendatasoft portal is said by its portal.yml.

    Raises NameUnknown, SettingsInvalid, UsageError (a secret that is not set), PortalFailed.
    """
    settings = project.portal(name)
    limit, timeout_s = settings.one_request_mb << 20, settings.timeout_s
    if settings.kind == "embedded":
        with local.running(project) as url:
            client = Socrata(url, local.credentials(project), timeout_s=timeout_s)
            yield SocrataPortal(name, client, one_request_bytes=limit)
        return
    if settings.kind == "opendatasoft":
        yield _opendatasoft(name, settings, dataset)
        return
    if not settings.url or not settings.key_id or not settings.key_secret:
        raise SettingsInvalid(
            f"Portal {name} of ctnb.yml needs url:, key_id: and key_secret:.",
            hint="The last two name secrets: key_id: {secret: NAME}.",
        )
    account = Credentials(secrets.value(settings.key_id), secrets.value(settings.key_secret))
    client = Socrata(settings.url, account, timeout_s=timeout_s)
    yield SocrataPortal(name, client, one_request_bytes=limit)


def _opendatasoft(name: str, settings: PortalSettings, dataset: Dataset | None) -> Portal:
    if not settings.url or not settings.api_key:
        raise SettingsInvalid(
            f"Portal {name} of ctnb.yml needs url: and api_key:.",
            hint="The key names a secret: api_key: {secret: NAME}.",
        )
    key, source = secrets.value(settings.api_key), push_source(dataset.folder, name) if dataset else None
    client = Opendatasoft(settings.url, key, timeout_s=settings.timeout_s, process_s=settings.process_s)
    place = push_place(source.push_url, secrets.value(source.push_key)) if source else None
    return OpendatasoftPortal(name, client, place)


def clearance(project: Project, dataset: Dataset, review: Review, portal: str) -> Clearance:
    """Whether `review` is cleared now, by itself or by a decision in the ledger."""
    base = releases.newest(project, dataset.slug, portal)
    return decisions.clearance(
        review,
        ledger.entries(project.ledger),
        now=clock.now(),
        base_release=base.facts.release if base else None,
    )


def plan(project: Project, dataset: Dataset, table: Table, portal: str, work: Path | None = None) -> Plan:
    """What publishing `table` would change. Writes nothing."""
    with target(project, dataset, portal) as there:
        return planning.make(there, wanted(dataset, table), work)


def publish(
    project: Project, dataset: Dataset, table: Table, review: Review, portal: str, *, release: str,
    work: Path | None = None, sent: SendFacts | None = None, before_send: Callable[[Plan, str], None] | None = None,
) -> Published:  # fmt: skip
    """
    Publish `table`, whose review is `review`, as `release`: gate, plan, send, read back, compare, keep.

    `sent` is an earlier sending of the same run that was not called released: rows that are there already are
    not sent twice. `before_send` is called with the plan and the portal's dataset id right before anything
    is sent.
    Raises ReviewNotCleared, PublishRefused, PortalFailed; the published rows then stay as they were.
    """
    cleared = gate(project, dataset, table, review, portal)
    want, journal = wanted(dataset, table), sending_journal(project, dataset, portal)
    with target(project, dataset, portal) as there:
        if there.dataset_id:
            there.portal.settle(there.dataset_id, journal)
        made = _settled(planning.make(there, want, work), project, dataset, sent)
        sending.check(made)
        there = sending.prepare(
            there, want, _creation_token(project, dataset, portal),
            lambda found: releases.note_dataset_id(project, dataset, portal, found),
        )  # fmt: skip
        if before_send:
            before_send(made, there.dataset_id or "")
        token = _token(project, dataset, made, table)
        rows = sending.send(there, want, made, token, journal, work=work)
        there.portal.describe(there.dataset_id or "", want.described)
    releases.keep(project, dataset.slug, release, table)
    return Published(_receipt(made, there, rows, release), made, cleared)


def sending_journal(project: Project, dataset: Dataset, portal: str) -> Journal:
    """The journal of what is sent of a dataset to one portal."""
    return Journal(project.private_folder("sending", dataset.slug) / f"{portal}.jsonl")


def _token(project: Project, dataset: Dataset, made: Plan, table: Table) -> str:
    """
    The idempotency key: the same for one table on one state of the portal, on top of one release.

    The base keeps a change apart from an equal one of an earlier time, after which others were published.
    """
    base = releases.newest(project, dataset.slug, made.portal)
    said = [made.mode, table.digest, made.before, made.expected, base.facts.release if base else ""]
    return digests.keyed(digests.of_bytes(digests.canonical_json(said)), project.key)


def _creation_token(project: Project, dataset: Dataset, portal: str) -> str:
    """The idempotency key of the dataset itself: one for each dataset of this project on each portal."""
    said = ["dataset", dataset.slug, portal]
    return digests.keyed(digests.of_bytes(digests.canonical_json(said)), project.key)


def _settled(plan: Plan, project: Project, dataset: Dataset, sent: SendFacts | None) -> Plan:
    """
    `plan`, given what became of earlier sendings: without anything to do when this run's rows are there.

    Raises PublishRefused rather than append rows that are there already, or may be.
    """
    there = digests.keyed(plan.before, project.key)
    if sent and there == sent.expected:
        return replace(
            plan, expected=plan.before, rows_after=plan.rows_before, rows_added=0, rows_changed=0, rows_removed=0,
            problems=(),
        )  # fmt: skip
    if plan.mode == "append":
        if sent:
            _check_unchanged(there, sent, "this run")
        else:
            for record in unsettled(project, dataset.slug, plan.portal):
                _check_not_arrived(there, record)
    return plan


def unsettled(project: Project, slug: str, portal: str) -> list[RunRecord]:
    """The runs that began to append to `portal` since its newest release and were not called released."""
    base = releases.newest(project, slug, portal)
    return [
        record
        for record in records.all_records(project)
        if record.dataset == slug and record.portal == portal and record.send and not record.release
        and record.send.mode == "append" and (record.ended or "") > (base.facts.at if base else "")
    ]  # fmt: skip


def _check_not_arrived(there: str, record: RunRecord) -> None:
    """Raise PublishRefused when the rows of the unfinished run `record` are on the portal."""
    assert record.send is not None  # noqa: S101 - `unsettled` chose those that have one
    if there == record.send.expected != record.send.before:
        raise PublishRefused(
            f"The rows that run {record.run} appended have arrived, though it was not called released.",
            hint=f"Nothing was sent. First: ctnb run {record.dataset} --from publish --run {record.run}",
        )
    _check_unchanged(there, record.send, f"run {record.run}")


def _check_unchanged(there: str, sent: SendFacts, whose: str) -> None:
    if there != sent.before:
        raise PublishRefused(
            f"The portal's rows have changed since {whose} began to append: whether its own arrived cannot be known.",
            hint="Nothing was sent. Compare the portal with the last release, then publish everything once with "
            "portal: mode: replace.",
        )


def gate(project: Project, dataset: Dataset, table: Table, review: Review, portal: str) -> Clearance:
    """The clearance of `review` for exactly `table`. Raises ReviewNotCleared."""
    if review.dataset != dataset.slug or review.table_digest != digests.keyed(table.digest, project.key):
        raise ReviewNotCleared(
            "The review is of another table than the one to be published.",
            hint="Run the privacy review again.",
        )
    found = clearance(project, dataset, review, portal)
    if not found.cleared:
        raise ReviewNotCleared(
            f"Nothing was sent: {found.why}", hint=reviews.headline(review)[2], state=found.state
        )
    return found


def wanted(dataset: Dataset, table: Table) -> Wanted:
    """What `dataset` asks of a portal for `table`."""
    contract = dataset.contract
    columns = contract.published_columns if contract.deletes else table.columns
    key = contract.key[0] if contract.key else None
    return Wanted(
        contract.title,
        contract.description,
        table,
        tuple(columns),
        key,
        contract.portal.mode,
        contract.portal.public,
        contract.metadata,
    )


def draft_plan(project: Project, dataset: Dataset, table: Table) -> Plan:
    """The plan of a draft, for the embedded portal."""
    return plan(project, dataset, table, "local")


def draft_publish(project: Project, dataset: Dataset, table: Table, review: Review) -> Receipt:
    """Publish a draft to the embedded portal when its review is cleared; else say why nothing was sent."""
    try:
        done = publish(
            project, dataset, table, review, "local", release=f"draft-{clock.now():%Y%m%dT%H%M%SZ}"
        )
    except ReviewNotCleared as error:
        return _not_sent(dataset, error)
    return replace(done.receipt, why="A draft on the embedded portal; it leaves no record.")


def _not_sent(dataset: Dataset, error: CtnbError) -> Receipt:
    contract = dataset.contract
    return Receipt(
        False, error.what, "local", "", "", contract.portal.mode, contract.portal.public, 0, 0, 0, False, ""
    )


def _receipt(made: Plan, there: Target, rows: int, release: str) -> Receipt:
    why = (
        "The portal already had these rows." if made.before == made.expected else "Sent, read back and equal."
    )
    dataset_id = there.dataset_id or ""
    return Receipt(
        sent=True, why=why, portal=made.portal, url=there.portal.address(dataset_id), dataset_id=dataset_id,
        mode=made.mode, public=made.public, rows_before=made.rows_before, rows_sent=made.rows_sent,
        rows_after=rows, equal=True, release=release,
    )  # fmt: skip
