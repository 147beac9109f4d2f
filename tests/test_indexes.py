"""The index of runs: made from the records, which alone are the truth."""

from __future__ import annotations

from record_examples import written

from ctnb import indexes
from ctnb.settings import Project


def runs(project: Project, **asked: str) -> list[str]:
    """The last digit of each run that is listed."""
    return [record.run[-1] for record in indexes.list_runs(project, **asked)]


def test_runs_are_listed_newest_first(project: Project) -> None:
    """All, or those of one dataset or one status."""
    written(project, 1)
    written(project, 3, status="failed")
    written(project, 2, dataset="other")
    assert runs(project) == ["3", "2", "1"]
    assert runs(project, dataset="other") == ["2"]
    assert runs(project, status="failed") == ["3"]
    assert runs(project, dataset="other", status="failed") == []


def test_a_change_of_a_record_is_seen(project: Project) -> None:
    """New, changed and deleted records are taken in when somebody asks."""
    written(project, 1, status="running")
    assert runs(project, status="running") == ["1"]
    record = written(project, 1, status="failed")
    written(project, 2)
    assert runs(project, status="running") == []
    assert runs(project) == ["2", "1"]
    (project.runs / record.dataset / record.run / "run.json").unlink()
    assert runs(project) == ["2"]


def test_an_index_is_made_anew_from_the_records(project: Project) -> None:
    """A missing or broken index is no loss."""
    written(project, 1)
    written(project, 2)
    assert indexes.reindex(project) == 2
    (project.private / "index.sqlite").write_bytes(b"no database" * 500)
    assert runs(project) == ["2", "1"]
