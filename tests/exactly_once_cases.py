"""The datasets whose publishing is disturbed: one class for each kind of portal, and for what is done to it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import requests

from ctnb import (
    answering,
    datasets,
    digests,
    flows,
    leases,
    publishing,
    pushing,
    records,
    releases,
    restoring,
    settings,
    stepfiles,
    tables,
)
from ctnb.contracts.columns import Column
from ctnb.errors import CtnbError, PortalFailed
from ctnb.settings import Project
from ctnb.supervision import Supervisor

SLUG, PORTAL = "visits", "state"
WHY = "Towns leave the register of visits."
START = {"Andover": 12, "Bolton": 14}
NEWER = {"Bolton": 15, "Canton": 16}
SENT: Mapping[str, Mapping[str, int]] = {
    "replace": NEWER, "upsert": NEWER, "append": {"Canton": 16}, "delete": {"Bolton": 0}, "sync": NEWER,
    "create": NEWER, "replace-period": {"Canton": 14, "Durham": 16}, "restore": NEWER,
    "push": NEWER, "columns": {},
}  # fmt: skip
AFTER: Mapping[str, Mapping[str, int]] = {
    "replace": NEWER, "upsert": {"Andover": 12, **NEWER}, "append": {**START, "Canton": 16},
    "delete": {"Andover": 12}, "sync": NEWER, "create": NEWER,
    "replace-period": {"Andover": 12, "Canton": 14, "Durham": 16}, "restore": START, "columns": START,
    "push": {"Andover": 12, **NEWER},
}  # fmt: skip
MODES = {"create": "replace", "restore": "replace", "push": "upsert", "columns": "replace"}
"""The mode of the contract, where the series is called otherwise."""

CTNB_YML = {
    "socrata": """\
format: 1
portals:
  state: {{kind: socrata, url: "{url}", key_id: {{secret: STATE_KEY_ID}}, key_secret: {{secret: STATE_KEY_SECRET}}}}
""",
    "opendatasoft": """\
format: 1
portals:
  state: {{kind: opendatasoft, url: "{url}", api_key: {{secret: STATE_API_KEY}}}}
""",
}
DATASET_YML = """\
format: 1
title: {title}
drift: {{table: {{category: accept, distribution: accept}}}}
{columns}{key}portal:
  name: state
  mode: {mode}
  public: false
  removes: {{share: 1.0, reason: Towns leave the register of visits.}}
{period}"""
COUNTED = """\
unit: person
source: {path: data/visits.csv}
columns: [{name: town, type: text, role: quasi, precision: town}]
transform:
 unit: group
 count: people
 columns:
  - {name: town, type: text, role: quasi, precision: town, constraints: {required: true, unique: true}}
  - {name: people, type: integer, role: measure}
"""
PLAIN = """\
unit: other
source: {path: data/visits.csv}
transform: {use: none}
columns:
  - {name: town, type: text, role: plain, constraints: {required: true}}
  - {name: people, type: integer, role: plain}
"""
PERIOD = "  period: {column: people, by: range}\n"

NEW_COLUMNS = [
    Column(name="share", type="percent", role="measure"), Column(name="year", type="integer", role="plain"),
]  # fmt: skip

Way = Literal["request", "revision", "pushed", "file"]


@dataclass(frozen=True)
class Facts:
    """What a series of cases is about."""

    url: str
    folder: str
    environment: dict[str, str] = field(repr=False)
    """The portal's keys, under the names of ctnb.yml."""
    mode: str
    """A mode of the contract, or create, columns, restore or push."""
    key: bool
    """Whether rows have an identifier."""
    way: Way
    """Socrata: in one request where it fits, or by a revision always. Opendatasoft: pushed, or as a file."""
    fault: str
    """kill or reset."""
    sample: int
    """How many of the steps to try, evenly; 0 is all."""


def case(facts: Facts, number: int) -> Case:
    """The case of one step."""
    if facts.way in ("pushed", "file"):
        import exactly_once_opendatasoft

        return exactly_once_opendatasoft.case(facts, number)
    return _KINDS.get(facts.mode, Case)(facts, number)


