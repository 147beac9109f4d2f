"""What is asked of the rows of a reading: the contract's rules as SQL over the relation `cells`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ctnb.constraints import cell_rules, repeated_sql
from ctnb.contracts import row_rules
from ctnb.contracts.columns import Column
from ctnb.contracts.transforms import Drop, Suppress
from ctnb.datasets import Dataset
from ctnb.errors import ContractInvalid
from ctnb.reads.cells import empty_words, text_or_null
from ctnb.reads.inputs import Job
from ctnb.values import quote_name


@dataclass(frozen=True)
class Check:
    """One rule, and SQL for whether a row breaks it."""

    column: str
    """The column it is about, several with commas between, or empty for the whole record."""
    rule: str
    """Its name in the record."""
    test: str
    """SQL for whether a row breaks it; NULL means no."""
    message: str
    """What is wrong with such a row, as a sentence without a cell."""
    cell: bool = False
    """Whether it judges one cell of `column`."""
    nulls: bool = False
    """Whether the cell becomes empty and the row goes on."""


@dataclass(frozen=True)
class Unique:
    """Columns whose values together stand once."""

    names: tuple[str, ...]
    """The contract's columns."""
    rule: str
    """unique, or key."""

    def check(self, values: Mapping[str, str], relation: str) -> Check:
        """The rule as SQL: `relation` holds the values that stand more than once."""
        listed = ", ".join(values[name] for name in self.names)
        told = ", ".join(self.names)
        key = "the key " if self.rule == "key" else ""
        return Check(
            told, self.rule, f"({listed}) IN (SELECT {_row(len(self.names))} FROM {relation})",
            f"{key}{told} stands more than once.", cell=len(self.names) == 1,
        )  # fmt: skip

    def repeated(self, values: Mapping[str, str], relation: str) -> str:
        """A query for the values that stand more than once in `relation`, as v1, v2, ..."""
        query = repeated_sql([values[name] for name in self.names], relation)
        return f"SELECT * FROM ({query}) AS repeated({_row(len(self.names))})"


def cell_checks(dataset: Dataset, allowed: Mapping[str, str], *, raw: Collection[str] = ()) -> list[Check]:
    """
    The rules that judge one cell each; `allowed` has, by column, a query for its reference table.

    The texts of the columns `raw` are those of the source, where only blanks mean empty.
    """
    made = []
    for column in dataset.contract.read_columns:
        text, value = quote_name("r_" + column.name), quote_name("t_" + column.name)
        if column.name in raw:  # only a cell without a value is looked at closely
            text = f"(CASE WHEN {value} IS NULL THEN {text_or_null(text, empty_words(()))} ELSE {text} END)"
        found = cell_rules(column, value, empty=f"{text} IS NULL", allowed=allowed.get(column.name))
        if column.type not in ("text", "code"):
            found.insert(0, (f"type {column.type}", f"{text} IS NOT NULL AND {value} IS NULL"))
        for rule, test in found:
            message, nulls = sentence(column, rule), _may_null(dataset, column, rule)
            made.append(Check(column.name, rule, test, message, cell=True, nulls=nulls))
    return made


def row_checks(job: Job, values: Mapping[str, str]) -> list[Check]:
    """The rules over a whole row: lookups that must match, and the contract's row rules over `values`."""
    contract = job.dataset.contract
    made = [
        Check("", look.rule, f"_miss_{look.number}", f"The row has {look.rule}.")
        for look in job.lookups
        if look.join.missing == "reject"
    ]
    names = {name: value.strip('"') for name, value in values.items()}
    for rule in contract.row_rules if not contract.deletes else ():
        made.append(
            Check("", rule.rule, row_rules.compiled(rule, names), f"The row breaks the rule '{rule.rule}'.")
        )
    return made


def uniques(dataset: Dataset) -> list[Unique]:
    """Which columns together stand once: those of constraints, of unique:, and the key where it is read as such."""
    contract = dataset.contract
    single = [column.name for column in contract.read_columns if column.constraints.unique]
    made = [Unique((name,), "unique") for name in single]
    if contract.deletes:
        return made
    made += [Unique(names, "unique") for names in contract.unique]
    if contract.key and _rows_come_out_as_read(dataset) and contract.key[0] not in single:
        made.append(Unique(contract.key, "key"))
    return made


def values_of(columns: Sequence[Column]) -> dict[str, str]:
    """SQL for each column's value, by its name."""
    return {column.name: quote_name("t_" + column.name) for column in columns}


def sentence(column: Column, rule: str) -> str:
    """What is wrong with a cell of `column` that breaks `rule`, without the cell."""
    limits, name = column.constraints, column.name
    if rule.startswith("type "):
        how = f" written {column.format}" if column.format else ""
        return f"{name} is no {column.type}{how}."
    told = {
        "required": "is empty and must not be",
        "values": "is not one of the allowed values",
        "minimum": f"is less than {limits.minimum}",
        "maximum": f"is more than {limits.maximum}",
        "pattern": "does not match its pattern",
        "max_length": f"is longer than {limits.max_length} characters",
        "reference": "is not in its reference table",
    }
    return f"{name} {told[rule]}."


def cannot_compute() -> ContractInvalid:
    """The error over rules that fail on a row; DuckDB's own words may quote it."""
    return ContractInvalid(
        "A rule of row_rules cannot be computed for every row.",
        hint="Look for numbers that grow too large, and guard them with CASE.",
    )


def _may_null(dataset: Dataset, column: Column, rule: str) -> bool:
    """Whether the contract lets a cell that breaks `rule` become empty."""
    said, contract = dataset.contract.rejects, dataset.contract
    if said.policy != "null the cell" or column.constraints.required or column.name in contract.key:
        return False
    named = not said.null_columns or column.name in said.null_columns
    return named and rule.split(" ")[0] in said.null_rules


def _rows_come_out_as_read(dataset: Dataset) -> bool:
    """Whether nothing between reading and publishing takes rows away, makes others of them or mends keys."""
    transform = dataset.contract.transform
    return (
        transform.columns is None
        and dataset.own_notebook("transform") is None
        and dataset.script is None
        and all(isinstance(rule, Drop | Suppress) for rule in transform.rules)
    )


def _row(width: int) -> str:
    return ", ".join(f"v{place}" for place in range(1, width + 1))
