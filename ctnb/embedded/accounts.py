"""
Accounts and tokens: who calls, and what they may do.

Key secrets and tokens are 125 random bits or more and stored as SHA-256. A password is chosen by a person, so it
is stored as scrypt, which is slow to guess; one that was right is remembered in memory for the next request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ctnb.errors import UsageError

from .answers import Account, Call, Refused, legacy, not_logged_in, not_permitted
from .identifiers import new_secret, new_view_id
from .store import Store

ROLES = ("publisher", "viewer")
MAIL = re.compile(r"[^@\s:]+@[^@\s:]+")
PASSWORD_LENGTH = 12
"""The fewest characters of a password."""
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
"""About 50 ms and 16 MiB for each try (RFC 7914)."""
_ACCOUNTS = "SELECT accounts.*, logins.mail FROM accounts LEFT JOIN logins USING (key_id)"


@dataclass(frozen=True)
class Listed:
    """One account, as `ctnb portal account list` shows it."""

    name: str
    role: str
    mail: str
    key_id: str
    password: bool
    """Whether it can sign in with its mail address and a password."""


def add_account(
    file: Path, name: str, role: str, *, mail: str | None = None, password: str | None = None
) -> tuple[str, str]:
    """
    Add an account to the portal in `file` and return its key id and key secret, shown this once.

    The portal may be running. `role` is `publisher` or `viewer`. With `mail` the account is given datasets by that
    address, and signs in with it when there is a `password`. Raises UsageError for another role, for an address
    that is none or is taken, and for a password that is too short or has no address.
    """
    if role not in ROLES:
        raise UsageError(f"An account's role is {' or '.join(ROLES)}.", hint="Name one of the two.")
    _check_login(mail, password)
    key_id, secret = new_secret(25), new_secret(50)
    row = (key_id, new_view_id(), name, role, _digest(secret), time.time())
    with Store.opened(file) as store, store.writing() as connection:
        if mail is not None:
            taken = connection.execute("SELECT 1 FROM logins WHERE mail = ?", (mail.lower(),)).fetchone()
            if taken:
                raise UsageError("An account has this mail address already.", hint="Remove that one first.")
        connection.execute("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)", row)
        if mail is not None:
            login = (key_id, mail.lower(), *(_stored_password(password) if password else (None, None)))
            connection.execute("INSERT INTO logins VALUES (?, ?, ?, ?)", login)
    return key_id, secret


def list_accounts(file: Path) -> list[Listed]:
    """Every account of the portal in `file`, by name; no secret is among them."""
    query = (
        "SELECT name, role, coalesce(mail, '') AS mail, key_id, password_scrypt IS NOT NULL AS password"
        " FROM accounts LEFT JOIN logins USING (key_id) ORDER BY name, key_id"
    )
    with Store.opened(file) as store, store.reading() as connection:
        rows = connection.execute(query).fetchall()
    return [
        Listed(row["name"], row["role"], row["mail"], row["key_id"], bool(row["password"])) for row in rows
    ]


def find_account(file: Path, which: str) -> Listed:
    """The account with the key id, mail address or name `which`. Raises UsageError for none, or for several."""
    found = [one for one in list_accounts(file) if which in (one.key_id, one.name, one.mail)]
    found = [one for one in found if which == one.key_id] or found
    if len(found) != 1:
        what = "No account has" if not found else f"{len(found)} accounts have"
        hint = "ctnb portal account list shows them; name one by its key id."
        raise UsageError(f"{what} that name, mail address or key id.", hint=hint)
    return found[0]


def remove_account(file: Path, which: str) -> Listed:
    """
    Remove the account with the key id, mail address or name `which`, its keys, tokens and what it was given.

    What it published stays. Raises UsageError when there is none, or when several have that name.
    """
    found = find_account(file, which)
    key = (found.key_id,)
    with Store.opened(file) as store, store.writing() as connection:
        row = connection.execute("SELECT uid FROM accounts WHERE key_id = ?", key).fetchone()
        connection.execute("DELETE FROM tokens WHERE key_id = ?", key)
        connection.execute("DELETE FROM accounts WHERE key_id = ?", key)
        without = (
            "UPDATE views SET users = (SELECT json_group_array(json(one.value)) FROM json_each(views.users) AS one"
            " WHERE one.value ->> '$.id' IS NOT ? AND one.value ->> '$.email' IS NOT ?) WHERE users <> '[]'"
        )
        connection.execute(without, (row[0] if row else "", found.mail))
    return found


def add_oauth_token(file: Path, key_id: str) -> str:
    """Add a token for `Authorization: OAuth` that acts as the account `key_id`, and return it."""
    token = new_secret(50)
    with Store.opened(file) as store, store.writing() as connection:
        row = (_digest(token), key_id, time.time())
        connection.execute("INSERT INTO tokens VALUES (?, 'oauth', ?, ?)", row)
    return token


def add_app_token(file: Path) -> str:
    """Add a token for `X-App-Token`, which names a program and opens nothing, and return it."""
    token = new_secret(25)
    with Store.opened(file) as store, store.writing() as connection:
        connection.execute("INSERT INTO tokens VALUES (?, 'app', NULL, ?)", (_digest(token), time.time()))
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
    """An account as the protocol shows it to anybody: never its mail address."""
    return {"id": account.uid, "displayName": account.name, "screenName": account.name, "type": "interactive"}


def by_uid(connection: sqlite3.Connection, uid: str) -> dict[str, object]:
    """The account `uid` as the protocol shows it."""
    row = connection.execute(f"{_ACCOUNTS} WHERE uid = ?", (uid,)).fetchone()
    return describe(_account(row)) if row else {"id": uid}


def by_mail(connection: sqlite3.Connection, mail: str) -> Account | None:
    """The account with a mail address, in any case; None where there is none."""
    row = connection.execute(f"{_ACCOUNTS} WHERE logins.mail = ?", (mail.lower(),)).fetchone()
    return _account(row) if row else None


def _known(connection: sqlite3.Connection, scheme: str, given: str) -> Account | None:
    if scheme in ("oauth", "bearer"):
        tokens = "SELECT key_id FROM tokens WHERE kind = 'oauth' AND token_sha256 = ?"
        row = connection.execute(f"{_ACCOUNTS} WHERE key_id = ({tokens})", (_digest(given),)).fetchone()
        return _account(row) if row else None
    if scheme != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if "@" in name:
        return _by_password(connection, name, secret)
    row = connection.execute(f"{_ACCOUNTS} WHERE key_id = ?", (name,)).fetchone()
    if row is None or not hmac.compare_digest(row["secret_sha256"], _digest(secret)):
        return None
    return _account(row)


def _by_password(connection: sqlite3.Connection, mail: str, password: str) -> Account | None:
    """The account, when the password is right; an unknown address takes as long as a wrong password."""
    query = f"{_ACCOUNTS.replace('logins.mail', 'logins.*')} WHERE logins.mail = ?"
    row = connection.execute(query, (mail.lower(),)).fetchone()
    salt, stored = (row["salt"], row["password_scrypt"]) if row else (None, None)
    right = _PASSWORDS.matches(password, salt or bytes(16), stored or bytes(32))
    return _account(row) if row and stored and right else None


class _Remembered:
    """The last passwords that were right, as a keyed digest in memory: a client sends its own with every request."""

    LIMIT = 256

    def __init__(self) -> None:
        self.key = os.urandom(32)
        self.known: OrderedDict[bytes, None] = OrderedDict()

    def matches(self, password: str, salt: bytes, stored: bytes) -> bool:
        mark = hmac.digest(self.key, stored + password.encode(), "sha256")
        if mark in self.known:
            return True
        right = hmac.compare_digest(_scrypt(password, salt), stored)
        if right:
            self.known[mark] = None
            while len(self.known) > self.LIMIT:
                self.known.popitem(last=False)
        return right


_PASSWORDS = _Remembered()


def _check_login(mail: str | None, password: str | None) -> None:
    if mail is not None and not MAIL.fullmatch(mail):
        raise UsageError("That is not a mail address.", hint="Write it as name@agency.example.")
    if password is not None and mail is None:
        raise UsageError("A password needs a mail address to sign in with.", hint="Give --mail too.")
    if password is not None and len(password) < PASSWORD_LENGTH:
        raise UsageError(
            f"A password has at least {PASSWORD_LENGTH} characters.", hint="Choose a longer one."
        )


def _stored_password(password: str) -> tuple[bytes, bytes]:
    salt = os.urandom(16)
    return salt, _scrypt(password, salt)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)


def _account(row: sqlite3.Row) -> Account:
    return Account(row["key_id"], row["uid"], row["name"], row["role"], row["mail"] or "")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
