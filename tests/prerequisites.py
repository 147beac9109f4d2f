"""What a few tests need that .ci/run brings and other machines may not have."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """End the test for want of `what`: skipped on somebody's own machine, failed where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(f"a build server must have this: {what}")
    pytest.skip(what)
