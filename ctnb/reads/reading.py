"""Reading in one pass where every row fits, and closely where one does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ctnb.datasets import Dataset
from ctnb.places.fetching import Gathered
from ctnb.reads.accounts import Reading
from ctnb.reads.close import read_closely
from ctnb.reads.inputs import make_job
from ctnb.reads.lines import REJECTS
from ctnb.reads.straight import read_straight


def read(dataset: Dataset, gathered: Gathered, folder: Path, *, run: str = "draft") -> Reading:
    """
    Read what was `gathered` for `dataset` into a table in the private `folder`.

    Several files become one table when each fits the contract. Writes read.parquet and, where something does
    not fit, rejects.parquet, whose lines name the `run`. Raises SourceInvalid, TooManyRejects (the rejects file
    is kept), ContractInvalid.
    """
    (folder / REJECTS).unlink(missing_ok=True)  # of an earlier reading in the same folder
    job = make_job(dataset, gathered, run)
    made = read_straight(job, folder) or read_closely(job, folder)
    told = (f"{change.text[:1].upper()}{change.text[1:]}." for change in job.changes)
    return replace(made, drift=job.changes, notes=(*made.notes, *told))
