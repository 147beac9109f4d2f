"""Secrets by reference: named in ctnb.yml, kept in the environment or in a file only its owner may read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from ctnb.errors import SettingsInvalid, UsageError
from ctnb.settings import Project, SecretReference

FILE_VARIABLE = "CTNB_SECRETS"


def value(reference: SecretReference) -> str:
    """
    The secret that `reference` names: from the environment, else from the JSON file that CTNB_SECRETS names.

    Raises UsageError when it is in neither, SettingsInvalid when others may read the file.
    """
    found = lookup(reference)
    if found is None:
        raise UsageError(
            f"The secret {reference.secret} is not set.",
            hint=f"Set the environment variable {reference.secret}, or put it into the file {FILE_VARIABLE} names.",
        )
    return found


def lookup(reference: SecretReference) -> str | None:
    """The secret that `reference` names, or None when it is not set."""
    return os.environ.get(reference.secret) or _file().get(reference.secret)


def known(project: Project) -> list[str]:
    """Every value that must never stand in a record: what the references of ctnb.yml name and is set."""
    references = [
        reference
        for portal in project.settings.portals.values()
        for reference in (portal.key_id, portal.key_secret, portal.app_token)
        if reference
    ]
    values = [lookup(reference) for reference in references]
    local = project.root / ".ctnb" / "portal" / "publisher.json"
    if local.is_file():
        values += list(json.loads(local.read_text(encoding="utf-8")).values())[1:]
    return sorted({value for value in values if value})


def names(project: Project) -> list[str]:
    """The names of the secrets that ctnb.yml refers to."""
    portals = project.settings.portals.values()
    return sorted({r.secret for p in portals for r in (p.key_id, p.key_secret, p.app_token) if r})


def _file() -> dict[str, str]:
    told = os.environ.get(FILE_VARIABLE)
    if not told:
        return {}
    path = Path(told)
    if not path.is_file():
        raise SettingsInvalid(f"{FILE_VARIABLE} names a file that is not there: {path.name}.")
    if os.name != "nt" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SettingsInvalid(f"Others may read the file of secrets {path.name}.", hint=f"chmod 600 {path}")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # carries the whole text
        said = None
    if not isinstance(said, dict) or not all(isinstance(one, str) for one in said.values()):
        raise SettingsInvalid(
            f"The file of secrets {path.name} is not a JSON object of texts.", hint='Write: {"NAME": "value"}'
        )
    return said
