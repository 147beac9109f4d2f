"""Tables that a cell drew on stdout with a library's own `show` or `print`: rows the displays never saw."""

from __future__ import annotations

import re

_BOX = re.compile(r"(?:^[ \t]*[┌┐└┘├┤┬┴┼─│╞╡═╪╭╰║╔╚╠┃┏┗┡].*(?:\n|\Z))+", re.MULTILINE)  # DuckDB, Polars, rich
_ARROW = re.compile(r"(?:^[^\n]{1,200}: \[(?:\[.*)?(?:\n|\Z))+(?:^[ \t]+[^\n]*\n|^\]\n?)*", re.MULTILINE)
_ARROW_HEAD = re.compile(r"^pyarrow\.(?:Table|RecordBatch)$", re.MULTILINE)


def without_drawings(text: str) -> str:
    """`text` with every drawn table replaced by how many lines it had."""
    text = _BOX.sub(_note, text)
    return _ARROW.sub(_note, text) if _ARROW_HEAD.search(text) else text


def _note(drawn: re.Match[str]) -> str:
    lines = drawn[0].rstrip("\n").count("\n") + 1
    return f"[not kept: {lines} line{'' if lines == 1 else 's'} of a drawn table]\n"
