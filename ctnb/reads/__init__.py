"""
Reading: a source under its contract becomes a table and rejects, and every row is accounted for.

Rows are text first; types come from the contract alone. A cell that cannot be typed, or breaks a constraint,
sets its whole row aside, or becomes empty where the contract says so. Originals of both stay in the private work
folder. Several files become one table when each fits the contract by itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ctnb.reads.accounts import (
    ColumnCount,
    JoinCount,
    NulledCount,
    Reading,
    RejectCount,
    ShapeCount,
    account_sentence,
)

if TYPE_CHECKING:
    from ctnb.reads.matching import match
    from ctnb.reads.reading import read

__all__ = [
    "ColumnCount",
    "JoinCount",
    "NulledCount",
    "Reading",
    "RejectCount",
    "ShapeCount",
    "account_sentence",
    "match",
    "read",
]

_LATER = {"match": "matching", "read": "reading"}


def __getattr__(name: str) -> Any:
    """What reads files, imported when first used: most who ask for the counts read nothing."""
    if name in _LATER:
        return getattr(import_module(f"ctnb.reads.{_LATER[name]}"), name)
    raise AttributeError(f"module 'ctnb.reads' has no attribute {name!r}")
