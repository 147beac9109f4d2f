"""Checking a portal without writing to it: reached, signed in, and what the account may do with a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ctnb import clock_changes, datasets, publishing, releases, secrets
from ctnb.checks.lines import Line, named, tried
from ctnb.clients.exchanges import said
from ctnb.contracts.columns import Column
from ctnb.contracts.transforms import Drop
from ctnb.datasets import Dataset
from ctnb.errors import CtnbError
from ctnb.places.socrata_addresses import IDENTIFIER
from ctnb.portals import gates, mapping
from ctnb.portals.interface import Portal, There
from ctnb.portals.opendatasoft import OpendatasoftPortal
from ctnb.portals.socrata import SocrataPortal
from ctnb.settings import PortalSettings, Project

MAY_WRITE = frozenset(["write", "add", "delete"])
"""Socrata's rights on a view without which its rows cannot be published."""


def of_portal(project: Project, name: str) -> list[Line]:
    """
    A line for each thing that publishing to the portal `name` needs, and for each schedule that it keeps.

    Writes nothing. Raises NameUnknown.
    """
    return _reached(project, name, lambda portal: _schedules(project, portal))


def _reached(
    project: Project, name: str, more: Callable[[Portal], Iterator[Line]] = lambda portal: iter(())
) -> list[Line]:
    """The lines of the portal's settings and account, and `more` of it once it is reached."""
    settings = project.portal(name)
    lines = list(_settings(name, settings))
    if not all(line.ok for line in lines):
        return lines
    try:
        with publishing.opened(project, name) as portal:
            return [*lines, *_account(portal, settings), *more(portal)]
    except CtnbError as error:
        return [*lines, Line(f"portal {name}: {error.what}", False, error.hint)]


def of_dataset(project: Project, dataset: Dataset) -> list[Line]:
    """
    The lines of its portal, what the account may do with the dataset, whether its columns fit, and its words.

    The words are those without which a dataset on a portal outside does not go public.
    """
    told = dataset.contract.portal
    lines = _on_portal(project, dataset)
    try:
        outside = project.portal(told.name).kind != "embedded"
        return [*lines, _words(project, dataset)] if outside else lines
    except CtnbError as error:
        return [*lines, Line(f"words: {error.what}", False, error.hint)]


def _on_portal(project: Project, dataset: Dataset) -> list[Line]:
    told = dataset.contract.portal
    try:
        lines = _reached(project, told.name)
        if not all(line.ok for line in lines):
            return lines
        with publishing.target(project, dataset, told.name) as target:
            if target.dataset_id is None:
                first = f"not on {told.name} yet: the first release creates it, private"
                return [*lines, Line(first, True)]
            return [*lines, *_dataset(project, target.portal, target.dataset_id, dataset)]
    except CtnbError as error:
        return [Line(f"portal {told.name}: {error.what}", False, error.hint)]


def _settings(name: str, settings: PortalSettings) -> Iterator[Line]:
    """What ctnb.yml says of the portal; nothing is asked yet."""
    if settings.kind == "embedded":
        yield Line(f"portal {name}: the embedded portal, on this machine", True)
        return
    yield Line(f"portal {name}: {settings.kind}", bool(settings.url), "Write its address under url:.")
    for what in ("key_id", "key_secret", "app_token", "oauth_token", "api_key"):
        reference = getattr(settings, what, None)
        if reference is not None:
            yield named(what, reference)
    token = secrets.lookup(settings.app_token) if settings.app_token else None
    if token and IDENTIFIER.fullmatch(token):
        remedy = "An app token is a longer word: make one under Developer settings of the portal."
        yield Line("app_token: the secret holds the id of a dataset, which is no app token", False, remedy)


def _account(portal: Portal, settings: PortalSettings) -> Iterator[Line]:
    """Whether the portal takes the account, and whether it is a person's; who it is is not shown."""
    yield tried("the portal takes the account", lambda: _ask(portal))
    user = secrets.lookup(settings.key_id) if settings.key_id else None
    if user and "@" in user:
        remedy = (
            "Its jobs end when that person leaves: use an API key of an account that belongs to the agency."
        )
        yield Line("the account is a person's: its user name is a mail address", False, remedy)


def _ask(portal: Portal) -> None:
    if isinstance(portal, SocrataPortal):
        answer = portal.client.exchange.get("/api/users/current.json")
        if answer is not None:
            said(answer)
    elif isinstance(portal, OpendatasoftPortal):
        portal.client.ask("GET", "/datasets/", params={"limit": 1})


