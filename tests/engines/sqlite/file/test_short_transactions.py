"""Long work leaves the write lock free for connections that wait, and holds it for a similar time in each slice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import raw
from tests.support.driver import sqlite3
from usage_store import UsageSession
from usage_store.engines.interface.pace import HOLD, Pace
from usage_store.engines.sqlite.file.short_transactions import Turns, _gap, without_automatic_checkpoints

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

    from tests.support.clock import Clock

pytestmark = pytest.mark.quick

# The times at which SQLite's busy handler tries again, in milliseconds (sqliteDefaultBusyCallback in main.c).
DELAYS = (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100)
HELD = (0.4, 1, 2, 5, 7.9, 8, 12, 17, 20, 33, 40, 50)


def asks(arrived: float) -> list[float]:
    """Give the times at which a connection tries to get the lock, if its first try is at `arrived`."""
    return [arrived + sum(DELAYS[:number]) for number in range(len(DELAYS) + 1)]


@pytest.mark.parametrize("held", HELD)
def test_whoever_comes_while_the_lock_is_held_asks_again_while_it_is_free(held: float) -> None:
    free = held + _gap(held / 1000) * 1000
    for arrived in (held * part / 200 for part in range(200)):
        late = [moment + 1 for moment in asks(arrived)]  # a sleeping process wakes up late
        assert any(held <= moment < free for moment in late), f"arrived after {arrived} of {held} ms"


def test_between_two_slices_others_get_the_lock_and_within_one_they_do_not(
    usage_database: peewee.SqliteDatabase, tmp_path: Path, clock: Clock
) -> None:
    turns = Turns()
    with raw(tmp_path / "usage.db") as other:
        other.execute("PRAGMA busy_timeout = 0")
        with turns.slice(usage_database):
            usage_database.execute_sql("INSERT INTO usage_sessions (session_id) VALUES ('s')")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            time.sleep(0.01)
        other.execute("INSERT INTO usage_sessions (session_id) VALUES ('t')")
    ended = clock.now
    with turns.slice(usage_database):
        assert clock.now - ended == pytest.approx(_gap(0.01)), "who came early finds it free meanwhile"
    assert turns.longest == pytest.approx(0.01)
    assert turns.last == 0
    assert {session.session_id for session in UsageSession.select()} == {"s", "t"}


def test_a_slice_that_fails_leaves_nothing_and_no_lock(usage_database: peewee.SqliteDatabase, tmp_path: Path) -> None:
    def fail() -> None:
        with Pace(Turns()).slice(usage_database):
            usage_database.execute_sql("INSERT INTO usage_sessions (session_id) VALUES ('s')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with raw(tmp_path / "usage.db") as other:
        other.execute("PRAGMA busy_timeout = 0")
        other.execute("INSERT INTO usage_sessions (session_id) VALUES ('t')")
    assert [session.session_id for session in UsageSession.select()] == ["t"]


@pytest.mark.usefixtures("clock")
def test_slices_grow_while_they_are_quick_and_shrink_when_they_are_slow(usage_database: peewee.SqliteDatabase) -> None:
    pace = Pace(Turns())
    sizes = [pace.size]
    for _ in range(5):
        with pace.slice(usage_database):
            pass
        sizes.append(pace.size)
    assert sizes == [10, 20, 40, 80, 160, 320]
    for _ in range(6):
        with pace.slice(usage_database):
            time.sleep(HOLD * 5)
        sizes.append(pace.size)
    assert sizes[6:8] == [160, 80], "at once"
    assert pace.size < 20, "and to what the time allows"


@pytest.mark.usefixtures("clock")
def test_one_slow_slice_among_quick_ones_is_no_reason_for_small_ones(usage_database: peewee.SqliteDatabase) -> None:
    pace = Pace(Turns(), 1000)
    for number in range(8):
        with pace.slice(usage_database):
            time.sleep(HOLD * 3 if number % 2 else 0)
    assert pace.size >= 1000


def test_checkpoints_are_as_they_were_after_an_error(usage_database: peewee.SqliteDatabase) -> None:
    usage_database.pragma("wal_autocheckpoint", 123)

    def fail() -> None:
        with without_automatic_checkpoints(usage_database):
            assert usage_database.pragma("wal_autocheckpoint") == 0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert usage_database.pragma("wal_autocheckpoint") == 123


def test_a_slice_of_fewer_rows_than_allowed_makes_the_next_one_no_longer(usage_database: peewee.SqliteDatabase) -> None:
    pace = Pace(Turns(), 100)
    with pace.slice(usage_database, 1):
        time.sleep(HOLD)
    assert pace.size == 1
