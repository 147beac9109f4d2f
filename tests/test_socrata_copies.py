"""Working copies: one that a break left open is begun anew, one that may be somebody else's is left to people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from portal_fixture import Running, running_portal

from ctnb import clock
from ctnb.clients.exchanges import Credentials, Exchange
from ctnb.contracts.columns import Column
from ctnb.embedded.accounts import add_account
from ctnb.errors import PublishRefused
from ctnb.portals.journal import Journal
from ctnb.portals.socrata_copies import LATEST_S, add_fields

NEW = [
    Column(name="share", type="percent", role="measure"),
    Column(name="year", type="integer", role="plain"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running embedded portal."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def uid(running: Running) -> str:
    """A dataset with a row."""
    made = running.create(("town", "text"), ("people", "number"), key="town")
    write(running, made, "Andover", 12)
    return made


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """The journal of what is sent to it."""
    return Journal(tmp_path / "state.jsonl")


def write(running: Running, uid: str, town: str, people: int) -> None:
    """A row of the dataset."""
    assert running.ask("POST", f"/resource/{uid}.json", json=[{"town": town, "people": people}]).ok


def add(running: Running, uid: str, journal: Journal) -> None:
    """Add the new columns, as ctnb's account."""
    exchange = Exchange(running.url, Credentials(running.key_id, running.key_secret))
    add_fields(exchange, uid, NEW, journal)


def copied(running: Running, uid: str, *names: str) -> str:
    """The id of a working copy with more columns."""
    made = running.ask("POST", f"/api/views/{uid}/publication.json?method=copy").json()["id"]
    for name in names:
        body = {"fieldName": name, "name": name, "dataTypeName": "number"}
        assert running.ask("POST", f"/api/views/{made}/columns.json", json=body).ok
    return str(made)


def note(journal: Journal, uid: str, state: str, **facts: str) -> None:
    """What an attempt noted before it was killed."""
    Journal(journal.path.with_suffix(".copies.jsonl")).note(uid, state, **facts)


def fields(running: Running, uid: str) -> list[str]:
    """The columns of a view."""
    return [one["fieldName"] for one in running.ask("GET", f"/api/views/{uid}.json").json()["columns"]]


def test_columns_are_added_once(running: Running, uid: str, journal: Journal) -> None:
    """A second time there is nothing to add; the rows stay."""
    for _ in range(2):
        add(running, uid, journal)
    assert fields(running, uid) == ["town", "people", "share", "year"]
    assert [row["people"] for row in running.rows(uid)] == ["12"]


@pytest.mark.parametrize("answered", [True, False])
def test_a_copy_that_a_kill_left_open_is_begun_anew(
    running: Running, uid: str, journal: Journal, answered: bool
) -> None:
    """By its noted id, or as what the unanswered request made; rows written since then are not lost with it."""
    note(journal, uid, "copying")
    left = copied(running, uid, "share")
    if answered:
        note(journal, uid, "copied", copy=left)
    write(running, uid, "Bolton", 14)
    add(running, uid, journal)
    assert fields(running, uid) == ["town", "people", "share", "year"]
    assert [row["town"] for row in running.rows(uid)] == ["Andover", "Bolton"]
    assert running.ask("GET", f"/api/views/{left}.json").status_code == 404


def test_a_copy_that_ctnb_never_asked_for_is_left_to_people(
    running: Running, uid: str, journal: Journal
) -> None:
    """Nothing was noted of this dataset."""
    theirs = copied(running, uid)
    with pytest.raises(PublishRefused, match="has a working copy open"):
        add(running, uid, journal)
    assert fields(running, theirs) == ["town", "people"]


def test_a_copy_with_a_column_of_somebody_else_is_left_to_people(
    running: Running, uid: str, journal: Journal
) -> None:
    """ctnb never made that column."""
    note(journal, uid, "copying")
    theirs = copied(running, uid, "remark")
    with pytest.raises(PublishRefused, match="has a working copy open"):
        add(running, uid, journal)
    assert fields(running, theirs) == ["town", "people", "remark"]


def test_a_copy_of_another_time_is_left_to_people(running: Running, uid: str, journal: Journal) -> None:
    """The request that was never answered was long before."""
    long_ago = clock.now().timestamp() - LATEST_S - 60
    clock.fix(clock.parse(clock.stamp_of(long_ago)))
    try:
        note(journal, uid, "copying")
    finally:
        clock.fix(None)
    copied(running, uid)
    with pytest.raises(PublishRefused, match="has a working copy open"):
        add(running, uid, journal)


def test_a_copy_of_another_account_is_left_to_people(running: Running, uid: str, journal: Journal) -> None:
    """Opened at that very time, by somebody else who may."""
    note(journal, uid, "copying")
    copied(running, uid)
    other = Credentials(*add_account(running.file, "Quinn Publisher", "publisher"))
    with pytest.raises(PublishRefused, match="has a working copy open"):
        add_fields(Exchange(running.url, other), uid, NEW, journal)


def test_after_a_copy_of_its_own_that_was_published_another_is_left_to_people(
    running: Running, uid: str, journal: Journal
) -> None:
    """Only the copy with the noted id is ctnb's."""
    add(running, uid, journal)
    theirs = copied(running, uid)
    more = [*NEW, Column(name="rate", type="number", role="measure")]
    exchange = Exchange(running.url, Credentials(running.key_id, running.key_secret))
    for _ in range(2):
        with pytest.raises(PublishRefused, match="has a working copy open"):
            add_fields(exchange, uid, more, journal)
    assert running.ask("GET", f"/api/views/{theirs}.json").status_code == 200
