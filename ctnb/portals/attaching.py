"""
The files beside a dataset's rows: what is attached on the portal against what is to be, and reading back.

What somebody attached by hand stays, unless it has the name of one that is to be attached. The portal's id of a file
stands for its bytes, which never become others: so only a file that no release of ctnb compared is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential

from ctnb.attachments import Copy
from ctnb.errors import PublishRefused
from ctnb.portals.interface import Attachments, Portal, PortalFile
from ctnb.portals.journal import Journal

ATTEMPTS = 4
PAUSE_S = 0.25
"""Before the first repetition of a look that found another state; each next pause is twice as long."""
SENT = "attached"
"""The journal's state of a file that the portal took, with its id and digest."""

Verdict = Literal["added", "changed", "unchanged", "removed"]


@dataclass(frozen=True)
class FileChange:
    """What becomes of one name."""

    name: str
    verdict: Verdict
    size: int
    """Bytes of the file that is to be there; 0 for one that goes."""
    copy: Copy | None = None
    """What has to be sent; None when the portal has these bytes."""
    goes: tuple[str, ...] = ()
    """The portal's ids of files that go."""

    @property
    def todo(self) -> bool:
        """Whether anything has to be done about it."""
        return self.copy is not None or bool(self.goes)


def difference(
    there: Sequence[PortalFile], files: Attachments, digest_of: Callable[[PortalFile], str]
) -> tuple[FileChange, ...]:
    """
    What has to be done so that `files` are attached, in their order, those that go last.

    `digest_of` reads a file of the portal; it is asked about one that has a wanted name and no known digest. Where it
    cannot tell, and gives nothing, what the journal says was sent counts.
    """

    def digest(one: PortalFile) -> str:
        return files.known.get(one.id) or digest_of(one) or files.sent.get(one.id, "")

    made = []
    for copy in files.wanted:
        named = [one for one in there if one.name == copy.name]
        same = next((one for one in named if digest(one) == copy.digest), None)
        goes = tuple(one.id for one in named if same is None or one.id != same.id)
        verdict: Verdict = "added" if not named else "changed" if goes else "unchanged"
        made.append(FileChange(copy.name, verdict, copy.size, None if same else copy, goes))
    wanted = {one.name for one in files.wanted}
    ours = {**files.sent, **files.known}
    left = [one for one in there if one.id in ours and one.name not in wanted]
    return (*made, *(FileChange(one.name, "removed", 0, goes=(one.id,)) for one in left))


def compare(portal: Portal, dataset_id: str, files: Attachments) -> tuple[FileChange, ...]:
    """What has to be done on `portal` so that `files` are attached. Raises PortalFailed."""
    return difference(
        portal.attached(dataset_id), files, lambda one: portal.attachment_digest(dataset_id, one)
    )


def read_back(portal: Portal, dataset_id: str, files: Attachments) -> dict[str, str]:
    """
    The portal's id of each of `files` by name, once its bytes are read back and equal.

    Looked at again while a portal answers from a copy that is behind. Raises PublishRefused, PortalFailed.
    """
    unsettled = retry_if_result(lambda found: any(one.todo for one in found))
    looking = Retrying(
        stop=stop_after_attempt(ATTEMPTS), wait=wait_exponential(multiplier=PAUSE_S / 2), retry=unsettled,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )  # fmt: skip
    found: tuple[FileChange, ...] = looking(compare, portal, dataset_id, files)
    wrong = [one.name for one in found if one.todo]
    if wrong:
        raise PublishRefused(
            f"{len(wrong)} of the attachments read back are not what was sent: {', '.join(wrong)}.",
            hint="Nothing is called released. Look at the dataset on the portal, then publish again.",
        )
    names = {one.name for one in files.wanted}
    return {one.name: one.id for one in portal.attached(dataset_id) if one.name in names}


def sent(journal: Journal) -> dict[str, str]:
    """Digests of what was ever sent to be attached, by the portal's id, as `journal` says."""
    return {str(step["id"]): str(step["digest"]) for step in journal.of_state(SENT)}


def token(files: Attachments, changes: Sequence[FileChange]) -> list[object]:
    """What tells one change of attachments from another, for the idempotency key; empty where there is none."""
    if not any(one.todo for one in changes):
        return []
    return [
        [[one.name, one.digest] for one in files.wanted],
        [[one.name, one.verdict, *one.goes] for one in changes],
    ]


def arrived(steps: Sequence[Mapping[str, object]], revision: int) -> dict[str, str]:
    """The portal's ids of the files that an earlier attempt sent for `revision`, by their digest."""
    found = [step for step in steps if step["state"] == SENT and step.get("revision") == revision]
    return {str(step["digest"]): str(step["id"]) for step in found}
