"""A proposed dataset.yml as text: every guess with its reason, every question marked ASK, and no cell."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ctnb.contracts.sources import Source
from ctnb.proposals.offers import Offer
from ctnb.proposals.roles import Suggestion
from ctnb.proposals.types import Choice
from ctnb.values import TYPES

WIDTH = 108
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ ()/.-]*[A-Za-z0-9)]|[A-Za-z]")
_NOT_TEXT = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"))


@dataclass(frozen=True)
class Proposed:
    """One column as it will be written."""

    name: str
    header: str
    position: int | None
    choice: Choice
    suggestion: Suggestion
    notes: tuple[str, ...] = ()
    """More about it, as sentences."""


@dataclass(frozen=True)
class Destination:
    """Where the dataset is published, and what a portal that has it says of it."""

    portal: str = "local"
    mode: str = ""
    """Empty: chosen from the source and the columns."""
    public: bool = True
    key: str = ""
    """The column that the portal has as row identifier."""
    described: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Its words under the names of the contract's metadata, with title and description."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """What people read as a column's name, by column."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """What is said of a column, by column."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Our column: the portal's field, where names differ."""
    ignore: tuple[str, ...] = ()
    """The portal's fields that no contract type fits."""

    def said(self, name: str) -> str:
        """What the portal says under `name` of the metadata; empty where it says nothing."""
        told = self.described.get(name, "")
        return told if isinstance(told, str) else ""


@dataclass(frozen=True)
class Draft:
    """All that a proposed dataset.yml says."""

    slug: str
    title: str
    source: Source
    """Where it is, and what has to be said of its file."""
    rows: int
    columns: tuple[Proposed, ...]
    nulls: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Columns whose every cell is filled and different."""
    rejects: int = 0
    """Records that do not fit the header."""
    notes: tuple[str, ...] = ()
    """What is known of the whole table, as sentences."""
    asks: tuple[str, ...] = ()
    """What only a person can answer about the whole table."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Records that a named rule of the kind of source leaves out."""
    offers: tuple[Offer, ...] = ()
    """Rules that could be uncommented."""
    destination: Destination = Destination()


def text(draft: Draft) -> str:
    """`draft` as the text of a dataset.yml."""
    return (
        "\n".join(
            [*_head(draft), *_source(draft), *_columns(draft), *_key(draft), *_offers(draft), *_tail(draft)]
        )
        + "\n"
    )


def scalar(value: str) -> str:
    """`value` as YAML reads it back, in quotation marks where it must have them."""
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return "".join(
        mark if mark.isprintable() else _escaped(mark) for mark in json.dumps(value, ensure_ascii=False)
    )


def _escaped(mark: str) -> str:
    return f"\\u{ord(mark):04x}" if ord(mark) < 0x10000 else f"\\U{ord(mark):08x}"


def _comment(sentences: Iterable[str], indent: str = "", mark: str = "") -> list[str]:
    lines: list[str] = []
    for sentence in sentences:
        lines += textwrap.wrap(
            f"{mark}{sentence}", WIDTH - len(indent) - 2, initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}#   ", break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return lines


def _head(draft: Draft) -> list[str]:
    return [
        *_comment(
            (
                f"Proposed by ctnb new {draft.slug} from all {draft.rows:,} rows. Read every line, correct it, and "
                "take the comments out as you go.",
                "Lines marked ASK are questions that the data cannot answer.",
            )
        ),
        "format: 1",
        *_comment(
            ("Plain language, enough to be found by, no acronyms.",),
            mark="ASK: is this what people search for? ",
        ),
        f"title: {scalar(draft.title)}",
        f"description: {_words(draft.destination.said('description'))}  # what it describes, for people who do not "
        "work with it",
        "",
        *_comment(
            ("what is one row: person, group or other? Nothing is published without it.",), mark="ASK: "
        ),
        "# unit: person",
        "",
        *_comment(draft.notes),
        *_comment(f"{rows:,} records are left out as {rule}." for rule, rows in draft.left_out.items()),
        *_comment(draft.asks, mark="ASK: "),
    ]


def _source(draft: Draft) -> list[str]:
    lines = ["source:"]
    for name, told in draft.source.model_dump(exclude_unset=True).items():
        lines += _entry(name, told, "  ")
    if draft.nulls:
        words = ", ".join(json.dumps(word) for word in ("", *draft.nulls))
        lines += _comment(
            ("Words that mean an empty cell, in every column. Without them columns below would be text.",),
            "  ",
        )
        lines.append(f"  nulls: [{words}]")
    if draft.rejects:
        lines += [
            "",
            *_comment((f"{draft.rejects:,} records do not have the header's width.",), mark="ASK: "),
        ]
        lines += ["rejects:", "  at_most_share: 0  # more than this and the run fails"]
    return [*lines, ""]


def _entry(name: str, told: Any, indent: str) -> list[str]:
    """One key of YAML with its value, however deep."""
    if isinstance(told, Mapping):
        inner = [line for key, value in told.items() for line in _entry(key, value, f"{indent}  ")]
        return [f"{indent}{scalar(name)}:", *inner]
    if isinstance(told, (list, tuple)):
        return [f"{indent}{scalar(name)}: [{', '.join(_value(one) for one in told)}]"]
    return [f"{indent}{scalar(name)}: {_value(told)}"]


