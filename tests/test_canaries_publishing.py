"""Planted cells, keys and tokens on their way to portals: whatever a portal says of them, nothing repeats it."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import flow_projects as fp
import ods_fixture
import pytest
from portal_fixture import Running, running_portal
from telling_portal import CODE, ROW, TELLS, TellingPortal, telling

from ctnb import tables
from ctnb.clients import dsmapi
from ctnb.clients.opendatasoft import Opendatasoft, push_place
from ctnb.clients.socrata import Credentials, Socrata
from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Metadata
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import CtnbError
from ctnb.portals.interface import Change, Condition, Described, Part
from ctnb.portals.interface import Kind as ChangeKind
from ctnb.portals.journal import Journal
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.portals.socrata import SocrataPortal
from ctnb.tables import Table

APP_TOKEN = "app-tok-canary-Wz9Q"
CELLS = ("Quillfeather", "Zyxwyn", "Umbralwick", "pobox-canary", "219-09-99", "key-of-row", CODE)
"""What stands in the rows, or in those that the portal quotes."""
COLUMNS = (
    Column(name="k", type="code", role="plain"),
    Column(name="note", type="text", role="plain"),
    Column(name="n", type="integer", role="measure"),
)
DESCRIBED = Described("Counts", "Invented counts.", COLUMNS, ("k",), Metadata())
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A portal that tells, and what publishes to it."""

    portal: TellingPortal
    acts: Mapping[str, Callable[[], object]]
    """What is done there, by what it is called; each may be done again and again."""
    secrets: tuple[str, ...]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running embedded portal, which speaks both dialects."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture(scope="module")
