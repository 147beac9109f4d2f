"""Clients in JavaScript that others wrote, run by Node.js; CTNB_NODE_CLIENTS names the folder they are installed in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from prerequisites import lacking

PROGRAMS = Path(__file__).parent / "clients"
LIMIT_S = 120


def run_client(program: str, request: dict[str, Any], certificate: Path | None = None) -> list[Any]:
    """What a program of tests/clients answers to `request`; `certificate` is what it trusts beside the usual."""
    folder, node = os.environ.get("CTNB_NODE_CLIENTS"), shutil.which("node")
    if not folder or not node:
        lacking(
            "set CTNB_NODE_CLIENTS to a node_modules with soda-js and @opendatasoft/api-client, and have node"
        )
    environment = {**os.environ, **({"NODE_EXTRA_CA_CERTS": str(certificate)} if certificate else {})}
    done = subprocess.run(
        [node, str(PROGRAMS / program)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return list(json.loads(done.stdout))
