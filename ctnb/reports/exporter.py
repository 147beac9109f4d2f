"""
The safe page of a notebook as an nbconvert exporter, named `ctnb`.

`jupyter nbconvert --to ctnb notebook.ipynb` and JupyterLab's export menu then give the same self-contained
page without scripts that a record holds, from `ctnb.reports.notebooks`.
"""

from __future__ import annotations

from typing import Any

from nbconvert.exporters.exporter import Exporter

from ctnb.reports.notebooks import to_html


class CtnbExporter(Exporter):  # type: ignore[misc]  # nbconvert ships no types
    """Exports a notebook as one safe HTML page."""

    export_from_notebook = "Safe page (ctnb)"
    output_mimetype = "text/html"

    def _file_extension_default(self) -> str:
        return ".html"

    def from_notebook_node(
        self, nb: Any, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page of `nb` after nbconvert's own preprocessors, and the resources. Raises RecordBroken."""
        content, made = super().from_notebook_node(nb, resources, **options)
        title = str(made.get("metadata", {}).get("name") or "Notebook")
        return to_html(content, title=title), made
