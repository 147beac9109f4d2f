"""
Publishing a dataset's table: the gate, the plan, sending, and what is kept of it.

Only the supervisor calls this with credentials of a portal outside; a draft reaches the embedded portal alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ctnb import attachments, clock, digests, ledger, releases, secrets, unfinished
from ctnb.attachments import Copy
from ctnb.clients.socrata import Socrata
from ctnb.contracts.publication import WHOLE
from ctnb.contracts.push_sources import push_source
from ctnb.datasets import Dataset
from ctnb.drift import structure
from ctnb.errors import CtnbError, RecordBroken, ReviewNotCleared, SettingsInvalid
from ctnb.portals import accounts, attaching, gates, local, parts, planning, sending
from ctnb.portals.interface import Attachments, Portal
from ctnb.portals.journal import Journal
from ctnb.portals.planning import Kept, Planned, Target, Wanted
from ctnb.portals.plans import Plan, Receipt
from ctnb.portals.sending import Delivered
from ctnb.portals.socrata import SocrataPortal
from ctnb.privacy import decisions, reviews
from ctnb.privacy.decisions import Clearance
from ctnb.privacy.reviews import Review
from ctnb.records import SendFacts
from ctnb.settings import PortalSettings, Project
from ctnb.tables import Table, open_columns, open_table

DRAFT = "A draft on the embedded portal; it leaves no record."


@dataclass(frozen=True)
class Published:
    """What publishing did, with what the record keeps."""

    receipt: Receipt
    plan: Plan
    clearance: Clearance
    opened_by: Clearance
    """Whether it may be public, and who says so."""
    whole: str
    """Content digest of the whole dataset as it is kept, plain; empty when that is the table."""
    delivered: Delivered


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
    if settings.kind == "embedded":
        with local.running(project) as url:
            client = Socrata(
                url,
                local.credentials(project),
                timeout_s=settings.timeout_s,
                ca_file=local.ca_file(project, url),
            )
            yield SocrataPortal(name, client, one_request_bytes=settings.one_request_mb << 20)
        return
    if settings.kind == "opendatasoft":
        yield _opendatasoft(name, settings, dataset, project.root)
        return
    yield accounts.socrata(name, settings, project.root)


def _opendatasoft(name: str, settings: PortalSettings, dataset: Dataset | None, root: Path) -> Portal:
    from ctnb.clients.opendatasoft import Opendatasoft, push_place  # few publish there
    from ctnb.portals.opendatasoft import OpendatasoftPortal

    if not settings.url or not settings.api_key:
        raise SettingsInvalid(
            f"Portal {name} of ctnb.yml needs url: and api_key:.",
            hint="The key names a secret: api_key: {secret: NAME}.",
        )
    key, source = secrets.value(settings.api_key), push_source(dataset.folder, name) if dataset else None
    client = Opendatasoft(
        settings.url, key, timeout_s=settings.timeout_s, process_s=settings.process_s,
        ca_file=root / settings.ca_file if settings.ca_file else None,
    )  # fmt: skip
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
        portal=portal,
        portal_kind=project.portal(portal).kind,
    )


def plan(
    project: Project, dataset: Dataset, table: Table, portal: str, work: Path | None = None,
    copies: tuple[Copy, ...] = (),
) -> Plan:  # fmt: skip
    """What publishing `table`, with the files of `copies` beside it, would change. Writes nothing."""
    with target(project, dataset, portal) as there:
        asked = replace(wanted(project, dataset, table, portal, copies), may_open=_embedded(project, portal))
        return planning.make(there, asked, work, _kept(project, dataset, portal))


def publish(
    project: Project, dataset: Dataset, table: Table, review: Review, portal: str, *, release: str,
    work: Path | None = None, sent: SendFacts | None = None, removes: str = "",
    planned: Callable[[Plan], None] | None = None, before_send: Callable[[Plan, str], None] | None = None,
    copies: tuple[Copy, ...] = (),
) -> Published:  # fmt: skip
    """
    Publish `table`, whose review is `review`, as `release`: gate, plan, send, read back, compare, keep.

    `sent` is an earlier sending of the same run that was not called released: rows that are there already are
    not sent twice. `removes` is a person's reason for taking published rows away. `planned` is called with the plan
    before anything of it is checked, `before_send` with the plan and the portal's dataset id right before anything
    is sent. `copies` are the files beside the rows that were reviewed with them.
    What is to be public on a portal outside stays private until somebody decided about that too; the receipt then
    says so.
    Raises ReviewNotCleared, PublishRefused, PortalFailed; the published rows then stay as they were.
    """
    cleared = gate(project, dataset, table, review, portal, copies)
    opened_by = opening(project, review, portal)
    want = replace(
        wanted(project, dataset, table, portal, copies), may_open=opened_by.cleared, removal_reason=removes
    )
    journal = sending_journal(project, dataset, portal)
    with ExitStack() as stack:
        there = stack.enter_context(target(project, dataset, portal))
        if there.dataset_id:
            there.portal.settle(there.dataset_id, journal)
        kept = _kept(project, dataset, portal)
        made = stack.enter_context(planning.opened(there, want, work, kept))
        made = unfinished.settled(made, project, dataset.slug, sent, review.run)
        if planned:
            planned(made.plan)
        sending.check(made.plan)
        there = sending.prepare(
            there, want, creation_token(project, dataset, portal),
            lambda found: releases.note_dataset_id(project, dataset, portal, found),
        )  # fmt: skip
        if before_send:
            before_send(made.plan, there.dataset_id or "")
        token = _token(project, dataset, made, table)
        limit = project.portal(portal).read_back_rows
        delivered = sending.send(there, made, token, journal, at_most_rows=limit)
        _describe(project, dataset, there, made)
        whole = _keep(project, dataset, release, table, made)
    return Published(
        _receipt(made.plan, there, delivered, release), made.plan, cleared, opened_by, whole, delivered
    )


def _describe(project: Project, dataset: Dataset, there: Target, made: Planned) -> None:
    """Words, filtered views, and who may read a dataset that is not open yet."""
    want, dataset_id = made.wanted, there.dataset_id or ""
    cited = gates.citation(want.title, want.metadata, there.portal.address(dataset_id), clock.now().year)
    told = replace(want.described, description=gates.with_citation(want.description, cited))
    there.portal.describe(dataset_id, told)
    mails = [one.mail for one in project.settings.reviewers if one.mail]
    waits = made.plan.opening == "waits"
    if mails:
        there.portal.share(dataset_id, mails if waits else [])
    if want.views and not waits:
        known = releases.view_ids(project, dataset, there.portal.name)
        shown = there.portal.show(dataset_id, parts.parts(made.connection, want.views, want.fields), known)
        releases.note_view_ids(project, dataset, there.portal.name, shown)


def _keep(project: Project, dataset: Dataset, release: str, table: Table, made: Planned) -> str:
    """Keep the whole dataset as it is on the portal now; returns its content digest when that is not the table's."""
    if made.wanted.mode in WHOLE:
        releases.keep(project, dataset.slug, release, table)
        return ""
    whole = made.keep(made.folder / "whole.parquet")
    releases.keep(project, dataset.slug, release, whole)
    return whole.digest


