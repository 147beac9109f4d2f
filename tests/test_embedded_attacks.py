"""The embedded portal against callers who mean harm, or make mistakes: an answer is right, or says that it is not."""

from __future__ import annotations

import itertools
import json
import random
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import draft_calls
import pytest
import requests
from ods_fixture import EXPLORE, dataset, realtime
from portal_fixture import PROJECT, Running, running_portal

from ctnb.embedded import server
from ctnb.embedded.accounts import add_account, add_app_token
from ctnb.embedded.answers import Route
from ctnb.embedded.ods_keys import add_api_key

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


CANARY = "canaryzq"
"""In every cell, name, description and file of what is private."""


@dataclass(frozen=True)
class Private:
    """What nobody was given: datasets of both dialects, and everything below them."""

    portal: Running
    ids: Mapping[str, tuple[str, ...]]
    """What stands for {view}, {dataset}, ... in the routes."""
    callers: Mapping[str, dict[str, Any]]
    """Those who may not see any of it, as options of requests."""


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    """A dataset with a copy, a view, files and a revision; a file; a restricted dataset; nothing is public."""
    with running_portal(tmp_path_factory.mktemp("private")) as portal:
        columns = (("k", "text"), ("note", "text"), ("n", "number"), ("p", "point"))
        uid = portal.create(*columns, key="k", name=CANARY, description=f"{CANARY} words")
        row = {"k": "k1", "note": CANARY, "n": 1, "p": {"type": "Point", "coordinates": [1, 2]}}
        assert portal.ask("POST", f"/resource/{uid}.json", json=[row]).status_code == 200
        copy = portal.ask("POST", f"/api/views/{uid}/publication.json?method=copy").json()["id"]
        shown = {"modifyingViewUid": uid, "name": CANARY, "queryString": "SELECT note WHERE n = 1"}
        view = portal.ask("POST", "/api/views.json", json=shown).json()["id"]
        file = {"file": (f"{CANARY}.csv", CANARY.encode())}
        attached = portal.ask("POST", f"/api/views/{uid}/files", files=file).json()["file"]
        blob = portal.ask("POST", "/api/imports2/?method=blob", files=file).json()["id"]
        revision = draft_calls.open_revision(portal, uid, action={"type": "update"})
        source = draft_calls.upload(portal, revision, f"k,n\n{CANARY},x\n")
        output = draft_calls.output_of(source)
        made = realtime(portal, {"k": CANARY}, "k", dataset_id="hidden-towns", restricted=True)
        assert made.push([{"k": CANARY}]).status_code == 200
        column = portal.ask("GET", f"/api/views/{uid}.json").json()["columns"][0]["id"]
        transform = output["output_columns"][0]["transform"]["id"]
        ids: dict[str, tuple[Any, ...]] = {
            "view": (uid, copy, view, blob), "dataset": (made.uid, "hidden-towns"), "resource": (made.resource,),
            "seq": (revision["resource"]["revision_seq"],), "source": (source["id"],), "asset": (attached,),
            "input": (source["schemas"][-1]["id"],), "output": (output["id"],), "transform": (transform,),
            "column": (column,), "row": ("k1", "row-1"), "json": ("", ".json"), "format": ("csv", "xlsx"),
            "extension": ("", ".json", ".csv", ".geojson", ".xml", ".rdf"), "template": ("default",),
        }  # fmt: skip
        viewer = add_account(portal.file, "Val", "viewer", mail="val@example.org", password="a long password")
        narrow = add_api_key(portal.file, viewer[0], "edit_theme")
        callers: dict[str, dict[str, Any]] = {
            "nobody": {},
            "an app token": {"headers": {"X-App-Token": add_app_token(portal.file)}},
            "a viewer": {"auth": viewer},
            "a wrong secret": {"auth": (portal.key_id, "x" * 50)},
            "a narrow key": {"headers": {"Authorization": f"Apikey {narrow}"}},
        }
        told = {name: tuple(map(str, several)) for name, several in ids.items()}
        yield Private(portal, told, callers)


