"""Files behind HTTP addresses: fetched whole or not at all, once, and with secrets that go to one server only."""

from __future__ import annotations

import gzip
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import flow_projects as fp
import pytest
from error_texts import whole_story
from pydantic import ValidationError
from ruamel.yaml import YAML
from web_server import Answer, Asked, WebServer, serving

from ctnb import records, secrets, verification
from ctnb.contracts.places import Web
from ctnb.contracts.sources import Source
from ctnb.errors import CtnbError, NothingNew, SourceFailed, SourceInvalid, UsageError
from ctnb.places import web_files
from ctnb.places.fetched import Fetched, Progress, Request

ROWS = b"Town,Deaths\nAndover,12\nBolton,9\n"
LONG = b"Town,Deaths\n" + random.Random(8).randbytes(3_000_000).hex().encode() + b"\n"
TOKEN = fp.TOKEN
QUERY = "?sig=canary-in-a-query"


@pytest.fixture
def server() -> Iterator[WebServer]:
    """A web server."""
    with serving() as made:
        yield made


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A request of a project that fetched nothing before; secrets come from the environment."""
    for name in [one for one in os.environ if one.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    return Request(
        tmp_path / "work", tmp_path, tmp_path, roots=(), again=True, key=b"k" * 32, secret=secrets.value
    )


def fetch(request: Request, url: str, **keys: Any) -> Fetched:
    """The file at `url`, tried again at once."""
    return web_files.fetch(Web(url=url, **{"timeout_s": 10, **keys}), request, pause_s=0)


def content(fetched: Fetched) -> bytes:
    """What came."""
    return fetched.snapshots[0].path.read_bytes()


def sends(content: bytes = ROWS, **headers: Any) -> Answer:
    """An answer with this content."""
    return lambda asked: asked.send(content, **headers)


def refused(request: Request, url: str, kind: type[CtnbError], **keys: Any) -> CtnbError:
    """The error that fetching ends with; no snapshot is left, and it quotes neither query nor secret."""
    with pytest.raises(kind) as caught:
        fetch(request, url, **keys)
    assert [] == list(request.work.iterdir())
    told = whole_story(caught.value)
    assert [] == [one for one in ("canary", TOKEN, "sig=") if one in told]
    return caught.value


# -- the file


def test_a_file_comes_whole_with_its_name_and_time(server: WebServer, request_: Request) -> None:
    """The last part of the path names it; the query is nobody's business."""
    changed = "Sat, 21 Nov 2026 11:00:00 GMT"
    server.answers["/data/deaths.csv"] = sends(Last_Modified=changed)
    found = fetch(request_, f"{server.url}/data/deaths.csv{QUERY}#part")
    assert (ROWS, "deaths.csv") == (content(found), found.snapshots[0].name)
    assert ("2026-11-21T11:00:00.000000Z", ()) == (found.modified, found.notes)
    assert [f"/data/deaths.csv{QUERY}"] == [asked.path for asked in server.asked]


NAMES: Mapping[str, tuple[str, dict[str, str], str]] = {
    "attachment": ("/get", {"Content_Disposition": 'attachment; filename="deaths 2026.xlsx"'}, "deaths 2026.xlsx"),
    "encoded": ("/get", {"Content_Disposition": "attachment; filename*=UTF-8''d%C3%A9c%C3%A8s.csv"}, "d_c_s.csv"),
    "a way out": ("/get", {"Content_Disposition": 'attachment; filename="../../.ssh/keys.csv"'}, "keys.csv"),
    "a Windows path": ("/get", {"Content_Disposition": r'attachment; filename="C:\\out\\a.csv"'}, "a.csv"),
    "the media type": ("/export.aspx", {"Content_Type": "text/csv; charset=utf-8"}, "export.csv"),
    "no name at all": ("/", {"Content_Type": "application/json"}, "download.json"),
    "nothing known": ("/rows", {"Content_Type": "application/octet-stream"}, "rows"),
    "packed": ("/a%20b.csv.gz", {}, "a b.csv.gz"),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES)
def test_the_name_tells_what_kind_of_file_it_is(server: WebServer, request_: Request, case: str) -> None:
    """From Content-Disposition, the path or the media type; never with a folder or a character that does harm."""
    path, headers, name = NAMES[case]
    server.answers[path] = sends(**headers)
    assert name == fetch(request_, server.url + path).snapshots[0].name


