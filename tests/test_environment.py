"""The lists of packages agree: pyproject.toml, the locks and conda's environment.yml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

PROJECT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"duckdb": "python-duckdb", "jupyter-client": "jupyter_client"}
CONDA_ONLY = {"python", "pip", "r-base"}
PIP_BRINGS = {"rpy2"}  # through ctnb's own metadata: conda-forge has no rpy2 for Windows
LOCKS = ("requirements.lock", "requirements-ci.lock")


def test_environment_yml_asks_for_the_versions_that_pyproject_asks_for() -> None:
    """A dependency added to, dropped from or bounded in one file only is found here."""
    expected = {
        CONDA_NAMES.get(need.name, need.name): specifiers(str(need.specifier))
        for need in project_dependencies()
        if need.name not in PIP_BRINGS
    }
    actual = conda_packages()
    assert expected == {name: actual.get(name) for name in expected}
    assert CONDA_ONLY | set(expected) | packages_of_the_tests() == set(actual)


def test_environment_yml_installs_the_project_from_its_folder() -> None:
    """After `conda env create` the command ctnb is there."""
    [pip] = [part["pip"] for part in environment()["dependencies"] if not isinstance(part, str)]
    assert pip == ["--editable ."]


def test_every_python_that_conda_may_choose_is_one_that_pyproject_allows() -> None:
    """Both files name the same oldest Python."""
    assert specifiers(pyproject()["project"]["requires-python"]) == conda_packages()["python"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_every_dependency_at_a_version_that_is_allowed(lock: str) -> None:
    """A dependency that pyproject.toml gained without `make lock` is found here."""
    pins = locked(lock)
    wanted = [*project_dependencies(), *(Requirement(line) for line in wanted_lines("requirements.in"))]
    unmet = [
        str(need)
        for need in wanted
        if not any(need.specifier.contains(pin) for pin in pins.get(canonicalize_name(need.name), []))
    ]
    assert unmet == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_has_its_hashes(lock: str) -> None:
    """Every package is one exact version, and pip refuses any other bytes."""
    text = (PROJECT / lock).read_text(encoding="utf-8")
    heads = re.findall(r"^[a-z0-9].*$", text, flags=re.MULTILINE)
    assert heads
    assert [head for head in heads if "==" not in head or not head.endswith("\\")] == []
    hashed = re.findall(r"^[a-z0-9][^\n]*\n    --hash=sha256:[0-9a-f]{64}\b", text, flags=re.MULTILINE)
    assert len(heads) == len(hashed)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_no_path(lock: str) -> None:
    """Where packages come from is for each machine's own pip settings to say."""
    text = (PROJECT / lock).read_text(encoding="utf-8")
    assert re.findall(r"://|--index|--extra|--find-links|--trusted|^#? *(?:-e |/)", text, re.MULTILINE) == []


def test_the_ci_lock_is_the_project_lock_and_tools_only() -> None:
    """What the tests run against in CI is what users install."""
    ours, ci = locked("requirements.lock"), locked("requirements-ci.lock")
    assert ours == {name: ci.get(name) for name in ours}
    assert {"mypy", "playwright", "ruff", "types-requests"} <= set(ci) - set(ours)


def pyproject() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def project_dependencies() -> list[Requirement]:
    return [Requirement(text) for text in pyproject()["project"]["dependencies"]]


def environment() -> dict:
    return YAML(typ="safe").load((PROJECT / "environment.yml").read_text(encoding="utf-8"))


def conda_packages() -> dict[str, frozenset[str]]:
    texts = [part for part in environment()["dependencies"] if isinstance(part, str)]
    pairs = [text.partition(" ") for text in texts]
    return {name: specifiers(bounds) for name, _, bounds in pairs}


def specifiers(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def packages_of_the_tests() -> set[str]:
    text = (PROJECT / "requirements.in").read_text(encoding="utf-8")
    return {line for line in text.split("# Tests\n", 1)[1].splitlines() if line}


def wanted_lines(name: str) -> list[str]:
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and line[0] not in "#-"]


def locked(name: str) -> dict[str, list[str]]:
    pins: dict[str, list[str]] = {}
    text = (PROJECT / name).read_text(encoding="utf-8")
    for package, version in re.findall(r"^([a-z0-9._-]+)==([^ ]+)", text, flags=re.MULTILINE):
        pins.setdefault(package, []).append(version)
    return pins
