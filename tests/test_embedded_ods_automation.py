"""The embedded portal's automation interface: datasets, files, states, configuration, keys and readers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from ods_fixture import AUTOMATION, EXPLORE, Ods, dataset, realtime
from portal_fixture import Running, running_portal, started

from ctnb.embedded.accounts import add_account
from ctnb.embedded.ods_keys import add_api_key

ROWS = "town;zip;people\nDerby;06418;12325\nAnsonia;06401;18918\n"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module; each test has a dataset of its own."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


def upload(data: Ods, text: str, name: str = "rows.csv") -> str:
    """The uid of an uploaded file."""
    answer = data.ask("POST", "resources/files/", files={"file": (name, text.encode(), "text/csv")})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uid"])


def source(data: Ods, text: str, **params: Any) -> str:
    """The uid of a new csvfile resource."""
    file = {"type": "uploaded_file", "file": {"uid": upload(data, text)}}
    body = {"type": "csvfile", "title": "rows", "params": {"separator": ";", **params}, "datasource": file}
    answer = data.ask("POST", "resources/", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uid"])


def replace(data: Ods, resource: str, text: str) -> None:
    """Put another file in the place of a resource's."""
    file = {"type": "uploaded_file", "file": {"uid": upload(data, text)}}
    assert data.ask("PUT", f"resources/{resource}/", json={"datasource": file}).status_code == 200


def code(answer: requests.Response) -> tuple[int, str]:
    """The status and the error code of an answer."""
    return answer.status_code, str(answer.json().get("error_code"))


def test_a_file_is_uploaded_published_and_read(portal: Running) -> None:
    """Upload, resource, publish, status: the rows are there, a ZIP that starts with 0 as text."""
    data = dataset(portal)
    source(data, ROWS)
    status = data.publish()
    assert ("idle", "processing", True, []) == (
        status["status"], status["previous"], status["is_published"], status["records_errors"],
    )  # fmt: skip
    expected = [
        {"town": "Derby", "zip": "06418", "people": 12325},
        {"town": "Ansonia", "zip": "06401", "people": 18918},
    ]
    assert expected == data.records()


@pytest.mark.parametrize("prefix", ["/api/automation/v1.0", "/api/automation/1.0"])
def test_both_prefixes_and_the_missing_slash_of_publish(portal: Running, prefix: str) -> None:
    """The guide prints 1.0 and no slash, the vendor's OpenAPI file v1.0 and a slash."""
    data = dataset(portal)
    source(data, ROWS)
    for action in ("publish", "unpublish/", "publish/", "unpublish"):
        answer = portal.ask("POST", f"{prefix}/datasets/{data.uid}/{action}")
        assert (200, {"detail": "ok"}) == (answer.status_code, answer.json())
        data.wait()
    assert (200, 301, 405) == (
        portal.ask("GET", f"{prefix}/datasets/{data.uid}/status").status_code,
        portal.ask("POST", f"{prefix}/datasets/{data.uid}/copy", allow_redirects=False).status_code,
        portal.ask("POST", f"{prefix}/datasets/{data.uid}/status/").status_code,
    )


def test_a_dataset_is_found_by_its_id(portal: Running) -> None:
    """The list has the vendor's form; limit 0 counts, over 1000 is refused."""
    data = dataset(portal)
    found = portal.ask("GET", f"{AUTOMATION}/datasets/", params={"dataset_id": data.dataset_id}).json()
    assert (1, None, None) == (found["total_count"], found["next"], found["previous"])
    one = found["results"][0]
    assert (data.uid, False, False) == (one["uid"], one["is_published"], one["is_restricted"])
    assert {"value": data.dataset_id.replace("-", " ").title(), "remote_value": None,
            "override_remote_value": None} == one["metadata"]["default"]["title"]  # fmt: skip
    assert [] == portal.ask("GET", f"{AUTOMATION}/datasets/", params={"limit": 0}).json()["results"]
    assert (400, "validation_error") == code(portal.ask("GET", f"{AUTOMATION}/datasets/?limit=1001"))
    pages = portal.ask("GET", f"{AUTOMATION}/datasets/?limit=1").json()
    assert requests.get(pages["next"], auth=portal.auth, timeout=60).json()["results"] != pages["results"]


