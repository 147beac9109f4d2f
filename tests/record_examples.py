"""Records of runs that never ran, for tests of what reads records."""

from __future__ import annotations

from typing import Any

from conftest import SLUG

from ctnb import records
from ctnb.privacy.decisions import Person
from ctnb.records import ReleaseFacts, RunRecord, StepRecord
from ctnb.settings import Project


def step(status: str = "completed") -> StepRecord:
    """A read step."""
    return StepRecord(
        step="read", status=status, started="2026-11-21T11:05:12.000000Z", notebook="read.ipynb",  # type: ignore[arg-type]  # a word of the literal
        template="package", template_digest="sha256:0", kernel="python3",
    )  # fmt: skip


def released(number: int, portal: str = "local") -> ReleaseFacts:
    """The release of run `number`."""
    return ReleaseFacts(
        release=f"r{number}", portal=portal, url="http://127.0.0.1:1", dataset_id="abcd-1234", mode="replace",
        public=True, rows_before=0, rows_sent=1, rows_after=1, digest="sha256:0",
        at=f"2026-11-2{number}T00:00:00.000000Z",
    )  # fmt: skip


def written(project: Project, number: int, **facts: Any) -> RunRecord:
    """The record of run `number`, written into the project."""
    said = {
        "run": f"2026112{number}T110512Z-000{number}", "dataset": SLUG, "title": "Sample", "status": "released",
        "by": Person("pat", 1000, "uid"), "host": "host", "how": "ctnb run",
        "started": f"2026-11-2{number}T11:05:12.000000Z", "portal": "local", "contract_digest": "sha256:0",
        "settings_digest": "sha256:0", **facts,
    }  # fmt: skip
    return records.write(project, RunRecord.model_validate(said))
