"""What holds for the code as a whole: which module may know which, how long things are, what is caught."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import ctnb

PROJECT = Path(__file__).parent.parent
PACKAGE = PROJECT / "ctnb"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = """
clock errors values
locks
clients declarations digests documents embedded kernels papermills reports snapshots sources
secrets
contracts
datasets demo ledger places settings stepfiles
arrivals asks attachments bars constraints doctor gathering jupyter spools tables withheld
drift
portals privacy reads redaction transforms
displays projects proposals records
clock_changes comparing dictionaries indexes leases rejections releases schemas templates
unfinished
guards publishing replays reviewing withdrawals
answering checks steps
rendering results verification
supervision
deciding flows
keeping
adopting restoring
copying lifecycle portal_schedules delivering
backlogs pushing
cli engine
__main__ reference
"""
"""The modules and packages of ctnb. One may import those of the lines above its own, and its own package."""

LINE_OF = {name: number for number, line in enumerate(LAYERS.split("\n")) for name in line.split()}


def part(module: str) -> str:
    """The module or package right below ctnb that `module` belongs to; empty for ctnb itself."""
    return module.split(".")[1] if "." in module else ""


def name_of(path: Path) -> str:
    """The dotted name of the module in the file `path`."""
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """The modules of ctnb that the file `path` imports, wherever in it, except for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ctnb."))
        elif isinstance(node, ast.ImportFrom) and node.module == "ctnb":
            yield from (f"ctnb.{alias.name}" for alias in node.names if alias.name in LINE_OF)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ctnb."):
            yield str(node.module)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function in the file `path`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_every_module_has_its_place_in_the_order() -> None:
    """A new module is put on a line of LAYERS, and one that went is taken out."""
    assert {part(name_of(path)) for path in FILES} - {""} == set(LINE_OF)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    """A module knows those below it, never those above: so each can be read and tested alone."""
    own = part(name_of(path))
    if own:
        backwards = [x for x in imported(path) if part(x) != own and LINE_OF[part(x)] >= LINE_OF[own]]
        assert backwards == []


def test_the_embedded_portal_knows_nothing_of_the_rest() -> None:
    """It has no path that only ctnb uses, so it needs little of ctnb."""
    known = {part(x) for path in (PACKAGE / "embedded").glob("*.py") for x in imported(path)}
    assert known <= {"embedded", "errors", "values", "clock", "locks"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_can_be_read_at_once(path: Path) -> None:
    """No file over 500 lines, no function over 60."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
    long = [f.name for f in functions(path) if (f.end_lineno or 0) - f.lineno + 1 > 60]
    assert long == []


def test_no_module_is_a_drawer() -> None:
    """A name says what is in it."""
    drawers = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc"}
    assert drawers.isdisjoint(path.stem for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_whoever_catches_everything_says_why(path: Path) -> None:
    """Catching Exception is raising again, or has its reason on the line; cli.main does it for all."""
    if path == PACKAGE / "cli" / "main.py":
        return
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = ast.unparse(node.type) if node.type else "everything"
        if not re.search(r"\b(Base)?Exception\b|everything", caught):
            continue
        again = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
        comment = lines[node.lineno - 1].partition("#")[2]
        reason = re.sub(r"noqa:? ?[A-Z0-9, ]*|[#\s-]", "", comment)
        assert again or len(reason) > 10, f"{path.name}, line {node.lineno}"


def test_only_the_r_bridge_imports_rpy2() -> None:
    """R is loaded in a step's kernel, inside functions of one module."""
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "rpy2" for name in names):
                assert name_of(path) == "ctnb.transforms.rbridge"
        if name_of(path) == "ctnb.transforms.rbridge":
            at_import = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
            assert not any("rpy2" in ast.unparse(node) for node in at_import)


def test_the_public_names_are_these() -> None:
    """What notebooks call fits on a postcard, and every name is there."""
    assert ctnb.__all__ == [
        "dataset", "done", "parameters", "plan", "publish", "read", "review", "run", "show", "table", "transform",
    ]  # fmt: skip
    assert all(callable(getattr(ctnb, name)) for name in ctnb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ctnb.nothing  # type: ignore[attr-defined,unused-ignore]  # that is the point


def test_notebooks_in_git_carry_no_outputs() -> None:
    """Outputs belong to runs/, which is not in git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.ipynb"], cwd=PROJECT, capture_output=True, check=True
    )
    names = [name for name in listed.stdout.decode().split("\0") if name and (PROJECT / name).exists()]
    assert names
    for name in names:
        for cell in json.loads((PROJECT / name).read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs"), name
            assert cell.get("execution_count") is None, name
