"""`ctnb.yml`: what a project is, where its things live, its portals and its policies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ctnb import documents
from ctnb.contracts.places import Connection
from ctnb.digests import of_bytes, project_key
from ctnb.errors import NameUnknown, SettingsInvalid, UsageError
from ctnb.secrets import SecretReference

MARK = "ctnb.yml"

Severity = Literal["block", "wait", "note"]


class PortalSettings(documents.Form):
    """One portal that datasets can name."""

    kind: Literal["embedded", "socrata", "opendatasoft"] = Field(
        description="embedded comes with ctnb; socrata is data.ct.gov's kind; opendatasoft is Huwise's."
    )
    url: str | None = Field(None, description="Its address; the embedded portal finds its own.")
    key_id: SecretReference | None = Field(None, description="The account's API key id, or user name.")
    key_secret: SecretReference | None = Field(None, description="The API key's secret, or password.")
    app_token: SecretReference | None = Field(
        None, description="A token that names the program to the portal."
    )
    oauth_token: SecretReference | None = Field(
        None, description="A token that stands for the account, in place of key_id and key_secret."
    )
    ca_file: str | None = Field(None, description="Certificates to trust instead of the system's, PEM.")
    soda: Literal[2, 3] = Field(
        2, description="The interface that rows are read back by; 3 wants an app token or an account."
    )
    api_key: SecretReference | None = Field(
        None, description="An Opendatasoft portal's API key, which may edit and publish datasets."
    )
    hourly: bool = Field(
        False, description="Whether an Opendatasoft portal's plan allows schedules of less than a day."
    )
    process_s: float = Field(
        3600.0, description="Seconds in which an Opendatasoft portal must process a dataset.", gt=0
    )
    one_request_mb: int = Field(
        10, description="The largest body, in MB, that goes in one request; more goes by a revision.", ge=1
    )
    federated_to: tuple[str, ...] = Field(
        (),
        description="Other portals that show what is public on this one, by name; the plan says so, for a portal does "
        "not tell.",
    )
    timeout_s: float = Field(60.0, description="Seconds to wait for an answer.", gt=0)
    read_back_rows: int = Field(
        1_000_000,
        description="Up to so many rows are read back whole; beyond, counts and sums are compared.",
        ge=0,
    )


class Policy(documents.Form):
    """Thresholds and rules of the privacy review; a dataset may only be stricter."""

    smallest_class: int = Field(6, description="Equivalence classes of people smaller than this block.", ge=2)
    small_cell: int = Field(
        5, description="Counts from 1 to this are small cells (Connecticut: 5 or fewer).", ge=1
    )
    severities: dict[str, Severity] = Field(
        default_factory=dict, description="A rule's severity, where it differs from the default."
    )
    decision_days: int = Field(365, description="Days until a decision expires.", ge=1)


class Reviewer(documents.Form):
    """Somebody who may decide."""

    name: str
    uid: int | None = Field(None, description="The operating system's number of their account.")
    account: str | None = Field(None, description="The name of their account, looked up from the uid.")
    mail: str | None = Field(
        None, description="Their account on portals: it may read a private draft until that is released."
    )


class RunSettings(documents.Form):
    """Limits of a run."""

    cell_timeout_s: float = Field(3600.0, gt=0, description="Seconds that one cell may run.")
    run_timeout_s: float = Field(4 * 3600.0, gt=0, description="Seconds that one notebook may run.")


class ReleaseSettings(documents.Form):
    """How long the rows of releases are kept."""

    keep: int = Field(
        24,
        description="Rows of how many releases of a dataset on each portal are kept; the newest always is.",
        ge=1,
    )


class Settings(documents.Form):
    """`ctnb.yml`, whole."""

    format: Literal[1]
    agency: str = Field("", description="Whose project it is, as reports say it.")
    portals: dict[str, PortalSettings] = Field(
        default_factory=lambda: {"local": PortalSettings(kind="embedded")}
    )
    connections: dict[str, Connection] = Field(
        default_factory=dict, description="Databases that datasets can query, by name."
    )
    policies: dict[str, Policy] = Field(default_factory=lambda: {"default": Policy()})
    reviewers: tuple[Reviewer, ...] = Field(
        (), description="Who may decide; everybody but the one who ran, when empty."
    )
    four_eyes: bool = Field(True, description="Whoever ran may not decide, except for the embedded portal.")
    roots: tuple[str, ...] = Field(
        (), description="Folders, relative to this file, below which sources may lie."
    )
    runs: RunSettings = RunSettings()
    releases: ReleaseSettings = ReleaseSettings()
    zone: str = Field(
        "America/New_York", description="The agency's time zone, in which schedules of portals are written."
    )


@dataclass(frozen=True)
class Project:
    """A project: the folder that holds `ctnb.yml`."""

    root: Path
    """The folder, absolute."""
    settings: Settings
    """What `ctnb.yml` says."""
    fingerprint: str
    """SHA-256 of the bytes of `ctnb.yml`."""

    @property
    def notebooks(self) -> Path:
        """One folder per dataset."""
        return self.root / "notebooks"

    @property
    def runs(self) -> Path:
        """The records and the ledger."""
        return self.root / "runs"

    @property
    def ledger(self) -> Path:
        """The hash-chained ledger."""
        return self.runs / "ledger.jsonl"

    @property
    def private(self) -> Path:
        """`.ctnb/`: what only its owner may read. Made on first use."""
        return _private(self.root / ".ctnb")

    def private_folder(self, *parts: str) -> Path:
        """A folder below `.ctnb/`, made with mode 0700."""
        folder = self.private
        for part in parts:
            folder = _private(folder / part)
        return folder

    def work(self, run: str) -> Path:
        """The private work folder of one run: snapshots, tables, rejects, full tracebacks."""
        return self.private_folder("work", run)

    @property
    def key(self) -> bytes:
        """The key under which digests of unreleased things are made."""
        return project_key(self.private / "key")

    def policy(self, name: str) -> Policy:
        """The policy `name`. Raises NameUnknown."""
        if name not in self.settings.policies:
            raise NameUnknown("policy", name, self.settings.policies)
        return self.settings.policies[name]

    def portal(self, name: str) -> PortalSettings:
        """The settings of portal `name`; `local` is always there. Raises NameUnknown."""
        portals = {"local": PortalSettings(kind="embedded"), **self.settings.portals}
        if name not in portals:
            raise NameUnknown("portal", name, portals)
        return portals[name]


def project(start: Path | None = None) -> Project:
    """
    The project that holds `start` (the working folder when None), or the one CTNB_PROJECT names.

    Raises UsageError when there is none, SettingsInvalid when its ctnb.yml cannot be used.
    """
    told = os.environ.get("CTNB_PROJECT")
    if start is None and told:
        return load(Path(told))
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / MARK).is_file():
            return load(folder)
    raise UsageError(
        f"No {MARK} in {here} or above it.", hint="Go to a project's folder, or make one here with: ctnb init"
    )


def load(root: Path) -> Project:
    """The project in the folder `root`. Raises SettingsInvalid when its ctnb.yml cannot be used."""
    root = root.resolve()
    path = root / MARK
    settings = documents.parse(Settings, documents.read(path, SettingsInvalid), MARK, SettingsInvalid)
    return Project(root, settings, of_bytes(path.read_bytes()))


def schema() -> dict[str, Any]:
    """The JSON Schema of ctnb.yml, for editors that complete and check it."""
    made = Settings.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = MARK
    return made


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
