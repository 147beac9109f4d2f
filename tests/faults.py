"""Faults for the length of a block: `with faulty(portal, Fault("status", status=503)) as seen:`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import requests
from portal_fixture import Running

from ctnb.embedded.faults import Fault

__all__ = ["Fault", "Seen", "faulty"]


@dataclass(frozen=True)
class Seen:
    """What a portal that was started with `--faults` says of the faults of one block."""

    portal: Running
    numbers: tuple[int, ...]

    def hits(self) -> list[int]:
        """How often each fault happened, in the order they were given."""
        rules = {rule["id"]: rule["hits"] for rule in self._board()["rules"]}
        return [int(rules[number]) for number in self.numbers]

    def requests(self) -> list[dict[str, Any]]:
        """Every request since the portal started or was last cleared: method, path, bytes, fault."""
        return list(self._board()["requests"])

    def _board(self) -> dict[str, Any]:
        return dict(self.portal.ask("GET", "/_faults").json())


@contextlib.contextmanager
def faulty(portal: Running, *faults: Fault) -> Iterator[Seen]:
    """`portal` with `faults`, which are taken back at the end of the block, unless the portal died of one."""
    answer = portal.ask("POST", "/_faults", json=[asdict(fault) for fault in faults])
    assert answer.status_code == 201, answer.text
    seen = Seen(portal, tuple(int(rule["id"]) for rule in answer.json()))
    try:
        yield seen
    finally:
        deadly = any(fault.kind == "die" for fault in faults)
        with contextlib.suppress(*[requests.ConnectionError] if deadly else []):
            for number in seen.numbers:
                portal.ask("DELETE", "/_faults", params={"id": str(number)})
