"""
What takes a half-pushed change back: the rows that were there, and those that came, on disk before the first push.

A portal that takes records one by one has no transaction. The folder appears whole or not at all, beside the journal,
and goes when the change is seen to be complete or taken back.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import documents, tables
from ctnb.contracts.columns import Column
from ctnb.tables import Table

if TYPE_CHECKING:
    import duckdb

    from ctnb.portals.interface import Change
    from ctnb.portals.journal import Journal


@dataclass(frozen=True)
class Undo:
    """One change that may be half done."""

    folder: Path
    token: str
    """The change's idempotency key."""
    columns: tuple[Column, ...]
    """Those of the whole dataset."""
    key: tuple[str, ...]
    gone: Table
    """Rows as they were, which the change deletes or overwrites."""
    came: Table
    """Rows as they are to be, which the change adds or overwrites with."""
    before: str
    """Content digest of the portal's rows before."""
    expected: str
    """Content digest of the rows that the change makes."""

    @classmethod
    def write(
        cls, journal: Journal, connection: duckdb.DuckDBPyConnection, change: Change, *, before: str, expected: str
    ) -> Undo:  # fmt: skip
        """Keep the tables `gone` and `came` of `connection`; on disk when this returns."""
        folder = _folder(journal)
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        for name in ("gone", "came"):
            tables.write(connection, f"SELECT * FROM {name}", change.columns, part / f"{name}.parquet")
        facts = {
            "format": 1,
            "token": change.token,
            "key": change.key,
            "before": before,
            "expected": expected,
        }
        documents.write_text(part / "facts.json", json.dumps(facts), mode=0o600)
        for path in (*part.iterdir(), part):
            _to_disk(path)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
        _to_disk(folder.parent)
        return _open(folder)

    @classmethod
    def of(cls, journal: Journal) -> Undo | None:
        """The change that a break left half done, if there is one."""
        folder = _folder(journal)
        return _open(folder) if folder.is_dir() else None

    def remove(self) -> None:
        """The change is complete, or taken back."""
        over = self.folder.with_suffix(".over")
        shutil.rmtree(over, ignore_errors=True)
        self.folder.replace(over)
        _to_disk(over.parent)
        shutil.rmtree(over, ignore_errors=True)


def _folder(journal: Journal) -> Path:
    return journal.path.with_suffix(".undo")


def _open(folder: Path) -> Undo:
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    gone, came = (tables.open_table(folder / f"{name}.parquet") for name in ("gone", "came"))
    return Undo(
        folder, facts["token"], came.columns, tuple(facts["key"]), gone, came, facts["before"], facts["expected"]
    )  # fmt: skip


def _to_disk(path: Path) -> None:
    """fsync a file or a folder; a system that cannot open folders is left to its own."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
