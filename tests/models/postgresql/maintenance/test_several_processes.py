"""Several processes maintain one store at the same time, with either driver, while others insert and delete."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import raw
from tests.support.events import events_table, sessions
from tests.support.postgresql_servers import for_drivers
from tests.support.processes import at_once, meet
from usage_store import close_database, init_database, insert_usage_snapshot, maintain, remove_sessions

if TYPE_CHECKING:
    from usage_store import Maintained

# Of each of 40 sessions: 50 snapshots that are too old, and 5 that are not; 400 more sessions have none.
FILL = """
INSERT INTO usage_sessions (session_id, created_at) SELECT 's' || g, 1 FROM generate_series(1, 440) AS g;
INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp)
SELECT 's' || s, json_build_object('n', n)::text, {now} - CASE WHEN n > 5 THEN 20 ELSE 1 END * 86400 - n
FROM generate_series(1, 40) AS s, generate_series(1, 55) AS n;
INSERT INTO events (session_id) SELECT 's' || g FROM generate_series(401, 440) AS g
"""
GOALS = {"retention_days": 10, "forget_sessions_after_days": 5}
HELD = range(1, 6)  # sessions that are removed meanwhile
WRITTEN = 60


def opened_with(url: str, driver: str) -> None:
    if driver == "ours":
        init_database(url)
    else:
        init_database(peewee.PostgresqlDatabase(for_drivers(url), prefer_psycopg3=driver == "psycopg"))


def keep_small(url: str, driver: str) -> list[Maintained]:
    opened_with(url, driver)
    meet()
    done = [maintain(**GOALS) for _ in range(3)]  # type: ignore[arg-type]
    close_database()
    return done


def remove(url: str, driver: str) -> int | None:
    opened_with(url, driver)
    meet()
    removed = remove_sessions([f"s{number}" for number in HELD])
    close_database()
    return removed


def insert(url: str, driver: str) -> int:
    opened_with(url, driver)
    meet()
    for number in range(WRITTEN):
        row = {"session_id": f"s{40 - number % 30}", "snapshot_data": {"n": -number}}
        assert insert_usage_snapshot(row) is not None
    close_database()
    return WRITTEN


def end_events(url: str) -> None:
    """Delete the events of sessions, in transactions that stay open for a moment."""
    with raw(url) as host:
        meet()
        for number in range(401, 441):
            with host.transaction():
                host.execute("DELETE FROM events WHERE session_id = %s", (f"s{number}",))
                time.sleep(0.002)


@pytest.mark.long
def test_each_row_goes_once_and_nobody_fails(any_postgresql_url: str) -> None:
    url, drivers = any_postgresql_url, ("ours", "psycopg", "psycopg2")
    with raw(url) as host:
        host.execute(events_table())
        opened_with(url, "ours")
        close_database()
        host.execute(FILL.format(now=int(time.time())))
        work: list[tuple[Any, ...]] = [(keep_small, url, driver) for driver in drivers]
        removed, written, _ = at_once([*work, (remove, url, "psycopg2"), (insert, url, "ours"), (end_events, url)])[3:]
        assert 5 * len(HELD) <= removed <= 55 * len(HELD)
        opened_with(url, "ours")
        assert maintain(**GOALS).left == ()  # type: ignore[arg-type]
        close_database()
        assert sessions(host) == {f"s{number}": 5 + 2 * (number > 10) for number in range(max(HELD) + 1, 41)}
        assert host.execute("SELECT count(*) FROM usage_sessions_ended").fetchone() == (0,)
        assert written == WRITTEN
