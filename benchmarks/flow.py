"""
What a run costs beside four calls of papermill's command line that do the same.

    python benchmarks/flow.py [--repeat 5] [--rows 10000]

A project is made in a temporary folder: a seeded file of licences, a SQL transform that counts them, a review
that is clear, and the embedded portal, which runs before anything is timed. Then, in turn and `--repeat` times:

    ctnb run            one process, four notebooks, a record
    papermill x 4       the same four templates with ctnb's engine, which papermill finds by itself, a record
    papermill x 4       with papermill's own engine (--engine nbclient), as drafts: no record, no seal

Prints each wall time's median and the ratios. All three read, type, transform, review, send, read back and
compare the same rows.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SLUG = "licences"
STEPS = ("read", "transform", "privacy_review", "publish")
ROOT = Path(__file__).parent.parent

CONTRACT = """\
format: 1
title: Licences by town and kind
unit: other
source:
  path: licences.csv
columns:
  - {name: licence, type: code, role: plain, constraints: {required: true, unique: true}}
  - {name: town, type: text, role: plain}
  - {name: kind, type: text, role: plain}
  - {name: zip, type: code, role: plain}
  - {name: issued, type: date, role: plain}
  - {name: fee, type: money, role: measure}
transform:
  unit: other
  count: licences
  columns:
    - {name: town, type: text, role: plain}
    - {name: kind, type: text, role: plain}
    - {name: year, type: integer, role: plain}
    - {name: licences, type: integer, role: measure}
    - {name: fees, type: money, role: measure}
portal:
  removes: {share: 1, reason: A benchmark publishes the same groups with other counts.}
"""

TRANSFORM = """\
SELECT town, kind, year(issued) AS year, count(*) AS licences, sum(fee) AS fees
FROM data GROUP BY ALL ORDER BY ALL
"""


def main() -> None:
    """Make the project, time the three ways in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ctnb-flow-") as folder:
        project = make_project(Path(folder), told.rows)
        with portal(project):
            times = measure(project, told.repeat)
    report(times, told)


def make_project(folder: Path, rows: int) -> Path:
    """A project with one dataset of `rows` seeded rows."""
    place = folder / "notebooks" / SLUG
    place.mkdir(parents=True)
    (folder / "ctnb.yml").write_text("format: 1\n")
    (place / "dataset.yml").write_text(CONTRACT)
    (place / "transform.sql").write_text(TRANSFORM)
    dice = random.Random(20261121)
    towns = [f"Town {number}" for number in range(1, 40)]
    kinds = ["Barber", "Electrician", "Plumber", "Nurse", "Hairdresser"]
    lines = ["licence,town,kind,zip,issued,fee"]
    for number in range(rows):
        issued = f"{dice.randint(2015, 2024)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
        row = f"L{number:07},{dice.choice(towns)},{dice.choice(kinds)},0{dice.randint(6001, 6999)},{issued}"
        lines.append(f"{row},{dice.randint(50, 300)}.00")
    (place / "licences.csv").write_text("\n".join(lines) + "\n")
    return folder


class portal:
    """The project's embedded portal, running for the body."""

    def __init__(self, project: Path) -> None:
        self._project = project

    def __enter__(self) -> None:
        environment = {**os.environ, "CTNB_PROJECT": str(self._project)}
        command = [sys.executable, "-m", "ctnb", "portal", "serve", "--port", "0"]
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while not (self._project / ".ctnb" / "portal" / "address.json").exists():
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def measure(project: Path, repeat: int) -> dict[str, list[float]]:
    """Wall times in seconds of each way, after one uncounted round."""
    ways = {
        "ctnb run": run_ctnb,
        "papermill x 4": run_papermill,
        "papermill x 4, its own engine": run_nbclient,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(repeat + 1):
        for place, (name, way) in enumerate(ways.items()):
            add_row(project, len(ways) * round_ + place)
            began = time.perf_counter()
            way(project)
            if round_:
                times[name].append(time.perf_counter() - began)
    return times


def add_row(project: Path, number: int) -> None:
    """A row more in the source: the same bytes are not published twice."""
    with (project / "notebooks" / SLUG / "licences.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"L{9_000_000 + number},Avon,Food,06001,2024-01-02,10.00\n")


def run_ctnb(project: Path) -> None:
    """One run by ctnb."""
    call(project, [sys.executable, "-m", "ctnb", "run", SLUG])


def run_papermill(project: Path) -> None:
    """Four calls of papermill; ctnb's engine is the default for ctnb's templates."""
    for step in STEPS:
        call(project, papermill(project, step))


def run_nbclient(project: Path) -> None:
    """Four calls of papermill with its own engine: the notebooks run as drafts."""
    for step in STEPS:
        call(project, [*papermill(project, step), "--engine", "nbclient"])


def papermill(project: Path, step: str) -> list[str]:
    """papermill's command line for one step."""
    template, output = ROOT / "templates" / f"{step}.ipynb", project / f"{step}-out.ipynb"
    return [
        sys.executable, "-m", "papermill", str(template), str(output), "-p", "dataset", SLUG,
        "--no-progress-bar", "--log-level", "ERROR",
    ]  # fmt: skip


def call(project: Path, command: list[str]) -> None:
    """Run `command` in the project; anything but success ends the benchmark."""
    environment = {**os.environ, "CTNB_PROJECT": str(project), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )


def report(times: dict[str, list[float]], told: argparse.Namespace) -> None:
    """Print medians, ranges and ratios."""
    print(f"Four notebooks over {told.rows:,} rows; median of {told.repeat} (range), seconds of wall time")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"  {name:<32} {medians[name]:6.2f}  ({min(values):.2f}-{max(values):.2f})")
    ours = medians.pop("ctnb run")
    for name, median in medians.items():
        print(f"  ctnb run / {name:<29} {ours / median:.2f}")


if __name__ == "__main__":
    main()
