"""What a run set aside is read again in a new run, once, and never over newer rows."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flow_projects as fp
import pyarrow.parquet as pq
import pytest
import requests
from click.testing import CliRunner, Result

from ctnb import datasets, flows, records, releases, settings, verification
from ctnb.cli.main import cli
from ctnb.errors import UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.records import RunRecord
from ctnb.settings import Project

SLUG = "town-counts"
DATASET_YML = """\
format: 1
title: Counts by town
unit: other
source:
  path: counts.csv
  nulls: [""]
rejects:
  {rejects}
drift: {{table: {{empty: accept}}}}  # what was odd is empty once the contract is mended
columns:
  - {{name: town, header: Town, type: code, role: plain, constraints: {{required: true}}}}
  - {{name: people, header: People, type: integer, role: measure}}
portal:
  mode: {mode}
{key}"""
ODD = "forty canarybirds"
CANARY = "canarybird"
SOURCE = f"Town,People\nAndover,10\nBolton,{ODD}\nCanton,30\n=Durham,{ODD}\n"
SHARE = "at_most_share: 0.5"
MEND = ('nulls: [""]', f'nulls: ["", "{ODD}"]')


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Project]:
    """A project with an embedded portal that runs; its dataset is still to be written."""
    (tmp_path / "notebooks" / SLUG).mkdir(parents=True)
    (tmp_path / "ctnb.yml").write_text(fp.CTNB_YML, encoding="utf-8")
    project = settings.load(tmp_path)
    with local.running(project):
        yield project


def make(project: Project, mode: str = "replace", rejects: str = SHARE) -> None:
    """Write the dataset, with two of four rows that cannot be typed."""
    folder = project.notebooks / SLUG
    key = "key: [town]\n" if mode == "upsert" else ""
    text = DATASET_YML.format(mode=mode, rejects=rejects, key=key)
    (folder / "dataset.yml").write_text(text, encoding="utf-8")
    (folder / "counts.csv").write_text(SOURCE, encoding="utf-8")


def run(project: Project, pool: KernelPool, **options: Any) -> RunRecord:
    """A run of the dataset."""
    return flows.run(SLUG, project=settings.load(project.root), pool=pool, **options)


def mend(project: Project) -> None:
    """Correct the contract: what was odd means an empty cell."""
    fp.change(project, "dataset.yml", *MEND, slug=SLUG)


def published(project: Project) -> list[tuple[str, str | None]]:
    """The rows on the portal."""
    uid = releases.dataset_id(project, datasets.dataset(SLUG, project.notebooks), "local")
    account, url = local.credentials(project), local.address(project)
    answer = requests.get(
        f"{url}/resource/{uid}.json?$order=town", auth=(account.key_id, account.key_secret), timeout=30
    )
    return [(row["town"], row.get("people")) for row in answer.json()]


FIRST = [("Andover", "10"), ("Canton", "30")]
WHOLE = [("=Durham", None), ("Andover", "10"), ("Bolton", None), ("Canton", "30")]


@pytest.mark.parametrize("mode", ["append", pytest.param("upsert", marks=pytest.mark.slow)])
def test_rows_set_aside_are_added_once_they_fit(portal: Project, pool: KernelPool, mode: str) -> None:
    """Where other rows are on the portal already, the rejects alone are read: by their originals."""
    make(portal, mode)
    first = run(portal, pool)
    assert ("released", FIRST) == (first.status, published(portal))
    (portal.notebooks / SLUG / "counts.csv").write_text("gone\n", encoding="utf-8")
    mend(portal)
    again = run(portal, pool, replay_rejects=first.run)
    assert ("released", WHOLE) == (again.status, published(portal)), again.reason
    assert (first.run, "rejects") == (again.parent, again.replay)
    assert again.read and (2, 0) == (again.read.rows_read, again.read.rows_rejected)
    assert (f"read again: what run {first.run} set aside",) == again.read.notes
    assert verification.verify(portal).faults == ()
    with pytest.raises(UsageError, match=f"Run {again.run} has published"):
        run(portal, pool, replay_rejects=first.run)


@pytest.mark.slow
def test_rows_that_still_do_not_fit_keep_their_numbers(portal: Project, pool: KernelPool) -> None:
    """What is set aside again says where in the first file it stood."""
    make(portal, "append", "at_most_share: 1.0")
    first = run(portal, pool)
    again = run(portal, pool, replay_rejects=first.run, to="read")
    assert again.read and (2, 2) == (again.read.rows_read, again.read.rows_rejected)
    path = portal.work(again.run) / "read" / "rejects.parquet"
    told = [(one["file"], one["row"], one["run"]) for one in pq.read_table(path).to_pylist()]
    assert [("counts.csv", 2, again.run), ("counts.csv", 4, again.run)] == told


def test_to_replace_rows_the_whole_snapshot_is_read_again(portal: Project, pool: KernelPool) -> None:
    """All of it was read once; the source may have moved on since."""
    make(portal)
    first = run(portal, pool)
    (portal.notebooks / SLUG / "counts.csv").unlink()
    mend(portal)
    again = run(portal, pool, replay_rejects=first.run)
    assert ("released", WHOLE) == (again.status, published(portal)), again.reason
    assert (first.run, "snapshots") == (again.parent, again.replay)
    assert again.read and first.read and again.read.files == first.read.files


@pytest.mark.slow
def test_a_failed_run_that_appends_is_read_again_whole(portal: Project, pool: KernelPool) -> None:
    """Nothing of it is on the portal, so the rows that fitted must not be lost."""
    make(portal, "append", "policy: stop")
    first = run(portal, pool)
    assert ("failed", 6) == (first.status, first.exit_code)
    mend(portal)
    again = run(portal, pool, replay_rejects=first.run)
    assert ("released", "snapshots", WHOLE) == (again.status, again.replay, published(portal)), again.reason


@pytest.mark.slow
def test_older_rows_never_take_the_place_of_newer_ones(portal: Project, pool: KernelPool) -> None:
    """A run that a later release has overtaken is not read again whole."""
    make(portal)
    first = run(portal, pool)
    mend(portal)
    second = run(portal, pool)
    with pytest.raises(UsageError, match=f"Run {second.run} was released after"):
        run(portal, pool, replay_rejects=first.run)


@pytest.mark.slow
def test_what_cannot_be_replayed_is_refused_before_anything_is_recorded(
    portal: Project, pool: KernelPool
) -> None:
    """A work folder that is gone, a run that set nothing aside, options that go another way."""
    make(portal)
    first = run(portal, pool)
    with pytest.raises(UsageError, match="begins a run of its own"):
        run(portal, pool, replay_rejects=first.run, source="x.csv")
    with pytest.raises(UsageError, match="was for the portal"):
        run(portal, pool, replay_rejects=first.run, portal=_other(portal))
    shutil.rmtree(portal.work(first.run))
    with pytest.raises(UsageError, match=f"The work folder of run {first.run} is gone"):
        run(portal, pool, replay_rejects=first.run)
    mend(portal)
    second = run(portal, pool)
    with pytest.raises(UsageError, match=f"Run {second.run} set no row aside"):
        run(portal, pool, replay_rejects=second.run)
    assert [first.run, second.run] == [one.run for one in records.all_records(portal)]


def _other(project: Project) -> str:
    text = fp.CTNB_YML + "  other:\n    kind: embedded\n"
    (project.root / "ctnb.yml").write_text(text, encoding="utf-8")
    return "other"


def call(project: Project, *arguments: str) -> Result:
    """`ctnb ...` in the project's folder."""
    here = Path.cwd()
    os.chdir(project.root)
    try:
        return CliRunner().invoke(cli, arguments)
    finally:
        os.chdir(here)


