"""
Reading: a source under its contract becomes a table and rejects, and every row is accounted for.

Rows are text first; types come from the contract alone. A cell that cannot be typed, or breaks a constraint,
sets its whole row aside. Originals of rejected rows stay in the private work folder.
"""

from ctnb.reads.accounts import ColumnCount, Reading, RejectCount, account_sentence
from ctnb.reads.matching import match
from ctnb.reads.reading import read

__all__ = ["ColumnCount", "Reading", "RejectCount", "account_sentence", "match", "read"]
