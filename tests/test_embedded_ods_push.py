"""The embedded portal's realtime push, as the vendor's guide describes it, over the wire."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from ods_fixture import EXPLORE, Ods, realtime
from portal_fixture import Running, running_portal, started

BOOKS = {"isbn": "978-0060589462", "number_of_copies": 3}
ZEN = {"isbn": "978-0060589462", "number_of_copies": 2}
OTHER = {"isbn": "978-2862744506", "number_of_copies": 5}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module; each test has a dataset of its own."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A portal that a test may end."""
    with running_portal(tmp_path) as running:
        yield running


def test_one_record_and_many(portal: Running) -> None:
    """An object is one record, an array many; the answer to both is the guide's."""
    data = realtime(portal, {"message": "bootstrap"})
    answers = [
        data.push({"message": "Hello World!"}),
        data.push([{"message": "¡Hola!"}, {"message": "Hallo"}]),
    ]
    assert [(200, {"status": "OK"})] * 2 == [(one.status_code, one.json()) for one in answers]
    assert ["Hello World!", "¡Hola!", "Hallo"] == [one["message"] for one in data.records()]


def test_a_body_without_a_json_content_type_is_read(portal: Running) -> None:
    """The guide's curl sends -d without a header, so the type says form and the body is JSON."""
    data = realtime(portal, {"message": "bootstrap"})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(portal.url + data.push_path, data='{"message":"x"}', headers=headers, timeout=60)
    assert 200 == answer.status_code
    assert [{"message": "x"}] == data.records()


def test_a_record_with_a_known_unique_id_is_overwritten_whole(portal: Running) -> None:
    """The guide's library: the same isbn leaves two books; what the later record does not name is empty."""
    data = realtime(portal, BOOKS, "isbn")
    data.push([BOOKS, OTHER])
    data.push(ZEN)
    assert sorted([ZEN, OTHER], key=str) == sorted(data.records(), key=str)
    data.push({"isbn": OTHER["isbn"]})
    assert {"isbn": OTHER["isbn"], "number_of_copies": None} in data.records()


def test_two_fields_make_one_id(portal: Running) -> None:
    """A compound key keeps apart what differs in one of its fields."""
    data = realtime(portal, {"town": "a", "year": 1, "n": 1}, "town", "year")
    data.push([{"town": "Derby", "year": year, "n": 1} for year in (1, 2)])
    data.push({"town": "Derby", "year": 2, "n": 7})
    assert [(1, 1), (2, 7)] == sorted((one["year"], one["n"]) for one in data.records())


def test_without_a_unique_id_the_same_row_is_one_record_and_a_changed_one_another(portal: Running) -> None:
    """All fields together are the id, so that an update leaves a ghost behind."""
    data = realtime(portal, BOOKS)
    data.push([BOOKS, BOOKS])
    assert [BOOKS] == data.records()
    data.push(ZEN)
    assert 2 == len(data.records())


def test_a_delete_by_values_needs_only_the_id_fields(portal: Running) -> None:
    """With a unique id the other fields do not matter; what is not there is deleted with the same answer."""
    data = realtime(portal, BOOKS, "isbn")
    data.push([BOOKS, OTHER])
    answers = [data.push({"isbn": BOOKS["isbn"]}, "delete") for _ in range(2)]
    assert [(200, {"status": "OK"})] * 2 == [(one.status_code, one.json()) for one in answers]
    assert [OTHER] == data.records()


def test_a_delete_without_an_id_needs_every_value_as_it_was_written(portal: Running) -> None:
    """A day written with a time is another fingerprint than the day alone, though both are shown alike."""
    data = realtime(portal, {"day": "2024-01-01", "n": 1})
    data.push({"day": "2024-01-02", "n": 1})
    data.push({"day": "2024-01-02T00:00:00", "n": 1}, "delete")
    assert [{"day": "2024-01-02", "n": 1}] == data.records()
    data.push({"day": "2024-01-02", "n": 1}, "delete")
    assert [] == data.records()


def test_a_delete_by_record_id_is_a_get(portal: Running) -> None:
    """The id is 40 hexadecimal digits, as explore shows it; HEAD on the same address changes nothing."""
    data = realtime(portal, BOOKS, "isbn")
    data.push([BOOKS, OTHER])
    address = data.push_path.replace("/push/?", "/{}/delete/?")
    ids = [_id(data, one) for one in (BOOKS, OTHER)]
    assert 405 == requests.head(portal.url + address.format(ids[0]), timeout=60).status_code
    answer = requests.get(portal.url + address.format(ids[0]), timeout=60)
    assert (200, {"status": "OK"}) == (answer.status_code, answer.json())
    assert [OTHER] == data.records()


def _id(data: Ods, record: dict[str, Any]) -> str:
    """The id of a record: the one under which explore has it."""
    made = hashlib.sha1(json.dumps([record["isbn"]]).encode()).hexdigest()
    shown = data.portal.ask("GET", f"{EXPLORE}/{data.dataset_id}/records/{made}").json()
    assert made == shown["_id"]
    return made


