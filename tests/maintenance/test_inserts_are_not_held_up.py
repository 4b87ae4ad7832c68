"""Maintenance after inserts delays nobody: it waits for nothing, and logs only once what prevents it."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import raw, script
from tests.support.programs import TIMEOUT
from tests.support.snapshots import ids_in, insert, plain_rows
from usage_store import init_database
from usage_store.engines import unwrap
from usage_store.models.fields.retention_limits import LEAST_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

    from tests.support.driver import sqlite3

pytestmark = [pytest.mark.only_on("sqlite", "steps of maintenance"), pytest.mark.usefixtures("at_every_insert")]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("CREATE TRIGGER t BEFORE DELETE ON usage_snapshots BEGIN SELECT RAISE(ABORT, 'not mine'); END", "not mine"),
        ("DROP INDEX idx_usage_snapshots_plain", "no such index: idx_usage_snapshots_plain"),
        ("DROP TRIGGER usage_snapshots_deleted", "usage tables or triggers of version 2 are missing; "),
    ],
)
def test_what_fails_is_told_once_and_put_off_and_the_insert_stands(
    path: Path, caplog: pytest.LogCaptureFixture, broken: str, told: str
) -> None:
    with closing(init_database(path, retention_days=30)):
        script(path, broken)
        insert()
    (entry,) = (entry for entry in caplog.records if entry.name == "usage_store")
    assert f"{entry.levelname} {entry.getMessage()}".startswith(f"WARNING maintenance is postponed: {told}")
    assert ids_in(path)[-40:] == list(range(601, 641))


class Contender:
    """Another connection that takes the lock just before maintenance needs it, and frees it after the insert."""

    def __init__(self, database: peewee.SqliteDatabase, other: sqlite3.Connection) -> None:
        self.statements: list[str] = []
        self._other = other
        database.connection().set_trace_callback(self._lock)  # SQLite reports a statement before it runs

    def _lock(self, statement: str) -> None:
        self.statements.append(statement)
        if statement == "BEGIN IMMEDIATE":
            self._other.execute(statement)

    def insert(self) -> None:
        insert(1)
        if self._other.in_transaction:
            self._other.execute("ROLLBACK")


def test_it_waits_for_no_lock_and_sleeps_nowhere(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it sleeps"))
    with closing(init_database(path, retention_days=30, timeout=TIMEOUT)) as database, raw(path) as other:
        contender = Contender(unwrap(database), other)
        contender.insert()
        waits = [one for one in contender.statements if "busy_timeout" in one or one == "BEGIN IMMEDIATE"]
        assert waits[-3:] == ["PRAGMA busy_timeout = 0", "BEGIN IMMEDIATE", f"PRAGMA busy_timeout = {TIMEOUT}000"]
        assert ids_in(path) == list(range(1, 602))
        unwrap(database).connection().set_trace_callback(None)
        insert()
    assert len(ids_in(path)) == 300 + 41, "and later it goes on"
    assert caplog.records == []


def test_put_off_for_ten_minutes_it_says_so_once_in_ten_minutes(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.monotonic()
    with closing(init_database(path, retention_days=30, timeout=TIMEOUT)) as database, raw(path) as other:
        contender, told = Contender(unwrap(database), other), []
        for seconds in (0, 300, 599, 601, 900, 1199, 1202, 1300):
            monkeypatch.setattr(time, "monotonic", lambda at=seconds: now + at)
            contender.insert()
            told.append(len(caplog.records))
    assert told == [0, 0, 0, 1, 1, 1, 2, 2]
    assert {entry.getMessage() for entry in caplog.records} == {
        "maintenance is postponed: for ten minutes, the database was locked at every attempt"
    }
    assert len(plain_rows(path)) == 608


def test_where_nothing_is_to_be_done_no_lock_is_taken_and_no_reader_or_writer_is_kept_from_the_wal(path: Path) -> None:
    with closing(init_database(path, retention_days=30, max_bytes=2**30)) as database:
        insert()
        statements: list[str] = []
        unwrap(database).connection().set_trace_callback(statements.append)
        insert(3)
    assert len([one for one in statements if "usage_snapshots_plain" in one]) == 3, "it looked"
    assert not [one for one in statements if "BEGIN" in one or "RESTART" in one or "TRUNCATE" in one]


def test_a_limit_that_cannot_be_kept_to_is_told_and_no_snapshot_goes_for_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script(path, "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (zeroblob(20000000))")
    with closing(init_database(path, max_bytes=LEAST_BYTES)):
        insert()
    assert len(ids_in(path)) == 640
    (entry,) = caplog.records
    assert entry.getMessage().startswith("max_bytes cannot be reached: even without any snapshot, more than ")