def test_what_is_wrong_is_told_in_the_envelope_of_automation(portal: Running) -> None:
    """validation_error with its fields, not_found, a taken identifier, no credentials, a bad key."""
    missing = portal.ask("POST", f"{AUTOMATION}/datasets/", json={"dataset_id": "x"})
    assert (400, "validation_error", ["metadata"]) == (*code(missing), list(missing.json()["detail"]))
    data = dataset(portal)
    title = {"default": {"title": {"value": "t"}}}
    taken = portal.ask(
        "POST", f"{AUTOMATION}/datasets/", json={"dataset_id": data.dataset_id, "metadata": title}
    )
    assert (400, ["dataset_id"]) == (taken.status_code, list(taken.json()["detail"]))
    assert (404, "not_found") == code(portal.ask("GET", f"{AUTOMATION}/datasets/da_nothing/"))
    assert (404, "not_found") == code(portal.ask("GET", f"{AUTOMATION}/nothing/"))
    assert (401, "not_authenticated") == code(portal.ask("GET", f"{AUTOMATION}/datasets/", signed=False))
    bad = portal.ask("GET", f"{AUTOMATION}/datasets/?apikey=abc", signed=False)
    assert (401, {"error": "API key is not valid"}) == (bad.status_code, bad.json())
    assert (400, "parse_error") == code(data.ask("POST", "fields/", data=b"{"))


def test_a_busy_dataset_takes_no_second_publish_and_can_be_aborted(tmp_path: Path) -> None:
    """400 invalid_dataset_status names the states that are allowed; the abort leaves it at rest."""
    with running_portal(tmp_path, "--processing-s", "3") as portal:
        data = dataset(portal)
        source(data, ROWS)
        assert 200 == data.ask("POST", "publish/").status_code
        second = data.ask("POST", "publish/")
        assert (400, "invalid_dataset_status") == code(second)
        assert "must be one of 'idle, error, limit_reached'" in second.json()["message"]
        assert (400, "invalid_dataset_status") == code(data.ask("DELETE", ""))
        old = portal.ask("PUT", f"/api/management/v2/datasets/{data.uid}/publish")
        assert (400, "InvalidDatasetStatusPreconditionException") == (
            old.status_code,
            old.json()["error_key"],
        )
        assert data.status()["status"] in ("queued", "processing")
        assert 200 == data.ask("POST", "abort/").status_code
        assert "aborting_processing" == data.status()["status"]
        assert "idle" == data.wait()["status"]


def test_a_kill_while_publishing_is_taken_up_again(tmp_path: Path) -> None:
    """The next start publishes what was queued; until then the old rows stand."""
    with running_portal(tmp_path, "--processing-s", "300") as portal:
        data = dataset(portal)
        source(data, ROWS)
        data.ask("POST", "publish/")
        portal.process.kill()
        portal.process.wait()
        with started(portal.file, portal.key_id, portal.key_secret) as again:
            later = Ods(again, data.uid, data.dataset_id)
            assert "idle" == later.wait()["status"]
            assert 2 == len(later.records())


def test_readers_see_the_old_rows_or_the_new_ones(portal: Running) -> None:
    """A file is replaced while others read: never a count between, nothing missing."""
    data = dataset(portal)
    resource = source(data, "n\n" + "\n".join(str(one) for one in range(3_000)))
    data.publish()
    replace(data, resource, "n\n" + "\n".join(str(one) for one in range(7_000)))
    seen: set[int] = set()
    ended = threading.Event()

    def read() -> None:
        address = f"{portal.url}{EXPLORE}/{data.dataset_id}/records"
        while not ended.is_set():
            seen.add(requests.get(address, params={"limit": 1}, timeout=60).json()["total_count"])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        data.publish()
    finally:
        ended.set()
        reader.join()
    assert seen <= {3_000, 7_000}
    assert 7_000 == data.records(select="count(*) as n")[0]["n"]


def test_a_file_that_cannot_be_read_leaves_the_old_rows(portal: Running) -> None:
    """The status is error and says why; a publish of a file that can be read mends it."""
    data = dataset(portal)
    resource = source(data, ROWS)
    data.publish()
    replace(data, resource, "town;zip;people\nDerby;06418;1;secret-cell\n")
    status = data.publish()
    assert ("error", True) == (status["status"], status["is_published"])
    assert "more cells than its header" in status["message"]
    assert "secret-cell" not in json.dumps(status)
    assert 2 == len(data.records())
    replace(data, resource, ROWS)
    assert "idle" == data.publish()["status"]


