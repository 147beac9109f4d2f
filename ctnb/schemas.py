"""The JSON Schemas of the files that people and programs read, for editors and for other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ctnb import datasets, documents, records, settings


def known() -> dict[str, dict[str, Any]]:
    """Every schema, by its file's name."""
    run = {"$schema": "https://json-schema.org/draft/2020-12/schema", **records.RunRecord.model_json_schema()}
    run["title"] = "run.json"
    return {
        "dataset.schema.json": datasets.schema(),
        "ctnb.schema.json": settings.schema(),
        "run.schema.json": run,
    }


def write(folder: Path) -> list[Path]:
    """Write every schema into `folder` and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in known().items():
        documents.write_text(
            folder / name, json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
    return [folder / name for name in known()]
