"""Who may decide what, how it is kept, and what a decision clears: digest for digest."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ctnb import clock, ledger, settings
from ctnb.errors import RecordBroken, ReviewNotCleared, UsageError
from ctnb.privacy.decisions import (
    Clearance,
    Decision,
    Person,
    clearance,
    decide,
    from_entry,
    opening,
    whoami,
)
from ctnb.privacy.findings import Asked, Finding
from ctnb.privacy.reviews import Review
from ctnb.settings import Project

ANALYST, REVIEWER = Person("ana", 1001, "uid"), Person("rob", 1002, "uid")
NOW = dt.datetime(2026, 11, 21, 11, 5, 12, tzinfo=dt.UTC)
REASON = "Town totals were published before; suppressed cells cannot be worked out."
PHONES = Finding("phone-content", ("office",), "wait", 10, 100, "office holds 10 numbers.", "Look.")
HIDDEN = Finding("complementary-unchecked", ("deaths",), "wait", 20, 100, "20 cells.", "Look.")
SMALL = Finding("small-cell", ("deaths",), "block", 3, 100, "deaths shows 3 cells.", "Suppress.")


@pytest.fixture(autouse=True)
def _at_a_fixed_time() -> Iterator[None]:
    clock.fix(NOW)
    yield
    clock.fix(None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without reviewers, four eyes on."""
    return project_of(tmp_path, "format: 1\n")


def project_of(folder: Path, text: str) -> Project:
    """A project with the ctnb.yml `text`."""
    (folder / "ctnb.yml").write_text(text, encoding="utf-8")
    return settings.load(folder)


def review_of(*findings: Finding, **changes: Any) -> Review:
    """A review with these findings."""
    made = Review(
        "deaths", "run-1", "default", "sha256:p", "sha256:c", "sha256:t", "hmac-sha256:d", 100, ("town", "deaths"),
        "group", findings, (Asked("no-role", "clean", "", 2),), "2026-11-21T11:00:00.000000Z",
    )  # fmt: skip
    return replace(made, **changes)


def decided(project: Project, review: Review, verdict: str = "approve", **changes: Any) -> Decision:
    """What the reviewer decides for a portal of the state."""
    told: dict[str, Any] = {
        "reason": REASON, "ran_by": ANALYST, "portal": "state", "portal_kind": "socrata", "base_release": None,
        "person": REVIEWER,
    }  # fmt: skip
    return decide(project, review, verdict=verdict, **{**told, **changes})  # type: ignore[arg-type] - wrong ones too


def cleared(
    project: Project, review: Review, *, days: int = 0, base_release: str | None = None, portal: str = "state",
    kind: str = "socrata",
) -> Clearance:  # fmt: skip
    """What the ledger says of `review` so many days later, for a portal of the state."""
    return clearance(
        review, list(ledger.entries(project.ledger)), now=NOW + dt.timedelta(days=days),
        base_release=base_release, portal=portal, portal_kind=kind,
    )  # fmt: skip


def test_a_clear_review_needs_no_decision(project: Project) -> None:
    """Nothing to decide."""
    assert cleared(project, review_of()).state == "clear"


def test_a_waiting_review_waits_until_somebody_decides(project: Project) -> None:
    """First nobody, then an approval."""
    review = review_of(HIDDEN)
    before = cleared(project, review)
    decision = decided(project, review)
    after = cleared(project, review)
    assert (before.cleared, before.state) == (False, "waiting")
    assert (after.cleared, after.state, after.decision) == (True, "approved", decision)


def test_a_decision_is_a_line_of_the_ledger(project: Project) -> None:
    """Who, how established, why, when, until when, and for which digests."""
    decision = decided(project, review_of(HIDDEN), conditions="Only for 2026.", base_release="rel-1")
    (entry,) = ledger.entries(project.ledger)
    assert (entry.kind, from_entry(entry)) == ("decision", decision)
    assert json.loads(json.dumps(entry.facts))["by"] == {"name": "rob", "uid": 1002, "how": "uid"}
    assert (decision.at[:10], decision.expires[:10]) == ("2026-11-21", "2027-11-21")
    assert (decision.four_eyes, decision.subject.base_release) == ("yes", "rel-1")


@pytest.mark.parametrize(
    "change",
    ["table_digest", "contract_digest", "policy_digest", "transform_digest", "rows"],
)
def test_another_digest_needs_another_decision(project: Project, change: str) -> None:
    """A one-time approval is for exactly one review."""
    review = review_of(HIDDEN)
    decided(project, review)
    other = replace(review, **{change: 99 if change == "rows" else "sha256:x"})
    assert (cleared(project, other).cleared, cleared(project, other).state) == (False, "stale")


