"""What is imported before anything is done: a command that is typed often must not pay for what it does not use."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import flow_projects as fp
import pytest

from ctnb.settings import Project

CLOUDS = {"boto3", "botocore", "azure", "aiohttp", "gcsfs"}
DRAWING = {"matplotlib", "ipywidgets", "nbconvert"}
NOTEBOOKS = {"IPython", "ipykernel", "jupyter_client", "papermill", "nbformat", "zmq"}
TABLES = {"pandas", "numpy", "pyarrow", "duckdb"}
WEB = {"requests", "tornado", "tenacity"}
OTHERS = CLOUDS | DRAWING | NOTEBOOKS | TABLES | WEB

LISTING = """\
import atexit, json, sys
told, *sys.argv = sys.argv[1:]
def tell():
    with open(told, "w") as file:
        json.dump(sorted(sys.modules), file)
atexit.register(tell)
"""
COMMAND = LISTING + "from ctnb.cli.main import main\nmain()\n"
PORTAL = LISTING + "import ctnb.embedded.server\n"
CELL = """\
import json, sys
before = sorted(sys.modules)
"""
LAST = """\
new = sorted(set(sys.modules) - set(before))
with open({told!r}, "w") as file:
    json.dump([before, new], file)
"""


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose dataset would be released."""
    return fp.make(tmp_path_factory.mktemp("loading") / "project")


def loaded(program: str, project: Project, *arguments: str) -> set[str]:
    """The modules that were imported when `program`, with `arguments`, had ended well."""
    told = project.root / "modules.json"
    done = fp.process([sys.executable, "-c", program, str(told), "ctnb", *arguments], project.root, {})
    assert done.code == 0, done.err
    return set(json.loads(told.read_text()))


def libraries(modules: set[str], unwanted: set[str]) -> set[str]:
    """Those of the `unwanted` libraries that are among `modules`."""
    return unwanted & {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    ("arguments", "unwanted", "most"),
    [
        (["--help"], OTHERS | {"pydantic", "ruamel", "sqlite3"}, 150),
        (["run", "--help"], OTHERS | {"pydantic", "ruamel", "sqlite3"}, 180),
        (["push", "--help"], OTHERS | {"pydantic", "ruamel", "sqlite3"}, 180),
        (["releases", fp.SLUG], OTHERS, 420),
        (["runs", "list"], OTHERS, 420),
        (["check", "--help"], OTHERS, 420),
        (["check", fp.SLUG], CLOUDS | DRAWING | NOTEBOOKS | {"pandas"}, 850),
    ],
)
def test_a_command_loads_what_it_uses(
    visits: Project, arguments: list[str], unwanted: set[str], most: int
) -> None:
    """Listing and explaining loads no library of tables, notebooks or the web; checking, no notebooks and no pandas."""
    modules = loaded(COMMAND, visits, *arguments)
    assert libraries(modules, unwanted) == set()
    assert len(modules) <= most


def test_the_embedded_portal_starts_without_the_libraries_of_tables(visits: Project) -> None:
    """It loads DuckDB and Arrow when a revision or a page of a large dataset first needs them."""
    modules = loaded(PORTAL, visits)
    assert libraries(modules, (OTHERS | {"pydantic", "ruamel"}) - {"tornado"}) == set()
    assert len(modules) <= 450


@pytest.mark.slow
def test_a_run_loads_what_it_uses(tmp_path: Path) -> None:
    """The supervisor needs no pandas and no kernel; a kernel finds all that its template calls loaded already."""
    project, told = fp.make(tmp_path / "project"), tmp_path / "kernel.json"
    fp.edited(project, "transform", CELL, at=0)
    fp.edited(project, "transform", LAST.format(told=str(told)))
    supervisor = loaded(COMMAND, project, "run", fp.SLUG)
    assert libraries(supervisor, CLOUDS | DRAWING | {"pandas", "IPython", "ipykernel"}) == set()
    assert not any(
        name.startswith(("ctnb.portals.opendatasoft", "ctnb.reads.reading")) for name in supervisor
    )
    assert len(supervisor) <= 1150
    kernel, later = json.loads(told.read_text())
    assert libraries(set(kernel), CLOUDS | DRAWING | {"papermill", "nbformat", "requests"}) == set()
    assert len(kernel) <= 1350
    assert [name for name in later if name.startswith("ctnb") or "." not in name] == []
