"""Who is let into the embedded portal, by which credentials and from which pages, and what its log keeps of them."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from portal_fixture import Running, running_portal

from ctnb.embedded import accounts, server
from ctnb.embedded.accounts import add_account, add_app_token, add_oauth_token, list_accounts, remove_account
from ctnb.errors import UsageError

PASSWORD = "a long enough password"
MAIL = "pia@agency.example"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module, with a publisher who signs in by mail address and password."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        add_account(running.file, "Pia", "publisher", mail=MAIL, password=PASSWORD)
        yield running


def current(portal: Running, **headers: str) -> requests.Response:
    """Who the portal says is calling."""
    return requests.get(f"{portal.url}/api/users/current.json", headers=headers, timeout=60)


def basic(name: str, secret: str) -> str:
    """The header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def test_every_kind_of_credential_signs_in(portal: Running) -> None:
    """Key id and secret, mail address and password, OAuth token under both of its names."""
    token = add_oauth_token(portal.file, portal.key_id)
    headers = [basic(*portal.auth), basic(MAIL.upper(), PASSWORD), f"OAuth {token}", f"Bearer {token}"]
    answers = [current(portal, Authorization=header) for header in headers]
    assert [answer.json()["displayName"] for answer in answers] == [
        "Pat Publisher",
        "Pia",
        *["Pat Publisher"] * 2,
    ]
    assert (answers[1].json()["email"], answers[1].json()["roleName"]) == (MAIL, "publisher")
    assert "email" not in answers[0].json()


def test_wrong_credentials_are_told_apart_from_none(portal: Running) -> None:
    """401 for what is not right, 403 for an app token nobody gave out, 404 for nobody at all."""
    wrong = [
        basic(MAIL, "not the password"),
        basic("nobody@agency.example", PASSWORD),
        basic(portal.key_id, "x"),
    ]
    wrong += ["OAuth nope", "Basic !", "Digest x"]
    assert [current(portal, Authorization=header).status_code for header in wrong] == [401] * len(wrong)
    assert current(portal).status_code == 404
    path = f"{portal.url}/api/catalog/v1"
    known = add_app_token(portal.file)
    for given in ({"headers": {"X-App-Token": "nope"}}, {"params": {"$$app_token": "nope"}}):
        answer = requests.get(path, timeout=60, **given)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["message"]) == (403, "Invalid app_token specified")
    assert requests.get(path, params={"$$app_token": known}, timeout=60).status_code == 200
    assert requests.get(path, headers={"X-App-Token": known}, timeout=60).status_code == 200


def test_secrets_are_kept_as_hashes(portal: Running) -> None:
    """A copy of the file signs nobody in: neither password, key secret nor token stands in it."""
    token = add_oauth_token(portal.file, portal.key_id)
    with sqlite3.connect(portal.file) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert MAIL in dump
    assert not any(secret in dump for secret in (PASSWORD, portal.key_secret, token))


def test_an_account_that_was_removed_is_nobody(tmp_path: Path) -> None:
    """Its key, password, tokens and grants end; one with the same name or address later starts with nothing."""
    with running_portal(tmp_path) as portal:
        uid = portal.create(("a", "text"))
        key_id, secret = add_account(portal.file, "Rita", "viewer", mail="rita@x.example", password=PASSWORD)
        token = add_oauth_token(portal.file, key_id)
        portal.ask("POST", f"/api/views/{uid}/grants", json={"userEmail": "rita@x.example"})
        headers = [basic(key_id, secret), basic("rita@x.example", PASSWORD), f"OAuth {token}"]
        assert [current(portal, Authorization=header).status_code for header in headers] == [200] * 3
        assert remove_account(portal.file, "rita@x.example").name == "Rita"
        assert [current(portal, Authorization=header).status_code for header in headers] == [401] * 3
        again = add_account(portal.file, "Rita", "viewer", mail="rita@x.example")
        assert requests.get(f"{portal.url}/resource/{uid}.json", auth=again, timeout=60).status_code == 403
        assert portal.ask("GET", f"/api/views/{uid}.json").json()["grants"] == []


def test_accounts_are_listed_without_their_secrets(tmp_path: Path) -> None:
    """Name, role, address, key id, and whether there is a password."""
    file = tmp_path / "portal.sqlite"
    add_account(file, "Bea", "viewer", mail="Bea@x.example", password=PASSWORD)
    key_id, secret = add_account(file, "Abe", "publisher")
    listed = list_accounts(file)
    assert [(one.name, one.role, one.mail, one.password) for one in listed] == [
        ("Abe", "publisher", "", False),
        ("Bea", "viewer", "bea@x.example", True),
    ]
    assert listed[0].key_id == key_id
    assert secret not in repr(listed)


