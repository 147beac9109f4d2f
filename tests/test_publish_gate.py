"""Through whole runs: what a plan takes away, what is kept, syncs, views, and going public by a second decision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import pytest
import requests
from portal_fixture import Running, running_portal

from ctnb import (
    datasets,
    deciding,
    publishing,
    records,
    releases,
    reviewing,
    settings,
    tables,
    verification,
)
from ctnb.embedded.accounts import add_account
from ctnb.errors import RecordBroken, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.settings import Project

NORTH = ("Norfolk", "Oxford", "Preston", "Redding")
OUTSIDE = fp.CTNB_YML + (
    "  state:\n    kind: socrata\n    url: {url}\n    key_id: {{secret: STATE_KEY_ID}}\n"
    "    key_secret: {{secret: STATE_KEY_SECRET}}\n"
    "four_eyes: false\nreviewers:\n  - {{name: Rae Reviewer, uid: {uid}, mail: rae@example.org}}\n"
)
WORDS = """\
metadata:
  category: Health and Human Services
  row_label: A town
  license: Public Domain
  attribution: Example agency
  contact: data@example.org
  update_frequency: Annually
"""
WHY = "The counts are of towns with ten people or more and name nobody."


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal outside, as one that an agency reaches."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


def outside(folder: Path, portal: Running, monkeypatch: pytest.MonkeyPatch, mode: str = "replace") -> Project:
    """A described project that publishes to the portal outside, openly."""
    import os

    monkeypatch.setenv("STATE_KEY_ID", portal.key_id)
    monkeypatch.setenv("STATE_KEY_SECRET", portal.key_secret)
    told = OUTSIDE.format(url=portal.url, uid=os.getuid())
    project = fp.make(folder, portal="state", public=True, mode=mode, ctnb_yml=told)
    describe(project)
    return project


def describe(project: Project) -> None:
    """Every word that the gate asks for."""
    fp.change(project, "dataset.yml", "key: [town]\n", f"key: [town]\n{WORDS}")
    for before, told in (
        ("precision: town, constraints", "precision: town, description: Where the visit was., constraints"),
        ("integer, role: measure}", "integer, role: measure, description: How many persons came.}"),
    ):
        fp.change(project, "dataset.yml", before, told)


def dataset_id(project: Project, portal: str = "local") -> str:
    """The id that the portal gave the dataset."""
    return str(releases.dataset_id(project, datasets.dataset(fp.SLUG, project.notebooks), portal))


def kept(project: Project) -> list[tuple[object, ...]]:
    """The rows that the newest release keeps."""
    rows = releases.table(releases.of_dataset(project, fp.SLUG)[-1])
    assert rows is not None
    return sorted(tuple(row.values()) for row in rows.arrow().to_pylist())


def test_published_rows_go_only_for_a_reason(tmp_path: Path, pool: KernelPool) -> None:
    """The plan stops; with a reason the run goes on, and the record shows who gave it."""
    project = fp.make(tmp_path)
    fp.accept_other_towns(project)
    with local.running(project):
        assert fp.run(project, pool).status == "released"
        fp.write_people(project, fp.people(towns=fp.TOWNS[:3]))
        stopped = fp.run(project, pool, overrides=[fp.FEWER])
        assert (stopped.status, stopped.exit_code) == ("failed", 6)
        assert "it takes away 1 of 4 published rows, and nobody has said why" in stopped.reason
        assert stopped.plan and (stopped.plan.rows_removed, stopped.plan.rows_changed) == (1, 3)
        went = fp.run(project, pool, overrides=[fp.FEWER, fp.GONE])
        assert went.status == "released", went.reason
    assert [(one.guard, one.outcome) for one in went.guards if one.guard == "rows-removed"] == [
        ("rows-removed", "overridden")
    ]
    assert went.plan and (went.plan.removal_by, went.plan.removal_reason) == ("a person", fp.GONE[1])


@pytest.mark.parametrize("mode", ["upsert", "replace"])
def test_a_file_that_changes_after_its_review_is_not_sent(tmp_path: Path, mode: str) -> None:
    """The rows that were reviewed are the rows that go, whatever was put in their place meanwhile."""
    project = fp.make(tmp_path, mode=mode)
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    columns = dataset.contract.published_columns
    made = []
    for name, town in (("table", "Bolton"), ("other", "Secretville")):
        with tables.connect(tmp_path) as connection:
            query = f"SELECT '{town}' AS town, 12 AS people"
            made.append(tables.write(connection, query, columns, tmp_path / f"{name}.parquet"))
    table, other = made
    with local.running(project):
        review = reviewing.review(project, dataset, table, run="run-1", portal="local")
        other.path.replace(table.path)
        with pytest.raises(RecordBroken, match="changed after"):
            publishing.publish(project, dataset, table, review, "local", release="run-1-1")
        with publishing.target(project, dataset, "local") as there:
            found = there.portal.there(there.dataset_id or "")
    assert found is None or found.rows == 0


@pytest.mark.slow
def test_a_declared_bound_lets_so_many_rows_go_and_no_more(tmp_path: Path, pool: KernelPool) -> None:
    """`removes:` is part of the contract, and so of what is decided about."""
    project = fp.make(tmp_path)
    fp.accept_other_towns(project)
    fp.change(project, "dataset.yml", "  mode: replace\n",
              "  mode: replace\n  removes: {rows: 1, reason: Towns leave the register now and then.}\n")  # fmt: skip
    with local.running(project):
        assert fp.run(project, pool).status == "released"
        fp.write_people(project, fp.people(towns=fp.TOWNS[:3]))
        one = fp.run(project, pool, overrides=[fp.FEWER])
        assert (one.status, one.plan and one.plan.removal_by) == ("released", "dataset.yml")
        fp.write_people(project, fp.people(towns=fp.TOWNS[:1]))
        more = fp.run(project, pool, overrides=[fp.FEWER])
        assert more.status == "failed"
        assert "2 of 3 published rows, more than portal: removes: of dataset.yml allows" in more.reason


@pytest.mark.slow
def test_a_release_keeps_the_whole_dataset_and_a_sync_sends_the_difference(
    tmp_path: Path, pool: KernelPool
) -> None:
    """After an upsert all rows of the portal are kept; a sync then sends what differs from them."""
    project = fp.make(tmp_path, mode="upsert")
    fp.accept_other_towns(project)
    with local.running(project):
        first = fp.run(project, pool)
        assert first.release and first.release.version
        fp.write_people(project, fp.people(towns=("Norfolk", "Oxford")))
        second = fp.run(project, pool)
        assert second.release and (second.release.rows_sent, second.release.rows_after) == (2, 6)
        whole = [(town, 12) for town in fp.TOWNS] + [("Norfolk", 24), ("Oxford", 24)]
        assert kept(project) == sorted(whole)
        fp.change(project, "dataset.yml", "mode: upsert", "mode: sync")
        fp.write_people(project, fp.people(rows=45))
        third = fp.run(project, pool, overrides=[fp.GONE])
        assert third.status == "released", third.reason
        assert third.plan and (third.plan.rows_changed, third.plan.rows_removed) == (3, 2)
        assert third.release and (third.release.rows_sent, third.release.rows_after) == (5, 4)
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_filtered_views_follow_each_release(tmp_path: Path, pool: KernelPool) -> None:
    """A view is made once, as public as its dataset, and shows what the newest release has of it."""
    project = fp.make(tmp_path)
    fp.accept_other_towns(project)
    views = "{name: Two towns, where: {town: [Andover, Bolton]}}, {name: Most, newest: {column: people}}"
    fp.change(project, "dataset.yml", "portal:\n", f"views: [{views}]\nportal:\n")
    with local.running(project) as url:
        assert fp.run(project, pool).status == "released"
        dataset = datasets.dataset(fp.SLUG, project.notebooks)
        ids = releases.view_ids(project, dataset, "local")
        assert list(ids) == ["Two towns", "Most"]
        assert len(requests.get(f"{url}/resource/{ids['Two towns']}.json", timeout=30).json()) == 2
        fp.write_people(project, fp.people(towns=("Andover", "Bolton", "Canton", "Andover")))
        assert fp.run(project, pool, overrides=[fp.GONE]).status == "released"
        assert releases.view_ids(project, dataset, "local") == ids
        most = requests.get(f"{url}/resource/{ids['Most']}.json", timeout=30).json()
        assert [(row["town"], row["people"]) for row in most] == [("Andover", "24")]


def test_words_that_are_missing_stop_what_is_to_be_public(
    tmp_path: Path, pool: KernelPool, portal: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent, each with its place in dataset.yml."""
    project = outside(tmp_path, portal, monkeypatch)
    fp.change(project, "dataset.yml", "  license: Public Domain\n", "")
    fp.change(project, "dataset.yml", "How many persons came.", "People")
    record = fp.run(project, pool)
    assert (record.status, record.exit_code, record.draft) == ("failed", 6, None)
    assert (
        "licence (metadata: license:), a description of column people that is not its name again"
        in record.reason
    )
    assert releases.dataset_id(project, datasets.dataset(fp.SLUG, project.notebooks), "state") is None


