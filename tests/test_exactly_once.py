"""Exactly once: publishing is killed, or loses its connection, at each of its steps, and is run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from exactly_once_cases import AFTER, Facts, Way, asdict
from portal_fixture import Running, running_portal

from ctnb.embedded.ods_keys import add_api_key

PROJECT = Path(__file__).parent.parent
EVERY = bool(os.environ.get("CTNB_EVERY_STEP"))
SAMPLE = 0 if EVERY else 2
"""How many steps of each series are tried; CTNB_EVERY_STEP tries all, in every series."""

SERIES: list[tuple[str, bool, Way]] = [
    ("append", False, "revision"), ("replace", True, "request"), ("delete", True, "revision"),
    ("create", True, "request"), ("upsert", True, "pushed"), ("append", False, "file"),
    ("replace", False, "revision"), ("append", True, "request"), ("upsert", True, "request"),
    ("upsert", True, "revision"), ("delete", True, "request"), ("sync", True, "request"),
    ("sync", True, "revision"), ("create", False, "revision"), ("replace-period", True, "request"),
    ("replace-period", True, "revision"), ("replace-period", False, "revision"),
    ("columns", True, "request"), ("restore", True, "request"), ("push", True, "request"), ("replace", True, "pushed"),
    ("append", False, "pushed"), ("delete", True, "pushed"), ("sync", True, "pushed"),
    ("push", True, "pushed"), ("restore", True, "pushed"), ("replace", False, "file"), ("create", True, "file"),
]  # fmt: skip
"""Mode, whether rows have an identifier, and how they go; the first six are sampled."""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for all series; each case has a dataset of its own."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["kill", "reset"])
@pytest.mark.parametrize(("mode", "key", "way"), SERIES if EVERY else SERIES[:6])
def test_whatever_breaks_rows_arrive_once(
    tmp_path: Path, portal: Running, mode: str, key: bool, way: Way, fault: str
) -> None:
    """After a kill or a reset at any step, running again ends with the right rows, in one dataset."""
    environment = {
        "STATE_KEY_ID": portal.key_id, "STATE_KEY_SECRET": portal.key_secret,
        "STATE_API_KEY": add_api_key(portal.file, portal.key_id),
    }  # fmt: skip
    facts = Facts(portal.url, str(tmp_path / mode), environment, mode, key, way, fault, SAMPLE)
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(asdict(facts)))
    path.chmod(0o600)
    command = [sys.executable, str(PROJECT / "tests" / "exactly_once.py"), str(path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    print(f"{len(cases[0]['kinds'])} steps, {len(cases) - 1} cases")
    assert (cases[0]["how"], len(cases) > SAMPLE) == (["done"], True)
    wrong = [
        case
        for case in cases
        if (case["rows"], case["datasets"], case["how"][-1])
        != ([list(row) for row in AFTER[mode].items()], 1, "done")
    ]
    assert wrong == []
