"""The database is kept below a size on disk, returns unused space, and does not grow during the work."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import opened, raw, script
from tests.support.snapshots import fill, ids_in, on_disk
from usage_store import UsageSession, init_database, maintain
from usage_store.engines import unwrap
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.file.free_pages import free_pages
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS
from usage_store.models.fields.retention_limits import LEAST_BYTES
from usage_store.models.sqlite.maintenance import order_of_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee


pytestmark = pytest.mark.only_on("sqlite", "steps of maintenance")

MB = 2**20


@pytest.fixture
def path(database: peewee.SqliteDatabase) -> Path:
    return Path(database.database)


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[peewee.SqliteDatabase]:
    """Give a database with the usage tables that plain sqlite3 made, so that it cannot shrink."""
    script(tmp_path / "foreign.db", "CREATE TABLE host_notes (note TEXT)")
    with opened(tmp_path / "foreign.db") as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        UsageSession.register("s")
        yield database


def test_above_max_bytes_the_oldest_go_until_file_and_wal_keep_to_it(
    database: peewee.SqliteDatabase, path: Path
) -> None:
    ids = fill(database, 6000, 3)
    assert on_disk(path) > LEAST_BYTES
    done = maintain(max_bytes=LEAST_BYTES)
    assert done.left == ()
    wal = 4_096_000  # the usual size before SQLite reuses it
    assert on_disk(path) == done.bytes_after <= LEAST_BYTES - wal
    left = ids_in(path)
    assert done.evicted == 6000 - len(left)
    assert left == ids[done.evicted :]
    assert on_disk(path) > LEAST_BYTES / 2, "and no more than that"


def test_nothing_is_evicted_where_other_tables_are_larger_than_max_bytes(
    database: peewee.SqliteDatabase, path: Path
) -> None:
    ids = fill(database, 500, 3)
    with raw(path) as host:
        host.execute("CREATE TABLE host_notes (note BLOB)")
        host.execute("INSERT INTO host_notes VALUES (zeroblob(20 * 1024 * 1024))")
    for dry_run in (True, False):
        done = maintain(max_bytes=LEAST_BYTES, dry_run=dry_run)
        assert done.evicted == 0
        (line,) = done.left
        assert line.endswith(" bytes too many, more than all snapshots use, so no snapshot was evicted")
    assert ids_in(path) == ids


def test_a_file_that_was_made_elsewhere_shrinks_once_it_is_rewritten(
    foreign: peewee.SqliteDatabase, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.db"
    fill(foreign, 1000, 60)
    done = maintain(foreign, retention_days=30)
    assert on_disk(path) >= done.bytes_before
    (line,) = done.left
    assert line.endswith(" bytes to give back, possible only after one VACUUM of this file (--vacuum, rewrite=True)")
    done = maintain(foreign, rewrite=True)
    assert done.left == ()
    assert on_disk(path) < done.bytes_before * 0.7
    assert foreign.pragma("auto_vacuum") == 2
    shrunk = on_disk(path)
    fill(foreign, 1000, 60)
    assert on_disk(path) > shrunk + 3 * MB
    assert maintain(foreign, retention_days=30, compact_after_days=None, rewrite=True).left == ()
    assert on_disk(path) < shrunk + 3 * MB
    assert MigrationRunner(foreign).validate().ok


def test_opening_a_database_that_is_there_neither_writes_nor_waits(path: Path, database: peewee.SqliteDatabase) -> None:
    database.close()
    script(path.with_name("other.db"), "CREATE TABLE t (a); PRAGMA journal_mode = WAL")
    for file, mode in ((path, 2), (path.with_name("other.db"), 0)):
        with raw(file) as other:
            other.execute("BEGIN IMMEDIATE")
            with closing(open_database(file, timeout=0)) as opened_beside:
                assert opened_beside.pragma("auto_vacuum") == mode


def test_a_dry_run_tells_what_would_be_evicted(database: peewee.SqliteDatabase) -> None:
    fill(database, 6000, 3)
    told, done = (maintain(max_bytes=LEAST_BYTES, dry_run=dry_run) for dry_run in (True, False))
    assert told.evicted == pytest.approx(done.evicted, rel=0.25)
    assert told.bytes_after == pytest.approx(done.bytes_after, rel=0.25)


def test_pages_are_given_back_before_they_are_very_many(
    database: peewee.SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_of_steps, "_MANY_PAGES", 100)
    fill(database, 2000, 60)
    free: list[int] = []
    maintain(retention_days=30, compact_after_days=None, on_progress=lambda *_: free.append(free_pages(database)))
    assert 0 < max(free) < 700


def test_the_wal_stays_short(database: peewee.SqliteDatabase, path: Path) -> None:
    fill(database, 8000, 60)
    database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    wal, sizes = path.with_name(f"{path.name}-wal"), []
    maintain(retention_days=30, on_progress=lambda *_: sizes.append(wal.stat().st_size))
    assert 0 < max(sizes) < 16 * MB
    assert on_disk(path) == path.stat().st_size


ROW = "INSERT INTO usage_snapshots (id, session_id, snapshot_data, timestamp) VALUES (?, 's', ?, ?)"


def stored(path: Path, rows_: list[tuple[int, int]]) -> peewee.SqliteDatabase:
    """Open a database with snapshots of these ids and lengths, newest last."""
    database: peewee.SqliteDatabase = unwrap(init_database(path))
    UsageSession.register("s")
    start_ = int(time.time()) - len(rows_)
    with database.atomic():
        for number, (row, length) in enumerate(rows_):
            database.execute_sql(ROW, (row, f'"{"x" * length}"', start_ + number))
    return database


def test_where_other_tables_are_too_large_no_snapshot_goes_whatever_their_ids_are(tmp_path: Path) -> None:
    # After a gap in the ids, one large snapshot counts for all: 100 MB are estimated where there are 0.1 MB.
    path = tmp_path / "usage.db"
    with closing(stored(path, [*((row, 40) for row in range(1, 1001)), (1_000_000, 100_000)])) as database:
        ids = ids_in(path)
        database.execute_sql("CREATE TABLE host_notes (note BLOB)")
        database.execute_sql("INSERT INTO host_notes VALUES (zeroblob(20 * 1024 * 1024))")
        maintain(max_bytes=LEAST_BYTES)
    assert ids_in(path) == ids


def test_max_bytes_is_kept_whatever_the_ids_are(tmp_path: Path) -> None:
    # The opposite case: 24 MB are estimated as 1 MB, so that no row is deleted.
    path = tmp_path / "usage.db"
    with closing(stored(path, [*((row, 4000) for row in range(1, 6001)), (1_000_000, 2)])):
        assert maintain(max_bytes=LEAST_BYTES).left == ()
    assert on_disk(path) <= LEAST_BYTES
