"""Reading closely: every row is numbered, every rule is asked of it, and what does not fit is kept aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctnb import tables
from ctnb.errors import AccountOpen, SourceInvalid
from ctnb.reads import straight
from ctnb.reads.accounts import JoinCount, NulledCount, Reading, RejectCount
from ctnb.reads.cells import make_cells
from ctnb.reads.checks import Check, cannot_compute, cell_checks, row_checks, uniques, values_of
from ctnb.reads.inputs import Job
from ctnb.reads.limits import check_limits
from ctnb.reads.lines import RejectedFile
from ctnb.reads.lookups import load_lookup
from ctnb.reads.matching import naming
from ctnb.reads.profiles import profile, shapes
from ctnb.reads.references import load_references
from ctnb.reads.rejects import write_rejects
from ctnb.sources.opened import Loaded
from ctnb.tables import Table
from ctnb.values import quote_name

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Judged:
    """The rows of all files in the relation `judged`, those that do not fit named in the table `failing`."""

    job: Job
    loaded: tuple[Loaded, ...]
    """What became of each file's records."""
    checks: tuple[Check, ...]
    """What was asked; the answer to number i is the column f<i> of `failing`."""
    values: Mapping[str, str]
    """SQL over `judged` for each column's value as it goes on."""

    @property
    def misfits(self) -> int:
        """Records whose cells do not fit their header."""
        return sum(len(one.misfits) for one in self.loaded)

    @property
    def left_out(self) -> dict[str, int]:
        """Records that a named rule of the kind of file leaves out, by rule."""
        return dict(sum((Counter(dict(one.left_out)) for one in self.loaded), Counter[str]()))


def read_closely(job: Job, folder: Path) -> Reading:
    """
    The reading of any source, with its rejects.

    Raises SourceInvalid, TooManyRejects (the rejects file is kept), ContractInvalid for a rule that cannot be
    computed.
    """
    with tables.connect(folder, threads=2) as connection:
        loaded, notes = _load(connection, job, folder)
        allowed = load_references(connection, job, folder)
        whole = _whole(connection, job, loaded, notes, (allowed, folder))
        if whole:
            return whole
        judged = _judge(connection, job, loaded, allowed)
        counts = _reject_counts(connection, judged)
        nulled = _nulled_counts(connection, judged)
        rejected = count(connection, "failing WHERE _bad") + judged.misfits
        path = _write(connection, judged, folder) if rejected or nulled else None
        total = count(connection, "typed") + judged.misfits + sum(judged.left_out.values())
        columns = profile(connection, job.dataset.contract.read_columns, judged.checks)
        check_limits(job.dataset, total, rejected, counts, columns)
        table = _write_table(connection, judged, folder)
        if table.rows + rejected + sum(judged.left_out.values()) != total:
            raise AccountOpen(f"Rows do not add up: {total} read, {table.rows} kept, {rejected} rejected.")
        return Reading(
            table, job.gathered, job.encoding, total, rejected, counts, judged.left_out, columns, path, nulled,
            _join_counts(connection, job), shapes(connection, judged.checks), notes,
        )  # fmt: skip


def count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """How many rows `relation` has."""
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])


def _load(
    connection: duckdb.DuckDBPyConnection, job: Job, folder: Path
) -> tuple[tuple[Loaded, ...], tuple[str, ...]]:
    """Load every file and make `cells`; what became of each, and what a person should know of the source."""
    notes = list(job.gathered.notes)
    for lookup in job.lookups:
        notes += load_lookup(connection, lookup, folder)
    loaded = []
    for one in job.inputs:
        connection.execute(f"CREATE SCHEMA {one.schema}; USE {one.schema}")
        with naming(job.about(one)):
            loaded.append(one.opened.load(connection, folder))
        connection.execute("USE main")
        about = f"{one.name}: " if len(job.inputs) > 1 else ""
        notes += [f"{about}{note}" for note in loaded[-1].notes]
    _check_rows(connection, job, loaded)
    make_cells(
        connection, job, [f"{one.schema}.numbered" for one in job.inputs], [one.typed_dates for one in loaded]
    )
    return tuple(loaded), tuple(dict.fromkeys(notes))


def _whole(
    connection: duckdb.DuckDBPyConnection, job: Job, loaded: Sequence[Loaded], notes: Sequence[str],
    with_what: tuple[Mapping[str, str], Path],
) -> Reading | None:  # fmt: skip
    """The reading where every row fits, which most do; None when one does not, or was seen not to already."""
    if straight.streams(job) or job.lookups or any(one.misfits for one in loaded):
        return None
    table = straight.write_fitting(connection, job, *with_what)
    left_out = sum((Counter(dict(one.left_out)) for one in loaded), Counter[str]())
    return straight.fitting(job, table, notes, left_out) if table else None


def _judge(
    connection: duckdb.DuckDBPyConnection, job: Job, loaded: tuple[Loaded, ...], allowed: Mapping[str, str]
) -> Judged:
    """Type every cell, ask every rule."""
    connection.execute("CREATE TABLE typed AS SELECT * FROM cells")
    checks, values = _ask(connection, job, allowed)
    return Judged(job, loaded, checks, values)


def _check_rows(connection: duckdb.DuckDBPyConnection, job: Job, loaded: Sequence[Loaded]) -> None:
    """Raise SourceInvalid when a part has another number of rows than its place said."""
    for part, fetched in enumerate(job.gathered.parts):
        if fetched.rows is None:
            continue
        mine = [(one, found) for one, found in zip(job.inputs, loaded, strict=True) if one.part == part]
        seen = sum(
            count(connection, f"{one.schema}.numbered") + len(found.misfits) + sum(found.left_out.values())
            for one, found in mine
        )
        if seen != fetched.rows:
            raise SourceInvalid(
                f"The source has {fetched.rows:,} rows, as the place it lies in says; {seen:,} were read.",
                hint="It may have changed while it was fetched: run again.",
            )


