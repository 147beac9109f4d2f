"""Small synthetic tables, and their reviews, for the tests of the privacy review."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ctnb import tables
from ctnb.contracts.columns import Column
from ctnb.privacy.findings import Finding
from ctnb.privacy.reviews import Review, review
from ctnb.settings import Policy
from ctnb.tables import Table

_ARROW = {"integer": pa.int64(), "boolean": pa.bool_()}


def column(name: str, type: str = "text", role: str | None = "plain", **more: Any) -> Column:
    """A column of a contract."""
    return Column(name=name, type=type, role=role, **more)


def made(folder: Path, columns: Sequence[Column], cells: Mapping[str, Sequence[Any]]) -> Table:
    """A table of `cells`, by column name."""
    arrow = pa.table({c.name: pa.array(cells[c.name], _ARROW.get(c.type, pa.string())) for c in columns})
    path = folder / f"table-{random.getrandbits(40):x}.parquet"
    with tables.connect() as connection:
        connection.register("given", arrow)
        return tables.write(connection, "SELECT * FROM given", columns, path)


def reviewed(table: Table, *, policy: Policy | None = None, **changes: Any) -> Review:
    """The review of `table`, a table of other things unless `unit` says otherwise."""
    told: dict[str, Any] = {
        "dataset": "deaths", "run": "20261121T110512Z-7f3a", "unit": "other", "count_column": None, "key": (),
        "policy_name": "default", "contract_digest": "sha256:c", "transform_digest": "sha256:t",
        "table_digest": "hmac-sha256:d", "work": None,
    }  # fmt: skip
    return review(table, policy=policy or Policy(), **{**told, **changes})


def found(review: Review, rule: str) -> list[Finding]:
    """The findings of one rule."""
    return [finding for finding in review.findings if finding.rule == rule]


def hits(
    folder: Path, values: Sequence[Any], *, type: str = "text", role: str = "plain", name: str = "c1"
) -> set[str]:
    """The rules about content that hit a column of `values`."""
    one = column(name, type, role)
    return {finding.rule for finding in reviewed(made(folder, [one], {name: values})).findings}
