"""Plans and receipts: what publishing would change, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Mapped:
    """One column of ours beside one of the portal's."""

    column: str
    field: str
    ours: str
    """The portal type that our contract type is sent as."""
    theirs: str
    """The portal's type; empty when it has no such column."""
    verdict: str
    """fits, only here, only there, or type differs."""
    settled: str = ""
    """What the contract says of it: mapped, ignored, left out, or added; empty where nothing needs saying."""


@dataclass(frozen=True)
class AttachedFile:
    """A file beside the rows, and what becomes of it."""

    name: str
    verdict: str
    """added, changed, unchanged or removed."""
    size: int
    """Bytes of the file that is to be there; 0 for one that goes."""


@dataclass(frozen=True)
class Removal:
    """What a plan takes away of published rows, and who says that it may."""

    rows: int = 0
    by: str = ""
    """dataset.yml, or a person; empty where nobody was asked or nobody has said so."""
    reason: str = ""
    problem: str = ""
    """Why it stops the plan; empty when it does not."""


@dataclass(frozen=True)
class Plan:
    """What publishing a table would change on a portal. Making one writes nothing."""

    portal: str
    url: str
    dataset_id: str | None
    """None: a dataset would be created."""
    mode: str
    public: bool
    """Who sees the result of this sending: everybody, or those with an account."""
    mapping: tuple[Mapped, ...]
    rows_before: int
    rows_sent: int
    rows_added: int
    rows_changed: int
    rows_removed: int
    rows_after: int
    problems: tuple[str, ...]
    """Why it cannot be applied; empty when it can."""
    before: str
    """Content digest of the portal's rows now, plain; private."""
    expected: str
    """Content digest that the portal must have afterwards, plain; private."""
    rows_unchanged: int = 0
    columns_added: tuple[str, ...] = ()
    """Our columns that the dataset on the portal gets as new ones."""
    words_changed: tuple[str, ...] = ()
    """Words of the metadata that will be others."""
    words_missing: tuple[str, ...] = ()
    """Words without which nothing goes public."""
    removal: Removal = Removal()
    audience: tuple[str, ...] = ()
    """Who will see the result, in words."""
    opening: str = ""
    """waits: it is to be public, and stays private until somebody decides about that."""
    views: tuple[str, ...] = ()
    """Filtered views that are made or brought up to date."""
    notes: tuple[str, ...] = ()
    attachments: tuple[AttachedFile, ...] = ()
    """Files beside the rows; those that others attached are left alone and not listed."""


@dataclass(frozen=True)
class Receipt:
    """What publishing did."""

    sent: bool
    why: str
    """One sentence."""
    portal: str
    url: str
    dataset_id: str
    mode: str
    public: bool
    rows_before: int
    rows_sent: int
    rows_after: int
    equal: bool
    """Whether the rows read back equal what was to be there."""
    release: str
    """The release's id; empty when nothing was sent."""
    opening: str = ""
    """waits: the rows are there and private until somebody decides that they may be public."""


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """`plan` for a kernel: without the digests, which stay with the supervisor."""
    return {**asdict(plan), "before": "", "expected": ""}


def plan_from_json(said: Mapping[str, Any]) -> Plan:
    """The plan that `plan_to_json` wrote."""
    made: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in said.items()}
    made["mapping"] = tuple(Mapped(**one) for one in said["mapping"])
    made["removal"] = Removal(**said["removal"])
    made["attachments"] = tuple(AttachedFile(**one) for one in said["attachments"])
    return Plan(**made)


def receipt_from_json(said: Mapping[str, Any]) -> Receipt:
    """The receipt in `said`."""
    return Receipt(**said)
