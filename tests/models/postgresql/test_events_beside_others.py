"""Eight clients insert, delete and move events at the same time: no event loses its session, and no snapshot is lost.

Each transaction brings in at most one new session. Two transactions that each bring in the same two new sessions, in
opposite order, wait for each other in any store with a unique session id.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest

from tests.support.databases import opened, raw, rows
from tests.support.events import apply, events_table
from tests.support.programs import ROUNDS
from usage_store import run_maintenance

CLIENTS = 8
TRANSACTIONS = 20_000  # of all clients, on both levels, with deleted events and with moved ones
LASTING = ("kept 1", "kept 2", "kept 3")  # each has an event that nobody deletes
PASSING = ("short 1", "short 2", "short 3", "short 4")
RETRIED = "40001"  # with a fixed snapshot, transactions fail so when others were first, with and without triggers
EVENT = "INSERT INTO events (session_id) SELECT unnest(%s::text[])"
# As the store does inside a host's transaction.
SNAPSHOT = """
INSERT INTO usage_snapshots (session_id, snapshot_data)
SELECT session_id, '{}' FROM usage_sessions WHERE session_id = %s FOR KEY SHARE
"""
IN_ORDER = "WHERE id IN (SELECT id FROM events WHERE session_id = %s"
WITHOUT_SESSION = (
    "SELECT count(*) FROM events AS e LEFT JOIN usage_sessions USING (session_id) WHERE created_at IS NULL"
)
WITHOUT_EVENT = "SELECT session_id FROM usage_sessions LEFT JOIN events USING (session_id) WHERE events.id IS NULL"
LEVELS = ("READ COMMITTED", "REPEATABLE READ")


@pytest.fixture
def busy_url(any_postgresql_url: str) -> str:
    """Give the URL of usage tables and events, with one event of each session that lasts."""
    with opened(any_postgresql_url) as database:
        database.execute_sql(events_table())
        apply(database, 1, 2, 3)
        database.execute_sql(EVENT, (list(LASTING),))
        for session in LASTING:
            database.execute_sql("UPDATE events SET payload = 'kept' WHERE session_id = %s", (session,))
    return any_postgresql_url


class Client:
    """One client with its connection, its own random choices, and counts of what happened."""

    def __init__(self, url: str, seed: int, level: str, *, moves: bool) -> None:
        self.url, self.level, self.moves = url, level, moves
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()

    def run(self, turns: int, barrier: Barrier) -> Counter[str]:
        with raw(self.url) as connection:
            barrier.wait()
            for _ in range(turns):
                self._turn(connection)
        return self.counts

    def _turn(self, connection: Any) -> None:
        passing = self.random.choice(PASSING)
        some = [*self.random.sample(LASTING, 2), passing] if self.random.random() < 0.6 else []
        try:
            with connection.transaction():
                connection.execute(f"SET TRANSACTION ISOLATION LEVEL {self.level}")
                if some:
                    self._insert(connection, some)
                if not some or self.random.random() < 0.3:
                    self._take_away(connection, passing)
        except psycopg.Error as error:
            self.counts[RETRIED if error.sqlstate == RETRIED else f"{error} {error.diag.context}"] += 1
        else:
            self.counts.update(["done", *some])

    def _insert(self, connection: Any, some: list[str]) -> None:
        connection.execute(EVENT, (some,))
        if self.random.random() < 0.3:
            connection.execute("SELECT pg_sleep(0.002)")
        for session in some:
            if connection.execute(SNAPSHOT, (session,)).rowcount != 1:
                self.counts["an event without its session"] += 1

    def _take_away(self, connection: Any, passing: str) -> None:
        """Delete or move events by one statement, in the order of their ids.

        Otherwise the clients would wait for each other's events in a circle, with and without triggers.
        """
        if self.random.random() < 0.3:
            connection.execute(
                f"DELETE FROM events {IN_ORDER} AND payload <> 'kept' ORDER BY id FOR UPDATE)", (LASTING[0],)
            )
        elif self.moves:
            update = f"UPDATE events SET session_id = %s {IN_ORDER} ORDER BY id FOR UPDATE)"
            connection.execute(update, (LASTING[0], passing))
        else:
            connection.execute(f"DELETE FROM events {IN_ORDER} ORDER BY id FOR UPDATE)", (passing,))


def at_the_same_time(url: str, turns: int, level: str, *, moves: bool) -> Counter[str]:
    """Let all clients work, and return the sums of their counts."""
    barrier = Barrier(CLIENTS)
    clients = [Client(url, seed, level, moves=moves) for seed in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(lambda client: client.run(turns, barrier), clients), Counter())


@pytest.mark.parametrize("moves", [False, True], ids=["deleted", "moved"])
@pytest.mark.parametrize("level", LEVELS)
def test_no_event_is_without_its_session_and_no_snapshot_is_lost(busy_url: str, level: str, *, moves: bool) -> None:
    nothing_is_lost(busy_url, 40, level, moves=moves)


@pytest.mark.long
@pytest.mark.parametrize("any_postgresql_url", [18], indirect=True)
@pytest.mark.parametrize("moves", [False, True], ids=["deleted", "moved"])
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_lost_in_twenty_thousand_transactions(busy_url: str, level: str, *, moves: bool) -> None:
    nothing_is_lost(busy_url, TRANSACTIONS * ROUNDS // CLIENTS // 4, level, moves=moves)


def nothing_is_lost(busy_url: str, turns: int, level: str, *, moves: bool) -> None:
    counts = at_the_same_time(busy_url, turns, level, moves=moves)
    done = counts.pop("done")
    stored = {session: counts.pop(session, 0) for session in (*LASTING, *PASSING)}
    retried = counts.pop(RETRIED, 0)
    assert counts == {}
    assert done + retried == CLIENTS * turns
    assert retried == 0 or level != LEVELS[0]
    assert rows(busy_url, WITHOUT_SESSION) == [(0,)]
    with opened(busy_url) as database:
        report = run_maintenance.maintain(database)
        assert (report.left, rows(busy_url, "SELECT * FROM usage_sessions_ended")) == ((), [])
        assert rows(busy_url, WITHOUT_EVENT) == []
        counted = dict(rows(busy_url, "SELECT session_id, count(*) FROM usage_snapshots GROUP BY 1"))
    if moves:  # the snapshots go where the last event went
        assert sum(counted.values()) == sum(stored.values())
    else:
        assert {session: counted[session] for session in LASTING} == {session: stored[session] for session in LASTING}
