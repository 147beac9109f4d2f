"""Sources that the portal reads from a URL itself, only where it was told to; and how large a file may be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from draft_calls import BASE, applied, ask, finished, open_revision, output_of
from portal_fixture import Running, running_portal

ROWS = b"a\tb\n1\tx\n2\ty\n"
LIMIT = 100


class Site(BaseHTTPRequestHandler):
    """A site with a file, a moved file, a large one, one that is gone, and one that ends too early."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = {"/rows.tsv": ROWS, "/large.csv": b"a\n" + b"1\n" * LIMIT, "/early.csv": ROWS}.get(path, b"")
        self.send_response(302 if path == "/moved" else 200 if body else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        if path == "/moved":
            self.send_header("Location", "/rows.tsv?key=secret-5521")
        self.send_header("Content-Length", str(len(body) + (path == "/early.csv")))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        """Nothing is logged."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of a site on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal that fetches, files of at most 100 bytes."""
    options = ("--fetch", "--upload-limit", str(LIMIT))
    with running_portal(tmp_path_factory.mktemp("portal"), *options) as running:
        yield running


def test_a_file_is_fetched_parsed_and_applied(portal: Running, site: str) -> None:
    """A redirect is followed; the ending of the address says that it is TSV."""
    revision = open_revision(portal)
    body = {"source_type": {"type": "url", "url": f"{site}/moved"}}
    made = ask(portal, "POST", revision["links"]["create_source"], json=body)
    source = finished(portal, made["links"])
    assert (source["content_type"], source["filesize"]) == ("text/tab-separated-values", len(ROWS))
    assert applied(portal, revision, output_of(source))["status"] == "successful"
    rows = portal.rows(revision["resource"]["fourfour"])
    assert rows == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    assert "secret-5521" not in portal.log.read_text()


@pytest.mark.parametrize(
    ("path", "said"),
    [("/none.csv", "status 404"), ("/large.csv", "more than 100 bytes"), ("/early.csv", "could not be read")],
)
def test_a_url_that_cannot_be_read_fails_the_source(portal: Running, site: str, path: str, said: str) -> None:
    """The source says why, without the address."""
    body = {"source_type": {"type": "url", "url": f"{site}{path}?key=secret"}}
    source = finished(portal, ask(portal, "POST", f"{BASE}/source", json=body)["links"])
    assert said in source["failure_details"]["message"]
    assert "secret" not in source["failure_details"]["message"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://u:p@127.0.0.1/x", "http:///x", "x", 1, None]
)
def test_only_plain_web_addresses_are_fetched(portal: Running, url: object) -> None:
    """400 for every other."""
    answer = portal.ask("POST", f"{BASE}/source", json={"source_type": {"type": "url", "url": url}})
    assert (answer.status_code, answer.json()["key"]) == (400, "invalid_source_type")


def test_nothing_is_fetched_unless_the_portal_was_told_to(tmp_path: Path, site: str) -> None:
    """403, and the source is not made."""
    with running_portal(tmp_path) as plain:
        body = {"source_type": {"type": "url", "url": f"{site}/rows.tsv"}}
        answer = plain.ask("POST", f"{BASE}/source", json=body)
        assert (answer.status_code, answer.json()["key"]) == (403, "fetching_not_allowed")


def test_an_upload_has_a_limit_over_all_its_chunks(portal: Running) -> None:
    """413 for the chunk that goes beyond it, and for a commit of more than was announced."""
    body = {"source_type": {"type": "upload", "filename": "f"}}
    links = ask(portal, "POST", f"{BASE}/source", json=body)["links"]
    ask(portal, "POST", links["initiate"], json={"content_type": "text/csv"})
    for number in range(2):
        path = links["chunk"].format(seq_num=number, byte_offset=0)
        ask(portal, "POST", path, data=b"a,b\n" + b"1,2\n" * 20)
    beyond = portal.ask("POST", links["chunk"].format(seq_num=2, byte_offset=90), data=b"1,2\n" * 5)
    assert (beyond.status_code, beyond.json()["params"]) == (413, {"limit": LIMIT})
    late = portal.ask("POST", links["commit"].format(seq_num=1, byte_offset=100))
    assert (late.status_code, late.json()["key"]) == (413, "upload_too_large")
