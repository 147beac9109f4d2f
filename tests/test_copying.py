"""Copying a dataset: to another portal, or on one portal under another name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import pytest
from portal_fixture import Running, running_portal

from ctnb import copying, datasets, releases, settings, verification, withdrawals
from ctnb.errors import ReviewNotCleared, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.settings import Project

STATE = fp.CTNB_YML + (
    "  state:\n    kind: socrata\n    url: {url}\n    key_id: {{secret: STATE_KEY_ID}}\n"
    "    key_secret: {{secret: STATE_KEY_SECRET}}\n"
)
ALL_TWELVE = [(town, 12) for town in fp.TOWNS]


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal outside."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def project(
    tmp_path: Path, running: Running, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """A project with one release on its embedded portal, which runs."""
    monkeypatch.setenv("STATE_KEY_ID", running.key_id)
    monkeypatch.setenv("STATE_KEY_SECRET", running.key_secret)
    made = fp.make(tmp_path, public=False, ctnb_yml=STATE.format(url=running.url))
    with local.running(made):
        assert fp.run(made, pool).status == "released"
        yield settings.load(made.root)


def rows(running: Running, uid: str) -> list[tuple[str, int]]:
    """The rows of a dataset on the portal outside."""
    return sorted((row["town"], int(row["people"])) for row in running.rows(uid))


@pytest.mark.slow
def test_a_dataset_is_copied_to_another_portal(project: Project, running: Running, pool: KernelPool) -> None:
    """As a run of its own, which verifies; each portal has its own line of releases."""
    done = copying.copy(fp.SLUG, to="state", project=project, pool=pool)
    assert done.record is not None
    assert (done.record.status, done.record.how) == ("released", "ctnb copy"), done.record.reason
    assert rows(running, done.dataset_id or "") == ALL_TWELVE
    assert [one.portal for one in releases.listed(project, fp.SLUG) if one.published] == ["state", "local"]
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_a_schema_is_copied_first_and_filled_later(
    project: Project, running: Running, pool: KernelPool
) -> None:
    """Data alone need a dataset that is there; copying the schema twice makes one dataset."""
    with pytest.raises(UsageError, match="not on state yet"):
        copying.copy(fp.SLUG, to="state", what="data", project=project, pool=pool)
    first = copying.copy(fp.SLUG, to="state", what="schema", project=project)
    again = copying.copy(fp.SLUG, to="state", what="schema", project=project)
    assert first.dataset_id == again.dataset_id
    assert rows(running, first.dataset_id or "") == []
    done = copying.copy(fp.SLUG, to="state", what="data", project=project, pool=pool)
    assert done.record is not None
    assert (done.record.status, done.dataset_id) == ("released", first.dataset_id), done.record.reason
    assert rows(running, first.dataset_id or "") == ALL_TWELVE


@pytest.mark.slow
def test_a_copy_under_another_name_is_a_dataset_of_its_own(project: Project, pool: KernelPool) -> None:
    """On the same portal: with its own folder, id and line of releases."""
    with pytest.raises(UsageError, match="is on local already"):
        copying.copy(fp.SLUG, to="local", project=project, pool=pool)
    done = copying.copy(fp.SLUG, to="local", name="visits-for-trying", project=project, pool=pool)
    assert done.record is not None
    assert done.record.status == "released", done.record.reason
    made = datasets.dataset("visits-for-trying", project.notebooks)
    assert made.contract.title == "Visits by town (copy)"
    original = datasets.dataset(fp.SLUG, project.notebooks)
    assert releases.dataset_id(project, original, "local") != done.dataset_id
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_rows_taken_down_for_privacy_are_not_copied_under_another_name(
    project: Project, pool: KernelPool
) -> None:
    """They would come back without a decision about them."""
    release = releases.newest(project, fp.SLUG, "local")
    assert release is not None
    withdrawals.note(
        project, fp.SLUG, "local", "emptied", rows=4, reason="Small towns stood in it.", privacy=True, release=release
    )  # fmt: skip
    with pytest.raises(ReviewNotCleared, match="taken down to protect people"):
        copying.copy(fp.SLUG, to="local", name="visits-again", project=project, pool=pool)
