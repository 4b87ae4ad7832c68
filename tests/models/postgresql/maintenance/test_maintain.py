"""What `maintain()` and the deletions do on a PostgreSQL server."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import peewee
import psycopg
import pytest

from tests.support.databases import raw
from tests.support.events import apply, events_table, sessions
from usage_store.engines.postgresql.connection.error_messages import sqlstate
from usage_store.errors import ConfigurationError, CorruptDatabase, TransactionOpen
from usage_store.maintenance_after_inserts import Upkeep
from usage_store.models.fields.retention_limits import Goals
from usage_store.models.maintenance.wrong_clock import step_in_times
from usage_store.models.postgresql import maintenance
from usage_store.models.postgresql.maintenance import short_transactions
from usage_store.models.postgresql.maintenance.delete_snapshots import evict
from usage_store.models.postgresql.maintenance.short_transactions import finish
from usage_store.models.postgresql.maintenance.snapshot_sizes import measured
from usage_store.models.postgresql.rows import typescript_tables
from usage_store.models.storage_interface import storage_of
from usage_store.run_maintenance import maintain

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400
LEAST = 16 * 2**20
# Random letters, which the server cannot compress. The first snapshot is 100 seconds old.
FILL = """
INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp)
SELECT 's' || (g % 10),
  to_json((SELECT string_agg(encode(sha512((g * 1000 + h)::text::bytea), 'hex'), '')
    FROM generate_series(1, {width}) AS h))::text,
  {newest} - 100 - g * {step}
FROM generate_series(0, {count} - 1) AS g
"""
COUNT = "SELECT count(*) FROM usage_snapshots"


@pytest.fixture
def filled(host: Any, store: peewee.PostgresqlDatabase) -> Any:
    """Give the host's connection to a store with 10 sessions and 1,000 snapshots, one an hour."""
    apply(store, 1, 2, 3)
    host.execute("INSERT INTO usage_sessions (session_id) SELECT 's' || g FROM generate_series(0, 9) AS g")
    fill(host, 1000, step=3600)
    return host


def fill(host: Any, count: int, *, step: int, width: int = 1) -> None:
    host.execute(FILL.format(width=width, newest=int(time.time()), step=step, count=count))


def number(host: Any) -> int:
    (count,) = host.execute(COUNT).fetchone()
    return int(count)


def test_old_snapshots_are_pruned_in_several_transactions(filled: Any, store: peewee.PostgresqlDatabase) -> None:
    seen: list[tuple[str, int, int]] = []
    done = maintain(store, retention_days=10, on_progress=lambda *step: seen.append(step))
    assert (done.pruned, done.compacted, done.evicted, done.forgotten, done.left) == (1000 - 240, 0, 0, 0, ())
    assert number(filled) == 240
    assert {name for name, *_ in seen} == {"pruned"}
    assert seen[-1][1:] == (760, 760)
    assert len(seen) > 3
    assert done.longest_lock > 0
    assert done.bytes_before >= done.bytes_after > 0


def test_a_dry_run_says_the_same_and_only_reads(filled: Any, store: peewee.PostgresqlDatabase) -> None:
    fill(filled, 6000, step=1, width=23)
    store.execute_sql("SET default_transaction_read_only = on")
    wanted: dict[str, Any] = {"retention_days": 10, "max_bytes": LEAST, "forget_sessions_after_days": 1}
    said = maintain(store, dry_run=True, **wanted)
    store.execute_sql("SET default_transaction_read_only = off")
    done = maintain(store, **wanted)
    assert said.pruned == done.pruned == 760
    assert 0 <= done.evicted - said.evicted < 500  # the last transaction may delete more than needed
    assert said.evicted > 0


def test_max_bytes_counts_the_rows_that_are_there_and_not_the_size_of_the_table(
    filled: Any, store: peewee.PostgresqlDatabase
) -> None:
    fill(filled, 7000, step=1, width=23)
    oldest = filled.execute("SELECT id FROM usage_snapshots ORDER BY timestamp, id LIMIT 1").fetchone()
    done = maintain(store, max_bytes=LEAST)
    assert done.evicted > 0
    assert done.bytes_after > LEAST  # a DELETE does not shrink a table
    left = number(filled)
    assert filled.execute("SELECT 1 FROM usage_snapshots WHERE id = %s", oldest).fetchone() is None
    again = maintain(store, max_bytes=LEAST)
    assert (again.evicted, again.left, number(filled)) == (0, (), left)
    bytes_a_row = sum(measured(store, 1000)) / left
    assert LEAST - 501 * bytes_a_row < left * bytes_a_row <= LEAST


