"""Names under which other tools keep credentials, tried where a contract names none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ctnb import secrets
from ctnb.secrets import SecretReference

if TYPE_CHECKING:
    from ctnb.contracts.sources import Source

SOCRATA_ACCOUNTS = (
    ("MY_SOCRATA_USERNAME", "MY_SOCRATA_PASSWORD"),
    ("SOCRATA_EMAIL", "SOCRATA_PASSWORD"),
    ("SOCRATA_USERNAME", "SOCRATA_PASSWORD"),
)
"""Pairs of variables that socrata-py's and RSocrata's users set: account and password."""
SOCRATA_TOKENS = ("MY_SOCRATA_APP_TOKEN", "SOCRATA_APP_TOKEN")
CENSUS_KEY = "CENSUS_API_KEY"


def socrata_account() -> tuple[str, str] | None:
    """Account and password of the first pair of which both are set; None when there is none."""
    for user, password in SOCRATA_ACCOUNTS:
        found = secrets.lookup(SecretReference(secret=user)), secrets.lookup(SecretReference(secret=password))
        if found[0] and found[1]:
            return found[0], found[1]
    return None


def socrata_token() -> str | None:
    """The first app token that is set; None when there is none."""
    found = (secrets.lookup(SecretReference(secret=name)) for name in SOCRATA_TOKENS)
    return next((token for token in found if token), None)


def census_key() -> str | None:
    """The Census Bureau's key that its R packages look for; None when it is not set."""
    return secrets.lookup(SecretReference(secret=CENSUS_KEY))


def references(source: Source) -> Iterator[SecretReference]:
    """What could be looked up for `source` though its contract does not name it."""
    parts = (source, *source.union, *(join.source for join in source.joins))
    if any(part.socrata for part in parts):
        for name in {*(name for pair in SOCRATA_ACCOUNTS for name in pair), *SOCRATA_TOKENS}:
            yield SecretReference(secret=name)
    if any(part.census for part in parts):
        yield SecretReference(secret=CENSUS_KEY)
