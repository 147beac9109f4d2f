"""ctnb.yml and the project around it; secrets by reference."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from conftest import CTNB_YML
from error_texts import assert_text, whole_story

from ctnb import secrets, settings, withheld
from ctnb.errors import NameUnknown, SettingsInvalid, UsageError
from ctnb.settings import Project, SecretReference

SECRET = "s3cr3t-of-the-portal"
PORTAL = """\
portals:
  state:
    kind: socrata
    url: https://portal.example.org
    key_id: {secret: SAMPLE_KEY_ID}
    key_secret: {secret: SAMPLE_KEY_SECRET}
"""


def with_settings(project: Project, text: str) -> Project:
    """The project with `text` as its ctnb.yml."""
    (project.root / "ctnb.yml").write_text(text, encoding="utf-8")
    return settings.load(project.root)


def test_a_project_is_found_from_any_folder_below(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upwards from the working folder, or where CTNB_PROJECT says."""
    assert settings.project(project.notebooks / "sample-counts").root == project.root
    monkeypatch.chdir(project.notebooks)
    assert settings.project().root == project.root
    monkeypatch.chdir("/")
    monkeypatch.setenv("CTNB_PROJECT", str(project.root))
    assert settings.project().root == project.root


def test_a_folder_without_a_project_is_told(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(UsageError) as caught:
        settings.project(tmp_path)
    assert_text("no-project", caught.value, folder=str(tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("agency: x\n", "format: missing"),
        ("format: 2\n", "line 1, format: expected 1"),
        (CTNB_YML + "portal: {}\n", "line 3, portal: unknown key, did you mean 'portals'?"),
        (CTNB_YML + "portals: {state: {kind: ckan}}\n", "expected 'embedded', 'socrata' or 'opendatasoft'"),
        (CTNB_YML + "policies: {default: {smallest_clas: 5}}\n", "did you mean 'smallest_class'?"),
        (CTNB_YML + "policies: {default: {small_cell: 0}}\n", "expected greater than or equal to 1"),
        (CTNB_YML + "roots: /data\n", "line 3, roots: expected a list"),
        (CTNB_YML + "four_eyes: perhaps\n", "four_eyes: expected true or false"),
        (
            CTNB_YML + f"portals: {{state: {{kind: socrata, key_secret: {SECRET}}}}}\n",
            "expected a mapping of keys",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_refused(project: Project, text: str, told: str) -> None:
    """By line, in plain words, and without a secret that somebody wrote into the file."""
    with pytest.raises(SettingsInvalid) as caught:
        with_settings(project, text)
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_embedded_portal_is_always_there(project: Project) -> None:
    """Under the name local; another name is answered with those that there are."""
    found = with_settings(project, CTNB_YML + PORTAL)
    assert (found.portal("local").kind, found.portal("state").kind) == ("embedded", "socrata")
    with pytest.raises(NameUnknown, match="Did you mean 'state'"):
        found.portal("stat")
    with pytest.raises(NameUnknown, match="There is no policy 'strict'"):
        found.policy("strict")


def test_what_is_private_is_its_owners_alone(project: Project) -> None:
    """.ctnb/ and everything that is made in it."""
    folders = [project.private, project.work("20261121T110512Z-7f3a"), project.private_folder("locks")]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert len(project.key) == 32


def test_a_secret_comes_from_the_environment_or_a_private_file(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment first, then the file that CTNB_SECRETS names."""
    found = with_settings(project, CTNB_YML + PORTAL)
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"SAMPLE_KEY_ID": "from-the-file", "SAMPLE_KEY_SECRET": SECRET}))
    file.chmod(0o600)
    monkeypatch.setenv("CTNB_SECRETS", str(file))
    monkeypatch.setenv("SAMPLE_KEY_ID", "from-the-environment")
    assert secrets.value(SecretReference(secret="SAMPLE_KEY_ID")) == "from-the-environment"
    assert secrets.value(SecretReference(secret="SAMPLE_KEY_SECRET")) == SECRET
    assert withheld.values(found) == ["from-the-environment", SECRET]
    assert withheld.names(found) == ["SAMPLE_KEY_ID", "SAMPLE_KEY_SECRET"]


def test_a_secret_that_is_not_set_is_told_by_its_name() -> None:
    """The name is no secret."""
    with pytest.raises(UsageError) as caught:
        secrets.value(SecretReference(secret="SAMPLE_KEY_SECRET"))
    assert_text("secret-not-set", caught.value)


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (json.dumps({"A": SECRET}), 0o644, "Others may read the file of secrets"),
        (f"A: {SECRET}", 0o600, "is not a JSON object of texts"),
        (json.dumps([SECRET]), 0o600, "is not a JSON object of texts"),
        (None, 0o600, "names a file that is not there"),
    ],
)
def test_a_file_of_secrets_that_cannot_be_used_is_told_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, mode: int, told: str
) -> None:
    """Neither the text, nor its facts, nor its chain hold a secret."""
    file = tmp_path / "secrets.json"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    monkeypatch.setenv("CTNB_SECRETS", str(file))
    with pytest.raises(SettingsInvalid, match=told) as caught:
        secrets.lookup(SecretReference(secret="A"))
    assert SECRET not in whole_story(caught.value)
