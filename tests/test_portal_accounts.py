"""`ctnb portal account`: accounts of the embedded portal, added, listed and removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result
from portal_fixture import started

from ctnb import settings
from ctnb.cli.main import cli
from ctnb.portals import local
from ctnb.projects import init

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project is the working folder."""
    init(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


def call(*arguments: str, given: str | None = None) -> Result:
    """One command of the group, in this process."""
    return CliRunner().invoke(cli, ["portal", "account", *arguments], input=given)


def test_an_account_is_added_listed_and_removed() -> None:
    """The secret is shown once, and signs in at the running portal; the password does too."""
    added = call("add", "Rita", "--mail", "rita@x.example", "--password", given=PASSWORD + "\n")
    assert added.exit_code == 0, added.output
    key_id, secret = (line.split()[-1] for line in added.stdout.splitlines()[1:3])
    assert PASSWORD not in added.output
    listed = call("list", "--json")
    [one] = json.loads(listed.stdout)
    assert one == {
        "name": "Rita",
        "role": "viewer",
        "mail": "rita@x.example",
        "key_id": key_id,
        "password": True,
    }
    assert secret not in listed.output
    assert "rita@x.example" in call("list").stdout
    with started(local.file(settings.project()), key_id, secret) as portal:
        for auth in ((key_id, secret), ("rita@x.example", PASSWORD)):
            answer = requests.get(f"{portal.url}/api/users/current.json", auth=auth, timeout=60)
            assert answer.json()["displayName"] == "Rita"
        removed = call("remove", "rita@x.example")
        assert removed.stdout == "Rita, viewer, was removed from the embedded portal.\n"
        assert portal.ask("GET", "/api/users/current.json").status_code == 401
    assert call("list").stdout == "The embedded portal has no accounts yet.\n"


def test_what_cannot_be_ends_as_wrong_usage() -> None:
    """One line and a hint, status 2."""
    results = [
        call("add", "A", "--mail", "nobody"),
        call("add", "A", "--password", given="x\n"),
        call("remove", "A"),
    ]
    assert [result.exit_code for result in results] == [2, 2, 2]
    assert "That is not a mail address." in results[0].output


def test_an_app_token_is_known_to_the_portal() -> None:
    """The one that was printed is taken, another is not."""
    token = call("app-token").stdout.strip()
    with started(local.file(settings.project()), "", "") as portal:
        path = f"{portal.url}/data.json"
        answers = [
            requests.get(path, headers={"X-App-Token": one}, timeout=60) for one in (token, "x" + token)
        ]
    assert [answer.status_code for answer in answers] == [200, 403]


def test_an_api_key_of_opendatasoft_ends_with_its_account() -> None:
    """It opens automation as long as the account is there, and nothing afterwards."""
    call("add", "Rita", "--role", "publisher")
    key = call("api-key", "Rita").stdout.strip()
    with started(local.file(settings.project()), "", "") as portal:
        path, signed = f"{portal.url}/api/automation/v1.0/datasets/", {"Authorization": f"Apikey {key}"}
        before = requests.get(path, headers=signed, timeout=60).status_code
        call("remove", "Rita")
        after = requests.get(path, headers=signed, timeout=60).status_code
    assert (before, after) == (200, 401)


def test_an_api_key_may_be_less_than_everything() -> None:
    """A permission that there is not ends as wrong usage and names those there are."""
    call("add", "Rita", "--role", "publisher")
    refused = call("api-key", "Rita", "--permission", "edit")
    assert (refused.exit_code, "edit_dataset" in refused.output) == (2, True)
    assert call("api-key", "Rita", "--permission", "edit_dataset").exit_code == 0
