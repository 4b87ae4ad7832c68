"""Four runs at once, one of them killed, the session of another ended by the server: each migration has run once."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened, raw
from tests.support.migrations import python, sql, write
from tests.support.postgresql_servers import own_server
from tests.support.programs import ROUNDS, TIMEOUT
from usage_store.errors import UsageStoreError
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

    from tests.engines.postgresql.migrating.conftest import Runs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FILES = {
    "001_item": sql(
        "CREATE TABLE item (id integer PRIMARY KEY, n integer NOT NULL)",
        "INSERT INTO item SELECT g, 0 FROM generate_series(1, 2000) AS g",
    ),
    "002_count": sql("UPDATE item SET n = n + 1"),
    "003_more": sql("ALTER TABLE item ADD more text"),
    "004_index": python(
        "db.execute_sql('DROP INDEX CONCURRENTLY IF EXISTS by_n')\n"
        "db.execute_sql('CREATE INDEX CONCURRENTLY by_n ON item (n)')",
        atomic=False,
    ),
    "005_count": sql("UPDATE item SET n = n + 1"),
}


def migrate(url: str, directory: Path, told: Any) -> None:
    """Run all migrations; if the server ends the session, once more."""
    for _ in range(2):
        try:
            with opened(url) as database:
                told.put(database.execute_sql("SELECT pg_backend_pid()").fetchone()[0])
                MigrationRunner(database, directory, "app_migrations", wait=TIMEOUT).migrate()
        except UsageStoreError as error:
            if "57P01" not in str(error) and "lost" not in str(error):
                told.put(f"{type(error).__name__}: {error}")
                return
        else:
            told.put("done")
            return
    told.put("done")


def read(url: str, stop: Any) -> None:
    """Hold a lock of a reader for a moment, again and again."""
    with raw(url) as connection:
        while not stop.is_set():
            if connection.execute("SELECT to_regclass('item')").fetchone() != (None,):
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM item")
                time.sleep(0.05)
                connection.execute("COMMIT")
            time.sleep(0.01)


def rounds(url: str, directory: Path, count: int) -> None:
    processes = multiprocessing.get_context("fork")
    for _ in range(count):
        with raw(url) as connection:
            connection.execute("DROP TABLE IF EXISTS item, app_migrations, app_migrations_log")
        told, stop = processes.Queue(), processes.Event()
        reader = processes.Process(target=read, args=(url, stop))
        runs = [processes.Process(target=migrate, args=(url, directory, told)) for _ in range(4)]
        for process in (reader, *runs):
            process.start()
        answers = [told.get(timeout=TIMEOUT) for _ in range(4)]
        time.sleep(random.random() * 0.2)
        runs[0].kill()
        time.sleep(random.random() * 0.2)
        pids = [answer for answer in answers if isinstance(answer, int)]
        with raw(url) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", (random.choice(pids),))
        for process in runs:
            process.join(TIMEOUT)
        stop.set()
        reader.join(TIMEOUT)
        assert reader.exitcode == 0
        migrate(url, directory, told)  # all four may have died
        while "done" not in answers:
            answers.append(told.get(timeout=TIMEOUT))
        assert not [answer for answer in answers if answer != "done" and isinstance(answer, str)]
        with raw(url) as connection:
            assert connection.execute("SELECT version FROM app_migrations ORDER BY 1").fetchall() == [
                (1,), (2,), (3,), (4,), (5,)
            ]  # fmt: skip
            assert connection.execute("SELECT min(n), max(n), count(*) FROM item").fetchone() == (2, 2, 2000)
            invalid = "SELECT count(*) FROM pg_index WHERE indrelid = 'item'::regclass AND NOT indisvalid"
            assert connection.execute(invalid).fetchone() == (0,)
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = ANY(%s)"
            assert connection.execute(held, (pids,)).fetchone() == (0,)


def test_each_migration_has_run_once_whoever_died(tmp_path: Path, postgresql_url: str) -> None:
    rounds(postgresql_url, write(tmp_path / "own", FILES), 2)


@pytest.mark.long
def test_each_migration_has_run_once_whoever_died_in_many_rounds(tmp_path: Path, any_postgresql_url: str) -> None:
    rounds(any_postgresql_url, write(tmp_path / "own", FILES), 20 * ROUNDS)


def test_nobody_waits_behind_a_migration_that_waits(database: peewee.Database, runs: Runs, postgresql_url: str) -> None:
    runs(database, _001_item=FILES["001_item"]).migrate()
    done = threading.Event()

    def waits() -> None:
        with opened(postgresql_url) as other:
            runs(other, wait=TIMEOUT, _001_item=FILES["001_item"], _002_more=FILES["003_more"]).migrate()
        done.set()

    with raw(postgresql_url) as holder, raw(postgresql_url) as reader:
        holder.execute("BEGIN")
        holder.execute("SELECT count(*) FROM item")
        thread = threading.Thread(target=waits)
        thread.start()
        queued = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'item'::regclass"
        reader.execute(
            "SET statement_timeout = '60s'"
        )  # without a lock_timeout of the run, it would wait for the holder
        seen = 0
        while seen < 2:
            if reader.execute(queued).fetchone() != (0,):
                reader.execute("SELECT count(*) FROM item")
                seen += 1
        assert not done.is_set()
        holder.execute("COMMIT")
        thread.join(TIMEOUT)
    assert done.is_set()


def test_a_server_that_stops_at_once_leaves_no_half_of_a_migration(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    slow = python(
        f"db.execute_sql('UPDATE item SET n = 5')\nopen({str(begun)!r}, 'w').close()\n"
        "db.execute_sql('SELECT pg_sleep(300)')"
    )
    directory = write(tmp_path / "own", {"001_item": FILES["001_item"], "002_slow": slow})
    with own_server(18) as server:
        told = multiprocessing.get_context("fork").Queue()
        process = multiprocessing.get_context("fork").Process(target=migrate, args=(server.url, directory, told))
        process.start()
        deadline = time.monotonic() + TIMEOUT
        while not begun.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        server.stop()
        process.join(TIMEOUT)
        server.start()
        with raw(server.url) as connection:
            assert connection.execute("SELECT version FROM app_migrations").fetchall() == [(1,)]
            assert connection.execute("SELECT max(n) FROM item").fetchone() == (0,)
        write(tmp_path / "own", {"002_slow": sql("UPDATE item SET n = 5")})
        with opened(server.url) as database:
            assert len(MigrationRunner(database, directory, "app_migrations").migrate()) == 1
