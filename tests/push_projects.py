"""A dataset of bicycle counters whose first rows are released, for the tests of pushing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from portal_fixture import Running

from ctnb import flows, pushing, releases, settings
from ctnb.clients import opendatasoft
from ctnb.embedded.ods_keys import add_api_key
from ctnb.kernels.pools import KernelPool
from ctnb.settings import Project

SLUG = "counters"
WHY = "The counter on the bridge was broken on these days."
CTNB_YML = """\
format: 1
agency: Example agency
four_eyes: false
portals:
  local: {{kind: embedded}}
  city: {{kind: opendatasoft, url: "{url}", api_key: {{secret: CITY_API_KEY}}}}
  state: {{kind: socrata, url: "{url}", key_id: {{secret: STATE_KEY_ID}}, key_secret: {{secret: STATE_KEY_SECRET}}}}
"""
DATASET_YML = """\
format: 1
title: Bicycles counted
unit: other
source: {{path: data.csv}}
columns:
  - {{name: counter, header: Counter, type: code, role: plain, constraints: {{required: true}}}}
  - {{name: bicycles, header: Bicycles, type: integer, role: plain, constraints: {{minimum: 0}}}}
  - {{name: note, header: Note, type: text, role: plain}}
transform: {{use: none}}
key: [counter]
drift: {{table: {{category: accept, distribution: accept}}}}
portal: {{name: {portal}, public: false, mode: upsert}}
"""
START = [("a1", 10, "dry"), ("a2", 20, None)]


def sign_in(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher's keys, in the environment."""
    monkeypatch.setenv("CITY_API_KEY", add_api_key(running.file, running.key_id))
    monkeypatch.setenv("STATE_KEY_ID", running.key_id)
    monkeypatch.setenv("STATE_KEY_SECRET", running.key_secret)
    monkeypatch.setattr(opendatasoft, "POLL_S", 0.1)


def make(folder: Path, url: str, portal: str, pool: KernelPool) -> Project:
    """A project whose first rows are released on `portal`."""
    place = folder / "notebooks" / SLUG
    place.mkdir(parents=True, exist_ok=True)
    (folder / "ctnb.yml").write_text(CTNB_YML.format(url=url), encoding="utf-8")
    (place / "dataset.yml").write_text(DATASET_YML.format(portal=portal), encoding="utf-8")
    (place / "data.csv").write_text("Counter,Bicycles,Note\na1,10,dry\na2,20,\n", encoding="utf-8")
    made = flows.run(SLUG, project=settings.load(folder), pool=pool)
    assert made.status == "released", made.reason
    return settings.load(folder)


def lines(*records: Any) -> list[bytes]:
    """JSON lines."""
    return [json.dumps(record).encode() + b"\n" for record in records]


def push(project: Project, given: list[bytes], **options: Any) -> pushing.Pushed:
    """A push under today's ctnb.yml."""
    return pushing.push(SLUG, given, project=settings.load(project.root), **options)


def rows(running: Running, project: Project, portal: str = "state") -> list[tuple[str, int, str | None]]:
    """The rows on the Socrata portal."""
    newest = releases.newest(project, SLUG, portal)
    assert newest is not None
    found = running.rows(newest.facts.dataset_id)
    return sorted((row["counter"], int(row["bicycles"]), row.get("note")) for row in found)
