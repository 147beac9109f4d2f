"""The embedded portal as the portal `local`: found where it runs, or started, and stopped by whoever started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from ctnb import documents
from ctnb.clients.socrata import Credentials
from ctnb.errors import PortalFailed
from ctnb.locks import hold
from ctnb.settings import Project

START_S = 20.0
STOP_S = 10.0
POLL_S = 0.02


def file(project: Project) -> Path:
    """The embedded portal's one file."""
    return project.private_folder("portal") / "portal.sqlite"


def address_file(project: Project) -> Path:
    """Where a running embedded portal says at which address it answers."""
    return project.private_folder("portal") / "address.json"


def ca_file(project: Project, url: str) -> Path | None:
    """The certificate by which the embedded portal at `url` is trusted; None where it speaks http."""
    return file(project).with_suffix(".certificate.pem") if url.startswith("https://") else None


def address(project: Project) -> str | None:
    """
    The address at which the embedded portal answers now; None when it does not run.

    Raises PortalFailed when it runs with a certificate that is not its own.
    """
    try:
        url = str(json.loads(address_file(project).read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError):
        return None
    session, trusted = requests.Session(), ca_file(project, url)
    session.trust_env = False
    try:
        answer = session.get(
            f"{url}/api/catalog/v1?limit=0", timeout=(5, 30), verify=str(trusted) if trusted else True
        )
    except requests.exceptions.SSLError:
        pass  # below, outside of the cause
    except (requests.RequestException, OSError):  # the second: the certificate's file is gone
        return None
    else:
        return url if answer.status_code == 200 else None
    raise PortalFailed(
        f"The embedded portal runs at {url} with a certificate that is not its own; `local` does not trust it.",
        hint="Name it in ctnb.yml as a portal of kind: socrata, by the name that the certificate is for.",
    )


def credentials(project: Project) -> Credentials:
    """The project's own account on the embedded portal; made, readable by its owner only, when missing."""
    path = project.private_folder("portal") / "publisher.json"
    with hold(project.private_folder("locks") / "portal-account.lock"):
        if not path.exists():
            from ctnb.embedded.accounts import add_account

            key_id, key_secret = add_account(file(project), "ctnb", "publisher")
            told = json.dumps({"format": 1, "key_id": key_id, "key_secret": key_secret})
            documents.write_text(path, told, mode=0o600)
        facts = json.loads(path.read_text(encoding="utf-8"))
    return Credentials(facts["key_id"], facts["key_secret"])


@contextmanager
def running(project: Project) -> Iterator[str]:
    """
    The address of the embedded portal, which is started for the body when nothing answers.

    Raises PortalFailed when it does not start within START_S seconds.
    """
    found = address(project)
    if found:
        yield found
        return
    process = start(project)
    try:
        yield _wait(project, process)
    finally:
        stop(process)


def start(project: Project, *, port: int = 0) -> subprocess.Popen[bytes]:
    """Start the embedded portal as a process of its own; `port` 0 is any free one."""
    path = project.private_folder("portal") / "server.log"
    path.touch(mode=0o600)
    log = path.open("ab")
    command = [
        sys.executable, "-m", "ctnb.embedded", "--file", str(file(project)), "--port", str(port),
        "--address-file", str(address_file(project)),
    ]  # fmt: skip
    address_file(project).unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    with log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the embedded portal: asked first, then made to."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


def _wait(project: Project, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        if address_file(project).exists() and (found := address(project)):
            return found
        time.sleep(POLL_S)
    stop(process)
    raise PortalFailed(
        "The embedded portal did not start.",
        hint=f"Its log: {project.private_folder('portal') / 'server.log'}",
    )
