"""Restoring: a kept release is published again as a run of its own, reviewed under today's policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flow_projects as fp
import pytest
import requests

from ctnb import datasets, deciding, releases, restoring, settings, verification, withdrawals
from ctnb.errors import NameUnknown, PublishRefused, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.records import RunRecord
from ctnb.settings import Project

WHY = "The towns of the newer file were of another year."
NORTH = ("Norfolk", "Oxford")
ALL_TWELVE = [(town, 12) for town in fp.TOWNS]


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


def published(project: Project) -> list[tuple[str, int]]:
    """The rows on the running embedded portal, as its own account sees them."""
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    uid, account = releases.dataset_id(project, dataset, "local"), local.credentials(project)
    answer = requests.get(
        f"{local.address(project)}/resource/{uid}.json?$order=town",
        auth=(account.key_id, account.key_secret), timeout=30,
    )  # fmt: skip
    return [(row["town"], int(row["people"])) for row in answer.json()]


def twice(folder: Path, pool: KernelPool, **options: bool) -> tuple[Project, RunRecord, RunRecord]:
    """A project with two releases on its running portal: of four towns, then of two others."""
    project = fp.make(folder, **options)
    fp.accept_other_towns(project)
    first = fp.run(project, pool)
    assert first.status == "released", first.reason
    fp.write_people(project, fp.people(rows=24, towns=NORTH))
    second = fp.run(project, pool, overrides=[fp.FEWER, fp.GONE])
    assert second.status == "released", second.reason
    return project, first, second


def restored(project: Project, to: str, pool: KernelPool, **options: Any) -> RunRecord:
    """A restoring under today's ctnb.yml."""
    return restoring.restore(
        fp.SLUG, to=to, reason=WHY, project=settings.load(project.root), pool=pool, **options
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A folder for a project whose embedded portal runs."""
    (tmp_path / "ctnb.yml").write_text(fp.CTNB_YML, encoding="utf-8")
    with local.running(settings.load(tmp_path)):
        yield tmp_path


@pytest.mark.slow
def test_a_restored_release_is_a_new_release_with_the_old_rows(served: Path, pool: KernelPool) -> None:
    """It has a record like any run, says what it restores, and everything verifies."""
    project, first, _ = twice(served, pool)
    made = restored(project, f"{first.run}-1", pool)
    assert (made.status, made.how, made.parent) == ("released", "ctnb restore", first.run), made.reason
    assert published(project) == ALL_TWELVE
    listed = releases.listed(project, fp.SLUG)
    assert [one.state for one in listed] == [f"on local, restores {first.run}-1", "", ""]
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_a_rehearsed_restore_sends_nothing(served: Path, pool: KernelPool) -> None:
    """The plan stands in its notebook."""
    project, first, _ = twice(served, pool)
    made = restored(project, first.run, pool, dry_run=True)
    assert (made.status, made.release) == ("rehearsed", None), made.reason
    assert published(project) == [("Norfolk", 12), ("Oxford", 12)]


@pytest.mark.slow
def test_a_release_that_was_taken_down_for_privacy_needs_a_new_decision(
    served: Path, pool: KernelPool
) -> None:
    """A clear review is not enough: the run waits, and goes on once somebody decided about these rows anew."""
    project, first, _ = twice(served, pool)
    release = restoring.find(project, fp.SLUG, first.run)
    withdrawals.note(
        project, fp.SLUG, "local", "emptied", rows=4, reason=WHY, privacy=True, release=release
    )  # fmt: skip
    made = restored(project, first.run, pool)
    assert made.status == "waiting"
    assert "taken down to protect people" in made.reason
    deciding.decide(project, made.run, "approve", reason="The small towns were merged on purpose.")
    went_on = fp.run(project, pool, from_step="publish", run=made.run)
    assert (went_on.run, went_on.status) == (made.run, "released"), went_on.reason
    assert published(project) == ALL_TWELVE
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_a_column_that_the_contract_no_longer_has_is_not_restored(served: Path, pool: KernelPool) -> None:
    """Nothing is recorded; the column is named."""
    project, first, _ = twice(served, pool)
    fp.change(project, "dataset.yml", "name: people, type: integer", "name: residents, type: integer")
    fp.change(project, "dataset.yml", "count: people", "count: residents")
    with pytest.raises(PublishRefused, match="does not have, or has with another type: people"):
        restored(project, first.run, pool)
    assert len(releases.listed(project, fp.SLUG)) == 2


@pytest.mark.slow
def test_rows_that_are_not_kept_cannot_be_restored(served: Path, pool: KernelPool) -> None:
    """The list says so, and so does the refusal."""
    project, first, _ = twice(served, pool)
    restoring.find(project, fp.SLUG, first.run).path.unlink()
    assert [one.kept for one in releases.listed(project, fp.SLUG)] == [True, False]
    with pytest.raises(PublishRefused, match="not kept any more"):
        restored(project, first.run, pool)


def test_a_name_that_is_no_release_and_a_reason_that_says_nothing(served: Path, pool: KernelPool) -> None:
    """Both are said before anything is recorded."""
    project = fp.make(served / "other")
    with pytest.raises(NameUnknown, match="no release 'r9'"):
        restoring.restore(fp.SLUG, to="r9", reason=WHY, project=project)
    with pytest.raises(UsageError, match="does not say why"):
        restoring.restore(fp.SLUG, to="r9", reason="ok", project=project)
