"""
The reference pages, made from what they describe: `python -m ctnb.reference` writes docs/reference/.

A test fails when a page is not what this module would write.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import ctnb
from ctnb import datasets, documents, errors, records, settings, tables, values
from ctnb.cli import main
from ctnb.errors import CtnbError
from ctnb.portals import plans
from ctnb.privacy import findings, reviews

FOLDER = Path("docs/reference")

OF_A_DATASET = (
    "One file per dataset: the source, the contract, the transform and the target. "
    "`notebooks/overdose-deaths-by-town/dataset.yml` is a whole example with comments."
)
OF_A_PROJECT = "The file that marks a project: its portals, policies and reviewers."

STATUSES: Mapping[str, tuple[str, str]] = {
    "released": ("0", "The rows are on the portal, were read back and are equal."),
    "rehearsed": ("0", "`--to` or `--dry-run`: everything asked for was done, nothing was sent."),
    "open": ("0", "Steps under plain papermill: the next notebook joins this run."),
    "running": ("", "A process is at work on it."),
    "blocked": ("1", "The review found something nobody can approve. The data or the contract must change."),
    "waiting": ("1", "The review waits for a person's decision; the same run goes on afterwards."),
    "refused": ("1", "A person refused the review."),
    "expired": ("1", "A newer run of the dataset began while this one waited."),
    "stopped": ("5", "There was nothing new, so the run ended on purpose."),
    "failed": ("2, 3, 6 or 7", "The reason is the record's; the exit code is the error's."),
    "crashed": ("7", "A step's kernel died, or ran out of memory or time."),
    "interrupted": ("130 or 143", "Ctrl-C, a request to end, or the supervisor was killed."),
}
"""Every status of a run: the exit code of the command that ends so, and what it means."""

_QUOTED = re.compile(r"(: |-> )'([^']*)'")
_UNLINKED = re.compile(r"\[(\w+)\]\(#\w+\)")

WORDS: Mapping[Any, str] = {
    str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything",
}  # fmt: skip
"""What people call Python's types."""

BOUNDS: Mapping[str, str] = {
    "ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}",
    "min_length": "length at least {}", "max_length": "length at most {}",
}  # fmt: skip
"""How limits of a value are said."""


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    return {
        "commands.md": commands(),
        "dataset-yml.md": form(datasets.Contract, "dataset.yml", OF_A_DATASET),
        "ctnb-yml.md": form(settings.Settings, "ctnb.yml", OF_A_PROJECT),
        "types.md": type_table(),
        "errors-and-exit-codes.md": exit_codes(),
        "privacy-rules.md": findings.reference(),
        "python-api.md": python_api(),
    }  # fmt: skip


def write(folder: Path = FOLDER) -> list[Path]:
    """Write every page into `folder` and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        documents.write_text(folder / name, text)
    return [folder / name for name in pages()]


# --- the command line


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Each command that does something, by its whole name, e.g. `ctnb runs list`."""
    yield from _below("ctnb", main.cli)


def commands() -> str:
    """The page of commands and their options."""
    head = _head("Commands", "ctnb's command line", [
        "`ctnb --help` lists the commands, `ctnb COMMAND --help` explains one. RUN is a run's id, the end of "
        "one (four characters or more), or a dataset's slug for its newest run. SLUG names a dataset: its folder "
        "in `notebooks/`.",
        "`ctnb --version` prints the version. `ctnb --debug COMMAND` shows the traceback of a mistake in ctnb; "
        "it may quote data, so do not send it on.",
        "What commands end with: [Errors and exit codes](errors-and-exit-codes.md).",
    ])  # fmt: skip
    return head + "\n".join(_command(name, command) for name, command in every_command())


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command, info_name=name)
    for inner in command.list_commands(context):
        found = command.get_command(context, inner)
        if found:
            yield from _below(f"{name} {inner}", found)


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, terminal_width=200, max_content_width=200)
    usage = command.get_usage(context).removeprefix("Usage: ")
    options = [option for option in command.params if isinstance(option, click.Option)]
    lines = [f"## {name}", "", f"    {usage}", "", dedent(command.help or ""), ""]
    if options:
        lines += [*_table(["option", "meaning", "default"], map(_option, options)), ""]
    return "\n".join(lines)


def _option(option: click.Option) -> list[str]:
    takes = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    needed = "required" if option.required else ""
    plain = option.default not in (None, "", False) and isinstance(option.default, (str, int, float))
    default = f"`{option.default}`" if plain else ""
    return [f"`{', '.join(option.opts)}{takes}`", option.help or "", needed or default]