def _dataset(project: Project, portal: Portal, dataset_id: str, dataset: Dataset) -> Iterator[Line]:
    there = portal.there(dataset_id)
    if there is None:
        remedy = f"Correct {releases.IDS}: an id such as abcd-1234, of a dataset that this account may see."
        yield Line(f"the portal has no dataset {dataset_id} that this account may see", False, remedy)
        return
    yield Line(f"the portal has {dataset_id}: {there.rows:,} rows, {_who(there)}", True)
    rights = _rights(portal, dataset_id)
    if rights is not None:
        remedy = "Ask the portal's administrators to make the account its owner or a contributor."
        yield Line("the account may change its rows", rights >= MAY_WRITE, remedy)
    yield from _schedule(project, portal, dataset_id, dataset)
    yield from _columns(project, portal, there, dataset)


def _schedules(project: Project, portal: Portal) -> Iterator[Line]:
    """How the schedule of each dataset on the portal stands; those that cannot be read are told by `ctnb check`."""
    for slug in datasets.slugs(project.notebooks):
        try:
            dataset = datasets.dataset(slug, project.notebooks)
            known = releases.dataset_id(project, dataset, portal.name)
            lines = list(_schedule(project, portal, known, dataset)) if known else []
        except CtnbError as error:
            lines = [Line(f"{slug}: {error.what}", False, error.hint)]
        yield from (replace(line, what=f"{slug}: {line.what}") for line in lines)


def _schedule(project: Project, portal: Portal, dataset_id: str, dataset: Dataset) -> Iterator[Line]:
    """Whether the portal processes the dataset at the hour that portal.yml says, whichever clock has changed."""
    found = clock_changes.standing(project, dataset, portal, dataset_id)
    if found:
        yield Line(found.told, found.holds, f"Write it anew: ctnb portal schedule {dataset.slug}")


def _columns(project: Project, portal: Portal, there: There, dataset: Dataset) -> Iterator[Line]:
    """The row identifier and the columns, held against the contract."""
    contract = dataset.contract
    ours = tuple(contract.portal.mapping.get(name, name) for name in contract.key)
    told = f"row identifier: {', '.join(there.key) or 'none'} there, {', '.join(ours) or 'none'} here"
    remedy = "Name the same column under key:, or have the portal's row identifier changed."
    yield Line(told, ours == there.key or portal.kind != "socrata", remedy)
    mapped = mapping.compare(_published(project, dataset), portal, there, contract.portal)
    problems = mapping.problems(mapped, contract.portal, there)
    fits = sum(one.verdict == "fits" for one in mapped)
    yield Line(f"columns: {fits} of {len(mapped)} fit", not problems, "; ".join(problems))


def _words(project: Project, dataset: Dataset) -> Line:
    """What is not said of the dataset yet; that is well as long as it is to stay private."""
    contract = dataset.contract
    columns = _published(project, dataset)
    missing = gates.missing(contract.title, contract.description, contract.metadata, columns)
    if not missing:
        return Line("every word is there without which it does not go public", True)
    names = ", ".join(one.what for one in missing)
    remedy = f"Write them in dataset.yml: {', '.join(f'{one.where}:' for one in missing)}"
    return Line(f"missing before it may go public: {names}", not contract.portal.public, remedy)


def _published(project: Project, dataset: Dataset) -> Sequence[Column]:
    """The columns that go to the portal: those of the newest release, or those that no rule drops."""
    base = releases.newest(project, dataset.slug, dataset.contract.portal.name)
    kept = releases.table(base) if base else None
    if kept:
        return kept.columns
    rules = dataset.contract.transform.rules
    dropped = {name for rule in rules if isinstance(rule, Drop) for name in rule.drop}
    return [column for column in dataset.contract.published_columns if column.name not in dropped]


def _rights(portal: Portal, dataset_id: str) -> frozenset[str] | None:
    """What the portal says that the account may do with the dataset; None where it does not say."""
    if not isinstance(portal, SocrataPortal):
        return None
    view = portal.client.view(dataset_id)
    rights = view.document.get("rights") if view else None
    return frozenset(map(str, rights)) if isinstance(rights, list) else None


def _who(there: There) -> str:
    return "open to everybody" if there.public else "private"
