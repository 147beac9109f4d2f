"""Whole runs: what counts is what the supervisor computes, whatever a notebook says or does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import pytest

from ctnb import datasets, deciding, records, releases, verification
from ctnb.errors import UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.settings import Project

FORGED_RESULT = """\
import json, os
from pathlib import Path
step = json.loads(Path(os.environ['CTNB_STEP']).read_text())
told = {"format": 1, "state": "clear", "review": {"state": "clear", "findings": []}, "release": {"rows": 4}}
Path(step["folder"], "result.json").write_text(json.dumps(told))
for name in ("asks", "answers"):
    for number in range(1, 9):
        Path(step["folder"], name, f"{number:04}.json").write_text(json.dumps({"answer": told, "what": "review"}))
print("all clear")"""

PATCHED = """\
import ctnb, dataclasses
from ctnb.privacy import reviews, decisions
from ctnb.privacy.decisions import Clearance
real = ctnb.review
ctnb.review = lambda table, ds: dataclasses.replace(real(table, ds), findings=())
reviews.review = decisions.clearance = lambda *a, **k: Clearance(True, None, "all clear", "clear")
print("all clear")"""

FORGED_ASK = """\
import json, os, time
from pathlib import Path
step = json.loads(Path(os.environ['CTNB_STEP']).read_text())
folder = Path(step["folder"])
ask = {"what": "publish", "digest": step["table"]["digest"], "review": "sha256:" + "0" * 64}
(folder / "asks" / "0001.json").write_text(json.dumps(ask))
while not (folder / "answers" / "0001.json").exists():
    time.sleep(0.01)
assert "error" in json.loads((folder / "answers" / "0001.json").read_text())"""

CHANGED_TABLE = """\
import json, os
from pathlib import Path
step = json.loads(Path(os.environ['CTNB_STEP']).read_text())
path = Path(step["table"]["path"])
path.chmod(0o600)
path.write_bytes(path.read_bytes().replace(b"Andover", b"Anduver"))"""

OTHER_TABLE = """\
import json, os, pyarrow.parquet as pq
from pathlib import Path
step = json.loads(Path(os.environ['CTNB_STEP']).read_text())
told = pq.read_table(step["table"]["path"])
path = Path(step["folder"], "other.parquet")
pq.write_table(told.slice(0, 2).replace_schema_metadata(told.schema.metadata), path)
from ctnb import tables
table = tables.open_table(path)"""

NO_CREDENTIAL = f"""\
import json, os
from pathlib import Path
text = json.dumps(dict(os.environ)) + Path(os.environ["CTNB_STEP"]).read_text()
assert {fp.TOKEN[:6]!r} not in text
assert "STATE_KEY_SECRET" not in os.environ"""


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


def nothing_released(project: Project) -> bool:
    """Whether the portal never got the dataset."""
    dataset = datasets.dataset(fp.SLUG, project.notebooks)
    return (
        releases.dataset_id(project, dataset, "local") is None and releases.of_dataset(project, fp.SLUG) == []
    )


LIES = {
    "prints all clear": ("print('all clear')", ""),
    "never asks": ("print('all clear')", "review"),
    "monkeypatches": (PATCHED, ""),
    "writes the answers itself": (FORGED_RESULT, ""),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_edited_review_notebook_cannot_clear_what_is_blocked(
    tmp_path: Path, pool: KernelPool, lie: str
) -> None:
    """The review that counts is computed outside the kernel: blocked stays blocked, nothing is sent."""
    project = fp.make(tmp_path)
    fp.publish_people(project)
    source, drop = LIES[lie]
    fp.edited(project, "privacy_review", source, at=2, drop=drop)
    if drop:  # nothing of the original is left: close with the table
        fp.edited(project, "privacy_review", "ctnb.done(table)", at=-1)
    record = fp.run(project, pool)
    assert (record.exit_code, record.release) == (1 if record.status == "blocked" else 7, None)
    assert record.status in ("blocked", "failed")
    assert record.review is None or record.review.state == "blocked"
    assert nothing_released(project)
    assert verification.verify(project).faults == ()


@pytest.mark.slow
@pytest.mark.parametrize("lie", ["prints all clear", "monkeypatches", "writes the answers itself"])
def test_an_edited_review_notebook_cannot_decide(tmp_path: Path, pool: KernelPool, lie: str) -> None:
    """A review that waits for a decision waits, whatever the notebook wrote."""
    project = fp.make(tmp_path, small=True)
    fp.edited(project, "privacy_review", LIES[lie][0], at=-1)
    record = fp.run(project, pool)
    assert (record.status, record.exit_code, record.release) == ("waiting", 1, None)
    assert nothing_released(project)


def test_a_forged_ask_cannot_publish_what_waits(tmp_path: Path, pool: KernelPool) -> None:
    """The gate stands in the supervisor: the review step may not ask to publish, nor may a table that waits."""
    project = fp.make(tmp_path, small=True)
    fp.edited(project, "privacy_review", FORGED_ASK, at=2)
    record = fp.run(project, pool)
    assert record.status == "waiting"
    assert nothing_released(project)


@pytest.mark.slow
def test_a_dry_run_s_publish_notebook_cannot_send(tmp_path: Path, pool: KernelPool) -> None:
    """A rehearsal executes the publish notebook without a cleared review; its ask sends nothing."""
    project = fp.make(tmp_path, small=True)
    record = fp.run(project, pool, dry_run=True)
    assert (record.status, record.release) == ("rehearsed", None)
    assert nothing_released(project)


def test_a_table_changed_between_two_steps_is_refused(tmp_path: Path, pool: KernelPool) -> None:
    """A byte of the Parquet file changes after the review: the next step finds it, code 4, nothing sent."""
    project = fp.make(tmp_path)
    fp.edited(project, "privacy_review", CHANGED_TABLE)
    record = fp.run(project, pool)
    assert (record.status, record.exit_code, record.release) == ("failed", 4, None)
    assert nothing_released(project)


@pytest.mark.slow
def test_a_table_changed_in_the_publish_step_is_refused(tmp_path: Path, pool: KernelPool) -> None:
    """The supervisor hashes the file again when it is asked to send."""
    project = fp.make(tmp_path)
    fp.edited(project, "publish", CHANGED_TABLE, at=4)
    record = fp.run(project, pool)
    assert (record.status, record.exit_code, record.release) == ("failed", 4, None)
    assert nothing_released(project)


def test_another_table_cannot_be_published(tmp_path: Path, pool: KernelPool) -> None:
    """The publish notebook asks for a table of its own making: refused."""
    project = fp.make(tmp_path)
    fp.edited(project, "publish", OTHER_TABLE, at=4)
    record = fp.run(project, pool)
    assert (record.exit_code, record.release) == (1, None)
    assert "not the table of this run" in record.reason
    assert record.steps[-1].status == "failed"
    assert nothing_released(project)


def test_a_step_cannot_close_with_a_table_it_did_not_make(tmp_path: Path, pool: KernelPool) -> None:
    """A transform that closes with the table it was given has accounted for nothing."""
    project = fp.make(tmp_path)
    fp.edited(project, "transform", "result = table")
    record = fp.run(project, pool)
    assert (record.status, record.exit_code) == ("failed", 7)
    assert "did not make" in record.reason


@pytest.mark.slow
def test_a_kernel_sees_no_credential(
    tmp_path: Path, pool: KernelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in its environment nor in step.json; the names of secrets only."""
    monkeypatch.setenv("STATE_KEY_SECRET", fp.TOKEN)
    monkeypatch.setenv("STATE_KEY_ID", "tok-7Q-id")
    yml = fp.CTNB_YML + (
        "  state:\n    kind: socrata\n    url: http://127.0.0.1:9\n    key_id: {secret: STATE_KEY_ID}\n"
        "    key_secret: {secret: STATE_KEY_SECRET}\n"
    )
    project = fp.make(tmp_path, ctnb_yml=yml)
    for step in records.STEPS:
        fp.edited(project, step, NO_CREDENTIAL)
    record = fp.run(project, pool)
    assert record.status == "released", record.reason