def test_a_file_is_pushed_as_base64_and_read_back_as_it_was(portal: Running) -> None:
    """The record holds an address of the file; the bytes and their MIME type are the same."""
    body = bytes(range(256))
    sent = {"content": base64.b64encode(body).decode(), "content-type": "image/jpg"}
    data = realtime(portal, {"name": "a", "photo": sent})
    assert 200 == data.push({"name": "bridge", "photo": sent}).status_code
    photo = data.records()[0]["photo"]
    answer = requests.get(photo["url"], timeout=60)
    assert (body, "image/jpg", "image/jpg") == (
        answer.content, answer.headers["Content-Type"], photo["mimetype"],
    )  # fmt: skip


def test_a_payload_over_5_mb_is_413_and_adds_nothing(portal: Running) -> None:
    """The limit counts bytes of the body; a body at the limit is taken."""
    data = realtime(portal, {"message": "a"})
    head, tail = b'{"message":"', b'"}'
    body = head + b"x" * (5_000_000 - len(head) - len(tail)) + tail
    assert 200 == requests.post(portal.url + data.push_path, data=body, timeout=60).status_code
    answer = requests.post(portal.url + data.push_path, data=body + b" ", timeout=60)
    assert (413, ["error"]) == (answer.status_code, list(answer.json()))
    assert 1 == len(data.records(select="count(*) as n"))


def test_a_wrong_key_is_401_and_an_unknown_resource_404(portal: Running) -> None:
    """The body says so without the key."""
    data = realtime(portal, BOOKS)
    wrong = data.push_path.partition("=")[0] + "=" + "0" * 56
    answer = requests.post(portal.url + wrong, json=BOOKS, timeout=60)
    assert (401, {"error": "Push key is not valid"}) == (answer.status_code, answer.json())
    elsewhere = data.push_path.replace("/realtime/", "/realtime7/")
    assert 404 == requests.post(portal.url + elsewhere, json=BOOKS, timeout=60).status_code
    assert [] == data.records()


def test_a_missing_slash_is_301_and_another_method_405(portal: Running) -> None:
    """A client that follows the redirect sends GET, and is told 405: the mistake shows."""
    data = realtime(portal, BOOKS)
    url = portal.url + data.push_path.replace("/push/?", "/push?")
    answer = requests.post(url, json=BOOKS, timeout=60, allow_redirects=False)
    assert (301, data.push_path) == (answer.status_code, answer.headers["Location"])
    followed = requests.post(url, json=BOOKS, timeout=60)
    assert (405, "GET") == (followed.status_code, followed.request.method)
    assert [] == data.records()


def test_a_disabled_push_adds_nothing_and_keeps_what_is_there(portal: Running) -> None:
    """An error is sent; enabling it again takes records as before."""
    data = realtime(portal, BOOKS)
    data.push(BOOKS)
    assert data.ask("POST", f"resources/{data.resource}/disable/").json()["is_enabled"] is False
    answer = data.push(OTHER)
    assert (403, {"error": "Realtime push is disabled for this resource"}) == (
        answer.status_code,
        answer.json(),
    )
    assert [BOOKS] == data.records()
    data.ask("POST", f"resources/{data.resource}/enable/")
    assert 200 == data.push(OTHER).status_code


def test_a_renewed_key_ends_the_old_push_url(portal: Running) -> None:
    """The new URL is told once, and differs in its key alone."""
    data = realtime(portal, BOOKS)
    shown = data.ask("POST", f"resources/{data.resource}/renew_api_key/").json()
    assert 401 == data.push(BOOKS).status_code
    assert data.push_path.partition("=")[0] == shown["push_url"].partition("=")[0]
    assert 200 == requests.post(portal.url + shown["push_url"], json=BOOKS, timeout=60).status_code
    assert "pushkey" not in json.dumps(data.ask("GET", f"resources/{data.resource}/").json())


def test_recover_brings_back_what_unpublishing_lost(portal: Running) -> None:
    """A dataset published anew is empty; recovery brings every record that was not deleted."""
    data = realtime(portal, BOOKS, "isbn")
    data.push([BOOKS, OTHER])
    data.push(ZEN)
    data.push({"isbn": OTHER["isbn"]}, "delete")
    data.unpublish()
    address = f"resources/{data.resource}/recover/"
    refused = data.ask("POST", address)
    assert (400, "invalid_dataset_status") == (refused.status_code, refused.json()["error_code"])
    data.publish()
    assert [] == data.records()
    assert 200 == data.ask("POST", address).status_code
    assert [ZEN] == data.records()


