"""Who the embedded portal lets in, what it says of anybody, and what survives a kill."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from portal_fixture import Running, running_portal, started

from ctnb.embedded.accounts import add_account, add_app_token, add_oauth_token
from ctnb.embedded.decimals import pack, unpack
from ctnb.embedded.server import serve
from ctnb.errors import UsageError


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(scope="module")
def private(portal: Running) -> str:
    """A private dataset of one row."""
    uid = portal.create(("secret", "text"), name="Private things")
    portal.ask("POST", f"/resource/{uid}.json", json={"secret": "canary-5521"})
    return uid


def test_a_private_dataset_is_closed_to_everybody_else(portal: Running, private: str) -> None:
    """403 for an anonymous reader and for a viewer; neither catalogue names it, no answer quotes it."""
    viewer = add_account(portal.file, "Vic Viewer", "viewer")
    paths = [f"/resource/{private}.json", f"/resource/{private}.csv", f"/api/views/{private}.json"]
    paths += [f"/api/views/{private}/rows.csv", f"/api/views/{private}/columns.json", f"/id/{private}.json"]
    for auth in (None, viewer):
        answers = [requests.get(portal.url + path, auth=auth, timeout=60) for path in paths]
        assert [answer.status_code for answer in answers] == [403] * len(paths)
        assert {answer.json()["code"] for answer in answers} == {"permission_denied"}
        lists = [
            requests.get(portal.url + path, auth=auth, timeout=60)
            for path in ("/", "/api/catalog/v1", "/data.json")
        ]
        assert not any(private in answer.text for answer in lists)


def test_a_viewer_reads_what_it_was_given_until_it_is_taken_back(portal: Running) -> None:
    """The permissions API names users by id."""
    uid = portal.create(("a", "text"))
    auth = add_account(portal.file, "Rita Reviewer", "viewer")
    who = requests.get(f"{portal.url}/api/users/current.json", auth=auth, timeout=60).json()["id"]
    path = f"/resource/{uid}.json"
    seen = []
    for users in ([], [{"id": who, "type": "interactive"}], []):
        portal.ask("PUT", f"/api/views/{uid}/permissions", json={"users": users})
        seen.append(requests.get(portal.url + path, auth=auth, timeout=60).status_code)
    assert seen == [403, 200, 403]
    assert requests.post(portal.url + path, auth=auth, json={"a": "x"}, timeout=60).status_code == 403


def test_writes_need_an_account(portal: Running, private: str) -> None:
    """403 as the vendor answers for an anonymous write, 401 for a wrong secret."""
    public = portal.create(("a", "text"), public=True)
    anonymous = portal.ask("POST", f"/resource/{public}.json", signed=False, json={"a": "x"})
    logged_in = {"message": "You must be logged in to access this resource", "error": True}
    assert (anonymous.status_code, anonymous.json()) == (403, logged_in)
    wrong = requests.get(f"{portal.url}/resource/{public}.json", auth=(portal.key_id, "no"), timeout=60)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "authentication_required")
    assert wrong.headers["WWW-Authenticate"].startswith("Basic ")
    assert portal.ask("DELETE", f"/api/views/{public}.json", signed=False).status_code == 403


def test_tokens_of_each_kind(portal: Running, private: str) -> None:
    """OAuth acts as its account; a known app token opens nothing, an unknown one is 403."""
    app, oauth = add_app_token(portal.file), add_oauth_token(portal.file, portal.key_id)
    tries = [{"Authorization": f"OAuth {oauth}"}, {"X-App-Token": app}, {"X-App-Token": "no"}, {}]
    tries.append({"Authorization": "OAuth no"})
    path = f"{portal.url}/resource/{private}.json"
    answers = [requests.get(path, headers=headers, timeout=60).status_code for headers in tries]
    assert answers == [200, 403, 403, 403, 401]
    in_query = requests.get(path, params={"$$app_token": "no"}, auth=portal.auth, timeout=60)
    assert in_query.json()["message"] == "Invalid app_token specified"


def test_secrets_are_not_in_the_file_nor_in_the_log(portal: Running, private: str) -> None:
    """Only digests are stored, and the log holds forms of addresses, never the addresses."""
    token = add_oauth_token(portal.file, portal.key_id)
    requests.get(f"{portal.url}/resource/{private}.json?$$app_token=canary-3310&key=canary-3310", timeout=60)
    portal.ask("GET", f"/resource/{private}/canary-3310.json")
    stored = b"".join(path.read_bytes() for path in portal.file.parent.glob("portal.sqlite*"))
    log = portal.log.read_text()
    assert [word for word in (portal.key_secret, token) if word.encode() in stored or word in log] == []
    assert "canary-3310" not in log
    assert "GET /resource/{view}{extension}" in log
    assert stat.S_IMODE(portal.file.stat().st_mode) == 0o600


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_host_name_is_misdirected(portal: Running, host: str) -> None:
    """A page elsewhere that rebinds its name to loopback gets nothing."""
    answer = requests.get(f"{portal.url}/api/catalog/v1", headers={"Host": host}, timeout=60)
    assert (answer.status_code, "results" in answer.text) == (421, False)


def test_own_names_are_answered_and_no_other_origin_is_told_it_may_read(portal: Running) -> None:
    """localhost and the address; no permissive CORS."""
    port = urllib.parse.urlsplit(portal.url).port
    hosts = [f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"]
    answers = [
        requests.get(portal.url, headers={"Host": host, "Origin": "http://x"}, timeout=60) for host in hosts
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert not any("Access-Control-Allow-Origin" in answer.headers for answer in answers)


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_page_of_another_site_cannot_write(portal: Running, headers: dict[str, str]) -> None:
    """Not even with the credentials that the browser keeps."""
    uid = portal.create(("a", "text"))
    answer = portal.ask("POST", f"/resource/{uid}.json", json={"a": "x"}, headers=headers)
    assert (answer.status_code, portal.rows(uid)) == (403, [])


def test_unknown_addresses_and_methods(portal: Running) -> None:
    """404 and 405, as JSON."""
    assert portal.ask("GET", "/nowhere").json()["code"] == "not_found"
    answer = portal.ask("PATCH", "/api/views/abcd-efgh.json", json={})
    assert (answer.status_code, answer.json()["errorCode"]) == (405, "method-not-allowed")


def test_what_is_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """Killed with -9 between and during writes, the file holds every acknowledged batch, and whole ones only."""
    file = tmp_path / "portal.sqlite"
    account = add_account(file, "Pat", "publisher")
    acknowledged: list[int] = []
    with started(file, *account) as portal:
        uid = portal.create(("batch", "number"), ("n", "number"))

        def write(first: int) -> None:
            for batch in range(first, first + 500):
                rows = [{"batch": batch, "n": at} for at in range(200)]
                try:
                    status = portal.ask("POST", f"/resource/{uid}.json", json=rows).status_code
                except requests.ConnectionError:
                    return
                if status == 200:
                    acknowledged.append(batch)
                if len(acknowledged) >= 12:
                    portal.process.kill()

        threads = [threading.Thread(target=write, args=(first,)) for first in (0, 1000, 2000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with started(file, *account) as again:
        found = again.rows(uid, select="batch, count(*) as n", group="batch", order="batch")
    kept = {int(row["batch"]) for row in found}
    assert set(acknowledged) - kept == set()
    assert {row["n"] for row in found} == {"200"}


def test_the_address_is_written_whole_and_removed_at_a_clean_end(tmp_path: Path) -> None:
    """SIGTERM ends with 0, folds the log into the file and takes the address away."""
    with running_portal(tmp_path) as portal:
        body = json.loads(portal.address_file.read_text())
        assert (body["url"], body["pid"]) == (portal.url, portal.process.pid)
        assert body.keys() == {"url", "pid", "boot_id", "started"}
        portal.process.send_signal(signal.SIGTERM)
        assert portal.process.wait(15) == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "portal.log", "portal.sqlite", "portal.sqlite.serving",
        ]  # fmt: skip


def test_a_port_that_is_taken_and_a_host_that_is_open_are_refused(tmp_path: Path) -> None:
    """Nothing listens beyond loopback unless the names it answers to are given."""
    with pytest.raises(UsageError, match="not loopback"):
        serve(tmp_path / "p.sqlite", host="0.0.0.0")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="port"):
        serve(tmp_path / "p.sqlite", port=taken.getsockname()[1])


def test_a_file_that_is_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Text, another program's database, or a portal of a newer format."""
    text, other, newer = tmp_path / "notes.txt", tmp_path / "other.sqlite", tmp_path / "newer.sqlite"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    text.write_text("not a database, but somebody's notes" * 50)
    add_account(newer, "Pat", "publisher")
    with contextlib.closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE portal SET format = 99")
    for file in (text, other, newer):
        with pytest.raises(UsageError, match="not a portal's file"):
            add_account(file, "Pat", "publisher")
    assert text.read_text() == "not a database, but somebody's notes" * 50


def test_a_role_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """There are two."""
    with pytest.raises(UsageError, match="publisher or viewer"):
        add_account(tmp_path / "p.sqlite", "Pat", "owner")


def test_packed_numbers_sort_as_numbers_do() -> None:
    """The stored text of a number compares as the number does."""
    numbers = [
        "-1000.5",
        "-1000",
        "-15",
        "-1.51",
        "-1.5",
        "-1",
        "-0.015",
        "0",
        "0.001",
        "0.0011",
        "0.9",
        "1",
        "1.5",
    ]
    numbers += [
        "2",
        "9.99",
        "10",
        "10.01",
        "123456789012345678901234567890",
        "123456789012345678901234567891",
    ]
    packed = [pack(number) or "" for number in numbers]
    assert (sorted(packed), [unpack(one) for one in packed]) == (packed, numbers)


def test_the_module_explains_its_options() -> None:
    """`python -m ctnb.embedded --help` ends 0."""
    done = subprocess.run(
        [sys.executable, "-m", "ctnb.embedded", "--help"], capture_output=True, text=True, check=True
    )
    assert "--address-file" in done.stdout
