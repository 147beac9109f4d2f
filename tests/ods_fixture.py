"""Datasets of Opendatasoft's interfaces on a running embedded portal, for tests."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import requests
from portal_fixture import Running

AUTOMATION = "/api/automation/v1.0"
EXPLORE = "/api/explore/v2.1/catalog/datasets"
WAIT_S = 60.0
_NUMBERS = itertools.count(1)
RESTING = ("idle", "error", "limit_reached")


@dataclass(frozen=True)
class Ods:
    """A dataset and, for a realtime one, its push URL."""

    portal: Running
    uid: str
    dataset_id: str
    resource: str = ""
    push_path: str = field(default="", repr=False)
    """/api/push/1.0/<dataset id>/realtime/push/?pushkey=<key>."""

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """One request below the dataset's automation address, as the publisher."""
        options.setdefault("allow_redirects", False)
        return self.portal.ask(method, f"{AUTOMATION}/datasets/{self.uid}/{path}", **options)

    def push(self, records: object, action: str = "push") -> requests.Response:
        """POST records to the push URL, or to its delete form."""
        path = self.push_path.replace("/push/?", f"/{action}/?")
        return requests.post(self.portal.url + path, json=records, timeout=60, allow_redirects=False)

    def status(self) -> dict[str, Any]:
        """The status as it is now."""
        return dict(self.ask("GET", "status/").json())

    def wait(self) -> dict[str, Any]:
        """The status once nothing is under way."""
        end = time.monotonic() + WAIT_S
        while (status := self.status())["status"] not in RESTING:
            assert time.monotonic() < end, status
            time.sleep(0.02)
        return status

    def publish(self) -> dict[str, Any]:
        """Publish and wait; the status at the end."""
        answer = self.ask("POST", "publish/")
        assert answer.status_code == 200, answer.text
        return self.wait()

    def unpublish(self) -> dict[str, Any]:
        """Unpublish and wait; the status at the end."""
        answer = self.ask("POST", "unpublish/")
        assert answer.status_code == 200, answer.text
        return self.wait()

    def annotate(self, name: str, annotation: str = "id", *args: str) -> None:
        """Add a step that annotates a field; it counts from the next publish on."""
        step = {"type": "annotate", "annotation": annotation, "field": name, "args": list(args)}
        assert self.ask("POST", "fields/", json=step).status_code == 201

    def type(self, name: str, kind: str) -> None:
        """Add a step that sets a field's type; it counts from the next publish on."""
        step = {"type": "type", "field": name, "type_param": kind}
        assert self.ask("POST", "fields/", json=step).status_code == 201

    def records(self, **parameters: Any) -> list[dict[str, Any]]:
        """The records that explore exports, in the order they were written."""
        path = f"{EXPLORE}/{self.dataset_id}/exports/json"
        answer = self.portal.ask("GET", path, params={"lang": "en", **parameters})
        assert answer.status_code == 200, answer.text
        return list(answer.json())


def dataset(portal: Running, dataset_id: str | None = None, *, restricted: bool = False) -> Ods:
    """A new dataset without resources, unpublished; without an id, one that no other test has."""
    dataset_id = dataset_id or f"town-budgets-{next(_NUMBERS)}"
    title = {"value": dataset_id.replace("-", " ").title()}
    body = {"dataset_id": dataset_id, "is_restricted": restricted, "metadata": {"default": {"title": title}}}
    answer = portal.ask("POST", f"{AUTOMATION}/datasets/", json=body)
    assert answer.status_code == 201, answer.text
    return Ods(portal, answer.json()["uid"], dataset_id)


def realtime(
    portal: Running,
    bootstrap: dict[str, Any] | list[dict[str, Any]],
    *ids: str,
    dataset_id: str | None = None,
    restricted: bool = False,
    published: bool = True,
    **more: Any,
) -> Ods:
    """A published dataset with a realtime resource; `ids` are the fields of its unique id, if any."""
    made = dataset(portal, dataset_id, restricted=restricted)
    body = {"type": "realtime", "title": "Real time", "params": {"bootstrap": bootstrap}, **more}
    answer = made.ask("POST", "resources/", json=body)
    assert answer.status_code == 201, answer.text
    made = Ods(portal, made.uid, made.dataset_id, answer.json()["uid"], answer.json()["push_url"])
    for name in ids:
        made.annotate(name)
    if published:
        assert made.publish()["status"] == "idle"
    return made
