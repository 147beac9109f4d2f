"""Drift in whole runs: it is named, held, decided about, and released; or it ends the reading."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import flow_projects as fp
import pytest
from real_data import real_data_folder
from ruamel.yaml import YAML

from ctnb import datasets, deciding, flows, settings, verification
from ctnb.kernels.pools import KernelPool
from ctnb.portals import local
from ctnb.privacy.changes import QUESTIONS
from ctnb.privacy.findings import Finding
from ctnb.records import RunRecord
from ctnb.settings import Project

ROOT = Path(__file__).parent.parent
REASON = "The new column is known to the agency and left out."
CANARY = "Xanthippe"
SLUG = "deaths"


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    """One pool of kernels for every run of this file."""
    with KernelPool() as made:
        yield made


def assert_released(record: RunRecord) -> None:
    """Hold that a run released, or say why it did not."""
    assert record.status == "released", record.reason


def drifted(project: Project, record: RunRecord) -> list[Finding]:
    """The findings about change in the review of a run."""
    return [one for one in deciding.review_of(project, record.run).findings if one.rule in QUESTIONS]


def rules(project: Project, record: RunRecord) -> dict[str, str]:
    """The rules about change that hit, with their severities."""
    return {one.rule: one.severity for one in drifted(project, record)}


def write(project: Project, header: str, more: str = "") -> None:
    """The source of the small dataset under another header, its rows with one more cell each."""
    path = fp.write_people(project, [[*row, more] if more else row for row in fp.people()])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *lines[1:]]) + "\n")


HEADER = "Person,SSN,Mail,Town,Age,Day,Reason,Note"


def test_a_new_header_is_held_and_released_once_somebody_decided(tmp_path: Path, pool: KernelPool) -> None:
    """Its cells never reach a record; a standing decision does not cover it the next time."""
    project = fp.make(tmp_path)
    with local.running(project):
        fp.run(project, pool)
        write(project, f"{HEADER},{CANARY}", CANARY)
        waiting = fp.run(project, pool)
        assert (waiting.status, rules(project, waiting)) == ("waiting", {"drift-source": "wait"})
        assert waiting.read is not None
        assert [(one.kind, one.place) for one in waiting.read.drift] == [("added", 9)]
        deciding.decide(project, waiting.run, "approve", reason=REASON, standing=True)
        went_on = fp.run(project, pool, from_step="publish", run=waiting.run)
        assert went_on.status == "released"
        write(project, f"{HEADER},{CANARY}", CANARY * 2)
        assert fp.run(project, pool).status == "waiting"
    assert fp.found_in(project.runs, [CANARY]) == {}
    assert verification.verify(project).faults == ()


def test_a_header_that_was_renamed_stops_the_reading_with_a_question(
    tmp_path: Path, pool: KernelPool
) -> None:
    """Held instead, its cells are read from where it seems to stand, and the reviewer is asked."""
    project = fp.make(tmp_path)
    write(project, HEADER.replace("Reason", "Reasons"))
    stopped = fp.run(project, pool)
    assert (stopped.status, stopped.exit_code) == ("failed", 6)
    assert "reason is missing; is it column 7 (shape 'Aaaa…') under another header?" in stopped.reason
    fp.change(project, "dataset.yml", "rejects:", "drift:\n  source: {renamed: hold}\nrejects:")
    waiting = fp.run(project, pool)
    (finding,) = drifted(project, waiting)
    assert (waiting.status, finding.rule, finding.columns) == ("waiting", "drift-source", ("reason",))
    assert waiting.read is not None
    assert {one.name: one.empty for one in waiting.read.columns}["reason"] == 0


def test_a_column_that_the_source_lost_is_empty_where_that_is_accepted(
    tmp_path: Path, pool: KernelPool
) -> None:
    """It is noted, and nobody has to decide."""
    project = fp.make(tmp_path)
    fp.change(project, "dataset.yml", "rejects:", "drift:\n  source: {removed: accept}\nrejects:")
    path = fp.write_people(project, [row[:7] for row in fp.people()])
    path.write_text(path.read_text().replace(",Note", ""))
    with local.running(project):
        record = fp.run(project, pool)
    assert (record.status, rules(project, record)) == ("released", {"drift-source": "note"})
    assert record.read is not None
    assert {one.name: one.empty for one in record.read.columns}["note"] == 48
    assert "Note is missing from the source: its cells are empty." in record.read.notes


def test_a_changed_structure_is_to_be_looked_at_again(tmp_path: Path, pool: KernelPool) -> None:
    """A review that would be clear waits, because what is published is built otherwise."""
    project = fp.make(tmp_path)
    with local.running(project):
        fp.run(project, pool)
        fp.change(
            project,
            "dataset.yml",
            "key: [town]",
            "    - {name: ages, type: integer, role: measure}\nkey: [town]",
        )
        sql = "SELECT town, count(*)::BIGINT AS people, count(DISTINCT age) AS ages FROM data GROUP BY town\n"
        (project.notebooks / fp.SLUG / "transform.sql").write_text(sql)
        waiting = fp.run(project, pool)
        assert waiting.status == "waiting"
        assert rules(project, waiting) == {"structure-changed": "wait", "drift-added": "wait"}
    report = (fp.place(project, waiting) / "report.html").read_text()
    assert "structure-changed" in report and "ages is new: the last release did not have it." in report


def test_a_refusal_holds_though_another_release_came_between(tmp_path: Path, pool: KernelPool) -> None:
    """The same table under the same contract stays refused, whatever it is compared with."""
    project, north = fp.make(tmp_path), ("Norfolk", "Oxford", "Plymouth", "Roxbury")
    with local.running(project):
        fp.run(project, pool)
        fp.write_people(project, fp.people(towns=north))
        waiting = fp.run(project, pool)
        deciding.decide(project, waiting.run, "refuse", reason="These towns belong to another register.")
        fp.write_people(project, fp.people(rows=44))
        between = fp.run(project, pool)
        fp.write_people(project, fp.people(towns=north))
        again = fp.run(project, pool)
    assert (waiting.status, between.status) == ("waiting", "released")
    assert (again.status, again.release) == ("refused", None)


# --- the real file in three vintages ---

OLD_HEADERS = {"Tramad": "Tramadol", "Fentanyl Analogue": "Fentanyl Analog"}
"""Headers of the real file, and what they are called in the made vintage of 31 columns."""

SQL = """\
SELECT year(date) AS year, {sex} count(*)::BIGINT AS deaths FROM data GROUP BY ALL ORDER BY ALL
"""


class Vintages:
    """The real file as it is, and two older ones made by dropping and renaming columns."""

    def __init__(self, folder: Path) -> None:
        source = real_data_folder() / "accidental-drug-related-deaths-2012-2022.csv"
        with source.open(encoding="utf-8-sig", newline="") as stream:
            self.rows = list(csv.reader(stream))
        self.folder, self.header = folder, self.rows[0]
        needed = {"Date", "Sex", *OLD_HEADERS}
        spare = [name for name in reversed(self.header) if name not in needed]
        self.dropped = {31: set(spare[:17]), 41: set(spare[:7]), 48: set()}

    def headers(self, columns: int) -> list[str]:
        """The headers of one vintage; the oldest calls two of them otherwise."""
        kept = [name for name in self.header if name not in self.dropped[columns]]
        return [OLD_HEADERS.get(name, name) if columns == 31 else name for name in kept]

    def write(self, columns: int) -> str:
        """The file of one vintage."""
        path = self.folder / f"deaths-{columns}.csv"
        kept = [n for n, name in enumerate(self.header) if name not in self.dropped[columns]]
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(self.headers(columns))
            writer.writerows([row[n] for n in kept] for row in self.rows[1:])
        return str(path)


def contract(project: Project, headers: Sequence[str], drift: Mapping[str, object], *, sexes: bool) -> None:
    """Write the dataset that reads columns with these `headers`, and publishes deaths by year, or by sex too."""
    yaml = YAML(typ="safe")
    whole = yaml.load((ROOT / "notebooks" / "overdose-deaths" / "dataset.yml").read_text())
    today = {new: old for old, new in OLD_HEADERS.items()}
    wanted = {today.get(name, name).strip(): name for name in headers}
    columns = [
        {**one, "header": wanted[one.get("header", one["name"]).strip()]}
        for one in whole["columns"]
        if one.get("header", one["name"]).strip() in wanted
    ]
    assert len(columns) == len(headers)
    out = [
        {"name": "year", "type": "integer", "role": "plain"},
        {"name": "deaths", "type": "integer", "role": "measure"},
    ]
    out[1:1] = [{"name": "sex", "type": "text", "role": "quasi"}] if sexes else []
    made = {
        "format": 1, "title": "Deaths by year", "unit": "person", "source": {"path": "none.csv"}, "columns": columns,
        "transform": {"unit": "group", "count": "deaths", "columns": out, "rules": [{"suppress": "deaths"}]},
        "drift": drift,
    }  # fmt: skip
    folder = project.notebooks / SLUG
    folder.mkdir(exist_ok=True, parents=True)
    with (folder / "dataset.yml").open("w", encoding="utf-8") as stream:
        YAML().dump(made, stream)
    (folder / "transform.sql").write_text(SQL.format(sex="sex," if sexes else ""))


@pytest.mark.slow
def test_three_vintages_of_the_real_file_arrive_one_after_the_other(tmp_path: Path, pool: KernelPool) -> None:
    """31 are released; of 41 and 48 each drift is named and held, then released; another structure waits anew."""
    vintages = Vintages(tmp_path)
    (tmp_path / "ctnb.yml").write_text(fp.CTNB_YML)
    project = settings.load(tmp_path)
    held = {"source": {"renamed": "hold"}}

    def run(columns: int) -> RunRecord:
        return flows.run(SLUG, project=project, pool=pool, source=vintages.write(columns))

    def approved(waiting: RunRecord) -> RunRecord:
        assert waiting.status == "waiting", waiting.reason
        deciding.decide(
            project, waiting.run, "approve", reason="The file of the state has more columns this year."
        )
        return flows.run(SLUG, project=project, pool=pool, from_step="publish", run=waiting.run)

    with local.running(project):
        contract(project, vintages.headers(31), held, sexes=False)
        first = run(31)
        assert (first.status, rules(project, first)) == ("waiting", {}) or first.status == "released"
        first = first if first.release else approved(first)
        assert first.read is not None and first.read.drift == ()
        arrived = run(41)
        assert arrived.read is not None
        kinds = [one.kind for one in arrived.read.drift]
        assert (kinds.count("added"), kinds.count("renamed"), kinds.count("removed")) == (10, 2, 0)
        assert {one.column for one in arrived.read.drift if one.kind == "renamed"} == {
            "tramad",
            "fentanyl_analogue",
        }
        assert rules(project, arrived) == {"drift-source": "wait"}
        assert_released(approved(arrived))
        contract(project, vintages.headers(41), {}, sexes=False)
        latest = run(48)
        assert latest.read is not None
        assert [one.kind for one in latest.read.drift] == ["added"] * 7
        assert rules(project, latest) == {"drift-source": "wait"}
        assert_released(approved(latest))
        contract(project, vintages.headers(48), {}, sexes=True)
        rebuilt = run(48)
        assert (rebuilt.status, rebuilt.read and rebuilt.read.drift) == ("waiting", ())
        assert {"structure-changed", "drift-added"} <= set(rules(project, rebuilt))
        stopped = run(31)
    assert (stopped.status, stopped.exit_code) == ("failed", 6)
    assert "under another header?" in stopped.reason
    assert verification.verify(project).faults == ()
    assert datasets.slugs(project.notebooks) == [SLUG]
