"""The account of ctnb.yml on a Socrata portal: which secrets it is made of, and what cannot be one."""

from __future__ import annotations

import re
from pathlib import Path

from ctnb import secrets
from ctnb.clients.getting import is_private_way
from ctnb.clients.socrata import Credentials, Socrata
from ctnb.errors import SettingsInvalid
from ctnb.portals.socrata import SocrataPortal
from ctnb.settings import PortalSettings

FOUR_BY_FOUR = re.compile(r"[a-z0-9]{4}-[a-z0-9]{4}")


def socrata(name: str, settings: PortalSettings, root: Path) -> SocrataPortal:
    """
    The Socrata portal `name` as the account of its `settings`; `root` is the project's folder.

    Raises SettingsInvalid when there is no account, or it would be sent in the clear; UsageError for a secret that
    is not set.
    """
    if not settings.url:
        raise SettingsInvalid(f"Portal {name} of ctnb.yml needs url:.")
    if not is_private_way(settings.url):
        raise SettingsInvalid(
            f"The url: of portal {name} begins with http://, and its account would be sent there in the clear.",
            hint="Write https:// in ctnb.yml.",
        )
    client = Socrata(
        settings.url, _credentials(name, settings), timeout_s=settings.timeout_s,
        ca_file=root / settings.ca_file if settings.ca_file else None, soda=settings.soda,
    )  # fmt: skip
    return SocrataPortal(name, client, one_request_bytes=settings.one_request_mb << 20)


def _credentials(name: str, settings: PortalSettings) -> Credentials:
    token = secrets.value(settings.app_token) if settings.app_token else ""
    if FOUR_BY_FOUR.fullmatch(token):
        raise SettingsInvalid(
            f"The app_token: of portal {name} is the id of a dataset, not a token.",
            hint="An app token is made under the account's developer settings. Set the secret anew.",
        )
    if settings.oauth_token:
        return Credentials(oauth_token=secrets.value(settings.oauth_token), app_token=token)
    if settings.key_id and settings.key_secret:
        return Credentials(secrets.value(settings.key_id), secrets.value(settings.key_secret), token)
    raise SettingsInvalid(
        f"Portal {name} of ctnb.yml needs url:, key_id: and key_secret:, or oauth_token: in place of the last two.",
        hint="They name secrets: key_id: {secret: NAME}.",
    )
