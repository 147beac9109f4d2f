"""What many tests need: a real project folder, the folder of real data, a clean environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from real_data import real_data_folder

from ctnb import clock, settings
from ctnb.settings import Project

# A build server asks the same questions each time, so that only a change can fail it; people ask new ones.
hypothesis_settings.register_profile(
    "ctnb", deadline=None, max_examples=60, derandomize=bool(os.environ.get("CI"))
)
hypothesis_settings.load_profile("ctnb")

SLUG = "sample-counts"

CTNB_YML = """\
format: 1
agency: Example agency
"""

DATASET_YML = """\
# Counts by town, invented
format: 1
title: Sample counts
unit: group
source:
  path: data/counts.csv  # relative to this folder
columns:
  - name: town
    header: Town
    type: text
    role: plain
  - name: zip
    header: Zip
    type: code
    role: plain
  - name: deaths
    header: Deaths
    type: integer
    role: measure
"""

COUNTS_CSV = "Town,Zip,Deaths\nHartford,06103,12\nNew Haven,06510,9\nBridgeport,06604,17\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project folder with one dataset, `sample-counts`, and its source."""
    folder = tmp_path / "project" / "notebooks" / SLUG
    (folder / "data").mkdir(parents=True)
    (tmp_path / "project" / "ctnb.yml").write_text(CTNB_YML, encoding="utf-8")
    (folder / "dataset.yml").write_text(DATASET_YML, encoding="utf-8")
    (folder / "data" / "counts.csv").write_text(COUNTS_CSV, encoding="utf-8")
    return settings.load(tmp_path / "project")


@pytest.fixture
def real_data() -> Path:
    """The folder of real data that CTNB_TEST_DATA names."""
    return real_data_folder()


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of a surrounding run reaches a test, and no test leaves the clock standing."""
    for name in ("CTNB_STEP", "CTNB_PROJECT", "CTNB_NOW", "CTNB_SECRETS"):
        monkeypatch.delenv(name, raising=False)
    yield
    clock.fix(None)
