"""Processes and threads use one store at the same time, are killed, or wait for each other."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import rows
from tests.support.driver import sqlite3
from tests.support.processes import at_once, meet
from tests.support.programs import TIMEOUT, line_of, start
from tests.support.snapshots import DAY
from usage_store import (
    UsageConfig,
    delete_old_usage_snapshots,
    get_migration_status,
    get_usage_config,
    get_usage_snapshots,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    register_session,
    update_usage_config,
    validate_database,
)
from usage_store.errors import DatabaseLocked

if TYPE_CHECKING:
    from tests.support.databases import Target

pytestmark = pytest.mark.quick
TIMES = 30  # that each process writes


def count(path: Target, condition: str = "true") -> int:
    ((found,),) = rows(path, f"SELECT count(*) FROM usage_snapshots WHERE {condition}")
    return int(found)


def _insert(path: Target, worker: int) -> int:
    database = init_database(path, timeout=TIMEOUT)
    session = f"worker {worker}"
    register_session(session)
    meet()
    for number in range(TIMES):
        data = {"worker": worker, "number": number}
        assert insert_usage_snapshot({"session_id": session, "snapshot_data": data})
        # The snapshots are inserted old, so that the pruning process always has something to delete.
        old = {"session_id": "old", "snapshot_data": data, "timestamp": time.time() - 40 * DAY}
        many = [{"session_id": session, "snapshot_data": data, "snapshot_type": "session"}] * 10 + [old] * 5
        assert insert_usage_snapshots(iter(many)) == 15
    database.close()
    return TIMES


def _prune(path: Target) -> int:
    database = init_database(path, timeout=TIMEOUT)
    meet()
    deleted = 0
    while deleted < 4 * TIMES * 5:
        now_gone = delete_old_usage_snapshots()
        assert now_gone is not None
        deleted += now_gone
    database.close()
    return deleted


def _configure(path: Target) -> int:
    database = init_database(path, timeout=TIMEOUT)
    meet()
    for number in range(3 * TIMES):
        rate = 1 + number % 60
        assert update_usage_config({"refresh_rate": rate})
        config = get_usage_config()
        assert config is not None
        assert config.refresh_rate == rate
    database.close()
    return 3 * TIMES


@pytest.mark.slow
def test_four_processes_insert_while_one_prunes_and_one_changes_the_configuration(
    usage_database: peewee.Database, store_target: Target
) -> None:
    path = store_target
    register_session("old")
    workers = [(_insert, path, worker) for worker in range(4)]
    assert at_once([*workers, (_prune, path), (_configure, path)]) == [TIMES] * 4 + [4 * TIMES * 5, 3 * TIMES]
    per_worker = usage_database.execute_sql(
        "SELECT session_id, snapshot_type, count(*), count(DISTINCT snapshot_data) FROM usage_snapshots "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    kinds = (("session", 10 * TIMES), ("stats", TIMES))
    assert per_worker == [(f"worker {worker}", kind, rows, TIMES) for worker in range(4) for kind, rows in kinds]
    assert validate_database() is True


def _open_fresh(folder: Path, rounds: int) -> list[int]:
    sizes = []
    for number in range(rounds):
        meet()
        database = init_database(folder / f"{number}.db", timeout=TIMEOUT, wait=TIMEOUT)
        status = get_migration_status()
        assert status.pending_count == 0
        sizes += [status.current_version, UsageConfig.select().count()]
        database.close()
    return sizes


def test_two_processes_that_open_a_new_file_at_once_migrate_it_once(tmp_path: Path) -> None:
    first, second = at_once([(_open_fresh, tmp_path, 6)] * 2)
    assert first == second
    assert set(first[1::2]) == {1}
    for number in range(6):
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as connection:
            applied = connection.execute("SELECT version FROM schema_migrations").fetchall()
            assert applied == [(version,) for version in range(1, first[0] + 1)]
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not list(tmp_path.glob("*-migrate")), "a lock file was left"


def test_each_thread_of_a_process_has_a_connection_of_its_own(
    usage_database: peewee.Database, store_target: Target
) -> None:
    if isinstance(usage_database, peewee.SqliteDatabase):
        usage_database.timeout = TIMEOUT
    register_session("s")
    barrier = threading.Barrier(8)

    def work(worker: int) -> int:
        barrier.wait(TIMEOUT)
        try:
            for number in range(40):
                assert insert_usage_snapshot({"session_id": "s", "snapshot_data": [worker, number]})
                assert update_usage_config({"reset_hour": worker})
                assert len(get_usage_snapshots("s", limit=5) or ()) > 0
            return insert_usage_snapshots({"session_id": "s", "snapshot_data": {}} for _ in range(700)) or 0
        finally:
            usage_database.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [700] * 8
    assert count(store_target) == 8 * (40 + 700)
    assert count(store_target, "snapshot_data <> '{}' GROUP BY session_id") == 8 * 40


BULK = """
import sys
from usage_store import init_database, insert_usage_snapshots

def rows(tell_at):
    for number in range(2000):
        if number == tell_at:
            print(number, flush=True)
            if sys.argv[3] == "wait":
                sys.stdin.read()
        yield {"session_id": "s", "snapshot_data": {"filler": "x" * 2000, "n": number}}
    if tell_at == 2000:
        print(number, flush=True)  # the COMMIT comes now

init_database(sys.argv[1])
insert_usage_snapshots(rows(int(sys.argv[2])))
print("done", flush=True)
sys.stdin.read()
"""


def kill_in_bulk(path: Target, tell_at: int, then: str) -> int:
    """Start a process that inserts 2,000 rows, kill it when it prints a line, and return how many rows are stored."""
    before = count(path)
    with start(BULK, path, str(tell_at), then, cwd=Path("/")) as process:
        assert line_of(process), "it ended before it told"
        if then == "done":
            assert line_of(process) == "done\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    if not isinstance(path, str):
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    return count(path) - before


@pytest.mark.parametrize("tell_at", [1, 700, 1999])
def test_a_bulk_insert_killed_half_way_leaves_nothing(
    usage_database: peewee.Database, store_target: Target, tell_at: int
) -> None:
    register_session("s")
    usage_database.close()
    assert kill_in_bulk(store_target, tell_at, "wait") == 0
    assert insert_usage_snapshots([{"session_id": "s", "snapshot_data": 1}]) == 1


@pytest.mark.slow
def test_a_bulk_insert_killed_at_any_moment_leaves_all_or_nothing(
    usage_database: peewee.Database, store_target: Target
) -> None:
    register_session("s")
    usage_database.close()
    path = store_target
    assert {kill_in_bulk(path, tell_at, "race") for tell_at in (1500, 2000, 2000)} <= {0, 2000}
    assert kill_in_bulk(path, 2000, "done") == 2000


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.slow
@pytest.mark.parametrize(("mode", "lock"), [("delete", "EXCLUSIVE"), ("delete", "IMMEDIATE"), ("wal", "IMMEDIATE")])
def test_init_database_waits_for_a_lock_and_then_raises(store_target: Target, mode: str, lock: str) -> None:
    path = store_target
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute(f"BEGIN {lock}")  # IMMEDIATE: the switch to WAL does not wait for this one by itself
        other.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT)")
        with pytest.raises(DatabaseLocked, match=r"usage\.db: another process holds the database's lock"):
            init_database(path, timeout=0.05, wait=0.05)
        release = threading.Timer(0.2, other.execute, ("COMMIT",))
        release.start()
        database = init_database(path, timeout=TIMEOUT, wait=TIMEOUT)
        release.join(TIMEOUT)
    assert validate_database() is True
    database.close()
