"""Group the columns of a table: columns that a CHECK or a foreign key ties together get their values together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from usage_store.engines.sqlite.filling.read_checks import Check
    from usage_store.engines.sqlite.filling.value_of_a_type import ValueType

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Possible values of one column, or of the columns of a foreign key, best first.

    `given` says that they come from the caller, `unique` that no two rows may have the same, and `own` that they refer
    to rows of the same table. `type` is the type of a single column. `more` makes further values, for a column with
    CHECKs that do not allow all `values`.
    """

    columns: tuple[str, ...]
    values: Sequence[Row]
    given: bool = False
    unique: bool = False
    own: bool = False
    type: ValueType | None = None
    more: Callable[[], Sequence[Row]] | None = None


@dataclass(slots=True, eq=False)
class Group:
    """Sources that depend on each other, and the CHECKs that tie them.

    `pool` are the possible values of all `columns` together. `usual` is how many of them a row may have at first; the
    others are tried only when SQLite refuses a row. `picks` are the places in the pool for each row.
    """

    sources: Sequence[Source]
    checks: Sequence[Check]
    columns: tuple[str, ...]
    pool: Sequence[Row] = ()
    usual: int = 0
    picks: list[int] = field(default_factory=list)

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
    tied = [({*source.columns}, [source]) for source in sources]
    together = [set(check.columns) for check in checks if len(check.columns) > 1]
    together += [set(source.columns) for source in sources if len(source.columns) > 1 or source.given]
    for columns in together:
        first, *others = [each for each in tied if columns & each[0]]
        for other in others:
            first[0].update(other[0])
            first[1].extend(other[1])
        tied = [each for each in tied if not any(each is other for other in others)]
    return [
        Group(
            members,
            [check for check in checks if columns.intersection(check.columns)],
            tuple(dict.fromkeys(column for source in members for column in source.columns)),
        )
        for columns, members in tied
    ]
