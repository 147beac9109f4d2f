"""
Secrets by reference: named in ctnb.yml or dataset.yml, kept in the environment, in a file only its owner may
read, or in the account's keyring.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, Field

from ctnb import documents
from ctnb.errors import SettingsInvalid, UsageError

FILE_VARIABLE = "CTNB_SECRETS"
SERVICE = "ctnb"
"""What ctnb's secrets are filed under in a keyring."""


class SecretReference(documents.Form):
    """The name of a secret; its value lives in the environment, a private file or the keyring."""

    secret: str = Field(
        description="An environment variable, a key in the file that CTNB_SECRETS names, or a keyring's entry."
    )


def value(reference: SecretReference) -> str:
    """
    The secret that `reference` names: from the environment, the JSON file that CTNB_SECRETS names, the keyring.

    Raises UsageError when it is in none of them, SettingsInvalid when others may read the file.
    """
    found = lookup(reference)
    if found is None:
        raise UsageError(
            f"The secret {reference.secret} is not set.",
            hint=f"Set the environment variable {reference.secret}, put it into the file {FILE_VARIABLE} names, or "
            f"keep it in the keyring: keyring set {SERVICE} {reference.secret}",
        )
    return found


def lookup(reference: SecretReference) -> str | None:
    """The secret that `reference` names, or None when it is not set."""
    name = reference.secret
    return os.environ.get(name) or _file().get(name) or _keyring(name)


def references(form: BaseModel) -> Iterator[SecretReference]:
    """Every reference to a secret that stands in `form`, however deep."""
    if isinstance(form, SecretReference):
        yield form
        return
    for name in type(form).model_fields:
        yield from _within(getattr(form, name))


def _within(value: object) -> Iterator[SecretReference]:
    if isinstance(value, BaseModel):
        yield from references(value)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _within(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _within(one)


def _keyring(name: str) -> str | None:
    """The secret in this account's keyring, under the service ctnb; None where there is no keyring."""
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(SERVICE, name)
    except (KeyringError, RuntimeError, OSError):  # servers have none, or a locked one
        return None


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
