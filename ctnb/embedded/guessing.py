"""The type that a column of texts is likely to hold, for the first output schema of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .workshop import quoted

SAMPLE = 2000
_FORMS = {
    "number": r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?",
    "calendar_date": r"([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4})([T ][0-9:.]{5,15}( [AP]M)?)?",
    "checkbox": r"true|false|True|False|TRUE|FALSE",
}
_WHOLE = {
    # a code such as a ZIP keeps its zeros: a column with one number that starts with 0 is text
    "number": "count({0}) = count(try_cast({0} AS DOUBLE))"
    " AND NOT coalesce(bool_or(starts_with({0}, '0') AND length({0}) > 1 AND substr({0}, 2, 1) <> '.'), false)",
    "calendar_date": "count({0}) = count(CASE WHEN length({0}) BETWEEN 8 AND 30 THEN 1 END)",
    "checkbox": "count({0}) = count(CASE WHEN length({0}) < 6 THEN 1 END)",
}


def guess_types(engine: Any, table: Path, width: int) -> list[str]:
    """The name of a type for c1, c2 ...: judged on the first rows, then held against all of them."""
    source = f"read_parquet({quoted(table)})"
    tests = [
        f"count(c{at}) > 0 AND coalesce(bool_and(regexp_full_match(c{at}, {quoted(form)})), false)"
        for at in range(1, width + 1)
        for form in _FORMS.values()
    ]
    sample = engine.execute(f"SELECT {', '.join(tests)} FROM (SELECT * FROM {source} LIMIT {SAMPLE})")
    answers = iter(sample.fetchall()[0])
    likely = [[name for name in _FORMS if next(answers)] for _ in range(width)]
    names = [found[0] if found else "text" for found in likely]
    checks = [
        _WHOLE[name].format(f"c{at}") if name in _WHOLE else "count(*) >= 0"
        for at, name in enumerate(names, 1)
    ]
    holds = engine.execute(f"SELECT {', '.join(checks)} FROM {source}").fetchall()[0]
    return [name if held else "text" for name, held in zip(names, holds, strict=True)]
