"""The store works whatever kind of rows an application has asked its driver for."""

from __future__ import annotations

import time
from typing import Any

import peewee
import pytest
from psycopg.rows import dict_row, namedtuple_row

from tests.support.databases import raw
from tests.support.events import events_table, sessions
from tests.support.postgresql_servers import for_drivers
from usage_store import (
    close_database,
    delete_old_usage_snapshots,
    get_usage_snapshots,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    link_events,
    maintain,
    register_session,
    remove_sessions,
    validate_database,
)

extras: Any = pytest.importorskip("psycopg2.extras")
KINDS: dict[str, dict[str, Any]] = {
    "psycopg2 dict": {"cursor_factory": extras.RealDictCursor},
    "psycopg2 lists": {"cursor_factory": extras.DictCursor},
    "psycopg dict": {"row_factory": dict_row, "prefer_psycopg3": True},
    "psycopg names": {"row_factory": namedtuple_row, "prefer_psycopg3": True},
}
INSERT = "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp)"
OLD = f"{INSERT} SELECT %s, '{{}}', 1 FROM generate_series(1, %s)"


@pytest.mark.parametrize("kind", KINDS)
def test_upkeep_deletions_and_events_work_on_rows_of_every_kind(postgresql_url: str, kind: str) -> None:
    own = peewee.PostgresqlDatabase(for_drivers(postgresql_url), **KINDS[kind])
    row: dict[str, Any] = {"session_id": "s", "snapshot_data": {"n": 1}, "timestamp": int(time.time())}
    with raw(postgresql_url) as host:
        init_database(own, retention_days=10, max_bytes=2**30)
        try:
            assert register_session("s")
            assert register_session("t")
            # Without a snapshot of today, the times would have a gap that makes upkeep careful.
            host.execute(f"{INSERT} VALUES ('s', '{{}}', %s)", (row["timestamp"] - 7200,))
            host.execute(OLD, ("s", 1))
            for _ in range(2):
                time.sleep(0.25)  # upkeep works at most five times a second
                assert insert_usage_snapshot(row) is not None
            assert insert_usage_snapshots([row] * 3) == 3
            assert sessions(host) == {"s": 6, "t": 0}, "upkeep has deleted what was old"
            host.execute(OLD, ("t", 20))
            assert delete_old_usage_snapshots(10) == 20
            host.execute(OLD, ("t", 7))
            assert maintain(retention_days=10).pruned == 7
            with own.atomic():
                host.execute(OLD, ("t", 5))
                assert delete_old_usage_snapshots(10) == 5
            assert remove_sessions(["s"]) == 6
            host.execute(events_table())
            host.execute("INSERT INTO events (session_id) VALUES ('e')")
            link_events()
            assert sessions(host) == {"e": 0, "t": 0}
            assert get_usage_snapshots() == []
            assert validate_database()
            assert type(own.execute_sql("SELECT 1 AS one").fetchone()) is not tuple, "the application keeps its kind"
        finally:
            close_database()
