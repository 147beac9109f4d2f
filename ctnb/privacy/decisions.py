"""
Decisions: a named person's approval or refusal of one review, or of a structure with bounds.

A decision is a line of the ledger; whether a review is cleared is worked out from those lines each time.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from ctnb import clock, ledger
from ctnb.digests import canonical_json, of_bytes
from ctnb.errors import RecordBroken, ReviewNotCleared, UsageError
from ctnb.ledger import Entry
from ctnb.privacy.detection import found_in
from ctnb.privacy.findings import RULES, Finding
from ctnb.privacy.reviews import Review, headline
from ctnb.settings import Project, Reviewer

KIND = "decision"
"""The kind of a decision's line in the ledger."""
TOLERANCE = Fraction(0)
"""How far a share may rise above the approved one under a standing decision."""
FEWEST_CHARACTERS = 10
LOCAL = "embedded"
"""The kind of portal that needs no second pair of eyes."""
NOT_NEEDED = "not needed: local portal"
"""What a decision for such a portal says of them."""

Verdict = Literal["approve", "refuse"]
About = Literal["rows", "public"]
State = Literal["clear", "approved", "waiting", "blocked", "refused", "expired", "stale"]

_FILLER_WORDS = """
a all and approve approved approving as been checked done fine for good great has i is it lgtm looks me nice no
none now ok okay please proceed publish reason release seems sure test testing that the this to very well yes you
"""
_FILLER = frozenset(_FILLER_WORDS.split())


@dataclass(frozen=True)
class Person:
    """Who somebody is, and how that was established."""

    name: str
    """The name of their account."""
    uid: int | None
    """The operating system's number of the account; None where there is none."""
    how: str
    """uid, or the interface that was asked."""


@dataclass(frozen=True)
class Subject:
    """What exactly was decided about."""

    review_digest: str
    table_digest: str
    contract_digest: str
    policy_digest: str
    transform_digest: str | None
    base_release: str | None
    """The release on the portal that publishing would replace; None when there is none."""
    attachments: str | None = None
    """Digest of the names, sizes and digests of the files that go out beside the rows; None when there are none."""
    portal: str | None = None
    """Where the rows go, by its name in ctnb.yml; None in a decision of a ctnb that did not write it down."""


@dataclass(frozen=True)
class Bound:
    """How much of one finding a standing decision allows."""

    count: int
    of: int
    direct: bool
    """It is about direct identifiers: the count may not rise. Otherwise the share may not."""


@dataclass(frozen=True)
class Decision:
    """A line of the ledger: who decided what about which review, why and until when."""

    id: str
    verdict: Verdict
    kind: Literal["one-time", "standing"]
    """one-time: exactly this review; standing: this contract, policy and transform, within bounds."""
    dataset: str
    run: str
    """The run whose review was decided about."""
    reason: str
    conditions: str
    by: Person
    at: str
    expires: str
    subject: Subject
    bounds: Mapping[str, Bound]
    """For a standing decision, by a finding's key."""
    four_eyes: str
    """yes, or why not."""
    about: About = "rows"
    """rows: whether they may leave, to a private dataset too; public: whether everybody may see them."""

    def to_json(self) -> dict[str, Any]:
        """It as JSON's types; a decision about rows alone says nothing of files."""
        made = asdict(self)
        for name in ("attachments", "portal"):
            if made["subject"][name] is None:
                del made["subject"][name]
        return made


@dataclass(frozen=True)
class Clearance:
    """Whether a review's table may be published, and why."""

    cleared: bool
    decision: Decision | None
    """The decision that says so, or the one that no longer does."""
    why: str
    """One sentence."""
    state: State


def whoami() -> Person:
    """
    The person who owns this process, as the operating system says; never from the environment.

    Raises UsageError when the operating system has no name for the account.
    """
    if sys.platform == "win32":
        return Person(_windows_account(), None, "GetUserNameW")
    import pwd

    uid = os.getuid()
    try:
        return Person(pwd.getpwuid(uid).pw_name, uid, "uid")
    except KeyError:
        raise UsageError(
            f"The operating system has no account with the number {uid}.",
            hint="Decide from an account that has a name.",
        ) from None


