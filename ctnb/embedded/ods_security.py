"""API keys with their permissions, and who may read a restricted dataset."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from .answers import Answer, Call, Names, as_json
from .ods_answers import AUTOMATION, absent, invalid, moment, ods_route, page, read_object
from .ods_automation import checked_security, existing, reconfigure
from .ods_keys import PERMISSIONS, Caller, digest, keep_key, required
from .ods_store import Dataset, new_key

_KEYS = (
    "SELECT ods_keys.*, accounts.uid AS user, accounts.name AS name FROM ods_keys"
    " JOIN accounts ON accounts.key_id = ods_keys.account"
)


def keys(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /apikeys/: one's own."""
    known = required(call, connection, *PERMISSIONS)
    rows = connection.execute(f"{_KEYS} WHERE account = ? ORDER BY ods_keys.created_at", (known.account,))
    return as_json(page(call, [_described(row) for row in rows.fetchall()]))


def create_key(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /apikeys/: a key with permissions that its maker has; the key itself is shown this once."""
    known = required(call, connection, *PERMISSIONS)
    body = read_object(call)
    permissions, label = _permissions(known, body.get("permissions")), _label(body.get("label", ""))
    key = new_key()
    uid = keep_key(connection, key, label, permissions, known.account, call.now)
    return as_json({**_described(_key(connection, known, uid)), "key": key}, 201)


def key(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /apikeys/<uid>/."""
    return as_json(_described(_key(connection, required(call, connection, *PERMISSIONS), names["key"])))


def update_key(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /apikeys/<uid>/: its label and permissions."""
    known = required(call, connection, *PERMISSIONS)
    row, body = _key(connection, known, names["key"]), read_object(call)
    permissions = _permissions(known, body.get("permissions", json.loads(row["permissions"])))
    statement = "UPDATE ods_keys SET label = ?, permissions = ? WHERE uid = ?"
    label = _label(body.get("label", row["label"]))
    connection.execute(statement, (label, json.dumps(list(permissions)), row["uid"]))
    return as_json(_described(_key(connection, known, names["key"])))


def revoke_key(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /apikeys/<uid>/revoke/: it opens nothing any more."""
    known = required(call, connection, *PERMISSIONS)
    row, reason = _key(connection, known, names["key"]), read_object(call).get("reason")
    said = {"revoked_at": moment(call.now), "reason": _label(reason or "")}
    statement = "UPDATE ods_keys SET revocation = ? WHERE uid = ? AND revocation IS NULL"
    connection.execute(statement, (json.dumps(said), row["uid"]))
    return as_json(_described(_key(connection, known, names["key"])))


def search_key(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /apikeys/search_key/: which key of one's own `{"key": ...}` is."""
    known = required(call, connection, *PERMISSIONS)
    query = "SELECT uid FROM ods_keys WHERE key_sha256 = ? AND account = ?"
    wanted = digest(str(read_object(call).get("key", "")))
    row = connection.execute(query, (wanted, known.account)).fetchone()
    if row is None:
        raise absent()
    return as_json(_described(_key(connection, known, row["uid"])))


def _key(connection: sqlite3.Connection, known: Caller, uid: str) -> sqlite3.Row:
    query = f"{_KEYS} WHERE ods_keys.uid = ? AND account = ?"
    row: sqlite3.Row | None = connection.execute(query, (uid, known.account)).fetchone()
    if row is None:
        raise absent()
    return row


def _described(row: sqlite3.Row) -> dict[str, Any]:
    revocation = None if row["revocation"] is None else json.loads(row["revocation"])
    return {
        "uid": row["uid"],
        "label": row["label"],
        "permissions": json.loads(row["permissions"]),
        "created_at": moment(row["created_at"]),
        "user": {"username": row["user"], "display_name": row["name"]},
        "revocation_status": revocation,
        "is_revoked": revocation is not None,
    }


def _permissions(known: Caller, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(one, str) and one in PERMISSIONS for one in given):
        raise invalid(permissions=f"A list of {', '.join(PERMISSIONS)} is expected.")
    if set(given) - known.permissions:
        raise invalid(permissions="A key has no permission that its maker does not have.")
    return tuple(given)


def _label(given: object) -> str:
    if not isinstance(given, str) or len(given) > 200:
        raise invalid(label="A text of at most 200 letters is expected.")
    return given


def users(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/security/users/: who else may read the dataset."""
    dataset, _ = _managed(call, connection, names)
    return as_json(page(call, [_shown(one) for one in _users(dataset)]))


def add_user(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """POST /datasets/<uid>/security/users/: `{"user": {"username": ...}}`, an account's id or mail address."""
    dataset, known = _managed(call, connection, names)
    body = read_object(call)
    user = body.get("user")
    made = _user(connection, str(user.get("username", "")) if isinstance(user, dict) else "", body)
    if any(one["account"] == made["account"] for one in _users(dataset)):
        raise invalid(user="The user has rules for this dataset already.")
    _keep(call, connection, dataset, known, [*_users(dataset), made])
    return as_json(_shown(made), 201)


def user(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /datasets/<uid>/security/users/<username>/."""
    dataset, _ = _managed(call, connection, names)
    return as_json(_shown(_one(dataset, names["user"])))


def update_user(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /datasets/<uid>/security/users/<username>/."""
    dataset, known = _managed(call, connection, names)
    before = _one(dataset, names["user"])
    made = _user(connection, names["user"], read_object(call))
    kept = [made if one is before else one for one in _users(dataset)]
    _keep(call, connection, dataset, known, kept)
    return as_json(_shown(made))


def remove_user(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /datasets/<uid>/security/users/<username>/."""
    dataset, known = _managed(call, connection, names)
    before = _one(dataset, names["user"])
    _keep(call, connection, dataset, known, [one for one in _users(dataset) if one is not before])
    return Answer(204)


def _managed(call: Call, connection: sqlite3.Connection, names: Names) -> tuple[Dataset, Caller]:
    known = required(call, connection, "manage_dataset")
    return existing(connection, names), known


def _users(dataset: Dataset) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dataset.document["security"]["users"]
    return found


def _one(dataset: Dataset, username: str) -> dict[str, Any]:
    found = next((one for one in _users(dataset) if username in (one["username"], one["mail"])), None)
    if found is None:
        raise absent()
    return found


def _keep(
    call: Call, connection: sqlite3.Connection, dataset: Dataset, known: Caller, kept: list[dict[str, Any]]
) -> None:
    security = {**dataset.document["security"], "users": kept}
    reconfigure(connection, dataset, known, call.now, security=security)


def _user(connection: sqlite3.Connection, username: str, body: dict[str, Any]) -> dict[str, Any]:
    """The rules of a user. What this portal could not hold to is refused. Raises OdsRefused (400)."""
    query = (
        "SELECT accounts.key_id, accounts.uid, logins.mail FROM accounts LEFT JOIN logins USING (key_id)"
        " WHERE accounts.uid = ? OR logins.mail = ?"
    )
    row = connection.execute(query, (username, username.lower())).fetchone()
    if row is None:
        raise invalid(user="There is no such user.")
    security = checked_security(body.get("security"))
    if body.get("permissions"):
        raise invalid(permissions="This portal gives permissions by API key, not by dataset.")
    return {"account": row["key_id"], "username": row["uid"], "mail": row["mail"], "security": security}


def _shown(one: dict[str, Any]) -> dict[str, Any]:
    return {"user": {"username": one["username"]}, "permissions": [], "security": one["security"]}


_USERS = "datasets/{dataset}/security/users/"
ROUTES = (
    ods_route("GET", AUTOMATION, "apikeys/", keys),
    ods_route("POST", AUTOMATION, "apikeys/", create_key, writes=True),
    ods_route("POST", AUTOMATION, "apikeys/search_key/", search_key),
    ods_route("GET", AUTOMATION, "apikeys/{key}/", key),
    ods_route("PUT", AUTOMATION, "apikeys/{key}/", update_key, writes=True),
    ods_route("POST", AUTOMATION, "apikeys/{key}/revoke/", revoke_key, writes=True),
    ods_route("GET", AUTOMATION, _USERS, users),
    ods_route("POST", AUTOMATION, _USERS, add_user, writes=True),
    ods_route("GET", AUTOMATION, _USERS + "{user}/", user),
    ods_route("PUT", AUTOMATION, _USERS + "{user}/", update_user, writes=True),
    ods_route("DELETE", AUTOMATION, _USERS + "{user}/", remove_user, writes=True),
)