def test_nothing_is_read_while_the_whole_table_is_small_enough(filled: Any, store: peewee.PostgresqlDatabase) -> None:
    filled.execute("ALTER TABLE usage_snapshots RENAME COLUMN snapshot_data TO unreadable")
    assert maintain(store, max_bytes=LEAST).evicted == 0


def test_idle_sessions_are_forgotten_but_not_one_that_others_use(
    filled: Any, store: peewee.PostgresqlDatabase, any_postgresql_url: str
) -> None:
    filled.execute(events_table())
    filled.execute("INSERT INTO usage_sessions VALUES ('idle', 1), ('used', 1), ('of events', 1), ('new', DEFAULT)")
    filled.execute("INSERT INTO events (session_id) VALUES ('of events')")
    with raw(any_postgresql_url) as other, other.transaction():
        other.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('used', '1')")
        assert maintain(store, forget_sessions_after_days=1, dry_run=True).forgotten == 2
        done = maintain(store, forget_sessions_after_days=1)
        assert (done.forgotten, done.left) == (1, ("1 sessions to be forgotten",))
    assert maintain(store, forget_sessions_after_days=1).left == ()
    assert {"used", "of events", "new"} <= sessions(filled).keys()
    assert "idle" not in sessions(filled)


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside a transaction"])
def test_snapshots_and_sessions_are_deleted(filled: Any, store: peewee.PostgresqlDatabase, *, inside: bool) -> None:
    storage = storage_of(store).maintenance
    with store.atomic() if inside else nullcontext():
        assert storage.delete_older(store, int(time.time()) - 10 * DAY) == 760
        assert storage.delete_sessions(store, ["s1", "s2", "unknown", "nul\0", "\ud800"]) == 48
    assert number(filled) == 240 - 48
    assert sessions(filled).keys() == {"s0", "s3", "s4", "s5", "s6", "s7", "s8", "s9"}


def test_a_deletion_inside_the_application_s_transaction_is_rolled_back_with_it(
    filled: Any, store: peewee.PostgresqlDatabase
) -> None:
    with store.atomic() as transaction:
        maintenance.delete_sessions(store, ["s1"])
        maintenance.delete_older(store, int(time.time()))
        transaction.rollback()
    assert number(filled) == 1000
    assert "s1" in sessions(filled)


@pytest.mark.parametrize(("of_connection", "ours"), [(0, 0.6), (600, 10**6)])
def test_who_waits_longer_than_its_connection_allows_gets_the_error_of_a_lock(
    filled: Any,
    store: peewee.PostgresqlDatabase,
    any_postgresql_url: str,
    monkeypatch: pytest.MonkeyPatch,
    of_connection: int,
    ours: float,
) -> None:
    monkeypatch.setattr(short_transactions, "_PATIENCE", ours)
    store.execute_sql(f"SET lock_timeout = {of_connection}")  # 0: it waits for ever
    with raw(any_postgresql_url) as other, other.transaction():
        other.execute("SET idle_in_transaction_session_timeout = '30s'")  # who waits for ever gets the rows then
        other.execute("UPDATE usage_snapshots SET timestamp = timestamp + 1 WHERE id = 900")
        with pytest.raises(peewee.OperationalError) as caught:
            maintenance.delete_older(store, int(time.time()) - 10 * DAY)
        assert sqlstate(caught.value) == "55P03"
    filled.execute("INSERT INTO usage_sessions (session_id) VALUES ('empty')")
    calls: dict[str, Callable[[], object]] = {
        "usage_sessions FOR KEY SHARE": lambda: maintenance.delete_sessions(store, ["empty"]),
        "usage_snapshots FOR UPDATE": lambda: finish(store, lambda pace: evict(store, 1, pace, 100)),
    }
    for lock, call in calls.items():
        with raw(any_postgresql_url) as other, suppress(psycopg.OperationalError), other.transaction():
            other.execute("SET idle_in_transaction_session_timeout = '20s'")  # else a call without end would hang here
            other.execute(f"SELECT FROM {lock}")
            with pytest.raises(peewee.OperationalError, match="lock timeout"):
                call()
    assert maintenance.delete_older(store, int(time.time()) - 10 * DAY) > 0
    assert number(filled) == 240


