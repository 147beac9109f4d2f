"""
How tables show themselves in the kernel of a step: shape, column names and types, never a row.

Runs inside the kernel, once, before its first cell; a draft in JupyterLab is left as it is. The second wall
stands in `outputs`: it trusts nothing the kernel says but the mark this module puts on its summaries.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

MARK = {"ctnb": {"safe": True}}
"""The metadata of a display that holds no row."""

COLUMNS_SHOWN = 60


def install(shell: Any) -> None:
    """Make pandas, pyarrow and DuckDB show summaries in `shell`, now or when they are imported."""
    waiting = {}
    for name, change in _CHANGES.items():
        if name in sys.modules:
            change(sys.modules[name], shell)
        else:
            waiting[name] = change
    if waiting:
        sys.meta_path.insert(0, _AfterImport(waiting, shell))


def summary(kind: str, rows: int | None, columns: Sequence[tuple[str, str]]) -> str:
    """A few lines about a table, for example "DataFrame: 10 rows, 2 columns" and a line for each column."""
    count = "rows not counted" if rows is None else f"{rows:,} row{'' if rows == 1 else 's'}"
    plural = "" if len(columns) == 1 else "s"
    lines = [f"{kind}: {count}, {len(columns)} column{plural} (rows are not shown in a record)"]
    lines += [f"  {name}: {type_name}" for name, type_name in columns[:COLUMNS_SHOWN]]
    if len(columns) > COLUMNS_SHOWN:
        lines.append(f"  and {len(columns) - COLUMNS_SHOWN} more columns")
    return "\n".join(lines)


def _frame(frame: Any) -> str:
    names = [" / ".join(map(str, c)) if isinstance(c, tuple) else str(c) for c in frame.columns]
    return summary("DataFrame", len(frame), list(zip(names, map(str, frame.dtypes), strict=True)))


def _series(series: Any) -> str:
    name = "(no name)" if series.name is None else str(series.name)
    return summary("Series", len(series), [(name, str(series.dtype))])


def _arrow(table: Any) -> str:
    columns = [(field.name, str(field.type)) for field in table.schema]
    return summary(type(table).__name__, table.num_rows, columns)


def _relation(relation: Any) -> str:
    # counting would run the query
    columns = list(zip(map(str, relation.columns), map(str, relation.types), strict=True))
    return summary("Relation", None, columns)


def _show(shell: Any, kind: type, text: Callable[[Any], str]) -> None:
    """Let IPython display objects of `kind` by `text` alone."""
    formatters = shell.display_formatter
    formatters.mimebundle_formatter.for_type(kind, lambda thing, **_: ({"text/plain": text(thing)}, {**MARK}))
    for mime, formatter in formatters.formatters.items():
        if mime != "text/plain":
            formatter.for_type(kind, lambda thing: None)


def _print(kind: Any, text: Callable[[Any], str]) -> None:
    """Let `print` and f-strings show objects of `kind` by `text`."""
    kind.__repr__ = kind.__str__ = lambda self: text(self)


def _change_pandas(pandas: ModuleType, shell: Any) -> None:
    for kind, text in ((pandas.DataFrame, _frame), (pandas.Series, _series)):
        _show(shell, kind, text)
        _print(kind, text)


def _change_pyarrow(pyarrow: ModuleType, shell: Any) -> None:
    for kind in (pyarrow.Table, pyarrow.RecordBatch):
        _show(shell, kind, _arrow)


def _change_duckdb(duckdb: ModuleType, shell: Any) -> None:
    _show(shell, duckdb.DuckDBPyRelation, _relation)
    _print(duckdb.DuckDBPyRelation, _relation)


_CHANGES: dict[str, Callable[[ModuleType, Any], None]] = {
    "pandas": _change_pandas,
    "pyarrow": _change_pyarrow,
    "duckdb": _change_duckdb,
}


class _AfterImport(importlib.abc.MetaPathFinder):
    """Finds nothing itself: it lets the others find a module and changes it once it is loaded."""

    def __init__(self, waiting: dict[str, Callable[[ModuleType, Any], None]], shell: Any) -> None:
        self._waiting, self._shell = waiting, shell

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec the other finders give, with a loader that changes the module after loading it."""
        change = self._waiting.pop(fullname, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            self._waiting[fullname] = change
            return spec
        load = spec.loader.exec_module

        def load_and_change(module: ModuleType) -> None:
            load(module)
            change(module, self._shell)

        spec.loader.exec_module = load_and_change  # type: ignore[method-assign]  # this one loader object only
        return spec
