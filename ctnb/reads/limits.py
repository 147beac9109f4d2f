"""How much may be set aside or emptied before a reading is refused."""

from __future__ import annotations

from collections.abc import Sequence

from ctnb.datasets import Dataset
from ctnb.errors import TooManyRejects
from ctnb.reads.accounts import ColumnCount, RejectCount

_NAMED = {"key": "key empty or there more than once"}
"""Rules whose names alone say too little."""


def check_limits(
    dataset: Dataset, total: int, rejected: int, counts: Sequence[RejectCount], columns: Sequence[ColumnCount]
) -> None:
    """Raise TooManyRejects when more rows were set aside, or more cells emptied, than the contract allows."""
    said = dataset.contract.rejects
    facts = {"rejected": rejected, "total": total, "counts": tuple(counts)}
    if rejected > said.at_most_share * total:
        worst = sorted(counts, key=lambda count: -count.rows)[:5]
        listed = ", ".join(
            f"{count.column or 'record'}: {_NAMED.get(count.rule, count.rule)} {count.rows}"
            for count in worst
        )
        raise TooManyRejects(
            f"{rejected:,} of {total:,} rows do not fit the contract (allowed: {_share(said.at_most_share)}): "
            f"{listed}.",
            hint="Correct the source or the contract; the rows are in the run's private rejects.parquet.",
            **facts,
        )
    emptied = [one for one in columns if one.nulled > said.nulled_at_most_share * total]
    if emptied:
        listed = ", ".join(f"{one.name} {one.nulled:,}" for one in emptied[:5])
        raise TooManyRejects(
            f"More cells of a column would become empty than the contract allows ({_share(said.nulled_at_most_share)} "
            f"of {total:,}): {listed}.",
            hint="Correct the source or the contract; the cells are in the run's private rejects.parquet.",
            **facts,
        )


def _share(share: float) -> str:
    return f"{share:.2%}" if share else "none"
