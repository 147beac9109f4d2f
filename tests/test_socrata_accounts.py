"""Accounts on Socrata portals: what is sent, and what cannot be an account."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from error_texts import whole_story
from portal_fixture import Running, running_portal
from test_socrata import Said, portal

from ctnb.clients.exchanges import Credentials, Exchange
from ctnb.errors import PortalFailed, SettingsInvalid, UsageError
from ctnb.portals import accounts
from ctnb.settings import PortalSettings

SECRETS = {
    "KEY_ID": "the-key-id", "KEY_SECRET": "s3cr3t-key", "APP": "s3cr3t-app-token", "OAUTH": "s3cr3t-oauth",
    "ID_AS_TOKEN": "5mzw-sjtu",
}  # fmt: skip
PAIR = {"key_id": {"secret": "KEY_ID"}, "key_secret": {"secret": "KEY_SECRET"}}
BASIC = "Basic " + base64.b64encode(b"the-key-id:s3cr3t-key").decode()


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def settings(url: str = "https://example.org", **more: object) -> PortalSettings:
    """The settings of one portal."""
    return PortalSettings.model_validate({"kind": "socrata", "url": url, **more})


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (PAIR, {"Authorization": BASIC}),
        ({**PAIR, "app_token": {"secret": "APP"}}, {"Authorization": BASIC, "X-App-Token": "s3cr3t-app-token"}),
        ({"oauth_token": {"secret": "OAUTH"}}, {"Authorization": "OAuth s3cr3t-oauth"}),
        (
            {**PAIR, "oauth_token": {"secret": "OAUTH"}, "app_token": {"secret": "APP"}},
            {"Authorization": "OAuth s3cr3t-oauth", "X-App-Token": "s3cr3t-app-token"},
        ),
    ],
)  # fmt: skip
def test_each_way_to_sign_in_is_a_header(
    said: dict[str, object], sent: dict[str, str], tmp_path: Path
) -> None:
    """API key, user and password, OAuth token and app token; none of them ever in an address."""
    with portal(Said(200, '[{"n": "3"}]')) as (client, asked):
        made = accounts.socrata("state", settings(client.url, **said), tmp_path)
        assert made.client.count("abcd-1234") == 3
    headers = asked.headers[0]
    assert {name: headers[name] for name in ("Authorization", "X-App-Token") if name in headers} == sent
    assert not any(value in asked.lines[0] for value in SECRETS.values())


def test_an_account_is_never_sent_in_the_clear(tmp_path: Path) -> None:
    """http:// is for this machine alone."""
    with pytest.raises(SettingsInvalid, match="in the clear"):
        accounts.socrata("state", settings("http://data.example.org", **PAIR), tmp_path)


def test_a_dataset_s_id_is_no_app_token(tmp_path: Path) -> None:
    """The mistake is named as what it is, without the secret's value."""
    with pytest.raises(SettingsInvalid, match="is the id of a dataset") as caught:
        accounts.socrata("state", settings(**PAIR, app_token={"secret": "ID_AS_TOKEN"}), tmp_path)
    assert SECRETS["ID_AS_TOKEN"] not in whole_story(caught.value)


@pytest.mark.parametrize("said", [{}, {"key_id": {"secret": "KEY_ID"}}, {"app_token": {"secret": "APP"}}])
def test_a_portal_without_an_account_is_said(said: dict[str, object], tmp_path: Path) -> None:
    """An app token names a program, not an account."""
    with pytest.raises(SettingsInvalid, match="needs url:, key_id: and key_secret:"):
        accounts.socrata("state", settings(**said), tmp_path)


def test_a_token_that_no_header_can_carry_is_said_without_it() -> None:
    """A secret with a line end would be quoted by the library below."""
    broken = f"{SECRETS['APP']}\nX: y"
    with pytest.raises(UsageError, match="can carry") as caught:
        Exchange("https://example.org", Credentials("a", "b", app_token=broken))
    assert SECRETS["APP"] not in whole_story(caught.value)


def test_a_redirect_is_not_followed() -> None:
    """It would carry the tokens to another place; its host is named, and nothing of its address."""
    moved = Said(301, "", headers={"Location": "https://elsewhere.example.org/login?key=s3cr3t-place"})
    with (
        portal(moved) as (client, asked),
        pytest.raises(PortalFailed, match=r"https://elsewhere\.example\.org") as e,
    ):
        client.count("abcd-1234")
    assert len(asked.lines) == 1
    assert "s3cr3t-place" not in whole_story(e.value)


def test_rows_are_read_by_soda_3_where_soda_2_is_gone() -> None:
    """With an app token, 404 and 410 lead to the newer interface, with its pages numbered from 1."""
    gone, rows = Said(410, "{}"), Said(200, '[{"town": "Hartford"}]')
    with portal(gone, rows) as (client, asked):
        client.exchange._session.headers["X-App-Token"] = "s3cr3t"
        client._has_token = True
        assert list(client.rows("abcd-1234", ["town"])) == [[{"town": "Hartford"}]]
    assert asked.lines[1] == "POST /api/v3/views/abcd-1234/query.json"
    assert asked.bodies[1] == (
        b'{"query": "SELECT `town` ORDER BY `:id`", "includeSynthetic": false, '
        b'"page": {"pageNumber": 1, "pageSize": 20000}}'
    )


def test_proxies_of_the_environment_count_except_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agency's proxy leads to the portal, and not back to here."""
    assert Exchange("https://data.example.org", None)._session.trust_env
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with portal(Said(200, '[{"n": "1"}]')) as (client, _):
        assert client.count("abcd-1234") == 1


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal that speaks TLS with a certificate of its own."""
    with running_portal(tmp_path_factory.mktemp("portal"), "--tls") as made:
        yield made


def test_certificates_of_the_agency_are_trusted_when_named(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ca_file:` is taken from the project's folder; without it the portal is not trusted."""
    monkeypatch.setenv("KEY_ID", running.key_id)
    monkeypatch.setenv("KEY_SECRET", running.key_secret)
    certificate = next(running.file.parent.glob("*.pem"), None) or next(running.file.parent.glob("*.crt"))
    (tmp_path / "agency.pem").write_bytes(certificate.read_bytes())
    trusting = accounts.socrata("state", settings(running.url, **PAIR, ca_file="agency.pem"), tmp_path)
    assert list(trusting.client.views()) == []
    distrusting = accounts.socrata("state", settings(running.url, **PAIR), tmp_path)
    monkeypatch.setattr("ctnb.clients.exchanges.ATTEMPTS", 1)
    with pytest.raises(PortalFailed, match="SSLError"):
        distrusting.client.count("abcd-1234")
