"""DataSync's HTTP against the embedded portal, asked as its client asks; its patches and control files."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from portal_fixture import Running, running_portal, started

from ctnb.embedded import patches
from ctnb.embedded.controls import read_control
from ctnb.embedded.patches import BrokenPatchError, apply_patch, read_upload

WAIT_S = 20.0


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture
def towns(portal: Running) -> str:
    """A dataset of two towns with a row identifier."""
    uid = portal.create(("town", "text"), ("year", "number"), ("seen", "calendar_date"), key="town")
    rows = [{"town": "Avon", "year": 1, "seen": "2020-01-01"}, {"town": "Kent", "year": 2}]
    portal.ask("POST", f"/resource/{uid}.json", json=rows)
    return uid


def varint(number: int) -> bytes:
    """A number in 7 bits a byte, the lowest first."""
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def patch(content: bytes, block: int = 64) -> bytes:
    """What DataSync sends of a file when there is no signature of an earlier one."""
    pieces = [content[at : at + block] for at in range(0, len(content), block)]
    body = varint(block) + b"".join(b"\x01" + varint(len(piece)) + piece for piece in pieces) + b"\xff"
    return b"\x03MD5" + body + hashlib.md5(body, usedforsecurity=False).digest()


def control(action: str, **options: Any) -> dict[str, Any]:
    """A control file with the defaults that DataSync writes."""
    csv = {
        "columns": None, "skip": 0, "fixedTimestampFormat": ["ISO8601", "MM/dd/yy", "MM/dd/yyyy"],
        "floatingTimestampFormat": ["ISO8601", "MM/dd/yy", "MM/dd/yyyy"], "timezone": "UTC", "separator": ",",
        "quote": '"', "escape": "\\", "encoding": "utf-8", "emptyTextIsNull": True, "trimWhitespace": True,
        "trimServerWhitespace": True, "useSocrataGeocoding": True, "ignoreColumns": [], "setAsideErrors": False,
        "syntheticLocations": {}, "overrides": {},
    }  # fmt: skip
    return {"action": action, "opaque": str(uuid.uuid4()), "csv": {**csv, **options}}


def sync(
    portal: Running, uid: str, content: bytes, how: dict[str, Any], chunk: int = 100
) -> list[dict[str, Any]]:
    """Send a file as the client does; the job's log once it has ended."""
    assert portal.ask("GET", f"/datasync/id/{uid}/completed/").json() == []
    packed = gzip.compress(patch(content))
    blobs = []
    for at in range(0, len(packed), chunk):
        sent = portal.ask("POST", f"/datasync/id/{uid}", data=packed[at : at + chunk])
        assert sent.status_code == 201
        blobs.append(sent.json()["blobId"])
    message = {"filename": "data.csv.sdiff.gz", "relativeTo": None, "chunks": blobs}
    body = {**message, "expectedSize": len(packed), "control": how}
    job = portal.ask("POST", f"/datasync/id/{uid}/commit", json=body).json()["jobId"]
    return ended(portal, uid, job)