def test_another_base_release_needs_another_decision(project: Project) -> None:
    """What publishing would replace is part of what was approved."""
    review = review_of(HIDDEN)
    decided(project, review, base_release="rel-1")
    assert cleared(project, review, base_release="rel-1").cleared
    assert cleared(project, review, base_release="rel-2").state == "stale"


def test_an_approval_expires(project: Project) -> None:
    """After the policy's decision_days, to the second."""
    review = review_of(HIDDEN)
    decided(project, review)
    assert [cleared(project, review, days=days).state for days in (364, 365)] == ["approved", "expired"]


def test_a_refusal_after_an_approval_refuses_and_an_approval_after_that_clears(project: Project) -> None:
    """The newest decision wins."""
    review = review_of(HIDDEN)
    states = []
    for verdict in ("approve", "refuse", "approve"):
        decided(project, review, verdict)
        states.append(cleared(project, review).state)
    assert states == ["approved", "refused", "approved"]


def test_a_refusal_stops_a_clear_review_too_and_outlives_the_base_release(project: Project) -> None:
    """Somebody said no."""
    decided(project, review_of(), "refuse", base_release="rel-1")
    assert cleared(project, review_of(), base_release="rel-2").state == "refused"


def test_a_blocked_review_is_neither_approved_nor_cleared(project: Project) -> None:
    """Not by a person, and not by a line in the ledger."""
    review = review_of(SMALL, HIDDEN)
    with pytest.raises(ReviewNotCleared) as refused:
        decided(project, review)
    assert "deaths shows 3 cells." in str(refused.value)
    assert (list(ledger.entries(project.ledger)), cleared(project, review).state) == ([], "blocked")


def test_whoever_ran_may_not_approve(project: Project) -> None:
    """Four eyes: by number of the account, whatever its name."""
    with pytest.raises(UsageError):
        decided(project, review_of(HIDDEN), person=replace(ANALYST, name="another"))
    assert decided(project, review_of(HIDDEN), "refuse", person=ANALYST).four_eyes == "not needed: a refusal"


def test_the_local_portal_needs_no_second_pair_of_eyes_and_the_record_says_so(project: Project) -> None:
    """Trying things out alone."""
    decision = decided(project, review_of(HIDDEN), person=ANALYST, portal_kind="embedded")
    assert decision.four_eyes == "not needed: local portal"


def test_four_eyes_can_be_switched_off_and_the_record_says_so(tmp_path: Path) -> None:
    """In ctnb.yml."""
    project = project_of(tmp_path, "format: 1\nfour_eyes: false\n")
    assert (
        decided(project, review_of(HIDDEN), person=ANALYST).four_eyes
        == "not needed: switched off in ctnb.yml"
    )


def test_only_listed_reviewers_decide(tmp_path: Path) -> None:
    """By uid, or by account where no uid is given; a name alone is nobody."""
    listed = "[{name: Rob, uid: 1002}, {name: Eve, account: eve}, {name: mallory}]"
    project = project_of(tmp_path, f"format: 1\nreviewers: {listed}\n")
    allowed = []
    for person in (REVIEWER, Person("eve", 7, "uid"), Person("mallory", 8, "uid"), Person("Rob", 9, "uid")):
        with contextlib.suppress(UsageError):
            allowed.append(decided(project, review_of(HIDDEN), person=person).by.name)
    assert allowed == ["rob", "eve"]


@pytest.mark.parametrize(
    "reason", ["", "ok", "OK OK OK OK OK", "looks good to me", "approved.", "xxxxxxxxxxxx", "asdfgh"]
)
def test_a_reason_that_says_nothing_is_refused(project: Project, reason: str) -> None:
    """Somebody else has to understand it in a year."""
    with pytest.raises(UsageError):
        decided(project, review_of(HIDDEN), reason=reason)


@pytest.mark.parametrize("where", ["reason", "conditions"])
@pytest.mark.parametrize("planted", ["123-45-6789", "j.roe@example.org", "(860) 555-0142"])
def test_a_person_s_data_in_a_text_is_refused_and_never_quoted(
    project: Project, where: str, planted: str
) -> None:
    """Before the ledger takes it."""
    with pytest.raises(UsageError) as refused:
        decided(project, review_of(HIDDEN), **{where: f"{REASON} See {planted}."})
    assert (planted in str(refused.value), list(ledger.entries(project.ledger))) == (False, [])


def test_a_standing_approval_covers_another_batch_within_its_bounds(project: Project) -> None:
    """Same contract, policy and transform; fewer hits, an equal share, another run, table and base."""
    decided(project, review_of(PHONES, HIDDEN), standing=True)
    later = review_of(
        replace(PHONES, count=9), replace(HIDDEN, count=40, of=200), run="run-2", table_digest="hmac-sha256:e"
    )
    assert cleared(project, later, base_release="rel-2").state == "approved"


