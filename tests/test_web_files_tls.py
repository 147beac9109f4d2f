"""Files behind HTTPS: certificates are verified, and what was asked for by https is never fetched by http."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from error_texts import whole_story
from web_server import WebServer, serving

from ctnb import secrets
from ctnb.contracts.places import Web
from ctnb.errors import CtnbError, SourceFailed, SourceInvalid, UsageError
from ctnb.places import web_files
from ctnb.places.fetched import Request

pytestmark = pytest.mark.servers

ROWS = b"Town,Deaths\nAndover,12\n"
QUERY = "?sig=canary"


@pytest.fixture
def authority(tmp_path: Path) -> Any:
    """A certificate authority whose own certificate lies in the project as ca.pem."""
    import trustme

    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def server(authority: Any) -> Iterator[WebServer]:
    """A web server with a certificate for its address."""
    with serving(context(authority, "127.0.0.1")) as made:
        made.answers["/a.csv"] = lambda asked: asked.send(ROWS)
        yield made


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A request of a project; the environment trusts nobody more than the system."""
    for name in ("REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work").mkdir()
    return Request(tmp_path / "work", tmp_path, tmp_path, roots=(), again=True, secret=secrets.value)


def context(authority: Any, *names: str) -> ssl.SSLContext:
    """What a server with a certificate for `names` speaks TLS by."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(made)
    return made


def fetch(request: Request, url: str, **keys: Any) -> bytes:
    """What the file at `url` holds."""
    found = web_files.fetch(Web(url=url, timeout_s=10, **keys), request, pause_s=0)
    return found.snapshots[0].path.read_bytes()


def refused(request: Request, url: str, kind: type[CtnbError], **keys: Any) -> str:
    """What the error says that fetching ends with; it quotes no query, and nothing is left."""
    with pytest.raises(kind) as caught:
        fetch(request, url, **keys)
    assert [] == list(request.work.iterdir())
    assert "canary" not in whole_story(caught.value)
    return caught.value.what


def test_a_certificate_of_the_agency_s_own_authority_is_trusted_when_told(
    server: WebServer, request_: Request
) -> None:
    """By ca_file, relative to the project."""
    assert ROWS == fetch(request_, server.url + "/a.csv", ca_file="ca.pem")


def test_the_environment_s_authorities_count(
    server: WebServer, request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE, as every tool of the agency's machines is told them."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert ROWS == fetch(request_, server.url + "/a.csv")


def test_a_certificate_that_nobody_vouches_for_is_refused(server: WebServer, request_: Request) -> None:
    """Code 3, before anything is asked."""
    told = refused(request_, f"{server.url}/a.csv{QUERY}", SourceFailed)
    assert f"{server.host} cannot be trusted: its certificate does not verify, or TLS fails." == told
    assert [] == server.asked


def test_a_certificate_for_another_name_is_refused(authority: Any, request_: Request) -> None:
    """Somebody else's, though the authority is trusted."""
    with serving(context(authority, "data.example.gov")) as other:
        told = refused(request_, f"{other.url}/a.csv{QUERY}", SourceFailed, ca_file="ca.pem")
    assert "cannot be trusted" in told


def test_a_server_without_tls_is_no_https(request_: Request) -> None:
    """It answers in the clear where TLS was expected."""
    with serving() as plain:
        told = refused(request_, f"https://{plain.host}/a.csv{QUERY}", SourceFailed)
    assert told.startswith(plain.host)


def test_a_file_of_certificates_that_is_not_there_is_told(server: WebServer, request_: Request) -> None:
    """Before anything is asked, and not as the server's fault."""
    told = refused(request_, server.url + "/a.csv", UsageError, ca_file="none.pem")
    assert "none.pem under ca_file: is not there or holds no certificate in PEM." == told
    assert [] == server.asked


def test_a_redirect_from_https_to_http_is_refused(server: WebServer, request_: Request) -> None:
    """On the same host too: rows and addresses would go in the clear."""
    with serving() as plain:
        server.answers["/moved"] = lambda asked: asked.send(status=302, Location=f"{plain.url}/a.csv{QUERY}")
        told = refused(request_, server.url + "/moved", SourceInvalid, ca_file="ca.pem")
        assert f"{server.host} redirects from https to http, which is not allowed." == told
        assert [] == plain.asked


def test_a_redirect_from_http_to_https_is_followed(server: WebServer, request_: Request) -> None:
    """But not with credentials: they were meant for another port."""
    with serving() as plain:
        plain.answers["/a"] = lambda asked: asked.send(status=301, Location=server.url + "/a.csv")
        assert ROWS == fetch(request_, plain.url + "/a", ca_file="ca.pem", headers={"X-Key": "canary"})
        assert (["canary"], [None]) == (plain.headers("X-Key"), server.headers("X-Key"))
