"""Who may read a view: public or private, and the accounts it is given to, by id or by mail address."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from .accounts import MAIL, by_mail, publisher
from .answers import Answer, Call, Names, as_json, legacy, route
from .bodies import read_object, read_objects
from .catalogue import View, again, readable, touch
from .describing import describe_permissions, describe_view

_SCOPES = {"public.read": "public", "public": "public", "private": "private"}
_LEVELS = [{"name": "viewer", "version": "all"}]


def set_permission(call: Call, connection: sqlite3.Connection, view: View) -> Answer:
    """PUT /api/views/<view>.json?method=setPermission&value=public.read|private: an empty answer."""
    scope = _SCOPES.get(call.option("value"))
    if call.option("method") != "setPermission" or scope is None:
        raise legacy(400, "invalid_request", "The method is setPermission, its value public.read or private")
    connection.execute("UPDATE views SET scope = ? WHERE id = ?", (scope, view.id))
    touch(connection, view, call.now)
    return Answer(200)


def permissions(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/permissions: the scope, and who was given the view."""
    view = readable(call, connection, names["view"])
    publisher(call)
    return as_json(describe_permissions(view))


def set_permissions(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """PUT /api/views/<view>/permissions: `{"scope", "users": [{"id"}]}`; a user named here may read it."""
    publisher(call)
    view = readable(call, connection, names["view"])
    body = read_object(call)
    scope = str(body.get("scope", view.scope))
    if scope not in ("public", "private"):
        raise legacy(400, "invalid_request", "The scope is public or private", parameter="scope")
    users = [_user(connection, user) for user in read_objects(body.get("users", view.users))]
    statement = "UPDATE views SET scope = ?, users = ? WHERE id = ?"
    connection.execute(statement, (scope, json.dumps(users), view.id))
    touch(connection, view, call.now)
    return as_json(describe_permissions(again(connection, view.uid)))


def grants(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """GET /api/views/<view>/grants: the grants, as the view's own JSON shows them."""
    publisher(call)
    view = readable(call, connection, names["view"])
    return as_json(describe_view(connection, view, call.account)["grants"])


def grant(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """
    POST /api/views/<view>/grants: `{"userEmail" or "userId", "type": "viewer"}` may read it from now on.

    An address that has no account yet is kept: whoever is added with it may read the view then. Twice is once.
    """
    publisher(call)
    view = readable(call, connection, names["view"])
    user = _reader(connection, _read_grant(call))
    users = [one for one in view.users if not _same(one, user)] + [user]
    return _keep(call, connection, view, users)


def revoke(call: Call, connection: sqlite3.Connection, names: Names) -> Answer:
    """DELETE /api/views/<view>/grants: the same body takes the access back. Twice is once."""
    publisher(call)
    view = readable(call, connection, names["view"])
    body = _read_grant(call)
    user = _reader(connection, body)
    mail = str(body.get("userEmail") or "").lower()
    users = [one for one in view.users if not _same(one, user) and (not mail or one.get("email") != mail)]
    return _keep(call, connection, view, users)


def _keep(call: Call, connection: sqlite3.Connection, view: View, users: list[dict[str, Any]]) -> Answer:
    connection.execute("UPDATE views SET users = ? WHERE id = ?", (json.dumps(users), view.id))
    touch(connection, view, call.now)
    return as_json(describe_view(connection, again(connection, view.uid), call.account)["grants"])


def _read_grant(call: Call) -> dict[str, Any]:
    """A grant, from the body or, for a DELETE without one, from the query."""
    body = read_object(call) if call.body else {name: value for name, value in call.query if name != "method"}
    if body.get("type", "viewer") != "viewer":
        raise legacy(400, "invalid_request", "A grant here is of the type viewer", parameter="type")
    return body


def _reader(connection: sqlite3.Connection, body: dict[str, Any]) -> dict[str, Any]:
    if body.get("userId"):
        return _user(connection, {"id": body["userId"]})
    mail = str(body.get("userEmail") or "").strip().lower()
    if not MAIL.fullmatch(mail):
        raise legacy(400, "invalid_request", "A grant names a reader's mail address", parameter="userEmail")
    account = by_mail(connection, mail)
    named = {"email": mail} if account is None else {"id": account.uid}
    return {**named, "type": "interactive", "accessLevels": _LEVELS}


def _user(connection: sqlite3.Connection, user: dict[str, Any]) -> dict[str, Any]:
    if "id" not in user and "email" in user:
        return _reader(connection, {"userEmail": user["email"]})
    uid = str(user.get("id", ""))
    if connection.execute("SELECT 1 FROM accounts WHERE uid = ?", (uid,)).fetchone() is None:
        raise legacy(400, "invalid_request", "A user is not known to this portal", parameter="users")
    return {"id": uid, "type": "interactive", "accessLevels": _LEVELS}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return any(key in one and one[key] == other.get(key) for key in ("id", "email"))


ROUTES = (
    route("GET", "/api/views/{view}/permissions{json}", permissions),
    route("PUT", "/api/views/{view}/permissions{json}", set_permissions, writes=True),
    route("GET", "/api/views/{view}/grants{json}", grants),
    route("POST", "/api/views/{view}/grants{json}", grant, writes=True),
    route("DELETE", "/api/views/{view}/grants{json}", revoke, writes=True),
)
