"""Exactly once: publishing is killed, or loses its connection, at each of its steps, and is run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from exactly_once import AFTER, Facts, asdict
from portal_fixture import Running, running_portal

PROJECT = Path(__file__).parent.parent
EVERY = bool(os.environ.get("CTNB_EVERY_STEP"))
SAMPLE = 0 if EVERY else 2
"""How many steps of each series are tried; CTNB_EVERY_STEP tries all, in every series."""

SERIES = [
    ("append", False, True), ("replace", True, False), ("delete", True, True), ("create", True, False),
    ("replace", False, True), ("append", True, False), ("upsert", True, False), ("upsert", True, True),
    ("delete", True, False), ("sync", True, False), ("create", False, True),
]  # fmt: skip
"""Mode, whether rows have an identifier, and whether they go by a revision."""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for all series; each case has a dataset of its own."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["kill", "reset"])
@pytest.mark.parametrize(("mode", "key", "revision"), SERIES if EVERY else SERIES[:4])
def test_whatever_breaks_rows_arrive_once(
    tmp_path: Path, portal: Running, mode: str, key: bool, revision: bool, fault: str
) -> None:
    """After a kill or a reset at any step, running again ends with the right rows, in one dataset."""
    facts = Facts(
        portal.url, portal.key_id, portal.key_secret, str(tmp_path / mode), mode, key, revision, fault, SAMPLE
    )
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(asdict(facts)))
    path.chmod(0o600)
    command = [sys.executable, str(PROJECT / "tests" / "exactly_once.py"), str(path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert (cases[0]["how"], len(cases) > SAMPLE) == (["done"], True)
    wrong = [
        case
        for case in cases
        if (case["rows"], case["datasets"], case["how"][-1])
        != ([list(row) for row in AFTER[mode].items()], 1, "done")
    ]
    assert wrong == []
