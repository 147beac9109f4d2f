"""Parameters of a notebook: what is declared, what is refused, and how values travel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nbformat
import pytest
from error_texts import assert_text, whole_story
from hypothesis import given
from hypothesis import strategies as st

from ctnb import declarations, stepfiles
from ctnb.declarations import Parameter
from ctnb.errors import NameUnknown, UsageError

CANARY = "Xanthippe Quill"
SOURCE = '''"""Said in words."""
dataset: str = "sample"  # which
zip: str = "06103"
limit: int = 5
share: float = 0.5
towns: list[str] = ["Hartford"]
options: dict = {}
source: str | None = None
dry = False
anything = None
'''


def notebook(source: str) -> Any:
    """A notebook whose parameters cell is `source`."""
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Read"), cell])


KNOWN = declarations.declared(notebook(SOURCE))


def test_declarations_are_read_without_running_them() -> None:
    """Names, types and defaults, from annotations or from the defaults themselves."""
    assert {name: one.type for name, one in KNOWN.items()} == {
        "dataset": "str", "zip": "str", "limit": "int", "share": "float", "towns": "list", "options": "dict",
        "source": "str", "dry": "bool", "anything": None,
    }  # fmt: skip
    assert KNOWN["towns"] == Parameter("towns", "list", ["Hartford"])


def test_a_notebook_without_a_parameters_cell_has_none() -> None:
    """A notebook need not have parameters."""
    assert declarations.declared(nbformat.v4.new_notebook()) == {}


@pytest.mark.parametrize(
    "source",
    ["a = open('x')", "import os", "a: int", "a, b = 1, 2", "a = 1\nfor", "a = b", "a += 1", "a.b = 1"],
)
def test_a_parameters_cell_holds_literals_alone(source: str) -> None:
    """Code in it could do anything before a parameter is checked."""
    with pytest.raises(UsageError, match="parameters cell cannot be read"):
        declarations.declared(notebook(source))


def test_what_is_not_given_has_its_default() -> None:
    """Given values stand over the defaults."""
    checked = declarations.check({"limit": 7}, KNOWN)
    assert (checked["limit"], checked["zip"]) == (7, "06103")


def test_an_unknown_parameter_is_refused_with_the_nearest() -> None:
    """papermill only warns; a misspelt parameter would leave the default."""
    with pytest.raises(NameUnknown) as caught:
        declarations.check({"datset": "x"}, KNOWN)
    assert_text("parameter-unknown", caught.value)


def test_a_code_that_arrives_as_a_number_is_refused_with_the_way_to_give_it() -> None:
    """papermill -p zip 06103 gives the number 6103."""
    with pytest.raises(UsageError) as caught:
        declarations.check({"zip": 6103}, KNOWN)
    assert_text("parameter-number-for-text", caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", CANARY), ("limit", 1.5), ("limit", True), ("limit", None), ("share", CANARY), ("share", True),
        ("dry", 1), ("dry", CANARY), ("towns", CANARY), ("options", [CANARY]), ("dataset", None), ("source", 5),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_without_being_quoted(name: str, value: object) -> None:
    """A parameter may hold anything, so its value is not told."""
    with pytest.raises(UsageError, match=f"Parameter '{name}' must be") as caught:
        declarations.check({name: value}, KNOWN)
    assert CANARY not in whole_story(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", 1),
        ("source", "a.csv"),
        ("source", None),
        ("anything", [1]),
        ("dry", True),
        ("options", {"a": 1}),
    ],
)
def test_a_value_of_the_declared_type_is_taken(name: str, value: object) -> None:
    """Whole numbers are numbers; what declares no type takes any."""
    assert declarations.check({name: value}, KNOWN)[name] == value


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@given(VALUES)
def test_values_travel_as_they_were_given(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    """Quotation marks, line breaks and letters of any script are data, never code."""
    path: Path = tmp_path_factory.getbasetemp() / "parameters.json"
    stepfiles.write_json(path, value)
    assert stepfiles.read_json(path) == value


def test_nan_infinities_and_lone_surrogates_travel_too(tmp_path: Path) -> None:
    """What JSON for people has not, and a Python notebook may be given."""
    given_ = [float("nan"), float("inf"), "\ud800", '"; import os #', "a\nb\u2028c"]
    stepfiles.write_json(tmp_path / "p.json", given_)
    found = stepfiles.read_json(tmp_path / "p.json")
    assert repr(found) == repr(given_)
    assert [not isinstance(value, float) or math.isfinite(value) for value in found] == [
        False,
        False,
        True,
        True,
        True,
    ]
