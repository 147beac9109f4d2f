"""Attaching is killed, or loses its connection, at its steps, and is run again: each file is there once, as sent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from exactly_once import Steps, forked, load_libraries
from portal_conformance import ALL, COLUMNS, NUMBERS, START, Place
from portal_fixture import Running, running_portal
from test_opendatasoft_portal import client
from test_portal_conformance import socrata

from ctnb.attachments import Copy
from ctnb.contracts.publication import Metadata
from ctnb.embedded.accounts import add_account
from ctnb.embedded.ods_keys import add_api_key
from ctnb.errors import ApprovalAwaited
from ctnb.portals import attaching
from ctnb.portals.interface import Attachments, Change, Described
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.portals.socrata import ONE_REQUEST_BYTES

TRIES = 4
SAMPLE = 0 if os.environ.get("CTNB_EVERY_STEP") else 6
"""How many steps of each series are tried, evenly; CTNB_EVERY_STEP tries all."""
Publishing = Callable[[], None]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal, which speaks both dialects."""
    load_libraries()
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


def with_rows(place: Place, files: tuple[Copy, ...]) -> Publishing:
    """Rows and files by one revision, as `sending` does it."""
    change = Change("replace", place.table(START), COLUMNS, place.key, "the-token")

    def publish() -> None:
        told = Attachments(files, {}, attaching.sent(place.journal))
        place.portal.settle(place.dataset_id, place.journal)
        if place.rows() != ALL:
            sent = Change(change.kind, change.table, COLUMNS, change.key, change.token, files=told)
            place.portal.send(place.dataset_id, sent, place.journal)
        finish(place, told)

    return publish


def alone(place: Place, files: tuple[Copy, ...]) -> Publishing:
    """Files of a dataset whose rows stay as they are."""
    place.send("replace", START)

    def publish() -> None:
        place.portal.settle(place.dataset_id, place.journal)
        finish(place, Attachments(files, {}, attaching.sent(place.journal)))

    return publish


def finish(place: Place, files: Attachments) -> None:
    """What is left to attach, then read back."""
    place.portal.attach(place.dataset_id, files, "the-token", place.journal)
    assert set(attaching.read_back(place.portal, place.dataset_id, files)) == {
        one.name for one in files.wanted
    }


def disturbed(publish: Publishing, at: int, fault: str, kinds: Path) -> Publishing:
    """`publish` in a process whose step `at` is disturbed (0: none), and which leaves its steps in `kinds`."""

    def work() -> None:
        steps = Steps(at, fault)
        steps.watch()
        try:
            publish()
        finally:
            kinds.write_text(json.dumps(steps.kinds))

    return work


def made(running: Running, folder: Path, dialect: str) -> Place:
    """An empty dataset."""
    folder.mkdir()
    if dialect == "socrata":
        return socrata(running, folder, ONE_REQUEST_BYTES)
    asked = client(running, add_api_key(running.file, running.key_id))
    portal = OpendatasoftPortal("city", asked, visible_s=20, poll_s=0.02)
    words = Described(f"Towns {next(NUMBERS)}", "", COLUMNS, (), Metadata())
    return Place(portal, portal.create(words, f"token of {folder}"), folder, ())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("fault", ["kill", "reset"])
@pytest.mark.parametrize(
    ("dialect", "way"), [("socrata", with_rows), ("socrata", alone), ("opendatasoft", alone)]
)
def test_files_arrive_once_whatever_breaks(
    running: Running, tmp_path: Path, dialect: str, way: Callable[..., Publishing], fault: str
) -> None:
    """One that was there under a wanted name is replaced, one that others attached stays, none is there twice."""
    kinds, told = tmp_path / "kinds.json", tmp_path / "told.txt"

    def case(number: int) -> tuple[Place, Publishing, dict[str, str]]:
        place = made(running, tmp_path / f"case-{number}", dialect)
        theirs, old = place.copy("theirs.txt", b"by hand"), place.copy("guide.txt", b"older")
        by_hand = Attachments((theirs, old))
        place.portal.attach(place.dataset_id, by_hand, f"token-{next(NUMBERS)}", place.journal)
        place.journal.path.unlink()
        files = (place.copy("guide.txt", b"a guide"), place.copy("READ ME.md", b"read me"))
        wanted = {one.name: one.digest for one in (theirs, *files)}
        return place, way(place, files), wanted

    place, publish, wanted = case(0)
    assert forked(disturbed(publish, 0, fault, kinds), told) == "done"
    assert (place.attached(), place.rows()) == (wanted, ALL)
    steps = json.loads(kinds.read_text())
    chosen = [n for n, kind in enumerate(steps, 1) if fault == "kill" or kind in ("send", "answer")]
    stride = max(1, len(chosen) // SAMPLE) if SAMPLE else 1
    for number in chosen[stride - 1 :: stride]:
        place, publish, wanted = case(number)
        how = [forked(disturbed(publish, number, fault, kinds), told)]
        while how[-1] != "done" and len(how) < TRIES:
            how.append(forked(disturbed(publish, 0, fault, kinds), told))
        assert (number, how[-1], place.attached(), place.rows()) == (number, "done", wanted, ALL), how


def test_one_approval_opens_rows_and_files(tmp_path: Path) -> None:
    """Where the portal has an approver of its own, both wait in one revision, which is submitted once."""
    with running_portal(tmp_path, "--approval") as asking:
        approver = add_account(asking.file, "Ada Approver", "publisher")
        place = made(asking, tmp_path / "case", "socrata")
        files = Attachments((place.copy("guide.txt", b"a guide"),))
        change = Change("replace", place.table(START), COLUMNS, place.key, "the-token", files=files)
        for _ in range(2):
            with pytest.raises(ApprovalAwaited):
                place.portal.send(place.dataset_id, change, place.journal)
        assert (place.attached(), place.rows()) == ({}, [])
        listed = asking.ask("GET", f"/api/views/{place.dataset_id}/approvals?status=pending").json()
        assert len(listed) == 1
        path = f"/api/views/{place.dataset_id}/approvals/{listed[0]['id']}?method=updateOutcomeEnd&status=approved"
        assert requests.put(asking.url + path, auth=approver, timeout=60).ok
        place.portal.settle(place.dataset_id, place.journal)
        assert place.portal.send(place.dataset_id, change, place.journal).already
        finish(place, files)
        assert (place.attached(), place.rows()) == ({"guide.txt": files.wanted[0].digest}, ALL)
        assert len(asking.ask("GET", f"/api/publishing/v1/revision/{place.dataset_id}").json()) == 1
