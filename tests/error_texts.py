"""The texts of errors, one file each in tests/messages: a change of wording is a change to review."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

FOLDER = Path(__file__).parent / "messages"
UPDATE = "CTNB_UPDATE_MESSAGES"


def assert_text(name: str, error: BaseException, **seen: str) -> None:
    """
    Hold the text of `error` against tests/messages/<name>.txt.

    `seen` names what differs from run to run: each of its values is written as {key}. To write the files
    anew: CTNB_UPDATE_MESSAGES=1 python -m pytest tests; then read the difference before committing it.
    """
    text = str(error)
    for key, value in seen.items():
        text = text.replace(value, f"{{{key}}}")
    path = FOLDER / f"{name}.txt"
    if os.environ.get(UPDATE):
        path.write_text(text + "\n", encoding="utf-8")
    assert path.exists(), f"{path.name} is missing; write it with {UPDATE}=1"
    assert path.read_text(encoding="utf-8") == text + "\n", f"if the new text is meant: {UPDATE}=1"


def whole_story(error: BaseException) -> str:
    """Everything that could be printed of `error`: its text, its facts, its chain and its traceback."""
    told, one = [], error
    chain: list[BaseException | None] = [one, one.__cause__, one.__context__]
    for link in chain:
        if link is not None:
            told += [str(link), repr(link), repr(vars(link))]
    return "\n".join([*told, *traceback.format_exception(error)])
