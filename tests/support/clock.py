"""A clock for tests that must not depend on how busy the machine is."""

from __future__ import annotations

TICKING = """
import time
from tests.support.clock import Clock
clock = Clock({tick})
time.monotonic, time.sleep = clock.monotonic, clock.sleep
"""  # at the head of a process of its own, before anything else is imported


class Clock:
    """Seconds that pass when somebody sleeps, and `tick` of them at each look at it. `slept` are the sleeps so far."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now = 1000.0
        self.tick = tick
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Stand in for `time.monotonic`."""
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        """Stand in for `time.sleep`: it is over at once."""
        self.now += seconds
        self.slept.append(seconds)