def test_progress_is_told_in_bytes(server: WebServer, request_: Request) -> None:
    """Of how many where the server says so, and of an unknown number where it does not."""
    server.answers["/a.csv"], server.answers["/b.csv"] = sends(LONG), sends(LONG, length=-1)
    seen: list[Progress] = []
    request = replace(request_, progress=seen.append)
    fetch(request, server.url + "/a.csv")
    assert ("a.csv", len(LONG), len(LONG), "bytes") == (
        seen[-1].what,
        seen[-1].done,
        seen[-1].total,
        seen[-1].unit,
    )
    assert sorted(one.done for one in seen) == [one.done for one in seen]
    seen.clear()
    found = fetch(request, server.url + "/b.csv")
    assert {None} == {one.total for one in seen}
    assert (
        "The server does not say how long the file is: had it broken off, nobody could tell.",
    ) == found.notes


def test_chunks_are_put_together(server: WebServer, request_: Request) -> None:
    """Their last one is empty, so a torn file is noticed though nobody says how long it is."""
    pieces = [b"%x\r\n%s\r\n" % (len(part), part) for part in (ROWS, ROWS)]
    server.answers["/whole.csv"] = sends(
        b"".join(pieces) + b"0\r\n\r\n", length=-1, Transfer_Encoding="chunked"
    )
    server.answers["/torn.csv"] = sends(b"".join(pieces), length=-1, Transfer_Encoding="chunked")
    found = fetch(request_, server.url + "/whole.csv")
    assert (ROWS + ROWS, ()) == (content(found), found.notes)
    found.snapshots[0].path.unlink()
    assert (
        "broke off after 64 bytes, 5 times" in refused(request_, server.url + "/torn.csv", SourceFailed).what
    )


# -- packed for the way


def test_a_file_packed_for_its_way_is_unpacked(server: WebServer, request_: Request) -> None:
    """Also of several members, as some servers write it; a .gz file is kept as it is."""
    packed = gzip.compress(ROWS) + gzip.compress(ROWS)
    server.answers["/a.csv"] = sends(packed, Content_Encoding="gzip")
    server.answers["/a.csv.gz"] = sends(packed, Content_Encoding="gzip")
    assert ROWS + ROWS == content(fetch(request_, server.url + "/a.csv"))
    assert packed == content(fetch(request_, server.url + "/a.csv.gz"))
    assert ["gzip", "identity"] == server.headers("Accept-Encoding")


def test_a_packed_file_is_gone_on_with_by_its_packed_bytes(server: WebServer, request_: Request) -> None:
    """Ranges count what travels, not what is written."""
    packed = gzip.compress(LONG)
    server.answers["/a.csv"] = in_parts(packed, {0: 1_700_000}, Content_Encoding="gzip")
    assert LONG == content(fetch(request_, server.url + "/a.csv"))
    assert [None, "bytes=1700000-"] == server.headers("Range")


def test_a_packed_file_that_is_cut_is_broken(server: WebServer, request_: Request) -> None:
    """Though its bytes are as many as the server said."""
    server.answers["/a.csv"] = sends(gzip.compress(ROWS)[:-4], Content_Encoding="gzip", ETag='"1"')
    refused(request_, server.url + "/a.csv", SourceFailed)
    server.answers["/a.csv"] = sends(b"no gzip at all", Content_Encoding="gzip")
    refused(request_, server.url + "/a.csv", SourceFailed)
    server.answers["/a.csv"] = sends(ROWS, Content_Encoding="br")
    refused(request_, server.url + "/a.csv", SourceFailed)


def test_a_bomb_is_too_large(server: WebServer, request_: Request) -> None:
    """What counts is what it unpacks to: 3 MB of nothing are 3 kB on the way."""
    server.answers["/a.csv"] = sends(gzip.compress(bytes(3_000_000)), Content_Encoding="gzip")
    told = refused(request_, server.url + "/a.csv", SourceInvalid, at_most_mb=2)
    assert f"{server.host} sends more than 2 MB." == told.what


# -- broken off