def test_rejects_are_listed_and_written_to_be_mended(portal: Project, pool: KernelPool) -> None:
    """Row numbers on the analyst's own terminal; originals in a file of the analyst's own, mended and read."""
    make(portal)
    first = run(portal, pool, to="read")
    said = call(portal, "runs", "rejects", first.run, "--rows")
    assert 0 == said.exit_code, said.output
    assert ["people", "type", "integer", "rows", "set", "aside", "2", "50.00%"] in _words(said.output)
    assert ["counts.csv", "4", "people", "type", "integer", "set", "aside"] in _words(said.output)
    assert CANARY not in said.output
    refused = call(portal, "runs", "rejects", first.run, "--csv", "runs/mine.csv")
    assert "may not go into runs/" in refused.output
    target = portal.root / "mine.csv"
    assert "2 records written" in call(portal, "runs", "rejects", first.run, "--csv", str(target)).output
    assert 0o600 == target.stat().st_mode & 0o777
    with target.open(encoding="utf-8", newline="") as stream:
        written = list(csv.reader(stream))
    assert [
        ["ctnb_file", "ctnb_row", "ctnb_rules", "Town", "People"],
        ["counts.csv", "2", "people: type integer", "Bolton", ODD],
        ["counts.csv", "4", "people: type integer", "'=Durham", ODD],
    ] == written
    assert "is there already" in call(portal, "runs", "rejects", first.run, "--csv", str(target)).output
    target.write_text(target.read_text(encoding="utf-8").replace(ODD, "40"), encoding="utf-8")
    mended = run(portal, pool, to="read", source=str(target))
    assert mended.read and (2, 0) == (mended.read.rows_read, mended.read.rows_rejected)


