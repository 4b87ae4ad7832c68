"""Change the order in which snapshots arrive: late, and out of order."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Container

    from usage_store.testing.seeding.rows import Rows

ANOMALIES = ("late", "reset", "out_of_order", "cut")
_SOON = 15 * 60  # seconds
_ONE_IN = 50


def arranged(chance: random.Random, made: Rows, wanted: Container[str]) -> list[int]:
    """Return the numbers of the rows in the order in which they arrive, and note which rows arrive after newer ones."""
    times = [row["timestamp"] for row in made.rows]
    order = list(range(len(times)))
    if "late" in wanted:
        order = _late(chance, times, made.anomalies["late"])
    if "out_of_order" in wanted:
        order = _exchanged(chance, times, order, set(made.anomalies["late"]), made.anomalies["out_of_order"])
    return order


def _late(chance: random.Random, times: list[int], late: list[int]) -> list[int]:
    """Let one row in fifty arrive minutes later, after newer ones."""
    newer = _next_newer(times)
    waits = sorted((times[following] - times[number], number) for number, following in newer.items())
    soon = [number for wait, number in waits if wait <= _SOON] or [number for _, number in waits[:1]]
    late += sorted(chance.sample(soon, _some(soon, times)))
    arrivals = dict(enumerate(times))
    for number in late:
        arrivals[number] = max(times[number] + chance.randrange(120, _SOON), times[newer[number]])
    is_late = set(late)
    return sorted(arrivals, key=lambda number: (arrivals[number], number in is_late, number))


def _exchanged(
    chance: random.Random, times: list[int], order: list[int], others: set[int], moved: list[int]
) -> list[int]:
    """Exchange one row in fifty with its newer neighbour."""
    free = [
        position
        for position, (number, following) in enumerate(pairwise(order))
        if times[number] < times[following] and not others.intersection((number, following))
    ]
    exchanged = list(order)
    for position in sorted(chance.sample(free, _some(free, times))):
        number, following = exchanged[position : position + 2]
        if number not in moved[-1:]:  # it is not exchanged twice
            exchanged[position : position + 2] = following, number
            moved.append(number)
    return exchanged


def _some(of: list[int], rows: list[int]) -> int:
    return min(len(of), 1 + len(rows) // _ONE_IN)


def _next_newer(times: list[int]) -> dict[int, int]:
    """Return for each row the next row with a later time. The times are sorted."""
    found: dict[int, int] = {}
    for number in range(len(times) - 2, -1, -1):
        following = number + 1 if times[number + 1] > times[number] else found.get(number + 1)
        if following is not None:
            found[number] = following
    return found
