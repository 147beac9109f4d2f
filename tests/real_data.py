"""Where the real data lie that some tests read: outside the project, named by CTNB_TEST_DATA."""

from __future__ import annotations

import os
from pathlib import Path

from prerequisites import lacking


def real_data_folder() -> Path:
    """The folder of real data. Skips the test where none is named, except on a build server, where it fails."""
    told = os.environ.get("CTNB_TEST_DATA")
    if not told:
        lacking("set CTNB_TEST_DATA to the folder of real data")
    return Path(told)
