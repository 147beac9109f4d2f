"""
Publishing killed at every one of its steps, each in a process of its own: `python tests/exactly_once.py FACTS.json`.

A step is an fsync, a move of a file, or one side of an HTTP exchange; all are counted as they happen, so that none
is left out that somebody adds later. FACTS names the portal, its account, a folder, a mode and how many of the steps
to try (0: all). For each, a dataset of its own gets its first rows; a process publishes and is killed at that step,
or loses its connection there; then the same is run again until it is released. One JSON object per case is printed.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
import traceback
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests
import requests.adapters

from ctnb import answering, datasets, digests, flows, leases, records, releases, settings, stepfiles, tables
from ctnb.errors import CtnbError
from ctnb.portals import soda
from ctnb.settings import Project

SLUG, PORTAL = "visits", "state"
KEYED = ("replace", "upsert", "append", "delete", "sync")
START = {"Andover": 12, "Bolton": 14}
SENT = {
    "replace": {"Bolton": 15, "Canton": 16}, "upsert": {"Bolton": 15, "Canton": 16}, "append": {"Canton": 16},
    "delete": {"Bolton": 0}, "sync": {"Bolton": 15, "Canton": 16}, "create": {"Bolton": 15, "Canton": 16},
}  # fmt: skip
AFTER = {
    "replace": {"Bolton": 15, "Canton": 16}, "upsert": {"Andover": 12, "Bolton": 15, "Canton": 16},
    "append": {"Andover": 12, "Bolton": 14, "Canton": 16}, "delete": {"Andover": 12},
    "sync": {"Bolton": 15, "Canton": 16}, "create": {"Bolton": 15, "Canton": 16},
}  # fmt: skip
TRIES = 4

CTNB_YML = """\
format: 1
portals:
  state: {{kind: socrata, url: "{url}", key_id: {{secret: STATE_KEY_ID}}, key_secret: {{secret: STATE_KEY_SECRET}}}}
"""
DATASET_YML = """\
format: 1
title: {title}
unit: person
source: {{path: data/visits.csv}}
columns: [{{name: town, type: text, role: quasi, precision: town}}]
transform:
 unit: group
 count: people
 columns:
  - {{name: town, type: text, role: quasi, precision: town, constraints: {{required: true, unique: true}}}}
  - {{name: people, type: integer, role: measure}}
{key}portal:
  name: state
  mode: {mode}
  public: false
  removes: {{share: 1.0, reason: Towns leave the register of visits.}}
"""


@dataclass(frozen=True)
class Facts:
    """What a series of cases is about."""

    url: str
    key_id: str
    key_secret: str
    folder: str
    mode: str
    """replace, upsert, append, delete, sync or create."""
    key: bool
    """Whether rows have an identifier."""
    revision: bool
    """Send by a revision whatever the size."""
    fault: str
    """kill or reset."""
    sample: int
    """How many of the steps to try, evenly; 0 is all."""


class Steps:
    """The steps of this process, counted; at step `at` the process is killed, or its connection reset."""

    def __init__(self, at: int, fault: str) -> None:
        self.at, self.fault, self.count, self.kinds = at, fault, 0, []
        self.numbers = itertools.count(1)

    def watch(self) -> None:
        """Count from here on."""
        self._wrap(os, "fsync")
        for name in ("replace", "rename", "link"):
            self._wrap(os, name)
        adapter: Any = requests.adapters.HTTPAdapter
        send = adapter.send

        def sent(this: Any, *given: Any, **named: Any) -> Any:
            self.step("send")
            answer = send(this, *given, **named)
            self.step("answer")
            return answer

        adapter.send = sent

    def step(self, kind: str) -> None:
        """One step."""
        number = next(self.numbers)
        self.kinds.append(kind)
        if number != self.at:
            return
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in ("send", "answer"):
            raise requests.ConnectionError("reset")

    def _wrap(self, module: Any, name: str) -> None:
        own: Callable[..., Any] = getattr(module, name)

        def counted(*given: Any, **named: Any) -> Any:
            self.step(name)
            return own(*given, **named)

        setattr(module, name, counted)


class Case:
    """One dataset on the portal and its project."""

    def __init__(self, facts: Facts, number: int) -> None:
        self.facts = facts
        self.root = Path(facts.folder) / f"{facts.fault}-{number}"
        self.title = f"Visits {uuid.uuid4()}"
        self.session = requests.Session()
        self.session.auth = (facts.key_id, facts.key_secret)

    def prepare(self) -> None:
        """Make the project, and its dataset with the first rows unless publishing is to create it."""
        facts, place = self.facts, self.root / "notebooks" / SLUG
        place.mkdir(parents=True)
        (self.root / "ctnb.yml").write_text(CTNB_YML.format(url=facts.url))
        mode = "replace" if facts.mode == "create" else facts.mode
        key = "key: [town]\n" if facts.key else ""
        (place / "dataset.yml").write_text(DATASET_YML.format(title=self.title, mode=mode, key=key))
        if facts.mode == "create":
            return
        columns = [{"fieldName": "town", "name": "town", "dataTypeName": "text"},
                   {"fieldName": "people", "name": "people", "dataTypeName": "number"}]  # fmt: skip
        body: dict[str, Any] = {"name": self.title, "columns": columns}
        if facts.key:
            body["metadata"] = {"rowIdentifier": "town"}
        uid = self.ask("POST", "/api/views.json", json=body)["id"]
        self.ask("POST", f"/api/views/{uid}/publication.json")
        rows = [{"town": town, "people": count} for town, count in START.items()]
        self.ask("POST", f"/resource/{uid}.json", json=rows)
        releases.note_dataset_id(self.project(), datasets.dataset(SLUG, self.root / "notebooks"), PORTAL, uid)

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """The portal's answer."""
        answer = self.session.request(method, self.facts.url + path, timeout=60, **given)
        answer.raise_for_status()
        return answer.json()

    def project(self) -> Project:
        """The project, read anew."""
        return settings.load(self.root)

    def publish(self) -> None:
        """What `ctnb run` does at its last step: begin a run with a table, or go on with one that may have sent."""
        project = self.project()
        dataset = datasets.dataset(SLUG, project.notebooks)
        with ExitStack() as stack:
            stack.enter_context(flows.hold_dataset(project, SLUG))
            leases.reap(project)
            if any(one.release for one in records.all_records(project)):
                return  # the record says that nothing is left to do
            unfinished = [one for one in records.all_records(project) if flows._may_have_sent(one)]
            if unfinished:
                at = flows.join_run(stack, project, dataset, records.find(project, unfinished[-1].run))
            else:
                at = flows.open_run(stack, project, dataset, how="ctnb run", portal=PORTAL)
                self._bring_table(at)
            try:
                answering._publish(at, answering.table_to_publish(at))
            except CtnbError as error:
                at.failure = error
                flows.finish(at)
                raise
            flows.finish(at)

    def _bring_table(self, at: flows.Supervisor) -> None:
        columns = at.dataset.contract.published_columns
        if self.facts.mode == "delete":
            columns = columns[:1]
        rows = ", ".join(f"('{town}', {count})" for town, count in SENT[self.facts.mode].items())
        names = ", ".join(column.name for column in columns)
        query = f"SELECT {names} FROM (VALUES {rows}) AS given(town, people)"
        with tables.connect() as connection:
            table = tables.write(connection, query, columns, at.folder("transform") / "table.parquet")
        ref = {"path": str(table.path), "file_digest": digests.of_file(table.path), "digest": table.digest}
        stepfiles.write_json(at.folder("transform") / "table.json", ref)

    def found(self) -> dict[str, Any]:
        """What the portal has at the end, and how many datasets of this name."""
        dataset = datasets.dataset(SLUG, self.root / "notebooks")
        uid = releases.dataset_id(self.project(), dataset, PORTAL)
        rows = self.ask("GET", f"/resource/{uid}.json?$order=town")
        views = self.ask("GET", "/api/catalog/v1?limit=10000")["results"]
        named = [one for one in views if one["resource"]["name"] == self.title]
        listed = [[row["town"], int(row["people"])] for row in rows]
        return {"rows": listed, "datasets": len(named)}


