"""Group the columns of a table: columns that a CHECK or a foreign key ties together get their values together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.engines.sqlite.filling.read_checks import Check

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Possible values of one column, or of the columns of a foreign key, best first.

    `given` says that they come from the caller, `unique` that no two rows may have the same, and `own` that they refer
    to rows of the same table.
    """

    columns: tuple[str, ...]
    values: Sequence[Row]
    given: bool = False
    unique: bool = False
    own: bool = False


@dataclass(slots=True, eq=False)
class Group:
    """Sources that depend on each other, and the CHECKs that tie them.

    `pool` are the possible values of all `columns` together. `usual` is how many of them a row may have at first; the
    others are tried only when SQLite refuses a row. `picks` are the places in the pool for each row.
    """

    sources: list[Source]
    checks: list[Check] = field(default_factory=list)
    pool: Sequence[Row] = ()
    usual: int = 0
    picks: list[int] = field(default_factory=list)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, each once."""
        return tuple(dict.fromkeys(column for source in self.sources for column in source.columns))

    @property
    def given(self) -> bool:
        """Whether the caller gave values for a column."""
        return any(source.given for source in self.sources)

    @property
    def own(self) -> bool:
        """Whether a column refers to rows of the same table."""
        return any(source.own for source in self.sources)


def group_sources(sources: Sequence[Source], checks: Sequence[Check]) -> list[Group]:
    """Put sources with a common column, or with a common CHECK, into one group."""
    groups = [Group([source]) for source in sources]
    for columns in [*(set(source.columns) for source in sources), *(set(check.columns) for check in checks)]:
        tied = [group for group in groups if columns.intersection(group.columns)]
        for other in tied[1:]:
            tied[0].sources += other.sources
            groups.remove(other)
    for check in checks:
        for group in groups:
            if set(check.columns).intersection(group.columns):
                group.checks.append(check)
    return groups
