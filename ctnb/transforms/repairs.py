"""The rule repair_zip: zeros that a spreadsheet took from ZIP codes are put back, and every repair is counted."""

from __future__ import annotations

from ctnb.contracts.transforms import UNTOUCHED, RepairZip
from ctnb.values import quote_name, trimmed

FOUR, EIGHT, NINE = "4 digits", "8 digits", "9 digits"
"""Kinds of damage, as the record calls them."""

_RIGHT = "[0-9]{5}(-[0-9]{4})?"


def tests(rule: RepairZip) -> dict[str, str]:
    """SQL that says of a cell whether it has each kind of damage, or is no ZIP code and stays as it is."""
    cell = _cell(rule)
    found = {kind: f"regexp_full_match({cell}, '[0-9]{{{kind[0]}}}')" for kind in _repaired(rule)}
    others = " OR ".join([f"regexp_full_match({cell}, '{_RIGHT}')", *found.values()])
    return found | {UNTOUCHED: f"{cell} <> '' AND NOT ({others})"}


def repaired_sql(rule: RepairZip) -> str:
    """SQL for a cell of the column, repaired where it has one of the kinds of damage."""
    found = {kind: test for kind, test in tests(rule).items() if kind != UNTOUCHED}
    whens = " ".join(f"WHEN {test} THEN {_made(kind, _cell(rule))}" for kind, test in found.items())
    return f"CASE {whens} ELSE {quote_name(rule.repair_zip)} END"


def _repaired(rule: RepairZip) -> tuple[str, ...]:
    return (FOUR, EIGHT, NINE) if rule.nine_digits else (FOUR, EIGHT)


def _cell(rule: RepairZip) -> str:
    return trimmed(quote_name(rule.repair_zip))


def _made(kind: str, cell: str) -> str:
    whole = cell if kind == NINE else f"('0' || {cell})"
    return whole if kind == FOUR else f"(left({whole}, 5) || '-' || right({whole}, 4))"