def _ask(
    connection: duckdb.DuckDBPyConnection, job: Job, allowed: Mapping[str, str]
) -> tuple[tuple[Check, ...], dict[str, str]]:
    """Make `judged` and `failing`; what was asked, and SQL for each column's value as it goes on."""
    import duckdb

    columns, cells = job.dataset.contract.read_columns, cell_checks(job.dataset, allowed)
    values = values_of(columns)
    emptied = []
    for name in values:
        tests = " OR ".join(
            f"coalesce({one.test}, false)" for one in cells if one.nulls and one.column == name
        )
        if tests:
            emptied.append(
                f"CASE WHEN {tests} THEN NULL ELSE {values[name]} END AS {quote_name('v_' + name)}"
            )
            values[name] = quote_name("v_" + name)
    connection.execute(f"CREATE VIEW judged AS SELECT {', '.join(['*', *emptied])} FROM typed")
    checks = [*cells, *row_checks(job, values)]
    for number, unique in enumerate(uniques(job.dataset), 1):
        connection.execute(f"CREATE TABLE repeated_{number} AS {unique.repeated(values, 'judged')}")
        checks.append(unique.check(values, f"repeated_{number}"))
    try:
        _make_failing(connection, checks)
    except duckdb.Error:  # its text may quote the row
        if not job.dataset.contract.row_rules:
            raise
    else:
        return tuple(checks), values
    raise cannot_compute()


def _make_failing(connection: duckdb.DuckDBPyConnection, checks: Sequence[Check]) -> None:
    """
    The table `failing`: the rows that break a rule, with f<i> for each check and `_bad` for a row set aside.

    It also has e_<column>, whether the cell of a column that is judged was empty.
    """
    judged = dict.fromkeys(check.column for check in checks if check.cell)
    flags = [f"coalesce({check.test}, false) AS f{place}" for place, check in enumerate(checks)]
    empty = [f"{quote_name('r_' + name)} IS NULL AS {quote_name('e_' + name)}" for name in judged]
    bad = " OR ".join(f"f{place}" for place, check in enumerate(checks) if not check.nulls) or "false"
    any_of = " OR ".join(f"f{place}" for place in range(len(checks))) or "false"
    query = f"SELECT {', '.join(['_file', '_row', *flags, *empty])} FROM judged"
    connection.execute(f"CREATE TABLE failing AS SELECT *, {bad} AS _bad FROM ({query}) WHERE {any_of}")


def _reject_counts(connection: duckdb.DuckDBPyConnection, judged: Judged) -> tuple[RejectCount, ...]:
    rules = Counter(misfit.rule for one in judged.loaded for misfit in one.misfits)
    made = [RejectCount("", rule, rows) for rule, rows in sorted(rules.items())]
    asked = [(place, check) for place, check in enumerate(judged.checks) if not check.nulls]
    found = _sums(connection, [f"f{place}" for place, _ in asked])
    made += [RejectCount(one.column, one.rule, n) for (_, one), n in zip(asked, found, strict=True) if n]
    return tuple(made)


def _nulled_counts(connection: duckdb.DuckDBPyConnection, judged: Judged) -> tuple[NulledCount, ...]:
    asked = [(place, check) for place, check in enumerate(judged.checks) if check.nulls]
    found = _sums(connection, [f"f{place} AND NOT _bad" for place, _ in asked])
    return tuple(NulledCount(one.column, one.rule, n) for (_, one), n in zip(asked, found, strict=True) if n)


def _sums(connection: duckdb.DuckDBPyConnection, tests: Sequence[str]) -> Sequence[int]:
    """For how many rows of `failing` each of `tests` holds."""
    if not tests:
        return []
    sums = ", ".join(f"count(*) FILTER (WHERE {test})" for test in tests)
    return list(connection.execute(f"SELECT {sums} FROM failing").fetchall()[0])


def _join_counts(connection: duckdb.DuckDBPyConnection, job: Job) -> tuple[JoinCount, ...]:
    made = []
    for lookup in job.lookups:
        missing = count(connection, f"typed WHERE _miss_{lookup.number}")
        made.append(JoinCount(lookup.join.name, count(connection, "typed") - missing, missing))
    return tuple(made)


def _write(connection: duckdb.DuckDBPyConnection, judged: Judged, folder: Path) -> Path:
    inputs = judged.job.inputs
    files = [
        RejectedFile(one.name, one.part, tuple(one.opened.header), found.typed_dates)
        for one, found in zip(inputs, judged.loaded, strict=True)
    ]
    misfits = {one.number: found.misfits for one, found in zip(inputs, judged.loaded, strict=True)}
    return write_rejects(connection, judged.checks, inputs, misfits, files, (folder, judged.job.run))


def _write_table(connection: duckdb.DuckDBPyConnection, judged: Judged, folder: Path) -> Table:
    """The rows that go on, file by file in their order."""
    columns = judged.job.dataset.contract.read_columns
    listed = ", ".join(f"{judged.values[c.name]} AS {quote_name(c.name)}" for c in columns)
    bad = "(SELECT _file, _row FROM failing WHERE _bad)"
    rows = f"SELECT {listed} FROM judged ANTI JOIN {bad} USING (_file, _row) ORDER BY _file, _row"
    return tables.write(connection, rows, columns, folder / "read.parquet")