def in_parts(
    whole: bytes, breaks: Mapping[int, int], *, ranges: bool = True, etag: str = '"v1"', **headers: str
) -> Answer:
    """
    An answer that breaks off: `breaks` says after which byte, by the byte it began at.

    Without `ranges` it begins anew each time.
    """

    def answer(asked: Asked) -> None:
        told = asked.headers.get("Range")
        start = int(told[6:-1]) if told and ranges and asked.headers.get("If-Range") == etag else 0
        end = breaks.get(start, len(whole))
        more = {"ETag": etag, **headers}
        if start:
            more["Content_Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        asked.send(whole[start:end], 206 if start else 200, length=len(whole) - start, **more)

    return answer


def test_a_download_that_breaks_goes_on_where_it_was(server: WebServer, request_: Request) -> None:
    """By Range, and If-Range with the ETag, so that halves of two states are never put together."""
    server.answers["/a.csv"] = in_parts(LONG, {0: 2_000_000, 2_000_000: 2_500_000})
    assert LONG == content(fetch(request_, server.url + "/a.csv"))
    assert [None, "bytes=2000000-", "bytes=2500000-"] == server.headers("Range")
    assert [None, '"v1"', '"v1"'] == server.headers("If-Range")


@pytest.mark.parametrize(("ranges", "etag"), [(False, '"v1"'), (True, 'W/"v1"'), (True, "")])
def test_without_ranges_or_a_strong_etag_it_begins_anew(
    server: WebServer, request_: Request, ranges: bool, etag: str
) -> None:
    """The second attempt brings the whole file, and only that is kept."""
    whole, broken = (
        in_parts(LONG, {}, ranges=ranges, etag=etag),
        in_parts(LONG, {0: 9}, ranges=ranges, etag=etag),
    )
    server.answers["/a.csv"] = lambda asked: (whole if len(server.asked) > 1 else broken)(asked)
    assert LONG == content(fetch(request_, server.url + "/a.csv"))
    assert 2 == len(server.asked)


def test_a_file_that_changed_meanwhile_begins_anew(server: WebServer, request_: Request) -> None:
    """The server answers 200 with the new state."""
    first, second = in_parts(LONG, {0: 1_500_000}), in_parts(ROWS, {}, etag='"v2"')
    server.answers["/a.csv"] = lambda asked: (first if len(server.asked) == 1 else second)(asked)
    found = fetch(request_, server.url + "/a.csv")
    assert (ROWS, len(ROWS)) == (content(found), found.snapshots[0].bytes)


def test_another_part_than_the_one_asked_for_is_not_put_in(server: WebServer, request_: Request) -> None:
    """A server that gets ranges wrong is asked for the whole file again."""
    good = in_parts(LONG, {0: 1_500_000})

    def wrong(asked: Asked) -> None:
        if len(server.asked) == 2:
            asked.send(LONG[7:], 206, ETag='"v1"', Content_Range=f"bytes 7-{len(LONG) - 1}/{len(LONG)}")
        else:
            (good if len(server.asked) == 1 else in_parts(LONG, {}))(asked)

    server.answers["/a.csv"] = wrong
    assert LONG == content(fetch(request_, server.url + "/a.csv"))
    assert [None, "bytes=1500000-", None] == server.headers("Range")


def test_a_length_that_lies_is_a_broken_download(server: WebServer, request_: Request) -> None:
    """Fewer bytes than said are not a file, however often they come."""
    server.answers["/a.csv"] = sends(ROWS, length=99)
    told = refused(request_, server.url + "/a.csv", SourceFailed)
    assert (f"{server.host} broke off after 32 of 99 bytes, 5 times.", 3) == (told.what, told.exit_code)
    assert 5 == len(server.asked)


def test_a_long_file_may_break_more_often_than_that(server: WebServer, request_: Request) -> None:
    """As long as each attempt brings something, the download goes on."""
    whole = LONG + LONG
    server.answers["/a.csv"] = in_parts(whole, {n * 1_100_000: (n + 1) * 1_100_000 for n in range(10)})
    assert whole == content(fetch(request_, server.url + "/a.csv"))
    assert 11 == len(server.asked)


def test_a_server_that_falls_silent_is_broken(server: WebServer, request_: Request) -> None:
    """No bytes within timeout_s; and too few of them are no better."""

    def silent(asked: Asked) -> None:
        asked.send(ROWS, length=99)
        asked.handler.connection.recv(1)  # until the other side hangs up

    def dripping(asked: Asked) -> None:
        asked.send(b"", length=10**6)
        while asked.write(b"x"):
            time.sleep(0.02)

    server.answers["/silent.csv"], server.answers["/dripping.csv"] = silent, dripping
    told = refused(request_, server.url + "/silent.csv", SourceFailed, timeout_s=0.1)
    assert f"{server.host} broke off after 32 of 99 bytes, 5 times." == told.what
    told = refused(request_, server.url + "/dripping.csv", SourceFailed, timeout_s=0.1)
    assert re.search(r"sent \d+ bytes in 0\.1 seconds, 5 times", told.what)


def test_a_body_without_end_is_cut(server: WebServer, request_: Request) -> None:
    """By the size limit; a length that is too large is not even begun."""

    def endless(asked: Asked) -> None:
        asked.send(b"", length=-1)
        while asked.write(bytes(100_000)):
            pass

    server.answers["/a.csv"], server.answers["/b.csv"] = endless, sends(ROWS, length=2**40)
    for path in ("/a.csv", "/b.csv"):
        told = refused(request_, server.url + path, SourceInvalid, at_most_mb=1)
        assert f"{server.host} sends more than 1 MB." == told.what


# -- busy, away, wrong


def test_a_busy_server_is_asked_again_when_it_says(server: WebServer, request_: Request) -> None:
    """Retry-After is waited for; one of more than two minutes is not."""
    busy = iter([lambda asked: asked.send(status=503, Retry_After="0"), lambda asked: asked.send(status=429)])
    server.answers["/a.csv"] = lambda asked: next(busy, sends())(asked)
    assert ROWS == content(fetch(request_, server.url + "/a.csv"))
    assert 3 == len(server.asked)
    server.answers["/b.csv"] = lambda asked: asked.send(status=429, Retry_After="3600")
    request_.work.joinpath("snapshot.csv").unlink()
    told = refused(request_, server.url + "/b.csv", SourceFailed)
    assert f"{server.host} wants to be left alone for 3,600 seconds (status 429)." == told.what
    assert 4 == len(server.asked)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 202])
