"""
Twenty clients at once, and a portal that is killed under them: no error the protocol does not name, no row lost.

`CTNB_LOAD_SECONDS` says how long the clients go on; `make nightly` sets a minute.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from draft_calls import BASE
from faults import Fault, faulty
from portal_fixture import Running, running_portal, started

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("CTNB_LOAD_SECONDS", "15"))
WRITERS, READERS, REVISERS, DELETERS = 8, 8, 2, 2
NAMED = {200, 201, 202, 409}
"""The statuses that the protocol names for what these clients do; 409 is a write lock not acquired."""
PAGE = 200


@dataclass
class Account:
    """What the portal acknowledged, and what it answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)
    appended: set[str] = field(default_factory=set)
    revised: set[str] = field(default_factory=set)
    updates: dict[str, int] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def noted(self, answer: requests.Response) -> bool:
        """Whether the portal did it; an answer that the protocol does not name is a mistake."""
        with self.lock:
            self.statuses[answer.status_code] += 1
            if answer.status_code not in NAMED:
                self.mistakes.append(f"{answer.request.method}: {answer.status_code} {answer.text[:200]}")
        return answer.status_code in (200, 201, 202)


@dataclass
class Load:
    """Clients that go on until they are told to end."""

    portal: Running
    log: str
    """The dataset without a row identifier, to which rows are appended."""
    keyed: str
    """The dataset with one."""
    account: Account = field(default_factory=Account)
    ended: threading.Event = field(default_factory=threading.Event)

    def ask(self, session: requests.Session, method: str, path: str, **more: object) -> requests.Response:
        """One request, noted."""
        answer = session.request(method, self.portal.url + path, timeout=120, **more)  # type: ignore[arg-type]
        self.account.noted(answer)
        return answer

    def write(self, name: str, session: requests.Session) -> None:
        """Append a few rows and update others by key, and again."""
        numbers = itertools.count()
        for turn in itertools.count():
            if self.ended.is_set():
                return
            batch = [f"{name}-{next(numbers)}" for _ in range(5)]
            if self.ask(session, "POST", f"/resource/{self.log}.json", json=[{"n": one} for one in batch]).ok:
                self.account.appended.update(batch)
            key = f"{name}-{turn % 3}"
            body = [{"k": key, "v": turn}]
            if self.ask(session, "POST", f"/resource/{self.keyed}.json", json=body).ok:
                self.account.updates[key] = turn

    def read(self, name: str, session: requests.Session) -> None:
        """Page through the log by :id: no row twice, and every row that was acknowledged before."""
        chance = random.Random(name)
        while not self.ended.is_set():
            before = set(self.account.appended)
            seen: list[str] = []
            last = ""
            while True:
                where = {"$where": f":id > '{last}'"} if last else {}
                parameters = {"$select": ":id,n", "$order": ":id", "$limit": str(PAGE), **where}
                page = self.ask(session, "GET", f"/resource/{self.log}.json", params=parameters).json()
                seen += [row["n"] for row in page]
                if len(page) < PAGE:
                    break
                last = page[-1][":id"]
            if len(seen) != len(set(seen)) or not before <= set(seen):
                self.account.mistakes.append("pages that overlap, or that miss a row")
            rest = chance.choice([f"/api/views/{self.keyed}.json", "/api/catalog/v1", f"/d/{self.keyed}"])
            self.ask(session, "GET", rest)

    def revise(self, name: str, session: requests.Session) -> None:
        """Append rows by revisions, beside those who append by SODA."""
        for turn in itertools.count():
            if self.ended.is_set():
                return
            batch = [f"{name}-{turn}-{at}" for at in range(50)]
            made = self.ask(
                session, "POST", f"{BASE}/revision/{self.log}", json={"action": {"type": "update"}}
            )
            links = made.json()["links"]
            source = {"source_type": {"type": "upload", "filename": "f.csv"}}
            own = self.ask(session, "POST", links["create_source"], json=source).json()["links"]
            content = "\n".join(["n", *batch])
            self.ask(session, "POST", own["bytes"], data=content, headers={"Content-Type": "text/csv"})
            found = self.until(session, own["show"], lambda one: one["schemas"] and _settled(one))
            output = found["schemas"][-1]["output_schemas"][-1]["id"]
            job = self.ask(session, "PUT", links["apply"], json={"output_schema_id": output}).json()
            ended = self.until(session, job["links"]["show"], lambda one: one["finished_at"])
            if ended["status"] == "successful":
                self.account.revised.update(batch)
            else:
                self.account.mistakes.append(f"a job ended as {ended['status']}")

    def delete(self, name: str, session: requests.Session) -> None:
        """Make a row by key and delete it, counting the errors of a second deletion."""
        for turn in itertools.count():
            if self.ended.is_set():
                return
            key, address = f"gone-{name}-{turn}", f"/resource/{self.keyed}.json"
            self.ask(session, "POST", address, json=[{"k": key, "v": 1}])
            told = self.ask(session, "POST", address, json=[{"k": key, ":deleted": True}]).json()
            again = self.ask(session, "POST", address, json=[{"k": key, ":deleted": True}]).json()
            if (told["Rows Deleted"], again["Errors"]) != (1, 1):
                self.account.mistakes.append("a deletion that did not count as one")
            self.account.deleted.add(key)

    def until(
        self, session: requests.Session, link: str, done: Callable[[dict[str, object]], object]
    ) -> dict[str, object]:
        """The resource at `link` once it is done."""
        while True:
            found = self.ask(session, "GET", link).json()["resource"]
            if done(found):
                return dict(found)
            time.sleep(0.05)

    def run(self, work: Callable[[str, requests.Session], None], name: str) -> None:
        """One client; what ends it is a mistake."""
        session = requests.Session()
        session.auth = self.portal.auth
        try:
            work(name, session)
        except Exception as error:
            self.account.mistakes.append(f"{name} ended: {type(error).__name__}: {error}")
        finally:
            session.close()


