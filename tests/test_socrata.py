"""The Socrata client, against a small server that answers as portals do on bad days."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from error_texts import assert_text, whole_story

from ctnb.clients.socrata import ATTEMPTS, Credentials, Socrata
from ctnb.errors import PortalFailed

SECRET = "s3cr3t-of-the-portal"
CANARY = "Xanthippe Quill"
JSON = "application/json"


@dataclass(frozen=True)
class Said:
    """One answer of the server."""

    status: int
    body: str = ""
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """What the server was asked."""

    lines: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


def handler(answers: list[Said], asked: Asked) -> type[BaseHTTPRequestHandler]:
    """A handler that gives `answers` in turn, the last one again and again."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.lines.append(f"{self.command} {self.path}")
            asked.headers.append(dict(self.headers))
            asked.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            said = answers[min(len(asked.lines), len(answers)) - 1]
            self.send_response(said.status)
            content = said.body.encode()
            for name, value in {
                "Content-Type": said.kind,
                "Content-Length": str(len(content)),
                **said.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _answer

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    return Handler


@contextmanager
def portal(*answers: Said) -> Iterator[tuple[Socrata, Asked]]:
    """A client and a server that gives it `answers`."""
    asked = Asked()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(list(answers), asked))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield Socrata(url, Credentials("the-key-id", SECRET), timeout_s=10, pause_s=0.001), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


VIEW = json.dumps({"id": "abcd-1234", "name": "A", "columns": []})


@pytest.mark.parametrize("status", [202, 429, 500, 502, 503, 504])
def test_a_reading_is_tried_again(status: int) -> None:
    """A portal that is busy or stumbles is asked again, and its answer counts."""
    with portal(Said(status), Said(status), Said(200, VIEW)) as (client, asked):
        view = client.view("abcd-1234")
    assert view is not None
    assert view.id == "abcd-1234"
    assert len(asked.lines) == 3


def test_a_portal_that_stays_down_is_given_up() -> None:
    """After four attempts the error says what came."""
    with portal(Said(503, CANARY)) as (client, asked), pytest.raises(PortalFailed) as caught:
        client.view("abcd-1234")
    assert len(asked.lines) == ATTEMPTS
    assert_text("portal-down", caught.value)


def test_a_portal_that_is_not_there_is_given_up() -> None:
    """A refused connection is told by its kind."""
    with portal(Said(200)) as (client, _):
        pass
    with pytest.raises(PortalFailed, match="did not answer: ConnectionError, 4 times"):
        client.view("abcd-1234")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_write_is_sent_once(status: int) -> None:
    """Whether a write took effect is found by reading back, not by sending it again."""
    with portal(Said(status, "{}"), Said(200, "{}")) as (client, asked), pytest.raises(PortalFailed):
        client.replace("abcd-1234", b"[]")
    assert asked.lines == ["PUT /resource/abcd-1234.json"]


def test_a_page_of_html_with_200_is_no_answer() -> None:
    """A log-in page or a proxy's notice is not taken for an empty dataset."""
    html = Said(200, f"<html>{CANARY}</html>", "text/html")
    with portal(html) as (client, _):
        for call in (lambda: client.count("abcd-1234"), lambda: client.replace("abcd-1234", b"[]")):
            with pytest.raises(PortalFailed, match="answered with text/html, not JSON") as caught:
                call()
            assert CANARY not in whole_story(caught.value)


def test_json_that_is_torn_is_told_without_its_text() -> None:
    """An answer that broke off in the middle may hold rows."""
    with portal(Said(200, f'[{{"a": "{CANARY}"')) as (client, _):
        for call in (lambda: client.count("abcd-1234"), lambda: client.upsert("abcd-1234", b"[]")):
            with pytest.raises(PortalFailed, match="says it is JSON and is not") as caught:
                call()
            assert CANARY not in whole_story(caught.value)


def test_errors_in_an_answer_of_200_are_a_failure() -> None:
    """Socrata counts the rows that it refused in an answer that says all is well."""
    said = Said(200, json.dumps({"Rows Created": 9, "Rows Updated": 0, "Rows Deleted": 0, "Errors": 1}))
    with portal(said) as (client, _), pytest.raises(PortalFailed) as caught:
        client.upsert("abcd-1234", b"[]")
    assert_text("portal-errors-in-200", caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"code": "query.soql.no-such-column", "error": True, "message": CANARY, "data": {"row": CANARY}},
        {"errorCode": "query.soql.no-such-column", "message": CANARY},
    ],
)
def test_both_envelopes_of_errors_give_their_code_alone(body: dict[str, object]) -> None:
    """The code is for machines; the message may quote a row."""
    with portal(Said(400, json.dumps(body))) as (client, _), pytest.raises(PortalFailed) as caught:
        client.upsert("abcd-1234", b"[]")
    assert "status 400, query.soql.no-such-column" in str(caught.value)
    assert CANARY not in whole_story(caught.value)


@pytest.mark.parametrize("body", [CANARY, "[]", json.dumps({"code": CANARY}), json.dumps({"code": {"a": 1}})])
def test_an_error_of_another_form_gives_its_status(body: str) -> None:
    """What is not a code is not told."""
    with portal(Said(409, body)) as (client, _), pytest.raises(PortalFailed) as caught:
        client.upsert("abcd-1234", b"[]")
    assert "refused: status 409." in str(caught.value)
    assert CANARY not in whole_story(caught.value)


def test_a_dataset_that_is_not_there_is_none() -> None:
    """404 answers the question whether it is there; elsewhere it is an error."""
    with portal(Said(404, "{}")) as (client, _):
        assert client.view("abcd-1234") is None
        with pytest.raises(PortalFailed, match="status 404"):
            client.count("abcd-1234")


def test_a_write_that_is_sent_elsewhere_is_not_taken_for_done() -> None:
    """A redirected write would become a reading, which changes nothing and says 200."""
    elsewhere = Said(301, "", JSON, {"Location": "/resource/other.json"})
    with (
        portal(elsewhere, Said(200, "{}")) as (client, asked),
        pytest.raises(PortalFailed, match="status 301"),
    ):
        client.replace("abcd-1234", b"[]")
    assert len(asked.lines) == 1


def test_credentials_are_sent_as_a_header_and_stand_nowhere_else() -> None:
    """HTTP Basic, never an address, and no error or representation shows them."""
    with portal(Said(401, "{}")) as (client, asked), pytest.raises(PortalFailed) as caught:
        client.count("abcd-1234")
    given = base64.b64encode(f"the-key-id:{SECRET}".encode()).decode()
    assert asked.headers[0]["Authorization"] == f"Basic {given}"
    assert SECRET not in asked.lines[0]
    for text in (whole_story(caught.value), repr(client), repr(Credentials("the-key-id", SECRET))):
        assert SECRET not in text
        assert given not in text
    assert_text("portal-unauthorised", caught.value)


def test_rows_are_read_in_pages_ordered_by_id_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an order pages overlap; without an end the rest is missing."""
    monkeypatch.setattr("ctnb.clients.socrata.PAGE_ROWS", 2)
    full, rest = '[{"a":"1"},{"a":"2"}]', '[{"a":"3"}]'
    with portal(Said(200, full), Said(200, full), Said(200, rest)) as (client, asked):
        pages = list(client.rows("abcd-1234", ["a"]))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert all("%24order=%3Aid" in line for line in asked.lines)
    assert [line.split("offset=")[1] for line in asked.lines] == ["0", "2", "4"]