class Case:
    """One dataset on a Socrata portal and its project."""

    dialect = "socrata"
    columns = COUNTED
    publishes_first = False
    """Whether what is released now are the first rows."""

    def __init__(self, facts: Facts, number: int) -> None:
        self.facts = facts
        self.root = Path(facts.folder) / f"{facts.fault}-{number}"
        self.place = self.root / "notebooks" / SLUG
        self.title = f"Visits {uuid.uuid4()}"
        self.session = requests.Session()
        if self.dialect == "socrata":
            self.session.auth = (facts.environment["STATE_KEY_ID"], facts.environment["STATE_KEY_SECRET"])
        self.releases = 0
        """How many releases there are before anything is disturbed."""

    def prepare(self) -> None:
        """Make the project, and its dataset with the first rows unless publishing is to create it."""
        mode = self.facts.mode
        self.place.mkdir(parents=True)
        (self.root / "ctnb.yml").write_text(CTNB_YML[self.dialect].format(url=self.facts.url))
        told = DATASET_YML.format(
            title=self.title, mode=MODES.get(mode, mode), columns=self.columns,
            key="key: [town]\n" if self.facts.key else "", period=PERIOD if mode == "replace-period" else "",
        )  # fmt: skip
        (self.place / "dataset.yml").write_text(told)
        if mode != "create":
            self.begin()

    def begin(self) -> None:
        """Make the dataset on the portal, with the first rows."""
        columns = [{"fieldName": "town", "name": "town", "dataTypeName": "text"},
                   {"fieldName": "people", "name": "people", "dataTypeName": "number"}]  # fmt: skip
        body: dict[str, Any] = {"name": self.title, "columns": columns}
        if self.facts.key:
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

    def is_done(self) -> bool:
        """Whether the records say that nothing is left to do."""
        return sum(bool(one.release) for one in records.all_records(self.project())) > self.releases

    def publish(self) -> None:
        """What is disturbed: a table is published, as it would be by `ctnb run`."""
        self.release(SENT[self.facts.mode])

    def release(self, rows: Mapping[str, int]) -> None:
        """What `ctnb run` does at its last step: begin a run with a table, or go on with one that may have sent."""
        project = self.project()
        dataset = datasets.dataset(SLUG, project.notebooks)
        with ExitStack() as stack:
            stack.enter_context(flows.hold_dataset(project, SLUG))
            leases.reap(project)
            if self.is_done():
                return
            if not self.go_on(stack):
                at = flows.open_run(stack, project, dataset, how="ctnb run", portal=PORTAL)
                self.bring_table(at, rows)
                end(at)

    def go_on(self, stack: ExitStack) -> bool:
        """Go on with a run that may have sent, if there is one, as `ctnb run --from publish --run` does."""
        project = self.project()
        dataset = datasets.dataset(SLUG, project.notebooks)
        unfinished = [one for one in records.all_records(project) if flows._may_have_sent(one)]
        if unfinished:
            end(flows.join_run(stack, project, dataset, records.find(project, unfinished[-1].run)))
        return bool(unfinished)

    def bring_table(self, at: Supervisor, rows: Mapping[str, int]) -> None:
        """Make `rows` the table of the run."""
        columns = at.dataset.contract.published_columns
        if self.facts.mode == "delete" and not self.publishes_first:
            columns = columns[:1]
        values = ", ".join(f"('{town}', {count})" for town, count in rows.items())
        names = ", ".join(column.name for column in columns)
        query = f"SELECT {names} FROM (VALUES {values}) AS given(town, people)"
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


class Restored(Case):
    """A dataset with two releases, of which the first is restored."""

    def begin(self) -> None:
        """Release the first rows, then others."""
        for rows in (START, NEWER):
            self.release(rows)
            self.releases += 1

    def publish(self) -> None:
        """`ctnb restore`, or going on with one that may have sent."""
        project = self.project()
        with ExitStack() as stack:
            stack.enter_context(flows.hold_dataset(project, SLUG))
            leases.reap(project)
            if self.is_done() or self.go_on(stack):
                return
        first = releases.of_dataset(project, SLUG)[0]
        flows.publish_alone = end  # without a notebook, which would only ask for it
        restoring.restore(SLUG, to=first.facts.release, reason=WHY, project=project, pool=object())  # type: ignore[arg-type]


class Widened(Case):
    """A dataset that gets new columns, which takes a working copy of it."""

    def publish(self) -> None:
        """What comes before the rows when a contract has new columns."""
        project = self.project()
        dataset = datasets.dataset(SLUG, project.notebooks)
        with publishing.target(project, dataset, PORTAL) as there:
            journal = publishing.sending_journal(project, dataset, PORTAL)
            there.portal.add_fields(there.dataset_id or "", NEW_COLUMNS, journal)

    def found(self) -> dict[str, Any]:
        """The rows, where the new columns are there, and how many datasets and copies there are."""
        uid = releases.dataset_id(self.project(), datasets.dataset(SLUG, self.root / "notebooks"), PORTAL)
        fields = [column["fieldName"] for column in self.ask("GET", f"/api/views/{uid}.json")["columns"]]
        said = super().found()
        return said if fields == ["town", "people", "share", "year"] else {**said, "rows": fields}


class Pushed(Case):
    """A dataset with a release, to which records are pushed in two batches."""

    columns = PLAIN

    def begin(self) -> None:
        """Release the first rows."""
        self.publishes_first = True
        self.release(START)
        self.publishes_first, self.releases = False, 1

    def publish(self) -> None:
        """`ctnb push` with the same lines each time; raises unless everything is confirmed."""
        lines = [json.dumps({"town": town, "people": count}).encode() for town, count in NEWER.items()]
        done = pushing.push(SLUG, lines, batch_rows=1, project=self.project())
        if done.exit_code or done.waiting:
            why = next((one.why for one in done.delivered if not one.release), "")
            raise PortalFailed(f"{done.waiting} batches wait: {why}", hint="")


_KINDS = {"columns": Widened, "restore": Restored, "push": Pushed}


def end(at: Supervisor) -> Any:
    """Publish the table of a run and end the run."""
    try:
        answering.publish_table(at)
    except CtnbError as error:
        at.failure = error
        flows.finish(at)
        raise
    return flows.finish(at)


__all__ = ["AFTER", "Facts", "asdict"]
