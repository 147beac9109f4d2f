"""Who may read a restricted dataset of an Opendatasoft portal, and letting reviewers read a private draft."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from ctnb.clients.answers import understood
from ctnb.clients.opendatasoft import Opendatasoft
from ctnb.errors import PortalFailed


def audience(client: Opendatasoft, uid: str) -> tuple[str, ...]:
    """
    Who else sees a restricted dataset, in words; a key that may only publish is not told.

    Counted, never named: an account's name can be a mail address. Raises PortalFailed.
    """
    try:
        readers = len(_readers(client, _path(uid)))
    except PortalFailed as error:
        if getattr(error, "status", None) != 403:
            raise
        return ("accounts that the portal does not name to this key",)
    return (f"{readers} account{'' if readers == 1 else 's'} it is shared with",) if readers else ()


@understood
def share(client: Opendatasoft, uid: str, people: Sequence[str]) -> None:
    """Let exactly these accounts (mail addresses) read the dataset while it is restricted. Raises PortalFailed."""
    path, kept = _path(uid), set()
    for mail in people:
        found = client.ask("GET", f"{path}{quote(mail, safe='@')}/", missing=True)
        found = found or client.ask("POST", path, {"user": {"username": mail}})
        kept.add(str(found["user"]["username"]))
    for name in _readers(client, path):
        if name not in kept:
            client.ask("DELETE", f"{path}{quote(name, safe='@')}/", missing=True)


def _path(uid: str) -> str:
    return f"/datasets/{uid}/security/users/"


@understood
def _readers(client: Opendatasoft, path: str) -> list[str]:
    """Who else may read a restricted dataset, by the names of the accounts."""
    return [
        name for one in client.listed(path) if (name := str((one.get("user") or {}).get("username") or ""))
    ]
