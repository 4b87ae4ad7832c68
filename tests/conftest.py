"""What holds for all tests: none is judged by how fast the machine is, and time stands still where a test says so."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, settings

from tests.support.clock import Clock

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock in the place of this process's, which goes on when somebody sleeps, and at no other time."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock
