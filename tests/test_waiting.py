"""Waiting for a portal's work: as long as it says something new, and never for ever on what is no answer."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import ods_fixture
import pytest
import requests
from portal_fixture import Running, running_portal
from telling_portal import TELLS, Asked, TellingPortal, Told, telling

from ctnb import tables
from ctnb.clients import codes, dsmapi, opendatasoft, socrata
from ctnb.clients.opendatasoft import Opendatasoft
from ctnb.clients.socrata import Credentials, Socrata
from ctnb.clients.waiting import STRANGE, Patience, watched
from ctnb.contracts.columns import Column
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import PortalFailed
from ctnb.portals.interface import Change
from ctnb.portals.journal import Journal
from ctnb.portals.socrata import SocrataPortal

COLUMNS = (Column(name="k", type="code", role="plain"),)
IMPATIENT = Patience(still_s=0.05, most_s=60, first_s=0.001, last_s=0.001)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running embedded portal, which speaks both dialects."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def told(running: Running) -> Iterator[TellingPortal]:
    """A portal that tells, before it."""
    with telling(running.url) as portal:
        yield portal


def sent(running: Running, portal: TellingPortal, work: Path) -> int:
    """How many rows a dataset has after three were sent by a revision through `portal`."""
    uid = running.create(("k", "text"), key="k")
    account = Credentials(running.key_id, running.key_secret)
    client = SocrataPortal("state", Socrata(portal.url, account, pause_s=0.001), one_request_bytes=1)
    with tables.connect(work) as connection:
        query = "SELECT 'key-' || i AS k FROM range(3) AS t(i)"
        made = tables.write(connection, query, COLUMNS, work / "rows.parquet")
    client.send(uid, Change("upsert", made, COLUMNS, ("k",), "a change"), Journal(work / "journal.jsonl"))
    return len(running.rows(uid))


STEPS = {
    "a chunk": lambda asked: "/chunk/" in asked.path and not asked.path.endswith("commit"),
    "the upload": lambda asked: (
        asked.method == "GET" and "/source/" in asked.path and "/schema" not in asked.path
    ),
    "the columns": lambda asked: asked.method == "GET" and "/output/" in asked.path,
    "the job": lambda asked: asked.method == "GET" and "/apply/" in asked.path,
}
"""The questions that are asked again and again, by what is asked for."""
NONSENSE = (
    "a page with 200",
    "a page that says it is JSON",
    "a text",
    "a list of texts",
    "an object of texts",
)


@pytest.mark.parametrize(("step", "tell"), list(itertools.product(STEPS, NONSENSE)))
def test_nonsense_ends_the_waiting_after_a_few_times(
    running: Running, told: TellingPortal, tmp_path: Path, step: str, tell: str
) -> None:
    """It is said to be the portal's failure, with what to do, and not asked for hours."""
    seen: list[Asked] = []

    def choose(number: int, asked: Asked) -> str:
        if STEPS[step](asked):
            seen.append(asked)
            return tell
        return ""

    told.again(choose)
    with pytest.raises(PortalFailed) as failed:
        sent(running, told, tmp_path)
    assert failed.value.hint
    assert len(seen) == STRANGE


@pytest.mark.parametrize("step", STEPS)
def test_one_strange_answer_is_no_end(
    running: Running, told: TellingPortal, tmp_path: Path, step: str
) -> None:
    """Something in between had a hiccup; the rows are there all the same."""
    hiccups = iter(["a page with 200", "a list of texts"])
    told.again(lambda number, asked: next(hiccups, "") if STEPS[step](asked) else "")
    assert sent(running, told, tmp_path) == 3


def test_a_status_that_is_none_ends_the_waiting_for_a_processing(
    running: Running, told: TellingPortal
) -> None:
    """On the other kind of portal too."""
    made = ods_fixture.dataset(running, restricted=True)
    key = add_api_key(running.file, running.key_id)
    client = Opendatasoft(told.url, key, pause_s=0.001, poll_s=0.01)
    told.again(lambda number, asked: "an object of texts" if asked.path.endswith("/status/") else "")
    with pytest.raises(PortalFailed, match="not what its interface describes"):
        client.settled(made.uid)
    assert len(told.asked) == STRANGE


def test_a_portal_that_says_the_same_is_not_waited_for() -> None:
    """One that moves is, however slowly, until the most."""
    with pytest.raises(PortalFailed, match="nothing new"):
        list(watched(lambda: ("working", 1), "at work", IMPATIENT, pause_s=0.001))
    numbers, began = itertools.count(), time.monotonic()
    moving = watched(lambda: (next(numbers), 1), "at work", IMPATIENT, pause_s=0.001)
    assert (
        len(list(itertools.takewhile(lambda _: time.monotonic() < began + 4 * IMPATIENT.still_s, moving))) > 1
    )
    shortest = Patience(still_s=60, most_s=0.02, first_s=0.001, last_s=0.001)
    with pytest.raises(PortalFailed, match="was still at work"):
        list(watched(lambda: (next(numbers), 1), "at work", shortest, pause_s=0.001))


def test_a_job_that_says_the_same_is_given_up(
    running: Running, told: TellingPortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is applied all the same, and the next attempt finds that."""
    monkeypatch.setitem(TELLS, "busy for ever", lambda asked, passed: _unfinished(passed))
    monkeypatch.setattr("telling_portal.NEEDS_ANSWER", frozenset(["busy for ever"]))

    def choose(number: int, asked: Asked) -> str:
        if asked.method == "PUT" and asked.path.endswith("/apply"):
            monkeypatch.setattr(dsmapi, "STILL_S", 0.05)
        return "busy for ever" if STEPS["the job"](asked) else ""

    told.again(choose)
    with pytest.raises(PortalFailed, match="applying the revision, it says"):
        sent(running, told, tmp_path)


def test_a_word_that_is_no_code_is_not_repeated() -> None:
    """A portal can put a surname where a code belongs; those of its documentation are told."""
    for name in ("code", "errorCode", "key"):
        assert socrata.error_code(b'{"%s": "Quillfeather"}' % name.encode()) == ""
    for name in ("error_code", "error_key", "errorcode"):
        assert opendatasoft.error_code(b'{"%s": "Quillfeather"}' % name.encode()) == ""
        assert opendatasoft.error_code(b'{"%s": 21909}' % name.encode()) == ""
    assert socrata.error_code(b'{"errorCode": "query.soql.no-such-column"}') == "query.soql.no-such-column"
    assert opendatasoft.error_code(b'{"errorcode": 10002}') == "10002"
    assert codes.kind("text/quillfeather") == ""
    assert codes.kind("Text/HTML; charset=utf-8") == "text/html"


def _unfinished(passed: requests.Response | None) -> Told:
    """The job as it is, never over."""
    assert passed is not None
    answer = passed.json()
    answer["resource"] |= {"status": "upserting", "finished_at": None, "log": []}
    return Told(200, json.dumps(answer).encode())
