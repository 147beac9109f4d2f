"""Guards: data that are not to be trusted end a run before anything of them is published."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import flow_projects as fp
import pytest

from ctnb import clock, guards, releases
from ctnb.contracts.columns import Column
from ctnb.contracts.guards import Guards
from ctnb.errors import NameUnknown, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.records import ReadFacts, RunRecord, SourceFile
from ctnb.settings import Project
from ctnb.tables import Table, connect, write

REASON = "The towns of the north have left the register."


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


def outcomes(record: RunRecord) -> dict[str, str]:
    """What each guard came to in a record."""
    return {one.guard: one.outcome for one in record.guards}


@pytest.mark.parametrize(
    ("rows", "before", "outcome"),
    [
        (100, 100, "held"),
        (130, 100, "held"),
        (80, 100, "held"),
        (79, 100, "tripped"),
        (0, 100, "tripped"),
        (0, 0, "held"),
    ],
)
def test_a_fifth_of_the_rows_may_go(rows: int, before: int, outcome: str) -> None:
    """The limit itself is allowed; more rows than before are no drop."""
    assert guards.row_drop(rows, before, Guards()).outcome == outcome


def test_the_share_that_may_go_is_the_contract_s() -> None:
    """The answer tells both counts, the share and the limit."""
    answer = guards.row_drop(40, 100, Guards(row_drop=0.5))
    assert answer.outcome == "tripped"
    assert answer.what == (
        "40 rows were kept, 100 for the last release: 60.0% fewer, and at most 50% is allowed."
    )


def test_no_rows_trip_unless_that_is_allowed() -> None:
    """allow_empty says that no rows are right."""
    answers = [guards.zero_rows(0, "the source", Guards(allow_empty=told)) for told in (False, True)]
    assert [answer.outcome for answer in answers] == ["tripped", "held"]
    assert guards.zero_rows(1, "the source", Guards()).outcome == "held"


def test_a_source_may_be_as_old_as_promised() -> None:
    """Thirty days and a second are too old for thirty; without a promise or a time nothing is asked."""
    now = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
    limits = Guards(promised_days=30)
    clock.fix(now)
    try:
        ages = [dt.timedelta(days=30), dt.timedelta(days=30, seconds=1), dt.timedelta(days=-1)]
        answers = [guards.source_age(clock.stamp(now - age), limits) for age in ages]
        unknown = [guards.source_age(None, limits), guards.source_age(clock.stamp(now), Guards())]
    finally:
        clock.fix(None)
    assert [answer.outcome for answer in answers] == ["held", "tripped", "held"]
    assert "30 days ago; it is promised to be at most 30 days old." in answers[1].what
    assert [answer.outcome for answer in unknown] == ["not applicable"] * 2


def read_facts(*digests: str) -> ReadFacts:
    """A reading of files with these digests."""
    files = tuple(SourceFile(name=f"{n}.csv", bytes=1, digest=one) for n, one in enumerate(digests))
    return ReadFacts(
        source="a.csv", told=False, bytes=1, digest="x", files=files, encoding="utf-8", rows_read=1, rows_kept=1,
        rows_rejected=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("digests", "recipe", "outcome"),
    [
        (("a", "b"), "r", "tripped"),
        (("b", "a"), "r", "held"),
        (("a",), "r", "held"),
        (("a", "b"), "another", "held"),
        (("a", "b"), "", "held"),
    ],
)
def test_only_the_same_bytes_under_the_same_recipe_are_a_duplicate(
    digests: tuple[str, ...], recipe: str, outcome: str
) -> None:
    """Other files, another order, another contract or script: then publishing may change something."""
    released = RunRecord.model_construct(run="r1", read=read_facts("a", "b"), recipe="r")
    assert guards.duplicate_snapshot(read_facts(*digests), recipe, released).outcome == outcome


def table_of(folder: Path, values: str) -> Table:
    """A table with the one column `id`, of these rows."""
    columns = (Column(name="id", type="text", role="plain"),)
    with connect() as connection:
        return write(
            connection, f"SELECT * FROM (VALUES {values}) AS given(id)", columns, folder / "t.parquet"
        )


def test_keys_that_collide_are_counted_and_not_named(tmp_path: Path) -> None:
    """Two rows repeat a key and one has none; the text holds no key."""
    table = table_of(tmp_path, "('canarykey'), ('canarykey'), ('canarykey'), ('b'), (NULL)")
    answer = guards.key_collisions(table, ("id",))
    assert answer.outcome == "tripped"
    assert answer.what == "Of 5 rows, 2 repeat a value of the key id and 1 have none."
    assert guards.key_collisions(table, ()).outcome == "not applicable"
    assert guards.key_collisions(table_of(tmp_path, "('a'), ('b')"), ("id",)).outcome == "held"


def test_an_override_names_a_guard_and_says_why() -> None:
    """A guard that does not exist, a reason that says nothing and one with an identifier are refused."""
    with pytest.raises(NameUnknown, match="row-drop"):
        guards.taken([("row-dorp", REASON)])
    for reason in ("ok", "fine, please publish", "Call Ada on 219-09-9999 about the towns."):
        with pytest.raises(UsageError):
            guards.taken([(guards.DROP, reason)])
    (override,) = guards.taken([(guards.DROP, f" {REASON} ")])
    assert (override.guard, override.reason) == (guards.DROP, REASON)


def test_the_same_bytes_stop_the_run_and_an_override_publishes_them(tmp_path: Path, pool: KernelPool) -> None:
    """Exit code 5 and status stopped; the override and who gave it stand in the record and its report."""
    project = fp.make(tmp_path)
    with local.running(project):
        first = fp.run(project, pool)
        again = fp.run(project, pool)
        rehearsed = fp.run(project, pool, to="read")
        told = fp.run(project, pool, overrides=[fp.AGAIN])
    assert outcomes(first) == {
        guards.ZERO: "held", guards.DROP: "not applicable", guards.AGE: "not applicable",
        guards.DUPLICATE: "not applicable", guards.KEYS: "held",
    }  # fmt: skip
    assert (again.status, again.exit_code, again.release) == ("stopped", 5, None)
    assert [step.status for step in again.steps] == ["completed"]
    assert first.run in again.reason and "--override duplicate-snapshot" in again.next
    assert rehearsed.status == "rehearsed"
    assert (told.status, outcomes(told)[guards.DUPLICATE]) == ("released", "overridden")
    assert [(one.guard, one.reason) for one in told.overrides] == [fp.AGAIN]
    assert fp.AGAIN[1] in (fp.place(project, told) / "report.html").read_text()


def test_the_same_bytes_under_another_contract_are_new(tmp_path: Path, pool: KernelPool) -> None:
    """A new description, a new script, new settings: there is something to publish."""
    project = fp.make(tmp_path)
    with local.running(project):
        fp.run(project, pool)
        fp.change(project, "transform.sql", "ORDER BY town", "ORDER BY people, town")
        assert fp.run(project, pool).status == "released"
        fp.change(project, "dataset.yml", "Invented visits", "Visits that are invented")
        assert fp.run(project, pool).status == "released"
    assert len(releases.of_dataset(project, fp.SLUG)) == 3


def test_rows_that_are_gone_stop_the_run_before_the_transform(tmp_path: Path, pool: KernelPool) -> None:
    """Exit code 6 with counts, limit and the command that overrides; the command works and is shown."""
    project = fp.make(tmp_path)
    with local.running(project):
        fp.run(project, pool)
        fp.write_people(project, fp.people(rows=36))
        failed = fp.run(project, pool)
        told = fp.ctnb(project, "run", fp.SLUG, "--to", "transform", "--override", "row-drop", REASON)
        shown = fp.ctnb(project, "runs", "show", fp.SLUG)
    assert (failed.status, failed.exit_code, [step.step for step in failed.steps]) == ("failed", 6, ["read"])
    assert "36 rows were kept, 48 for the last release: 25.0% fewer" in failed.reason
    assert '--override row-drop "why"' in failed.next
    assert told.code == 0, told.out + told.err
    assert f'guard row-drop overridden by {failed.by.name}: "{REASON}"' in shown.out


def test_a_run_from_the_tables_of_a_stopped_one_meets_the_guard_again(
    tmp_path: Path, pool: KernelPool
) -> None:
    """Going on from what was read is no way around what was said of it."""
    project = fp.make(tmp_path)
    with local.running(project):
        fp.run(project, pool)
        fp.write_people(project, fp.people(rows=24))
        failed = fp.run(project, pool)
        again = fp.run(project, pool, from_step="transform", run=failed.run)
    assert (again.parent, again.status, again.exit_code) == (failed.run, "failed", 6)
    assert outcomes(again)[guards.DROP] == "tripped"


def emptied(project: Project) -> None:
    """Let the transform keep nobody."""
    fp.change(
        project, "dataset.yml", "key: [town]", "  rules:\n    - {keep: people > 900, name: big}\nkey: [town]"
    )


def test_a_table_without_rows_and_an_old_source_stop_the_run(tmp_path: Path, pool: KernelPool) -> None:
    """The transform's table is asked too, and the age is that of the file."""
    project = fp.make(tmp_path)
    emptied(project)
    empty = fp.run(project, pool)
    assert (empty.exit_code, empty.steps[-1].step) == (6, "transform")
    assert "There are no rows of the table to be published." in empty.reason
    fp.change(project, "dataset.yml", "rejects:", "guards:\n  promised_days: 10\nrejects:")
    source = project.notebooks / fp.SLUG / "data" / "visits.csv"
    os.utime(source, (clock.now().timestamp() - 11 * 86_400,) * 2)
    old = fp.run(project, pool)
    assert (old.exit_code, old.steps[-1].step) == (6, "read")
    assert "promised to be at most 10 days old" in old.reason


def test_keys_that_collide_stop_the_run_after_the_transform(tmp_path: Path, pool: KernelPool) -> None:
    """The contract's key is not unique in the table to be published."""
    project = fp.make(tmp_path)
    fp.change(
        project, "dataset.yml", "constraints: {required: true, unique: true}", "constraints: {required: true}"
    )
    sql = "SELECT town, count(*)::BIGINT AS people FROM data GROUP BY town, reason\n"
    (project.notebooks / fp.SLUG / "transform.sql").write_text(sql)
    record = fp.run(project, pool)
    assert (record.exit_code, record.steps[-1].step) == (6, "transform")
    assert "repeat a value of the key town and 0 have none" in record.reason
    assert outcomes(record)[guards.KEYS] == "tripped"
