"""Choose which values each new row gets from the pools of its groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from usage_store.engines.sqlite.filling.groups import Group, Row


def choose(groups: Sequence[Group], keys: Iterable[Collection[str]], rows: int, number: int) -> None:
    """Set the `picks` of each group.

    Columns of a key get values that differ. Where a CHECK lists values, the rows show one after the other. All other
    columns get each value twice, so that the rows show what a new UNIQUE rule would break. The last rows have NULL in
    each column that may be NULL. Values of the caller come in their order.
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
    nulls, others = _shown(group, rows - 1)
    used: set[tuple[int, Row]] = set()
    picks: list[int] = []
    for place in [*nulls, *others]:
        row = group.pool[place]
        values = {(key, tuple(row[index] for index in indexes)) for key, indexes in enumerate(own)}
        if place in nulls or (len(picks) < rows and not used & values):
            used |= values
            picks.append(place)
    picks = [*picks[len(nulls) :], *nulls]
    return [*picks, *(picks[index % len(picks)] for index in range(rows - len(picks)))]


def _repeated(group: Group, rows: int, number: int, turn: int | None) -> list[int]:
    nulls, others = _shown(group, rows - 1)
    if turn is None:
        listed = any(token.says("in") for check in group.checks for token in check.tokens)
        picks = [others[row // (1 if listed else 2) % len(others)] for row in range(rows - len(nulls))]
    else:
        picks = [others[(number - 1 + row) // turn % len(others)] for row in range(rows - len(nulls))]
    return [*nulls, *picks] if group.own else [*picks, *nulls]


def _shown(group: Group, most: int) -> tuple[list[int], list[int]]:
    """Choose at most `most` places of a pool that show NULL where it may be. Return them and the rest.

    The first place of the rest has the fewest NULLs. Together with it, the chosen places show NULL and a value in each
    column that may have both.
    """
    usual = group.pool[: group.usual]
    mixed = [index for index in range(len(group.columns)) if {row[index] is None for row in usual} == {True, False}]
    if not mixed:
        return [], list(range(group.usual))
    features = [{(index, row[index] is None) for index in mixed} for row in usual]
    nulls = [sum(null for _, null in each) for each in features]
    fullest = min(range(group.usual), key=nulls.__getitem__)
    missing = {(index, null) for index in mixed for null in (True, False)} - features[fullest]
    chosen: list[int] = []
    while missing and len(chosen) < min(most, group.usual - 1):
        best = max(range(group.usual), key=lambda place: (len(missing & features[place]), nulls[place]))
        missing -= features[best]
        chosen.append(best)
    rest = [place for place in range(group.usual) if place not in (fullest, *chosen)]
    return chosen, [fullest, *sorted(rest, key=nulls.__getitem__)]
