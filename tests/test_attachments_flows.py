"""Files beside the rows through whole runs: decided about, sent as reviewed, read back, private until public."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flow_projects as fp
import pytest
import requests
from portal_fixture import Running, running_portal
from test_publish_gate import WHY, dataset_id, outside

from ctnb import datasets, deciding, digests, releases, verification
from ctnb.embedded.accounts import add_account
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.records import RunRecord
from ctnb.settings import Project

GUIDE, BETTER = (
    b"A town is where the visit was. Wanda Tremaine knows.",
    b"A town is where the visit was, said Wanda.",
)
REASON = "Both files were opened and read: they describe columns and name nobody."


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


def attach(project: Project, *entries: str) -> None:
    """Let the dataset attach these, each an entry of the list in YAML; nothing else of its portal changes."""
    path = project.notebooks / fp.SLUG / "dataset.yml"
    head = path.read_text().split("  attachments:\n")[0]
    told = "  attachments:\n" + "".join(f"    - {one}\n" for one in entries) if entries else ""
    path.write_text(head + told)


def write(project: Project, name: str, content: bytes) -> None:
    """A file in the dataset's folder."""
    (project.notebooks / fp.SLUG / name).write_bytes(content)


def approved(project: Project, pool: KernelPool, run: RunRecord, **options: Any) -> RunRecord:
    """The run after somebody approved it and it went on."""
    deciding.decide(project, run.run, "approve", reason=REASON, **options)
    return fp.run(project, pool, from_step="publish", run=run.run)


def there(project: Project, url: str, uid: str, auth: Any = None) -> dict[str, bytes]:
    """Name and bytes of what is attached, as whoever `auth` is downloads it."""
    listed = requests.get(f"{url}/api/views/{uid}.json", auth=auth, timeout=30).json()["metadata"][
        "attachments"
    ]
    found = {}
    for one in listed:
        path = f"{url}/api/views/{uid}/files/{one['assetId']}?download=true&filename={one['filename']}"
        answer = requests.get(path, auth=auth, timeout=30)
        answer.raise_for_status()
        found[one["filename"]] = answer.content
    return found


def test_files_wait_are_sent_as_reviewed_and_wait_again_for_every_byte(
    tmp_path: Path, pool: KernelPool
) -> None:
    """What the analyst writes after the review is not sent; the next run has it, and waits for its own decision."""
    project = fp.make(tmp_path)
    attach(project, "{path: guide.txt, name: Guide to visits.txt}")
    write(project, "guide.txt", GUIDE)
    with local.running(project) as url:
        waiting = fp.run(project, pool)
        assert (waiting.status, waiting.exit_code) == ("waiting", 1)
        write(project, "guide.txt", BETTER)
        first = approved(project, pool, waiting, standing=True)
        assert first.status == "released", first.reason
        uid = dataset_id(project)
        assert there(project, url, uid) == {"Guide to visits.txt": GUIDE}
        assert first.release and first.plan
        (fact,) = first.release.attachments
        assert (fact.name, fact.bytes, fact.digest) == (
            "Guide to visits.txt",
            len(GUIDE),
            digests.of_bytes(GUIDE),
        )
        assert first.plan.attachments == (("Guide to visits.txt", "added", len(GUIDE)),)
        page = requests.get(f"{url}/d/{uid}", timeout=30).text
        assert "Guide to visits.txt" in page
        assert f"/api/views/{uid}/files/{fact.id}" in page

        again = fp.run(
            project, pool
        )  # the source is the same, so only the file tells this run from the first
        assert again.status == "waiting", again.reason
        assert "decided about has changed since" in again.reason
        second = approved(project, pool, again)
        assert second.status == "released", second.reason
        assert there(project, url, uid) == {"Guide to visits.txt": BETTER}
        assert second.plan and second.plan.attachments[0][1] == "changed"

        attach(project)
        third = fp.run(project, pool)
        assert third.status == "released", third.reason
        assert third.plan and third.plan.attachments == (("Guide to visits.txt", "removed", 0),)
        assert there(project, url, uid) == {}
    assert verification.verify(project).faults == ()
    assert fp.found_in(project.runs, ["Wanda"]) == {}


