"""The JSON Schemas of the files that people and programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import CTNB_YML, DATASET_YML
from ruamel.yaml import YAML

from ctnb import schemas

FOLDER = Path(__file__).parent.parent / "docs" / "reference" / "schemas"
PROJECT = FOLDER.parents[2]
PLAIN = YAML(typ="safe", pure=True)


@pytest.mark.parametrize("name", schemas.known())
def test_a_schema_is_a_schema(name: str) -> None:
    """Each is valid under the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(schemas.known()[name])


@pytest.mark.parametrize("name", schemas.known())
def test_the_schemas_in_the_reference_are_up_to_date(name: str) -> None:
    """Write them anew with: ctnb schemas"""
    assert schemas.known()[name] == json.loads((FOLDER / name).read_text(encoding="utf-8"))


def test_no_schema_is_left_over() -> None:
    """What is not written any more is not published any more."""
    assert sorted(schemas.known()) == sorted(path.name for path in FOLDER.glob("*.json"))


def problems(name: str, text: str) -> list[str]:
    """What the schema `name` says of the YAML `text`."""
    loaded: Any = PLAIN.load(text)
    return [
        error.message for error in jsonschema.Draft202012Validator(schemas.known()[name]).iter_errors(loaded)
    ]


def test_the_files_of_this_project_fit_their_schemas() -> None:
    """An editor that uses the schema finds nothing wrong where ctnb finds nothing wrong."""
    assert problems("ctnb.schema.json", (PROJECT / "ctnb.yml").read_text(encoding="utf-8")) == []
    for path in (PROJECT / "notebooks").glob("*/dataset.yml"):
        assert problems("dataset.schema.json", path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dataset.schema.json", DATASET_YML.replace("title:", "titel:")),
        ("dataset.schema.json", DATASET_YML.replace("type: integer", "type: integre")),
        ("ctnb.schema.json", CTNB_YML + "portal: {}\n"),
    ],
)
def test_a_schema_refuses_what_the_parser_refuses(name: str, text: str) -> None:
    """An unknown key or word is underlined in the editor."""
    assert problems(name, text)
