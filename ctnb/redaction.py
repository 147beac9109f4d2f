"""
Redaction: the last wall between a table's cells and the notebook that goes into the record.

It knows the cells that must not be quoted - of columns that identify, are sensitive or free text, and of
columns without a role - and takes any of them out of a text that a cell printed, in whatever letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ctnb import tables
from ctnb.contracts.columns import Column
from ctnb.values import quote_name, quote_text

SHORTEST = 4
"""Texts with fewer characters are words like Y and CT; they are left."""

SHORTEST_NUMBER = 6
"""Numbers with fewer digits stand in any count; they are left. A Social Security number has nine."""

READ_TABLE, REJECTS = "read.parquet", "rejects.parquet"
TABLES = (READ_TABLE, "transform.parquet")
"""What steps write; other Parquet files there are snapshots, or the analyst's own."""
NOTHING_READ = "[not kept: nothing was read yet, so ctnb cannot tell which texts are cells]\n"

PICTURES = ("image/png", "image/jpeg", "image/gif", "application/pdf")
"""Outputs in base64, in which no text stands."""

REDACTED = (None, "identifier", "sensitive", "free_text")
TEXTS = ("text", "code", "url")
REMOVED = "[removed: a cell of {}]"

Redactor = Callable[[str], str]


def redactor(folders: Sequence[Path]) -> Redactor:
    """What redacts the cells of the tables in `folders`, where steps write; opened when needed."""

    def redact(text: str) -> str:
        if len(text) < SHORTEST:
            return text
        for column, cell in _cells_in(text, folders):
            removed = REMOVED.format(column).replace("\\", "\\\\")
            text = re.sub(re.escape(cell), removed, text, flags=re.IGNORECASE)
        return text

    return redact


def redact_outputs(notebook: Any, redact: Redactor) -> None:
    """Redact every text in the outputs of `notebook` that ctnb did not make itself."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("metadata", {}).get("ctnb", {}).get("safe"):
                continue
            if output.output_type == "stream":
                output.text = redact(output.text)
            elif output.output_type == "error":
                output.evalue, output.traceback = (
                    redact(output.evalue),
                    [redact(line) for line in output.traceback],
                )
            else:
                for kind, data in output.data.items():
                    output.data[kind] = data if kind in PICTURES else _redacted(data, redact)


def withhold_printed(notebook: Any) -> None:
    """Take everything printed out of `notebook`: its data was not read, so there is nothing to compare with."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stdout":
                output.text = NOTHING_READ


def _redacted(data: Any, redact: Redactor) -> Any:
    """`data`, text or JSON, with every text in it redacted."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, list):
        return [_redacted(one, redact) for one in data]
    if isinstance(data, dict):
        return {redact(str(key)): _redacted(one, redact) for key, one in data.items()}
    return data


def _cells_in(text: str, folders: Sequence[Path]) -> list[tuple[str, str]]:
    """Column and text of each redacted cell that stands in `text`, the longest first."""
    found: set[tuple[str, str]] = set()
    for path in (folder / name for folder in folders for name in (*TABLES, REJECTS)):
        if path.is_file():
            found |= _in_rejects(text, path) if path.name == REJECTS else _in_table(text, path)
    return sorted(found, key=lambda hit: -len(hit[1]))


def _in_table(text: str, path: Path) -> set[tuple[str, str]]:
    table = tables.open_columns(path)
    private = [column for column in table if column.role in REDACTED and column.type != "boolean"]
    if not private:
        return set()
    with tables.connect() as connection:
        each = " UNION ".join(
            _stands_in(column, f"read_parquet({quote_text(str(path))})") for column in private
        )
        rows = connection.execute(each, [text.lower()]).fetchall()
    return {(str(column), str(cell)) for column, cell in rows}


def _stands_in(column: Column, source: str) -> str:
    """SQL for the distinct cells of `column` that stand in the text $1, which is in small letters."""
    shortest = SHORTEST if column.type in TEXTS else SHORTEST_NUMBER
    cell = f"CAST({quote_name(column.name)} AS VARCHAR)"
    return (
        f"SELECT DISTINCT {quote_text(column.name)}, {cell} FROM {source} "
        f"WHERE length({cell}) >= {shortest} AND contains($1, lower({cell}))"
    )


def _in_rejects(text: str, path: Path) -> set[tuple[str, str]]:
    with tables.connect() as connection:
        rows = connection.execute(
            f"SELECT DISTINCT original FROM read_parquet({quote_text(str(path))})"
        ).fetchall()
    cells: set[str] = set()
    for (original,) in rows:
        said = json.loads(original)
        given = said.values() if isinstance(said, dict) else said
        cells |= {str(cell) for cell in given if not isinstance(cell, bool | None)}
    low = text.lower()
    return {("a rejected row", cell) for cell in cells if len(cell) >= SHORTEST and cell.lower() in low}
