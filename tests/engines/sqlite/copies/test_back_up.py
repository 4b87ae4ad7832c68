"""A backup is one committed state of a database in use, and gets its name when it is complete."""

from __future__ import annotations

import os
import re
import signal
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.support.databases import PAGE, add, dump, files_of, fill, opened, overwrite, raw, rows
from tests.support.disks import forked_with_small_files, make_huge
from tests.support.programs import TIMEOUT, forked
from usage_store.engines.sqlite.copies.back_up import _has_only_defaults, back_up, back_up_rows, list_backups
from usage_store.errors import ConfigurationError, CorruptDatabase, DatabaseUnreadable, NotEnoughDisk

NAME = re.compile(r"app\.db\.v3\.\d{8}T\d{6}\.\d{6}Z\.backup")


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"app.db", "app.db-wal", "app.db-shm"}


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_backup_is_the_state_before_the_transaction_that_another_connection_is_in(tmp_path: Path, mode: str) -> None:
    file = fill(tmp_path / "app.db", mode=mode)
    before = dump(file)
    with raw(file) as connection:
        connection.execute("BEGIN IMMEDIATE")
        early = back_up(file, 3)
        connection.execute("DELETE FROM item WHERE id < 50")
        late = back_up(file, 3)
        connection.execute("COMMIT")
    assert dump(early) == dump(late) == before
    assert dump(file) != before


def test_a_backup_holds_what_is_still_in_the_wal(tmp_path: Path) -> None:
    file = fill(tmp_path / "app.db")
    with raw(file) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        add(connection, 10)
        assert (tmp_path / "app.db-wal").stat().st_size > 0
        assert rows(back_up(file, 3), "SELECT count(*) FROM item") == [(3010,)]


def test_commits_during_a_backup_neither_enter_it_nor_make_it_start_again(tmp_path: Path) -> None:
    file = fill(tmp_path / "app.db", 60_000)
    told: list[int] = []
    with raw(file) as connection:

        def write(done: int, _: int) -> None:
            told.append(done)
            assert len(told) < 50, "it starts again and again"
            connection.execute("UPDATE item SET body = body || 'y' WHERE id % 100 = 0")

        path = back_up(file, 3, on_progress=write)
    assert told == sorted(set(told))
    assert len(told) > 2
    assert rows(path, "SELECT count(*), max(length(body)) FROM item") == [(60_000, 150)]


def test_a_backup_is_named_by_version_and_time_and_is_one_file_with_the_permissions_of_the_database(
    tmp_path: Path,
) -> None:
    file = fill(tmp_path / "app.db")
    file.chmod(0o640)
    path = back_up(file, 3)
    assert NAME.fullmatch(path.name)
    assert _names(tmp_path) == {path.name}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert rows(path, "PRAGMA journal_mode") == [("delete",)]
    assert rows(file, "PRAGMA journal_mode") == [("wal",)]
    (listed,) = list_backups(file)
    assert (listed.path, listed.version) == (path, 3)
    assert abs(datetime.now(UTC) - listed.taken_at) < timedelta(seconds=TIMEOUT)


def test_a_backup_goes_to_the_directory_that_is_named_and_a_link_has_the_backups_of_its_database(
    tmp_path: Path,
) -> None:
    file = fill(tmp_path / "app.db", 1)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(file)
    path = back_up(link, 3, directory=tmp_path / "elsewhere")
    assert [backup.path for backup in list_backups(file, tmp_path / "elsewhere")] == [path]
    assert list_backups(file) == ()


def test_the_oldest_backups_of_this_database_alone_go_and_only_after_the_new_one(tmp_path: Path) -> None:
    file = fill(tmp_path / "app.db", 1)
    stamp = "20260102T030405.000006Z"
    others = {"app.db2", f"my-app.db.v1.{stamp}.backup", f"app.db.v1.{stamp}.backup.txt", f"app.db2.v1.{stamp}.backup"}
    for name in others:
        (tmp_path / name).touch()
    paths = [back_up(file, version, keep=10) for version in (9, 10, 1, 2)]
    with pytest.raises(KeyboardInterrupt):
        back_up(file, 3, keep=1, on_progress=_interrupt)
    assert _names(tmp_path) == others | {path.name for path in paths}
    paths.append(back_up(file, 3, keep=3))
    assert _names(tmp_path) == others | {path.name for path in paths[-3:]}


def test_the_new_backup_stays_when_the_clock_was_set_back(tmp_path: Path) -> None:
    file = fill(tmp_path / "app.db", 1)
    for day in (1, 2):
        (tmp_path / f"app.db.v1.2999010{day}T000000.000000Z.backup").touch()
    path = back_up(file, 3, keep=2)
    assert _names(tmp_path) == {path.name, "app.db.v1.29990102T000000.000000Z.backup"}


def _interrupt(_: int, __: int) -> None:
    raise KeyboardInterrupt


