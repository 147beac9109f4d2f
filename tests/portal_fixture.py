"""A running embedded portal for tests: a process of its own on loopback, with a publisher's account."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from ctnb.embedded.accounts import add_account

START_LIMIT_S = 30.0
PROJECT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Running:
    """Where the portal answers and who may write to it."""

    url: str
    key_id: str
    key_secret: str = field(repr=False)
    file: Path
    address_file: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def auth(self) -> tuple[str, str]:
        """The publisher's credentials, as requests takes them."""
        return self.key_id, self.key_secret

    def ask(self, method: str, path: str, *, signed: bool = True, **options: Any) -> requests.Response:
        """One request, as the publisher unless `signed` is false."""
        auth = self.auth if signed else None
        return requests.request(method, self.url + path, auth=auth, timeout=60, **options)

    def create(
        self, *columns: tuple[str, str], key: str | None = None, public: bool = False, **more: Any
    ) -> str:
        """A new dataset with (field name, type) columns, published; its 4x4."""
        body: dict[str, Any] = {"name": "A dataset", **more}
        body["columns"] = [{"name": name, "fieldName": name, "dataTypeName": kind} for name, kind in columns]
        body["metadata"] = {**more.get("metadata", {}), **({"rowIdentifier": key} if key else {})}
        uid = str(self.ask("POST", "/api/views.json", json=body).json()["id"])
        assert self.ask("POST", f"/api/views/{uid}/publication.json").status_code == 200
        if public:
            shared = {"method": "setPermission", "value": "public.read"}
            assert self.ask("PUT", f"/api/views/{uid}.json", params=shared).status_code == 200
        return uid

    def rows(self, uid: str, **parameters: str) -> list[dict[str, Any]]:
        """The rows of a dataset; parameters without their `$`."""
        named = {f"${name}": value for name, value in parameters.items()}
        grouped = "(" in parameters.get("select", "") or "group" in parameters
        order = {} if grouped or "query" in parameters else {"$order": ":id"}
        answer = self.ask("GET", f"/resource/{uid}.json", params={**order, **named})
        assert answer.status_code == 200, answer.text
        return list(answer.json())


@contextlib.contextmanager
def running_portal(folder: Path, *options: str) -> Iterator[Running]:
    """A portal in `folder`, ended at the end of the block; `options` go to its command line."""
    file = folder / "portal.sqlite"
    with started(file, *add_account(file, "Pat Publisher", "publisher"), *options) as running:
        yield running


@contextlib.contextmanager
def started(file: Path, key_id: str, key_secret: str, *options: str) -> Iterator[Running]:
    """The portal in `file`, which holds the account already; killed at the end if it has not ended."""
    address_file, log = file.with_suffix(".address.json"), file.with_suffix(".log")
    address_file.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "ctnb.embedded",
        "--file",
        str(file),
        "--address-file",
        str(address_file),
    ]
    with log.open("ab") as output:
        process = subprocess.Popen([*command, *options], stdout=output, stderr=output, cwd=PROJECT)
    try:
        url = _wait(process, address_file, log)
        yield Running(url, key_id, key_secret, file, address_file, log, process)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], address_file: Path, log: Path) -> str:
    end = time.monotonic() + START_LIMIT_S
    while not address_file.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"the portal did not start: {log.read_text()}")
        time.sleep(0.02)
    return str(json.loads(address_file.read_text())["url"])
