"""What is kept of an exception: its type and where it happened, never what it said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from nbformat.notebooknode import NotebookNode

KEPT_ELSEWHERE = "(message kept in the private work folder)"

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NAME = re.compile(r"[A-Za-z_][\w.]{0,79}\Z")
_RAISED = re.compile(r"(?P<name>[A-Za-z_][\w.]{0,79})\s+Traceback \(most recent call last\)")
_CELL = re.compile(r"Cell In\s?\[(?P<cell>\d+)\],? line:? (?P<line>\d+)(?:,? in (?P<function>[\w<>.]+))?")
_FILE = re.compile(
    r"File (?P<path>[^\n:]{0,3}[^\n:]*\.pyx?):(?P<line>\d+)(?:,? in (?P<function>[\w<>.]+))?",
)
_CHAINS = ("The above exception was the direct cause", "During handling of the above exception")


def exception_name(content: Any) -> str:
    """The name of the exception's type, or "Error" when what the kernel sent is not a name."""
    name = str(content.get("ename") or "")
    return name if _NAME.match(name) else "Error"


def safe_error(content: Any) -> NotebookNode:
    """The error output to keep for the kernel's error message `content`."""
    name = exception_name(content)
    lines = [line for entry in content.get("traceback") or () for line in _places(str(entry))]
    return NotebookNode(
        output_type="error",
        ename=name,
        evalue=KEPT_ELSEWHERE,
        traceback=[*lines, f"{name}: {KEPT_ELSEWHERE}"],
    )


def full_text(content: Any) -> str:
    """All the kernel said of an error, for the private log."""
    trace = "\n".join(str(entry) for entry in content.get("traceback") or ())
    return _ANSI.sub("", f"{trace}\n{content.get('ename')}: {content.get('evalue')}\n")


def _places(entry: str) -> Iterable[str]:
    """The places one entry of a traceback names. Only its first line counts: more is source or message."""
    text = _ANSI.sub("", entry).lstrip("-\n ")
    first = text.split("\n", 1)[0]
    if raised := _RAISED.match(first):
        yield f"{raised['name']} raised at"
    elif cell := _CELL.match(first):
        yield f"  cell {cell['cell']}, line {cell['line']}{_within(cell['function'])}"
    elif file := _FILE.match(first):
        yield f"  {_short(file['path'])}, line {file['line']}{_within(file['function'])}"
    elif first.startswith(_CHAINS):
        yield "which led to"


def _within(function: str | None) -> str:
    return f", in {function}" if function and not function.startswith("<") else ""


def _short(path: str) -> str:
    """The last two parts of a path: enough to find the file, without a home folder."""
    kind = PureWindowsPath if "\\" in path else PurePosixPath
    return "/".join(kind(path).parts[-2:])