def decide(
    project: Project, review: Review, *, verdict: Verdict, reason: str, conditions: str = "",
    standing: bool = False, ran_by: Person, portal: str, portal_kind: str, base_release: str | None,
    person: Person | None = None, about: About = "rows",
) -> Decision:  # fmt: skip
    """
    Record in the ledger what `person` (whoever owns this process when None) decides about `review`.

    `about` public is the second decision, on the same digests: that everybody may see the rows; it is made once for
    each table. It is about the rows on their way to `portal`, of `portal_kind`, and clears them for no other. The
    decision expires after the policy's `decision_days`. Raises ReviewNotCleared when a blocked
    review is to be approved, UsageError when this person may not decide or the reason does not do.
    """
    person = person or whoami()
    _check_verdict(review, verdict)
    _check_reviewer(project, person, portal_kind)
    eyes = _four_eyes(project, verdict, person, ran_by, portal_kind)
    _check_free_of_identifiers("conditions", conditions)
    check_reason(reason)
    if standing and about == "public":
        raise UsageError(
            "That a table may be public is decided for this table alone.", hint="Leave out --standing."
        )
    now = clock.now()
    expires = now + dt.timedelta(days=project.policy(review.policy).decision_days)
    decision = Decision(
        _new_id(now), verdict, "standing" if standing else "one-time", review.dataset, review.run,
        reason.strip(), conditions.strip(), person, clock.stamp(now), clock.stamp(expires),
        subject(review, base_release, portal), _bounds(review) if standing else {}, eyes, about,
    )  # fmt: skip
    ledger.append(project.ledger, KIND, decision.to_json())
    return decision


def subject(review: Review, base_release: str | None, portal: str) -> Subject:
    """What a decision about `review`, whose rows go to `portal`, is bound to."""
    files = [asdict(one) for one in review.attachments]
    return Subject(
        review.digest, review.table_digest, review.contract_digest, review.policy_digest,
        review.transform_digest, base_release, of_bytes(canonical_json(files)) if files else None, portal,
    )  # fmt: skip


def from_entry(entry: Entry) -> Decision:
    """The decision in a line of the ledger. Raises RecordBroken when it is none."""
    try:
        return _from_facts(entry.facts)
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise RecordBroken(
        f"Line {entry.seq} of the ledger is not a decision.",
        hint="It was not written by this version of ctnb.",
    )


def clearance(
    review: Review, entries: Iterable[Entry], *, now: dt.datetime, base_release: str | None, portal: str,
    portal_kind: str,
) -> Clearance:  # fmt: skip
    """
    Whether `review` is cleared for `portal`, of `portal_kind`, at `now`, given the lines of the ledger. Pure.

    The newest decision that matches wins: one about exactly this review and base release, or a standing one
    with the same contract, policy and transform. An approval counts for the portal that it was made for, and one
    that needed no second pair of eyes for the embedded portal alone; a refusal counts for every portal. Raises
    RecordBroken when a decision cannot be read.
    """
    if review.state == "blocked":
        return Clearance(False, None, headline(review)[1], "blocked")
    of_dataset = _about("rows", review, entries, portal, portal_kind)
    wanted, passed = subject(review, base_release, portal), None
    for decision in of_dataset:
        found = _by_decision(review, wanted, decision, now)
        if found and found.state in ("approved", "refused"):
            return found
        passed = passed or found
    if review.state == "clear":
        return Clearance(True, None, "The review is clear; no decision is needed.", "clear")
    return passed or Clearance(False, None, "Nobody has decided about this review yet.", "waiting")


