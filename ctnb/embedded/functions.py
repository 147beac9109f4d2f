"""The functions SQLite is taught: exact sums over stored numbers, and letters of every script."""

from __future__ import annotations

import decimal
import sqlite3
from typing import Any

from .decimals import pack, unpack
from .identifiers import new_row_id

_EXACT = decimal.Context(prec=1000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
_AVERAGE = decimal.Context(prec=30)


def register(connection: sqlite3.Connection) -> None:
    """Teach `connection` num_of, num_sum, num_avg, new_row_id, to_lower and to_upper."""
    connection.create_function("num_of", 1, _num_of, deterministic=True)
    connection.create_function("new_row_id", 1, new_row_id)
    connection.create_function("to_lower", 1, _lower, deterministic=True)
    connection.create_function("to_upper", 1, _upper, deterministic=True)
    connection.create_aggregate("num_sum", 1, _Sum)
    connection.create_aggregate("num_avg", 1, _Average)


def _num_of(value: int | None) -> str | None:
    return None if value is None else pack(str(value))


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


class _Sum:
    def __init__(self) -> None:
        self.total = decimal.Decimal(0)
        self.count = 0

    def step(self, stored: Any) -> None:
        if stored is not None:
            self.total = _EXACT.add(self.total, decimal.Decimal(unpack(stored)))
            self.count += 1

    def finalize(self) -> Any:
        return pack(f"{self.total:f}") if self.count else None


class _Average(_Sum):
    def finalize(self) -> Any:
        return pack(f"{_AVERAGE.divide(self.total, self.count):f}") if self.count else None