def test_maintenance_has_transactions_of_its_own(filled: Any, store: peewee.PostgresqlDatabase) -> None:
    with store.atomic(), pytest.raises(TransactionOpen):
        maintain(store)
    filled.execute("DROP TABLE usage_sessions_ended CASCADE")
    with pytest.raises(ConfigurationError, match="usage tables of version 3 are missing"):
        maintain(store)


def test_a_vacuum_counts_the_rows_again(filled: Any, store: peewee.PostgresqlDatabase) -> None:
    maintain(store, retention_days=10, rewrite=True)
    counted = "SELECT reltuples FROM pg_class WHERE oid = 'usage_snapshots'::regclass"
    assert filled.execute(counted).fetchone() == (240,)


def test_upkeep_after_inserts_prunes_and_waits_for_nobody(
    filled: Any, store: peewee.PostgresqlDatabase, any_postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    upkeep = Upkeep(store, retention_days=10, max_bytes=LEAST)
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('usage_store maintenance of ' || current_schema(), 0))"
    with raw(any_postgresql_url) as other, other.transaction():
        other.execute(lock)  # another process maintains the store
        upkeep(store)
        assert number(filled) == 1000
    for _ in range(1000):  # on a busy machine, each transaction deletes a few rows only
        upkeep._due = 0.0
        upkeep(store)
        if number(filled) == 240:
            break
    upkeep._due = 0.0
    upkeep(store)
    assert number(filled) == 240
    assert caplog.messages == []


def test_upkeep_evicts_by_the_bytes_of_rows(filled: Any, store: peewee.PostgresqlDatabase) -> None:
    fill(filled, 6000, step=1, width=23)
    upkeep = Upkeep(store, retention_days=None, max_bytes=LEAST)
    for _ in range(3000):  # as above
        upkeep._due = 0.0
        upkeep(store)
        if not upkeep._slices:
            break
    assert maintain(store, max_bytes=LEAST, dry_run=True).evicted == 0
    assert number(filled) > 2000


def test_others_that_evict_at_the_same_time_do_not_make_it_delete_too_much(
    filled: Any, store: peewee.PostgresqlDatabase
) -> None:
    fill(filled, 6000, step=1, width=23)
    goal = LEAST
    steps = maintenance.Steps(store).on_rows(Goals(None, None, goal))
    while next(steps) == ("evicted", 0):  # this one has measured, and has just begun to delete
        pass
    maintain(store, max_bytes=goal)  # another one
    left = number(filled)
    assert sum(rows for _, rows in steps) == 0
    assert number(filled) == left


def test_a_gap_in_the_stored_times_is_described(filled: Any, store: peewee.PostgresqlDatabase) -> None:
    now = int(time.time())
    filled.execute("UPDATE usage_snapshots SET timestamp = %s - 90 * 86400", (now,))
    filled.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('s1', '1')")
    assert step_in_times(store, 30 * DAY) is not None
    filled.execute("DELETE FROM usage_snapshots")
    assert step_in_times(store, 30 * DAY) is None


def test_validate_names_what_is_wrong_in_the_rows(filled: Any, store: peewee.PostgresqlDatabase) -> None:
    assert list(maintenance.check_rows(store, full=True)) == []
    filled.execute(
        "INSERT INTO usage_snapshots (id, session_id, snapshot_data, timestamp) "
        "VALUES (5000, 's1', '17:3', extract(epoch FROM now())::bigint + 90000)"
    )
    filled.execute("INSERT INTO usage_sessions_ended (session_id) VALUES ('s1'), ('s2')")
    filled.execute("DELETE FROM usage_config")
    configuration, ahead, ended, reference = maintenance.check_rows(store, full=True)
    assert str(configuration).startswith("usage_config: ")
    assert str(ahead).endswith(": 1")
    assert ended == "sessions without events that were in use, and that `maintain` will delete: 2"
    assert isinstance(reference, CorruptDatabase)
    assert str(reference) == "usage_snapshots: snapshot 5000 needs block 17, and there are no blocks"
    assert len(list(maintenance.check_rows(store, full=False))) == 3
    filled.execute("DROP TABLE usage_config, usage_sessions_ended; ALTER TABLE usage_snapshots DROP COLUMN timestamp")
    assert len(list(maintenance.check_rows(store, full=False))) == 0


def test_the_original_monitor_s_tables_are_converted_in_sqlite_only(store: peewee.PostgresqlDatabase) -> None:
    with pytest.raises(ConfigurationError, match="the original monitor stores in SQLite; convert its file"):
        typescript_tables.refuse_losses(store)