def test_a_server_that_stays_busy_can_be_tried_later(
    server: WebServer, request_: Request, status: int
) -> None:
    """Code 3, after some attempts."""
    server.answers["/a.csv"] = sends(status=status)
    told = refused(request_, f"{server.url}/a.csv{QUERY}", SourceFailed)
    assert f"{server.host} answered with status {status}, 5 times." == told.what


def test_nobody_there_can_be_tried_later(request_: Request) -> None:
    """A connection that is refused, and a name that does not exist: code 3, without the address's query."""
    with serving() as gone:
        url = gone.url
    told = refused(request_, f"{url}/a.csv{QUERY}", SourceFailed)
    assert re.fullmatch(r"127\.0\.0\.1:\d+ did not answer \(ConnectionError\), 5 times\.", told.what)
    told = refused(request_, f"http://nowhere.invalid/a.csv{QUERY}", SourceFailed)
    assert "nowhere.invalid did not answer (ConnectionError), 5 times." == told.what


@pytest.mark.parametrize("status", [404, 410, 400, 204])
def test_what_is_not_there_is_wrong(server: WebServer, request_: Request, status: int) -> None:
    """Code 6: trying again will not help."""
    server.answers["/a.csv"] = sends(b"", status=status)
    told = refused(request_, f"{server.url}/a.csv{QUERY}", SourceInvalid)
    assert str(status) in told.what
    assert 1 == len(server.asked)


