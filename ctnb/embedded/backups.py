"""A copy of the portal's file, made while it is served."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from ctnb.errors import OutsideFailed, UsageError


def back_up(file: Path, to: Path) -> int:
    """
    Copy the portal in `file` to `to`, whole, as it is at one moment, for its owner only; returns its bytes.

    Readers and writers of `file` go on (sqlite.org, "Online Backup API"). Uploads of revisions under way and archived
    rows lie beside the file and are not in it. Raises UsageError when there is no portal or `to` is there already,
    OutsideFailed when the copy cannot be written whole.
    """
    if not file.exists():
        raise UsageError("There is no embedded portal here yet.", hint="It is made when it is first used.")
    if to.exists():
        raise UsageError(f"{to.name} is there already.", hint="Give the name of a new file.")
    if not to.parent.is_dir():
        raise UsageError(f"There is no folder for {to.name}.", hint="Make it first.")
    handle, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name[:40]}-")
    os.close(handle)
    written = Path(name)
    try:
        good = _copied(file, written)
        if good:
            written.replace(to)
            return to.stat().st_size
    finally:
        written.unlink(missing_ok=True)
    raise OutsideFailed(
        "The copy of the portal is not whole.", hint="Is the disk full? The portal is as it was."
    )


def _copied(file: Path, to: Path) -> bool:
    """Whether every page was copied and hangs together."""
    source = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    target = sqlite3.connect(to)
    with contextlib.closing(source), contextlib.closing(target):
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
            return target.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        except sqlite3.Error:
            return False
