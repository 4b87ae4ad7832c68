"""A clock for tests, which does not depend on how busy the machine is."""

from __future__ import annotations

TICKING = """
import time
from tests.support.clock import Clock
clock = Clock({tick})
time.monotonic, time.sleep = clock.monotonic, clock.sleep
"""  # at the head of a process of its own, before anything else is imported


class Clock:
    """A clock that advances with each sleep, and by `tick` seconds each time it is read. `slept` lists the sleeps."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now = 1000.0
        self.tick = tick
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Replace `time.monotonic`."""
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        """Replace `time.sleep`; returns at once."""
        self.now += seconds
        self.slept.append(seconds)