@pytest.mark.parametrize(
    "findings",
    [
        (replace(PHONES, count=11, of=1000),),
        (replace(HIDDEN, count=21),),
        (replace(HIDDEN, count=10, of=49),),
        (replace(PHONES, columns=("home",), count=1),),
        (replace(HIDDEN, rule="free-text"),),
    ],
    ids=["more hits of an identifier", "a larger share", "a larger share of less", "another column", "another rule"],
)  # fmt: skip
def test_a_standing_approval_covers_nothing_beyond_its_bounds(
    project: Project, findings: tuple[Finding, ...]
) -> None:
    """Hits of identifiers may not rise at all, shares not above the approved ones."""
    decided(project, review_of(PHONES, HIDDEN), standing=True)
    assert cleared(project, review_of(*findings, run="run-2")).state == "stale"


@pytest.mark.parametrize("change", ["contract_digest", "policy_digest", "transform_digest"])
def test_a_standing_approval_ends_with_the_structure_it_was_for(project: Project, change: str) -> None:
    """Any of the three."""
    decided(project, review_of(HIDDEN), standing=True)
    assert cleared(project, review_of(HIDDEN, **{change: "sha256:x"})).state == "stale"


def test_an_expired_one_time_approval_does_not_hide_a_standing_one(tmp_path: Path) -> None:
    """Each decision stands until it expires."""
    review = review_of(HIDDEN)
    short = project_of(tmp_path, "format: 1\npolicies: {default: {decision_days: 10}}\n")
    decided(project_of(tmp_path, "format: 1\n"), review, standing=True)
    decided(short, review)
    assert cleared(short, review, days=30).decision == from_entry(next(ledger.entries(short.ledger)))


def test_a_decision_about_another_dataset_says_nothing(project: Project) -> None:
    """Even with equal digests."""
    decided(project, review_of(HIDDEN, dataset="births"), standing=True)
    assert cleared(project, review_of(HIDDEN)).state == "waiting"


@pytest.mark.parametrize("standing", [False, True])
def test_an_approval_for_one_portal_clears_no_other(project: Project, standing: bool) -> None:
    """What may be seen on a city's portal may not yet be seen on the state's."""
    decided(project, review_of(HIDDEN), standing=standing, portal="city")
    assert cleared(project, review_of(HIDDEN), portal="city").state == "approved"
    assert cleared(project, review_of(HIDDEN), portal="state").state == "waiting"


@pytest.mark.parametrize("standing", [False, True])
def test_what_an_analyst_approved_for_a_rehearsal_clears_no_portal_outside(
    project: Project, standing: bool
) -> None:
    """Not even under the name of one: nobody but the one who ran it has looked at these rows."""
    decided(project, review_of(HIDDEN), standing=standing, person=ANALYST, portal_kind="embedded")
    assert cleared(project, review_of(HIDDEN), kind="embedded").state == "approved"
    assert cleared(project, review_of(HIDDEN), kind="socrata").state == "waiting"


def test_a_table_is_opened_to_everybody_on_one_portal(project: Project) -> None:
    """The second decision, too, is about the portal that it was made for."""
    review = review_of()
    decided(project, review, about="public", portal="city")
    entries = list(ledger.entries(project.ledger))
    found = [
        opening(review, entries, now=NOW, portal=portal, portal_kind="socrata").state
        for portal in ("city", "state")
    ]
    assert found == ["approved", "waiting"]


def test_a_refusal_counts_on_every_portal(project: Project) -> None:
    """Rows that a person may not be found in are not looked for on another address."""
    decided(project, review_of(), "refuse", portal="city")
    assert cleared(project, review_of(), portal="state").state == "refused"


def test_a_decision_from_before_portals_were_written_down_still_counts(project: Project) -> None:
    """As it was made: for any portal, or for the embedded one alone."""
    for kind, states in (("socrata", ["approved", "approved"]), ("embedded", ["waiting", "approved"])):
        made = decided(project, review_of(HIDDEN, dataset=kind), portal_kind=kind).to_json()
        del made["subject"]["portal"]
        project.ledger.unlink()
        ledger.append(project.ledger, "decision", made)
        found = [
            cleared(project, review_of(HIDDEN, dataset=kind), kind=one) for one in ("socrata", "embedded")
        ]
        assert [one.state for one in found] == states


def test_a_line_that_is_no_decision_is_a_broken_record(project: Project) -> None:
    """It never passes for one."""
    ledger.append(project.ledger, "decision", {"verdict": "approve"})
    with pytest.raises(RecordBroken):
        cleared(project, review_of(HIDDEN))


def test_a_person_is_who_the_operating_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the environment has a say."""
    before = whoami()
    for name in ("LOGNAME", "USER", "USERNAME", "LNAME"):
        monkeypatch.setenv(name, "mallory")
    assert (whoami(), before.name == "mallory") == (before, False)
