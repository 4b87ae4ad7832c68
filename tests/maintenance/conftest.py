"""Fixtures for the tests of maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.maintenance import take_steps_of
from tests.support.stores import filled_at
from usage_store import UsageSession, maintenance_after_inserts

if TYPE_CHECKING:
    import peewee

    from tests.support.clock import Clock
    from tests.support.engines import Place


@pytest.fixture
def at_every_insert(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:  # noqa: ARG001  stops the clock
    """Make no pauses between two transactions of maintenance, and make each of them short."""
    monkeypatch.setattr(maintenance_after_inserts, "_PAUSE", 0)
    monkeypatch.setattr(maintenance_after_inserts, "_INTERVAL", 0)
    take_steps_of(100, monkeypatch)


@pytest.fixture
def path(store_target: Place) -> Place:
    """Give the place of a database with 600 snapshots of the last 60 days; nobody is connected."""
    return filled_at(store_target)


@pytest.fixture
def database(usage_database: peewee.SqliteDatabase) -> peewee.SqliteDatabase:
    """Give a fresh database with a session `s`."""
    UsageSession.register("s")
    return usage_database
