"""Small real projects for tests of whole runs: people invented with planted identifiers, and counts of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctnb import datasets, flows, settings, templates
from ctnb.kernels.pools import KernelPool
from ctnb.records import RunRecord
from ctnb.settings import Project

SLUG = "visits"
TOWNS = ("Andover", "Bolton", "Canton", "Durham")
REASONS = ("Fever", "Fall", "Asthma")
PEOPLE = 48

NAMES = tuple(f"{first} Quillfeather{last}" for first in ("Zyxwyn", "Orlaith") for last in ("ax", "bo", "cy"))
SSNS = tuple(f"219-09-{9900 + n}" for n in range(PEOPLE))
MAILS = tuple(f"wanda.tremaine{n}@pobox-canary.net" for n in range(PEOPLE))
SPECIAL_REASON = "Kerfuffle of the spleen"
NOTE = "seen by Dr. Umbralwick on the stairs"
TOKEN = "tok-7Qx/canary+secret=Wz9"
BAD_AGE = "forty-one canarybird"

CANARIES = (
    *NAMES, *SSNS, *MAILS, SPECIAL_REASON, "Umbralwick", TOKEN, "canarybird", "Quillfeather", "Zyxwyn", "Orlaith",
    "pobox-canary",
)  # fmt: skip
"""What must never stand in a record."""

AGAIN = ("duplicate-snapshot", "The same file is to be published once more.")
FEWER = ("row-drop", "Two of the towns have left the register.")
GONE = ("rows-removed", "The towns that are gone have left the register.")
"""Guards that a test overrides, each with its reason."""

ACCEPTED = "drift:\n  table: {category: accept, distribution: accept}\n"

CTNB_YML = """\
format: 1
agency: Example agency
portals:
  local:
    kind: embedded
"""

DATASET_YML = """\
format: 1
title: Visits by town
description: Invented visits
unit: person
source:
  path: data/visits.csv
rejects:
  at_most_share: {share}
columns:
  - {{name: person, header: Person, type: text, role: identifier}}
  - {{name: ssn, header: SSN, type: code, role: identifier}}
  - {{name: mail, header: Mail, type: text, role: identifier}}
  - {{name: town, header: Town, type: text, role: quasi, precision: town}}
  - {{name: age, header: Age, type: integer, role: quasi}}
  - {{name: day, header: Day, type: date, role: quasi, precision: day}}
  - {{name: reason, header: Reason, type: text, role: sensitive}}
  - {{name: note, header: Note, type: text, role: free_text}}
transform:
  unit: group
  count: people
  columns:
    - {{name: town, type: text, role: quasi, precision: town, constraints: {{required: true, unique: true}}}}
    - {{name: people, type: integer, role: measure}}
{rules}key: [town]
portal:
  name: {portal}
  mode: {mode}
  public: {public}
"""

SQL = "SELECT town, count(*)::BIGINT AS people FROM data GROUP BY town ORDER BY town\n"

SUPPRESS = "  rules:\n    - {suppress: people, at_most: 5}\n"

PERSON_LEVEL = """\
  columns:
    - {name: person, type: text, role: identifier}
    - {name: town, type: text, role: quasi, precision: town}
    - {name: age, type: integer, role: quasi}
"""


@dataclass(frozen=True)
class Done:
    """A process that ended."""

    code: int
    out: str
    err: str


def people(small: str = "", rows: int = PEOPLE, towns: Sequence[str] = TOWNS) -> list[list[str]]:
    """Invented people, evenly over the towns; `small` names a town with three more of them."""
    made = [_person(n, towns[n % len(towns)]) for n in range(rows)]
    return made + ([_person(n, small) for n in range(3)] if small else [])


def _person(n: int, town: str) -> list[str]:
    reason = SPECIAL_REASON if n == 7 else REASONS[n % len(REASONS)]
    day = f"2021-0{1 + n % 9}-1{n % 9}"
    return [NAMES[n % len(NAMES)], SSNS[n], MAILS[n], town, str(20 + n), day, reason, f"{NOTE} {n}"]


def write_people(project: Project, rows: Iterable[Sequence[str]], slug: str = SLUG) -> Path:
    """Write the source of the dataset."""
    path = project.notebooks / slug / "data" / "visits.csv"
    lines = ["Person,SSN,Mail,Town,Age,Day,Reason,Note", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make(
    folder: Path, *, small: bool = False, bad: int = 0, share: float = 0.0, mode: str = "replace",
    portal: str = "local", public: bool | None = None, ctnb_yml: str = CTNB_YML,
) -> Project:  # fmt: skip
    """
    A project with the dataset `visits`: clear, or with `small` towns suppressed and so waiting for a decision.

    `bad` rows cannot be typed. It is public where no more is needed for that, on the embedded portal, if not told.
    """
    public = portal == "local" if public is None else public
    place = folder / "notebooks" / SLUG
    (place / "data").mkdir(parents=True)
    (folder / "ctnb.yml").write_text(ctnb_yml, encoding="utf-8")
    (place / "dataset.yml").write_text(
        DATASET_YML.format(
            share=share, rules=SUPPRESS if small else "", mode=mode, portal=portal, public=str(public).lower()
        ),
        encoding="utf-8",
    )
    (place / "transform.sql").write_text(SQL, encoding="utf-8")
    project = settings.load(folder)
    rows = people("Easton" if small else "")
    for row in rows[:bad]:
        row[4] = BAD_AGE
    write_people(project, rows)
    return project


def change(project: Project, file: str, old: str, new: str, slug: str = SLUG) -> None:
    """Replace a text in a file of the dataset's folder."""
    path = project.notebooks / slug / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def accept_other_towns(project: Project) -> None:
    """Let other towns than the last release's be noted and go on."""
    change(project, "dataset.yml", "rejects:", f"{ACCEPTED}rejects:")


