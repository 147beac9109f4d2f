"""Writing a dataset's dictionary to a file, and taking titles and descriptions from one into dataset.yml."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb import documents
from ctnb.contracts.columns import Column
from ctnb.datasets import Contract, Dataset
from ctnb.dictionaries import reading, table_schemas, writing
from ctnb.dictionaries.entries import dictionary
from ctnb.dictionaries.reading import Said
from ctnb.errors import ContractInvalid, NameUnknown
from ctnb.privacy.detection import found_in
from ctnb.settings import Project
from ctnb.sources.workbook_shape import listed

FORMS: dict[str, tuple[str, Callable[[Contract], bytes]]] = {
    "table-schema": (
        ".schema.json",
        lambda contract: table_schemas.as_json(table_schemas.to_schema(contract)),
    ),
    "csv": (".csv", lambda contract: writing.as_csv(dictionary(contract))),
    "xlsx": (".xlsx", lambda contract: writing.as_xlsx(dictionary(contract))),
    "html": (".html", lambda contract: writing.as_html(dictionary(contract))),
    "markdown": (".md", lambda contract: writing.as_markdown(dictionary(contract))),
}
"""For each form that a dictionary is exported in, the end of the file's name and what writes it."""

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    described: tuple[str, ...]
    """Columns whose description was set."""
    titled: tuple[str, ...]
    """Columns whose title was set."""
    kept: tuple[str, ...]
    """Columns that have another description already, which stayed."""
    refused: tuple[tuple[str, str], ...]
    """Columns whose text looks like it identifies somebody, with what it looks like; not set."""
    unmatched: tuple[str, ...]
    """Where in the file names stand that no column has, as text; the names are not quoted."""
    missing: tuple[str, ...]
    """Columns without a description after the import."""
    notes: tuple[str, ...] = ()
    """What was left out of the file."""


def export(contract: Contract, form: str, *, source: bool = False) -> bytes:
    """
    The dictionary of what is published under `contract`, in one of `FORMS`.

    `source` gives the Table Schema of the source's file instead, with its headers. Raises NameUnknown for a form that
    there is not, ContractInvalid when the contract's rules do not fit its columns.
    """
    if form not in FORMS:
        raise NameUnknown("form of a dictionary", form, FORMS)
    if source:
        return table_schemas.as_json(table_schemas.to_schema(contract, source=True))
    return FORMS[form][1](contract)


def take(
    project: Project, dataset: Dataset, path: Path, *, overwrite: bool = False, sheet: str | int | None = None
) -> Imported:
    """
    Take titles and descriptions from the dictionary `path` into dataset.yml of `dataset`; comments stay.

    A description or title that is there already stays unless `overwrite`. Text that looks like it identifies somebody
    is not taken. Raises SourceInvalid when the file is no dictionary, ContractInvalid when dataset.yml cannot be
    edited; nothing is written then.
    """
    with tempfile.TemporaryDirectory(prefix="dictionary-", dir=project.private) as made:
        found = reading.read(path, Path(made), sheet=sheet)
    places = dict(_columns(dataset.contract))
    known = {_plain(name): keys for keys, column in reversed(places.items()) for name in _called(column)}
    edits = _Edits(overwrite)
    unmatched = []
    for said in found.said:
        keys = known.get(_plain(said.name)) or known.get(_plain(said.title))
        if keys is None:
            unmatched.append(said.place)
            continue
        for one, column in places.items():
            if column.name == places[keys].name:
                edits.take(one, column, said)
    if edits.changes:
        documents.edit(dataset.folder / "dataset.yml", edits.changes, ContractInvalid)
    without = [column.name for keys, column in places.items() if not edits.described_after(keys, column)]
    return Imported(
        edits.names("description"), edits.names("label"), tuple(dict.fromkeys(edits.kept)),
        tuple(dict.fromkeys(edits.refused)), (listed(unmatched, found.what),) if unmatched else (),
        tuple(dict.fromkeys(without)), found.notes,
    )  # fmt: skip


class _Edits:
    """The changes that an import makes, and what it leaves."""

    def __init__(self, overwrite: bool) -> None:
        self._overwrite = overwrite
        self.changes: dict[Keys, Any] = {}
        self.kept: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self._set: list[tuple[str, str]] = []

    def take(self, keys: Keys, column: Column, said: Said) -> None:
        """Take what is `said` of `column`, which stands under `keys`."""
        texts = {
            "description": (column.description, said.description),
            "label": (column.label or "", said.title),
        }
        for key, (before, after) in texts.items():
            after = after.replace("\r\n", "\n").strip()
            if not after or after == before or (key == "label" and after == column.title):
                continue
            if kinds := found_in(after):
                self.refused.append((column.name, kinds[0]))
            elif before and not self._overwrite:
                self.kept.append(column.name)
            else:
                self.changes[*keys, key] = after
                self._set.append((key, column.name))

    def names(self, key: str) -> tuple[str, ...]:
        """The columns of which `key` was set."""
        return tuple(dict.fromkeys(name for one, name in self._set if one == key))

    def described_after(self, keys: Keys, column: Column) -> bool:
        """Whether `column` has a description after the changes."""
        return bool(self.changes.get((*keys, "description"), column.description))


def _columns(contract: Contract) -> Iterator[tuple[Keys, Column]]:
    """Every column of the contract with where it stands in dataset.yml."""
    for place, column in enumerate(contract.columns):
        yield ("columns", place), column
    for place, column in enumerate(contract.transform.columns or ()):
        yield ("transform", "columns", place), column


def _called(column: Column) -> tuple[str, ...]:
    return tuple(name for name in (column.name, column.header, column.label) if name)


def _plain(name: str) -> str:
    """`name` as names are compared: letters and digits."""
    return re.sub(r"[\W_]+", " ", name.lower()).strip() or name