@pytest.mark.parametrize(
    ("mail", "password"),
    [("nobody", None), (None, PASSWORD), ("a@x.example", "short"), ("taken@x.example", None)],
)
def test_an_account_that_cannot_be_is_refused(tmp_path: Path, mail: str | None, password: str | None) -> None:
    """An address that is none or taken, a password that is short or without an address."""
    file = tmp_path / "portal.sqlite"
    add_account(file, "First", "viewer", mail="Taken@x.example")
    with pytest.raises(UsageError):
        add_account(file, "Second", "viewer", mail=mail, password=password)
    assert [one.name for one in list_accounts(file)] == ["First"]


def test_a_name_that_two_accounts_have_removes_neither(tmp_path: Path) -> None:
    """The key id tells them apart."""
    file = tmp_path / "portal.sqlite"
    keys = [add_account(file, "Twin", "viewer")[0] for _ in range(2)]
    for which in ("Twin", "Nobody"):
        with pytest.raises(UsageError):
            remove_account(file, which)
    remove_account(file, keys[0])
    assert [one.key_id for one in list_accounts(file)] == [keys[1]]


def test_a_remembered_password_is_remembered_for_its_own_account_only() -> None:
    """What was right for one stored hash is worked out anew for another."""
    remembered = accounts._Remembered()
    salt, stored = accounts._stored_password(PASSWORD)
    assert remembered.matches(PASSWORD, salt, stored)
    assert remembered.matches(PASSWORD, salt, stored)
    other = accounts._stored_password("another password here")
    assert not remembered.matches(PASSWORD, *other)
    assert not any(PASSWORD.encode() in mark for mark in remembered.known)


def test_no_route_answers_to_a_foreign_host(portal: Running) -> None:
    """DNS rebinding: a name that leads here but is not the portal's own gets 421 from every dialect."""
    seen = set()
    for one in server.ROUTES:
        path = one.path
        for name in ("{json}", "{extension}"):
            path = path.replace(name, "")
        path = path.replace("{view}", "abcd-2345")
        while "{" in path:
            path = path[: path.index("{")] + "1" + path[path.index("}") + 1 :]
        headers = {"Host": "rebound.example:80"}
        answer = requests.request(
            one.method, portal.url + path, headers=headers, auth=portal.auth, timeout=60
        )
        seen.add(answer.status_code)
    assert seen == {421}


def test_pages_of_other_sites_read_only_where_told(portal: Running, tmp_path: Path) -> None:
    """No permissive header by default; with --cors reading is free, writing and private data are not."""
    page = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    plain = requests.get(f"{portal.url}/data.json", headers=page, timeout=60)
    assert (plain.status_code, "Access-Control-Allow-Origin" in plain.headers) == (200, False)
    assert requests.options(f"{portal.url}/data.json", headers=page, timeout=60).status_code == 403
    with running_portal(tmp_path, "--cors") as free:
        uid = free.create(("a", "text"))
        answer = requests.get(f"{free.url}/data.json", headers=page, timeout=60)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        asked = {
            **page,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-app-token",
        }
        allowed = requests.options(f"{free.url}/resource/{uid}.json", headers=asked, timeout=60)
        assert (allowed.status_code, allowed.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD")
        assert "Access-Control-Allow-Credentials" not in allowed.headers
        assert requests.get(f"{free.url}/resource/{uid}.json", headers=page, timeout=60).status_code == 403
        body = {"headers": page, "auth": free.auth, "json": {"a": "x"}, "timeout": 60}
        assert requests.post(f"{free.url}/resource/{uid}.json", **body).status_code == 403  # type: ignore[arg-type]


def test_the_log_keeps_no_secret_and_no_name(portal: Running) -> None:
    """Route and status only: no password, token, mail address, file name or query."""
    uid = portal.create(("a", "text"))
    requests.get(f"{portal.url}/data.json", auth=(MAIL, PASSWORD), timeout=60)
    requests.get(f"{portal.url}/resource/{uid}.json?$$app_token=planted-token", timeout=60)
    portal.ask("POST", f"/api/views/{uid}/grants", json={"userEmail": "planted@x.example"})
    portal.ask("DELETE", f"/api/views/{uid}/grants?userEmail=planted@x.example")
    portal.ask("POST", "/api/assets", files={"file": ("planted-file.csv", b"planted-cell")})
    portal.ask("GET", "/api/catalog/v1?q=planted-words")
    log = portal.log.read_text()
    assert "DELETE /api/views/{view}/grants{json} 200" in log
    assert not any(word in log for word in ("planted", PASSWORD, MAIL, portal.key_secret, uid))


def test_an_upload_over_the_limit_is_refused(tmp_path: Path) -> None:
    """413 for every kind of upload, and nothing is kept."""
    with running_portal(tmp_path, "--body-limit", "1000") as portal:
        uid = portal.create(("a", "text"))
        paths = [
            "/api/assets",
            "/api/imports2/?method=blob",
            f"/api/views/{uid}/files",
            f"/datasync/id/{uid}",
        ]
        answers = [portal.ask("POST", path, files={"file": ("a.bin", b"x" * 2000)}) for path in paths]
        assert [answer.status_code for answer in answers] == [413] * len(paths)
        assert portal.ask("GET", "/api/views.json?count=true").json() == {"count": 1}
