"""A disk without space: said as such, with the code for what is outside, and nothing of the data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import flow_projects as fp
import pytest

from ctnb import verification

FULL = Path("/dev/full")
CTNB = [sys.executable, "-m", "ctnb"]

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")


def test_output_that_cannot_be_written_is_no_mistake_in_ctnb() -> None:
    """Code 3, one line and what to do."""
    with FULL.open("wb") as full:
        done = subprocess.run([*CTNB, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("There is no space left on the disk")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_work_folder_without_space_ends_a_run_and_quotes_nothing(tmp_path: Path) -> None:
    """The snapshot of the source cannot be kept: the run ends, and once there is room the next one is released."""
    project = fp.make(tmp_path)
    limit = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
    command = [sys.executable, "-c", limit + "runpy.run_module('ctnb', run_name='__main__', alter_sys=True)"]
    environment = {**os.environ, "CTNB_PROJECT": str(project.root)}
    done = subprocess.run(
        [*command, "run", fp.SLUG], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert [one for one in fp.CANARIES if one in done.stdout + done.stderr] == []
    assert fp.found_in(project.runs, fp.CANARIES) == {}
    again = subprocess.run(
        [*CTNB, "run", fp.SLUG], env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert verification.verify(project).faults == ()