# --- dataset.yml and ctnb.yml


def form(model: type[BaseModel], name: str, purpose: str) -> str:
    """The page of a YAML file: a table for each part of `model`."""
    head = _head(name, f"{model.__module__}.{model.__name__}", [
        purpose,
        "A key that is not listed is an error, with the nearest one that is. `ctnb schemas` writes the JSON "
        "Schema with which editors complete and check the file.",
    ])  # fmt: skip
    return head + "\n".join(_part(part, whole=part is model) for part in parts(model))


def parts(model: type[BaseModel]) -> list[type[BaseModel]]:
    """`model` and every model inside it, in the order in which they are met."""
    found = [model]
    for part in found:
        for field in part.model_fields.values():
            found += [inner for inner in _models_in(field.annotation) if inner not in found]
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _part(model: type[BaseModel], *, whole: bool) -> str:
    title = "The whole file" if whole else model.__name__
    rows = [_key(name, field) for name, field in model.model_fields.items()]
    said = [] if whole else [inspect.cleandoc(model.__doc__ or "").split("\n\n")[0], ""]
    return "\n".join(
        [f"## {title}", "", *said, *_table(["key", "what it takes", "default", "meaning"], rows), ""]
    )


def _key(name: str, field: FieldInfo) -> list[str]:
    limits = [BOUNDS[limit].format(value) for one in field.metadata for limit, value in _limits(one)]
    return [
        f"`{name}`",
        ", ".join([takes(field.annotation), *limits]),
        _default(field),
        field.description or "",
    ]


def _limits(metadata: Any) -> list[tuple[str, Any]]:
    return [(name, getattr(metadata, name)) for name in BOUNDS if getattr(metadata, name, None) is not None]


def takes(annotation: Any) -> str:
    """What a key takes, in words."""
    origin, arguments = get_origin(annotation), [a for a in get_args(annotation) if a is not type(None)]
    if origin is Annotated:
        return takes(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(takes(argument) for argument in arguments)
    if origin is tuple:
        return f"list of {takes(arguments[0])}"
    if origin is dict:
        return f"mapping of names to {takes(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return WORDS.get(annotation) or str(annotation.__name__)


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if field.is_required() or default is PydanticUndefined:
        return "**required**"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, dict):
        return ", ".join(f"`{name}`" for name in default)
    if default in (None, "", ()) or isinstance(default, BaseModel):
        return ""
    return f"`{', '.join(repr(one) for one in default)}`" if isinstance(default, tuple) else f"`{default}`"


# --- types, errors, the Python interface


def type_table() -> str:
    """The page with the one table of types."""
    head = _head("Types", "ctnb.values.TYPES", [
        "What a contract type is everywhere. No other mapping exists: reading, Parquet, pandas, R, the portals "
        "and the content digest all follow this table.",
    ])  # fmt: skip
    columns = ["type", "Parquet", "pandas", "R", "SODA", "Opendatasoft", "canonical text", "scale"]
    rows = [
        [f"`{name}`", _code(row.parquet), _code(row.pandas), row.r, _code(row.soda), _code(row.opendatasoft),
         row.canonical, "" if row.default_scale is None else str(row.default_scale)]
        for name, row in values.TYPES.items()
    ]  # fmt: skip
    notes = [
        "", "`scale` is the number of digits after the decimal point where the contract gives none; a type "
        "without one has no scale.", "",
        f"Words that a boolean reads as true: {_listed(values.TRUE_WORDS)}; as false: "
        f"{_listed(values.FALSE_WORDS)}; in any case of letters.", "",
        "An empty cell is null in every type. An empty cell, and any text listed under `nulls:`, is not a reject; a "
        "text that its type cannot hold is.", "",
    ]  # fmt: skip
    return head + "\n".join([*_table(columns, rows), *notes])