def _kept(project: Project, dataset: Dataset, portal: str) -> Kept | None:
    """The newest release's rows, where they are kept, are what was released, and the portal's version was noted."""
    base = releases.newest(project, dataset.slug, portal)
    if base is None or not base.facts.version or not base.path.is_file():
        return None
    try:
        rows = open_table(base.path, digest=base.facts.whole or base.facts.digest)
    except RecordBroken:
        return None  # the portal is read instead
    return Kept(rows, base.facts.dataset_id, base.facts.version)


def _embedded(project: Project, portal: str) -> bool:
    return project.portal(portal).kind == "embedded"


def opening(project: Project, review: Review, portal: str) -> Clearance:
    """Whether the table of `review` may go public on `portal`: decided by a person, except for the embedded portal."""
    if _embedded(project, portal):
        return Clearance(True, None, "The embedded portal needs no decision to be open.", "clear")
    kind = project.portal(portal).kind
    entries = ledger.entries(project.ledger)
    return decisions.opening(review, entries, now=clock.now(), portal=portal, portal_kind=kind)


def sending_journal(project: Project, dataset: Dataset, portal: str) -> Journal:
    """The journal of what is sent of a dataset to one portal."""
    return Journal(project.private_folder("sending", dataset.slug) / f"{portal}.jsonl")


def _token(project: Project, dataset: Dataset, made: Planned, table: Table) -> str:
    """
    The idempotency key: the same for one table on one state of the portal, on top of one release, with one change of
    the files beside it.

    The base keeps a change apart from an equal one of an earlier time, after which others were published.
    """
    one, files = made.plan, made.wanted.files
    base = releases.newest(project, dataset.slug, one.portal)
    said: list[object] = [
        one.mode,
        table.digest,
        one.before,
        one.expected,
        base.facts.release if base else "",
    ]
    said += attaching.token(files, made.files) if files else []
    return digests.keyed(digests.of_bytes(digests.canonical_json(said)), project.key)


def creation_token(project: Project, dataset: Dataset, portal: str) -> str:
    """The idempotency key of the dataset itself: one for each dataset of this project on each portal."""
    said = ["dataset", dataset.slug, portal]
    return digests.keyed(digests.of_bytes(digests.canonical_json(said)), project.key)


