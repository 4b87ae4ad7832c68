"""Maintenance where ids have gaps, triggers are missing, readers are kept out, or the input is no input."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from threading import Timer
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import opened, rows, script
from tests.support.driver import sqlite3
from tests.support.maintenance import run_where_waits_have_no_end
from tests.support.programs import TIMEOUT, environment
from tests.support.snapshots import fill, ids_in, on_disk, record
from usage_store import UsageSession, UsageSnapshot, init_database, maintain, register_sessions, remove_sessions, upkeep
from usage_store.connection import unwrap
from usage_store.errors import InvalidValue
from usage_store.goals import LEAST_BYTES
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.clock import Clock

ROW = "INSERT INTO usage_snapshots (id, session_id, snapshot_data, timestamp) VALUES (?, 's', ?, ?)"
TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'usage_snapshots_%'"


@pytest.fixture(autouse=True)
def _unbound(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[None]:  # noqa: ARG001  no time passes
    monkeypatch.setattr(upkeep, "_PAUSE", 0)
    monkeypatch.setattr(upkeep, "_INTERVAL", 0)
    monkeypatch.setattr(UsageSnapshot, "upkeep", None)
    with peewee.SqliteDatabase(None).bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        yield


def stored(path: Path, rows_: list[tuple[int, int]]) -> peewee.SqliteDatabase:
    """Open a database with snapshots of these ids and lengths, the newest last."""
    database = unwrap(init_database(path))
    UsageSession.register("s")
    start_ = int(time.time()) - len(rows_)
    with database.atomic():
        for number, (row, length) in enumerate(rows_):
            database.execute_sql(ROW, (row, f'"{"x" * length}"', start_ + number))
    return database


def run(cwd: Path, *words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "usage_store.maintain", *words]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_where_other_tables_are_too_large_no_snapshot_goes_whatever_their_ids_are(tmp_path: Path) -> None:
    # A large snapshot after a gap in the ids is taken for what all are like: 100 MB where there are 0.1.
    path = tmp_path / "usage.db"
    with closing(stored(path, [*((row, 40) for row in range(1, 1001)), (1_000_000, 100_000)])) as database:
        ids = ids_in(path)
        database.execute_sql("CREATE TABLE host_notes (note BLOB)")
        database.execute_sql("INSERT INTO host_notes VALUES (zeroblob(20 * 1024 * 1024))")
        maintain(max_bytes=LEAST_BYTES)
    assert ids_in(path) == ids


def test_max_bytes_is_kept_whatever_the_ids_are(tmp_path: Path) -> None:
    # The other way round: 24 MB are taken for 1, so that "none was evicted".
    path = tmp_path / "usage.db"
    with closing(stored(path, [*((row, 4000) for row in range(1, 6001)), (1_000_000, 2)])):
        assert maintain(max_bytes=LEAST_BYTES).left == ()
    assert on_disk(path) <= LEAST_BYTES


def test_upkeep_compacts_nothing_where_the_triggers_are_missing(tmp_path: Path) -> None:
    # maintain() refuses that: nothing counts the references, and the first row to go takes all its block.
    path = tmp_path / "usage.db"
    with closing(init_database(path)) as database:
        record(*({"n": n} for n in range(5)))
        triggers = rows(path, TRIGGERS)
        script(path, ";".join(f"DROP TRIGGER {name}" for name, _ in triggers))
        kept: Any = upkeep.Upkeep(database, 300, None)
        UsageSnapshot.upkeep = staticmethod(kept)
        for _ in range(5):
            UsageSnapshot.record("s", {})
        UsageSnapshot.upkeep = None
        for _, sql in triggers:
            unwrap(database).execute_sql(sql)
        UsageSnapshot.delete().where(UsageSnapshot.id == 1).execute()
        assert [UsageSnapshot.get_by_id(n + 1).data for n in range(1, 5)] == [{"n": n} for n in range(1, 5)]


@pytest.mark.parametrize("given", [5, None])
@pytest.mark.parametrize("function", [UsageSession.register_many, UsageSession.remove_many, remove_sessions])
def test_what_cannot_be_iterated_is_refused_as_bad_input(
    tmp_path: Path, function: Callable[[Any], object], given: object
) -> None:
    with closing(init_database(tmp_path / "usage.db")):
        with pytest.raises(InvalidValue, match="session_ids"):
            function(given)
        assert register_sessions(given) is None  # type: ignore[arg-type]  # a caller's mistake


@pytest.mark.parametrize("wait", ["nan", "-1", "1e99"])
def test_an_odd_wait_is_a_usage_error_as_it_is_for_migrate(tmp_path: Path, wait: str) -> None:
    init_database(tmp_path / "usage.db").close()
    assert run(tmp_path, "--wait", wait).returncode == 2


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that keeps readers out, too: with a rollback journal, EXCLUSIVE does."""
    init_database(tmp_path / "usage.db").close()
    script(tmp_path / "usage.db", "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


@pytest.mark.usefixtures("locked")
def test_a_short_wait_is_short_where_readers_are_kept_out_too(tmp_path: Path) -> None:
    assert run_where_waits_have_no_end(tmp_path, "--wait", "0.2").returncode == 6


def test_a_long_wait_is_long_where_readers_are_kept_out_too(tmp_path: Path, locked: sqlite3.Connection) -> None:
    release = Timer(7, lambda: locked.execute("ROLLBACK"))
    release.start()
    result = run(tmp_path, "--wait", str(TIMEOUT))
    release.join(TIMEOUT)
    assert result.returncode == 0, result.stderr


def test_a_dry_run_in_utf_16_tells_that_nothing_will_be_compacted(tmp_path: Path) -> None:
    script(tmp_path / "usage.db", "PRAGMA encoding = 'UTF-16'; CREATE TABLE host_notes (note TEXT)")
    with opened(tmp_path / "usage.db") as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        UsageSession.register("s")
        fill(database, 100, 60)
        told, done = (maintain(database, dry_run=dry_run) for dry_run in (True, False))
    assert told.compacted == done.compacted == 0
