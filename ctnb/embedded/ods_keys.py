"""Who calls Opendatasoft's interfaces, and what they may do: API keys with permissions, and the store's accounts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb.errors import UsageError

from .accounts import identify
from .answers import Call, Refused
from .ods_answers import automation_error, bad_key
from .ods_store import Dataset, new_key, new_uid, prepare
from .store import Store

PERMISSIONS = (
    "edit_domain", "create_page", "edit_page", "manage_page", "explore_restricted_page", "create_dataset",
    "edit_dataset", "publish_dataset", "manage_dataset", "explore_restricted_dataset", "edit_reuse",
    "manage_subdomains", "explore_monitoring", "edit_theme", "edit_form", "submit_private_form",
)  # fmt: skip
_SEES = frozenset(
    {"edit_dataset", "publish_dataset", "manage_dataset", "create_dataset", "explore_restricted_dataset"}
)


@dataclass(frozen=True)
class Caller:
    """Who calls, and what for."""

    account: str
    """The key id of the account behind the key."""
    name: str
    permissions: frozenset[str]

    def needs(self, *permissions: str) -> None:
        """Raises OdsRefused (403) unless the caller has one of `permissions`."""
        if self.permissions.isdisjoint(permissions):
            message = f"This needs the permission {' or '.join(permissions)}."
            raise automation_error(403, "permission_denied", message)


def add_api_key(file: Path, key_id: str, *permissions: str) -> str:
    """
    Add an API key of the account `key_id` to the portal in `file`, and return it, shown this once.

    Without `permissions` it has them all. Raises UsageError for an unknown one.
    """
    if unknown := [one for one in permissions if one not in PERMISSIONS]:
        raise UsageError(
            f"There is no permission '{unknown[0]}'.", hint=f"Choose of {', '.join(PERMISSIONS)}."
        )
    key, store = new_key(), Store(file)
    try:
        with store.writing() as connection:
            prepare(connection)
            keep_key(connection, key, "", permissions or PERMISSIONS, key_id, time.time())
    finally:
        store.close()
    return key


def keep_key(
    connection: sqlite3.Connection,
    key: str,
    label: str,
    permissions: tuple[str, ...],
    account: str,
    now: float,
) -> str:
    """Keep the digest of a new API key, and return the key's uid."""
    uid = new_uid("ak")
    row = (uid, digest(key), label, json.dumps(list(permissions)), account, now)
    connection.execute("INSERT INTO ods_keys VALUES (?, ?, ?, ?, ?, ?, NULL)", row)
    return uid


def digest(key: str) -> str:
    """How a key is kept: SHA-256; the keys are 224 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


def caller(call: Call, connection: sqlite3.Connection) -> Caller | None:
    """
    Who calls: by `Authorization: Apikey KEY`, by `?apikey=KEY`, or an account by HTTP Basic; None is anybody.

    Raises OdsRefused (401) for a key or an account that is not valid.
    """
    scheme, _, given = call.headers.get("Authorization", "").partition(" ")
    key = given.strip() if scheme.lower() == "apikey" else call.option("apikey")
    if key:
        return _by_key(connection, key)
    if not scheme:
        return None
    account = None
    with contextlib.suppress(Refused):  # refused below, in the envelope of these interfaces
        account = identify(connection, call.headers, "")
    if account is None:
        raise bad_key()
    held = PERMISSIONS if account.role == "publisher" else ()
    return Caller(account.key_id, account.name, frozenset(held))


def required(call: Call, connection: sqlite3.Connection, *permissions: str) -> Caller:
    """The caller, who has one of `permissions`. Raises OdsRefused (401, 403)."""
    known = caller(call, connection)
    if known is None:
        raise automation_error(401, "not_authenticated", "Authentication credentials were not provided.")
    known.needs(*permissions)
    return known


def may_see(dataset: Dataset, known: Caller | None) -> bool:
    """Whether `known` (None: anybody) may see that a published dataset is there."""
    if not dataset.is_restricted:
        return True
    return known is not None and (_rules(dataset, known) is not None or _sees(known))


def may_read(dataset: Dataset, known: Caller | None) -> bool:
    """Whether `known` (None: anybody) may read the records of a published dataset."""
    if known is not None and _sees(known):
        return True
    rules = None if known is None else _rules(dataset, known)
    if rules is not None:
        return bool(rules["is_data_visible"])
    return not dataset.is_restricted and bool(dataset.document["security"]["default"]["is_data_visible"])


def _sees(known: Caller) -> bool:
    return not known.permissions.isdisjoint(_SEES)


def _rules(dataset: Dataset, known: Caller) -> dict[str, Any] | None:
    """What a dataset says of one account."""
    users = dataset.document["security"]["users"]
    return next((one["security"] for one in users if one["account"] == known.account), None)


def _by_key(connection: sqlite3.Connection, key: str) -> Caller:
    query = (
        "SELECT ods_keys.permissions, accounts.key_id, accounts.name FROM ods_keys"
        " JOIN accounts ON accounts.key_id = ods_keys.account WHERE key_sha256 = ? AND revocation IS NULL"
    )
    row = connection.execute(query, (digest(key),)).fetchone()
    if row is None:
        raise bad_key()
    return Caller(row["key_id"], row["name"], frozenset(json.loads(row["permissions"])))