def test_values_of_the_wrong_type_are_records_errors_after_a_publish(portal: Running) -> None:
    """They are left empty, counted in the message, and listed by field."""
    data = dataset(portal)
    source(data, "town;people\nDerby;many\nAnsonia;3.7\n")
    data.type("people", "int")
    status = data.publish()
    assert ["people"] == [one["field_uid"] for one in status["records_errors"]]
    assert "left empty: 1" in status["message"]
    assert [None, 3] == [one["people"] for one in data.records()]


def test_identical_rows_of_a_file_are_one_record(portal: Running) -> None:
    """Without a unique id all fields are the id."""
    data = dataset(portal)
    source(data, "a;b\n1;2\n1;2\n1;3\n")
    data.publish()
    assert 2 == len(data.records())


def test_a_plan_with_a_limit_of_records_ends_in_limit_reached(tmp_path: Path) -> None:
    """The records up to the limit are published."""
    with running_portal(tmp_path, "--records-limit", "3") as portal:
        data = dataset(portal)
        source(data, "n\n1\n2\n3\n4\n")
        assert "limit_reached" == data.publish()["status"]
        assert [1, 2, 3] == [one["n"] for one in data.records()]


def test_fields_are_renamed_typed_described_annotated_ordered_and_deleted(portal: Running) -> None:
    """The steps apply in their order at the next publish; explore shows the result."""
    data = dataset(portal)
    source(data, "Town Name;Zip;People;Day\nDerby;06418;3;2024-01-02\n")
    steps = [
        {"type": "rename", "from_name": "town_name", "to_name": "town", "field_label": "Town"},
        {"type": "type", "field": "people", "type_param": "double"},
        {"type": "description", "field": "town", "description": "Name of the town"},
        {"type": "annotate", "annotation": "id", "field": "town", "args": []},
        {"type": "annotate", "annotation": "unit", "field": "people", "args": ["persons"]},
        {"type": "order", "args": ["day", "town"]},
        {"type": "delete", "field": "zip"},
    ]
    made = [data.ask("POST", "fields/", json=step).json() for step in steps]
    assert steps == [{key: value for key, value in one.items() if key != "uid"} for one in made]
    data.publish()
    fields = portal.ask("GET", f"{EXPLORE}/{data.dataset_id}").json()["fields"]
    assert [("day", "date"), ("town", "text"), ("people", "double")] == [
        (f["name"], f["type"]) for f in fields
    ]
    assert ("Town", "Name of the town", {"id": True}) == (
        fields[1]["label"], fields[1]["description"], fields[1]["annotations"],
    )  # fmt: skip
    assert {"unit": "persons"} == fields[2]["annotations"]
    assert 204 == data.ask("DELETE", f"fields/{made[-1]['uid']}/").status_code
    data.publish()
    assert "06418" == data.records()[0]["zip"]


def test_a_step_for_a_field_that_is_not_there_is_told(portal: Running) -> None:
    """Publishing goes on without it; wrong steps are refused when they are given."""
    data = dataset(portal)
    source(data, ROWS)
    data.type("peeple", "int")
    assert "names the field 'peeple'" in data.publish()["message"]
    for wrong in ({"type": "type", "field": "zip", "type_param": "money"}, {"type": "rename"}, {"type": "x"}):
        assert (400, "validation_error") == code(data.ask("POST", "fields/", json=wrong))


def test_pushed_records_stay_when_the_dataset_is_published_again(portal: Running) -> None:
    """They are read anew by the changed fields, their id included."""
    data = realtime(portal, {"a": 1, "b": 2})
    data.push([{"a": 1, "b": 1}, {"a": 1, "b": 2}])
    data.annotate("a")
    data.type("b", "text")
    data.publish()
    assert [{"a": 1, "b": "2"}] == data.records()