def _words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_run_shows_emptied_cells_everywhere_and_quotes_none(portal: Project, pool: KernelPool) -> None:
    """The executed notebook, the record, the report and the terminal tell the same counts."""
    make(portal, rejects="{policy: null the cell, nulled_at_most_share: 0.5}")
    made = run(portal, pool)
    assert ("released", WHOLE) == (made.status, published(portal)), made.reason
    assert made.read is not None
    assert [("people", "type integer", 2)] == [(n.column, n.rule, n.cells) for n in made.read.nulled]
    assert [0, 2] == [column.nulled for column in made.read.columns]
    place = records.folder(portal, SLUG, made.run)
    shown = (place / "1-read.html").read_text(encoding="utf-8")
    assert "0 rows rejected; 4 rows go on" in shown
    assert f".ctnb/work/{made.run}/read/rejects.parquet" in shown
    assert "people: type integer" in (place / "report.html").read_text(encoding="utf-8")
    assert "2 cells that did not fit became empty" in call(portal, "runs", "show", made.run).output
    assert {} == fp.found_in(portal.runs, [CANARY, str(portal.root)])


@pytest.mark.slow
def test_lookups_and_notes_stand_in_the_record(portal: Project, pool: KernelPool) -> None:
    """What was looked up, and what there is to know of it, in the record, the notebook and the report."""
    make(portal)
    folder = portal.notebooks / SLUG
    (folder / "regions.csv").write_text("Name,Region\nAndover,East\n,West\nCanton,North\n", encoding="utf-8")
    join = "joins: [{name: regions, source: {path: regions.csv}, on: {Town: Name}, take: [Region], missing: empty}]"
    fp.change(portal, "dataset.yml", "  path: counts.csv\n", f"  path: counts.csv\n  {join}\n", slug=SLUG)
    column = "  - {name: region, header: Region, type: text, role: plain}\nportal:"
    fp.change(portal, "dataset.yml", "portal:", column, slug=SLUG)
    made = run(portal, pool)
    assert "released" == made.status, made.reason
    assert made.read is not None
    assert [("regions", 2, 2)] == [(one.name, one.matched, one.unmatched) for one in made.read.joins]
    assert ("lookup regions: 1 rows without a key",) == made.read.notes
    assert ["counts.csv", "regions.csv"] == [one.name for one in made.read.files]
    assert "counts.csv" == made.read.source
    report = (records.folder(portal, SLUG, made.run) / "report.html").read_text(encoding="utf-8")
    assert "2 rows with a match, 2 without" in report
    assert "lookup regions: 1 rows without a key" in report


@pytest.mark.slow
def test_a_replay_leaves_the_folder_and_its_place_in_it_alone(portal: Project, pool: KernelPool) -> None:
    """Rejects that fail again quarantine no file, and afterwards the folder has nothing new, as before."""
    make(portal, "append")
    folder = portal.notebooks / SLUG
    (folder / "incoming").mkdir()
    (folder / "counts.csv").rename(folder / "incoming" / "counts.csv")
    place = "folder: {path: incoming, take: new, quarantine: bad, at_least_age_s: 0, stable_s: 0}"
    fp.change(portal, "dataset.yml", "path: counts.csv", place, slug=SLUG)
    first = run(portal, pool)
    assert "released" == first.status, first.reason
    fp.change(portal, "dataset.yml", SHARE, "policy: stop", slug=SLUG)
    failed = run(portal, pool, replay_rejects=first.run)
    assert ("failed", 6) == (failed.status, failed.exit_code)
    assert (folder / "incoming" / "counts.csv").is_file()
    mend(portal)
    again = run(portal, pool, replay_rejects=first.run)
    assert ("released", WHOLE) == (again.status, published(portal)), again.reason
    nothing = run(portal, pool)
    assert ("stopped", 5) == (nothing.status, nothing.exit_code), nothing.reason