def publish_people(project: Project) -> None:
    """Let the dataset publish person-level rows: blocked."""
    path = project.notebooks / SLUG / "dataset.yml"
    head, rest = path.read_text(encoding="utf-8").split("transform:\n")
    tail = rest[rest.index("key:") :].replace("key: [town]\n", "")
    path.write_text(f"{head}transform:\n{PERSON_LEVEL}{tail}", encoding="utf-8")
    sql = "SELECT person, town, age FROM data"
    (path.parent / "transform.sql").write_text(sql, encoding="utf-8")


def edited(
    project: Project, step: str, *sources: str, at: int | None = None, drop: str = "", parameters: str = ""
) -> Path:
    """
    The dataset's own copy of a step's notebook with more cells before its last one, or at place `at`.

    `drop` leaves out the cells that hold this text; `parameters` are more lines of the parameters cell.
    """
    path = project.notebooks / SLUG / f"{step}.ipynb"
    if not path.exists():
        templates.edit(project, datasets.dataset(SLUG, project.notebooks), step)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if not drop or drop not in "".join(cell["source"])]
    made = [code_cell(f"added-{len(cells)}-{n}", source) for n, source in enumerate(sources)]
    place = len(cells) - 1 if at is None else at
    notebook["cells"] = [*cells[:place], *made, *cells[place:]]
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", []) and parameters:
            cell["source"] = "".join(cell["source"]).rstrip("\n") + "\n" + parameters
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def code_cell(name: str, source: str) -> dict[str, Any]:
    """A code cell, as a notebook's JSON has it."""
    return {
        "cell_type": "code", "id": name, "metadata": {}, "source": source, "outputs": [], "execution_count": None
    }  # fmt: skip


def run(project: Project, pool: KernelPool | None = None, **options: Any) -> RunRecord:
    """A run of the dataset in this process, as `ctnb run` does it, under today's ctnb.yml."""
    return flows.run(SLUG, project=settings.load(project.root), pool=pool, **options)


def ctnb(project: Project, *arguments: str, cwd: Path | None = None, **environment: str) -> Done:
    """`ctnb ...` as a process of its own in the project's folder."""
    return process([sys.executable, "-m", "ctnb", *arguments], cwd or project.root, environment)


def papermill(project: Project, *arguments: str, cwd: Path | None = None, **environment: str) -> Done:
    """`papermill ...` as a process of its own in the project's folder."""
    return process([sys.executable, "-m", "papermill", *arguments], cwd or project.root, environment)


def process(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Done:
    """Run `command` to its end."""
    told = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    return Done(told.returncode, told.stdout, told.stderr)


def place(project: Project, record: RunRecord) -> Path:
    """The folder of a record."""
    return project.runs / record.dataset / record.run


def notebook(project: Project, record: RunRecord, name: str) -> Any:
    """An executed notebook of a record."""
    return json.loads((place(project, record) / name).read_text(encoding="utf-8"))


def statuses(project: Project, record: RunRecord, name: str) -> list[str]:
    """What an executed notebook says of each of its code cells."""
    cells = notebook(project, record, name)["cells"]
    return [cell["metadata"]["papermill"]["status"] for cell in cells if cell["cell_type"] == "code"]


def found_in(folder: Path, texts: Iterable[str]) -> dict[str, list[str]]:
    """Which of `texts` stand in which files below `folder`, in the file's name or its bytes."""
    wanted = list(texts)
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        content = path.name.encode() + (path.read_bytes() if path.is_file() else b"")
        hits = [text for text in wanted if _stands(text, content)]
        if hits:
            found[str(path.relative_to(folder))] = hits
    return found


def _stands(text: str, content: bytes) -> bool:
    """Whether `text` is in `content`, in whatever letters, also as JSON or HTML would write it."""
    import html

    spellings = {text, json.dumps(text)[1:-1], html.escape(text), text.replace("/", "\\/")}
    low = content.lower()
    return any(spelling.lower().encode() in low for spelling in spellings)
