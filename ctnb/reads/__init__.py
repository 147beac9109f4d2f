"""
Reading: a source under its contract becomes a table and rejects, and every row is accounted for.

Rows are text first; types come from the contract alone. A cell that cannot be typed, or breaks a constraint,
sets its whole row aside, or becomes empty where the contract says so. Originals of both stay in the private work
folder. Several files become one table when each fits the contract by itself.
"""

from ctnb.reads.accounts import (
    ColumnCount,
    JoinCount,
    NulledCount,
    Reading,
    RejectCount,
    ShapeCount,
    account_sentence,
)
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
