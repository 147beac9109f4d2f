"""Reading a dataset's source without a run: fetched by the test's own process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ctnb import reads, secrets
from ctnb.datasets import Dataset
from ctnb.places import fetching
from ctnb.places.fetched import Request
from ctnb.reads import Reading


def read(dataset: Dataset, work: Path, roots: Sequence[Path] = (), *, source: str | None = None) -> Reading:
    """What reading the source of `dataset`, or the file `source` in its place, gives in the folder `work`."""
    request = Request(
        work=work, folder=dataset.folder, project=dataset.folder.parent.parent, roots=tuple(roots),
        secret=secrets.value,
    )  # fmt: skip
    contract = dataset.contract
    gathered = fetching.gather(
        contract.source, request, told=source, references=[one.source for one in contract.reference_tables]
    )
    return reads.read(dataset, gathered, work)