PAGES = {
    "by its type": sends(b"<p>Welcome, please sign in</p>", Content_Type="text/html; charset=utf-8"),
    "by its first words": sends(b"\xef\xbb\xbf\n <!-- hello -->\n<!DOCTYPE html>\n<p>", Content_Type="text/csv"),
    "though it is short": sends(b"<html>", Content_Type="application/octet-stream"),
    "though it is long": sends(b"<HTML>" + b"x" * 5_000_000, Content_Type="text/csv"),
    "in pieces": lambda asked: (asked.send(b"<!", length=30), asked.write(b"doctype html>" + b" " * 15)),
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_a_web_page_is_no_file(server: WebServer, request_: Request, page: str) -> None:
    """A login or an excuse with status 200, under the name of a file."""
    server.answers["/a.csv"] = PAGES[page]  # type: ignore[assignment]
    told = refused(request_, f"{server.url}/a.csv{QUERY}", SourceInvalid)
    assert f"{server.host} sent a web page, not a file." == told.what


def test_a_file_that_is_called_a_page_by_mistake_is_a_file(server: WebServer, request_: Request) -> None:
    """Some servers say text/html of everything."""
    server.answers["/a.csv"] = sends(Content_Type="text/html")
    assert ROWS == content(fetch(request_, server.url + "/a.csv"))


def test_nothing_at_all_is_wrong(server: WebServer, request_: Request) -> None:
    """An export that failed is often a file of no bytes."""
    server.answers["/a.csv"] = sends(b"")
    assert "The source a.csv is empty." == refused(request_, server.url + "/a.csv", SourceInvalid).what


# -- credentials


CREDENTIALS: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "token": ({"token": {"secret": "VISITS_TOKEN"}}, "Authorization", f"Bearer {TOKEN}"),
    "header": ({"headers": {"X-Api-Key": {"secret": "VISITS_TOKEN"}}}, "X-Api-Key", TOKEN),
    "account": (
        {"user": "café", "password": {"secret": "VISITS_TOKEN"}}, "Authorization",
        "Basic Y2Fmw6k6dG9rLTdReC9jYW5hcnkrc2VjcmV0PVd6OQ==",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", CREDENTIALS)
def test_credentials_are_sent_by_reference(
    server: WebServer, request_: Request, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A token, a header, or user and password in UTF-8."""
    keys, name, sent = CREDENTIALS[how]
    monkeypatch.setenv("VISITS_TOKEN", TOKEN + ("\n" if how != "account" else ""))
    server.answers["/a.csv"] = sends()
    fetch(request_, server.url + "/a.csv", **keys)
    assert [sent] == server.headers(name)


def test_secrets_are_not_sent_in_the_clear(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """By http only to this machine itself; a file without a secret may come from anywhere."""
    monkeypatch.setenv("VISITS_TOKEN", TOKEN)
    url = "http://data.example.invalid/a.csv"
    told = refused(request_, url, UsageError, token={"secret": "VISITS_TOKEN"})
    assert "a secret would be sent there in the clear" in told.what
    assert (
        "data.example.invalid did not answer (ConnectionError), 5 times."
        == refused(request_, url, SourceFailed).what
    )


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_by_name(
    server: WebServer, request_: Request, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The secret's name, never the secret; and asked once, so that no account is locked."""
    monkeypatch.setenv("VISITS_TOKEN", TOKEN)
    server.answers["/a.csv"] = sends(b"wrong " + TOKEN.encode(), status=status)
    told = refused(request_, f"{server.url}/a.csv{QUERY}", UsageError, token={"secret": "VISITS_TOKEN"})
    assert f"{server.host} refused the credentials (status {status})." == told.what
    assert ("Check the secret VISITS_TOKEN.", 2, 1) == (told.hint, told.exit_code, len(server.asked))
    told = refused(request_, f"{server.url}/a.csv", UsageError)
    assert f"{server.host} refused a request without credentials (status {status})." == told.what


def test_a_secret_that_is_not_set_or_cannot_be_sent_is_told_by_name(
    server: WebServer, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked; a line feed in a secret would be a header of its own."""
    told = refused(request_, server.url + "/a.csv", UsageError, token={"secret": "VISITS_TOKEN"})
    assert "The secret VISITS_TOKEN is not set." == told.what
    for value in (f"{TOKEN}\nX-More: 1", TOKEN + "é"):
        monkeypatch.setenv("VISITS_TOKEN", value)
        told = refused(
            request_, server.url + "/a.csv", UsageError, headers={"X-Key": {"secret": "VISITS_TOKEN"}}
        )
        assert told.what.startswith("The secret VISITS_TOKEN cannot be sent as header X-Key")
    assert [] == server.asked


# -- redirects


def to(url: Callable[[], str] | str, status: int = 302) -> Answer:
    """A redirect."""
    return lambda asked: asked.send(status=status, Location=url if isinstance(url, str) else url())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_host_is_followed(
    server: WebServer, request_: Request, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """With the credentials, and the name of the file where it is now."""
    monkeypatch.setenv("VISITS_TOKEN", TOKEN)
    server.answers["/now"], server.answers["/2026/a.csv"] = to("/2026/a.csv", status), sends()
    found = fetch(request_, server.url + "/now", token={"secret": "VISITS_TOKEN"})
    assert (ROWS, "a.csv") == (content(found), found.snapshots[0].name)
    assert [f"Bearer {TOKEN}"] * 2 == server.headers("Authorization")


def test_a_declared_host_gets_the_request_and_no_credentials(
    server: WebServer, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of files behind a portal has its own way to know who may read: the address itself."""
    monkeypatch.setenv("VISITS_TOKEN", TOKEN)
    with serving() as store:
        server.answers["/a"] = to(f"http://localhost:{store.port}/a.csv{QUERY}")
        store.answers["/a.csv"] = in_parts(LONG, {0: 1_500_000})
        told = {"secret": "VISITS_TOKEN"}
        keys = {"token": told, "headers": {"X-Key": told}, "hosts": ["LOCALHOST"]}
        assert LONG == content(fetch(request_, server.url + "/a", **keys))
        assert [None, None] == store.headers("Authorization") == store.headers("X-Key")
        assert [None, "bytes=1500000-"] == store.headers("Range")
        assert [TOKEN, TOKEN] == server.headers("X-Key")


def test_another_port_of_the_host_gets_no_credentials(
    server: WebServer, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another service of somebody else."""
    monkeypatch.setenv("VISITS_TOKEN", TOKEN)
    with serving() as other:
        server.answers["/a"], other.answers["/a.csv"] = to(other.url + "/a.csv"), sends()
        fetch(request_, server.url + "/a", token={"secret": "VISITS_TOKEN"})
        assert [None] == other.headers("Authorization")


FOREIGN = {
    "another host": ("http://localhost:1/a.csv?sig=canary", "redirects to localhost, which is not allowed"),
    "a user in it": ("http://canary:canary@127.0.0.1/", "to no address that can be followed"),
    "a file": ("file:///etc/passwd", "to no address that can be followed"),
    "nowhere": ("", "to no address that can be followed"),
}


@pytest.mark.parametrize("where", FOREIGN)
def test_a_redirect_elsewhere_is_refused(server: WebServer, request_: Request, where: str) -> None:
    """Its host is named, so that a person can allow it; the rest of the address is not."""
    url, told = FOREIGN[where]
    server.answers["/a.csv"] = to(url)
    assert told in refused(request_, server.url + "/a.csv", SourceInvalid).what


@pytest.mark.parametrize("host", ["https://files.example.gov", "files.example.gov/", "user@files", ""])
def test_a_host_is_a_host(host: str) -> None:
    """An address in its place would never match, and nobody would know why."""
    with pytest.raises(ValidationError):
        Web(url="https://data.example.gov/a.csv", hosts=(host,))


def test_a_circle_of_redirects_ends(server: WebServer, request_: Request) -> None:
    """After five."""
    server.answers["/a.csv"] = to("/a.csv")
    told = refused(request_, server.url + "/a.csv", SourceInvalid)
    assert (f"{server.host} redirects more than 5 times.", 6) == (told.what, len(server.asked))


# -- nothing new


STATES: Mapping[str, tuple[dict[str, str], Callable[[Asked], int]]] = {
    "the same ETag": ({"ETag": '"0123456789abcdef"'}, lambda asked: 200),
    "a weak ETag": ({"ETag": 'W/"7"'}, lambda asked: 200),
    "304 by its time": (
        {"Last_Modified": "Sat, 21 Nov 2020 11:00:00 GMT"},
        lambda asked: 304 if asked.headers.get("If-Modified-Since") == "Sat, 21 Nov 2020 11:00:00 GMT" else 200,
    ),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_file_that_was_released_is_not_new(server: WebServer, request_: Request, state: str) -> None:
    """No byte of it is kept; asked for again it comes again, and a changed one is new."""
    headers, status = STATES[state]
    server.answers["/a.csv"] = lambda asked: asked.send(
        ROWS if status(asked) == 200 else b"", status(asked), **headers
    )
    found = fetch(request_, server.url + "/a.csv")
    found.snapshots[0].path.unlink()
    known = replace(request_, again=False, position=found.position)
    told = refused(known, server.url + "/a.csv", NothingNew)
    assert f"{server.host} has nothing new: the file is the one of the last release." == told.what
    assert ROWS == content(fetch(replace(known, again=True), server.url + "/a.csv"))
    server.answers["/a.csv"] = sends(ETag='"8"', Last_Modified="Sat, 21 Nov 2020 12:00:00 GMT")
    assert ROWS == content(fetch(known, server.url + "/a.csv"))


def test_no_digest_of_the_file_goes_into_the_position(server: WebServer, request_: Request) -> None:
    """An ETag often is a digest of the bytes, from which hidden cells of a small table could be found."""
    server.answers["/a.csv"] = sends(ETag='"0123456789abcdef"', Last_Modified="Sat, 21 Nov 2020 11:00:00 GMT")
    position = fetch(request_, server.url + "/a.csv").position
    assert {"at", "etag", "last_modified"} == set(position)
    assert position["etag"].startswith("hmac-sha256:") and "0123456789abcdef" not in str(position)


def test_what_is_known_of_another_address_does_not_count(server: WebServer, request_: Request) -> None:
    """After a change of url: the file is new, whatever its ETag."""
    for path in ("/a.csv", "/b.csv"):
        server.answers[path] = sends(ETag='"7"', Last_Modified="Sat, 21 Nov 2020 11:00:00 GMT")
    found = fetch(request_, server.url + "/a.csv")
    known = replace(request_, again=False, position=found.position)
    assert "b.csv" == fetch(known, server.url + "/b.csv").snapshots[0].name
    assert [None, None] == server.headers("If-Modified-Since")


def test_a_time_that_a_later_state_could_share_does_not_count(server: WebServer, request_: Request) -> None:
    """Times are in seconds: of a file that changed just now nobody knows whether it changes again in this one."""
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    server.answers["/a.csv"] = sends(Last_Modified=now)
    assert {} == fetch(request_, server.url + "/a.csv").position


def test_what_the_page_shows_is_a_source() -> None:
    """Each block of YAML stands in dataset.yml as it is."""
    page = Path(__file__).parents[1] / "docs" / "how-to" / "read-from-the-web.md"
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    sources = [Source.model_validate(YAML(typ="safe").load(block)["source"]) for block in blocks]
    assert ["web"] * 3 == [source.place for source in sources]


# -- a whole run


@pytest.mark.slow
def test_a_run_from_the_web_stops_when_there_is_nothing_new(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ctnb run` twice: released, then stopped with code 5; the record holds neither token nor query."""
    project = fp.make(tmp_path)
    rows = (project.notebooks / fp.SLUG / "data" / "visits.csv").read_bytes()
    told = f"web: {{url: '{server.url}/visits.csv{QUERY}', token: {{secret: VISITS_TOKEN}}}}"
    fp.change(project, "dataset.yml", "path: data/visits.csv", told)
    server.answers["/visits.csv"] = in_parts(rows, {0: 1000})
    first = fp.ctnb(project, "run", fp.SLUG, VISITS_TOKEN=TOKEN)
    assert 0 == first.code, first.out + first.err
    second = fp.ctnb(project, "run", fp.SLUG, VISITS_TOKEN=TOKEN)
    assert 5 == second.code, second.out + second.err
    assert ["released", "stopped"] == [record.status for record in records.all_records(project)]
    assert [None, "bytes=1000-", None] == server.headers("Range")
    assert {} == fp.found_in(project.runs, [TOKEN, "canary-in-a-query", *fp.CANARIES[:20]])
    assert "canary" not in first.out + first.err + second.out + second.err
    assert () == verification.verify(project).faults


@pytest.mark.slow
def test_an_interruption_ends_a_download_that_is_under_way(server: WebServer, tmp_path: Path) -> None:
    """Ctrl-C while bytes still come: the run ends as interrupted, and nothing half-written is left."""
    project = fp.make(tmp_path)
    fp.change(project, "dataset.yml", "path: data/visits.csv", f"web: {{url: '{server.url}/visits.csv'}}")
    begun = threading.Event()

    def endless(asked: Asked) -> None:
        asked.send(b"Person\n", length=-1)
        while asked.write(b"somebody\n" * 200):
            begun.set()
            time.sleep(0.01)

    server.answers["/visits.csv"] = endless
    command = [sys.executable, "-m", "ctnb", "run", fp.SLUG]
    with subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert begun.wait(60)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=120)
    assert 130 == run.returncode, out + err
    assert ["interrupted"] == [record.status for record in records.all_records(project)]
    assert [] == [path.name for path in project.private.rglob("snapshot*")]
