"""Files beside the rows: what may be attached, what is copied, and that a decision covers every byte of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import flow_projects as fp
import pytest
from review_tables import column, made, reviewed
from test_decisions import ANALYST, REASON, REVIEWER

from ctnb import attachments, clock, datasets, digests, ledger
from ctnb.attachments import Attachment
from ctnb.datasets import Dataset
from ctnb.errors import ContractInvalid, RecordBroken
from ctnb.privacy import decisions
from ctnb.privacy.findings import RULES, asked_of
from ctnb.privacy.reviews import Review, policy_digest
from ctnb.settings import Policy, Project

SECRET = b"Wanda Tremaine lives at 12 Canary Road."
README = Attachment("README.txt", 5, "hmac-sha256:r")
GUIDE = Attachment("guide.pdf", 1, "hmac-sha256:g")


def attaching(folder: Path, *told: str) -> tuple[Project, Dataset]:
    """A project whose dataset attaches what `told` names, each an entry of the list in YAML."""
    project = fp.make(folder)
    path = project.notebooks / fp.SLUG / "dataset.yml"
    lines = "".join(f"    - {one}\n" for one in told)
    path.write_text(f"{path.read_text()}  attachments:\n{lines}")
    (path.parent / "README.txt").write_bytes(SECRET)
    return project, datasets.dataset(fp.SLUG, project.notebooks)


def test_copies_lie_under_their_digest_and_are_private(tmp_path: Path) -> None:
    """The name that people read, the size, a plain digest, and bytes that only the owner reads."""
    project, dataset = attaching(tmp_path, "{path: README.txt}", "{path: ../../ctnb.yml, name: settings.yml}")
    readme, other = attachments.gather(project, dataset, project.work("r"))
    assert (readme.name, readme.size, readme.digest) == ("README.txt", len(SECRET), digests.of_bytes(SECRET))
    assert other.name == "settings.yml"
    assert digests.keyed(readme.digest, project.key).endswith(readme.path.parent.name)
    assert readme.path.stat().st_mode & 0o077 == 0
    (dataset.folder / "README.txt").write_bytes(b"another")
    assert readme.read() == SECRET


def test_what_was_reviewed_is_found_again_or_the_run_stops(tmp_path: Path) -> None:
    """A copy that is gone, or whose bytes are others, is never sent."""
    project, dataset = attaching(tmp_path, "{path: README.txt}")
    work = project.work("r")
    copies = attachments.gather(project, dataset, work)
    said = attachments.said(copies, project.key)
    assert attachments.of_review(said, work, project.key) == copies
    assert said[0].digest == digests.keyed(copies[0].digest, project.key)
    copies[0].path.write_bytes(b"another")
    for again in (lambda: attachments.of_review(said, work, project.key), copies[0].read):
        with pytest.raises(RecordBroken, match=r"README\.txt that was reviewed is gone, or is another"):
            again()


def _no_file(project: Project, dataset: Dataset) -> None:
    (dataset.folder / "README.txt").unlink()


def _link(project: Project, dataset: Dataset) -> None:
    _no_file(project, dataset)
    (dataset.folder / "README.txt").symlink_to(project.root / "ctnb.yml")


def _folder(project: Project, dataset: Dataset) -> None:
    _no_file(project, dataset)
    (dataset.folder / "README.txt").mkdir()


def _empty(project: Project, dataset: Dataset) -> None:
    (dataset.folder / "README.txt").write_bytes(b"")


def _large(project: Project, dataset: Dataset) -> None:
    os.truncate(dataset.folder / "README.txt", attachments.LARGEST_BYTES + 1)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_no_file, "is not there"), (_link, "is a link"), (_folder, "is not a file"), (_empty, "has 0 bytes"),
        (_large, r"has 52,428,801 bytes; 1 to 52,428,800 were expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_attached_says_why(tmp_path: Path, spoil: object, told: str) -> None:
    """Nothing is copied, and no byte is quoted."""
    project, dataset = attaching(tmp_path, "{path: README.txt}")
    assert callable(spoil)
    spoil(project, dataset)
    with pytest.raises(ContractInvalid, match=told) as caught:
        attachments.gather(project, dataset, project.work("r"))
    assert "Wanda" not in caught.value.format_message()
    with pytest.raises(ContractInvalid):
        attachments.digest_of(project, dataset)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("../../../elsewhere.txt", "lies outside the project"),
        ("../../.ctnb/key", "lies where private things are kept"),
        ("../../runs/ledger.jsonl", "lies where private things are kept"),
        ("linked/README.txt", "is a link, or lies behind one"),
        ("data/visits.csv", "is the dataset's own source"),
    ],
)
def test_files_lie_where_the_project_can_show_them(tmp_path: Path, path: str, told: str) -> None:
    """Outside, private folders, behind a link and the source itself are refused by name."""
    project, dataset = attaching(tmp_path, f"{{path: {path}, name: other.txt}}")
    (dataset.folder / "linked").symlink_to(dataset.folder)
    with pytest.raises(ContractInvalid, match=f"other.txt {told}"):
        attachments.gather(project, dataset, project.work("r"))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (("{path: README.txt}", "{path: docs/readme.TXT}"), "attachments: two have the same name"),
        (("{path: /etc/passwd}",), "path: is relative to the dataset's folder"),
        (("{path: 'C:\\x.txt'}",), "path: is relative to the dataset's folder"),
        (("{path: résumé.pdf}",), "an attachment's name has letters, digits"),
        (("{path: README.txt, nmae: a}",), "did you mean 'name'"),
        (("README.txt",), "expected a mapping of keys to values"),
    ],
)
def test_the_contract_says_what_it_takes(tmp_path: Path, told: tuple[str, ...], why: str) -> None:
    """Two of one name, a path that is none, a name that a header could not hold, a misspelt key."""
    with pytest.raises(ContractInvalid, match=why):
        attaching(tmp_path, *told)


def review_of(folder: Path, *files: Attachment, **more: object) -> Review:
    """The review of a harmless table with these files beside it."""
    table = made(folder, [column("town")], {"town": ["x", "y"]})
    return reviewed(table, attachments=files, **more)


def test_attached_files_wait_for_somebody_who_opened_them(tmp_path: Path) -> None:
    """By name, size and keyed digest; the review reads back as it was written."""
    review = review_of(tmp_path, README, GUIDE)
    (finding,) = review.findings
    assert (review.state, finding.rule, finding.severity, finding.count) == (
        "waiting",
        "attachment",
        "wait",
        2,
    )
    assert finding.text == (
        "2 files attached beside the rows: README.txt (5 bytes), guide.pdf (1 byte); no rule can look into files."
    )
    assert finding.facts == {"digest of README.txt": "hmac-sha256:r", "digest of guide.pdf": "hmac-sha256:g"}
    assert Review.from_json(json.loads(json.dumps(review.to_json()))) == review
    assert [one.rule for one in review.asked] == list(RULES)


def test_a_dataset_without_files_keeps_its_digests(tmp_path: Path) -> None:
    """The rule is not asked, does not count in the policy's digest, and stands in no record."""
    review = review_of(tmp_path)
    rules = [one for one in RULES.values() if one.id != "attachment"]
    counted = [[one.id, one.severity, one.direct, one.fixed, one.once] for one in rules]
    plain = digests.of_bytes(digests.canonical_json([Policy().model_dump(mode="json"), counted]))
    assert (review.policy_digest, policy_digest(Policy())) == (plain, plain)
    assert [one.rule for one in review.asked] == [one.id for one in rules] == list(asked_of(()))
    assert "attachment" not in json.dumps(review.to_json())
    assert review.asked[0].examined == len(rules) - 1


@pytest.mark.parametrize("standing", [False, True])
def test_a_decision_covers_every_byte_of_the_files(tmp_path: Path, standing: bool) -> None:
    """One byte changed, a name changed, a file more or less: nobody has decided about that."""
    project, review = fp.make(tmp_path), review_of(tmp_path, README)
    decisions.decide(
        project, review, verdict="approve", reason=REASON, ran_by=ANALYST, portal="state",
        portal_kind="socrata", base_release=None, person=REVIEWER, standing=standing,
    )  # fmt: skip

    def cleared(*files: Attachment) -> str:
        other = replace(
            review_of(tmp_path, *files, run="run-2"), table_digest="next" if standing else review.table_digest
        )
        entries = list(ledger.entries(project.ledger))
        return decisions.clearance(
            other, entries, now=clock.now(), base_release=None, portal="state", portal_kind="socrata"
        ).state

    assert cleared(README) == "approved"
    others = [
        (replace(README, digest="hmac-sha256:s"),), (replace(README, name="README.md"),), (README, GUIDE)
    ]  # fmt: skip
    for files in others:
        assert cleared(*files) in ("stale", "waiting")
    assert cleared() == "clear"
