"""
The publish gate: the words without which nothing goes public, and the citation that goes with them.

Which words: the metadata schema of the Connecticut Open Data Portal (Open Data Handbook, "Metadata standards") and
the state's publishing guideline, which also asks for a model citation in the description and for descriptions of
columns that are not the columns' names again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from urllib.parse import urlsplit

from ctnb.contracts.columns import Column
from ctnb.contracts.publication import Metadata

SAME = 0.9
"""From this likeness on, a description is a name again."""
CITATION = "Suggested citation: "
_WORDS = (
    ("category", "category", "metadata: category"), ("row_label", "row label", "metadata: row_label"),
    ("license", "licence", "metadata: license"), ("update_frequency", "update frequency", "metadata: update_frequency"),
    ("contact", "contact", "metadata: contact"),
)  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """Something that must be said before a dataset goes public."""

    what: str
    where: str
    """The key of dataset.yml where it is written."""


def missing(
    title: str, description: str, metadata: Metadata, columns: Sequence[Column]
) -> tuple[Missing, ...]:
    """What is not said of a dataset, its columns last; empty when it may go public."""
    found = [
        Missing(name, name)
        for name, text in (("title", title), ("description", description))
        if not text.strip()
    ]
    found += [Missing(what, where) for key, what, where in _WORDS if not str(getattr(metadata, key)).strip()]
    return (*found, *filter(None, map(_column, columns)))


def told(found: Sequence[Missing]) -> str:
    """What is missing as one sentence part, with where to write it."""
    return ", ".join(f"{one.what} ({one.where}:)" for one in found)


def citation(title: str, metadata: Metadata, address: str, year: int) -> str:
    """
    A model citation: who, when, what, where, as the guideline asks for.

    `address` is where people see the dataset; `year` that of the newest release. The contract's own words win.
    """
    if metadata.citation.strip():
        return CITATION + metadata.citation.strip()
    who = (
        f"{metadata.attribution.strip().rstrip('.')} ({year})."
        if metadata.attribution.strip()
        else f"({year})."
    )
    host = urlsplit(address).hostname or ""
    return (
        f"{CITATION}{who} {title.strip().rstrip('.')}. {host}, {address} (accessed on the day you read it)."
    )


def with_citation(description: str, cited: str) -> str:
    """`description` with the citation as its last paragraph; as it is where its author wrote one."""
    if re.search(
        r"\b(suggested citation|please cite|cite (this|as)|how to cite)\b", description, re.IGNORECASE
    ):
        return description
    return f"{description.rstrip()}\n\n{cited}".strip()


def is_name_again(column: Column) -> bool:
    """Whether the description of `column` only says its name, label or header again."""
    text = _letters(column.description)
    names = filter(None, map(_letters, (column.name, column.title, column.header or "")))
    return any(text == name or SequenceMatcher(None, text, name).ratio() > SAME for name in names)


def _column(column: Column) -> Missing | None:
    where = f"columns: {column.name}: description"
    if not column.description.strip():
        return Missing(f"the description of column {column.name}", where)
    if is_name_again(column):
        return Missing(f"a description of column {column.name} that is not its name again", where)
    return None


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