def test_metadata_by_template_and_field(portal: Running) -> None:
    """A field is put, shown after publish_metadata, and deleted; a template is replaced whole."""
    data = dataset(portal)
    source(data, ROWS)
    data.publish()
    put = data.ask("PUT", "metadata/default/description/", json={"value": "Towns of the valley"})
    assert (200, "Towns of the valley") == (put.status_code, put.json()["value"])

    def shown() -> Any:
        return portal.ask("GET", f"{EXPLORE}/{data.dataset_id}").json()["metas"]["default"]["description"]

    assert shown() is None
    assert 200 == data.ask("POST", "publish_metadata/").status_code
    assert "Towns of the valley" == shown()
    whole = {"title": {"value": "Towns"}, "keyword": {"value": ["town", "zip"]}}
    assert ["keyword", "title"] == sorted(data.ask("PUT", "metadata/default/", json=whole).json())
    assert ["keyword", "title"] == sorted(data.ask("GET", "metadata/").json()["default"])
    assert 204 == data.ask("DELETE", "metadata/default/keyword/").status_code
    assert ["title"] == list(data.ask("GET", "metadata/default/").json())
    assert (404, "not_found") == code(data.ask("PUT", "metadata/default/nothing/", json={"value": 1}))
    assert (404, "not_found") == code(data.ask("GET", "metadata/nothing/"))
    path = f"{AUTOMATION}/metadata/templates/internal/fields/license_id/suggest/"
    assert "CC0 1.0" in [one["label"] for one in portal.ask("GET", path).json()["results"]]


def test_a_schedule_runs_at_most_once_a_day(portal: Running) -> None:
    """Five fields of cron, kept and told; an hourly one is refused, as the vendor's plan does."""
    data = dataset(portal)
    made = data.ask("POST", "schedules/", json={"cron_schedule": "30 6 * * 1-5"})
    assert (201, "30 6 * * 1-5") == (made.status_code, made.json()["cron_schedule"])
    assert made.json()["uid"].startswith("sc_")
    for wrong in ("0 * * * *", "*/5 6 * * *", "0 6,18 * * *", "61 6 * * *", "0 6 * *", "x 6 * * *", None):
        assert (400, "validation_error") == code(
            data.ask("POST", "schedules/", json={"cron_schedule": wrong})
        )
    assert 204 == data.ask("DELETE", f"schedules/{made.json()['uid']}/").status_code
    assert 0 == data.ask("GET", "schedules/").json()["total_count"]


def test_a_copy_has_the_configuration_and_no_records(portal: Running) -> None:
    """It is a dataset of its own, unpublished, with its own file."""
    data = dataset(portal)
    source(data, ROWS)
    data.type("people", "text")
    data.publish()
    made = data.ask("POST", "copy/")
    assert (201, False) == (made.status_code, made.json()["is_published"])
    copy = Ods(portal, made.json()["uid"], made.json()["dataset_id"])
    data.ask("DELETE", "")
    copy.publish()
    assert ["12325", "18918"] == [one["people"] for one in copy.records()]


def test_the_last_twenty_versions_are_kept_and_one_is_restored(portal: Running) -> None:
    """A restore brings back the configuration of before that change; publishing shows it."""
    data = dataset(portal)
    source(data, ROWS)
    data.type("people", "text")
    for number in range(25):
        data.ask("PUT", "metadata/default/description/", json={"value": f"version {number}"})
    versions = data.ask("GET", "versions/?limit=100").json()
    assert (20, ["metadata"]) == (versions["total_count"], versions["results"][0]["sections"])
    third = versions["results"][2]["uid"]
    assert 200 == data.ask("POST", f"versions/{third}/restore/").status_code
    assert "version 21" == data.ask("GET", "metadata/default/description/").json()["value"]


def test_an_attachment_is_kept_and_downloaded(portal: Running) -> None:
    """Explore lists it for everybody who may read the dataset."""
    data = dataset(portal)
    source(data, ROWS)
    data.publish()
    made = data.ask(
        "POST", "attachments/", files={"file": ("notes.txt", b"how it was counted", "text/plain")}
    )
    assert (201, "notes.txt", "text/plain") == (
        made.status_code, made.json()["filename"], made.json()["mimetype"],
    )  # fmt: skip
    listed = portal.ask("GET", f"{EXPLORE}/{data.dataset_id}/attachments", signed=False).json()["attachments"]
    assert b"how it was counted" == requests.get(listed[0]["url"], timeout=60).content
    assert 204 == data.ask("DELETE", f"attachments/{made.json()['uid']}/").status_code
    assert 0 == data.ask("GET", "attachments/").json()["total_count"]