@pytest.mark.slow
def test_going_public_is_a_second_decision(
    tmp_path: Path, pool: KernelPool, portal: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First a private draft that reviewers can read, then, decided, the same rows for everybody; later ones at once."""
    project = outside(tmp_path, portal, monkeypatch)
    fp.accept_other_towns(project)
    draft = fp.run(project, pool)
    uid = dataset_id(project, "state")
    assert (draft.status, draft.exit_code, draft.release) == ("waiting", 1, None)
    assert "4 rows are a private draft on state" in draft.reason
    assert requests.get(f"{portal.url}/resource/{uid}.json", timeout=30).status_code == 403
    assert readers(portal, uid) == ["rae@example.org"]
    again = fp.run(project, pool, from_step="publish", run=draft.run)
    assert (again.run, again.status) == (draft.run, "waiting")
    made = deciding.decide(settings.load(project.root), draft.run, "approve", reason=WHY).decision
    assert (made.about, made.kind) == ("public", "one-time")
    opened = fp.run(project, pool, from_step="publish", run=draft.run)
    assert (opened.run, opened.status) == (draft.run, "released"), opened.reason
    assert opened.release and (opened.release.public, opened.release.opening) == (True, made.id)
    assert len(requests.get(f"{portal.url}/resource/{uid}.json", timeout=30).json()) == 4
    assert readers(portal, uid) == []
    said = requests.get(f"{portal.url}/api/views/{uid}.json", timeout=30).json()["description"]
    assert (
        f"Suggested citation: Example agency ({opened.release.at[:4]}). Visits by town. 127.0.0.1, " in said
    )
    fp.write_people(project, fp.people(rows=44))
    later = fp.run(project, pool)
    assert (later.status, later.draft) == ("released", None), later.reason
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_rows_that_are_to_be_private_do_not_go_to_a_public_dataset(
    tmp_path: Path, pool: KernelPool, portal: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for the moment until it is made private: the plan stops, and says how to take it down first."""
    project = outside(tmp_path, portal, monkeypatch)
    fp.change(project, "dataset.yml", "  public: true\n", "  public: false\n")
    uid = portal.create(("town", "text"), ("people", "number"), key="town", public=True)
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    releases.note_dataset_id(project, dataset, "state", uid)
    done = fp.run(project, pool)
    assert (done.status, done.release) == ("failed", None)
    assert "it is public on state, and private by dataset.yml" in done.reason
    assert portal.rows(uid) == []


@pytest.mark.slow
def test_rows_of_a_draft_that_was_refused_are_never_added_to(
    tmp_path: Path, pool: KernelPool, portal: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are still there, private: only a mode that puts all rows in their place goes on."""
    project = outside(tmp_path, portal, monkeypatch, mode="append")
    fp.accept_other_towns(project)
    draft = fp.run(project, pool)
    with pytest.raises(UsageError, match="a private draft on state, which waits for a decision"):
        fp.run(project, pool)
    with pytest.raises(UsageError, match="for this table alone"):
        deciding.decide(settings.load(project.root), draft.run, "approve", reason=WHY, standing=True)
    deciding.decide(settings.load(project.root), draft.run, "refuse", reason="Two towns could be told apart.")
    fp.write_people(project, fp.people(towns=NORTH))
    added = fp.run(project, pool)
    assert (added.status, added.exit_code) == ("failed", 6)
    assert f"The rows of run {draft.run} are a private draft on state that nobody opened" in added.reason
    fp.change(project, "dataset.yml", "mode: append", "mode: replace")
    replaced = fp.run(project, pool, overrides=[fp.GONE])
    assert (replaced.status, replaced.draft is not None) == ("waiting", True), replaced.reason
    assert records.find(project, draft.run).status == "refused"


def readers(portal: Running, uid: str) -> list[str]:
    """The mail addresses that the dataset is given to."""
    grants = portal.ask("GET", f"/api/views/{uid}.json").json()["grants"]
    return [grant["userEmail"] for grant in grants if "userEmail" in grant]


def approvals(portal: Running, uid: str) -> list[str]:
    """The ids of what waits for the portal's own approver."""
    return [str(one["id"]) for one in portal.ask("GET", f"/api/views/{uid}/approvals?status=pending").json()]


@pytest.mark.slow
def test_a_run_waits_for_the_portals_own_approver(
    tmp_path: Path, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submitted once, however often it goes on; released, with what there was before, once somebody approved it."""
    (tmp_path / "portal").mkdir()
    with running_portal(tmp_path / "portal", "--approval") as asking:
        approver = add_account(asking.file, "Ada Approver", "publisher")
        project = outside(tmp_path / "project", asking, monkeypatch, mode="append")
        fp.change(project, "dataset.yml", "public: true", "public: false")
        fp.change(project, "dataset.yml", "key: [town]\n", "")
        first = fp.run(project, pool)
        uid = dataset_id(project, "state")
        assert (first.status, first.exit_code, first.release) == ("waiting", 1, None)
        assert first.reason == f"Revision 0 of {uid} was submitted; the portal asks for an approval."
        assert f"ctnb run visits --from publish --run {first.run}" in first.next
        (submission,) = approvals(asking, uid)
        again = fp.run(project, pool, from_step="publish", run=first.run)
        assert (again.run, again.status, again.release) == (first.run, "waiting", None)
        assert (approvals(asking, uid), asking.rows(uid)) == ([submission], [])
        path = f"{asking.url}/api/views/{uid}/approvals/{submission}?method=updateOutcomeEnd&status=approved"
        assert requests.put(path, auth=approver, timeout=60).ok
        went = fp.run(project, pool, from_step="publish", run=first.run)
        assert (went.run, went.status, went.exit_code) == (first.run, "released", 0), went.reason
        assert asking.rows(uid) == [{"town": town, "people": "12"} for town in fp.TOWNS]
        assert went.release
        assert (went.release.rows_before, went.release.rows_after) == (0, 4)
    assert [one.state for one in releases.listed(project, fp.SLUG)] == ["on state"]
    assert verification.verify(project).faults == ()
