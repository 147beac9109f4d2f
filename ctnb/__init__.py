"""
Read, transform, review for privacy and publish open data, in notebooks that keep a record.

    import ctnb

    ds      = ctnb.dataset("accidental-drug-deaths")
    table   = ctnb.read(ds)
    table   = ctnb.transform(table, ds)
    review  = ctnb.review(table, ds)
    release = ctnb.publish(table, review)     # a draft: the embedded portal only
    run     = ctnb.run("accidental-drug-deaths")   # the same four, as notebooks, with a record
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

# A needless import of seconds in every Jupyter package's start (jupyter-server/jupyter_server#1559); only a
# format checker that no Jupyter schema uses is gone. It must stand before the first such import.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None blocks the import

__version__ = "0.1.0"

_STEPS = ("dataset", "done", "parameters", "plan", "publish", "read", "review", "show", "table", "transform")

__all__ = [
    "dataset",
    "done",
    "parameters",
    "plan",
    "publish",
    "read",
    "review",
    "run",
    "show",
    "table",
    "transform",
]

if TYPE_CHECKING:
    from ctnb.flows import run
    from ctnb.steps import dataset, done, parameters, plan, publish, read, review, show, table, transform


def __getattr__(name: str) -> Any:
    """The public functions, imported when first used, so that `import ctnb` costs nothing."""
    if name in _STEPS:
        return getattr(import_module("ctnb.steps"), name)
    if name == "run":
        return import_module("ctnb.flows").run
    raise AttributeError(f"module 'ctnb' has no attribute {name!r}")
