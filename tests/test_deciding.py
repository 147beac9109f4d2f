"""Decisions through whole runs: who may decide, what a decision covers, and what goes on after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import pytest
from portal_fixture import Running, running_portal

from ctnb import deciding, ledger, records, verification
from ctnb.errors import ReviewNotCleared, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.records import RunRecord
from ctnb.settings import Project

WHY = "Withheld counts cannot be worked out from any total that is published"


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


def go_on(project: Project, pool: KernelPool, record: RunRecord) -> RunRecord:
    """`ctnb run visits --from publish --run ID`."""
    return fp.run(project, pool, from_step="publish", run=record.run)


def test_an_approval_releases_the_run_that_waited(tmp_path: Path, pool: KernelPool) -> None:
    """The decision is in the ledger and the record; the same table published anew needs another decision."""
    project = fp.make(tmp_path, small=True)
    waiting = fp.run(project, pool)
    made = deciding.decide(project, waiting.run, "approve", reason=WHY)
    assert made.next == f"ctnb run visits --from publish --run {waiting.run}"
    assert made.decision.four_eyes == "not needed: local portal"
    with local.running(project):
        released = go_on(project, pool, waiting)
        assert (released.run, released.status, released.decision) == (
            waiting.run, "released", made.decision.id
        )  # fmt: skip
        assert (fp.place(project, released) / "decision.json").is_file()
        assert [e.kind for e in ledger.entries(project.ledger)] == ["seal", "decision", "seal"]
        fp.write_people(project, [*fp.people("Easton"), *fp.people("Fairfield")[-3:]])
        other = fp.run(project, pool)
        assert (other.status, other.decision) == ("waiting", None)
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_a_refusal_ends_the_run(tmp_path: Path, pool: KernelPool) -> None:
    """Refused, sealed, code 1; going on is refused, and so is another decision."""
    project = fp.make(tmp_path, small=True)
    waiting = fp.run(project, pool)
    deciding.decide(
        project, waiting.run, "refuse", reason="Two towns could be told apart with the state's totals"
    )
    ended = records.find(project, waiting.run)
    assert (ended.status, ended.exit_code, ended.seal) == ("refused", 1, 2)
    assert "refused the review" in ended.reason
    with pytest.raises(UsageError, match="does not wait"):
        deciding.decide(project, waiting.run, "approve", reason=WHY)
    again = fp.run(project, pool)
    assert (again.status, again.exit_code) == ("refused", 1)  # the same table, the same review
    assert verification.verify(project).faults == ()


def test_what_is_blocked_cannot_be_approved(tmp_path: Path, pool: KernelPool) -> None:
    """Not by anybody: the transform or the contract must change."""
    project = fp.make(tmp_path)
    fp.publish_people(project)
    record = fp.run(project, pool)
    with pytest.raises(ReviewNotCleared, match="A blocked review cannot be approved"):
        deciding.decide(project, record.run, "approve", reason=WHY)
    assert [e.kind for e in ledger.entries(project.ledger)] == ["seal"]


@pytest.mark.slow
def test_a_standing_decision_covers_what_follows_within_its_bounds(tmp_path: Path, pool: KernelPool) -> None:
    """The same structure with no larger share goes out without asking; more findings wait again."""
    project = fp.make(tmp_path, small=True)
    waiting = fp.run(project, pool)
    made = deciding.decide(project, waiting.run, "approve", reason=WHY, standing=True)
    with local.running(project):
        assert go_on(project, pool, waiting).status == "released"
        fp.write_people(project, [*fp.people()[:44], *fp.people("Easton")[-3:]])
        within = fp.run(project, pool)
        assert (within.status, within.decision) == ("released", made.decision.id), within.reason
        more = [*fp.people("Easton"), *fp.people("Fairfield")[-3:], *fp.people("Granby")[-3:]]
        fp.write_people(project, more)
        beyond = fp.run(project, pool)
        assert (beyond.status, beyond.exit_code) == ("waiting", 1)
        assert "Beyond the bounds" in beyond.reason
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_whoever_ran_may_not_approve_for_a_portal_outside(
    tmp_path: Path, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four eyes: the same account may refuse, and nothing was sent."""
    with running_portal(tmp_path) as portal:
        project = outside(tmp_path / "project", portal, monkeypatch)
        waiting = fp.run(project, pool)
        assert waiting.status == "waiting"
        with pytest.raises(UsageError, match="ran this and may not approve it"):
            deciding.decide(project, waiting.run, "approve", reason=WHY)
        assert go_on(project, pool, waiting).status == "waiting"
        refused = deciding.decide(project, waiting.run, "refuse", reason=WHY)
        assert refused.decision.four_eyes == "not needed: a refusal"
        assert portal.ask("GET", "/api/catalog/v1").json()["resultSetSize"] == 0


def outside(folder: Path, portal: Running, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with small counts that publishes to a portal of the kind socrata."""
    monkeypatch.setenv("STATE_KEY_ID", portal.key_id)
    monkeypatch.setenv("STATE_KEY_SECRET", portal.key_secret)
    yml = fp.CTNB_YML + (
        f"  state:\n    kind: socrata\n    url: {portal.url}\n    key_id: {{secret: STATE_KEY_ID}}\n"
        "    key_secret: {secret: STATE_KEY_SECRET}\n"
    )
    return fp.make(folder, small=True, portal="state", ctnb_yml=yml)