def ended(portal: Running, uid: str, job: str) -> list[dict[str, Any]]:
    """The log of a job, waited for by asking for its status as the client does."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        told = portal.ask("GET", f"/datasync/id/{uid}/status/{job}.json").json()
        if told["english"].startswith(("SUCCESS", "FAILURE")):
            return list(portal.ask("GET", f"/datasync/id/{uid}/log/{job}.json").json())
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def counts(log: list[dict[str, Any]]) -> dict[str, int]:
    """What the last event says was done."""
    assert log[-1]["type"] == "finished", log[-1]
    return {key: log[-1]["data"][key] for key in ("inserted", "updated", "deleted", "errors")}


def test_a_replace_makes_the_fewest_changes(portal: Running, towns: str) -> None:
    """New, changed and gone rows are counted; a row that stays keeps its `:id`."""
    kept = portal.rows(towns, select=":id", where="town = 'Kent'")
    file = b"town,year,seen\nKent,2,\nLyme,3,02/29/24\nAvon,1,2021-05-06T07:08:09\n"
    log = sync(portal, towns, file, control("Replace"))
    assert counts(log) == {"inserted": 1, "updated": 1, "deleted": 0, "errors": 0}
    assert portal.rows(towns, order="town") == [
        {"town": "Avon", "year": "1", "seen": "2021-05-06T07:08:09.000"},
        {"town": "Kent", "year": "2"},
        {"town": "Lyme", "year": "3", "seen": "2024-02-29T00:00:00.000"},
    ]
    assert portal.rows(towns, select=":id", where="town = 'Kent'") == kept
    log = sync(portal, towns, b"town,year,seen\nLyme,3,02/29/2024\n", control("Replace"))
    assert counts(log) == {"inserted": 0, "updated": 0, "deleted": 2, "errors": 0}
    assert [event["type"] for event in log] == ["committing-job", "committed-job", "started", "finished"]


def test_the_history_tells_what_a_commit_did(portal: Running, towns: str) -> None:
    """Who committed it and how many rows; one that changed nothing leaves no line."""
    sync(portal, towns, b"town,year\nAvon,10\nLyme,3\n", control("Upsert"))
    sync(portal, towns, b"town,year\nAvon,10\n", control("Upsert"))
    sync(portal, towns, b"town,year\nAvon,10\nEssex,4\n", control("Replace"))
    pattern = r'data-label="What">([^<]*)</td><td data-label="Rows">([^<]*)</td><td data-label="Who">([^<]*)<'
    assert re.findall(pattern, portal.ask("GET", f"/d/{towns}").text)[:2] == [
        ("Replaced all rows", "1 added, 2 deleted", "Pat Publisher"),
        ("Rows added and updated", "1 added, 1 updated", "Pat Publisher"),
    ]


def test_upsert_append_and_delete(portal: Running, towns: str) -> None:
    """By the row identifier; columns that the file leaves out stay as they are."""
    log = sync(portal, towns, b"town,year\nAvon,10\nLyme,3\n", control("Upsert"))
    assert counts(log) == {"inserted": 1, "updated": 1, "deleted": 0, "errors": 0}
    assert portal.rows(towns, where="town = 'Avon'") == [
        {"town": "Avon", "year": "10", "seen": "2020-01-01T00:00:00.000"}
    ]
    assert counts(sync(portal, towns, b"town\nLyme\nNowhere\n", control("Delete")))["deleted"] == 1
    assert counts(sync(portal, towns, b"town,year\nKent,5\n", control("Append")))["updated"] == 1
    assert [row["town"] for row in portal.rows(towns, order="town")] == ["Avon", "Kent"]


def test_a_dataset_without_a_row_identifier(portal: Running) -> None:
    """An upsert appends; a replace leaves the rows of the file; a delete is not possible."""
    uid = portal.create(("a", "text"), ("b", "number"))
    for action, n in (("Append", 2), ("Upsert", 4), ("Replace", 2)):
        sync(portal, uid, b"a,b\nx,1\nx,1\n", control(action))
        assert len(portal.rows(uid)) == n
    log = sync(portal, uid, b"a,b\nx,1\n", control("Delete"))
    assert (log[-1]["type"], len(portal.rows(uid))) == ("failed", 2)
    assert "lacks columns" in sync(portal, uid, b"a\nx\n", control("Upsert"))[-1]["data"]["reason"]


def test_the_control_file_says_how_the_file_is_written(portal: Running) -> None:
    """Separator, encoding, skipped lines, names, formats, zone, blanks, ignored columns, locations of many columns."""
    types = (
        ("name", "text"),
        ("seen", "calendar_date"),
        ("at", "date"),
        ("place", "location"),
        ("spot", "point"),
    )
    uid = portal.create(*types, key="name")
    options = {
        "separator": ";", "encoding": "windows-1252", "skip": 2, "trimWhitespace": False, "emptyTextIsNull": False,
        "columns": ["Name", "Seen", "At", "Street", "Town", "Lat", "Long", "Note"], "ignoreColumns": ["note"],
        "timezone": "America/New_York", "overrides": {"seen": {"timestampFormat": "d MMM yyyy 'at' HH:mm"}},
        "fixedTimestampFormat": "yyyyMMdd HHmmss",
        "syntheticLocations": {"place": {"address": "Street", "city": "Town", "latitude": "Lat", "longitude": "Long"}},
        "syntheticPoints": {"spot": {"latitude": "Lat", "longitude": "Long"}},
    }  # fmt: skip
    line = " Café ;3 Feb 2024 at 04:05;20240203 040506;1 Main St;Avon;41.8;-72.8;left out"
    log = sync(portal, uid, f"x\ny\n{line}\n".encode("cp1252"), control("Replace", **options))
    assert counts(log)["inserted"] == 1
    address = '{"address": "1 Main St", "city": "Avon", "state": "", "zip": ""}'
    assert portal.rows(uid) == [
        {
            "name": " Café ",
            "seen": "2024-02-03T04:05:00.000",
            "at": "2024-02-03T09:05:06.000Z",
            "place": {"latitude": "41.8", "longitude": "-72.8", "human_address": address},
            "spot": {"type": "Point", "coordinates": [-72.8, 41.8]},
        }
    ]


def test_wrong_rows_end_the_job_or_are_set_aside(portal: Running, towns: str) -> None:
    """All or nothing unless `setAsideErrors` says otherwise; no message quotes a cell."""
    file = b"town,year\nGood,1\nBad,canary-77\n,3\nShort\n"
    log = sync(portal, towns, file, control("Upsert"))
    reason = log[-1]["data"]["reason"]
    assert (log[-1]["type"], reason) == ("failed", "Row 2 is wrong: 'year' is not a number")
    assert (len(portal.rows(towns)), "canary" in json.dumps(log[2:])) == (2, False)
    assert counts(sync(portal, towns, file, control("Upsert", setAsideErrors=True))) == {
        "inserted": 1,
        "updated": 0,
        "deleted": 0,
        "errors": 3,
    }
    assert "canary" not in portal.log.read_text()


@pytest.mark.parametrize(
    ("file", "options", "reason"),
    [
        (b"town,nope\nx,1\n", {}, "The dataset has no column for column 2 of the file"),
        (b"year\n1\n", {}, "The file lacks the row identifier 'town'"),
        (b"town,town\n1,1\n", {}, "The header names a column twice"),
        (b"town\n\xff\n", {}, "The file is not in the encoding that the control file names"),
        (b"town\nx\n", {"encoding": "klingon"}, "The file is not in the encoding that the control file names"),
        (b"town\nx\n", {"separator": ";;"}, "separator, quote and escape of a control file are one character each"),
        (b"", {}, "The file has no header"),
        (b"town,year\nx,1\nx,2\n", {}, "The row identifier is not unique in the file: 1 rows too many"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_changes_nothing(
    portal: Running, towns: str, file: bytes, options: dict[str, Any], reason: str
) -> None:
    """The job ends as FAILURE with the reason in words."""
    log = sync(portal, towns, file, control("Replace", **options))
    assert (log[-1]["type"], log[-1]["data"]["reason"]) == ("failed", reason)
    assert len(portal.rows(towns)) == 2
    told = portal.ask("GET", f"/datasync/id/{towns}/status/{log[0]['data']['jobId']}")
    assert (told.text, told.headers["Content-Type"]) == (f"FAILURE: {reason}\n", "text/plain; charset=utf-8")


def test_a_commit_is_found_again_by_its_uuid(portal: Running, towns: str) -> None:
    """As the client looks in the log for the commit whose answer it lost."""
    how = control("Upsert")
    log = sync(portal, towns, b"town,year\nLyme,3\n", how)
    index = portal.ask("GET", f"/datasync/id/{towns}/log/index.json").json()
    found = [event for event in index if event["data"]["control"]["opaque"] == how["opaque"]]
    assert [event["type"] for event in found] == ["committing-job"]
    assert found[0]["data"]["jobId"] == log[0]["data"]["jobId"]
    assert found[0] in portal.ask("GET", "/datasync/log/index.json").json()


def test_a_commit_that_cannot_be_says_which_kind(portal: Running, towns: str) -> None:
    """The types that the client tells apart: some it sends anew, some it gives up."""
    path = f"/datasync/id/{towns}"
    blob = portal.ask("POST", path, data=b"town\nx\n").json()["blobId"]
    other = portal.create(("a", "text"))
    foreign = portal.ask("POST", f"/datasync/id/{other}", data=b"x").json()["blobId"]
    good = {"filename": "a.csv", "relativeTo": None, "chunks": [blob], "control": control("Upsert")}
    cases = {
        "not-a-commit-description": {"chunks": "x"},
        "filename-too-long": {"filename": "x" * 256},
        "filename-bad-characters": {"filename": "../a.csv"},
        "impossible-relative-to": {"relativeTo": "/datasync/id/x/completed/2024"},
        "non-existant-chunk": {"chunks": [blob, foreign]},
        "size-mismatch": {"expectedSize": 8},
        "undecodable-control": {"control": {"action": "Mirror"}},
    }
    answers = {
        name: portal.ask("POST", f"{path}/commit", json={**good, **change}) for name, change in cases.items()
    }
    assert {answer.status_code for answer in answers.values()} == {400}
    assert {name: answer.json()["type"] for name, answer in answers.items()} == {name: name for name in cases}
    job = portal.ask("POST", f"{path}/commit", json={**good, "expectedSize": 7}).json()["jobId"]
    assert ended(portal, towns, job)[-1]["data"]["inserted"] == 1


def test_only_publishers_sync(portal: Running, towns: str) -> None:
    """The version is told to anybody, all else to publishers."""
    assert portal.ask("GET", "/datasync/version.json", signed=False).json()["max-block-size"] == 4 * 2**20
    assert "utf-8" in portal.ask("GET", "/datasync/charsets.json", signed=False).json()
    path = f"/datasync/id/{towns}"
    gets = [
        f"{path}/completed/",
        f"{path}/log/index.json",
        f"{path}/status/1.json",
        "/datasync/log/index.json",
    ]
    codes = [portal.ask("GET", one, signed=False).status_code for one in gets]
    codes += [portal.ask("POST", one, signed=False, json={}).status_code for one in (path, f"{path}/commit")]
    assert codes == [403] * 6
    assert portal.ask("GET", f"{path}/status/{uuid.uuid4()}.json").status_code == 404
    assert requests.get(portal.url + path, auth=portal.auth, timeout=60).status_code == 405


def test_a_job_that_was_committed_outlives_a_kill(tmp_path: Path) -> None:
    """Killed right after the commit was answered, the portal does the job at its next start, once."""
    with running_portal(tmp_path) as portal:
        uid = portal.create(("n", "number"))
        lines = "".join(f"{n}\n" for n in range(20_000))
        blob = portal.ask("POST", f"/datasync/id/{uid}", data=f"n\n{lines}".encode()).json()["blobId"]
        body = {"filename": "n.csv", "relativeTo": None, "chunks": [blob], "control": control("Append")}
        job = portal.ask("POST", f"/datasync/id/{uid}/commit", json=body).json()["jobId"]
        portal.process.kill()
        portal.process.wait()
    with started(portal.file, portal.key_id, portal.key_secret) as again:
        assert ended(again, uid, job)[-1]["data"]["inserted"] == 20_000
        assert again.rows(uid, select="count(*) as n, count(distinct n) as m") == [
            {"n": "20000", "m": "20000"}
        ]


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, lzma.compress])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5000])
def test_a_patch_gives_the_file_back(pack: Any, size: int) -> None:
    """Whatever the length and the compression."""
    content = bytes(n % 251 for n in range(size))
    suffix = {"compress": ".gz" if pack is gzip.compress else ".xz"}.get(pack.__name__, "")
    assert read_upload(pack(patch(content)), f"a.tsv.sdiff{suffix}") == (content, "a.tsv")


def test_a_broken_patch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short, changed, against an earlier file, of another checksum, too large, or not compressed at all."""
    whole = patch(b"abc" * 50)
    earlier = b"\x03MD5" + varint(64) + b"\x00\x01\xff" + bytes(16)
    broken = [
        whole[:-1],
        whole[:30],
        whole.replace(b"abc", b"abd", 1),
        earlier,
        b"\x03XYZ" + whole[4:],
        b"",
        b"\x03",
    ]
    broken += [b"\x03MD5" + varint(0), b"\x03MD5\x40\x07", b"\x03MD5" + b"\xff" * 6, b"\x03MD5\x40\x01\x41"]
    for one in broken:
        with pytest.raises(BrokenPatchError):
            apply_patch(one)
    with pytest.raises(BrokenPatchError):
        read_upload(b"plain", "a.csv.gz")
    monkeypatch.setattr(patches, "FILE_LIMIT_BYTES", 100)
    with pytest.raises(BrokenPatchError):
        read_upload(gzip.compress(bytes(200)), "a.csv.gz")


def test_keys_that_are_left_out_of_account_stand_in_the_log(portal: Running, towns: str) -> None:
    """Nothing of a control file is passed over in silence."""
    how = control("Upsert", columnStatistics=True)
    log = sync(portal, towns, b"town\nLyme\n", how)
    assert {"type": "left-out-of-account", "data": {"keys": ["columnStatistics"]}} in log
    assert read_control(how).unknown == ("columnStatistics",)


def test_a_file_of_tabs(portal: Running, towns: str) -> None:
    """Its name says so, and the control file's `tsv` is the one that counts."""
    blob = portal.ask("POST", f"/datasync/id/{towns}", data=b"town\tyear\nLyme\t9\n").json()["blobId"]
    how = {"action": "Upsert", "tsv": {"encoding": "utf-8"}}
    body = {"filename": "a.tsv", "relativeTo": None, "chunks": [blob], "control": how}
    job = portal.ask("POST", f"/datasync/id/{towns}/commit", json=body).json()["jobId"]
    assert ended(portal, towns, job)[-1]["data"]["inserted"] == 1
