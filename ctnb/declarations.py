"""
Parameters of a notebook: declared in its cell tagged `parameters`, checked before a kernel starts.

Values travel as a JSON file, never as generated code: the engine puts one constant cell behind the declared
ones, which loads them. So quotes, line breaks, NaN and letters outside ASCII arrive as they were given.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctnb.errors import NameUnknown, UsageError

TAG = "parameters"
INJECTED_TAG = "injected-parameters"
CELL_ID = "ctnb-params"
CELL_SOURCE = "import ctnb\n\nglobals().update(ctnb.parameters())"

TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str, "int": int, "float": (int, float), "bool": bool, "list": list, "dict": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One declared parameter."""

    name: str
    type: str | None
    """One of `TYPES`; None when the declaration does not tell."""
    default: Any
    """Its value in a draft."""


def declared(notebook: Any) -> dict[str, Parameter]:
    """
    The parameters that `notebook` declares, by name.

    Raises UsageError when the parameters cell holds anything but assignments of literals.
    """
    cells = [cell for cell in notebook.cells if TAG in cell.metadata.get("tags", [])]
    if not cells:
        return {}
    try:
        tree = ast.parse(cells[0].source)
        found = [_parameter(node) for node in tree.body if not _is_text(node)]
    except (SyntaxError, ValueError):
        found = None
    if found is None:
        raise UsageError(
            "The notebook's parameters cell cannot be read.",
            hint='Every line of it must be: name: type = value, e.g. dataset: str = "my-dataset".',
        )
    return {parameter.name: parameter for parameter in found}


def check(given: Mapping[str, Any], known: Mapping[str, Parameter]) -> dict[str, Any]:
    """
    `given` over the defaults of `known`.

    Raises NameUnknown for a parameter that the notebook does not declare, UsageError for a value of another
    type than declared. Values are not quoted: a parameter may hold anything.
    """
    for name, value in given.items():
        if name not in known:
            raise NameUnknown("parameter", name, known)
        _check_type(known[name], value)
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}


def _check_type(parameter: Parameter, value: Any) -> None:
    wanted = TYPES.get(parameter.type or "")
    if wanted is None or (value is None and parameter.default is None):
        return
    fits = isinstance(value, wanted) and (parameter.type == "bool" or not isinstance(value, bool))
    if not fits:
        text = parameter.type == "str"
        raise UsageError(
            f"Parameter '{parameter.name}' must be {_words(parameter.type)}, and came as {_words(_type_of(value))}.",
            hint=f"Give it as text with -r {parameter.name} VALUE: with -p, 06103 becomes the number 6103."
            if text
            else f"See the parameters cell: {parameter.name}: {parameter.type}.",
        )


def _parameter(node: ast.stmt) -> Parameter:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        default = ast.literal_eval(node.value)
        return Parameter(node.target.id, _annotation(node.annotation), default)
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        default = ast.literal_eval(node.value)
        return Parameter(node.targets[0].id, None if default is None else _type_of(default), default)
    raise ValueError("not an assignment of a literal")


def _annotation(node: ast.expr) -> str | None:
    name = ast.unparse(node).split("|")[0].split("[")[0].strip()
    return name if name in TYPES else None


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _type_of(value: Any) -> str:
    return type(value).__name__


def _words(name: str | None) -> str:
    return {
        "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
        "list": "a list", "dict": "a mapping", "NoneType": "nothing",
    }.get(name or "", name or "anything")  # fmt: skip