def opening(
    review: Review, entries: Iterable[Entry], *, now: dt.datetime, portal: str, portal_kind: str
) -> Clearance:
    """
    Whether everybody may see the table of `review` on `portal`, given the lines of the ledger. Pure.

    The newest decision about exactly this review and table that it may be public, or may not, wins; the release
    before does not matter. Raises RecordBroken when a decision cannot be read.
    """
    for decision in _about("public", review, entries, portal, portal_kind):
        told = decision.subject
        if (told.review_digest, told.table_digest) != (review.digest, review.table_digest):
            continue
        who = f"{decision.by.name} on {decision.at[:10]}"
        if decision.verdict == "refuse":
            return Clearance(False, decision, f"{who} refused to make it public.", "refused")
        if now < clock.parse(decision.expires):
            return Clearance(True, decision, f"{who} approved that it is public.", "approved")
        return Clearance(False, decision, f"The approval by {who} to make it public expired.", "expired")
    return Clearance(False, None, "Nobody has decided yet that it may be public.", "waiting")


def _about(
    about: About, review: Review, entries: Iterable[Entry], portal: str, portal_kind: str
) -> list[Decision]:
    """The decisions of the dataset of `review` about one question that count for a portal, newest first."""
    made = [from_entry(entry) for entry in entries if entry.kind == KIND]
    told = [one for one in reversed(made) if (one.dataset, one.about) == (review.dataset, about)]
    return [one for one in told if one.verdict == "refuse" or _counts_for(one, portal, portal_kind)]


def _counts_for(approval: Decision, portal: str, portal_kind: str) -> bool:
    """Whether an approval was made for this portal, and by somebody who may approve for one of its kind."""
    if approval.four_eyes == NOT_NEEDED and portal_kind != LOCAL:
        return False
    return approval.subject.portal in (None, portal)


def _by_decision(review: Review, wanted: Subject, decision: Decision, now: dt.datetime) -> Clearance | None:
    """What one decision says of a review; None when it is about something else."""
    standing = decision.kind == "standing"
    told = replace(decision.subject, portal=wanted.portal)
    exact = told == wanted
    if decision.verdict == "refuse":  # a refusal outlives the release it was made against and compared with
        today = replace(told, base_release=wanted.base_release, review_digest=wanted.review_digest)
        exact = today == wanted
    who = f"{decision.by.name} on {decision.at[:10]}"
    if not exact and not (standing and _same_structure(decision.subject, wanted)):
        if standing or decision.run == review.run:
            return Clearance(False, decision, f"What {who} decided about has changed since.", "stale")
        return None
    if decision.verdict == "refuse":
        return Clearance(False, decision, f"Refused by {who}.", "refused")
    if now >= clock.parse(decision.expires):
        return Clearance(
            False, decision, f"The approval by {who} expired on {decision.expires[:10]}.", "expired"
        )
    over = _first_over(review, decision) if standing and not exact else None
    if over:
        why = f"Beyond the bounds that {who} approved: {over.text}"
        return Clearance(False, decision, why, "stale")
    return Clearance(True, decision, f"Approved by {who} until {decision.expires[:10]}.", "approved")


def _same_structure(one: Subject, other: Subject) -> bool:
    """Whether all is the same but the rows: the attached files too, byte for byte."""
    return (one.contract_digest, one.policy_digest, one.transform_digest, one.attachments) == (
        other.contract_digest, other.policy_digest, other.transform_digest, other.attachments,
    )  # fmt: skip


def _bounds(review: Review) -> dict[str, Bound]:
    return {one.key: Bound(one.count, one.of, one.direct) for one in review.findings}


def _first_over(review: Review, decision: Decision) -> Finding | None:
    """The first waiting finding that a standing decision does not allow, or not as much of."""
    waiting = (finding for finding in review.findings if finding.severity != "note")
    return next((one for one in waiting if not _within(one, decision.bounds.get(one.key))), None)


def _within(finding: Finding, bound: Bound | None) -> bool:
    if bound is None or (finding.rule in RULES and RULES[finding.rule].once):
        return False
    if finding.direct or bound.direct:
        return finding.count <= bound.count
    return _share(finding.count, finding.of) <= _share(bound.count, bound.of) + TOLERANCE


