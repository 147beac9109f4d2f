"""
The files over which a step's kernel and its supervisor talk, all in the run's private work folder.

`step.json` (0600) tells the kernel what it is; `asks/<n>.json` and `answers/<n>.json` carry its questions to
the supervisor, who alone reviews and sends; `result.json` is what the kernel says it did. The supervisor
checks whatever it can and takes nothing else on the kernel's word.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ctnb import documents

ENVIRONMENT = "CTNB_STEP"


@dataclass(frozen=True)
class TableRef:
    """A table by its path and digests, plain: these files never leave the private work folder."""

    path: str
    file_digest: str
    digest: str


@dataclass(frozen=True)
class Step:
    """What a kernel is told."""

    project: str
    """The project's folder."""
    dataset: str
    run: str
    step: str
    work: str
    """The run's private work folder."""
    folder: str
    """The step's own folder below it."""
    portal: str
    """The portal that this run publishes to."""
    source: str = ""
    """A file to read in place of the contract's source."""
    table: TableRef | None = None
    """The step's input."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    """Names of secrets, never values."""

    def path(self, name: str) -> Path:
        """A file of the step."""
        return Path(self.folder) / name


def write_step(step: Step) -> Path:
    """Write step.json, readable by its owner only, with empty folders for asks and answers."""
    folder = Path(step.folder)
    for name in ("asks", "answers"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in (folder / name).glob("*.json"):
            old.unlink()
    (folder / "result.json").unlink(missing_ok=True)
    path = folder / "step.json"
    write_json(path, asdict(step))
    return path


def current_step() -> Step | None:
    """The step this kernel is; None in a draft."""
    told = os.environ.get(ENVIRONMENT)
    if not told:
        return None
    facts = read_json(Path(told))
    table, names = facts.pop("table"), tuple(facts.pop("secrets"))
    return Step(**facts, table=TableRef(**table) if table else None, secrets=names)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all, readable by its owner only. NaN is kept as Python writes it."""
    documents.write_bytes(
        path, json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), mode=0o600
    )


def read_json(path: Path) -> Any:
    """The JSON in `path`."""
    return json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))


def read_told(path: Path) -> Mapping[str, Any]:
    """What a kernel left in the file `path`; nothing when that is no mapping. Kernels are not trusted."""
    try:
        said = read_json(path)
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