def exit_codes() -> str:
    """The page of statuses, exit codes and errors."""
    head = _head("Errors and exit codes", "ctnb.errors", [
        "Every command ends with one of these codes, and no option changes that.",
    ])  # fmt: skip
    codes = [
        [str(code), meaning, _listed(sorted(one.__name__ for one in found))]
        for code, meaning, found in codes_used()
    ]
    states = [[f"`{name}`", code, meaning] for name, (code, meaning) in STATUSES.items()]
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1]
    text = [
        *_table(["code", "meaning", "errors"], codes), "", "`ctnb check` and `ctnb doctor` end with 1 and 3 when a "
        "line needs a look; `ctnb test` ends with pytest's code. An unknown option or a missing argument is 2.", "",
        "## Statuses of a run", "", *_table(["status", "exit code", "meaning"], states), "",
        "## The tree of errors", "",
        "All are `ctnb.errors.CtnbError`. Each has `what` (what happened), `hint` (what to do) and its facts as "
        "attributes. No text quotes a cell of data.", "", "```text", dedent(tree), "```", "",
    ]  # fmt: skip
    return head + "\n".join(text)


def codes_used() -> list[tuple[int, str, list[type[CtnbError]]]]:
    """Every exit code, what it means, and the errors that end with it."""
    found: dict[int, list[type[CtnbError]]] = {}
    for error in errors_below(CtnbError):
        found.setdefault(error.exit_code, []).append(error)
    meaning = {code: inspect.cleandoc(kinds[0].__doc__ or "") for code, kinds in found.items()}
    meaning |= {0: "It was done: released or rehearsed, for a run.", 70: "A mistake in ctnb itself."}
    return [(code, meaning[code], found.get(code, [])) for code in sorted({*meaning, *found})]


def errors_below(kind: type[CtnbError]) -> Iterator[type[CtnbError]]:
    """Every error of the tree under `kind`, parents first."""
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield inner
            yield from errors_below(inner)


def python_api() -> str:
    """The page of what `import ctnb` offers, and of what its functions give."""
    head = _head("Python", "ctnb.__all__", [
        "In a notebook: `import ctnb`. In a step, `ctnb.review` and `ctnb.publish` ask the supervisor; in a draft "
        "they work here, and publishing reaches the embedded portal only.",
    ])  # fmt: skip
    functions = [_function(name, getattr(ctnb, name)) for name in ctnb.__all__]
    given = [datasets.Dataset, tables.Table, reviews.Review, findings.Finding, plans.Plan, plans.Receipt]
    parts_shown = [_class(one) for one in given]
    record = _UNLINKED.sub(r"\1", _part(records.RunRecord, whole=False)).replace("## ", "### ", 1)
    text = ["## Functions", "", *functions, "## What they give", "", *parts_shown, record]
    return head + "\n".join(text)


def _function(name: str, function: Any) -> str:
    signature = _QUOTED.sub(r"\1\2", str(inspect.signature(function)))
    return "\n".join(
        [f"### ctnb.{name}", "", "```python", f"ctnb.{name}{signature}", "```", "", _doc(function), ""]
    )


def _class(kind: type) -> str:
    fields = [[f"`{name}`", _code(annotation), doc] for name, annotation, doc in _attributes(kind)]
    members = [(name, one) for name, one in vars(kind).items() if not name.startswith("_") and _doc(one)]
    methods = [
        [f"`{name}{'' if isinstance(member, property) else '()'}`", "", _sentence(member)]
        for name, member in members
        if not isinstance(member, str)
    ]
    rows = [*fields, *methods]
    return "\n".join(
        [f"### {kind.__name__}", "", _doc(kind), "", *_table(["name", "type", "meaning"], rows), ""]
    )


def _attributes(kind: type) -> Iterator[tuple[str, str, str]]:
    """The fields of a dataclass with their types and the line of docstring under each."""
    [body] = [
        node.body
        for node in ast.parse(dedent(inspect.getsource(kind))).body
        if isinstance(node, ast.ClassDef)
    ]
    for node, after in zip(body, [*body[1:], None], strict=True):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and not node.target.id.startswith("_")
        ):
            doc = (
                after.value.value
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                else ""
            )
            yield node.target.id, ast.unparse(node.annotation), inspect.cleandoc(str(doc)).replace("\n", " ")


# --- Markdown


def _head(title: str, origin: str, paragraphs: Sequence[str]) -> str:
    made = f"<!-- Made by `python -m ctnb.reference` from {origin}; change it there. -->"
    return "\n\n".join([f"# {title}", made, *paragraphs]) + "\n\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines]


def _doc(thing: Any) -> str:
    return inspect.cleandoc(getattr(thing, "__doc__", None) or "")


def _sentence(thing: Any) -> str:
    return _doc(thing).split("\n\n")[0].replace("\n", " ")


def _code(text: str) -> str:
    return f"`{text}`"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    for path in write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        click.echo(path)
