"""Answers of another shape than an interface describes: told as the portal's failure, never by what they hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ctnb.errors import PortalFailed

P = ParamSpec("P")
T = TypeVar("T")

MISREAD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What Python raises where an answer lacks something or has it in another type; its texts quote the answer."""


def understood(read: Callable[P, T]) -> Callable[P, T]:
    """`read`, a function that takes an answer apart, raising PortalFailed where it cannot, without a chain."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except MISREAD:
            pass
        raise not_understood()

    return reading


def objects(told: Any) -> list[dict[str, Any]]:
    """`told` as a list of JSON objects. Raises PortalFailed when it is something else."""
    if isinstance(told, list) and all(isinstance(one, dict) for one in told):
        return told
    raise not_understood()


def not_understood() -> PortalFailed:
    """The error for an answer that says something else than its interface describes."""
    return PortalFailed(
        "The portal's answer is not what its interface describes.",
        hint="Try again later; if it stays, check url: in ctnb.yml, and whether something stands in between.",
        strange=True,
    )