GARBAGE = {
    "no json": "result.write_text('{')",
    "a list": "result.write_text('[1]')",
    "another table": "result.write_text(json.dumps({'table': {'path': '/etc/passwd'}}))",
    "no such table": "result.write_text(json.dumps({'table': {'path': str(result.parent / 'no.parquet')}}))",
    "other facts": "told['read']['person'] = 'Zyxwyn'; result.write_text(json.dumps(told))",
    "other counts": "told['read']['rows_read'] = 47; result.write_text(json.dumps(told))",
    "no counts": "told['read']['rows_read'] = 'many'; result.write_text(json.dumps(told))",
    "an ask": "(result.parent / 'asks' / '0009.json').write_text('[')\nimport time; time.sleep(0.3); 1 / 0",
    "an error": (
        "(result.parent / 'failure.json').write_text('{\"kind\": \"Any\"}')\n"
        "class Any(Exception): pass\nraise Any"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_kernel_that_writes_garbage_fails_its_own_step(
    tmp_path: Path, pool: KernelPool, garbage: str
) -> None:
    """The supervisor takes nothing on its word, and goes on working whatever it finds."""
    project = fp.make(tmp_path)
    path = fp.edited(project, "read")
    told = json.loads(path.read_text())
    start = (
        "import json, os\nfrom pathlib import Path\n"
        "result = Path(json.loads(Path(os.environ['CTNB_STEP']).read_text())['folder'], 'result.json')\n"
        "told = json.loads(result.read_text())\n"
    )
    told["cells"].append(fp.code_cell("garbage", start + GARBAGE[garbage]))
    path.write_text(json.dumps(told))
    record = fp.run(project, pool)
    assert record.status == "failed", record.reason
    assert record.exit_code in (4, 6, 7)
    assert record.steps[-1].status == "failed"
    assert "Zyxwyn" not in (fp.place(project, record) / "run.json").read_text()
    assert verification.verify(project).faults == ()


# -- data that is wrong


def test_too_many_rejects_fail_the_run_with_their_counts(tmp_path: Path, pool: KernelPool) -> None:
    """Code 6, nothing published, and the record says how many rows of how many, by column and rule."""
    project = fp.make(tmp_path, bad=3)
    record = fp.run(project, pool)
    assert (record.status, record.exit_code, record.release) == ("failed", 6, None)
    assert record.read is not None
    assert (record.read.rows_read, record.read.rows_rejected) == (48, 3)
    assert [(r.column, r.rule, r.rows) for r in record.read.rejects] == [("age", "type integer", 3)]
    assert "48" in (fp.place(project, record) / "report.html").read_text()
    assert nothing_released(project)
    assert verification.verify(project).faults == ()


def test_an_account_that_does_not_close_fails_the_run(tmp_path: Path, pool: KernelPool) -> None:
    """The groups count fewer people than were read."""
    project = fp.make(tmp_path)
    fp.change(project, "transform.sql", "FROM data", "FROM data WHERE town <> 'Durham'")
    record = fp.run(project, pool)
    assert (record.status, record.exit_code, record.release) == ("failed", 6, None)
    assert "48" in record.reason and "36" in record.reason
    assert verification.verify(project).faults == ()


def test_a_source_that_is_missing_fails_the_read_step(tmp_path: Path, pool: KernelPool) -> None:
    """Code 6, with a record: the schedule did run."""
    project = fp.make(tmp_path)
    (project.notebooks / fp.SLUG / "data" / "visits.csv").unlink()
    record = fp.run(project, pool)
    assert (record.status, record.exit_code) == ("failed", 6)
    assert [step.status for step in record.steps] == ["failed"]


@pytest.mark.slow
def test_a_newer_run_expires_an_older_one_that_waits(tmp_path: Path, pool: KernelPool) -> None:
    """Only the newest table can be decided about."""
    project = fp.make(tmp_path, small=True)
    old = fp.run(project, pool)
    new = fp.run(project, pool)
    assert [r.status for r in records.all_records(project)] == ["expired", "waiting"]
    ended = records.find(project, old.run)
    assert (ended.exit_code, ended.reason, ended.seal) == (1, "A newer run of the dataset began.", 2)
    with pytest.raises(UsageError, match="does not wait"):
        deciding.decide(project, old.run, "approve", reason="Withheld counts cannot be worked out")
    deciding.decide(project, new.run, "approve", reason="Withheld counts cannot be worked out")
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_publishing_alone_is_refused_without_a_decision(tmp_path: Path, pool: KernelPool) -> None:
    """`--from publish --run` on a run that waits goes on waiting; its kernel never starts."""
    project = fp.make(tmp_path, small=True)
    first = fp.run(project, pool)
    again = fp.run(project, pool, from_step="publish", run=first.run)
    assert (again.run, again.status, again.exit_code) == (first.run, "waiting", 1)
    assert [step.step for step in again.steps] == ["read", "transform", "privacy_review"]
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_a_run_from_a_finished_one_s_tables_is_a_new_run_with_a_parent(
    tmp_path: Path, pool: KernelPool
) -> None:
    """`--from transform --run` reads nothing again; the source may be gone by then."""
    project = fp.make(tmp_path)
    first = fp.run(project, pool)
    (project.notebooks / fp.SLUG / "data" / "visits.csv").unlink()
    fp.change(project, "transform.sql", "ORDER BY town", "ORDER BY town DESC")
    second = fp.run(project, pool, from_step="transform", run=first.run)
    assert (second.parent, second.status) == (first.run, "released"), second.reason
    assert second.read == first.read
    assert second.release and first.release and second.release.digest == first.release.digest
    assert verification.verify(project).faults == ()


def test_the_whole_table_stays_itself_from_review_to_release(tmp_path: Path, pool: KernelPool) -> None:
    """The table reviewed is the table released, digest for digest."""
    project = fp.make(tmp_path)
    record = fp.run(project, pool)
    review = json.loads((fp.place(project, record) / "findings.json").read_text())
    step = next(one for one in record.steps if one.step == "transform")
    assert step.table and review["table_digest"] == step.table.digest
    kept = releases.of_dataset(project, fp.SLUG)[-1]
    table = releases.table(kept)
    assert table and record.release and table.digest == record.release.digest


@pytest.mark.slow
def test_a_forged_ask_in_the_publish_step_meets_the_gate(tmp_path: Path, pool: KernelPool) -> None:
    """A rehearsed publish step of a table that waits: the supervisor answers, and sends nothing."""
    project = fp.make(tmp_path, small=True)
    fp.edited(project, "publish", FORGED_ASK.rsplit("\n", 1)[0], at=2)
    record = fp.run(project, pool, dry_run=True)
    assert record.release is None
    assert nothing_released(project)
