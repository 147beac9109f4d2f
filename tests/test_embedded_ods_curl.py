"""The curl lines of the vendor's guide "Keeping data up to date", run as they are printed there."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ods_fixture import Ods, realtime
from portal_fixture import Running, running_portal
from prerequisites import lacking

PUSH = "<WORKSPACE_URL>/api/push/1.0/<DATASET_ID>/<RESOURCE_ID>"
ONE = f"""curl -XPOST {PUSH}/push/?pushkey=<PUSH_API_KEY> -d'{{"message":"Hello World!"}}'"""
MANY = (
    f"curl -XPOST {PUSH}/push/?pushkey=<PUSH_API_KEY>"
    """ -d'[{"message":"¡Hola Mundo!"},{"message":"Hallo Welt!"}]'"""
)
DELETE = f"""curl -XPOST {PUSH}/delete/?pushkey=<PUSH_API_KEY> -d'{{"message":"Hello World!"}}'"""
DELETE_ONE = f"curl -XGET {PUSH}/<RECORD_ID>/delete/?pushkey=<PUSH_API_KEY>"
UNPUBLISH = (
    "curl -X POST <DOMAIN_URL>/api/automation/1.0/datasets/<DATASET_UID>/unpublish?pushkey=<PUSH_API_KEY>"
)
PUBLISH = "curl -X POST <DOMAIN_URL>/api/automation/1.0/datasets/<DATASET_UID>/publish?pushkey=<PUSH_API_KEY>"
FIND = "<DOMAIN_URL>/api/automation/1.0/datasets/?dataset_id=<DATASET_ID>"
HELLO, HOLA, HALLO = {"message": "Hello World!"}, {"message": "¡Hola Mundo!"}, {"message": "Hallo Welt!"}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for the module; each test has a dataset of its own."""
    if shutil.which("curl") is None:
        lacking("curl, which the guide's examples call")
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture
def data(portal: Running) -> Ods:
    """The guide's dataset, with a single field named message."""
    return realtime(portal, {"message": "bootstrap"})


def curl(data: Ods, line: str, *more: str, **names: str) -> Any:
    """The JSON that one of the guide's lines answers, its places filled in."""
    path, _, key = data.push_path.partition("?pushkey=")
    known = {
        "WORKSPACE_URL": data.portal.url,
        "DOMAIN_URL": data.portal.url,
        "DATASET_ID": data.dataset_id,
        "DATASET_UID": data.uid,
        "RESOURCE_ID": path.split("/")[5],
        "PUSH_API_KEY": key,
        **names,
    }
    for name, text in known.items():
        line = line.replace(f"<{name}>", text)
    command = [*shlex.split(line), "--silent", "--show-error", *more]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_one_record_is_pushed(data: Ods) -> None:
    """The answer is the guide's, and the record is there."""
    assert {"status": "OK"} == curl(data, ONE)
    assert [HELLO] == data.records()


def test_two_records_are_pushed(data: Ods) -> None:
    """Letters beyond ASCII arrive as they were written."""
    assert {"status": "OK"} == curl(data, MANY)
    assert [HOLA, HALLO] == data.records()


def test_a_record_is_deleted_by_its_values(data: Ods) -> None:
    """Only that one."""
    curl(data, ONE)
    curl(data, MANY)
    assert {"status": "OK"} == curl(data, DELETE)
    assert [HOLA, HALLO] == data.records()


def test_a_record_is_deleted_by_its_id(data: Ods) -> None:
    """The id is the one of the portal's record."""
    curl(data, MANY)
    address = f"/api/explore/v2.1/catalog/datasets/{data.dataset_id}/records"
    record = hashlib.sha1(json.dumps(["¡Hola Mundo!"], ensure_ascii=False).encode()).hexdigest()
    assert "¡Hola Mundo!" == data.portal.ask("GET", f"{address}/{record}").json()["message"]
    assert {"status": "OK"} == curl(data, DELETE_ONE, RECORD_ID=record)
    assert [HALLO] == data.records()


def test_a_dataset_is_emptied_by_unpublish_and_publish(data: Ods) -> None:
    """By push key, without the last slash, after the dataset's uid was found by its id."""
    curl(data, MANY)
    found = curl(data, f"curl {FIND}", "--user", ":".join(data.portal.auth))
    assert [data.uid] == [one["uid"] for one in found["results"]]
    assert found["results"] == curl(data, f"curl '{FIND}&pushkey=<PUSH_API_KEY>'")["results"]
    assert {"detail": "ok"} == curl(data, UNPUBLISH)
    assert "idle" == data.wait()["status"]
    assert {"detail": "ok"} == curl(data, PUBLISH)
    assert (True, []) == (data.wait()["is_published"], data.records())


def test_a_wrong_push_key_is_told(data: Ods) -> None:
    """For a push and for a publish; nothing changes."""
    assert {"error": "Push key is not valid"} == curl(data, ONE, PUSH_API_KEY="0" * 56)
    assert {"error": "API key is not valid"} == curl(data, UNPUBLISH, PUSH_API_KEY="0" * 56)
    assert (True, []) == (data.status()["is_published"], data.records())
