"""Where the real data lie that some tests read: outside the project, named by CTNB_TEST_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real_data_folder() -> Path:
    """The folder of real data. Skips the test where none is named, except on a build server, where it fails."""
    told = os.environ.get("CTNB_TEST_DATA")
    if told:
        return Path(told)
    if os.environ.get("CI"):
        pytest.fail("CTNB_TEST_DATA must name the folder of real data here")
    pytest.skip("set CTNB_TEST_DATA to the folder of real data")
