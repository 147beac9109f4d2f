"""The documentation says what is there: commands, options, codes, links, keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

import ctnb
from ctnb import datasets, errors, records, reference, settings, values
from ctnb.cli import main

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted([*ROOT.glob("docs/**/*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))])
COMMANDS = dict(reference.every_command())
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")

SAYINGS = {"ctnb needs Python 3.11 or newer"}
"""What is in backticks because ctnb says it, not because somebody should type it."""


def named(path: Path) -> str:
    """A page's name, for a test's id."""
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", text)


def anchors(path: Path) -> set[str]:
    """What can stand behind a # in a link to the page, by the rule that forges share."""
    titles = re.findall(r"^#+ (.*)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


@pytest.mark.parametrize("name", reference.pages())
def test_a_reference_page_is_what_the_program_would_write(name: str) -> None:
    """`python -m ctnb.reference` writes them; a stale page is found here."""
    assert (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") == reference.pages()[name]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_in_the_reference(command: str) -> None:
    """No option is hidden from people who read."""
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {command}\n")[2].partition("\n## ")[0]
    options = [name for option in COMMANDS[command].params for name in option.opts if name.startswith("-")]
    assert [name for name in options if f"`{name}" not in section] == []
    assert " ".join(str(COMMANDS[command].help).split()) in " ".join(section.split())


def test_every_key_of_the_two_yaml_files_is_in_the_reference() -> None:
    """A part of a file that the generator could not see is found here."""
    for model, page in ((datasets.Contract, "dataset-yml.md"), (settings.Settings, "ctnb-yml.md")):
        text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
        keys = {key for part in _definitions(model.model_json_schema()) for key in part.get("properties", {})}
        assert {key for key in keys if f"| `{key}` |" not in text} == set()


def _definitions(schema: dict[str, object]) -> list[dict[str, object]]:
    inner = schema.get("$defs", {})
    return [schema, *inner.values()] if isinstance(inner, dict) else [schema]


def test_every_type_error_status_and_public_name_is_in_the_reference() -> None:
    """The tables are complete."""
    said = reference.pages()
    assert [name for name in values.TYPES if f"| `{name}` |" not in said["types.md"]] == []
    errors_known = [kind.__name__ for kind in reference.errors_below(errors.CtnbError)]
    assert [name for name in errors_known if f"`{name}`" not in said["errors-and-exit-codes.md"]] == []
    assert set(get_args(records.Status)) == set(reference.STATUSES)
    assert [name for name in ctnb.__all__ if f"### ctnb.{name}\n" not in said["python-api.md"]] == []


@pytest.mark.parametrize("page", DOCS, ids=named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A page or heading that moved is found here."""
    broken = []
    for target in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        lost_anchor = anchor and there.suffix == ".md" and there.exists() and anchor not in anchors(there)
        if not there.exists() or lost_anchor:
            broken.append(target)
    assert broken == []


def test_every_page_can_be_reached_from_the_map() -> None:
    """docs/index.md leads to each page, and the README leads to it."""
    index = ROOT / "docs" / "index.md"
    targets = LINK.findall(index.read_text(encoding="utf-8"))
    reached = {(index.parent / target.partition("#")[0]).resolve() for target in targets}
    pages = {path for path in (ROOT / "docs").glob("**/*.md") if path != index}
    assert {named(path) for path in pages - reached} == set()
    assert "docs/index.md" in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", DOCS, ids=named)
def test_every_command_that_a_page_shows_exists_with_its_options(page: Path) -> None:
    """Commands in blocks and in backticks are held against the command line."""
    wrong = [
        shown
        for shown in _shown(page.read_text(encoding="utf-8"))
        if shown not in SAYINGS and _unknown(shown)
    ]
    assert wrong == []


def _shown(text: str) -> Iterator[str]:
    """Every `ctnb ...` that the page tells people to type."""
    for _, block in FENCE.findall(text):
        yield from re.findall(r"^(?:[$>] )?(?:\.venv/bin/)?(ctnb [a-z].*)$", block, re.MULTILINE)
    yield from re.findall(r"`(ctnb [a-z][^`]*)`", prose(text))


def _unknown(shown: str) -> bool:
    """Whether `shown` names a command or an option that does not exist."""
    words = shown.split("  ")[0].split("#")[0].split()
    command: click.Command = main.cli
    for word in words[1:]:
        if not isinstance(command, click.Group) or word in ("COMMAND", "...") or word.startswith("-"):
            break
        found = command.get_command(click.Context(command), word.partition("|")[0])
        if found is None:
            return True
        command = found
    known = {"--help", "-h", *(name for option in command.params for name in option.opts)}
    given = [
        re.split(r"[=;,\])]", word.lstrip("["))[0] for word in words if word.lstrip("[").startswith("--")
    ]
    return bool(set(given) - known)


def test_the_check_of_shown_commands_finds_wrong_ones() -> None:
    """A command or option that is not there is found, so an empty answer means something."""
    assert [
        _unknown(f"ctnb {rest}") for rest in ("walk", "run x --fast", "runs fly", "portal serve --ssl")
    ] == [True] * 4
    assert [_unknown(f"ctnb {rest}") for rest in ("run SLUG --to STEP", "runs list --json", "--help")] == [
        False
    ] * 3


def test_the_readmes_exit_codes_are_the_errors_codes() -> None:
    """The short table and the program agree."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("\n## ")[0]
    said = {
        int(code) for line in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in line.split(",")
    }
    assert said == {code for code, _, _ in reference.codes_used()}


def test_the_readmes_statuses_are_the_runs_statuses() -> None:
    """Each status that a run can end with stands beside its code."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("\n## ")[0]
    assert {name for name in reference.STATUSES if f"`{name}`" not in table} == {"running", "open"}