def socrata(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Everything that is done on a Socrata portal."""
    work = tmp_path_factory.mktemp("socrata")
    uid = running.create(("k", "text"), ("note", "text"), ("n", "number"), key="k")
    with telling(running.url) as portal:
        account = Credentials(running.key_id, running.key_secret, APP_TOKEN)
        client = Socrata(portal.url, account, pause_s=0.001)
        small = SocrataPortal("state", client, one_request_bytes=1)
        state = SocrataPortal("state", client)

        def send(through: SocrataPortal, kind: ChangeKind) -> None:
            number = next(NUMBERS)
            journal = Journal(work / f"{number}.jsonl")
            through.send(uid, Change(kind, _rows(work, number), COLUMNS, ("k",), f"change-{number}"), journal)

        part = Part("One", (Condition(COLUMNS[0], "=", ("key-of-row-1",)),))
        acts: dict[str, Callable[[], object]] = {
            "there": lambda: state.there(uid),
            "load": lambda: _load(work, state, uid),
            "summary": lambda: state.summary(uid, COLUMNS),
            "upsert": lambda: send(state, "upsert"),
            "replace": lambda: send(state, "replace"),
            "revision": lambda: send(small, "upsert"),
            "find": lambda: state.find("no such token"),
            "create": lambda: state.create(DESCRIBED, "a token"),
            "describe": lambda: state.describe(uid, DESCRIBED),
            "show": lambda: state.show(uid, [part], {}),
            "share": lambda: state.share(uid, [f"reader{next(NUMBERS)}@example.org"]),
            "add fields": lambda: state.add_fields(
                uid,
                [Column(name=f"c{next(NUMBERS)}", type="text", role="plain")],
                Journal(work / "columns.jsonl"),
            ),
        }
        yield Place(portal, acts, (running.key_secret, APP_TOKEN))


@pytest.fixture(scope="module")
def opendatasoft(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Everything that is done on an Opendatasoft portal."""
    work = tmp_path_factory.mktemp("opendatasoft")
    made = ods_fixture.realtime(running, {"k": "x", "note": "y", "n": 1}, "k", restricted=True)
    made.type("n", "int")
    made.publish()
    whole = ods_fixture.dataset(running, restricted=True)
    key = add_api_key(running.file, running.key_id)
    with telling(running.url) as portal:
        where, _, push_key = (portal.url + made.push_path).partition("?pushkey=")
        client = Opendatasoft(portal.url, key, pause_s=0.001, poll_s=0.01, process_s=1)
        city = OpendatasoftPortal("city", client, push_place(where, push_key), visible_s=0.5, poll_s=0.01)
        files = OpendatasoftPortal("city", client)

        def send(through: OpendatasoftPortal, dataset: str, kind: ChangeKind) -> None:
            number = next(NUMBERS)
            change = Change(kind, _rows(work, number), COLUMNS, ("k",), f"change-{number}")
            through.send(dataset, change, Journal(work / f"{number}.jsonl"))

        acts: dict[str, Callable[[], object]] = {
            "there": lambda: city.there(made.uid),
            "load": lambda: _load(work, city, made.uid),
            "summary": lambda: city.summary(made.uid, COLUMNS),
            "push": lambda: send(city, made.uid, "upsert"),
            "file": lambda: send(files, whole.uid, "replace"),
            "find": lambda: city.find("no such token"),
            "describe": lambda: city.describe(made.uid, DESCRIBED),
            "share": lambda: city.share(made.uid, []),
            "switch": lambda: city.switch(made.uid, on=True),
            "schedule": lambda: city.schedule(made.uid, "0 1 * * *", []),
            "record": lambda: city.record(made.uid, "abc123", COLUMNS),
        }
        yield Place(portal, acts, (key, push_key))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A portal that lies about what it did is not waited for."""
    monkeypatch.setattr(dsmapi, "PATIENCE_S", 2.0)


def _rows(work: Path, number: int) -> Table:
    """Three rows with planted cells, others each time."""
    query = (
        f"SELECT 'key-of-row-' || i AS k, 'seen by Dr. Umbralwick ' || (i + {number}) AS note, "
        f"219099900 + i AS n FROM range(3) AS t(i)"
    )
    with tables.connect(work) as connection:
        return tables.write(connection, query, COLUMNS, work / f"{number}.parquet")


def _load(work: Path, portal: SocrataPortal | OpendatasoftPortal, dataset: str) -> None:
    with tables.connect(work) as connection:
        portal.load(dataset, COLUMNS, connection, "there")


def whole_chain(error: BaseException) -> str:
    """Everything that could be printed of `error` and of whatever it came from."""
    told, left = [], [error]
    while left:
        one = left.pop()
        told += [str(one), repr(one), repr(vars(one))]
        left += [link for link in (one.__cause__, one.__context__) if link is not None]
    return "\n".join(told)


def repeated(said: str, texts: tuple[str, ...]) -> list[str]:
    """Which of `texts` stand in `said`, in whatever letters."""
    return [text for text in texts if text.lower() in said.lower()]


def leaks(
    place: Place, act: str, tells: list[str], steps: int, caplog: pytest.LogCaptureFixture
) -> list[str]:
    """What leaked when the portal said each of `tells` at each of the first `steps` requests of `act`, in turn."""
    found = []
    canaries = (*CELLS, *place.secrets)
    for tell, step in itertools.product(tells, range(steps)):
        place.portal.again(lambda number, asked, tell=tell, step=step: tell if number == step else "")
        caplog.clear()
        try:
            place.acts[act]()
        except CtnbError as error:
            found += [
                f"{act}, {tell}, request {step}: {one}" for one in repeated(whole_chain(error), canaries)
            ]
        except Exception as error:
            found.append(f"{act}, {tell}, request {step}: {type(error).__name__}")
        found += [f"{act}, {tell}, request {step}, log: {one}" for one in repeated(caplog.text, canaries)]
    return found


def asked_by(place: Place, act: str) -> int:
    """How many requests `act` makes on a portal that says what it should."""
    place.portal.again()
    place.acts[act]()
    return len(place.portal.asked)


QUICK = {"socrata": ("there", "load", "summary", "upsert"), "opendatasoft": ("there", "record", "switch")}


@pytest.mark.parametrize(("kind", "act"), [(kind, act) for kind, acts in QUICK.items() for act in acts])
def test_no_error_repeats_what_a_portal_quotes(
    kind: str, act: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows, keys and tokens, in pages, codes, reasons, redirects, torn answers: no text, chain or log has one."""
    caplog.set_level(logging.DEBUG)
    place: Place = request.getfixturevalue(kind)
    steps = asked_by(place, act)
    assert leaks(place, act, list(TELLS), min(steps, 2), caplog) == []


EVERY = bool(os.environ.get("CTNB_EVERY_STEP"))
SLOW = {
    "socrata": ("load", "replace", "revision", "find", "create", "describe", "show", "share", "add fields"),
    "opendatasoft": ("there", "load", "summary", "push", "file", "find", "describe", "share", "schedule"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "act"), [(kind, act) for kind, acts in SLOW.items() for act in acts])
def test_no_error_repeats_what_a_portal_quotes_at_any_step(
    kind: str, act: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """The same at every request that an act makes, one after another: the first six, with CTNB_EVERY_STEP sixteen."""
    caplog.set_level(logging.DEBUG)
    place: Place = request.getfixturevalue(kind)
    steps = asked_by(place, act)
    assert leaks(place, act, list(TELLS), min(steps, 16 if EVERY else 6), caplog) == []


def test_the_portal_really_tells(socrata: Place) -> None:
    """What the tests above look for stands in the answers that the client gets."""
    import requests

    socrata.portal.again(lambda number, asked: "a refusal")
    said = requests.get(f"{socrata.portal.url}/x?pushkey={APP_TOKEN}", timeout=10).text
    assert ROW in said
    assert APP_TOKEN in said
    assert repeated(ROW, fp.CANARIES) != []