def gate(
    project: Project,
    dataset: Dataset,
    table: Table,
    review: Review,
    portal: str,
    copies: tuple[Copy, ...] = (),
) -> Clearance:
    """The clearance of `review` for exactly `table`, with exactly these files beside it. Raises ReviewNotCleared."""
    if review.dataset != dataset.slug or review.table_digest != digests.keyed(table.digest, project.key):
        raise ReviewNotCleared(
            "The review is of another table than the one to be published.",
            hint="Run the privacy review again.",
        )
    if review.attachments != attachments.said(copies, project.key):
        raise ReviewNotCleared(
            "The review is of other files than those to be attached.", hint="Run the privacy review again."
        )
    found = clearance(project, dataset, review, portal)
    if not found.cleared:
        raise ReviewNotCleared(
            f"Nothing was sent: {found.why}", hint=reviews.headline(review)[2], state=found.state
        )
    return found


def wanted(
    project: Project, dataset: Dataset, table: Table, portal: str, copies: tuple[Copy, ...] = ()
) -> Wanted:
    """What `dataset` asks of `portal` for `table` and the files of `copies` beside it."""
    contract = dataset.contract
    outside = not _embedded(project, portal)
    return Wanted(
        contract.title, contract.description, table,
        tuple(contract.published_columns if contract.deletes else table.columns),
        contract.key[0] if contract.key else None, contract.portal.mode, contract.portal.public, contract.metadata,
        told=contract.portal, views=contract.views, approved=_added(project, dataset, table, portal),
        removal="asked", words="needed" if outside else "told",
        shared_with=sum(bool(one.mail) for one in project.settings.reviewers) if outside else 0,
        files=_files(project, dataset, portal, copies), federated_to=project.portal(portal).federated_to,
    )  # fmt: skip


def _files(project: Project, dataset: Dataset, portal: str, copies: tuple[Copy, ...]) -> Attachments | None:
    """The files that are to be attached, with what is known of earlier ones; None where there never were any."""
    made = [one.facts for one in releases.of_dataset(project, dataset.slug) if one.facts.portal == portal]
    known = {one.id: one.digest for facts in made for one in facts.attachments}
    sent = attaching.sent(sending_journal(project, dataset, portal))
    return Attachments(copies, known, sent) if copies or known or sent else None


def _added(project: Project, dataset: Dataset, table: Table, portal: str) -> frozenset[str]:
    """
    The columns of `table` that the newest release did not have.

    Nothing is sent before the review is cleared, and another structure than the last release's waits for a decision
    of its own there: so these are approved.
    """
    base = releases.newest(project, dataset.slug, portal)
    if base is None or not base.path.is_file():
        return frozenset()
    found = structure.compare(open_columns(base.path), table.columns)
    return frozenset([*found.added, *(now for _, now in found.renamed)])


def draft_plan(project: Project, dataset: Dataset, table: Table, copies: tuple[Copy, ...] = ()) -> Plan:
    """The plan of a draft, for the embedded portal."""
    return plan(project, dataset, table, "local", copies=copies)


def draft_publish(
    project: Project, dataset: Dataset, table: Table, review: Review, copies: tuple[Copy, ...] = ()
) -> Receipt:
    """Publish a draft to the embedded portal when its review is cleared; else say why nothing was sent."""
    try:
        done = publish(
            project,
            dataset,
            table,
            review,
            "local",
            release=f"draft-{clock.now():%Y%m%dT%H%M%SZ}",
            removes=DRAFT,
            copies=copies,
        )
    except ReviewNotCleared as error:
        return _not_sent(dataset, error)
    return replace(done.receipt, why=DRAFT)


def _not_sent(dataset: Dataset, error: CtnbError) -> Receipt:
    contract = dataset.contract
    return Receipt(
        False, error.what, "local", "", "", contract.portal.mode, contract.portal.public, 0, 0, 0, False, ""
    )


def _receipt(made: Plan, there: Target, delivered: Delivered, release: str) -> Receipt:
    why = (
        "The portal already had these rows." if made.before == made.expected else "Sent, read back and equal."
    )
    if made.opening:
        why += " It stays private until somebody decides that it may be public."
    dataset_id = there.dataset_id or ""
    return Receipt(
        sent=True, why=why, portal=made.portal, url=there.portal.address(dataset_id), dataset_id=dataset_id,
        mode=made.mode, public=made.public, rows_before=made.rows_before, rows_sent=made.rows_sent,
        rows_after=delivered.rows, equal=True, release=release, opening=made.opening,
    )  # fmt: skip