def _settled(source: dict[str, object]) -> object:
    outputs = [one for schema in source["schemas"] for one in schema["output_schemas"]]  # type: ignore
    return outputs and all(one["completed_at"] for one in outputs)


def clients(load: Load) -> list[threading.Thread]:
    """Twenty of them."""
    kinds = ((load.write, WRITERS), (load.read, READERS), (load.revise, REVISERS), (load.delete, DELETERS))
    return [
        threading.Thread(target=load.run, args=(work, f"{work.__name__}{at}"), daemon=True)
        for work, count in kinds
        for at in range(count)
    ]


@pytest.fixture()
def load(tmp_path: Path) -> Iterator[Load]:
    """A portal with a dataset to append to and one with a row identifier."""
    with running_portal(tmp_path) as portal:
        log = portal.create(("n", "text"))
        yield Load(portal, log, portal.create(("k", "text"), ("v", "number"), key="k", name="Keyed"))


def test_twenty_clients_write_and_read(load: Load) -> None:
    """Every acknowledged row is there once, the last update of each key stands, nothing deleted is left."""
    running = clients(load)
    for client in running:
        client.start()
    load.ended.wait(SECONDS)
    load.ended.set()
    for client in running:
        client.join(120)
    assert not any(client.is_alive() for client in running)
    account = load.account
    assert account.mistakes == []
    assert min(len(account.appended), len(account.revised), len(account.updates), len(account.deleted)) > 0
    rows = [row["n"] for row in load.portal.rows(load.log, limit="1000000")]
    assert Counter(rows) == Counter(account.appended | account.revised)
    kept = {row["k"]: int(row["v"]) for row in load.portal.rows(load.keyed, limit="1000000")}
    assert kept == account.updates


def written_until_killed(portal: Running, uid: str, first: int, limit: int) -> tuple[list[int], list[int]]:
    """The numbers of rows that four clients wrote until the portal was gone: acknowledged, and only sent."""
    told: list[int] = []
    sent: list[int] = []

    def write(own: int) -> None:
        session = requests.Session()
        session.auth = portal.auth
        for number in range(first + own, first + limit, 4):
            sent.append(number)
            try:
                answer = session.post(f"{portal.url}/resource/{uid}.json", json=[{"n": number}], timeout=60)
            except requests.RequestException:
                return
            if answer.status_code == 200:
                told.append(number)

    writers = [threading.Thread(target=write, args=(own,)) for own in range(4)]
    for writer in writers:
        writer.start()
    while len(told) < limit // 4 and any(writer.is_alive() for writer in writers):
        time.sleep(0.005)
    portal.process.send_signal(signal.SIGKILL)
    for writer in writers:
        writer.join(120)
    return told, sent


def test_a_kill_during_writes_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Five times: what was told is there once, what was only sent is there once or not at all."""
    with running_portal(tmp_path) as portal:
        uid = portal.create(("n", "number"))
        told, sent = written_until_killed(portal, uid, 0, 400)
    for turn in range(1, 5):
        with started(portal.file, *portal.auth) as again:
            more_told, more_sent = written_until_killed(again, uid, turn * 1000, 400)
        told, sent = told + more_told, sent + more_sent
    with started(portal.file, *portal.auth) as last:
        rows = [int(row["n"]) for row in last.rows(uid, limit="100000")]
    assert len(rows) == len(set(rows))
    assert set(told) <= set(rows) <= set(sent)
    assert len(told) >= 500


@pytest.mark.parametrize(
    "path", ["*/chunk/*", "*/commit", "*/apply", "*/apply/*", "*/revision/*", "/resource/*"]
)
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_each_call_of_a_revision_is_taken_up_again(tmp_path: Path, path: str, after: bool) -> None:
    """Killed before and after each kind of call, the dataset is whole, and the client's next try succeeds once."""
    with running_portal(tmp_path, "--faults") as portal:
        uid = portal.create(("k", "text"), ("v", "number"), key="k")
        portal.ask("POST", f"/resource/{uid}.json", json=[{"k": "old", "v": 0}])
        with faulty(portal, Fault("die", path, after_commit=after)), pytest.raises(requests.ConnectionError):
            replaced(portal, uid)
            portal.ask("GET", f"/resource/{uid}.json")
        assert portal.process.wait(30) == -signal.SIGKILL
    with started(portal.file, *portal.auth) as again:
        rows = {row["k"] for row in again.rows(uid)}
        assert rows in ({"old"}, {"new1", "new2"})
        replaced(again, uid)
        assert [row["k"] for row in again.rows(uid)] == ["new1", "new2"]


def replaced(portal: Running, uid: str) -> None:
    """One replace revision, from its opening to the end of its job."""
    from draft_calls import applied, open_revision, output_of, upload

    revision = open_revision(portal, uid, action={"type": "replace"})
    source = upload(portal, revision, "k,v\nnew1,1\nnew2,2\n", chunk=8)
    assert applied(portal, revision, output_of(source))["status"] == "successful"