def http(url: str, path: str, **more: Any) -> dict[str, Any]:
    """A csvfile resource that is read by HTTP."""
    connection = {"type": "http", "url": url, "auth": None}
    source = {"type": "http", "connection": connection, "headers": [], "relative_url": path, **more}
    return {"type": "csvfile", "title": "rows", "params": {}, "datasource": source}


def test_nothing_is_fetched_for_a_caller(portal: Running) -> None:
    """A resource by HTTP is refused with the reason."""
    data = dataset(portal)
    answer = data.ask("POST", "resources/", json=http("http://127.0.0.1:1", "/rows.csv"))
    assert (400, "validation_error", ["datasource"]) == (*code(answer), list(answer.json()["detail"]))
    assert "--fetch" in answer.json()["detail"]["datasource"][0]


def test_a_url_is_read_at_each_publish_where_the_portal_may(tmp_path: Path, portal: Running) -> None:
    """What the URL answers then is published; one that answers otherwise leaves the old rows and no secret."""
    shown = dataset(portal)
    resource = source(shown, "town,n\nDerby,1\n", separator=",")
    shown.publish()
    with running_portal(tmp_path, "--fetch") as fetching:
        data = dataset(fetching)
        path = f"{EXPLORE}/{shown.dataset_id}/exports/csv?delimiter=,"
        made = data.ask("POST", "resources/", json=http(portal.url, path))
        assert 201 == made.status_code, made.text
        data.publish()
        assert [{"town": "Derby", "n": 1}] == data.records()
        replace(shown, resource, "town,n\nDerby,2\n")
        shown.publish()
        data.publish()
        assert [{"town": "Derby", "n": 2}] == data.records()
        shown.unpublish()
        assert ("error", "The URL answered with status 404.") == (
            data.publish()["status"], data.status()["message"],
        )  # fmt: skip
        assert [{"town": "Derby", "n": 2}] == data.records()
        secret = http(portal.url, path, headers=[{"name": "Authorization", "value": "secret"}])
        assert (400, "validation_error") == code(data.ask("POST", "resources/", json=secret))


def test_a_key_does_what_its_permissions_say(portal: Running) -> None:
    """A key that publishes cannot edit; it cannot make a stronger one; revoked, it opens nothing."""
    data = dataset(portal)
    source(data, ROWS)
    wanted = {"label": "publisher", "permissions": ["publish_dataset"]}
    made = portal.ask("POST", f"{AUTOMATION}/apikeys/", json=wanted).json()
    assert ("publisher", ["publish_dataset"], 56) == (made["label"], made["permissions"], len(made["key"]))
    headers = {"Authorization": f"Apikey {made['key']}"}

    def ask(method: str, path: str, **options: Any) -> requests.Response:
        return portal.ask(method, AUTOMATION + path, signed=False, headers=headers, **options)

    assert 200 == ask("POST", f"/datasets/{data.uid}/publish/").status_code
    data.wait()
    assert (403, "permission_denied") == code(ask("PUT", f"/datasets/{data.uid}/", json={}))
    assert (400, "validation_error") == code(ask("POST", "/apikeys/", json={"permissions": ["edit_dataset"]}))
    listed = portal.ask("GET", f"{AUTOMATION}/apikeys/?limit=1000").json()["results"]
    assert made["uid"] in [one["uid"] for one in listed]
    assert [] == [one for one in listed if "key" in one]
    assert made["key"] not in portal.log.read_text()
    revoked = portal.ask(
        "POST", f"{AUTOMATION}/apikeys/{made['uid']}/revoke/", json={"reason": "lost"}
    ).json()
    assert (True, "lost") == (revoked["is_revoked"], revoked["revocation_status"]["reason"])
    assert 401 == ask("POST", f"/datasets/{data.uid}/publish/").status_code


def test_a_key_made_offline_and_given_in_the_query(portal: Running) -> None:
    """add_api_key gives every permission unless some are named; search_key finds it."""
    key = add_api_key(portal.file, portal.key_id)
    answer = portal.ask(
        "POST", f"{AUTOMATION}/apikeys/search_key/?apikey={key}", json={"key": key}, signed=False
    )
    assert (200, False) == (answer.status_code, answer.json()["is_revoked"])


