"""The datasets of `exactly_once_cases` on an Opendatasoft portal: with a realtime source, or as a file."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

import ods_fixture
import requests
from exactly_once_cases import START, Case, Facts, Pushed, Restored

from ctnb import datasets, releases

LIMIT = 1000
WAIT_S = 60.0


def case(facts: Facts, number: int) -> Case:
    """The case of one step."""
    kinds = {"restore": OpendatasoftRestored, "push": OpendatasoftPushed}
    return kinds.get(facts.mode, OpendatasoftCase)(facts, number)


class Account:
    """What `ods_fixture` asks of a portal, with the account that ctnb has."""

    def __init__(self, case: Case) -> None:
        self.url, self._session = case.facts.url, case.session

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """One request."""
        return self._session.request(method, self.url + path, timeout=60, **options)


class OpendatasoftCase(Case):
    """One dataset on an Opendatasoft portal and its project."""

    dialect = "opendatasoft"

    def __init__(self, facts: Facts, number: int) -> None:
        super().__init__(facts, number)
        self.session.headers["Authorization"] = f"Apikey {facts.environment['STATE_API_KEY']}"
        self.account = Account(self)

    def begin(self) -> None:
        """Make the dataset on the portal, with the first rows; a file is released, for ctnb knows it again."""
        if self.facts.way == "file":
            self.publishes_first = True
            self.release(START)
            self.publishes_first, self.releases = False, 1
            return
        made = self.make()
        assert made.push([{"town": town, "people": count} for town, count in START.items()]).ok
        end = time.monotonic() + WAIT_S
        while len(made.records()) < len(START):
            assert time.monotonic() < end
            time.sleep(0.02)

    def make(self) -> ods_fixture.Ods:
        """A realtime dataset without records, which portal.yml names."""
        portal: Any = self.account
        made = ods_fixture.realtime(
            portal, {"town": "x", "people": 1}, *(["town"] if self.facts.key else []),
            dataset_id=f"visits-{uuid.uuid4()}", restricted=True, published=False,
        )  # fmt: skip
        made.type("town", "text")
        made.type("people", "int")
        assert made.publish()["status"] == "idle"
        where, _, key = (self.facts.url + made.push_path).partition("?pushkey=")
        os.environ["STATE_PUSH_KEY"] = key
        told = f"  id: {made.uid}\n  push_url: {where}\n  push_key: {{secret: STATE_PUSH_KEY}}\n"
        (self.place / "portal.yml").write_text(f"format: 1\nstate:\n{told}")
        return made

    def found(self) -> dict[str, Any]:
        """What the portal has at the end, and how many datasets of this name."""
        uid = releases.dataset_id(
            self.project(), datasets.dataset("visits", self.root / "notebooks"), "state"
        )
        listed: list[dict[str, Any]] = []
        while len(page := self.ask("GET", f"{ods_fixture.AUTOMATION}/datasets/?limit={LIMIT}&offset={len(listed)}")
                  ["results"]) == LIMIT:  # fmt: skip
            listed += page
        listed += page
        own = [one for one in listed if one["metadata"]["default"]["title"]["value"] == self.title]
        slug = next(one["dataset_id"] for one in listed if one["uid"] == uid)
        rows = self.ask("GET", f"{ods_fixture.EXPLORE}/{slug}/exports/json")
        return {"rows": sorted([row["town"], int(row["people"])] for row in rows), "datasets": len(own)}


class OpendatasoftRestored(Restored, OpendatasoftCase):
    """A realtime dataset with two releases, of which the first is restored."""

    def begin(self) -> None:
        """Make the dataset, release the first rows, then others."""
        self.make()
        Restored.begin(self)


class OpendatasoftPushed(Pushed, OpendatasoftCase):
    """A realtime dataset with a release, to which records are pushed in two batches."""

    def begin(self) -> None:
        """Make the dataset and release the first rows."""
        self.make()
        Pushed.begin(self)