def addresses(route: Route, ids: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Every address of a route with the ids of what is there."""
    names = re.findall(r"\{(\w+)\}", route.path)
    form = re.sub(r"^/api/(automation|explore|management)/", lambda m: _VERSIONS[m[1]], route.path)
    for values in itertools.product(*(ids.get(name, ("1",)) for name in names)):
        given = iter(values)
        yield re.sub(r"\{\w+\}", lambda _, given=given: next(given), form)


_VERSIONS = {
    "automation": "/api/automation/v1.0/", "explore": "/api/explore/v2.1/", "management": "/api/management/v2/",
}  # fmt: skip


@pytest.mark.slow
def test_no_route_shows_or_changes_what_is_private(private: Private) -> None:
    """Every route with every caller who was given nothing: no cell, name or word, nothing written, no fault."""
    found = []
    before = private.portal.ask("GET", f"/resource/{private.ids['view'][0]}.json").text
    for route, (who, caller) in itertools.product(server.ROUTES, private.callers.items()):
        body = {"json": {"name": "mine", "query": "SELECT *"}} if route.method != "GET" else {}
        for path in addresses(route, private.ids):
            url = private.portal.url + path
            options: dict[str, Any] = {**caller, **body, "timeout": 60, "allow_redirects": False}
            answer = requests.request(route.method, url, **options)
            told = CANARY in f"{answer.text} {answer.headers}"
            if told or answer.status_code >= 500 or (route.writes and answer.status_code < 300):
                found.append(f"{who}: {route.method} {path} {answer.status_code}")
    assert found == []
    assert private.portal.ask("GET", f"/resource/{private.ids['view'][0]}.json").text == before


def test_lists_and_searches_show_nothing_private(private: Private) -> None:
    """Catalogues, inventories and their counts are those of a portal without datasets."""
    lists = (
        "/data.json", "/api/catalog/v1", "/api/views.json", "/api/views.json?count=true", "/", "/browse",
        "/api/views/metadata/v1", "/api/explore/v2.1/catalog/datasets", "/api/catalog/v1?column_names=k",
        f"/api/catalog/v1?ids={private.ids['view'][0]}", "/api/catalog/v1?q=words",
    )  # fmt: skip
    for path, (who, caller) in itertools.product(lists, private.callers.items()):
        answer = requests.get(private.portal.url + path, timeout=60, **caller)
        assert CANARY not in answer.text, (who, path)
        for uid in (*private.ids["view"], *private.ids["dataset"]):
            assert uid not in answer.text.replace(path, ""), (who, path)
    assert requests.get(f"{private.portal.url}/api/views.json?count=true", timeout=60).json() == {"count": 0}


def test_a_workbook_that_asks_for_all_memory_fails_alone(portal: Running, tmp_path: Path) -> None:
    """Two cells as far apart as can be, in six thousand bytes: the source fails, and the portal goes on."""
    import xlsxwriter

    file = tmp_path / "far.xlsx"
    with xlsxwriter.Workbook(str(file)) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, CANARY)
        sheet.write(1_048_575, 16_383, CANARY)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    revision = draft_calls.open_revision(portal)
    source = draft_calls.upload(portal, revision, file.read_bytes(), kind, chunk=1 << 20)
    assert source["failed_at"] is not None
    assert source["failure_details"]["type"] == "unparsable_file"
    assert CANARY not in str(source) + portal.log.read_text()
    assert portal.process.poll() is None


TEXTS = (
    "", "0", "-1", "9" * 30, "'", "' OR 1=1 --", "\x00", "%", "\u202e", "null", "[]", "..", "../../etc/passwd",
    "\r\nX: y", "1e999", "NaN", "count(*)", ":id", ":*", "x" * 5000, "(" * 300, "not " * 300, "- " * 400,
    "k like '%a%b%c'", "2020-02-30", "9999-12-31", "POINT (nan inf)", "within_box(p, 1, 2, 3, 4)", "<script>",
    "javascript:alert(1)", "=cmd|x", "k = 'a' and n > 1", "sum(n)", "k asc", "select *", "case when n then 1 end",
)  # fmt: skip
"""What stands where something else is expected."""
PARAMETERS = (
    "$select", "$where", "$order", "$group", "$having", "$limit", "$offset", "$q", "$query", "method", "value",
    "limit", "offset", "page", "q", "ids", "order", "order_by", "select", "where", "group_by", "refine", "lang",
    "timezone", "facet", "rows", "format", "filename", "userEmail", "sort", "k", "n", "delimiter", "open",
)  # fmt: skip
KEYS = (
    "name", "fieldName", "dataTypeName", "columns", "metadata", "attachments", "k", "n", "p", ":id", ":deleted",
    "query", "action", "type", "permission", "output_schema_id", "notes", "source_type", "parse_options",
    "header_count", "output_columns", "transform", "transform_expr", "filename", "userEmail", "dataset_id",
    "is_restricted", "value", "params", "datasource", "label", "permissions", "chunks", "control", "queryString",
    "modifyingViewUid", "position", "rowIdentifier", "tags", "fields", "security", "data_action", "assetId",
)  # fmt: skip
BODIES = (b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"a":' * 3000, b"null", b'k,n\n"', b'{"name": "\\ud83d"}')


def a_value(pick: random.Random, depth: int = 0) -> Any:
    """Any JSON."""
    kind = pick.random()
    if depth > 2 or kind < 0.6:
        return pick.choice([None, True, 0, -1, 1.5, 1e308, 10**30, *TEXTS])
    if kind < 0.75:
        return [a_value(pick, depth + 1) for _ in range(pick.randint(0, 3))]
    return {pick.choice(KEYS): a_value(pick, depth + 1) for _ in range(pick.randint(1, 4))}


def is_documented(answer: requests.Response) -> bool:
    """Whether an error is one of the envelopes: JSON with a message and a code, or a page; never a traceback."""
    if answer.status_code < 400 or answer.request.method == "HEAD":
        return answer.status_code < 400
    if "html" in answer.headers["Content-Type"]:
        return answer.status_code < 500 and "Traceback" not in answer.text
    said = json.loads(answer.content)
    known = {"message", "error", "error_code", "errorCode", "key", "detail", "errors", "code", "type"}
    return answer.status_code < 500 and isinstance(said, dict) and not known.isdisjoint(said)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_sent_is_answered_as_documented(private: Private, seed: int) -> None:
    """Every route, with values that are none, in addresses, parameters and bodies: no fault, no bare error."""
    pick, found = random.Random(seed), []
    ids = {name: (*several, *several, "1", "no-such") for name, several in private.ids.items()}
    routes = [one for one in server.ROUTES if one.method != "DELETE"]
    with requests.Session() as session:
        session.auth = private.portal.auth
        for _ in range(600):
            route = pick.choice(routes)
            path = pick.choice(list(itertools.islice(addresses(route, ids), 60)))
            query = [(pick.choice(PARAMETERS), pick.choice(TEXTS)) for _ in range(pick.randint(0, 3))]
            body: dict[str, Any] = {}
            if route.method != "GET" and pick.random() < 0.7:
                body = {"json": {pick.choice(KEYS): a_value(pick) for _ in range(pick.randint(1, 4))}}
            elif route.method != "GET":
                body = {"data": pick.choice(BODIES), "headers": {"Content-Type": "application/json"}}
            answer = session.request(
                route.method,
                private.portal.url + path,
                params=query,
                timeout=60,
                allow_redirects=False,
                **body,
            )
            if not is_documented(answer):
                found.append(f"{route.method} {path} {answer.status_code}: {query} {str(body)[:300]}")
    assert found == []
    assert "Traceback" not in private.portal.log.read_text()


def test_a_portal_that_has_read_files_ends_cleanly(tmp_path: Path) -> None:
    """SIGTERM after an upload: no traceback, the address is withdrawn, and the code is 0."""
    with running_portal(tmp_path) as portal:
        draft_calls.published(portal, "id,n\n1,2\n")
        portal.process.terminate()
        assert portal.process.wait(30) == 0
        assert not portal.address_file.exists()
        assert "Traceback" not in portal.log.read_text()
