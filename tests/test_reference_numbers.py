"""Our counts against numbers that others published about the same data (see each test's source)."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from real_data import real_data_folder
from review_tables import column, found, made, reviewed

from ctnb.privacy.findings import Finding
from ctnb.privacy.reviews import Review
from ctnb.tables import Table

DEATHS = "accidental-drug-related-deaths-2012-2022.csv"


def table_of(
    folder: Path, path: Path, *, quasi: list[str], sensitive: str | None = None, mark: str = ","
) -> Table:
    """The file at `path` with columns c0, c1, ... whose headers are the file's."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        headers, *rows = csv.reader(stream, delimiter=mark)
    roles = {**dict.fromkeys(quasi, "quasi"), sensitive or "": "sensitive"}
    columns = [
        column(f"c{at}", role=roles.get(header.strip(), "plain"), header=header)
        for at, header in enumerate(headers)
    ]
    cells = {f"c{at}": [row[at] or None for row in rows] for at in range(len(headers))}
    return made(folder, columns, cells)


def small_class(review: Review) -> Finding:
    """The finding about small classes."""
    (finding,) = found(review, "small-class")
    return finding


def test_adult_has_the_risk_that_arx_published(tmp_path: Path) -> None:
    """ARX, TestRiskMetrics.testAverageRisk2 and testDecisionRule2: all nine columns of adult.csv."""
    quasi = ["sex", "age", "race", "marital-status", "education", "native-country", "workclass", "occupation",
             "salary-class"]  # fmt: skip
    path = real_data_folder() / "reference" / "adult.csv"
    finding = small_class(reviewed(table_of(tmp_path, path, quasi=quasi, mark=";"), unit="person"))
    assert (finding.of, finding.facts["classes"]) == (30162, 19502)
    assert finding.facts["classes"] / finding.of == pytest.approx(0.6465751607983555, abs=1e-15)
    assert finding.facts["unique_rows"] / finding.of == pytest.approx(0.5142895033485844, abs=1e-15)
    assert 1 / finding.facts["k"] == 1.0


def test_students_have_the_k_and_l_that_pycanon_published(tmp_path: Path) -> None:
    """pyCANON, tests/test_anonymity.py: StudentsMath_Score, k = 1 and l = 1."""
    quasi = ["Teacher", "Gender", "Ethnic", "Freeredu", "wesson"]
    path = real_data_folder() / "reference" / "students-math-score.csv"
    review = reviewed(table_of(tmp_path, path, quasi=quasi, sensitive="Score"), unit="person")
    (alike,) = found(review, "one-value")
    assert small_class(review).facts["k"] == 1
    assert alike.facts["alike_classes"] > 0


def test_francdat_has_the_frequencies_that_sdcmicro_published(tmp_path: Path) -> None:
    """sdcMicro, guidelines.Rnw: fk = 2 2 2 1 1 1 1 2 over columns 2, 4, 5 and 6."""
    path = real_data_folder() / "reference" / "francdat.csv"
    table = table_of(tmp_path, path, quasi=["Key1", "Key2", "Key3", "Key4"])
    facts = small_class(reviewed(table, unit="person")).facts
    assert (facts["k"], facts["unique_rows"], facts["classes"]) == (1, 4, 6)


def test_the_real_deaths_are_unique_for_4315_people(tmp_path: Path) -> None:
    """Age, sex, race and residence city, blanks being a value of their own: counted when the data were handed over."""
    quasi = ["Age", "Sex", "Race", "Residence City"]
    path = real_data_folder() / DEATHS
    review = reviewed(table_of(tmp_path, path, quasi=quasi), unit="person")
    facts = small_class(review).facts
    assert (review.rows, len(review.columns), review.state) == (10654, 48, "blocked")
    assert (facts["k"], facts["unique_rows"]) == (1, 4315)


def test_nothing_in_the_real_deaths_looks_like_a_direct_identifier(tmp_path: Path) -> None:
    """Towns, counties, drugs, causes, races and descriptions of injuries are not people."""
    path = real_data_folder() / DEATHS
    review = reviewed(table_of(tmp_path, path, quasi=["Age", "Sex", "Race", "Residence City"]), unit="person")
    assert [finding.rule for finding in review.findings if finding.direct] == []