def _share(count: int, of: int) -> Fraction:
    return Fraction(count, of) if of else Fraction(0)


def _check_verdict(review: Review, verdict: str) -> None:
    if verdict not in ("approve", "refuse"):
        raise UsageError(f"'{verdict}' is not a decision.", hint="Decide approve or refuse.")
    if verdict == "approve" and review.state == "blocked":
        _, worst, remedy = headline(review)
        raise ReviewNotCleared(
            f"A blocked review cannot be approved. {worst}", hint=remedy, dataset=review.dataset
        )


def _check_reviewer(project: Project, person: Person, portal_kind: str) -> None:
    allowed = project.settings.reviewers
    if portal_kind == LOCAL or not allowed or any(_is(person, reviewer) for reviewer in allowed):
        return
    raise UsageError(
        f"{person.name} is not one of the reviewers of this project.",
        hint="Ask one of those under reviewers: in ctnb.yml.",
    )


def _is(person: Person, reviewer: Reviewer) -> bool:
    """Whether a reviewer of ctnb.yml is this person: by uid, else by the account; a name alone is nobody."""
    if reviewer.uid is not None:
        return reviewer.uid == person.uid
    return reviewer.account is not None and reviewer.account == person.name


def _four_eyes(project: Project, verdict: Verdict, person: Person, ran_by: Person, portal_kind: str) -> str:
    if portal_kind == LOCAL:
        return NOT_NEEDED
    if not project.settings.four_eyes:
        return "not needed: switched off in ctnb.yml"
    if not _same_person(person, ran_by):
        return "yes"
    if verdict == "refuse":
        return "not needed: a refusal"
    raise UsageError(
        f"{person.name} ran this and may not approve it.", hint="Let somebody else decide, or refuse it."
    )


def _same_person(one: Person, other: Person) -> bool:
    if one.uid is not None and other.uid is not None:
        return one.uid == other.uid
    return one.name.casefold() == other.name.casefold()


def _check_free_of_identifiers(name: str, text: str) -> None:
    kinds = found_in(text)
    if kinds:
        raise UsageError(
            f"The {name} seems to contain {' and '.join(kinds)}.",
            hint="It is kept for good and read by many: write it without naming a person.",
        )


def check_reason(reason: str) -> None:
    """Raise UsageError unless `reason` is a sentence that says why and holds no direct identifier."""
    _check_free_of_identifiers("reason", reason)
    words = re.findall(r"[^\W\d_]+", reason.casefold())
    telling = [word for word in words if word not in _FILLER and len(set(word)) > 1]
    if len(reason.strip()) >= FEWEST_CHARACTERS and len(telling) >= 2:
        return
    raise UsageError(
        "The reason does not say why.",
        hint=f"Write a sentence of {FEWEST_CHARACTERS} characters or more that somebody else would understand.",
    )


def _new_id(now: dt.datetime) -> str:
    return f"{now.strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(4)}"


def _from_facts(facts: Mapping[str, Any]) -> Decision:
    made = Decision(
        **{
            **facts,
            "by": Person(**facts["by"]),
            "subject": Subject(**facts["subject"]),
            "bounds": {key: Bound(**bound) for key, bound in facts["bounds"].items()},
        }
    )
    if (
        made.verdict not in ("approve", "refuse")
        or made.kind not in ("one-time", "standing")
        or made.about not in ("rows", "public")
    ):
        raise ValueError("another verdict or kind")
    clock.parse(made.expires)
    return made


def _windows_account() -> str:
    """The account of this process, by GetUserNameW of advapi32; no variable of the environment has a say."""
    import ctypes

    size = ctypes.c_uint32(257)  # UNLEN + 1
    buffer = ctypes.create_unicode_buffer(size.value)
    if not getattr(ctypes, "windll").advapi32.GetUserNameW(buffer, ctypes.byref(size)):  # noqa: B009 - absent elsewhere
        raise UsageError(
            "Windows has no name for this account.", hint="Sign in with an account that has one."
        )
    return buffer.value
