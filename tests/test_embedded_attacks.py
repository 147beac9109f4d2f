"""The embedded portal against callers who mean harm, or make mistakes: an answer is right, or says that it is not."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import draft_calls
import pytest
import requests
from ods_fixture import EXPLORE, dataset, realtime
from portal_fixture import PROJECT, Running, running_portal

TORN = """
import sys
from pathlib import Path
from ctnb.embedded import server
from ctnb.embedded.answers import Answer, route

def torn(call, connection, names):
    def pieces():
        yield b"first\\n"
        raise RuntimeError("planted-cell")
    return Answer(200, pieces(), "text/csv")

server.ROUTES = (route("GET", "/torn", torn),)
server.serve(Path(sys.argv[1]), listening=lambda url: print(url, flush=True))
"""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


def test_an_answer_that_breaks_off_does_not_end_as_if_it_were_whole(tmp_path: Path) -> None:
    """Whatever goes wrong between two rows, the connection ends without the mark of an end; the log has no cell."""
    log = tmp_path / "log"
    with log.open("wb") as errors:
        command = [sys.executable, "-c", TORN, str(tmp_path / "portal.sqlite")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=PROJECT)
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                requests.get(f"{url}/torn", timeout=60)
        finally:
            process.terminate()
            process.wait(15)
            process.stdout.close()
    assert "planted-cell" not in log.read_text()


def test_errors_of_a_source_whose_files_are_gone_are_not_none(portal: Running) -> None:
    """After a revision is discarded, its rows and their errors are 409, as CSV too: never an empty list of errors."""
    uid = draft_calls.published(portal, "id,n\n1,2\n")
    revision = draft_calls.open_revision(portal, uid, action={"type": "update"})
    source = draft_calls.upload(portal, revision, "id,n\n1,x\n2,3\n")
    output = draft_calls.output_of(source)
    column = output["output_columns"][0]["transform"]["id"]
    draft_calls.ask(portal, "DELETE", revision["links"]["discard"])
    below = f"{draft_calls.BASE}/source/{source['id']}/schema/{source['schemas'][-1]['id']}"
    paths = [
        f"/errors/{output['id']}",
        f"/rows/{output['id']}",
        f"/transform/{column}/validate_row_identifier",
    ]
    answers = [portal.ask("GET", below + path, headers={"Accept": "text/csv"}) for path in paths]
    assert [answer.status_code for answer in answers] == [409] * len(paths)


def test_a_dataset_without_fields_has_no_records(portal: Running) -> None:
    """Published before it has a resource, it answers every question with nothing, and no question with 500."""
    made = dataset(portal)
    assert made.publish()["status"] == "idle"
    below = f"{EXPLORE}/{made.dataset_id}"
    assert portal.ask("GET", f"{below}/records").json() == {"total_count": 0, "results": []}
    assert portal.ask("GET", f"{below}/exports/json").json() == []


def test_a_selection_of_no_field_is_refused(portal: Running) -> None:
    """exclude(*), or a pattern that no field fits: 400, as for other clauses that ask for nothing there is."""
    made = realtime(portal, {"k": "x"})
    below = f"{EXPLORE}/{made.dataset_id}"
    for select in ("exclude(*)", "include(other*)", "exclude(k)"):
        answer = portal.ask("GET", f"{below}/records", params={"select": select})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "ODSQLError")


def raw(portal: Running, *lines: str) -> bytes:
    """What the portal says to lines that no library would send."""
    place = urlsplit(portal.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        said = b""
        while more := connection.recv(65536):
            said += more
    return said


MALFORMED = (
    ("GET /data.json HTTP/1.1", "Host: {host}", "Authorization: Basic planted\x01secret"),
    ("GET /data.json HTTP/1.1", "Host: {host}", "X-App-Token planted: x"),
    ("GET /data.json HTTP/1.1", "Host: {host}", "Host: planted.example"),
    ("GET /data.json HTTP/1.1", "Host: planted:secret@{host}/"),
    ("POST /data.json HTTP/1.1", "Host: {host}", "Content-Length: planted"),
    ("POST /data.json HTTP/1.1", "Host: {host}", "Content-Length: 4", "Transfer-Encoding: chunked"),
    ("GET /data.json?$$app_token=planted HTTP/planted", "Host: {host}"),
    ("GET /" + "planted" * 12_000 + " HTTP/1.1", "Host: {host}"),
)


@pytest.mark.parametrize("lines", MALFORMED)
def test_a_malformed_request_is_refused_and_not_quoted_in_the_log(
    portal: Running, lines: tuple[str, ...]
) -> None:
    """A header that is not one may hold a password: it is 400, or the end of the connection, and no line of a log."""
    said = raw(portal, *(line.format(host=portal.url.partition("//")[2]) for line in lines))
    assert said[:12] in (b"", b"HTTP/1.1 400")
    assert b"planted" not in said
    assert "planted" not in portal.log.read_text()
    assert portal.ask("GET", "/data.json").status_code == 200
