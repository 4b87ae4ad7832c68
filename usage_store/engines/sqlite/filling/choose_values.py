"""Choose which values each new row gets from the pools of its groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from usage_store.engines.sqlite.filling.groups import Group, Row


def choose(groups: Sequence[Group], keys: Iterable[Collection[str]], rows: int, number: int) -> None:
    """Set the `picks` of each group.

    Columns of a key get values that differ. All others get each value twice, so that the rows show what a new UNIQUE
    rule would break. The last rows have NULL in each column that may be NULL. Values of the caller come in their order.
    """
    different: dict[int, list[set[str]]] = {}  # for a group, by its place: columns that differ from row to row
    turns: dict[int, int] = {}  # after how many rows a group takes its next value
    for key in sorted(keys, key=len):
        touched = [place for place, group in enumerate(groups) if set(key).intersection(group.columns)]
        if any(place in different for place in touched) and len(touched) > 1:
            continue
        sizes = {place: _size(groups[place], key) for place in touched}
        largest = max(touched, key=lambda place: sizes[place], default=None)
        if largest is None:
            continue
        if len(touched) == 1 or sizes[largest] >= rows:
            different.setdefault(largest, []).append(set(key).intersection(groups[largest].columns))
        else:
            turn = 1
            for place in touched:
                turns.setdefault(place, turn)
                turn *= max(sizes[place], 1)
    for place, group in enumerate(groups):
        if group.given:
            group.picks = [row % group.usual for row in range(rows)]
        elif place in different:
            group.picks = _different(group, different[place], rows)
        else:
            group.picks = _repeated(group, rows, number, turns.get(place))


def _size(group: Group, key: Collection[str]) -> int:
    """Return how many different values a group has for its part of a key. NULLs do not count."""
    own = [index for index, column in enumerate(group.columns) if column in key]
    found = {tuple(row[index] for index in own) for row in group.pool[: group.usual]}
    return sum(None not in each for each in found)


def _different(group: Group, keys: Sequence[Collection[str]], rows: int) -> list[int]:
    own = [[index for index, column in enumerate(group.columns) if column in key] for key in keys]
    nulls = _with_nulls(group, rows - 1)
    used: set[tuple[int, Row]] = set()
    picks: list[int] = []
    for place in [*nulls, *(place for place in _fullest(group) if place not in nulls)]:
        row = group.pool[place]
        values = {(key, tuple(row[index] for index in indexes)) for key, indexes in enumerate(own)}
        if len(picks) < rows and (place in nulls or not used & values):
            used |= values
            picks.append(place)
    picks = [*picks[len(nulls) :], *nulls]
    return [*picks, *(picks[index % len(picks)] for index in range(rows - len(picks)))]


def _repeated(group: Group, rows: int, number: int, turn: int | None) -> list[int]:
    nulls = _with_nulls(group, rows - 1)
    others = [place for place in _fullest(group) if place not in nulls]
    if turn is None:
        picks = [others[row // 2 % len(others)] for row in range(rows - len(nulls))]
    else:
        picks = [others[(number - 1 + row) // turn % len(others)] for row in range(rows - len(nulls))]
    return [*nulls, *picks] if group.own else [*picks, *nulls]


def _fullest(group: Group) -> list[int]:
    """List the places of a pool, those with the fewest NULLs first."""
    return sorted(range(group.usual), key=lambda place: sum(value is None for value in group.pool[place]))


def _with_nulls(group: Group, most: int) -> list[int]:
    """Choose few places of a pool that show NULL in each column that may be NULL; at least one place is left."""
    missing = {
        index
        for index in range(len(group.columns))
        if any(row[index] is None for row in group.pool[: group.usual])
        and any(row[index] is not None for row in group.pool[: group.usual])
    }
    chosen: list[int] = []
    while missing and len(chosen) < min(most, group.usual - 1):
        best = max(range(group.usual), key=lambda place: len(missing & _nulls(group.pool[place])))
        missing -= _nulls(group.pool[best])
        chosen.append(best)
    return chosen


def _nulls(row: Row) -> set[int]:
    return {index for index, value in enumerate(row) if value is None}
