"""
papermill, loaded without the clients of the clouds that it can fetch notebooks from.

Where boto3 and Azure's client are installed, papermill imports them whatever it is asked to do, which takes
longer than all the rest of it. A step's notebook is a local file, so they are loaded when they are first used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

CLOUDS = {
    "papermill.s3": ("boto3", "s3"),
    "papermill.adl": ("azure.datalake.store", "azure"),
    "papermill.abs": ("azure.storage.blob", "azure"),
}
"""Modules of papermill that load a cloud's client: the package each needs, and papermill's extra that brings it."""


def execute_notebook() -> Callable[..., Any]:
    """papermill's function of that name; s3://, adl:// and abs:// addresses work as ever, and load their client."""
    with _clouds_later():
        from papermill.execute import execute_notebook
    found: Callable[..., Any] = execute_notebook
    return found


@contextmanager
def _clouds_later() -> Iterator[None]:
    """Let what papermill imports from one of CLOUDS stand for the real thing until it is called."""
    standing = {name: _Later(name) for name in CLOUDS if name not in sys.modules}
    sys.modules.update(standing)
    try:
        yield
    finally:
        for name, later in standing.items():
            if sys.modules.get(name) is later:
                del sys.modules[name]


class _Later(ModuleType):
    """A module of which every name is a function that loads the real module when it is called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: _real(self.__name__, name)(*args, **kwargs)


def _real(module: str, name: str) -> Callable[..., Any]:
    """What `module` calls `name`; papermill's own complaint when the package it needs is not installed."""
    from papermill.exceptions import missing_dependency_generator

    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except ImportError:
        found = missing_dependency_generator(*CLOUDS[module])
    return found
