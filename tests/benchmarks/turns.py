"""Time calls in turns, so that other work of the machine slows all of them equally."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Taken(NamedTuple):
    """The seconds of each round: processor time of this thread, and by the clock."""

    processor: list[float]
    clock: list[float]


def in_turns(calls: Mapping[str, Sequence[Callable[[], object]]], rounds: int) -> dict[str, Taken]:
    """Return the seconds of each round by name.

    A round calls the first part of every name, then the second part of every name, and so on. The order of the names
    is reversed after each part.
    """
    taken = {name: Taken([], []) for name in calls}
    names, parts = list(calls), len(next(iter(calls.values())))
    for _ in range(rounds):
        for seconds in taken.values():
            seconds.processor.append(0.0)
            seconds.clock.append(0.0)
        for part in range(parts):
            for name in names:
                processor, clock = time.thread_time(), time.perf_counter()
                calls[name][part]()
                taken[name].clock[-1] += time.perf_counter() - clock
                taken[name].processor[-1] += time.thread_time() - processor
            names.reverse()
    return taken


def quick(seconds: Sequence[float]) -> float:
    """Return the median of the quickest third of the rounds: the time of the work if nothing else disturbs it."""
    return statistics.median(sorted(seconds)[: max(1, len(seconds) // 3)])


def print_rates(
    name: str, count: int, floor: Sequence[Callable[[], object]], ours: Sequence[Callable[[], object]]
) -> None:
    """Print the rates by the clock, and the ratio of each round, by processor time and by the clock."""
    taken = in_turns({"sqlite3": floor, "usage_store": ours}, 9)
    rates = (f"{who} {count / statistics.median(seconds.clock):,.0f}/s" for who, seconds in taken.items())
    print(f"{name}: {', '.join(rates)}")
    for what, its, mine in zip(("processor time", "the clock"), taken["sqlite3"], taken["usage_store"], strict=True):
        found = sorted(m / i for m, i in zip(mine, its, strict=True))
        middle = statistics.median(found)
        print(
            f"  by {what}: {1 / middle:.2f} of its rate (from {1 / found[-1]:.2f} to {1 / found[0]:.2f}), "
            f"{middle:.2f} times as long"
        )
