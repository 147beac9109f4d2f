"""Each kind of portal, in each of its ways to send, does what publishing asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from portal_conformance import COLUMNS, NUMBERS, Keyed, Place, Replaces
from portal_fixture import Running, running_portal
from test_opendatasoft_portal import client, pushed

from ctnb.clients.socrata import Credentials, Socrata
from ctnb.contracts.publication import Metadata
from ctnb.embedded.ods_keys import add_api_key
from ctnb.portals.interface import Described
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.portals.socrata import ONE_REQUEST_BYTES, SocrataPortal


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal, which speaks both dialects."""
    with running_portal(tmp_path_factory.mktemp("portal")) as made:
        yield made


def socrata(running: Running, folder: Path, one_request_bytes: int) -> Place:
    """A dataset with a row identifier."""
    account = Credentials(running.key_id, running.key_secret)
    portal = SocrataPortal("state", Socrata(running.url, account), one_request_bytes=one_request_bytes)
    described = Described("Towns", "", COLUMNS, ("id",), Metadata())
    return Place(portal, portal.create(described, f"token of {folder}"), folder)


class TestSocrataByRequests(Keyed):
    """SODA 2: one all-or-nothing request."""

    @pytest.fixture
    def place(self, running: Running, tmp_path: Path) -> Place:
        return socrata(running, tmp_path, ONE_REQUEST_BYTES)


class TestSocrataByRevisions(Keyed):
    """DSMAPI: draft revisions."""

    @pytest.fixture
    def place(self, running: Running, tmp_path: Path) -> Place:
        return socrata(running, tmp_path, 0)


class TestOpendatasoftByPushing(Keyed):
    """Realtime push, records told apart by a unique id."""

    @pytest.fixture
    def place(self, running: Running, tmp_path: Path) -> Place:
        key = add_api_key(running.file, running.key_id)
        there, _ = pushed(running, key, tmp_path, "id", slug=f"conformance-{next(NUMBERS)}")
        return Place(there.portal, there.dataset_id, tmp_path)


class TestOpendatasoftByFiles(Replaces):
    """A dataset that is a file, processed whole."""

    @pytest.fixture
    def place(self, running: Running, tmp_path: Path) -> Place:
        made = client(running, add_api_key(running.file, running.key_id))
        portal = OpendatasoftPortal("city", made, visible_s=20, poll_s=0.02)
        created = portal.create(Described("Towns", "", COLUMNS, (), Metadata()), f"token of {tmp_path}")
        return Place(portal, created, tmp_path, ())
