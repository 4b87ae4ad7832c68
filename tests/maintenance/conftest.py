"""What the tests of maintenance share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.maintenance import take_steps_of
from usage_store import upkeep_after_inserts

if TYPE_CHECKING:
    from tests.support.clock import Clock


@pytest.fixture
def at_every_insert(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:  # noqa: ARG001  no time passes
    """Have no pauses between two transactions of upkeep, none of which takes long."""
    monkeypatch.setattr(upkeep_after_inserts, "_PAUSE", 0)
    monkeypatch.setattr(upkeep_after_inserts, "_INTERVAL", 0)
    take_steps_of(100, monkeypatch)
