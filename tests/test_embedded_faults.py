"""A portal that fails on demand: every kind of fault, seen on the wire."""

from __future__ import annotations

import json
import signal
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from draft_calls import applied, ask, open_revision, upload, waited
from faults import Fault, faulty
from portal_fixture import Running, running_portal, started

from ctnb.embedded.accounts import add_account

ROWS = "/resource/*"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module, with faults on demand."""
    with running_portal(tmp_path_factory.mktemp("portal"), "--faults") as running:
        yield running


@pytest.fixture()
def uid(portal: Running) -> str:
    """A keyed dataset of one row."""
    uid = portal.create(("k", "text"), ("n", "number"), key="k")
    portal.ask("POST", f"/resource/{uid}.json", json=[{"k": "a", "n": 1}])
    return uid


def upsert(portal: Running, uid: str, *keys: str) -> requests.Response:
    """One request that writes a row for each key."""
    return portal.ask("POST", f"/resource/{uid}.json", json=[{"k": key, "n": 2} for key in keys])


def keys(portal: Running, uid: str) -> list[str]:
    """The keys of the rows, in order."""
    return [row["k"] for row in portal.rows(uid)]


def test_only_with_the_option_and_for_publishers(tmp_path: Path, portal: Running) -> None:
    """Without --faults the address is not there; with it, a viewer and nobody are refused."""
    with running_portal(tmp_path) as plain:
        assert plain.ask("POST", "/_faults", json={"kind": "status"}).status_code == 404
        assert plain.ask("GET", "/_faults").json()["code"] == "not_found"
    viewer = add_account(portal.file, "Vic Viewer", "viewer")
    rule = {"kind": "status"}
    assert requests.post(portal.url + "/_faults", json=rule, auth=viewer, timeout=60).status_code == 403
    assert portal.ask("POST", "/_faults", json=rule, signed=False).status_code == 403
    assert portal.ask("GET", "/_faults").json()["rules"] == []


@pytest.mark.parametrize(
    "rule",
    [
        "status",
        {"kind": "earthquake"},
        {"kind": "status", "colour": 1},
        {"kind": "status", "status": "503"},
        {"kind": "status", "status": 99},
        {"kind": "status", "times": -1},
        {"kind": "slow", "seconds": 1e9},
        {"kind": "status", "after_commit": 1},
        [{"kind": "status"}, {"kind": "nothing"}],
    ],
)
def test_a_rule_that_cannot_be_is_refused_and_none_is_set(portal: Running, rule: object) -> None:
    """400, and no rule of the list is in force."""
    answer = portal.ask("POST", "/_faults", json=rule)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_fault")
    assert portal.ask("GET", "/_faults").json()["rules"] == []


def test_times_skip_methods_and_path_choose_the_requests(portal: Running, uid: str) -> None:
    """The first matching write passes, the next two fail; reads and other addresses are as ever."""
    fault = Fault("status", ROWS, ("POST",), times=2, skip=1, status=503)
    with faulty(portal, fault) as seen:
        assert portal.ask("GET", f"/api/views/{uid}.json").status_code == 200
        assert portal.ask("GET", f"/resource/{uid}.json").status_code == 200
        assert [upsert(portal, uid, key).status_code for key in "bcde"] == [200, 503, 503, 200]
        assert seen.hits() == [2]
    assert keys(portal, uid) == ["a", "b", "e"]


def test_a_rule_is_in_force_until_it_is_taken_back(portal: Running, uid: str) -> None:
    """times=None; two rules in their order, and the second is taken back by its number."""
    with faulty(portal, Fault("status", ROWS, status=500), Fault("status", ROWS, times=None, status=503)):
        found = [portal.ask("GET", f"/resource/{uid}.json").status_code for _ in range(4)]
        assert found == [500, 503, 503, 503]
    assert portal.ask("GET", f"/resource/{uid}.json").status_code == 200
    assert portal.ask("DELETE", "/_faults").json() == {"removed": 0}


def test_too_many_requests_with_and_without_retry_after(portal: Running, uid: str) -> None:
    """429 in the vendor's words; Retry-After only where the rule has one, as seconds or a date."""
    date = "Sun, 22 Nov 2026 08:49:37 GMT"
    faults = [Fault("status", ROWS, status=429, retry_after=after) for after in ("", "7", date)]
    with faulty(portal, *faults):
        answers = [upsert(portal, uid, "b") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429] * 3
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, "7", date]
    body = {"message": "Too many requests", "errorCode": "too-many-requests", "data": {}}
    assert answers[0].json() == body
    assert keys(portal, uid) == ["a"]


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        (
            "/resource/abcd-1234.json",
            500,
            {"message": "Internal error", "errorCode": "internal-error", "data": {}},
        ),
        ("/api/publishing/v1/config", 503, {"key": "service_unavailable", "params": {}}),
        ("/api/push/1.0/x/y/push/", 503, {"error_code": "service_unavailable"}),
        (
            "/api/automation/v1.0/datasets/",
            500,
            {"error_code": "internal_error", "message": "Internal error"},
        ),
    ],
)
def test_errors_in_the_envelope_of_their_dialect(
    portal: Running, path: str, status: int, told: dict[str, object]
) -> None:
    """SODA's errorCode, DSMAPI's key and Opendatasoft's error_code."""
    with faulty(portal, Fault("status", path, status=status)):
        answer = portal.ask("GET", path)
    assert answer.status_code == status
    assert answer.json().items() >= told.items()


def test_a_gateway_answers_in_html(portal: Running, uid: str) -> None:
    """502 and 504 are pages, as a proxy before the portal makes them."""
    with faulty(portal, Fault("status", ROWS, status=502), Fault("status", ROWS, status=504)):
        answers = [portal.ask("GET", f"/resource/{uid}.json") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [502, 504]
    assert [answer.headers["Content-Type"] for answer in answers] == ["text/html"] * 2
    assert "Bad Gateway" in answers[0].text


def test_a_body_of_the_callers_own(portal: Running, uid: str) -> None:
    """`body` and `content_type` say what is answered."""
    with faulty(portal, Fault("status", ROWS, status=400, body="<x/>", content_type="text/xml")):
        answer = portal.ask("GET", f"/resource/{uid}.json")
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (400, "<x/>", "text/xml")


def test_an_error_after_the_commit(portal: Running, uid: str) -> None:
    """504 for a write that was done."""
    with faulty(portal, Fault("status", ROWS, ("POST",), status=504, after_commit=True)):
        assert upsert(portal, uid, "b").status_code == 504
    assert keys(portal, uid) == ["a", "b"]


def test_a_page_with_200(portal: Running, uid: str) -> None:
    """A sign-in page where JSON was asked for; nothing was written."""
    with faulty(portal, Fault("html", ROWS)):
        answer = upsert(portal, uid, "b")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<html>")
    assert keys(portal, uid) == ["a"]


def test_the_quota_of_opendatasoft(portal: Running) -> None:
    """429 with errorcode 10002, the limit and when it ends; in the headers too."""
    with faulty(portal, Fault("quota", "/api/push/*")):
        answer = portal.ask("POST", "/api/push/1.0/a/b/push/", json=[])
    told = answer.json()
    assert (answer.status_code, told["errorcode"], told["call_limit"]) == (429, 10002, 10000)
    assert answer.headers["X-RateLimit-Reset"] == told["reset_time"]


def test_202_for_some_polls_with_a_ticket(portal: Running, uid: str) -> None:
    """Twice a ticket, then the rows for whoever asks with it."""
    with faulty(portal, Fault("accepted", ROWS, times=2)):
        first = portal.ask("GET", f"/resource/{uid}.json", params={"$limit": "1"})
        told = first.json()
        assert (first.status_code, told["code"], told["error"]) == (202, "accepted", False)
        again = {"$limit": "1", "ticket": told["ticket"]}
        assert portal.ask("GET", f"/resource/{uid}.json", params=again).status_code == 202
        assert portal.ask("GET", f"/resource/{uid}.json", params=again).json() == [{"k": "a", "n": "1"}]


def test_202_for_some_polls_with_an_address(portal: Running, uid: str) -> None:
    """Location and Retry-After; the address answers the rows."""
    with faulty(portal, Fault("accepted", ROWS, location=True, retry_after="3")):
        told = portal.ask("GET", f"/resource/{uid}.json")
        assert (told.status_code, told.headers["Retry-After"]) == (202, "3")
        path = told.headers["Location"].removeprefix(portal.url)
        assert portal.ask("GET", path).json() == [{"k": "a", "n": "1"}]


def test_slow_before_the_first_byte(portal: Running, uid: str) -> None:
    """A client that waits less gives up before the write, or after it; one that waits has its answer."""
    for after, expected in ((False, ["a"]), (True, ["a", "b"])):
        fault = Fault("slow", ROWS, ("POST",), seconds=600.0, after_commit=after)
        with faulty(portal, fault), pytest.raises(requests.ReadTimeout):
            requests.post(
                f"{portal.url}/resource/{uid}.json", json=[{"k": "b"}], auth=portal.auth, timeout=(5, 0.4)
            )
        assert keys(portal, uid) == expected
    with faulty(portal, Fault("slow", ROWS, seconds=0.05)):
        assert portal.ask("GET", f"/resource/{uid}.json").status_code == 200


def test_slow_byte_by_byte(portal: Running, uid: str) -> None:
    """The body comes in single bytes, all of them."""
    with faulty(portal, Fault("slow", ROWS, byte_seconds=0.002)), connected(portal) as sock:
        sock.sendall(head(portal, "GET", f"/resource/{uid}.json", close=True))
        pieces = list(iter(lambda: sock.recv(65536), b""))
    whole = b"".join(pieces)
    assert json.loads(whole.partition(b"\r\n\r\n")[2]) == [{"k": "a", "n": "1"}]
    assert len(pieces) > 5


@pytest.mark.parametrize("size", [0, 1000])
def test_reset_in_the_middle_of_a_request(portal: Running, uid: str, size: int) -> None:
    """RST once so many bytes of the body came; nothing was written."""
    body = json.dumps([{"k": f"{at:04}", "n": 1} for at in range(1000)]).encode()
    with (
        faulty(portal, Fault("reset_request", ROWS, ("POST",), bytes=size)) as seen,
        connected(portal) as sock,
    ):
        sock.sendall(head(portal, "POST", f"/resource/{uid}.json", len(body)) + body[: size or 1])
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert seen.hits() == [1]
    assert keys(portal, uid) == ["a"]


def test_reset_of_a_request_shorter_than_the_bytes_that_were_to_come(portal: Running, uid: str) -> None:
    """RST at the end of the body; nothing was written."""
    fault = Fault("reset_request", ROWS, ("POST",), bytes=10**6)
    with faulty(portal, fault), pytest.raises(requests.ConnectionError):
        upsert(portal, uid, "b")
    assert keys(portal, uid) == ["a"]


def test_reset_in_the_middle_of_an_answer(portal: Running, uid: str) -> None:
    """Headers and ten bytes come, and then RST; a Content-Length says that there was more."""
    got = b""
    with faulty(portal, Fault("reset_answer", ROWS, bytes=10)), connected(portal) as sock:
        sock.sendall(head(portal, "GET", f"/resource/{uid}.json"))
        with pytest.raises(ConnectionResetError):
            while piece := sock.recv(65536):
                got += piece
    headers, _, body = got.partition(b"\r\n\r\n")
    assert (headers.split()[1], body) == (b"200", b'[{"k":"a",')
    assert b"Content-Length: 21" in headers


def test_reset_after_the_commit_and_before_the_answer(portal: Running, uid: str) -> None:
    """Not a byte of the answer, and the row is there."""
    with faulty(portal, Fault("lost", ROWS, ("POST",))), connected(portal) as sock:
        body = b'[{"k":"b","n":2}]'
        sock.sendall(head(portal, "POST", f"/resource/{uid}.json", len(body)) + body)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert keys(portal, uid) == ["a", "b"]


def test_a_reset_over_tls(tmp_path: Path) -> None:
    """The same under https."""
    with running_portal(tmp_path, "--faults", "--tls") as portal, pytest.MonkeyPatch.context() as patched:
        patched.setenv("REQUESTS_CA_BUNDLE", str(portal.file.with_suffix(".certificate.pem")))
        uid = portal.create(("k", "text"), key="k")
        with faulty(portal, Fault("lost", ROWS, ("POST",))), pytest.raises(requests.ConnectionError):
            portal.ask("POST", f"/resource/{uid}.json", json=[{"k": "b"}])
        assert keys(portal, uid) == ["b"]


def test_a_stale_copy(portal: Running, uid: str) -> None:
    """Old rows that say they are out of date, under the time of the truth; metadata is of now."""
    with faulty(portal, Fault("stale", times=None)):
        assert portal.ask("GET", f"/resource/{uid}.json").headers["X-SODA2-Data-Out-Of-Date"] == "true"
        assert upsert(portal, uid, "b").json()["Rows Created"] == 1
        answer = portal.ask("GET", f"/resource/{uid}.json")
        assert [row["k"] for row in answer.json()] == ["a"]
        truth = int(answer.headers["X-SODA2-Truth-Version"])
        assert portal.ask("GET", f"/resource/{uid}.csv").text.count("\n") == 2
        meta = portal.ask("GET", f"/api/views/{uid}.json").json()
    caught_up = portal.ask("GET", f"/resource/{uid}.json")
    assert [row["k"] for row in caught_up.json()] == ["a", "b"]
    assert caught_up.headers["X-SODA2-Data-Out-Of-Date"] == "false"
    assert int(caught_up.headers["X-SODA2-Truth-Version"]) == truth
    assert meta["rowsUpdatedAt"] > 0


@pytest.mark.parametrize("kind", ["json", "csv", "one"])
def test_row_errors_in_a_200(portal: Running, uid: str, kind: str) -> None:
    """The last rows are not written and are counted, for JSON and for CSV; one object is a row too."""
    address = f"/resource/{uid}.json"
    with faulty(portal, Fault("row_errors", ROWS, ("POST",), rows=2)):
        if kind == "json":
            answer = upsert(portal, uid, *"bcde")
        elif kind == "csv":
            text = b'k,n\nb,1\nc,2\n"d\n",3\n\ne,4\n'
            answer = portal.ask("POST", address, data=text, headers={"Content-Type": "text/csv"})
        else:
            answer = portal.ask("POST", address, json=[{"k": "b"}])
    told = answer.json()
    written = ["b", "c"] if kind != "one" else []
    assert (answer.status_code, told["Errors"]) == (200, 2 if written else 1)
    assert keys(portal, uid) == ["a", *written]


def test_approval_required(portal: Running, uid: str) -> None:
    """The revision is submitted, as on a domain that asks for approval, and applied by someone else."""
    drafts = open_revision(portal, uid)
    with faulty(portal, Fault("approval", "*/apply", ("PUT",))):
        told = ask(portal, "PUT", drafts["links"]["apply"], json={})
    assert told["key"] == "approval_submitted"
    assert "resource" not in told
    assert ask(portal, "GET", drafts["links"]["show"])["resource"]["closed_at"] is None
    assert ask(portal, "PUT", drafts["links"]["apply"], json={})["key"] == "approval_submitted"
    other = add_account(portal.file, f"Paul {uid}", "publisher")
    approved = requests.put(portal.url + drafts["links"]["apply"], json={}, auth=other, timeout=60).json()
    job = waited(portal, approved["links"]["show"], lambda one: one["finished_at"])
    assert job["status"] == "successful"


def test_a_job_that_fails_on_demand(portal: Running, uid: str) -> None:
    """The job ends in failure, the revision stays open; applied again it succeeds."""
    revision = open_revision(portal, uid)
    with faulty(portal, Fault("failure", "*/apply", ("PUT",))):
        job = applied(portal, revision)
    assert (job["status"], job["log"][0]["details"]["message"]) == ("failure", "The job fails on demand")
    assert applied(portal, revision)["status"] == "successful"


def test_an_upload_that_fails_on_demand(portal: Running, uid: str) -> None:
    """failed_at and failure_details, as for a file that cannot be read."""
    revision = open_revision(portal, uid)
    with faulty(portal, Fault("failure", "*/commit", ("POST",))):
        source = upload(portal, revision, "k,n\nb,1\n")
    assert source["failed_at"] and not source["finished_at"]
    assert source["failure_details"]["message"] == "The file fails on demand"


def test_a_job_that_takes_some_polls(portal: Running, uid: str) -> None:
    """Three times it is shown as under way, and then as it is."""
    revision = open_revision(portal, uid)
    job = ask(portal, "PUT", revision["links"]["apply"], json={})["links"]["show"]
    waited(portal, job, lambda one: one["finished_at"])
    with faulty(portal, Fault("unfinished", "*/apply/*", ("GET",), times=3)):
        shown = [ask(portal, "GET", job)["resource"] for _ in range(4)]
    assert [one["status"] for one in shown] == ["upserting"] * 3 + ["successful"]
    assert [one["finished_at"] is None for one in shown] == [True, True, True, False]


@pytest.mark.parametrize(("after", "rows"), [(False, []), (True, ["b"])])
def test_killed_before_and_after_the_commit(tmp_path: Path, after: bool, rows: list[str]) -> None:
    """SIGKILL at that moment: the row is there exactly when it was committed."""
    with running_portal(tmp_path, "--faults") as portal:
        uid = portal.create(("k", "text"), key="k")
        fault = Fault("die", ROWS, ("POST",), after_commit=after)
        with faulty(portal, fault), pytest.raises(requests.ConnectionError):
            portal.ask("POST", f"/resource/{uid}.json", json=[{"k": "b"}])
        assert portal.process.wait(15) == -signal.SIGKILL
    with started(portal.file, *portal.auth) as again:
        assert keys(again, uid) == rows


def test_the_requests_that_arrived(portal: Running, uid: str) -> None:
    """Method, path without its query, bytes and the fault of each; forgotten when everything is cleared."""
    portal.ask("DELETE", "/_faults")
    with faulty(portal, Fault("status", ROWS, ("POST",), status=503)) as seen:
        portal.ask("GET", f"/resource/{uid}.json", params={"$limit": "1"})
        sent = upsert(portal, uid, "b").request.body
        found = seen.requests()
    assert [(one["method"], one["fault"]) for one in found] == [("GET", ""), ("POST", "status")]
    assert {one["path"] for one in found} == {f"/resource/{uid}.json"}
    assert found[1]["bytes"] in (0, len(sent or b""))
    assert portal.ask("DELETE", "/_faults").status_code == 200
    assert portal.ask("GET", "/_faults").json() == {"rules": [], "requests": []}


def test_faults_among_many_clients_are_counted_once_each(portal: Running, uid: str) -> None:
    """Of twelve writes at once exactly five fail."""
    statuses: list[int] = []
    with faulty(portal, Fault("status", ROWS, ("POST",), times=5, status=503)) as seen:
        writers = [
            threading.Thread(target=lambda at=at: statuses.append(upsert(portal, uid, f"w{at}").status_code))
            for at in range(12)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert seen.hits() == [5]
    assert sorted(statuses) == [200] * 7 + [503] * 5
    assert len(keys(portal, uid)) == 8


def connected(portal: Running) -> socket.socket:
    """A plain connection to the portal, closed at the end of a block."""
    place = urllib.parse.urlsplit(portal.url)
    return socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=60)


def head(portal: Running, method: str, path: str, size: int = 0, *, close: bool = False) -> bytes:
    """The head of a request as the publisher, that announces `size` bytes of JSON."""
    prepared = requests.Request(method, portal.url + path, auth=portal.auth).prepare()
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {urllib.parse.urlsplit(portal.url).netloc}",
        f"Authorization: {prepared.headers['Authorization']}",
        f"Content-Length: {size}",
        "Content-Type: application/json",
        *(["Connection: close"] if close else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