def test_a_standing_decision_covers_the_same_files_month_after_month(
    tmp_path: Path, pool: KernelPool
) -> None:
    """Rows move within their bounds, not a byte of the file does: the portal keeps the file that it has."""
    project = fp.make(tmp_path)
    attach(project, "{path: guide.txt}")
    write(project, "guide.txt", GUIDE)
    with local.running(project) as url:
        first = approved(project, pool, fp.run(project, pool), standing=True)
        before = requests.get(f"{url}/api/views/{dataset_id(project)}.json", timeout=30).json()
        fp.write_people(project, fp.people(rows=46))
        second = fp.run(project, pool)
        assert (first.status, second.status) == ("released", "released"), second.reason
        after = requests.get(f"{url}/api/views/{dataset_id(project)}.json", timeout=30).json()
        assert second.plan and second.plan.attachments == (("guide.txt", "unchanged", len(GUIDE)),)
        assert before["metadata"]["attachments"] == after["metadata"]["attachments"]


def test_what_a_record_says_of_its_files_is_verified(tmp_path: Path, pool: KernelPool) -> None:
    """A release that names other files than were reviewed does not verify; a dataset without any says no word."""
    project = fp.make(tmp_path)
    with local.running(project):
        plain = fp.run(project, pool)
        told = (fp.place(project, plain) / "run.json").read_text() + (
            fp.place(project, plain) / "findings.json"
        ).read_text()
        assert "attachment" not in told
        attach(project, "{path: guide.txt}")
        write(project, "guide.txt", GUIDE)
        done = approved(project, pool, fp.run(project, pool))
    assert verification.verify(project).faults == ()
    path = fp.place(project, done) / "run.json"
    said = json.loads(path.read_text())
    said["release"]["attachments"] = []
    path.write_text(json.dumps(said))
    told = " ".join(one.what for one in verification.verify(project, done.run).faults)
    assert "the attached files are not those that were reviewed" in told


@pytest.mark.slow
def test_files_are_private_until_the_dataset_is_public(
    tmp_path: Path, portal: Running, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody downloads them from a private draft; the second decision opens them with the rows."""
    add_account(portal.file, "Rae Reviewer", "viewer", mail="rae@example.org", password="pw-Rae-12345")
    project = outside(tmp_path, portal, monkeypatch)
    fp.change(project, "../../ctnb.yml", "  state:\n", "  state:\n    federated_to: [Open Data Network]\n")
    attach(project, "{path: guide.txt}")
    write(project, "guide.txt", GUIDE)
    draft = approved(project, pool, fp.run(project, pool))
    assert (draft.status, draft.release) == ("waiting", None)
    assert draft.draft and draft.plan
    assert draft.plan.notes[-1].startswith("once it is public, seen by visitors of Open Data Network")
    (fact,) = draft.draft.attachments
    uid = draft.draft.dataset_id
    for path in (f"/api/views/{uid}/files/{fact.id}", f"/api/assets/{fact.id}", f"/d/{uid}"):
        answer = portal.ask("GET", path, signed=False)
        assert (answer.status_code >= 400, GUIDE in answer.content, "guide.txt" in answer.text) == (
            True,
            False,
            False,
        )
    assert there(project, portal.url, uid, portal.auth) == {"guide.txt": GUIDE}
    deciding.decide(project, draft.run, "approve", reason=WHY)
    public = fp.run(project, pool, from_step="publish", run=draft.run)
    assert public.status == "released", public.reason
    assert public.plan and public.plan.audience[:2] == (
        "everybody", "visitors of Open Data Network, to which the portal is federated"
    )  # fmt: skip
    assert there(project, portal.url, uid) == {"guide.txt": GUIDE}
    assert releases.of_dataset(project, fp.SLUG)[-1].facts.attachments[0].id == fact.id
    assert datasets.dataset(fp.SLUG, project.notebooks).contract.portal.attachments
