"""Projects: making one, and examining one together with its machine."""

from __future__ import annotations

from pathlib import Path

from ctnb import documents, secrets, settings
from ctnb.doctor import Check, SecretSeen
from ctnb.doctor import examine as examine_machine
from ctnb.errors import UsageError
from ctnb.portals import local
from ctnb.settings import Project

SETTINGS = """\
# This file marks a ctnb project: the folder with its notebooks/, and runs/ where records are kept.
format: 1
agency: ""

# Where datasets can be published; datasets name one of these under portal: name:.
portals:
  local:
    kind: embedded # comes with ctnb and runs on this machine

# What the privacy review holds tables against; a dataset may only be stricter.
policies:
  default:
    smallest_class: 6
    small_cell: 5

# Folders, relative to this file, below which sources may lie, besides the datasets' own folders.
roots: []
"""

IGNORED = ".ctnb/\nruns/*\n.ipynb_checkpoints/\n"


def init(folder: Path) -> Project:
    """Make `folder` a project. Raises UsageError when it is one already."""
    folder = folder.resolve()
    if (folder / settings.MARK).exists():
        raise UsageError(f"{folder} is a project already.", hint=f"Edit its {settings.MARK}.")
    for name in ("notebooks", "templates", "runs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        documents.write_text(folder / ".gitignore", IGNORED)
    documents.write_text(folder / settings.MARK, SETTINGS)
    return settings.load(folder)


def examine(project: Project | None) -> list[Check]:
    """Everything that `ctnb doctor` looks at, with its remedy."""
    if project is None:
        return examine_machine(None)
    return examine_machine(
        project.root, secrets=lambda: _secrets(project), portal=lambda: _portal_address(project)
    )


def _secrets(project: Project) -> list[SecretSeen]:
    return [
        SecretSeen(name, reference.secret, secrets.lookup(reference) is not None)
        for name, portal in project.settings.portals.items()
        for reference in (
            portal.key_id,
            portal.key_secret,
            portal.app_token,
            portal.oauth_token,
            portal.api_key,
        )
        if reference
    ]


def _portal_address(project: Project) -> str:
    with local.running(project) as url:
        return url