def test_a_deleted_backup_brings_nothing_back(portal: Running) -> None:
    """delete_recover_data leaves the records that are there."""
    data = realtime(portal, BOOKS)
    data.push(BOOKS)
    assert 200 == data.ask("POST", f"resources/{data.resource}/delete_recover_data/").status_code
    assert [BOOKS] == data.records()
    data.unpublish()
    data.publish()
    data.ask("POST", f"resources/{data.resource}/recover/")
    assert [] == data.records()


def test_a_push_to_an_unpublished_dataset_is_refused(portal: Running) -> None:
    """The guide expects data after publication."""
    data = realtime(portal, BOOKS, published=False)
    answer = data.push(BOOKS)
    assert (400, {"error": "The dataset is not published."}) == (answer.status_code, answer.json())


def test_values_of_the_wrong_type_are_told_by_the_status_and_never_quoted(portal: Running) -> None:
    """The push is answered OK; a fraction is cut off, a day with slashes is read day first."""
    data = realtime(portal, {"n": 1, "day": "2024-01-01", "at": "2024-01-01T00:00:00Z"})
    sent = {"n": 3.9, "day": "03/04/2024", "at": "2024-03-04T05:06:07-05:00"}
    assert 200 == data.push([sent, {"n": "secret-cell", "day": "2024-02-30"}]).status_code
    first, second = data.records()
    assert {"n": 3, "day": "2024-04-03", "at": "2024-03-04T10:06:07+00:00"} == first
    assert {"n": None, "day": None, "at": None} == second
    status = data.status()
    assert ["n", "day"] == [one["field_uid"] for one in status["records_errors"]]
    assert "secret-cell" not in json.dumps(status) + portal.log.read_text()


def test_keys_that_no_field_has_are_left_out_and_noted(portal: Running) -> None:
    """They are named by their record, never by the key, which may be a cell."""
    data = realtime(portal, BOOKS)
    assert 200 == data.push({**BOOKS, "secret-cell": 1}).status_code
    assert [BOOKS] == data.records()
    assert ["The record has a field that the dataset does not have; it was left out."] == [
        one["message"] for one in data.status()["records_errors"]
    ]


def test_a_strict_portal_refuses_keys_that_no_field_has(tmp_path: Path) -> None:
    """Nothing of the request is added."""
    with running_portal(tmp_path, "--strict-push") as portal:
        data = realtime(portal, BOOKS)
        assert 400 == data.push([BOOKS, {**OTHER, "extra": 1}]).status_code
        assert [] == data.records()


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b'"x"', b'{"message": NaN}', b'{"message": "\\ud800"}', b"\xff"]
)
def test_a_body_that_is_no_record_is_400_in_the_envelope_of_push(portal: Running, body: bytes) -> None:
    """One error key; nothing of the body comes back."""
    data = realtime(portal, {"message": "a"})
    answer = requests.post(portal.url + data.push_path, data=body, timeout=60)
    assert (400, ["error"]) == (answer.status_code, list(answer.json()))
    assert [] == data.records()


def test_inactivity_is_told_by_the_resource_and_the_status(own: Running) -> None:
    """The threshold is in minutes; a resource that just received records is not inactive."""
    data = realtime(own, BOOKS, alerting={"inactivity_minutes": 5})
    data.push(BOOKS)
    told = data.status()["params"]["inactivity"]
    assert [(data.resource, 5, False)] == [
        (one["resource_uid"], one["inactivity_minutes"], one["is_inactive"]) for one in told
    ]
    shown = data.ask("GET", f"resources/{data.resource}/").json()["alerting"]
    assert told[0]["last_received_at"] == shown["last_received_at"]
    own.process.terminate()
    own.process.wait(30)
    with contextlib.closing(sqlite3.connect(own.file, isolation_level=None)) as file:
        file.execute("UPDATE ods_resources SET last_push = 0")
    with started(own.file, own.key_id, own.key_secret) as again:
        later = Ods(again, data.uid, data.dataset_id, data.resource, data.push_path)
        assert [True] == [one["is_inactive"] for one in later.status()["params"]["inactivity"]]


def test_what_was_acknowledged_is_there_after_a_kill(own: Running) -> None:
    """A push is on the disk before its answer."""
    data = realtime(own, BOOKS, "isbn")
    data.push([BOOKS, OTHER])
    own.process.kill()
    own.process.wait()
    with started(own.file, own.key_id, own.key_secret) as again:
        later = Ods(again, data.uid, data.dataset_id, data.resource, data.push_path)
        assert [BOOKS, OTHER] == later.records()
        assert 200 == later.push(ZEN).status_code


def test_no_answer_or_log_line_has_the_push_key_or_the_other_dialect(portal: Running) -> None:
    """The log shows the form of the address; Socrata's headers are not sent."""
    data = realtime(portal, BOOKS)
    answer = data.push(BOOKS)
    assert data.push_path.partition("=")[2] not in portal.log.read_text()
    assert [] == [name for name in answer.headers if "socrata" in name.lower() or "soda" in name.lower()]
