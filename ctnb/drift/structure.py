"""The columns of a table against those of the last release: added, gone, renamed, retyped, of another role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctnb.contracts.columns import Column
from ctnb.drift.renames import guesses


@dataclass(frozen=True)
class Retyped:
    """A column of another type or scale."""

    column: str
    before: str
    after: str


@dataclass(frozen=True)
class Structure:
    """How the columns of two tables differ; empty where they do not."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    """Name before and name now, guessed."""
    retyped: tuple[Retyped, ...] = ()
    regarded: tuple[str, ...] = ()
    """Columns whose role or precision is another."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Every column that is not what it was, by its name now where it has one."""
        names = [*self.added, *self.removed, *(now for _, now in self.renamed)]
        names += [*(one.column for one in self.retyped), *self.regarded]
        return tuple(dict.fromkeys(names))


def compare(before: Sequence[Column], now: Sequence[Column]) -> Structure:
    """How the columns `now` differ from those `before`; their order does not count."""
    old, new = [column.name for column in before], [column.name for column in now]
    kept = {place: new.index(name) for place, name in enumerate(old) if name in new}
    spare = [place for place in range(len(new)) if new[place] not in old]
    same_type = {
        gone: place
        for gone, place in guesses(old, new, kept, spare).items()
        if before[gone].kind == now[place].kind
    }
    pairs = [(before[place], now[at]) for place, at in kept.items()]
    return Structure(
        added=tuple(new[place] for place in spare if place not in same_type.values()),
        removed=tuple(name for place, name in enumerate(old) if place not in kept and place not in same_type),
        renamed=tuple((old[gone], new[place]) for gone, place in sorted(same_type.items())),
        retyped=tuple(
            Retyped(one.name, _typed(one), _typed(other))
            for one, other in pairs
            if _typed(one) != _typed(other)
        ),
        regarded=tuple(
            one.name for one, other in pairs if (one.role, one.precision) != (other.role, other.precision)
        ),
    )


def _typed(column: Column) -> str:
    """The type, with its scale where it has one: the format of dates concerns the source alone."""
    kind = column.kind
    return f"{kind.type} of scale {kind.scale}" if kind.scale else kind.type