def forked(work: Callable[[], None], told: Path) -> str:
    """How `work` ended in a process of its own: done, killed, or its error."""
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        code = 0
        try:
            work()
        except CtnbError as error:
            told.write_text(f"{type(error).__name__}: {error.what}")
            code = 1
        except BaseException:
            told.write_text(traceback.format_exc())
            code = 2
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return "done" if os.WEXITSTATUS(status) == 0 else told.read_text()


def attempt(case: Case, at: int, told: Path) -> Callable[[], None]:
    """One publishing, killed or cut off at step `at` (0: never), that leaves its steps in `told`."""

    def work() -> None:
        if case.facts.revision:
            soda.encode_change = lambda change, limit: None  # type: ignore[assignment]  # nothing fits
        steps = Steps(at, case.facts.fault)
        steps.watch()
        try:
            case.publish()
        finally:
            told.write_text(json.dumps(steps.kinds))

    return work


def main(facts: Facts) -> None:
    """Count the steps of an undisturbed publishing, then disturb it at each."""
    os.environ.update(STATE_KEY_ID=facts.key_id, STATE_KEY_SECRET=facts.key_secret)
    folder = Path(facts.folder)
    folder.mkdir(parents=True, exist_ok=True)
    told, listed = folder / "told.txt", folder / "steps.json"
    undisturbed = Case(facts, 0)
    undisturbed.prepare()
    how = forked(attempt(undisturbed, 0, listed), told)
    kinds = json.loads(listed.read_text())
    print(json.dumps({"step": 0, "how": [how], "kinds": kinds, **undisturbed.found()}), flush=True)
    wanted = [number for number, kind in enumerate(kinds, 1)
              if facts.fault == "kill" or kind in ("send", "answer")]  # fmt: skip
    if facts.sample:
        wanted = wanted[len(wanted) // facts.sample - 1 :: max(1, len(wanted) // facts.sample)]
    for number in wanted:
        case = Case(facts, number)
        case.prepare()
        how_each = [forked(attempt(case, number, listed), told)]
        while how_each[-1] != "done" and len(how_each) < TRIES:
            how_each.append(forked(attempt(case, 0, listed), told))
        print(json.dumps({"step": number, "kind": kinds[number - 1], "how": how_each, **case.found()}),
              flush=True)  # fmt: skip
        shutil.rmtree(case.root)


if __name__ == "__main__":
    main(Facts(**json.loads(Path(sys.argv[1]).read_text())))

__all__ = ["AFTER", "Facts", "asdict"]