def _kill(_: object = None, __: object = None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_half_way_leaves_no_file_that_looks_like_a_backup_and_the_next_backup_cleans_up(tmp_path: Path) -> None:
    file = fill(tmp_path / "app.db")
    assert forked(lambda: back_up(file, 3, on_progress=_kill)) == -signal.SIGKILL
    assert len(_names(tmp_path)) == 1
    assert list_backups(file) == ()
    path = back_up(file, 3)
    assert _names(tmp_path) == {path.name}


def test_a_kill_at_the_fsync_of_the_file_leaves_no_backup_and_at_that_of_the_folder_a_whole_one(
    tmp_path: Path,
) -> None:
    file = fill(tmp_path / "app.db")

    def die_at_fsync(number: int) -> None:
        synced: list[int] = []

        def fsync(descriptor: Any) -> None:
            synced.append(descriptor)
            if len(synced) == number:
                _kill()

        os.fsync = fsync  # type: ignore[assignment]
        back_up(file, 3)

    assert forked(lambda: die_at_fsync(1)) == -signal.SIGKILL
    assert list_backups(file) == ()
    assert forked(lambda: die_at_fsync(2)) == -signal.SIGKILL
    (backup,) = list_backups(file)
    assert dump(backup.path) == dump(file)
    assert forked(lambda: die_at_fsync(3)) == 0


def test_too_little_disk_is_refused_with_the_numbers_before_anything_is_written(tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    size = make_huge(file)

    def refuse() -> None:
        with pytest.raises(NotEnoughDisk, match=rf"needs {size / 1e6:,.1f} MB of disk, and [\d,.]+ are free"):
            back_up(file, 3)

    assert forked_with_small_files(refuse) == 0
    assert _names(tmp_path) == set()


def test_a_disk_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    file = fill(tmp_path / "app.db")

    def fail() -> None:
        with pytest.raises(DatabaseUnreadable, match="the disk"):
            back_up(file, 3)

    assert forked_with_small_files(fail, 100 * PAGE) == 0
    assert _names(tmp_path) == set()


def test_a_corrupt_database_gives_no_backup(tmp_path: Path) -> None:
    file = fill(tmp_path / "app.db")
    overwrite(file, 30 * PAGE, b"\xff" * 20 * PAGE)
    with pytest.raises(CorruptDatabase, match=r"app\.db: the database is corrupt \(.+\), so its copy was discarded"):
        back_up(file, 3)
    assert _names(tmp_path) == set()


def test_what_is_no_database_in_a_file_cannot_be_backed_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in memory"):
        back_up(Path(":memory:"), 1)
    with pytest.raises(ConfigurationError, match="keep is 0; allowed: 1 or more"):
        back_up(fill(tmp_path / "app.db", 1), 1, keep=0)
    (tmp_path / "noise").write_bytes(os.urandom(9000))
    for name in ("noise", "missing"):
        with pytest.raises(DatabaseUnreadable, match=name):
            back_up(tmp_path / name, 1)
    assert set(files_of(tmp_path)) == {"app.db", "noise"}


def test_rows_are_backed_up_from_inside_the_transaction_that_is_about_to_change_them(tmp_path: Path) -> None:
    file = fill(tmp_path / "app.db", 5)
    with opened(file) as database, database.atomic("IMMEDIATE"):
        path = back_up_rows(database, 3)
        database.execute_sql("DELETE FROM item")
    assert path is not None
    assert rows(path, "SELECT count(*) FROM item") == [(5,)]


def test_without_rows_or_without_a_file_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with opened(fill(tmp_path / "app.db", 0)) as database:
        database.execute_sql("CREATE TABLE History (x)")
        database.execute_sql("INSERT INTO History VALUES (1)")
        assert back_up_rows(database, 3, ignore=["history"]) is None
        assert back_up_rows(database, 3) is not None
    with closing(peewee.SqliteDatabase(":memory:")) as memory:
        memory.execute_sql("CREATE TABLE item AS SELECT 1")
        assert back_up_rows(memory, 3) is None


def test_a_row_of_defaults_in_a_seeded_table_is_nothing_to_back_up(tmp_path: Path) -> None:
    with opened(tmp_path / "app.db") as database:
        database.execute_sql(
            "CREATE TABLE Settings (id INTEGER PRIMARY KEY AUTOINCREMENT, plan TEXT DEFAULT 'a (b)', "
            "n REAL DEFAULT -0.5, none TEXT, at INTEGER DEFAULT (unixepoch()), up AS (n * 2))"
        )
        database.execute_sql("INSERT INTO settings DEFAULT VALUES")
        assert back_up_rows(database, 3, seeded=["SETTINGS"]) is None
        assert back_up_rows(database, 3) is not None
        for change in ("plan = 'b'", "plan = NULL", "n = -0.6", "none = ''"):
            with database.atomic() as transaction:
                database.execute_sql(f"UPDATE settings SET {change}")
                assert not _has_only_defaults(database, "Settings")
                transaction.rollback()
        database.execute_sql("INSERT INTO settings DEFAULT VALUES")
        assert back_up_rows(database, 3, seeded=["settings"]) is not None


def test_counters_and_shadows_are_no_rows_and_what_cannot_be_read_may_have_some(tmp_path: Path) -> None:
    with opened(tmp_path / "app.db") as database:
        database.execute_sql("CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT)")
        database.execute_sql("INSERT INTO item (x) VALUES (1)")
        database.execute_sql("DELETE FROM item")
        database.execute_sql("CREATE VIRTUAL TABLE doc USING fts5(x)")
        assert back_up_rows(database, 3) is None
        database.execute_sql("CREATE VIRTUAL TABLE of_another USING fts5(y, content='item')")
        assert back_up_rows(database, 3) is not None