def _value(told: Any) -> str:
    if told is None or isinstance(told, (bool, int, float)):
        return json.dumps(told)
    return scalar(str(told))


def _columns(draft: Draft) -> list[str]:
    lines = [
        "# name: what it is published under. type: what its cells are. role: what it is to a person -",
        "#   identifier, quasi, sensitive, free_text, measure or plain. A column without one blocks publishing.",
        "columns:",
    ]
    for column in draft.columns:
        lines += _column(column, draft.destination)
    return lines


def _column(column: Proposed, destination: Destination) -> list[str]:
    kind, choice = column.choice.kind, column.choice
    lines = [*_comment((*choice.why, *column.notes), "  "), *_comment(choice.asks, "  ", "ASK: ")]
    lines.append(f"  - name: {scalar(column.name)}")
    if column.header.strip() != column.name:
        lines.append(f"    header: {scalar(column.header.strip())}")
    if column.position:
        lines.append(f"    position: {column.position}  # its header is blank or stands twice")
    if title := destination.titles.get(column.name):
        lines.append(f"    label: {scalar(title)}")
    lines.append(f"    type: {kind.type}")
    if TYPES[kind.type].default_scale is not None and kind.type != "money":
        lines.append(f"    scale: {kind.scale}")
    if kind.format:
        lines.append(f"    format: {scalar(kind.format)}")
    lines += _comment((column.suggestion.why,), "    ", "" if column.suggestion.role else "ASK: ")
    lines.append(f"    {'' if column.suggestion.role else '# '}role: {column.suggestion.role or 'plain'}")
    if column.suggestion.precision:
        lines.append(f"    precision: {column.suggestion.precision}")
    return [*lines, f"    description: {_words(destination.descriptions.get(column.name, ''))}"]


def _key(draft: Draft) -> list[str]:
    if draft.destination.key:
        return ["", *_comment(("The portal's row identifier.",)), f"key: [{draft.destination.key}]"]
    if not draft.keys:
        return ["", "# key: no column has a different value in every row."]
    asked = f"which column identifies a row? Every value is different in: {', '.join(draft.keys)}."
    mark = "" if _mode(draft)[0] == "upsert" else "# "
    return ["", *_comment((asked,), mark="ASK: "), f"{mark}key: [{_likely_key(draft) or draft.keys[0]}]"]


def _likely_key(draft: Draft) -> str:
    """
    The first column that may identify a row and is no person's name or number; empty when there is none.

    Where a pivot is offered, rows will be others.
    """
    if any(offer.name.startswith("pivot_longer") for offer in draft.offers):
        return draft.destination.key
    persons = {
        column.name for column in draft.columns if column.suggestion.role in ("identifier", "free_text")
    }
    return draft.destination.key or next((name for name in draft.keys if name not in persons), "")


def _mode(draft: Draft) -> tuple[str, str]:
    """The mode, and why: the state's guideline asks to add to what is published rather than to replace it."""
    if draft.destination.mode:
        return draft.destination.mode, ""
    if draft.source.folder and draft.source.folder.take == "new":
        return "append", "Each new file's rows are added; no published row is changed."
    if _likely_key(draft):
        return (
            "upsert",
            "Rows of a new key are added, those of a known one changed, and no published row goes.",
        )
    return "append", (
        "ASK: does the source hold new rows alone each time? Where it holds all rows again, name a key: and say "
        "upsert, or say replace, which stops where published rows would go."
    )


def _offers(draft: Draft) -> list[str]:
    """The rules that are offered, each with its reason, all in comments."""
    if not draft.offers:
        return []
    block = ["transform:", "  rules:"]
    for offer in draft.offers:
        block += _comment(offer.why, "    ", "ASK: ") + [f"    {line}" for line in offer.lines]
    said = "Offered, not applied: take away the first # of each line that you want."
    return ["", *_comment((said,)), *(f"# {line}" for line in block)]


def _tail(draft: Draft) -> list[str]:
    to, (mode, why) = draft.destination, _mode(draft)
    tags = to.described.get("tags", ())
    lines = [
        "",
        "metadata:",
        f"  category: {_words(to.said('category'))}  # one of the portal's categories",
        f"  tags: [{', '.join(map(scalar, tags))}]  # technical and everyday words",
        f"  row_label: {_words(to.said('row_label'))}  # what each row is, in words",
        f"  license: {_words(to.said('license'))}",
        f"  attribution: {_words(to.said('attribution'))}  # the agency that answers for the data",
        f"  contact: {_words(to.said('contact'))}",
        f"  update_frequency: {_words(to.said('update_frequency'))}",
        "",
        "portal:",
        f"  name: {scalar(to.portal)}",
        *_comment(filter(None, (why,)), "  "),
        f"  mode: {mode}",
    ]
    lines += [] if to.public else ["  public: false"]
    if to.mapping:
        lines += _entry("mapping", to.mapping, "  ")
    if to.ignore:
        lines += [*_comment(("Fields of the portal whose types no contract has.",), "  ")]
        lines += _entry("ignore", to.ignore, "  ")
    return lines


def _words(told: str) -> str:
    """A text that may be empty, as YAML."""
    return scalar(told) if told else '""'