def test_a_restricted_dataset_is_read_by_those_it_names(portal: Running) -> None:
    """Anybody else is told 403 in explore's envelope, and does not find it in the catalogue."""
    data = dataset(portal, restricted=True)
    source(data, ROWS)
    data.publish()
    key_id, secret = add_account(portal.file, "Rae Reader", "viewer")
    path = f"{EXPLORE}/{data.dataset_id}/records"

    def reads() -> int:
        return requests.get(portal.url + path, auth=(key_id, secret), timeout=60).status_code

    anybody = portal.ask("GET", path, signed=False)
    assert (403, "ForbiddenAccess", 403) == (*code(anybody), reads())
    catalogue = portal.ask("GET", EXPLORE, signed=False, params={"limit": 100}).json()["results"]
    assert data.dataset_id not in [one["dataset_id"] for one in catalogue]
    username = requests.get(f"{portal.url}/api/users/current.json", auth=(key_id, secret), timeout=60).json()[
        "id"
    ]
    made = data.ask("POST", "security/users/", json={"user": {"username": username}})
    assert (201, 200) == (made.status_code, reads())
    partly = {"security": {"visible_fields": ["town"]}}
    assert (400, "validation_error") == code(data.ask("PUT", f"security/users/{username}/", json=partly))
    assert 204 == data.ask("DELETE", f"security/users/{username}/").status_code
    assert 403 == reads()


def test_metadata_may_be_open_while_records_are_not(portal: Running) -> None:
    """default_security hides the records alone; what the portal could not hold to is refused."""
    data = dataset(portal)
    source(data, ROWS)
    hidden = {"default_security": {"is_data_visible": False}}
    assert False is data.ask("PUT", "", json=hidden).json()["default_security"]["is_data_visible"]
    data.publish()
    shown = portal.ask("GET", f"{EXPLORE}/{data.dataset_id}", signed=False)
    assert (200, False) == (shown.status_code, shown.json()["data_visible"])
    for path in ("records", "exports/csv", "facets", f"records/{'0' * 40}"):
        answer = portal.ask("GET", f"{EXPLORE}/{data.dataset_id}/{path}", signed=False)
        assert (403, "ForbiddenAccess") == code(answer)
    assert 2 == len(data.records())
    partly = {"default_security": {"filter_query": "town='Derby'"}}
    assert (400, "validation_error") == code(data.ask("PUT", "", json=partly))


def test_management_v2_finds_publishes_and_tells(portal: Running) -> None:
    """The older interface that city code still calls."""
    data = dataset(portal)
    source(data, ROWS)
    base = "/api/management/v2/datasets/"
    found = portal.ask("GET", base, params={"where": f'datasetid="{data.dataset_id}"'}).json()["datasets"]
    assert [data.uid] == [one["dataset_uid"] for one in found]
    assert 200 == portal.ask("PUT", f"{base}{data.uid}/publish").status_code
    data.wait()
    told = portal.ask("GET", f"{base}{data.uid}/status").json()
    assert (True, "idle") == (told["published"], told["name"])
    assert 200 == portal.ask("PUT", f"{base}{data.uid}/unpublish").status_code
    data.wait()
    assert False is portal.ask("GET", f"{base}{data.uid}/status").json()["published"]


def test_a_deleted_dataset_leaves_nothing_in_the_file(tmp_path: Path) -> None:
    """Records, uploads and backups go with it; what was deleted is overwritten."""
    with running_portal(tmp_path) as portal:
        _fill_and_delete(portal)
    left = b"".join(file.read_bytes() for file in tmp_path.glob("portal.sqlite*"))
    assert (False, False) == (b"planted-in-a-file" in left, b"planted-in-a-push" in left)


def _fill_and_delete(portal: Running) -> None:
    data = realtime(portal, {"note": "a"})
    source(data, "note\nplanted-in-a-file\n")
    data.publish()
    data.push({"note": "planted-in-a-push"})
    assert 204 == data.ask("DELETE", "").status_code
    assert 404 == data.ask("GET", "").status_code


def test_the_identifier_changes_only_while_unpublished(portal: Running) -> None:
    """uid stays, and so does the old address of nothing."""
    data = dataset(portal)
    source(data, ROWS)
    renamed = data.ask("PUT", "", json={"dataset_id": f"{data.dataset_id}-new"}).json()
    assert (data.uid, f"{data.dataset_id}-new") == (renamed["uid"], renamed["dataset_id"])
    data.publish()
    assert (400, "validation_error") == code(data.ask("PUT", "", json={"dataset_id": "another"}))
