"""A supervisor as a process of its own, for tests that send it signals: executes one notebook and says how."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ctnb.kernels.pools import KernelPool  # first, so that the fork server loads while this does


def main(folder: Path, source: str, fork: bool) -> None:
    """Run one cell that works, `source`, and one that must not run; leave out.ipynb and outcome.json."""
    with KernelPool(("pandas",), fork=fork) as pool:
        import nbformat
        from nbformat.v4 import new_code_cell, new_notebook

        from ctnb.kernels.execution import Limits, execute

        def save(nb: Any) -> None:
            (folder / "out.ipynb").write_text(nbformat.writes(nb))

        nb = new_notebook(cells=[new_code_cell(text) for text in ("ok = 1", source, "print('never')")])
        outcome = execute(
            nb,
            kernel_name="python3",
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            limits=Limits(),
            secrets=(),
            log_path=folder / "kernel.log",
            save=save,
            event=lambda kind, facts: None,
            tick=None,
            pool=pool,
        )
    (folder / "outcome.json").write_text(json.dumps(asdict(outcome), default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "fork")
