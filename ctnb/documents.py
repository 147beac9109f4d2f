"""The YAML files that people write: read strictly, explained by line, edited with their comments kept."""

from __future__ import annotations

import io
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ctnb.errors import CtnbError, suggest

Model = TypeVar("Model", bound=BaseModel)

WINDOWS_TRIES, WINDOWS_PAUSE_S = 20, 0.1
"""How often, and with which pauses, a file that somebody reads is moved over there."""
_DOUBLE = "a key stands twice in the same mapping"
"""ruamel's own words quote the values of both."""
_YAML_HINT = "Look at that line and the one before: indentation, colons and quotation marks."


class Form(BaseModel):
    """A part of a document: frozen, and refusing keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read(path: Path, error: type[CtnbError]) -> Any:
    """The mapping in the YAML file `path`, with line numbers. Raises `error` when it is not one."""
    try:
        loaded = _yaml().load(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise error(f"{path.name} is missing in {path.parent.name}/.", hint=f"Write {path}.") from None
    except UnicodeDecodeError:
        raise error(f"{path.name} is not UTF-8 text.", hint="Save it as UTF-8.") from None
    except MarkedYAMLError as trouble:
        line = trouble.problem_mark.line + 1 if trouble.problem_mark else 1
        problem = _DOUBLE if isinstance(trouble, DuplicateKeyError) else trouble.problem
        raise error(f"{path.name}, line {line}: not valid YAML: {problem}.", hint=_YAML_HINT) from None
    except YAMLError:
        raise error(
            f"{path.name} holds a character that YAML does not allow.", hint="Save it as plain UTF-8 text."
        ) from None
    if not isinstance(loaded, Mapping):
        raise error(f"{path.name} must be a mapping of keys to values.", hint="Start with: format: 1")
    return loaded


def parse(model: type[Model], data: Any, name: str, error: type[CtnbError]) -> Model:
    """
    `data` as a `model`.

    Raises `error` with a line per problem: where it stands, what was expected, and for an unknown key the
    nearest known one. Values are never quoted.
    """
    try:
        return model.model_validate(_plain(data))
    except ValidationError as trouble:
        lines = [_explain(model, data, problem) for problem in trouble.errors()]
    raise error(
        f"{name} cannot be used: " + "; ".join(lines) + ".",
        hint="The reference lists every key of this file.",
    )


def edit(path: Path, changes: Mapping[tuple[Any, ...], Any], error: type[CtnbError]) -> None:
    """
    Set the value at each key path of `changes` in the file `path`; comments and order stay.

    A whole number in a path is a place in a list, from 0. What follows the last key of a list's item belongs to the
    next item, so a new key goes before it.
    """
    document = read(path, error) if path.exists() else {}
    for keys, value in changes.items():
        place: Any = document
        for key in keys[:-1]:
            if isinstance(place, dict) and place.get(key) is None:
                place[key] = {}
            place = place[key]
        if len(keys) > 1 and isinstance(keys[-2], int) and keys[-1] not in place and place:
            place.insert(len(place) - 1, keys[-1], value)
        else:
            place[keys[-1]] = value
    stream = io.StringIO()
    _yaml().dump(document, stream)
    write_text(path, stream.getvalue())


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write `text` to `path` whole or not at all: a temporary name, fsync, then a move."""
    write_bytes(path, text.encode("utf-8"), mode)


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write `content` to `path` whole or not at all: a temporary name, fsync, then a move."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        _move(Path(temporary), path)
    except BaseException:  # whatever ended it, no half-written file stays
        Path(temporary).unlink(missing_ok=True)
        raise


def _move(temporary: Path, path: Path) -> None:
    """Move in one step; Windows refuses as long as somebody reads the file, so there it is tried for two seconds."""
    tries = WINDOWS_TRIES if os.name == "nt" else 1
    for left in reversed(range(tries)):
        try:
            temporary.replace(path)
        except PermissionError:
            if not left:
                raise
            time.sleep(WINDOWS_PAUSE_S)
        else:
            return


def _yaml() -> YAML:
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 110
    return yaml


def _plain(data: Any) -> Any:
    """ruamel's annotated values as plain Python ones."""
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    if isinstance(data, str):
        return str(data)
    return data


def _explain(model: type[BaseModel], data: Any, problem: Any) -> str:
    place = problem["loc"]
    where = ".".join(str(part) for part in place)
    line = _line(data, place)
    where = f"line {line}, {where}" if line else where
    if not where:
        return _words(problem)
    if problem["type"] == "extra_forbidden":
        near = suggest(str(place[-1]), _known_keys(model, place[:-1]))
        return f"{where}: unknown key" + (f", did you mean '{near[0]}'?" if near else "")
    if problem["type"] == "missing":
        return f"{where}: missing"
    return f"{where}: {_words(problem)}"


_EXPECTED = {
    "string_type": "expected text; put it in quotation marks if it looks like a number or a date",
    "tuple_type": "expected a list, e.g. [a, b]",
    "dict_type": "expected a mapping of keys to values",
    "model_type": "expected a mapping of keys to values",
    "model_attributes_type": "expected a mapping of keys to values",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
}
"""Pydantic's words for these speak of Python."""


def _words(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] in ("value_error", "rule"):
        return message
    plain = re.sub(r"^(Input should be|(String|Tuple) should have) | after validation.*", "", message)
    return _EXPECTED.get(problem["type"], f"expected {plain}")


def _line(data: Any, place: Iterable[Any]) -> int | None:
    """The 1-based line in the file where `place` stands, as far as it can be followed."""
    line: int | None = None
    for part in place:
        marks = getattr(data, "lc", None)
        try:
            line = marks.key(part)[0] + 1 if isinstance(data, Mapping) else marks.item(part)[0] + 1  # type: ignore[union-attr]  # ruamel's own attribute; a miss is caught
            data = data[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _known_keys(model: type[BaseModel], place: Iterable[Any]) -> list[str]:
    """The keys that the part of `model` at `place` knows; a part of `place` may be the word of a union's member."""
    found = [model]
    for part in place:
        fields = [one.model_fields[str(part)] for one in found if str(part) in one.model_fields]
        named = [one for one in found if one.__name__.lower() == part]
        found = [inner for field in fields for inner in _models_in(field.annotation)] or named or found
    return [field.alias or name for one in found for name, field in one.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
