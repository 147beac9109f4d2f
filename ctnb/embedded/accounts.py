"""Accounts and tokens: who calls, and what they may do. Secrets are stored as SHA-256 of 200 random bits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from ctnb.errors import UsageError

from .answers import Account, Call, Refused, legacy, not_logged_in, not_permitted
from .identifiers import new_secret, new_view_id
from .store import Store

ROLES = ("publisher", "viewer")


def add_account(file: Path, name: str, role: str) -> tuple[str, str]:
    """
    Add an account to the portal in `file` and return its key id and key secret, shown this once.

    The portal may be running. `role` is `publisher` or `viewer`. Raises UsageError for any other.
    """
    if role not in ROLES:
        raise UsageError(f"An account's role is {' or '.join(ROLES)}.", hint="Name one of the two.")
    key_id, secret = new_secret(25), new_secret(50)
    row = (key_id, new_view_id(), name, role, _digest(secret), time.time())
    _insert(file, "INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)", row)
    return key_id, secret


def add_oauth_token(file: Path, key_id: str) -> str:
    """Add a token for `Authorization: OAuth` that acts as the account `key_id`, and return it."""
    token = new_secret(50)
    _insert(file, "INSERT INTO tokens VALUES (?, 'oauth', ?, ?)", (_digest(token), key_id, time.time()))
    return token


def add_app_token(file: Path) -> str:
    """Add a token for `X-App-Token`, which names a program and opens nothing, and return it."""
    token = new_secret(25)
    _insert(file, "INSERT INTO tokens VALUES (?, 'app', NULL, ?)", (_digest(token), time.time()))
    return token


def identify(connection: sqlite3.Connection, headers: Mapping[str, str], app_token: str) -> Account | None:
    """
    The account of a request, or None for an anonymous one. `app_token` is the query's, if any.

    Raises Refused: 403 for an unknown app token, 401 for credentials that are not right.
    """
    for token in filter(None, (headers.get("X-App-Token", ""), app_token)):
        query = "SELECT 1 FROM tokens WHERE kind = 'app' AND token_sha256 = ?"
        if connection.execute(query, (_digest(token),)).fetchone() is None:
            raise not_permitted("Invalid app_token specified")
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if not scheme:
        return None
    account = _known(connection, scheme.lower(), given.strip())
    if account is None:
        raise unauthorized("Invalid credentials")
    return account


def unauthorized(message: str) -> Refused:
    """401, with the header that makes a browser ask for a name and a password."""
    refused = legacy(401, "authentication_required", message)
    return Refused(
        401, refused.body, (*refused.headers, ("WWW-Authenticate", 'Basic realm="Open data portal"'))
    )


def publisher(call: Call) -> Account:
    """The caller, who must be a publisher. Raises Refused (403)."""
    if call.account is None:
        raise not_logged_in()
    if call.account.role != "publisher":
        raise not_permitted("You do not have permission to do this")
    return call.account


def describe(account: Account) -> dict[str, object]:
    """An account as the protocol shows it."""
    return {"id": account.uid, "displayName": account.name, "screenName": account.name, "type": "interactive"}


def by_uid(connection: sqlite3.Connection, uid: str) -> dict[str, object]:
    """The account `uid` as the protocol shows it."""
    row = connection.execute("SELECT * FROM accounts WHERE uid = ?", (uid,)).fetchone()
    return describe(_account(row)) if row else {"id": uid}


def _known(connection: sqlite3.Connection, scheme: str, given: str) -> Account | None:
    if scheme == "oauth":
        tokens = "SELECT key_id FROM tokens WHERE kind = 'oauth' AND token_sha256 = ?"
        query = f"SELECT * FROM accounts WHERE key_id = ({tokens})"
        row = connection.execute(query, (_digest(given),)).fetchone()
        return _account(row) if row else None
    if scheme != "basic":
        return None
    try:
        key_id, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    row = connection.execute("SELECT * FROM accounts WHERE key_id = ?", (key_id,)).fetchone()
    if row is None or not hmac.compare_digest(row["secret_sha256"], _digest(secret)):
        return None
    return _account(row)


def _account(row: sqlite3.Row) -> Account:
    return Account(row["key_id"], row["uid"], row["name"], row["role"])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _insert(file: Path, statement: str, row: tuple[object, ...]) -> None:
    store = Store(file)
    try:
        with store.writing() as connection:
            connection.execute(statement, row)
    finally:
        store.close()
